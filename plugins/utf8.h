/* UTF-8, strictly (RFC 3629): no surrogates, nothing longer than needed. */
#ifndef PLUGINS_UTF8_H
#define PLUGINS_UTF8_H
#include <stddef.h>
#include <stdint.h>

/* Bytes of the well-formed sequence that s begins with, at most len; 0 where there is none. */
static inline size_t utf8_sequence(const char *s, size_t len)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t n;

	if (len == 0)
		return 0;
	if (u[0] < 0x80)
		return 1;
	n = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : 2;
	if (u[0] < 0xc2 || u[0] > 0xf4 || len < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f) || (u[0] == 0xf0 && u[1] < 0x90) ||
		(u[0] == 0xf4 && u[1] > 0x8f))
		return 0;
	return n;
}

/* How much of s[0..len) may be shown where there is room for `most` bytes: no character is cut. */
static inline size_t utf8_cut(const char *s, size_t len, size_t most)
{
	if (len <= most)
		return len;
	while (most > 0 && ((unsigned char)s[most] & 0xc0) == 0x80)
		most--;
	return most;
}

/* Writes the code point, which is no surrogate and at most 0x10ffff; returns the length. */
static inline size_t utf8_encode(uint32_t code, char out[4])
{
	static const unsigned char lead[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
	size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

	for (size_t i = n - 1; i > 0; i--, code >>= 6)
		out[i] = (char)(0x80 | (code & 0x3f));
	out[0] = (char)(lead[n] | code);
	return n;
}

#endif
