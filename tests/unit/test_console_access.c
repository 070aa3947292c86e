/* Who may what: the whole table of routes, tried by everybody; limited keys; keys' lives; logins and
 * sessions; what wrong keys cost. */
#include "console/api.h"
#include "test_console_world.h"

#define OPS_MAX 16

static const char settings[] = "api_keys:\n"
			       "  - {name: chosen, role: admin, key: password}\n"
			       "agent_keys:\n"
			       "  - {agent_id: web-1, key: key-of-web-1}\n"
			       "  - {agent_id: db-1, key: key-of-db-1}\n";

/* --- keys -------------------------------------------------------------------------------------------- */

struct made {
	bool told;
	int result;
	char *secret; /* owned */
};

static void on_made(
	int result, const struct api_key *key, const char *secret, const struct fleet_error *err, void *arg)
{
	struct made *made = arg;

	(void)key;
	if (result < 0)
		printf("# %s\n", err->message);
	made->told = true;
	made->result = result;
	made->secret = xstrdup(secret);
}

static const struct keys_by by_root = {"root@console", NULL};

/* Owned. */
static char *make_key(
	struct world *w, const char *name, enum role role, const char *limits, int64_t expires_in_ms)
{
	struct api_key *key = api_key_new(name, role);
	_cleanup_json_ struct json_object *json = limits ? json_tokener_parse(limits) : NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct made made = {0};

	CU_ASSERT_EQUAL_FATAL(key_limits_parse(json, "$.limits", &key->limits, &err), 0);
	key->expires_ms = expires_in_ms ? fleet_clock_wall_ms() + expires_in_ms : 0;
	keys_create(&w->console->keys, key, &by_root, on_made, &made);
	CU_ASSERT_FATAL(fixture_wait(&w->f, fixture_is_set, &made.told));
	CU_ASSERT_EQUAL_FATAL(made.result, 0);
	CU_ASSERT_FATAL(api_key_is_made_here(made.secret));
	return made.secret;
}

static void revoke_key(struct world *w, const char *name)
{
	struct made made = {0};

	keys_revoke(&w->console->keys, name, &by_root, on_made, &made);
	CU_ASSERT_FATAL(fixture_wait(&w->f, fixture_is_set, &made.told));
	CU_ASSERT_EQUAL(made.result, 0);
}

static int ask_as(struct world *w, const char *secret, const char *method, const char *path, const char *body)
{
	_cleanup_free_ char *bearer = secret ? xasprintf("Bearer %s", secret) : NULL;

	return world_ask(w, method, path, body,
		bearer ? (const char *[]){"Authorization", bearer, NULL} : (const char *[]){NULL});
}

/* --- agents that were here ---------------------------------------------------------------------------- */

static void visit(struct world *w, const char *id, const char *key, const char *labels)
{
	struct fake_agent a;
	struct json_object *message;

	agent_connect(&a, w, id, key);
	CU_ASSERT_FATAL(a.open);
	message = agent_register_message(&a, "1.0");
	json_object_object_add(message, "labels", json_tokener_parse(labels));
	agent_send(&a, message);
	(void)agent_hear(&a, "registered"); /* that it came is all */
	agent_done(&a);
	while (registry_get(&w->console->registry, id)->online)
		(void)event_base_loop(w->f.base, EVLOOP_ONCE);
}

static void visit_both(struct world *w)
{
	if (!registry_get(&w->console->registry, "web-1"))
		visit(w, "web-1", "key-of-web-1", "{\"env\":\"prod\"}");
	if (!registry_get(&w->console->registry, "db-1"))
		visit(w, "db-1", "key-of-db-1", "{\"env\":\"test\"}");
}

static struct world *world_with_agents(void)
{
	struct world *w = world_new(settings);

	visit_both(w);
	return w;
}

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
	 * somebody chose, of an address from which others have guessed (test_console_logins) */
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

