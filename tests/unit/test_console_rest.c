/* The REST API over HTTP, and docs/rest.md against the table of routes: what is shown, what is refused, the
 * dashboard's files, and events. */
#include "console/api.h"
#include "console/event_ring.h"
#include "fleet/file.h"
#include "test_console_rest.h"

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

static void test_events_tell_what_changes(void)
{
	struct world *w = world_new(NULL);
	struct fake_agent a;
	struct world_stream s;
	char last_id[EVENT_RING_ID_MAX];
	char *at;

	stream_open(&s, w, NULL, NULL);
	CU_ASSERT(stream_hears(&s, "retry: 2000\n"));
	at = strstr(s.text, "id: ");
	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	(void)snprintf(last_id, sizeof(last_id), "%.*s", (int)strcspn(at + 4, "\n"), at + 4);
	agent_join(&a, w, "agent-001");
	CU_ASSERT(stream_hears(&s, "event: agent\ndata: {\"agentId\":\"agent-001\""));
	CU_ASSERT(stream_hears(&s, "agent registered (version 1.1.0)"));
	CU_ASSERT_EQUAL(world_post(w, AGENT "/restart-app", "{\"appId\":\"app-a\"}"), 202);
	CU_ASSERT(stream_hears(&s, "event: command\ndata: {\"commandId\":"));
	CU_ASSERT(stream_hears(&s, "\"state\":\"sent\""));
	CU_ASSERT(stream_hears(&s, "event: audit\ndata: {"));
	CU_ASSERT_PTR_NULL(strstr(s.text, "event: reset"));
	evhttp_connection_free(s.conn);
	/* the listener comes back with what it knew last */
	stream_open(&s, w, "Last-Event-ID", last_id);
	CU_ASSERT(stream_hears(&s, "event: agent\ndata: {\"agentId\":\"agent-001\""));
	CU_ASSERT(stream_hears(&s, "\"state\":\"sent\""));
	evhttp_connection_free(s.conn);
	stream_open(&s, w, "Last-Event-ID", "0badc0de-1");
	CU_ASSERT(stream_hears(&s, "event: reset\n"));
	evhttp_connection_free(s.conn);
	agent_done(&a);
	world_free(w);
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_every_route_is_documented),
	UNIT_TEST(test_agents_are_listed_and_filtered),
	UNIT_TEST(test_an_agent_is_shown_as_heard),
	UNIT_TEST(test_apps_of_the_fleet),
	UNIT_TEST(test_bad_input_is_told_precisely),
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
