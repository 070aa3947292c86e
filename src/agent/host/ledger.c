#include "agent/host/ledger.h"
#include <fcntl.h>
#include <sys/stat.h>
#include "agent/host/ledger_record.h"
#include "fleet/clock.h"
#include "fleet/failpoint.h"
#include "fleet/file.h"
#include "fleet/ids.h"
#include "fleet/log.h"

const struct ledger_entry *ledger_find(const struct ledger *l, const char *id)
{
	for (size_t i = l->count; i > 0; i--) {
		if (strcmp(l->entries[i - 1].id, id) == 0)
			return &l->entries[i - 1];
	}
	return NULL;
}

size_t ledger_count(const struct ledger *l)
{
	return l->count;
}

const struct ledger_entry *ledger_at(const struct ledger *l, size_t index)
{
	return &l->entries[index];
}

int64_t ledger_floor_ms(const struct ledger *l)
{
	return l->floor_ms;
}

size_t ledger_unsent_events(const struct ledger *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->count; i++)
		n += l->entries[i].is_event && !l->entries[i].stored;
	return n;
}

size_t ledger_open_commands(const struct ledger *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->count; i++)
		n += l->entries[i].state != LEDGER_ENDED;
	return n;
}

const struct ledger_entry *ledger_next_untold(struct ledger *l)
{
	struct ledger_entry *next = NULL;

	/* a command's entry is older than those of its events, its end is not */
	for (size_t i = 0; i < l->count; i++) {
		struct ledger_entry *e = &l->entries[i];

		if (e->state == LEDGER_ENDED && !e->stored && !e->told && (!next || e->end_at < next->end_at))
			next = e;
	}
	if (next)
		next->told = true;
	return next;
}

void ledger_untell(struct ledger *l, const char *id)
{
	for (size_t i = 0; i < l->count; i++) {
		if (!id || strcmp(l->entries[i].id, id) == 0)
			l->entries[i].told = false;
	}
}

void ledger_set_keep(struct ledger *l, size_t keep)
{
	l->keep = keep;
}

static int write_fully(int fd, const char *data, size_t len, off_t at)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, data, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Records that could not be written whole, or not synced, are taken back: the file and the index never say
 * different things. If even that fails, nothing more is accepted. */
int ledger_append(struct ledger *l, struct json_object *first, struct json_object *second, bool sync,
	struct fleet_error *err)
{
	_cleanup_buffer_ struct fleet_buffer lines = FLEET_BUFFER_INIT;
	off_t at = l->size;
	size_t first_len;
	int r;

	if (l->broken)
		return fleet_error_set(err, -EIO,
			"the ledger %s could not be written earlier; restart the driver host", l->path);
	ledger_format_line(first, &lines);
	first_len = lines.len;
	if (second)
		ledger_format_line(second, &lines);
	if (first_len > LEDGER_LINE_MAX || lines.len - first_len > LEDGER_LINE_MAX)
		return fleet_error_set(
			err, -E2BIG, "a record of %zu bytes is too long for the ledger", lines.len);
	r = FLEET_FAILS("ledger.write") ? -errno : write_fully(l->fd, lines.data, lines.len, at);
	if (r >= 0 && sync && (FLEET_FAILS("ledger.sync") || fdatasync(l->fd) < 0))
		r = -errno;
	if (r >= 0)
		FLEET_FAILPOINT("ledger.written");
	if (r < 0)
		(void)fleet_error_errno(err, r, "cannot write the ledger %s", l->path);
	if (r >= 0)
		r = ledger_index(l, first, at, err);
	if (r >= 0 && second) {
		r = ledger_index(l, second, at + (off_t)first_len, err);
		if (r < 0) { /* the first counts */
			if (ftruncate(l->fd, at + (off_t)first_len) < 0)
				l->broken = true;
			l->size = at + (off_t)first_len;
			return r;
		}
	}
	if (r < 0) {
		if (ftruncate(l->fd, at) < 0)
			l->broken = true;
		return r;
	}
	l->size = at + (off_t)lines.len;
	return 0;
}

static int append(struct ledger *l, struct json_object *record, bool sync, struct fleet_error *err)
{
	return ledger_append(l, record, NULL, sync, err);
}

struct json_object *ledger_record_new(const char *kind, const char *id)
{
	struct json_object *record = json_object_new_object();

	fleet_json_add_string(record, "r", kind);
	fleet_json_add_string(record, "id", id);
	fleet_json_add_int(record, "at", fleet_clock_wall_ms());
	return record;
}

struct json_object *ledger_event_record(struct json_object *event)
{
	struct json_object *record = ledger_record_new("event", fleet_json_string(event, "eventId"));

	fleet_json_add(record, "event", json_object_get(event));
	return record;
}

static int write_header(struct ledger *l, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *record = json_object_new_object();

	fleet_json_add_string(record, "r", "ledger");
	fleet_json_add_int(record, "v", LEDGER_VERSION);
	fleet_json_add_int(record, "floor", l->floor_ms);
	return append(l, record, true, err);
}

/* A new file is as durable as the entry of its directory. */
static int sync_directory(const char *path, struct fleet_error *err)
{
	_cleanup_free_ char *dir = xstrdup(path);
	char *slash = strrchr(dir, '/');
	_cleanup_close_ int fd = -1;

	if (slash)
		*slash = '\0';
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return fleet_error_errno(err, -errno, "cannot sync the directory of the ledger %s", path);
	return 0;
}

