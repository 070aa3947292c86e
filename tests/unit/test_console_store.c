/* The store as the console sees it, and what lies on the disk behind its back. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "console/store.h"
#include "console/store_schema.h"
#include "fleet/clock.h"
#include "fleet/file.h"
#include "fleet/limits.h"
#include "unit.h"

#define DEADLINE_MS 20000
#define ZEROS       "0000000000000000000000000000000000000000000000000000000000000000"

static struct event_base *base;
static char *directory; /* of the running test */
static struct store *store;

/* --- a store per test ------------------------------------------------------------------------------- */

static void remove_directory(void)
{
	DIR *d = opendir(directory);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		_cleanup_free_ char *path = xasprintf("%s/%s", directory, e->d_name);

		(void)unlink(path); /* "." and ".." stay */
	}
	if (d)
		closedir(d);
	if (rmdir(directory) < 0)
		printf("# left behind: %s\n", directory);
}

static void open_store(void)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL(store_open(base, directory, &store, &err), 0);
	if (!store) {
		printf("# %s\n", err.message);
		CU_FAIL_FATAL("no store");
	}
}

static void begin(void)
{
	char name[] = "/tmp/fleet-test-store.XXXXXX";

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(name));
	directory = xstrdup(name);
	open_store();
}

static void close_store(void)
{
	store_close(TAKE_PTR(store));
}

static void end(void)
{
	close_store();
	remove_directory();
	free(TAKE_PTR(directory));
}

static void reopen(void)
{
	close_store();
	open_store();
}

static void pump_until(const size_t *counter, size_t value)
{
	int64_t until = fleet_clock_monotonic_ms() + DEADLINE_MS;

	while (*counter < value && fleet_clock_monotonic_ms() < until) {
		const struct timeval tick = {0, 50000};

		event_base_loopexit(base, &tick);
		event_base_loop(base, EVLOOP_ONCE);
	}
	CU_ASSERT_EQUAL(*counter, value);
}

/* --- answers ---------------------------------------------------------------------------------------- */

struct answer {
	size_t came;
	int result;
	struct fleet_error err;
	char existing[FLEET_UUID_LEN + 1], next[64];
	struct json_object *array; /* owned */
	struct command *command;   /* owned */
	int64_t seq;
};

static void answer_done(struct answer *a)
{
	json_object_put(a->array);
	command_unref(a->command);
}
#define _cleanup_answer_ _cleanup_(answer_done)

static void take_error(struct answer *a, int result, const struct fleet_error *err)
{
	a->came++;
	a->result = result;
	if (err)
		a->err = *err;
	if (result < 0 && err)
		CU_ASSERT_EQUAL(err->code, result);
}

static void on_done(int result, const struct fleet_error *err, void *arg)
{
	take_error(arg, result, err);
}

static void on_created(int result, const char *existing_id, const struct fleet_error *err, void *arg)
{
	struct answer *a = arg;

	CU_ASSERT_EQUAL(existing_id != NULL, result == -EEXIST);
	snprintf(a->existing, sizeof(a->existing), "%s", existing_id ? existing_id : "");
	take_error(a, result, err);
}

static void on_list(
	int result, struct json_object *array, const char *next, const struct fleet_error *err, void *arg)
{
	struct answer *a = arg;

	json_object_put(a->array);
	a->array = json_object_get(array);
	snprintf(a->next, sizeof(a->next), "%s", next ? next : "");
	take_error(a, result, err);
}

static void on_command(int result, struct command *command, const struct fleet_error *err, void *arg)
{
	struct answer *a = arg;

	CU_ASSERT_EQUAL(command != NULL, result >= 0);
	command_unref(a->command);
	a->command = command ? command_ref(command) : NULL;
	take_error(a, result, err);
}

static void on_seq(int result, int64_t seq, void *arg)
{
	struct answer *a = arg;

	a->seq = seq;
	take_error(a, result, NULL);
}

/* --- shorthand that waits --------------------------------------------------------------------------- */

static int append(const struct audit_event *event)
{
	struct answer a = {0};

	store_audit_append(store, event, on_done, &a);
	pump_until(&a.came, 1);
	return a.result;
}

static void append_many(size_t count)
{
	struct answer a = {0};
	const struct audit_event event = {
		.category = "system", .message = "one of many", .agent_id = "agent-001"};

	for (size_t i = 0; i < count; i++)
		store_audit_append(store, &event, on_done, &a);
	pump_until(&a.came, count);
	CU_ASSERT_EQUAL(a.result, 0);
}

static int64_t held(const char *agent_id, const char *spool_id)
{
	struct answer a = {0};

	store_spool_seq(store, agent_id, spool_id, on_seq, &a);
	pump_until(&a.came, 1);
	CU_ASSERT_EQUAL(a.result, 0);
	return a.seq;
}

static int contains(int64_t seq, const char *hash)
{
	struct answer a = {0};

	store_audit_contains(store, seq, hash, on_done, &a);
	pump_until(&a.came, 1);
	return a.result;
}

static size_t audit_count(const struct audit_filter *filter)
{
	_cleanup_answer_ struct answer a = {0};

	store_audit_query(store, filter, (struct store_page){1000, NULL}, on_list, &a);
	pump_until(&a.came, 1);
	CU_ASSERT_EQUAL(a.result, 0);
	return a.array ? json_object_array_length(a.array) : 0;
}

static struct command *new_command(void)
{
	struct command *c = command_new();

	c->agent_id = xstrdup("agent-001");
	c->app_id = xstrdup("app-a");
	c->actor = xstrdup("operator@cli");
	c->source_address = xstrdup("127.0.0.1");
	c->args = json_object_new_object();
	c->jws = xstrdup("a.b.c");
	c->created_ms = fleet_clock_wall_ms();
	c->expires_ms = c->created_ms + 600000;
	return c;
}

static int create(const struct command *c, const char *key, struct answer *ret)
{
	const struct audit_event request = {.category = "request",
		.agent_id = c->agent_id,
		.app_id = c->app_id,
		.command_id = c->id,
		.actor = c->actor,
		.message = "asked"};
	struct answer a = {0};

	store_command_create(store, c, key, &request, on_created, &a);
	pump_until(&a.came, 1);
	if (ret)
		*ret = a;
	return a.result;
}

static int advance(const char *id, enum command_state state, int64_t at_ms)
{
	struct answer a = {0};

	store_command_advance(store, id, state, at_ms, on_done, &a);
	pump_until(&a.came, 1);
	return a.result;
}

static int finish(const char *id, enum command_state state, const char *result_text)
{
	const struct audit_event outcome = {.category = "restart", .command_id = id, .message = "outcome"};
	_cleanup_json_ struct json_object *result = result_text ? json_tokener_parse(result_text) : NULL;
	struct answer a = {0};

	store_command_finish(store, id, state, result, "because", 1000, 2000, &outcome, on_done, &a);
	pump_until(&a.came, 1);
	return a.result;
}

static int get(const char *id_or_tail, struct answer *ret)
{
	command_unref(ret->command);
	*ret = (struct answer){0};
	store_command_get(store, id_or_tail, on_command, ret);
	pump_until(&ret->came, 1);
	return ret->result;
}

/* What somebody with the file in his hands does. */
static int behind_the_back(const char *sql)
{
	_cleanup_free_ char *path = xasprintf("%s/console.db", directory);
	sqlite3 *db = NULL;
	int r = sqlite3_open(path, &db);

	if (r == SQLITE_OK)
		r = sqlite3_exec(db, sql, NULL, NULL, NULL);
	sqlite3_close(db);
	return r;
}

static int verify(struct store_head *ret_head, struct fleet_error *err)
{
	*err = (struct fleet_error)FLEET_ERROR_INIT;
	return store_audit_verify(directory, ret_head, err);
}

/* --- audit ------------------------------------------------------------------------------------------ */

static void keep_event(struct json_object *event, void *arg)
{
	json_object_array_add(arg, json_object_get(event));
}

