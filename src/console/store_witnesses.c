/* Agents as witnesses of the audit log: each says the head that it was last shown. One that this log does not
 * have is kept, until an operator says why rows are gone. (DESIGN 8) */
#include "console/store_internal.h"
#include "fleet/clock.h"

struct witness {
	struct store_request request;
	char *agent_id; /* owned */
	struct store_head head;
	int64_t missing;
	store_witnessed *done;
	void *arg;
};

/* 1 where the log has the head, or a gap that was accepted holds it. */
static int is_known(struct fleet_db *db, const struct store_head *head, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(db,
		"SELECT 1 FROM audit WHERE seq = ?1 AND hash = ?2 "
		"UNION ALL SELECT 1 FROM audit_gaps WHERE after_seq < ?1 AND up_to_seq >= ?1 LIMIT 1");
	int r;

	fleet_db_bind_int(st, 1, head->seq);
	fleet_db_bind_text(st, 2, head->hash);
	r = fleet_db_step(db, st, err);
	sqlite3_reset(st);
	return r;
}

/* A doubt that was written down stays as it was first seen: after a restart nobody knows any more where the
 * log ended then. */
static int write_witness(struct fleet_db *db, const struct witness *w, bool holds, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(
		db, holds ? "INSERT INTO witnesses (agent_id, seq, hash, said_ms, missing) VALUES (?, ?, ?, "
			    "?, NULL) "
			    "ON CONFLICT (agent_id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, "
			    "said_ms = excluded.said_ms WHERE missing IS NULL"
			  : "INSERT INTO witnesses (agent_id, seq, hash, said_ms, missing) VALUES (?, ?, ?, "
			    "?, ?) "
			    "ON CONFLICT (agent_id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, "
			    "said_ms = excluded.said_ms, missing = excluded.missing WHERE missing IS NULL");

	fleet_db_bind_text(st, 1, w->agent_id);
	fleet_db_bind_int(st, 2, w->head.seq);
	fleet_db_bind_text(st, 3, w->head.hash);
	fleet_db_bind_int(st, 4, fleet_clock_wall_ms());
	if (!holds)
		fleet_db_bind_int(st, 5, w->missing);
	return fleet_db_run(db, st, err);
}

static int witness_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct witness *w = (struct witness *)request;
	int holds = is_known(store->db, &w->head, err), r;

	if (holds < 0)
		return holds;
	w->missing = w->head.seq > store->opened_seq ? w->head.seq - store->opened_seq : 0;
	r = write_witness(store->db, w, holds > 0, err);
	return r < 0 ? r : holds;
}

static void witness_finish(struct store *store, struct store_request *request)
{
	struct witness *w = (struct witness *)request;

	(void)store;
	w->done(request->result, w->missing, &request->error, w->arg);
}

static void witness_done(struct store_request *request)
{
	free(((struct witness *)request)->agent_id);
}

void store_witness(struct store *store, const char *agent_id, int64_t seq, const char *hash,
	store_witnessed *done, void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct witness), true, false, witness_run, witness_finish, witness_done};
	struct witness *w = store_request_new(&kind);

	w->agent_id = xstrdup(agent_id);
	w->head.seq = seq;
	(void)snprintf(
		w->head.hash, sizeof(w->head.hash), "%s", strlen(hash) == STORE_HASH_LEN ? hash : "no hash");
	w->done = done;
	w->arg = arg;
	store_submit(store, w);
}

/* --- who doubts ---------------------------------------------------------------------------------------- */

struct doubts {
	struct store_request request;
	struct json_object *array; /* owned */
	store_list *done;
	void *arg;
};

