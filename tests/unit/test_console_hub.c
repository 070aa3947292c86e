/* The hub, against our own WebSocket client and, where a client must be dumb, a bare socket. */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "test_console_world.h"

static const char settings[] = "api_keys: [{name: alice, role: admin, key: key-of-alice}]\n"
			       "agent_keys:\n"
			       "  - {agent_id: agent-001, key: key-of-one}\n"
			       "  - {agent_id: agent-002, key: key-of-two}\n"
			       "heartbeat_interval: 10s\n";

static int audit_count(struct world *w, const char *query, const char *message)
{
	int count = 0;

	CU_ASSERT_EQUAL(world_get(w, query), 200);
	for (size_t i = 0; w->json && i < json_object_array_length(w->json); i++) {
		const char *text = fleet_json_string(json_object_array_get_idx(w->json, i), "message");

		count += text && str_starts(text, message);
	}
	return count;
}

/* --- handshakes -------------------------------------------------------------------------------------- */

static void test_keys_are_judged(void)
{
	static const struct {
		const char *id, *key;
		int status;
	} cases[] = {
		{"agent-001", NULL, 401},
		{"agent-001", "nonsense", 401},
		{"agent-001", "key-of-alice", 401},
		{"agent-001", "key-of-two", 403},
		{"..", "key-of-one", 400},
		{"agent-001", "key-of-one", 0},
	};
	struct world *w = world_new(settings);

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct fake_agent a;

		agent_connect(&a, w, cases[i].id, cases[i].key);
		CU_ASSERT_EQUAL(a.open, cases[i].status == 0);
		CU_ASSERT_EQUAL(a.end.http_status, cases[i].status);
		agent_done(&a);
	}
	world_free(w);
}

static void test_handshakes_at_fault_are_refused(void)
{
	static const struct {
		const char *headers[12];
		int status;
	} cases[] = {
		{{NULL}, 426},
		{{"Sec-WebSocket-Protocol", "fleet.v2, chat", NULL}, 426},
		{{"Sec-WebSocket-Protocol", "fleet.v1", NULL}, 400},
		{{"Sec-WebSocket-Protocol", "fleet.v1", "Origin", "http://localhost", NULL}, 403},
	};
	struct world *w = world_new(NULL);

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++)
		CU_ASSERT_EQUAL(world_ask(w, "GET", "/api/hub?agentId=agent-001", NULL, cases[i].headers),
			cases[i].status);
	CU_ASSERT_EQUAL(world_get(w, "/api/hub"), 400);
	CU_ASSERT_EQUAL(audit_count(w, "/api/audit?category=agent", "agent refused: a browser's Origin"), 1);
	world_free(w);
}

static void test_refusals_cannot_fill_the_audit_log(void)
{
	struct world *w = world_new(NULL);

	for (int i = 0; i < 80; i++) {
		_cleanup_free_ char *path = xasprintf("/api/hub?agentId=agent-%d", i / 2);

		CU_ASSERT_EQUAL(world_ask(w, "GET", path, NULL,
					(const char *[]){"Origin", "http://evil.example", NULL}),
			403);
	}
	CU_ASSERT_EQUAL(audit_count(w, "/api/audit?category=agent&limit=100", "agent refused"),
		FLEET_REFUSALS_PER_MINUTE);
	auth_flush(&w->console->auth);
	CU_ASSERT_EQUAL(
		audit_count(w, "/api/audit?category=access&limit=100", "60 more attempts were refused"), 1);
	world_free(w);
}

/* --- two for one id ---------------------------------------------------------------------------------- */

static void test_a_newcomer_is_refused_while_the_first_lives(void)
{
	struct world *w = world_new(NULL);
	struct fake_agent first, second;

	agent_join(&first, w, "agent-001");
	agent_connect(&second, w, "agent-001", NULL);
	CU_ASSERT(!second.open);
	CU_ASSERT_EQUAL(second.end.http_status, 409);
	CU_ASSERT_PTR_NOT_NULL(strstr(second.end.reason, "srv-agent-001"));
	CU_ASSERT(!first.ended);
	agent_heartbeat(&first, NULL);
	CU_ASSERT(world_becomes(w, "/api/agents/agent-001", "isOnline", "true"));
	CU_ASSERT_EQUAL(
		audit_count(w, "/api/audit?category=agent", "agent refused: the agentId is in use by srv-"),
		1);
	agent_done(&second);
	agent_done(&first);
	world_free(w);
}

