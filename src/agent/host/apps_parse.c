#include "agent/host/apps_parse.h"
#include <sys/stat.h>
#include "agent/host/apps_values.h"
#include "fleet/ids.h"
#include "fleet/limits.h"

#define HEALTH_TIMEOUT 10000
#define HEALTH_SETTLE  1000
#define HEALTH_EVERY   30000

static const char *const app_keys[] = {"id", "service_name", "service_driver", "service_options",
	"binary_path", "config_path", "config_driver", "config_options", "config_create", "configs",
	"version_file", "version_command", "version_env", "preserve", "after_push", "health_check", "allow",
	"config_keys", "secret_keys", "timeout", "keep_previous", "require_sha256", NULL};

static int parse_version(struct app_parser *p, struct fleet_error *err)
{
	static const struct {
		const char *key;
		enum app_version_kind kind;
	} kinds[] = {{"version_file", APP_VERSION_FILE}, {"version_command", APP_VERSION_COMMAND},
		{"version_env", APP_VERSION_ENV}};
	struct app *app = p->app;
	const char *first = NULL;
	int r = 0;

	for (size_t i = 0; i < FLEET_ARRAY_LEN(kinds); i++) {
		const struct fleet_yaml_node *node = fleet_yaml_get(p->node, kinds[i].key);

		if (!node)
			continue;
		if (first)
			return fleet_yaml_error(p->y, node, err,
				"%s and %s: an app has one way to tell its version", first, kinds[i].key);
		first = kinds[i].key;
		app->version_kind = kinds[i].kind;
		if (kinds[i].kind == APP_VERSION_FILE)
			r = app_copy_path(p, p->node, first, &app->version_source, err);
		else if (kinds[i].kind == APP_VERSION_COMMAND)
			r = app_copy_argv(p, p->node, first, &app->version_argv, err);
		else
			r = app_copy_string(p, p->node, first, &app->version_source, err);
		if (r < 0)
			return r;
		if (kinds[i].kind == APP_VERSION_ENV) {
			bool has_env = false;

			for (size_t f = 0; f < app->file_count; f++)
				has_env |= strcmp(app->files[f].driver, "env-config") == 0;
			if (!has_env)
				return fleet_yaml_error(p->y, node, err,
					"version_env needs a config whose driver is env-config");
		}
	}
	return 0;
}

static int parse_health(struct app_parser *p, struct fleet_error *err)
{
	static const char *const health_keys[] = {
		"url", "tcp", "command", "timeout", "settle", "every", NULL};
	struct app_health *health = &p->app->health;
	const struct fleet_yaml_node *node = NULL;
	int r;

	r = fleet_yaml_get_mapping(p->y, p->node, "health_check", &node, err);
	if (r < 0 || !node)
		return r;
	r = fleet_yaml_check_keys(p->y, node, health_keys, err);
	if (r < 0)
		return r;
	if (!!fleet_yaml_get(node, "url") + !!fleet_yaml_get(node, "tcp") +
			!!fleet_yaml_get(node, "command") >
		1)
		return fleet_yaml_error(
			p->y, node, err, "health_check has more than one of url, tcp and command");
	if (fleet_yaml_get(node, "url")) {
		health->kind = APP_HEALTH_URL;
		r = app_copy_string(p, node, "url", &health->target, err);
		if (r >= 0 && (!health->target || (!str_starts(health->target, "http://") &&
							  !str_starts(health->target, "https://"))))
			r = fleet_yaml_error(p->y, fleet_yaml_get(node, "url"), err,
				"url must begin with http:// or https://");
	} else if (fleet_yaml_get(node, "tcp")) {
		health->kind = APP_HEALTH_TCP;
		r = app_copy_string(p, node, "tcp", &health->target, err);
		if (r >= 0 && (!health->target || !strchr(health->target, ':')))
			r = fleet_yaml_error(p->y, fleet_yaml_get(node, "tcp"), err, "tcp must be HOST:PORT");
	} else if (fleet_yaml_get(node, "command")) {
		health->kind = APP_HEALTH_COMMAND;
		r = app_copy_argv(p, node, "command", &health->argv, err);
	}
	if (r >= 0)
		r = app_copy_duration(p, node, "timeout", &health->timeout_ms, err);
	if (r >= 0)
		r = app_copy_duration(p, node, "settle", &health->settle_ms, err);
	if (r >= 0)
		r = app_copy_duration(p, node, "every", &health->every_ms, err);
	if (r >= 0 && health->every_ms < 1000)
		r = fleet_yaml_error(p->y, fleet_yaml_get(node, "every"), err, "every must be at least 1 s");
	if (r >= 0 && health->kind != APP_HEALTH_NONE && health->timeout_ms < 100)
		r = fleet_yaml_error(
			p->y, fleet_yaml_get(node, "timeout"), err, "timeout must be at least 100 ms");
	return r;
}

