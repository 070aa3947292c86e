#include "agent/spool_private.h"
#include "fleet/buffer.h"
#include "fleet/failpoint.h"

#define SEEN_KEEP       20000 /* ids of the host's events remembered after they left: it may say them again */
#define SEEN_PRUNE_STEP 500

const char *spool_id(const struct spool *s)
{
	return s->id;
}

int64_t spool_events(const struct spool *s)
{
	return s->events;
}

int64_t spool_results(const struct spool *s)
{
	return s->results;
}

int64_t spool_acked_seq(const struct spool *s)
{
	return s->acked_seq;
}

/* -- adding -- */

static int exists(struct spool *s, const char *sql, const char *id, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(s->db, sql);
	int r;

	fleet_db_bind_text(st, 1, id);
	r = fleet_db_step(s->db, st, err);
	(void)sqlite3_reset(st); /* its error, if any, was step's */
	return r;
}

static int run_with_id(struct spool *s, const char *sql, const char *id, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(s->db, sql);

	fleet_db_bind_text(st, 1, id);
	return fleet_db_run(s->db, st, err);
}

static int insert_event(struct spool *s, const char *event_id, const char *text, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(s->db, "INSERT INTO event VALUES (?1, ?2, ?3)");
	int r;

	fleet_db_bind_int(st, 1, s->next_seq);
	fleet_db_bind_text(st, 2, event_id);
	fleet_db_bind_text(st, 3, text);
	if ((r = fleet_db_run(s->db, st, err)) < 0)
		return r;
	if ((r = run_with_id(s, "INSERT INTO seen (event_id) VALUES (?1)", event_id, err)) < 0)
		return r;
	if (s->next_seq % SEEN_PRUNE_STEP == 0) {
		st = fleet_db_statement(s->db, "DELETE FROM seen WHERE n <= (SELECT max(n) FROM seen) - ?1 "
					       "AND event_id NOT IN (SELECT event_id FROM event)");
		fleet_db_bind_int(st, 1, SEEN_KEEP);
		if ((r = fleet_db_run(s->db, st, err)) < 0)
			return r;
	}
	return spool_set_meta_int(s, "nextSeq", s->next_seq + 1, err);
}

static int full(const struct spool *s, const char *what, struct fleet_error *err)
{
	return fleet_error_set(err, -ENOSPC,
		"the spool is full: %s cannot be kept until the console has taken some of the %lld that wait",
		what, (long long)s->max_rows);
}

/* Commits, or undoes; r is what the work inside said. */
static int end_transaction(struct spool *s, int r, struct fleet_error *err)
{
	if (r >= 0 && FLEET_FAILS("spool.write"))
		r = fleet_error_errno(err, -errno, "cannot write the spool");
	if (r >= 0)
		r = fleet_db_commit(s->db, err);
	if (r < 0)
		fleet_db_rollback(s->db);
	return r;
}

int spool_add_event(struct spool *s, struct json_object *message, struct fleet_error *err)
{
	const char *event_id = fleet_json_string(message, "eventId");
	int r;

	if (!event_id)
		return fleet_error_set(err, -EINVAL, "an audit event without an eventId cannot be kept");
	r = exists(s, "SELECT 1 FROM seen WHERE event_id = ?1", event_id, err);
	if (r != 0)
		return r < 0 ? r : 0;
	if (s->events >= s->max_rows)
		return full(s, "an audit event", err);
	if ((r = fleet_db_begin(s->db, err)) < 0)
		return r;
	r = end_transaction(s, insert_event(s, event_id, fleet_json_text(message, NULL), err), err);
	if (r < 0)
		return r;
	s->next_seq++;
	s->events++;
	return 0;
}

int spool_add_result(struct spool *s, struct json_object *message, struct fleet_error *err)
{
	const char *id = fleet_json_string(message, "commandId");
	bool is_new;
	int r;

	if (!id)
		return fleet_error_set(err, -EINVAL, "a result without a commandId cannot be kept");
	r = exists(s, "SELECT 1 FROM result WHERE command_id = ?1", id, err);
	if (r < 0)
		return r;
	is_new = r == 0;
	if (is_new && s->results >= s->max_rows)
		return full(s, "a result", err);
	if ((r = fleet_db_begin(s->db, err)) < 0)
		return r;
	if (is_new) {
		sqlite3_stmt *st = fleet_db_statement(
			s->db, "INSERT INTO result (command_id, text, after_seq) VALUES (?1, ?2, ?3)");

		fleet_db_bind_text(st, 1, id);
		fleet_db_bind_text(st, 2, fleet_json_text(message, NULL));
		fleet_db_bind_int(st, 3, s->next_seq - 1);
		r = fleet_db_run(s->db, st, err);
	}
	if (r >= 0)
		r = run_with_id(s, "DELETE FROM running WHERE command_id = ?1", id, err);
	r = end_transaction(s, r, err);
	if (r >= 0 && is_new)
		s->results++;
	return r < 0 ? r : 0;
}

