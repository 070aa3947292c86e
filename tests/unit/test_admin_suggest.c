/* `fleet-agent suggest`: what systemd says of a unit, read, and made into a declaration that the driver host
 * takes, whatever the unit is called and wherever its program lies. */
#include <sys/stat.h>
#include "agent/admin/suggestion.h"
#include "agent/admin/systemctl.h"
#include "fleet/file.h"
#include "unit.h"

static char dir[48];

static char *make(const char *name)
{
	char *path = xasprintf("%s/%s", dir, name);
	_cleanup_free_ char *parent = xstrndup(path, (size_t)(strrchr(path, '/') - path));

	CU_ASSERT_EQUAL_FATAL(fleet_mkdir_parents(parent, 0755, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(fleet_file_write_durable(path, "x", 1, 0644, NULL), 0);
	return path;
}

static void begin(void)
{
	memcpy(dir, "/tmp/fleet-suggest-XXXXXX", sizeof("/tmp/fleet-suggest-XXXXXX"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
}

static void end(const char *const *files)
{
	for (; *files; files++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, *files);

		for (char *slash; strlen(path) > strlen(dir); *slash = '\0') {
			(void)remove(path); /* a directory once it is empty */
			slash = strrchr(path, '/');
		}
	}
	CU_ASSERT_EQUAL(rmdir(dir), 0);
}

/* The declaration is taken, and has one app; *ret_text owned. */
static void suggest(const char *shown, struct apps *ret, char **ret_text)
{
	_cleanup_(unit_view_done) struct unit_view u = {0};
	struct fleet_buffer text = FLEET_BUFFER_INIT;

	unit_view_read(shown, &u);
	suggestion_write(&u, "/etc/fleet-agent/apps.d", &text);
	apps_check_text("x", text.data, text.len, ret);
	for (size_t i = 0; i < ret->problem_count; i++)
		printf("# %u:%u: %s\n", ret->problems[i].line, ret->problems[i].column,
			ret->problems[i].message);
	CU_ASSERT_EQUAL(ret->problem_count, 0);
	CU_ASSERT_EQUAL_FATAL(ret->count, 1);
	*ret_text = fleet_buffer_take(&text, NULL);
}

static void test_reads_lines(void)
{
	static const char shown[] =
		"Id=a.service\nEnvironmentFiles=/a (ignore_errors=no)\nUser=\nEnvironmentFiles=/b "
		"(ignore_errors=yes)\nIdle=1\n";
	_cleanup_free_ char *id = systemctl_value(shown, "Id", 0),
			    *second = systemctl_value(shown, "EnvironmentFiles", 1);

	CU_ASSERT_STRING_EQUAL(id, "a.service");
	CU_ASSERT_STRING_EQUAL(second, "/b (ignore_errors=yes)");
	CU_ASSERT_PTR_NULL(systemctl_value(shown, "User", 0));
	CU_ASSERT_PTR_NULL(systemctl_value(shown, "EnvironmentFiles", 2));
	CU_ASSERT_PTR_NULL(systemctl_value("", "Id", 0));
}

static void test_an_app_with_a_tree_of_its_own(void)
{
	static const char *const files[] = {
		"web/bin/web", "web/version.txt", "web/conf/web.ini", "etc/web.json", "etc/web.env", NULL};
	_cleanup_free_ char *program = NULL, *shown = NULL, *text = NULL, *tree = NULL;
	_cleanup_(apps_done) struct apps apps = APPS_INIT;
	const struct app *app;

	begin();
	for (size_t i = 0; files[i]; i++)
		free(make(files[i]));
	tree = xasprintf("%s/web", dir);
	shown = xasprintf(
		"Id=web.service\nDescription=The web: # \"app\"\nUser=web\n"
		"ExecStart={ path=%s/web/bin/web ; argv[]=%s/web/bin/web --config=%s/etc/web.json $OPTS -x ; "
		"ignore_errors=no ; pid=1 }\nExecReload={ path=/bin/kill }\n"
		"EnvironmentFiles=%s/etc/web.env (ignore_errors=yes)\n",
		dir, dir, dir, dir);
	suggest(shown, &apps, &text);
	app = apps.items[0];
	CU_ASSERT_STRING_EQUAL(app->id, "web");
	CU_ASSERT_STRING_EQUAL(app->service_name, "web.service");
	CU_ASSERT_STRING_EQUAL(app->binary_path, tree);
	CU_ASSERT_EQUAL_FATAL(app->file_count, 3);
	CU_ASSERT_STRING_EQUAL(app->files[0].driver, "json-config");
	CU_ASSERT_STRING_EQUAL(app->files[1].driver, "ini-config");
	CU_ASSERT_STRING_EQUAL(app->files[2].driver, "env-config");
	CU_ASSERT_EQUAL(app->version_kind, APP_VERSION_FILE);
	CU_ASSERT_EQUAL(app->allow, APP_ALLOW_ALL);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "# It runs as: web\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "knows how to reload"));
	end(files);
}

static void test_a_program_of_the_distribution(void)
{
	_cleanup_(apps_done) struct apps apps = APPS_INIT;
	_cleanup_free_ char *text = NULL;

	suggest("Id=ssh.service\nExecStart={ path=/usr/sbin/sshd ; argv[]=/usr/sbin/sshd -D ; "
		"ignore_errors=no }\n",
		&apps, &text);
	CU_ASSERT_PTR_NULL(apps.items[0]->binary_path);
	CU_ASSERT_FALSE(apps.items[0]->allow & APP_ALLOW_UPDATE);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "the package manager's"));
}

static void test_what_an_interpreter_runs(void)
{
	static const char *const files[] = {"app/main.py", "app/config.yaml", NULL};
	_cleanup_free_ char *program = NULL, *config = NULL, *shown = NULL, *text = NULL;
	_cleanup_(apps_done) struct apps apps = APPS_INIT;

	begin();
	program = make(files[0]);
	config = make(files[1]);
	shown = xasprintf("Id=job@one.service\nDynamicUser=yes\nWorkingDirectory=%s/app\n"
			  "ExecStart={ path=/usr/bin/python3 ; argv[]=/usr/bin/python3 -u %s -c config.yaml "
			  "; ignore_errors=no }\n",
		dir, program);
	suggest(shown, &apps, &text);
	CU_ASSERT_STRING_EQUAL(apps.items[0]->id, "job-one");
	CU_ASSERT_STRING_EQUAL(apps.items[0]->service_name, "job@one.service");
	CU_ASSERT_EQUAL_FATAL(apps.items[0]->file_count, 1);
	CU_ASSERT_STRING_EQUAL(apps.items[0]->files[0].path, config);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "DynamicUser"));
	end(files);
}

