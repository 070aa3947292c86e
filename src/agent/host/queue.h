/* Who may run now: one operation at a time for each key (a service, a file), first come first served; what
 * shares no key runs side by side, up to a bound. Pure; the host's event loop owns it. */
#ifndef HOST_QUEUE_H
#define HOST_QUEUE_H
#include "fleet/base.h"

#define QUEUE_KEYS_MAX 256 /* of one command: its file and every app that uses it */

struct queue_item {
	char *command_id;
	char **keys; /* owned */
	size_t key_count;
	bool running, waiting;
	struct queue_item *next; /* in the order of arrival */
};
struct queue {
	struct queue_item *first, **last;
	size_t count, running, running_max;
};

void queue_init(struct queue *q, size_t running_max);
void queue_done(struct queue *q);
/* Copies command_id, takes the keys (the array and its texts). first: ahead of everything that waits
 * (recovery). */
void queue_add(struct queue *q, const char *command_id, char **takes_keys, size_t key_count, bool first);
/* The next that may run now, marked as running; NULL: none. Borrowed until it is removed. */
struct queue_item *queue_next(struct queue *q);
/* A running one waits for something outside (a download): it keeps its keys, but not its place among those
 * that run; and no longer. */
void queue_set_waiting(struct queue *q, const char *command_id, bool waiting);
/* Does this one, running, hold the key? */
bool queue_holds(const struct queue *q, const char *command_id, const char *key);
/* It ended, or will not run. Unknown ids are fine. */
void queue_remove(struct queue *q, const char *command_id);
/* How many stand before it that hold a key of its; -1: not in the queue. */
int queue_position(const struct queue *q, const char *command_id);

#endif
