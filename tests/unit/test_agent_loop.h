/* A loop that turns until a condition holds or a deadline passes, for the agent's tests. */
#ifndef TEST_AGENT_LOOP_H
#define TEST_AGENT_LOOP_H
#include <event2/event.h>
#include "fleet/clock.h"

#define LOOP_DEADLINE_MS 20000

/* Turns the loop until EXPR is true; false where it is not in time. */
#define LOOP_UNTIL(base, expr)                                                                               \
	({                                                                                                   \
		int64_t loop_end_ = fleet_clock_monotonic_ms() + LOOP_DEADLINE_MS;                           \
		bool loop_true_;                                                                             \
		while (!(loop_true_ = (expr)) && fleet_clock_monotonic_ms() < loop_end_)                     \
			loop_turn(base);                                                                     \
		loop_true_;                                                                                  \
	})

static inline void loop_turn(struct event_base *base)
{
	const struct timeval most = {.tv_usec = 20000};

	(void)event_base_loopexit(base, &most);
	(void)event_base_loop(base, EVLOOP_ONCE);
}

/* Turns it for a while in which nothing is expected to happen. */
static inline void loop_for(struct event_base *base, int64_t ms)
{
	int64_t end = fleet_clock_monotonic_ms() + ms;

	while (fleet_clock_monotonic_ms() < end)
		loop_turn(base);
}

#endif
