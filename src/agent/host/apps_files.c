/* The config files of a declaration: config_path and what belongs to it, and the list of configs. */
#include <limits.h>
#include <sys/stat.h>
#include "agent/host/apps_values.h"
#include "fleet/ids.h"

/* Links on the way to a config file are followed once, now, and pinned: root may have put them there, an
 * app's user may not, or it could turn the host on any file. */
static int pin_path(const struct app_parser *p, const struct fleet_yaml_node *where, struct app_file *file,
	struct fleet_error *err)
{
	_cleanup_free_ char *prefix = xstrdup(file->path);

	for (char *end = strchr(prefix + 1, '/'); prefix[1]; end = strchr(end + 1, '/')) {
		struct stat st;

		if (end)
			*end = '\0';
		if (lstat(prefix, &st) < 0)
			break; /* what does not exist yet has no links */
		if (S_ISLNK(st.st_mode) && st.st_uid != 0 && (p->as_root || st.st_uid != geteuid()))
			return fleet_yaml_error(p->y, where, err,
				"%s is a link that uid %u owns; only a link of root's is followed", prefix,
				(unsigned)st.st_uid);
		if (!end)
			break;
		*end = '/';
	}
	file->real_path = realpath(file->path, NULL);
	if (!file->real_path) { /* not there yet: its directory may be */
		char *slash = strrchr(file->path, '/');
		_cleanup_free_ char *dir = xstrndup(file->path, (size_t)(slash - file->path)), *real = NULL;

		real = realpath(*dir ? dir : "/", NULL);
		file->real_path = real ? xasprintf("%s%s", str_equal(real, "/") ? "" : real, slash)
				       : xstrdup(file->path);
	}
	return 0;
}

static int add_file(struct app_parser *p, const struct fleet_yaml_node *where, struct app_file *takes_file,
	struct fleet_error *err)
{
	struct app *app = p->app;
	struct app_file *file;

	app->files = xreallocarray(app->files, app->file_count + 1, sizeof(*app->files));
	file = &app->files[app->file_count++];
	*file = *takes_file;
	if (!fleet_id_is_valid(file->name))
		return fleet_yaml_error(
			p->y, where, err, "name '%s' must be letters, digits, '.', '_' or '-'", file->name);
	for (size_t i = 0; i + 1 < app->file_count; i++) {
		if (strcmp(app->files[i].name, file->name) == 0)
			return fleet_yaml_error(p->y, where, err, "two configs are named '%s'", file->name);
	}
	if (!file->driver) {
		const char *driver = app_infer_driver(file->path);

		if (!driver)
			return fleet_yaml_error(p->y, where, err,
				"cannot tell from the name %s how to read it; name a driver", file->path);
		file->driver = xstrdup(driver);
	}
	if (!fleet_id_is_valid(file->driver))
		return fleet_yaml_error(p->y, where, err, "'%s' is no driver's name", file->driver);
	return pin_path(p, where, file, err);
}

static int parse_main_file(struct app_parser *p, struct fleet_error *err)
{
	struct app_file file = {0};
	int r;

	r = app_copy_path(p, p->node, "config_path", &file.path, err);
	if (r >= 0)
		r = app_copy_string(p, p->node, "config_driver", &file.driver, err);
	if (r >= 0)
		r = app_copy_options(p, p->node, "config_options", &file.options, err);
	if (r >= 0)
		r = fleet_yaml_get_bool(p->y, p->node, "config_create", &file.create, err);
	if (r >= 0 && !file.path) {
		static const char *const dependent[] = {"config_driver", "config_options", "config_create"};

		for (size_t i = 0; r >= 0 && i < FLEET_ARRAY_LEN(dependent); i++) {
			if (fleet_yaml_get(p->node, dependent[i]))
				r = fleet_yaml_error(p->y, fleet_yaml_get(p->node, dependent[i]), err,
					"%s without config_path", dependent[i]);
		}
	}
	if (r < 0 || !file.path) {
		struct app *app = p->app; /* the app's end frees what was read of it */

		app->files = xreallocarray(app->files, app->file_count + 1, sizeof(*app->files));
		app->files[app->file_count++] = file;
		if (r >= 0)
			app->file_count--;
		return r;
	}
	file.name = xstrdup("main");
	return add_file(p, fleet_yaml_get(p->node, "config_path"), &file, err);
}

int app_parse_files(struct app_parser *p, struct fleet_error *err)
{
	static const char *const file_keys[] = {"name", "path", "driver", "options", "create", NULL};
	const struct fleet_yaml_node *list = NULL;
	int r;

	r = parse_main_file(p, err);
	if (r < 0)
		return r;
	r = fleet_yaml_get_sequence(p->y, p->node, "configs", &list, err);
	if (r < 0 || !list)
		return r;
	if (list->count > APPS_LIST_MAX)
		return fleet_yaml_error(p->y, list, err, "configs has more than %d entries", APPS_LIST_MAX);
	for (size_t i = 0; i < list->count; i++) {
		const struct fleet_yaml_node *node = list->values[i];
		struct app_file file = {0};

		if (node->kind != FLEET_YAML_MAPPING)
			return fleet_yaml_error(
				p->y, node, err, "each of configs must be a mapping with name and path");
		r = fleet_yaml_check_keys(p->y, node, file_keys, err);
		if (r >= 0)
			r = app_copy_string(p, node, "name", &file.name, err);
		if (r >= 0)
			r = app_copy_path(p, node, "path", &file.path, err);
		if (r >= 0)
			r = app_copy_string(p, node, "driver", &file.driver, err);
		if (r >= 0)
			r = app_copy_options(p, node, "options", &file.options, err);
		if (r >= 0)
			r = fleet_yaml_get_bool(p->y, node, "create", &file.create, err);
		if (r >= 0 && (!file.name || !file.path))
			r = fleet_yaml_error(p->y, node, err, "each of configs needs a name and a path");
		if (r >= 0) {
			r = add_file(p, node, &file, err);
		} else {
			p->app->files =
				xreallocarray(p->app->files, p->app->file_count + 1, sizeof(*p->app->files));
			p->app->files[p->app->file_count++] = file; /* freed with the app */
		}
		if (r < 0)
			return r;
	}
	return 0;
}