/* Computed apart from this code, from docs/protocol.md. */
static void test_chain_is_the_documented_one(void)
{
	_cleanup_json_ struct json_object *told = json_object_new_array(),
					  *details = json_tokener_parse(
						  "{\"z\":[1,true,null,\"gr\\u00fc\\u00df/\\\"\\\\\\u001f\"],"
						  "\"a\":{\"pid\":4127}}");
	struct audit_event event = {.event_id = "01890a5d-ac96-774b-bcce-b302099a8057",
		.timestamp_ms = 1769903999123,
		.category = "restart",
		.agent_id = "agent-001",
		.app_id = "app-a",
		.command_id = "01890a5d-ac96-774b-bcce-b302099a8058",
		.actor = "operator@cli",
		.source_address = "127.0.0.1",
		.message = "app-a restarted on agent-001 by operator@cli",
		.details = details};
	struct store_head head = {.seq = 9};
	struct fleet_error err;

	begin();
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, 0);
	CU_ASSERT_STRING_EQUAL(store_audit_head(store)->hash, ZEROS);
	CU_ASSERT_EQUAL(verify(&head, &err), 0);
	CU_ASSERT_EQUAL(head.seq, 0);
	store_on_audit(store, keep_event, told);
	CU_ASSERT_EQUAL(append(&event), 0);
	CU_ASSERT_STRING_EQUAL(store_audit_head(store)->hash,
		"c531453bb7f1ebfbe9ec45fda1875c55eaa1f3962c3935a6326b36a33217954d");
	event = (struct audit_event){.event_id = "01890a5d-ac96-774b-bcce-b302099a8059",
		.timestamp_ms = 1769903999124,
		.category = "system",
		.message = "console started"};
	CU_ASSERT_EQUAL(append(&event), 0);
	CU_ASSERT_STRING_EQUAL(store_audit_head(store)->hash,
		"a7d527b5429566e145fa026443f821773d8bf49ed9164985e00d3674cab9805c");
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, 2);
	CU_ASSERT_EQUAL(verify(&head, &err), 0);
	CU_ASSERT_EQUAL(head.seq, 2);
	CU_ASSERT_STRING_EQUAL(head.hash, store_audit_head(store)->hash);

	/* what SSE and GET show is the same, hash included */
	CU_ASSERT_EQUAL(json_object_array_length(told), 2);
	{
		_cleanup_answer_ struct answer a = {0};

		store_audit_query(store, NULL, (struct store_page){0, NULL}, on_list, &a);
		pump_until(&a.came, 1);
		CU_ASSERT_TRUE(json_object_equal(
			json_object_array_get_idx(a.array, 0), json_object_array_get_idx(told, 1)));
		CU_ASSERT_TRUE(json_object_equal(
			json_object_array_get_idx(a.array, 1), json_object_array_get_idx(told, 0)));
		CU_ASSERT_STRING_EQUAL(fleet_json_string(json_object_array_get_idx(a.array, 1), "hash"),
			"c531453bb7f1ebfbe9ec45fda1875c55eaa1f3962c3935a6326b36a33217954d");
	}
	reopen();
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, 2);
	CU_ASSERT_STRING_EQUAL(store_audit_head(store)->hash, head.hash);
	append_many(10);
	CU_ASSERT_EQUAL(verify(&head, &err), 0);
	CU_ASSERT_EQUAL(head.seq, 12);
	end();
}

static void test_an_event_counts_once(void)
{
	struct audit_event event = {.event_id = "01890a5d-ac96-774b-bcce-b302099a8057",
		.category = "agent",
		.agent_id = "agent-001",
		.message = "m",
		.spool_id = "01890a5d-ac96-774b-bcce-b302099a8000",
		.spool_seq = 1};
	struct answer a = {0};

	begin();
	CU_ASSERT_EQUAL(append(&event), 0);
	CU_ASSERT_EQUAL(append(&event), 0);
	event.event_id = NULL; /* the same place in the spool under another id */
	CU_ASSERT_EQUAL(append(&event), 0);
	event.event_id = "01890a5d-ac96-774b-bcce-b302099a8057"; /* the same id in another place */
	event.spool_seq = 2;
	CU_ASSERT_EQUAL(append(&event), 0);
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, 1);
	event.event_id = NULL; /* the same number in another agent's spool, and in another spool */
	event.agent_id = "agent-002";
	event.spool_seq = 1;
	CU_ASSERT_EQUAL(append(&event), 0);
	event.spool_id = "01890a5d-ac96-774b-bcce-b302099a8001";
	CU_ASSERT_EQUAL(append(&event), 0);
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, 3);
	/* twice in one transaction */
	event.spool_seq = 2;
	for (int i = 0; i < 10; i++)
		store_audit_append(store, &event, on_done, &a);
	pump_until(&a.came, 10);
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, 4);
	end();
}

static void test_bad_events_are_refused(void)
{
	struct json_object *deep = json_object_new_object(), *top = json_object_new_object();
	static const struct audit_event bad[] = {
		{.category = "nonsense", .message = "m"},
		{.category = NULL, .message = "m"},
		{.category = "system", .event_id = "not a uuid", .message = "m"},
		{.category = "agent",
			.spool_id = "01890a5d-ac96-774b-bcce-b302099a8000",
			.spool_seq = 1,
			.message = "m"},
		{.category = "agent",
			.agent_id = "a",
			.spool_id = "01890a5d-ac96-774b-bcce-b302099a8000",
			.message = "m"},
	};

	begin();
	for (size_t i = 0; i < FLEET_ARRAY_LEN(bad); i++)
		CU_ASSERT_EQUAL(append(&bad[i]), -EINVAL);
	for (int i = 0; i < 40; i++) {
		struct json_object *outer = json_object_new_object();

		fleet_json_add(outer, "x", deep);
		deep = outer;
	}
	CU_ASSERT_EQUAL(append(&(struct audit_event){.category = "system", .message = "m", .details = deep}),
		-EINVAL);
	fleet_json_add_string(top, "x", "\xFF no text");
	CU_ASSERT_EQUAL(
		append(&(struct audit_event){.category = "system", .message = "m", .details = top}), -EINVAL);
	json_object_put(deep);
	json_object_put(top);
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, 0);
	end();
}

static void test_hostile_texts_keep_the_chain(void)
{
	static const char nasty[] = "two\nlines \x1b[31m \xFF \xC2\x9B '; DROP TABLE audit; -- %s %n";
	struct audit_event event = {
		.category = "system", .message = nasty, .actor = nasty, .agent_id = nasty, .app_id = nasty};
	_cleanup_answer_ struct answer a = {0};
	struct store_head head;
	struct fleet_error err;

	begin();
	CU_ASSERT_EQUAL(append(&event), 0);
	store_audit_query(store, &(struct audit_filter){.actor = "'; DROP TABLE audit; --"},
		(struct store_page){0, NULL}, on_list, &a);
	pump_until(&a.came, 1);
	CU_ASSERT_EQUAL(json_object_array_length(a.array), 0);
	CU_ASSERT_EQUAL(verify(&head, &err), 0);
	CU_ASSERT_EQUAL(head.seq, 1);
	end();
}

static void test_rows_cannot_be_changed_by_mistake(void)
{
	static const char *const tries[] = {
		"UPDATE audit SET message = 'x' WHERE seq = 2",
		"UPDATE audit SET seq = 9 WHERE seq = 3",
		"DELETE FROM audit WHERE seq = 2",
		"DELETE FROM audit",
		"INSERT OR REPLACE INTO audit (seq, event_id, timestamp_ms, category, hash) VALUES (2, 'x', "
		"1, 'system', 'h')",
		"INSERT INTO audit (seq, event_id, timestamp_ms, category, hash) VALUES (9, 'x', 1, "
		"'system', 'h')",
		"INSERT INTO audit (seq, event_id, timestamp_ms, category, hash) VALUES (0, 'x', 1, "
		"'system', 'h')",
	};
	struct store_head head;
	struct fleet_error err;

	begin();
	append_many(3);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(tries); i++)
		CU_ASSERT_EQUAL(behind_the_back(tries[i]), SQLITE_CONSTRAINT);
	CU_ASSERT_EQUAL(verify(&head, &err), 0);
	CU_ASSERT_EQUAL(head.seq, 3);
	end();
}

static void test_verify_finds_every_change(void)
{
	static const char *const changes[] = {
		"UPDATE audit SET message = 'x' WHERE seq = 3",
		"UPDATE audit SET message = NULL WHERE seq = 3",
		"UPDATE audit SET event_id = '01890a5d-ac96-774b-bcce-b302099a8057' WHERE seq = 3",
		"UPDATE audit SET timestamp_ms = timestamp_ms + 1 WHERE seq = 3",
		"UPDATE audit SET category = 'config' WHERE seq = 3",
		"UPDATE audit SET agent_id = 'agent-002' WHERE seq = 3",
		"UPDATE audit SET app_id = 'x' WHERE seq = 3",
		"UPDATE audit SET command_id = 'x' WHERE seq = 3",
		"UPDATE audit SET actor = 'x' WHERE seq = 3",
		"UPDATE audit SET source_address = 'x' WHERE seq = 3",
		"UPDATE audit SET details = '{}' WHERE seq = 3",
		"UPDATE audit SET details = 'no json' WHERE seq = 3",
		"UPDATE audit SET hash = replace(hash, substr(hash, 1, 1), 'x') WHERE seq = 3",
		"UPDATE audit SET hash = 'short' WHERE seq = 3",
		"DELETE FROM audit WHERE seq = 3",
		"DELETE FROM audit WHERE seq = 1",
		"UPDATE audit SET seq = 30 WHERE seq = 3",
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(changes); i++) {
		struct store_head head = {.seq = 77};
		struct fleet_error err;
		const char *row = i == 15 ? "row 2" : i >= 14 ? "row 4" : "row 3";

		begin();
		append_many(5);
		close_store();
		CU_ASSERT_EQUAL(behind_the_back("DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete"),
			SQLITE_OK);
		CU_ASSERT_EQUAL(behind_the_back(changes[i]), SQLITE_OK);
		CU_ASSERT_EQUAL(verify(&head, &err), -EBADMSG);
		CU_ASSERT_EQUAL(head.seq, 77);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, row));
		if (!strstr(err.message, row))
			printf("# %s: %s\n", changes[i], err.message);
		open_store();
		end();
	}
}