static size_t count_of(const struct world *w)
{
	return json_object_is_type(w->json, json_type_array) ? json_object_array_length(w->json) : 9999;
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
			CU_ASSERT_EQUAL(count_of(w), lists[l].count);
			CU_ASSERT(!names_db(w));
			if (count_of(w) != lists[l].count || names_db(w))
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

struct stream {
	struct evhttp_connection *conn;
	char text[65536];
	size_t len;
	const char *wanted;
	bool ended;
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
	((struct stream *)arg)->ended = true;
}

static bool has_wanted(void *arg)
{
	const struct stream *s = arg;

	return strstr(s->text, s->wanted) != NULL;
}

static void stream_open(struct world *w, struct stream *s, const char *header, const char *value)
{
	struct evhttp_request *req = evhttp_request_new(on_stream_end, s);

	*s = (struct stream){.wanted = "id:"};
	s->conn = evhttp_connection_base_new(w->f.base, NULL, "127.0.0.1", console_port(w->console));
	(void)evhttp_add_header(evhttp_request_get_output_headers(req), "Host", "localhost");
	(void)evhttp_add_header(evhttp_request_get_output_headers(req), header, value);
	evhttp_request_set_chunked_cb(req, on_chunk);
	CU_ASSERT_EQUAL(evhttp_make_request(s->conn, req, EVHTTP_REQ_GET, "/api/events"), 0);
	CU_ASSERT(fixture_wait(&w->f, has_wanted, s));
}

static void test_events_of_others_are_not_told(void)
{
	struct world *w = world_with_agents();
	_cleanup_free_ char *admin = make_key(w, "admin", ROLE_ADMIN, NULL, 0);
	_cleanup_free_ char *secret = make_key(w, "limited", ROLE_VIEWER, "{\"agents\":[\"web-*\"]}", 0);
	_cleanup_free_ char *bearer = xasprintf("Bearer %s", secret);
	struct stream s;

	stream_open(w, &s, "Authorization", bearer);
	CU_ASSERT_EQUAL(
		ask_as(w, admin, "POST", "/api/agents/db-1/restart-app", "{\"appId\":\"app-a\"}"), 202);
	CU_ASSERT_EQUAL(
		ask_as(w, admin, "POST", "/api/agents/web-1/restart-app", "{\"appId\":\"app-a\"}"), 202);
	s.wanted = "event: audit";
	CU_ASSERT(fixture_wait(&w->f, has_wanted, &s));
	CU_ASSERT_PTR_NOT_NULL(strstr(s.text, "web-1"));
	CU_ASSERT_PTR_NULL(strstr(s.text, "db-1"));
	/* and a revoked key's stream ends at once */
	revoke_key(w, "limited");
	CU_ASSERT(fixture_wait(&w->f, fixture_is_set, &s.ended));
	CU_ASSERT_PTR_NULL(strstr(s.text, "revoked"));
	evhttp_connection_free(s.conn);
	world_free(w);
}

/* --- a key's life ------------------------------------------------------------------------------------ */

static void test_keys_are_made_rotated_and_revoked(void)
{
	struct world *w = world_with_agents();
	_cleanup_free_ char *admin = make_key(w, "admin", ROLE_ADMIN, NULL, 0), *first = NULL, *second = NULL,
			    *third = NULL, *id = NULL;

	CU_ASSERT_EQUAL(ask_as(w, admin, "POST", "/api/keys",
				"{\"name\":\"ci\",\"role\":\"operator\",\"limits\":{\"agents\":[\"web-*\"]},"
				"\"expiresAt\":\"2100-01-01T00:00:00Z\"}"),
		201);
	first = xstrdup(world_text(w, "key"));
	id = xstrdup(world_text(w, "keyId"));
	CU_ASSERT_FATAL(first && id && api_key_is_made_here(first));
	CU_ASSERT_EQUAL(ask_as(w, first, "GET", "/api/session", NULL), 200);
	CU_ASSERT_STRING_EQUAL(world_text(w, "actor"), "ci@api");
	/* shown once */
	CU_ASSERT_EQUAL(ask_as(w, admin, "GET", "/api/keys/ci", NULL), 200);
	CU_ASSERT_PTR_NULL(world_text(w, "key"));
	CU_ASSERT_STRING_EQUAL(world_text(w, "createdBy"), "admin@api");
	CU_ASSERT_PTR_NOT_NULL(world_text(w, "lastUsedAt"));
	CU_ASSERT_EQUAL(ask_as(w, admin, "GET", "/api/keys", NULL), 200);
	CU_ASSERT_EQUAL(count_of(w), 3); /* and the configured one */
	CU_ASSERT_PTR_NULL(strstr(w->body, first));
	/* one name, one key */
	CU_ASSERT_EQUAL(ask_as(w, admin, "POST", "/api/keys", "{\"name\":\"ci\",\"role\":\"viewer\"}"), 409);
	CU_ASSERT_EQUAL(
		ask_as(w, admin, "POST", "/api/keys", "{\"name\":\"chosen\",\"role\":\"viewer\"}"), 409);
	/* rotated, the one before good for a while, and not any more */
	CU_ASSERT_EQUAL(ask_as(w, admin, "POST", "/api/keys/ci/rotate", "{\"overlapSeconds\":60}"), 200);
	second = xstrdup(world_text(w, "key"));
	CU_ASSERT_EQUAL(ask_as(w, first, "GET", "/api/session", NULL), 200);
	CU_ASSERT_EQUAL(ask_as(w, second, "GET", "/api/session", NULL), 200);
	CU_ASSERT_EQUAL(ask_as(w, admin, "POST", "/api/keys/ci/rotate", "{}"), 200);
	third = xstrdup(world_text(w, "key"));
	CU_ASSERT_EQUAL(ask_as(w, first, "GET", "/api/session", NULL), 401);
	CU_ASSERT_EQUAL(ask_as(w, second, "GET", "/api/session", NULL), 401);
	CU_ASSERT_EQUAL(ask_as(w, third, "GET", "/api/session", NULL), 200);
	/* all of it is there again after a restart: limits, too */
	console_free(w->console);
	world_start(w);
	CU_ASSERT_EQUAL(ask_as(w, third, "GET", "/api/agents/db-1", NULL), 403);
	CU_ASSERT_EQUAL(ask_as(w, third, "GET", "/api/agents/web-1", NULL), 200);
	CU_ASSERT_EQUAL(ask_as(w, second, "GET", "/api/session", NULL), 401);
	CU_ASSERT_EQUAL(ask_as(w, admin, "GET", "/api/keys/ci", NULL), 200);
	CU_ASSERT_PTR_NOT_NULL(world_text(w, "lastUsedAt"));
	/* revoked: by its id, and then for good */
	{
		_cleanup_free_ char *path = xasprintf("/api/keys/%s", id),
				    *rotate = xasprintf("%s/rotate", path);

		CU_ASSERT_EQUAL(ask_as(w, admin, "DELETE", path, NULL), 200);
		CU_ASSERT_STRING_EQUAL(world_text(w, "state"), "revoked");
		CU_ASSERT_EQUAL(ask_as(w, third, "GET", "/api/session", NULL), 401);
		CU_ASSERT_PTR_NOT_NULL(strstr(w->body, "revoked"));
		CU_ASSERT_EQUAL(ask_as(w, admin, "DELETE", path, NULL), 409);
		CU_ASSERT_EQUAL(ask_as(w, admin, "POST", rotate, "{}"), 409);
	}
	CU_ASSERT_EQUAL(ask_as(w, admin, "GET", "/api/keys/ci", NULL), 404);
	CU_ASSERT_EQUAL(ask_as(w, admin, "GET", "/api/keys?revoked=true", NULL), 200);
	CU_ASSERT_EQUAL(count_of(w), 3);
	/* console.yaml's are changed there */
	CU_ASSERT_EQUAL(ask_as(w, admin, "DELETE", "/api/keys/chosen", NULL), 409);
	CU_ASSERT_EQUAL(ask_as(w, admin, "POST", "/api/keys/chosen/rotate", "{}"), 409);
	/* and who did what is in the audit log, without a secret */
	CU_ASSERT_EQUAL(ask_as(w, admin, "GET", "/api/audit?category=access&limit=100", NULL), 200);
	CU_ASSERT_PTR_NOT_NULL(strstr(w->body, "API key 'ci' (operator, limited) made by admin@api"));
	CU_ASSERT_PTR_NOT_NULL(strstr(w->body, "API key 'ci' (operator, limited) rotated by admin@api"));
	CU_ASSERT_PTR_NOT_NULL(strstr(w->body, "API key 'ci' (operator, limited) revoked by admin@api"));
	CU_ASSERT_PTR_NULL(strstr(w->body, third + sizeof(API_KEY_PREFIX)));
	world_free(w);
}

/* Of a rotation and a revocation at once the revocation stands, whichever came first. */
static void test_a_revoked_key_does_not_come_back(void)
{
	struct world *w = world_with_agents();
	_cleanup_free_ char *secret = make_key(w, "ci", ROLE_VIEWER, NULL, 0);
	struct made revoked = {0}, rotated = {0};

	keys_revoke(&w->console->keys, "ci", &by_root, on_made, &revoked);
	keys_rotate(&w->console->keys, "ci", 60000, &by_root, on_made, &rotated);
	CU_ASSERT(fixture_wait(&w->f, fixture_is_set, &rotated.told));
	CU_ASSERT(revoked.told && revoked.result == 0);
	CU_ASSERT_EQUAL(rotated.result, -EALREADY);
	CU_ASSERT_PTR_NULL(keys_get(&w->console->keys, "ci"));
	CU_ASSERT_EQUAL(ask_as(w, secret, "GET", "/api/session", NULL), 401);
	console_free(w->console);
	world_start(w);
	CU_ASSERT_EQUAL(ask_as(w, secret, "GET", "/api/session", NULL), 401);
	world_free(w);
}

static void test_bad_wishes_for_keys(void)
{
	static const struct {
		const char *body, *field;
	} cases[] = {
		{"{}", "name"},
		{"{\"name\":\"a\"}", "role"},
		{"{\"name\":\"a b\",\"role\":\"admin\"}", "name"},
		{"{\"name\":\"a\",\"role\":\"king\"}", "role"},
		{"{\"name\":\"0193587a-1111-7000-8000-0000007c31e0\",\"role\":\"admin\"}", "name"},
		{"{\"name\":\"a\",\"role\":\"admin\",\"expiresAt\":\"2001-01-01T00:00:00Z\"}", "expiresAt"},
		{"{\"name\":\"a\",\"role\":\"admin\",\"expiresAt\":\"soon\"}", "expiresAt"},
		{"{\"name\":\"a\",\"role\":\"admin\",\"limits\":{\"agents\":[]}}", "limits"},
		{"{\"name\":\"a\",\"role\":\"admin\",\"limits\":[]}", "limits"},
		{"{\"name\":\"a\",\"role\":\"admin\",\"key\":\"mine\"}", "key"},
	};
	struct world *w = world_new(settings);
	_cleanup_free_ char *admin = make_key(w, "admin", ROLE_ADMIN, NULL, 0);

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		CU_ASSERT_EQUAL(ask_as(w, admin, "POST", "/api/keys", cases[i].body), 400);
		CU_ASSERT(str_equal(world_text(w, "field"), cases[i].field));
		if (!str_equal(world_text(w, "field"), cases[i].field))
			printf("# %s: %s\n", cases[i].body, w->body);
	}
	CU_ASSERT_EQUAL(ask_as(w, admin, "GET", "/api/keys", NULL), 200);
	CU_ASSERT_EQUAL(count_of(w), 2);
	CU_ASSERT_EQUAL(ask_as(w, admin, "DELETE", "/api/keys/nobody", NULL), 404);
	CU_ASSERT_EQUAL(
		ask_as(w, admin, "POST", "/api/keys/admin/rotate", "{\"overlapSeconds\":9999999}"), 400);
	world_free(w);
}

