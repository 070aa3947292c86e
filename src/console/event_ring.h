/* The newest events as server-sent-event frames, numbered, so that a client which lost its connection can go
 * on where it was. Bounded in number and bytes: the oldest go first. Ids are RUN-NUMBER, where RUN is new
 * with every start of the console, so that an id of an earlier run is never taken for one of this run.
 * Embedded; event loop only. */
#ifndef CONSOLE_EVENT_RING_H
#define CONSOLE_EVENT_RING_H
#include "fleet/base.h"

#define EVENT_RING_EVENTS_MAX 2048
#define EVENT_RING_BYTES_MAX  (4u * 1024u * 1024u)
#define EVENT_RING_ID_MAX     40

struct event_ring_slot {
	char *frame;    /* owned */
	char *agent_id; /* owned: whom it is about; NULL none */
	size_t len;
};
struct event_ring {
	char run[9];
	uint64_t next;  /* number of the event to come; the first is 1 */
	uint64_t first; /* number of the oldest one kept; next where none is kept */
	size_t bytes;
	struct event_ring_slot slots[EVENT_RING_EVENTS_MAX]; /* of number n: n % EVENT_RING_EVENTS_MAX */
};

void event_ring_init(struct event_ring *ring);
void event_ring_done(struct event_ring *ring);
/* Keeps an event and returns its frame ("id: ...\nevent: ...\ndata: ...\n\n"), borrowed until the next add.
 * data: one line. agent_id: whom it is about, NULL none. */
const char *event_ring_add(
	struct event_ring *ring, const char *event, const char *agent_id, const char *data, size_t *ret_len);
/* Id of the newest event (or of the place before the first). */
void event_ring_last_id(const struct event_ring *ring, char ret_id[EVENT_RING_ID_MAX]);
/* Calls each (until it returns false) for the events after last_id, oldest first. -ESTALE where some of them
 * are gone, or the id is of another run, or none: the client must fetch everything anew. */
int event_ring_replay(const struct event_ring *ring, const char *last_id,
	bool (*each)(const char *agent_id, const char *frame, size_t len, void *arg),
	void *arg) FLEET_MUST_CHECK;

#endif
