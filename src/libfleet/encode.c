#include <openssl/sha.h>
#include "fleet/encode.h"

static const char hex_digits[] = "0123456789abcdef";

static void hex_into(const unsigned char *data, size_t len, char *out)
{
	for (size_t i = 0; i < len; i++) {
		*out++ = hex_digits[data[i] >> 4];
		*out++ = hex_digits[data[i] & 15];
	}
	*out = '\0';
}

char *fleet_hex_encode(const void *data, size_t len)
{
	char *text = xreallocarray(NULL, len + 1, 2);

	hex_into(data, len, text);
	return text;
}

int fleet_hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int fleet_hex_decode(const char *text, size_t text_len, void *out, size_t out_len)
{
	unsigned char *bytes = out;

	if (text_len % 2 != 0 || text_len / 2 != out_len)
		return -EINVAL;
	for (size_t i = 0; i < text_len; i++) {
		if (fleet_hex_value(text[i]) < 0)
			return -EINVAL;
	}
	for (size_t i = 0; i < out_len; i++)
		bytes[i] =
			(unsigned char)(fleet_hex_value(text[2 * i]) * 16 + fleet_hex_value(text[2 * i + 1]));
	return 0;
}

static const char base64url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

char *fleet_base64url_encode(const void *data, size_t len)
{
	const unsigned char *in = data;
	char *text = xreallocarray(NULL, len / 3 + 1, 5), *out = text;
	unsigned bits = 0, held = 0;

	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | in[i];
		held += 8;
		while (held >= 6) {
			held -= 6;
			*out++ = base64url_digits[bits >> held & 63];
		}
	}
	if (held > 0)
		*out++ = base64url_digits[bits << (6 - held) & 63];
	*out = '\0';
	return text;
}

static int base64url_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	return c == '_' ? 63 : -1;
}

int fleet_base64url_decode(const char *text, size_t text_len, unsigned char **ret_data, size_t *ret_len)
{
	_cleanup_free_ unsigned char *data = xmalloc(text_len / 4 * 3 + 4);
	unsigned bits = 0, held = 0;
	size_t len = 0;

	if (text_len % 4 == 1)
		return -EINVAL;
	for (size_t i = 0; i < text_len; i++) {
		int value = base64url_value(text[i]);

		if (value < 0)
			return -EINVAL;
		bits = bits << 6 | (unsigned)value;
		held += 6;
		if (held >= 8) {
			held -= 8;
			data[len++] = (unsigned char)(bits >> held);
			bits &= (1u << held) - 1;
		}
	}
	if (bits != 0)
		return -EINVAL; /* stray bits: another spelling of the same bytes */
	data[len] = '\0';
	*ret_data = TAKE_PTR(data);
	*ret_len = len;
	return 0;
}

void fleet_sha256(const void *data, size_t len, unsigned char ret_digest[FLEET_SHA256_LEN])
{
	if (!SHA256(data, len, ret_digest)) {
		fprintf(stderr, "libcrypto cannot compute SHA-256\n");
		abort();
	}
}

void fleet_sha256_hex(const void *data, size_t len, char ret_hex[FLEET_SHA256_HEX])
{
	unsigned char digest[FLEET_SHA256_LEN];

	fleet_sha256(data, len, digest);
	hex_into(digest, sizeof(digest), ret_hex);
}
