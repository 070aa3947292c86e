#include "fleet/file.h"
#include "fleet/ids.h"
#include "fleet/limits.h"
#include "fleet/query.h"
#include "unit.h"

#define UUID           "01890a5d-ac96-774b-bcce-b302099a8057"
#define ENVELOPE(type) "{\"type\":\"" type "\",\"id\":\"" UUID "\",\"ts\":\"2026-01-31T23:59:59.123Z\""

static int parse(const char *text, enum fleet_direction direction, enum fleet_message_type *type,
	struct fleet_error *err)
{
	_cleanup_json_ struct json_object *o = NULL;
	int r;

	*type = FLEET_MESSAGE_TYPE_COUNT;
	*err = (struct fleet_error)FLEET_ERROR_INIT;
	r = fleet_message_parse(text, strlen(text), direction, type, &o, err);
	CU_ASSERT_EQUAL(o != NULL, r != -EBADMSG);
	return r;
}

static void test_new_has_an_envelope(void)
{
	_cleanup_json_ struct json_object *o = fleet_message_new(FLEET_MESSAGE_REQUEST_HEARTBEAT);
	enum fleet_message_type type;
	struct fleet_error err;

	CU_ASSERT_STRING_EQUAL(fleet_json_string(o, "type"), "requestHeartbeat");
	CU_ASSERT_TRUE(fleet_uuid_is_valid(fleet_json_string(o, "id")));
	CU_ASSERT_EQUAL(parse(fleet_json_text(o, NULL), FLEET_CONSOLE_TO_AGENT, &type, &err), 0);
	CU_ASSERT_EQUAL(type, FLEET_MESSAGE_REQUEST_HEARTBEAT);
}

static void test_without_envelope(void)
{
	static const char *const bad[] = {"", "x", "[]", "null", "{}", "{\"type\":\"heartbeat\"}",
		"{\"type\":\"heartbeat\",\"id\":\"x\",\"ts\":\"2026-01-31T23:59:59.123Z\",\"seq\":1}",
		"{\"type\":\"heartbeat\",\"id\":\"" UUID "\",\"ts\":\"now\",\"seq\":1}",
		"{\"type\":5,\"id\":\"" UUID "\",\"ts\":\"2026-01-31T23:59:59.123Z\",\"seq\":1}",
		"{\"type\":\"heartbeat\",\"id\":\"" UUID "\",\"seq\":1}"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(bad); i++) {
		enum fleet_message_type type;
		struct fleet_error err;

		CU_ASSERT_EQUAL(parse(bad[i], FLEET_AGENT_TO_CONSOLE, &type, &err), -EBADMSG);
		CU_ASSERT_EQUAL(err.code, -EBADMSG);
		CU_ASSERT_TRUE(strlen(err.message) > 0);
	}
}

static void test_unknown_types_and_wrong_directions(void)
{
	static const struct {
		const char *text;
		enum fleet_direction direction;
	} cases[] = {
		{ENVELOPE("dance") "}", FLEET_AGENT_TO_CONSOLE},
		{ENVELOPE("heartbeat") ",\"seq\":1}", FLEET_CONSOLE_TO_AGENT},
		{ENVELOPE("restartApp") ",\"jws\":\"x\"}", FLEET_AGENT_TO_CONSOLE},
		{ENVELOPE("result") "}", FLEET_AGENT_TO_CONSOLE},
		{ENVELOPE("command") ",\"jws\":\"x\"}", FLEET_CONSOLE_TO_AGENT},
		{ENVELOPE("hello") "}", FLEET_HOST_TO_AGENT},
		{ENVELOPE("invalid") "}", FLEET_AGENT_TO_CONSOLE},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		enum fleet_message_type type;
		struct fleet_error err;

		CU_ASSERT_EQUAL(parse(cases[i].text, cases[i].direction, &type, &err), -EOPNOTSUPP);
		CU_ASSERT_EQUAL(type, FLEET_MESSAGE_INVALID);
	}
}

