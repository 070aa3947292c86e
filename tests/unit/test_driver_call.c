/* Calls into drivers that misbehave: each costs one call, and the sentence says who did what. */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include "driver/call.h"
#include "driver/registry.h"
#include "fleet/clock.h"
#include "fleet/log.h"
#include "unit.h"

static struct driver_call zoo_call(const char *driver, char *file, size_t size, int64_t ms)
{
	(void)snprintf(file, size, ZOO_DIR "/%s.so", driver);
	return (struct driver_call){.driver = driver,
		.file = file,
		.app_id = "app-a",
		.deadline_ms = fleet_clock_monotonic_ms() + ms};
}

static const struct fleet_bytes some_bytes = {"a=1\n", 4};

/* Has bad-behaviour do `act` in edit. */
static int behave(const char *act, int64_t ms, struct fleet_buffer *out, struct fleet_error *err)
{
	struct fleet_edit edit = {.path = {"a", 1},
		.value = {act, strlen(act)},
		.kind = FLEET_EDIT_SET,
		.type = FLEET_TYPE_STRING};
	char file[512];
	struct driver_call call = zoo_call("bad-behaviour", file, sizeof(file), ms);

	return driver_format_edit(&call, some_bytes, &edit, 1, out, err);
}

struct misdeed {
	const char *act;
	int code;
	const char *said; /* in the message */
	int64_t ms;
};

static void expect_misdeeds(const struct misdeed *list)
{
	for (const struct misdeed *m = list; m->act; m++) {
		struct fleet_buffer out = FLEET_BUFFER_INIT;
		struct fleet_error err = FLEET_ERROR_INIT;
		int r = behave(m->act, m->ms ? m->ms : 5000, &out, &err);

		if (r != m->code || err.code != m->code || !strstr(err.message, m->said) || out.data)
			printf("# %s: %d (%s), expected %d (%s)\n", m->act, r, err.message, m->code, m->said);
		CU_ASSERT_EQUAL(r, m->code);
		CU_ASSERT_EQUAL(err.code, m->code);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, m->said));
		CU_ASSERT_PTR_NULL(out.data);
		fleet_buffer_done(&out);
	}
}

static void test_every_misdeed_costs_one_call(void)
{
	static const struct misdeed list[] = {
		{"hang", -ETIMEDOUT, "driver bad-behaviour did not come to an end within ", 300},
		{"exit", -ENODATA, "driver bad-behaviour exited with status 0 in edit without an answer", 0},
		{"_exit", -ENODATA, "driver bad-behaviour exited with status 7 in edit without an answer", 0},
		{"huge", -EPROTO, "its answer is longer than 4 MiB", 0},
		{"garbage", -EPROTO, "an answer that is too long", 0},
		{"long-frame", -EPROTO, "an answer that is too long", 0},
		{"cut-frame", -ENODATA, "exited with status 0 in edit without an answer", 0},
		{"two-results", -EPROTO, "it went on after the end of its answer", 0},
		{"setting-in-edit", -EPROTO, "an unexpected or malformed setting", 0},
		{"positive", -EPROTO, "neither 0 nor a negative errno", 0},
		{"silent", -EIO, "driver bad-behaviour failed in edit without saying why", 0},
		{"says-why", -EINVAL, "3:14: a bad?thing happened", 0},
		{"unterminated", -EINVAL, "mmmmmmmm", 0},
		{"wrong-sink", -EPROTO, "wrong kind of sink", 0},
		{0},
	};

	expect_misdeeds(list);
}

static void test_signals_are_named(void)
{
#ifdef FLEET_UNSANDBOXED
	unit_skip("the sanitizer turns signals into exits");
#else
	static const struct misdeed list[] = {
		{"crash", -EFAULT, "driver bad-behaviour crashed (SIGSEGV) in edit", 0},
		{"recurse", -EFAULT, "driver bad-behaviour crashed (SIGSEGV) in edit", 0},
		{"abort", -EFAULT, "driver bad-behaviour crashed (SIGABRT) in edit", 0},
		{0},
	};

	expect_misdeeds(list);
#endif
}

