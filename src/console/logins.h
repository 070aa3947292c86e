/* What addresses without a good key do here: wrong keys cost waiting, questions without a key have a rate,
 * and the audit log hears of refusals without being filled by them. Bounded: FLEET_LOGIN_ADDRESSES_MAX
 * addresses are told apart (an IPv6 one by its first 64 bits), and what comes from more of them counts as
 * one, so that nobody is forgotten because others come. Times are the monotonic clock's. Event loop only. */
#ifndef CONSOLE_LOGINS_H
#define CONSOLE_LOGINS_H
#include "console/id_table.h"
#include "console/store.h"

struct login_address {
	char id[48]; /* its text */
	unsigned failures;
	int64_t failed_ms, wait_until_ms;
	double asks; /* that it may still ask */
	int64_t asks_ms;
	unsigned left_out; /* refusals of this minute that the audit log does not have one by one */
	bool told;         /* of this minute */
};
struct logins {
	struct store *store;     /* borrowed; NULL: nothing is audited */
	struct id_table by_text; /* struct login_address, owned */
	struct login_address others;
	int64_t minute_ms; /* when this one began */
	/* in it; of those whose key is not known, and of those whose is: neither fills the other's room */
	unsigned told_unknown, told_known, left_out;
};

void logins_init(struct logins *logins, struct store *store);
void logins_done(struct logins *logins);

/* For how long this address may not try a key that somebody chose; 0: it may. */
int64_t logins_wait_ms(struct logins *logins, const char *address, int64_t now_ms);
/* May it ask without a key? */
bool logins_may_ask(struct logins *logins, const char *address, int64_t now_ms);

/* A key that is none, or no good any more: it counts, and is audited. key: whose it is, NULL nobody's; why:
 * "is expired". */
void logins_failed(struct logins *logins, const char *address, const struct api_key *key, const char *why,
	int64_t now_ms);
/* A key that was not even looked at, because the address waits: the minute's sum has it. */
void logins_slowed(struct logins *logins, const char *address, int64_t now_ms);
/* Somebody known who may not what he asked for: audited. */
void logins_refused(
	struct logins *logins, const char *address, const char *actor, const char *what, int64_t now_ms);
/* Once a second: forgets what is old, and sums up the minute. */
void logins_tick(struct logins *logins, int64_t now_ms);
/* Sums up what there is of it. */
void logins_flush(struct logins *logins);

#endif