/* One of each, as the other side would write it. */
static const struct {
	enum fleet_direction direction;
	enum fleet_message_type type;
	const char *text;
} samples[] = {
	{FLEET_AGENT_TO_CONSOLE, FLEET_MESSAGE_REGISTER,
		ENVELOPE("register") ",\"agentId\":\"agent-001\",\"instanceId\":\"abc\",\"spoolId\":\"" UUID
				     "\",\"bootId\":\"b\","
				     "\"hostname\":\"h\",\"os\":{\"id\":\"debian\",\"version\":\"12\"},"
				     "\"agentVersion\":\"1.0\","
				     "\"apps\":[{\"id\":\"app-a\",\"status\":\"running\",\"files\":[{"
				     "\"name\":\"main\"}]}],"
				     "\"drivers\":[{\"name\":\"json-config\",\"roles\":[\"format\"]}],"
				     "\"problems\":[{\"file\":\"x.yaml\","
				     "\"line\":3,\"column\":1,\"message\":\"bad\"}],\"labels\":{\"site\":"
				     "\"a\"},\"running\":[\"" UUID "\"],"
				     "\"auditHead\":{\"seq\":0,\"hash\":"
				     "\"0000000000000000000000000000000000000000000000000000000000000000\"},"
				     "\"clockOffsetMs\":-5,\"fromTheFuture\":[1]}"},
	{FLEET_AGENT_TO_CONSOLE, FLEET_MESSAGE_HEARTBEAT,
		ENVELOPE("heartbeat") ",\"seq\":7,\"metrics\":{\"cpuPercent\":23.4,\"memoryUsedBytes\":1,"
				      "\"load1\":0.5,"
				      "\"disks\":[{\"mount\":\"/"
				      "\",\"usedBytes\":1,\"totalBytes\":2}]},\"apps\":[{\"id\":\"a\","
				      "\"health\":\"healthy\",\"since\":\"2026-01-31T23:59:59Z\",\"pid\":42}]"
				      "}"},
	{FLEET_AGENT_TO_CONSOLE, FLEET_MESSAGE_AUDIT_EVENT,
		ENVELOPE("auditEvent") ",\"eventId\":\"" UUID "\",\"spoolId\":\"" UUID
				       "\",\"seq\":1,\"category\":\"restart\","
				       "\"appId\":\"a\",\"message\":\"m\",\"details\":{\"any\":[1]}}"},
	{FLEET_AGENT_TO_CONSOLE, FLEET_MESSAGE_COMMAND_ACCEPTED,
		ENVELOPE("commandAccepted") ",\"commandId\":\"" UUID "\"}"},
	{FLEET_AGENT_TO_CONSOLE, FLEET_MESSAGE_COMMAND_PROGRESS,
		ENVELOPE("commandProgress") ",\"commandId\":\"" UUID
					    "\",\"step\":\"stop\",\"percent\":50,\"message\":\"m\"}"},
	{FLEET_AGENT_TO_CONSOLE, FLEET_MESSAGE_COMMAND_RESULT,
		ENVELOPE("commandResult") ",\"commandId\":\"" UUID
					  "\",\"command\":\"push-config\",\"appId\":\"a\",\"success\":false,"
					  "\"message\":\"m\",\"errorCode\":\"unhealthy\",\"steps\":[{"
					  "\"step\":\"stop\",\"ok\":true}],"
					  "\"changedKeys\":[\"a.b\"],\"changes\":[{\"key\":\"a.b\","
					  "\"before\":\"1\",\"after\":\"2\"}],"
					  "\"pid\":5,\"downMs\":1200,\"logLines\":[\"x\"]}"},
	{FLEET_CONSOLE_TO_AGENT, FLEET_MESSAGE_REGISTERED,
		ENVELOPE("registered") ",\"serverTime\":\"2026-01-31T23:59:59.123Z\",\"auditSeq\":0,\"keys\":"
				       "[{\"kty\":\"OKP\"}]}"},
	{FLEET_CONSOLE_TO_AGENT, FLEET_MESSAGE_ACK,
		ENVELOPE("ack") ",\"auditSeq\":3,\"resultIds\":[\"" UUID "\"]}"},
	{FLEET_CONSOLE_TO_AGENT, FLEET_MESSAGE_RESTART_APP, ENVELOPE("restartApp") ",\"jws\":\"a.b.c\"}"},
	{FLEET_CONSOLE_TO_AGENT, FLEET_MESSAGE_PUSH_CONFIG, ENVELOPE("pushConfig") ",\"jws\":\"a.b.c\"}"},
	{FLEET_CONSOLE_TO_AGENT, FLEET_MESSAGE_UPDATE_APP, ENVELOPE("updateApp") ",\"jws\":\"a.b.c\"}"},
	{FLEET_CONSOLE_TO_AGENT, FLEET_MESSAGE_ROLLBACK_APP, ENVELOPE("rollbackApp") ",\"jws\":\"a.b.c\"}"},
	{FLEET_CONSOLE_TO_AGENT, FLEET_MESSAGE_READ_LOGS, ENVELOPE("readLogs") ",\"jws\":\"a.b.c\"}"},
	{FLEET_CONSOLE_TO_AGENT, FLEET_MESSAGE_READ_CONFIG, ENVELOPE("readConfig") ",\"jws\":\"a.b.c\"}"},
	{FLEET_AGENT_TO_CONSOLE, FLEET_MESSAGE_QUERY_RESULT,
		ENVELOPE(
			"queryResult") ",\"refId\":\"" UUID
				       "\",\"lines\":[{\"time\":\"2026-01-31T23:59:59.123Z\","
				       "\"priority\":6,\"text\":\"\"}],\"left\":3,\"driver\":\"simulated\"}"},
	{FLEET_AGENT_TO_HOST, FLEET_FRAME_QUERY, ENVELOPE("query") ",\"jws\":\"a.b.c\"}"},
	{FLEET_HOST_TO_AGENT, FLEET_FRAME_ANSWER,
		ENVELOPE("answer") ",\"refId\":\"" UUID
				   "\",\"settings\":[{\"key\":\"a.b\",\"type\":\"integer\","
				   "\"value\":\"1\"},{\"key\":\"password\",\"type\":\"string\",\"masked\":"
				   "true}],"
				   "\"readAt\":\"2026-01-31T23:59:59.123Z\",\"file\":\"main\"}"},
	{FLEET_HOST_TO_AGENT, FLEET_FRAME_ANSWER,
		ENVELOPE("answer") ",\"refId\":\"" UUID "\",\"errorCode\":\"busy\",\"message\":\"m\"}"},
	{FLEET_CONSOLE_TO_AGENT, FLEET_MESSAGE_REQUEST_HEARTBEAT, ENVELOPE("requestHeartbeat") "}"},
	{FLEET_CONSOLE_TO_AGENT, FLEET_MESSAGE_ERROR,
		ENVELOPE("error") ",\"code\":\"x\",\"message\":\"m\",\"refId\":\"" UUID "\"}"},
	{FLEET_AGENT_TO_CONSOLE, FLEET_MESSAGE_ERROR, ENVELOPE("error") ",\"code\":\"x\",\"message\":\"m\"}"},
	{FLEET_HOST_TO_AGENT, FLEET_MESSAGE_ERROR, ENVELOPE("error") ",\"code\":\"x\",\"message\":\"m\"}"},
	{FLEET_AGENT_TO_HOST, FLEET_FRAME_HELLO, ENVELOPE("hello") ",\"agentVersion\":\"1\"}"},
	{FLEET_AGENT_TO_HOST, FLEET_FRAME_KEYS, ENVELOPE("keys") ",\"keys\":[]}"},
	{FLEET_AGENT_TO_HOST, FLEET_FRAME_STATUS_REQUEST, ENVELOPE("statusRequest") "}"},
	{FLEET_AGENT_TO_HOST, FLEET_FRAME_COMMAND, ENVELOPE("command") ",\"jws\":\"a.b.c\"}"},
	{FLEET_AGENT_TO_HOST, FLEET_FRAME_STORED, ENVELOPE("stored") ",\"refIds\":[\"" UUID "\"]}"},
	{FLEET_AGENT_TO_HOST, FLEET_FRAME_FETCHED,
		ENVELOPE("fetched") ",\"commandId\":\"" UUID "\",\"ok\":true,\"bytes\":500000000}"},
	{FLEET_AGENT_TO_HOST, FLEET_FRAME_FETCHED,
		ENVELOPE("fetched") ",\"commandId\":\"" UUID "\",\"ok\":false,\"error\":\"m\"}"},
	{FLEET_AGENT_TO_HOST, FLEET_FRAME_PROBED,
		ENVELOPE("probed") ",\"probeId\":\"" UUID "\",\"ok\":false,\"detail\":\"503\"}"},
	{FLEET_HOST_TO_AGENT, FLEET_FRAME_FETCH,
		ENVELOPE("fetch") ",\"commandId\":\"" UUID
				  "\",\"url\":\"https://h/a.tar.gz\",\"maxBytes\":5000000000,"
				  "\"timeoutSeconds\":1800}"},
	{FLEET_HOST_TO_AGENT, FLEET_FRAME_FETCH_CANCEL,
		ENVELOPE("fetchCancel") ",\"commandId\":\"" UUID "\"}"},
	{FLEET_HOST_TO_AGENT, FLEET_FRAME_PROBE,
		ENVELOPE("probe") ",\"probeId\":\"" UUID
				  "\",\"url\":\"http://127.0.0.1:8080/health\",\"timeoutSeconds\":10}"},
	{FLEET_HOST_TO_AGENT, FLEET_FRAME_PROBE,
		ENVELOPE("probe") ",\"probeId\":\"" UUID
				  "\",\"tcp\":\"127.0.0.1:8080\",\"timeoutSeconds\":10}"},
	{FLEET_HOST_TO_AGENT, FLEET_FRAME_DESCRIPTION,
		ENVELOPE("description") ",\"hostVersion\":\"1\",\"apps\":[{\"id\":\"a\",\"serviceDriver\":"
					"\"systemd-unit\",\"files\":"
					"[{\"name\":\"main\",\"driver\":\"json-config\"}],\"allow\":["
					"\"restart\"]}],\"keyIds\":[\"k\"]}"},
	{FLEET_HOST_TO_AGENT, FLEET_FRAME_STATUS,
		ENVELOPE("status") ",\"refId\":\"" UUID "\",\"apps\":[{\"id\":\"a\"}]}"},
	{FLEET_HOST_TO_AGENT, FLEET_FRAME_ACCEPTED, ENVELOPE("accepted") ",\"commandId\":\"" UUID "\"}"},
	{FLEET_HOST_TO_AGENT, FLEET_FRAME_REFUSED,
		ENVELOPE("refused") ",\"refId\":\"" UUID "\",\"code\":\"expired\",\"message\":\"m\"}"},
	{FLEET_HOST_TO_AGENT, FLEET_FRAME_PROGRESS,
		ENVELOPE("progress") ",\"commandId\":\"" UUID "\",\"step\":\"s\"}"},
	{FLEET_HOST_TO_AGENT, FLEET_FRAME_RESULT,
		ENVELOPE("result") ",\"commandId\":\"" UUID
				   "\",\"command\":\"restart-app\",\"appId\":\"a\",\"success\":true}"},
	{FLEET_HOST_TO_AGENT, FLEET_FRAME_EVENT,
		ENVELOPE("event") ",\"eventId\":\"" UUID "\",\"category\":\"system\",\"message\":\"m\"}"},
};

