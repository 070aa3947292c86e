/* The command line against the tree of commands: which command is meant, its words, its options. The tree is
 * one const table (tree.c) that also writes the help. Everything parsed is borrowed from argv. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H
#include "fleet/error.h"

enum {
	CLI_REQUIRED = 1,
	CLI_REPEATABLE = 2,
};
struct cli_option {
	const char *name;  /* without the dashes; a table ends with {0} */
	const char *value; /* what its value is called in the help; NULL: a switch */
	const char *help;
	unsigned flags;
};

#define CLI_WORDS_MAX 2
struct cli_args;
struct cli_command {
	const char *name; /* a table ends with {0} */
	const char *summary;
	const char *words[CLI_WORDS_MAX + 1];    /* what must follow the command: "AGENT", "APP" */
	const struct cli_option *options;        /* NULL: none of its own */
	int (*run)(const struct cli_args *args); /* returns an enum cli_exit; NULL: nothing by itself */
	const struct cli_command *children;      /* of a group, which may be a command by itself */
	const char *more;                        /* end of its help; NULL: nothing */
};

struct cli_given {
	const struct cli_option *option;
	const char *value; /* NULL for a switch */
};
struct cli_args {
	const struct cli_command *command; /* the deepest one named */
	char path[64];                     /* how it was called: "fleetctl apps restart" */
	bool help, version;                /* asked for; words and options were not checked then */
	const char *words[CLI_WORDS_MAX + 1];
	struct cli_given *given; /* owned; in the order given */
	size_t given_len;
};

/* argv as main gets it. 0, or -EINVAL with a sentence; *args is valid either way as far as it was understood
 * (for the hint at the help) and must be given to cli_args_done. A group without a command is -EINVAL with an
 * empty message: its help is the answer. */
int cli_args_parse(const struct cli_command *root, int argc, char **argv, struct cli_args *args,
	struct fleet_error *err) FLEET_MUST_CHECK;
void cli_args_done(struct cli_args *args);

bool cli_args_has(const struct cli_args *args, const char *option);
/* The option's (last) value, or otherwise. Borrowed. */
const char *cli_args_get(const struct cli_args *args, const char *option, const char *otherwise);

/* Help of one command or group, from the same table. */
void cli_help_write(FILE *out, const struct cli_args *args);

#endif
