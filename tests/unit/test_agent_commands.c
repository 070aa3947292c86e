/* A command's and a query's way through the agent and back, and what is left of it, and of events, when
 * either side or the agent itself goes away in the middle. */
#include "fleet/ids.h"
#include "fleet/jws.h"
#include "test_agent_scene.h"

static struct json_object *command(enum fleet_message_type type, const char *command_id)
{
	_cleanup_(fleet_jws_key_freep) struct fleet_jws_key *key = fleet_jws_key_new();
	_cleanup_json_ struct json_object *payload = json_object_new_object();
	_cleanup_free_ char *jws = NULL;
	struct json_object *message = fleet_message_new(type);

	fleet_json_add_string(payload, "commandId", command_id);
	CU_ASSERT_EQUAL_FATAL(fleet_jws_sign(key, payload, &jws, NULL), 0);
	fleet_json_add_string(message, "jws", jws);
	return message;
}

static struct json_object *about(enum fleet_message_type type, const char *command_id)
{
	struct json_object *message = fleet_message_new(type);

	fleet_json_add_string(message, "commandId", command_id);
	return message;
}

static struct json_object *result(const char *command_id)
{
	struct json_object *message = about(FLEET_FRAME_RESULT, command_id);

	fleet_json_add_string(message, "command", "restart-app");
	fleet_json_add_string(message, "appId", "app-a");
	fleet_json_add_bool(message, "success", true);
	fleet_json_add_string(message, "message", "Running, healthy");
	fleet_json_add_int(message, "pid", 4127);
	return message;
}

static void test_command_there_and_back(void)
{
	struct fleet_uuid id = fleet_uuid_new();
	struct json_object *m;

	scene_with_everybody();
	hub_send(&hub, command(FLEET_MESSAGE_RESTART_APP, id.text));
	CU_ASSERT_TRUE_FATAL(LOOP_UNTIL(base, host_count("command") == 1));
	host_send(about(FLEET_FRAME_ACCEPTED, id.text));
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "commandAccepted") == 1));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(hub_last(&hub, "commandAccepted"), "commandId"), id.text);
	m = about(FLEET_FRAME_PROGRESS, id.text);
	fleet_json_add_string(m, "step", "stop");
	fleet_json_add_int(m, "percent", 50);
	host_send(m);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "commandProgress") == 1));
	CU_ASSERT_EQUAL(fleet_json_int(hub_last(&hub, "commandProgress"), "percent", 0), 50);
	CU_ASSERT_FALSE(host_heard_stored(id.text));
	host_send(result(id.text));
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "commandResult") == 1));
	m = hub_last(&hub, "commandResult");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(m, "message"), "Running, healthy");
	CU_ASSERT_EQUAL(fleet_json_int(m, "pid", 0), 4127);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, host_heard_stored(id.text)));
	/* It was acked: nothing of it comes again. */
	loop_for(base, 50);
	fleet_ws_close(hub.ws, 1012, "restarting");
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "register") == 2));
	CU_ASSERT_EQUAL(json_object_array_length(fleet_json_array(hub_last(&hub, "register"), "running")), 0);
	loop_for(base, 100);
	CU_ASSERT_EQUAL(hub_count(&hub, "commandResult"), 1);
	scene_end();
}

