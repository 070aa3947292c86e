/* The REST API over HTTP, and docs/rest.md against the table of routes. */
#include "console/api.h"
#include "console/event_ring.h"
#include "fleet/file.h"
#include "test_console_world.h"

#define AGENT "/api/agents/agent-001"

static bool problem(const struct world *w, const char *kind)
{
	const char *type = w->json ? world_text(w, "type") : NULL;
	size_t len = strlen(kind);

	return type && strlen(type) >= len && strcmp(type + strlen(type) - len, kind) == 0 &&
	       str_equal(w->content_type, "application/problem+json");
}

static void test_every_route_is_documented(void)
{
	_cleanup_free_ char *text = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	size_t len;

	CU_ASSERT_EQUAL_FATAL(fleet_file_read(TEST_SRCDIR "/docs/rest.md", 1 << 20, &text, &len, &err), 0);
	for (const struct fleet_http_route *route = console_routes; route->method; route++) {
		_cleanup_free_ char *line = xasprintf("`%s %s`", route->method, route->pattern);
		_cleanup_free_ char *bare = xasprintf("`%s`", route->pattern); /* "`GET /`, `GET /:file`" */
		bool there = strstr(text, line) || strstr(text, bare);

		CU_ASSERT(there);
		if (!there)
			printf("# docs/rest.md does not tell of %s\n", line);
		CU_ASSERT(route->access != 0);
	}
}

static void test_agents_are_listed_and_filtered(void)
{
	static const struct {
		const char *query, *ids;
	} cases[] = {
		{"", "agent-001 agent-002 agent-003 "},
		{"?status=online", "agent-001 agent-002 "},
		{"?status=offline", "agent-003 "},
		{"?label=env", "agent-001 agent-002 agent-003 "},
		{"?label=env=prod", "agent-001 agent-002 agent-003 "},
		{"?label=env%3Ddev", ""},
		{"?label=nothing", ""},
		{"?app=app-b", "agent-001 agent-002 agent-003 "},
		{"?app=app-c", ""},
		{"?limit=2", "agent-001 agent-002 "},
		{"?limit=2&cursor=agent-002", "agent-003 "},
	};
	struct world *w = world_new(NULL);
	struct fake_agent agents[3];

	for (int i = 0; i < 3; i++) {
		char id[32];

		(void)snprintf(id, sizeof(id), "agent-%03d", i + 1);
		agent_join(&agents[i], w, id);
	}
	agent_done(&agents[2]);
	CU_ASSERT(world_becomes(w, "/api/agents/agent-003", "isOnline", "false"));
	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_free_ char *path = xasprintf("/api/agents%s", cases[i].query);
		char ids[128] = "";

		CU_ASSERT_EQUAL(world_get(w, path), 200);
		for (size_t a = 0; a < json_object_array_length(w->json); a++) {
			size_t len = strlen(ids);

			(void)snprintf(ids + len, sizeof(ids) - len, "%s ",
				fleet_json_string(json_object_array_get_idx(w->json, a), "agentId"));
		}
		CU_ASSERT_STRING_EQUAL(ids, cases[i].ids);
	}
	CU_ASSERT_EQUAL(world_get(w, "/api/agents?limit=2&label=env%3Dprod&status=online&app=app-a"), 200);
	CU_ASSERT_PTR_NULL(w->link);
	CU_ASSERT_EQUAL(world_get(w, "/api/agents?limit=1&label=env%3Dprod"), 200);
	CU_ASSERT(
		str_equal(w->link, "</api/agents?label=env%3Dprod&limit=1&cursor=agent-001>; rel=\"next\""));
	agent_done(&agents[1]);
	agent_done(&agents[0]);
	world_free(w);
}

