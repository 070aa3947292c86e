/* Commands: created with the word of who asked, moved forward, ended once with their outcome. */
#include "console/store_internal.h"
#include "fleet/clock.h"
#include "fleet/limits.h"

#define IDEMPOTENCY_MS (INT64_C(24) * 3600 * 1000)

/* The id backwards, in lower case, as the column tail has it; owned. */
char *store_command_tail(const char *id)
{
	size_t len = strlen(id);
	char *out = xmalloc(len + 1);

	for (size_t i = 0; i < len; i++) {
		char c = id[len - 1 - i];

		out[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
	}
	out[len] = '\0';
	return out;
}

/* --- create --- */

struct create {
	struct store_request request;
	char id[FLEET_UUID_LEN + 1], existing[FLEET_UUID_LEN + 1];
	char *agent_id, *app_id, *actor, *source_address, *args, *jws, *message, *key; /* owned */
	enum fleet_action action;
	enum command_state state;
	int64_t created_ms, expires_ms;
	struct audit_copy event;
	void (*done)(int result, const char *existing_id, const struct fleet_error *err, void *arg);
	void *arg;
};

static int forget_old_keys(struct fleet_db *db, int64_t now_ms, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(db, "DELETE FROM idempotency WHERE created_ms < ?");

	fleet_db_bind_int(st, 1, now_ms - IDEMPOTENCY_MS);
	return fleet_db_run(db, st, err);
}

/* 1 the key is known and existing is filled, 0 not. */
static int find_key(struct fleet_db *db, struct create *c, struct fleet_error *err)
{
	sqlite3_stmt *st =
		fleet_db_statement(db, "SELECT command_id FROM idempotency WHERE actor = ? AND key = ?");
	int r;

	fleet_db_bind_text(st, 1, c->actor ? c->actor : "");
	fleet_db_bind_text(st, 2, c->key);
	r = fleet_db_step(db, st, err);
	if (r > 0)
		snprintf(c->existing, sizeof(c->existing), "%s", fleet_db_column_text(st, 0));
	sqlite3_reset(st);
	return r;
}

static int keep_key(struct fleet_db *db, const struct create *c, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(
		db, "INSERT INTO idempotency (actor, key, command_id, created_ms) VALUES (?, ?, ?, ?)");

	fleet_db_bind_text(st, 1, c->actor ? c->actor : "");
	fleet_db_bind_text(st, 2, c->key);
	fleet_db_bind_text(st, 3, c->id);
	fleet_db_bind_int(st, 4, c->created_ms);
	return fleet_db_run(db, st, err);
}

static int write_command(struct fleet_db *db, const struct create *c, struct fleet_error *err)
{
	_cleanup_free_ char *tail = store_command_tail(c->id);
	sqlite3_stmt *st = fleet_db_statement(db, "INSERT INTO commands (id, tail, action, state, agent_id, "
						  "app_id, actor, source_address, args, jws, created_ms,"
						  " expires_ms, started_ms, finished_ms, message) VALUES (?, "
						  "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?)");

	fleet_db_bind_text(st, 1, c->id);
	fleet_db_bind_text(st, 2, tail);
	fleet_db_bind_text(st, 3, fleet_action_to_string(c->action));
	fleet_db_bind_text(st, 4, command_state_to_string(c->state));
	fleet_db_bind_text(st, 5, c->agent_id);
	fleet_db_bind_text(st, 6, c->app_id);
	fleet_db_bind_text(st, 7, c->actor);
	fleet_db_bind_text(st, 8, c->source_address);
	fleet_db_bind_text(st, 9, c->args);
	fleet_db_bind_text(st, 10, c->jws);
	fleet_db_bind_int(st, 11, c->created_ms);
	fleet_db_bind_int(st, 12, c->expires_ms);
	fleet_db_bind_text(st, 13, c->message);
	return fleet_db_run(db, st, err);
}

static int create_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct create *c = (struct create *)request;
	int r;

	if (c->key) {
		r = forget_old_keys(store->db, c->created_ms, err);
		if (r >= 0)
			r = find_key(store->db, c, err);
		if (r > 0)
			return fleet_error_set(err, -EEXIST,
				"this request was made before: it became command %s", c->existing);
		if (r < 0)
			return r;
	}
	r = write_command(store->db, c, err);
	if (r == -EEXIST)
		return fleet_error_set(err, -EALREADY, "there is a command %s already", c->id);
	if (r >= 0 && c->key)
		r = keep_key(store->db, c, err);
	if (r >= 0)
		r = store_audit_insert(store, &c->event, &request->appended, err);
	return r;
}

