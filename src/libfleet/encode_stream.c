#include <openssl/evp.h>
#include "fleet/encode.h"

struct fleet_sha256_stream {
	EVP_MD_CTX *context;
};

static void FLEET_NORETURN give_up(void)
{
	fprintf(stderr, "libcrypto cannot compute SHA-256\n");
	abort();
}

struct fleet_sha256_stream *fleet_sha256_stream_new(void)
{
	struct fleet_sha256_stream *stream = xcalloc(1, sizeof(*stream));

	stream->context = EVP_MD_CTX_new();
	if (!stream->context || EVP_DigestInit_ex(stream->context, EVP_sha256(), NULL) != 1)
		give_up();
	return stream;
}

void fleet_sha256_stream_add(struct fleet_sha256_stream *stream, const void *data, size_t len)
{
	if (EVP_DigestUpdate(stream->context, data, len) != 1)
		give_up();
}

void fleet_sha256_stream_end(struct fleet_sha256_stream *stream, char ret_hex[FLEET_SHA256_HEX])
{
	unsigned char digest[FLEET_SHA256_LEN];
	unsigned len = 0;

	if (EVP_DigestFinal_ex(stream->context, digest, &len) != 1 || len != sizeof(digest))
		give_up();
	for (size_t i = 0; i < sizeof(digest); i++)
		(void)snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]); /* fits */
}

void fleet_sha256_stream_free(struct fleet_sha256_stream *stream)
{
	if (!stream)
		return;
	EVP_MD_CTX_free(stream->context);
	free(stream);
}
