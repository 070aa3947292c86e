/* Whose commands count: the public keys of the console that this server obeys. From the admin's console.pub
 * where there is one (a JWK or a JWK set), else from what was pinned earlier (STATE/console-keys.json), else
 * the one that the join token names is pinned when the agent shows it, else the first that it shows. With
 * --dev they live in memory only and follow the console. Host's event loop. (DESIGN 4) */
#ifndef HOST_KEYS_H
#define HOST_KEYS_H
#include "fleet/jws.h"

#define KEYS_MAX 16

enum keys_source { KEYS_NONE, KEYS_ADMIN, KEYS_PINNED, KEYS_MEMORY };
struct keys {
	struct fleet_jws_key *items[KEYS_MAX];
	size_t count;
	enum keys_source source;
	struct fleet_jws_key
		*recovery;  /* owned; may say which key comes next, and nothing else; NULL: none */
	int64_t changed_ms; /* when the console has made the newest change that counted here; 0: none */
	char *pin_path;     /* owned; NULL: pins live in memory only */
};

/* console_pub: the admin's file; need not exist. state_dir NULL: nothing is pinned across runs. */
int keys_load(const char *console_pub, const char *state_dir, struct keys *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
void keys_done(struct keys *k);

enum keys_offer { KEYS_KNOWN, KEYS_NOW_PINNED, KEYS_FOREIGN };
/* What the console says its keys are, by way of an agent that is not trusted: pinned only where nothing is
 * pinned yet, and then, where wanted_kid is not NULL, that one alone. KEYS_FOREIGN: keys are pinned, or one
 * is wanted, and none of these is among them; *ret_kid then names the first (owned). */
int keys_offer(struct keys *k, struct json_object *jwks, const char *wanted_kid, enum keys_offer *ret,
	char **ret_kid, struct fleet_error *err) FLEET_MUST_CHECK;
/* keys_follow.c: changes of keys, as JWS, oldest first (fleet/key_change.h): each counts that a key signed
 * which is trusted by then. Kept where keys are pinned; beside an admin's console.pub in memory only, since
 * the console says all of them each time. */
int keys_follow(struct keys *k, struct json_object *changes, bool *ret_rotated,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Keeps what is pinned; nothing to do where that is not this program's. */
int keys_save(const struct keys *k, struct fleet_error *err) FLEET_MUST_CHECK;
/* [kid, ...]; owned. */
struct json_object *keys_ids(const struct keys *k);

#endif
