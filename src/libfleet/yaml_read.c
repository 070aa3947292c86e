/* Typed readings of a YAML tree, and complaints with their place. */
#include "fleet/clock.h"
#include "fleet/text.h"
#include "fleet/yaml.h"

int fleet_yaml_error(const struct fleet_yaml *yaml, const struct fleet_yaml_node *node,
	struct fleet_error *err, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	if (!node)
		return fleet_error_set(err, -EINVAL, "%s: %s", fleet_yaml_name(yaml), text);
	return fleet_error_set(
		err, -EINVAL, "%s:%u:%u: %s", fleet_yaml_name(yaml), node->line, node->column, text);
}

static bool is_null(const struct fleet_yaml_node *node)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};

	if (node->kind != FLEET_YAML_SCALAR || node->quoted)
		return false;
	for (size_t i = 0; i < FLEET_ARRAY_LEN(nulls); i++) {
		if (str_equal(node->text, nulls[i]))
			return true;
	}
	return false;
}

/* The value of key; NULL where absent or null. */
static const struct fleet_yaml_node *get_present(const struct fleet_yaml_node *mapping, const char *key)
{
	const struct fleet_yaml_node *node = fleet_yaml_get(mapping, key);

	return node && !is_null(node) ? node : NULL;
}

int fleet_yaml_get_string(const struct fleet_yaml *y, const struct fleet_yaml_node *mapping, const char *key,
	const char **ret, struct fleet_error *err)
{
	const struct fleet_yaml_node *node = get_present(mapping, key);

	if (!node)
		return 0;
	if (node->kind != FLEET_YAML_SCALAR)
		return fleet_yaml_error(y, node, err, "%s must be a text", key);
	*ret = node->text;
	return 0;
}

int fleet_yaml_get_bool(const struct fleet_yaml *y, const struct fleet_yaml_node *mapping, const char *key,
	bool *ret, struct fleet_error *err)
{
	const struct fleet_yaml_node *node = get_present(mapping, key);

	if (!node)
		return 0;
	if (node->kind == FLEET_YAML_SCALAR && !node->quoted) {
		if (str_equal(node->text, "true")) {
			*ret = true;
			return 0;
		}
		if (str_equal(node->text, "false")) {
			*ret = false;
			return 0;
		}
	}
	return fleet_yaml_error(y, node, err, "%s must be true or false", key);
}

static bool read_int(const struct fleet_yaml_node *node, int64_t *ret)
{
	char *end;
	long long value;

	if (node->kind != FLEET_YAML_SCALAR || node->quoted ||
		!(node->text[0] == '-' || (node->text[0] >= '0' && node->text[0] <= '9')))
		return false;
	errno = 0;
	value = strtoll(node->text, &end, 10);
	if (errno != 0 || *end != '\0' || end == node->text)
		return false;
	*ret = value;
	return true;
}

int fleet_yaml_get_int(const struct fleet_yaml *y, const struct fleet_yaml_node *mapping, const char *key,
	int64_t min, int64_t max, int64_t *ret, struct fleet_error *err)
{
	const struct fleet_yaml_node *node = get_present(mapping, key);
	int64_t value;

	if (!node)
		return 0;
	if (!read_int(node, &value) || value < min || value > max)
		return fleet_yaml_error(y, node, err, "%s must be a whole number from %lld to %lld", key,
			(long long)min, (long long)max);
	*ret = value;
	return 0;
}

int fleet_yaml_get_duration_ms(const struct fleet_yaml *y, const struct fleet_yaml_node *mapping,
	const char *key, int64_t *ret, struct fleet_error *err)
{
	const struct fleet_yaml_node *node = get_present(mapping, key);

	if (!node)
		return 0;
	if (node->kind != FLEET_YAML_SCALAR || fleet_duration_parse(node->text, ret) < 0)
		return fleet_yaml_error(
			y, node, err, "%s must be a duration of at most 365d, such as 30s, 5m or 250ms", key);
	return 0;
}

static int get_kind(const struct fleet_yaml *y, const struct fleet_yaml_node *mapping, const char *key,
	enum fleet_yaml_kind kind, const char *what, const struct fleet_yaml_node **ret,
	struct fleet_error *err)
{
	const struct fleet_yaml_node *node = get_present(mapping, key);

	if (!node)
		return 0;
	if (node->kind != kind)
		return fleet_yaml_error(y, node, err, "%s must be %s", key, what);
	*ret = node;
	return 0;
}

int fleet_yaml_get_mapping(const struct fleet_yaml *y, const struct fleet_yaml_node *mapping, const char *key,
	const struct fleet_yaml_node **ret, struct fleet_error *err)
{
	return get_kind(y, mapping, key, FLEET_YAML_MAPPING, "a mapping of keys to values", ret, err);
}

int fleet_yaml_get_sequence(const struct fleet_yaml *y, const struct fleet_yaml_node *mapping,
	const char *key, const struct fleet_yaml_node **ret, struct fleet_error *err)
{
	return get_kind(y, mapping, key, FLEET_YAML_SEQUENCE, "a list", ret, err);
}

int fleet_yaml_check_keys(const struct fleet_yaml *y, const struct fleet_yaml_node *mapping,
	const char *const *names, struct fleet_error *err)
{
	size_t count = 0;

	if (!mapping)
		return 0;
	if (mapping->kind != FLEET_YAML_MAPPING)
		return fleet_yaml_error(y, mapping, err, "a mapping of keys to values was expected here");
	while (names[count])
		count++;
	for (size_t i = 0; i < mapping->count; i++) {
		const struct fleet_yaml_node *key = mapping->keys[i];
		const char *nearest;
		size_t known = 0;

		while (known < count && !str_equal(names[known], key->text))
			known++;
		if (known < count)
			continue;
		nearest = fleet_text_nearest(key->text, names, count);
		if (nearest)
			return fleet_yaml_error(
				y, key, err, "unknown key '%.64s'; did you mean '%s'?", key->text, nearest);
		return fleet_yaml_error(y, key, err, "unknown key '%.64s'", key->text);
	}
	return 0;
}
