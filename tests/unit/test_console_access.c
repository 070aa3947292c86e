/* Who may what: the whole table of routes, tried by everybody; limited keys. */
#include "test_console_keyring.h"

/* --- the table --------------------------------------------------------------------------------------- */

/* What docs/rest.md says, written down a second time, by hand: who may at least (n nobody, p this machine,
 * v viewer, o operator, a admin, h the hub's own judgement), whether one limited to web-* may (y yes, - only
 * for web-*, n no), and the action. */
static const struct expected {
	const char *route;
	char role, limited;
	const char *action;
} table[] = {
	{"GET /api/agents", 'v', 'y', NULL},
	{"GET /api/agents/:agentId", 'v', '-', NULL},
	{"DELETE /api/agents/:agentId", 'a', 'n', "no limit at all"},
	{"POST /api/agents/:agentId/revoke", 'a', 'n', "no limit at all"},
	{"POST /api/agents/:agentId/allow-rejoin", 'a', 'n', "no limit at all"},
	{"POST /api/agents/:agentId/restart-app", 'o', '-', "restart"},
	{"POST /api/agents/:agentId/push-config", 'o', '-', "push-config"},
	{"POST /api/agents/:agentId/update-app", 'o', '-', "update"},
	{"POST /api/agents/:agentId/rollback-app", 'o', '-', "update"},
	{"POST /api/agents/:agentId/ping", 'o', '-', "ping"},
	{"GET /api/agents/:agentId/apps/:appId/logs", 'v', '-', "read-logs"},
	{"GET /api/agents/:agentId/apps/:appId/config", 'v', '-', "read-config"},
	{"GET /api/agents/:agentId/apps/:appId/config/history", 'v', '-', "read-config"},
	{"GET /api/agents/:agentId/apps/:appId/config/snapshots", 'v', '-', "read-config"},
	{"GET /api/apps", 'v', 'y', NULL},
	{"GET /api/commands", 'v', 'y', NULL},
	{"GET /api/commands/:commandId", 'v', 'y', NULL},
	{"DELETE /api/commands/:commandId", 'o', 'y', "cancel"},
	{"GET /api/artifacts", 'v', 'y', NULL},
	{"POST /api/artifacts", 'o', 'n', "artifacts"},
	{"GET /api/artifacts/:artifactId", 'v', 'y', NULL},
	{"DELETE /api/artifacts/:artifactId", 'o', 'n', "artifacts"},
	{"GET /api/artifacts/:artifactId/file", 'o', 'n', "artifacts"},
	{"PUT /api/artifacts/:artifactId/file", 'o', 'n', "artifacts"},
	{"GET /api/audit", 'v', 'y', NULL},
	{"GET /api/audit/doubts", 'v', 'n', NULL},
	{"POST /api/audit/accept-gap", 'a', 'n', "no limit at all"},
	{"GET /api/keys", 'a', 'n', "no limit at all"},
	{"POST /api/keys", 'a', 'n', "no limit at all"},
	{"GET /api/keys/:key", 'a', 'n', "no limit at all"},
	{"DELETE /api/keys/:key", 'a', 'n', "no limit at all"},
	{"POST /api/keys/:key/rotate", 'a', 'n', "no limit at all"},
	{"POST /api/session", 'n', 'y', NULL},
	{"GET /api/session", 'v', 'y', NULL},
	{"DELETE /api/session", 'v', 'y', NULL},
	{"GET /api/events", 'v', 'y', NULL},
	{"GET /api/hub", 'h', 'n', NULL},
	{"GET /api/join", 'h', 'n', NULL},
	{"GET /api/join-tokens", 'a', 'n', "no limit at all"},
	{"POST /api/join-tokens", 'a', 'n', "no limit at all"},
	{"DELETE /api/join-tokens/:tokenId", 'a', 'n', "no limit at all"},
	{"GET /api/version", 'p', 'y', NULL},
	{"GET /healthz", 'p', 'y', NULL},
	{"GET /readyz", 'p', 'y', NULL},
	{"GET /", 'n', 'y', NULL},
	{"GET /:file", 'n', 'y', NULL},
	{"GET /assets/*", 'n', 'y', NULL},
};

