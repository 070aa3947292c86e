/* The fetching process (fleet-fetch) from the agent's side: started when something is sent to it, ended when
 * nothing has been asked of it for a while. What is asked and what comes back is the owner's business
 * (fetches). Event loop only. */
#ifndef AGENT_FETCHER_H
#define AGENT_FETCHER_H
#include <event2/event.h>
#include "fleet/message.h"

#define FETCHER_PROGRAM "fleet-fetch"

struct fetcher;
struct fetcher_events {
	/* progress, fetched or probed; message checked, borrowed. */
	void (*frame)(enum fleet_message_type type, struct json_object *message, void *arg);
	/* It ended, and with it all that it did. Not from within fetcher_send. */
	void (*died)(const char *how, void *arg);
};

/* program: copied; NULL: beside this program. idle_ms: 0 for the default. events borrowed. Owned. */
struct fetcher *fetcher_new(struct event_base *base, const char *program, int64_t idle_ms,
	const struct fetcher_events *events, void *arg);
void fetcher_free(struct fetcher *f);
/* Starts the process where it is not there. fd: -1, or duplicated. takes_message is freed in any case. */
int fetcher_send(struct fetcher *f, struct json_object *takes_message, int fd,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Nothing is asked of it any more; may be called when it is not there. */
void fetcher_rest(struct fetcher *f);

#endif
