/* What the tests of the store share: a store in a directory of its own for each test, requests that wait for
 * their answer, and a look behind the store's back. */
#ifndef TEST_STORE_FIXTURE_H
#define TEST_STORE_FIXTURE_H
#include <fcntl.h>
#include <poll.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include "console/store.h"
#include "fleet/clock.h"
#include "fleet/file.h"
#include "fleet/limits.h"
#include "unit.h"

#define DEADLINE_MS 20000

static struct event_base *base;
static char *directory; /* of the running test */
static struct store *store;

/* --- a store per test ------------------------------------------------------------------------------- */

static inline void remove_directory(void)
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

static inline void open_store(void)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL(store_open(base, directory, &store, &err), 0);
	if (!store) {
		printf("# %s\n", err.message);
		CU_FAIL_FATAL("no store");
	}
}

static inline void begin(void)
{
	char name[] = "/tmp/fleet-test-store.XXXXXX";

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(name));
	directory = xstrdup(name);
	open_store();
}

static inline void close_store(void)
{
	store_close(TAKE_PTR(store));
}

static inline void end(void)
{
	close_store();
	remove_directory();
	free(TAKE_PTR(directory));
}

static inline void reopen(void)
{
	close_store();
	open_store();
}

static inline void pump_until(const size_t *counter, size_t value)
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
	char existing[FLEET_UUID_LEN + 1], event_id[FLEET_UUID_LEN + 1], next[64];
	struct json_object *array; /* owned */
	struct command *command;   /* owned */
	int64_t seq;
};

static inline void answer_done(struct answer *a)
{
	json_object_put(a->array);
	command_unref(a->command);
}
#define _cleanup_answer_ _cleanup_(answer_done)

static inline void take_error(struct answer *a, int result, const struct fleet_error *err)
{
	a->came++;
	a->result = result;
	if (err)
		a->err = *err;
	if (result < 0 && err)
		CU_ASSERT_EQUAL(err->code, result);
}

static inline void on_done(int result, const struct fleet_error *err, void *arg)
{
	take_error(arg, result, err);
}

static inline void on_created(int result, const char *existing_id, const struct fleet_error *err, void *arg)
{
	struct answer *a = arg;

	CU_ASSERT_EQUAL(existing_id != NULL, result == -EEXIST);
	snprintf(a->existing, sizeof(a->existing), "%s", existing_id ? existing_id : "");
	take_error(a, result, err);
}

static inline void on_list(
	int result, struct json_object *array, const char *next, const struct fleet_error *err, void *arg)
{
	struct answer *a = arg;

	json_object_put(a->array);
	a->array = json_object_get(array);
	snprintf(a->next, sizeof(a->next), "%s", next ? next : "");
	take_error(a, result, err);
}

static inline void on_command(int result, struct command *command, const struct fleet_error *err, void *arg)
{
	struct answer *a = arg;

	CU_ASSERT_EQUAL(command != NULL, result >= 0);
	command_unref(a->command);
	a->command = command ? command_ref(command) : NULL;
	take_error(a, result, err);
}

static inline void on_seq(int result, int64_t seq, const char *event_id, void *arg)
{
	struct answer *a = arg;

	a->seq = seq;
	(void)snprintf(a->event_id, sizeof(a->event_id), "%s", event_id ? event_id : "");
	take_error(a, result, NULL);
}

/* --- shorthand that waits --------------------------------------------------------------------------- */

static inline int append(const struct audit_event *event)
{
	struct answer a = {0};

	store_audit_append(store, event, on_done, &a);
	pump_until(&a.came, 1);
	return a.result;
}

static inline void append_many(size_t count)
{
	struct answer a = {0};
	const struct audit_event event = {
		.category = "system", .message = "one of many", .agent_id = "agent-001"};

	for (size_t i = 0; i < count; i++)
		store_audit_append(store, &event, on_done, &a);
	pump_until(&a.came, count);
	CU_ASSERT_EQUAL(a.result, 0);
}

static char held_event_id[FLEET_UUID_LEN + 1]; /* of the last answer of held() */

static inline int64_t held(const char *agent_id, const char *spool_id)
{
	struct answer a = {0};

	store_spool_seq(store, agent_id, spool_id, on_seq, &a);
	pump_until(&a.came, 1);
	CU_ASSERT_EQUAL(a.result, 0);
	(void)snprintf(held_event_id, sizeof(held_event_id), "%s", a.event_id);
	return a.seq;
}

static inline int contains(int64_t seq, const char *hash)
{
	struct answer a = {0};

	store_audit_contains(store, seq, hash, on_done, &a);
	pump_until(&a.came, 1);
	return a.result;
}

static inline size_t audit_count(const struct audit_filter *filter)
{
	_cleanup_answer_ struct answer a = {0};

	store_audit_query(store, filter, (struct store_page){1000, NULL}, on_list, &a);
	pump_until(&a.came, 1);
	CU_ASSERT_EQUAL(a.result, 0);
	return a.array ? json_object_array_length(a.array) : 0;
}

static inline struct command *new_command(void)
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

static inline int create(const struct command *c, const char *key, struct answer *ret)
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

static inline int advance(const char *id, enum command_state state, int64_t at_ms)
{
	struct answer a = {0};

	store_command_advance(store, id, state, at_ms, on_done, &a);
	pump_until(&a.came, 1);
	return a.result;
}

static inline int finish(const char *id, enum command_state state, const char *result_text)
{
	const struct audit_event outcome = {.category = "restart", .command_id = id, .message = "outcome"};
	_cleanup_json_ struct json_object *result = result_text ? json_tokener_parse(result_text) : NULL;
	struct answer a = {0};

	store_command_finish(store, id, state, result, "because", 1000, 2000, &outcome, on_done, &a);
	pump_until(&a.came, 1);
	return a.result;
}

static inline int get(const char *id_or_tail, struct answer *ret)
{
	command_unref(ret->command);
	*ret = (struct answer){0};
	store_command_get(store, id_or_tail, on_command, ret);
	pump_until(&ret->came, 1);
	return ret->result;
}

/* What somebody with the file in his hands does. */
static inline int behind_the_back(const char *sql)
{
	_cleanup_free_ char *path = xasprintf("%s/console.db", directory);
	sqlite3 *db = NULL;
	int r = sqlite3_open(path, &db);

	if (r == SQLITE_OK)
		r = sqlite3_exec(db, sql, NULL, NULL, NULL);
	sqlite3_close(db);
	return r;
}

static inline int verify(struct store_head *ret_head, struct fleet_error *err)
{
	*err = (struct fleet_error)FLEET_ERROR_INIT;
	return store_audit_verify(directory, ret_head, err);
}

static inline int run_with_loop(const struct unit_suite *suites)
{
	int r;

	base = event_base_new();
	r = unit_run(suites);
	event_base_free(base);
	return r;
}

#endif
