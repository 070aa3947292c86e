/* An object against its table of fields. */
#include <math.h>
#include "fleet/clock.h"
#include "fleet/ids.h"
#include "fleet/json.h"
#include "fleet/limits.h"
#include "fleet/text.h"

#define AT_MAX    512
#define NAMES_MAX 64 /* of a table: no request has more */

static int check_object(struct json_object *obj, const struct fleet_json_field *fields, const char *at,
	bool strict, struct fleet_error *err);

static int must_be(const char *at, struct fleet_error *err, const char *what)
{
	return fleet_error_set(err, -EINVAL, "%s: must be %s", at, what);
}

static bool bounded(const struct fleet_json_field *f)
{
	return f->max > f->min;
}

static int check_string(
	struct json_object *value, const struct fleet_json_field *f, const char *at, struct fleet_error *err)
{
	_cleanup_free_ char *words = NULL;
	const char *text;
	int64_t len;

	if (!json_object_is_type(value, json_type_string)) {
		if (bounded(f))
			return fleet_error_set(err, -EINVAL, "%s: must be a string of %lld to %lld bytes", at,
				(long long)f->min, (long long)f->max);
		return must_be(at, err, "a string");
	}
	text = json_object_get_string(value);
	len = json_object_get_string_len(value);
	if (strlen(text) != (size_t)len)
		return fleet_error_set(err, -EINVAL, "%s: must not contain NUL", at);
	if ((f->max > 0 || f->min > 0) && (len < f->min || (f->max > 0 && len > f->max))) {
		if (f->max > 0)
			return fleet_error_set(err, -EINVAL, "%s: must be a string of %lld to %lld bytes", at,
				(long long)f->min, (long long)f->max);
		return fleet_error_set(
			err, -EINVAL, "%s: must be a string of at least %lld bytes", at, (long long)f->min);
	}
	if (!f->one_of)
		return 0;
	for (size_t i = 0; f->one_of[i]; i++) {
		char *longer;

		if (str_equal(text, f->one_of[i]))
			return 0;
		longer = xasprintf("%s%s%s", words ? words : "", words ? ", " : "", f->one_of[i]);
		free(words);
		words = longer;
	}
	return fleet_error_set(err, -EINVAL, "%s: must be one of %s", at, words);
}

static int check_integer(
	struct json_object *value, const struct fleet_json_field *f, const char *at, struct fleet_error *err)
{
	int64_t n;

	if (!json_object_is_type(value, json_type_int))
		return must_be(at, err, "a whole number");
	n = json_object_get_int64(value);
	/* json-c holds what lies above int64 as uint64 and gives INT64_MAX for it */
	if (n == INT64_MAX && json_object_get_uint64(value) > INT64_MAX)
		return must_be(at, err, "a whole number below 2^63");
	if (bounded(f) && (n < f->min || n > f->max))
		return fleet_error_set(err, -EINVAL, "%s: must be a whole number from %lld to %lld", at,
			(long long)f->min, (long long)f->max);
	return 0;
}

static int check_number(
	struct json_object *value, const struct fleet_json_field *f, const char *at, struct fleet_error *err)
{
	double n;

	if (!json_object_is_type(value, json_type_int) && !json_object_is_type(value, json_type_double))
		return must_be(at, err, "a number");
	n = json_object_get_double(value);
	if (!isfinite(n))
		return must_be(at, err, "a finite number");
	if (bounded(f) && (n < (double)f->min || n > (double)f->max))
		return fleet_error_set(err, -EINVAL, "%s: must be a number from %lld to %lld", at,
			(long long)f->min, (long long)f->max);
	return 0;
}

/* A string that must also look like something. */
static int check_word(
	struct json_object *value, const struct fleet_json_field *f, const char *at, struct fleet_error *err)
{
	const char *text = NULL;
	int64_t ms;

	if (json_object_is_type(value, json_type_string)) {
		text = json_object_get_string(value);
		if (strlen(text) != (size_t)json_object_get_string_len(value))
			text = NULL;
	}
	switch (f->type) {
	case FLEET_JSON_TIME:
		return text && fleet_timestamp_parse(text, &ms) == 0
			       ? 0
			       : must_be(at, err, "a time as RFC 3339 has it (2026-01-31T23:59:59.123Z)");
	case FLEET_JSON_UUID:
		return fleet_uuid_is_valid(text) ? 0 : must_be(at, err, "a UUID in lower case");
	default:
		return fleet_id_is_valid(text) ? 0
					       : must_be(at, err,
							 "a name of 1 to 64 letters, digits, '.', '_' or "
							 "'-', a letter or digit first");
	}
}

static int check_value(struct json_object *value, const struct fleet_json_field *f, const char *at,
	bool strict, struct fleet_error *err);

/* What each element of an array, or each value of a map, must be. */
static int check_element(struct json_object *value, const struct fleet_json_field *of, const char *at,
	bool strict, struct fleet_error *err)
{
	const struct fleet_json_field element = {
		.type = of->element, .fields = of->fields, .one_of = of->one_of};

	return check_value(value, &element, at, strict, err);
}

static int check_count(size_t count, const struct fleet_json_field *f, const char *at, const char *what,
	struct fleet_error *err)
{
	if (bounded(f) && ((int64_t)count < f->min || (int64_t)count > f->max))
		return fleet_error_set(err, -EINVAL, "%s: must have %lld to %lld %s, has %zu", at,
			(long long)f->min, (long long)f->max, what, count);
	return 0;
}

