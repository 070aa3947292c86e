/* The audit log as it is asked for: lists, how far a spool is held, and whether a head is in the chain. */
#include "console/store_internal.h"
#include "fleet/limits.h"

struct spool_question {
	struct store_request request;
	char *agent_id, *spool_id; /* owned */
	char *event_id;            /* owned */
	int64_t seq;
	void (*done)(int result, int64_t seq, const char *event_id, void *arg);
	void *arg;
};

static int spool_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct spool_question *q = (struct spool_question *)request;
	sqlite3_stmt *st;
	int r = store_spool_held(store->db, q->agent_id, q->spool_id, &q->seq, err);

	if (r < 0 || q->seq == 0)
		return r;
	st = fleet_db_statement(store->db, "SELECT event_id FROM audit WHERE spool_id IS NOT NULL AND "
					   "agent_id = ? AND spool_id = ? AND spool_seq = ?");
	fleet_db_bind_text(st, 1, q->agent_id);
	fleet_db_bind_text(st, 2, q->spool_id);
	fleet_db_bind_int(st, 3, q->seq);
	r = fleet_db_step(store->db, st, err);
	if (r > 0)
		q->event_id = xstrdup(fleet_db_column_text(st, 0));
	sqlite3_reset(st);
	return r < 0 ? r : 0;
}

static void spool_finish(struct store *store, struct store_request *request)
{
	struct spool_question *q = (struct spool_question *)request;

	(void)store;
	q->done(request->result, q->seq, q->event_id, q->arg);
}

static void spool_done(struct store_request *request)
{
	struct spool_question *q = (struct spool_question *)request;

	free(q->agent_id);
	free(q->spool_id);
	free(q->event_id);
}

void store_spool_seq(struct store *store, const char *agent_id, const char *spool_id,
	void (*done)(int result, int64_t seq, const char *event_id, void *arg), void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct spool_question), false, false, spool_run, spool_finish, spool_done};
	struct spool_question *q = store_request_new(&kind);

	q->agent_id = xstrdup(agent_id);
	q->spool_id = xstrdup(spool_id);
	q->done = done;
	q->arg = arg;
	store_submit(store, q);
}

struct contains {
	struct store_request request;
	struct store_head head;
	store_done *done;
	void *arg;
};

static int contains_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct contains *c = (struct contains *)request;
	sqlite3_stmt *st;
	int r;

	if (c->head.seq == 0)
		return str_equal(c->head.hash, STORE_ZERO_HASH); /* every log begins with nothing */
	st = fleet_db_statement(store->db, "SELECT 1 FROM audit WHERE seq = ? AND hash = ?");
	fleet_db_bind_int(st, 1, c->head.seq);
	fleet_db_bind_text(st, 2, c->head.hash);
	r = fleet_db_step(store->db, st, err);
	sqlite3_reset(st);
	return r;
}

static void contains_finish(struct store *store, struct store_request *request)
{
	struct contains *c = (struct contains *)request;

	(void)store;
	c->done(request->result, &request->error, c->arg);
}

void store_audit_contains(struct store *store, int64_t seq, const char *hash, store_done *done, void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct contains), false, false, contains_run, contains_finish, NULL};
	struct contains *c = store_request_new(&kind);

	c->head.seq = seq;
	snprintf(c->head.hash, sizeof(c->head.hash), "%s", strlen(hash) == STORE_HASH_LEN ? hash : "no hash");
	c->done = done;
	c->arg = arg;
	store_submit(store, c);
}

struct audit_query {
	struct store_request request;
	char *agent_id, *app_id, *category, *actor, *command_id, *only_agents; /* owned */
	int64_t from_ms, to_ms;
	bool hide_requests, oldest_first;
	struct page_copy page;
	struct json_object *array; /* owned */
	char *next;                /* owned */
	store_list *done;
	void *arg;
};

static int query_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct audit_query *q = (struct audit_query *)request;
	const struct store_condition conditions[] = {
		{.sql = "agent_id = ?", .text = q->agent_id},
		{.sql = "app_id = ?", .text = q->app_id},
		{.sql = "category = ?", .text = q->category},
		{.sql = "actor = ?", .text = q->actor},
		{.sql = "command_id = ?", .text = q->command_id},
		{.sql = "timestamp_ms >= ?", .is_number = q->from_ms != 0, .number = q->from_ms},
		{.sql = "timestamp_ms <= ?", .is_number = q->to_ms != 0, .number = q->to_ms},
		{.sql = "category <> ?", .text = q->hide_requests ? "request" : NULL},
		{.sql = STORE_ONLY_AGENTS, .text = q->only_agents},
	};
	const char letter = q->oldest_first ? 'o' : 'a';
	int64_t position, last = 0;
	sqlite3_stmt *st;
	int r = store_page_position(&q->page, letter, &position, err);

	if (r < 0)
		return r;
	q->array = json_object_new_array();
	st = q->oldest_first ? store_select_page_up(store->db, STORE_AUDIT_COLUMNS, "seq",
				       q->page.cursor ? position : 0, conditions, FLEET_ARRAY_LEN(conditions),
				       q->page.limit + 1)
			     : store_select_page(store->db, STORE_AUDIT_COLUMNS, "seq", position, conditions,
				       FLEET_ARRAY_LEN(conditions), q->page.limit + 1);
	while ((r = fleet_db_step(store->db, st, err)) > 0) {
		struct json_object *event = NULL;

		if (json_object_array_length(q->array) == (size_t)q->page.limit) {
			q->next = store_page_cursor(letter, last);
			sqlite3_reset(st);
			return 0;
		}
		last = sqlite3_column_int64(st, 0);
		r = store_audit_row_to_json(st, &event, err);
		if (r < 0) {
			sqlite3_reset(st);
			return r;
		}
		(void)json_object_array_add(q->array, event); /* fails for want of memory alone */
	}
	return r;
}

static void query_finish(struct store *store, struct store_request *request)
{
	struct audit_query *q = (struct audit_query *)request;

	(void)store;
	q->done(request->result, q->array, q->next, &request->error, q->arg);
}

static void query_done(struct store_request *request)
{
	struct audit_query *q = (struct audit_query *)request;

	free(q->agent_id);
	free(q->app_id);
	free(q->category);
	free(q->actor);
	free(q->command_id);
	free(q->only_agents);
	free(q->page.cursor);
	free(q->next);
	json_object_put(q->array);
}

void store_audit_query(struct store *store, const struct audit_filter *filter, struct store_page page,
	store_list *done, void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct audit_query), false, false, query_run, query_finish, query_done};
	struct audit_query *q = store_request_new(&kind);

	if (filter) {
		q->agent_id = xstrdup(filter->agent_id);
		q->app_id = xstrdup(filter->app_id);
		q->category = xstrdup(filter->category);
		q->actor = xstrdup(filter->actor);
		q->command_id = xstrdup(filter->command_id);
		q->from_ms = filter->from_ms;
		q->to_ms = filter->to_ms;
		q->hide_requests = filter->hide_requests;
		q->oldest_first = filter->oldest_first;
		if (filter->only_agents)
			q->only_agents = xstrdup(fleet_json_text(filter->only_agents, NULL));
	}
	store_page_copy(&q->page, page, FLEET_AUDIT_PAGE_DEFAULT);
	q->done = done;
	q->arg = arg;
	store_submit(store, q);
}
