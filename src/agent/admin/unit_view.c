#include "agent/admin/unit_view.h"
#include <fnmatch.h>
#include <sys/stat.h>
#include "agent/admin/systemctl.h"
#include "fleet/limits.h"

/* Where programs of the distribution and of many apps lie side by side: no such directory is an app's own. */
static const char *const shared[] = {"/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin", "/bin",
	"/sbin", "/usr/lib", "/usr/libexec", "/lib", "/opt", "/srv", "/usr", "/usr/local", "/home", "/root",
	"/etc", "/var", "/var/lib", "/usr/share", "/tmp"};
static const char *const interpreters[] = {"sh", "bash", "dash", "env", "python[0-9.]*", "node", "nodejs",
	"java", "dotnet", "perl", "ruby", "php[0-9.]*", "mono"};

static bool is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static void add(struct app_strings *list, const char *path)
{
	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->items[i], path) == 0)
			return;
	}
	if (list->count < UNIT_VIEW_FILES_MAX)
		app_strings_add(list, path);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static char *dir_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash != path ? xstrndup(path, (size_t)(slash - path)) : xstrdup("/");
}

/* ---- the command line ---- */

/* The words of `{ path=... ; argv[]=A B C ; ...}`. systemd does not quote them, so that a word with a space
 * comes apart: a guess is then missed, and none is made up, since only files that exist count. */
static void read_argv(const char *exec, struct app_strings *ret)
{
	const char *at = strstr(exec, "argv[]="), *end;

	if (!at)
		return;
	at += strlen("argv[]=");
	end = strstr(at, " ; ");
	end = end ? end : at + strlen(at);
	while (at < end) {
		size_t n = strcspn(at, " ");
		_cleanup_free_ char *word = NULL;

		n = n < (size_t)(end - at) ? n : (size_t)(end - at);
		word = xstrndup(at, n);
		if (n > 0)
			app_strings_add(ret, word);
		at += n;
		at += at < end;
	}
}

static bool is_interpreter(const char *path)
{
	for (size_t i = 0; i < FLEET_ARRAY_LEN(interpreters); i++) {
		if (fnmatch(interpreters[i], base_name(path), 0) == 0)
			return true;
	}
	return false;
}

/* The first word that is the app's own file: of `java -jar /opt/x/x.jar` the jar. */
static char *find_program(const struct app_strings *argv)
{
	if (argv->count == 0)
		return NULL;
	for (size_t i = 1; i < argv->count && is_interpreter(argv->items[0]); i++) {
		const char *word = argv->items[i];

		if (word[0] == '/' && is_file(word) && !is_interpreter(word))
			return xstrdup(word);
	}
	return argv->items[0][0] == '/' ? xstrdup(argv->items[0]) : NULL;
}

static bool is_shared(const char *dir)
{
	for (size_t i = 0; i < FLEET_ARRAY_LEN(shared); i++) {
		if (strcmp(dir, shared[i]) == 0)
			return true;
	}
	return str_equal(dir, "/") || str_starts(dir, "/usr/lib/") || str_starts(dir, "/usr/libexec/") ||
	       str_starts(dir, "/lib/") || str_starts(dir, "/usr/share/");
}

static void find_tree(struct unit_view *u)
{
	_cleanup_free_ char *dir = u->program ? dir_name(u->program) : NULL;

	if (!dir)
		return;
	u->of_system = (str_starts(u->program, "/usr/") && !str_starts(u->program, "/usr/local/")) ||
		       str_starts(u->program, "/bin/") || str_starts(u->program, "/sbin/") ||
		       str_starts(u->program, "/lib/");
	if (str_equal(base_name(dir), "bin") || str_equal(base_name(dir), "sbin")) {
		char *up = dir_name(dir);

		if (!is_shared(dir) && !is_shared(up)) {
			free(dir);
			dir = up;
		} else {
			free(up);
		}
	}
	if (!is_shared(dir) && !u->of_system)
		u->tree = TAKE_PTR(dir);
}

/* ---- config files ---- */

static void consider(struct unit_view *u, const char *path)
{
	if (path[0] == '/' && strlen(path) <= FLEET_PATH_LEN_MAX && is_file(path) && app_infer_driver(path) &&
		!str_equal(path, u->program))
		add(&u->configs, path);
}

/* A word of the command line: a path, --config=PATH, or a name in the working directory. */
static void consider_word(struct unit_view *u, const char *word, const char *working_dir)
{
	const char *equals = strchr(word, '=');
	_cleanup_free_ char *beside = NULL;

	if (word[0] == '-' && equals)
		word = equals + 1;
	if (word[0] == '-' || strpbrk(word, "$%"))
		return;
	if (word[0] != '/' && working_dir)
		beside = xasprintf("%s/%s", working_dir, word);
	consider(u, beside ? beside : word);
}

