#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include "agent/host/apps.h"
#include "agent/host/apps_parse.h"
#include "fleet/file.h"
#include "fleet/limits.h"

struct loader {
	const char *dir;
	bool as_root;
	bool all; /* go on past an app that is at fault: a check wants to hear of each */
	const struct driver_registry *drivers;
	struct apps *apps;
};

/* "FILE:LINE:COLUMN: why", as the YAML reader says it, back into its parts. */
static void add_problem(struct loader *l, const char *file, const struct fleet_error *err)
{
	const char *text = err->message;
	unsigned line = 0, column = 0;
	size_t len = strlen(file);

	if (str_starts(text, file) && text[len] == ':') {
		char *end;
		unsigned long a = strtoul(text + len + 1, &end, 10);
		unsigned long b = *end == ':' ? strtoul(end + 1, &end, 10) : 0;

		if (a && a < UINT_MAX && b < UINT_MAX && str_starts(end, ": ")) {
			line = (unsigned)a;
			column = (unsigned)b;
			text = end + 2;
		}
	}
	apps_add_problem(l->apps, file, line, column, text);
}

/* A declaration is as good as root's word only if nobody else could have written it. */
static int read_declarations(
	struct loader *l, const char *path, char **ret_text, size_t *ret_len, struct fleet_error *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return fleet_error_errno(err, -errno, "cannot open it");
	if (fstat(fd, &st) < 0)
		return fleet_error_errno(err, -errno, "cannot look at it");
	if (l->as_root && (st.st_uid != 0 || (st.st_mode & 022)))
		return fleet_error_set(err, -EPERM,
			"it must be root's and writable by root alone (owner is uid %u, mode %o): chown "
			"root, chmod 644",
			(unsigned)st.st_uid, (unsigned)(st.st_mode & 07777));
	return fleet_file_read_fd(fd, path, FLEET_YAML_FILE_MAX, ret_text, ret_len, err);
}

static int check_duplicate(struct loader *l, const struct fleet_yaml *y, const struct fleet_yaml_node *node,
	const struct apps *here, const struct app *app, struct fleet_error *err)
{
	const struct app *other = apps_find(l->apps, app->id);

	if (!other)
		other = apps_find(here, app->id);
	if (!other)
		return 0;
	return fleet_yaml_error(y, fleet_yaml_get(node, "id"), err, "app '%s' is declared twice, first at %s",
		app->id, other->source);
}

/* Does tree a hold tree b somewhere below itself? */
static bool path_is_above(const char *a, const char *b)
{
	size_t len = a ? strlen(a) : 0;

	return len && b && str_starts(b, a) && b[len] == '/';
}

static int check_nesting(struct loader *l, const struct fleet_yaml *y, const struct fleet_yaml_node *node,
	const struct apps *here, const struct app *app, struct fleet_error *err)
{
	const struct apps *both[] = {l->apps, here};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(both); i++) {
		for (size_t k = 0; k < both[i]->count; k++) {
			const struct app *other = both[i]->items[k];
			bool above = path_is_above(app->binary_path, other->binary_path);

			if (above || path_is_above(other->binary_path, app->binary_path))
				return fleet_yaml_error(y, fleet_yaml_get(node, "binary_path"), err,
					"%s is %s %s, which app '%s' has (%s)", app->binary_path,
					above ? "above" : "below", other->binary_path, other->id,
					other->source);
		}
	}
	return 0;
}

static int parse_text(struct loader *l, const char *path, const char *text, size_t len, struct apps *here,
	struct fleet_error *err)
{
	static const char *const top_keys[] = {"managed_apps", NULL};
	_cleanup_(fleet_yaml_freep) struct fleet_yaml *y = NULL;
	const struct fleet_yaml_node *root, *list = NULL;
	int r;

	r = fleet_yaml_parse(text, len, path, &y, err);
	if (r < 0)
		return r;
	root = fleet_yaml_root(y);
	if (!root)
		return 0; /* nothing but comments */
	if (root->kind != FLEET_YAML_MAPPING)
		return fleet_yaml_error(y, root, err, "must be a mapping with the key managed_apps");
	r = fleet_yaml_check_keys(y, root, top_keys, err);
	if (r >= 0)
		r = fleet_yaml_get_sequence(y, root, "managed_apps", &list, err);
	if (r < 0 || !list)
		return r;
	for (size_t i = 0; i < list->count; i++) {
		_cleanup_(app_freep) struct app *app = NULL;

		r = app_parse(y, list->values[i], l->as_root, &app, err);
		if (r >= 0)
			r = check_duplicate(l, y, list->values[i], here, app, err);
		if (r >= 0)
			r = check_nesting(l, y, list->values[i], here, app, err);
		if (r >= 0 && l->apps->count + here->count >= FLEET_APPS_PER_AGENT_MAX)
			r = fleet_yaml_error(y, list->values[i], err, "more than %d apps on one server",
				FLEET_APPS_PER_AGENT_MAX);
		if (r < 0 && l->all) {
			add_problem(l, path, err);
			continue;
		}
		if (r < 0)
			return r;
		here->items = xreallocarray(here->items, here->count + 1, sizeof(struct app *));
		here->items[here->count++] = TAKE_PTR(app);
	}
	return 0;
}