/* Everybody who comes: what each one's role is worth, and its limits. */
static const struct asker {
	const char *name, *limits;
	int role; /* of enum role; -1: none */
	enum { GOOD, NOBODY, WRONG, EXPIRED, REVOKED, AGENT, UNPLEASANT } kind;
} askers[] = {
	{"nobody", NULL, -1, NOBODY},
	{"a wrong key", NULL, -1, WRONG},
	{"something else than a key", NULL, -1, UNPLEASANT},
	{"expired", NULL, ROLE_ADMIN, EXPIRED},
	{"revoked", NULL, ROLE_ADMIN, REVOKED},
	{"web-1", NULL, -1, AGENT},
	{"viewer", NULL, ROLE_VIEWER, GOOD},
	{"operator", NULL, ROLE_OPERATOR, GOOD},
	{"admin", NULL, ROLE_ADMIN, GOOD},
	{"limited-viewer", "{\"agents\":[\"web-*\"]}", ROLE_VIEWER, GOOD},
	{"limited-operator", "{\"agents\":[\"web-*\"]}", ROLE_OPERATOR, GOOD},
	{"limited-admin", "{\"agents\":[\"web-*\"]}", ROLE_ADMIN, GOOD},
	{"labelled-operator", "{\"labels\":[\"env=prod\"]}", ROLE_OPERATOR, GOOD},
	{"restarter", "{\"actions\":[\"restart\",\"ping\"]}", ROLE_OPERATOR, GOOD},
	{"admin-of-restarts", "{\"actions\":[\"restart\"]}", ROLE_ADMIN, GOOD},
};

static char *path_for(const char *pattern, const char *agent_id)
{
	static const struct {
		const char *parameter, *value;
	} values[] = {{":appId", "app-a"}, {":commandId", "7c31e0"},
		{":artifactId", "0193587a-1111-7000-8000-0000007c31e0"}, {":key", "no-such-key"},
		{":tokenId", "0193587a-2222-7000-8000-0000007c31e0"}, {":file", "app.js"}, {"*", "x.js"}};
	char path[256] = "";

	while (*pattern) {
		size_t len = strcspn(pattern + 1, "/") + 1;
		const char *value = NULL;
		char part[64];

		(void)snprintf(part, sizeof(part), "%.*s", (int)len - 1, pattern + 1);
		for (size_t i = 0; i < FLEET_ARRAY_LEN(values); i++) {
			if (strcmp(values[i].parameter, part) == 0)
				value = values[i].value;
		}
		if (strcmp(part, ":agentId") == 0)
			value = agent_id;
		CU_ASSERT_FATAL(value || part[0] != ':');
		(void)snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%s", value ? value : part);
		pattern += len;
	}
	return xstrdup(path);
}

/* 200: passes; else the status of the refusal. */
static int expect(const struct expected *e, const struct asker *asker, bool within_reach)
{
	static const char roles[] = "voa";
	bool limited_agents = asker->limits && !strstr(asker->limits, "actions");
	bool limited_actions = asker->limits && !limited_agents;

	if (e->role == 'n' || (e->role == 'p' && asker->kind == NOBODY))
		return 200;
	if (asker->kind != GOOD)
		return 401;
	if (e->role != 'p' && strchr(roles, e->role) - roles > asker->role)
		return 403;
	if (limited_agents && (e->limited == 'n' || (e->limited == '-' && !within_reach)))
		return 403;
	if (limited_actions && e->action && !strstr(asker->limits, e->action))
		return 403;
	return 200;
}

static void try_route(struct world *w, const struct fleet_http_route *route, const struct expected *e,
	const struct asker *asker, const char *secret, const char *agent_id)
{
	_cleanup_free_ char *path = path_for(route->pattern, agent_id);
	bool writes = strcmp(route->method, "POST") == 0 || strcmp(route->method, "PUT") == 0;
	/* a stream of events does not end by itself */
	const char *method = strcmp(path, "/api/events") == 0 ? "HEAD" : route->method;
	int expected = expect(e, asker, str_starts(agent_id, "web-"));
	int status = ask_as(w, secret, method, path, writes ? "{}" : NULL);
	bool right = expected == 200 ? status != 401 && status != 403 && status != 429 && status != 0
				     : status == expected || (status == 429 && asker->kind != GOOD);

	if (e->role == 'h')
		right = status >= 400;
	/* an agent may come for an artifact, but this one is to install none; and its key is one that
	 * somebody chose, of an address from which others have guessed (test_console_guesses) */
	if (asker->kind == AGENT && strstr(e->route, "/file") && e->role == 'o' && strcmp(method, "GET") == 0)
		right = status == 404 || status == 429;
	CU_ASSERT(w->csp && str_starts(w->csp, "default-src 'none'")); /* of whatever answer */
	CU_ASSERT(right);
	if (!right)
		printf("# %s as %s: %d, expected %d: %s\n", e->route, asker->name, status, expected, w->body);
}

