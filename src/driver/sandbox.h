/* What a format driver is left with. Two steps: before its code is loaded, the privileges go; before it sees
 * the file's bytes, everything but memory and the answer's pipe. Called in call children only. Builds with
 * FLEET_UNSANDBOXED (sanitizers, coverage: their runtimes need more) skip both. */
#ifndef DRIVER_SANDBOX_H
#define DRIVER_SANDBOX_H
#include "fleet/error.h"

/* User nobody, no groups, no capabilities (as root); no new privileges, no children, bounded memory. */
int driver_sandbox_drop_privileges(struct fleet_error *err) FLEET_MUST_CHECK;
/* An empty Landlock ruleset where the kernel has it; then, for all threads, a filter that kills the process
 * on any system call but those for memory, for writing to pipe_fd, and for the end. */
int driver_sandbox_close(int pipe_fd, struct fleet_error *err) FLEET_MUST_CHECK;
/* The same for one who reads a file as well, by pread and from this descriptor alone. */
int driver_sandbox_close_reading(int pipe_fd, int file_fd, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
