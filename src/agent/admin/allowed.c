/* `allowed`: what apps.d lets the console do on this server, in sentences, so that nobody has to know the
 * defaults to be sure of them. */
#include "agent/admin/admin.h"
#include <fnmatch.h>
#include "agent/config.h"
#include "agent/host/apps.h"
#include "driver/registry.h"
#include "fleet/buffer.h"
#include "fleet/text.h"

#define TRUSTED_KEYS "/etc/fleet-agent/trusted-keys.d"

static void add_list(struct fleet_buffer *out, const struct app_strings *list)
{
	for (size_t i = 0; i < list->count; i++)
		fleet_buffer_printf(out, "%s%s",
			i == 0                 ? ""
			: i + 1 == list->count ? " and "
					       : ", ",
			list->items[i]);
}

static void add_files(struct fleet_buffer *out, const struct app *app)
{
	for (size_t i = 0; i < app->file_count; i++)
		fleet_buffer_printf(out, "%s%s (\"%s\")",
			i == 0                     ? ""
			: i + 1 == app->file_count ? " and "
						   : ", ",
			app->files[i].path, app->files[i].name);
}

static void tell_push(const struct app *app)
{
	static const char *const after[] = {
		[APP_PUSH_RESTART] = "the app restarts then",
		[APP_PUSH_RELOAD] = "the app reloads then",
		[APP_PUSH_NONE] = "the app goes on as it is then",
	};
	_cleanup_buffer_ struct fleet_buffer text = FLEET_BUFFER_INIT;

	if (app->file_count == 0) {
		admin_say(stdout, "  It may not change settings: no config file is declared.");
		return;
	}
	fleet_buffer_add_string(&text, "  It may change settings in ");
	add_files(&text, app);
	if (app->keys_allow.count > 0) {
		fleet_buffer_add_string(&text, ", but only ");
		add_list(&text, &app->keys_allow);
	}
	if (app->keys_deny.count > 0) {
		fleet_buffer_add_string(&text, app->keys_allow.count ? ", and never " : ", but not ");
		add_list(&text, &app->keys_deny);
	}
	admin_say(stdout, "%s; %s.", text.data, after[app->after_push]);
}

static bool releases_are_signed(void)
{
	_cleanup_closedir_ DIR *dir = opendir(TRUSTED_KEYS);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (fnmatch("*.pub", entry->d_name, FNM_PERIOD) == 0)
			return true;
	}
	return false;
}

static void tell_update(const struct app *app)
{
	_cleanup_buffer_ struct fleet_buffer text = FLEET_BUFFER_INIT;

	if (!app->binary_path) {
		admin_say(stdout, "  It may not install releases: no binary_path is declared.");
		return;
	}
	fleet_buffer_printf(&text, "  It may replace %s by another release%s", app->binary_path,
		app->keep_previous ? ", and return to the one before" : "; the one before is not kept");
	if (app->preserve.count > 0) {
		fleet_buffer_add_string(&text, "; ");
		add_list(&text, &app->preserve);
		fleet_buffer_add_string(&text, app->preserve.count == 1 ? " stays" : " stay");
	}
	if (app->require_sha256)
		fleet_buffer_add_string(&text, "; each release must come with its checksum");
	if (releases_are_signed())
		fleet_buffer_add_string(&text, "; each release must be signed (" TRUSTED_KEYS ")");
	admin_say(stdout, "%s.", text.data);
}

static void tell_reads(const struct app *app)
{
	_cleanup_buffer_ struct fleet_buffer text = FLEET_BUFFER_INIT;

	if ((app->allow & APP_ALLOW_READ_CONFIG) && app->file_count > 0) {
		fleet_buffer_add_string(&text, "  It may read these settings; values of secrets stay here");
		if (app->secret_keys.count > 0) {
			fleet_buffer_add_string(&text, ", those of ");
			add_list(&text, &app->secret_keys);
			fleet_buffer_add_string(&text, " among them");
		}
		admin_say(stdout, "%s.", text.data);
	}
	if (app->allow & APP_ALLOW_READ_LOGS)
		admin_say(stdout, "  It may read its log.");
}

