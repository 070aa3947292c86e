#include "agent/host/queue.h"

void queue_init(struct queue *q, size_t running_max)
{
	*q = (struct queue){.running_max = running_max};
	q->last = &q->first;
}

static void item_free(struct queue_item *item)
{
	for (size_t i = 0; i < item->key_count; i++)
		free(item->keys[i]);
	free(item->keys);
	free(item->command_id);
	free(item);
}

void queue_done(struct queue *q)
{
	while (q->first) {
		struct queue_item *item = q->first;

		q->first = item->next;
		item_free(item);
	}
	queue_init(q, q->running_max);
}

void queue_add(struct queue *q, const char *command_id, char **takes_keys, size_t key_count, bool first)
{
	struct queue_item *item = xcalloc(1, sizeof(*item));
	struct queue_item **at = q->last;

	item->command_id = xstrdup(command_id);
	item->keys = takes_keys;
	item->key_count = key_count;
	if (first) {
		at = &q->first;
		while (*at && (*at)->running)
			at = &(*at)->next;
	}
	item->next = *at;
	*at = item;
	if (!item->next)
		q->last = &item->next;
	q->count++;
}

static bool share_key(const struct queue_item *a, const struct queue_item *b)
{
	for (size_t i = 0; i < a->key_count; i++) {
		for (size_t k = 0; k < b->key_count; k++) {
			if (strcmp(a->keys[i], b->keys[k]) == 0)
				return true;
		}
	}
	return false;
}

/* Those before it count whether they run or wait: nobody overtakes on the same key. */
static int count_before(const struct queue *q, const struct queue_item *item)
{
	int n = 0;

	for (const struct queue_item *other = q->first; other != item; other = other->next)
		n += share_key(other, item);
	return n;
}

struct queue_item *queue_next(struct queue *q)
{
	if (q->running >= q->running_max)
		return NULL;
	for (struct queue_item *item = q->first; item; item = item->next) {
		if (!item->running && count_before(q, item) == 0) {
			item->running = true;
			q->running++;
			return item;
		}
	}
	return NULL;
}

void queue_set_waiting(struct queue *q, const char *command_id, bool waiting)
{
	for (struct queue_item *item = q->first; item; item = item->next) {
		if (strcmp(item->command_id, command_id) != 0 || !item->running || item->waiting == waiting)
			continue;
		item->waiting = waiting;
		q->running = waiting ? q->running - 1 : q->running + 1;
	}
}

bool queue_holds(const struct queue *q, const char *command_id, const char *key)
{
	for (const struct queue_item *item = q->first; item; item = item->next) {
		if (!item->running || strcmp(item->command_id, command_id) != 0)
			continue;
		for (size_t i = 0; i < item->key_count; i++) {
			if (strcmp(item->keys[i], key) == 0)
				return true;
		}
	}
	return false;
}

void queue_remove(struct queue *q, const char *command_id)
{
	for (struct queue_item **at = &q->first; *at; at = &(*at)->next) {
		struct queue_item *item = *at;

		if (strcmp(item->command_id, command_id) != 0)
			continue;
		*at = item->next;
		if (!item->next)
			q->last = at;
		q->running -= item->running && !item->waiting;
		q->count--;
		item_free(item);
		return;
	}
}

int queue_position(const struct queue *q, const char *command_id)
{
	for (const struct queue_item *item = q->first; item; item = item->next) {
		if (strcmp(item->command_id, command_id) == 0)
			return count_before(q, item);
	}
	return -1;
}