/* -- running commands -- */

int spool_add_running(struct spool *s, const char *command_id, struct fleet_error *err)
{
	return run_with_id(s,
		"INSERT OR IGNORE INTO running SELECT ?1 "
		"WHERE NOT EXISTS (SELECT 1 FROM result WHERE command_id = ?1)",
		command_id, err);
}

int spool_set_running(struct spool *s, struct json_object *ids, struct fleet_error *err)
{
	size_t count = ids ? json_object_array_length(ids) : 0;
	int r;

	if ((r = fleet_db_begin(s->db, err)) < 0)
		return r;
	r = fleet_db_exec(s->db, "DELETE FROM running", err);
	for (size_t i = 0; i < count && r >= 0; i++)
		r = spool_add_running(s, json_object_get_string(json_object_array_get_idx(ids, i)), err);
	return end_transaction(s, r, err);
}

struct json_object *spool_running(struct spool *s)
{
	sqlite3_stmt *st = fleet_db_statement(s->db, "SELECT command_id FROM running ORDER BY command_id");
	struct json_object *ids = json_object_new_array();

	while (fleet_db_step(s->db, st, NULL) > 0)
		fleet_json_append_string(ids, fleet_db_column_text(st, 0));
	(void)sqlite3_reset(st); /* a list cut short by a sick disk is made good by the host's own */
	return ids;
}

enum spool_command spool_find_command(struct spool *s, const char *command_id)
{
	if (exists(s, "SELECT 1 FROM result WHERE command_id = ?1", command_id, NULL) > 0)
		return SPOOL_COMMAND_ENDED;
	if (exists(s, "SELECT 1 FROM running WHERE command_id = ?1", command_id, NULL) > 0)
		return SPOOL_COMMAND_RUNNING;
	return SPOOL_COMMAND_UNKNOWN;
}

/* -- acks -- */

static int apply_ack(struct spool *s, int64_t audit_seq, struct json_object *result_ids,
	const struct spool_head *head, int64_t *ret_events, int64_t *ret_results, struct fleet_error *err)
{
	size_t count = result_ids ? json_object_array_length(result_ids) : 0;
	int64_t events = 0, results = 0;
	int r = 0;

	if (audit_seq > s->acked_seq) {
		sqlite3_stmt *st = fleet_db_statement(s->db, "DELETE FROM event WHERE seq <= ?1");

		fleet_db_bind_int(st, 1, audit_seq);
		r = fleet_db_run(s->db, st, err);
		events = r < 0 ? 0 : fleet_db_changes(s->db);
	}
	for (size_t i = 0; i < count && r >= 0; i++) {
		r = run_with_id(s, "DELETE FROM result WHERE command_id = ?1",
			json_object_get_string(json_object_array_get_idx(result_ids, i)), err);
		results += r < 0 ? 0 : fleet_db_changes(s->db);
	}
	if (head && r >= 0)
		r = spool_set_meta_int(s, "headSeq", head->seq, err);
	if (head && r >= 0)
		r = spool_set_meta(s, "headHash", head->hash, err);
	*ret_events = events;
	*ret_results = results;
	return r;
}

int spool_ack(struct spool *s, int64_t audit_seq, struct json_object *result_ids,
	const struct spool_head *head, struct fleet_error *err)
{
	int64_t events = 0, results = 0;
	int r;

	if (audit_seq >= s->next_seq)
		return fleet_error_set(err, -EINVAL,
			"the console acknowledged audit event %lld, but only %lld were ever numbered here",
			(long long)audit_seq, (long long)(s->next_seq - 1));
	if (head && (head->seq < 1 || (head->seq == s->head.seq && str_equal(head->hash, s->head.hash))))
		head = NULL;
	if (!head && audit_seq <= s->acked_seq && (!result_ids || json_object_array_length(result_ids) == 0))
		return 0;
	if ((r = fleet_db_begin(s->db, err)) < 0)
		return r;
	r = end_transaction(s, apply_ack(s, audit_seq, result_ids, head, &events, &results, err), err);
	if (r < 0)
		return r;
	s->events -= events;
	s->results -= results;
	if (audit_seq > s->acked_seq)
		s->acked_seq = audit_seq;
	if (head)
		s->head = *head;
	return 0;
}

