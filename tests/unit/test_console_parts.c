/* The console's parts that need no network: settings, access, the table of ids, the ring of events, the words
 * of the audit log. */
#include "console/auth.h"
#include "console/event_ring.h"
#include "console/id_table.h"
#include "console/outcome.h"
#include "fleet/limits.h"
#include "fleet/log.h"
#include "test_console_fixture.h"

/* --- settings ---------------------------------------------------------------------------------------- */

static int read_config(const char *text, struct console_config *config, struct fleet_error *err)
{
	*config = (struct console_config){.command_ttl_ms = 600000, .log_level = FLEET_LOG_INFO};
	return console_config_read(config, text, strlen(text), "console.yaml", err);
}

static void test_config_is_read(void)
{
	struct console_config c;
	struct fleet_error err = FLEET_ERROR_INIT;
	unsigned char digest[FLEET_SHA256_LEN];
	const char *text =
		"listen: '[::1]:5001'\n"
		"tls: {cert_file: /srv/c.crt, key_file: /srv/c.key, min_version: 1.2}\n"
		"data_dir: /srv/fleet\n"
		"log: {level: debug, format: json}\n"
		"api_keys:\n"
		"  - {name: alice, role: admin, key: correct-horse}\n"
		"  - name: bob\n"
		"    role: viewer\n"
		"    key_sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n"
		"agent_keys: [{agent_id: agent-001, key: battery-staple}]\n"
		"heartbeat_interval: 5s\n"
		"command_ttl: 2m\n";

	CU_ASSERT_EQUAL_FATAL(read_config(text, &c, &err), 0);
	CU_ASSERT_STRING_EQUAL(c.listen_host, "::1");
	CU_ASSERT_EQUAL(c.listen_port, 5001);
	CU_ASSERT_STRING_EQUAL(c.tls_cert_file, "/srv/c.crt");
	CU_ASSERT_STRING_EQUAL(c.tls_key_file, "/srv/c.key");
	CU_ASSERT(c.tls_allow_1_2);
	CU_ASSERT_STRING_EQUAL(c.data_dir, "/srv/fleet");
	CU_ASSERT_EQUAL(c.log_level, FLEET_LOG_DEBUG);
	CU_ASSERT_EQUAL(c.log_format, FLEET_LOG_FORMAT_JSON);
	CU_ASSERT_EQUAL(c.api_key_count, 2);
	CU_ASSERT_EQUAL(c.api_keys[0].role, ROLE_ADMIN);
	fleet_sha256("correct-horse", 13, digest);
	CU_ASSERT_EQUAL(memcmp(c.api_keys[0].digest, digest, sizeof(digest)), 0);
	fleet_sha256("test", 4, digest);
	CU_ASSERT_EQUAL(memcmp(c.api_keys[1].digest, digest, sizeof(digest)), 0);
	CU_ASSERT_EQUAL(c.agent_key_count, 1);
	CU_ASSERT_EQUAL(c.heartbeat_interval_ms, 5000);
	CU_ASSERT_EQUAL(c.command_ttl_ms, 120000);
	console_config_done(&c);
}

