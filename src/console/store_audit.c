/* The audit log and its chain: docs/protocol.md, "The audit chain". */
#include "console/store_internal.h"
#include "console/store_schema.h"
#include "fleet/audit_chain.h"
#include "fleet/clock.h"
#include "fleet/encode.h"
#include "fleet/limits.h"
#include "fleet/log.h"

static const char *const categories[] = {
	"request", "agent", "restart", "config", "update", "access", "system"};

/* --- the chain --- */

/* A row's event without its hash, as every reader and the chain see it; owned. details: JSON text or NULL. */
static int event_to_json(
	int64_t seq, const struct audit_copy *e, struct json_object **ret, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *details = NULL, *event = json_object_new_object();

	if (e->details) {
		int r = fleet_json_parse(e->details, strlen(e->details), FLEET_MESSAGE_MAX, &details, err);

		if (r < 0)
			return r;
	}
	fleet_json_add_int(event, "seq", seq);
	fleet_json_add_string(event, "eventId", e->event_id);
	fleet_json_add_string(event, "timestamp", fleet_timestamp_format(e->timestamp_ms).text);
	fleet_json_add_string(event, "category", e->category);
	fleet_json_add_string(event, "agentId", e->agent_id);
	fleet_json_add_string(event, "appId", e->app_id);
	fleet_json_add_string(event, "commandId", e->command_id);
	fleet_json_add_string(event, "actor", e->actor);
	fleet_json_add_string(event, "sourceAddress", e->source_address);
	fleet_json_add_string(event, "message", e->message);
	fleet_json_add(event, "details", TAKE_PTR(details));
	*ret = TAKE_PTR(event);
	return 0;
}

/* The current row of a STORE_AUDIT_COLUMNS statement; texts are borrowed from it. */
static struct audit_copy borrow_row(sqlite3_stmt *st)
{
	return (struct audit_copy){
		.event_id = (char *)fleet_db_column_text(st, 1),
		.timestamp_ms = sqlite3_column_int64(st, 2),
		.category = (char *)fleet_db_column_text(st, 3),
		.agent_id = (char *)fleet_db_column_text(st, 4),
		.app_id = (char *)fleet_db_column_text(st, 5),
		.command_id = (char *)fleet_db_column_text(st, 6),
		.actor = (char *)fleet_db_column_text(st, 7),
		.source_address = (char *)fleet_db_column_text(st, 8),
		.message = (char *)fleet_db_column_text(st, 9),
		.details = (char *)fleet_db_column_text(st, 10),
	};
}

int store_audit_row_to_json(sqlite3_stmt *st, struct json_object **ret, struct fleet_error *err)
{
	struct audit_copy row = borrow_row(st);
	int r = event_to_json(sqlite3_column_int64(st, 0), &row, ret, err);

	if (r >= 0)
		fleet_json_add_string(*ret, "hash", fleet_db_column_text(st, 11));
	return r;
}

int store_audit_load_head(struct fleet_db *db, struct store_head *ret, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(db, "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1");
	struct store_head head = {0, STORE_ZERO_HASH};
	int r = fleet_db_step(db, st, err);

	if (r > 0) {
		head.seq = sqlite3_column_int64(st, 0);
		snprintf(head.hash, sizeof(head.hash), "%s", fleet_db_column_text(st, 1));
		r = fleet_db_run(db, st, err);
	}
	if (r >= 0)
		*ret = head;
	return r;
}

/* --- appending --- */

static char *clean_copy(const char *text)
{
	char *copy = xstrdup(text);

	if (copy)
		fleet_text_sanitize(copy);
	return copy;
}

void store_audit_copy(struct audit_copy *ret, const struct audit_event *e)
{
	if (!e)
		return;
	*ret = (struct audit_copy){
		.present = true,
		.timestamp_ms = e->timestamp_ms ? e->timestamp_ms : fleet_clock_wall_ms(),
		.event_id = xstrdup(e->event_id ? e->event_id : fleet_uuid_new().text),
		.category = xstrdup(e->category),
		.agent_id = clean_copy(e->agent_id),
		.app_id = clean_copy(e->app_id),
		.command_id = clean_copy(e->command_id),
		.actor = clean_copy(e->actor),
		.source_address = clean_copy(e->source_address),
		.message = clean_copy(e->message),
		.details = e->details ? fleet_json_canonical(e->details, NULL) : NULL,
		.spool_id = clean_copy(e->spool_id),
		.spool_seq = e->spool_seq,
	};
}

void store_audit_copy_done(struct audit_copy *c)
{
	free(c->event_id);
	free(c->category);
	free(c->agent_id);
	free(c->app_id);
	free(c->command_id);
	free(c->actor);
	free(c->source_address);
	free(c->message);
	free(c->details);
	free(c->spool_id);
}

