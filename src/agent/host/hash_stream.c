#include "agent/host/hash_stream.h"
#include <openssl/evp.h>

struct hash_stream {
	EVP_MD_CTX *sha256, *blake2b;
};

static void FLEET_NORETURN give_up(void)
{
	fprintf(stderr, "libcrypto cannot compute SHA-256 or BLAKE2b-512\n");
	abort();
}

struct hash_stream *hash_stream_new(void)
{
	struct hash_stream *s = xcalloc(1, sizeof(*s));

	s->sha256 = EVP_MD_CTX_new();
	s->blake2b = EVP_MD_CTX_new();
	if (!s->sha256 || !s->blake2b || EVP_DigestInit_ex(s->sha256, EVP_sha256(), NULL) != 1 ||
		EVP_DigestInit_ex(s->blake2b, EVP_blake2b512(), NULL) != 1)
		give_up();
	return s;
}

void hash_stream_add(struct hash_stream *s, const void *data, size_t len)
{
	if (EVP_DigestUpdate(s->sha256, data, len) != 1 || EVP_DigestUpdate(s->blake2b, data, len) != 1)
		give_up();
}

void hash_stream_end(
	struct hash_stream *s, char ret_sha256[FLEET_SHA256_HEX], unsigned char ret_blake2b[HASH_BLAKE2B_LEN])
{
	unsigned char digest[FLEET_SHA256_LEN];
	unsigned len = 0, blake_len = 0;

	if (EVP_DigestFinal_ex(s->sha256, digest, &len) != 1 || len != sizeof(digest) ||
		EVP_DigestFinal_ex(s->blake2b, ret_blake2b, &blake_len) != 1 || blake_len != HASH_BLAKE2B_LEN)
		give_up();
	for (size_t i = 0; i < sizeof(digest); i++)
		(void)snprintf(ret_sha256 + 2 * i, 3, "%02x", digest[i]);
}

void hash_stream_free(struct hash_stream *s)
{
	if (!s)
		return;
	EVP_MD_CTX_free(s->sha256);
	EVP_MD_CTX_free(s->blake2b);
	free(s);
}