static int doubts_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct doubts *d = (struct doubts *)request;
	sqlite3_stmt *st =
		fleet_db_statement(store->db, "SELECT agent_id, seq, hash, said_ms, missing FROM witnesses "
					      "WHERE missing IS NOT NULL ORDER BY agent_id");
	int r;

	d->array = json_object_new_array();
	while ((r = fleet_db_step(store->db, st, err)) > 0) {
		struct json_object *doubt = json_object_new_object();

		fleet_json_add_string(doubt, "agentId", fleet_db_column_text(st, 0));
		fleet_json_add_int(doubt, "seq", sqlite3_column_int64(st, 1));
		fleet_json_add_string(doubt, "hash", fleet_db_column_text(st, 2));
		fleet_json_add_string(
			doubt, "saidAt", fleet_timestamp_format(sqlite3_column_int64(st, 3)).text);
		fleet_json_add_int(doubt, "missing", sqlite3_column_int64(st, 4));
		(void)json_object_array_add(d->array, doubt); /* fails for want of memory alone */
	}
	return r;
}

static void doubts_finish(struct store *store, struct store_request *request)
{
	struct doubts *d = (struct doubts *)request;

	(void)store;
	d->done(request->result, d->array, NULL, &request->error, d->arg);
}

static void doubts_done(struct store_request *request)
{
	json_object_put(((struct doubts *)request)->array);
}

void store_witness_doubts(struct store *store, store_list *done, void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct doubts), false, false, doubts_run, doubts_finish, doubts_done};
	struct doubts *d = store_request_new(&kind);

	d->done = done;
	d->arg = arg;
	store_submit(store, d);
}

/* --- accepting a gap ------------------------------------------------------------------------------------ */

static int accept_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct store_change *a = (struct store_change *)request;
	sqlite3_stmt *st = fleet_db_statement(store->db, "SELECT count(*), min(seq - max(missing, 1)), "
							 "max(seq) FROM witnesses WHERE missing IS NOT NULL");
	int64_t count, after, up_to;
	int r = fleet_db_step(store->db, st, err);

	if (r < 0)
		return r;
	count = sqlite3_column_int64(st, 0);
	after = sqlite3_column_int64(st, 1);
	up_to = sqlite3_column_int64(st, 2);
	sqlite3_reset(st);
	if (count == 0)
		return fleet_error_set(
			err, -ENOENT, "no agent doubts the audit log: there is no gap to accept");
	st = fleet_db_statement(
		store->db, "INSERT INTO audit_gaps (after_seq, up_to_seq, at_ms) VALUES (?, ?, ?)");
	fleet_db_bind_int(st, 1, after);
	fleet_db_bind_int(st, 2, up_to);
	fleet_db_bind_int(st, 3, fleet_clock_wall_ms());
	r = fleet_db_run(store->db, st, err);
	if (r >= 0)
		r = fleet_db_exec(store->db, "DELETE FROM witnesses WHERE missing IS NOT NULL", err);
	return r < 0 ? r : store_audit_insert(store, &a->event, &request->appended, err);
}

void store_witness_accept(struct store *store, const struct audit_event *event, store_done *done, void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct store_change), true, false, accept_run, store_change_finish, store_change_done};

	store_change_submit(store, store_request_new(&kind), event, done, arg);
}

/* --- for fleet-console audit verify ----------------------------------------------------------------------
 */

int store_witness_check(struct fleet_db *db, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(db, "SELECT 1 FROM sqlite_master WHERE name = 'witnesses'");
	int r = fleet_db_step(db, st, err);

	sqlite3_reset(st);
	if (r <= 0)
		return r; /* a database from before */
	st = fleet_db_statement(db, "SELECT agent_id, seq, missing FROM witnesses WHERE missing IS NOT NULL "
				    "ORDER BY seq DESC LIMIT 1");
	r = fleet_db_step(db, st, err);
	if (r <= 0)
		return r;
	if (sqlite3_column_int64(st, 2) > 0)
		r = fleet_error_set(err, -EBADMSG,
			"the audit log does not hold: its last %lld entries are missing, up to %lld, which "
			"agent %s was shown",
			(long long)sqlite3_column_int64(st, 2), (long long)sqlite3_column_int64(st, 1),
			fleet_db_column_text(st, 0));
	else
		r = fleet_error_set(err, -EBADMSG,
			"the audit log does not hold: entry %lld is not the one that agent %s was shown",
			(long long)sqlite3_column_int64(st, 1), fleet_db_column_text(st, 0));
	sqlite3_reset(st);
	return r;
}