/* A client that shakes hands, registers, and then never answers anything. */
static int mute_client(struct world *w, const char *id)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(console_port(w->console)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct fake_agent a = {.w = w};
	struct fleet_uuid spool = fleet_uuid_new();
	struct json_object *message;
	_cleanup_free_ char *hello =
		xasprintf("GET /api/hub?agentId=%s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
			  "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
			  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: fleet.v1\r\n\r\n",
			id);
	unsigned char head[8] = {0x81, 0x80 | 126, 0, 0, 0, 0, 0, 0}; /* a mask of zeros changes nothing */
	const char *text;
	size_t len;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(a.id, sizeof(a.id), "%s", id);
	memcpy(a.spool_id, spool.text, sizeof(a.spool_id));
	message = agent_register_message(&a, "1.1.0");
	text = fleet_json_text(message, &len);
	CU_ASSERT_FATAL(len < UINT16_MAX);
	head[2] = (unsigned char)(len >> 8);
	head[3] = (unsigned char)len;
	CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	CU_ASSERT_EQUAL(write(fd, hello, strlen(hello)), (ssize_t)strlen(hello));
	for (int64_t deadline = fleet_clock_monotonic_ms() + WAIT_MS;
		hub_count(w->console->hub) == 0 && fleet_clock_monotonic_ms() < deadline;)
		(void)event_base_loop(w->f.base, EVLOOP_ONCE);
	CU_ASSERT_EQUAL(write(fd, head, sizeof(head)), (ssize_t)sizeof(head));
	CU_ASSERT_EQUAL(write(fd, text, len), (ssize_t)len);
	json_object_put(message);
	return fd;
}

static void test_a_newcomer_replaces_a_dead_connection(void)
{
	struct world *w = world_new(NULL);
	struct fake_agent second;
	int fd = mute_client(w, "agent-001");
	int64_t asked;

	CU_ASSERT(world_becomes(w, "/api/agents/agent-001", "isOnline", "true"));
	/* a request that is no handshake is told so at once, and replaces nobody */
	CU_ASSERT_EQUAL(world_ask(w, "GET", "/api/hub?agentId=agent-001", NULL,
				(const char *[]){"Sec-WebSocket-Protocol", "fleet.v1", NULL}),
		400);
	CU_ASSERT(world_becomes(w, "/api/agents/agent-001", "isOnline", "true"));
	asked = fleet_clock_monotonic_ms();
	agent_connect(&second, w, "agent-001", NULL);
	CU_ASSERT(second.open);
	CU_ASSERT(fleet_clock_monotonic_ms() - asked >= HUB_CLAIM_MS - 50);
	agent_send(&second, agent_register_message(&second, "1.1.0"));
	(void)agent_hear(&second, "registered");
	CU_ASSERT(world_becomes(w, "/api/agents/agent-001", "isOnline", "true"));
	CU_ASSERT_EQUAL(audit_count(w, "/api/audit?category=agent",
				"agent offline: another connection of this agent"),
		1);
	(void)close(fd);
	agent_done(&second);
	world_free(w);
}

/* --- messages ---------------------------------------------------------------------------------------- */