static void test_config_names_what_is_wrong(void)
{
	static const struct {
		const char *text, *place, *why;
	} cases[] = {
		{"listen: [\n", "console.yaml:", ""},
		{"- a\n", "console.yaml:1:1", "mapping"},
		{"lisen: 1\n", "console.yaml:1:1", "did you mean 'listen'"},
		{"listen: 5000\n", "console.yaml:1:9", "HOST:PORT"},
		{"listen: example.org:5000\n", "console.yaml:1:9", "IP address"},
		{"listen: 127.0.0.1:70000\n", "console.yaml:1:9", "HOST:PORT"},
		{"tls: yes\n", "console.yaml:1:6", "mapping"},
		{"tls: {cert_file: /c}\n", "console.yaml:1:6", "both cert_file and key_file"},
		{"tls: {cert_file: /c, key_file: ''}\n", "console.yaml:1:32", "empty"},
		{"tls: {cert_file: /c, key_file: /k, min_version: 1.1}\n", "console.yaml:1:49", "1.2 or 1.3"},
		{"log: {level: loud}\n", "console.yaml:1:14", "loud"},
		{"log: {format: xml}\n", "console.yaml:1:15", "text or json"},
		{"api_keys: [{name: a, role: admin}]\n", "console.yaml:1:12", "key_sha256"},
		{"api_keys: [{name: a, role: king, key: 12345678}]\n", "console.yaml:1:28", "viewer"},
		{"api_keys: [{name: a, key: 12345678}]\n", "console.yaml:1:12", "viewer"},
		{"api_keys: [{role: admin, key: 12345678}]\n", "console.yaml:1:12", "name"},
		{"api_keys: [{name: a, role: admin, key: short}]\n", "console.yaml:1:40", "at least"},
		{"api_keys: [{name: a, role: admin, key_sha256: abc}]\n", "console.yaml:1:47", "64 hex"},
		{"api_keys: [{name: a, role: admin, key: 12345678}, {name: a, role: admin, key: 12345679}]\n",
			"console.yaml:1:51", "twice"},
		{"api_keys: [a]\n", "console.yaml:1:12", "mapping"},
		{"agent_keys: [{key: 12345678}]\n", "console.yaml:1:14", "agent_id"},
		{"heartbeat_interval: 100ms\n", "console.yaml:1:21", "from 1 s"},
		{"command_ttl: 30d\n", "console.yaml:1:14", "from 1 s"},
		{"data_dir: ''\n", "console.yaml:1:11", "empty"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct console_config c;
		struct fleet_error err = FLEET_ERROR_INIT;
		bool right;

		CU_ASSERT_EQUAL(read_config(cases[i].text, &c, &err) < 0, true);
		right = str_starts(err.message, cases[i].place) && strstr(err.message, cases[i].why);
		CU_ASSERT(right);
		CU_ASSERT_PTR_NULL(strstr(err.message, "12345678"));
		if (!right)
			printf("# case %zu: %s\n", i, err.message);
		console_config_done(&c);
	}
}

static int load(const char *const *args, struct console_config *config, struct fleet_error *err)
{
	char *argv[12] = {NULL};
	enum console_config_wish wish;
	int argc = 0, r;

	for (; args[argc]; argc++)
		argv[argc] = xstrdup(args[argc]);
	*config = (struct console_config){0};
	r = console_config_load(argc, argv, config, &wish, err);
	for (int i = 0; i < argc; i++)
		free(args[i] ? argv[i] : NULL);
	return r;
}

static void test_dev_listens_on_loopback_only(void)
{
	static const char *const elsewhere[] = {
		"0.0.0.0:5000", "192.0.2.1:5000", "[::]:5000", "[::ffff:192.0.2.1]:5"};
	struct console_config c;
	struct fleet_error err = FLEET_ERROR_INIT;

	for (size_t i = 0; i < FLEET_ARRAY_LEN(elsewhere); i++) {
		const char *args[] = {"run", "--dev", "--data-dir", "/x", "--listen", elsewhere[i], NULL};

		CU_ASSERT_EQUAL(load(args, &c, &err), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "loopback"));
		console_config_done(&c);
	}
	CU_ASSERT_EQUAL_FATAL(load((const char *[]){"run", "--dev", NULL}, &c, &err), 0);
	CU_ASSERT_STRING_EQUAL(c.listen_host, "127.0.0.1");
	CU_ASSERT_EQUAL(c.listen_port, 5000);
	CU_ASSERT(c.dev);
	console_config_done(&c);
	CU_ASSERT_EQUAL_FATAL(
		load((const char *[]){"run", "--dev", "--listen", "[::1]:0", NULL}, &c, &err), 0);
	CU_ASSERT_STRING_EQUAL(c.listen_host, "::1");
	console_config_done(&c);
}

static void test_flags_that_make_no_sense_are_refused(void)
{
	static const char *const cases[][4] = {
		{"run", "--wat", NULL},
		{"run", "--listen", NULL},
		{"run", "--dev", "stray", NULL},
		{"run", "--config", "/does/not/exist.yaml", NULL},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct console_config c;
		struct fleet_error err = FLEET_ERROR_INIT;

		CU_ASSERT(load(cases[i], &c, &err) < 0);
		CU_ASSERT(*err.message != '\0');
		console_config_done(&c);
	}
}