static void test_an_agent_is_shown_as_heard(void)
{
	struct world *w = world_new(NULL);
	struct fake_agent a;
	struct json_object *app;

	agent_join(&a, w, "agent-001");
	CU_ASSERT_EQUAL(world_get(w, AGENT), 200);
	CU_ASSERT_STRING_EQUAL(world_text(w, "hostname"), "srv-agent-001");
	CU_ASSERT_EQUAL(json_object_array_length(fleet_json_array(w->json, "apps")), 2);
	app = json_object_array_get_idx(fleet_json_array(w->json, "apps"), 0);
	CU_ASSERT_PTR_NULL(fleet_json_get(app, "evil")); /* what the protocol does not know is left out */
	agent_heartbeat(&a, NULL);
	CU_ASSERT(world_becomes(w, "/api/apps?app=app-a", "version", "2.0.0"));
	CU_ASSERT_EQUAL(world_get(w, AGENT), 200);
	CU_ASSERT_EQUAL(fleet_json_number(fleet_json_object(w->json, "metrics"), "cpuPercent", 0), 23.4);
	CU_ASSERT_EQUAL(json_object_array_length(fleet_json_array(w->json, "apps")), 1);
	agent_done(&a);
	world_free(w);
}

static void test_apps_of_the_fleet(void)
{
	static const struct {
		const char *query;
		size_t count;
	} cases[] = {{"", 4}, {"?app=app-a", 2}, {"?status=failed", 2}, {"?problems=true", 2},
		{"?problems=false", 4}, {"?limit=1", 2}};
	struct world *w = world_new(NULL);
	struct fake_agent one, two;

	agent_join(&one, w, "agent-001");
	agent_join(&two, w, "agent-002");
	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_free_ char *path = xasprintf("/api/apps%s", cases[i].query);

		CU_ASSERT_EQUAL(world_get(w, path), 200);
		CU_ASSERT_EQUAL(json_object_array_length(w->json), cases[i].count);
	}
	CU_ASSERT_EQUAL(world_get(w, "/api/apps?limit=1"), 200);
	CU_ASSERT(str_equal(w->link, "</api/apps?limit=1&cursor=agent-001>; rel=\"next\""));
	CU_ASSERT_EQUAL(world_get(w, "/api/apps?limit=1&cursor=agent-001"), 200);
	CU_ASSERT_PTR_NULL(w->link);
	agent_done(&one);
	agent_done(&two);
	world_free(w);
}

