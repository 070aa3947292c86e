#include "agent/host/apps_values.h"
#include "fleet/limits.h"

#define DURATION_MAX 3600000

int app_copy_string(const struct app_parser *p, const struct fleet_yaml_node *mapping, const char *key,
	char **ret, struct fleet_error *err)
{
	const char *text = NULL;
	int r = fleet_yaml_get_string(p->y, mapping, key, &text, err);

	if (r < 0 || !text)
		return r;
	if (!*text)
		return fleet_yaml_error(p->y, fleet_yaml_get(mapping, key), err, "%s is empty", key);
	if (strlen(text) > FLEET_PATH_LEN_MAX)
		return fleet_yaml_error(p->y, fleet_yaml_get(mapping, key), err, "%s is longer than %d bytes",
			key, FLEET_PATH_LEN_MAX);
	free(*ret);
	*ret = xstrdup(text);
	return 0;
}

const char *app_path_fault(const char *path)
{
	size_t len = strlen(path);

	if (path[0] != '/')
		return "must be an absolute path";
	if (len > FLEET_PATH_LEN_MAX)
		return "is too long";
	if (len == 1)
		return "must not be /";
	for (const char *part = path + 1;; part++) {
		size_t n = strcspn(part, "/");

		if ((n == 0 && part[0] == '/') || (n == 1 && part[0] == '.') ||
			(n == 2 && strncmp(part, "..", 2) == 0))
			return "must not have empty parts, '.' or '..'";
		part += n;
		if (!*part)
			return NULL;
	}
}

int app_copy_path(const struct app_parser *p, const struct fleet_yaml_node *mapping, const char *key,
	char **ret, struct fleet_error *err)
{
	const char *fault;
	int r = app_copy_string(p, mapping, key, ret, err);

	if (r < 0 || !*ret)
		return r;
	fault = app_path_fault(*ret);
	if (fault)
		return fleet_yaml_error(p->y, fleet_yaml_get(mapping, key), err, "%s %s", key, fault);
	return 0;
}

int app_copy_strings(const struct app_parser *p, const struct fleet_yaml_node *mapping, const char *key,
	bool lone, struct app_strings *ret, struct fleet_error *err)
{
	const struct fleet_yaml_node *node = fleet_yaml_get(mapping, key);

	if (!node)
		return 0;
	if (lone && node->kind == FLEET_YAML_SCALAR && node->text[0]) {
		app_strings_add(ret, node->text);
		return 0;
	}
	if (node->kind != FLEET_YAML_SEQUENCE)
		return fleet_yaml_error(p->y, node, err, "%s must be a list", key);
	if (node->count > APPS_LIST_MAX)
		return fleet_yaml_error(p->y, node, err, "%s has more than %d entries", key, APPS_LIST_MAX);
	for (size_t i = 0; i < node->count; i++) {
		if (node->values[i]->kind != FLEET_YAML_SCALAR || !node->values[i]->text[0])
			return fleet_yaml_error(
				p->y, node->values[i], err, "%s must be a list of texts", key);
		app_strings_add(ret, node->values[i]->text);
	}
	return 0;
}

int app_copy_argv(const struct app_parser *p, const struct fleet_yaml_node *mapping, const char *key,
	struct app_strings *ret, struct fleet_error *err)
{
	int r = app_copy_strings(p, mapping, key, false, ret, err);

	if (r < 0 || !fleet_yaml_get(mapping, key))
		return r;
	if (ret->count == 0 || app_path_fault(ret->items[0]))
		return fleet_yaml_error(p->y, fleet_yaml_get(mapping, key), err,
			"%s must be a list whose first entry is a program's absolute path", key);
	return 0;
}

int app_copy_options(const struct app_parser *p, const struct fleet_yaml_node *mapping, const char *key,
	struct app_options *ret, struct fleet_error *err)
{
	const struct fleet_yaml_node *node = NULL;
	int r = fleet_yaml_get_mapping(p->y, mapping, key, &node, err);

	if (r < 0 || !node)
		return r;
	if (node->count > APPS_LIST_MAX)
		return fleet_yaml_error(p->y, node, err, "%s has more than %d entries", key, APPS_LIST_MAX);
	for (size_t i = 0; i < node->count; i++) {
		if (node->values[i]->kind != FLEET_YAML_SCALAR)
			return fleet_yaml_error(p->y, node->values[i], err, "%s: option '%s' must be a text",
				key, node->keys[i]->text);
		app_options_add(ret, node->keys[i]->text, node->values[i]->text);
	}
	return 0;
}

int app_copy_duration(const struct app_parser *p, const struct fleet_yaml_node *mapping, const char *key,
	int64_t *ret, struct fleet_error *err)
{
	int64_t ms = *ret;
	int r = fleet_yaml_get_duration_ms(p->y, mapping, key, &ms, err);

	if (r < 0)
		return r;
	if (ms < 0 || ms > DURATION_MAX)
		return fleet_yaml_error(
			p->y, fleet_yaml_get(mapping, key), err, "%s must be at most an hour", key);
	*ret = ms;
	return 0;
}