/* --- sessions ---------------------------------------------------------------------------------------- */

/* "NAME=VALUE" of the last Set-Cookie; owned. */
static char *cookie_of(const struct world *w)
{
	return w->cookie ? xstrndup(w->cookie, strcspn(w->cookie, ";")) : NULL;
}

static char *log_in(struct world *w, const char *secret)
{
	_cleanup_free_ char *body = xasprintf("{\"key\":\"%s\"}", secret);

	CU_ASSERT_EQUAL_FATAL(world_ask(w, "POST", "/api/session", body,
				      (const char *[]){"Origin", "http://localhost", NULL}),
		200);
	return cookie_of(w);
}

static void test_a_login_is_a_cookie(void)
{
	struct world *w = world_with_agents();
	_cleanup_free_ char *secret = make_key(w, "alice", ROLE_OPERATOR, NULL, 0), *cookie = NULL,
			    *others = NULL, *body = NULL;
	const char *restart = "/api/agents/web-1/restart-app", *app = "{\"appId\":\"app-a\"}";
	const char *headers[9] = {"Cookie", NULL};

	cookie = log_in(w, secret);
	CU_ASSERT_FATAL(cookie && str_starts(cookie, "fleet-session="));
	CU_ASSERT_PTR_NOT_NULL(strstr(w->cookie, "; HttpOnly"));
	CU_ASSERT_PTR_NOT_NULL(strstr(w->cookie, "; SameSite=Strict"));
	CU_ASSERT_PTR_NOT_NULL(strstr(w->cookie, "; Path=/"));
	CU_ASSERT_PTR_NULL(strstr(w->cookie, "Secure")); /* by http a browser would not keep it */
	CU_ASSERT_STRING_EQUAL(world_text(w, "name"), "alice");
	CU_ASSERT_PTR_NULL(strstr(w->body, secret));
	headers[1] = cookie;
	CU_ASSERT_EQUAL(world_ask(w, "GET", "/api/session", NULL, headers), 200);
	CU_ASSERT_STRING_EQUAL(world_text(w, "actor"), "alice@dashboard");
	/* writes: of this console's own pages */
	CU_ASSERT_EQUAL(world_ask(w, "POST", restart, app, headers), 403);
	headers[2] = "Origin";
	headers[3] = "http://localhost:1";
	CU_ASSERT_EQUAL(world_ask(w, "POST", restart, app, headers), 403);
	headers[3] = "http://localhost";
	CU_ASSERT_EQUAL(world_ask(w, "POST", restart, app, headers), 202);
	CU_ASSERT_STRING_EQUAL(world_text(w, "actor"), "alice@dashboard");
	headers[4] = "Sec-Fetch-Site";
	headers[5] = "same-site"; /* another port of this host */
	CU_ASSERT_EQUAL(world_ask(w, "POST", restart, app, headers), 403);
	headers[5] = "same-origin";
	CU_ASSERT_EQUAL(world_ask(w, "POST", restart, app, headers), 202);
	/* reads, too */
	headers[2] = "Sec-Fetch-Site";
	headers[3] = "cross-site";
	headers[4] = NULL;
	CU_ASSERT_EQUAL(world_ask(w, "GET", "/api/agents", NULL, headers), 403);
	headers[3] = "none";
	CU_ASSERT_EQUAL(world_ask(w, "GET", "/api/agents", NULL, headers), 200);
	headers[2] = NULL;
	/* what it may not as a key, it may not as a session */
	CU_ASSERT_EQUAL(world_ask(w, "GET", "/api/keys", NULL, headers), 403);
	/* logging out ends it, and no other */
	others = log_in(w, secret);
	headers[2] = "Origin";
	headers[3] = "http://localhost";
	CU_ASSERT_EQUAL(world_ask(w, "DELETE", "/api/session", NULL, headers), 200);
	CU_ASSERT_PTR_NOT_NULL(strstr(w->cookie, "Max-Age=0"));
	CU_ASSERT_EQUAL(world_ask(w, "GET", "/api/session", NULL, headers), 401);
	headers[1] = others;
	CU_ASSERT_EQUAL(world_ask(w, "GET", "/api/session", NULL, headers), 200);
	/* and with its key it ends */
	revoke_key(w, "alice");
	CU_ASSERT_EQUAL(world_ask(w, "GET", "/api/session", NULL, headers), 401);
	/* nothing else is a session */
	headers[1] = "fleet-session=; fleet-session=x; fleet-sessionx=y";
	CU_ASSERT_EQUAL(world_ask(w, "GET", "/api/session", NULL, headers), 401);
	/* a login is for this console's own pages, and for programs */
	body = xasprintf("{\"key\":\"%s\"}", "password");
	CU_ASSERT_EQUAL(world_ask(w, "POST", "/api/session", body,
				(const char *[]){"Origin", "http://evil.example", NULL}),
		403);
	CU_ASSERT_EQUAL(world_ask(w, "POST", "/api/session", "{\"key\":\"fleet_nonsense\"}", NULL), 401);
	CU_ASSERT_PTR_NULL(w->cookie);
	/* by https, be it a proxy's, it is bound to this very name */
	CU_ASSERT_EQUAL(
		world_ask(w, "POST", "/api/session", body,
			(const char *[]){"Host", "fleet.example", "Origin", "https://fleet.example", NULL}),
		200);
	CU_ASSERT(w->cookie && str_starts(w->cookie, "__Host-fleet-session="));
	CU_ASSERT_PTR_NOT_NULL(strstr(w->cookie, "; Secure"));
	world_free(w);
}

