/* What a simulated service remembers between calls, in two files of its state directory: the last thing that
 * was done to it, and its log. Everything else is computed from this and the clock. */
#ifndef PLUGINS_SIMULATED_STATE_H
#define PLUGINS_SIMULATED_STATE_H
#include <stdbool.h>
#include "fleet/driver.h"

struct sim_state {
	bool wanted;       /* started, not stopped */
	bool failed_start; /* the last start was told to fail */
	int64_t at_ms;     /* when that was asked for, Unix time */
	int64_t delay_ms;  /* how long it takes from then */
	uint32_t starts;   /* on demand, ever */
};

int64_t sim_now_ms(void);
/* Takes the directory's lock: one call at a time reads and changes. Returns a descriptor to close, or a
 * negative errno with a sentence. */
int sim_lock(const struct fleet_host *host, struct fleet_driver_error *err);
/* A service that nobody has seen before has been running since now: that is written down. */
int sim_state_load(const struct fleet_host *host, struct sim_state *ret, struct fleet_driver_error *err);
int sim_state_save(
	const struct fleet_host *host, const struct sim_state *state, struct fleet_driver_error *err);

/* Adds a line to the service's log, which is cut when it grows. Best effort: a service's log may miss a line.
 */
void sim_log_add(const struct fleet_host *host, int32_t priority, const char *text);
/* Calls tell for each line, oldest first, until it returns non-zero, which is returned. */
int sim_log_each(const struct fleet_host *host,
	int (*tell)(int64_t unix_ms, int32_t priority, const char *text, void *arg), void *arg);

#endif