static void test_query_there_and_back(void)
{
	struct json_object *query, *answer, *told;
	const char *id;

	scene_with_everybody();
	query = command(FLEET_MESSAGE_READ_LOGS, fleet_uuid_new().text);
	id = fleet_json_string(query, "id");
	hub_send(&hub, json_object_get(query));
	CU_ASSERT_TRUE_FATAL(LOOP_UNTIL(base, host_count("query") == 1));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(host_last("query"), "id"), id);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(host_last("query"), "jws"), fleet_json_string(query, "jws"));
	answer = frame(FLEET_FRAME_ANSWER, "{\"lines\":[{\"text\":\"ready\",\"priority\":6}],\"left\":3}");
	fleet_json_add_string(answer, "refId", id);
	host_send(answer);
	CU_ASSERT_TRUE_FATAL(LOOP_UNTIL(base, hub_count(&hub, "queryResult") == 1));
	told = hub_last(&hub, "queryResult");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(told, "refId"), id);
	CU_ASSERT_EQUAL(fleet_json_int(told, "left", 0), 3);
	CU_ASSERT_EQUAL(json_object_array_length(fleet_json_array(told, "lines")), 1);
	/* without a host it says so at once */
	host_stop();
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_event(&hub, "driver host lost") != NULL));
	hub_send(&hub, json_object_get(query));
	CU_ASSERT_TRUE_FATAL(LOOP_UNTIL(base, hub_count(&hub, "queryResult") == 2));
	CU_ASSERT_STRING_EQUAL(
		fleet_json_string(hub_last(&hub, "queryResult"), "errorCode"), "no-driver-host");
	json_object_put(query);
	scene_end();
}

static void test_refused_command_is_told(void)
{
	static const char *const codes[] = {"bad-signature", "unknown-key", "wrong-agent", "expired",
		"duplicate", "malformed", "too-old", "busy"};
	struct fleet_uuid id = fleet_uuid_new(), event_id = fleet_uuid_new();
	struct json_object *m, *sent;

	scene_with_everybody();
	for (size_t i = 0; i < FLEET_ARRAY_LEN(codes); i++) {
		char hub_id[64];
		int commands = host_count("command");

		sent = command(FLEET_MESSAGE_PUSH_CONFIG, fleet_uuid_new().text);
		(void)snprintf(hub_id, sizeof(hub_id), "%s", fleet_json_string(sent, "id"));
		hub_send(&hub, sent);
		CU_ASSERT_TRUE_FATAL(LOOP_UNTIL(base, host_count("command") == commands + 1));
		m = about(FLEET_FRAME_REFUSED, id.text);
		fleet_json_add_string(m, "refId", fleet_json_string(host_last("command"), "id"));
		fleet_json_add_string(m, "code", codes[i]);
		fleet_json_add_string(m, "message", "no");
		host_send(m);
		CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "error") == (int)i + 1));
		m = hub_last(&hub, "error");
		CU_ASSERT_STRING_EQUAL(fleet_json_string(m, "code"), codes[i]);
		CU_ASSERT_STRING_EQUAL(fleet_json_string(m, "refId"), hub_id);
	}
	/* What the host makes of it comes as an event, and is kept before it is said to be. */
	m = frame(FLEET_FRAME_EVENT,
		"{\"category\":\"system\",\"appId\":\"app-a\",\"message\":\"a command was refused\"}");
	fleet_json_add_string(m, "eventId", event_id.text);
	fleet_json_add_string(m, "ts", "2026-01-31T23:59:59.123Z");
	host_send(json_object_get(m));
	host_send(m); /* twice: it did not hear us */
	CU_ASSERT_TRUE(LOOP_UNTIL(base, host_heard_stored(event_id.text)));
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_event(&hub, "a command was refused") != NULL));
	m = hub_event(&hub, "a command was refused");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(m, "ts"), "2026-01-31T23:59:59.123Z"); /* when it happened */
	CU_ASSERT_STRING_EQUAL(fleet_json_string(m, "category"), "system");
	loop_for(base, 50);
	{
		int count = 0;

		for (size_t i = 0; i < hub.count; i++)
			count += str_equal(fleet_json_string(hub.messages[i], "eventId"), event_id.text);
		CU_ASSERT_EQUAL(count, 1);
	}
	scene_end();
}