static void test_sessions_end(void)
{
	struct sessions sessions = {0};
	struct api_key *key = api_key_new("a", ROLE_VIEWER), *other = api_key_new("b", ROLE_VIEWER);
	char *cookies[FLEET_SESSIONS_PER_KEY + 1];
	_cleanup_free_ char *last = NULL;
	int64_t expires_ms, now_ms = 1000000;

	last = sessions_open(&sessions, other, now_ms, &expires_ms);
	CU_ASSERT_EQUAL(expires_ms, now_ms + FLEET_SESSION_S * INT64_C(1000));
	for (size_t i = 0; i < FLEET_ARRAY_LEN(cookies); i++)
		cookies[i] = sessions_open(&sessions, key, now_ms, &expires_ms);
	/* one more than there may be of one key: its oldest is gone, and nobody else's */
	CU_ASSERT_PTR_NULL(sessions_find(&sessions, cookies[0], now_ms));
	for (size_t i = 1; i < FLEET_ARRAY_LEN(cookies); i++)
		CU_ASSERT_PTR_NOT_NULL(sessions_find(&sessions, cookies[i], now_ms));
	CU_ASSERT_PTR_NOT_NULL(sessions_find(&sessions, last, now_ms));
	CU_ASSERT_PTR_NULL(sessions_find(&sessions, last, expires_ms));
	sessions_close_key(&sessions, key);
	CU_ASSERT_EQUAL(sessions.count, 1);
	sessions_tick(&sessions, expires_ms);
	CU_ASSERT_EQUAL(sessions.count, 0);
	/* not after the key's own end */
	key->expires_ms = now_ms + 5000;
	free(last);
	last = sessions_open(&sessions, key, now_ms, &expires_ms);
	CU_ASSERT_EQUAL(expires_ms, now_ms + 5000);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(cookies); i++)
		free(cookies[i]);
	sessions_done(&sessions);
	api_key_unref(key);
	api_key_unref(other);
}

