/* The agent's side of the host socket (docs/protocol.md): connects to the driver host and comes back whenever
 * it is lost, or starts the host as a child (--dev) and starts it again, both with growing waits. Says
 * `hello` by itself, checks every frame, and hands the good ones on. Event loop only. */
#ifndef AGENT_HOSTLINK_H
#define AGENT_HOSTLINK_H
#include <event2/event.h>
#include "fleet/ids.h"
#include "fleet/message.h"

struct hostlink;

struct hostlink_options {
	const char *socket_path;       /* copied; NULL: a child of our own */
	const char *const *child_argv; /* borrowed for the link's life; NULL with socket_path */
	const char *agent_version;     /* copied */
};
struct hostlink_events {
	/* A checked frame from the host; message borrowed. */
	void (*frame)(enum fleet_message_type type, struct json_object *message, void *arg);
	/* The connection is lost, or could not be made (then once, not for each attempt); why: for a person.
	 */
	void (*down)(const char *why, void *arg);
};

/* events borrowed for the link's life. Starts by itself as soon as the loop runs. Owned. */
struct hostlink *hostlink_new(struct event_base *base, const struct hostlink_options *options,
	const struct hostlink_events *events, void *arg);
/* With a child: ends it and waits, some seconds at most. Accepts NULL. */
void hostlink_free(struct hostlink *link);

/* The host has described itself on this connection: it is there, not only its socket. */
bool hostlink_is_up(const struct hostlink *link);
/* Sends a frame; -ENOTCONN where there is no connection, -ENOBUFS where it does not read. takes_message is
 * freed in any case. */
int hostlink_send(struct hostlink *link, struct json_object *takes_message) FLEET_MUST_CHECK;
/* The same with a descriptor, which is duplicated. */
int hostlink_send_fd(struct hostlink *link, struct json_object *takes_message, int fd) FLEET_MUST_CHECK;
/* Says `hello` again: the host describes itself anew and sends what it has not been told is stored. ret_id
 * (may be NULL): the hello's, which the description names in its refId. */
void hostlink_hello(struct hostlink *link, struct fleet_uuid *ret_id);
/* Makes a host of our own read its apps again (SIGHUP); false where the host is not ours: it is root's, and
 * its unit has a reload of its own. */
bool hostlink_reload_child(struct hostlink *link);

#endif
