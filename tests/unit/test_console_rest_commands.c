/* What the REST API has servers do, and asks them. */
#include "test_console_rest.h"

static void test_too_many_settings_and_too_large_values(void)
{
	struct world *w = world_new(NULL);
	struct fake_agent a;
	_cleanup_json_ struct json_object *many = json_tokener_parse("{\"appId\":\"app-a\",\"settings\":{}}");
	_cleanup_json_ struct json_object *large =
		json_tokener_parse("{\"appId\":\"app-a\",\"settings\":{}}");
	_cleanup_json_ struct json_object *huge = json_tokener_parse("{\"appId\":\"app-a\",\"settings\":{}}");
	_cleanup_free_ char *value = xcalloc(1, FLEET_VALUE_MAX + 2);

	for (int i = 0; i < FLEET_SETTINGS_PER_PUSH_MAX + 1; i++) {
		char key[16];

		(void)snprintf(key, sizeof(key), "k%d", i);
		fleet_json_add_int(fleet_json_object(many, "settings"), key, i);
	}
	memset(value, 'x', FLEET_VALUE_MAX + 1);
	fleet_json_add_string(fleet_json_object(large, "settings"), "k", value);
	value[FLEET_VALUE_MAX - 2] = '\0'; /* with its quotes, the longest that is allowed */
	for (int i = 0; i < 10; i++) {
		char key[16];

		(void)snprintf(key, sizeof(key), "k%d", i);
		fleet_json_add_string(fleet_json_object(huge, "settings"), key, value);
	}
	agent_join(&a, w, "agent-001");
	CU_ASSERT_EQUAL(world_post(w, AGENT "/push-config", fleet_json_text(many, NULL)), 400);
	CU_ASSERT_EQUAL(world_post(w, AGENT "/push-config", fleet_json_text(large, NULL)), 400);
	CU_ASSERT_EQUAL(world_post(w, AGENT "/push-config", fleet_json_text(huge, NULL)), 413);
	CU_ASSERT(problem(w, "too-large"));
	agent_done(&a);
	world_free(w);
}

/* What was answered 202 is read again: from the store, by the server, and at the next start. */
static void test_deep_values_do_not_outgrow_their_command(void)
{
	struct world *w = world_new(NULL);
	struct fake_agent a;

	agent_join(&a, w, "agent-001");
	agent_done(&a);
	for (int levels = 25; levels <= 30; levels++) {
		char value[80] = "";
		_cleanup_free_ char *body = NULL;

		memset(value, '[', (size_t)levels);
		memset(value + levels, ']', (size_t)levels);
		body = xasprintf("{\"appId\":\"app-a\",\"settings\":{\"deep\":%s}}", value);
		CU_ASSERT_EQUAL(world_post(w, AGENT "/push-config", body),
			levels <= FLEET_VALUE_DEPTH_MAX ? 202 : 400);
	}
	CU_ASSERT_STRING_EQUAL(world_text(w, "field"), "settings");
	CU_ASSERT_EQUAL(world_get(w, "/api/commands"), 200);
	CU_ASSERT_EQUAL(json_object_array_length(w->json), 4);
	console_free(w->console);
	world_start(w);
	CU_ASSERT_EQUAL(world_get(w, "/api/commands"), 200);
	CU_ASSERT_EQUAL(json_object_array_length(w->json), 4);
	world_free(w);
}