/* A chain without its newest rows holds; who has seen the head knows better. */
static void test_a_witness_sees_lost_rows(void)
{
	struct store_head witness, head;
	struct fleet_error err;

	begin();
	append_many(5);
	witness = *store_audit_head(store);
	CU_ASSERT_EQUAL(contains(witness.seq, witness.hash), 1);
	CU_ASSERT_EQUAL(contains(0, ZEROS), 1);
	CU_ASSERT_EQUAL(contains(0, witness.hash), 0);
	CU_ASSERT_EQUAL(contains(witness.seq - 1, witness.hash), 0);
	CU_ASSERT_EQUAL(contains(witness.seq + 1, witness.hash), 0);
	CU_ASSERT_EQUAL(contains(-1, "'"), 0);
	close_store();
	CU_ASSERT_EQUAL(
		behind_the_back("DROP TRIGGER audit_no_delete; DELETE FROM audit WHERE seq > 3"), SQLITE_OK);
	CU_ASSERT_EQUAL(verify(&head, &err), 0);
	CU_ASSERT_EQUAL(head.seq, 3);
	open_store();
	CU_ASSERT_EQUAL(contains(witness.seq, witness.hash), 0);
	append_many(2); /* the same number again, but not the same row */
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, witness.seq);
	CU_ASSERT_EQUAL(contains(witness.seq, witness.hash), 0);
	end();
}

static void test_verify_without_a_log(void)
{
	struct store_head head;
	struct fleet_error err;

	begin();
	close_store();
	CU_ASSERT_EQUAL(behind_the_back("DROP TRIGGER audit_no_delete; DROP TABLE audit"), SQLITE_OK);
	CU_ASSERT_TRUE(verify(&head, &err) < 0);
	CU_ASSERT_TRUE(strlen(err.message) > 0);
	{
		_cleanup_free_ char *path = xasprintf("%s/console.db", directory);

		CU_ASSERT_EQUAL(unlink(path), 0);
	}
	CU_ASSERT_EQUAL(verify(&head, &err), -ENOENT);
	remove_directory();
	free(TAKE_PTR(directory));
}

static void test_spools_are_held_up_to_the_first_gap(void)
{
	static const int64_t order[] = {2, 1, 5, 4, 7, 3, 6}, expected[] = {0, 2, 2, 2, 2, 5, 7};
	const char *spool = "01890a5d-ac96-774b-bcce-b302099a8000";
	struct audit_event event = {
		.category = "agent", .agent_id = "agent-001", .message = "m", .spool_id = spool};

	begin();
	CU_ASSERT_EQUAL(held("agent-001", spool), 0);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(order); i++) {
		event.spool_seq = order[i];
		CU_ASSERT_EQUAL(append(&event), 0);
		CU_ASSERT_EQUAL(held("agent-001", spool), expected[i]);
	}
	CU_ASSERT_EQUAL(held("agent-002", spool), 0);
	reopen();
	CU_ASSERT_EQUAL(held("agent-001", spool), 7);
	event.spool_seq = INT64_MAX;
	CU_ASSERT_EQUAL(append(&event), 0);
	CU_ASSERT_EQUAL(held("agent-001", spool), 7);
	end();
}

/* A spool that was put back to an earlier state goes on under another id and numbers what waits in it anew.
 */
static void test_repeated_events_do_not_hold_a_spool_up(void)
{
	static const char *const ids[] = {"01890a5d-ac96-774b-bcce-b302099a8051",
		"01890a5d-ac96-774b-bcce-b302099a8052", "01890a5d-ac96-774b-bcce-b302099a8053"};
	static const char *const spools[] = {
		"01890a5d-ac96-774b-bcce-b302099a8001", "01890a5d-ac96-774b-bcce-b302099a8002"};
	struct audit_event event = {.category = "agent", .agent_id = "agent-001", .message = "m"};

	begin();
	for (size_t i = 0; i < 2 * FLEET_ARRAY_LEN(ids); i++) {
		event.spool_id = spools[i / FLEET_ARRAY_LEN(ids)];
		event.spool_seq = (int64_t)(i % FLEET_ARRAY_LEN(ids)) + 1;
		event.event_id = ids[i % FLEET_ARRAY_LEN(ids)];
		CU_ASSERT_EQUAL(append(&event), 0);
		CU_ASSERT_EQUAL(held("agent-001", event.spool_id), event.spool_seq);
	}
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, 3);
	event.spool_seq = 5; /* a repeat behind a gap: the gap is not forgotten */
	CU_ASSERT_EQUAL(append(&event), 0);
	CU_ASSERT_EQUAL(held("agent-001", event.spool_id), 3);
	event.event_id = NULL;
	event.spool_seq = 4;
	CU_ASSERT_EQUAL(append(&event), 0);
	CU_ASSERT_EQUAL(held("agent-001", event.spool_id), 4);
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, 4);
	event.event_id = ids[0];
	event.spool_seq = 5;
	CU_ASSERT_EQUAL(append(&event), 0);
	CU_ASSERT_EQUAL(held("agent-001", event.spool_id), 5);
	end();
}

static void test_audit_filters(void)
{
	begin();
	for (int i = 0; i < 20; i++) {
		const struct audit_event event = {.category = i % 2 ? "request" : "restart",
			.timestamp_ms = 1000 * (i + 1),
			.agent_id = i % 4 < 2 ? "agent-001" : "agent-002",
			.app_id = i % 5 ? "app-a" : "app-b",
			.actor = i < 10 ? "x@cli" : "y@api",
			.command_id = i == 7 ? "01890a5d-ac96-774b-bcce-b302099a8057" : NULL,
			.message = "m"};

		CU_ASSERT_EQUAL(append(&event), 0);
	}
	CU_ASSERT_EQUAL(audit_count(NULL), 20);
	CU_ASSERT_EQUAL(audit_count(&(struct audit_filter){.hide_requests = true}), 10);
	CU_ASSERT_EQUAL(audit_count(&(struct audit_filter){.category = "request"}), 10);
	CU_ASSERT_EQUAL(audit_count(&(struct audit_filter){.category = "request", .hide_requests = true}), 0);
	CU_ASSERT_EQUAL(audit_count(&(struct audit_filter){.agent_id = "agent-001"}), 10);
	CU_ASSERT_EQUAL(audit_count(&(struct audit_filter){.app_id = "app-b"}), 4);
	CU_ASSERT_EQUAL(audit_count(&(struct audit_filter){.actor = "y@api", .category = "restart"}), 5);
	CU_ASSERT_EQUAL(
		audit_count(&(struct audit_filter){.command_id = "01890a5d-ac96-774b-bcce-b302099a8057"}), 1);
	CU_ASSERT_EQUAL(audit_count(&(struct audit_filter){.from_ms = 5000, .to_ms = 7000}), 3);
	CU_ASSERT_EQUAL(audit_count(&(struct audit_filter){.agent_id = "nobody"}), 0);
	end();
}

static void test_audit_pages(void)
{
	static const char *const bad[] = {
		"", "a", "x5", "a-1", "a5x", "c5", "5", "a99999999999999999999", "a5 OR 1=1"};
	_cleanup_answer_ struct answer a = {0};
	int64_t expected = 25;
	size_t pages = 0;

	begin();
	append_many(25);
	do {
		char cursor[64];

		memcpy(cursor, a.next, sizeof(cursor));
		a.came = 0;
		store_audit_query(store, NULL, (struct store_page){10, pages ? cursor : NULL}, on_list, &a);
		pump_until(&a.came, 1);
		CU_ASSERT_EQUAL_FATAL(a.result, 0);
		for (size_t i = 0; i < json_object_array_length(a.array); i++)
			CU_ASSERT_EQUAL(
				fleet_json_int(json_object_array_get_idx(a.array, i), "seq", 0), expected--);
		pages++;
	} while (a.next[0] && pages < 10);
	CU_ASSERT_EQUAL(expected, 0);
	CU_ASSERT_EQUAL(pages, 3);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(bad); i++) {
		a.came = 0;
		store_audit_query(store, NULL, (struct store_page){10, bad[i]}, on_list, &a);
		pump_until(&a.came, 1);
		CU_ASSERT_EQUAL(a.result, -EINVAL);
	}
	a.came = 0;
	store_audit_query(store, NULL, (struct store_page){0, NULL}, on_list, &a);
	pump_until(&a.came, 1);
	CU_ASSERT_EQUAL(json_object_array_length(a.array), 20); /* the contract's default */
	a.came = 0;
	store_audit_query(store, NULL, (struct store_page){25, NULL}, on_list, &a);
	pump_until(&a.came, 1);
	CU_ASSERT_STRING_EQUAL(a.next, ""); /* exactly full is the end */
	end();
}

