/* The whole agent between console and driver host: registration, what it tells of its server, what is at
 * fault, and how it leaves. */
#include "agent/dev.h"
#include "fleet/file.h"
#include "fleet/ids.h"
#include "test_agent_scene.h"

static void test_registers_with_all_it_is(void)
{
	struct json_object *m, *apps;

	scene_with_everybody();
	m = hub_last(&hub, "register");
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_PTR_EQUAL(m, hub.messages[0]);
	CU_ASSERT_STRING_EQUAL(hub.agent_id, "agent-001");
	CU_ASSERT_STRING_EQUAL(hub.authorization, "Bearer secret");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(m, "agentId"), "agent-001");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(m, "agentVersion"), PACKAGE_VERSION);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(fleet_json_object(m, "labels"), "site"), "berlin");
	CU_ASSERT_PTR_NOT_NULL(fleet_json_string(fleet_json_object(m, "os"), "kernel"));
	CU_ASSERT_PTR_NOT_NULL(fleet_json_array(m, "drivers"));
	apps = fleet_json_array(m, "apps");
	CU_ASSERT_EQUAL_FATAL(json_object_array_length(apps), 2); /* it waited for the host's word */
	CU_ASSERT_PTR_NULL(fleet_json_get(m, "auditHead"));
	CU_ASSERT_PTR_NULL(fleet_json_get(m, "clockOffsetMs"));
	m = hub_last(&hub, "heartbeat");
	CU_ASSERT_EQUAL(fleet_json_int(m, "seq", 0), 1);
	apps = fleet_json_array(m, "apps");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(json_object_array_get_idx(apps, 0), "status"), "running");
	CU_ASSERT(fleet_json_int(fleet_json_object(m, "metrics"), "memoryTotalBytes", 0) > 0);
	CU_ASSERT_TRUE(
		LOOP_UNTIL(base, hub_event(&hub, "agent started (version " PACKAGE_VERSION ")") != NULL));
	/* The next time it knows the console's head and clock. */
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub.audit_seq >= 1));
	loop_for(base, 50);
	fleet_ws_close(hub.ws, 1012, "restarting");
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "register") == 2));
	m = hub_last(&hub, "register");
	CU_ASSERT_EQUAL(fleet_json_int(fleet_json_object(m, "auditHead"), "seq", 0), 5);
	CU_ASSERT_PTR_NOT_NULL(fleet_json_get(m, "clockOffsetMs"));
	CU_ASSERT(llabs(fleet_json_int(m, "clockOffsetMs", 99999)) < 2000);
	scene_end();
}

static void test_registers_without_a_host_and_again_with_it(void)
{
	struct json_object *apps;

	scene_begin();
	agent_start();
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "heartbeat") == 1));
	CU_ASSERT_EQUAL(json_object_array_length(fleet_json_array(hub_last(&hub, "register"), "apps")), 0);
	host_start();
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "register") == 2));
	CU_ASSERT_EQUAL(json_object_array_length(fleet_json_array(hub_last(&hub, "register"), "apps")), 2);
	CU_ASSERT_TRUE(
		LOOP_UNTIL(base, hub_count(&hub, "heartbeat") == 2)); /* at once, not an interval later */
	host_stop();
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_event(&hub, "driver host lost") != NULL));
	hub_send(&hub, fleet_message_new(FLEET_MESSAGE_REQUEST_HEARTBEAT));
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "heartbeat") == 3));
	apps = fleet_json_array(hub_last(&hub, "heartbeat"), "apps");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(json_object_array_get_idx(apps, 0), "status"), "unknown");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(json_object_array_get_idx(apps, 0), "version"), "2.0.0");
	CU_ASSERT_PTR_NOT_NULL(
		strstr(fleet_json_string(json_object_array_get_idx(apps, 0), "message"), "driver host"));
	host_start();
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_event(&hub, "driver host is back") != NULL));
	scene_end();
}

