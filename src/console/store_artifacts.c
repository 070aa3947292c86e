/* Artifacts: registered and removed together with the word of who did it. */
#include "console/store_internal.h"

/* --- add and remove --- */

struct artifact_change {
	struct store_change change;
	struct artifact *artifact; /* owned */
};

static int add_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct artifact_change *c = (struct artifact_change *)request;
	const struct artifact *a = c->artifact;
	sqlite3_stmt *st = fleet_db_statement(store->db,
		"INSERT INTO artifacts (id, app_id, version, url, sha256, signature, bytes, added_by, "
		"added_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
	int r;

	fleet_db_bind_text(st, 1, a->id);
	fleet_db_bind_text(st, 2, a->app_id);
	fleet_db_bind_text(st, 3, a->version);
	fleet_db_bind_text(st, 4, a->url);
	fleet_db_bind_text(st, 5, a->sha256[0] ? a->sha256 : NULL);
	fleet_db_bind_text(st, 6, a->signature);
	fleet_db_bind_int(st, 7, a->bytes);
	fleet_db_bind_text(st, 8, a->added_by);
	fleet_db_bind_int(st, 9, a->added_ms);
	r = fleet_db_run(store->db, st, err);
	return r < 0 ? r : store_audit_insert(store, &c->change.event, &request->appended, err);
}

static int remove_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct artifact_change *c = (struct artifact_change *)request;
	sqlite3_stmt *st = fleet_db_statement(store->db, "DELETE FROM artifacts WHERE id = ?");
	int r;

	fleet_db_bind_text(st, 1, c->artifact->id);
	r = fleet_db_run(store->db, st, err);
	if (r >= 0 && fleet_db_changes(store->db) == 0)
		return fleet_error_set(err, -ENOENT, "there is no artifact %s", c->artifact->id);
	return r < 0 ? r : store_audit_insert(store, &c->change.event, &request->appended, err);
}

static void change_done(struct store_request *request)
{
	struct artifact_change *c = (struct artifact_change *)request;

	artifact_free(c->artifact);
	store_change_done(request);
}

static void submit(struct store *store, const struct store_kind *kind, const struct artifact *artifact,
	const struct audit_event *event, store_done *done, void *arg)
{
	struct artifact_change *c = store_request_new(kind);

	c->artifact = artifact_copy(artifact);
	store_change_submit(store, c, event, done, arg);
}

void store_artifact_add(struct store *store, const struct artifact *artifact, const struct audit_event *event,
	store_done *done, void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct artifact_change), true, false, add_run, store_change_finish, change_done};

	submit(store, &kind, artifact, event, done, arg);
}

void store_artifact_remove(struct store *store, const struct artifact *artifact,
	const struct audit_event *event, store_done *done, void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct artifact_change), true, false, remove_run, store_change_finish, change_done};

	submit(store, &kind, artifact, event, done, arg);
}

/* --- all of them, at start --- */

struct artifact_load {
	struct store_request request;
	struct artifact **items; /* owned */
	size_t count;
};

static struct artifact *row_to_artifact(sqlite3_stmt *st)
{
	struct artifact *a = xcalloc(1, sizeof(*a));
	const char *sha256 = fleet_db_column_text(st, 4);

	snprintf(a->id, sizeof(a->id), "%s", fleet_db_column_text(st, 0));
	a->app_id = xstrdup(fleet_db_column_text(st, 1));
	a->version = xstrdup(fleet_db_column_text(st, 2));
	a->url = xstrdup(fleet_db_column_text(st, 3));
	snprintf(a->sha256, sizeof(a->sha256), "%s", sha256 ? sha256 : "");
	a->signature = xstrdup(fleet_db_column_text(st, 5));
	a->bytes = sqlite3_column_int64(st, 6);
	a->added_by = xstrdup(fleet_db_column_text(st, 7));
	a->added_ms = sqlite3_column_int64(st, 8);
	return a;
}

static int load_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct artifact_load *l = (struct artifact_load *)request;
	sqlite3_stmt *st = fleet_db_statement(store->db,
		"SELECT id, app_id, version, url, sha256, signature, bytes, added_by, added_ms FROM "
		"artifacts ORDER BY n");
	int r;

	while ((r = fleet_db_step(store->db, st, err)) > 0) {
		l->items = xreallocarray(l->items, l->count + 1, sizeof(struct artifact *));
		l->items[l->count++] = row_to_artifact(st);
	}
	return r;
}

static void load_done(struct store_request *request)
{
	struct artifact_load *l = (struct artifact_load *)request;

	for (size_t i = 0; i < l->count; i++)
		artifact_free(l->items[i]);
	free(l->items);
}

int store_artifacts_load(struct store *store, void (*each)(struct artifact *takes_artifact, void *arg),
	void *arg, struct fleet_error *err)
{
	static const struct store_kind kind = {
		sizeof(struct artifact_load), false, false, load_run, NULL, load_done};
	struct artifact_load *l = store_request_new(&kind);
	int r;

	store_run_and_wait(store, l);
	r = l->request.result;
	if (r < 0 && err)
		*err = l->request.error;
	for (size_t i = 0; r >= 0 && i < l->count; i++)
		each(TAKE_PTR(l->items[i]), arg);
	store_request_free(&l->request);
	return r;
}
