/* What the registry knows about agents, written behind, and their heartbeats. */
#include "console/store_internal.h"
#include "fleet/clock.h"
#include "fleet/limits.h"

struct word { /* about an agent */
	struct store_request request;
	char *agent_id, *text; /* owned */
	int64_t at_ms;
};

static void word_done(struct store_request *request)
{
	struct word *w = (struct word *)request;

	free(w->agent_id);
	free(w->text);
}

static int run_insert(struct store *store, const struct word *w, const char *sql, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(store->db, sql);

	fleet_db_bind_text(st, 1, w->agent_id);
	fleet_db_bind_int(st, 2, w->at_ms);
	fleet_db_bind_text(st, 3, w->text);
	return fleet_db_run(store->db, st, err);
}

static int save_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	return run_insert(store, (struct word *)request,
		"INSERT OR REPLACE INTO agents (agent_id, saved_ms, agent) VALUES (?, ?, ?)", err);
}

static int heartbeat_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	return run_insert(store, (struct word *)request,
		"INSERT OR REPLACE INTO heartbeats (agent_id, at_ms, metrics) VALUES (?, ?, ?)", err);
}

static void submit(struct store *store, const struct store_kind *kind, const char *agent_id, int64_t at_ms,
	struct json_object *object)
{
	struct word *w = store_request_new(kind);

	w->agent_id = xstrdup(agent_id);
	w->at_ms = at_ms;
	w->text = xstrdup(fleet_json_text(object, NULL));
	store_submit(store, w);
}

void store_agent_save(struct store *store, const char *agent_id, struct json_object *agent)
{
	static const struct store_kind kind = {sizeof(struct word), true, true, save_run, NULL, word_done};

	submit(store, &kind, agent_id, fleet_clock_wall_ms(), agent);
}

void store_heartbeat_add(
	struct store *store, const char *agent_id, int64_t at_ms, struct json_object *metrics)
{
	static const struct store_kind kind = {
		sizeof(struct word), true, true, heartbeat_run, NULL, word_done};

	submit(store, &kind, agent_id, at_ms, metrics);
}

struct known_agent {
	char *id;                  /* owned */
	struct json_object *agent; /* owned */
};

struct load {
	struct store_request request;
	struct known_agent *items; /* owned */
	size_t count;
};

static int load_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct load *l = (struct load *)request;
	sqlite3_stmt *st =
		fleet_db_statement(store->db, "SELECT agent_id, agent FROM agents ORDER BY agent_id");
	int r;

	while ((r = fleet_db_step(store->db, st, err)) > 0) {
		const char *text = fleet_db_column_text(st, 1);
		struct json_object *agent = NULL;

		r = fleet_json_parse(text, strlen(text), 8 * FLEET_MESSAGE_MAX, &agent, err);
		if (r < 0) {
			sqlite3_reset(st);
			return r;
		}
		l->items = xreallocarray(l->items, l->count + 1, sizeof(*l->items));
		l->items[l->count++] = (struct known_agent){xstrdup(fleet_db_column_text(st, 0)), agent};
	}
	return r;
}

static void load_done(struct store_request *request)
{
	struct load *l = (struct load *)request;

	for (size_t i = 0; i < l->count; i++) {
		free(l->items[i].id);
		json_object_put(l->items[i].agent);
	}
	free(l->items);
}

int store_agents_load(struct store *store,
	void (*each)(const char *agent_id, struct json_object *agent, void *arg), void *arg,
	struct fleet_error *err)
{
	static const struct store_kind kind = {sizeof(struct load), false, false, load_run, NULL, load_done};
	struct load *l = store_request_new(&kind);
	int r;

	store_run_and_wait(store, l);
	r = l->request.result;
	if (r < 0 && err)
		*err = l->request.error;
	for (size_t i = 0; r >= 0 && i < l->count; i++)
		each(l->items[i].id, l->items[i].agent, arg);
	store_request_free(&l->request);
	return r;
}