static void test_bad_input_is_told_precisely(void)
{
	static const struct {
		const char *method, *path, *body;
		int status;
		const char *kind, *field, *detail;
	} cases[] = {
		{"GET", "/api/agents/agnt-001", NULL, 404, "agent-not-found", NULL,
			"Did you mean agent-001?"},
		{"GET", "/api/agents/something", NULL, 404, "agent-not-found", NULL,
			"Agent 'something' not found"},
		{"GET", "/api/nothing", NULL, 404, "not-found", NULL, ""},
		{"GET", "/api/agents?limit=0", NULL, 400, "invalid-request", "limit", "1 to 1000"},
		{"GET", "/api/agents?limit=1001", NULL, 400, "invalid-request", "limit", "1 to 1000"},
		{"GET", "/api/agents?limit=ten", NULL, 400, "invalid-request", "limit", "number"},
		{"GET", "/api/agents?status=maybe", NULL, 400, "invalid-request", "status",
			"online or offline"},
		{"GET", "/api/agents?app=a%20b", NULL, 400, "invalid-request", "app", "id"},
		{"GET", "/api/audit?from=yesterday", NULL, 400, "invalid-request", "from", "time"},
		{"GET", "/api/audit?category=gossip", NULL, 400, "invalid-request", "category", "restart"},
		{"GET", "/api/audit?cursor=zzz", NULL, 400, "invalid-request", "cursor", ""},
		{"GET", "/api/audit?commandId=7c31e0", NULL, 400, "invalid-request", "commandId", "whole"},
		{"GET", "/api/commands?state=asleep", NULL, 400, "invalid-request", "state", "queued"},
		{"GET", "/api/commands?cursor=zzz", NULL, 400, "invalid-request", "cursor", ""},
		{"GET", "/api/commands/7c31e", NULL, 400, "invalid-request", "commandId", "last 6"},
		{"GET", "/api/commands/zzzzzz", NULL, 400, "invalid-request", "commandId", "last 6"},
		{"GET", "/api/commands/7c31e0", NULL, 404, "command-not-found", NULL, "7c31e0"},
		{"DELETE", "/api/commands/7c31e0", NULL, 404, "command-not-found", NULL, "7c31e0"},
		{"POST", "/api/agents/agnt-001/restart-app", "{\"appId\":\"app-a\"}", 404, "agent-not-found",
			NULL, "Did you mean agent-001?"},
		{"POST", AGENT "/restart-app", "{\"appId\":\"app-x\"}", 404, "app-not-found", NULL,
			"App 'app-x' not found on agent-001. Did you mean app-"},
		{"POST", AGENT "/restart-app", "{\"appId\":\"app-a\"", 400, "invalid-request", NULL, "JSON"},
		{"POST", AGENT "/restart-app", "[]", 400, "invalid-request", NULL, "object"},
		{"POST", AGENT "/restart-app", "{}", 400, "invalid-request", "appId", "missing"},
		{"POST", AGENT "/restart-app", "{\"appId\":7}", 400, "invalid-request", "appId", ""},
		{"POST", AGENT "/restart-app", "{\"appId\":\"app-a\",\"aapId\":1}", 400, "invalid-request",
			"aapId", "unknown"},
		{"POST", AGENT "/push-config", "{\"appId\":\"app-a\"}", 400, "invalid-request", "settings",
			"at least one"},
		{"POST", AGENT "/push-config",
			"{\"appId\":\"app-a\",\"settings\":{\"a\":1},\"unset\":[\"a\"]}", 400,
			"invalid-request", "unset", "twice"},
		{"POST", AGENT "/push-config", "{\"appId\":\"app-a\",\"settings\":{\"\":1}}", 400,
			"invalid-request", "settings", "1 to 1024"},
		{"POST", AGENT "/push-config", "{\"appId\":\"app-a\",\"settings\":{\"a\\nb\":1}}", 400,
			"invalid-request", "settings", "control"},
		{"POST", AGENT "/push-config", "{\"appId\":\"app-a\",\"stringSettings\":{\"a\":1}}", 400,
			"invalid-request", "stringSettings.a", "string"},
		{"POST", AGENT "/push-config",
			"{\"appId\":\"app-a\",\"expectHash\":\"md5:1\",\"settings\":{\"a\":1}}", 400,
			"invalid-request", "expectHash", "71"},
		{"POST", AGENT "/push-config",
			"{\"appId\":\"app-a\",\"settings\":{\"a\":1},\"restoreOf\":\"0190f5fe-7c00-7a00-8000-"
			"000000000001\"}",
			400, "invalid-request", "restoreOf", "no settings"},
		{"POST", AGENT "/update-app", "{\"appId\":\"app-a\",\"version\":\"2\"}", 422,
			"artifact-not-found", "version", "there is none of this app"},
		{"POST", "/api/artifacts", "{\"appId\":\"app-a\",\"version\":\"2\"}", 400, "invalid-request",
			"url", "how long"},
		{"GET", "/api/artifacts?limit=0", NULL, 400, "invalid-request", "limit", "1 to 1000"},
		{"GET", "/api/artifacts/0190f5fe-7c00-7a00-8000-000000000001", NULL, 404,
			"artifact-not-found", NULL, "not found"},
		{"GET", "/api/apps?status=Running", NULL, 400, "invalid-request", "status", "running, done"},
		{"POST", AGENT "/update-app",
			"{\"appId\":\"app-a\",\"version\":\"2\",\"artifactUrl\":\"file:///etc/shadow\"}", 400,
			"invalid-request", "artifactUrl", "http"},
		{"POST", AGENT "/update-app",
			"{\"appId\":\"app-a\",\"version\":\"2\",\"artifactUrl\":\"http://h/a b\"}", 400,
			"invalid-request", "artifactUrl", "space"},
		{"POST", AGENT "/update-app",
			"{\"appId\":\"app-a\",\"version\":\"2\",\"artifactUrl\":\"http://h/"
			"a\",\"sha256\":\"zz\"}",
			400, "invalid-request", "sha256", "64"},
		{"POST", "/api/agents", "{}", 405, "", NULL, ""},
		{"PUT", AGENT, NULL, 405, "", NULL, ""},
		{"POST", AGENT "/allow-rejoin", "{}", 400, "invalid-request", "forSeconds", ""},
		{"POST", AGENT "/allow-rejoin", "{\"forSeconds\":99999999}", 400, "invalid-request",
			"forSeconds", ""},
		{"POST", "/api/agents/agent-9/revoke", NULL, 404, "agent-not-found", NULL, "agent-9"},
		{"DELETE", "/api/agents/agent-9", NULL, 404, "agent-not-found", NULL, "agent-9"},
		{"POST", "/api/join-tokens", "{\"agents\":\"a b\"}", 400, "invalid-request", "agents",
			"pattern"},
		{"POST", "/api/join-tokens", "{\"agents\":\"[a]\"}", 400, "invalid-request", "agents",
			"pattern"},
		{"POST", "/api/join-tokens", "{\"uses\":0}", 400, "invalid-request", "uses", ""},
		{"POST", "/api/join-tokens", "{\"expiresInSeconds\":99999999}", 400, "invalid-request",
			"expiresInSeconds", ""},
		{"DELETE", "/api/join-tokens/7c31e0", NULL, 404, "not-found", NULL, "7c31e0"},
		{"GET", "/api/join", NULL, 400, "invalid-request", NULL, "name the agent"},
		{"GET", "/api/join?agentId=agent-1", NULL, 401, "unauthenticated", NULL, "join token"},
	};
	struct world *w = world_new(NULL);
	struct fake_agent a;

	agent_join(&a, w, "agent-001");
	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		int status = world_ask(w, cases[i].method, cases[i].path, cases[i].body, NULL);
		const char *detail = w->json ? world_text(w, "detail") : NULL;
		bool right = status == cases[i].status && problem(w, cases[i].kind) && detail &&
			     strstr(detail, cases[i].detail) &&
			     (!cases[i].field || str_equal(world_text(w, "field"), cases[i].field));

		CU_ASSERT(right);
		if (!right)
			printf("# case %zu: %s %s: %d %s\n", i, cases[i].method, cases[i].path, status,
				w->body);
	}
	CU_ASSERT_EQUAL(world_get(w, "/api/commands"), 200);
	CU_ASSERT_EQUAL(json_object_array_length(w->json), 0); /* none of these did anything */
	agent_done(&a);
	world_free(w);
}

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

