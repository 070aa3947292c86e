/* Tokens with which new agents may join: few uses, a short life, for some agentIds or all. Only a digest of
 * the secret is kept. They live in members' table. Event loop only. */
#ifndef CONSOLE_JOIN_TOKENS_H
#define CONSOLE_JOIN_TOKENS_H
#include "console/members.h"

struct join_token_wish {
	const char *agents; /* pattern; NULL: any */
	int uses;
	int64_t life_ms;
	const unsigned char *authority; /* what the token says of this console: see fleet/join_token.h */
	const char *kid;
};
/* Calls back when it is committed (0; and with the token as a person copies it: this once), or with -EDQUOT.
 * token: borrowed for the call. */
typedef void join_token_made(int result, const struct join_token *token, const char *text,
	const struct fleet_error *err, void *arg);
void join_tokens_create(struct members *members, const struct join_token_wish *wish,
	const struct member_asker *asker, join_token_made *done, void *arg);
/* By its id or its last six digits or more; NULL and -ENOENT, or -ENOTUNIQ. Borrowed. */
struct join_token *join_tokens_get(const struct members *members, const char *id_or_tail, int *ret_result);
/* In memory at once. */
void join_tokens_revoke(struct members *members, struct join_token *token, const struct member_asker *asker,
	store_done *done, void *arg);
/* The token of a secret, usable or not, or NULL. Borrowed. */
struct join_token *join_tokens_find(const struct members *members, const char *secret);

#endif
