#include "agent/admin/admin.h"
#include "agent/config.h"
#include "fleet/log.h"
#include "fleet/text.h"

enum {
	OPT_ENV_FILE = 1,
	OPT_APPS_DIR = 2,
	OPT_DRIVER_DIR = 4,
	OPT_STATE_DIR = 8,
	OPT_DATA_DIR = 16,
	OPT_HOST_SOCKET = 32,
	OPT_FOR = 64,
	OPT_REASON = 128,
	OPT_JSON = 256,
};

/* The one place that says which verbs there are, and what each takes. */
static const struct verb {
	const char *name, *words, *summary;
	size_t words_min, words_max;
	unsigned options;
	int (*run)(const struct admin *a);
} verbs[] = {
	{"status", "", "what agent and driver host know: the console, apps, drivers, commands, holds", 0, 0,
		OPT_JSON | OPT_DATA_DIR | OPT_HOST_SOCKET | OPT_ENV_FILE, admin_status},
	{"check", "[FILE|DIR]...", "what is wrong with agent.env and apps.d, before a reload", 0,
		ADMIN_WORDS_MAX, OPT_ENV_FILE | OPT_APPS_DIR | OPT_DRIVER_DIR, admin_check},
	{"suggest", "UNIT", "the declaration of an app, made of what its unit says", 1, 1, OPT_APPS_DIR,
		admin_suggest},
	{"allowed", "[APP]", "what the console may do here, in sentences", 0, 1,
		OPT_APPS_DIR | OPT_DRIVER_DIR | OPT_STATE_DIR, admin_allowed},
	{"rollback", "APP", "return to the version before the last update", 1, 1, OPT_HOST_SOCKET,
		admin_rollback},
	{"hold", "APP", "refuse the console's commands for this app, for a while", 1, 1,
		OPT_FOR | OPT_REASON | OPT_HOST_SOCKET, admin_hold},
	{"unhold", "APP", "take them again", 1, 1, OPT_HOST_SOCKET, admin_unhold},
};

static const struct option {
	const char *name, *value, *help;
	unsigned bit;
	size_t offset;
} options[] = {
#define FIELD(name) offsetof(struct admin, name)
	{"json", NULL, "JSON instead of text", OPT_JSON, FIELD(json)},
	{"for", "TIME", "how long, as 30m or 2h, at most 30d; must be given", OPT_FOR, FIELD(duration)},
	{"reason", "TEXT", "why; the console shows it; must be given", OPT_REASON, FIELD(reason)},
	{"env-file", "FILE", "the agent's settings [" AGENT_ENV_FILE "]", OPT_ENV_FILE, FIELD(env_file)},
	{"apps-dir", "DIR", "declared apps [" AGENT_APPS_DIR "]", OPT_APPS_DIR, FIELD(apps_dir)},
	{"driver-dir", "DIR", "drivers [../lib/drivers beside the program]", OPT_DRIVER_DIR,
		FIELD(driver_dir)},
	{"state-dir", "DIR", "the driver host's state [/var/lib/fleet-driver-host]", OPT_STATE_DIR,
		FIELD(state_dir)},
	{"data-dir", "DIR", "the agent's data [" AGENT_DATA_DIR "]", OPT_DATA_DIR, FIELD(data_dir)},
	{"host-socket", "PATH", "the driver host's socket [" AGENT_HOST_SOCKET "]", OPT_HOST_SOCKET,
		FIELD(host_socket)},
#undef FIELD
};

/* ---- output ---- */

void admin_say(FILE *out, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	fleet_text_sanitize(text);
	fprintf(out, "%s\n", text);
}

int admin_fail(const struct fleet_error *err)
{
	admin_say(stderr, "fleet-agent: %s", err->message);
	return ADMIN_FAILED;
}

static void entry(const char *left, const char *right)
{
	printf("  %-24s %s\n", left, right);
}

static void write_options(unsigned bits)
{
	for (size_t i = 0; i < FLEET_ARRAY_LEN(options); i++) {
		_cleanup_free_ char *left = xasprintf("--%s%s%s", options[i].name,
			options[i].value ? " " : "", options[i].value ? options[i].value : "");

		if (options[i].bit & bits)
			entry(left, options[i].help);
	}
	entry("--help", "print this");
}

static void write_help(const struct verb *verb)
{
	unsigned all = 0;

	if (verb) {
		printf("Usage: fleet-agent %s%s%s [OPTION]...\n\n%s.\n\n", verb->name,
			*verb->words ? " " : "", verb->words, verb->summary);
		write_options(verb->options);
		return;
	}
	printf("Usage: fleet-agent VERB ... [OPTION]...\n\n"
	       "For the admin on this server, as root, whether the console is there or not.\n\n");
	for (size_t i = 0; i < FLEET_ARRAY_LEN(verbs); i++) {
		_cleanup_free_ char *left = xasprintf("%s %s", verbs[i].name, verbs[i].words);

		entry(left, verbs[i].summary);
		all |= verbs[i].options;
	}
	printf("\nOptions, each where it has a meaning (fleet-agent VERB --help):\n\n");
	write_options(all);
	printf("\nExit status: 0 done, and all is well; 1 it is not; 2 wrong usage.\n"
	       "The agent itself is fleet-agent without a verb: fleet-agent --help.\n");
}