static int check_event(const struct audit_copy *e, struct fleet_error *err)
{
	if (!fleet_uuid_is_valid(e->event_id))
		return fleet_error_set(err, -EINVAL, "an audit event's id must be a UUID");
	if (e->spool_id && (!e->agent_id || e->spool_seq < 1))
		return fleet_error_set(err, -EINVAL,
			"an agent's own audit event needs its agent and a sequence number from 1");
	for (size_t i = 0; i < FLEET_ARRAY_LEN(categories); i++) {
		if (str_equal(e->category, categories[i]))
			return 0;
	}
	return fleet_error_set(
		err, -EINVAL, "'%s' is no category of audit events", e->category ? e->category : "");
}

/* 1 known, 0 new. */
static int is_known(struct fleet_db *db, const struct audit_copy *e, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(db, "SELECT 1 FROM audit WHERE event_id = ?1"
						  " UNION ALL SELECT 1 FROM audit WHERE spool_id IS NOT NULL "
						  "AND agent_id = ?2 AND spool_id = ?3 AND spool_seq = ?4");
	int r;

	fleet_db_bind_text(st, 1, e->event_id);
	fleet_db_bind_text(st, 2, e->agent_id);
	fleet_db_bind_text(st, 3, e->spool_id);
	fleet_db_bind_int(st, 4, e->spool_seq);
	r = fleet_db_step(db, st, err);
	sqlite3_reset(st);
	return r;
}

static int write_row(struct fleet_db *db, const struct store_head *head, const struct audit_copy *e,
	struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(db, "INSERT INTO audit (seq, event_id, timestamp_ms, category, "
						  "agent_id, app_id, command_id, actor, source_address,"
						  " message, details, hash, spool_id, spool_seq) VALUES (?, "
						  "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

	fleet_db_bind_int(st, 1, head->seq);
	fleet_db_bind_text(st, 2, e->event_id);
	fleet_db_bind_int(st, 3, e->timestamp_ms);
	fleet_db_bind_text(st, 4, e->category);
	fleet_db_bind_text(st, 5, e->agent_id);
	fleet_db_bind_text(st, 6, e->app_id);
	fleet_db_bind_text(st, 7, e->command_id);
	fleet_db_bind_text(st, 8, e->actor);
	fleet_db_bind_text(st, 9, e->source_address);
	fleet_db_bind_text(st, 10, e->message);
	fleet_db_bind_text(st, 11, e->details);
	fleet_db_bind_text(st, 12, head->hash);
	fleet_db_bind_text(st, 13, e->spool_id);
	if (e->spool_id)
		fleet_db_bind_int(st, 14, e->spool_seq);
	return fleet_db_run(db, st, err);
}

int store_spool_held(struct fleet_db *db, const char *agent_id, const char *spool_id, int64_t *ret,
	struct fleet_error *err)
{
	sqlite3_stmt *st =
		fleet_db_statement(db, "SELECT held FROM spools WHERE agent_id = ? AND spool_id = ?");
	int r;

	fleet_db_bind_text(st, 1, agent_id);
	fleet_db_bind_text(st, 2, spool_id);
	r = fleet_db_step(db, st, err);
	*ret = r > 0 ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	return r < 0 ? r : 0;
}

static int has_spool_row(
	struct fleet_db *db, const struct audit_copy *e, int64_t seq, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(db, "SELECT 1 FROM audit WHERE spool_id IS NOT NULL AND "
						  "agent_id = ? AND spool_id = ? AND spool_seq = ?");
	int r;

	fleet_db_bind_text(st, 1, e->agent_id);
	fleet_db_bind_text(st, 2, e->spool_id);
	fleet_db_bind_int(st, 3, seq);
	r = fleet_db_step(db, st, err);
	sqlite3_reset(st);
	return r;
}

/* Moves the mark up to which nothing is missing; events may come in any order. One that is there already,
 * under another number (a spool that was put back or lost numbers its events anew), has no row of this
 * number: it counts when it is the next, else the spool would wait for its ack for ever. */
static int advance_held(
	struct fleet_db *db, const struct audit_copy *e, bool is_repeat, struct fleet_error *err)
{
	sqlite3_stmt *st;
	int64_t held, now;
	int r = store_spool_held(db, e->agent_id, e->spool_id, &held, err);

	if (r < 0)
		return r;
	now = is_repeat && held < INT64_MAX && e->spool_seq == held + 1 ? e->spool_seq : held;
	while (now < INT64_MAX && (r = has_spool_row(db, e, now + 1, err)) > 0)
		now++;
	if (r < 0 || now == held)
		return r;
	st = fleet_db_statement(
		db, "INSERT OR REPLACE INTO spools (agent_id, spool_id, held) VALUES (?, ?, ?)");
	fleet_db_bind_text(st, 1, e->agent_id);
	fleet_db_bind_text(st, 2, e->spool_id);
	fleet_db_bind_int(st, 3, now);
	return fleet_db_run(db, st, err);
}

int store_audit_insert(struct store *store, const struct audit_copy *e, struct json_object **ret_appended,
	struct fleet_error *err)
{
	_cleanup_json_ struct json_object *event = NULL;
	struct store_head head = {.seq = store->head.seq + 1};
	int r;

	if (!e->present)
		return 0;
	r = check_event(e, err);
	if (r < 0)
		return r;
	r = is_known(store->db, e, err);
	if (r > 0 && e->spool_id)
		return advance_held(store->db, e, true, err);
	if (r != 0)
		return r < 0 ? r : 0;
	r = event_to_json(head.seq, e, &event, err);
	if (r < 0)
		return fleet_error_set(err, -EINVAL,
			"the details of an audit event are not to be kept: they are no valid JSON");
	fleet_audit_chain_hash(store->head.hash, event, head.hash);
	r = write_row(store->db, &head, e, err);
	if (r >= 0 && e->spool_id)
		r = advance_held(store->db, e, false, err);
	if (r < 0)
		return r;
	store->head = head;
	fleet_json_add_string(event, "hash", head.hash);
	*ret_appended = TAKE_PTR(event);
	return 0;
}

void store_change_submit(
	struct store *store, void *takes_change, const struct audit_event *event, store_done *done, void *arg)
{
	struct store_change *c = takes_change;

	store_audit_copy(&c->event, event);
	c->done = done;
	c->arg = arg;
	store_submit(store, c);
}

void store_change_finish(struct store *store, struct store_request *request)
{
	const struct store_change *c = (struct store_change *)request;

	(void)store;
	if (c->done)
		c->done(request->result, &request->error, c->arg);
}

void store_change_done(struct store_request *request)
{
	store_audit_copy_done(&((struct store_change *)request)->event);
}

/* What an agent says of another's command is his word about himself: it is no part of that command's record.
 */
static int forget_anothers_command(struct fleet_db *db, struct audit_copy *e, struct fleet_error *err)
{
	sqlite3_stmt *st;
	int r;

	if (!e->spool_id || !e->command_id)
		return 0;
	st = fleet_db_statement(db, "SELECT 1 FROM commands WHERE id = ? AND agent_id IS NOT ?");
	fleet_db_bind_text(st, 1, e->command_id);
	fleet_db_bind_text(st, 2, e->agent_id);
	r = fleet_db_step(db, st, err);
	sqlite3_reset(st);
	if (r <= 0)
		return r;
	log_warn("%s tells an event of command %s, which is another agent's: it is kept without the command",
		e->agent_id, e->command_id);
	free(TAKE_PTR(e->command_id));
	return 0;
}

static int append_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct store_change *c = (struct store_change *)request;
	int r = forget_anothers_command(store->db, &c->event, err);

	return r < 0 ? r : store_audit_insert(store, &c->event, &request->appended, err);
}

