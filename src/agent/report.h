/* Tells the admin on this server how the agent stands, whatever becomes of hub and host: a socket in the data
 * directory, its owner's and root's alone, that answers each connection with one JSON object and closes it.
 * Nothing is asked of the agent over it. On the agent's event loop; one per process. */
#ifndef AGENT_REPORT_H
#define AGENT_REPORT_H
#include <event2/event.h>
#include "fleet/json.h"

#define REPORT_SOCKET "status.sock" /* in the data directory */

struct report;

/* make: the object, owned by the report. NULL, and said in the log, where no socket can be had: the agent
 * works without. */
struct report *report_new(
	struct event_base *base, const char *data_dir, struct json_object *(*make)(void *arg), void *arg);
/* Removes the socket. Accepts NULL. */
void report_free(struct report *r);

#endif