static void test_the_sandbox_leaves_memory_only(void)
{
#ifdef FLEET_UNSANDBOXED
	unit_skip("built without the sandbox");
#else
	static const struct misdeed list[] = {
		{"open", -EFAULT, "driver bad-behaviour crashed (SIGSYS) in edit", 0},
		{"socket", -EFAULT, "driver bad-behaviour crashed (SIGSYS) in edit", 0},
		{"close-pipe", -EFAULT, "driver bad-behaviour crashed (SIGSYS) in edit", 0},
		{"fork", -EFAULT, "driver bad-behaviour crashed (SIGSYS) in edit", 0},
		{"kill", -EFAULT, "driver bad-behaviour crashed (SIGSYS) in edit", 0},
		{"executable-memory", -EFAULT, "driver bad-behaviour crashed (SIGSYS) in edit", 0},
		{0},
	};

	expect_misdeeds(list);
#endif
}

static void expect_output(const char *act, const char *text)
{
	struct fleet_buffer out = FLEET_BUFFER_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = behave(act, 5000, &out, &err);

	if (r < 0)
		printf("# %s: %s\n", act, err.message);
	CU_ASSERT_EQUAL(r, 0);
	CU_ASSERT_STRING_EQUAL(out.data ? out.data : "", text);
	fleet_buffer_done(&out);
}

static void test_memory_is_there(void)
{
	expect_output("memory", "fine");
}

static void test_chatter_is_bounded(void)
{
	expect_output("chatter", "fine");
}

static void test_the_driver_ends_before_its_deadline(void)
{
	struct fleet_buffer out = FLEET_BUFFER_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;
	long left;

	CU_ASSERT_EQUAL_FATAL(behave("time-left", 5000, &out, &err), 0);
	left = strtol(out.data, NULL, 10);
	CU_ASSERT_TRUE(left > 0 && left <= 4000);
	fleet_buffer_done(&out);
}

static void test_no_time_left_calls_nobody(void)
{
	struct fleet_buffer out = FLEET_BUFFER_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL(behave("exit", 0, &out, &err), -ETIMEDOUT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "no time left to call driver bad-behaviour"));
}

/* Whatever the host has open, the driver's process has /dev/null, its pipe and its own file. */
static void test_a_driver_sees_only_its_pipe(void)
{
#ifdef FLEET_UNSANDBOXED
	unit_skip("built without the sandbox");
#else
	struct fleet_edit edit = {.path = {"a", 1}, .value = {"b", 1}, .kind = FLEET_EDIT_SET};
	struct fleet_buffer out = FLEET_BUFFER_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;
	char file[512], want[256];
	struct driver_call call = zoo_call("bad-init", file, sizeof(file), 5000);
	int leaked = open("/etc/passwd", O_RDONLY), far; /* not close-on-exec: the worst case */
	bool root = geteuid() == 0;

	CU_ASSERT_TRUE_FATAL(leaked >= 0);
	far = fcntl(leaked, F_DUPFD, 900);
	CU_ASSERT_TRUE(far >= 900);
	CU_ASSERT_EQUAL_FATAL(driver_format_edit(&call, some_bytes, &edit, 1, &out, &err), 0);
	(void)snprintf(want, sizeof(want),
		"uid %u gid %u fds 0,1,2,3 fork refused no environment reads not shadow",
		root ? 65534 : getuid(), root ? 65534 : getgid());
	CU_ASSERT_STRING_EQUAL(out.data, want);
	if (strcmp(out.data, want) != 0)
		printf("# %s\n# %s\n", out.data, want);
	fleet_buffer_done(&out);
	(void)close(leaked);
	(void)close(far);
#endif
}

