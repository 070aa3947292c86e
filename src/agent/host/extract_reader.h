/* Starting fleet-unpack, which reads an archive in a sandbox and tells what is in it (agent/unpack/wire.h).
 * Called in operation children. */
#ifndef HOST_EXTRACT_READER_H
#define HOST_EXTRACT_READER_H
#include <sys/types.h>
#include "fleet/error.h"

/* program: path of fleet-unpack. *ret_pid: to be waited for by the caller; *ret_pipe: what to read, owned. It
 * ends when nobody reads any more, or its parent ends. */
int extract_reader_start(const char *program, int artifact_fd, pid_t *ret_pid, int *ret_pipe,
	struct fleet_error *err) FLEET_MUST_CHECK;

#endif
