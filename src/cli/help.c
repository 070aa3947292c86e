#include "cli/args.h"

#define HELP_INDENT 26

static void entry_write(FILE *out, const char *left, const char *right)
{
	if (strlen(left) + 4 > HELP_INDENT)
		fprintf(out, "  %s\n%*s%s\n", left, HELP_INDENT, "", right);
	else
		fprintf(out, "  %-*s%s\n", HELP_INDENT - 2, left, right);
}

static void command_write(FILE *out, const struct cli_command *c)
{
	char left[80];
	size_t len = (size_t)snprintf(left, sizeof(left), "%s", c->name);

	for (size_t i = 0; c->words[i] && len < sizeof(left); i++)
		len += (size_t)snprintf(left + len, sizeof(left) - len, " %s", c->words[i]);
	if (c->children)
		(void)snprintf(left, sizeof(left), "%s ...", c->name); /* names are ours: they fit */
	entry_write(out, left, c->summary);
}

static void option_write(FILE *out, const struct cli_option *o)
{
	char left[80];
	char right[160];

	(void)snprintf(
		left, sizeof(left), "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
	(void)snprintf(right, sizeof(right), "%s%s%s", o->help, o->flags & CLI_REQUIRED ? " (required)" : "",
		o->flags & CLI_REPEATABLE ? " (repeatable)" : "");
	entry_write(out, left, right);
}

void cli_help_write(FILE *out, const struct cli_args *args)
{
	const struct cli_command *c = args->command;
	bool own_version = false;

	fprintf(out, "Usage: %s", args->path);
	if (c->children)
		fputs(c->run ? " [COMMAND]" : " COMMAND", out);
	for (size_t i = 0; c->words[i]; i++)
		fprintf(out, " %s", c->words[i]);
	for (const struct cli_option *o = c->options; o && o->name; o++)
		if (o->flags & CLI_REQUIRED)
			fprintf(out, " --%s %s", o->name, o->value);
	fprintf(out, " [OPTION]...\n\n%s.\n", c->summary);
	if (c->children) {
		fputs("\nCommands:\n", out);
		for (const struct cli_command *child = c->children; child->name; child++)
			command_write(out, child);
	}
	fputs("\nOptions:\n", out);
	for (const struct cli_option *o = c->options; o && o->name; o++) {
		option_write(out, o);
		own_version |= str_equal(o->name, "version");
	}
	entry_write(out, "--help", "show this help");
	if (!own_version)
		entry_write(out, "--version", "show the version");
	if (c->more)
		fprintf(out, "\n%s", c->more);
}
