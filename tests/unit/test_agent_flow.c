/* The whole agent between a fake console and a fake driver host, on one loop: registration, heartbeats, a
 * command's way there and back, and what is left of it when either side, or the agent itself, goes away in
 * the middle. */
#include <sys/socket.h>
#include <sys/un.h>
#include "agent/agent.h"
#include "agent/dev.h"
#include "fleet/clock.h"
#include "fleet/file.h"
#include "fleet/frame.h"
#include "fleet/ids.h"
#include "fleet/jws.h"
#include "fleet/log.h"
#include "test_agent_hub.h"
#include "test_agent_loop.h"
#include "unit.h"

static struct event_base *base;
static char dir[40], socket_path[64];
static struct hub hub;
static struct agent *agent;
static struct agent_config config;

/* -- the fake driver host -- */

static struct {
	int listener;
	struct event *accepting;
	struct fleet_frame_link *link;
	bool mute_status;
	struct json_object *frames[HUB_KEEP]; /* owned */
	size_t count;
	int invalid;
} host;

static void host_send(struct json_object *takes_message)
{
	size_t len;
	const char *text = fleet_json_text(takes_message, &len);

	if (!host.link || fleet_frame_send(host.link, text, len, -1) < 0)
		printf("# the fake host could not send\n");
	json_object_put(takes_message);
}

static struct json_object *parse(const char *text)
{
	struct json_object *o = NULL;

	CU_ASSERT_EQUAL_FATAL(fleet_json_parse(text, strlen(text), FLEET_MESSAGE_MAX, &o, NULL), 0);
	return o;
}

static struct json_object *frame(enum fleet_message_type type, const char *members)
{
	struct json_object *message = fleet_message_new(type), *more = parse(members);

	json_object_object_foreach (more, key, value) {
		fleet_json_add(message, key, json_object_get(value));
	}
	json_object_put(more);
	return message;
}

static void host_describe(const char *members)
{
	host_send(frame(FLEET_FRAME_DESCRIPTION, members));
}

static const char described[] = "{\"hostVersion\":\"1\",\"apps\":[{\"id\":\"app-a\"},{\"id\":\"app-b\"}],"
				"\"drivers\":[{\"name\":\"simulated\",\"version\":\"1\",\"roles\":["
				"\"service\"]}],\"problems\":[],\"running\":[]}";

static void host_on_frame(struct fleet_frame_link *link FLEET_UNUSED, const char *data, size_t len,
	int fd FLEET_UNUSED, void *arg FLEET_UNUSED)
{
	struct json_object *message = NULL, *status;
	enum fleet_message_type type = FLEET_MESSAGE_INVALID;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (fleet_message_parse(data, len, FLEET_AGENT_TO_HOST, &type, &message, &err) < 0) {
		printf("# the agent sent the host: %s\n", err.message);
		host.invalid++;
		json_object_put(message);
		return;
	}
	if (host.count < HUB_KEEP)
		host.frames[host.count++] = json_object_get(message);
	if (type == FLEET_FRAME_HELLO)
		host_describe(described);
	if (type == FLEET_FRAME_STATUS_REQUEST && !host.mute_status) {
		status = frame(FLEET_FRAME_STATUS, "{\"apps\":[{\"id\":\"app-a\",\"status\":\"running\","
						   "\"health\":\"healthy\",\"version\":\"2.0.0\",\"pid\":42},"
						   "{\"id\":\"app-b\",\"status\":\"stopped\"}]}");
		fleet_json_add_string(status, "refId", fleet_json_string(message, "id"));
		host_send(status);
	}
	json_object_put(message);
}

static void host_on_closed(
	struct fleet_frame_link *link, const char *why FLEET_UNUSED, void *arg FLEET_UNUSED)
{
	fleet_frame_link_free(link);
	if (host.link == link)
		host.link = NULL;
}

static const struct fleet_frame_events host_frame_events = {.frame = host_on_frame, .closed = host_on_closed};

static void host_on_accept(evutil_socket_t listener, short what FLEET_UNUSED, void *arg FLEET_UNUSED)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	fleet_frame_link_free(host.link);
	host.link = fleet_frame_link_new(base, fd, &host_frame_events, NULL);
}