/* --- what wrong keys cost ----------------------------------------------------------------------------- */

static void test_wrong_keys_cost_waiting(void)
{
	struct logins logins;
	int64_t now_ms = 1000;

	logins_init(&logins, NULL);
	for (int i = 0; i < FLEET_LOGIN_TRIES; i++) {
		CU_ASSERT_EQUAL(logins_wait_ms(&logins, "192.0.2.1", now_ms), 0);
		logins_failed(&logins, "192.0.2.1", NULL, "x", now_ms);
	}
	CU_ASSERT_EQUAL(logins_wait_ms(&logins, "192.0.2.1", now_ms), 0);
	for (int64_t wait_s = 1; wait_s < 200; wait_s *= 2) {
		logins_failed(&logins, "192.0.2.1", NULL, "x", now_ms);
		CU_ASSERT_EQUAL(logins_wait_ms(&logins, "192.0.2.1", now_ms),
			1000 * (wait_s < FLEET_LOGIN_WAIT_S_MAX ? wait_s : FLEET_LOGIN_WAIT_S_MAX));
		now_ms += logins_wait_ms(&logins, "192.0.2.1", now_ms);
	}
	CU_ASSERT_EQUAL(logins_wait_ms(&logins, "192.0.2.1", now_ms), 0);
	CU_ASSERT_EQUAL(logins_wait_ms(&logins, "192.0.2.2", now_ms), 0); /* others do not pay */
	now_ms += FLEET_LOGIN_MEMORY_S * INT64_C(1000) + 1;
	logins_failed(&logins, "192.0.2.1", NULL, "x", now_ms);
	CU_ASSERT_EQUAL(logins_wait_ms(&logins, "192.0.2.1", now_ms), 0);
	now_ms += 2 * FLEET_LOGIN_MEMORY_S * INT64_C(1000);
	logins_tick(&logins, now_ms);
	logins_tick(&logins, now_ms);
	CU_ASSERT_EQUAL(logins.by_text.count, 0);
	logins_done(&logins);
}