static void tell_forbidden(const struct app *app)
{
	static const char *const words[] = {
		"restart it", "change its settings", "install releases", "read its settings", "read its log"};
	_cleanup_(app_freep) struct app *no = xcalloc(1, sizeof(*no));
	_cleanup_buffer_ struct fleet_buffer text = FLEET_BUFFER_INIT;

	for (unsigned bit = 0; bit < FLEET_ARRAY_LEN(words); bit++) {
		if (!(app->allow & 1u << bit))
			app_strings_add(&no->preserve, words[bit]);
	}
	if (no->preserve.count == 0)
		return;
	for (size_t i = 0; i < no->preserve.count; i++)
		fleet_buffer_printf(&text, "%s%s",
			i == 0                        ? ""
			: i + 1 == no->preserve.count ? " or "
						      : ", ",
			no->preserve.items[i]);
	admin_say(stdout, "  It may not %s (allow).", text.data);
}

static void tell_app(const struct app *app)
{
	admin_say(stdout, "%s, which is %s (%s):", app->id, app->service_name, app->source);
	if (app->allow & APP_ALLOW_RESTART)
		admin_say(stdout, "  The console may restart it.");
	if (app->allow & APP_ALLOW_PUSH_CONFIG)
		tell_push(app);
	if (app->allow & APP_ALLOW_UPDATE)
		tell_update(app);
	tell_reads(app);
	tell_forbidden(app);
	if (app->allow == 0)
		admin_say(stdout, "  It sees how the app is, and nothing else.");
}

static void tell_server(const struct admin *a, const struct apps *apps)
{
	_cleanup_free_ char *pinned = xasprintf("%s/console-keys.json", a->state_dir);
	const char *console_pub = "/etc/fleet-agent/console.pub", *key;

	key = access(console_pub, F_OK) == 0 ? console_pub : access(pinned, F_OK) == 0 ? pinned : NULL;
	if (key)
		admin_say(stdout,
			"Commands are obeyed that the console whose key is in %s has signed for this server.",
			key);
	else if (errno == EACCES)
		admin_say(stdout, "Only root may see whose commands are obeyed here (%s).", a->state_dir);
	else
		admin_say(stdout, "No console's key is known here yet: the first console that the agent "
				  "reaches is trusted from then on.");
	if (apps->count == 0)
		admin_say(stdout,
			"No app is declared in %s: the console sees this server, and can do nothing on it.",
			a->apps_dir);
	else
		admin_say(stdout,
			"Of the %zu app%s declared in %s, and of nothing else on this server:", apps->count,
			apps->count == 1 ? "" : "s", a->apps_dir);
}

int admin_allowed(const struct admin *a)
{
	_cleanup_(apps_done) struct apps apps = APPS_INIT;
	const char *wanted = a->word_count ? a->words[0] : NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	const struct app *app;

	if (apps_load(a->apps_dir, geteuid() == 0, NULL, &apps, &err) < 0)
		return admin_fail(&err);
	for (size_t i = 0; i < apps.problem_count; i++)
		admin_say(stderr, "fleet-agent: left out: %s:%u: %s", apps.problems[i].file,
			apps.problems[i].line, apps.problems[i].message);
	app = wanted ? apps_find(&apps, wanted) : NULL;
	if (wanted && !app) {
		const char *near = apps_nearest(&apps, wanted);

		(void)fleet_error_set(&err, -ENOENT, "app '%s' is not declared on this server%s%s%s", wanted,
			near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
		return admin_fail(&err);
	}
	if (app) {
		tell_app(app);
		return ADMIN_OK;
	}
	tell_server(a, &apps);
	for (size_t i = 0; i < apps.count; i++) {
		puts("");
		tell_app(apps.items[i]);
	}
	return ADMIN_OK;
}