static int parse_allow(struct app_parser *p, struct fleet_error *err)
{
	const struct fleet_yaml_node *list = NULL;
	int r = fleet_yaml_get_sequence(p->y, p->node, "allow", &list, err);

	if (r < 0 || !list)
		return r;
	p->app->allow = 0;
	for (size_t i = 0; i < list->count; i++) {
		const struct fleet_yaml_node *item = list->values[i];
		unsigned bit = 0;

		while (app_allow_name(bit) &&
			!(item->kind == FLEET_YAML_SCALAR && str_equal(item->text, app_allow_name(bit))))
			bit++;
		if (!app_allow_name(bit))
			return fleet_yaml_error(p->y, item, err,
				"allow knows restart, push-config, update, read-config and read-logs");
		p->app->allow |= 1u << bit;
	}
	return 0;
}

static int parse_keys(struct app_parser *p, struct fleet_error *err)
{
	static const char *const keys[] = {"allow", "deny", NULL};
	const struct fleet_yaml_node *node = NULL;
	int r = fleet_yaml_get_mapping(p->y, p->node, "config_keys", &node, err);

	if (r >= 0 && node)
		r = fleet_yaml_check_keys(p->y, node, keys, err);
	if (r >= 0 && node)
		r = app_copy_strings(p, node, "allow", true, &p->app->keys_allow, err);
	if (r >= 0 && node)
		r = app_copy_strings(p, node, "deny", true, &p->app->keys_deny, err);
	if (r >= 0)
		r = app_copy_strings(p, p->node, "secret_keys", true, &p->app->secret_keys, err);
	return r;
}

static int parse_after_push(struct app_parser *p, struct fleet_error *err)
{
	const char *text = NULL;
	int r = fleet_yaml_get_string(p->y, p->node, "after_push", &text, err);

	if (r < 0 || !text || str_equal(text, "restart"))
		return r;
	if (str_equal(text, "reload"))
		p->app->after_push = APP_PUSH_RELOAD;
	else if (str_equal(text, "none"))
		p->app->after_push = APP_PUSH_NONE;
	else
		return fleet_yaml_error(p->y, fleet_yaml_get(p->node, "after_push"), err,
			"after_push must be restart, reload or none");
	return 0;
}

static int parse_identity(struct app_parser *p, struct fleet_error *err)
{
	struct app *app = p->app;
	int r;

	r = app_copy_string(p, p->node, "id", &app->id, err);
	if (r < 0)
		return r;
	if (!app->id)
		return fleet_yaml_error(p->y, p->node, err, "an app needs an id");
	if (!fleet_id_is_valid(app->id))
		return fleet_yaml_error(p->y, fleet_yaml_get(p->node, "id"), err,
			"id must be letters, digits, '.', '_' or '-', beginning with a letter or digit, at "
			"most %d",
			FLEET_ID_MAX);
	r = app_copy_string(p, p->node, "service_driver", &app->service_driver, err);
	if (r < 0)
		return r;
	if (!app->service_driver)
		app->service_driver = xstrdup("systemd-unit");
	if (!fleet_id_is_valid(app->service_driver))
		return fleet_yaml_error(p->y, fleet_yaml_get(p->node, "service_driver"), err,
			"'%s' is no driver's name", app->service_driver);
	r = app_copy_string(p, p->node, "service_name", &app->service_name, err);
	if (r < 0)
		return r;
	if (!app->service_name && strcmp(app->service_driver, "systemd-unit") == 0)
		return fleet_yaml_error(p->y, p->node, err, "app '%s' needs a service_name", app->id);
	if (!app->service_name)
		app->service_name = xstrdup(app->id);
	if (strchr(app->service_name, '/'))
		return fleet_yaml_error(p->y, fleet_yaml_get(p->node, "service_name"), err,
			"service_name must not have a '/'");
	if (strcmp(app->service_driver, "systemd-unit") == 0 && !strchr(app->service_name, '.')) {
		char *whole = xasprintf("%s.service", app->service_name);

		free(app->service_name);
		app->service_name = whole;
	}
	app_options_add(&app->service_options, "service_name", app->service_name);
	return app_copy_options(p, p->node, "service_options", &app->service_options, err);
}

