/* Queries to the driver host, over its socket: what somebody may see of an app, and what nobody may. The
 * drivers are fakes; everything else is real. */
#include <signal.h>
#include "host_fixture.h"
#include "fleet/clock.h"
#include "fleet/ids.h"
#include "fleet/limits.h"
#include "unit.h"

#define CONF "# as it was\nlevel=info\nname=web\npassword=hunter2\nmulti=a\\nb\n"

static void begin(struct fixture *f, const char *extra)
{
	fixture_init(f);
	fixture_declare(f, extra);
	fixture_write(f, "web.conf", CONF);
	fixture_write(f, "once", "");
	fixture_set_state(f, "web", "running", 7);
	fixture_start(f);
}

static struct json_object *payload_of(const char *query, const char *app, const char *args)
{
	struct json_object *payload = json_object_new_object();
	int64_t now = fleet_clock_wall_ms();

	fleet_json_add_int(payload, "v", 1);
	fleet_json_add_string(payload, "agentId", FIXTURE_AGENT);
	fleet_json_add_string(payload, "appId", app);
	fleet_json_add_string(payload, "query", query);
	fleet_json_add_string(payload, "actor", "tester@api");
	fleet_json_add_time(payload, "issuedAt", now);
	fleet_json_add_time(payload, "expiresAt", now + 60000);
	fleet_json_add(payload, "args", json_tokener_parse(args));
	return payload;
}

/* Signs, sends, and waits for the one answer. Owned. */
static struct json_object *ask_signed(
	struct fixture *f, const struct fleet_jws_key *key, struct json_object *takes_payload)
{
	_cleanup_json_ struct json_object *payload = takes_payload;
	struct json_object *frame = fleet_message_new(FLEET_FRAME_QUERY), *answer;
	_cleanup_free_ char *id = xstrdup(fleet_json_string(frame, "id")), *jws = NULL;

	CU_ASSERT_EQUAL_FATAL(fleet_jws_sign(key, payload, &jws, NULL), 0);
	fleet_json_add_string(frame, "jws", jws);
	fixture_send(f, frame);
	answer = fixture_wait(f, "answer");
	CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(answer, "refId"), id);
	return answer;
}

static struct json_object *ask(struct fixture *f, const char *query, const char *app, const char *args)
{
	return ask_signed(f, f->key, payload_of(query, app, args));
}

static void test_logs(void)
{
	_cleanup_json_ struct json_object *answer = NULL, *since = NULL;
	struct json_object *line;
	struct fixture f;

	begin(&f, "");
	answer = ask(&f, "read-logs", "web", "{\"lines\":5}");
	CU_ASSERT_PTR_NULL(fleet_json_string(answer, "errorCode"));
	CU_ASSERT_EQUAL_FATAL(json_object_array_length(fleet_json_array(answer, "lines")), 1);
	line = json_object_array_get_idx(fleet_json_array(answer, "lines"), 0);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(line, "text"), "bind: address already in use");
	CU_ASSERT_EQUAL(fleet_json_int(line, "priority", -1), 3);
	CU_ASSERT_PTR_NULL(fleet_json_string(line, "time")); /* the driver does not know it */
	CU_ASSERT_STRING_EQUAL(fleet_json_string(answer, "driver"), "host_fake");
	since = ask(&f, "read-logs", "web", "{\"lines\":5,\"since\":\"2026-01-31T23:59:59Z\"}");
	CU_ASSERT_EQUAL(json_object_array_length(fleet_json_array(since, "lines")), 0);
	fixture_done(&f);
}

/* 200 lines of 8 KiB, each twice as long in JSON: what is oldest is left out, and counted. */
static void test_long_logs_are_cut(void)
{
	_cleanup_json_ struct json_object *answer = NULL;
	struct json_object *lines, *last;
	struct fixture f;
	size_t len, count;

	begin(&f, "");
	answer = ask(&f, "read-logs", "web", "{\"lines\":200,\"since\":\"1970-01-01T00:00:00.001Z\"}");
	lines = fleet_json_array(answer, "lines");
	CU_ASSERT_PTR_NOT_NULL_FATAL(lines);
	count = json_object_array_length(lines);
	CU_ASSERT(count > 10 && count < 200);
	CU_ASSERT_EQUAL(fleet_json_int(answer, "left", 0), 200 - (int64_t)count);
	last = json_object_array_get_idx(lines, count - 1);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(last, "time"), "1970-01-01T00:00:01.199Z");
	(void)fleet_json_text(answer, &len);
	CU_ASSERT(len < FLEET_MESSAGE_MAX);
	fixture_done(&f);
}

