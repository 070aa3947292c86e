/* What this host was told to do and how it ended: the queue, the journal and the memory in one append-only
 * file. A line is the CRC-32 of its JSON in 8 hex digits, a space, the JSON, a newline. What must not be
 * forgotten is on the disk (fdatasync) when the function that wrote it returns: acceptance, each step before
 * it begins, the end.
 *
 * Records ("r"): ledger {v, floor}: first line; accept {id, at, payload}; step {id, at, step, data}; end {id,
 * at, result}; event {id, at, event}; stored {id}: the agent has that result or event in its spool; done {id,
 * issuedAt, at, result}: a finished and stored command after compaction, its arguments forgotten; hold {id,
 * at, appId, until, by, reason} and unhold {id, at, appId}: the admin's word that the console's commands
 * wait.
 *
 * Arguments that set values may hold secrets, and a line cannot be taken back: those lie in a file of their
 * own, PATH.args/ID, named by the accept record (aside), and go with the command's end.
 *
 * In memory is an index only; payloads and results are read back from the file. The file is rewritten
 * (same-dir temp, rename) when finished commands exceed the bound. Owned by the host's event loop: it writes
 * and syncs there, since nothing may be answered before it is done. */
#ifndef HOST_LEDGER_H
#define HOST_LEDGER_H
#include "fleet/error.h"
#include "fleet/json.h"
#include "fleet/limits.h"

enum ledger_state { LEDGER_ACCEPTED, LEDGER_BEGUN, LEDGER_ENDED };

struct ledger_entry {
	char id[FLEET_UUID_LEN + 1];
	bool is_event, stored;
	bool is_local; /* root's on this server: its end is told there and in an event, not as a result */
	bool told;     /* in memory only: sent over the connection that hears outcomes now */
	enum ledger_state state;
	/* times that a recovery of it began: since this ledger was opened, and before */
	unsigned recoveries, recoveries_before;
	int64_t issued_ms;
	off_t payload_at, end_at; /* of the accept record and the end (or event, or done) record; -1: none */
	/* of the newest step record that says what undoing takes ("write" of a push; "stop", "swap" of an
	 * update), and of the newest step record; -1: none */
	off_t write_at, last_at;
};

/* An app that the console's commands leave alone for a while. */
struct ledger_hold {
	char *app_id, *by, *reason; /* owned */
	int64_t since_ms, until_ms; /* wall clock */
};

struct ledger;

/* Opens or creates path and replays it: a torn tail is cut off, a damaged line within is skipped, told in the
 * log, and makes the ledger refuse everything issued before now (it may have been about any of it). */
int ledger_open(const char *path, struct ledger **ret, struct fleet_error *err) FLEET_MUST_CHECK;
void ledger_close(struct ledger *l);
FLEET_DEFINE_CLEANUP(struct ledger *, ledger_close)

/* payload: the command's, as signed. -EEXIST a second time. */
int ledger_accept(struct ledger *l, struct json_object *payload, struct fleet_error *err) FLEET_MUST_CHECK;
/* The same of a command that root on this server asked for, and nobody signed. */
int ledger_accept_local(
	struct ledger *l, struct json_object *payload, struct fleet_error *err) FLEET_MUST_CHECK;
int ledger_step(struct ledger *l, const char *id, const char *step, struct json_object *data,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* The same together with an event (see ledger_event): both are on the disk, or the step is not. */
int ledger_step_event(struct ledger *l, const char *id, const char *step, struct json_object *data,
	struct json_object *event, struct fleet_error *err) FLEET_MUST_CHECK;
/* result: the host's `result` frame, whole. -EALREADY when it has ended before. */
int ledger_end(struct ledger *l, const char *id, struct json_object *result,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* The same together with an event: both are on the disk, or neither. */
int ledger_end_event(struct ledger *l, const char *id, struct json_object *result, struct json_object *event,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* event: the host's `event` frame, whole, with its eventId. */
int ledger_event(struct ledger *l, struct json_object *event, struct fleet_error *err) FLEET_MUST_CHECK;
/* The agent has synced it. Not synced here: the worst is that it is told again. */
int ledger_stored(struct ledger *l, const char *id, struct fleet_error *err) FLEET_MUST_CHECK;

/* The next outcome (result or event) that is neither stored nor told, in the order of the file; marked as
 * told. NULL: none. */
const struct ledger_entry *ledger_next_untold(struct ledger *l);
/* A connection ended or a frame did not fit: this one, or all (id NULL), must be told again. */
void ledger_untell(struct ledger *l, const char *id);

const struct ledger_entry *ledger_find(const struct ledger *l, const char *id);
/* Entries in the order of the file. */
size_t ledger_count(const struct ledger *l);
const struct ledger_entry *ledger_at(const struct ledger *l, size_t index);
/* A command issued at or before this time that is not in the ledger may have been pruned from it: refuse it.
 */
int64_t ledger_floor_ms(const struct ledger *l);
size_t ledger_unsent_events(const struct ledger *l);
size_t ledger_open_commands(const struct ledger *l);
void ledger_set_keep(struct ledger *l, size_t keep); /* for tests; FLEET_LEDGER_DONE_KEEP otherwise */

/* ---- ledger_read.c ---- */
/* *ret owned. -ENOENT where there is no such record (any more). */
int ledger_payload(const struct ledger *l, const struct ledger_entry *e, struct json_object **ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Where the arguments lay aside and are gone: {commandId, appId, action, args: {}}, as much as telling its
 * end takes, and undoing what was begun. */
int ledger_outline(const struct ledger *l, const struct ledger_entry *e, struct json_object **ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
int ledger_outcome(const struct ledger *l, const struct ledger_entry *e, struct json_object **ret,
	struct fleet_error *err) FLEET_MUST_CHECK; /* the result or event frame */
/* {step, at, data} of the newest step, or of the newest that says what undoing takes. */
int ledger_last_step(const struct ledger *l, const struct ledger_entry *e, struct json_object **ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
int ledger_write_step(const struct ledger *l, const struct ledger_entry *e, struct json_object **ret,
	struct fleet_error *err) FLEET_MUST_CHECK;

/* ---- ledger_holds.c ---- */
/* A new hold of an app takes the place of the one before. With its event, see ledger_step_event. */
int ledger_hold(struct ledger *l, const struct ledger_hold *hold, struct json_object *event,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* -ENOENT where no hold is in force. */
int ledger_unhold(struct ledger *l, const char *app_id, struct json_object *event,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* The one that is in force at now_ms, or NULL. Borrowed until the ledger changes. */
const struct ledger_hold *ledger_find_hold(const struct ledger *l, const char *app_id, int64_t now_ms);
size_t ledger_hold_count(const struct ledger *l); /* those whose time is over included */
const struct ledger_hold *ledger_hold_at(const struct ledger *l, size_t index);

/* ---- ledger_compact.c ---- */
/* Rewrites the file if it has grown past its bounds; cheap where it has not. */
int ledger_compact(struct ledger *l, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
