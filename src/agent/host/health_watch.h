/* Health between operations: the declared check of each app that runs is asked every so often, so that one
 * that runs and answers 500 does not look well. Urls and ports are asked of the agent (a `probe` frame), the
 * commands run in children. What is known is told with each look at the services (status.h): of the present
 * start of the service only, since an answer of the one before says nothing. One that just started may say no
 * for as long as its check's timeout, and is unknown meanwhile. An app that could not be asked is unknown,
 * with the reason: no answer of the agent is no verdict on the app. Host's event loop. (DESIGN 7) */
#ifndef HOST_HEALTH_WATCH_H
#define HOST_HEALTH_WATCH_H
#include <event2/event.h>
#include "agent/host/op.h"

struct health_watch;
/* env and what it points to may change between calls, with health_watch_forget. ask: sends a probe to the
 * agent; frame borrowed; negative: nobody is there to ask. */
struct health_watch *health_watch_new(struct event_base *base, const struct op_env *env,
	int (*ask)(struct json_object *frame, void *arg), void *arg);
void health_watch_free(struct health_watch *w);
/* The declarations are others now: begins anew. */
void health_watch_forget(struct health_watch *w);
/* How a service was found: the protocol's app, with its `instance`. Of one with a declared check, that runs,
 * health and healthMessage become what the check says. */
void health_watch_look(struct health_watch *w, struct json_object *app);
/* A `probed` frame. False: it answers none of ours. */
bool health_watch_probed(struct health_watch *w, struct json_object *frame);

#endif
