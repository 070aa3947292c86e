/* A new certificate before the old one ends: at two thirds of its life, by the console's clock, with a new
 * key. Asked for on the connection to the hub; what comes is used from the next connection on. Event loop
 * only. */
#ifndef AGENT_RENEWAL_H
#define AGENT_RENEWAL_H
#include <event2/event.h>
#include "agent/config.h"
#include "fleet/json.h"

struct renewal;
struct renewal_ops {
	/* Sends a `renew`, taken; negative where nobody is there. */
	int (*send)(struct json_object *takes_message, void *arg);
	/* Adds this to our clock and it is the console's. */
	int64_t (*clock_offset_ms)(void *arg);
};

struct renewal *renewal_new(struct event_base *base, const struct agent_config *config,
	const struct renewal_ops *ops, void *arg); /* owned; config and ops borrowed */
/* Connected as an agent with a certificate of our own: looks at it now, and again when it is time. */
void renewal_start(struct renewal *renewal);
void renewal_stop(struct renewal *renewal);
/* A checked `renewed`. */
void renewal_take(struct renewal *renewal, struct json_object *message);
void renewal_free(struct renewal *renewal); /* accepts NULL */

#endif