/* --- access ------------------------------------------------------------------------------------------ */

static struct console_config keys_config(void)
{
	struct console_config c;
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL_FATAL(read_config("api_keys:\n"
					  "  - {name: v, role: viewer, key: key-of-viewer}\n"
					  "  - {name: o, role: operator, key: key-of-operator}\n"
					  "agent_keys:\n"
					  "  - {agent_id: agent-001, key: key-of-one}\n"
					  "  - {agent_id: agent-001, key: new-key-of-one}\n"
					  "  - {agent_id: agent-002, key: key-of-two}\n",
				      &c, &err),
		0);
	return c;
}

static void test_agent_keys_are_bound(void)
{
	static const struct {
		const char *header, *agent_id;
		enum agent_access access;
	} cases[] = {
		{NULL, "agent-001", AGENT_UNAUTHENTICATED},
		{"Bearer nonsense", "agent-001", AGENT_UNAUTHENTICATED},
		{"Bearer key-of-viewer", "agent-001", AGENT_UNAUTHENTICATED},
		{"Bearer key-of-one", "agent-001", AGENT_WELCOME},
		{"Bearer new-key-of-one", "agent-001", AGENT_WELCOME},
		{"Bearer key-of-two", "agent-001", AGENT_OTHERS_KEY},
		{"Bearer key-of-one", "agent-003", AGENT_OTHERS_KEY},
	};
	struct console_config c = keys_config();

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++)
		CU_ASSERT_EQUAL(auth_judge_agent(&c, cases[i].header, cases[i].agent_id), cases[i].access);
	c.dev = true;
	CU_ASSERT_EQUAL(auth_judge_agent(&c, NULL, "agent-001"), AGENT_WELCOME);
	console_config_done(&c);
}

static void test_origins_and_hosts(void)
{
	static const struct {
		const char *origin, *host;
		bool own;
	} origins[] = {
		{"http://localhost:5000", "localhost:5000", true},
		{"https://console.example.com", "console.example.com", true},
		{"http://localhost:5001", "localhost:5000", false},
		{"http://evil.example", "localhost:5000", false},
		{"http://localhost:5000.evil.example", "localhost:5000", false},
		{"null", "localhost:5000", false},
		{"file://localhost:5000", "localhost:5000", false},
		{"http://localhost:5000", NULL, false},
	};
	static const struct {
		const char *host;
		bool local;
	} hosts[] = {
		{"localhost", true},
		{"LOCALHOST:5000", true},
		{"127.0.0.1:1", true},
		{"[::1]:5000", true},
		{"localhost.evil.example", false},
		{"127.0.0.1.evil.example:5000", false},
		{"evil.example", false},
		{"", false},
		{NULL, false},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(origins); i++)
		CU_ASSERT_EQUAL(auth_origin_is_own(origins[i].origin, origins[i].host), origins[i].own);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(hosts); i++)
		CU_ASSERT_EQUAL(auth_host_is_local(hosts[i].host), hosts[i].local);
}

/* --- the table of ids ---------------------------------------------------------------------------------- */

