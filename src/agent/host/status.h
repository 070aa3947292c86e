/* How every app is right now, for a heartbeat. Each request is answered by children that ask the service
 * drivers, one for each driver, so that a driver that hangs costs its own apps only; what they have not told
 * by the deadline is unknown, with a message: an earlier status is never passed off as the present one. What
 * is remembered between requests is since when an app's health is what it is, and versions that cost
 * something to find out, as long as the same start of the service runs. Where nobody asks for a while, it
 * looks by itself, so that what happens to apps outside Fleet is seen (outside.h). Host's event loop.
 * (DESIGN 2) */
#ifndef HOST_STATUS_H
#define HOST_STATUS_H
#include <event2/event.h>
#include "agent/host/op.h"

#define STATUS_EVERY_MS 30000

struct status;

/* env and what it points to may change between requests (reload). answer: apps is an array of the protocol's
 * app, borrowed. */
struct status *status_new(struct event_base *base, const struct op_env *env,
	void (*answer)(const char *ref_id, uint64_t asker, struct json_object *apps, void *arg), void *arg);
void status_free(struct status *s);
struct status_watcher {
	/* How an app is found, before that is told: with its `instance`, and free to be added to. */
	void (*found)(struct json_object *app, void *arg);
	/* A look begins: status_forgive is due for every app that a command works on. */
	void (*begins)(void *arg);
	/* What changed that no command caused: a sentence. */
	void (*outside_fleet)(const char *app_id, const char *text, void *arg);
	/* A look is over: how every app is; borrowed. */
	void (*looked)(struct json_object *apps, void *arg);
};
/* From now on looks where nobody asked for STATUS_EVERY_MS. watcher borrowed; arg as status_new's. */
void status_watch(struct status *s, const struct status_watcher *watcher);
/* A command works on this app, or did until now. */
void status_forgive(struct status *s, const char *app_id);
/* Requests that come while one is being answered wait for a fresh one together. asker is given back with the
 * answer. */
void status_request(struct status *s, const char *ref_id, uint64_t asker);

#endif