static void take_apps(struct loader *l, struct apps *here)
{
	if (here->count == 0)
		return;
	l->apps->items = xreallocarray(l->apps->items, l->apps->count + here->count, sizeof(struct app *));
	memcpy(l->apps->items + l->apps->count, here->items, here->count * sizeof(struct app *));
	l->apps->count += here->count;
	here->count = 0;
}

static void load_text(struct loader *l, const char *path, const char *text, size_t len)
{
	_cleanup_(apps_done) struct apps here = APPS_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (parse_text(l, path, text, len, &here, &err) < 0)
		add_problem(l, path, &err);
	else
		take_apps(l, &here);
}

static void load_file(struct loader *l, const char *path)
{
	_cleanup_free_ char *text = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	size_t len = 0;

	if (read_declarations(l, path, &text, &len, &err) < 0)
		add_problem(l, path, &err);
	else
		load_text(l, path, text, len);
}

static void check_driver(struct loader *l, const struct app *app, const char *name, unsigned role)
{
	const struct driver_info *driver = driver_registry_find(l->drivers, name);
	_cleanup_free_ char *file = xstrdup(app->source), *why = NULL;
	char *colon = strrchr(file, ':');
	unsigned line = colon ? (unsigned)strtoul(colon + 1, NULL, 10) : 0;

	if (!driver)
		why = xasprintf("app '%s': driver %s is not installed", app->id, name);
	else if (driver->error)
		why = xasprintf("app '%s': driver %s cannot be used: %s", app->id, name, driver->error);
	else if (!(driver->roles & role))
		why = xasprintf("app '%s': driver %s is no %s driver", app->id, name,
			role == DRIVER_ROLE_SERVICE ? "service" : "format");
	else
		return;
	if (colon)
		*colon = '\0';
	apps_add_problem(l->apps, file, line, 0, why);
}

static int is_declaration(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".yaml") == 0;
}

static void check_drivers(struct loader *l)
{
	for (size_t i = 0; l->drivers && i < l->apps->count; i++) {
		const struct app *app = l->apps->items[i];

		check_driver(l, app, app->service_driver, DRIVER_ROLE_SERVICE);
		for (size_t f = 0; f < app->file_count; f++)
			check_driver(l, app, app->files[f].driver, DRIVER_ROLE_FORMAT);
	}
}

static int load_dir(struct loader *l, struct fleet_error *err)
{
	struct dirent **entries = NULL;
	struct stat st;
	int n;

	n = scandir(l->dir, &entries, is_declaration, alphasort);
	if (n < 0 && errno == ENOENT) {
		apps_add_problem(l->apps, l->dir, 0, 0, "there is no such directory, so no app is managed");
		return 0;
	}
	if (n < 0)
		return fleet_error_errno(err, -errno, "cannot read the apps of %s", l->dir);
	if (l->as_root && stat(l->dir, &st) == 0 && (st.st_uid != 0 || (st.st_mode & 022))) {
		apps_add_problem(l->apps, l->dir, 0, 0,
			"the directory must be root's and writable by root alone, so no app is managed: "
			"chown root, chmod 755");
		while (n > 0)
			free(entries[--n]);
	}
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", l->dir, entries[i]->d_name);

		if (i == FLEET_APP_FILES_MAX)
			apps_add_problem(l->apps, l->dir, 0, 0, "too many files; the rest is not read");
		if (i < FLEET_APP_FILES_MAX)
			load_file(l, path);
		free(entries[i]);
	}
	free(entries);
	check_drivers(l);
	return 0;
}

int apps_load(const char *dir, bool as_root, const struct driver_registry *drivers, struct apps *ret,
	struct fleet_error *err)
{
	struct apps apps = APPS_INIT;
	struct loader l = {.dir = dir, .as_root = as_root, .drivers = drivers, .apps = &apps};
	int r = load_dir(&l, err);

	if (r >= 0)
		*ret = apps;
	return r;
}

int apps_check(const char *path, bool as_root, const struct driver_registry *drivers, struct apps *ret,
	struct fleet_error *err)
{
	struct apps apps = APPS_INIT;
	struct loader l = {.dir = path, .as_root = as_root, .all = true, .drivers = drivers, .apps = &apps};
	struct stat st;
	int r = 0;

	if (stat(path, &st) < 0)
		return fleet_error_errno(err, -errno, "cannot look at %s", path);
	if (S_ISDIR(st.st_mode)) {
		r = load_dir(&l, err);
	} else {
		load_file(&l, path);
		check_drivers(&l);
	}
	if (r >= 0)
		*ret = apps;
	return r;
}

void apps_check_text(const char *name, const char *text, size_t len, struct apps *ret)
{
	struct loader l = {.dir = "", .all = true, .apps = ret};

	*ret = (struct apps)APPS_INIT;
	load_text(&l, name, text, len);
}
