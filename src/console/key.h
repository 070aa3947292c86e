/* An API key: who may use the REST API, and what for. Its secret is known to whoever holds it; here lies its
 * digest. Never changed but for `used_ms`: a rotated or revoked key is another object of the same id, so that
 * a request under way keeps what it began with. Shared by keys (which decides), store (which keeps), auth
 * (which compares) and api (which shows). Event loop only; the store copies. */
#ifndef CONSOLE_KEY_H
#define CONSOLE_KEY_H
#include "fleet/encode.h"
#include "fleet/ids.h"
#include "fleet/json.h"

enum role { ROLE_VIEWER, ROLE_OPERATOR, ROLE_ADMIN };
#define ROLES (ROLE_ADMIN + 1)
const char *role_to_string(enum role role);
int role_from_string(const char *text, enum role *ret) FLEET_MUST_CHECK; /* -EINVAL */

/* What a key can be limited to doing. The servers' own words where they have one (apps.d, allow). */
enum key_action {
	KEY_ACTION_NONE, /* looking */
	KEY_ACTION_RESTART,
	KEY_ACTION_PUSH_CONFIG,
	KEY_ACTION_UPDATE,
	KEY_ACTION_READ_CONFIG,
	KEY_ACTION_READ_LOGS,
	KEY_ACTION_PING,
	KEY_ACTION_CANCEL,
	KEY_ACTION_ARTIFACTS,
	KEY_ACTIONS,
};
const char *key_action_to_string(enum key_action action);

/* All empty: no limits. */
struct key_limits {
	char **agents;    /* owned, NULL-terminated: patterns of ids, one of which must fit; NULL: every id */
	char **labels;    /* owned, NULL-terminated: "key" or "key=value", all of which must fit; NULL: any */
	unsigned actions; /* bits of enum key_action; 0: what the role may */
};
/* From {agents[], labels[], actions[]}; NULL: none. -EINVAL with the path at fault, below at ("$.limits"). */
int key_limits_parse(struct json_object *json, const char *at, struct key_limits *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* The same way back; NULL where there are none. Owned. */
struct json_object *key_limits_to_json(const struct key_limits *limits);
struct key_limits key_limits_copy(const struct key_limits *limits);
void key_limits_done(struct key_limits *limits);
bool key_limits_on_agents(const struct key_limits *limits);
/* labels: the agent's; NULL where it is not known, and then it has none. */
bool key_limits_reach(const struct key_limits *limits, const char *agent_id, struct json_object *labels);
bool key_limits_allow(const struct key_limits *limits, enum key_action action);

struct api_key {
	unsigned refs;
	char id[FLEET_UUID_LEN + 1]; /* "": of console.yaml, and not the store's to change */
	char *name;                  /* owned: the first half of the actor */
	unsigned char digest[FLEET_SHA256_LEN];
	unsigned char old_digest[FLEET_SHA256_LEN]; /* of the secret before, good until old_until_ms */
	int64_t old_until_ms;                       /* 0: there is none */
	enum role role;
	struct key_limits limits;
	char *created_by;                                    /* owned; NULL unknown */
	int64_t created_ms, expires_ms, used_ms, revoked_ms; /* 0: not, never */
	bool used_unsaved;
};
struct api_key *api_key_new(const char *name, enum role role); /* fresh id; one reference */
/* One reference; everything the same. */
struct api_key *api_key_copy(const struct api_key *key);
struct api_key *api_key_ref(struct api_key *key);
void api_key_unref(struct api_key *key); /* accepts NULL */
FLEET_DEFINE_CLEANUP(struct api_key *, api_key_unref)

/* An id, and none that could be taken for a keyId. */
bool api_key_name_is_valid(const char *name);
bool api_key_is_limited(const struct api_key *key);
bool api_key_is_expired(const struct api_key *key, int64_t wall_ms);
/* As GET /api/keys shows it, with nothing of its secret; owned. */
struct json_object *api_key_to_json(const struct api_key *key, int64_t wall_ms);

/* A secret of the console's own making: this, and 43 letters that hold 256 random bits. */
#define API_KEY_PREFIX     "fleet_"
#define API_KEY_SECRET_LEN (sizeof(API_KEY_PREFIX) - 1 + 43)
/* Gives the key a fresh secret and returns it: owned, told once, to be wiped (api_key_secret_free). */
char *api_key_make_secret(struct api_key *key);
void api_key_secret_free(char *secret); /* accepts NULL */
FLEET_DEFINE_CLEANUP(char *, api_key_secret_free)
/* Has it that form? Such a one cannot be guessed. */
bool api_key_is_made_here(const char *secret);

#endif
