/* Commands: created with the word of who asked, moved forward, ended once with their outcome. */
#include "console/store_internal.h"
#include "fleet/clock.h"
#include "fleet/limits.h"

#define IDEMPOTENCY_MS (INT64_C(24) * 3600 * 1000)
#define TAIL_MIN       6
#define COLUMNS                                                                                              \
	"SELECT n, id, action, state, agent_id, app_id, actor, source_address, args, jws, created_ms, "      \
	"expires_ms,"                                                                                        \
	" started_ms, finished_ms, result, message FROM commands"

/* --- rows --- */

/* The id backwards, in lower case, as the column tail has it; owned. */
static char *reversed(const char *id)
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

static int parse_column(sqlite3_stmt *st, int column, struct json_object **ret, struct fleet_error *err)
{
	const char *text = fleet_db_column_text(st, column);

	if (!text)
		return 0;
	/* what was kept was parsed within its bounds before; escaping may have made it longer */
	return fleet_json_parse(text, strlen(text), 8 * FLEET_MESSAGE_MAX, ret, err);
}

/* The current row of a COLUMNS statement; one reference. */
static int row_to_command(sqlite3_stmt *st, struct command **ret, struct fleet_error *err)
{
	struct command *c = command_new();
	int r;

	snprintf(c->id, sizeof(c->id), "%s", fleet_db_column_text(st, 1));
	r = fleet_action_from_string(fleet_db_column_text(st, 2), &c->action);
	if (r >= 0)
		r = command_state_from_string(fleet_db_column_text(st, 3), &c->state);
	if (r < 0)
		fleet_error_set(
			err, r, "command %s has an action or a state that this program does not know", c->id);
	c->agent_id = xstrdup(fleet_db_column_text(st, 4));
	c->app_id = xstrdup(fleet_db_column_text(st, 5));
	c->actor = xstrdup(fleet_db_column_text(st, 6));
	c->source_address = xstrdup(fleet_db_column_text(st, 7));
	c->jws = xstrdup(fleet_db_column_text(st, 9));
	c->created_ms = sqlite3_column_int64(st, 10);
	c->expires_ms = sqlite3_column_int64(st, 11);
	c->started_ms = sqlite3_column_int64(st, 12);
	c->finished_ms = sqlite3_column_int64(st, 13);
	c->message = xstrdup(fleet_db_column_text(st, 15));
	if (r >= 0)
		r = parse_column(st, 8, &c->args, err);
	if (r >= 0)
		r = parse_column(st, 14, &c->result, err);
	if (r < 0) {
		command_unref(c);
		return r;
	}
	*ret = c;
	return 0;
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

/* 1 the key is known and existing is filled, 0 not. */
static int find_key(struct fleet_db *db, struct create *c, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(db, "DELETE FROM idempotency WHERE created_ms < ?");
	int r;

	fleet_db_bind_int(st, 1, c->created_ms - IDEMPOTENCY_MS);
	r = fleet_db_run(db, st, err);
	if (r < 0)
		return r;
	st = fleet_db_statement(db, "SELECT command_id FROM idempotency WHERE actor = ? AND key = ?");
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
	_cleanup_free_ char *tail = reversed(c->id);
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

/* --- advance and finish --- */

struct change {
	struct store_request request;
	char *id, *result, *message; /* owned */
	enum command_state state;
	int64_t started_ms, finished_ms;
	struct audit_copy event;
	store_done *done;
	void *arg;
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
		!(now == COMMAND_UNKNOWN && (c->state == COMMAND_SUCCEEDED || c->state == COMMAND_FAILED)))
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
	if (r < 0)
		return r;
	return store_audit_insert(store, &c->event, &request->appended, err);
}

static void change_finish(struct store *store, struct store_request *request)
{
	struct change *c = (struct change *)request;

	(void)store;
	if (c->done)
		c->done(request->result, &request->error, c->arg);
}

static void change_done(struct store_request *request)
{
	struct change *c = (struct change *)request;

	free(c->id);
	free(c->result);
	free(c->message);
	store_audit_copy_done(&c->event);
}

void store_command_advance(struct store *store, const char *command_id, enum command_state state,
	int64_t at_ms, store_done *done, void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct change), true, false, advance_run, change_finish, change_done};
	struct change *c = store_request_new(&kind);

	c->id = xstrdup(command_id);
	c->state = state;
	c->started_ms = at_ms;
	c->done = done;
	c->arg = arg;
	store_submit(store, c);
}

void store_command_finish(struct store *store, const char *command_id, enum command_state state,
	struct json_object *result, const char *message, int64_t started_ms, int64_t finished_ms,
	const struct audit_event *outcome, store_done *done, void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct change), true, false, finish_run, change_finish, change_done};
	struct change *c = store_request_new(&kind);

	c->id = xstrdup(command_id);
	c->state = state;
	c->result = result ? xstrdup(fleet_json_text(result, NULL)) : NULL;
	c->message = xstrdup(message);
	c->started_ms = started_ms;
	c->finished_ms = finished_ms ? finished_ms : fleet_clock_wall_ms();
	store_audit_copy(&c->event, outcome);
	c->done = done;
	c->arg = arg;
	store_submit(store, c);
}

/* --- get --- */

struct get {
	struct store_request request;
	char *tail;              /* owned: the id or its end, backwards */
	struct command *command; /* one reference */
	void (*done)(int result, struct command *command, const struct fleet_error *err, void *arg);
	void *arg;
};