/* --- commands --------------------------------------------------------------------------------------- */

static void test_create_and_get(void)
{
	_cleanup_answer_ struct answer a = {0};
	struct command *c;

	begin();
	c = new_command();
	c->action = FLEET_ACTION_PUSH_CONFIG;
	fleet_json_add_string(c->args, "file", "main \xC3\xBC \" \\ /");
	CU_ASSERT_EQUAL(create(c, NULL, NULL), 0);
	CU_ASSERT_EQUAL(audit_count(&(struct audit_filter){.command_id = c->id, .category = "request"}), 1);
	reopen();
	CU_ASSERT_EQUAL_FATAL(get(c->id, &a), 0);
	CU_ASSERT_STRING_EQUAL(a.command->id, c->id);
	CU_ASSERT_EQUAL(a.command->action, FLEET_ACTION_PUSH_CONFIG);
	CU_ASSERT_EQUAL(a.command->state, COMMAND_QUEUED);
	CU_ASSERT_STRING_EQUAL(a.command->agent_id, "agent-001");
	CU_ASSERT_STRING_EQUAL(a.command->app_id, "app-a");
	CU_ASSERT_STRING_EQUAL(a.command->actor, "operator@cli");
	CU_ASSERT_STRING_EQUAL(a.command->source_address, "127.0.0.1");
	CU_ASSERT_STRING_EQUAL(a.command->jws, "a.b.c");
	CU_ASSERT_TRUE(json_object_equal(a.command->args, c->args));
	CU_ASSERT_EQUAL(a.command->created_ms, c->created_ms);
	CU_ASSERT_EQUAL(a.command->expires_ms, c->expires_ms);
	CU_ASSERT_EQUAL(a.command->started_ms, 0);
	CU_ASSERT_PTR_NULL(a.command->result);
	CU_ASSERT_EQUAL(create(c, NULL, NULL), -EALREADY);
	command_unref(c);
	end();
}

static void test_get_by_the_last_digits(void)
{
	_cleanup_answer_ struct answer a = {0};
	struct command *c, *d;

	begin();
	c = new_command();
	d = new_command();
	memcpy(c->id, "01890a5d-ac96-774b-bcce-b302097c31e0", sizeof(c->id));
	memcpy(d->id, "01890a5e-ac96-774b-bcce-b3020a7c31e0", sizeof(d->id));
	CU_ASSERT_EQUAL(create(c, NULL, NULL), 0);
	CU_ASSERT_EQUAL(get("7c31e0", &a), 0);
	CU_ASSERT_EQUAL(get("7C31E0", &a), 0);
	CU_ASSERT_EQUAL(create(d, NULL, NULL), 0);
	CU_ASSERT_EQUAL(get("7c31e0", &a), -ENOTUNIQ);
	CU_ASSERT_PTR_NOT_NULL(strstr(a.err.message, "7c31e0"));
	CU_ASSERT_EQUAL(get("097c31e0", &a), 0);
	CU_ASSERT_STRING_EQUAL(a.command->id, c->id);
	CU_ASSERT_EQUAL(get("bcce-b3020a7c31e0", &a), 0);
	CU_ASSERT_STRING_EQUAL(a.command->id, d->id);
	CU_ASSERT_EQUAL(get(d->id, &a), 0);
	CU_ASSERT_EQUAL(get("000000", &a), -ENOENT);
	CU_ASSERT_EQUAL(get("c31e0", &a), -EINVAL);
	CU_ASSERT_EQUAL(get("", &a), -EINVAL);
	CU_ASSERT_EQUAL(get("%%%%%%%%", &a), -ENOENT);
	CU_ASSERT_EQUAL(get("______", &a), -ENOENT);
	CU_ASSERT_EQUAL(get("' OR '1'='1", &a), -ENOENT);
	CU_ASSERT_EQUAL(get("x01890a5d-ac96-774b-bcce-b302097c31e0", &a), -ENOENT);
	command_unref(c);
	command_unref(d);
	end();
}

static void test_idempotency_key(void)
{
	struct answer a = {0};
	struct command *c, *d, *e;

	begin();
	c = new_command();
	d = new_command();
	e = new_command();
	CU_ASSERT_EQUAL(create(c, "key", &a), 0);
	CU_ASSERT_EQUAL(create(d, "key", &a), -EEXIST);
	CU_ASSERT_STRING_EQUAL(a.existing, c->id);
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, 1); /* asked once */
	reopen();
	CU_ASSERT_EQUAL(create(d, "key", &a), -EEXIST);
	free(e->actor);
	e->actor = xstrdup("somebody@api");
	CU_ASSERT_EQUAL(create(e, "key", &a), 0); /* another's key is another key */
	CU_ASSERT_EQUAL(create(d, "other", &a), 0);
	/* a day later it is forgotten */
	memcpy(d->id, fleet_uuid_new().text, sizeof(d->id));
	d->created_ms += INT64_C(25) * 3600 * 1000;
	CU_ASSERT_EQUAL(create(d, "key", &a), 0);
	command_unref(c);
	command_unref(d);
	command_unref(e);
	end();
}

/* The command and the word of who asked are one: neither without the other. */
static void test_create_is_whole_or_nothing(void)
{
	const struct audit_event bad = {.category = "nonsense", .message = "m"};
	struct answer a = {0};
	_cleanup_answer_ struct answer got = {0};
	struct command *c;

	begin();
	c = new_command();
	store_command_create(store, c, "key", &bad, on_created, &a);
	pump_until(&a.came, 1);
	CU_ASSERT_EQUAL(a.result, -EINVAL);
	CU_ASSERT_EQUAL(get(c->id, &got), -ENOENT);
	CU_ASSERT_EQUAL(create(c, "key", &a), 0); /* nor was the key kept */
	command_unref(c);
	end();
}

static void test_states_move_forward_only(void)
{
	_cleanup_answer_ struct answer a = {0};
	struct command *c;

	begin();
	c = new_command();
	CU_ASSERT_EQUAL(create(c, NULL, NULL), 0);
	CU_ASSERT_EQUAL(advance(c->id, COMMAND_ACCEPTED, 5), 0);
	CU_ASSERT_EQUAL(advance(c->id, COMMAND_SENT, 6), 0);
	CU_ASSERT_EQUAL(get(c->id, &a), 0);
	CU_ASSERT_EQUAL(a.command->state, COMMAND_ACCEPTED);
	CU_ASSERT_EQUAL(a.command->started_ms, 0);
	CU_ASSERT_EQUAL(advance(c->id, COMMAND_RUNNING, 7), 0);
	CU_ASSERT_EQUAL(advance(c->id, COMMAND_RUNNING, 8), 0);
	CU_ASSERT_EQUAL(get(c->id, &a), 0);
	CU_ASSERT_EQUAL(a.command->state, COMMAND_RUNNING);
	CU_ASSERT_EQUAL(a.command->started_ms, 7);
	CU_ASSERT_EQUAL(advance(c->id, COMMAND_SUCCEEDED, 9), -EINVAL);
	CU_ASSERT_EQUAL(advance("01890a5d-ac96-774b-bcce-b302097c31e0", COMMAND_SENT, 9), -ENOENT);
	CU_ASSERT_EQUAL(finish(c->id, COMMAND_FAILED, NULL), 0);
	CU_ASSERT_EQUAL(advance(c->id, COMMAND_RUNNING, 8), 0);
	CU_ASSERT_EQUAL(get(c->id, &a), 0);
	CU_ASSERT_EQUAL(a.command->state, COMMAND_FAILED);
	command_unref(c);
	end();
}