static void test_bad_messages_are_answered(void)
{
	static const struct {
		const char *text, *code, *path;
	} cases[] = {
		{"{\"type\":\"selfDestruct\",\"id\":\"018f0000-0000-7000-8000-000000000001\",\"ts\":\"2026-"
		 "01-31T23:59:59Z\"}",
			"unknown-type", "$.type"},
		{"{\"type\":\"restartApp\",\"id\":\"018f0000-0000-7000-8000-000000000001\",\"ts\":\"2026-01-"
		 "31T23:59:59Z\",\"jws\":7}",
			"invalid-message", "$.jws"},
		{"{\"type\":\"ack\",\"id\":\"018f0000-0000-7000-8000-000000000001\",\"ts\":\"2026-01-31T23:"
		 "59:59Z\",\"auditSeq\":-1}",
			"invalid-message", "$.auditSeq"},
		{"{\"type\":\"cancel\",\"id\":\"018f0000-0000-7000-8000-000000000001\",\"ts\":\"2026-01-"
		 "31T23:59:59Z\",\"jws\":\"x\"}",
			"not-supported", NULL},
		{"not json", "invalid-message", NULL},
		{"[]", "invalid-message", NULL},
		{"{}", "invalid-message", NULL},
	};
	struct json_object *m;

	scene_with_everybody();
	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		hub_send_text(&hub, cases[i].text);
		CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "error") == (int)i + 1));
		m = hub_last(&hub, "error");
		CU_ASSERT_STRING_EQUAL(fleet_json_string(m, "code"), cases[i].code);
		if (cases[i].path)
			CU_ASSERT_STRING_EQUAL(fleet_json_string(m, "path"), cases[i].path);
	}
	/* An ack of what was never sent, and an error, are not answered; the connection stays through it all.
	 */
	hub_send_text(&hub, "{\"type\":\"ack\",\"id\":\"018f0000-0000-7000-8000-000000000001\",\"ts\":\"2026-"
			    "01-31T23:59:59Z\",\"auditSeq\":99999}");
	hub_send_text(&hub, "{\"type\":\"error\",\"id\":\"018f0000-0000-7000-8000-000000000001\",\"ts\":"
			    "\"2026-01-31T23:59:59Z\"}");
	hub_send(&hub, fleet_message_new(FLEET_MESSAGE_REQUEST_HEARTBEAT));
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "heartbeat") == 2));
	CU_ASSERT_EQUAL(hub_count(&hub, "error"), (int)FLEET_ARRAY_LEN(cases));
	CU_ASSERT_EQUAL(hub.opened, 1);
	scene_end();
}

static void test_tells_problems_once(void)
{
	static const char with_problem[] =
		"{\"apps\":[{\"id\":\"app-a\"}],\"problems\":[{\"file\":\"bad.yaml\",\"line\":3,"
		"\"column\":5,\"message\":\"unknown key 'servce_name'\"}]}";
	struct json_object *m;
	size_t events;

	scene_with_everybody();
	host_describe(with_problem);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_event(&hub, "1 problem found in apps.d") != NULL));
	CU_ASSERT_PTR_NOT_NULL(hub_event(&hub, "apps reloaded: 1 declared, 1 problem"));
	CU_ASSERT_TRUE(
		LOOP_UNTIL(base, hub_count(&hub, "register") == 2)); /* what is registered has changed */
	m = hub_last(&hub, "register");
	CU_ASSERT_EQUAL(json_object_array_length(fleet_json_array(m, "problems")), 1);
	events = (size_t)hub_count(&hub, "auditEvent");
	host_describe(with_problem);
	loop_for(base, 100);
	CU_ASSERT_EQUAL((size_t)hub_count(&hub, "auditEvent"), events);
	CU_ASSERT_EQUAL(hub_count(&hub, "register"), 2);
	host_describe(described);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_event(&hub, "the problems in apps.d are gone") != NULL));
	scene_end();
}

/* Everything that the host may say at once, which is more than one message may hold. */
static void test_long_descriptions_are_cut(void)
{
	struct json_object *description = fleet_message_new(FLEET_FRAME_DESCRIPTION),
			   *apps = json_object_new_array();
	struct json_object *problems = json_object_new_array(),
			   *status = fleet_message_new(FLEET_FRAME_STATUS), *states = json_object_new_array();
	char text[3600];
	int registered;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < 200; i++) {
		struct json_object *app = json_object_new_object(), *state = json_object_new_object();
		struct json_object *problem = json_object_new_object();
		char id[32];

		(void)snprintf(id, sizeof(id), "app-%d", i);
		fleet_json_add_string(app, "id", id);
		json_object_array_add(apps, app);
		fleet_json_add_string(state, "id", id);
		fleet_json_add_string(state, "status", "failed");
		fleet_json_add_string(state, "message", text);
		json_object_array_add(states, state);
		fleet_json_add_string(problem, "message", text);
		json_object_array_add(problems, problem);
	}
	fleet_json_add(description, "apps", apps);
	fleet_json_add(description, "problems", problems);
	fleet_json_add(status, "apps", states);
	scene_with_everybody();
	host.mute_status = true;
	host_forget();
	hub_send(&hub, fleet_message_new(FLEET_MESSAGE_REQUEST_HEARTBEAT));
	CU_ASSERT_TRUE_FATAL(LOOP_UNTIL(base, host_count("statusRequest") == 1));
	fleet_json_add_string(status, "refId", fleet_json_string(host_last("statusRequest"), "id"));
	host_send(status);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "heartbeat") == 2));
	registered = hub_count(&hub, "register");
	host_send(description);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "register") == registered + 1));
	CU_ASSERT_EQUAL(json_object_array_length(fleet_json_array(hub_last(&hub, "register"), "apps")), 200);
	CU_ASSERT_EQUAL(
		json_object_array_length(fleet_json_array(hub_last(&hub, "register"), "problems")), 20);
	scene_end();
}

