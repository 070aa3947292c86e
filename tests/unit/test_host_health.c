/* What health and deadlines are made of: programs that are run to their end, what systemd says of units, and
 * what it says of those that it runs for us. The whole is in tests/integration/test_health.py and
 * tests/system/test_health.py. */
#include <signal.h>
#include <sys/stat.h>
#include "agent/host/app_command.h"
#include "agent/host/unit_facts.h"
#include "fleet/clock.h"
#include "unit.h"

static char sh[] = "/bin/sh", dash_c[] = "-c";

static void test_programs_end(void)
{
	static const struct {
		const char *script;
		int64_t timeout_ms;
		struct program_end end; /* without the texts */
		const char *out, *err;
	} cases[] = {
		{"echo one; echo two >&2", 10000, {.status = 0}, "one\n", "two\n"},
		{"exit 3", 10000, {.status = 3}, "", ""},
		{"kill -9 $$", 10000, {.status = -1, .signal = SIGKILL}, "", ""},
		{"echo said; exec sleep 1000", 300, {.status = -1, .timed_out = true}, "said\n", ""},
		/* what it leaves behind holds the pipes, and does not hold us */
		{"sleep 1000 & exit 0", 10000, {.status = 0}, "", ""},
		{"cat", 10000, {.status = 0}, "", ""},
		{"echo \"$PATH\" | grep -c sbin; echo $LANG", 10000, {.status = 0}, "1\nC\n", ""},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_free_ char *script = xstrdup(cases[i].script);
		char *argv[] = {sh, dash_c, script, NULL};
		struct fleet_error err = FLEET_ERROR_INIT;
		struct program_end end;
		int64_t begun = fleet_clock_monotonic_ms();

		CU_ASSERT_EQUAL_FATAL(program_run(argv, true, cases[i].timeout_ms, &end, &err), 0);
		CU_ASSERT_TRUE(fleet_clock_monotonic_ms() - begun < 9000);
		CU_ASSERT_EQUAL(end.status, cases[i].end.status);
		CU_ASSERT_EQUAL(end.signal, cases[i].end.signal);
		CU_ASSERT_EQUAL(end.timed_out, cases[i].end.timed_out);
		CU_ASSERT_STRING_EQUAL(end.out.text, cases[i].out);
		CU_ASSERT_STRING_EQUAL(end.err.text, cases[i].err);
	}
}

static void test_programs_are_bounded(void)
{
	static char script[] =
		"head -c 1000000 /dev/zero | tr '\\0' x | tee /dev/stderr; echo; echo end >&2; id -u >&2";
	static char none[] = "/nonexistent/program";
	char *argv[] = {sh, dash_c, script, NULL}, *nothing[] = {none, NULL};
	struct fleet_error err = FLEET_ERROR_INIT;
	struct program_end end;
	_cleanup_free_ char *expected = xasprintf("end\n%u\n", geteuid() == 0 ? 65534U : (unsigned)geteuid());

	CU_ASSERT_EQUAL_FATAL(program_run(argv, true, 20000, &end, &err), 0);
	CU_ASSERT_EQUAL(end.status, 0);
	CU_ASSERT_EQUAL(end.out.len, RUN_OUTPUT_MAX);
	CU_ASSERT_EQUAL(strlen(end.out.text), RUN_OUTPUT_MAX);
	CU_ASSERT_TRUE(end.err.len <= RUN_OUTPUT_MAX && end.err.len > strlen(expected));
	CU_ASSERT_STRING_EQUAL(end.err.text + end.err.len - strlen(expected), expected); /* never as root */
	CU_ASSERT_EQUAL(program_run(nothing, true, 1000, &end, &err), -ENOENT);
	CU_ASSERT_STRING_EQUAL(err.message, "there is no program /nonexistent/program");
}

static void test_spans(void)
{
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = {{"1min 30s", 90000}, {"90s", 90000}, {"infinity", INT64_MAX}, {"0", 0}, {"5.500s", 5500},
		{"100ms", 100}, {"100us", 0}, {"1h 2min", 3720000}, {"1d", 86400000}, {"1w 1d", 691200000},
		{"", -1}, {"soon", -1}, {"5", -1}, {"-5s", -1}, {"5 s", -1}, {"1e300y", INT64_MAX}};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++)
		CU_ASSERT_EQUAL(unit_facts_span_ms(cases[i].text), cases[i].ms);
}

