#include "console/event_ring.h"

#include <inttypes.h>

#include "fleet/ids.h"

void event_ring_init(struct event_ring *ring)
{
	uint32_t run;

	memset(ring, 0, sizeof(*ring));
	fleet_random(&run, sizeof(run));
	(void)snprintf(ring->run, sizeof(ring->run), "%08" PRIx32, run); /* always 8 digits */
	ring->first = ring->next = 1;
}

static void drop_oldest(struct event_ring *ring)
{
	struct event_ring_slot *slot = &ring->slots[ring->first % EVENT_RING_EVENTS_MAX];

	ring->bytes -= slot->len;
	free(slot->frame);
	free(slot->agent_id);
	*slot = (struct event_ring_slot){0};
	ring->first++;
}

void event_ring_done(struct event_ring *ring)
{
	while (ring->first < ring->next)
		drop_oldest(ring);
}

const char *event_ring_add(
	struct event_ring *ring, const char *event, const char *agent_id, const char *data, size_t *ret_len)
{
	char *frame =
		xasprintf("id: %s-%" PRIu64 "\nevent: %s\ndata: %s\n\n", ring->run, ring->next, event, data);
	size_t len = strlen(frame);

	while (ring->first < ring->next && (ring->next - ring->first >= EVENT_RING_EVENTS_MAX ||
						   ring->bytes + len > EVENT_RING_BYTES_MAX))
		drop_oldest(ring);
	ring->slots[ring->next % EVENT_RING_EVENTS_MAX] =
		(struct event_ring_slot){frame, xstrdup(agent_id), len};
	ring->bytes += len;
	ring->next++;
	*ret_len = len;
	return frame;
}

void event_ring_last_id(const struct event_ring *ring, char ret_id[EVENT_RING_ID_MAX])
{
	(void)snprintf(ret_id, EVENT_RING_ID_MAX, "%s-%" PRIu64, ring->run, ring->next - 1); /* fits */
}

static int parse_id(const struct event_ring *ring, const char *id, uint64_t *ret_number)
{
	size_t run_len = strlen(ring->run);
	char *end;

	if (strncmp(id, ring->run, run_len) != 0 || id[run_len] != '-')
		return -ESTALE;
	id += run_len + 1;
	if (*id < '0' || *id > '9')
		return -ESTALE;
	errno = 0;
	*ret_number = strtoull(id, &end, 10);
	return errno || *end ? -ESTALE : 0;
}

int event_ring_replay(const struct event_ring *ring, const char *last_id,
	bool (*each)(const char *agent_id, const char *frame, size_t len, void *arg), void *arg)
{
	uint64_t last;
	int r = parse_id(ring, last_id, &last);

	if (r < 0)
		return r;
	if (last >= ring->next || last + 1 < ring->first)
		return -ESTALE;
	for (uint64_t n = last + 1; n < ring->next; n++) {
		const struct event_ring_slot *slot = &ring->slots[n % EVENT_RING_EVENTS_MAX];

		if (!each(slot->agent_id, slot->frame, slot->len, arg))
			break;
	}
	return 0;
}