static void test_samples_are_accepted(void)
{
	for (size_t i = 0; i < FLEET_ARRAY_LEN(samples); i++) {
		enum fleet_message_type type;
		struct fleet_error err;

		CU_ASSERT_EQUAL(parse(samples[i].text, samples[i].direction, &type, &err), 0);
		CU_ASSERT_EQUAL(type, samples[i].type);
		if (err.code)
			printf("# %s: %s\n", samples[i].text, err.message);
	}
}

/* Each member of each sample in turn replaced by what no field is: refused with its path, its type still
 * told. */
static void test_each_field_is_checked(void)
{
	for (size_t i = 0; i < FLEET_ARRAY_LEN(samples); i++) {
		const struct fleet_json_field *fields = fleet_message_fields(samples[i].type);

		for (const struct fleet_json_field *f = fields; f->key; f++) {
			_cleanup_json_ struct json_object *o = json_tokener_parse(samples[i].text);
			_cleanup_free_ char *path = xasprintf("$.%s", f->key);
			enum fleet_message_type type;
			struct fleet_error err;

			/* 1.5e300 is no string, no id, no object, no integer, and out of every number's
			 * bounds */
			fleet_json_add(o, f->key, json_object_new_double(1.5e300));
			CU_ASSERT_EQUAL(
				parse(fleet_json_text(o, NULL), samples[i].direction, &type, &err), -EINVAL);
			CU_ASSERT_EQUAL(type, samples[i].type);
			CU_ASSERT_TRUE(str_starts(err.message, path));
		}
	}
}

