/* What both sides of an upgrade compute and compare (RFC 6455 section 4). */
#include <openssl/evp.h>
#include <sys/random.h>
#include "ws_internal.h"

int ws_accept_of(const char *key, char ret_accept[WS_ACCEPT_LEN + 1])
{
	_cleanup_free_ char *text = xasprintf("%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	if (EVP_Digest(text, strlen(text), digest, &len, EVP_sha1(), NULL) != 1 || len != 20)
		return -EIO;
	(void)EVP_EncodeBlock((unsigned char *)ret_accept, digest, 20); /* its length is WS_ACCEPT_LEN */
	return 0;
}

int ws_key_new(char ret_key[25])
{
	unsigned char random[16];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	(void)EVP_EncodeBlock((unsigned char *)ret_key, random, sizeof(random)); /* 24 and a NUL */
	return 0;
}

bool ws_key_is_valid(const char *key)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	return key && strlen(key) == 24 && strspn(key, digits) == 22 && strcmp(key + 22, "==") == 0;
}

bool ws_has_token(const char *value, const char *token)
{
	const size_t len = strlen(token);

	while (value && *value) {
		size_t n;

		value += strspn(value, " \t,");
		n = strcspn(value, " \t,");
		if (n == len && strncasecmp(value, token, n) == 0)
			return true;
		value += n;
	}
	return false;
}
