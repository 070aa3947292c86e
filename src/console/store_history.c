/* What changed a config file: pushes from the table of commands and changes outside Fleet from the audit log,
 * merged by time. A cursor names the last row of each. */
#include "console/store_internal.h"
#include "fleet/clock.h"
#include "fleet/limits.h"

struct history {
	struct store_request request;
	char *agent_id, *app_id, *file; /* owned; file NULL: any */
	struct page_copy page;
	struct json_object *array; /* owned */
	char *next;                /* owned */
	store_list *done;
	void *arg;
};
/* One of the two sources: its next row, made ready. */
struct source {
	sqlite3_stmt *st;
	struct json_object *entry; /* owned; NULL: at its end */
	int64_t position, at_ms;   /* of entry */
	int64_t shown;             /* the last one that was shown */
};

static bool take_position(const char **at, int64_t *ret)
{
	char *end = NULL;

	if (**at < '0' || **at > '9')
		return false;
	errno = 0;
	*ret = strtoll(*at, &end, 10);
	*at = end;
	return errno == 0;
}

static int parse_cursor(
	const struct page_copy *page, int64_t *ret_command, int64_t *ret_event, struct fleet_error *err)
{
	const char *p = page->cursor;
	int64_t command, event;

	*ret_command = *ret_event = INT64_MAX;
	if (!p)
		return 0;
	if (*p++ != 'h' || !take_position(&p, &command) || *p++ != '.' || !take_position(&p, &event) || *p)
		return fleet_error_set(err, -EINVAL, "the cursor is none that this list gave");
	*ret_command = command;
	*ret_event = event;
	return 0;
}

static bool is_of_file(const struct history *h, const char *file)
{
	return !h->file || str_equal(h->file, file ? file : "main");
}

static struct json_object *push_to_entry(const struct command *c)
{
	static const char *const members[] = {"commandId", "actor", "file", "state", "message", "restoreOf",
		"rolledBack", "errorCode", "changedKeys", "diff", "hash", "finishedAt"};
	_cleanup_json_ struct json_object *command = command_to_json(c);
	struct json_object *entry = json_object_new_object();

	fleet_json_add_string(entry, "kind", "push");
	fleet_json_add_time(entry, "timestamp", c->created_ms);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(members); i++)
		fleet_json_add(entry, members[i], json_object_get(fleet_json_get(command, members[i])));
	return entry;
}

/* Steps to the next push that was meant. */
static int next_push(struct history *h, struct store *store, struct source *s, struct fleet_error *err)
{
	int r;

	while ((r = fleet_db_step(store->db, s->st, err)) > 0) {
		struct command *c = NULL;

		r = store_row_to_command(s->st, &c, err);
		if (r < 0)
			return r;
		if (!fleet_json_bool(c->args, "dryRun", false) &&
			is_of_file(h, fleet_json_string(c->args, "file")))
			s->entry = push_to_entry(c);
		s->position = sqlite3_column_int64(s->st, 0);
		s->at_ms = c->created_ms;
		command_unref(c);
		if (s->entry)
			return 0;
	}
	return r;
}

static struct json_object *event_to_entry(sqlite3_stmt *st, struct json_object *details)
{
	struct json_object *entry = json_object_new_object();
	const char *file = fleet_json_string(details, "file");

	fleet_json_add_string(entry, "kind", "outside");
	fleet_json_add_time(entry, "timestamp", sqlite3_column_int64(st, 1));
	fleet_json_add_string(entry, "file", file ? file : "main");
	fleet_json_add_string(entry, "message", fleet_db_column_text(st, 2));
	fleet_json_add(entry, "changedKeys", json_object_get(fleet_json_array(details, "keys")));
	fleet_json_add_string(entry, "hash", fleet_json_string(details, "hash"));
	return entry;
}

