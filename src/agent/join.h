/* Joining: a connection of its own (/api/join) on which the agent shows its join token to a console that has
 * proven to be the one that made it, says which machine it is, and is given what it connects with from then
 * on. Keeps trying while nobody answers. Event loop only. */
#ifndef AGENT_JOIN_H
#define AGENT_JOIN_H
#include <event2/event.h>
#include "agent/config.h"
#include "fleet/error.h"

struct join;
struct join_options { /* borrowed */
	const struct agent_config *config;
	const char *instance_id, *hostname, *agent_version;
	int64_t (*wait_ms)(int64_t wait_ms); /* for tests: see link.h */
};
struct join_events {
	void (*joined)(void *arg); /* what was given is kept; join_free may be called */
	/* It did not work; retry_ms: until the next attempt. refused: the console has said no. */
	void (*failed)(const char *why, int64_t retry_ms, bool refused, void *arg);
};

/* events borrowed. *ret owned. Starts at once. */
int join_new(struct event_base *base, const struct join_options *options, const struct join_events *events,
	void *arg, struct join **ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* Accepts NULL. Safe in callbacks. */
void join_free(struct join *join);

#endif
