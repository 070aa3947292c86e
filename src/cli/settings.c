#include <assert.h>
#include "cli/settings.h"
#include "fleet/file.h"
#include "fleet/limits.h"
#include "fleet/text.h"

void settings_done(struct settings *s)
{
	json_object_put(s->values);
	json_object_put(s->strings);
	json_object_put(s->unset);
	json_object_put(s->keys);
	*s = (struct settings){0};
}

struct parser {
	struct settings *s;
	FILE *in; /* NULL once read */
	struct fleet_error *err;
};

static int key_add(struct parser *p, const char *option, const char *key, size_t len)
{
	size_t count = json_object_array_length(p->s->keys);
	_cleanup_free_ char *name = xstrndup(key, len);

	if (!len)
		return fleet_error_set(p->err, -EINVAL, "--%s names no key", option);
	if (len > FLEET_KEY_PATH_MAX)
		return fleet_error_set(
			p->err, -EINVAL, "--%s: a key has at most %d bytes", option, FLEET_KEY_PATH_MAX);
	if (!fleet_text_is_utf8(key, len))
		return fleet_error_set(p->err, -EINVAL, "--%s: the key is not UTF-8", option);
	if (count >= FLEET_SETTINGS_PER_PUSH_MAX)
		return fleet_error_set(
			p->err, -EINVAL, "More than %d settings in one push", FLEET_SETTINGS_PER_PUSH_MAX);
	for (size_t i = 0; i < count; i++)
		if (str_equal(json_object_get_string(json_object_array_get_idx(p->s->keys, i)), name))
			return fleet_error_set(p->err, -EINVAL, "'%s' is named twice", name);
	fleet_json_append_string(p->s->keys, name);
	return 0;
}

static int value_check(struct parser *p, const char *option, const char *key, const char *value, size_t len)
{
	if (len > FLEET_VALUE_MAX)
		return fleet_error_set(p->err, -EINVAL, "--%s %s: a value has at most %u bytes", option, key,
			FLEET_VALUE_MAX);
	if (memchr(value, 0, len) || !fleet_text_is_utf8(value, len))
		return fleet_error_set(p->err, -EINVAL, "--%s %s: the value is not UTF-8 text", option, key);
	return 0;
}

static int take_set(struct parser *p, const char *option, const char *key, const char *value)
{
	int r = value_check(p, option, key, value, strlen(value));

	if (r < 0)
		return r;
	fleet_json_add_string(p->s->values, key, value);
	return 0;
}

static int take_string(struct parser *p, const char *option, const char *key, const char *value)
{
	int r = value_check(p, option, key, value, strlen(value));

	if (r < 0)
		return r;
	fleet_json_add_string(p->s->strings, key, value);
	return 0;
}

static int take_json(struct parser *p, const char *option, const char *key, const char *value)
{
	struct json_object *parsed = NULL;
	int r = fleet_json_parse(value, strlen(value), FLEET_VALUE_MAX, &parsed, p->err);

	if (r < 0)
		return fleet_error_wrap(p->err, "--%s %s", option, key);
	/* A JSON string among "settings" would take the type of the value that is there. */
	if (json_object_is_type(parsed, json_type_string))
		fleet_json_add(p->s->strings, key, parsed);
	else
		(void)json_object_object_add(p->s->values, key, parsed); /* null is a value here */
	return 0;
}

static int stream_read(struct parser *p, const char *key, char **ret_text, size_t *ret_len)
{
	_cleanup_free_ char *text = xmalloc(FLEET_VALUE_MAX + 3);
	size_t len;

	if (!p->in)
		return fleet_error_set(
			p->err, -EINVAL, "--set-file %s=-: standard input was read already", key);
	len = fread(text, 1, FLEET_VALUE_MAX + 2, p->in);
	if (ferror(p->in))
		return fleet_error_set(p->err, -EIO, "--set-file %s=-: cannot read standard input", key);
	p->in = NULL;
	text[len] = 0;
	*ret_text = TAKE_PTR(text);
	*ret_len = len;
	return 0;
}

static int take_file(struct parser *p, const char *option, const char *key, const char *path)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r;

	if (str_equal(path, "-"))
		r = stream_read(p, key, &text, &len);
	else
		r = fleet_file_read(path, FLEET_VALUE_MAX + 2, &text, &len, p->err);
	if (r < 0)
		return r;
	assert(text); /* both readers give "" where there is nothing */
	/* Editors and echo end a file with a newline that is no part of the value. */
	if (len && text[len - 1] == '\n')
		len--;
	if (len && text[len - 1] == '\r')
		len--;
	r = value_check(p, option, key, text, len);
	if (r < 0)
		return r;
	text[len] = 0;
	fleet_json_add_string(p->s->values, key, text);
	return 0;
}

static const struct {
	const char *option;
	int (*take)(struct parser *p, const char *option, const char *key, const char *value);
} kinds[] = {
	{"set", take_set},
	{"set-string", take_string},
	{"set-json", take_json},
	{"set-file", take_file},
};

static int option_take(struct parser *p, const struct cli_given *given)
{
	const char *name = given->option->name;
	const char *equals;
	int r;

	if (str_equal(name, "unset")) {
		r = key_add(p, name, given->value, strlen(given->value));
		if (r >= 0)
			fleet_json_append_string(p->s->unset, given->value);
		return r;
	}
	for (size_t i = 0; i < FLEET_ARRAY_LEN(kinds); i++) {
		_cleanup_free_ char *key = NULL;

		if (!str_equal(name, kinds[i].option))
			continue;
		equals = strchr(given->value, '=');
		if (!equals)
			return fleet_error_set(p->err, -EINVAL, "--%s takes %s, not '%s'", name,
				given->option->value, given->value);
		key = xstrndup(given->value, (size_t)(equals - given->value));
		r = key_add(p, name, key, strlen(key));
		return r < 0 ? r : kinds[i].take(p, name, key, equals + 1);
	}
	return 0;
}

int settings_parse(const struct cli_args *args, FILE *in, struct settings *ret, struct fleet_error *err)
{
	_cleanup_settings_ struct settings s = {json_object_new_object(), json_object_new_object(),
		json_object_new_array(), json_object_new_array()};
	struct parser p = {&s, in, err};

	for (size_t i = 0; i < args->given_len; i++) {
		int r = option_take(&p, &args->given[i]);

		if (r < 0)
			return r;
	}
	*ret = s;
	s = (struct settings){0};
	return 0;
}
