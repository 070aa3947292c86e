/* agent.env and flags: every setting, which wins, and what is said of mistakes. */
#include "agent/config.h"
#include "unit.h"

static char dir[] = "/tmp/fleet-unit-XXXXXX";
static char env_path[64];

static void write_env(const char *text)
{
	FILE *f = fopen(env_path, "we");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs(text, f);
	fclose(f);
}

/* "a b c" to argv; words have no blanks. */
static int load(const char *words, struct agent_config *ret, struct fleet_error *err)
{
	static char copy[1024];
	static char program[] = "fleet-agent";
	char *argv[32] = {program}, *rest = NULL;
	int argc = 1;

	(void)snprintf(copy, sizeof(copy), "%s", words);
	for (char *w = strtok_r(copy, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
		argv[argc++] = w;
	return agent_config_load(argc, argv, ret, err);
}

static int load_with_env(const char *words, struct agent_config *ret, struct fleet_error *err)
{
	char line[1024];

	(void)snprintf(line, sizeof(line), "--env-file %s %s", env_path, words);
	return load(line, ret, err);
}

static void test_refuses_bad_flags(void)
{
	static const struct {
		const char *words, *says;
	} cases[] = {
		{"--agnt-id x", "did you mean --agent-id?"},
		{"--zzzzzz", "unknown flag --zzzzzz"},
		{"agent-001", "unexpected argument 'agent-001'"},
		{"-x", "unexpected argument '-x'"},
		{"--", "unexpected argument '--'"},
		{"--agent-id", "--agent-id needs a value"},
		{"--agent-id --dev", "--agent-id needs a value"},
		{"--dev=1", "--dev takes no value"},
		{"--agent-id=", "--agent-id '': must begin with"},
		{"--agent-id a/b", "--agent-id 'a/b': must begin with"},
		{"--agent-id ..", "--agent-id '..': must begin with"},
		{"--console-url ftp://x", "must begin with http"},
		{"--console-url http://", "must look like"},
		{"--console-url http://x/?q", "must look like"},
		{"--heartbeat-interval 0", "must be 1 to 3600 seconds"},
		{"--heartbeat-interval 99999", "must be 1 to 3600 seconds"},
		{"--heartbeat-interval soon", "must be 1 to 3600 seconds"},
		{"--labels site", "must be k=v"},
		{"--labels =x", "must be k=v"},
		{"--labels a=b,,c=d", "must be k=v"},
		{"--log-level loud", "must be error, warn, info or debug"},
		{"--log-format xml", "must be text or json"},
		{"--env-file /nonexistent/agent.env", "/nonexistent/agent.env"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct agent_config c = {0};
		struct fleet_error err = FLEET_ERROR_INIT;
		int r = load(cases[i].words, &c, &err);

		if (r >= 0 || !strstr(err.message, cases[i].says))
			printf("# %s: %d, %s\n", cases[i].words, r, err.message);
		CU_ASSERT(r < 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, cases[i].says));
		CU_ASSERT_PTR_NULL(c.agent_id);
	}
}

#define JOIN_TOKEN "fleet-join.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.-.BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"

static void test_stays_unconfigured(void)
{
	static const struct {
		const char *env, *says;
	} cases[] = {
		{"", "FLEET_CONSOLE_URL is not set"},
		{"FLEET_CONSOLE_URL=\n", "FLEET_CONSOLE_URL is not set"},
		{"FLEET_CONSOLE_URL=console\n", "FLEET_CONSOLE_URL must begin with http"},
		{"FLEET_CONSOLE_URL=http://c:1\nFLEET_HEARTBEAT_INTERVAL=often\n",
			"FLEET_HEARTBEAT_INTERVAL must be"},
		{"FLEET_CONSOLE_URL=http://c:1\nFLEET_AGENT_ID=\"a b\"\n", "FLEET_AGENT_ID must begin"},
		{"FLEET_CONSOLE_URL=https://c:1\nFLEET_JOIN_TOKEN=abc\n",
			"FLEET_JOIN_TOKEN is no join token"},
		{"FLEET_CONSOLE_URL=http://c:1\nFLEET_JOIN_TOKEN=" JOIN_TOKEN "\n",
			"must begin with https://"},
		{"FLEET_CONSOLE_URL=http://localhost.c:1\nFLEET_JOIN_TOKEN=" JOIN_TOKEN "\n",
			"must begin with https://"},
		{"FLEET_CONSOLE_URL=https://c:1\nFLEET_CERT_FILE=/c.pem\n", "go together"},
		{"FLEET_CONSOLE_URL='http://c:1\n", "agent.env:"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_(agent_config_done) struct agent_config c = {0};
		struct fleet_error err = FLEET_ERROR_INIT;

		write_env(cases[i].env);
		CU_ASSERT_EQUAL(load_with_env("", &c, &err), 0);
		if (!c.unconfigured || !strstr(c.unconfigured, cases[i].says))
			printf("# %s: %s %s\n", cases[i].env, c.unconfigured ? c.unconfigured : "configured",
				err.message);
		CU_ASSERT_PTR_NOT_NULL_FATAL(c.unconfigured);
		CU_ASSERT_PTR_NOT_NULL(strstr(c.unconfigured, cases[i].says));
	}
}

static void test_reads_everything(void)
{
	_cleanup_(agent_config_done) struct agent_config c = {0};
	struct fleet_error err = FLEET_ERROR_INIT;

	write_env(
		"# a comment\nFLEET_CONSOLE_URL=\"https://console.example:5000/\"\nFLEET_AGENT_ID=agent-001\n"
		"FLEET_API_KEY=secret\nFLEET_HEARTBEAT_INTERVAL=30\nFLEET_LABELS=site=berlin,role=\n"
		"FLEET_LOG_LEVEL=debug\nFLEET_CA_FILE=/ca\nFLEET_CERT_FILE=/cert\nFLEET_KEY_FILE=/"
		"key\nOTHER=1\n");
	CU_ASSERT_EQUAL_FATAL(load_with_env("--log-format json", &c, &err), 0);
	CU_ASSERT_PTR_NULL(c.unconfigured);
	CU_ASSERT_STRING_EQUAL(c.console_url, "https://console.example:5000");
	CU_ASSERT_STRING_EQUAL(c.agent_id, "agent-001");
	CU_ASSERT_STRING_EQUAL(c.api_key, "secret");
	CU_ASSERT_EQUAL(c.heartbeat_ms, 30000);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(c.labels, "site"), "berlin");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(c.labels, "role"), "");
	CU_ASSERT_EQUAL(c.log_level, FLEET_LOG_DEBUG);
	CU_ASSERT_EQUAL(c.log_format, FLEET_LOG_FORMAT_JSON);
	CU_ASSERT_STRING_EQUAL(c.ca_file, "/ca");
	CU_ASSERT_STRING_EQUAL(c.data_dir, AGENT_DATA_DIR);
	CU_ASSERT_STRING_EQUAL(c.host_socket, AGENT_HOST_SOCKET);
}

static void test_flags_win(void)
{
	_cleanup_(agent_config_done) struct agent_config c = {0};
	struct fleet_error err = FLEET_ERROR_INIT;

	write_env("FLEET_CONSOLE_URL=http://"
		  "env:1\nFLEET_AGENT_ID=env\nFLEET_HEARTBEAT_INTERVAL=30\nFLEET_LABELS=a=b\n");
	CU_ASSERT_EQUAL_FATAL(
		load_with_env("--console-url=http://flag:2 --agent-id flag --heartbeat-interval 5 "
			      "--labels x=y --data-dir /d --host-socket /s --log-level error",
			&c, &err),
		0);
	CU_ASSERT_STRING_EQUAL(c.console_url, "http://flag:2");
	CU_ASSERT_STRING_EQUAL(c.agent_id, "flag");
	CU_ASSERT_EQUAL(c.heartbeat_ms, 5000);
	CU_ASSERT_PTR_NULL(fleet_json_string(c.labels, "a"));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(c.labels, "x"), "y");
	CU_ASSERT_STRING_EQUAL(c.data_dir, "/d");
	CU_ASSERT_STRING_EQUAL(c.host_socket, "/s");
	CU_ASSERT_EQUAL(c.log_level, FLEET_LOG_ERROR);
}

