/* Children of the host: forked without exec, tied to the host's life, rid of what they need not hold, and
 * watched on the event loop by pidfd. A child and the host speak in frames over a socketpair. Used for
 * operations and for status. */
#ifndef HOST_CHILD_H
#define HOST_CHILD_H
#include <event2/event.h>
#include "fleet/error.h"
#include "fleet/json.h"

struct child;
struct child_events {
	/* A frame from the child; message borrowed. */
	void (*message)(struct child *c, struct json_object *message, void *arg);
	/* It ended and all that it said was heard; c may be freed here. how: "exited with status 1", "was
	 * killed by SIGSEGV". */
	void (*ended)(struct child *c, const char *how, void *arg);
};

/* Forks. In the child, main runs with its end of the socketpair and the process exits with what it returns (0
 * or not); keep_fd (-1 none) stays open there, every other descriptor is closed. name: of the process, at
 * most 15 bytes. events: borrowed for the child's life. *ret owned. */
int child_start(struct event_base *base, const char *name, int keep_fd, int (*main)(int fd, void *arg),
	void *main_arg, const struct child_events *events, void *arg, struct child **ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
int child_send(struct child *c, struct json_object *message) FLEET_MUST_CHECK;
/* With a descriptor, borrowed; -1 none. */
int child_send_fd(struct child *c, struct json_object *message, int fd) FLEET_MUST_CHECK;
/* Kills it if it lives; `ended` follows. */
void child_kill(struct child *c);
/* Kills it if it lives and waits for that; no more callbacks. */
void child_free(struct child *c);

#endif