static void test_an_offline_agents_commands_wait(void)
{
	struct world *w = world_new(NULL);
	struct fake_agent a;
	_cleanup_free_ char *path = NULL, *tail = NULL;
	const char *id;

	agent_join(&a, w, "agent-001");
	agent_done(&a);
	CU_ASSERT(world_becomes(w, AGENT, "isOnline", "false"));
	CU_ASSERT_EQUAL(world_post(w, AGENT "/restart-app", "{\"appId\":\"app-a\"}"), 202);
	CU_ASSERT_STRING_EQUAL(world_text(w, "state"), "queued");
	CU_ASSERT_STRING_EQUAL(world_text(w, "command"), "restart-app");
	CU_ASSERT_STRING_EQUAL(world_text(w, "actor"), "operator@cli");
	id = world_text(w, "commandId");
	CU_ASSERT_PTR_NOT_NULL_FATAL(id);
	path = xstrdup(w->location);
	CU_ASSERT(strstr(path, id) != NULL);
	tail = xasprintf("/api/commands/%s", id + strlen(id) - 6);
	CU_ASSERT_EQUAL(world_get(w, tail), 200);
	CU_ASSERT_EQUAL(world_get(w, "/api/commands?agentId=agent-001&state=queued"), 200);
	CU_ASSERT_EQUAL(json_object_array_length(w->json), 1);
	CU_ASSERT_EQUAL(world_ask(w, "DELETE", path, NULL, NULL), 200);
	CU_ASSERT_STRING_EQUAL(world_text(w, "state"), "cancelled");
	CU_ASSERT_EQUAL(world_ask(w, "DELETE", path, NULL, NULL), 409);
	CU_ASSERT(problem(w, "conflict"));
	CU_ASSERT_EQUAL(world_ask(w, "DELETE", tail, NULL, NULL), 409);
	CU_ASSERT_EQUAL(world_get(w, "/api/audit?category=request"), 200);
	CU_ASSERT_EQUAL(json_object_array_length(w->json), 1);
	CU_ASSERT_EQUAL(world_get(w, "/api/audit?requests=false&appId=app-a"), 200);
	CU_ASSERT_EQUAL(json_object_array_length(w->json), 1);
	world_free(w);
}

static void test_a_push_becomes_edits(void)
{
	struct world *w = world_new(NULL);
	struct fake_agent a;
	_cleanup_json_ struct json_object *payload = NULL;
	const char *jws;

	agent_join(&a, w, "agent-001");
	CU_ASSERT_EQUAL(world_post(w, AGENT "/push-config",
				"{\"appId\":\"app-b\",\"settings\":{\"a\":\"1\",\"b\":null,\"c\":[1]},"
				"\"stringSettings\":{\"d\":\"true\"},\"unset\":[\"e\"],\"dryRun\":true}"),
		202);
	CU_ASSERT_PTR_NULL(strstr(w->body, "edits"));
	jws = fleet_json_string(agent_hear(&a, "pushConfig"), "jws");
	CU_ASSERT_EQUAL_FATAL(fleet_jws_peek(jws, strlen(jws), &payload, NULL), 0);
	CU_ASSERT_STRING_EQUAL(fleet_json_text(fleet_json_object(payload, "args"), NULL),
		"{\"dryRun\":true,\"edits\":[{\"key\":\"a\",\"mode\":\"auto\",\"op\":\"set\",\"value\":\"1\"}"
		","
		"{\"key\":\"b\",\"mode\":\"json\",\"op\":\"set\",\"value\":null},"
		"{\"key\":\"c\",\"mode\":\"json\",\"op\":\"set\",\"value\":[1]},"
		"{\"key\":\"d\",\"mode\":\"string\",\"op\":\"set\",\"value\":\"true\"},"
		"{\"key\":\"e\",\"op\":\"unset\"}],\"file\":\"main\"}");
	agent_done(&a);
	world_free(w);
}

/* Asks, and lets the agent answer with these members; the status of it. */
static int ask_server(struct world *w, struct fake_agent *a, const char *path, const char *type,
	const char *members, struct json_object **ret_payload)
{
	struct evhttp_connection *conn =
		evhttp_connection_base_new(w->f.base, NULL, "127.0.0.1", console_port(w->console));
	struct evhttp_request *req = evhttp_request_new(world_on_answer, w);
	struct json_object *query, *answer, *more = json_tokener_parse(members);
	const char *jws;

	world_forget_answer(w);
	(void)evhttp_add_header(evhttp_request_get_output_headers(req), "Host", "localhost");
	CU_ASSERT_EQUAL(evhttp_make_request(conn, req, EVHTTP_REQ_GET, path), 0);
	query = agent_hear(a, type);
	jws = fleet_json_string(query, "jws");
	CU_ASSERT_EQUAL(fleet_jws_verify(&w->console->key, 1, jws, strlen(jws), ret_payload, NULL), 0);
	CU_ASSERT_EQUAL(fleet_query_check(*ret_payload, NULL), 0);
	answer = fleet_message_new(FLEET_MESSAGE_QUERY_RESULT);
	fleet_json_add_string(answer, "refId", fleet_json_string(query, "id"));
	json_object_object_foreach (more, key, value) {
		fleet_json_add(answer, key, json_object_get(value));
	}
	json_object_put(more);
	agent_send(a, answer);
	CU_ASSERT(fixture_wait(&w->f, fixture_is_set, &w->answered));
	evhttp_connection_free(conn);
	return w->status;
}

