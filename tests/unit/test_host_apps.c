/* Declarations: each kind of mistake and the exact words for it, and what a good one means. */
#include <ftw.h>
#include <sys/stat.h>
#include "agent/host/apps.h"
#include "agent/host/key_policy.h"
#include "unit.h"

static char dir[48];

static void begin(void)
{
	snprintf(dir, sizeof(dir), "/tmp/fleet-apps-XXXXXX");
	if (!mkdtemp(dir))
		abort();
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void finish(void)
{
	CU_ASSERT_EQUAL(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void declare(const char *name, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	FILE *f = fopen(path, "we");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs(text, f);
	fclose(f);
	CU_ASSERT_EQUAL(chmod(path, 0644), 0);
}

static struct apps load(bool as_root)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct apps apps = APPS_INIT;

	if (apps_load(dir, as_root, NULL, &apps, &err) < 0) {
		printf("# %s\n", err.message);
		CU_FAIL("not loaded");
	}
	return apps;
}

#define APP "managed_apps:\n  - id: web\n    service_name: web.service\n"

static void test_contracts_example(void)
{
	_cleanup_(apps_done) struct apps apps = APPS_INIT;
	const struct app *app;

	begin();
	declare("a.yaml", "managed_apps:\n"
			  "  - id: my-app\n"
			  "    service_name: my-app\n"
			  "    binary_path: /opt/my-app/\n"
			  "    config_path: /opt/my-app/appsettings.json\n"
			  "    version_file: /opt/my-app/version.txt\n"
			  "    configs: [{name: env, path: /etc/default/my-app, create: true}]\n"
			  "    preserve: [data/, logs/]\n"
			  "    after_push: reload\n"
			  "    health_check: {url: 'http://127.0.0.1:8080/health', timeout: 5s, settle: 3s}\n"
			  "    allow: [restart, read-logs]\n"
			  "    config_keys: {deny: [Secrets.*]}\n"
			  "    secret_keys: [Connection]\n"
			  "    timeout: 2m\n");
	declare("ignored.yml", "nonsense: [");
	declare(".hidden.yaml", "nonsense: [");
	declare("empty.yaml", "# nothing yet\n");
	apps = load(false);
	CU_ASSERT_EQUAL(apps.problem_count, 0);
	CU_ASSERT_EQUAL_FATAL(apps.count, 1);
	app = apps_find(&apps, "my-app");
	CU_ASSERT_STRING_EQUAL(app->service_driver, "systemd-unit");
	CU_ASSERT_STRING_EQUAL(app->service_name, "my-app.service");
	CU_ASSERT_STRING_EQUAL(app->service_options.items[0].key, "service_name");
	CU_ASSERT_STRING_EQUAL(app->service_options.items[0].value, "my-app.service");
	CU_ASSERT_STRING_EQUAL(app->binary_path, "/opt/my-app");
	CU_ASSERT_EQUAL(app->file_count, 2);
	CU_ASSERT_STRING_EQUAL(app_find_file(app, NULL)->driver, "json-config");
	CU_ASSERT_STRING_EQUAL(app_find_file(app, "env")->driver, "env-config");
	CU_ASSERT_PTR_NULL(app_find_file(app, "nope"));
	CU_ASSERT_STRING_EQUAL(app->preserve.items[0], "data");
	CU_ASSERT_EQUAL(app->after_push, APP_PUSH_RELOAD);
	CU_ASSERT_EQUAL(app->health.kind, APP_HEALTH_URL);
	CU_ASSERT_EQUAL(app->health.settle_ms, 3000);
	CU_ASSERT_EQUAL(app->allow, APP_ALLOW_RESTART | APP_ALLOW_READ_LOGS);
	CU_ASSERT_EQUAL(app->timeout_ms, 120000);
	CU_ASSERT_EQUAL(app->version_kind, APP_VERSION_FILE);
	CU_ASSERT_EQUAL(key_policy_check(app, &app->files[0], "LogLevel", NULL), 0);
	CU_ASSERT_EQUAL(key_policy_check(app, &app->files[0], "Secrets.Key", NULL), -EACCES);
	CU_ASSERT_EQUAL(key_policy_check(app, &app->files[1], "LD_PRELOAD", NULL), -EACCES);
	CU_ASSERT_EQUAL(key_policy_check(app, &app->files[1], "LOG_LEVEL", NULL), 0);
	CU_ASSERT_TRUE(key_policy_is_secret(app, "Connection"));
	CU_ASSERT_TRUE(key_policy_is_secret(app, "Db.Password"));
	CU_ASSERT_FALSE(key_policy_is_secret(app, "LogLevel"));
	finish();
}

static void test_bad_declarations(void)
{
	static const struct {
		const char *text;
		unsigned line, column;
		const char *message;
	} cases[] = {
		{"managed_apps: {}\n", 1, 15, "managed_apps must be a list"},
		{"managed_aps: []\n", 1, 1, "unknown key 'managed_aps'; did you mean 'managed_apps'?"},
		{"- id: web\n", 1, 1, "must be a mapping with the key managed_apps"},
		{"managed_apps:\n  - web\n", 2, 5,
			"each of managed_apps must be a mapping that begins with an id"},
		{"managed_apps:\n  - service_name: x\n", 2, 5, "an app needs an id"},
		{"managed_apps:\n  - id: a b\n", 2, 9,
			"id must be letters, digits, '.', '_' or '-', beginning with a letter or digit, at "
			"most 64"},
		{"managed_apps:\n  - id: web\n", 2, 5, "app 'web' needs a service_name"},
		{APP "    service_nam: x\n", 4, 5, "unknown key 'service_nam'; did you mean 'service_name'?"},
		{APP "    config_path: appsettings.json\n", 4, 18, "config_path must be an absolute path"},
		{APP "    config_path: /opt/../etc/shadow.json\n", 4, 18,
			"config_path must not have empty parts, '.' or '..'"},
		{APP "    config_path: /opt/web/settings\n", 4, 18,
			"cannot tell from the name /opt/web/settings how to read it; name a driver"},
		{APP "    config_driver: json-config\n", 4, 20, "config_driver without config_path"},
		{APP "    configs: [{name: a, path: /a.json}, {name: a, path: /b.json}]\n", 4, 41,
			"two configs are named 'a'"},
		{APP "    configs: [{path: /a.json}]\n", 4, 15, "each of configs needs a name and a path"},
		{APP "    binary_path: /\n", 4, 18, "binary_path must not be /"},
		{APP "    binary_path: /proc\n", 4, 18,
			"/proc is a mount point, so it cannot be replaced whole"},
		{APP "    preserve: [data]\n", 4, 15, "preserve without binary_path"},
		{APP "    binary_path: /opt/web\n    preserve: [../x]\n", 5, 15,
			"preserve: '../x' must be a path inside binary_path"},
		{APP "    after_push: maybe\n", 4, 17, "after_push must be restart, reload or none"},
		{APP "    allow: [restart, reboot]\n", 4, 22,
			"allow knows restart, push-config, update, read-config and read-logs"},
		{APP "    version_file: /v\n    version_env: V\n", 5, 18,
			"version_file and version_env: an app has one way to tell its version"},
		{APP "    version_env: V\n", 4, 18, "version_env needs a config whose driver is env-config"},
		{APP "    version_command: [web, --version]\n", 4, 22,
			"version_command must be a list whose first entry is a program's absolute path"},
		{APP "    health_check: {url: 'ftp://x'}\n", 4, 25,
			"url must begin with http:// or https://"},
		{APP "    health_check: {url: 'http://x', tcp: 'x:1'}\n", 4, 19,
			"health_check has more than one of url, tcp and command"},
		{APP "    timeout: 10ms\n", 4, 14, "timeout must be at least 1 s"},
		{APP "    keep_previous: maybe\n", 4, 20, "keep_previous must be true or false"},
		{APP "    secret_keys: {a: b}\n", 4, 18, "secret_keys must be a list"},
		{APP APP, 4, 1, "the key 'managed_apps' is there twice"},
		{APP "  - id: web\n    service_name: other.service\n", 4, 9,
			"app 'web' is declared twice, first at "},
		{APP "    binary_path: /opt/a\n  - {id: b, service_name: b, binary_path: /opt/a/b}\n", 5, 43,
			"/opt/a/b is below /opt/a, which app 'web' has ("},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_(apps_done) struct apps apps = APPS_INIT;
		const struct app_problem *p;
		bool good;

		begin();
		declare("bad.yaml", cases[i].text);
		declare("good.yaml", "managed_apps: [{id: good, service_name: good}]\n");
		apps = load(false);
		CU_ASSERT_EQUAL(apps.count, 1); /* the other file's app */
		CU_ASSERT_PTR_NOT_NULL(apps_find(&apps, "good"));
		CU_ASSERT_EQUAL_FATAL(apps.problem_count, 1);
		p = &apps.problems[0];
		good = p->line == cases[i].line && p->column == cases[i].column &&
		       strncmp(p->message, cases[i].message, strlen(cases[i].message)) == 0;
		CU_ASSERT_TRUE(good);
		if (!good)
			printf("# case %zu: %u:%u: %s\n", i, p->line, p->column, p->message);
		CU_ASSERT_PTR_NOT_NULL(strstr(p->file, "/bad.yaml"));
		finish();
	}
}

static void test_duplicates_across_files(void)
{
	_cleanup_(apps_done) struct apps apps = APPS_INIT;
	_cleanup_free_ char *first = NULL;

	begin();
	declare("1.yaml", APP);
	declare("2.yaml", APP);
	apps = load(false);
	first = xasprintf("app 'web' is declared twice, first at %s/1.yaml:2", dir);
	CU_ASSERT_EQUAL(apps.count, 1);
	CU_ASSERT_EQUAL_FATAL(apps.problem_count, 1);
	CU_ASSERT_STRING_EQUAL(apps.problems[0].message, first);
	finish();
}

static void test_missing_directory(void)
{
	_cleanup_(apps_done) struct apps apps = APPS_INIT;

	snprintf(dir, sizeof(dir), "/nonexistent/apps.d");
	apps = load(false);
	CU_ASSERT_EQUAL(apps.count, 0);
	CU_ASSERT_EQUAL(apps.problem_count, 1);
}

/* As root, nobody else may have written a declaration, nor put a link on the way to a config file. */
static void test_root_trusts_only_root(void)
{
	_cleanup_(apps_done) struct apps apps = APPS_INIT;
	char path[128], target[128];
	_cleanup_free_ char *text = NULL;

	if (geteuid() != 0) {
		unit_skip("needs root to give files away");
		return;
	}
	begin();
	declare("theirs.yaml", APP);
	snprintf(path, sizeof(path), "%s/theirs.yaml", dir);
	CU_ASSERT_EQUAL(chown(path, 1234, 0), 0);
	declare("shared.yaml", "managed_apps: [{id: b, service_name: b}]\n");
	snprintf(path, sizeof(path), "%s/shared.yaml", dir);
	CU_ASSERT_EQUAL(chmod(path, 0664), 0);
	snprintf(path, sizeof(path), "%s/c.json", dir);
	snprintf(target, sizeof(target), "%s/target.json", dir);
	declare("target.json", "{}");
	CU_ASSERT_EQUAL(symlink(target, path), 0);
	CU_ASSERT_EQUAL(lchown(path, 1234, 0), 0);
	text = xasprintf("managed_apps: [{id: c, service_name: c, config_path: %s}]\n", path);
	declare("link.yaml", text);
	apps = load(true);
	CU_ASSERT_EQUAL(apps.count, 0);
	CU_ASSERT_EQUAL_FATAL(apps.problem_count, 3);
	CU_ASSERT_PTR_NOT_NULL(strstr(apps.problems[0].message, "only a link of root's is followed"));
	CU_ASSERT_PTR_NOT_NULL(strstr(apps.problems[1].message, "writable by root alone"));
	CU_ASSERT_PTR_NOT_NULL(strstr(apps.problems[2].message, "writable by root alone"));
	apps_done(&apps);
	CU_ASSERT_EQUAL(lchown(path, 0, 0), 0);
	apps = load(true);
	CU_ASSERT_EQUAL_FATAL(apps.count, 1);
	CU_ASSERT_STRING_EQUAL(apps.items[0]->files[0].real_path, target); /* followed, and pinned */
	finish();
}

static void test_infers_drivers(void)
{
	static const struct {
		const char *path, *driver;
	} cases[] = {{"/a/b.json", "json-config"}, {"/a/b.yaml", "yaml-config"}, {"/a/b.yml", "yaml-config"},
		{"/a/my.cnf", "ini-config"}, {"/a/x.conf", "ini-config"}, {"/a/x.ini", "ini-config"},
		{"/a/.env", "env-config"}, {"/etc/default/x", "env-config"},
		{"/etc/systemd/system/x.service.d/o.conf", "systemd-unit"}, {"/a/noname", NULL}};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		const char *driver = app_infer_driver(cases[i].path);

		CU_ASSERT_TRUE(str_equal(driver, cases[i].driver));
	}
}

static void test_code_in_the_environment(void)
{
	static const char *const code[] = {"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "PATH", "MY_PRELOAD",
		"BASH_ENV", "ENV", "IFS", "PS4", "PYTHONPATH", "PERL5OPT", "RUBYOPT", "NODE_OPTIONS",
		"JAVA_TOOL_OPTIONS", "GLIBC_TUNABLES", "DOTNET_STARTUP_HOOKS", "CORECLR_PROFILER_PATH",
		"OPENSSL_CONF"};
	static const char *const plain[] = {"PORT", "LOG_LEVEL", "MY_PATH", "PATHS", "LD", "OLD_X",
		"JAVA_HOME", "ENVIRONMENT", "PRELOAD_X"};
	_cleanup_(apps_done) struct apps apps = APPS_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;
	const struct app *app, *freed;

	begin();
	declare("a.yaml",
		"managed_apps:\n  - id: web\n    service_name: web\n    config_path: /opt/web/x.env\n"
		"    configs: [{name: json, path: /opt/web/x.json}]\n"
		"  - id: freed\n    service_name: freed\n    config_path: /opt/freed/.env\n"
		"    config_keys: {allow: [PATH, PORT]}\n");
	apps = load(false);
	app = apps_find(&apps, "web");
	freed = apps_find(&apps, "freed");
	CU_ASSERT_FATAL(app && freed);
	CU_ASSERT_STRING_EQUAL(app->files[0].driver, "env-config");
	for (size_t i = 0; i < FLEET_ARRAY_LEN(code); i++) {
		CU_ASSERT_EQUAL(key_policy_check(app, app_find_file(app, "main"), code[i], &err), -EACCES);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "can run code"));
		CU_ASSERT_EQUAL(key_policy_check(app, app_find_file(app, "json"), code[i], NULL), 0);
	}
	for (size_t i = 0; i < FLEET_ARRAY_LEN(plain); i++)
		CU_ASSERT_EQUAL(key_policy_check(app, app_find_file(app, "main"), plain[i], NULL), 0);
	CU_ASSERT_EQUAL(key_policy_check(freed, &freed->files[0], "PATH", NULL), 0);
	CU_ASSERT_EQUAL(key_policy_check(freed, &freed->files[0], "LD_PRELOAD", NULL), -EACCES);
	finish();
}

int main(void)
{
	static const struct unit_test tests[] = {UNIT_TEST(test_contracts_example),
		UNIT_TEST(test_bad_declarations), UNIT_TEST(test_duplicates_across_files),
		UNIT_TEST(test_missing_directory), UNIT_TEST(test_root_trusts_only_root),
		UNIT_TEST(test_infers_drivers), UNIT_TEST(test_code_in_the_environment), {0}};

	return unit_run((const struct unit_suite[]){{"host apps", tests}, {0}});
}
