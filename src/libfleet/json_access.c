/* Reading members, adding members, and JSON as text. */
#include <math.h>
#include "fleet/buffer.h"
#include "fleet/clock.h"
#include "fleet/json.h"

struct json_object *fleet_json_get(struct json_object *obj, const char *key)
{
	struct json_object *value = NULL;

	if (!json_object_is_type(obj, json_type_object))
		return NULL;
	return json_object_object_get_ex(obj, key, &value) ? value : NULL;
}

static struct json_object *get_typed(struct json_object *obj, const char *key, json_type type)
{
	struct json_object *value = fleet_json_get(obj, key);

	return value && json_object_is_type(value, type) ? value : NULL;
}

const char *fleet_json_string(struct json_object *obj, const char *key)
{
	struct json_object *value = get_typed(obj, key, json_type_string);

	return value ? json_object_get_string(value) : NULL;
}

int64_t fleet_json_int(struct json_object *obj, const char *key, int64_t otherwise)
{
	struct json_object *value = get_typed(obj, key, json_type_int);

	return value ? json_object_get_int64(value) : otherwise;
}

double fleet_json_number(struct json_object *obj, const char *key, double otherwise)
{
	struct json_object *value = get_typed(obj, key, json_type_double);

	if (!value)
		value = get_typed(obj, key, json_type_int);
	return value ? json_object_get_double(value) : otherwise;
}

bool fleet_json_bool(struct json_object *obj, const char *key, bool otherwise)
{
	struct json_object *value = get_typed(obj, key, json_type_boolean);

	return value ? json_object_get_boolean(value) : otherwise;
}

struct json_object *fleet_json_object(struct json_object *obj, const char *key)
{
	return get_typed(obj, key, json_type_object);
}

struct json_object *fleet_json_array(struct json_object *obj, const char *key)
{
	return get_typed(obj, key, json_type_array);
}

static void check_memory(bool ok)
{
	if (!ok) {
		fprintf(stderr, "out of memory for JSON\n");
		abort();
	}
}

void fleet_json_add(struct json_object *obj, const char *key, struct json_object *takes_value)
{
	if (takes_value)
		check_memory(json_object_object_add(obj, key, takes_value) == 0);
}

static void add_new(struct json_object *obj, const char *key, struct json_object *value)
{
	check_memory(value != NULL);
	fleet_json_add(obj, key, value);
}

void fleet_json_add_string(struct json_object *obj, const char *key, const char *value)
{
	if (value)
		add_new(obj, key, json_object_new_string(value));
}

void fleet_json_add_int(struct json_object *obj, const char *key, int64_t value)
{
	add_new(obj, key, json_object_new_int64(value));
}

void fleet_json_add_number(struct json_object *obj, const char *key, double value)
{
	char text[32];
	size_t len;

	if (!isfinite(value) || fabs(value) >= 1e15)
		return; /* no JSON number says it, or no three decimals do: unknown */
	snprintf(text, sizeof(text), "%.3f", value);
	len = strlen(text);
	while (text[len - 1] == '0')
		text[--len] = '\0';
	if (text[len - 1] == '.')
		text[--len] = '\0';
	if (str_equal(text, "-0"))
		memcpy(text, "0", sizeof("0"));
	add_new(obj, key, json_object_new_double_s(value, text));
}

void fleet_json_add_bool(struct json_object *obj, const char *key, bool value)
{
	add_new(obj, key, json_object_new_boolean(value));
}

void fleet_json_add_time(struct json_object *obj, const char *key, int64_t unix_ms)
{
	if (unix_ms != 0)
		fleet_json_add_string(obj, key, fleet_timestamp_format(unix_ms).text);
}

void fleet_json_append_string(struct json_object *array, const char *value)
{
	if (value)
		check_memory(json_object_array_add(array, json_object_new_string(value)) == 0);
}

