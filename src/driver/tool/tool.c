#include "driver/tool/tool.h"
#include "fleet/log.h"
#include "fleet/text.h"

static const char help[] =
	"Usage: fleet-driver check FILE.so [--samples DIR] [--option KEY=VALUE]... [--exercise SERVICE]\n"
	"       fleet-driver read --driver DRIVER [--json] FILE\n"
	"       fleet-driver edit --driver DRIVER [CHANGE]... [--diff | --in-place] FILE\n"
	"\n"
	"Tries a Fleet driver out, without agent or console, exactly as a server would call it.\n"
	"\n"
	"check puts the driver through the conformance suite and prints TAP, with the reason for each "
	"failure.\n"
	"  --samples DIR       config files of its format; those in DIR/refused must be refused\n"
	"  --exercise SERVICE  start, stop and restart this service for real (nothing is, without)\n"
	"\n"
	"read prints what the file says: a table, or JSON. FILE - is standard input.\n"
	"  --json              an object with an array of {key, type, value}\n"
	"\n"
	"edit prints the new bytes, after the proof that they say what was asked for and nothing else.\n"
	"  --set KEY=VALUE     keeps the type of a value that is there, where VALUE fits it\n"
	"  --set-string K=V, --set-json K=V, --set-file K=PATH|-, --unset KEY\n"
	"  --diff              print the difference instead\n"
	"  --in-place          replace the file, whole or not at all\n"
	"\n"
	"Everywhere:\n"
	"  --driver DRIVER     a name, of a driver in the driver directory, or the path of a .so\n"
	"  --driver-dir DIR    where drivers are [../lib/drivers from this program, else " DRIVERDIR "]\n"
	"  --option KEY=VALUE  what an admin would write below config_options or service_options\n"
	"  --debug             show the driver's debug lines too, and give each call an hour, as gdb needs "
	"it\n"
	"  --help, --version\n"
	"\n"
	"Exit status: 0 done, 1 it did not work (check: a test failed), 2 misuse.\n";

static const struct tool_verb verbs[] = {
	{"check", TOOL_CHECK, tool_check},
	{"read", TOOL_READ, tool_read},
	{"edit", TOOL_EDIT, tool_edit},
};

int tool_fail(const struct fleet_error *err)
{
	fprintf(stderr, "fleet-driver: %s\n", err->message);
	return TOOL_FAILED;
}

static int misused(const struct fleet_error *err)
{
	fprintf(stderr, "fleet-driver: %s\nTry: fleet-driver --help\n", err->message);
	return TOOL_MISUSED;
}

static const struct tool_verb *find_verb(const char *word, struct fleet_error *err)
{
	const char *names[FLEET_ARRAY_LEN(verbs)], *near;

	for (size_t i = 0; i < FLEET_ARRAY_LEN(verbs); i++) {
		if (str_equal(word, verbs[i].name))
			return &verbs[i];
		names[i] = verbs[i].name;
	}
	near = fleet_text_nearest(word, names, FLEET_ARRAY_LEN(names));
	fleet_error_set(err, -EINVAL, "'%.80s' is none of check, read and edit%s%s%s", word,
		near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	return NULL;
}

/* What was printed must have got there: a full disk behind `> new.conf` is a failure. */
static int flush_output(int status)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fleet_error_errno(&err, errno ? -errno : -EIO, "cannot write to standard output");
	return tool_fail(&err);
}

int tool_main(int argc, char **argv)
{
	_cleanup_(tool_options_done) struct tool_options options = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	const struct tool_verb *verb;

	fleet_log_init("fleet-driver", FLEET_LOG_INFO, FLEET_LOG_FORMAT_TEXT);
	for (int i = 1; i < argc && !str_equal(argv[i], "--"); i++) {
		if (str_equal(argv[i], "--help") || str_equal(argv[i], "-h")) {
			fputs(help, stdout);
			return flush_output(TOOL_DONE);
		}
		if (str_equal(argv[i], "--version")) {
			puts("fleet-driver " PACKAGE_VERSION);
			return flush_output(TOOL_DONE);
		}
	}
	if (argc < 2) {
		fputs(help, stderr);
		return TOOL_MISUSED;
	}
	verb = find_verb(argv[1], &err);
	if (!verb || tool_options_parse(verb->name, verb->bit, argc - 2, argv + 2, &options, &err) < 0)
		return misused(&err);
	if (options.debug)
		fleet_log_init("fleet-driver", FLEET_LOG_DEBUG, FLEET_LOG_FORMAT_TEXT);
	return flush_output(verb->run(&options));
}
