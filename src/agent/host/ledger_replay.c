#include <sys/stat.h>
#include "agent/host/ledger_record.h"
#include "fleet/clock.h"
#include "fleet/encode.h"
#include "fleet/ids.h"
#include "fleet/log.h"

uint32_t ledger_crc32(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint32_t crc = 0xffffffffu;

	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
	}
	return ~crc;
}

void ledger_format_line(struct json_object *record, struct fleet_buffer *out)
{
	size_t len;
	const char *text = fleet_json_text(record, &len);

	fleet_buffer_printf(out, "%08x ", ledger_crc32(text, len));
	fleet_buffer_add(out, text, len);
	fleet_buffer_add(out, "\n", 1);
}

int ledger_parse_line(const char *line, size_t len, struct json_object **ret, struct fleet_error *err)
{
	unsigned char crc[4];
	_cleanup_json_ struct json_object *record = NULL;
	int r;

	if (len < 11 || line[8] != ' ' || fleet_hex_decode(line, 8, crc, sizeof(crc)) < 0)
		return fleet_error_set(err, -EBADMSG, "not a record");
	if (ledger_crc32(line + 9, len - 9) !=
		((uint32_t)crc[0] << 24 | (uint32_t)crc[1] << 16 | (uint32_t)crc[2] << 8 | crc[3]))
		return fleet_error_set(err, -EBADMSG, "its checksum does not fit");
	r = fleet_json_parse(line + 9, len - 9, LEDGER_LINE_MAX, &record, err);
	if (r < 0)
		return -EBADMSG;
	if (!json_object_is_type(record, json_type_object) || !fleet_json_string(record, "r"))
		return fleet_error_set(err, -EBADMSG, "not a record");
	*ret = TAKE_PTR(record);
	return 0;
}

int ledger_read_at(int fd, off_t offset, struct json_object **ret, struct fleet_error *err)
{
	_cleanup_buffer_ struct fleet_buffer line = FLEET_BUFFER_INIT;
	char chunk[4096];

	if (offset < 0)
		return fleet_error_set(err, -ENOENT, "the ledger no longer has it");
	while (line.len < LEDGER_LINE_MAX) {
		ssize_t n = pread(fd, chunk, sizeof(chunk), offset + (off_t)line.len);
		char *end;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fleet_error_errno(err, -errno, "cannot read the ledger");
		if (n == 0)
			break;
		end = memchr(chunk, '\n', (size_t)n);
		fleet_buffer_add(&line, chunk, end ? (size_t)(end - chunk) : (size_t)n);
		if (end)
			return ledger_parse_line(line.data, line.len, ret, err);
	}
	return fleet_error_set(err, -EBADMSG, "the ledger has no whole record there");
}

static struct ledger_entry *add_entry(struct ledger *l, const char *id)
{
	struct ledger_entry *e;

	if (l->count == l->capacity) {
		l->capacity = l->capacity ? l->capacity * 2 : 16;
		l->entries = xreallocarray(l->entries, l->capacity, sizeof(*l->entries));
	}
	e = &l->entries[l->count++];
	*e = (struct ledger_entry){.payload_at = -1, .end_at = -1, .write_at = -1, .last_at = -1};
	snprintf(e->id, sizeof(e->id), "%s", id);
	return e;
}

static int index_step(struct ledger_entry *e, const char *step, off_t offset)
{
	if (e->state == LEDGER_ENDED)
		return -EBADMSG;
	e->state = LEDGER_BEGUN;
	if (str_equal(
		    step, "recover")) { /* counted only: what recovery asks for is the last step before it */
		e->recoveries++;
		return 0;
	}
	e->last_at = offset;
	if (str_equal(step, "write") || str_equal(step, "stop") || str_equal(step, "swap"))
		e->write_at = offset;
	return 0;
}

