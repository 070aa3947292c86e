/* A declaration's values out of their YAML, each bounded and of its type, each complaint at its place. What
 * is not there leaves *ret as it is. Used by what reads a declaration (apps_parse.c, apps_files.c). */
#ifndef HOST_APPS_VALUES_H
#define HOST_APPS_VALUES_H
#include "agent/host/apps.h"
#include "fleet/yaml.h"

#define APPS_LIST_MAX 100

struct app_parser {
	const struct fleet_yaml *y;
	const struct fleet_yaml_node *node; /* the app's mapping */
	bool as_root;
	struct app *app;
};

int app_copy_string(const struct app_parser *p, const struct fleet_yaml_node *mapping, const char *key,
	char **ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* Absolute, and without "", "." or ".." on the way: a path that means one place, and says so. NULL, or what
 * is wrong with it; static. */
const char *app_path_fault(const char *path);
int app_copy_path(const struct app_parser *p, const struct fleet_yaml_node *mapping, const char *key,
	char **ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* A sequence of strings; one plain string counts as a sequence of one where lone is true. */
int app_copy_strings(const struct app_parser *p, const struct fleet_yaml_node *mapping, const char *key,
	bool lone, struct app_strings *ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* A program's absolute path, and its arguments. */
int app_copy_argv(const struct app_parser *p, const struct fleet_yaml_node *mapping, const char *key,
	struct app_strings *ret, struct fleet_error *err) FLEET_MUST_CHECK;
int app_copy_options(const struct app_parser *p, const struct fleet_yaml_node *mapping, const char *key,
	struct app_options *ret, struct fleet_error *err) FLEET_MUST_CHECK;
int app_copy_duration(const struct app_parser *p, const struct fleet_yaml_node *mapping, const char *key,
	int64_t *ret, struct fleet_error *err) FLEET_MUST_CHECK;

/* ---- apps_files.c ---- */
int app_parse_files(struct app_parser *p, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