/* Somebody with a network of his own is one. */
static void test_addresses_of_one_network_are_one(void)
{
	struct logins logins;

	logins_init(&logins, NULL);
	for (int i = 0; i <= FLEET_LOGIN_TRIES; i++) {
		char address[64];

		(void)snprintf(address, sizeof(address), "2001:db8:1:2:%x::%x", i, i + 1);
		logins_failed(&logins, address, NULL, "x", 0);
	}
	CU_ASSERT(logins_wait_ms(&logins, "2001:db8:1:2:ffff::1", 0) > 0);
	CU_ASSERT_EQUAL(logins_wait_ms(&logins, "2001:db8:1:3::1", 0), 0);
	logins_failed(&logins, "::ffff:192.0.2.1", NULL, "x", 0);
	logins_failed(&logins, "192.0.2.1", NULL, "x", 0);
	CU_ASSERT_EQUAL(logins.by_text.count, 2);
	logins_done(&logins);
}

static void test_many_addresses_are_bounded(void)
{
	struct logins logins;

	logins_init(&logins, NULL);
	for (int i = 0; i < 3 * FLEET_LOGIN_ADDRESSES_MAX; i++) {
		char address[32];

		(void)snprintf(address, sizeof(address), "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
		logins_failed(&logins, address, NULL, "x", 0);
	}
	CU_ASSERT_EQUAL(logins.by_text.count, FLEET_LOGIN_ADDRESSES_MAX);
	/* more of them do not make anybody forgotten: they are slowed as one */
	CU_ASSERT(logins_wait_ms(&logins, "172.16.0.1", 0) > 0);
	CU_ASSERT_EQUAL(logins_wait_ms(&logins, "10.0.0.1", 0), 0);
	logins_done(&logins);
}

static void test_questions_without_a_key_have_a_rate(void)
{
	struct logins logins;
	int asked = 0;

	logins_init(&logins, NULL);
	while (logins_may_ask(&logins, "192.0.2.1", 0))
		asked++;
	CU_ASSERT_EQUAL(asked, FLEET_ASKS_BURST);
	CU_ASSERT(logins_may_ask(&logins, "192.0.2.2", 0));
	for (asked = 0; logins_may_ask(&logins, "192.0.2.1", 1000);)
		asked++;
	CU_ASSERT_EQUAL(asked, FLEET_ASKS_PER_S);
	logins_done(&logins);
}

static size_t refusals_audited(struct world *w, const char *admin)
{
	CU_ASSERT_EQUAL(ask_as(w, admin, "GET", "/api/audit?category=access&limit=1000", NULL), 200);
	return count_of(w);
}

static void test_guessing_is_slowed_and_does_not_fill_the_audit_log(void)
{
	struct world *w = world_new(settings);
	_cleanup_free_ char *admin = make_key(w, "admin", ROLE_ADMIN, NULL, 0);
	_cleanup_free_ char *viewer = make_key(w, "viewer", ROLE_VIEWER, NULL, 0);
	size_t before = refusals_audited(w, admin), unauthenticated = 0, limited = 0;

	CU_ASSERT_EQUAL(ask_as(w, "password", "GET", "/api/session", NULL), 200);
	for (int i = 0; i < 100; i++) {
		_cleanup_free_ char *guess = xasprintf("password%d", i);
		int status = ask_as(w, guess, "GET", "/api/session", NULL);

		unauthenticated += status == 401;
		limited += status == 429 && w->retry_after;
	}
	CU_ASSERT_EQUAL(unauthenticated, FLEET_LOGIN_TRIES + 1);
	CU_ASSERT_EQUAL(limited, 100 - FLEET_LOGIN_TRIES - 1);
	/* the right one is not found out meanwhile, but those that cannot be guessed go on */
	CU_ASSERT_EQUAL(ask_as(w, "password", "GET", "/api/session", NULL), 429);
	CU_ASSERT_EQUAL(ask_as(w, admin, "GET", "/api/session", NULL), 200);
	CU_ASSERT_EQUAL(refusals_audited(w, admin), before + 1);
	/* of those who are known each is told, up to a bound */
	for (int i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(ask_as(w, viewer, "GET", "/api/keys", NULL), 403);
	CU_ASSERT_EQUAL(refusals_audited(w, admin), before + 1 + FLEET_REFUSALS_PER_MINUTE);
	CU_ASSERT_PTR_NOT_NULL(strstr(w->body, "viewer@api was refused: GET /api/keys"));
	/* and the rest is in the minute's sum */
	auth_flush(&w->console->auth);
	CU_ASSERT_EQUAL(refusals_audited(w, admin), before + 2 + FLEET_REFUSALS_PER_MINUTE);
	CU_ASSERT_PTR_NOT_NULL(strstr(w->body, "\"address\":\"127.0.0.1\""));
	/* 99 unknown ones and that of somebody who had to wait, 80 refusals */
	CU_ASSERT_PTR_NOT_NULL(strstr(w->body, "\"refusalsLeftOut\":180"));
	world_free(w);
}

static const struct unit_test access_tests[] = {
	UNIT_TEST(test_every_route_and_everybody),
	UNIT_TEST(test_what_is_not_said_is_not_allowed),
	UNIT_TEST(test_limits_reach_what_they_name),
	UNIT_TEST(test_limits_at_fault_are_refused),
	UNIT_TEST(test_a_limited_key_sees_its_own_agents_only),
	UNIT_TEST(test_events_of_others_are_not_told),
	{0},
};
static const struct unit_test key_tests[] = {
	UNIT_TEST(test_keys_are_made_rotated_and_revoked),
	UNIT_TEST(test_a_revoked_key_does_not_come_back),
	UNIT_TEST(test_bad_wishes_for_keys),
	{0},
};
static const struct unit_test login_tests[] = {
	UNIT_TEST(test_a_login_is_a_cookie),
	UNIT_TEST(test_sessions_end),
	UNIT_TEST(test_wrong_keys_cost_waiting),
	UNIT_TEST(test_addresses_of_one_network_are_one),
	UNIT_TEST(test_many_addresses_are_bounded),
	UNIT_TEST(test_questions_without_a_key_have_a_rate),
	UNIT_TEST(test_guessing_is_slowed_and_does_not_fill_the_audit_log),
	{0},
};

int main(void)
{
	fleet_log_init("test", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	return unit_run((const struct unit_suite[]){
		{"access", access_tests}, {"keys", key_tests}, {"logins", login_tests}, {0}});
}
