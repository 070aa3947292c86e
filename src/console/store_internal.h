/* What the store's files share: the queue between the loop and the store's thread, and the thread's view of
 * the database. Included by store_*.c only.
 *
 * A request is made on the loop, run once on the thread inside a SAVEPOINT of the batch's transaction, and
 * finished on the loop after the batch is committed. Only the thread touches `db` and `head`; only the loop
 * touches `shown_head`. No json_object is ever seen by both sides at once: json-c's counts are not atomic. */
#ifndef CONSOLE_STORE_INTERNAL_H
#define CONSOLE_STORE_INTERNAL_H
#include <pthread.h>
#include "console/id_table.h"
#include "console/store.h"
#include "fleet/db.h"

struct store_request;

/* What a request does. */
struct store_kind {
	size_t size; /* of the struct that begins with the request */
	bool writes;
	bool lazy; /* may wait for company: nobody hears of its end */
	/* On the thread; 0 or more is success. A negative result undoes what it wrote. */
	int (*run)(struct store *store, struct store_request *request, struct fleet_error *err);
	void (*finish)(struct store *store, struct store_request *request); /* on the loop; may be NULL */
	void (*done)(struct store_request *request); /* frees what it owns, not itself */
};

struct store_request {
	struct store_request *next;
	const struct store_kind *kind;
	int result;
	struct fleet_error error;
	struct json_object *appended; /* owned: the audit event that it appended, for store_on_audit */
	struct store_head head;       /* after the batch */
	char *agent_id;               /* owned: whose word it is, where order counts; see store_order.c */
	bool synchronous;             /* the caller waits for `finished` and frees it */
	bool finished;
};

struct store {
	struct event_base *base; /* borrowed */
	struct event *wakeup;
	int wakeup_fd, lock_fd;
	pthread_t thread;
	struct fleet_db *db;    /* the thread's */
	struct store_head head; /* the thread's */
	int64_t opened_seq;     /* the log's end when it was opened */
	struct id_table behind; /* the thread's: agents of whom something could not be kept; owned texts */
	bool scrub_due; /* the thread's: values that were forgotten still lie in the log beside the file */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	struct store_request *queue, **queue_end; /* to the thread */
	size_t queued, urgent;
	struct store_request *answers, **answers_end; /* to the loop */
	bool stopping;

	struct store_head shown_head; /* the loop's */
	void (*appended)(struct json_object *event, void *arg);
	void *appended_arg;
};

/* A zeroed request of kind->size bytes. */
void *store_request_new(const struct store_kind *kind);
/* Hands it to the thread, which owns it from here on. */
void store_submit(struct store *store, void *takes_request);
/* Runs it on the thread and waits; the caller frees it with store_request_free. */
void store_run_and_wait(struct store *store, void *request);
void store_request_free(struct store_request *request);

/* --- order, on the thread (store_order.c) --- */

bool store_order_is_broken(const struct store *store, const struct store_request *request);
void store_order_break(struct store *store, const struct store_request *request);
void store_order_done(struct store *store);

/* --- audit, for the requests that append along with something else --- */

struct audit_copy { /* owned texts */
	int64_t timestamp_ms;
	char *event_id, *category, *agent_id, *app_id, *command_id, *actor, *source_address, *message,
		*details, *spool_id;
	int64_t spool_seq;
	bool present;
};
/* Copies; event may be NULL (nothing to append). */
void store_audit_copy(struct audit_copy *ret, const struct audit_event *event);
void store_audit_copy_done(struct audit_copy *copy);
/* What most requests that write are: they append the word of who did it, and somebody waits to hear of their
 * end. */
struct store_change {
	struct store_request request;
	struct audit_copy event;
	store_done *done; /* may be NULL */
	void *arg;
};
/* event: as for store_audit_copy. takes_change: begins with a store_change. */
void store_change_submit(struct store *store, void *takes_change, const struct audit_event *event,
	store_done *done, void *arg);
/* A kind's finish and done, for one that owns nothing else. */
void store_change_finish(struct store *store, struct store_request *request);
void store_change_done(struct store_request *request);

/* On the thread. Appends unless it is there already; *ret_appended is set where it was appended. */
int store_audit_insert(struct store *store, const struct audit_copy *event, struct json_object **ret_appended,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* At open. */
int store_audit_load_head(
	struct fleet_db *db, struct store_head *ret, struct fleet_error *err) FLEET_MUST_CHECK;

#define STORE_ZERO_HASH "0000000000000000000000000000000000000000000000000000000000000000"
#define STORE_AUDIT_COLUMNS                                                                                  \
	"SELECT seq, event_id, timestamp_ms, category, agent_id, app_id, command_id, actor, "                \
	"source_address, message,"                                                                           \
	" details, hash FROM audit"
/* The current row of a STORE_AUDIT_COLUMNS statement as GET /api/audit shows it; *ret owned. */
int store_audit_row_to_json(
	sqlite3_stmt *st, struct json_object **ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* Up to where a spool's events are held without a gap. */
int store_spool_held(struct fleet_db *db, const char *agent_id, const char *spool_id, int64_t *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;

/* -EBADMSG where an agent was shown what is not there, and nobody has accepted that. */
int store_witness_check(struct fleet_db *db, struct fleet_error *err) FLEET_MUST_CHECK;

/* --- commands --- */

/* An id, or the end of one, backwards and in lower case, as the column tail has it; owned. */
char *store_command_tail(const char *id);

/* The current row of a STORE_COMMAND_COLUMNS statement; one reference. */
#define STORE_COMMAND_COLUMNS                                                                                \
	"SELECT n, id, action, state, agent_id, app_id, actor, source_address, args, jws, created_ms, "      \
	"expires_ms,"                                                                                        \
	" started_ms, finished_ms, result, message FROM commands"
int store_row_to_command(sqlite3_stmt *st, struct command **ret, struct fleet_error *err) FLEET_MUST_CHECK;

/* --- pages --- */

struct page_copy {
	int limit;
	char *cursor; /* owned */
};
void store_page_copy(struct page_copy *ret, struct store_page page, int default_limit);
/* The row to go on below, from a cursor with this letter; INT64_MAX for none. -EINVAL. */
int store_page_position(
	const struct page_copy *page, char letter, int64_t *ret, struct fleet_error *err) FLEET_MUST_CHECK;
char *store_page_cursor(char letter, int64_t position); /* owned */

/* With the text of a JSON array of ids: the rows of these agents. */
#define STORE_ONLY_AGENTS "agent_id IN (SELECT value FROM json_each(?))"

/* One condition of a query: used where text is not NULL or is_number. */
struct store_condition {
	const char *sql; /* "agent_id = ?" */
	const char *text;
	bool is_number;
	int64_t number;
};
/* Prepares "SELECT columns FROM table WHERE key < position AND ... ORDER BY key DESC LIMIT limit"; up: the
 * other way, from the first row on. */
sqlite3_stmt *store_select_page(struct fleet_db *db, const char *select, const char *key, int64_t position,
	const struct store_condition *conditions, size_t count, int limit);
sqlite3_stmt *store_select_page_up(struct fleet_db *db, const char *select, const char *key, int64_t position,
	const struct store_condition *conditions, size_t count, int limit);

#endif