static void create_finish(struct store *store, struct store_request *request)
{
	struct create *c = (struct create *)request;

	(void)store;
	c->done(request->result, request->result == -EEXIST ? c->existing : NULL, &request->error, c->arg);
}

static void create_done(struct store_request *request)
{
	struct create *c = (struct create *)request;

	free(c->agent_id);
	free(c->app_id);
	free(c->actor);
	free(c->source_address);
	free(c->args);
	free(c->jws);
	free(c->message);
	free(c->key);
	store_audit_copy_done(&c->event);
}

void store_command_create(struct store *store, const struct command *command, const char *idempotency_key,
	const struct audit_event *request,
	void (*done)(int result, const char *existing_id, const struct fleet_error *err, void *arg),
	void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct create), true, false, create_run, create_finish, create_done};
	struct create *c = store_request_new(&kind);

	memcpy(c->id, command->id, sizeof(c->id));
	c->agent_id = xstrdup(command->agent_id);
	c->app_id = xstrdup(command->app_id);
	c->actor = xstrdup(command->actor);
	c->source_address = xstrdup(command->source_address);
	c->args = command->args ? xstrdup(fleet_json_text(command->args, NULL)) : NULL;
	c->jws = xstrdup(command->jws);
	c->message = xstrdup(command->message);
	c->key = xstrdup(idempotency_key);
	c->action = command->action;
	c->state = command->state;
	c->created_ms = command->created_ms ? command->created_ms : fleet_clock_wall_ms();
	c->expires_ms = command->expires_ms;
	store_audit_copy(&c->event, request);
	c->done = done;
	c->arg = arg;
	store_submit(store, c);
}

static int by_key_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	int r = find_key(store->db, (struct create *)request, err);

	if (r < 0)
		return r;
	return r > 0 ? -EEXIST : fleet_error_set(err, -ENOENT, "no request was made with this key");
}

void store_command_by_key(struct store *store, const char *actor, const char *idempotency_key,
	void (*done)(int result, const char *existing_id, const struct fleet_error *err, void *arg),
	void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct create), false, false, by_key_run, create_finish, create_done};
	struct create *c = store_request_new(&kind);

	c->actor = xstrdup(actor);
	c->key = xstrdup(idempotency_key);
	c->done = done;
	c->arg = arg;
	store_submit(store, c);
}

/* --- advance and finish --- */

struct change {
	struct store_change change;
	char *id, *result, *message; /* owned */
	enum command_state state;
	int64_t started_ms, finished_ms;
};

static int stored_state(struct fleet_db *db, const char *id, enum command_state *ret, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(db, "SELECT state FROM commands WHERE id = ?");
	int r;

	fleet_db_bind_text(st, 1, id);
	r = fleet_db_step(db, st, err);
	if (r == 0)
		return fleet_error_set(err, -ENOENT, "there is no command %s", id);
	if (r > 0)
		r = command_state_from_string(fleet_db_column_text(st, 0), ret);
	sqlite3_reset(st);
	return r;
}

static int advance_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct change *c = (struct change *)request;
	enum command_state now = COMMAND_QUEUED;
	sqlite3_stmt *st;
	int r = stored_state(store->db, c->id, &now, err);

	if (r < 0)
		return r;
	if (command_state_is_final(c->state))
		return fleet_error_set(err, -EINVAL, "a command reaches '%s' by its end only",
			command_state_to_string(c->state));
	if (c->state <= now)
		return 0; /* the states are in order: late news */
	st = fleet_db_statement(store->db, "UPDATE commands SET state = ?1, started_ms = CASE started_ms "
					   "WHEN 0 THEN ?2 ELSE started_ms END WHERE id = ?3");
	fleet_db_bind_text(st, 1, command_state_to_string(c->state));
	fleet_db_bind_int(st, 2, c->state == COMMAND_RUNNING ? c->started_ms : 0);
	fleet_db_bind_text(st, 3, c->id);
	return fleet_db_run(store->db, st, err);
}