static int misused(const struct verb *verb, const struct fleet_error *err)
{
	admin_say(stderr, "fleet-agent: %s", err->message);
	admin_say(stderr, "Try: fleet-agent %s%s", verb ? verb->name : "help", verb ? " --help" : "");
	return ADMIN_USAGE;
}

/* ---- the command line ---- */

static const struct verb *find_verb(const char *word, struct fleet_error *err)
{
	const char *names[FLEET_ARRAY_LEN(verbs)], *near;

	for (size_t i = 0; i < FLEET_ARRAY_LEN(verbs); i++) {
		if (str_equal(word, verbs[i].name))
			return &verbs[i];
		names[i] = verbs[i].name;
	}
	near = fleet_text_nearest(word, names, FLEET_ARRAY_LEN(names));
	(void)fleet_error_set(err, -EINVAL, "there is no verb '%s'%s%s%s", word,
		near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	return NULL;
}

static const struct option *find_option(
	const struct verb *verb, const char *name, size_t len, struct fleet_error *err)
{
	const char *names[FLEET_ARRAY_LEN(options)], *near;
	_cleanup_free_ char *word = xstrndup(name, len);
	size_t count = 0;

	for (size_t i = 0; i < FLEET_ARRAY_LEN(options); i++) {
		if (!(options[i].bit & verb->options))
			continue;
		if (str_equal(options[i].name, word))
			return &options[i];
		names[count++] = options[i].name;
	}
	near = fleet_text_nearest(word, names, count);
	(void)fleet_error_set(err, -EINVAL, "%s takes no option --%s%s%s%s", verb->name, word,
		near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
	return NULL;
}

/* *i: moved on where the value is the next argument. */
static int parse_option(const struct verb *verb, int argc, char *const argv[], int *i, struct admin *a,
	struct fleet_error *err)
{
	const char *name = argv[*i] + 2, *value;
	size_t len = strcspn(name, "=");
	const struct option *o = find_option(verb, name, len, err);
	void *field;

	if (!o)
		return -EINVAL;
	field = (char *)a + o->offset;
	if (!o->value) {
		if (name[len])
			return fleet_error_set(err, -EINVAL, "--%s takes no value", o->name);
		*(bool *)field = true;
		return 0;
	}
	value = name[len] ? name + len + 1 : *i + 1 < argc ? argv[++*i] : NULL;
	if (str_empty(value))
		return fleet_error_set(
			err, -EINVAL, "--%s needs a value: --%s %s", o->name, o->name, o->value);
	*(const char **)field = value;
	return 0;
}

/* 1: help was asked for. */
static int parse(
	const struct verb *verb, int argc, char *const argv[], struct admin *a, struct fleet_error *err)
{
	bool words_only = false;

	for (int i = 2; i < argc; i++) {
		int r = 0;

		if (!words_only && str_equal(argv[i], "--")) {
			words_only = true;
		} else if (!words_only && (str_equal(argv[i], "--help") || str_equal(argv[i], "-h"))) {
			return 1;
		} else if (!words_only && str_starts(argv[i], "-")) {
			r = str_starts(argv[i], "--")
				    ? parse_option(verb, argc, argv, &i, a, err)
				    : fleet_error_set(
					      err, -EINVAL, "options are long, as --help; not %s", argv[i]);
		} else if (a->word_count >= verb->words_max) {
			r = fleet_error_set(err, -EINVAL, "'%s' is one word too many", argv[i]);
		} else {
			a->words[a->word_count++] = argv[i];
		}
		if (r < 0)
			return r;
	}
	if (a->word_count < verb->words_min)
		return fleet_error_set(err, -EINVAL, "%s is missing", verb->words);
	return 0;
}

int admin_run(int argc, char *const argv[])
{
	struct admin a = {.env_file = AGENT_ENV_FILE,
		.apps_dir = AGENT_APPS_DIR,
		.state_dir = "/var/lib/fleet-driver-host",
		.data_dir = AGENT_DATA_DIR,
		.host_socket = AGENT_HOST_SOCKET};
	struct fleet_error err = FLEET_ERROR_INIT;
	const struct verb *verb;
	int r;

	fleet_log_init("fleet-agent", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	if (argc < 2 || str_equal(argv[1], "help") || str_equal(argv[1], "--help")) {
		write_help(NULL);
		return argc < 2 ? ADMIN_USAGE : ADMIN_OK;
	}
	verb = find_verb(argv[1], &err);
	if (!verb)
		return misused(NULL, &err);
	r = parse(verb, argc, argv, &a, &err);
	if (r < 0)
		return misused(verb, &err);
	if (r > 0) {
		write_help(verb);
		return ADMIN_OK;
	}
	r = verb->run(&a);
	if (fflush(stdout) != 0 && r == ADMIN_OK)
		r = ADMIN_FAILED;
	return r;
}