static void test_units(void)
{
	static const struct {
		const char *text;
		struct unit_facts facts;
	} cases[] = {
		{"TimeoutStartUSec=1min 30s\nTimeoutStopUSec=infinity\nUID=995\nGID=994\nUser=web\n"
		 "Group=www\nSupplementaryGroups=adm ssl\nDynamicUser=no\n",
			{"web", "www", "adm ssl", 90000, INT64_MAX}},
		{"User=\nGroup=\nUID=[not set]\nDynamicUser=no\n", {"", "", "", -1, -1}},
		{"User=root\nGroup=www\nSupplementaryGroups=adm\n", {"", "", "", -1, -1}},
		{"User=0\n", {"", "", "", -1, -1}},
		{"User=\nUID=64123\nGID=64124\nDynamicUser=yes\n", {"64123", "64124", "", -1, -1}},
		{"User=web\nUID=[not set]\nGID=[not set]\nDynamicUser=yes\n", {"", "", "", -1, -1}},
		{"User=\nUID=0\nDynamicUser=yes", {"", "", "", -1, -1}},
		{"", {"", "", "", -1, -1}},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct unit_facts facts;

		unit_facts_parse(cases[i].text, &facts);
		CU_ASSERT_STRING_EQUAL(facts.user, cases[i].facts.user);
		CU_ASSERT_STRING_EQUAL(facts.group, cases[i].facts.group);
		CU_ASSERT_STRING_EQUAL(facts.groups, cases[i].facts.groups);
		CU_ASSERT_EQUAL(facts.start_ms, cases[i].facts.start_ms);
		CU_ASSERT_EQUAL(facts.stop_ms, cases[i].facts.stop_ms);
	}
}

#define RUNNING  "Running as unit: run-u7.service\n"
#define FINISHED "Finished with result: "

/* systemd-run says these things among what the command says. */
static void test_transient_units(void)
{
	static const struct {
		const char *text;
		int exit; /* of systemd-run */
		bool ran;
		struct program_end end;
		const char *left;
	} cases[] = {
		{RUNNING FINISHED "success\nMain processes terminated with: code=exited/status=0\n", 0, true,
			{.status = 0}, ""},
		{RUNNING "no rows\n" FINISHED "exit-code\nMain processes...\n", 3, true, {.status = 3},
			"no rows\n"},
		{RUNNING FINISHED "timeout\n", 1, true, {.status = -1, .timed_out = true}, ""},
		{RUNNING FINISHED "signal\n", 1, true, {.status = -1, .signal = SIGABRT}, ""},
		{RUNNING FINISHED "oom-kill\n", 1, true, {.status = -1, .signal = SIGKILL}, ""},
		{RUNNING FINISHED "success\nit lies\n" FINISHED "exit-code\n", 4, true, {.status = 4},
			FINISHED "success\nit lies\n"},
		{"Failed to connect to bus: No such file or directory\n", 1, false, {.status = 1},
			"Failed to connect to bus: No such file or directory\n"},
		{"", 1, false, {.status = 1}, ""},
		{"I say " FINISHED "success\n", 1, false, {.status = 1}, "I say " FINISHED "success\n"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct program_end end = {.status = cases[i].exit};

		end.err.len = strlen(cases[i].text);
		snprintf(end.err.text, sizeof(end.err.text), "%s", cases[i].text);
		CU_ASSERT_EQUAL(app_command_read_end(&end), cases[i].ran);
		CU_ASSERT_EQUAL(end.status, cases[i].end.status);
		CU_ASSERT_EQUAL(end.signal, cases[i].end.signal);
		CU_ASSERT_EQUAL(end.timed_out, cases[i].end.timed_out);
		CU_ASSERT_STRING_EQUAL(end.err.text, cases[i].left);
	}
}

static void test_why_a_command_says_no(void)
{
	static char path[] = "/usr/bin/pg_isready";
	char *items[] = {path, NULL};
	const struct app_strings command = {.items = items, .count = 1};
	static const struct {
		struct program_end end;
		bool well;
		const char *detail;
	} cases[] = {
		{{.status = 0}, true, ""},
		{{.status = 2, .out = {.text = "no response\nmore"}}, false,
			"pg_isready exited with status 2: no response"},
		{{.status = 1, .out = {.text = "out"}, .err = {.text = "\n bad\a\n"}}, false,
			"pg_isready exited with status 1: bad?"},
		{{.status = 127}, false, "pg_isready could not be executed"},
		{{.status = -1, .timed_out = true}, false, "pg_isready did not end within 5 s"},
		{{.status = -1, .signal = SIGSEGV}, false, "pg_isready was killed by a signal"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		char detail[256] = "";

		CU_ASSERT_EQUAL(app_command_well(&command, &cases[i].end, 5000, detail, sizeof(detail)),
			cases[i].well);
		CU_ASSERT_STRING_EQUAL(detail, cases[i].detail);
		if (strcmp(detail, cases[i].detail) != 0)
			printf("# %s\n", detail);
	}
}

static void test_deadlines(void)
{
	struct app app = {.timeout_ms = 7000};
	static char driver[] = "simulated";

	app.service_driver = driver;
	CU_ASSERT_EQUAL(unit_facts_timeout_ms(&app), 7000);
	app.timeout_ms = 0; /* its manager tells nothing */
	CU_ASSERT_EQUAL(unit_facts_timeout_ms(&app), APP_TIMEOUT_MS);
}

int main(void)
{
	static const struct unit_test tests[] = {UNIT_TEST(test_programs_end),
		UNIT_TEST(test_programs_are_bounded), UNIT_TEST(test_spans), UNIT_TEST(test_units),
		UNIT_TEST(test_transient_units), UNIT_TEST(test_why_a_command_says_no),
		UNIT_TEST(test_deadlines), {0}};

	return unit_run((const struct unit_suite[]){{"health", tests}, {0}});
}