/* The values that a command set are nobody's business any more; nor is its signed form, which holds them too.
 * An `unknown` one may still be told of, in words that are cleaned of them. */
static int forget_values(struct store *store, const char *id, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *args = NULL, *kept = NULL;
	sqlite3_stmt *st = fleet_db_statement(store->db, "SELECT args FROM commands WHERE id = ?");
	const char *text;
	int r;

	fleet_db_bind_text(st, 1, id);
	r = fleet_db_step(store->db, st, err);
	text = r > 0 ? fleet_db_column_text(st, 0) : NULL;
	if (text && fleet_json_parse(text, strlen(text), 8 * FLEET_MESSAGE_MAX, &args, err) < 0)
		args = NULL; /* what cannot be read is not kept */
	sqlite3_reset(st);
	if (r < 0)
		return r;
	kept = command_args_without_values(args);
	st = fleet_db_statement(store->db, "UPDATE commands SET args = ?1, jws = NULL WHERE id = ?2");
	fleet_db_bind_text(st, 1, kept ? fleet_json_text(kept, NULL) : NULL);
	fleet_db_bind_text(st, 2, id);
	if (fleet_json_array(args, "edits") && json_object_array_length(fleet_json_array(args, "edits")) > 0)
		store->scrub_due = true;
	return fleet_db_run(store->db, st, err);
}

static int finish_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct change *c = (struct change *)request;
	enum command_state now = COMMAND_QUEUED;
	sqlite3_stmt *st;
	int r = stored_state(store->db, c->id, &now, err);

	if (r < 0)
		return r;
	if (!command_state_is_final(c->state))
		return fleet_error_set(
			err, -EINVAL, "'%s' is no end of a command", command_state_to_string(c->state));
	if (command_state_is_final(now) &&
		!(now == COMMAND_UNKNOWN && (c->state == COMMAND_SUCCEEDED || c->state == COMMAND_FAILED ||
						    c->state == COMMAND_EXPIRED)))
		return fleet_error_set(err, -EALREADY, "command %s has ended before: %s", c->id,
			command_state_to_string(now));
	st = fleet_db_statement(store->db,
		"UPDATE commands SET state = ?1, result = ?2, message = ?3,"
		" started_ms = CASE ?4 WHEN 0 THEN started_ms ELSE ?4 END, finished_ms = ?5 WHERE id = ?6");
	fleet_db_bind_text(st, 1, command_state_to_string(c->state));
	fleet_db_bind_text(st, 2, c->result);
	fleet_db_bind_text(st, 3, c->message);
	fleet_db_bind_int(st, 4, c->started_ms);
	fleet_db_bind_int(st, 5, c->finished_ms);
	fleet_db_bind_text(st, 6, c->id);
	r = fleet_db_run(store->db, st, err);
	if (r >= 0 && c->state != COMMAND_UNKNOWN)
		r = forget_values(store, c->id, err);
	if (r < 0)
		return r;
	return store_audit_insert(store, &c->change.event, &request->appended, err);
}

static void change_done(struct store_request *request)
{
	struct change *c = (struct change *)request;

	free(c->id);
	free(c->result);
	free(c->message);
	store_change_done(request);
}

void store_command_advance(struct store *store, const char *command_id, enum command_state state,
	int64_t at_ms, store_done *done, void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct change), true, false, advance_run, store_change_finish, change_done};
	struct change *c = store_request_new(&kind);

	c->id = xstrdup(command_id);
	c->state = state;
	c->started_ms = at_ms;
	store_change_submit(store, c, NULL, done, arg);
}

void store_command_finish(struct store *store, const char *command_id, enum command_state state,
	struct json_object *result, const char *message, int64_t started_ms, int64_t finished_ms,
	const struct audit_event *outcome, store_done *done, void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct change), true, false, finish_run, store_change_finish, change_done};
	struct change *c = store_request_new(&kind);

	c->id = xstrdup(command_id);
	c->state = state;
	c->result = result ? xstrdup(fleet_json_text(result, NULL)) : NULL;
	c->message = xstrdup(message);
	c->started_ms = started_ms;
	c->finished_ms = finished_ms ? finished_ms : fleet_clock_wall_ms();
	c->change.request.agent_id = outcome && outcome->in_order ? xstrdup(outcome->agent_id) : NULL;
	store_change_submit(store, c, outcome, done, arg);
}