static struct json_object *setting(struct json_object *answer, const char *key)
{
	struct json_object *settings = fleet_json_array(answer, "settings");

	for (size_t i = 0; settings && i < json_object_array_length(settings); i++) {
		struct json_object *item = json_object_array_get_idx(settings, i);

		if (str_equal(fleet_json_string(item, "key"), key))
			return item;
	}
	return NULL;
}

static void test_config(void)
{
	_cleanup_json_ struct json_object *answer = NULL, *none = NULL;
	struct fixture f;

	begin(&f, "    secret_keys: [name]\n");
	answer = ask(&f, "read-config", "web", "{\"file\":\"main\"}");
	CU_ASSERT_EQUAL(json_object_array_length(fleet_json_array(answer, "settings")), 4);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(setting(answer, "level"), "value"), "info");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(setting(answer, "level"), "type"), "string");
	CU_ASSERT_PTR_NOT_NULL(fleet_json_string(answer, "hash"));
	CU_ASSERT_PTR_NOT_NULL(fleet_json_string(answer, "readAt"));
	/* by its name, and because the admin says so: nothing of them is in what leaves the host */
	CU_ASSERT_TRUE(fleet_json_bool(setting(answer, "password"), "masked", false));
	CU_ASSERT_TRUE(fleet_json_bool(setting(answer, "name"), "masked", false));
	CU_ASSERT_PTR_NULL(fleet_json_get(setting(answer, "password"), "value"));
	CU_ASSERT_PTR_NULL(strstr(json_object_to_json_string(answer), "hunter2"));
	CU_ASSERT_PTR_NULL(strstr(json_object_to_json_string(answer), "\"web\""));
	none = ask(&f, "read-config", "web", "{\"file\":\"other\"}");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(none, "errorCode"), "invalid-settings");
	fixture_done(&f);
}

/* 20,000 settings of 60 bytes fill more than one message: the first are told, the others counted. */
static void test_large_config_is_cut(void)
{
	_cleanup_json_ struct json_object *answer = NULL;
	_cleanup_free_ char *text = xcalloc(1, 1000000);
	struct json_object *settings;
	struct fixture f;
	size_t len = 0, count;

	for (int i = 0; i < 19000; i++)
		len += (size_t)snprintf(
			text + len, 1000000 - len, "key%d=\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\n", i);
	fixture_init(&f);
	fixture_declare(&f, "");
	fixture_write(&f, "web.conf", text);
	fixture_set_state(&f, "web", "running", 7);
	fixture_start(&f);
	answer = ask(&f, "read-config", "web", "{\"file\":\"main\"}");
	settings = fleet_json_array(answer, "settings");
	CU_ASSERT_PTR_NOT_NULL_FATAL(settings);
	count = json_object_array_length(settings);
	CU_ASSERT(count > 1000 && count < 19000);
	CU_ASSERT_EQUAL(fleet_json_int(answer, "left", 0), 19000 - (int64_t)count);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(json_object_array_get_idx(settings, 0), "key"), "key0");
	fixture_done(&f);
}