static void test_required_fields(void)
{
	for (size_t i = 0; i < FLEET_ARRAY_LEN(samples); i++) {
		const struct fleet_json_field *fields = fleet_message_fields(samples[i].type);

		for (const struct fleet_json_field *f = fields; f->key; f++) {
			_cleanup_json_ struct json_object *o = json_tokener_parse(samples[i].text);
			enum fleet_message_type type;
			struct fleet_error err;

			json_object_object_del(o, f->key);
			CU_ASSERT_EQUAL(parse(fleet_json_text(o, NULL), samples[i].direction, &type, &err),
				f->flags & FLEET_JSON_REQUIRED ? -EINVAL : 0);
		}
	}
}

static void test_mutated_samples_do_no_harm(void)
{
	for (int round = 0; round < 20000; round++) {
		size_t which = (size_t)round % FLEET_ARRAY_LEN(samples), len = strlen(samples[which].text);
		_cleanup_free_ char *text = xstrdup(samples[which].text);
		_cleanup_json_ struct json_object *o = NULL;
		enum fleet_message_type type;
		struct fleet_error err;
		unsigned char random[3];

		fleet_random(random, sizeof(random));
		text[(random[0] << 8 | random[1]) % (int)len] = (char)random[2];
		(void)!fleet_message_parse(
			text, len, samples[which].direction, &type, &o, &err); /* any verdict will do */
	}
}