static void test_command_waits_for_a_lost_host(void)
{
	struct fleet_uuid id = fleet_uuid_new();

	scene_with_everybody();
	host_stop();
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_event(&hub, "driver host lost") != NULL));
	host_forget();
	hub_send(&hub, command(FLEET_MESSAGE_RESTART_APP, id.text));
	loop_for(base, 50);
	CU_ASSERT_EQUAL(hub_count(&hub, "error"), 0);
	CU_ASSERT_EQUAL(hub_count(&hub, "commandAccepted"), 0);
	host_start();
	CU_ASSERT_TRUE(LOOP_UNTIL(base, host_count("command") == 1));
	/* Lost again before it answered: offered again. */
	host_stop();
	host_forget();
	host_start();
	CU_ASSERT_TRUE(LOOP_UNTIL(base, host_count("command") == 1));
	host_send(about(FLEET_FRAME_ACCEPTED, id.text));
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "commandAccepted") == 1));
	host_stop();
	host_forget();
	host_start();
	CU_ASSERT_TRUE(LOOP_UNTIL(base, host_count("hello") == 1));
	loop_for(base, 100);
	CU_ASSERT_EQUAL(host_count("command"), 0); /* it is the host's now */
	scene_end();
}

static void test_known_commands_are_not_given_twice(void)
{
	struct fleet_uuid id = fleet_uuid_new();
	struct json_object *sent;

	scene_with_everybody();
	hub.no_acks = true;
	sent = command(FLEET_MESSAGE_RESTART_APP, id.text);
	hub_send(&hub, json_object_get(sent));
	CU_ASSERT_TRUE_FATAL(LOOP_UNTIL(base, host_count("command") == 1));
	host_send(about(FLEET_FRAME_ACCEPTED, id.text));
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "commandAccepted") == 1));
	hub_send(&hub, json_object_get(sent)); /* it did not hear us */
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "commandAccepted") == 2));
	host_send(result(id.text));
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "commandResult") == 1));
	hub_send(&hub, json_object_get(sent));
	hub_send(&hub, fleet_message_new(FLEET_MESSAGE_REQUEST_HEARTBEAT));
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "heartbeat") == 2));
	CU_ASSERT_EQUAL(host_count("command"), 1);
	hub_ack(&hub, id.text); /* from here on only the host knows it */
	hub_send(&hub, sent);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, host_count("command") == 2));
	scene_end();
}

static void test_result_survives_console_and_agent(void)
{
	struct fleet_uuid id = fleet_uuid_new(), running = fleet_uuid_new();
	struct json_object *list;
	char spool_id[64];

	scene_with_everybody();
	(void)snprintf(spool_id, sizeof(spool_id), "%s", hub.spool_id);
	hub.no_acks = true;
	hub_send(&hub, command(FLEET_MESSAGE_RESTART_APP, id.text));
	CU_ASSERT_TRUE_FATAL(LOOP_UNTIL(base, host_count("command") == 1));
	hub_vanish(&hub); /* the console dies between command and result */
	host_send(about(FLEET_FRAME_ACCEPTED, id.text));
	host_send(about(FLEET_FRAME_ACCEPTED, running.text));
	host_send(result(id.text));
	CU_ASSERT_TRUE(LOOP_UNTIL(base, host_heard_stored(id.text)));
	agent_kill(); /* and then the agent */
	host_stop();
	CU_ASSERT_TRUE_FATAL(hub_listen(&hub, base, hub.port));
	agent_start(); /* without a host: what it tells, it tells from its spool */
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "commandResult") == 1));
	list = fleet_json_array(hub_last(&hub, "register"), "running");
	CU_ASSERT_EQUAL_FATAL(json_object_array_length(list), 1);
	CU_ASSERT_STRING_EQUAL(json_object_get_string(json_object_array_get_idx(list, 0)), running.text);
	CU_ASSERT_STRING_EQUAL(hub.spool_id, spool_id);
	/* Not acked: said again to a console that comes back, and no more once it was. */
	hub.no_acks = false;
	fleet_ws_close(hub.ws, 1012, "restarting");
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "commandResult") == 2));
	loop_for(base, 100);
	fleet_ws_close(hub.ws, 1012, "restarting");
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_count(&hub, "register") == 4));
	loop_for(base, 100);
	CU_ASSERT_EQUAL(hub_count(&hub, "commandResult"), 2);
	scene_end();
}

