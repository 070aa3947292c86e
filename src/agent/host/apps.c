#include "agent/host/apps.h"
#include <fnmatch.h>
#include "fleet/text.h"

void app_strings_add(struct app_strings *list, const char *text)
{
	list->items = xreallocarray(list->items, list->count + 2, sizeof(*list->items));
	list->items[list->count++] = xstrdup(text);
	list->items[list->count] = NULL;
}

static void app_strings_done(struct app_strings *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct app_strings){0};
}

void app_options_add(struct app_options *options, const char *key, const char *value)
{
	options->items = xreallocarray(options->items, options->count + 1u, sizeof(*options->items));
	options->items[options->count++] =
		(struct fleet_option){.key = xstrdup(key), .value = xstrdup(value)};
}

static void app_options_done(struct app_options *options)
{
	for (uint32_t i = 0; i < options->count; i++) {
		free((char *)(uintptr_t)options->items[i].key); /* ours: const only towards drivers */
		free((char *)(uintptr_t)options->items[i].value);
	}
	free(options->items);
	*options = (struct app_options){0};
}

void app_free(struct app *app)
{
	if (!app)
		return;
	for (size_t i = 0; i < app->file_count; i++) {
		free(app->files[i].name);
		free(app->files[i].path);
		free(app->files[i].real_path);
		free(app->files[i].driver);
		app_options_done(&app->files[i].options);
	}
	free(app->files);
	app_options_done(&app->service_options);
	app_strings_done(&app->version_argv);
	app_strings_done(&app->preserve);
	app_strings_done(&app->keys_allow);
	app_strings_done(&app->keys_deny);
	app_strings_done(&app->secret_keys);
	app_strings_done(&app->health.argv);
	free(app->health.target);
	free(app->id);
	free(app->service_name);
	free(app->service_driver);
	free(app->binary_path);
	free(app->version_source);
	free(app->source);
	free(app);
}

void apps_done(struct apps *apps)
{
	for (size_t i = 0; i < apps->count; i++)
		app_free(apps->items[i]);
	free(apps->items);
	for (size_t i = 0; i < apps->problem_count; i++) {
		free(apps->problems[i].file);
		free(apps->problems[i].message);
	}
	free(apps->problems);
	*apps = (struct apps)APPS_INIT;
}

void apps_add_problem(
	struct apps *apps, const char *file, unsigned line, unsigned column, const char *message)
{
	apps->problems = xreallocarray(apps->problems, apps->problem_count + 1, sizeof(*apps->problems));
	apps->problems[apps->problem_count++] = (struct app_problem){
		.file = xstrdup(file), .line = line, .column = column, .message = xstrdup(message)};
}

const struct app *apps_find(const struct apps *apps, const char *id)
{
	for (size_t i = 0; i < apps->count; i++) {
		if (str_equal(apps->items[i]->id, id))
			return apps->items[i];
	}
	return NULL;
}

const struct app_file *app_find_file(const struct app *app, const char *name)
{
	if (!name && app->file_count == 1)
		return &app->files[0];
	for (size_t i = 0; i < app->file_count; i++) {
		if (strcmp(app->files[i].name, name ? name : "main") == 0)
			return &app->files[i];
	}
	return NULL;
}

const char *apps_nearest(const struct apps *apps, const char *id)
{
	_cleanup_free_ const char **ids = xcalloc(apps->count, sizeof(*ids));

	for (size_t i = 0; i < apps->count; i++)
		ids[i] = apps->items[i]->id;
	return fleet_text_nearest(id, ids, apps->count);
}

const char *app_infer_driver(const char *path)
{
	static const struct {
		const char *glob, *driver;
	} table[] = {
		{"*.service.d/*.conf", "systemd-unit"}, /* before the *.conf that it also is */
		{"*.service", "systemd-unit"},
		{"*.json", "json-config"},
		{"*.yaml", "yaml-config"},
		{"*.yml", "yaml-config"},
		{"*.ini", "ini-config"},
		{"*.cnf", "ini-config"},
		{"*.conf", "ini-config"},
		{"*.env", "env-config"},
		{"/etc/default/*", "env-config"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(table); i++) {
		if (fnmatch(table[i].glob, path, 0) == 0)
			return table[i].driver;
	}
	return NULL;
}

const char *app_allow_name(unsigned bit)
{
	static const char *const names[] = {"restart", "push-config", "update", "read-config", "read-logs"};

	return bit < FLEET_ARRAY_LEN(names) ? names[bit] : NULL;
}

const char *app_health_kind_name(enum app_health_kind kind)
{
	switch (kind) {
	case APP_HEALTH_URL:
		return "url";
	case APP_HEALTH_TCP:
		return "tcp";
	case APP_HEALTH_COMMAND:
		return "command";
	case APP_HEALTH_NONE:
		break;
	}
	return NULL;
}

char *app_service_key(const struct app *app)
{
	return xasprintf("service:%s:%s", app->service_driver, app->service_name);
}