static void test_the_zoo_is_refused_with_reasons(void)
{
	static const struct {
		const char *name, *why; /* NULL: usable */
		unsigned roles;
	} list[] = {
		{"bad-behaviour", NULL, DRIVER_ROLE_FORMAT},
		{"bad-constructor", "crashed (SIGABRT) in loading", 0},
		{"bad-exports", NULL, DRIVER_ROLE_FORMAT},
		{"bad-init", NULL, DRIVER_ROLE_FORMAT},
		{"bad-liar", NULL, DRIVER_ROLE_FORMAT},
		{"bad-manager", NULL, DRIVER_ROLE_SERVICE},
		{"bad-major", "it is made for ABI 2, and this Fleet has ABI 1", 0},
		{"bad-name", "it calls itself json-config, its file must be json-config.so", 0},
		{"bad-no-role", "it has neither of the two roles", 0},
		{"bad-no-symbol", "it does not export fleet_driver_v1", 0},
		{"bad-promise", NULL, DRIVER_ROLE_FORMAT},
		{"bad-service", NULL, DRIVER_ROLE_SERVICE},
		{"bad-short", "fleet_driver_v1 is shorter", 0},
		{"bad-short-ops", "fleet_format_ops is shorter", 0},
	};
	struct fleet_error err = FLEET_ERROR_INIT;
	struct driver_registry registry;

	CU_ASSERT_EQUAL_FATAL(driver_registry_load(ZOO_DIR, &registry, &err), 0);
	CU_ASSERT_EQUAL(registry.count, FLEET_ARRAY_LEN(list));
	CU_ASSERT_PTR_NULL(driver_registry_find(&registry, "no-such-driver"));
	for (size_t i = 0; i < FLEET_ARRAY_LEN(list); i++) {
		const struct driver_info *info = driver_registry_find(&registry, list[i].name);

		CU_ASSERT_PTR_NOT_NULL_FATAL(info);
		CU_ASSERT_EQUAL(info->roles, list[i].roles);
		if (!list[i].why) {
			CU_ASSERT_PTR_NULL(info->error);
			CU_ASSERT_STRING_EQUAL(info->version, "1");
			continue;
		}
		CU_ASSERT_PTR_NOT_NULL_FATAL(info->error);
		CU_ASSERT_PTR_NOT_NULL(strstr(info->error, list[i].name));
#ifndef FLEET_UNSANDBOXED
		CU_ASSERT_PTR_NOT_NULL(strstr(info->error, list[i].why));
		if (!strstr(info->error, list[i].why))
			printf("# %s\n", info->error);
#endif
	}
	driver_registry_done(&registry);
}

static void put_file(const char *dir, const char *name, mode_t mode, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	FILE *f = fopen(path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	(void)fputs(text, f);
	(void)fclose(f);
	CU_ASSERT_EQUAL(chmod(path, mode), 0);
}

static void test_files_that_cannot_be_trusted(void)
{
	char dir[] = "/tmp/test_driver_call.XXXXXX";
	struct fleet_error err = FLEET_ERROR_INIT;
	struct driver_registry registry = {0};
	const struct driver_info *info;
	_cleanup_free_ char *clean = NULL;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	put_file(dir, "no-elf.so", 0644, "this is no shared object");
	put_file(dir, "others.so", 0666, "anybody may write here");
	put_file(dir, "-bad name.so", 0644, "");
	put_file(dir, "README", 0644, "");
	CU_ASSERT_EQUAL_FATAL(driver_registry_load(dir, &registry, &err), 0);
	CU_ASSERT_EQUAL(registry.count, 2);
	info = driver_registry_find(&registry, "no-elf");
	CU_ASSERT_PTR_NOT_NULL_FATAL(info);
	CU_ASSERT_PTR_NOT_NULL(strstr(info->error, "cannot be loaded"));
	info = driver_registry_find(&registry, "others");
	CU_ASSERT_PTR_NOT_NULL_FATAL(info);
	CU_ASSERT_PTR_NOT_NULL(strstr(
		info->error, geteuid() == 0 ? "others than root may write to it" : "cannot be loaded"));
	driver_registry_done(&registry);

	CU_ASSERT_EQUAL(chmod(dir, 0777), 0);
	if (geteuid() == 0) {
		CU_ASSERT_EQUAL(driver_registry_load(dir, &registry, &err), -EPERM);
	}
	CU_ASSERT_EQUAL(driver_registry_load("/nonexistent/drivers", &registry, &err), -ENOENT);
	CU_ASSERT_EQUAL(driver_registry_load("drivers", &registry, &err), -EINVAL);
	clean = xasprintf("rm -rf '%s'", dir);
	CU_ASSERT_EQUAL(system(clean), 0);
}

static void test_roles_and_functions_that_are_not_there(void)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct driver_status status;
	char file[512];
	struct driver_call call = zoo_call("bad-behaviour", file, sizeof(file), 5000);

	CU_ASSERT_EQUAL(driver_service_status(&call, &status, &err), -EOPNOTSUPP);
	CU_ASSERT_STRING_EQUAL(err.message, "driver bad-behaviour has no service role");
	call = zoo_call("bad-service", file, sizeof(file), 5000);
	CU_ASSERT_EQUAL(driver_format_check(&call, some_bytes, &err), -EOPNOTSUPP);
	CU_ASSERT_STRING_EQUAL(err.message, "driver bad-service has no format role");
	CU_ASSERT_EQUAL(driver_service_do(&call, DRIVER_RELOAD, &err), -EOPNOTSUPP);
	CU_ASSERT_STRING_EQUAL(err.message, "driver bad-service has no reload");
	call = zoo_call("no-such", file, sizeof(file), 5000);
	CU_ASSERT_EQUAL(driver_service_do(&call, DRIVER_START, &err), -ENOENT);
}