void fleet_json_add_words(struct json_object *obj, const char *key, const char *text)
{
	struct json_object *array;

	if (!text)
		return;
	array = json_object_new_array();
	for (;;) {
		size_t len = strcspn(text, ",");
		_cleanup_free_ char *word = xstrndup(text, len);

		fleet_json_append_string(array, word);
		if (!text[len])
			break;
		text += len + 1;
	}
	fleet_json_add(obj, key, array);
}

bool fleet_json_is_deeper(struct json_object *value, unsigned levels)
{
	if (json_object_is_type(value, json_type_object)) {
		if (levels == 0)
			return true;
		json_object_object_foreach (value, key, member) {
			(void)key; /* names are flat */
			if (fleet_json_is_deeper(member, levels - 1))
				return true;
		}
	} else if (json_object_is_type(value, json_type_array)) {
		if (levels == 0)
			return true;
		for (size_t i = 0; i < json_object_array_length(value); i++) {
			if (fleet_json_is_deeper(json_object_array_get_idx(value, i), levels - 1))
				return true;
		}
	}
	return false;
}

const char *fleet_json_text(struct json_object *obj, size_t *ret_len)
{
	size_t len = 0;
	const char *text = json_object_to_json_string_length(
		obj, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);

	check_memory(text != NULL);
	if (ret_len)
		*ret_len = obj ? len : strlen(text); /* json-c tells no length for null */
	return text;
}

static void write_canonical(struct fleet_buffer *out, struct json_object *value);

static void write_string(struct fleet_buffer *out, const char *text, size_t len)
{
	static const char shorthand[0x20] = {
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
	size_t plain = 0;

	fleet_buffer_add(out, "\"", 1);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		fleet_buffer_add(out, text + plain, i - plain);
		plain = i + 1;
		if (c >= 0x20)
			fleet_buffer_printf(out, "\\%c", c);
		else if (shorthand[c])
			fleet_buffer_printf(out, "\\%c", shorthand[c]);
		else
			fleet_buffer_printf(out, "\\u%04x", c);
	}
	fleet_buffer_add(out, text + plain, len - plain);
	fleet_buffer_add(out, "\"", 1);
}

struct member {
	const char *key;
	struct json_object *value;
};

static int by_key(const void *a, const void *b)
{
	return strcmp(
		((const struct member *)a)->key, ((const struct member *)b)->key); /* as unsigned bytes */
}

static void write_object(struct fleet_buffer *out, struct json_object *object)
{
	size_t count = 0, length = (size_t)json_object_object_length(object);
	_cleanup_free_ struct member *members = xcalloc(length, sizeof(*members));

	json_object_object_foreach (object, key, value) {
		members[count++] = (struct member){key, value};
	}
	qsort(members, count, sizeof(*members), by_key);
	fleet_buffer_add(out, "{", 1);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			fleet_buffer_add(out, ",", 1);
		write_string(out, members[i].key, strlen(members[i].key));
		fleet_buffer_add(out, ":", 1);
		write_canonical(out, members[i].value);
	}
	fleet_buffer_add(out, "}", 1);
}

static void write_array(struct fleet_buffer *out, struct json_object *array)
{
	size_t count = json_object_array_length(array);

	fleet_buffer_add(out, "[", 1);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			fleet_buffer_add(out, ",", 1);
		write_canonical(out, json_object_array_get_idx(array, i));
	}
	fleet_buffer_add(out, "]", 1);
}

static void write_canonical(struct fleet_buffer *out, struct json_object *value)
{
	switch (json_object_get_type(value)) {
	case json_type_object:
		write_object(out, value);
		break;
	case json_type_array:
		write_array(out, value);
		break;
	case json_type_string:
		write_string(out, json_object_get_string(value), (size_t)json_object_get_string_len(value));
		break;
	default: /* null, booleans, integers in plain decimal; other numbers as they were spelt */
		fleet_buffer_add_string(out, json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN));
	}
}

char *fleet_json_canonical(struct json_object *obj, size_t *ret_len)
{
	struct fleet_buffer out = FLEET_BUFFER_INIT;

	write_canonical(&out, obj);
	return fleet_buffer_take(&out, ret_len);
}