static void host_start(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	host.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	unlink(socket_path);
	CU_ASSERT_EQUAL_FATAL(bind(host.listener, (const struct sockaddr *)&address, sizeof(address)), 0);
	CU_ASSERT_EQUAL_FATAL(listen(host.listener, 4), 0);
	host.accepting = event_new(base, host.listener, EV_READ | EV_PERSIST, host_on_accept, NULL);
	CU_ASSERT_EQUAL_FATAL(event_add(host.accepting, NULL), 0);
}

static void host_stop(void)
{
	if (!host.accepting)
		return;
	event_free(host.accepting);
	host.accepting = NULL;
	close(host.listener);
	unlink(socket_path);
	fleet_frame_link_free(host.link);
	host.link = NULL;
}

static void host_forget(void)
{
	for (size_t i = 0; i < host.count; i++)
		json_object_put(host.frames[i]);
	host.count = 0;
}

static int host_count(const char *type)
{
	int count = 0;

	for (size_t i = 0; i < host.count; i++)
		count += str_equal(fleet_json_string(host.frames[i], "type"), type);
	return count;
}

static struct json_object *host_last(const char *type)
{
	for (size_t i = host.count; i-- > 0;) {
		if (str_equal(fleet_json_string(host.frames[i], "type"), type))
			return host.frames[i];
	}
	return NULL;
}

/* Was this id told to be stored? */
static bool host_heard_stored(const char *id)
{
	for (size_t i = 0; i < host.count; i++) {
		struct json_object *ids = fleet_json_array(host.frames[i], "refIds");

		if (str_equal(fleet_json_string(host.frames[i], "type"), "stored") &&
			str_equal(json_object_get_string(json_object_array_get_idx(ids, 0)), id))
			return true;
	}
	return false;
}

/* -- the scene -- */

static void agent_start(void)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = agent_new(base, &config, NULL, &agent, &err);

	if (r < 0)
		printf("# %s\n", err.message);
	CU_ASSERT_EQUAL_FATAL(r, 0);
}

/* As a kill -9 would leave it: nothing said to anybody. */
static void agent_kill(void)
{
	agent_free(agent);
	agent = NULL;
}

static void scene_begin(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/fleet-unit-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	(void)snprintf(socket_path, sizeof(socket_path), "%s/host.sock", dir);
	memset(&hub, 0, sizeof(hub));
	memset(&host, 0, sizeof(host));
	CU_ASSERT_TRUE_FATAL(hub_listen(&hub, base, 0));
	config = (struct agent_config){.agent_id = xstrdup("agent-001"),
		.console_url = xstrdup(hub.url),
		.api_key = xstrdup("secret"),
		.data_dir = xasprintf("%s/data", dir),
		.host_socket = xstrdup(socket_path),
		.labels = json_object_new_object(),
		.heartbeat_ms = 60000};
	fleet_json_add_string(config.labels, "site", "berlin");
}

static void scene_end(void)
{
	static const char *const names[] = {
		"data/spool.db", "data/spool.db-wal", "data/spool.db-shm", "data/lock"};
	char path[128];

	agent_kill();
	CU_ASSERT_EQUAL(hub.invalid, 0);
	CU_ASSERT_EQUAL(hub.gaps, 0);
	CU_ASSERT_EQUAL(host.invalid, 0);
	host_stop();
	host_forget();
	hub_done(&hub);
	agent_config_done(&config);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	(void)snprintf(path, sizeof(path), "%s/data", dir);
	rmdir(path);
	CU_ASSERT_EQUAL(rmdir(dir), 0);
}

static void scene_with_everybody(void)
{
	scene_begin();
	host_start();
	agent_start();
	CU_ASSERT_TRUE_FATAL(LOOP_UNTIL(base, hub_count(&hub, "heartbeat") >= 1));
}

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

/* -- tests -- */

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
	UNIT_TEST(test_command_there_and_back),
	UNIT_TEST(test_query_there_and_back),
	UNIT_TEST(test_refused_command_is_told),
	UNIT_TEST(test_command_waits_for_a_lost_host),
	UNIT_TEST(test_known_commands_are_not_given_twice),
	UNIT_TEST(test_result_survives_console_and_agent),
	UNIT_TEST(test_events_wait_for_the_console),
	UNIT_TEST(test_restored_spool_gets_a_new_id),
	UNIT_TEST(test_a_console_that_claims_every_spool_is_left),
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
	int r;

	fleet_log_init("test", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	base = event_base_new();
	r = unit_run((const struct unit_suite[]){{"agent_flow", tests}, {0}});
	event_base_free(base);
	return r;
}