static void test_what_a_file_says(void)
{
	struct settings settings = SETTINGS_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;
	char file[512];
	struct driver_call call = zoo_call("bad-liar", file, sizeof(file), 5000);

	CU_ASSERT_EQUAL_FATAL(
		driver_format_read(&call, (struct fleet_bytes){"a=1\nb=\n", 7}, &settings, &err), 0);
	CU_ASSERT_EQUAL_FATAL(settings.count, 2);
	CU_ASSERT_TRUE(settings.text_only);
	CU_ASSERT_STRING_EQUAL(settings_find(&settings, "a")->value, "1");
	CU_ASSERT_STRING_EQUAL(settings_find(&settings, "b")->value, "");
	settings_done(&settings);
	CU_ASSERT_EQUAL(
		driver_format_read(&call, (struct fleet_bytes){"a=1\nb\n", 6}, &settings, &err), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.message, "2:1: a line without =");
	CU_ASSERT_EQUAL(
		driver_format_read(&call, (struct fleet_bytes){"[=1\n", 4}, &settings, &err), -EPROTO);
}

static void test_a_lie_about_an_edit_is_found(void)
{
	struct fleet_edit edit = {
		.path = {"b", 1}, .value = {"2", 1}, .kind = FLEET_EDIT_SET, .type = FLEET_TYPE_STRING};
	struct settings before = SETTINGS_INIT, want = SETTINGS_INIT, after = SETTINGS_INIT;
	struct fleet_buffer out = FLEET_BUFFER_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;
	char file[512];
	struct driver_call call = zoo_call("bad-liar", file, sizeof(file), 5000);

	CU_ASSERT_EQUAL_FATAL(driver_format_read(&call, some_bytes, &before, &err), 0);
	CU_ASSERT_EQUAL_FATAL(driver_format_edit(&call, some_bytes, &edit, 1, &out, &err), 0);
	CU_ASSERT_EQUAL_FATAL(
		driver_format_read(&call, (struct fleet_bytes){out.data, out.len}, &after, &err), 0);
	CU_ASSERT_EQUAL_FATAL(settings_apply(&before, &edit, 1, &want, &err), 0);
	CU_ASSERT_EQUAL(settings_compare(&want, &after, &err), -EBADMSG);
	CU_ASSERT_STRING_EQUAL(err.message, "'a' would have another value in the new file");
	settings_done(&before);
	settings_done(&want);
	settings_done(&after);
	fleet_buffer_done(&out);
}

struct progress {
	char text[256];
};

static void on_progress(uint32_t percent, const char *text, void *arg)
{
	struct progress *p = arg;
	size_t n = strlen(p->text);

	(void)snprintf(p->text + n, sizeof(p->text) - n, "%u %s;", percent, text);
}