static void test_servers_are_asked(void)
{
	static const struct {
		const char *path, *type, *args, *members;
		int status;
		const char *said;
	} cases[] = {
		{AGENT "/apps/app-a/logs", "readLogs", "{\"lines\":50}",
			"{\"lines\":[{\"time\":\"2026-01-31T23:59:59.123Z\",\"priority\":6,\"text\":\"up\"}],"
			"\"left\":2,\"driver\":\"simulated\"}",
			200, "\"text\":\"up\""},
		{AGENT "/apps/app-a/logs?lines=200&since=2026-01-31T23:59:59Z", "readLogs",
			"{\"lines\":200,\"since\":\"2026-01-31T23:59:59.000Z\"}", "{\"lines\":[]}", 200,
			"\"lines\":[]"},
		{AGENT "/apps/app-b/config", "readConfig", "{\"file\":\"main\"}",
			"{\"settings\":[{\"key\":\"a\",\"type\":\"string\",\"masked\":true}],\"file\":"
			"\"main\"}",
			200, "\"masked\":true"},
		{AGENT "/apps/app-b/config?file=tls", "readConfig", "{\"file\":\"tls\"}",
			"{\"errorCode\":\"invalid-settings\",\"message\":\"no such file\"}", 404,
			"no such file"},
		{AGENT "/apps/app-a/logs", "readLogs", "{\"lines\":50}",
			"{\"errorCode\":\"not-allowed-by-server\",\"message\":\"the admin says no\"}", 422,
			"the admin says no"},
		{AGENT "/apps/app-a/logs", "readLogs", "{\"lines\":50}",
			"{\"errorCode\":\"driver-failed\",\"message\":\"it crashed\"}", 502, "it crashed"},
		{AGENT "/apps/app-a/logs", "readLogs", "{\"lines\":50}", "{\"errorCode\":\"no-driver-host\"}",
			503, "did not say why"},
	};
	struct world *w = world_new(NULL);
	struct fake_agent a;

	agent_join(&a, w, "agent-001");
	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_json_ struct json_object *payload = NULL, *args = json_tokener_parse(cases[i].args);
		int status = ask_server(w, &a, cases[i].path, cases[i].type, cases[i].members, &payload);

		CU_ASSERT_EQUAL(status, cases[i].status);
		CU_ASSERT_PTR_NOT_NULL(strstr(w->body, cases[i].said));
		if (status != cases[i].status || !strstr(w->body, cases[i].said))
			printf("# %s: %d %s\n", cases[i].path, status, w->body);
		CU_ASSERT(json_object_equal(fleet_json_object(payload, "args"), args));
		CU_ASSERT_STRING_EQUAL(fleet_json_string(payload, "agentId"), "agent-001");
		CU_ASSERT_STRING_EQUAL(fleet_json_string(payload, "actor"), "operator@api");
	}
	/* asked of nobody */
	CU_ASSERT_EQUAL(world_get(w, AGENT "/apps/app-z/logs"), 404);
	CU_ASSERT(problem(w, "app-not-found"));
	CU_ASSERT_EQUAL(world_get(w, "/api/agents/nobody/apps/app-a/logs"), 404);
	CU_ASSERT_EQUAL(world_get(w, AGENT "/apps/app-a/logs?lines=0"), 400);
	CU_ASSERT_EQUAL(world_get(w, AGENT "/apps/app-a/logs?lines=201"), 400);
	CU_ASSERT_EQUAL(world_get(w, AGENT "/apps/app-a/logs?since=yesterday"), 400);
	CU_ASSERT_EQUAL(world_get(w, AGENT "/apps/app-a/config?file=..%2Fx"), 400);
	agent_done(&a);
	CU_ASSERT(world_becomes(w, AGENT, "isOnline", "false"));
	CU_ASSERT_EQUAL(world_get(w, AGENT "/apps/app-a/logs"), 504);
	CU_ASSERT(problem(w, "unavailable"));
	/* what was asked left no trace */
	CU_ASSERT_EQUAL(world_get(w, "/api/commands"), 200);
	CU_ASSERT_EQUAL(json_object_array_length(w->json), 0);
	world_free(w);
}

