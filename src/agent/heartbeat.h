/* When a heartbeat goes out and what it says (docs/protocol.md): the server's metrics, and every app's status
 * asked of the driver host each time. A host that answers late or not at all never holds a heartbeat up: it
 * goes out with the apps as they were last known, their status `unknown` and the reason said. Event loop
 * only; one per agent. */
#ifndef AGENT_HEARTBEAT_H
#define AGENT_HEARTBEAT_H
#include <event2/event.h>
#include "fleet/ids.h"
#include "fleet/json.h"

struct heartbeat;
struct heartbeat_ops {
	/* Sends a statusRequest; its id is *ret_id. Negative where the host is not there. */
	int (*ask)(struct fleet_uuid *ret_id, void *arg);
	/* takes message */
	void (*send)(struct json_object *takes_message, void *arg);
};

/* ops borrowed. patience_ms: how long the host may take, 0 for the default. Owned. */
struct heartbeat *heartbeat_new(
	struct event_base *base, int64_t patience_ms, const struct heartbeat_ops *ops, void *arg);
void heartbeat_free(struct heartbeat *h);

/* Registered: one at once, then every interval; seq counts from 1 again. Also changes the interval. */
void heartbeat_start(struct heartbeat *h, int64_t interval_ms);
void heartbeat_stop(struct heartbeat *h);
/* Something has just changed (a command ended): one as soon as the host has answered, so that nobody is shown
 * for a whole interval what is no longer so. */
void heartbeat_now(struct heartbeat *h);
/* requestHeartbeat: one as soon as the host has answered, with ref_id. -ENOBUFS past a few that wait. */
int heartbeat_request(struct heartbeat *h, const char *ref_id) FLEET_MUST_CHECK;

/* The host described itself: apps (array of {id, ...}) are what there is now; others are forgotten. */
void heartbeat_set_apps(struct heartbeat *h, struct json_object *described);
/* The host's `status` (borrowed): ref_id is the request it answers. */
void heartbeat_status(struct heartbeat *h, const char *ref_id, struct json_object *apps);
/* The host is gone: whoever waits for it waits no longer. */
void heartbeat_host_lost(struct heartbeat *h, const char *why);
/* The apps as last known, for register; with their status where it is fresh. Owned. */
struct json_object *heartbeat_apps(const struct heartbeat *h);

#endif