static void test_a_command_ends_once(void)
{
	static const enum command_state ends[] = {
		COMMAND_SUCCEEDED, COMMAND_FAILED, COMMAND_EXPIRED, COMMAND_CANCELLED, COMMAND_UNKNOWN};

	begin();
	for (size_t i = 0; i < FLEET_ARRAY_LEN(ends); i++) {
		for (size_t j = 0; j < FLEET_ARRAY_LEN(ends); j++) {
			bool replaces = ends[i] == COMMAND_UNKNOWN &&
					(ends[j] == COMMAND_SUCCEEDED || ends[j] == COMMAND_FAILED);
			_cleanup_answer_ struct answer a = {0};
			struct command *c = new_command();

			CU_ASSERT_EQUAL(create(c, NULL, NULL), 0);
			CU_ASSERT_EQUAL(finish(c->id, ends[i], "{\"first\":1}"), 0);
			CU_ASSERT_EQUAL(finish(c->id, ends[j], "{\"second\":1}"), replaces ? 0 : -EALREADY);
			CU_ASSERT_EQUAL(get(c->id, &a), 0);
			CU_ASSERT_EQUAL(a.command->state, replaces ? ends[j] : ends[i]);
			CU_ASSERT_PTR_NOT_NULL(
				fleet_json_get(a.command->result, replaces ? "second" : "first"));
			CU_ASSERT_STRING_EQUAL(a.command->message, "because");
			CU_ASSERT_EQUAL(a.command->started_ms, 1000);
			CU_ASSERT_EQUAL(a.command->finished_ms, 2000);
			CU_ASSERT_EQUAL(audit_count(&(struct audit_filter){
						.command_id = c->id, .category = "restart"}),
				replaces ? 2u : 1u);
			command_unref(c);
		}
	}
	CU_ASSERT_EQUAL(finish("01890a5d-ac96-774b-bcce-b302097c31e0", COMMAND_FAILED, NULL), -ENOENT);
	end();
}

static bool files_hold(const char *what)
{
	static const char *const names[] = {"console.db", "console.db-wal", "console.db-shm"};
	bool found = false;

	for (size_t i = 0; i < FLEET_ARRAY_LEN(names); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", directory, names[i]), *data = NULL;
		size_t len = 0;

		found |= fleet_file_read(path, 64u << 20, &data, &len, NULL) >= 0 &&
			 memmem(data, len, what, strlen(what));
	}
	return found;
}

/* What a command sets is forgotten with its end, and what asked for it stays. */
static void test_values_are_forgotten_at_the_end(void)
{
	static const enum command_state ends[] = {
		COMMAND_SUCCEEDED, COMMAND_FAILED, COMMAND_EXPIRED, COMMAND_CANCELLED};

	begin();
	for (size_t i = 0; i < FLEET_ARRAY_LEN(ends); i++) {
		_cleanup_answer_ struct answer a = {0};
		struct command *c = new_command();
		struct json_object *edit;

		c->action = FLEET_ACTION_PUSH_CONFIG;
		json_object_put(c->args);
		c->args = json_tokener_parse(
			"{\"file\":\"main\",\"edits\":[{\"op\":\"set\",\"key\":\"k\",\"value\":"
			"\"hunter2-value\",\"mode\":\"auto\"}],\"expectHash\":\"h\"}");
		free(c->jws);
		c->jws = xstrdup("signed.hunter2-value.signature");
		CU_ASSERT_EQUAL(create(c, NULL, NULL), 0);
		CU_ASSERT_TRUE(files_hold("hunter2-value"));
		if (i == 0) { /* one of unknown outcome may still be told of: it is told without its values */
			CU_ASSERT_EQUAL(finish(c->id, COMMAND_UNKNOWN, NULL), 0);
			CU_ASSERT_TRUE(files_hold("hunter2-value"));
		}
		CU_ASSERT_EQUAL(finish(c->id, i == 0 ? COMMAND_SUCCEEDED : ends[i], NULL), 0);
		CU_ASSERT_FALSE(files_hold("hunter2-value"));
		CU_ASSERT_EQUAL(get(c->id, &a), 0);
		CU_ASSERT_PTR_NULL(a.command->jws);
		CU_ASSERT_STRING_EQUAL(fleet_json_string(a.command->args, "expectHash"), "h");
		edit = json_object_array_get_idx(fleet_json_array(a.command->args, "edits"), 0);
		CU_ASSERT_STRING_EQUAL(fleet_json_string(edit, "key"), "k");
		CU_ASSERT_PTR_NULL(fleet_json_get(edit, "value"));
		command_unref(c);
	}
	end();
}

/* --- config files ------------------------------------------------------------------------------------ */

static void add_push(int64_t at_ms, const char *args)
{
	struct command *c = new_command();

	c->action = FLEET_ACTION_PUSH_CONFIG;
	json_object_put(c->args);
	c->args = json_tokener_parse(args);
	c->created_ms = at_ms;
	CU_ASSERT_EQUAL(create(c, NULL, NULL), 0);
	CU_ASSERT_EQUAL(finish(c->id, COMMAND_SUCCEEDED,
				"{\"changedKeys\":[\"k\"],\"changes\":[{\"key\":\"k\",\"before\":\"1\","
				"\"after\":\"2\"}]}"),
		0);
	command_unref(c);
}

static void add_outside(int64_t at_ms, const char *details)
{
	_cleanup_json_ struct json_object *o = json_tokener_parse(details);
	struct answer a = {0};

	store_audit_append(store,
		&(struct audit_event){.timestamp_ms = at_ms,
			.category = "config",
			.agent_id = "agent-001",
			.app_id = "app-a",
			.message = "app-a's config changed outside Fleet",
			.details = o},
		on_done, &a);
	pump_until(&a.came, 1);
}

static void test_history_merges_by_time(void)
{
	static const struct {
		const char *file, *order; /* times, newest first */
	} cases[] = {{NULL, "5000 4000 3000 2000 1000 "}, {"main", "5000 3000 2000 1000 "}, {"env", "4000 "},
		{"x", ""}};

	begin();
	add_push(1000, "{\"file\":\"main\"}");
	add_outside(2000, "{\"outside\":true,\"file\":\"main\",\"keys\":[\"k\"]}");
	add_outside(2500, "{\"other\":true}"); /* not of a change */
	add_push(3000, "{\"file\":\"main\",\"restoreOf\":\"01890a5d-ac96-774b-bcce-b302097c31e0\"}");
	add_push(3500, "{\"file\":\"main\",\"dryRun\":true}");
	add_push(4000, "{\"file\":\"env\"}");
	add_outside(5000, "{\"outside\":true,\"file\":\"main\"}");
	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		for (int limit = 1; limit < 7; limit++) {
			_cleanup_free_ char *order = xstrdup("");
			char cursor[64] = "";

			do {
				_cleanup_answer_ struct answer a = {0};

				store_config_history(store,
					&(struct config_file){"agent-001", "app-a", cases[i].file},
					(struct store_page){limit, *cursor ? cursor : NULL}, on_list, &a);
				pump_until(&a.came, 1);
				CU_ASSERT_EQUAL_FATAL(a.result, 0);
				for (size_t n = 0; n < json_object_array_length(a.array); n++) {
					struct json_object *entry = json_object_array_get_idx(a.array, n);
					_cleanup_free_ char *longer = NULL;
					int64_t at_ms = 0;

					CU_ASSERT_EQUAL(
						fleet_timestamp_parse(
							fleet_json_string(entry, "timestamp"), &at_ms),
						0);
					CU_ASSERT_STRING_EQUAL(fleet_json_string(entry, "kind"),
						at_ms == 2000 || at_ms == 5000 ? "outside" : "push");
					longer = xasprintf("%s%lld ", order, (long long)at_ms);
					free(order);
					order = TAKE_PTR(longer);
				}
				snprintf(cursor, sizeof(cursor), "%s", a.next);
			} while (*cursor);
			CU_ASSERT_STRING_EQUAL(order, cases[i].order);
		}
	}
	for (size_t i = 0; i < 5; i++) {
		static const char *const bad[] = {"x", "h", "h1", "h1.2x", "h-1.2"};
		_cleanup_answer_ struct answer a = {0};

		store_config_history(store, &(struct config_file){"agent-001", "app-a", NULL},
			(struct store_page){0, bad[i]}, on_list, &a);
		pump_until(&a.came, 1);
		CU_ASSERT_EQUAL(a.result, -EINVAL);
	}
	end();
}

static void on_due(int result, int64_t newest_ms, void *arg)
{
	struct answer *a = arg;

	a->came++;
	a->result = result;
	a->seq = newest_ms;
}

static int due(const char *hash, int64_t *ret_newest_ms)
{
	struct answer a = {0};

	store_snapshot_due(store, &(struct config_file){"agent-001", "app-a", "main"}, hash, on_due, &a);
	pump_until(&a.came, 1);
	*ret_newest_ms = a.seq;
	return a.result;
}

