/* Commands in the store: made once, moved forward, ended once, their values forgotten then. */
#include "test_store_fixture.h"

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
					(ends[j] == COMMAND_SUCCEEDED || ends[j] == COMMAND_FAILED ||
						ends[j] == COMMAND_EXPIRED);
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

static const struct unit_test tests[] = {UNIT_TEST(test_create_and_get),
	UNIT_TEST(test_get_by_the_last_digits), UNIT_TEST(test_idempotency_key),
	UNIT_TEST(test_create_is_whole_or_nothing), UNIT_TEST(test_states_move_forward_only),
	UNIT_TEST(test_a_command_ends_once), UNIT_TEST(test_values_are_forgotten_at_the_end),
	UNIT_TEST(test_finish_needs_an_end), UNIT_TEST(test_open_commands_come_back),
	UNIT_TEST(test_command_lists), UNIT_TEST(test_command_as_json), {0}};

int main(void)
{
	return run_with_loop((const struct unit_suite[]){{"store commands", tests}, {0}});
}
