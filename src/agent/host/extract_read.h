/* Reading an archive, in a process of its own that has given up its privileges and everything but memory, the
 * artifact's bytes and a pipe: libarchive sees hostile bytes there, and what comes out of the pipe is judged
 * as hostile again by whoever writes files (extract.c). Forked by an operation child. */
#ifndef HOST_EXTRACT_READ_H
#define HOST_EXTRACT_READ_H
#include <sys/types.h>
#include "fleet/error.h"

/* On the pipe, in this order for each entry: the head, path_len bytes of its name, link_len bytes of where a
 * link leads; then for EXTRACT_FILE its bytes in chunks, each a uint32_t and so many bytes, 0 at the end. */
enum extract_kind {
	EXTRACT_FILE = 1,
	EXTRACT_DIRECTORY,
	EXTRACT_SYMLINK,
	EXTRACT_HARDLINK,
	EXTRACT_OTHER, /* a device, a socket, a named pipe */
	EXTRACT_ERROR, /* the name is a sentence */
	EXTRACT_END,
};
struct extract_head {
	uint32_t kind, mode, path_len, link_len;
	uint64_t packed; /* bytes of the artifact read so far */
};
#define EXTRACT_CHUNK_MAX 65536u
#define EXTRACT_CHUNK_ERROR                                                                                  \
	UINT32_MAX /* instead of a chunk: the file's rest cannot be had; a sentence follows as an entry */

/* Forks. *ret_pipe: what to read, owned. The child dies with its parent. */
int extract_read_start(
	int artifact_fd, pid_t *ret_pid, int *ret_pipe, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