static void test_ids_are_found_in_order(void)
{
	static const char *const ids[] = {"m", "c", "x", "a", "z", "b", "y", "k"};
	struct id_table t = {NULL, 0, 0};

	CU_ASSERT_PTR_NULL(id_table_get(&t, "a"));
	CU_ASSERT_PTR_NULL(id_table_remove(&t, "a"));
	for (int round = 0; round < 100; round++) { /* past the first allocation, and again */
		for (size_t i = 0; i < FLEET_ARRAY_LEN(ids); i++)
			id_table_add(&t, ids[i], (void *)(uintptr_t)ids[i]);
		for (size_t i = 1; i < t.count; i++)
			CU_ASSERT(strcmp(t.entries[i - 1].id, t.entries[i].id) < 0);
		for (size_t i = 0; i < FLEET_ARRAY_LEN(ids); i++)
			CU_ASSERT_PTR_EQUAL(id_table_get(&t, ids[i]), ids[i]);
		CU_ASSERT_EQUAL(id_table_after(&t, NULL), 0);
		CU_ASSERT_EQUAL(id_table_after(&t, "a"), 1);
		CU_ASSERT_EQUAL(id_table_after(&t, "aa"), 1);
		CU_ASSERT_EQUAL(id_table_after(&t, "z"), t.count);
		for (size_t i = 0; i < FLEET_ARRAY_LEN(ids); i++)
			CU_ASSERT_PTR_EQUAL(id_table_remove(&t, ids[i]), ids[i]);
		CU_ASSERT_EQUAL(t.count, 0);
	}
	id_table_done(&t);
}

/* --- the ring of events -------------------------------------------------------------------------------- */

struct heard {
	unsigned count, stop_after;
	char first[64], last[64];
};

static bool hear(const char *agent_id FLEET_UNUSED, const char *frame, size_t len, void *arg)
{
	struct heard *heard = arg;
	const char *data = strstr(frame, "data: ");

	CU_ASSERT_EQUAL(strlen(frame), len);
	CU_ASSERT_PTR_NOT_NULL_FATAL(data);
	(void)snprintf(heard->count++ ? heard->last : heard->first, 64, "%s", data + 6);
	return !heard->stop_after || heard->count < heard->stop_after;
}

static void test_ring_goes_on_after_the_last_id(void)
{
	struct event_ring *ring = xcalloc(1, sizeof(*ring));
	char start[EVENT_RING_ID_MAX], middle[EVENT_RING_ID_MAX], foreign[EVENT_RING_ID_MAX];
	struct heard all = {0}, some = {0}, none = {0};
	size_t len;

	event_ring_init(ring);
	event_ring_last_id(ring, start);
	for (int i = 1; i <= 10; i++) {
		char data[16];

		(void)snprintf(data, sizeof(data), "{\"n\":%d}", i);
		(void)event_ring_add(ring, "agent", NULL, data, &len);
		if (i == 7)
			event_ring_last_id(ring, middle);
	}
	CU_ASSERT_EQUAL(event_ring_replay(ring, start, hear, &all), 0);
	CU_ASSERT_EQUAL(all.count, 10);
	CU_ASSERT_STRING_EQUAL(all.first, "{\"n\":1}\n\n");
	CU_ASSERT_EQUAL(event_ring_replay(ring, middle, hear, &some), 0);
	CU_ASSERT_EQUAL(some.count, 3);
	CU_ASSERT_STRING_EQUAL(some.first, "{\"n\":8}\n\n");
	CU_ASSERT_STRING_EQUAL(some.last, "{\"n\":10}\n\n");
	event_ring_last_id(ring, start);
	CU_ASSERT_EQUAL(event_ring_replay(ring, start, hear, &none), 0);
	CU_ASSERT_EQUAL(none.count, 0);

	(void)snprintf(foreign, sizeof(foreign), "%s", start);
	foreign[0] = foreign[0] == '0' ? '1' : '0';
	CU_ASSERT_EQUAL(event_ring_replay(ring, foreign, hear, &none), -ESTALE);
	foreign[0] = '\0';
	CU_ASSERT_EQUAL(event_ring_replay(ring, foreign, hear, &none), -ESTALE);
	CU_ASSERT_EQUAL(event_ring_replay(ring, "00000000-99999999999999999999999", hear, &none), -ESTALE);
	(void)snprintf(foreign, sizeof(foreign), "%s-11", ring->run); /* the future */
	CU_ASSERT_EQUAL(event_ring_replay(ring, foreign, hear, &none), -ESTALE);
	event_ring_done(ring);
	free(ring);
}