static void test_messages_at_fault_are_answered(void)
{
	static const struct {
		const char *text, *code;
	} before[] =
		{
			{"{\"type\":\"heartbeat\",\"id\":\"0190f5fe-7c00-7a00-8000-000000000001\","
			 "\"ts\":\"2026-01-31T23:59:59.123Z\",\"seq\":1}",
				"not-registered"},
		},
	  after[] = {
		  {"{nope", "not-a-message"},
		  {"[]", "not-a-message"},
		  {"{\"type\":\"heartbeat\"}", "not-a-message"},
		  {"{\"type\":\"nonsense\",\"id\":\"0190f5fe-7c00-7a00-8000-000000000001\","
		   "\"ts\":\"2026-01-31T23:59:59.123Z\"}",
			  "unknown-type"},
		  {"{\"type\":\"registered\",\"id\":\"0190f5fe-7c00-7a00-8000-000000000001\","
		   "\"ts\":\"2026-01-31T23:59:59.123Z\"}",
			  "unknown-type"},
		  {"{\"type\":\"heartbeat\",\"id\":\"0190f5fe-7c00-7a00-8000-000000000001\","
		   "\"ts\":\"2026-01-31T23:59:59.123Z\",\"seq\":\"one\"}",
			  "invalid-message"},
		  {"{\"type\":\"auditEvent\",\"id\":\"0190f5fe-7c00-7a00-8000-000000000001\","
		   "\"ts\":\"2026-01-31T23:59:59.123Z\",\"eventId\":\"0190f5fe-7c00-7a00-8000-000000000002\","
		   "\"spoolId\":\"0190f5fe-7c00-7a00-8000-000000000003\",\"seq\":1,\"category\":\"system\","
		   "\"message\":\"m\"}",
			  "wrong-spool"},
	  };
	struct world *w = world_new(NULL);
	struct fake_agent a;

	agent_connect(&a, w, "agent-001", NULL);
	agent_send_text(&a, before[0].text);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(agent_hear(&a, "error"), "code"), before[0].code);
	agent_send(&a, agent_register_message(&a, "1.1.0"));
	(void)agent_hear(&a, "registered");
	for (size_t i = 0; i < FLEET_ARRAY_LEN(after); i++) {
		agent_send_text(&a, after[i].text);
		CU_ASSERT_STRING_EQUAL(fleet_json_string(agent_hear(&a, "error"), "code"), after[i].code);
	}
	CU_ASSERT(!a.ended);
	agent_heartbeat(&a, NULL);
	CU_ASSERT(world_becomes(w, "/api/agents/agent-001", "isOnline", "true"));
	agent_done(&a);
	world_free(w);
}

static void test_register_for_another_agent_ends_it(void)
{
	struct world *w = world_new(NULL);
	struct fake_agent a;
	struct json_object *message;

	agent_connect(&a, w, "agent-001", NULL);
	message = agent_register_message(&a, "1.1.0");
	fleet_json_add_string(message, "agentId", "agent-002");
	agent_send(&a, message);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(agent_hear(&a, "error"), "path"), "$.agentId");
	CU_ASSERT(fixture_wait(&w->f, agent_is_ended, &a));
	CU_ASSERT_EQUAL(a.end.close_code, 1008);
	CU_ASSERT_EQUAL(world_get(w, "/api/agents/agent-002"), 404);
	agent_done(&a);
	world_free(w);
}

static void test_registration_is_audited(void)
{
	struct world *w = world_new(NULL);
	struct fake_agent a;
	char spool[FLEET_UUID_LEN + 1];

	agent_join(&a, w, "agent-001");
	memcpy(spool, a.spool_id, sizeof(spool));
	CU_ASSERT_EQUAL(audit_count(w, "/api/audit?category=agent", "agent registered (version 1.1.0)"), 1);
	fleet_ws_close(a.ws, 1000, "going home");
	CU_ASSERT(world_becomes(w, "/api/agents/agent-001", "isOnline", "false"));
	CU_ASSERT_EQUAL(audit_count(w, "/api/audit?category=agent", "agent offline"), 1);
	CU_ASSERT(fixture_wait(&w->f, agent_is_ended, &a));
	agent_done(&a);

	agent_connect(&a, w, "agent-001", NULL);
	memcpy(a.spool_id, spool, sizeof(spool));
	agent_send(&a, agent_register_message(&a, "1.1.0"));
	(void)agent_hear(&a, "registered");
	CU_ASSERT_EQUAL(audit_count(w, "/api/audit?category=agent", "agent registered (version 1.1.0)"), 2);
	agent_done(&a);
	CU_ASSERT(world_becomes(w, "/api/agents/agent-001", "isOnline", "false"));

	agent_connect(&a, w, "agent-001", NULL);
	memcpy(a.spool_id, spool, sizeof(spool));
	agent_send(&a, agent_register_message(&a, "1.2.0"));
	(void)agent_hear(&a, "registered");
	CU_ASSERT_EQUAL(audit_count(w, "/api/audit?category=agent", "agent registered (version 1.2.0)"), 1);
	agent_done(&a);
	world_free(w);
}

