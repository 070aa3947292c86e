/* From argv to an exit code: parses, answers --help and --version, tells what is wrong with a command line,
 * runs the command. What main.c calls, and what a command calls about its own options. */
#ifndef CLI_USAGE_H
#define CLI_USAGE_H
#include "cli/args.h"

int cli_run(const struct cli_command *tree, int argc, char **argv) FLEET_MUST_CHECK;
/* "<sentence>. How it is meant: ... --help" on stderr; returns CLI_USAGE. */
int cli_usage_fail(const struct cli_args *args, const struct fleet_error *err);
/* --NAME as a whole number from 1 to max; otherwise where it is not given. -EINVAL with a sentence. */
int cli_args_number(const struct cli_args *args, const char *name, long max, long otherwise, long *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;

#endif
