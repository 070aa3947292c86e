/* The settings of config files as they were read each time that a file had changed: a bounded number for each
 * file. */
#include "console/store_internal.h"
#include "fleet/clock.h"
#include "fleet/limits.h"

struct snapshot {
	struct store_request request;
	char *agent_id, *app_id, *file, *hash, *settings; /* owned */
	int64_t at_ms;                                    /* due: of the newest */
	struct page_copy page;
	struct json_object *array; /* owned */
	char *next;                /* owned */
	void (*due_done)(int result, int64_t newest_ms, void *arg);
	store_list *list_done;
	void *arg;
};

static void snapshot_done(struct store_request *request)
{
	struct snapshot *s = (struct snapshot *)request;

	free(s->agent_id);
	free(s->app_id);
	free(s->file);
	free(s->hash);
	free(s->settings);
	free(s->page.cursor);
	free(s->next);
	json_object_put(s->array);
}

static struct snapshot *snapshot_new(
	const struct store_kind *kind, const struct config_file *file, const char *hash)
{
	struct snapshot *s = store_request_new(kind);

	s->agent_id = xstrdup(file->agent_id);
	s->app_id = xstrdup(file->app_id);
	s->file = xstrdup(file->file);
	s->hash = xstrdup(hash);
	return s;
}

static void bind_file(sqlite3_stmt *st, const struct snapshot *s)
{
	fleet_db_bind_text(st, 1, s->agent_id);
	fleet_db_bind_text(st, 2, s->app_id);
	fleet_db_bind_text(st, 3, s->file);
}

/* --- due? --- */

/* 1: another hash than the newest, or there is none. */
static int differs_from_newest(
	struct fleet_db *db, const struct snapshot *s, int64_t *ret_ms, struct fleet_error *err)
{
	sqlite3_stmt *st =
		fleet_db_statement(db, "SELECT hash, at_ms FROM snapshots WHERE agent_id = ? AND app_id = ? "
				       "AND file = ? ORDER BY n DESC LIMIT 1");
	int r;

	bind_file(st, s);
	r = fleet_db_step(db, st, err);
	*ret_ms = r > 0 ? sqlite3_column_int64(st, 1) : 0;
	if (r >= 0)
		r = r == 0 || !str_equal(fleet_db_column_text(st, 0), s->hash);
	sqlite3_reset(st);
	return r;
}

static int due_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct snapshot *s = (struct snapshot *)request;

	return differs_from_newest(store->db, s, &s->at_ms, err);
}

static void due_finish(struct store *store, struct store_request *request)
{
	struct snapshot *s = (struct snapshot *)request;

	(void)store;
	s->due_done(request->result, s->at_ms, s->arg);
}

void store_snapshot_due(struct store *store, const struct config_file *file, const char *hash,
	void (*done)(int result, int64_t newest_ms, void *arg), void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct snapshot), false, false, due_run, due_finish, snapshot_done};
	struct snapshot *s = snapshot_new(&kind, file, hash);

	s->due_done = done;
	s->arg = arg;
	store_submit(store, s);
}

/* --- add --- */

static int add_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct snapshot *s = (struct snapshot *)request;
	int64_t newest_ms;
	sqlite3_stmt *st;
	int r = differs_from_newest(store->db, s, &newest_ms, err);

	if (r <= 0)
		return r;
	st = fleet_db_statement(store->db, "INSERT INTO snapshots (agent_id, app_id, file, hash, at_ms, "
					   "settings) VALUES (?, ?, ?, ?, ?, ?)");
	bind_file(st, s);
	fleet_db_bind_text(st, 4, s->hash);
	fleet_db_bind_int(st, 5, s->at_ms);
	fleet_db_bind_text(st, 6, s->settings);
	r = fleet_db_run(store->db, st, err);
	if (r < 0)
		return r;
	st = fleet_db_statement(store->db, "DELETE FROM snapshots WHERE agent_id = ?1 AND app_id = ?2 AND "
					   "file = ?3 AND n <= (SELECT n FROM "
					   "snapshots WHERE agent_id = ?1 AND app_id = ?2 AND file = ?3 "
					   "ORDER BY n DESC LIMIT 1 OFFSET ?4)");
	bind_file(st, s);
	fleet_db_bind_int(st, 4, FLEET_SNAPSHOTS_PER_FILE);
	return fleet_db_run(store->db, st, err);
}

void store_snapshot_add(struct store *store, const struct config_file *file, const char *hash, int64_t at_ms,
	struct json_object *settings)
{
	static const struct store_kind kind = {
		sizeof(struct snapshot), true, true, add_run, NULL, snapshot_done};
	struct snapshot *s = snapshot_new(&kind, file, hash);
	size_t len = 0;
	const char *text = settings ? fleet_json_text(settings, &len) : NULL;

	s->at_ms = at_ms;
	if (text && len <= FLEET_SNAPSHOT_MAX)
		s->settings = xstrdup(text);
	store_submit(store, s);
}

/* --- query --- */

static int query_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct snapshot *s = (struct snapshot *)request;
	const struct store_condition conditions[] = {
		{.sql = "agent_id = ?", .text = s->agent_id},
		{.sql = "app_id = ?", .text = s->app_id},
		{.sql = "file = ?", .text = s->file},
	};
	int64_t position, last = 0;
	sqlite3_stmt *st;
	int r = store_page_position(&s->page, 's', &position, err);

	if (r < 0)
		return r;
	s->array = json_object_new_array();
	st = store_select_page(store->db, "SELECT n, file, hash, at_ms, settings FROM snapshots", "n",
		position, conditions, FLEET_ARRAY_LEN(conditions), s->page.limit + 1);
	while ((r = fleet_db_step(store->db, st, err)) > 0) {
		struct json_object *item, *settings = NULL;
		const char *text = fleet_db_column_text(st, 4);

		if (json_object_array_length(s->array) == (size_t)s->page.limit) {
			s->next = store_page_cursor('s', last);
			sqlite3_reset(st);
			return 0;
		}
		last = sqlite3_column_int64(st, 0);
		item = json_object_new_object();
		fleet_json_add_string(item, "file", fleet_db_column_text(st, 1));
		fleet_json_add_string(item, "hash", fleet_db_column_text(st, 2));
		fleet_json_add_time(item, "readAt", sqlite3_column_int64(st, 3));
		if (text &&
			fleet_json_parse(text, strlen(text), 8 * FLEET_SNAPSHOT_MAX, &settings, NULL) >= 0)
			fleet_json_add(item, "settings", settings);
		(void)json_object_array_add(s->array, item); /* fails for want of memory alone */
	}
	return r;
}

static void query_finish(struct store *store, struct store_request *request)
{
	struct snapshot *s = (struct snapshot *)request;

	(void)store;
	s->list_done(request->result, s->array, s->next, &request->error, s->arg);
}

void store_snapshot_query(struct store *store, const struct config_file *file, struct store_page page,
	store_list *done, void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct snapshot), false, false, query_run, query_finish, snapshot_done};
	struct snapshot *s = snapshot_new(&kind, file, NULL);

	store_page_copy(&s->page, page, FLEET_PAGE_DEFAULT);
	s->list_done = done;
	s->arg = arg;
	store_submit(store, s);
}
