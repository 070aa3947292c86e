/* Texts that are made of lines, for format drivers: where a line ends, how, and where a fault stands. */
#ifndef PLUGINS_LINES_H
#define PLUGINS_LINES_H
#include <errno.h>
#include "fleet/driver.h"
#include "text.h"
#include "utf8.h"

/* One line of a text: [start, end) without, [start, next) with its line end. */
struct line {
	size_t start, end, next;
};

static inline bool line_is_blank_char(char c)
{
	return c == ' ' || c == '\t';
}

/* Bytes of a byte order mark at the text's start. */
static inline size_t lines_bom(const char *s, size_t len)
{
	return len >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

static inline struct line line_at(const char *s, size_t len, size_t at)
{
	const char *newline = at < len ? memchr(s + at, '\n', len - at) : NULL;
	struct line line = {
		at, newline ? (size_t)(newline - s) : len, newline ? (size_t)(newline - s) + 1 : len};

	if (newline && line.end > at && s[line.end - 1] == '\r')
		line.end--;
	return line;
}

/* First place in [at, end) that is no blank, and the end of [at, end) without the blanks behind. */
static inline size_t line_skip_blanks(const char *s, size_t at, size_t end)
{
	while (at < end && line_is_blank_char(s[at]))
		at++;
	return at;
}
static inline size_t line_trim(const char *s, size_t at, size_t end)
{
	while (end > at && line_is_blank_char(s[end - 1]))
		end--;
	return end;
}

/* How the line before `at` ends, else the one at `at`, else the text's first. Borrowed from the text, or a
 * constant. */
static inline const char *lines_ending(const char *s, size_t len, size_t at)
{
	const char *newline = NULL;

	if (at > 0 && s[at - 1] == '\n')
		return at > 1 && s[at - 2] == '\r' ? "\r\n" : "\n";
	if (at < len)
		newline = memchr(s + at, '\n', len - at);
	if (!newline && len > 0)
		newline = memchr(s, '\n', len);
	return newline && newline > s && newline[-1] == '\r' ? "\r\n" : "\n";
}

/* Fills *err with the sentence and the line and column of `at`; returns code. */
static inline int lines_fail(
	const char *s, size_t len, size_t at, struct fleet_driver_error *err, int code, const char *why)
{
	size_t start = lines_bom(s, len);
	uint32_t line = 1;

	for (size_t i = start; i < at && i < len; i++) {
		if (s[i] == '\n') {
			line++;
			start = i + 1;
		}
	}
	return fleet_driver_fail(err, code, line, at >= start ? (uint32_t)(at - start + 1) : 1, "%s", why);
}

/* The first byte of [at, end) that begins no UTF-8 sequence, or end. */
static inline size_t lines_bad_utf8(const char *s, size_t at, size_t end)
{
	while (at < end) {
		size_t n = utf8_sequence(s + at, end - at);

		if (n == 0)
			return at;
		at += n;
	}
	return end;
}

#endif