static void consider_dir(struct unit_view *u, const char *dir, const char *name)
{
	static const char *const plain[] = {"appsettings.json", "config.json", "config.yaml", "config.yml",
		"config.ini", "settings.json", "settings.yaml", "settings.ini", ".env"};
	static const char *const suffixes[] = {"json", "yaml", "yml", "ini", "conf", "cnf", "env"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(plain); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, plain[i]);

		consider(u, path);
	}
	for (size_t i = 0; name && i < FLEET_ARRAY_LEN(suffixes); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s.%s", dir, name, suffixes[i]);

		consider(u, path);
	}
}

static char *stem_of(const char *id)
{
	const char *dot = id ? strrchr(id, '.') : NULL;
	char *stem = id ? xstrndup(id, dot ? (size_t)(dot - id) : strlen(id)) : NULL;
	char *at = stem ? strchr(stem, '@') : NULL;

	if (at)
		*at = '\0';
	return stem;
}

static void find_configs(struct unit_view *u, const struct app_strings *argv, const char *working_dir)
{
	_cleanup_free_ char *stem = stem_of(u->id), *etc = NULL, *inside = NULL, *program = NULL;
	const char *dot;

	for (size_t i = 1; i < argv->count; i++)
		consider_word(u, argv->items[i], working_dir);
	if (u->program) {
		program = xstrdup(base_name(u->program));
		dot = strrchr(program, '.');
		if (dot && dot != program)
			program[dot - program] = '\0';
	}
	if (u->tree) {
		consider_dir(u, u->tree, program);
		inside = xasprintf("%s/conf", u->tree);
		consider_dir(u, inside, program);
	}
	if (stem) {
		etc = xasprintf("/etc/%s", stem);
		consider_dir(u, etc, stem);
		consider_dir(u, "/etc", stem);
	}
}

static void find_env_files(struct unit_view *u, const char *shown)
{
	for (size_t i = 0; i < 2 * UNIT_VIEW_FILES_MAX; i++) {
		_cleanup_free_ char *value = systemctl_value(shown, "EnvironmentFiles", i);
		char *flag = value ? strstr(value, " (ignore_errors=") : NULL;

		if (!value)
			return;
		if (flag)
			*flag = '\0';
		if (value[0] == '/' && !strpbrk(value, "*?[") && is_file(value))
			add(&u->env_files, value);
	}
}

static void find_version_file(struct unit_view *u)
{
	static const char *const names[] = {"version.txt", "VERSION", "version", "VERSION.txt"};

	for (size_t i = 0; u->tree && !u->version_file && i < FLEET_ARRAY_LEN(names); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", u->tree, names[i]);

		if (is_file(path))
			u->version_file = TAKE_PTR(path);
	}
}

void unit_view_read(const char *shown, struct unit_view *ret)
{
	_cleanup_free_ char *exec = systemctl_value(shown, "ExecStart", 0),
			    *reload = systemctl_value(shown, "ExecReload", 0),
			    *dynamic = systemctl_value(shown, "DynamicUser", 0),
			    *working_dir = systemctl_value(shown, "WorkingDirectory", 0);
	_cleanup_(app_freep) struct app *words = xcalloc(1, sizeof(*words)); /* frees its lists */
	struct app_strings *argv = &words->version_argv;

	*ret = (struct unit_view){
		.id = systemctl_value(shown, "Id", 0),
		.description = systemctl_value(shown, "Description", 0),
		.user = systemctl_value(shown, "User", 0),
		.fragment = systemctl_value(shown, "FragmentPath", 0),
		.reloads = reload != NULL,
	};
	if (!ret->user && str_equal(dynamic, "yes"))
		ret->user = xstrdup("a user made for each start (DynamicUser=)");
	if (exec)
		read_argv(exec, argv);
	ret->program = find_program(argv);
	find_tree(ret);
	find_env_files(ret, shown);
	find_configs(ret, argv, working_dir && working_dir[0] == '/' ? working_dir : NULL);
	find_version_file(ret);
}

static void strings_done(struct app_strings *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
}

void unit_view_done(struct unit_view *u)
{
	free(u->id);
	free(u->description);
	free(u->user);
	free(u->fragment);
	free(u->program);
	free(u->tree);
	free(u->version_file);
	strings_done(&u->configs);
	strings_done(&u->env_files);
	*u = (struct unit_view){0};
}