/* An agent of an earlier version says that it does not know the message; one that goes away says nothing. */
static void test_servers_that_do_not_answer(void)
{
	struct world *w = world_new(NULL);
	struct fake_agent a;

	agent_join(&a, w, "agent-001");
	for (int round = 0; round < 2; round++) {
		struct evhttp_connection *conn =
			evhttp_connection_base_new(w->f.base, NULL, "127.0.0.1", console_port(w->console));
		struct evhttp_request *req = evhttp_request_new(world_on_answer, w);
		struct json_object *error;

		world_forget_answer(w);
		(void)evhttp_add_header(evhttp_request_get_output_headers(req), "Host", "localhost");
		CU_ASSERT_EQUAL(evhttp_make_request(conn, req, EVHTTP_REQ_GET, AGENT "/apps/app-a/logs"), 0);
		error = fleet_message_new(FLEET_MESSAGE_ERROR);
		fleet_json_add_string(error, "refId", fleet_json_string(agent_hear(&a, "readLogs"), "id"));
		fleet_json_add_string(error, "code", "not-supported");
		fleet_json_add_string(error, "message", "this agent's version does not do that yet");
		if (round == 0)
			agent_send(&a, error);
		else
			agent_done(&a), json_object_put(error);
		CU_ASSERT(fixture_wait(&w->f, fixture_is_set, &w->answered));
		CU_ASSERT_EQUAL(w->status, round == 0 ? 502 : 504);
		CU_ASSERT_PTR_NOT_NULL(strstr(w->body, round == 0 ? "does not do that yet" : "went offline"));
		evhttp_connection_free(conn);
	}
	world_free(w);
}

static void test_idempotency_keys(void)
{
	static const char *const key[] = {"Idempotency-Key", "k-1", NULL};
	struct world *w = world_new(NULL);
	struct fake_agent a;
	_cleanup_free_ char *first = NULL;

	agent_join(&a, w, "agent-001");
	CU_ASSERT_EQUAL(world_ask(w, "POST", AGENT "/restart-app", "{\"appId\":\"app-a\"}", key), 202);
	first = xstrdup(world_text(w, "commandId"));
	CU_ASSERT_EQUAL(world_ask(w, "POST", AGENT "/restart-app", "{\"appId\":\"app-a\"}", key), 202);
	CU_ASSERT(str_equal(world_text(w, "commandId"), first));
	CU_ASSERT_EQUAL(world_ask(w, "POST", AGENT "/restart-app", "{\"appId\":\"app-b\"}", key), 409);
	CU_ASSERT_EQUAL(world_ask(w, "POST", AGENT "/restart-app", "{\"appId\":\"app-a\"}",
				(const char *[]){"Idempotency-Key", "a b", NULL}),
		400);
	agent_done(&a);
	world_free(w);
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_too_many_settings_and_too_large_values),
	UNIT_TEST(test_deep_values_do_not_outgrow_their_command),
	UNIT_TEST(test_an_offline_agents_commands_wait),
	UNIT_TEST(test_a_push_becomes_edits),
	UNIT_TEST(test_servers_are_asked),
	UNIT_TEST(test_servers_that_do_not_answer),
	UNIT_TEST(test_idempotency_keys),
	{0},
};

int main(void)
{
	fleet_log_init("test", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	return unit_run((const struct unit_suite[]){{"rest commands", tests}, {0}});
}
