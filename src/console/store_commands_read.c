/* Commands as they are asked for: one by its id, lists, and what was open when the console stopped. */
#include "console/store_internal.h"
#include "fleet/limits.h"

#define TAIL_MIN 6

static int parse_column(sqlite3_stmt *st, int column, struct json_object **ret, struct fleet_error *err)
{
	const char *text = fleet_db_column_text(st, column);

	if (!text)
		return 0;
	/* what was kept was parsed within its bounds before; escaping may have made it longer */
	return fleet_json_parse(text, strlen(text), 8 * FLEET_MESSAGE_MAX, ret, err);
}

int store_row_to_command(sqlite3_stmt *st, struct command **ret, struct fleet_error *err)
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
	_cleanup_free_ char *shown = store_command_tail(g->tail);
	sqlite3_stmt *st;
	int r;

	if (strlen(g->tail) < TAIL_MIN)
		return fleet_error_set(err, -EINVAL,
			"'%.40s' is too short: a command is named by six or more of its last characters",
			shown);
	st = fleet_db_statement(store->db,
		STORE_COMMAND_COLUMNS " WHERE tail >= ?1 AND tail < ?1 || 'g' ORDER BY tail LIMIT 2");
	fleet_db_bind_text(st, 1, g->tail);
	r = fleet_db_step(store->db, st, err);
	if (r == 0)
		return fleet_error_set(err, -ENOENT, "there is no command %.40s", shown);
	if (r > 0)
		r = store_row_to_command(st, &g->command, err);
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

	g->tail = store_command_tail(id_or_tail);
	g->done = done;
	g->arg = arg;
	store_submit(store, g);
}

/* --- query --- */

struct command_query {
	struct store_request request;
	char *agent_id, *app_id, *only_agents; /* owned */
	const char *state;                     /* static; NULL any */
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
		{.sql = STORE_ONLY_AGENTS, .text = q->only_agents},
	};
	int64_t position, last = 0;
	sqlite3_stmt *st;
	int r = store_page_position(&q->page, 'c', &position, err);

	if (r < 0)
		return r;
	q->array = json_object_new_array();
	st = store_select_page(store->db, STORE_COMMAND_COLUMNS, "n", position, conditions,
		FLEET_ARRAY_LEN(conditions), q->page.limit + 1);
	while ((r = fleet_db_step(store->db, st, err)) > 0) {
		struct json_object *json;
		struct command *c = NULL;

		if (json_object_array_length(q->array) == (size_t)q->page.limit) {
			q->next = store_page_cursor('c', last);
			sqlite3_reset(st);
			return 0;
		}
		last = sqlite3_column_int64(st, 0);
		r = store_row_to_command(st, &c, err);
		if (r < 0) {
			sqlite3_reset(st);
			return r;
		}
		json = command_to_json(c);
		json_object_object_del(
			json, "unifiedDiff"); /* a list has no room for it: the command itself does */
		(void)json_object_array_add(q->array, json); /* fails for want of memory alone */
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
	free(q->only_agents);
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
		if (filter->only_agents)
			q->only_agents = xstrdup(fleet_json_text(filter->only_agents, NULL));
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
	sqlite3_stmt *st = fleet_db_statement(store->db, STORE_COMMAND_COLUMNS
		" WHERE state IN ('queued', 'sent', 'accepted', 'running', 'unknown') ORDER BY n");
	int r;

	while ((r = fleet_db_step(store->db, st, err)) > 0) {
		o->items = xreallocarray(o->items, o->count + 1, sizeof(*o->items));
		r = store_row_to_command(st, &o->items[o->count], err);
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
