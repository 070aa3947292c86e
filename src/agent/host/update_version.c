#include <ctype.h>
#include "agent/host/update.h"

/* A text that begins here stands for something before the release itself: 2.0-rc1, 2.0~beta, but
 * not 2.0+deb12 or 2.0.1. */
static bool is_prerelease(const char *rest)
{
	return *rest == '-' || *rest == '~' || isalpha((unsigned char)*rest);
}

static const char *skip_separators(const char *p)
{
	while (*p && !isalnum((unsigned char)*p))
		p++;
	return p;
}

static size_t part_len(const char *p)
{
	size_t n = 0;

	if (isdigit((unsigned char)*p)) {
		while (isdigit((unsigned char)p[n]))
			n++;
	} else {
		while (isalpha((unsigned char)p[n]))
			n++;
	}
	return n;
}

static int compare_numbers(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int order;

	for (; a_len > 1 && *a == '0'; a_len--)
		a++;
	for (; b_len > 1 && *b == '0'; b_len--)
		b++;
	if (a_len != b_len)
		return a_len < b_len ? -1 : 1;
	order = strncmp(a, b, a_len);
	return order < 0 ? -1 : order > 0;
}

static int compare_words(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t shorter = a_len < b_len ? a_len : b_len;
	int order = strncmp(a, b, shorter);

	if (order != 0)
		return order < 0 ? -1 : 1;
	return a_len < b_len ? -1 : a_len > b_len;
}

/* One has an end where the other goes on. */
static int compare_rest(const char *rest)
{
	if (!*skip_separators(rest))
		return 0;
	return is_prerelease(rest) ? 1 : -1;
}

/* "v2.1" is "2.1". */
static const char *without_v(const char *text)
{
	return (*text == 'v' || *text == 'V') && isdigit((unsigned char)text[1]) ? text + 1 : text;
}

int update_version_compare(const char *a, const char *b)
{
	a = without_v(a);
	b = without_v(b);
	for (;;) {
		const char *x = skip_separators(a), *y = skip_separators(b);
		size_t x_len = part_len(x), y_len = part_len(y);
		bool x_number = isdigit((unsigned char)*x), y_number = isdigit((unsigned char)*y);
		int order;

		if (!*x)
			return compare_rest(b);
		if (!*y)
			return -compare_rest(a);
		if (is_prerelease(a) != is_prerelease(b))
			return is_prerelease(a) ? -1 : 1;
		if (x_number && y_number)
			order = compare_numbers(x, x_len, y, y_len);
		else if (x_number != y_number)
			order = x_number ? -1 : 1;
		else
			order = compare_words(x, x_len, y, y_len);
		if (order != 0)
			return order;
		a = x + x_len;
		b = y + y_len;
	}
}