static void test_events_wait_for_the_console(void)
{
	int64_t seq;

	scene_with_everybody();
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub.audit_seq >= 1));
	seq = hub.audit_seq;
	hub_vanish(&hub);
	for (int i = 0; i < 200; i++) { /* more than a window */
		struct json_object *m =
			frame(FLEET_FRAME_EVENT, "{\"category\":\"restart\",\"message\":\"meanwhile\"}");

		fleet_json_add_string(m, "eventId", fleet_uuid_new().text);
		host_send(m);
	}
	CU_ASSERT_TRUE(LOOP_UNTIL(base, host_count("stored") >= 200));
	hub_forget(&hub);
	CU_ASSERT_TRUE_FATAL(hub_listen(&hub, base, hub.port));
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub.audit_seq == seq + 200));
	CU_ASSERT_EQUAL(hub.gaps, 0);
	loop_for(base, 100);
	CU_ASSERT_EQUAL(hub_count(&hub, "auditEvent"), 200); /* each once */
	scene_end();
}

static void test_restored_spool_gets_a_new_id(void)
{
	char before[64];

	scene_with_everybody();
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub.audit_seq >= 1));
	(void)snprintf(before, sizeof(before), "%s", hub.spool_id);
	hub.audit_seq = 1000; /* the console holds what this spool never numbered */
	fleet_ws_close(hub.ws, 1012, "restarting");
	CU_ASSERT_TRUE(LOOP_UNTIL(base, strcmp(hub.spool_id, before) != 0));
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_event(&hub, "the agent's spool was put back") != NULL));
	CU_ASSERT_EQUAL(fleet_json_int(hub_event(&hub, "the agent's spool was put back"), "seq", 0), 1);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub.audit_seq >= 1 && hub.audit_seq < 1000));
	scene_end();
}

/* A console that was restored from an older backup, or begun anew, misses what it had acknowledged: those
 * numbers never come again, so nothing behind them would ever be acknowledged. */
static void test_console_that_was_put_back_gets_a_new_spool(void)
{
	char before[64];
	int64_t seq;

	scene_with_everybody();
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub.audit_seq >= 1));
	(void)snprintf(before, sizeof(before), "%s", hub.spool_id);
	loop_for(base, 100);
	CU_ASSERT_STRING_EQUAL(hub.spool_id, before);
	hub.audit_seq--;
	fleet_ws_close(hub.ws, 1012, "restarting");
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub_event(&hub, "the console has lost audit events") != NULL));
	CU_ASSERT_STRING_NOT_EQUAL(hub.spool_id, before);
	seq = fleet_json_int(hub_event(&hub, "the console has lost audit events"), "seq", 0);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub.audit_seq >= seq));
	CU_ASSERT_EQUAL(hub.gaps, 0);
	scene_end();
}

static void test_a_console_that_claims_every_spool_is_left(void)
{
	scene_with_everybody();
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub.audit_seq >= 1));
	hub.claims_all = true;
	hub_forget(&hub);
	fleet_ws_close(hub.ws, 1012, "restarting");
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub.closed == 2));
	CU_ASSERT_EQUAL(hub_count(&hub, "register"), 2); /* of the spool, and of the one new spool */
	scene_end();
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_command_there_and_back),
	UNIT_TEST(test_query_there_and_back),
	UNIT_TEST(test_refused_command_is_told),
	UNIT_TEST(test_command_waits_for_a_lost_host),
	UNIT_TEST(test_known_commands_are_not_given_twice),
	UNIT_TEST(test_result_survives_console_and_agent),
	UNIT_TEST(test_events_wait_for_the_console),
	UNIT_TEST(test_restored_spool_gets_a_new_id),
	UNIT_TEST(test_console_that_was_put_back_gets_a_new_spool),
	UNIT_TEST(test_a_console_that_claims_every_spool_is_left),
	{0},
};

int main(void)
{
	return scene_run("agent_commands", tests);
}
