/* A program that the agent runs as its own child: the driver host of a developer's agent (--dev), and the
 * fetching process. Started over a socketpair, watched through a pidfd, told to go when the agent goes. Used
 * by hostlink and fetcher, on the event loop. */
#ifndef AGENT_HOST_CHILD_H
#define AGENT_HOST_CHILD_H
#include <event2/event.h>
#include "fleet/error.h"

#define HOST_CHILD_SOCKET_FD 3 /* what the child finds its socket at */

struct host_child;
/* Called once when the child has ended, with how; the callee may free it. */
typedef void host_child_exited_fn(const char *how, void *arg);

/* argv: absolute program and arguments, NULL-terminated, borrowed during the call. *ret_fd: our end of the
 * socket, owned by the caller. *ret owned. */
int host_child_start(struct event_base *base, const char *const *argv, host_child_exited_fn *exited,
	void *arg, struct host_child **ret, int *ret_fd, struct fleet_error *err) FLEET_MUST_CHECK;
void host_child_signal(struct host_child *child, int signal_number);
/* Asks it to end (SIGTERM), and makes it (SIGKILL) where it has not after a while; `exited` comes then. */
void host_child_stop(struct host_child *child);
/* Ends it and waits for that, at most some seconds: for when the loop is over. No callback. Accepts NULL. */
void host_child_free(struct host_child *child);

#endif