static int next_event(struct history *h, struct store *store, struct source *s, struct fleet_error *err)
{
	int r;

	while ((r = fleet_db_step(store->db, s->st, err)) > 0) {
		_cleanup_json_ struct json_object *details = NULL;
		const char *text = fleet_db_column_text(s->st, 3);

		if (text && fleet_json_parse(text, strlen(text), FLEET_MESSAGE_MAX, &details, NULL) < 0)
			continue;
		s->position = sqlite3_column_int64(s->st, 0);
		s->at_ms = sqlite3_column_int64(s->st, 1);
		if (!fleet_json_bool(details, "outside", false) ||
			!is_of_file(h, fleet_json_string(details, "file")))
			continue;
		s->entry = event_to_entry(s->st, details);
		return 0;
	}
	return r;
}

static int merge(struct history *h, struct store *store, struct source *pushes, struct source *events,
	struct fleet_error *err)
{
	int r = next_push(h, store, pushes, err);

	if (r >= 0)
		r = next_event(h, store, events, err);
	while (r >= 0 && (pushes->entry || events->entry)) {
		bool push = pushes->entry && (!events->entry || pushes->at_ms >= events->at_ms);
		struct source *s = push ? pushes : events;

		if (json_object_array_length(h->array) == (size_t)h->page.limit) {
			h->next = xasprintf("h%lld.%lld", (long long)pushes->shown, (long long)events->shown);
			return 0;
		}
		(void)json_object_array_add(
			h->array, TAKE_PTR(s->entry)); /* fails for want of memory alone */
		s->shown = s->position;
		r = push ? next_push(h, store, s, err) : next_event(h, store, s, err);
	}
	return r;
}

static int history_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct history *h = (struct history *)request;
	struct source pushes = {0}, events = {0};
	int r = parse_cursor(&h->page, &pushes.shown, &events.shown, err);

	if (r < 0)
		return r;
	h->array = json_object_new_array();
	pushes.st = fleet_db_statement(store->db,
		STORE_COMMAND_COLUMNS " WHERE agent_id = ?1 AND app_id = ?2 AND n < ?3 "
				      "AND action = 'push-config' ORDER BY n DESC");
	events.st =
		fleet_db_statement(store->db, "SELECT seq, timestamp_ms, message, details FROM audit WHERE "
					      "agent_id = ?1 AND app_id = ?2 AND seq < ?3 AND category = "
					      "'config' AND command_id IS NULL ORDER BY seq DESC");
	fleet_db_bind_text(pushes.st, 1, h->agent_id);
	fleet_db_bind_text(pushes.st, 2, h->app_id);
	fleet_db_bind_int(pushes.st, 3, pushes.shown);
	fleet_db_bind_text(events.st, 1, h->agent_id);
	fleet_db_bind_text(events.st, 2, h->app_id);
	fleet_db_bind_int(events.st, 3, events.shown);
	r = merge(h, store, &pushes, &events, err);
	sqlite3_reset(pushes.st);
	sqlite3_reset(events.st);
	json_object_put(pushes.entry);
	json_object_put(events.entry);
	return r;
}

static void history_finish(struct store *store, struct store_request *request)
{
	struct history *h = (struct history *)request;

	(void)store;
	h->done(request->result, h->array, h->next, &request->error, h->arg);
}

static void history_done(struct store_request *request)
{
	struct history *h = (struct history *)request;

	free(h->agent_id);
	free(h->app_id);
	free(h->file);
	free(h->page.cursor);
	free(h->next);
	json_object_put(h->array);
}

void store_config_history(struct store *store, const struct config_file *file, struct store_page page,
	store_list *done, void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct history), false, false, history_run, history_finish, history_done};
	struct history *h = store_request_new(&kind);

	h->agent_id = xstrdup(file->agent_id);
	h->app_id = xstrdup(file->app_id);
	h->file = xstrdup(file->file);
	store_page_copy(&h->page, page, FLEET_PAGE_DEFAULT);
	h->done = done;
	h->arg = arg;
	store_submit(store, h);
}
