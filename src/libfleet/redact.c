#include "fleet/redact.h"
#include "fleet/buffer.h"

#define LEN_SURE 8
#define LEN_MIN  4

static bool is_word_byte(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c & 0x80) != 0;
}

/* A short value can be a part of any word: "exit" must not make "***ed" of "exited". */
static bool is_told(const char *start, const char *hit, size_t len)
{
	return len >= LEN_SURE || ((hit == start || !is_word_byte(hit[-1])) && !is_word_byte(hit[len]));
}

/* The first place where it is told, or NULL. */
static const char *find(const char *start, const char *from, const char *what)
{
	size_t len = strlen(what);

	for (const char *hit = strstr(from, what); hit; hit = strstr(hit + 1, what)) {
		if (is_told(start, hit, len))
			return hit;
	}
	return NULL;
}

static char *replace_all(const char *text, const char *what)
{
	struct fleet_buffer out = FLEET_BUFFER_INIT;
	const char *hit, *start = text;

	while ((hit = find(start, text, what))) {
		fleet_buffer_add(&out, text, (size_t)(hit - text));
		fleet_buffer_add_string(&out, "***");
		text = hit + strlen(what);
	}
	fleet_buffer_add_string(&out, text);
	return fleet_buffer_take(&out, NULL);
}

void fleet_redact_add(struct fleet_redact *r, const char *text, size_t len)
{
	if (len < LEN_MIN)
		return;
	if (r->count == r->capacity) {
		r->capacity = r->capacity ? 2 * r->capacity : 8;
		r->texts = xreallocarray(r->texts, r->capacity, sizeof(*r->texts));
	}
	r->texts[r->count++] = xstrndup(text, len);
	r->sorted = false;
}

void fleet_redact_add_json(struct fleet_redact *r, struct json_object *value)
{
	size_t len;
	const char *text;

	switch (json_object_get_type(value)) {
	case json_type_object: {
		json_object_object_foreach (value, key, member) {
			(void)key; /* keys may be told */
			fleet_redact_add_json(r, member);
		}
		break;
	}
	case json_type_array:
		for (size_t i = 0; i < json_object_array_length(value); i++)
			fleet_redact_add_json(r, json_object_array_get_idx(value, i));
		break;
	case json_type_string:
		text = json_object_get_string(value);
		fleet_redact_add(r, text, strlen(text));
		text = fleet_json_text(value, &len); /* as a JSON file has it, without its quotes */
		if (strchr(text, '\\'))
			fleet_redact_add(r, text + 1, len - 2);
		break;
	case json_type_int:
	case json_type_double:
		text = json_object_get_string(value);
		fleet_redact_add(r, text, strlen(text));
		break;
	case json_type_null:
	case json_type_boolean: /* words of any sentence */
		break;
	}
}

static int longest_first(const void *a, const void *b)
{
	size_t x = strlen(*(char *const *)a), y = strlen(*(char *const *)b);

	return x < y ? 1 : x > y ? -1 : 0;
}

char *fleet_redact(struct fleet_redact *r, const char *text)
{
	char *clean = xstrdup(text ? text : "");

	/* A value may be a part of another: the longer ones go first, or their rest would stay. */
	if (!r->sorted && r->count > 0)
		qsort(r->texts, r->count, sizeof(*r->texts), longest_first);
	r->sorted = true;
	for (size_t i = 0; i < r->count; i++) {
		char *masked;

		if (!find(clean, clean, r->texts[i]))
			continue;
		masked = replace_all(clean, r->texts[i]);
		free(clean);
		clean = masked;
	}
	return clean;
}

bool fleet_redact_finds(struct fleet_redact *r, const char *text)
{
	for (size_t i = 0; i < r->count; i++) {
		if (find(text, text, r->texts[i]))
			return true;
	}
	return false;
}

void fleet_redact_done(struct fleet_redact *r)
{
	for (size_t i = 0; i < r->count; i++) {
		explicit_bzero(r->texts[i], strlen(r->texts[i]));
		free(r->texts[i]);
	}
	free(r->texts);
	*r = (struct fleet_redact)FLEET_REDACT_INIT;
}
