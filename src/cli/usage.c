#include "cli/usage.h"
#include "cli/complete.h"
#include "cli/exit.h"
#include "cli/output.h"

int cli_usage_fail(const struct cli_args *args, const struct fleet_error *err)
{
	size_t len = strlen(err->message);
	bool question = len && err->message[len - 1] == '?';

	output_line(stderr, "%s%s", err->message, question ? "" : ".");
	output_line(stderr, "  How it is meant: %s --help", args->path);
	return CLI_USAGE;
}

int cli_args_number(const struct cli_args *args, const char *name, long max, long otherwise, long *ret,
	struct fleet_error *err)
{
	const char *text = cli_args_get(args, name, NULL);
	char *end;
	long value;

	*ret = otherwise;
	if (!text)
		return 0;
	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || end == text || *end || value < 1 || value > max)
		return fleet_error_set(
			err, -EINVAL, "--%s takes a number from 1 to %ld, not '%s'", name, max, text);
	*ret = value;
	return 0;
}

int cli_run(const struct cli_command *tree, int argc, char **argv)
{
	_cleanup_(cli_args_done) struct cli_args args = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	int r;

	if (argc > 1 && str_equal(argv[1], CLI_COMPLETE_WORD)) /* a shell asks, no person */
		return cli_complete(tree, (size_t)argc - 2, argv + 2);
	r = cli_args_parse(tree, argc, argv, &args, &err);

	if (r < 0 && !err.message[0]) {
		cli_help_write(stderr, &args);
		return CLI_USAGE;
	}
	if (r < 0)
		return cli_usage_fail(&args, &err);
	if (args.help)
		cli_help_write(stdout, &args);
	else if (args.version)
		output_line(stdout, "fleetctl %s", PACKAGE_VERSION);
	else
		r = args.command->run(&args);
	if (!output_flush() && r == CLI_OK)
		r = CLI_FAILED;
	return r;
}