/* --- docs/protocol.md says the same --- */

static char *protocol_text(void)
{
	const char *top = getenv("FLEET_SRCDIR") ? getenv("FLEET_SRCDIR") : ".";
	_cleanup_free_ char *path = xasprintf("%s/docs/protocol.md", top);
	struct fleet_error err = FLEET_ERROR_INIT;
	char *text = NULL;

	if (fleet_file_read(path, 1 << 20, &text, NULL, &err) < 0) {
		printf("# %s\n", err.message);
		CU_FAIL_FATAL("docs/protocol.md cannot be read");
	}
	return text;
}

static bool is_word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = strstr(text, word); p; p = strstr(p + 1, word)) {
		if ((p == text || !is_word_char(p[-1])) && !is_word_char(p[len]))
			return true;
	}
	return false;
}

static void check_fields_are_documented(
	const char *text, const char *type, const struct fleet_json_field *fields)
{
	for (const struct fleet_json_field *f = fields; f->key; f++) {
		CU_ASSERT_TRUE(has_word(text, f->key));
		if (!has_word(text, f->key))
			printf("# docs/protocol.md does not know %s of %s\n", f->key, type);
		if (f->fields)
			check_fields_are_documented(text, type, f->fields);
		for (size_t i = 0; f->one_of && f->one_of[i]; i++)
			CU_ASSERT_PTR_NOT_NULL(strstr(text, f->one_of[i]));
	}
}

static void test_code_is_documented(void)
{
	_cleanup_free_ char *text = protocol_text();

	for (int type = FLEET_MESSAGE_INVALID + 1; type < FLEET_MESSAGE_TYPE_COUNT; type++) {
		const char *name = fleet_message_type_to_string((enum fleet_message_type)type);
		_cleanup_free_ char *quoted = xasprintf("`%s`", name);

		CU_ASSERT_PTR_NOT_NULL(strstr(text, quoted));
		if (!strstr(text, quoted))
			printf("# docs/protocol.md does not know %s\n", quoted);
		check_fields_are_documented(text, name, fleet_message_fields((enum fleet_message_type)type));
	}
}

/* The rows of the table after `heading`; calls with each first cell. */
static size_t each_row(const char *text, const char *heading, void (*row)(const char *cell))
{
	const char *at = strstr(text, heading);
	size_t rows = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	at = strstr(at, "\n|---");
	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	for (at = strchr(at + 1, '\n') + 1; *at == '|'; at = strchr(at, '\n') + 1) {
		const char *end = strchr(at + 1, '|');
		_cleanup_free_ char *cell = xstrndup(at + 2, (size_t)(end - at - 3));

		row(cell);
		rows++;
	}
	return rows;
}

static void register_row(const char *cell)
{
	const struct fleet_json_field *f = fleet_message_fields(FLEET_MESSAGE_REGISTER);

	while (f->key && !str_equal(f->key, cell))
		f++;
	CU_ASSERT_PTR_NOT_NULL(f->key);
	if (!f->key)
		printf("# the code does not know register's %s\n", cell);
}

static void frame_row(const char *cell)
{
	_cleanup_free_ char *name = xstrndup(cell + 1, strlen(cell) - 2); /* without the back quotes */
	bool known = false;

	for (int type = FLEET_FRAME_HELLO; type < FLEET_MESSAGE_TYPE_COUNT; type++)
		known = known || str_equal(fleet_message_type_to_string((enum fleet_message_type)type), name);
	CU_ASSERT_TRUE(known);
}

static void test_documentation_is_code(void)
{
	_cleanup_free_ char *text = protocol_text();

	CU_ASSERT_EQUAL(each_row(text, "`register`, first message", register_row), 14);
	CU_ASSERT_EQUAL(each_row(text, "| agent to host |", frame_row), 8);
	CU_ASSERT_EQUAL(each_row(text, "| host to agent |", frame_row), 11);
}

/* --- commands --- */

#define COMMAND(action, args)                                                                                \
	"{\"v\":1,\"agentId\":\"agent-001\",\"appId\":\"a\",\"commandId\":\"" UUID "\",\"action\":\"" action \
	"\",\"actor\":\"op@cli\",\"issuedAt\":\"2026-01-31T23:59:59Z\",\"expiresAt\":\"2026-02-01T00:09:"    \
	"59Z\",\"args\":" args "}"