static void test_snapshots_are_bounded(void)
{
	const struct config_file file = {"agent-001", "app-a", "main"};
	_cleanup_free_ char *long_text = xcalloc(FLEET_SNAPSHOT_MAX + 2, 1);
	_cleanup_json_ struct json_object *long_settings = json_object_new_array();
	_cleanup_answer_ struct answer a = {0};
	int64_t newest = -1;

	begin();
	CU_ASSERT_EQUAL(due("h0", &newest), 1);
	CU_ASSERT_EQUAL(newest, 0);
	for (int i = 0; i < FLEET_SNAPSHOTS_PER_FILE + 10; i++) {
		_cleanup_json_ struct json_object *settings = json_object_new_array();
		_cleanup_free_ char *hash = xasprintf("h%d", i);

		fleet_json_append_string(settings, hash);
		store_snapshot_add(store, &file, hash, 1000 + i, settings);
		store_snapshot_add(store, &file, hash, 2000 + i, settings); /* the same again is none */
	}
	store_snapshot_add(store, &(struct config_file){"agent-001", "app-a", "env"}, "e", 7, NULL);
	reopen();
	CU_ASSERT_EQUAL(due("h59", &newest), 0);
	CU_ASSERT_EQUAL(due("h58", &newest), 1);
	CU_ASSERT_EQUAL(newest, 1059);
	memset(long_text, 'x', FLEET_SNAPSHOT_MAX + 1);
	fleet_json_append_string(long_settings, long_text);
	store_snapshot_add(store, &file, "long", 3000, long_settings);
	reopen();
	store_snapshot_query(store, &file, (struct store_page){1000, NULL}, on_list, &a);
	pump_until(&a.came, 1);
	CU_ASSERT_EQUAL(json_object_array_length(a.array), FLEET_SNAPSHOTS_PER_FILE);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(json_object_array_get_idx(a.array, 0), "hash"), "long");
	CU_ASSERT_PTR_NULL(fleet_json_get(json_object_array_get_idx(a.array, 0), "settings"));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(json_object_array_get_idx(a.array, 1), "hash"), "h59");
	CU_ASSERT_PTR_NOT_NULL(fleet_json_array(json_object_array_get_idx(a.array, 1), "settings"));
	end();
}

static void test_finish_needs_an_end(void)
{
	struct command *c;

	begin();
	c = new_command();
	CU_ASSERT_EQUAL(create(c, NULL, NULL), 0);
	CU_ASSERT_EQUAL(finish(c->id, COMMAND_RUNNING, NULL), -EINVAL);
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, 1);
	command_unref(c);
	end();
}

static void count_open(struct command *c, void *arg)
{
	_cleanup_free_ char *longer = NULL;
	char **order = arg;

	longer = xasprintf("%s%s ", *order, command_state_to_string(c->state));
	free(*order);
	*order = TAKE_PTR(longer);
}

static void test_open_commands_come_back(void)
{
	_cleanup_free_ char *order = xstrdup("");
	struct fleet_error err = FLEET_ERROR_INIT;

	begin();
	for (int state = COMMAND_QUEUED; state <= COMMAND_UNKNOWN; state++) {
		struct command *c = new_command();

		CU_ASSERT_EQUAL(create(c, NULL, NULL), 0);
		if (command_state_is_final((enum command_state)state)) {
			CU_ASSERT_EQUAL(finish(c->id, (enum command_state)state, NULL), 0);
		} else if (state > COMMAND_QUEUED) {
			CU_ASSERT_EQUAL(advance(c->id, (enum command_state)state, 1), 0);
		}
		command_unref(c);
	}
	reopen();
	CU_ASSERT_EQUAL(store_commands_open(store, count_open, &order, &err), 0);
	CU_ASSERT_STRING_EQUAL(order, "queued sent accepted running unknown ");
	end();
}

static void test_command_lists(void)
{
	static const struct {
		struct command_filter filter;
		size_t expected;
	} cases[] = {
		{{0}, 12},
		{{.agent_id = "agent-001"}, 6},
		{{.agent_id = "agent-002", .app_id = "app-b"}, 2},
		{{.by_state = true, .state = COMMAND_QUEUED}, 9},
		{{.by_state = true, .state = COMMAND_FAILED}, 3},
		{{.agent_id = "nobody"}, 0},
	};
	_cleanup_answer_ struct answer a = {0};
	char last[FLEET_UUID_LEN + 1] = "";

	begin();
	for (int i = 0; i < 12; i++) {
		struct command *c = new_command();

		free(c->agent_id);
		free(c->app_id);
		c->agent_id = xstrdup(i % 2 ? "agent-001" : "agent-002");
		c->app_id = xstrdup(i % 3 ? "app-a" : "app-b");
		CU_ASSERT_EQUAL(create(c, NULL, NULL), 0);
		if (i % 4 == 0)
			CU_ASSERT_EQUAL(finish(c->id, COMMAND_FAILED, NULL), 0);
		memcpy(last, c->id, sizeof(last));
		command_unref(c);
	}
	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		a.came = 0;
		store_command_query(store, &cases[i].filter, (struct store_page){0, NULL}, on_list, &a);
		pump_until(&a.came, 1);
		CU_ASSERT_EQUAL(a.result, 0);
		CU_ASSERT_EQUAL(json_object_array_length(a.array), cases[i].expected);
	}
	a.came = 0;
	store_command_query(store, NULL, (struct store_page){5, NULL}, on_list, &a);
	pump_until(&a.came, 1);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(json_object_array_get_idx(a.array, 0), "commandId"), last);
	for (size_t pages = 1; a.next[0]; pages++) {
		char cursor[64];

		memcpy(cursor, a.next, sizeof(cursor));
		a.came = 0;
		store_command_query(store, NULL, (struct store_page){5, cursor}, on_list, &a);
		pump_until(&a.came, 1);
		CU_ASSERT_EQUAL(json_object_array_length(a.array), pages == 1 ? 5u : 2u);
	}
	a.came = 0;
	store_command_query(
		store, NULL, (struct store_page){5, "a5"}, on_list, &a); /* the audit list's cursor */
	pump_until(&a.came, 1);
	CU_ASSERT_EQUAL(a.result, -EINVAL);
	end();
}

struct artifact_tally {
	int count;
	char last[64]; /* its version */
};

static void count_artifact(struct artifact *takes_artifact, void *arg)
{
	struct artifact_tally *tally = arg;

	tally->count++;
	(void)snprintf(tally->last, sizeof(tally->last), "%s", takes_artifact->version);
	CU_ASSERT_STRING_EQUAL(takes_artifact->app_id, "app-a");
	CU_ASSERT_EQUAL(strlen(takes_artifact->sha256), 64);
	CU_ASSERT_STRING_EQUAL(takes_artifact->added_by, "operator@cli");
	CU_ASSERT_EQUAL(takes_artifact->added_ms, 7);
	CU_ASSERT_EQUAL(takes_artifact->bytes, takes_artifact->url ? -1 : 12);
	artifact_free(takes_artifact);
}

static struct artifact *new_artifact(const char *version, const char *url)
{
	struct artifact *a = artifact_new();

	a->app_id = xstrdup("app-a");
	a->version = xstrdup(version);
	a->url = xstrdup(url);
	memset(a->sha256, '0', 64);
	a->bytes = url ? -1 : 12;
	a->added_by = xstrdup("operator@cli");
	a->added_ms = 7;
	return a;
}

static void test_artifacts_are_kept_and_removed(void)
{
	struct artifact *first = new_artifact("2.1.0", "https://h/a?k=SECRET"),
			*second = new_artifact("2.2.0", NULL), *same = new_artifact("2.1.0", "https://h/b");
	struct audit_event event = {.category = "update", .app_id = "app-a", .message = "m"};
	_cleanup_json_ struct json_object *json = artifact_to_json(first);
	struct fleet_error err = FLEET_ERROR_INIT;
	struct artifact_tally tally = {0};
	_cleanup_answer_ struct answer a = {0};
	int64_t head;

	CU_ASSERT_PTR_NULL(strstr(fleet_json_text(json, NULL), "SECRET"));
	CU_ASSERT(artifact_is_version(first, "v2.1.0") && !artifact_is_version(first, "2.1"));
	begin();
	head = store_audit_head(store)->seq;
	store_artifact_add(store, first, &event, on_done, &a);
	pump_until(&a.came, 1);
	CU_ASSERT_EQUAL(a.result, 0);
	store_artifact_add(store, same, &event, on_done, &a);
	pump_until(&a.came, 2);
	CU_ASSERT_EQUAL(a.result, -EEXIST);
	store_artifact_add(store, second, &event, on_done, &a);
	pump_until(&a.came, 3);
	CU_ASSERT_EQUAL(a.result, 0);
	reopen();
	CU_ASSERT_EQUAL(store_artifacts_load(store, count_artifact, &tally, &err), 0);
	CU_ASSERT_EQUAL(tally.count, 2);
	CU_ASSERT_STRING_EQUAL(tally.last, "2.2.0");
	store_artifact_remove(store, second, &event, on_done, &a);
	pump_until(&a.came, 4);
	CU_ASSERT_EQUAL(a.result, 0);
	store_artifact_remove(store, second, &event, on_done, &a);
	pump_until(&a.came, 5);
	CU_ASSERT_EQUAL(a.result, -ENOENT);
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, head + 3);
	CU_ASSERT_EQUAL(store_artifacts_load(store, count_artifact, &tally, &err), 0);
	CU_ASSERT_EQUAL(tally.count, 3);
	artifact_free(first);
	artifact_free(second);
	artifact_free(same);
	end();
}

