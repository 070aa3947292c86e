/* Who has joined the fleet, by what an agent proves who it is, and the tokens with which others may join.
 * Plain data, shared by members and join_tokens (which decide), store (which keeps) and api (which shows). */
#ifndef CONSOLE_MEMBER_H
#define CONSOLE_MEMBER_H
#include "fleet/encode.h"
#include "fleet/ids.h"
#include "fleet/json.h"

enum credential_kind { CREDENTIAL_KEY, CREDENTIAL_CERTIFICATE };
struct credential {
	enum credential_kind kind;
	unsigned char id[FLEET_SHA256_LEN];  /* SHA-256 of the key's text, or of the certificate */
	unsigned char key[FLEET_SHA256_LEN]; /* certificate: of its public key */
	int64_t issued_ms, expires_ms;       /* 0: never */
};

struct member {
	char *agent_id;    /* owned */
	char *instance_id; /* owned: the machine; NULL: it has not joined by a token */
	char *token_id;    /* owned: by which one; may be NULL */
	int64_t joined_ms, revoked_ms;
	int64_t rejoin_until_ms; /* until then another machine may take its place: an operator's word */
	struct credential credentials[FLEET_CREDENTIALS_PER_AGENT_MAX]; /* oldest first */
	size_t credential_count;
	uint64_t version; /* in memory only: of one agentId no two states have the same */
};

struct member *member_new(const char *agent_id); /* owned */
struct member *member_copy(const struct member *m);
void member_free(struct member *m); /* accepts NULL */
FLEET_DEFINE_CLEANUP(struct member *, member_free)
/* The oldest leaves where there are too many. */
void member_add_credential(struct member *m, const struct credential *credential);
/* What of it belongs into GET /api/agents/:id ("access"); owned. */
struct json_object *member_to_json(const struct member *m);

struct join_token {
	char id[FLEET_UUID_LEN + 1];
	unsigned char digest[FLEET_SHA256_LEN]; /* of its secret */
	char *agents;                           /* owned: which agentIds, with * and ?; NULL: all */
	int uses, uses_max;
	char *created_by; /* owned: the actor */
	int64_t created_ms, expires_ms, revoked_ms;
};

struct join_token *join_token_copy(const struct join_token *t);
void join_token_free(struct join_token *t); /* accepts NULL */
/* "" usable, else what is wrong with it: "expired", "used up", "revoked". */
const char *join_token_fault(const struct join_token *t, int64_t now_ms);
bool join_token_fits(const struct join_token *t, const char *agent_id);
/* As GET /api/join-tokens shows it: not its secret. Owned. */
struct json_object *join_token_to_json(const struct join_token *t);

#endif