static void test_ring_is_bounded(void)
{
	struct event_ring *ring = xcalloc(1, sizeof(*ring));
	char first[EVENT_RING_ID_MAX];
	struct heard heard = {0};
	char *big = xmalloc(1024 * 1024 + 1);
	size_t len;

	event_ring_init(ring);
	event_ring_last_id(ring, first);
	for (int i = 0; i < EVENT_RING_EVENTS_MAX + 5; i++)
		(void)event_ring_add(ring, "agent", NULL, "{}", &len);
	CU_ASSERT_EQUAL(ring->next - ring->first, EVENT_RING_EVENTS_MAX);
	CU_ASSERT_EQUAL(event_ring_replay(ring, first, hear, &heard), -ESTALE);
	memset(big, 'x', 1024 * 1024);
	big[1024 * 1024] = '\0';
	for (int i = 0; i < 20; i++) {
		(void)event_ring_add(ring, "agent", NULL, big, &len);
		CU_ASSERT(ring->bytes <= EVENT_RING_BYTES_MAX);
	}
	event_ring_done(ring);
	CU_ASSERT_EQUAL(ring->bytes, 0);
	free(big);
	free(ring);
}

/* --- the audit log's words ------------------------------------------------------------------------------ */

static struct command *command_of(enum fleet_action action, const char *app_id, const char *args)
{
	struct command *c = command_new();

	c->action = action;
	c->agent_id = xstrdup("agent-001");
	c->app_id = xstrdup(app_id);
	c->actor = xstrdup("operator@cli");
	c->args = json_tokener_parse(args);
	CU_ASSERT_PTR_NOT_NULL_FATAL(c->args);
	return c;
}

#define PUSH                                                                                                 \
	"{\"file\":\"main\",\"edits\":[{\"op\":\"set\",\"key\":\"LogLevel\",\"value\":\"Debug\",\"mode\":"   \
	"\"auto\"},"                                                                                         \
	"{\"op\":\"set\",\"key\":\"Password\",\"value\":\"hunter2!\",\"mode\":\"string\"}]}"
#define UPDATE "{\"version\":\"2.1.0\",\"artifactUrl\":\"https://h/a.tgz?token=s3cret#x\"}"

