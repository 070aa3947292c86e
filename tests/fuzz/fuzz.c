#include "fuzz.h"
#include <stdarg.h>

void fuzz_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "# %s:%d: ", file, line);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	abort();
}

bool fuzz_next_line(struct fuzz_text *rest, struct fuzz_text *ret_line)
{
	const char *newline;

	if (rest->len == 0)
		return false;
	newline = memchr(rest->data, '\n', rest->len);
	ret_line->data = rest->data;
	ret_line->len = newline ? (size_t)(newline - rest->data) : rest->len;
	rest->data += ret_line->len + (newline ? 1 : 0);
	rest->len -= ret_line->len + (newline ? 1 : 0);
	return true;
}
