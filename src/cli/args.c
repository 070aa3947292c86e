#include "cli/args.h"
#include "fleet/text.h"

static const struct cli_option common_options[] = {
	{"help", NULL, "show this help", 0},
	{"version", NULL, "show the version", 0},
	{0},
};

static const struct cli_option *option_find(const struct cli_option *options, const char *name, size_t len)
{
	for (; options && options->name; options++)
		if (strlen(options->name) == len && memcmp(options->name, name, len) == 0)
			return options;
	return NULL;
}

static const struct cli_command *child_find(const struct cli_command *group, const char *name)
{
	for (const struct cli_command *c = group->children; c && c->name; c++)
		if (str_equal(c->name, name))
			return c;
	return NULL;
}

static int unknown_option(
	const struct cli_command *command, const char *arg, size_t name_len, struct fleet_error *err)
{
	_cleanup_free_ char *name = xstrndup(arg + 2, name_len);
	const char *names[64];
	size_t count = 0;
	const char *near;

	for (const struct cli_option *o = command->options; o && o->name && count < 32; o++)
		names[count++] = o->name;
	for (const struct cli_option *o = common_options; o->name; o++)
		names[count++] = o->name;
	near = fleet_text_nearest(name, names, count);
	if (near)
		return fleet_error_set(err, -EINVAL, "Unknown option '--%s'. Did you mean --%s?", name, near);
	return fleet_error_set(err, -EINVAL, "Unknown option '--%s'", name);
}

static int unknown_command(const struct cli_args *args, const char *word, struct fleet_error *err)
{
	const char *names[64];
	size_t count = 0;
	const char *near;

	for (const struct cli_command *c = args->command->children; c && c->name && count < 64; c++)
		names[count++] = c->name;
	near = fleet_text_nearest(word, names, count);
	if (near)
		return fleet_error_set(
			err, -EINVAL, "Unknown command '%s'. Did you mean '%s %s'?", word, args->path, near);
	return fleet_error_set(err, -EINVAL, "Unknown command '%s'", word);
}

static void path_add(struct cli_args *args, const char *name)
{
	size_t len = strlen(args->path);

	(void)snprintf(args->path + len, sizeof(args->path) - len, "%s%s", len ? " " : "",
		name); /* names are ours */
}

/* *i: the option's place in argv; moved on when its value is the next argument. */
static int option_parse(struct cli_args *args, int argc, char **argv, int *i, struct fleet_error *err)
{
	const char *arg = argv[*i];
	const char *equals = strchr(arg, '=');
	size_t len = equals ? (size_t)(equals - arg) - 2 : strlen(arg) - 2;
	const struct cli_option *option = option_find(args->command->options, arg + 2, len);
	const char *value = equals ? equals + 1 : NULL;

	if (!option) {
		option = option_find(common_options, arg + 2, len);
		if (!option)
			return unknown_option(args->command, arg, len, err);
	}
	if (!option->value && value)
		return fleet_error_set(err, -EINVAL, "--%s takes no value", option->name);
	if (option->value && !value) {
		if (*i + 1 >= argc)
			return fleet_error_set(err, -EINVAL, "--%s needs a value: --%s %s", option->name,
				option->name, option->value);
		value = argv[++*i];
	}
	if (option == &common_options[0])
		args->help = true;
	else if (option == &common_options[1])
		args->version = true;
	else if (!(option->flags & CLI_REPEATABLE) && cli_args_has(args, option->name))
		return fleet_error_set(err, -EINVAL, "--%s is given twice", option->name);
	else
		args->given[args->given_len++] = (struct cli_given){option, value};
	return 0;
}

static int complete_check(const struct cli_args *args, size_t words, struct fleet_error *err)
{
	if (!args->command->run)
		return fleet_error_set(err, -EINVAL, "%s", "");
	if (args->command->words[words])
		return fleet_error_set(err, -EINVAL, "%s is missing", args->command->words[words]);
	for (const struct cli_option *o = args->command->options; o && o->name; o++)
		if ((o->flags & CLI_REQUIRED) && !cli_args_has(args, o->name))
			return fleet_error_set(err, -EINVAL, "--%s %s is missing", o->name, o->value);
	return 0;
}

int cli_args_parse(
	const struct cli_command *root, int argc, char **argv, struct cli_args *args, struct fleet_error *err)
{
	bool options_over = false;
	size_t words = 0;

	*args = (struct cli_args){
		.command = root, .given = xcalloc((size_t)(argc > 0 ? argc : 1), sizeof(*args->given))};
	path_add(args, root->name);
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i];
		int r;

		if (!options_over && str_equal(arg, "--")) {
			options_over = true;
		} else if (!options_over && str_equal(arg, "-h")) {
			args->help = true;
		} else if (!options_over && str_starts(arg, "--")) {
			r = option_parse(args, argc, argv, &i, err);
			if (r < 0)
				return r;
		} else if (!options_over && arg[0] == '-' && arg[1]) {
			return fleet_error_set(
				err, -EINVAL, "Unknown option '%s': options are long, as --help", arg);
		} else if (args->command->children) {
			const struct cli_command *child = child_find(args->command, arg);

			if (!child && args->command == root && str_equal(arg, "help")) {
				args->help = true;
				continue;
			}
			if (!child)
				return unknown_command(args, arg, err);
			if (args->given_len > 0) /* of a group that is a command too */
				return fleet_error_set(err, -EINVAL, "'%s' stands before all options", arg);
			args->command = child;
			path_add(args, child->name);
		} else {
			if (!args->command->words[words] && !args->help)
				return fleet_error_set(err, -EINVAL, "'%s' is one word too many", arg);
			if (args->command->words[words])
				args->words[words++] = arg;
		}
	}
	return args->help || args->version ? 0 : complete_check(args, words, err);
}

void cli_args_done(struct cli_args *args)
{
	free(args->given);
	args->given = NULL;
	args->given_len = 0;
}

bool cli_args_has(const struct cli_args *args, const char *option)
{
	for (size_t i = 0; i < args->given_len; i++)
		if (str_equal(args->given[i].option->name, option))
			return true;
	return false;
}

const char *cli_args_get(const struct cli_args *args, const char *option, const char *otherwise)
{
	const char *value = otherwise;

	for (size_t i = 0; i < args->given_len; i++)
		if (str_equal(args->given[i].option->name, option))
			value = args->given[i].value;
	return value;
}