static void test_outcomes_in_words(void)
{
	static const struct {
		enum fleet_action action;
		const char *app_id, *args;
		enum command_state state;
		const char *result, *why, *message;
	} cases[] = {
		{FLEET_ACTION_RESTART_APP, "app-a", "{}", COMMAND_SUCCEEDED, "{\"message\":\"Running\"}",
			NULL, "app-a restarted on agent-001 by operator@cli"},
		{FLEET_ACTION_RESTART_APP, "app-a", "{}", COMMAND_FAILED, "{\"message\":\"exited 1\"}", NULL,
			"Restart failed for app-a on agent-001 by operator@cli: exited 1"},
		{FLEET_ACTION_RESTART_APP, "app-a", "{}", COMMAND_FAILED, "{}", NULL,
			"Restart failed for app-a on agent-001 by operator@cli"},
		{FLEET_ACTION_RESTART_APP, "app-a", "{}", COMMAND_CANCELLED, NULL, "cancelled by b@cli",
			"Restart cancelled for app-a on agent-001 by operator@cli: cancelled by b@cli"},
		{FLEET_ACTION_RESTART_APP, "app-a", "{}", COMMAND_UNKNOWN, NULL, "no word",
			"Restart of unknown outcome for app-a on agent-001 by operator@cli: no word"},
		{FLEET_ACTION_PUSH_CONFIG, "app-b", PUSH, COMMAND_SUCCEEDED,
			"{\"changedKeys\":[\"LogLevel\"]}", NULL,
			"Config pushed to app-b on agent-001 by operator@cli: LogLevel"},
		{FLEET_ACTION_PUSH_CONFIG, "app-b", PUSH, COMMAND_SUCCEEDED, "{\"changedKeys\":[]}", NULL,
			"Config push changed nothing in app-b on agent-001 by operator@cli: LogLevel, "
			"Password"},
		{FLEET_ACTION_PUSH_CONFIG, "app-b", PUSH, COMMAND_FAILED,
			"{\"message\":\"the driver cannot write 'hunter2!' so that\\nit reads back\"}", NULL,
			"Config push failed for app-b on agent-001 by operator@cli (LogLevel, Password): the "
			"driver "
			"cannot write '***' so that?it reads back"},
		{FLEET_ACTION_UPDATE_APP, "app-a", UPDATE, COMMAND_SUCCEEDED,
			"{\"fromVersion\":\"2.0.0\",\"toVersion\":\"2.1.0\"}", NULL,
			"app-a updated on agent-001 by operator@cli: 2.0.0 to 2.1.0 (no checksum)"},
		{FLEET_ACTION_UPDATE_APP, "app-a", UPDATE, COMMAND_FAILED,
			"{\"message\":\"GET https://h/a.tgz?token=s3cret#x: 403\"}", NULL,
			"Update failed for app-a on agent-001 by operator@cli: GET https://h/a.tgz: 403"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct command *c = command_of(cases[i].action, cases[i].app_id, cases[i].args);
		_cleanup_json_ struct json_object *result =
			cases[i].result ? json_tokener_parse(cases[i].result) : NULL;
		_cleanup_free_ char *message = outcome_message(c, cases[i].state, result, cases[i].why);

		CU_ASSERT_STRING_EQUAL(message, cases[i].message);
		if (strcmp(message, cases[i].message) != 0)
			printf("# case %zu: %s\n", i, message);
		command_unref(c);
	}
}

static void test_requests_name_keys_and_no_values(void)
{
	struct command *push = command_of(FLEET_ACTION_PUSH_CONFIG, "app-b", PUSH);
	struct command *update = command_of(FLEET_ACTION_UPDATE_APP, "app-a", UPDATE);
	_cleanup_free_ char *push_text = outcome_request_message(push);
	_cleanup_free_ char *update_text = outcome_request_message(update);
	_cleanup_json_ struct json_object *push_details = outcome_request_details(push);
	_cleanup_json_ struct json_object *update_details = outcome_request_details(update);

	CU_ASSERT_STRING_EQUAL(
		push_text, "operator@cli asked to push config to app-b on agent-001: LogLevel, Password");
	CU_ASSERT_STRING_EQUAL(
		update_text, "operator@cli asked to update app-a on agent-001 to 2.1.0 (no checksum)");
	CU_ASSERT_PTR_NULL(strstr(fleet_json_text(push_details, NULL), "hunter2"));
	CU_ASSERT_PTR_NULL(strstr(fleet_json_text(push_details, NULL), "Debug"));
	CU_ASSERT_PTR_NULL(strstr(fleet_json_text(update_details, NULL), "s3cret"));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(update_details, "artifactUrl"), "https://h/a.tgz");
	command_unref(push);
	command_unref(update);
}

static void test_urls_lose_what_opens_doors(void)
{
	static const struct {
		const char *url, *shown;
	} urls[] =
		{
			{"https://h/a.tgz?t=KEY", "https://h/a.tgz"},
			{"HTTPS://h/a.tgz?t=KEY", "HTTPS://h/a.tgz"},
			{"https://h/a.tgz?a='KEY", "https://h/a.tgz"},
			{"https://h/a.tgz?a=\"KEY<KEY>KEY", "https://h/a.tgz"},
			{"https://h/a.tgz#KEY?KEY", "https://h/a.tgz"},
			{"https://user:KEY@h/a.tgz", "https://h/a.tgz"},
			{"https://KEY@h:8443/a@b.tgz?KEY", "https://h:8443/a@b.tgz"},
			{"https://u:KEY@KEY@h?KEY", "https://h"},
			{"https://", "https://"},
			{"https://KEY@", "https://"},
		},
	  texts[] = {
		  {"GET 'https://h/x?t=KEY': 403", "GET 'https://h/x': 403"},
		  {"GET (https://h/x?a=(KEY)b'KEY).", "GET (https://h/x)."},
		  {"why? because", "why? because"},
		  {"ftp://u:KEY@h/ and https://KEY@h?KEY, a@b?", "ftp://h/ and https://h, a@b?"},
		  {"https://a?KEYhttps://b?KEY", "https://a"},
	  };

	for (size_t i = 0; i < FLEET_ARRAY_LEN(urls); i++) {
		_cleanup_json_ struct json_object *args = json_object_new_object(), *details = NULL;
		struct command *c;

		fleet_json_add_string(args, "artifactUrl", urls[i].url);
		c = command_of(FLEET_ACTION_UPDATE_APP, "app-a", fleet_json_text(args, NULL));
		details = outcome_request_details(c);
		CU_ASSERT_STRING_EQUAL(fleet_json_string(details, "artifactUrl"), urls[i].shown);
		command_unref(c);
	}
	for (size_t i = 0; i < FLEET_ARRAY_LEN(texts); i++) {
		_cleanup_free_ char *text = xstrdup(texts[i].url);

		command_cut_urls(text);
		CU_ASSERT_STRING_EQUAL(text, texts[i].shown);
	}
}

