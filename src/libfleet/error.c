#include "fleet/error.h"
#include "fleet/text.h"

#undef fleet_error_set /* what the analyzer sees elsewhere */
#undef fleet_error_errno

/* Ends text, whose buffer is full, with "..." and no half character. */
static void end_with_dots(char *text, size_t size)
{
	size_t end = size - sizeof("...");

	while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80)
		end--;
	memcpy(text + end, "...", sizeof("..."));
}

static void format(char *out, size_t size, const char *fmt, va_list ap) FLEET_PRINTF(3, 0);
static void format(char *out, size_t size, const char *fmt, va_list ap)
{
	int n = vsnprintf(out, size, fmt, ap);

	if (n < 0)
		out[0] = '\0';
	else if ((size_t)n >= size)
		end_with_dots(out, size);
}

/* before and after may both lie in err->message: the sentence is put together beside it. */
static void put(struct fleet_error *err, const char *before, const char *between, const char *after)
{
	char message[sizeof(err->message)];

	if (snprintf(message, sizeof(message), "%s%s%s", before, between, after) >= (int)sizeof(message))
		end_with_dots(message, sizeof(message));
	fleet_text_sanitize(message);
	memcpy(err->message, message, sizeof(message));
}

static const char *describe(int code, char *buffer, size_t size)
{
	int number = code < 0 ? -code : code;

#if defined(__GLIBC__) && defined(__USE_GNU) /* else POSIX.1's, which returns a number */
	return strerror_r(number, buffer, size);
#else
	if (strerror_r(number, buffer, size) != 0)
		snprintf(buffer, size, "error %d", number);
	return buffer;
#endif
}

int fleet_error_set(struct fleet_error *err, int code, const char *fmt, ...)
{
	char text[FLEET_ERROR_MESSAGE_MAX];
	va_list ap;

	if (!err)
		return code;
	va_start(ap, fmt);
	format(text, sizeof(text), fmt, ap);
	va_end(ap);
	err->code = code;
	put(err, text, "", "");
	return code;
}

int fleet_error_errno(struct fleet_error *err, int code, const char *fmt, ...)
{
	char text[sizeof(err->message)], reason[128];
	va_list ap;

	if (!err)
		return code;
	va_start(ap, fmt);
	format(text, sizeof(text), fmt, ap);
	va_end(ap);
	err->code = code;
	put(err, text, ": ", describe(code, reason, sizeof(reason)));
	return code;
}

int fleet_error_wrap(struct fleet_error *err, const char *fmt, ...)
{
	char text[FLEET_ERROR_MESSAGE_MAX];
	va_list ap;

	if (!err)
		return -EIO;
	va_start(ap, fmt);
	format(text, sizeof(text), fmt, ap);
	va_end(ap);
	put(err, text, ": ", err->message);
	return err->code;
}

void fleet_text_sanitize(char *text)
{
	size_t len = strlen(text), n, out = 0;

	for (size_t i = 0; i < len; i += n) {
		const unsigned char *s = (const unsigned char *)text + i;

		n = fleet_text_utf8_sequence(text + i, len - i);
		if (n == 0 || (n == 1 && (s[0] < 0x20 || s[0] == 0x7F)) ||
			(n == 2 && s[0] == 0xC2 && s[1] < 0xA0)) {
			text[out++] = '?'; /* C0, DEL, C1, or a byte that is no character */
			n = n ? n : 1;
			continue;
		}
		memmove(text + out, text + i, n);
		out += n;
	}
	text[out] = '\0';
}