static int check_array(struct json_object *value, const struct fleet_json_field *f, const char *at,
	bool strict, struct fleet_error *err)
{
	char below[AT_MAX];
	size_t count;
	int r;

	if (!json_object_is_type(value, json_type_array))
		return must_be(at, err, "an array");
	count = json_object_array_length(value);
	r = check_count(count, f, at, "elements", err);
	if (r < 0 || (f->element == FLEET_JSON_ANY && !f->fields))
		return r;
	for (size_t i = 0; i < count; i++) {
		struct json_object *element = json_object_array_get_idx(value, i);

		snprintf(below, sizeof(below), "%s[%zu]", at, i);
		if (f->element == FLEET_JSON_ANY) {
			if (!json_object_is_type(element, json_type_object))
				return must_be(below, err, "an object");
			r = check_object(element, f->fields, below, strict, err);
		} else {
			r = check_element(element, f, below, strict, err);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_map(struct json_object *value, const struct fleet_json_field *f, const char *at, bool strict,
	struct fleet_error *err)
{
	char below[AT_MAX];

	if (f->element == FLEET_JSON_ANY)
		return 0;
	json_object_object_foreach (value, key, member) {
		int r;

		snprintf(below, sizeof(below), "%s.%s", at, key);
		r = check_element(member, f, below, strict, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_value(struct json_object *value, const struct fleet_json_field *f, const char *at,
	bool strict, struct fleet_error *err)
{
	int r;

	switch (f->type) {
	case FLEET_JSON_ANY:
		return 0;
	case FLEET_JSON_STRING:
		return check_string(value, f, at, err);
	case FLEET_JSON_INTEGER:
		return check_integer(value, f, at, err);
	case FLEET_JSON_NUMBER:
		return check_number(value, f, at, err);
	case FLEET_JSON_BOOLEAN:
		return json_object_is_type(value, json_type_boolean) ? 0 : must_be(at, err, "true or false");
	case FLEET_JSON_OBJECT:
		if (!json_object_is_type(value, json_type_object))
			return must_be(at, err, "an object");
		r = check_count((size_t)json_object_object_length(value), f, at, "members", err);
		if (r < 0)
			return r;
		return f->fields ? check_object(value, f->fields, at, strict, err)
				 : check_map(value, f, at, strict, err);
	case FLEET_JSON_ARRAY:
		return check_array(value, f, at, strict, err);
	case FLEET_JSON_TIME:
	case FLEET_JSON_UUID:
	case FLEET_JSON_ID:
		return check_word(value, f, at, err);
	}
	return 0;
}

static int check_member(struct json_object *obj, const struct fleet_json_field *f, const char *at,
	bool strict, struct fleet_error *err)
{
	struct json_object *value = NULL;
	char below[AT_MAX];

	snprintf(below, sizeof(below), "%s.%s", at, f->key);
	if (!json_object_object_get_ex(obj, f->key, &value)) {
		if (f->flags & FLEET_JSON_REQUIRED)
			return fleet_error_set(err, -EINVAL, "%s: is missing", below);
		return 0;
	}
	if (!value) {
		if (f->type == FLEET_JSON_ANY)
			return 0; /* null is a value like any other */
		if (f->flags & FLEET_JSON_NULLABLE) {
			if (f->flags & FLEET_JSON_REQUIRED)
				return fleet_error_set(err, -EINVAL, "%s: is missing", below);
			return 0;
		}
	}
	return check_value(value, f, below, strict, err);
}

static int check_known(struct json_object *obj, const struct fleet_json_field *fields, const char *at,
	struct fleet_error *err)
{
	const char *names[NAMES_MAX];
	size_t count = 0;

	for (const struct fleet_json_field *f = fields; f->key && count < NAMES_MAX; f++)
		names[count++] = f->key;
	json_object_object_foreach (obj, key, unused) {
		const char *nearest;
		size_t i = 0;

		(void)unused; /* the name alone is judged */
		while (i < count && !str_equal(names[i], key))
			i++;
		if (i < count)
			continue;
		nearest = fleet_text_nearest(key, names, count);
		if (nearest)
			return fleet_error_set(err, -EINVAL, "%s.%.64s: unknown field; did you mean '%s'?",
				at, key, nearest);
		return fleet_error_set(err, -EINVAL, "%s.%.64s: unknown field", at, key);
	}
	return 0;
}

static int check_object(struct json_object *obj, const struct fleet_json_field *fields, const char *at,
	bool strict, struct fleet_error *err)
{
	int r;

	if (!json_object_is_type(obj, json_type_object))
		return must_be(at, err, "an object");
	/* First: a required field that is "missing" is often one that is misspelt. */
	if (strict) {
		r = check_known(obj, fields, at, err);
		if (r < 0)
			return r;
	}
	for (const struct fleet_json_field *f = fields; f->key; f++) {
		r = check_member(obj, f, at, strict, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int fleet_json_check(struct json_object *obj, const struct fleet_json_field *fields, const char *at,
	struct fleet_error *err)
{
	return check_object(obj, fields, at, false, err);
}

int fleet_json_check_strict(struct json_object *obj, const struct fleet_json_field *fields, const char *at,
	struct fleet_error *err)
{
	return check_object(obj, fields, at, true, err);
}