static void test_failures(void)
{
	static const struct {
		const char *extra, *conf, *query, *app, *args, *code, *message;
	} cases[] = {
		{"    allow: [restart, read-config]\n", CONF, "read-logs", "web", "{\"lines\":1}",
			"not-allowed-by-server", "does not allow read-logs of app 'web'"},
		{"    allow: [restart, read-logs]\n", CONF, "read-config", "web", "{\"file\":\"main\"}",
			"not-allowed-by-server", "does not allow read-config of app 'web'"},
		{"", CONF, "read-logs", "wbe", "{\"lines\":1}", "app-not-found", "did you mean web?"},
		{", at: logs, act: crash}", CONF, "read-logs", "web", "{\"lines\":1}", "driver-failed",
			"driver host_fake crashed (SIGSEGV) in logs"},
		{", at: logs, act: hang}", CONF, "read-logs", "web", "{\"lines\":1}", "driver-timeout",
			"host_fake"},
		{"", "level\n", "read-config", "web", "{\"file\":\"main\"}", "parse-failed", "1:1: "},
		{"", NULL, "read-config", "web", "{\"file\":\"main\"}", "read-failed", "does not exist"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_json_ struct json_object *answer = NULL;
		_cleanup_free_ char *path = NULL;
		const char *message;
		struct fixture f;

		begin(&f, cases[i].extra);
		path = xasprintf("%s/web.conf", f.dir);
		if (cases[i].conf)
			fixture_write(&f, "web.conf", cases[i].conf);
		else
			CU_ASSERT_EQUAL(unlink(path), 0);
		answer = ask(&f, cases[i].query, cases[i].app, cases[i].args);
		message = fleet_json_string(answer, "message");
		CU_ASSERT(str_equal(fleet_json_string(answer, "errorCode"), cases[i].code));
		CU_ASSERT(message && strstr(message, cases[i].message));
		if (!message || !strstr(message, cases[i].message))
			printf("# case %zu: %s\n", i, json_object_to_json_string(answer));
		fixture_done(&f);
	}
}

/* Nothing is read for whom the console has not signed, nor of what it signed as a command. */
static void test_refusals(void)
{
	struct fleet_jws_key *other = fleet_jws_key_new();
	_cleanup_json_ struct json_object *foreign = NULL, *late = NULL, *astray = NULL, *command = NULL;
	struct json_object *payload;
	struct fixture f;

	begin(&f, "");
	foreign = ask_signed(&f, other, payload_of("read-logs", "web", "{\"lines\":1}"));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(foreign, "errorCode"), "unknown-key");
	payload = payload_of("read-logs", "web", "{\"lines\":1}");
	fleet_json_add_time(payload, "issuedAt", 1000);
	fleet_json_add_time(payload, "expiresAt", 2000);
	late = ask_signed(&f, f.key, payload);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(late, "errorCode"), "expired");
	payload = payload_of("read-logs", "web", "{\"lines\":1}");
	fleet_json_add_string(payload, "agentId", "another");
	astray = ask_signed(&f, f.key, payload);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(astray, "errorCode"), "wrong-agent");
	command = ask_signed(&f, f.key, fixture_command("restart-app", "web", NULL));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(command, "errorCode"), "malformed");
	{
		_cleanup_free_ char *calls = fixture_read(&f, "web.calls");

		CU_ASSERT_PTR_NULL(calls); /* and no app was restarted by it */
	}
	CU_ASSERT_EQUAL(json_object_array_length(f.events), 1); /* the key; a query is not audited */
	fleet_jws_key_free(other);
	fixture_done(&f);
}

/* A driver that hangs holds its own query only, and only so many at a time. */
static void test_too_many_at_once(void)
{
	_cleanup_json_ struct json_object *payload = payload_of("read-logs", "web", "{\"lines\":1}");
	_cleanup_free_ char *jws = NULL;
	struct fixture f;
	int busy = 0, other = 0;

	begin(&f, ", at: logs, act: hang-always}");
	CU_ASSERT_EQUAL_FATAL(fleet_jws_sign(f.key, payload, &jws, NULL), 0);
	for (int i = 0; i < 20; i++) {
		struct json_object *frame = fleet_message_new(FLEET_FRAME_QUERY);

		fleet_json_add_string(frame, "jws", jws);
		fixture_send(&f, frame);
	}
	for (int i = 0; i < 20; i++) {
		_cleanup_json_ struct json_object *answer = fixture_wait(&f, "answer");

		CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
		busy += str_equal(fleet_json_string(answer, "errorCode"), "busy");
		other += str_equal(fleet_json_string(answer, "errorCode"), "driver-timeout");
	}
	CU_ASSERT_EQUAL(busy, 4);
	CU_ASSERT_EQUAL(other, 16);
	fixture_done(&f);
}

int main(void)
{
	static const struct unit_test tests[] = {UNIT_TEST(test_logs), UNIT_TEST(test_long_logs_are_cut),
		UNIT_TEST(test_config), UNIT_TEST(test_large_config_is_cut), UNIT_TEST(test_failures),
		UNIT_TEST(test_refusals), UNIT_TEST(test_too_many_at_once), {0}};

	(void)signal(SIGPIPE, SIG_IGN);
	return unit_run((const struct unit_suite[]){{"host query", tests}, {0}});
}