static void send_audit_event(struct fake_agent *a, int64_t seq, const char *event_id)
{
	struct json_object *m = fleet_message_new(FLEET_MESSAGE_AUDIT_EVENT);

	fleet_json_add_string(m, "eventId", event_id);
	fleet_json_add_string(m, "spoolId", a->spool_id);
	fleet_json_add_int(m, "seq", seq);
	fleet_json_add_string(m, "category", "system");
	fleet_json_add_string(m, "message", "apps reloaded");
	agent_send(a, m);
}

static void test_audit_events_count_once_and_are_acked(void)
{
	struct world *w = world_new(NULL);
	struct fake_agent a;
	struct fleet_uuid ids[3] = {fleet_uuid_new(), fleet_uuid_new(), fleet_uuid_new()};
	struct json_object *ack;
	int64_t acked = 0;

	agent_join(&a, w, "agent-001");
	for (int round = 0; round < 2; round++) { /* the second time, they are known */
		for (int i = 0; i < 3; i++)
			send_audit_event(&a, i + 1, ids[i].text);
	}
	do {
		ack = agent_hear(&a, "ack");
		CU_ASSERT(fleet_json_int(ack, "auditSeq", 0) >= acked);
		acked = fleet_json_int(ack, "auditSeq", 0);
		CU_ASSERT_PTR_NOT_NULL(fleet_json_object(ack, "head"));
	} while (acked < 3);
	CU_ASSERT_EQUAL(audit_count(w, "/api/audit?agentId=agent-001&category=system", "apps reloaded"), 3);
	agent_done(&a);
	world_free(w);
}

static void test_a_witness_of_lost_rows_is_heard(void)
{
	struct world *w = world_new(NULL);
	struct fake_agent a;
	struct json_object *message, *head;

	agent_join(&a, w, "agent-001");
	fleet_ws_close(a.ws, 1000, "");
	CU_ASSERT(fixture_wait(&w->f, agent_is_ended, &a));
	agent_done(&a);
	agent_connect(&a, w, "agent-001", NULL);
	message = agent_register_message(&a, "1.1.0");
	head = json_tokener_parse("{\"seq\":4711}");
	fleet_json_add_string(
		head, "hash", "00000000000000000000000000000000000000000000000000000000000000ff");
	fleet_json_add(message, "auditHead", head);
	fleet_log_set_level(FLEET_LOG_ERROR);
	agent_send(&a, message);
	(void)agent_hear(&a, "registered");
	CU_ASSERT_EQUAL(
		audit_count(w, "/api/audit?category=system", "the audit log has lost its last 47"), 1);
	agent_done(&a);
	world_free(w);
}

/* --- commands end to end ------------------------------------------------------------------------------- */

static void send_result(struct fake_agent *a, const char *command_id)
{
	struct json_object *m = fleet_message_new(FLEET_MESSAGE_COMMAND_RESULT);

	fleet_json_add_string(m, "commandId", command_id);
	fleet_json_add_string(m, "command", "restart-app");
	fleet_json_add_string(m, "appId", "app-a");
	fleet_json_add_bool(m, "success", true);
	fleet_json_add_string(m, "message", "Running, healthy, pid 4127 (was 3980)");
	fleet_json_add_bool(m, "appHealthy", true);
	agent_send(a, m);
}

static void test_a_command_survives_the_console(void)
{
	struct world *w = world_new(NULL);
	struct fake_agent a;
	_cleanup_free_ char *path = NULL, *id = NULL;
	char spool[FLEET_UUID_LEN + 1];
	struct json_object *ids;

	agent_join(&a, w, "agent-001");
	memcpy(spool, a.spool_id, sizeof(spool));
	CU_ASSERT_EQUAL(world_post(w, "/api/agents/agent-001/restart-app", "{\"appId\":\"app-a\"}"), 202);
	id = xstrdup(world_text(w, "commandId"));
	path = xstrdup(w->location);
	CU_ASSERT_STRING_EQUAL(world_text(w, "actor"), "operator@cli");
	(void)agent_hear(&a, "restartApp");
	agent_done(&a);
	console_free(w->console); /* without a goodbye */
	world_start(w);
	CU_ASSERT_EQUAL(world_get(w, path), 200);
	CU_ASSERT_STRING_EQUAL(world_text(w, "state"), "sent");
	agent_connect(&a, w, "agent-001", NULL);
	memcpy(a.spool_id, spool, sizeof(spool));
	agent_send(&a, agent_register_message(&a, "1.1.0"));
	(void)agent_hear(&a, "registered");
	(void)agent_hear(&a, "restartApp");
	send_result(&a, id);
	send_result(&a, id);
	ids = fleet_json_array(agent_hear(&a, "ack"), "resultIds");
	CU_ASSERT(json_object_array_length(ids) >= 1);
	CU_ASSERT_STRING_EQUAL(json_object_get_string(json_object_array_get_idx(ids, 0)), id);
	CU_ASSERT(world_becomes(w, path, "state", "succeeded"));
	CU_ASSERT_EQUAL(
		audit_count(w, "/api/audit?category=restart", "app-a restarted on agent-001 by operator@cli"),
		1);
	agent_done(&a);
	world_free(w);
}