/* A server should not quote the values it was sent. If it does, the console does not pass them on. */
static void test_quoted_values_are_masked(void)
{
	static const char args[] =
		"{\"edits\":["
		"{\"op\":\"set\",\"key\":\"a\",\"value\":\"pass\",\"mode\":\"auto\"},"
		"{\"op\":\"set\",\"key\":\"b\",\"value\":\"password123\",\"mode\":\"auto\"},"
		"{\"op\":\"set\",\"key\":\"c\",\"value\":{\"user\":{\"token\":[\"inner-token\",true,1,98765,"
		"2.75]}},"
		"\"mode\":\"json\"},"
		"{\"op\":\"set\",\"key\":\"d\",\"value\":\"quo\\\"ted\",\"mode\":\"string\"},"
		"{\"op\":\"unset\",\"key\":\"e\"}]}";
	static const struct {
		const char *said, *shown;
	} cases[] = {
		{"cannot write password123", "cannot write ***"},
		{"pass and password123pass", "*** and ******"},
		{"the token inner-token, 98765 and 2.75 are true", "the token ***, *** and *** are true"},
		{"quo\"ted, in JSON \"quo\\\"ted\"", "***, in JSON \"***\""},
		{"a, b, c: 1", "a, b, c: 1"},
	};
	struct command *c = command_of(FLEET_ACTION_PUSH_CONFIG, "app-b", args);
	_cleanup_free_ char *longer = xcalloc(1, FLEET_TEXT_MAX + 20), *cut = NULL;

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_free_ char *text = outcome_clean_text(c, cases[i].said);

		CU_ASSERT_STRING_EQUAL(text, cases[i].shown);
	}
	memset(longer, '.', FLEET_TEXT_MAX - 6);
	memcpy(longer + FLEET_TEXT_MAX - 6, "password123", sizeof("password123"));
	cut = outcome_clean_text(c, longer); /* the value lies across the place where it is cut */
	CU_ASSERT_PTR_NULL(strstr(cut, "pass"));
	CU_ASSERT(strlen(cut) <= FLEET_TEXT_MAX);
	command_unref(c);
}

static const struct unit_test config_tests[] = {
	UNIT_TEST(test_config_is_read),
	UNIT_TEST(test_config_names_what_is_wrong),
	UNIT_TEST(test_dev_listens_on_loopback_only),
	UNIT_TEST(test_flags_that_make_no_sense_are_refused),
	{0},
};
static const struct unit_test auth_tests[] = {
	UNIT_TEST(test_agent_keys_are_bound),
	UNIT_TEST(test_origins_and_hosts),
	{0},
};
static const struct unit_test other_tests[] = {
	UNIT_TEST(test_ids_are_found_in_order),
	UNIT_TEST(test_ring_goes_on_after_the_last_id),
	UNIT_TEST(test_ring_is_bounded),
	UNIT_TEST(test_outcomes_in_words),
	UNIT_TEST(test_requests_name_keys_and_no_values),
	UNIT_TEST(test_urls_lose_what_opens_doors),
	UNIT_TEST(test_quoted_values_are_masked),
	{0},
};

int main(void)
{
	fleet_log_init("test", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	return unit_run((const struct unit_suite[]){
		{"config", config_tests}, {"auth", auth_tests}, {"parts", other_tests}, {0}});
}
