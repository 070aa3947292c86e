/* Runs somebody else's program to its end: no shell, descriptors of ours closed, a fixed environment, a
 * deadline, and of what it prints only as much as a person or a version needs. Blocks; used in children of
 * the host. */
#ifndef HOST_RUN_PROGRAM_H
#define HOST_RUN_PROGRAM_H
#include "fleet/error.h"

#define RUN_OUTPUT_MAX 4096

struct program_output {
	char text[RUN_OUTPUT_MAX + 1]; /* the first bytes, of errors the last; NUL-terminated */
	size_t len;
};
struct program_end {
	bool timed_out; /* then it was killed */
	int status;     /* as of exit; 127 it could not be executed; -1 none */
	int signal;     /* that killed it; 0 none */
	struct program_output out, err;
};

/* as_nobody: where we are root, the program is not, and has no privilege of ours. Fails only where nothing
 * could be run. */
int program_run(char *const *argv, bool as_nobody, int64_t timeout_ms, struct program_end *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;

#endif
