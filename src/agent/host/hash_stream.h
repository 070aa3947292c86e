/* The hashes of bytes that pass: SHA-256, which a command names, and BLAKE2b-512, which a minisign signature
 * covers. Pure; used in operation children. */
#ifndef HOST_HASH_STREAM_H
#define HOST_HASH_STREAM_H
#include "fleet/encode.h"

#define HASH_BLAKE2B_LEN 64

struct hash_stream;

struct hash_stream *hash_stream_new(void);
void hash_stream_add(struct hash_stream *s, const void *data, size_t len);
/* Once, at the end. */
void hash_stream_end(struct hash_stream *s, char ret_sha256[FLEET_SHA256_HEX],
	unsigned char ret_blake2b[HASH_BLAKE2B_LEN]);
void hash_stream_free(struct hash_stream *s);
FLEET_DEFINE_CLEANUP(struct hash_stream *, hash_stream_free)

#endif