static void test_ping_brings_the_heartbeat(void)
{
	struct world *w = world_new(NULL);
	struct fake_agent a;
	struct evhttp_connection *conn;
	struct evhttp_request *req;

	agent_join(&a, w, "agent-001");
	conn = evhttp_connection_base_new(w->f.base, NULL, "127.0.0.1", console_port(w->console));
	req = evhttp_request_new(world_on_answer, w);
	(void)evhttp_add_header(evhttp_request_get_output_headers(req), "Host", "localhost");
	CU_ASSERT_EQUAL(evhttp_make_request(conn, req, EVHTTP_REQ_POST, "/api/agents/agent-001/ping"), 0);
	agent_heartbeat(&a, fleet_json_string(agent_hear(&a, "requestHeartbeat"), "id"));
	CU_ASSERT(fixture_wait(&w->f, fixture_is_set, &w->answered));
	CU_ASSERT_EQUAL(w->status, 200);
	CU_ASSERT_EQUAL(fleet_json_number(fleet_json_object(w->json, "metrics"), "cpuPercent", 0), 23.4);
	evhttp_connection_free(conn);
	/* one that leaves while it is asked */
	world_forget_answer(w);
	conn = evhttp_connection_base_new(w->f.base, NULL, "127.0.0.1", console_port(w->console));
	req = evhttp_request_new(world_on_answer, w);
	(void)evhttp_add_header(evhttp_request_get_output_headers(req), "Host", "localhost");
	CU_ASSERT_EQUAL(evhttp_make_request(conn, req, EVHTTP_REQ_POST, "/api/agents/agent-001/ping"), 0);
	(void)agent_hear(&a, "requestHeartbeat");
	agent_done(&a);
	CU_ASSERT(fixture_wait(&w->f, fixture_is_set, &w->answered));
	CU_ASSERT_EQUAL(w->status, 504);
	evhttp_connection_free(conn);
	CU_ASSERT_EQUAL(world_post(w, "/api/agents/agent-001/ping", NULL), 504);
	CU_ASSERT_PTR_NOT_NULL(strstr(world_text(w, "detail"), "offline"));
	world_free(w);
}

static void test_stops_with_a_goodbye(void)
{
	struct world *w = world_new(NULL);
	struct fake_agent a;

	agent_join(&a, w, "agent-001");
	console_stop(w->console);
	CU_ASSERT(fixture_wait(&w->f, agent_is_ended, &a));
	CU_ASSERT_EQUAL(a.end.close_code, 1001);
	console_run(w->console); /* returns by itself */
	agent_done(&a);
	world_free(w);
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_keys_are_judged),
	UNIT_TEST(test_handshakes_at_fault_are_refused),
	UNIT_TEST(test_refusals_cannot_fill_the_audit_log),
	UNIT_TEST(test_a_newcomer_is_refused_while_the_first_lives),
	UNIT_TEST(test_a_newcomer_replaces_a_dead_connection),
	UNIT_TEST(test_messages_at_fault_are_answered),
	UNIT_TEST(test_register_for_another_agent_ends_it),
	UNIT_TEST(test_registration_is_audited),
	UNIT_TEST(test_audit_events_count_once_and_are_acked),
	UNIT_TEST(test_a_witness_of_lost_rows_is_heard),
	UNIT_TEST(test_a_command_survives_the_console),
	UNIT_TEST(test_ping_brings_the_heartbeat),
	UNIT_TEST(test_stops_with_a_goodbye),
	{0},
};

int main(void)
{
	fleet_log_init("test", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	return unit_run((const struct unit_suite[]){{"hub", tests}, {0}});
}
