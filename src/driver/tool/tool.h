/* fleet-driver: what somebody who writes a driver, or is about to install one, tries it out with. Calls
 * drivers exactly as the driver host does (src/driver: a child a call, the sandbox, the same proof of every
 * edit), but for one person on a terminal: one verb, one driver, then the end. Exit codes: 0 done, 1 it did
 * not work, 2 misuse. */
#ifndef TOOL_TOOL_H
#define TOOL_TOOL_H
#include "driver/tool/options.h"

enum { TOOL_DONE = 0, TOOL_FAILED = 1, TOOL_MISUSED = 2 };

struct tool_verb {
	const char *name;
	unsigned bit; /* TOOL_CHECK...: which options it takes */
	int (*run)(const struct tool_options *options);
};

int tool_main(int argc, char **argv);
/* Says err on stderr and returns TOOL_FAILED. */
int tool_fail(const struct fleet_error *err);

/* The verbs. */
int tool_check(const struct tool_options *options);
int tool_read(const struct tool_options *options);
int tool_edit(const struct tool_options *options);

#endif