#define HASH "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void test_command_accepts(void)
{
	static const char *const good[] = {
		COMMAND("restart-app", "{}"),
		COMMAND("rollback-app", "{}"),
		COMMAND("push-config",
			"{\"file\":\"main\",\"edits\":[{\"op\":\"set\",\"key\":\"a.b\",\"value\":\"x\"}]}"),
		COMMAND("push-config",
			"{\"file\":\"main\",\"edits\":[{\"op\":\"set\",\"key\":\"a\",\"value\":null,\"mode\":"
			"\"json\"},"
			"{\"op\":\"unset\",\"key\":\"b\"}],\"dryRun\":true,\"expectHash\":\"" HASH "\"}"),
		COMMAND("push-config", "{\"file\":\"main\",\"restoreOf\":\"" UUID "\"}"),
		COMMAND("update-app", "{\"version\":\"2.0\",\"artifactUrl\":\"http://x/"
				      "y.tar.gz\",\"allowDowngrade\":false}"),
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(good); i++) {
		_cleanup_json_ struct json_object *o = json_tokener_parse(good[i]);
		struct fleet_error err = FLEET_ERROR_INIT;

		CU_ASSERT_EQUAL(fleet_command_check(o, &err), 0);
		if (err.code)
			printf("# %s: %s\n", good[i], err.message);
	}
}

/* --- queries --- */

#define QUERY(query, args)                                                                                   \
	"{\"v\":1,\"agentId\":\"agent-001\",\"appId\":\"a\",\"query\":\"" query                              \
	"\",\"actor\":\"op@cli\",\"issuedAt\":\"2026-01-31T23:59:59Z\",\"expiresAt\":\"2026-02-01T00:00:"    \
	"59Z\",\"args\":" args "}"

static void test_queries(void)
{
	static const struct {
		const char *text, *message; /* NULL: accepted */
	} cases[] = {
		{QUERY("read-logs", "{\"lines\":200}"), NULL},
		{QUERY("read-logs", "{\"lines\":1,\"since\":\"2026-01-31T23:59:59Z\"}"), NULL},
		{QUERY("read-config", "{\"file\":\"main\"}"), NULL},
		{"{}", "$.v: is missing"},
		{QUERY("dance", "{}"), "$.query: must be one of"},
		{QUERY("read-logs", "{}"), "$.args.lines: is missing"},
		{QUERY("read-logs", "{\"lines\":0}"), "$.args.lines"},
		{QUERY("read-logs", "{\"lines\":201}"), "$.args.lines"},
		{QUERY("read-logs", "{\"lines\":1,\"since\":\"yesterday\"}"), "$.args.since"},
		{QUERY("read-logs", "{\"lines\":1,\"file\":\"/etc/shadow\"}"), "$.args.file: unknown field"},
		{QUERY("read-config", "{}"), "$.args.file: is missing"},
		/* a command is none, and the other way round */
		{COMMAND("restart-app", "{}"), "$.query: is missing"},
	};
	_cleanup_json_ struct json_object *query = json_tokener_parse(cases[0].text);

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_json_ struct json_object *o = json_tokener_parse(cases[i].text);
		struct fleet_error err = FLEET_ERROR_INIT;

		CU_ASSERT_EQUAL(fleet_query_check(o, &err), cases[i].message ? -EINVAL : 0);
		CU_ASSERT(!cases[i].message || strstr(err.message, cases[i].message));
		if (err.code && (!cases[i].message || !strstr(err.message, cases[i].message)))
			printf("# %s: %s\n", cases[i].text, err.message);
	}
	CU_ASSERT_EQUAL(fleet_command_check(query, NULL), -EINVAL);
	for (int q = 0; q < FLEET_QUERY_COUNT; q++) {
		enum fleet_query again;

		CU_ASSERT_EQUAL(
			fleet_query_from_string(fleet_query_to_string((enum fleet_query)q), &again), 0);
		CU_ASSERT_EQUAL((int)again, q);
	}
}

