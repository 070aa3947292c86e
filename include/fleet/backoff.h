/* How long to wait before the next attempt to connect: the contract's 5.3 (0, 2, 5, 10, 30, 30 ... s), each
 * with up to 20 % on top and the first with up to 1 s, so that a thousand agents do not come back in the
 * same millisecond (DESIGN 4). Embedded; the owner's thread. */
#ifndef FLEET_BACKOFF_H
#define FLEET_BACKOFF_H
#include "fleet/base.h"

struct fleet_backoff {
	unsigned attempt;
};

void fleet_backoff_reset(struct fleet_backoff *b);
/* A refused credential starts at the table's end (30 s). */
void fleet_backoff_refused(struct fleet_backoff *b);
/* The wait before the next attempt, and one step on. */
int64_t fleet_backoff_next_ms(struct fleet_backoff *b);
/* The table without jitter: attempt 0 is the first. */
int64_t fleet_backoff_base_ms(unsigned attempt);

#endif
