/* From what an operator typed to an edit with a type. */
#include "driver/json_leaves.h"
#include <strings.h>
#include "driver/keypath.h"
#include "driver/settings.h"
#include "fleet/limits.h"
#include "fleet/text.h"

struct decided {
	uint32_t type;
	char *value;
};

static int decide_path(const char *path, struct fleet_error *err)
{
	struct keypath parsed;
	int r;

	for (const char *p = path; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return fleet_error_set(err, -EINVAL, "a key path has no control characters");
	}
	if (!fleet_text_is_utf8(path, strlen(path)))
		return fleet_error_set(err, -EINVAL, "a key path is UTF-8 text");
	r = keypath_parse(path, strlen(path), true, &parsed, err);
	if (r < 0)
		return r;
	if (parsed.count == 0)
		return fleet_error_set(err, -EINVAL, "a key path is missing: name the key to set");
	return 0;
}

/* JSON text that a single value is: its leaf, taken whole. */
static int take_leaf(struct fleet_bytes path, struct fleet_bytes value, uint32_t type, void *arg)
{
	struct decided *d = arg;

	(void)path; /* one leaf stands for the whole where this is used */
	free(d->value);
	d->value = xstrndup(value.data, value.len);
	d->type = type;
	return 0;
}

static int decide_json(const struct settings *now, const char *path, const char *text, struct decided *d,
	struct fleet_error *err)
{
	int outer = json_outer_type(text, strlen(text)), r;

	r = json_leaves("", text, strlen(text), take_leaf, d, err);
	if (r < 0)
		return fleet_error_wrap(err, "the value of '%s'", path);
	if (now->text_only) {
		if (outer == FLEET_TYPE_OBJECT || outer == FLEET_TYPE_ARRAY || outer == FLEET_TYPE_NULL)
			return fleet_error_set(err, -EINVAL, "'%s': this file's format has no %s, only text",
				path, outer == FLEET_TYPE_NULL ? "null" : "objects and arrays");
		d->type = FLEET_TYPE_STRING;
		return 0;
	}
	if (outer != FLEET_TYPE_OBJECT && outer != FLEET_TYPE_ARRAY)
		return 0; /* the one leaf was it */
	d->type = (uint32_t)outer;
	free(d->value);
	d->value = xstrdup(text);
	return 0;
}

static bool has_members(const struct settings *now, const char *path)
{
	for (size_t i = 0; i < now->count; i++) {
		if (keypath_is_below(now->items[i].path, path, strlen(path), NULL))
			return true;
	}
	return false;
}

/* The last of its name: the one that an edit changes. */
static const struct setting *existing(const struct settings *now, const char *path)
{
	for (size_t i = now->count; i > 0; i--) {
		if (strcmp(now->items[i - 1].path, path) == 0)
			return &now->items[i - 1];
	}
	return NULL;
}

static uint32_t literal_type(const char *text)
{
	int number = json_number_type(text, strlen(text));

	if (number >= 0)
		return (uint32_t)number;
	if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
		return FLEET_TYPE_BOOLEAN;
	return strcmp(text, "null") == 0 ? FLEET_TYPE_NULL : FLEET_TYPE_STRING;
}

/* What people write for true and false in one format or another; NULL where it is neither. */
static const char *boolean_word(const char *text)
{
	static const char *const words[][2] = {{"true", "true"}, {"yes", "true"}, {"on", "true"},
		{"false", "false"}, {"no", "false"}, {"off", "false"}};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(words); i++) {
		if (strcasecmp(text, words[i][0]) == 0)
			return words[i][1];
	}
	return NULL;
}

static int decide_auto(const struct settings *now, const char *path, const char *text, struct decided *d,
	struct fleet_error *err)
{
	const struct setting *old = existing(now, path);

	if ((old && (old->type == FLEET_TYPE_OBJECT || old->type == FLEET_TYPE_ARRAY)) ||
		has_members(now, path))
		return fleet_error_set(err, -EINVAL,
			"'%s' is an object or array: set one of its members, or the whole of it with "
			"--set-json",
			path);
	if (old && old->type == FLEET_TYPE_BOOLEAN && boolean_word(text)) {
		d->value = xstrdup(boolean_word(text));
		d->type = FLEET_TYPE_BOOLEAN;
		return 0;
	}
	d->value = xstrdup(text);
	d->type = now->text_only || (old && old->type == FLEET_TYPE_STRING) ? FLEET_TYPE_STRING
									    : literal_type(text);
	return 0;
}

int settings_decide(const struct settings *now, const char *path, const char *text, enum settings_mode mode,
	uint32_t *ret_type, char **ret_value, struct fleet_error *err)
{
	const struct setting *old;
	struct decided d = {FLEET_TYPE_STRING, NULL};
	int r = decide_path(path, err);

	if (r < 0)
		return r;
	if (strlen(text) > FLEET_VALUE_MAX)
		return fleet_error_set(
			err, -EINVAL, "the value of '%s' is longer than %u bytes", path, FLEET_VALUE_MAX);
	if (!fleet_text_is_utf8(text, strlen(text)))
		return fleet_error_set(err, -EINVAL, "the value of '%s' is not UTF-8 text", path);
	if (mode == SETTINGS_JSON)
		r = decide_json(now, path, text, &d, err);
	else if (mode == SETTINGS_AUTO)
		r = decide_auto(now, path, text, &d, err);
	else
		d.value = xstrdup(text);
	if (r < 0) {
		free(d.value);
		return r;
	}
	old = existing(now, path);
	if (old && (d.type == FLEET_TYPE_INTEGER || d.type == FLEET_TYPE_NUMBER) &&
		(old->type == FLEET_TYPE_INTEGER || old->type == FLEET_TYPE_NUMBER) &&
		json_numbers_equal(old->value, d.value)) {
		free(d.value);
		d.value = xstrdup(old->value);
		d.type = old->type;
	}
	*ret_type = d.type;
	*ret_value = d.value;
	return 0;
}