static int get_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct get *g = (struct get *)request;
	_cleanup_free_ char *shown = reversed(g->tail);
	sqlite3_stmt *st;
	int r;

	if (strlen(g->tail) < TAIL_MIN)
		return fleet_error_set(err, -EINVAL,
			"'%.40s' is too short: a command is named by six or more of its last characters",
			shown);
	st = fleet_db_statement(
		store->db, COLUMNS " WHERE tail >= ?1 AND tail < ?1 || 'g' ORDER BY tail LIMIT 2");
	fleet_db_bind_text(st, 1, g->tail);
	r = fleet_db_step(store->db, st, err);
	if (r == 0)
		return fleet_error_set(err, -ENOENT, "there is no command %.40s", shown);
	if (r > 0)
		r = row_to_command(st, &g->command, err);
	if (r >= 0)
		r = fleet_db_step(store->db, st, err);
	sqlite3_reset(st);
	if (r > 0)
		return fleet_error_set(
			err, -ENOTUNIQ, "several commands end in %.40s: give more of the id", shown);
	return r;
}

static void get_finish(struct store *store, struct store_request *request)
{
	struct get *g = (struct get *)request;

	(void)store;
	g->done(request->result, request->result < 0 ? NULL : g->command, &request->error, g->arg);
}

static void get_done(struct store_request *request)
{
	struct get *g = (struct get *)request;

	free(g->tail);
	command_unref(g->command);
}

void store_command_get(struct store *store, const char *id_or_tail,
	void (*done)(int result, struct command *command, const struct fleet_error *err, void *arg),
	void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct get), false, false, get_run, get_finish, get_done};
	struct get *g = store_request_new(&kind);

	g->tail = reversed(id_or_tail);
	g->done = done;
	g->arg = arg;
	store_submit(store, g);
}

/* --- query --- */

struct command_query {
	struct store_request request;
	char *agent_id, *app_id; /* owned */
	const char *state;       /* static; NULL any */
	struct page_copy page;
	struct json_object *array; /* owned */
	char *next;                /* owned */
	store_list *done;
	void *arg;
};

static int query_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct command_query *q = (struct command_query *)request;
	const struct store_condition conditions[] = {
		{.sql = "agent_id = ?", .text = q->agent_id},
		{.sql = "app_id = ?", .text = q->app_id},
		{.sql = "state = ?", .text = q->state},
	};
	int64_t position, last = 0;
	sqlite3_stmt *st;
	int r = store_page_position(&q->page, 'c', &position, err);

	if (r < 0)
		return r;
	q->array = json_object_new_array();
	st = store_select_page(store->db, COLUMNS, "n", position, conditions, FLEET_ARRAY_LEN(conditions),
		q->page.limit + 1);
	while ((r = fleet_db_step(store->db, st, err)) > 0) {
		struct command *c = NULL;

		if (json_object_array_length(q->array) == (size_t)q->page.limit) {
			q->next = store_page_cursor('c', last);
			sqlite3_reset(st);
			return 0;
		}
		last = sqlite3_column_int64(st, 0);
		r = row_to_command(st, &c, err);
		if (r < 0) {
			sqlite3_reset(st);
			return r;
		}
		(void)json_object_array_add(
			q->array, command_to_json(c)); /* fails for want of memory alone */
		command_unref(c);
	}
	return r;
}

static void query_finish(struct store *store, struct store_request *request)
{
	struct command_query *q = (struct command_query *)request;

	(void)store;
	q->done(request->result, q->array, q->next, &request->error, q->arg);
}

static void query_done(struct store_request *request)
{
	struct command_query *q = (struct command_query *)request;

	free(q->agent_id);
	free(q->app_id);
	free(q->page.cursor);
	free(q->next);
	json_object_put(q->array);
}

void store_command_query(struct store *store, const struct command_filter *filter, struct store_page page,
	store_list *done, void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct command_query), false, false, query_run, query_finish, query_done};
	struct command_query *q = store_request_new(&kind);

	if (filter) {
		q->agent_id = xstrdup(filter->agent_id);
		q->app_id = xstrdup(filter->app_id);
		q->state = filter->by_state ? command_state_to_string(filter->state) : NULL;
	}
	store_page_copy(&q->page, page, FLEET_PAGE_DEFAULT);
	q->done = done;
	q->arg = arg;
	store_submit(store, q);
}

/* --- what was open when the console stopped --- */

struct open_commands {
	struct store_request request;
	struct command **items; /* owned, a reference each */
	size_t count;
};

static int open_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct open_commands *o = (struct open_commands *)request;
	sqlite3_stmt *st = fleet_db_statement(store->db,
		COLUMNS " WHERE state IN ('queued', 'sent', 'accepted', 'running', 'unknown') ORDER BY n");
	int r;

	while ((r = fleet_db_step(store->db, st, err)) > 0) {
		o->items = xreallocarray(o->items, o->count + 1, sizeof(*o->items));
		r = row_to_command(st, &o->items[o->count], err);
		if (r < 0) {
			sqlite3_reset(st);
			return r;
		}
		o->count++;
	}
	return r;
}

static void open_done(struct store_request *request)
{
	struct open_commands *o = (struct open_commands *)request;

	for (size_t i = 0; i < o->count; i++)
		command_unref(o->items[i]);
	free(o->items);
}

int store_commands_open(struct store *store, void (*each)(struct command *command, void *arg), void *arg,
	struct fleet_error *err)
{
	static const struct store_kind kind = {
		sizeof(struct open_commands), false, false, open_run, NULL, open_done};
	struct open_commands *o = store_request_new(&kind);
	int r;

	store_run_and_wait(store, o);
	r = o->request.result;
	if (r < 0 && err)
		*err = o->request.error;
	for (size_t i = 0; r >= 0 && i < o->count; i++)
		each(o->items[i], arg);
	store_request_free(&o->request);
	return r;
}
