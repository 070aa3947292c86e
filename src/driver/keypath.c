#include "driver/keypath.h"
#include "fleet/limits.h"

static int refuse(struct fleet_error *err, const char *text, size_t len, const char *why)
{
	char shown[160];

	(void)snprintf(
		shown, sizeof(shown), "%.*s%s", (int)(len > 120 ? 120 : len), text, len > 120 ? "..." : "");
	fleet_text_sanitize(shown);
	return fleet_error_set(err, -EINVAL, "key path '%s': %s", shown, why);
}

/* text[*at] is a `[`. */
static const char *parse_index(
	const char *text, size_t len, bool allow_append, size_t *at, struct keypath_part *part)
{
	size_t i = *at + 1, digits = i;
	uint64_t n = 0;

	if (i + 1 < len && text[i] == '+' && text[i + 1] == ']') {
		if (!allow_append)
			return "[+] is only for a new element";
		part->kind = KEYPATH_APPEND;
		part->end = *at = i + 2;
		return NULL;
	}
	while (i < len && text[i] >= '0' && text[i] <= '9' && i - digits < 9)
		n = n * 10 + (uint64_t)(text[i++] - '0');
	if (i == digits || i >= len || text[i] != ']')
		return "after [ comes a number or +, and ]; a [ in a name is written \\[";
	if (text[digits] == '0' && i - digits > 1)
		return "an index has no leading zeros";
	part->kind = KEYPATH_INDEX;
	part->index = (uint32_t)n;
	part->end = *at = i + 1;
	return NULL;
}

static const char *parse_name(const char *text, size_t len, size_t *at, struct keypath_part *part)
{
	size_t i = *at;

	part->kind = KEYPATH_NAME;
	for (; i < len && text[i] != '.' && text[i] != '['; i++) {
		if (text[i] == '\0')
			return "a name has no NUL character";
		if (text[i] != '\\')
			continue;
		if (++i >= len)
			return "it ends in a backslash; a backslash in a name is written \\\\";
		if (text[i] == 'e' && i == *at + 1 &&
			(i + 1 == len || text[i + 1] == '.' || text[i + 1] == '['))
			continue; /* the empty name */
		if (text[i] != '.' && text[i] != '[' && text[i] != '\\')
			return "after a backslash comes a dot, [ or another backslash";
	}
	if (i == *at)
		return "a name is missing; the empty name is written \\e, a dot in a name \\.";
	part->end = *at = i;
	return NULL;
}

/* `[docN]` at the path's begin: length, or 0. The first document has no such name, 1 is the second. */
static size_t document_length(const char *text, size_t len)
{
	size_t i = 4, digits = i;

	if (len < 6 || memcmp(text, "[doc", 4) != 0 || text[i] == '0')
		return 0;
	while (i < len && text[i] >= '0' && text[i] <= '9' && i - digits < 9)
		i++;
	return i > digits && i < len && text[i] == ']' ? i + 1 : 0;
}

int keypath_parse(
	const char *text, size_t len, bool allow_append, struct keypath *ret, struct fleet_error *err)
{
	size_t at = 0, count = 0;

	if (len > FLEET_KEY_PATH_MAX)
		return refuse(err, text, len, "too long");
	while (at < len) {
		struct keypath_part *part = &ret->parts[count];
		const char *why = NULL;
		bool dotted = count > 0 && text[at] == '.';

		if (count == KEYPATH_PARTS_MAX)
			return refuse(err, text, len, "too deep");
		if (dotted)
			at++;
		else if (count > 0 && text[at] != '[')
			return refuse(err, text, len, "after ] comes a dot or another [");
		*part = (struct keypath_part){.kind = KEYPATH_NAME, .start = at};
		if (count == 0 && document_length(text, len) > 0)
			part->end = at = document_length(text, len);
		else if (!dotted && text[at] == '[')
			why = parse_index(text, len, allow_append, &at, part);
		else
			why = parse_name(text, len, &at, part);
		if (why)
			return refuse(err, text, len, why);
		count++;
	}
	ret->count = count;
	return 0;
}

bool keypath_is_below(const char *path, const char *text, size_t len, enum keypath_kind *ret_kind)
{
	bool index;

	if (strncmp(path, text, len) != 0)
		return false;
	if (len == 0 ? path[0] == '\0' : path[len] != '.' && path[len] != '[')
		return false;
	index = path[len] == '[' && (len > 0 || document_length(path, strlen(path)) == 0);
	if (ret_kind)
		*ret_kind = index ? KEYPATH_INDEX : KEYPATH_NAME;
	return true;
}