/* Names that YAML or an id could not take as they are, and units that say next to nothing. */
static void test_whatever_a_unit_is_called(void)
{
	static const struct {
		const char *shown, *id;
	} cases[] = {
		{"Id=a.service\n", "a"},
		{"Id=dev-disk-by\\x2duuid.service\nDescription=a\tb: [c\n", "dev-disk-by-x2duuid"},
		{"Id=_x.service\n", "xx"},
		{"Id=1:2.service\nExecStart={ path=/opt/x ; argv[]=/opt/x ; }\n", "1-2"},
		{"Id=null.service\nExecStart={\n", "null"},
		{"Id=true.service\nExecStart={ argv[]=\n", "true"},
		{"Id=123.service\n", "123"},
		{"Id=a-very-long-name-a-very-long-name-a-very-long-name-a-very-long-name-a-very-long-name."
		 "service\n",
			"a-very-long-name-a-very-long-name-a-very-long-name-a-very-long-n"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_(apps_done) struct apps apps = APPS_INIT;
		_cleanup_free_ char *text = NULL;

		suggest(cases[i].shown, &apps, &text);
		CU_ASSERT_STRING_EQUAL(apps.items[0]->id, cases[i].id);
	}
}

int main(void)
{
	static const struct unit_test tests[] = {UNIT_TEST(test_reads_lines),
		UNIT_TEST(test_an_app_with_a_tree_of_its_own), UNIT_TEST(test_a_program_of_the_distribution),
		UNIT_TEST(test_what_an_interpreter_runs), UNIT_TEST(test_whatever_a_unit_is_called), {0}};

	return unit_run((const struct unit_suite[]){{"admin suggest", tests}, {0}});
}
