/* What waits at the agent to be sent, in a small database of its data directory, so that nothing is lost when
 * the network, the console or the agent itself goes away: audit events, command results, the ids of commands
 * in hand, and the console's audit head (DESIGN 4). A call that returns 0 has synced what it was given. Rows
 * leave when the console has committed them. Bounded: past FLEET_SPOOL_ROWS_MAX new rows are refused, old
 * ones never dropped. The agent's loop calls it; each write is one small sync of a local disk. */
#ifndef AGENT_SPOOL_H
#define AGENT_SPOOL_H
#include "fleet/error.h"
#include "fleet/ids.h"
#include "fleet/json.h"

struct spool;

struct spool_head {
	int64_t seq; /* 0: none shown yet */
	char hash[64 + 1];
};
/* Reads come in pages of the caller's size; texts are complete JSON messages, ready to be sent. */
typedef void spool_row_fn(int64_t position, const char *id, const char *text, void *arg);

/* Opens or creates dir/spool.db. A damaged file is put aside under another name and a new spool (with a new
 * spoolId, which tells the console) begins; *ret_lost then says so in a sentence, owned by the caller, else
 * NULL. max_rows: 0 for the default bound. -EBUSY where another agent works in dir. *ret owned. */
int spool_open(const char *dir, int64_t max_rows, struct spool **ret, char **ret_lost,
	struct fleet_error *err) FLEET_MUST_CHECK;
void spool_close(struct spool *s);
FLEET_DEFINE_CLEANUP(struct spool *, spool_close)
const char *spool_id(const struct spool *s); /* borrowed */

/* Adds an audit event. message: an auditEvent without seq and spoolId, which it gets here, numbered without
 * gaps. An event whose eventId was stored before is no error and stays one. -ENOSPC: spool or disk is full.
 */
int spool_add_event(struct spool *s, struct json_object *message, struct fleet_error *err) FLEET_MUST_CHECK;
/* Keeps a commandResult; the command is no longer running. A second result of one command waiting here is no
 * error: the first stays. */
int spool_add_result(struct spool *s, struct json_object *message, struct fleet_error *err) FLEET_MUST_CHECK;

/* The commands accepted by the host whose result is not here yet. */
int spool_add_running(struct spool *s, const char *command_id, struct fleet_error *err) FLEET_MUST_CHECK;
/* The host's own list replaces ours (array of ids), except what has its result here. */
int spool_set_running(struct spool *s, struct json_object *ids, struct fleet_error *err) FLEET_MUST_CHECK;
struct json_object *spool_running(struct spool *s); /* array of ids; owned */
enum spool_command { SPOOL_COMMAND_UNKNOWN, SPOOL_COMMAND_RUNNING, SPOOL_COMMAND_ENDED };
/* What is known of a command here; ENDED: its result waits. A sick disk makes it UNKNOWN. */
enum spool_command spool_find_command(struct spool *s, const char *command_id);

/* What the console has committed: events up to audit_seq, results (array of command ids; NULL none), and its
 * head where it said one (seq > 0). One transaction. Repeated and stale acks change nothing; one past what
 * was ever numbered is -EINVAL: it cannot be for this spool. */
int spool_ack(struct spool *s, int64_t audit_seq, struct json_object *result_ids,
	const struct spool_head *head, struct fleet_error *err) FLEET_MUST_CHECK;
struct spool_head spool_head(const struct spool *s);
/* For a spool that was put back to an earlier state (a restored disk): the console holds numbers that we
 * would give out again, and would take new events for old ones. And for a console that was: it waits for
 * numbers that are gone from here, and would acknowledge nothing behind them. What waits is numbered anew
 * under a new spoolId. */
int spool_renew(struct spool *s, struct fleet_error *err) FLEET_MUST_CHECK;
int64_t spool_last_seq(const struct spool *s); /* the highest ever given out */
/* Waits an event here under that number, and is it another one? A sick disk makes it none. */
bool spool_has_other_event(struct spool *s, int64_t seq, const char *event_id);

/* The first `limit` events with seq > after, in order; the number found, or negative. position is the seq. */
int spool_each_event(struct spool *s, int64_t after, int limit, spool_row_fn *row, void *arg,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Likewise results in order of arrival, but only those that came after no event past told_seq: the audit log
 * tells what led to an end before that end. position counts arrivals. */
int spool_each_result(struct spool *s, int64_t after, int64_t told_seq, int limit, spool_row_fn *row,
	void *arg, struct fleet_error *err) FLEET_MUST_CHECK;
int64_t spool_events(const struct spool *s);    /* waiting */
int64_t spool_results(const struct spool *s);   /* waiting */
int64_t spool_acked_seq(const struct spool *s); /* events up to it have left */

/* Small facts that outlive the process (problems already told, the last clock offset). Borrowed until the
 * next call; NULL where not set. */
const char *spool_note(struct spool *s, const char *key);
int spool_set_note(
	struct spool *s, const char *key, const char *value, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