static const struct expected *find_expected(const struct fleet_http_route *route)
{
	for (size_t i = 0; i < FLEET_ARRAY_LEN(table); i++) {
		size_t len = strlen(route->method);

		if (strncmp(table[i].route, route->method, len) == 0 && table[i].route[len] == ' ' &&
			strcmp(table[i].route + len + 1, route->pattern) == 0)
			return &table[i];
	}
	return NULL;
}

static void test_every_route_and_everybody(void)
{
	struct world *w = world_with_agents();
	size_t routes = 0;

	for (size_t a = 0; a < FLEET_ARRAY_LEN(askers); a++) {
		const struct asker *asker = &askers[a];
		_cleanup_free_ char *secret = NULL;

		if (asker->role >= 0)
			secret = make_key(w, asker->name, (enum role)asker->role, asker->limits,
				asker->kind == EXPIRED ? -1000 : 0);
		else if (asker->kind == AGENT)
			secret = xstrdup("key-of-web-1");
		else if (asker->kind != NOBODY)
			secret = xstrdup(asker->kind == WRONG ? "nonsense" : "a, Basic b");
		if (asker->kind == REVOKED)
			revoke_key(w, asker->name);
		routes = 0;
		visit_both(w); /* an admin has removed them */
		for (const struct fleet_http_route *route = console_routes; route->method; route++) {
			const struct expected *e = find_expected(route);

			routes++;
			if (!e)
				printf("# nobody says who may %s %s\n", route->method, route->pattern);
			CU_ASSERT_PTR_NOT_NULL_FATAL(e);
			try_route(w, route, e, asker, secret, "web-1");
			if (strstr(route->pattern, ":agentId")) {
				try_route(w, route, e, asker, secret, "db-1");
				try_route(w, route, e, asker, secret, "no-such-agent");
			}
		}
	}
	CU_ASSERT_EQUAL(routes, FLEET_ARRAY_LEN(table)); /* none is told of that is not there */
	world_free(w);
}

/* A route whose author forgot to say is for as few as can be. */
static void test_what_is_not_said_is_not_allowed(void)
{
	struct api_key *admin = api_key_new("a", ROLE_ADMIN);

	CU_ASSERT_EQUAL(access_judge(admin, 0, NULL, NULL), VERDICT_ROLE);
	CU_ASSERT_EQUAL(access_judge(admin, ACCESS_ADMIN, NULL, NULL), VERDICT_GRANTED);
	CU_ASSERT_EQUAL(access_judge(admin, ACCESS_ADMIN | 0xee00, NULL, NULL), VERDICT_ACTION);
	admin->limits.actions = 1u << KEY_ACTION_RESTART;
	CU_ASSERT_EQUAL(access_judge(admin, ACCESS_ADMIN, NULL, NULL), VERDICT_LIMITS);
	CU_ASSERT_EQUAL(access_judge(admin, ACCESS_ADMIN | 0xee0000, NULL, NULL), VERDICT_LIMITS);
	api_key_unref(admin);
}

/* --- limits ------------------------------------------------------------------------------------------ */