static void test_reload_registers_again(void)
{
	scene_with_everybody();
	agent_reload(agent);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "register") == 2 && host_count("hello") == 2));
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "heartbeat") == 2));
	CU_ASSERT_EQUAL(hub.opened, 1);
	scene_end();
}

static void on_too_long(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	*(bool *)arg = true;
	(void)event_base_loopbreak(base);
}

static void test_leaves_gracefully(void)
{
	const struct timeval limit = {.tv_sec = 15};
	bool too_long = false;
	struct event *watch = evtimer_new(base, on_too_long, &too_long);

	scene_with_everybody();
	agent_stop(agent);
	event_add(watch, &limit);
	CU_ASSERT_EQUAL(event_base_dispatch(base), 0); /* until the agent ends the loop itself */
	CU_ASSERT_FALSE(too_long);
	event_free(watch);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub.closed == 1));
	CU_ASSERT_EQUAL(hub.close_code, 1001);
	CU_ASSERT_PTR_NOT_NULL(hub_event(&hub, "agent stopped"));
	scene_end();
}

static void test_dev_apps_are_copied_once(void)
{
	char from[64], data[64], path[160];
	struct fleet_error err = FLEET_ERROR_INIT;
	_cleanup_free_ char *text = NULL, *kept = NULL;

	(void)snprintf(dir, sizeof(dir), "/tmp/fleet-unit-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	(void)snprintf(from, sizeof(from), "%s/from", dir);
	(void)snprintf(data, sizeof(data), "%s/data", dir);
	CU_ASSERT_TRUE(dev_copy_apps(from, data, &err) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "--apps-dir"));
	CU_ASSERT_EQUAL(fleet_mkdir_parents(from, 0700, NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/app.yaml", from);
	CU_ASSERT_EQUAL(fleet_file_write_durable(path, "a: @DATA_DIR@/x\nb: @DATA_DIR@", 29, 0600, NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/app.json", from);
	CU_ASSERT_EQUAL(fleet_file_write_durable(path, "{\"a\":\"@DATA_DIR@\"}", 18, 0600, NULL), 0);
	CU_ASSERT_EQUAL(dev_copy_apps(from, data, &err), 0);
	(void)snprintf(path, sizeof(path), "%s/apps.d/app.yaml", data);
	CU_ASSERT_EQUAL(fleet_file_read(path, 1000, &text, NULL, NULL), 0);
	{
		char expected[200];

		(void)snprintf(expected, sizeof(expected), "a: %s/x\nb: %s", data, data);
		CU_ASSERT_STRING_EQUAL(text, expected);
	}
	(void)snprintf(path, sizeof(path), "%s/apps/app.json", data);
	CU_ASSERT_EQUAL(fleet_file_write_durable(path, "{}", 2, 0600, NULL), 0);
	CU_ASSERT_EQUAL(dev_copy_apps(from, data, &err), 0); /* what was pushed to stays */
	CU_ASSERT_EQUAL(fleet_file_read(path, 1000, &kept, NULL, NULL), 0);
	CU_ASSERT_STRING_EQUAL(kept, "{}");
	{
		static const char *const names[] = {"from/app.yaml", "from/app.json", "from",
			"data/apps.d/app.yaml", "data/apps.d", "data/apps/app.json", "data/apps", "data", ""};

		for (size_t i = 0; i < FLEET_ARRAY_LEN(names); i++) {
			(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
			CU_ASSERT_EQUAL(remove(path), 0);
		}
	}
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_registers_with_all_it_is),
	UNIT_TEST(test_registers_without_a_host_and_again_with_it),
	UNIT_TEST(test_bad_messages_are_answered),
	UNIT_TEST(test_tells_problems_once),
	UNIT_TEST(test_long_descriptions_are_cut),
	UNIT_TEST(test_reload_registers_again),
	UNIT_TEST(test_leaves_gracefully),
	UNIT_TEST(test_dev_apps_are_copied_once),
	{0},
};

int main(void)
{
	return scene_run("agent_flow", tests);
}
