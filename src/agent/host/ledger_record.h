/* One line of the ledger, and back: the CRC-32 of the JSON in 8 hex digits, a space, the JSON, a newline.
 * Pure but for the descriptor it is given. Used by the ledger alone (ledger.c, ledger_args.c,
 * ledger_compact.c, ledger_holds.c, ledger_read.c, ledger_replay.c). */
#ifndef HOST_LEDGER_RECORD_H
#define HOST_LEDGER_RECORD_H
#include "agent/host/ledger.h"
#include "fleet/buffer.h"

#define LEDGER_LINE_MAX (4u * 1024u * 1024u)
#define LEDGER_VERSION  1

struct ledger {
	char *path;
	int fd;
	off_t size;  /* of what is whole; the next record goes here */
	bool broken; /* a failed write could not be taken back: nothing more is accepted */
	int64_t floor_ms;
	struct ledger_entry *entries;
	size_t count, capacity, keep;
	off_t compacted_size; /* right after the last compaction */
	struct ledger_hold *holds;
	size_t hold_count;
};

uint32_t ledger_crc32(const void *data, size_t len);
/* Adds the whole line for record to *out. */
void ledger_format_line(struct json_object *record, struct fleet_buffer *out);
/* line: without its newline. -EBADMSG. *ret owned. */
int ledger_parse_line(
	const char *line, size_t len, struct json_object **ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* The record whose line begins at offset. */
int ledger_read_at(int fd, off_t offset, struct json_object **ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* Takes a record, found at offset, into the index. -EBADMSG where it makes no sense. */
int ledger_index(
	struct ledger *l, struct json_object *record, off_t offset, struct fleet_error *err) FLEET_MUST_CHECK;
/* Reads the open file from its start into the index and leaves l->size at the end of what is whole. 1: it was
 * damaged within, and the floor was raised. */
int ledger_replay(struct ledger *l, struct fleet_error *err) FLEET_MUST_CHECK;

/* ---- ledger.c ---- */
struct json_object *ledger_record_new(const char *kind, const char *id); /* owned */
struct json_object *ledger_event_record(struct json_object *event);      /* owned; event: borrowed */
/* Both, in this order, or neither; second may be NULL. sync: on the disk when it returns. */
int ledger_append(struct ledger *l, struct json_object *first, struct json_object *second, bool sync,
	struct fleet_error *err) FLEET_MUST_CHECK;

/* ---- ledger_compact.c ---- */
int ledger_rewrite(struct ledger *l, struct fleet_error *err) FLEET_MUST_CHECK;

/* ---- ledger_holds.c ---- */
/* -EBADMSG where the record makes no sense. */
int ledger_index_hold(struct ledger *l, struct json_object *record) FLEET_MUST_CHECK;
/* Those that are in force, as lines. */
void ledger_copy_holds(const struct ledger *l, struct fleet_buffer *out);
void ledger_holds_done(struct ledger *l);

/* ---- ledger_args.c ---- */
bool ledger_sets_values(struct json_object *payload);
char *ledger_aside_path(const struct ledger *l, const char *id); /* owned */
/* Durable when it returns. */
int ledger_put_aside(const struct ledger *l, const char *id, struct json_object *payload,
	struct fleet_error *err) FLEET_MUST_CHECK;
void ledger_forget_aside(const struct ledger *l, const char *id);
/* Those of commands that ended, or were never accepted, just before a host died. */
void ledger_forget_orphans(const struct ledger *l);

#endif
