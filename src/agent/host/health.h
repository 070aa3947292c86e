/* Is the app well after what was done to it? By the service's own state: running (or done), a start of its
 * own since the operation began where one is due, and still so when the settle time is over, without a crash
 * in between. Checks that apps.d declares beyond that (url, tcp, command) need the agent or the app's user
 * and are not made yet: the words of a verdict say so. Blocks; used in operation children. (DESIGN 7) */
#ifndef HOST_HEALTH_H
#define HOST_HEALTH_H
#include "agent/host/service.h"

struct health_verdict {
	bool known; /* false: the service could not be asked (code, text say why) */
	bool healthy;
	int code; /* negative errno of the driver's failure where not known */
	struct driver_status status;
	int64_t good_at_ms; /* monotonic: when it was first seen running; 0 never */
	char text[512];     /* why not healthy: "exited 1 after 0.4 s" */
};
/* old_instance: what it was before a restart; NULL where no new start is due. since_ms: wall clock of the
 * restart. */
void health_wait(struct op *op, const struct app *app, const char *old_instance, int64_t since_ms,
	struct health_verdict *ret);
/* "Running, healthy" or, with a declared check that is not made, "Running"; caller frees. */
char *health_words(const struct app *app, const struct driver_status *status);
/* "; its url health check was not made: ..." where one is declared, else "". Static or owned by nobody: a
 * buffer. */
const char *health_caveat(const struct app *app);
/* Why a service is not well, from its status: "exited 1 after 0.4 s". since_ms: wall clock of its start, 0
 * unknown. */
void health_explain(const struct driver_status *status, int64_t since_ms, char *out, size_t out_len);
/* "28 ms", "1.2 s": fleet_duration_format, but what is short is not said to be nothing. */
void health_span(int64_t ms, char *out, size_t out_len);
/* appStatus, appHealthy, pid of the result. */
void health_add_to_result(struct op *op, const struct driver_status *status, bool healthy);

#endif
