/* What fleet-unpack tells about an archive, on its pipe: what the driver host (extract.c) reads, and judges
 * as hostile again before it writes a file. Both ends are of one build, on one machine. */
#ifndef UNPACK_WIRE_H
#define UNPACK_WIRE_H
#include <stdint.h>

/* In this order for each entry: the head, path_len bytes of its name, link_len bytes of where a link leads;
 * then for EXTRACT_FILE its bytes in chunks, each a uint32_t and so many bytes, 0 at the end. */
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
/* Instead of a chunk: the file's rest cannot be had; a sentence follows as an entry. */
#define EXTRACT_CHUNK_ERROR UINT32_MAX

/* The descriptors that it is started with. */
#define UNPACK_ARTIFACT_FD 3 /* read-only */
#define UNPACK_PIPE_FD     4

#endif