static void test_limits_reach_what_they_name(void)
{
	static const struct {
		const char *limits, *agent_id, *labels;
		bool reached;
	} cases[] = {
		{"{}", "any", NULL, true},
		{"{\"actions\":[\"ping\"]}", "any", NULL, true},
		{"{\"agents\":[\"web-1\"]}", "web-1", NULL, true},
		{"{\"agents\":[\"web-1\"]}", "web-10", NULL, false},
		{"{\"agents\":[\"web-?\"]}", "web-1", NULL, true},
		{"{\"agents\":[\"web-?\"]}", "web-10", NULL, false},
		{"{\"agents\":[\"*\"]}", "any", NULL, true},
		{"{\"agents\":[\"*-db-*\"]}", "eu-db-1", NULL, true},
		{"{\"agents\":[\"*-db-*\"]}", "eu-db", NULL, false},
		{"{\"agents\":[\"a\",\"b\"]}", "b", NULL, true},
		{"{\"agents\":[\"a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b\"]}",
			"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", NULL, false},
		{"{\"labels\":[\"env\"]}", "a", "{\"env\":\"x\"}", true},
		{"{\"labels\":[\"env\"]}", "a", "{\"en\":\"x\"}", false},
		{"{\"labels\":[\"env=prod\"]}", "a", "{\"env\":\"prod\"}", true},
		{"{\"labels\":[\"env=prod\"]}", "a", "{\"env\":\"production\"}", false},
		{"{\"labels\":[\"env=prod\",\"rack=7\"]}", "a", "{\"env\":\"prod\"}", false},
		{"{\"labels\":[\"env=prod\"]}", "a", NULL, false},
		{"{\"agents\":[\"web-*\"],\"labels\":[\"env=prod\"]}", "web-1", "{\"env\":\"prod\"}", true},
		{"{\"agents\":[\"web-*\"],\"labels\":[\"env=prod\"]}", "db-1", "{\"env\":\"prod\"}", false},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_json_ struct json_object *json = json_tokener_parse(cases[i].limits), *labels = NULL,
						  *back = NULL;
		struct key_limits limits = {0};
		struct fleet_error err = FLEET_ERROR_INIT;

		labels = cases[i].labels ? json_tokener_parse(cases[i].labels) : NULL;
		CU_ASSERT_EQUAL_FATAL(key_limits_parse(json, "$", &limits, &err), 0);
		CU_ASSERT_EQUAL(key_limits_reach(&limits, cases[i].agent_id, labels), cases[i].reached);
		if (key_limits_reach(&limits, cases[i].agent_id, labels) != cases[i].reached)
			printf("# %s and %s\n", cases[i].limits, cases[i].agent_id);
		back = key_limits_to_json(&limits);
		CU_ASSERT(json_object_equal(back, i == 0 ? NULL : json));
		key_limits_done(&limits);
	}
}

/* What limits a key must not be misread as no limit. */
static void test_limits_at_fault_are_refused(void)
{
	static const struct {
		const char *limits, *said;
	} cases[] = {
		{"{\"agents\":[]}", "agents"},
		{"{\"agents\":[\"\"]}", "agents[0]"},
		{"{\"agents\":[\"a/b\"]}", "agents[0]"},
		{"{\"agents\":[1]}", "agents[0]"},
		{"{\"agents\":\"web-*\"}", "agents"},
		{"{\"agent\":[\"web-*\"]}", "agent"},
		{"{\"labels\":[\"=x\"]}", "labels[0]"},
		{"{\"labels\":[\"a b\"]}", "labels[0]"},
		{"{\"actions\":[\"restart\",\"everything\"]}", "actions[1]"},
		{"{\"actions\":[]}", "actions"},
		{"{\"actions\":[\"\"]}", "actions[0]"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_json_ struct json_object *json = json_tokener_parse(cases[i].limits);
		struct key_limits limits = {0};
		struct fleet_error err = FLEET_ERROR_INIT;

		CU_ASSERT_EQUAL(key_limits_parse(json, "$", &limits, &err), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, cases[i].said));
	}
}

static bool names_db(const struct world *w)
{
	return strstr(w->body, "db-1") != NULL;
}

