/* The agent: the console's representative on this server (DESIGN 2). Wires its parts together: the link to
 * the hub, the socket to the driver host, the spool between the two, heartbeats, and what systemd is told.
 * One event loop, one thread. Used by main and by the tests, which give it a loop of their own. */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H
#include <event2/event.h>
#include "agent/config.h"

struct agent;

/* config: borrowed for the agent's life, configured. child_argv: the driver host to run as a child (--dev),
 * borrowed; NULL: the one behind config->host_socket. Opens the spool. *ret owned. */
int agent_new(struct event_base *base, const struct agent_config *config, const char *const *child_argv,
	struct agent **ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* Registers again, with apps read again where that is ours to ask. */
void agent_reload(struct agent *a);
/* How it stands, for the admin on this server: {agentId, consoleUrl, hub, host, spool, commands, ...}; owned.
 */
struct json_object *agent_report(struct agent *a);
/* Leaves gracefully: tells the console, then ends the loop. A second call ends it at once. */
void agent_stop(struct agent *a);
/* Ends a child of our own, too. Accepts NULL. */
void agent_free(struct agent *a);

#endif