static void test_command_as_json(void)
{
	_cleanup_json_ struct json_object *o = NULL, *running = NULL;
	struct command *c = new_command();

	c->action = FLEET_ACTION_UPDATE_APP;
	c->state = COMMAND_RUNNING;
	c->progress_step = xstrdup("download");
	c->progress_percent = 40;
	c->progress_message = xstrdup("from https://host/a.tar.gz?token=SECRET now");
	fleet_json_add_string(c->args, "version", "2.1.0");
	fleet_json_add_string(c->args, "artifactUrl", "https://host/a.tar.gz?token=SECRET");
	running = command_to_json(c);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(running, "state"), "running");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(running, "toVersion"), "2.1.0");
	CU_ASSERT_EQUAL(fleet_json_int(fleet_json_object(running, "progress"), "percent", 0), 40);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(fleet_json_object(running, "progress"), "message"),
		"from https://host/a.tar.gz now");
	CU_ASSERT_PTR_NULL(fleet_json_get(running, "success"));
	CU_ASSERT_PTR_NULL(fleet_json_get(running, "jws"));
	c->state = COMMAND_FAILED;
	c->result = json_tokener_parse("{\"errorCode\":\"unhealthy\",\"message\":\"GET http://h/x?k=SECRET: "
				       "503 (see \\\"http://h/?SECRET\\\")\",\"downMs\":5,"
				       "\"appHealthy\":false,\"steps\":[{\"step\":\"download\",\"ok\":true,"
				       "\"message\":\"http://h/y?SECRET#z done\"}],"
				       "\"logLines\":[\"GET "
				       "/plain?kept=1\",\"http://h/"
				       "?SECRET\"],\"changes\":[{\"key\":\"a\"}],\"changedKeys\":[\"a\"]}");
	o = command_to_json(c);
	CU_ASSERT_PTR_NULL(strstr(fleet_json_text(o, NULL), "SECRET"));
	CU_ASSERT_PTR_NULL(fleet_json_get(o, "progress"));
	CU_ASSERT_FALSE(fleet_json_bool(o, "success", true));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(o, "message"), "GET http://h/x: 503 (see \"http://h/\")");
	CU_ASSERT_STRING_EQUAL(
		json_object_get_string(json_object_array_get_idx(fleet_json_array(o, "logLines"), 0)),
		"GET /plain?kept=1");
	CU_ASSERT_STRING_EQUAL(
		fleet_json_string(json_object_array_get_idx(fleet_json_array(o, "steps"), 0), "message"),
		"http://h/y done");
	CU_ASSERT_EQUAL(json_object_array_length(fleet_json_array(o, "diff")), 1);
	CU_ASSERT_EQUAL(fleet_json_int(o, "downMs", 0), 5);
	command_unref(c);
	command_unref(NULL);
}

/* --- agents ----------------------------------------------------------------------------------------- */

static void take_agent(const char *agent_id, struct json_object *agent, void *arg)
{
	fleet_json_add(arg, agent_id, json_object_get(agent));
}

static void test_agents_come_back(void)
{
	_cleanup_json_ struct json_object *agents = json_object_new_object();
	struct fleet_error err = FLEET_ERROR_INIT;

	begin();
	for (int i = 0; i < 100; i++) {
		_cleanup_json_ struct json_object *agent = json_object_new_object();

		fleet_json_add_int(agent, "n", i);
		store_agent_save(store, i % 2 ? "agent-001" : "agent-002", agent);
		store_heartbeat_add(store, "agent-001", 1000 + i, agent);
	}
	reopen(); /* closing writes what waits */
	CU_ASSERT_EQUAL(store_agents_load(store, take_agent, agents, &err), 0);
	CU_ASSERT_STRING_EQUAL(
		fleet_json_text(agents, NULL), "{\"agent-001\":{\"n\":99},\"agent-002\":{\"n\":98}}");
	/* what was saved a moment ago is there for the next question, too */
	store_agent_save(store, "agent-003", agents);
	CU_ASSERT_EQUAL(store_agents_load(store, take_agent, agents, &err), 0);
	CU_ASSERT_EQUAL(json_object_object_length(agents), 3);
	CU_ASSERT_EQUAL(behind_the_back("CREATE TABLE proof (x CHECK (x = 100));"
					"INSERT INTO proof SELECT count(*) FROM heartbeats"),
		SQLITE_OK);
	end();
}

/* --- the thread ------------------------------------------------------------------------------------- */

struct order {
	size_t next, came;
	size_t failed;
};
struct ticket {
	struct order *order;
	size_t number;
	bool must_fail;
};

static void on_ticket(int result, const struct fleet_error *err, void *arg)
{
	struct ticket *t = arg;

	(void)err;
	CU_ASSERT_EQUAL(t->number, t->order->next);
	CU_ASSERT_EQUAL(result < 0, t->must_fail);
	t->order->next++;
	t->order->came++;
	t->order->failed += result < 0;
}

/* Two thousand requests at once, every seventh a bad one: answers in order, the good ones unharmed. */
static void test_answers_come_in_order(void)
{
	enum { COUNT = 2000 };
	_cleanup_free_ struct ticket *tickets = xcalloc(COUNT, sizeof(*tickets));
	struct order order = {0};
	struct store_head head;
	struct fleet_error err;

	begin();
	for (size_t i = 0; i < COUNT; i++) {
		const struct audit_event event = {.category = i % 7 ? "system" : "nonsense", .message = "m"};

		tickets[i] = (struct ticket){&order, i, i % 7 == 0};
		store_audit_append(store, &event, on_ticket, &tickets[i]);
	}
	pump_until(&order.came, COUNT);
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, (int64_t)(COUNT - order.failed));
	CU_ASSERT_EQUAL(verify(&head, &err), 0);
	CU_ASSERT_EQUAL(head.seq, (int64_t)(COUNT - order.failed));
	end();
}

static void ask_again(int result, const struct fleet_error *err, void *arg)
{
	struct answer *a = arg;
	const struct audit_event event = {.category = "system", .message = "from a callback"};

	take_error(a, result, err);
	if (a->came == 1)
		store_audit_append(store, &event, ask_again, a);
}

static void test_close_answers_everybody(void)
{
	const struct audit_event event = {.category = "system", .message = "m"};
	struct answer many = {0}, again = {0};

	begin();
	for (int i = 0; i < 600; i++)
		store_audit_append(store, &event, on_done, &many);
	store_audit_append(store, &event, ask_again, &again);
	store_close(store); /* `store` stays set: a callback asks it once more */
	store = NULL;
	CU_ASSERT_EQUAL(many.came, 600);
	CU_ASSERT_EQUAL(many.result, 0);
	CU_ASSERT_EQUAL(again.came, 2);
	CU_ASSERT_EQUAL(again.result, -ESHUTDOWN);
	open_store();
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, 601);
	end();
	store_close(NULL);
}

static void test_one_console_a_directory(void)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct store *second = NULL;
	struct stat st;
	_cleanup_free_ char *path = NULL, *version = NULL;

	begin();
	CU_ASSERT_EQUAL(store_open(base, directory, &second, &err), -EBUSY);
	CU_ASSERT_PTR_NULL(second);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, directory));
	path = xasprintf("%s/console.db", directory);
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
	CU_ASSERT_TRUE(store_open(base, "/dev/null/x", &second, &err) < 0);
	close_store();
	CU_ASSERT_EQUAL(behind_the_back("PRAGMA user_version = 99"), SQLITE_OK);
	CU_ASSERT_EQUAL(store_open(base, directory, &second, &err), -EPROTO);
	version = xasprintf("PRAGMA user_version = %zu", store_migration_count);
	CU_ASSERT_EQUAL(behind_the_back(version), SQLITE_OK);
	open_store();
	end();
}

/* --- death and a full disk, each in a process of its own -------------------------------------------- */

static void tell_pipe(int result, const struct fleet_error *err, void *arg)
{
	int fd = *(int *)arg;

	(void)err;
	if (result == 0 && write(fd, "x", 1) != 1)
		_exit(1);
}

/* Appends for ever and tells of each committed event by a byte. */
static void append_until_killed(int fd)
{
	const struct audit_event event = {
		.category = "system", .message = "before the end", .agent_id = "agent-001"};

	base = event_base_new();
	if (store_open(base, directory, &store, NULL) < 0)
		_exit(1);
	for (;;) {
		for (int i = 0; i < 5; i++)
			store_audit_append(store, &event, tell_pipe, &fd);
		event_base_loop(base, EVLOOP_ONCE);
	}
}