static void test_verbs(void)
{
	struct fleet_option fail = {"act", "fail"}, close_pipe = {"act", "close-pipe"};
	struct progress progress = {""};
	struct fleet_error err = FLEET_ERROR_INIT;
	char file[512];
	struct driver_call call = zoo_call("bad-service", file, sizeof(file), 5000);

	call.progress = on_progress;
	call.arg = &progress;
	CU_ASSERT_EQUAL(driver_service_do(&call, DRIVER_RESTART, &err), 0);
	CU_ASSERT_STRING_EQUAL(progress.text, "10 stopping;100 starting;");
	call.options = &close_pipe;
	call.option_count = 1;
	CU_ASSERT_EQUAL(driver_service_do(&call, DRIVER_STOP, &err), -ENODATA);
	CU_ASSERT_STRING_EQUAL(
		err.message, "driver bad-service exited with status 0 in stop without an answer");
	call.options = &fail;
	progress.text[0] = '\0';
	CU_ASSERT_EQUAL(driver_service_do(&call, DRIVER_RESTART, &err), -EIO);
	CU_ASSERT_STRING_EQUAL(err.message, "exited with status 1");
	CU_ASSERT_STRING_EQUAL(progress.text, "10 stopping;");
}

static void test_nothing_outlives_the_call(void)
{
	struct fleet_option background = {"act", "background"};
	struct fleet_error err = FLEET_ERROR_INIT;
	int64_t began = fleet_clock_monotonic_ms();
	char file[512];
	struct driver_call call = zoo_call("bad-service", file, sizeof(file), 10000);

	call.options = &background;
	call.option_count = 1;
	CU_ASSERT_EQUAL(driver_service_do(&call, DRIVER_STOP, &err), 0);
	/* the one that it forked holds the pipe open: the end was not taken from there */
	CU_ASSERT_TRUE(fleet_clock_monotonic_ms() - began < 9000);
}

static void test_status_version_and_logs(void)
{
	struct fleet_option flood = {"act", "flood"}, state = {"act", "state"};
	struct driver_status status = {0};
	struct driver_log_lines lines = {0};
	struct fleet_buffer text = FLEET_BUFFER_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;
	char file[512];
	struct driver_call call = zoo_call("bad-service", file, sizeof(file), 5000);

	CU_ASSERT_EQUAL(driver_service_status(&call, &status, &err), 0);
	CU_ASSERT_EQUAL(status.state, FLEET_STATE_RUNNING);
	CU_ASSERT_EQUAL(status.pid, 4127);
	CU_ASSERT_STRING_EQUAL(status.message, "app app-a");
	CU_ASSERT_EQUAL(strlen(status.instance), 63);
	CU_ASSERT_EQUAL(driver_service_version(&call, &text, &err), 0);
	CU_ASSERT_STRING_EQUAL(text.data, "2.1.0");
	fleet_buffer_done(&text);
	CU_ASSERT_EQUAL(driver_service_logs(&call, 2, 0, &text, &err), 0);
	CU_ASSERT_STRING_EQUAL(text.data, "a?[1mline\na?[1mline\n");
	fleet_buffer_done(&text);
	CU_ASSERT_EQUAL_FATAL(driver_service_log_lines(&call, 3, 1700000000000, &lines, &err), 0);
	CU_ASSERT_EQUAL_FATAL(lines.count, 3);
	CU_ASSERT_EQUAL(lines.items[2].unix_ms, 1700000000002);
	CU_ASSERT_EQUAL(lines.items[2].priority, 6);
	driver_log_lines_done(&lines);

	CU_ASSERT_EQUAL(driver_service_last_end(&call, 1000, &text, &err), 0);
	CU_ASSERT_STRING_EQUAL(text.data, "killed by ?[1mSIGKILL");
	fleet_buffer_done(&text);
	CU_ASSERT_EQUAL(driver_service_last_end(&call, 1001, &text, &err), -ENOENT);
	CU_ASSERT_STRING_EQUAL(err.message, "it has not failed since then");

	call.options = &flood;
	call.option_count = 1;
	CU_ASSERT_EQUAL(driver_service_last_end(&call, 0, &text, &err), -EPROTO);
	CU_ASSERT_EQUAL(driver_service_logs(&call, 2, 0, &text, &err), -EPROTO);
	call.options = &state;
	CU_ASSERT_EQUAL(driver_service_status(&call, &status, &err), -EPROTO);
}

struct told {
	unsigned times[4];
	bool ok[4];
	char message[4][256];
};