static void test_a_limited_key_sees_its_own_agents_only(void)
{
	static const char *const limits[] = {"{\"agents\":[\"web-*\"]}", "{\"labels\":[\"env=prod\"]}"};
	static const struct {
		const char *path;
		size_t count; /* of what it sees */
	} lists[] = {{"/api/agents", 1}, {"/api/apps", 2}, {"/api/commands", 1},
		{"/api/audit?category=request", 1}, {"/api/audit?category=system", 0},
		{"/api/audit?category=access", 0}, {"/api/audit?agentId=db-1", 0},
		{"/api/commands?agentId=db-1", 0}, {"/api/agents?app=app-b", 1}};
	struct world *w = world_with_agents();
	_cleanup_free_ char *admin = make_key(w, "admin", ROLE_ADMIN, NULL, 0), *db = NULL, *web = NULL;

	CU_ASSERT_EQUAL(
		ask_as(w, admin, "POST", "/api/agents/db-1/restart-app", "{\"appId\":\"app-a\"}"), 202);
	db = xstrdup(w->location);
	CU_ASSERT_EQUAL(
		ask_as(w, admin, "POST", "/api/agents/web-1/restart-app", "{\"appId\":\"app-a\"}"), 202);
	web = xstrdup(w->location);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(limits); i++) {
		_cleanup_free_ char *name = xasprintf("limited-%zu", i);
		_cleanup_free_ char *secret = make_key(w, name, ROLE_OPERATOR, limits[i], 0);

		for (size_t l = 0; l < FLEET_ARRAY_LEN(lists); l++) {
			CU_ASSERT_EQUAL(ask_as(w, secret, "GET", lists[l].path, NULL), 200);
			CU_ASSERT_EQUAL(world_count(w), lists[l].count);
			CU_ASSERT(!names_db(w));
			if (world_count(w) != lists[l].count || names_db(w))
				printf("# %s with %s: %s\n", lists[l].path, limits[i], w->body);
		}
		CU_ASSERT_EQUAL(ask_as(w, secret, "GET", web, NULL), 200);
		CU_ASSERT_EQUAL(ask_as(w, secret, "GET", db, NULL), 404);
		CU_ASSERT_EQUAL(ask_as(w, secret, "DELETE", db, NULL), 404);
		/* by the last digits, too, of which there are not that many */
		{
			_cleanup_free_ char *tail = xasprintf("/api/commands/%s", db + strlen(db) - 6);

			CU_ASSERT_EQUAL(ask_as(w, secret, "GET", tail, NULL), 404);
			CU_ASSERT_EQUAL(ask_as(w, secret, "DELETE", tail, NULL), 404);
		}
		/* nor does a typing mistake tell of others */
		CU_ASSERT_EQUAL(ask_as(w, secret, "GET", "/api/agents/db-2", NULL), 403);
		CU_ASSERT(!names_db(w));
	}
	CU_ASSERT_EQUAL(ask_as(w, admin, "GET", db, NULL), 200);
	CU_ASSERT_STRING_EQUAL(world_text(w, "state"), "queued");
	CU_ASSERT_EQUAL(ask_as(w, admin, "GET", "/api/audit?requests=false", NULL), 200);
	CU_ASSERT(names_db(w));
	world_free(w);
}

/* --- events ------------------------------------------------------------------------------------------ */

static void test_events_of_others_are_not_told(void)
{
	struct world *w = world_with_agents();
	_cleanup_free_ char *admin = make_key(w, "admin", ROLE_ADMIN, NULL, 0);
	_cleanup_free_ char *secret = make_key(w, "limited", ROLE_VIEWER, "{\"agents\":[\"web-*\"]}", 0);
	_cleanup_free_ char *bearer = xasprintf("Bearer %s", secret);
	struct world_stream s;

	stream_open(&s, w, "Authorization", bearer);
	CU_ASSERT(stream_hears(&s, "id:"));
	CU_ASSERT_EQUAL(
		ask_as(w, admin, "POST", "/api/agents/db-1/restart-app", "{\"appId\":\"app-a\"}"), 202);
	CU_ASSERT_EQUAL(
		ask_as(w, admin, "POST", "/api/agents/web-1/restart-app", "{\"appId\":\"app-a\"}"), 202);
	CU_ASSERT(stream_hears(&s, "event: audit"));
	CU_ASSERT_PTR_NOT_NULL(strstr(s.text, "web-1"));
	CU_ASSERT_PTR_NULL(strstr(s.text, "db-1"));
	/* and a revoked key's stream ends at once */
	revoke_key(w, "limited");
	CU_ASSERT(fixture_wait(&w->f, fixture_is_set, &s.ended));
	CU_ASSERT_PTR_NULL(strstr(s.text, "revoked"));
	evhttp_connection_free(s.conn);
	world_free(w);
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_every_route_and_everybody),
	UNIT_TEST(test_what_is_not_said_is_not_allowed),
	UNIT_TEST(test_limits_reach_what_they_name),
	UNIT_TEST(test_limits_at_fault_are_refused),
	UNIT_TEST(test_a_limited_key_sees_its_own_agents_only),
	UNIT_TEST(test_events_of_others_are_not_told),
	{0},
};

int main(void)
{
	fleet_log_init("test", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	return unit_run((const struct unit_suite[]){{"access", tests}, {0}});
}