/* --- access ------------------------------------------------------------------------------------------ */

static void test_keys_and_roles_over_http(void)
{
	static const char *const nobody[] = {NULL};
	static const char *const wrong[] = {"Authorization", "Bearer nonsense", NULL};
	static const char *const viewer[] = {"Authorization", "Bearer key-of-viewer", NULL};
	static const char *const operator[] = {"Authorization", "Bearer key-of-operator", NULL};
	static const struct {
		const char *const *headers;
		const char *method, *path;
		int status;
	} cases[] = {
		{nobody, "GET", "/api/agents", 401},
		{wrong, "GET", "/api/agents", 401},
		{viewer, "GET", "/api/agents", 200},
		{viewer, "GET", "/api/audit", 200},
		{nobody, "GET", "/api/audit", 401},
		{nobody, "GET", "/api/events", 401},
		{viewer, "POST", AGENT "/restart-app", 403},
		{viewer, "DELETE", "/api/commands/7c31e0", 403},
		{viewer, "POST", AGENT "/ping", 403},
		{operator, "POST", AGENT "/restart-app", 404},
		{operator, "DELETE", "/api/commands/7c31e0", 404},
		{nobody, "GET", "/healthz", 200},
		{nobody, "GET", "/readyz", 200},
		{nobody, "GET", "/api/version", 200},
		{nobody, "GET", "/", 200},
	};
	struct world *w = world_new("api_keys:\n"
				    "  - {name: vera, role: viewer, key: key-of-viewer}\n"
				    "  - {name: oskar, role: operator, key: key-of-operator}\n");

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		int status = world_ask(w, cases[i].method, cases[i].path,
			strcmp(cases[i].method, "POST") == 0 ? "{\"appId\":\"app-a\"}" : NULL,
			cases[i].headers);

		CU_ASSERT_EQUAL(status, cases[i].status);
		if (status != cases[i].status)
			printf("# case %zu: %d %s\n", i, status, w->body);
	}
	world_free(w);
}