struct spool_head spool_head(const struct spool *s)
{
	return s->head;
}

static int renumber(struct spool *s, const char *id, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(s->db, "UPDATE event SET seq = ?1 - seq");
	int r;

	/* By way of negative numbers: each row's new number may still be another's old one. */
	fleet_db_bind_int(st, 1, s->acked_seq);
	if ((r = fleet_db_run(s->db, st, err)) < 0 ||
		(r = fleet_db_exec(s->db, "UPDATE event SET seq = -seq", err)) < 0)
		return r;
	st = fleet_db_statement(s->db, "UPDATE result SET after_seq = max(after_seq - ?1, 0)");
	fleet_db_bind_int(st, 1, s->acked_seq);
	if ((r = fleet_db_run(s->db, st, err)) < 0 || (r = spool_set_meta(s, "spoolId", id, err)) < 0)
		return r;
	return spool_set_meta_int(s, "nextSeq", s->events + 1, err);
}

int spool_renew(struct spool *s, struct fleet_error *err)
{
	struct fleet_uuid id = fleet_uuid_new();
	int r = fleet_db_begin(s->db, err);

	if (r < 0)
		return r;
	r = end_transaction(s, renumber(s, id.text, err), err);
	if (r < 0)
		return r;
	memcpy(s->id, id.text, sizeof(s->id));
	s->next_seq = s->events + 1;
	s->acked_seq = 0;
	return 0;
}

int64_t spool_last_seq(const struct spool *s)
{
	return s->next_seq - 1;
}

bool spool_has_other_event(struct spool *s, int64_t seq, const char *event_id)
{
	sqlite3_stmt *st = fleet_db_statement(s->db, "SELECT 1 FROM event WHERE seq = ?1 AND event_id <> ?2");
	bool other;

	fleet_db_bind_int(st, 1, seq);
	fleet_db_bind_text(st, 2, event_id);
	other = fleet_db_step(s->db, st, NULL) > 0;
	(void)sqlite3_reset(st); /* its error, if any, was step's */
	return other;
}

/* -- reading -- */

int spool_each_event(
	struct spool *s, int64_t after, int limit, spool_row_fn *row, void *arg, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(s->db, "SELECT seq, event_id, text FROM event WHERE seq > ?1 "
						     "ORDER BY seq LIMIT ?2");
	_cleanup_buffer_ struct fleet_buffer text = FLEET_BUFFER_INIT;
	int count = 0, r;

	fleet_db_bind_int(st, 1, after);
	fleet_db_bind_int(st, 2, limit);
	while ((r = fleet_db_step(s->db, st, err)) > 0) {
		int64_t seq = sqlite3_column_int64(st, 0);

		/* The stored object opens with '{' and has members (an eventId at least): number and spool go
		 * first. */
		fleet_buffer_truncate(&text, 0);
		fleet_buffer_printf(&text, "{\"seq\":%lld,\"spoolId\":\"%s\",%s", (long long)seq, s->id,
			fleet_db_column_text(st, 2) + 1);
		row(seq, fleet_db_column_text(st, 1), text.data, arg);
		count++;
	}
	(void)sqlite3_reset(st); /* its error, if any, was step's */
	return r < 0 ? r : count;
}

int spool_each_result(struct spool *s, int64_t after, int64_t told_seq, int limit, spool_row_fn *row,
	void *arg, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(s->db, "SELECT n, command_id, text FROM result "
						     "WHERE n > ?1 AND after_seq <= ?3 ORDER BY n LIMIT ?2");
	int count = 0, r;

	fleet_db_bind_int(st, 1, after);
	fleet_db_bind_int(st, 2, limit);
	fleet_db_bind_int(st, 3, told_seq);
	while ((r = fleet_db_step(s->db, st, err)) > 0) {
		row(sqlite3_column_int64(st, 0), fleet_db_column_text(st, 1), fleet_db_column_text(st, 2),
			arg);
		count++;
	}
	(void)sqlite3_reset(st); /* its error, if any, was step's */
	return r < 0 ? r : count;
}
