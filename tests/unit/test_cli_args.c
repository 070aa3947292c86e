#include "cli/args.h"
#include "cli/commands.h"
#include "cli/usage.h"
#include "unit.h"

#define ARGV_MAX 12

static int parse(const char *line, struct cli_args *args, struct fleet_error *err)
{
	static char buffer[512];
	static char *argv[ARGV_MAX];
	int argc = 1;
	char *save = NULL;

	(void)snprintf(buffer, sizeof(buffer), "%s", line);
	argv[0] = (char *)(uintptr_t) "fleetctl";
	for (char *word = strtok_r(buffer, " ", &save); word && argc < ARGV_MAX;
		word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	return cli_args_parse(&cli_tree, argc, argv, args, err);
}

static void test_refuses_wrong_lines(void)
{
	static const struct {
		const char *line, *message;
	} cases[] = {
		{"", ""},
		{"agents", ""},
		{"agnts list", "Unknown command 'agnts'. Did you mean 'fleetctl agents'?"},
		{"agents lst", "Unknown command 'lst'. Did you mean 'fleetctl agents list'?"},
		{"xyzzyxyzzy", "Unknown command 'xyzzyxyzzy'"},
		{"agents list --jsn", "Unknown option '--jsn'. Did you mean --json?"},
		{"agents list --jsn=1", "Unknown option '--jsn'. Did you mean --json?"},
		{"agents list --qqqqqqqqqqqq", "Unknown option '--qqqqqqqqqqqq'"},
		{"agents list -j", "Unknown option '-j': options are long, as --help"},
		{"agents list --json=yes", "--json takes no value"},
		{"agents list --json --json", "--json is given twice"},
		{"agents list extra", "'extra' is one word too many"},
		{"agents status", "AGENT is missing"},
		{"apps restart a", "APP is missing"},
		{"apps restart a b c", "'c' is one word too many"},
		{"artifacts add a", "--version VERSION is missing"},
		{"apps update a b --artifact u", "--version VERSION is missing"},
		{"apps update a b --version", "--version needs a value: --version VERSION"},
		{"login", "--url URL is missing"},
		{"audit --last", "--last needs a value: --last N"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_(cli_args_done) struct cli_args args = {0};
		struct fleet_error err = FLEET_ERROR_INIT;

		CU_ASSERT_EQUAL(parse(cases[i].line, &args, &err), -EINVAL);
		CU_ASSERT_STRING_EQUAL(err.message, cases[i].message);
		if (strcmp(err.message, cases[i].message) != 0)
			printf("# '%s': '%s'\n", cases[i].line, err.message);
	}
}

static void test_takes_words_and_options_in_any_order(void)
{
	static const char *const lines[] = {
		"apps update agent-001 app-a --version 2.1.0 --artifact=http://x/a?b=c --wait",
		"apps --version 2.1.0 update agent-001 app-a --artifact http://x/a?b=c --wait",
		"apps update --wait agent-001 --version=2.1.0 --artifact http://x/a?b=c app-a",
		"apps update --wait --version=2.1.0 --artifact http://x/a?b=c -- agent-001 app-a",
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(lines); i++) {
		_cleanup_(cli_args_done) struct cli_args args = {0};
		struct fleet_error err = FLEET_ERROR_INIT;
		int r = parse(lines[i], &args, &err);

		if (i == 1) { /* before the command is known, --version is the program's own */
			CU_ASSERT_EQUAL(r, -EINVAL);
			continue;
		}
		CU_ASSERT_EQUAL_FATAL(r, 0);
		CU_ASSERT_STRING_EQUAL(args.path, "fleetctl apps update");
		CU_ASSERT_STRING_EQUAL(args.words[0], "agent-001");
		CU_ASSERT_STRING_EQUAL(args.words[1], "app-a");
		CU_ASSERT_STRING_EQUAL(cli_args_get(&args, "version", ""), "2.1.0");
		CU_ASSERT_STRING_EQUAL(cli_args_get(&args, "artifact", ""), "http://x/a?b=c");
		CU_ASSERT_TRUE(cli_args_has(&args, "wait"));
		CU_ASSERT_FALSE(cli_args_has(&args, "json"));
		CU_ASSERT_STRING_EQUAL(cli_args_get(&args, "timeout", "none"), "none");
	}
}

static void test_asks_for_help_and_version_anywhere(void)
{
	static const struct {
		const char *line, *path;
		bool help, version;
	} cases[] = {
		{"--help", "fleetctl", true, false},
		{"-h", "fleetctl", true, false},
		{"help", "fleetctl", true, false},
		{"help apps", "fleetctl apps", true, false},
		{"help apps restart", "fleetctl apps restart", true, false},
		{"apps --help", "fleetctl apps", true, false},
		{"apps restart --help", "fleetctl apps restart", true, false},
		{"apps restart a --help", "fleetctl apps restart", true, false},
		{"--version", "fleetctl", false, true},
		{"agents list --version", "fleetctl agents list", false, true},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_(cli_args_done) struct cli_args args = {0};
		struct fleet_error err = FLEET_ERROR_INIT;

		CU_ASSERT_EQUAL(parse(cases[i].line, &args, &err), 0);
		CU_ASSERT_STRING_EQUAL(args.path, cases[i].path);
		CU_ASSERT_EQUAL(args.help, cases[i].help);
		CU_ASSERT_EQUAL(args.version, cases[i].version);
	}
}

static void test_keeps_repeated_options_in_order(void)
{
	_cleanup_(cli_args_done) struct cli_args args = {0};
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL_FATAL(parse("apps config a b --set x=1 --unset y --set z=2", &args, &err), 0);
	CU_ASSERT_EQUAL_FATAL(args.given_len, 3);
	CU_ASSERT_STRING_EQUAL(args.given[0].value, "x=1");
	CU_ASSERT_STRING_EQUAL(args.given[1].option->name, "unset");
	CU_ASSERT_STRING_EQUAL(args.given[2].value, "z=2");
}

static void test_reads_numbers_within_bounds(void)
{
	static const struct {
		const char *line;
		long value; /* 0: refused */
	} cases[] = {
		{"audit", 20},
		{"audit --last 5", 5},
		{"audit --last 100", 100},
		{"audit --last 0", 0},
		{"audit --last -3", 0},
		{"audit --last 101", 0},
		{"audit --last 5x", 0},
		{"audit --last=", 0},
		{"audit --last 99999999999999999999", 0},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_(cli_args_done) struct cli_args args = {0};
		struct fleet_error err = FLEET_ERROR_INIT;
		long value = 0;
		int r;

		CU_ASSERT_EQUAL_FATAL(parse(cases[i].line, &args, &err), 0);
		r = cli_args_number(&args, "last", 100, 20, &value, &err);
		CU_ASSERT_EQUAL(r, cases[i].value ? 0 : -EINVAL);
		if (cases[i].value)
			CU_ASSERT_EQUAL(value, cases[i].value);
	}
}

/* Every command must be able to explain itself, and every option must say what it does. */
static void check_command(const struct cli_command *c)
{
	CU_ASSERT_TRUE(!str_empty(c->summary));
	CU_ASSERT_TRUE(c->run != NULL || c->children != NULL);
	for (const struct cli_option *o = c->options; o && o->name; o++) {
		CU_ASSERT_TRUE(!str_empty(o->help));
		CU_ASSERT_TRUE(strlen(o->name) > 1);
	}
	for (const struct cli_command *child = c->children; child && child->name; child++)
		check_command(child);
}

static void test_every_command_explains_itself(void)
{
	check_command(&cli_tree);
}

int main(void)
{
	static const struct unit_test tests[] = {
		UNIT_TEST(test_refuses_wrong_lines),
		UNIT_TEST(test_takes_words_and_options_in_any_order),
		UNIT_TEST(test_asks_for_help_and_version_anywhere),
		UNIT_TEST(test_keeps_repeated_options_in_order),
		UNIT_TEST(test_reads_numbers_within_bounds),
		UNIT_TEST(test_every_command_explains_itself),
		{0},
	};

	return unit_run((const struct unit_suite[]){{"cli args", tests}, {0}});
}