static void test_pages_from_elsewhere_change_nothing(void)
{
	static const struct {
		const char *headers[5];
		int status;
	} cases[] = {
		{{"Origin", "http://evil.example", NULL}, 403},
		{{"Origin", "null", NULL}, 403},
		{{"Host", "evil.example", NULL}, 403},
		{{"Host", "localhost:5000", "Origin", "http://localhost:5000", NULL}, 404},
		{{NULL}, 404},
	};
	struct world *w = world_new(NULL);

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++)
		CU_ASSERT_EQUAL(
			world_ask(w, "POST", AGENT "/restart-app", "{\"appId\":\"app-a\"}", cases[i].headers),
			cases[i].status);
	world_free(w);
}

/* --- the dashboard's files ----------------------------------------------------------------------------- */

static void test_files_are_served_by_exact_name(void)
{
	static const struct {
		const char *path, *type;
		int status;
	} cases[] = {
		{"/", "text/html; charset=utf-8", 200},
		{"/index.html", "text/html; charset=utf-8", 200},
		{"/app.js", "text/javascript; charset=utf-8", 200},
		{"/secret.key", "application/problem+json", 404}, /* of no type that a page needs */
		{"/nothing.js", "application/problem+json", 404},
		{"/../data/signing-key.pem", "application/problem+json", 404},
		{"/..%2fdata%2fsigning-key.pem", "application/problem+json", 404},
		{"/assets/../../data/console.db", "application/problem+json", 404},
		{"/assets/%2e%2e/app.js", "application/problem+json", 404},
		{"/.", "application/problem+json", 404},
	};
	struct world *w = world_new(NULL);

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		int status = world_get(w, cases[i].path);

		CU_ASSERT_EQUAL(status, cases[i].status);
		CU_ASSERT(str_equal(w->content_type, cases[i].type));
		CU_ASSERT(w->csp && str_starts(w->csp, "default-src 'none'"));
		if (status != cases[i].status)
			printf("# %s: %d\n", cases[i].path, status);
	}
	world_free(w);
}

/* --- events ------------------------------------------------------------------------------------------ */

struct stream {
	struct fixture *f;
	char text[65536];
	size_t len;
	const char *wanted;
};

static void on_chunk(struct evhttp_request *req, void *arg)
{
	struct stream *s = arg;
	struct evbuffer *body = evhttp_request_get_input_buffer(req);
	size_t len = evbuffer_get_length(body);

	CU_ASSERT_FATAL(s->len + len < sizeof(s->text));
	(void)evbuffer_remove(body, s->text + s->len, len);
	s->len += len;
	s->text[s->len] = '\0';
}

static void on_stream_end(struct evhttp_request *req, void *arg)
{
	(void)req;
	(void)arg;
}

static bool has_wanted(void *arg)
{
	const struct stream *s = arg;

	return strstr(s->text, s->wanted) != NULL;
}

