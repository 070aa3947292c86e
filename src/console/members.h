/* Who may be which agent: judges what a connection shows (a key of console.yaml, a key or a certificate that
 * was given when the agent joined), and keeps the operators' word: revoked, removed, may join again. A
 * credential is good for its own agentId and for nothing else, and only while this console knows it. Event
 * loop only; what changes is committed, and told, later. */
#ifndef CONSOLE_MEMBERS_H
#define CONSOLE_MEMBERS_H
#include "console/config.h"
#include "console/id_table.h"
#include "console/store.h"
#include "fleet/http_server.h"
#include "fleet/x509.h"

struct members {
	const struct console_config *config; /* borrowed */
	struct store *store;                 /* borrowed */
	struct id_table by_id;               /* struct member, owned */
	struct id_table tokens;              /* struct join_token, owned; by its id */
	uint64_t versions;
};

void members_init(struct members *members, const struct console_config *config, struct store *store);
/* Synchronous: before the loop runs. */
int members_load(struct members *members, struct fleet_error *err) FLEET_MUST_CHECK;
void members_done(struct members *members);
/* Are these asked for and given? (agent_auth; config zeroed: both.) */
bool members_take_keys(const struct members *members);
bool members_take_certificates(const struct members *members);

/* --- judging ----------------------------------------------------------------------------------------- */

struct proof {
	const char *authorization; /* the header; NULL: none. Borrowed */
	int certificate;           /* 1 a good one, 0 none, -EKEYREJECTED one that is not: why */
	struct fleet_x509_facts facts;
	char why[256];
	/* What this console made itself is looked at and no more: nobody guesses it, so that it is heard also
	 * from where others guess (logins.h). */
	bool made_here_only;
};
void members_read_proof(const struct fleet_http_request *req, struct proof *ret);

enum member_verdict { MEMBER_WELCOME, MEMBER_UNKNOWN, MEMBER_OTHERS, MEMBER_REVOKED };
struct judgement {
	enum member_verdict verdict;
	int64_t expires_ms; /* welcome: until when; 0: no end */
	char why[320];      /* else: for the audit log, and for whoever asks */
};
void members_judge(const struct members *members, const struct proof *proof, const char *agent_id,
	struct judgement *ret);
/* The agent whose proof it is, or NULL. Borrowed from members or its config. */
const char *members_find(const struct members *members, const struct proof *proof);
/* What is known of the agent, as a number that changes with it: whoever was let in by what held before is
 * judged anew. 0: nothing (a key of console.yaml alone). */
uint64_t members_version(const struct members *members, const char *agent_id);

/* --- changing ---------------------------------------------------------------------------------------- */

struct member *members_get(const struct members *members, const char *agent_id); /* borrowed; NULL */
/* In memory; what was there under its id goes. */
void members_put(struct members *members, struct member *takes_member);
void members_drop(struct members *members, const char *agent_id);

/* Who asks for a change. Borrowed texts. */
struct member_asker {
	const char *actor, *source_address;
};
/* Each holds in memory at once, and calls back when it is committed. */
void members_revoke(struct members *members, const char *agent_id, const struct member_asker *asker,
	store_done *done, void *arg);
void members_remove(struct members *members, const char *agent_id, const struct member_asker *asker,
	store_done *done, void *arg);
void members_allow_rejoin(struct members *members, const char *agent_id, int64_t until_ms,
	const struct member_asker *asker, store_done *done, void *arg);

#endif
