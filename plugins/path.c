#include <errno.h>
#include <stdio.h>
#include "path.h"

static bool parse_index(const char *s, size_t len, size_t *at, struct path_part *part)
{
	size_t i = *at + 1, digits = i;
	uint32_t n = 0;

	if (i + 1 < len && s[i] == '+' && s[i + 1] == ']') {
		part->kind = PATH_APPEND;
		*at = i + 2;
		return true;
	}
	while (i < len && i - digits < 9 && s[i] >= '0' && s[i] <= '9')
		n = n * 10 + (uint32_t)(s[i++] - '0');
	if (i == digits || i >= len || s[i] != ']')
		return false;
	part->kind = PATH_INDEX;
	part->index = n;
	*at = i + 1;
	return true;
}

/* Unescapes into out, which has room: a name never gets longer. */
static bool parse_name(const char *s, size_t len, size_t *at, char **out, struct path_part *part)
{
	size_t i = *at, start = i;

	part->kind = PATH_NAME;
	part->name = *out;
	for (; i < len && s[i] != '.' && s[i] != '['; i++) {
		if (s[i] == '\\') {
			if (++i >= len)
				return false;
			if (s[i] == 'e' && i == start + 1)
				continue; /* the empty name */
		}
		*(*out)++ = s[i];
	}
	part->name_len = (size_t)(*out - part->name);
	*at = i;
	return i > start;
}

int path_parse(struct fleet_bytes text, struct path *ret)
{
	const char *s = text.data;
	size_t at = 0, len = text.len;
	char *out;

	*ret = (struct path){.count = 0};
	ret->names = out = malloc(len + 1);
	if (!out)
		return -ENOMEM;
	while (at < len) {
		struct path_part *part = &ret->parts[ret->count];
		bool dotted = ret->count > 0 && s[at] == '.', good;

		if (ret->count == PATH_PARTS_MAX || (ret->count > 0 && !dotted && s[at] != '['))
			break;
		at += dotted;
		good = !dotted && s[at] == '[' ? parse_index(s, len, &at, part)
					       : parse_name(s, len, &at, &out, part);
		if (!good)
			break;
		ret->count++;
		if (at == len)
			return 0;
	}
	path_done(ret);
	return -EINVAL;
}

void path_done(struct path *p)
{
	free(p->names);
	p->names = NULL;
}

void path_add_name(struct text *path, const char *name, size_t len)
{
	size_t start = 0;

	if (path->len > 0)
		text_add(path, ".", 1);
	if (len == 0)
		text_add(path, "\\e", 2);
	for (size_t i = 0; i < len; i++) {
		if (name[i] == '.' || name[i] == '[' || name[i] == '\\') {
			text_add(path, name + start, i - start);
			text_add(path, "\\", 1);
			start = i;
		}
	}
	text_add(path, name + start, len - start);
}

void path_add_index(struct text *path, size_t index)
{
	char digits[32];

	(void)snprintf(digits, sizeof(digits), "[%zu]", index);
	text_add_string(path, digits);
}