int ledger_open(const char *path, struct ledger **ret, struct fleet_error *err)
{
	_cleanup_(ledger_closep) struct ledger *l = xcalloc(1, sizeof(*l));
	int r;

	l->path = xstrdup(path);
	l->keep = FLEET_LEDGER_DONE_KEEP;
	l->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (l->fd < 0)
		return fleet_error_errno(err, -errno, "cannot open the ledger %s", path);
	r = ledger_replay(l, err);
	if (r < 0)
		return r;
	if (r > 0)
		r = ledger_rewrite(l, err); /* without the damage, and with the floor that it raised */
	else if (l->size == 0)
		r = write_header(l, err);
	if (r >= 0 && l->count == 0)
		r = sync_directory(path, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < l->count; i++) {
		l->entries[i].recoveries_before = l->entries[i].recoveries;
		l->entries[i].recoveries = 0;
	}
	l->compacted_size = l->size;
	ledger_forget_orphans(l);
	*ret = TAKE_PTR(l);
	return 0;
}

void ledger_close(struct ledger *l)
{
	if (!l)
		return;
	if (l->fd >= 0)
		(void)close(l->fd); /* what matters was synced */
	ledger_holds_done(l);
	free(l->entries);
	free(l->path);
	free(l);
}

static int accept_command(
	struct ledger *l, struct json_object *payload, bool is_local, struct fleet_error *err)
{
	const char *id = fleet_json_string(payload, "commandId");
	_cleanup_json_ struct json_object *record = ledger_record_new("accept", id);
	int64_t issued_ms = 0;

	if (!id || !fleet_uuid_is_valid(id))
		return fleet_error_set(err, -EINVAL, "a command without an id");
	if (ledger_find(l, id))
		return fleet_error_set(err, -EEXIST, "command %s is in the ledger already", id);
	if (fleet_timestamp_parse(fleet_json_string(payload, "issuedAt"), &issued_ms) < 0)
		return fleet_error_set(err, -EINVAL, "a command without issuedAt");
	fleet_json_add_int(record, "issuedAt", issued_ms);
	if (is_local)
		fleet_json_add_bool(record, "local", true);
	if (ledger_sets_values(payload)) {
		int r = ledger_put_aside(l, id, payload, err);

		if (r < 0)
			return r;
		fleet_json_add_bool(record, "aside", true);
		/* whose end is told, should the file be lost */
		fleet_json_add_string(record, "appId", fleet_json_string(payload, "appId"));
		fleet_json_add_string(record, "action", fleet_json_string(payload, "action"));
	} else { /* as a text: its nesting then counts for itself */
		fleet_json_add_string(record, "payload", fleet_json_text(payload, NULL));
	}
	return append(l, record, true, err);
}

int ledger_accept(struct ledger *l, struct json_object *payload, struct fleet_error *err)
{
	return accept_command(l, payload, false, err);
}

int ledger_accept_local(struct ledger *l, struct json_object *payload, struct fleet_error *err)
{
	return accept_command(l, payload, true, err);
}

static struct json_object *step_record(const char *id, const char *step, struct json_object *data)
{
	struct json_object *record = ledger_record_new("step", id);

	fleet_json_add_string(record, "step", step);
	if (data)
		fleet_json_add(record, "data", json_object_get(data));
	return record;
}

int ledger_step(
	struct ledger *l, const char *id, const char *step, struct json_object *data, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *record = step_record(id, step, data);

	return append(l, record, true, err);
}

int ledger_step_event(struct ledger *l, const char *id, const char *step, struct json_object *data,
	struct json_object *event, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *record = step_record(id, step, data);
	_cleanup_json_ struct json_object *told = ledger_event_record(event);

	/* the event first: a write that is cut leaves no step without its event */
	return ledger_append(l, told, record, true, err);
}

int ledger_end_event(struct ledger *l, const char *id, struct json_object *result, struct json_object *event,
	struct fleet_error *err)
{
	_cleanup_json_ struct json_object *record = ledger_record_new("end", id),
					  *told = event ? ledger_event_record(event) : NULL;
	const struct ledger_entry *e = ledger_find(l, id);
	int r;

	if (!e)
		return fleet_error_set(err, -ENOENT, "command %s is not in the ledger", id);
	if (e->state == LEDGER_ENDED)
		return fleet_error_set(err, -EALREADY, "command %s has ended already", id);
	fleet_json_add(record, "result", json_object_get(result));
	r = ledger_append(l, told ? told : record, told ? record : NULL, true, err);
	if (r >= 0)
		ledger_forget_aside(l, id);
	return r;
}

int ledger_end(struct ledger *l, const char *id, struct json_object *result, struct fleet_error *err)
{
	return ledger_end_event(l, id, result, NULL, err);
}

int ledger_event(struct ledger *l, struct json_object *event, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *record = ledger_event_record(event);

	return append(l, record, true, err);
}

int ledger_stored(struct ledger *l, const char *id, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *record = ledger_record_new("stored", id);
	const struct ledger_entry *e = ledger_find(l, id);

	if (!e || e->state != LEDGER_ENDED || e->stored)
		return 0; /* pruned, or said before, or said of something that is still going on */
	return append(l, record, false, err);
}
