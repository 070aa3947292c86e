/* Is the app well after what was done to it? By the service's own state: running (or done), a start of its
 * own since the operation began where one is due, and still so when the settle time is over, without a crash
 * in between. Then by the check that apps.d declares beyond that (health_check.c): a url or a port, which the
 * agent asks, until it says yes or the check's timeout is over. Where the agent cannot ask, that is no
 * verdict on the app: the service's state counts, and the words say so. Blocks; used in operation children.
 * (DESIGN 7) */
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
	bool checked;       /* the declared check was made, and said yes; or there is none */
	char caveat[256];   /* "; its url health check could not be made: ..." or "" */
};
/* old_instance: what it was before a restart; NULL where no new start is due. since_ms: wall clock of the
 * restart. */
void health_wait(struct op *op, const struct app *app, const char *old_instance, int64_t since_ms,
	struct health_verdict *ret);
/* "Running, healthy" or, with a declared check that was not made, "Running"; caller frees. */
char *health_words(const struct health_verdict *v);
/* The same of a service that was only looked at. */
char *health_look_words(const struct app *app, const struct driver_status *status);
/* Why a service is not well, from its status: "exited 1 after 0.4 s". since_ms: wall clock of its start, 0
 * unknown. */
void health_explain(const struct driver_status *status, int64_t since_ms, char *out, size_t out_len);
/* "28 ms", "1.2 s": fleet_duration_format, but what is short is not said to be nothing. */
void health_span(int64_t ms, char *out, size_t out_len);
/* health_check.c: makes the declared check of a service that runs well. False: *v says why the app is not.
 * still_well: asked between two attempts; false ends it, with *v filled. */
bool health_check_declared(struct op *op, const struct app *app, struct health_verdict *v,
	bool (*still_well)(struct op *op, const struct app *app, struct health_verdict *v, int64_t since_ms),
	int64_t since_ms);
/* appStatus, appHealthy, pid of the result. */
void health_add_to_result(struct op *op, const struct driver_status *status, bool healthy);

#endif