static void test_what_was_told_survives_kill(void)
{
	for (int round = 0; round < 5; round++) {
		struct store_head head;
		struct fleet_error err;
		int fds[2];
		int64_t told = 0;
		char bytes[64];
		ssize_t n;
		pid_t pid;

		begin();
		close_store();
		CU_ASSERT_EQUAL_FATAL(pipe2(fds, O_CLOEXEC), 0);
		fflush(NULL);
		pid = fork();
		CU_ASSERT_FATAL(pid >= 0);
		if (pid == 0)
			append_until_killed(fds[1]);
		(void)close(fds[1]);
		while (told < 20 + 37 * round) {
			struct pollfd p = {.fd = fds[0], .events = POLLIN};

			CU_ASSERT_EQUAL_FATAL(poll(&p, 1, DEADLINE_MS), 1);
			n = read(fds[0], bytes, sizeof(bytes));
			CU_ASSERT_FATAL(n > 0);
			told += n;
		}
		CU_ASSERT_EQUAL(kill(pid, SIGKILL), 0);
		CU_ASSERT_EQUAL(waitpid(pid, NULL, 0), pid);
		while ((n = read(fds[0], bytes, sizeof(bytes))) > 0)
			told += n;
		(void)close(fds[0]);
		CU_ASSERT_EQUAL(verify(&head, &err), 0);
		CU_ASSERT_TRUE(head.seq >= told);
		open_store();
		CU_ASSERT_EQUAL(store_audit_head(store)->seq, head.seq);
		append_many(1);
		end();
	}
}

/* The file may not grow: requests fail with a sentence, the store lives, and goes on when there is room. */
static int fill_the_disk(void)
{
	_cleanup_free_ char *big = xcalloc(1, 20001);
	struct rlimit limit = {300000, RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
	struct audit_event event = {.category = "system", .message = big};
	struct answer a = {0};
	struct store_head before, head;
	struct fleet_error err;

	memset(big, 'x', 20000);
	base = event_base_new();
	signal(SIGXFSZ, SIG_IGN);
	if (!freopen("/dev/null", "w", stderr)) /* the store logs what it could not commit */
		return 9;
	if (store_open(base, directory, &store, NULL) < 0)
		return 1;
	if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
		return 2;
	for (int i = 0; i < 100 && a.result == 0; i++) {
		a = (struct answer){0};
		store_audit_append(store, &event, on_done, &a);
		pump_until(&a.came, 1);
	}
	if (a.result >= 0 || !a.err.message[0])
		return 3;
	before = *store_audit_head(store);
	/* a question that waits together with what cannot be written is answered all the same */
	a = (struct answer){0};
	store_heartbeat_add(store, "agent-001", 1, event.details);
	store_audit_append(store, &event, NULL, NULL);
	store_audit_contains(store, before.seq, before.hash, on_done, &a);
	pump_until(&a.came, 1);
	if (a.result != 1)
		return 8;
	if (before.seq == 0 || store_audit_verify(directory, &head, &err) < 0 || head.seq != before.seq)
		return 4;
	if (setrlimit(RLIMIT_FSIZE, &none) < 0)
		return 5;
	a = (struct answer){0};
	store_audit_append(store, &event, on_done, &a);
	pump_until(&a.came, 1);
	if (a.result != 0 || store_audit_head(store)->seq != before.seq + 1)
		return 6;
	store_close(store);
	return store_audit_verify(directory, &head, &err) == 0 && head.seq == before.seq + 1 ? 0 : 7;
}

static void test_full_disk(void)
{
	int status = -1;
	pid_t pid;

	begin();
	close_store();
	fflush(NULL);
	pid = fork();
	CU_ASSERT_FATAL(pid >= 0);
	if (pid == 0)
		_exit(fill_the_disk());
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	if (status)
		printf("# ended with status %d\n", WEXITSTATUS(status));
	open_store();
	end();
}

/* What an agent said before could not be kept: nothing of his behind it is, though it is in the queue; until
 * he comes again. What others said is, and what nobody's order is about. */
static void test_nothing_is_kept_behind_a_gap(void)
{
	static const char spool[] = "01890a5d-ac96-774b-bcce-b302099a8000";
	struct audit_event event = {.category = "agent",
		.agent_id = "agent-001",
		.message = "m",
		.spool_id = spool,
		.in_order = true};
	const struct audit_event others = {.category = "agent",
					 .agent_id = "agent-002",
					 .message = "m",
					 .in_order = true},
				 ours = {.category = "agent", .agent_id = "agent-001", .message = "m"};
	struct audit_event outcome = {
		.category = "restart", .agent_id = "agent-001", .message = "its end", .in_order = true};
	_cleanup_json_ struct json_object *result = json_tokener_parse("{\"success\": true}");
	struct answer kept = {0}, lost = {0}, behind = {0}, end_of_it = {0};
	struct command *c = new_command();

	begin();
	CU_ASSERT_EQUAL(create(c, NULL, NULL), 0);
	outcome.command_id = c->id;
	event.spool_seq = 1;
	store_audit_append(store, &event, on_done, &kept);
	event.event_id = "no id";
	event.spool_seq = 2;
	store_audit_append(store, &event, on_done, &lost);
	event.event_id = NULL;
	event.spool_seq = 3;
	store_audit_append(store, &event, on_done, &behind);
	store_command_finish(
		store, c->id, COMMAND_SUCCEEDED, result, "done", 1000, 2000, &outcome, on_done, &end_of_it);
	store_audit_append(store, &others, on_done, &kept);
	store_audit_append(store, &ours, on_done, &kept);
	pump_until(&kept.came, 3);
	pump_until(&end_of_it.came, 1);
	CU_ASSERT_EQUAL(kept.result, 0);
	CU_ASSERT_EQUAL(lost.result, -EINVAL);
	CU_ASSERT_EQUAL(behind.result, -ECANCELED);
	CU_ASSERT_EQUAL(end_of_it.result, -ECANCELED);
	store_agent_returns(store, "agent-001");
	CU_ASSERT_EQUAL(held("agent-001", spool), 1);
	event.spool_seq = 2;
	CU_ASSERT_EQUAL(append(&event), 0);
	event.spool_seq = 3;
	CU_ASSERT_EQUAL(append(&event), 0);
	CU_ASSERT_EQUAL(held("agent-001", spool), 3);
	CU_ASSERT_EQUAL(finish(c->id, COMMAND_SUCCEEDED, "{\"success\": true}"), 0);
	command_unref(c);
	end();
}

static const struct unit_test audit_tests[] = {UNIT_TEST(test_chain_is_the_documented_one),
	UNIT_TEST(test_an_event_counts_once), UNIT_TEST(test_bad_events_are_refused),
	UNIT_TEST(test_hostile_texts_keep_the_chain), UNIT_TEST(test_rows_cannot_be_changed_by_mistake),
	UNIT_TEST(test_verify_finds_every_change), UNIT_TEST(test_a_witness_sees_lost_rows),
	UNIT_TEST(test_verify_without_a_log), UNIT_TEST(test_spools_are_held_up_to_the_first_gap),
	UNIT_TEST(test_repeated_events_do_not_hold_a_spool_up), UNIT_TEST(test_nothing_is_kept_behind_a_gap),
	UNIT_TEST(test_audit_filters), UNIT_TEST(test_audit_pages), {0}};
static const struct unit_test command_tests[] = {UNIT_TEST(test_create_and_get),
	UNIT_TEST(test_get_by_the_last_digits), UNIT_TEST(test_idempotency_key),
	UNIT_TEST(test_create_is_whole_or_nothing), UNIT_TEST(test_states_move_forward_only),
	UNIT_TEST(test_a_command_ends_once), UNIT_TEST(test_values_are_forgotten_at_the_end),
	UNIT_TEST(test_history_merges_by_time), UNIT_TEST(test_snapshots_are_bounded),
	UNIT_TEST(test_finish_needs_an_end), UNIT_TEST(test_open_commands_come_back),
	UNIT_TEST(test_command_lists), UNIT_TEST(test_artifacts_are_kept_and_removed),
	UNIT_TEST(test_command_as_json), {0}};
static const struct unit_test thread_tests[] = {UNIT_TEST(test_agents_come_back),
	UNIT_TEST(test_answers_come_in_order), UNIT_TEST(test_close_answers_everybody),
	UNIT_TEST(test_one_console_a_directory), UNIT_TEST(test_what_was_told_survives_kill),
	UNIT_TEST(test_full_disk), {0}};

int main(void)
{
	int r;

	base = event_base_new();
	r = unit_run((const struct unit_suite[]){{"store audit", audit_tests},
		{"store commands", command_tests}, {"store thread", thread_tests}, {0}});
	event_base_free(base);
	return r;
}
