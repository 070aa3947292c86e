#include "agent/host/key_policy.h"
#include "driver/settings.h"

/* By driver. A list of `only` names all that is allowed, a list of `never` what is not; the admin's allow
 * beats both. */
static const char *const env_never[] = {"LD_*", "PATH", "*_PRELOAD", "GLIBC_TUNABLES", "GCONV_PATH",
	"BASH_ENV", "ENV", "IFS", "PS4", "SHELLOPTS", "BASHOPTS", "PROMPT_COMMAND", "PYTHONPATH",
	"PYTHONSTARTUP", "PYTHONHOME", "PYTHONUSERBASE", "PERL5LIB", "PERL5OPT", "PERL5DB", "PERLLIB",
	"RUBYLIB", "RUBYOPT", "NODE_OPTIONS", "NODE_PATH", "LUA_*", "CLASSPATH", "JAVA_TOOL_OPTIONS",
	"_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "DOTNET_STARTUP_HOOKS", "CORECLR_PROFILER*", "COR_PROFILER*",
	"OPENSSL_CONF", "OPENSSL_ENGINES", "OPENSSL_MODULES", NULL};
static const char *const unit_only[] = {"Service.Memory*", "Service.CPU*", "Service.IO*", "Service.Tasks*",
	"Service.Limit*", "Service.Nice", "Service.OOM*", "Slice.Memory*", "Slice.CPU*", "Slice.IO*",
	"Slice.Tasks*", NULL};
static const struct {
	const char *driver;
	const char *const *only, *const *never;
} cautions[] = {
	{"env-config", NULL, env_never},
	{"systemd-unit", unit_only, NULL},
};

static bool matches_any(const char *const *globs, const char *key)
{
	for (size_t i = 0; globs && globs[i]; i++) {
		if (settings_path_matches(globs[i], key))
			return true;
	}
	return false;
}

static bool matches_strings(const struct app_strings *globs, const char *key)
{
	return globs->count > 0 && matches_any((const char *const *)globs->items, key);
}

int key_policy_check(
	const struct app *app, const struct app_file *file, const char *key, struct fleet_error *err)
{
	if (matches_strings(&app->keys_deny, key))
		return fleet_error_set(err, -EACCES,
			"this server's admin does not allow changes of %s (config_keys.deny of %s)", key,
			app->source);
	if (app->keys_allow.count > 0) {
		if (matches_strings(&app->keys_allow, key))
			return 0;
		return fleet_error_set(err, -EACCES,
			"this server's admin does not allow changes of %s (it is not in config_keys.allow of "
			"%s)",
			key, app->source);
	}
	for (size_t i = 0; i < FLEET_ARRAY_LEN(cautions); i++) {
		if (strcmp(cautions[i].driver, file->driver) != 0)
			continue;
		if (matches_any(cautions[i].never, key) ||
			(cautions[i].only && !matches_any(cautions[i].only, key)))
			return fleet_error_set(err, -EACCES,
				"%s can run code, so it is not changed from the console unless "
				"config_keys.allow of %s names it",
				key, app->source);
	}
	return 0;
}

bool key_policy_is_secret(const struct app *app, const char *key)
{
	return settings_path_is_secret(key) || matches_strings(&app->secret_keys, key);
}
