/* What addresses without a good credential do here: wrong ones cost waiting, questions without a key have a
 * rate, and the audit log hears of refusals without being filled by them. Bounded: FLEET_LOGIN_ADDRESSES_MAX
 * addresses are told apart (an IPv6 one by its first 64 bits), and what comes from more of them counts as
 * one, so that nobody is forgotten because others come. Times are the monotonic clock's. Event loop only.
 *
 * Agents are counted by address and the agentId that they claim, for a whole site may come from one address:
 * one agent there with a wrong key must not have the others wait. Of an address
 * FLEET_LOGIN_AGENTS_APART claims are told apart; what is claimed beyond counts as one. Who waits is
 * asked for what cannot be guessed alone; that the callers see to. */
#ifndef CONSOLE_LOGINS_H
#define CONSOLE_LOGINS_H
#include "console/id_table.h"
#include "console/store.h"

struct login_count {
	unsigned failures;
	int64_t failed_ms, wait_until_ms;
};
struct login_address {
	char id[48]; /* its text */
	struct login_count keys;
	struct login_count agents; /* those of it that are not told apart */
	size_t agents_apart;       /* how many are */
	double asks;               /* that it may still ask */
	int64_t asks_ms;
	unsigned left_out; /* refusals of this minute that the audit log does not have one by one */
	bool told;         /* of this minute */
};
struct login_agent {
	char id[sizeof(((struct login_address *)NULL)->id) + 1 + FLEET_ID_MAX]; /* "ADDRESS AGENTID" */
	struct login_address *address;
	struct login_count count;
	bool told; /* of this minute */
};
struct logins {
	struct store *store;     /* borrowed; NULL: nothing is audited */
	struct id_table by_text; /* struct login_address, owned */
	struct id_table agents;  /* struct login_agent, owned */
	struct login_address others;
	int64_t minute_ms; /* when this one began */
	/* in it; of those whose key is not known, and of those whose is: neither fills the other's room */
	unsigned told_unknown, told_known, left_out;
};

void logins_init(struct logins *logins, struct store *store);
void logins_done(struct logins *logins);

/* --- keys of people and their programs --------------------------------------------------------------- */

/* For how long this address may not try a key that somebody chose; 0: it may. */
int64_t logins_wait_ms(const struct logins *logins, const char *address, int64_t now_ms);
/* May it ask without a key? */
bool logins_may_ask(struct logins *logins, const char *address, int64_t now_ms);

/* A key that is none, or no good any more: it counts, and is audited. key: whose it is, NULL nobody's; why:
 * "is expired". */
void logins_failed(struct logins *logins, const char *address, const struct api_key *key, const char *why,
	int64_t now_ms);
/* A credential that was not even looked at, because its address waits: the minute's sum has it. */
void logins_slowed(struct logins *logins, const char *address, int64_t now_ms);
/* Somebody known who may not what he asked for: audited. */
void logins_refused(
	struct logins *logins, const char *address, const char *actor, const char *what, int64_t now_ms);

/* --- agents, at the hub and where they join ---------------------------------------------------------- */

struct login_refusal { /* borrowed texts */
	const char *category, *agent_id, *address;
	const char *what; /* "agent refused" */
	const char *why;
};
/* For how long who claims this agentId from there may not try a key that somebody chose; 0: he may. */
int64_t logins_agent_wait_ms(
	const struct logins *logins, const char *address, const char *agent_id, int64_t now_ms);
/* What he has shown is no good: it counts, and is audited. */
void logins_agent_failed(struct logins *logins, const struct login_refusal *refusal, int64_t now_ms);
/* Audited, without counting. known: he has shown something that was given to him. */
void logins_agent_refused(
	struct logins *logins, const struct login_refusal *refusal, bool known, int64_t now_ms);
/* He is the one: what he tried before is forgotten. */
void logins_agent_came(struct logins *logins, const char *address, const char *agent_id);

/* Once a second: forgets what is old, and sums up the minute. */
void logins_tick(struct logins *logins, int64_t now_ms);
/* Sums up what there is of it. */
void logins_flush(struct logins *logins);

/* --- between the files: logins_audit.c ----------------------------------------------------------------
 */

/* As long as there are few in a minute they are written; the others are summed up. told: how many were. */
void logins_tell(struct logins *logins, struct login_address *from, unsigned *told,
	const struct audit_event *event, char *takes_message);
void logins_leave_out(struct logins *logins, struct login_address *from);
void logins_sum_up(struct logins *logins, int64_t now_ms);

#endif
