/* `check`: everything that the agent and the driver host would complain of, before they read it. A line a
 * complaint, FILE:LINE:COLUMN: WHY, as editors understand it. Notes are about what may be meant so. */
#include "agent/admin/admin.h"
#include <sys/stat.h>
#include "agent/admin/systemctl.h"
#include "agent/config.h"
#include "agent/host/apps.h"
#include "driver/registry.h"
#include "fleet/envfile.h"
#include "fleet/file.h"
#include "fleet/limits.h"

struct checker {
	const struct admin *a;
	struct driver_registry drivers;
	bool have_drivers;
	size_t problems, apps;
};

static void complain(struct checker *c, const char *file, unsigned line, unsigned column, const char *fmt,
	...) FLEET_PRINTF(5, 6);
static void complain(
	struct checker *c, const char *file, unsigned line, unsigned column, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	c->problems++;
	if (line && column)
		admin_say(stdout, "%s:%u:%u: %s", file, line, column, text);
	else if (line)
		admin_say(stdout, "%s:%u: %s", file, line, text);
	else
		admin_say(stdout, "%s: %s", file, text);
}

/* ---- agent.env ---- */

struct assignment {
	char *key; /* owned */
	unsigned line, column;
};

/* The KEY= that a line begins with; NULL: it has none. fleet_envfile says where a line is no line. */
static bool find_assignment(const char *text, unsigned number, struct assignment *ret)
{
	const char *key = text + strspn(text, " \t");
	size_t len = strcspn(key, "= \t\n");

	if (!str_starts(key, "FLEET_") || !memchr(key, '=', strcspn(key, "\n")))
		return false;
	*ret = (struct assignment){
		.key = xstrndup(key, len), .line = number, .column = (unsigned)(key - text) + 1};
	return true;
}

static void check_assignment(
	struct checker *c, const char *file, const struct assignment *at, const char *value)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	const char *near = NULL;
	int r = agent_config_try(at->key, value, &near, &err);

	if (r == -ENOENT)
		complain(c, file, at->line, at->column, "unknown setting %s%s%s%s", at->key,
			near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	else if (r < 0)
		complain(c, file, at->line, at->column, "%s %s", at->key, err.message);
}

/* "FILE:LINE: why" of the parser, in its parts. */
static void complain_of_syntax(struct checker *c, const char *file, const struct fleet_error *err)
{
	size_t len = strlen(file);
	char *end = NULL;
	unsigned long line = 0;

	if (str_starts(err->message, file) && err->message[len] == ':')
		line = strtoul(err->message + len + 1, &end, 10);
	if (line > 0 && line < 1000000 && str_starts(end, ": "))
		complain(c, file, (unsigned)line, 0, "%s", end + 2);
	else
		complain(c, file, 0, 0, "%s", err->message);
}

static void check_env_text(struct checker *c, const char *file, const char *text, size_t len)
{
	_cleanup_(fleet_envfile_freep) struct fleet_envfile *env = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	unsigned number = 0, url_line = 0;

	if (fleet_envfile_parse(text, len, file, &env, &err) < 0) {
		complain_of_syntax(c, file, &err);
		return;
	}
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		struct assignment at;

		if (!find_assignment(line, ++number, &at))
			continue;
		if (str_equal(at.key, "FLEET_CONSOLE_URL"))
			url_line = number;
		check_assignment(c, file, &at, fleet_envfile_get(env, at.key));
		free(at.key);
	}
	if (str_empty(fleet_envfile_get(env, "FLEET_CONSOLE_URL")))
		complain(c, file, url_line, url_line ? 1 : 0,
			"FLEET_CONSOLE_URL is not set: the agent waits for it");
}

static void check_env(struct checker *c, const char *file)
{
	_cleanup_free_ char *text = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct stat st;
	size_t len = 0;

	if (fleet_file_read(file, FLEET_ENV_FILE_MAX, &text, &len, &err) < 0) {
		complain(c, file, 0, 0, "%s", err.message);
		return;
	}
	if (stat(file, &st) == 0 && (st.st_mode & 077))
		complain(c, file, 0, 0,
			"may hold the agent's key and can be read by others (mode %o): chmod 600",
			(unsigned)(st.st_mode & 07777));
	check_env_text(c, file, text, len);
}

/* ---- apps.d ---- */

static void note(const struct app *app, const char *fmt, ...) FLEET_PRINTF(2, 3);
static void note(const struct app *app, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	admin_say(stdout, "%s: note: app '%s': %s", app->source, app->id, text);
}

static void look_around(const struct app *app)
{
	_cleanup_free_ char *shown = NULL, *state = NULL;

	if (str_equal(app->service_driver, "systemd-unit") &&
		systemctl_show(app->service_name, "LoadState", &shown, NULL) >= 0)
		state = systemctl_value(shown, "LoadState", 0);
	if (str_equal(state, "not-found"))
		note(app, "systemd knows no unit %s", app->service_name);
	if (app->binary_path && access(app->binary_path, F_OK) < 0)
		note(app, "there is no %s yet", app->binary_path);
	for (size_t i = 0; i < app->file_count; i++) {
		if (!app->files[i].create && access(app->files[i].path, F_OK) < 0)
			note(app, "there is no %s; a push may not make it without `create`",
				app->files[i].path);
	}
	if (app->version_kind == APP_VERSION_FILE && access(app->version_source, F_OK) < 0)
		note(app, "there is no %s yet", app->version_source);
}

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '/' || !path[len]);
}

static void check_apps(struct checker *c, const char *path)
{
	/* what lies elsewhere is a draft: whose it is will matter where it goes */
	bool as_root = geteuid() == 0 && is_below(path, c->a->apps_dir);
	_cleanup_(apps_done) struct apps apps = APPS_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (apps_check(path, as_root, c->have_drivers ? &c->drivers : NULL, &apps, &err) < 0) {
		complain(c, path, 0, 0, "%s", err.message);
		return;
	}
	for (size_t i = 0; i < apps.problem_count; i++) {
		const struct app_problem *p = &apps.problems[i];

		complain(c, p->file, p->line, p->column, "%s", p->message);
	}
	for (size_t i = 0; i < apps.count; i++)
		look_around(apps.items[i]);
	c->apps += apps.count;
}

static bool is_env_file(const struct admin *a, const char *path)
{
	const char *dot = strrchr(path, '.');

	return str_equal(path, a->env_file) || str_equal(dot, ".env");
}

int admin_check(const struct admin *a)
{
	struct checker c = {.a = a};

	c.have_drivers = admin_load_drivers(a, &c.drivers);
	for (size_t i = 0; i < a->word_count; i++) {
		if (is_env_file(a, a->words[i]))
			check_env(&c, a->words[i]);
		else
			check_apps(&c, a->words[i]);
	}
	if (a->word_count == 0) {
		check_env(&c, a->env_file);
		check_apps(&c, a->apps_dir);
	}
	driver_registry_done(&c.drivers);
	if (c.problems == 0)
		admin_say(stdout, "No problem found; %zu app%s declared.", c.apps, c.apps == 1 ? "" : "s");
	return c.problems == 0 ? ADMIN_OK : ADMIN_FAILED;
}