/* Whoever gives everything by flags needs no file. */
static void test_flags_alone(void)
{
	_cleanup_(agent_config_done) struct agent_config c = {0};
	struct fleet_error err = FLEET_ERROR_INIT;

	write_env("");
	CU_ASSERT_EQUAL_FATAL(load_with_env("--console-url http://c:1", &c, &err), 0);
	CU_ASSERT_PTR_NULL(c.unconfigured);
	CU_ASSERT_PTR_NOT_NULL(c.agent_id); /* the hostname */
}

static void test_dev_defaults(void)
{
	_cleanup_(agent_config_done) struct agent_config c = {0}, second = {0}, home = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	char cwd[4096], expected[4200];

	setenv("XDG_STATE_HOME", "/state", 1);
	CU_ASSERT_EQUAL_FATAL(load("--dev", &c, &err), 0);
	CU_ASSERT_TRUE(c.dev);
	CU_ASSERT_PTR_NULL(c.unconfigured);
	CU_ASSERT_STRING_EQUAL(c.agent_id, "agent-dev-01");
	CU_ASSERT_STRING_EQUAL(c.console_url, "http://localhost:5000");
	CU_ASSERT_STRING_EQUAL(c.data_dir, "/state/fleet/agent-dev-01");
	CU_ASSERT_PTR_NULL(c.host_socket);
	CU_ASSERT_EQUAL_FATAL(load("--dev --agent-id agent-dev-02", &second, &err), 0);
	CU_ASSERT_STRING_EQUAL(second.data_dir, "/state/fleet/agent-dev-02");
	setenv("XDG_STATE_HOME", "relative", 1);
	setenv("HOME", "/home/u", 1);
	CU_ASSERT_EQUAL_FATAL(load("--dev --apps-dir apps", &home, &err), 0);
	CU_ASSERT_STRING_EQUAL(home.data_dir, "/home/u/.local/state/fleet/agent-dev-01");
	CU_ASSERT_PTR_NOT_NULL_FATAL(getcwd(cwd, sizeof(cwd)));
	(void)snprintf(expected, sizeof(expected), "%s/apps", cwd);
	CU_ASSERT_STRING_EQUAL(home.apps_dir, expected);
}