static void on_status(
	size_t index, const struct driver_status *status, const struct fleet_error *err, void *arg)
{
	struct told *told = arg;

	told->times[index]++;
	told->ok[index] = status != NULL;
	(void)snprintf(told->message[index], sizeof(told->message[index]), "%.200s",
		status ? status->message : err->message);
}

static void ask_all(const char *second, int64_t ms, struct told *told)
{
	struct fleet_option options[4] = {{"act", ""}, {"act", second}, {"act", ""}, {"act", "fail"}};
	static const char *const apps[] = {"one", "two", "three", "four"};
	struct driver_call calls[4];
	char file[512];

	memset(told, 0, sizeof(*told));
	for (size_t i = 0; i < 4; i++) {
		calls[i] = zoo_call("bad-service", file, sizeof(file), ms);
		calls[i].app_id = apps[i];
		calls[i].options = &options[i];
		calls[i].option_count = 1;
	}
	driver_service_status_all(calls, 4, on_status, told);
	for (size_t i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(told->times[i], 1);
}

static void test_status_of_many_in_one_child(void)
{
	struct told told;

	ask_all("", 5000, &told);
	CU_ASSERT_TRUE(told.ok[0] && told.ok[1] && told.ok[2] && !told.ok[3]);
	CU_ASSERT_STRING_EQUAL(told.message[2], "app three");
	CU_ASSERT_STRING_EQUAL(told.message[3], "exited with status 1");

	ask_all("hang", 300, &told);
	CU_ASSERT_TRUE(told.ok[0] && !told.ok[1] && !told.ok[2] && !told.ok[3]);
	CU_ASSERT_PTR_NOT_NULL(strstr(told.message[1], "did not come to an end"));

	ask_all("exit", 5000, &told);
	CU_ASSERT_TRUE(told.ok[0] && !told.ok[1] && !told.ok[2]);
#ifndef FLEET_UNSANDBOXED
	ask_all("crash", 5000, &told);
	CU_ASSERT_TRUE(told.ok[0] && !told.ok[1] && !told.ok[2]);
	CU_ASSERT_STRING_EQUAL(told.message[1], "driver bad-service crashed (SIGSEGV) in status");
#endif
}

/* A wish of the signal handling around: a program that blocks or handles signals still gets its deadline. */
static void test_signals_of_the_caller_do_not_matter(void)
{
	struct fleet_buffer out = FLEET_BUFFER_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;
	sigset_t all, before;

	sigfillset(&all);
	CU_ASSERT_EQUAL(sigprocmask(SIG_SETMASK, &all, &before), 0);
	CU_ASSERT_EQUAL(behave("hang", 300, &out, &err), -ETIMEDOUT);
	CU_ASSERT_EQUAL(sigprocmask(SIG_SETMASK, &before, NULL), 0);
}

static const struct unit_test call_tests[] = {UNIT_TEST(test_every_misdeed_costs_one_call),
	UNIT_TEST(test_signals_are_named), UNIT_TEST(test_the_sandbox_leaves_memory_only),
	UNIT_TEST(test_memory_is_there), UNIT_TEST(test_chatter_is_bounded),
	UNIT_TEST(test_the_driver_ends_before_its_deadline), UNIT_TEST(test_no_time_left_calls_nobody),
	UNIT_TEST(test_a_driver_sees_only_its_pipe), UNIT_TEST(test_roles_and_functions_that_are_not_there),
	UNIT_TEST(test_what_a_file_says), UNIT_TEST(test_a_lie_about_an_edit_is_found), UNIT_TEST(test_verbs),
	UNIT_TEST(test_nothing_outlives_the_call), UNIT_TEST(test_status_version_and_logs),
	UNIT_TEST(test_status_of_many_in_one_child), UNIT_TEST(test_signals_of_the_caller_do_not_matter),
	{0}};
static const struct unit_test registry_tests[] = {
	UNIT_TEST(test_the_zoo_is_refused_with_reasons), UNIT_TEST(test_files_that_cannot_be_trusted), {0}};

int main(void)
{
	fleet_log_init("test_driver_call", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	return unit_run((const struct unit_suite[]){{"call", call_tests}, {"registry", registry_tests}, {0}});
}