static struct evhttp_connection *listen_to_events(struct world *w, struct stream *s, const char *last_id)
{
	struct evhttp_connection *conn =
		evhttp_connection_base_new(w->f.base, NULL, "127.0.0.1", console_port(w->console));
	struct evhttp_request *req = evhttp_request_new(on_stream_end, s);
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);

	*s = (struct stream){.f = &w->f};
	evhttp_request_set_chunked_cb(req, on_chunk);
	(void)evhttp_add_header(headers, "Host", "localhost");
	if (last_id)
		(void)evhttp_add_header(headers, "Last-Event-ID", last_id);
	CU_ASSERT_EQUAL(evhttp_make_request(conn, req, EVHTTP_REQ_GET, "/api/events"), 0);
	return conn;
}

#define WAIT_EVENT(s, text_)                                                                                 \
	do {                                                                                                 \
		(s).wanted = (text_);                                                                        \
		CU_ASSERT(fixture_wait((s).f, has_wanted, &(s)));                                            \
	} while (0)

static void test_events_tell_what_changes(void)
{
	struct world *w = world_new(NULL);
	struct fake_agent a;
	struct stream s;
	struct evhttp_connection *conn = listen_to_events(w, &s, NULL);
	char last_id[EVENT_RING_ID_MAX];
	char *at;

	WAIT_EVENT(s, "retry: 2000\n");
	at = strstr(s.text, "id: ");
	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	(void)snprintf(last_id, sizeof(last_id), "%.*s", (int)strcspn(at + 4, "\n"), at + 4);
	agent_join(&a, w, "agent-001");
	WAIT_EVENT(s, "event: agent\ndata: {\"agentId\":\"agent-001\"");
	WAIT_EVENT(s, "agent registered (version 1.1.0)");
	CU_ASSERT_EQUAL(world_post(w, AGENT "/restart-app", "{\"appId\":\"app-a\"}"), 202);
	WAIT_EVENT(s, "event: command\ndata: {\"commandId\":");
	WAIT_EVENT(s, "\"state\":\"sent\"");
	WAIT_EVENT(s, "event: audit\ndata: {");
	CU_ASSERT_PTR_NULL(strstr(s.text, "event: reset"));
	evhttp_connection_free(conn);
	/* the listener comes back with what it knew last */
	conn = listen_to_events(w, &s, last_id);
	WAIT_EVENT(s, "event: agent\ndata: {\"agentId\":\"agent-001\"");
	WAIT_EVENT(s, "\"state\":\"sent\"");
	evhttp_connection_free(conn);
	conn = listen_to_events(w, &s, "0badc0de-1");
	WAIT_EVENT(s, "event: reset\n");
	evhttp_connection_free(conn);
	agent_done(&a);
	world_free(w);
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_every_route_is_documented),
	UNIT_TEST(test_agents_are_listed_and_filtered),
	UNIT_TEST(test_an_agent_is_shown_as_heard),
	UNIT_TEST(test_apps_of_the_fleet),
	UNIT_TEST(test_bad_input_is_told_precisely),
	UNIT_TEST(test_too_many_settings_and_too_large_values),
	UNIT_TEST(test_deep_values_do_not_outgrow_their_command),
	UNIT_TEST(test_an_offline_agents_commands_wait),
	UNIT_TEST(test_a_push_becomes_edits),
	UNIT_TEST(test_servers_are_asked),
	UNIT_TEST(test_servers_that_do_not_answer),
	UNIT_TEST(test_idempotency_keys),
	UNIT_TEST(test_keys_and_roles_over_http),
	UNIT_TEST(test_pages_from_elsewhere_change_nothing),
	UNIT_TEST(test_files_are_served_by_exact_name),
	UNIT_TEST(test_events_tell_what_changes),
	{0},
};

int main(void)
{
	fleet_log_init("test", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	return unit_run((const struct unit_suite[]){{"rest", tests}, {0}});
}
