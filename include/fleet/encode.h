/* Bytes to text and back: hex, base64url without padding (RFC 4648 section 5), SHA-256 (FIPS 180-4).
 * Pure; any thread. */
#ifndef FLEET_ENCODE_H
#define FLEET_ENCODE_H
#include "fleet/error.h"

/* Owned by the caller. */
char *fleet_hex_encode(const void *data, size_t len);
int fleet_hex_decode(
	const char *text, size_t text_len, void *out, size_t out_len) FLEET_MUST_CHECK; /* -EINVAL */
int fleet_hex_value(char c); /* of one digit; -1: it is none */
char *fleet_base64url_encode(const void *data, size_t len);
/* Strict: no padding, no white space, no stray bits. *ret_data owned, NUL-terminated. -EINVAL. */
int fleet_base64url_decode(
	const char *text, size_t text_len, unsigned char **ret_data, size_t *ret_len) FLEET_MUST_CHECK;

#define FLEET_SHA256_LEN 32
#define FLEET_SHA256_HEX (2 * FLEET_SHA256_LEN + 1)
void fleet_sha256(const void *data, size_t len, unsigned char ret_digest[FLEET_SHA256_LEN]);
void fleet_sha256_hex(const void *data, size_t len, char ret_hex[FLEET_SHA256_HEX]);

/* The same of what comes piece by piece (encode_stream.c). */
struct fleet_sha256_stream;
struct fleet_sha256_stream *fleet_sha256_stream_new(void); /* owned */
void fleet_sha256_stream_add(struct fleet_sha256_stream *stream, const void *data, size_t len);
/* Once, at the end. */
void fleet_sha256_stream_end(struct fleet_sha256_stream *stream, char ret_hex[FLEET_SHA256_HEX]);
void fleet_sha256_stream_free(struct fleet_sha256_stream *stream); /* accepts NULL */

#endif