static void test_help_names_every_flag(void)
{
	static const char *const flags[] = {"--dev", "--agent-id", "--console-url", "--data-dir",
		"--apps-dir", "--driver-dir", "--env-file", "--host-socket", "--heartbeat-interval",
		"--labels", "--log-level", "--log-format", "--version", "--help", "FLEET_API_KEY"};
	_cleanup_(agent_config_done) struct agent_config c = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	agent_config_help(out);
	fclose(out);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(flags); i++)
		CU_ASSERT_PTR_NOT_NULL(strstr(text, flags[i]));
	CU_ASSERT_EQUAL(load("--help", &c, &err), 0);
	CU_ASSERT_TRUE(c.help);
}

/* What is shipped must parse, and be unconfigured for the one reason. */
static void test_shipped_agent_env(void)
{
	_cleanup_(agent_config_done) struct agent_config c = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	const char *src = getenv("FLEET_SRCDIR");
	char line[512];

	if (!src) {
		unit_skip("FLEET_SRCDIR is not set");
		return;
	}
	(void)snprintf(line, sizeof(line), "--env-file %s/etc/agent.env", src);
	CU_ASSERT_EQUAL_FATAL(load(line, &c, &err), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(c.unconfigured);
	CU_ASSERT_PTR_NOT_NULL(strstr(c.unconfigured, "FLEET_CONSOLE_URL is not set"));
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_refuses_bad_flags),
	UNIT_TEST(test_stays_unconfigured),
	UNIT_TEST(test_reads_everything),
	UNIT_TEST(test_flags_win),
	UNIT_TEST(test_flags_alone),
	UNIT_TEST(test_dev_defaults),
	UNIT_TEST(test_help_names_every_flag),
	UNIT_TEST(test_shipped_agent_env),
	{0},
};

int main(void)
{
	int r;

	if (!mkdtemp(dir))
		return 99;
	(void)snprintf(env_path, sizeof(env_path), "%s/agent.env", dir);
	fleet_log_init("test", FLEET_LOG_WARN, FLEET_LOG_FORMAT_TEXT);
	r = unit_run((const struct unit_suite[]){{"agent_config", tests}, {0}});
	unlink(env_path);
	rmdir(dir);
	return r;
}