int ledger_index(struct ledger *l, struct json_object *record, off_t offset, struct fleet_error *err)
{
	const char *kind = fleet_json_string(record, "r");
	const char *id = fleet_json_string(record, "id");
	struct ledger_entry *e;

	if (str_equal(kind, "ledger")) {
		int64_t floor_ms = fleet_json_int(record, "floor", 0);

		if (fleet_json_int(record, "v", 0) != LEDGER_VERSION)
			return fleet_error_set(err, -EPROTO, "the ledger %s is of another version", l->path);
		if (floor_ms > l->floor_ms)
			l->floor_ms = floor_ms;
		return 0;
	}
	if (!id || !fleet_uuid_is_valid(id))
		return fleet_error_set(err, -EBADMSG, "a record without an id");
	if (str_equal(kind, "hold") || str_equal(kind, "unhold"))
		return ledger_index_hold(l, record) < 0
			       ? fleet_error_set(err, -EBADMSG, "%s of nothing", kind)
			       : 0;
	e = (struct ledger_entry *)(uintptr_t)ledger_find(l, id); /* our own array */
	if (str_equal(kind, "accept") || str_equal(kind, "event") || str_equal(kind, "done")) {
		if (e)
			return fleet_error_set(err, -EBADMSG, "%s twice", id);
		e = add_entry(l, id);
		e->is_event = str_equal(kind, "event");
		e->issued_ms = fleet_json_int(record, "issuedAt", 0);
		if (str_equal(kind, "accept")) {
			e->payload_at = offset;
			e->is_local = fleet_json_bool(record, "local", false);
		} else {
			e->state = LEDGER_ENDED;
			e->end_at = offset;
		}
		return 0;
	}
	if (!e)
		return fleet_error_set(err, -EBADMSG, "%s of an unknown id", kind);
	if (str_equal(kind, "step") && index_step(e, fleet_json_string(record, "step"), offset) == 0)
		return 0;
	if (str_equal(kind, "end") && e->state != LEDGER_ENDED) {
		e->state = LEDGER_ENDED;
		e->end_at = offset;
		e->stored = e->is_local; /* nobody waits for it any more */
		return 0;
	}
	if (str_equal(kind, "stored")) {
		e->stored = true;
		return 0;
	}
	return fleet_error_set(err, -EBADMSG, "%s out of turn", kind);
}

int ledger_replay(struct ledger *l, struct fleet_error *err)
{
	_cleanup_fclose_ FILE *f = NULL;
	_cleanup_free_ char *line = NULL;
	off_t at = 0, doubtful = -1;
	unsigned damaged = 0;
	size_t capacity = 0;
	struct stat st;
	int copy = dup(l->fd);

	f = copy < 0 ? NULL : fdopen(copy, "r");
	if (!f || fstat(l->fd, &st) < 0)
		return fleet_error_errno(err, -errno, "cannot read the ledger %s", l->path);
	rewind(f);
	for (;;) {
		_cleanup_json_ struct json_object *record = NULL;
		ssize_t n = getline(&line, &capacity, f);
		int r = -EBADMSG;

		if (n <= 0)
			break;
		if (line[n - 1] == '\n')
			r = ledger_parse_line(line, (size_t)n - 1, &record, err);
		if (r >= 0)
			r = ledger_index(l, record, at, err);
		if (r < 0 && r != -EBADMSG)
			return r;
		if (r < 0) {
			if (doubtful < 0)
				doubtful = at; /* the tail, unless something whole follows */
		} else if (doubtful >= 0) {
			damaged++;
			doubtful = -1;
		}
		at += n;
	}
	if (ferror(f))
		return fleet_error_set(err, -EIO, "cannot read the ledger %s", l->path);
	l->size = doubtful >= 0 ? doubtful : at;
	if (doubtful >= 0) {
		log_warn("cut %lld bytes of an unfinished record off the end of the ledger %s; nothing in it "
			 "was answered for",
			(long long)(st.st_size - doubtful), l->path);
		if (ftruncate(l->fd, doubtful) < 0 || fdatasync(l->fd) < 0)
			return fleet_error_errno(
				err, -errno, "cannot cut the unfinished end off the ledger %s", l->path);
	}
	if (damaged) {
		l->floor_ms = fleet_clock_wall_ms();
		log_error("the ledger %s is damaged in %u place(s): commands issued before now are refused "
			  "from here on",
			l->path, damaged);
	}
	return damaged ? 1 : 0;
}
