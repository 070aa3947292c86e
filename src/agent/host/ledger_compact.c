/* The file written anew without what nobody asks for any more: the steps of finished commands, events that
 * are stored, and of finished commands those past the bound, at whose time of issue the floor then lies. */
#include "agent/host/ledger_record.h"
#include "fleet/failpoint.h"
#include "fleet/file.h"

#define RESULT_KEEP_MAX 8192 /* of a finished, stored command: longer ones keep only that they ended */
#define COMPACT_SLACK   (1024 * 1024) /* bytes that the file may grow past double its last compacted size */
#define COMPACT_DIVISOR 4 /* finished commands may exceed the bound by a quarter before they are pruned */

static int copy_record(const struct ledger *l, off_t at, struct fleet_buffer *out, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *record = NULL;
	int r;

	if (at < 0)
		return 0;
	r = ledger_read_at(l->fd, at, &record, err);
	if (r >= 0)
		ledger_format_line(record, out);
	return r;
}

static int copy_finished(const struct ledger *l, const struct ledger_entry *e, struct fleet_buffer *out,
	struct fleet_error *err)
{
	_cleanup_json_ struct json_object *record = NULL, *result = NULL, *stored = NULL;
	size_t len = 0;
	int r;

	r = ledger_outcome(l, e, &result, err);
	if (r < 0 && r != -ENOENT)
		return r;
	if (result)
		(void)fleet_json_text(result, &len);
	record = ledger_record_new("done", e->id);
	fleet_json_add_int(record, "issuedAt", e->issued_ms);
	if (result && (!e->stored || len <= RESULT_KEEP_MAX))
		fleet_json_add(record, "result", json_object_get(result));
	ledger_format_line(record, out);
	if (e->stored) {
		stored = ledger_record_new("stored", e->id);
		ledger_format_line(stored, out);
	}
	return 0;
}

/* So many times that a recovery of it began: a crash in each must not be forgotten with the file that told of
 * it. */
static void copy_recoveries(const struct ledger_entry *e, struct fleet_buffer *out)
{
	for (unsigned i = 0; i < e->recoveries + e->recoveries_before; i++) {
		_cleanup_json_ struct json_object *record = ledger_record_new("step", e->id);

		fleet_json_add_string(record, "step", "recover");
		ledger_format_line(record, out);
	}
}

static int copy_entry(const struct ledger *l, const struct ledger_entry *e, struct fleet_buffer *out,
	struct fleet_error *err)
{
	int r;

	if (e->is_event)
		return e->stored ? 0 : copy_record(l, e->end_at, out, err);
	if (e->state == LEDGER_ENDED)
		return copy_finished(l, e, out, err);
	r = copy_record(l, e->payload_at, out, err);
	if (r >= 0)
		r = copy_record(l, e->write_at, out, err);
	if (r >= 0 && e->last_at != e->write_at)
		r = copy_record(l, e->last_at, out, err);
	if (r >= 0)
		copy_recoveries(e, out);
	return r;
}

static int oldest_first(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static off_t place_of(const struct ledger_entry *e)
{
	return e->state == LEDGER_ENDED ? e->end_at : e->payload_at;
}

static int first_in_file(const void *a, const void *b)
{
	off_t x = place_of(*(const struct ledger_entry *const *)a);
	off_t y = place_of(*(const struct ledger_entry *const *)b);

	return (x > y) - (x < y);
}

/* In the order in which they came or ended, so that outcomes go on being told in that order; owned. */
static const struct ledger_entry **in_order(const struct ledger *l)
{
	const struct ledger_entry **list = xcalloc(l->count + 1, sizeof(*list));

	for (size_t i = 0; i < l->count; i++)
		list[i] = &l->entries[i];
	qsort(list, l->count, sizeof(*list), first_in_file);
	return list;
}

/* The newest time of issue among the finished and stored commands past the bound, which are forgotten; 0:
 * none are. */
static int64_t prune_until_ms(const struct ledger *l)
{
	_cleanup_free_ int64_t *times = xcalloc(l->count, sizeof(*times));
	size_t n = 0;

	for (size_t i = 0; i < l->count; i++) {
		const struct ledger_entry *e = &l->entries[i];

		if (!e->is_event && e->state == LEDGER_ENDED && e->stored)
			times[n++] = e->issued_ms;
	}
	if (n <= l->keep)
		return 0;
	qsort(times, n, sizeof(*times), oldest_first);
	return times[n - l->keep - 1];
}

int ledger_rewrite(struct ledger *l, struct fleet_error *err)
{
	_cleanup_buffer_ struct fleet_buffer text = FLEET_BUFFER_INIT;
	_cleanup_json_ struct json_object *header = json_object_new_object();
	_cleanup_(ledger_closep) struct ledger *fresh = NULL;
	_cleanup_free_ const struct ledger_entry **entries = in_order(l);
	struct ledger swap;
	int64_t until = prune_until_ms(l);
	int r = 0;

	fleet_json_add_string(header, "r", "ledger");
	fleet_json_add_int(header, "v", LEDGER_VERSION);
	fleet_json_add_int(header, "floor", until > l->floor_ms ? until : l->floor_ms);
	ledger_format_line(header, &text);
	for (size_t i = 0; r >= 0 && i < l->count; i++) {
		const struct ledger_entry *e = entries[i];
		bool finished = !e->is_event && e->state == LEDGER_ENDED && e->stored;

		if (!finished || e->issued_ms > until)
			r = copy_entry(l, e, &text, err);
	}
	ledger_copy_holds(l, &text);
	if (r >= 0)
		r = fleet_file_write_durable(l->path, text.data, text.len, 0600, err);
	if (r < 0)
		return r;
	FLEET_FAILPOINT("ledger.rewritten");
	r = ledger_open(l->path, &fresh, err);
	if (r < 0) {
		l->broken = true; /* our descriptor is of the file that was replaced */
		return r;
	}
	for (size_t i = 0; i < fresh->count; i++) { /* what the file does not say */
		const struct ledger_entry *old = ledger_find(l, fresh->entries[i].id);

		if (old) {
			fresh->entries[i].recoveries = old->recoveries;
			fresh->entries[i].recoveries_before = old->recoveries_before;
			fresh->entries[i].told = old->told;
		}
	}
	fresh->keep = l->keep;
	swap = *l;
	*l = *fresh;
	*fresh = swap; /* closes the old file */
	return 0;
}

int ledger_compact(struct ledger *l, struct fleet_error *err)
{
	size_t finished = 0;

	for (size_t i = 0; i < l->count; i++)
		finished += l->entries[i].state == LEDGER_ENDED && l->entries[i].stored;
	if (finished <= l->keep + l->keep / COMPACT_DIVISOR &&
		l->size <= 2 * l->compacted_size + COMPACT_SLACK)
		return 0;
	return ledger_rewrite(l, err);
}