static void test_command_refuses(void)
{
	static const struct {
		const char *text, *message;
	} bad[] = {
		{"{}", "$.v: is missing"},
		{COMMAND("dance", "{}"), "$.action: must be one of"},
		{COMMAND("restart-app", "[]"), "$.args: must be an object"},
		{COMMAND("restart-app", "{\"force\":true}"), "$.args.force: unknown field"},
		{COMMAND("push-config", "{}"), "$.args.file: is missing"},
		{COMMAND("push-config", "{\"file\":\"main\"}"), "$.args.edits: must have at least one"},
		{COMMAND("push-config", "{\"file\":\"main\",\"edits\":[]}"),
			"$.args.edits: must have at least one"},
		{COMMAND("push-config", "{\"file\":\"main\",\"edits\":[{\"op\":\"add\",\"key\":\"a\"}]}"),
			"$.args.edits[0].op: must be"},
		{COMMAND("push-config", "{\"file\":\"main\",\"edits\":[{\"op\":\"set\",\"key\":\"a\"}]}"),
			"$.args.edits[0].value: is missing"},
		{COMMAND("push-config",
			 "{\"file\":\"main\",\"edits\":[{\"op\":\"set\",\"key\":\"a\",\"value\":5}]}"),
			"$.args.edits[0].value: must be a string with mode auto"},
		{COMMAND("push-config", "{\"file\":\"main\",\"edits\":[{\"op\":\"set\",\"key\":\"a\","
					"\"value\":null,\"mode\":\"string\"}]}"),
			"$.args.edits[0].value: must be a string with mode string"},
		{COMMAND("push-config",
			 "{\"file\":\"main\",\"edits\":[{\"op\":\"unset\",\"key\":\"a\",\"value\":\"x\"}]}"),
			"$.args.edits[0].value: unset takes no value"},
		{COMMAND("push-config",
			 "{\"file\":\"main\",\"edits\":[{\"op\":\"unset\",\"key\":\"a\",\"why\":\"x\"}]}"),
			"$.args.edits[0].why: unknown field"},
		{COMMAND("push-config", "{\"file\":\"main\",\"edits\":[{\"op\":\"unset\",\"key\":\"\"}]}"),
			"$.args.edits[0].key: must"},
		{COMMAND("push-config", "{\"file\":\"main\",\"dryrun\":true,\"restoreOf\":\"" UUID "\"}"),
			"$.args.dryrun: unknown field; did you mean 'dryRun'?"},
		{COMMAND("push-config", "{\"file\":\"main\",\"restoreOf\":\"" UUID
					"\",\"edits\":[{\"op\":\"unset\",\"key\":\"a\"}]}"),
			"$.args.edits: a restore takes no edits"},
		{COMMAND("push-config",
			 "{\"file\":\"main\",\"restoreOf\":\"" UUID "\",\"expectHash\":\"sha256:1\"}"),
			"$.args.expectHash: must be"},
		{COMMAND("update-app", "{\"version\":\"2.0\"}"), "$.args.artifactUrl: is missing"},
		{"{\"v\":2,\"agentId\":\"a\",\"appId\":\"a\",\"commandId\":\"" UUID
		 "\",\"action\":\"restart-app\",\"actor\":\"x\","
		 "\"issuedAt\":\"2026-01-31T23:59:59Z\",\"expiresAt\":\"2026-02-01T00:09:59Z\",\"args\":{}}",
			"$.v: this program knows version 1"},
		{"{\"v\":1,\"agentId\":\"a\",\"appId\":\"a\",\"commandId\":\"" UUID
		 "\",\"action\":\"restart-app\",\"actor\":\"x\","
		 "\"issuedAt\":\"2026-01-31T23:59:59Z\",\"expiresAt\":\"2026-01-31T23:59:59Z\",\"args\":{}}",
			"$.expiresAt: must be after issuedAt"},
		{"{\"v\":1,\"agentId\":\"../x\",\"appId\":\"a\",\"commandId\":\"" UUID
		 "\",\"action\":\"restart-app\",\"actor\":\"x\","
		 "\"issuedAt\":\"2026-01-31T23:59:59Z\",\"expiresAt\":\"2026-02-01T00:09:59Z\",\"args\":{}}",
			"$.agentId: must be a name"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(bad); i++) {
		_cleanup_json_ struct json_object *o = json_tokener_parse(bad[i].text);
		struct fleet_error err = FLEET_ERROR_INIT;

		CU_ASSERT_EQUAL(fleet_command_check(o, &err), -EINVAL);
		CU_ASSERT_TRUE(str_starts(err.message, bad[i].message));
		if (!str_starts(err.message, bad[i].message))
			printf("# %s: %s\n", bad[i].text, err.message);
	}
}

static void test_command_bounds_values(void)
{
	_cleanup_free_ char *value = xcalloc(1, FLEET_VALUE_MAX + 1), *text = NULL;
	_cleanup_json_ struct json_object *o = NULL, *many = NULL;
	struct json_object *edits;

	memset(value, 'a', FLEET_VALUE_MAX);
	text = xasprintf(
		COMMAND("push-config",
			"{\"file\":\"main\",\"edits\":[{\"op\":\"set\",\"key\":\"a\",\"value\":\"%s\"}]}"),
		value);
	o = json_tokener_parse(text);
	CU_ASSERT_EQUAL(fleet_command_check(o, NULL), -EINVAL);
	many = json_tokener_parse(COMMAND("push-config", "{\"file\":\"main\",\"edits\":[]}"));
	edits = fleet_json_array(fleet_json_object(many, "args"), "edits");
	for (int i = 0; i < FLEET_SETTINGS_PER_PUSH_MAX; i++)
		json_object_array_add(edits, json_tokener_parse("{\"op\":\"unset\",\"key\":\"a\"}"));
	CU_ASSERT_EQUAL(fleet_command_check(many, NULL), 0);
	json_object_array_add(edits, json_tokener_parse("{\"op\":\"unset\",\"key\":\"a\"}"));
	CU_ASSERT_EQUAL(fleet_command_check(many, NULL), -EINVAL);
}

static void tokener_freep(struct json_tokener **t)
{
	json_tokener_free(*t);
}

static char *nested(int levels)
{
	char *text = xcalloc(1, (size_t)levels * 2 + 1);

	memset(text, '[', (size_t)levels);
	memset(text + levels, ']', (size_t)levels);
	return text;
}

/* What a command may hold, whoever gets it can parse. */
static void test_command_bounds_depth(void)
{
	for (int levels = FLEET_VALUE_DEPTH_MAX - 1; levels <= FLEET_VALUE_DEPTH_MAX + 2; levels++) {
		_cleanup_free_ char *value = nested(levels);
		_cleanup_free_ char *text =
			xasprintf(COMMAND("push-config", "{\"file\":\"main\",\"edits\":[{\"op\":\"set\","
							 "\"key\":\"a\",\"mode\":\"json\",\"value\":%s}]}"),
				value);
		_cleanup_(tokener_freep) struct json_tokener *tokener = json_tokener_new_ex(100);
		_cleanup_json_ struct json_object *o =
			json_tokener_parse_ex(tokener, text, (int)strlen(text) + 1);
		_cleanup_json_ struct json_object *again = NULL;
		bool fits = levels <= FLEET_VALUE_DEPTH_MAX;

		CU_ASSERT_PTR_NOT_NULL_FATAL(o);
		CU_ASSERT_EQUAL(fleet_command_check(o, NULL), fits ? 0 : -EINVAL);
		CU_ASSERT_EQUAL(fleet_json_parse(text, strlen(text), strlen(text), &again, NULL),
			fits ? 0 : -EBADMSG);
	}
}

static void test_actions(void)
{
	enum fleet_action action = FLEET_ACTION_COUNT;

	for (int i = 0; i < FLEET_ACTION_COUNT; i++) {
		CU_ASSERT_EQUAL(
			fleet_action_from_string(fleet_action_to_string((enum fleet_action)i), &action), 0);
		CU_ASSERT_EQUAL((int)action, i);
	}
	CU_ASSERT_EQUAL(fleet_action_from_string("restartApp", &action), -EINVAL);
	CU_ASSERT_EQUAL(fleet_action_from_string(NULL, &action), -EINVAL);
	CU_ASSERT_STRING_EQUAL(
		fleet_message_type_to_string(fleet_action_message(FLEET_ACTION_PUSH_CONFIG)), "pushConfig");
}

static const struct unit_test message_tests[] = {UNIT_TEST(test_new_has_an_envelope),
	UNIT_TEST(test_without_envelope), UNIT_TEST(test_unknown_types_and_wrong_directions),
	UNIT_TEST(test_samples_are_accepted), UNIT_TEST(test_each_field_is_checked),
	UNIT_TEST(test_required_fields), UNIT_TEST(test_mutated_samples_do_no_harm), {0}};
static const struct unit_test doc_tests[] = {
	UNIT_TEST(test_code_is_documented), UNIT_TEST(test_documentation_is_code), {0}};
static const struct unit_test command_tests[] = {UNIT_TEST(test_command_accepts),
	UNIT_TEST(test_command_refuses), UNIT_TEST(test_queries), UNIT_TEST(test_command_bounds_values),
	UNIT_TEST(test_command_bounds_depth), UNIT_TEST(test_actions), {0}};

int main(void)
{
	return unit_run((const struct unit_suite[]){
		{"message", message_tests}, {"protocol.md", doc_tests}, {"command", command_tests}, {0}});
}