/* An update replaces the tree by renames, which do not cross mounts. */
static int check_no_mount(
	const struct app_parser *p, const char *key, const char *path, struct fleet_error *err)
{
	_cleanup_free_ char *parent = xasprintf("%s/..", path);
	struct stat st, up;

	if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) || stat(parent, &up) < 0 || st.st_dev == up.st_dev)
		return 0;
	return fleet_yaml_error(p->y, fleet_yaml_get(p->node, key), err,
		"%s is a mount point, so it cannot be replaced whole", path);
}

static int parse_tree(struct app_parser *p, struct fleet_error *err)
{
	struct app *app = p->app;
	const struct fleet_yaml_node *node = fleet_yaml_get(p->node, "binary_path");
	int r;

	r = app_copy_string(p, p->node, "binary_path", &app->binary_path, err);
	if (r < 0)
		return r;
	if (app->binary_path) {
		size_t len = strlen(app->binary_path);
		const char *fault;

		while (len > 1 && app->binary_path[len - 1] == '/')
			app->binary_path[--len] = '\0';
		fault = app_path_fault(app->binary_path);
		if (fault)
			return fleet_yaml_error(p->y, node, err, "binary_path %s", fault);
		r = check_no_mount(p, "binary_path", app->binary_path, err);
		if (r < 0)
			return r;
	}
	r = app_copy_strings(p, p->node, "preserve", true, &app->preserve, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < app->preserve.count; i++) {
		char *name = app->preserve.items[i];
		size_t len = strlen(name);
		_cleanup_free_ char *path = NULL;

		while (len > 1 && name[len - 1] == '/')
			name[--len] = '\0';
		if (!app->binary_path)
			return fleet_yaml_error(p->y, fleet_yaml_get(p->node, "preserve"), err,
				"preserve without binary_path");
		path = xasprintf("%s/%s", app->binary_path, name);
		if (name[0] == '/' || app_path_fault(path))
			return fleet_yaml_error(p->y, fleet_yaml_get(p->node, "preserve"), err,
				"preserve: '%s' must be a path inside binary_path", name);
		r = check_no_mount(p, "preserve", path, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int app_parse(const struct fleet_yaml *y, const struct fleet_yaml_node *node, bool as_root, struct app **ret,
	struct fleet_error *err)
{
	static int (*const parts[])(struct app_parser *, struct fleet_error *) = {parse_identity, parse_tree,
		app_parse_files, parse_version, parse_health, parse_allow, parse_keys, parse_after_push};
	_cleanup_(app_freep) struct app *app = xcalloc(1, sizeof(*app));
	struct app_parser p = {.y = y, .node = node, .as_root = as_root, .app = app};
	int r;

	app->allow = APP_ALLOW_ALL;
	app->keep_previous = true;
	app->health = (struct app_health){
		.timeout_ms = HEALTH_TIMEOUT, .settle_ms = HEALTH_SETTLE, .every_ms = HEALTH_EVERY};
	if (node->kind != FLEET_YAML_MAPPING)
		return fleet_yaml_error(
			y, node, err, "each of managed_apps must be a mapping that begins with an id");
	r = fleet_yaml_check_keys(y, node, app_keys, err);
	for (size_t i = 0; r >= 0 && i < FLEET_ARRAY_LEN(parts); i++)
		r = parts[i](&p, err);
	if (r >= 0)
		r = app_copy_duration(&p, node, "timeout", &app->timeout_ms, err);
	if (r >= 0 && fleet_yaml_get(node, "timeout") && app->timeout_ms < 1000)
		r = fleet_yaml_error(y, fleet_yaml_get(node, "timeout"), err, "timeout must be at least 1 s");
	if (r >= 0)
		r = fleet_yaml_get_bool(y, node, "keep_previous", &app->keep_previous, err);
	if (r >= 0)
		r = fleet_yaml_get_bool(y, node, "require_sha256", &app->require_sha256, err);
	if (r < 0)
		return r;
	app->source = xasprintf("%s:%u", fleet_yaml_name(y), node->line);
	*ret = TAKE_PTR(app);
	return 0;
}
