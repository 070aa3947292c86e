/* What else the store keeps: config files' history, artifacts, agents. */
#include "test_store_fixture.h"

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

static const struct unit_test tests[] = {UNIT_TEST(test_history_merges_by_time),
	UNIT_TEST(test_snapshots_are_bounded), UNIT_TEST(test_artifacts_are_kept_and_removed),
	UNIT_TEST(test_agents_come_back), {0}};

int main(void)
{
	return run_with_loop((const struct unit_suite[]){{"store records", tests}, {0}});
}