void store_audit_append(struct store *store, const struct audit_event *event, store_done *done, void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct store_change), true, false, append_run, store_change_finish, store_change_done};
	struct store_change *c = store_request_new(&kind);

	c->request.agent_id = event->in_order ? xstrdup(event->agent_id) : NULL;
	store_change_submit(store, c, event, done, arg);
}

/* --- verification --- */

static int verify_row(sqlite3_stmt *st, struct fleet_audit_link *at, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *event = NULL;

	if (store_audit_row_to_json(st, &event, err) < 0)
		return fleet_error_set(err, -EBADMSG,
			"the audit log does not hold: the details of row %lld are not readable",
			(long long)sqlite3_column_int64(st, 0));
	return fleet_audit_chain_follow(at, event, err);
}

int store_audit_verify(const char *dir, struct store_head *ret_head, struct fleet_error *err)
{
	_cleanup_(fleet_db_closep) struct fleet_db *db = NULL;
	_cleanup_free_ char *path = xasprintf("%s/" STORE_FILE, dir);
	struct fleet_audit_link head = FLEET_AUDIT_CHAIN_START;
	sqlite3_stmt *st;
	int r = fleet_db_open_readonly(path, &db, err);

	if (r >= 0)
		r = fleet_db_exec(db, STORE_AUDIT_COLUMNS " LIMIT 0", err); /* is there a log at all? */
	if (r < 0)
		return r;
	st = fleet_db_statement(db, STORE_AUDIT_COLUMNS " ORDER BY seq");
	while ((r = fleet_db_step(db, st, err)) > 0) {
		r = verify_row(st, &head, err);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	r = store_witness_check(db, err);
	if (r < 0)
		return r;
	ret_head->seq = head.seq;
	memcpy(ret_head->hash, head.hash, sizeof(ret_head->hash));
	return 0;
}
