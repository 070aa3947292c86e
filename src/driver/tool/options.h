/* fleet-driver's command line, parsed and checked, before anything is opened. Texts are borrowed from argv.
 */
#ifndef TOOL_OPTIONS_H
#define TOOL_OPTIONS_H
#include "fleet/driver.h"
#include "fleet/error.h"

enum { TOOL_CHECK = 1, TOOL_READ = 2, TOOL_EDIT = 4 };

enum tool_change_kind { TOOL_SET, TOOL_SET_STRING, TOOL_SET_JSON, TOOL_SET_FILE, TOOL_UNSET };
struct tool_change {
	enum tool_change_kind kind;
	char *key;         /* owned */
	const char *value; /* of TOOL_SET_FILE: a path or -; of TOOL_UNSET: NULL */
};

struct tool_options {
	const char *driver, *driver_dir, *samples, *exercise;
	const char *file; /* of check: the .so */
	bool json, diff, in_place, debug;
	struct fleet_option *options; /* owned, keys too */
	uint32_t option_count;
	struct tool_change *changes; /* owned */
	size_t change_count;
};

/* -EINVAL with what is wrong. Frees nothing of *ret on failure: tool_options_done does. */
int tool_options_parse(const char *verb, unsigned verb_bit, int argc, char **argv, struct tool_options *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
void tool_options_done(struct tool_options *o);

#endif
