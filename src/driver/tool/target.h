/* The driver that a verb works on: found by name or path, asked what it is, and called. */
#ifndef TOOL_TARGET_H
#define TOOL_TARGET_H
#include "driver/call.h"
#include "driver/tool/options.h"

#define TOOL_APP "fleet-driver" /* the app id that drivers are told */

struct tool_target {
	char *name, *file;                  /* owned; file is absolute */
	char *version, *summary;            /* owned; NULL before tool_target_describe */
	unsigned roles;                     /* DRIVER_ROLE_*; 0 before */
	const struct fleet_option *options; /* borrowed */
	uint32_t option_count;
	char *state_dir; /* owned; NULL until somebody sets it */
	int64_t call_ms; /* how long one may take */
};

/* By path, which must be one of a file NAME.so; asks nothing yet. */
int tool_target_from_path(const char *path, const struct tool_options *options, struct tool_target *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* What --driver says; it can be used and has the format role. */
int tool_target_find(const struct tool_options *options, struct tool_target *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
int tool_target_describe(struct tool_target *t, struct fleet_error *err) FLEET_MUST_CHECK;
void tool_target_done(struct tool_target *t);

/* A call with its deadline, from now on: the host's, or a long one where somebody looks on with a debugger.
 * Borrows from t. */
struct driver_call tool_target_call(const struct tool_target *t);

/* A config file's bytes, at most as many as the host takes; - is standard input. *ret_data owned. */
int tool_file_read(
	const char *path, char **ret_data, size_t *ret_len, struct fleet_error *err) FLEET_MUST_CHECK;

/* For messages. */
const char *tool_file_name(const char *path);

#endif
