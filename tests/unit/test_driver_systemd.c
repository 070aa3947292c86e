/* systemd-unit against a real systemd, called as the host calls it. It makes, breaks and removes units, so it
 * runs only where FLEET_TEST_SYSTEMD says that this systemd is a throwaway one
 * (tests/drivers/test_systemd_unit.sh boots such a server). */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include "driver/call.h"
#include "driver/registry.h"
#include "fleet/clock.h"
#include "fleet/log.h"
#include "unit.h"

#define UNIT_DIR "/run/systemd/system/"

static bool possible(void)
{
	if (getenv("FLEET_TEST_SYSTEMD"))
		return true;
	unit_skip("no throwaway systemd: FLEET_TEST_SYSTEMD is not set");
	return false;
}

static struct driver_call call_for(struct fleet_option *unit, const char *name, int64_t ms)
{
	*unit = (struct fleet_option){"service_name", name};
	return (struct driver_call){.driver = "systemd-unit",
		.file = PLUGIN_DIR "/systemd-unit.so",
		.app_id = "app",
		.state_dir = "/tmp",
		.options = unit,
		.option_count = 1,
		.deadline_ms = fleet_clock_monotonic_ms() + ms};
}

static int act(const char *name, enum driver_verb verb, int64_t ms, struct fleet_error *err)
{
	struct fleet_option unit;
	struct driver_call call = call_for(&unit, name, ms);
	int r = driver_service_do(&call, verb, err);

	if (r < 0)
		printf("# %s %d: %s\n", name, verb, err->message);
	return r;
}

static struct driver_status status_of(const char *name)
{
	struct driver_status status = {.state = 99};
	struct fleet_error err = FLEET_ERROR_INIT;
	struct fleet_option unit;
	struct driver_call call = call_for(&unit, name, 5000);

	if (driver_service_status(&call, &status, &err) < 0)
		printf("# status of %s: %s\n", name, err.message);
	return status;
}

/* Until the unit is in this state, for 10 s at most. */
static struct driver_status wait_for_state(const char *name, uint32_t state)
{
	int64_t deadline = fleet_clock_monotonic_ms() + 10000;
	struct driver_status status = status_of(name);

	while (status.state != state && fleet_clock_monotonic_ms() < deadline) {
		usleep(50000);
		status = status_of(name);
	}
	CU_ASSERT_EQUAL(status.state, state);
	return status;
}

static void write_file(const char *name, const char *text)
{
	_cleanup_free_ char *path = xasprintf(UNIT_DIR "%s", name);
	FILE *f = fopen(path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs(text, f);
	CU_ASSERT_EQUAL(fclose(f), 0);
}

static void write_unit(const char *name, const char *service)
{
	_cleanup_free_ char *text = xasprintf("[Unit]\nDescription=test\n%s\n", service);

	write_file(name, text);
}

static void reload(void)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL(act("anything.service", DRIVER_RELOAD_DEFINITIONS, 20000, &err), 0);
}

static void test_registered(void)
{
	struct driver_registry registry;
	struct fleet_error err = FLEET_ERROR_INIT;
	const struct driver_info *info;
	static const struct {
		const char *name;
		unsigned roles;
	} drivers[] = {{"env-config", DRIVER_ROLE_FORMAT}, {"ini-config", DRIVER_ROLE_FORMAT},
		{"json-config", DRIVER_ROLE_FORMAT}, {"simulated", DRIVER_ROLE_SERVICE},
		{"systemd-unit", DRIVER_ROLE_FORMAT | DRIVER_ROLE_SERVICE},
		{"yaml-config", DRIVER_ROLE_FORMAT}};

	CU_ASSERT_EQUAL_FATAL(driver_registry_load(PLUGIN_DIR, &registry, &err), 0);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(drivers); i++) {
		info = driver_registry_find(&registry, drivers[i].name);
		CU_ASSERT_PTR_NOT_NULL_FATAL(info);
		CU_ASSERT_PTR_NULL(info->error);
		CU_ASSERT_EQUAL(info->roles, drivers[i].roles);
	}
	driver_registry_done(&registry);
}

static void test_start_stop_restart(void)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct driver_status status, again;
	int64_t before = fleet_clock_wall_ms();

	if (!possible())
		return;
	write_unit("ft-plain.service",
		"[Service]\nMemoryAccounting=yes\nExecStart=/bin/sleep 1000\nExecReload=/bin/true");
	reload();
	CU_ASSERT_EQUAL(status_of("ft-plain").state, FLEET_STATE_STOPPED);
	CU_ASSERT_EQUAL(act("ft-plain", DRIVER_START, 10000, &err), 0);
	status = status_of("ft-plain.service");
	CU_ASSERT_EQUAL(status.state, FLEET_STATE_RUNNING);
	CU_ASSERT_TRUE(status.pid > 1);
	CU_ASSERT_TRUE(status.since_unix_ms >= before - 1000);
	CU_ASSERT_TRUE(status.memory_bytes > 0);
	CU_ASSERT_EQUAL(strlen(status.instance), 32);
	CU_ASSERT_STRING_EQUAL(status.message, "");
	CU_ASSERT_EQUAL(act("ft-plain", DRIVER_START, 10000, &err), 0); /* it is up already */
	again = status_of("ft-plain");
	CU_ASSERT_STRING_EQUAL(again.instance, status.instance);
	CU_ASSERT_EQUAL(act("ft-plain", DRIVER_RELOAD, 10000, &err), 0);
	CU_ASSERT_EQUAL(act("ft-plain", DRIVER_RESTART, 10000, &err), 0);
	again = status_of("ft-plain");
	CU_ASSERT_EQUAL(again.state, FLEET_STATE_RUNNING);
	CU_ASSERT_STRING_NOT_EQUAL(again.instance, status.instance);
	CU_ASSERT_NOT_EQUAL(again.pid, status.pid);
	CU_ASSERT_EQUAL(act("ft-plain", DRIVER_STOP, 10000, &err), 0);
	status = status_of("ft-plain");
	CU_ASSERT_EQUAL(status.state, FLEET_STATE_STOPPED);
	CU_ASSERT_EQUAL(status.pid, 0);
	CU_ASSERT_EQUAL(act("ft-plain", DRIVER_STOP, 10000, &err), 0);
	CU_ASSERT_EQUAL(act("ft-plain", DRIVER_RELOAD, 10000, &err), -ESRCH);
}

static void test_failures_are_named(void)
{
	static const struct {
		const char *service, *said;
	} list[] = {
		{"[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo last words; exit 3'",
			"ft-bad.service: exited with status 3"},
		{"[Service]\nType=notify\nExecStart=/bin/sh -c 'kill -KILL $$$$'",
			"ft-bad.service: killed by SIGKILL"},
		{"[Service]\nType=notify\nExecStart=/bin/true",
			"ft-bad.service: it did not tell systemd that it is ready"},
		{"[Service]\nExecStartPre=/bin/false\nExecStart=/bin/sleep 1000",
			"ft-bad.service: ExecStartPre: exited with status 1"},
		{"[Service]\nType=notify\nTimeoutStartSec=300ms\nExecStart=/bin/sleep 1000",
			"systemd's own time limit passed"},
		{"[Service]\nType=oneshot\nExecStart=/nonexistent/program",
			"ft-bad.service: exited with status 203"},
		{"Requires=ft-no-such.service\nAfter=ft-no-such.service\n[Service]\nExecStart=/bin/sleep "
		 "1000",
			"ft-no-such.service"},
		{"ConditionPathExists=/nonexistent\n[Service]\nExecStart=/bin/sleep 1000",
			"a Condition of the unit is not met"},
		{"AssertPathExists=/nonexistent\n[Service]\nExecStart=/bin/sleep 1000",
			"an Assert of the unit is not met"},
	};
	struct driver_status status;

	if (!possible())
		return;
	for (size_t i = 0; i < FLEET_ARRAY_LEN(list); i++) {
		struct fleet_error err = FLEET_ERROR_INIT;

		write_unit("ft-bad.service", list[i].service);
		reload();
		CU_ASSERT_TRUE(act("ft-bad", i % 2 ? DRIVER_RESTART : DRIVER_START, 10000, &err) < 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, list[i].said));
		if (i == 0) {
			status = status_of("ft-bad");
			CU_ASSERT_EQUAL(status.state, FLEET_STATE_FAILED);
			CU_ASSERT_STRING_EQUAL(status.message, "exited with status 3");
		}
	}
}

static void test_a_used_up_start_limit_is_cleared(void)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct driver_status status;

	if (!possible())
		return;
	write_unit("ft-limit.service",
		"StartLimitBurst=2\nStartLimitIntervalSec=1h\n[Service]\nRestart=always\nRestartSec=10ms\n"
		"ExecStart=/bin/sh -c 'test -e /run/ft-limit-ok && exec sleep 1000; exit 4'");
	(void)unlink("/run/ft-limit-ok");
	reload();
	(void)act("ft-limit", DRIVER_START, 10000, &err); /* up for a moment, or already not: both are true */
	status = wait_for_state("ft-limit", FLEET_STATE_FAILED);
	CU_ASSERT_STRING_EQUAL(status.message, "start limit hit: exited with status 4, too often");
	CU_ASSERT_NOT_EQUAL(
		system("systemctl start ft-limit.service 2>/dev/null"), 0); /* systemd would not */
	CU_ASSERT_EQUAL(close(open("/run/ft-limit-ok", O_CREAT | O_WRONLY, 0644)), 0);
	CU_ASSERT_EQUAL(act("ft-limit", DRIVER_START, 10000, &err), 0);
	CU_ASSERT_EQUAL(status_of("ft-limit").state, FLEET_STATE_RUNNING);
}

static void test_time_up_cancels_the_job(void)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	if (!possible())
		return;
	write_unit("ft-slow.service",
		"[Service]\nType=notify\nTimeoutStartSec=infinity\nExecStart=/bin/sleep 1000");
	reload();
	CU_ASSERT_EQUAL(act("ft-slow", DRIVER_START, 1000, &err), -ETIMEDOUT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "its job is cancelled"));
	CU_ASSERT_EQUAL(system("test -z \"$(systemctl list-jobs --no-legend ft-slow.service)\""), 0);
	/* what the job had begun goes on, as with systemctl cancel: it is the host's to stop */
	CU_ASSERT_EQUAL(status_of("ft-slow").state, FLEET_STATE_STARTING);
	CU_ASSERT_EQUAL(act("ft-slow", DRIVER_STOP, 10000, &err), 0);
	CU_ASSERT_EQUAL(status_of("ft-slow").state, FLEET_STATE_STOPPED);
}

static void test_oneshots(void)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	if (!possible())
		return;
	write_unit("ft-once.service", "[Service]\nType=oneshot\nExecStart=/bin/true");
	write_unit("ft-stays.service", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true");
	/* wanted by something, as an enabled service is: else systemd forgets it as soon as it has run */
	(void)mkdir(UNIT_DIR "multi-user.target.wants", 0755);
	CU_ASSERT_EQUAL(symlink("../ft-once.service", UNIT_DIR "multi-user.target.wants/ft-once.service"), 0);
	reload();
	CU_ASSERT_EQUAL(status_of("ft-once").state, FLEET_STATE_STOPPED);
	CU_ASSERT_EQUAL(act("ft-once", DRIVER_START, 10000, &err), 0);
	CU_ASSERT_EQUAL(status_of("ft-once").state, FLEET_STATE_DONE);
	CU_ASSERT_EQUAL(act("ft-stays", DRIVER_START, 10000, &err), 0);
	CU_ASSERT_EQUAL(status_of("ft-stays").state, FLEET_STATE_DONE);
}

static void test_restarts_by_itself_are_counted(void)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct driver_status first, status;
	int64_t deadline;

	if (!possible())
		return;
	write_unit(
		"ft-again.service", "[Service]\nRestart=always\nRestartSec=50ms\nExecStart=/bin/sleep 1000");
	reload();
	CU_ASSERT_EQUAL(act("ft-again", DRIVER_START, 10000, &err), 0);
	first = status_of("ft-again");
	CU_ASSERT_EQUAL_FATAL(kill(first.pid, SIGKILL), 0);
	deadline = fleet_clock_monotonic_ms() + 10000;
	do {
		usleep(20000);
		status = status_of("ft-again");
	} while ((status.state != FLEET_STATE_RUNNING || status.pid == first.pid) &&
		 fleet_clock_monotonic_ms() < deadline);
	CU_ASSERT_EQUAL(status.restarts, 1);
	CU_ASSERT_STRING_NOT_EQUAL(status.instance, first.instance);
}

static void test_units_that_are_not_there(void)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct driver_status status;
	struct fleet_option unit;
	struct driver_call call = call_for(&unit, "ft-no-such", 5000);

	if (!possible())
		return;
	CU_ASSERT_EQUAL(driver_service_status(&call, &status, &err), -ENOENT);
	CU_ASSERT_STRING_EQUAL(err.message, "there is no unit ft-no-such.service");
	CU_ASSERT_EQUAL(act("ft-no-such", DRIVER_START, 5000, &err), -ENOENT);
	CU_ASSERT_EQUAL(act("../evil", DRIVER_START, 5000, &err), -EINVAL);
	CU_ASSERT_EQUAL(act("", DRIVER_START, 5000, &err), -EINVAL);
	CU_ASSERT_EQUAL(symlink("/dev/null", UNIT_DIR "ft-masked.service"), 0);
	reload();
	CU_ASSERT_EQUAL(act("ft-masked", DRIVER_START, 5000, &err), -EPERM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "masked"));
}

static void test_logs(void)
{
	struct driver_log_lines lines = {0};
	struct fleet_buffer text = FLEET_BUFFER_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct fleet_option unit;
	struct driver_call call = call_for(&unit, "ft-words", 10000);
	int64_t began = fleet_clock_wall_ms();
	bool found = false;

	if (!possible())
		return;
	write_unit("ft-words.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'for i in 1 2 3 4 5; "
				       "do echo word $i; done; echo \"<3>last words\"; exit 1'");
	reload();
	CU_ASSERT_TRUE(act("ft-words", DRIVER_START, 10000, &err) < 0);
	CU_ASSERT_EQUAL_FATAL(driver_service_log_lines(&call, 20, began - 1000, &lines, &err), 0);
	for (size_t i = 0; i < lines.count; i++) {
		printf("# %s\n", lines.items[i].text);
		CU_ASSERT_TRUE(lines.items[i].unix_ms >= began - 1000);
		CU_ASSERT_TRUE(i == 0 || lines.items[i].unix_ms >= lines.items[i - 1].unix_ms);
		found = found ||
			(strcmp(lines.items[i].text, "last words") == 0 && lines.items[i].priority == 3);
	}
	CU_ASSERT_TRUE(found);
	CU_ASSERT_TRUE(lines.count >= 8); /* systemd's own words about it too */
	driver_log_lines_done(&lines);
	CU_ASSERT_EQUAL_FATAL(driver_service_log_lines(&call, 2, 0, &lines, &err), 0);
	CU_ASSERT_EQUAL(lines.count, 2);
	driver_log_lines_done(&lines);
	CU_ASSERT_EQUAL(
		driver_service_log_lines(&call, 20, fleet_clock_wall_ms() + 3600000, &lines, &err), 0);
	CU_ASSERT_EQUAL(lines.count, 0);
	driver_log_lines_done(&lines);
	CU_ASSERT_EQUAL(driver_service_version(&call, &text, &err), -EOPNOTSUPP);
}

static bool ended(const char *name, int64_t since_ms, int want, const char *text)
{
	_cleanup_buffer_ struct fleet_buffer why = FLEET_BUFFER_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct fleet_option unit;
	struct driver_call call = call_for(&unit, name, 10000);
	int r = driver_service_last_end(&call, since_ms, &why, &err);

	printf("# %s: %d %s\n", name, r, r < 0 ? err.message : why.data);
	return r == want && (r < 0 || strcmp(why.data, text) == 0);
}

/* systemd's word counts, whatever a service writes about itself. */
static void test_how_it_ended(void)
{
	int64_t began = fleet_clock_wall_ms();
	struct driver_status first, second;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (!possible())
		return;
	write_unit("ft-liar.service",
		"[Service]\nRestart=always\nRestartSec=100ms\nStartLimitIntervalSec=0\nExecStart=/bin/sh -c "
		"\""
		"echo 'ft-liar.service: A process of this unit has been killed by the OOM killer.'; "
		"echo '<4>ft-liar.service: Failed with result watchdog'; exec sleep infinity\"");
	write_unit("ft-three.service", "[Service]\nExecStart=/bin/sh -c 'exit 3'");
	write_unit("ft-before.service", "[Service]\nExecStartPre=/bin/false\nExecStart=/bin/true");
	reload();
	CU_ASSERT_EQUAL(act("ft-liar", DRIVER_START, 10000, &err), 0);
	first = wait_for_state("ft-liar", FLEET_STATE_RUNNING);
	CU_ASSERT_TRUE(ended("ft-liar", began - 1000, -ENOENT, NULL));
	CU_ASSERT_EQUAL(kill(first.pid, SIGSEGV), 0);
	do {
		usleep(50000);
		second = status_of("ft-liar");
	} while (fleet_clock_wall_ms() < began + 20000 &&
		 (second.state != FLEET_STATE_RUNNING || second.pid == first.pid));
	CU_ASSERT_TRUE(ended("ft-liar", began - 1000, 0, "killed by SIGSEGV") ||
		       ended("ft-liar", began - 1000, 0, "killed by SIGSEGV (core dumped)"));
	CU_ASSERT_TRUE(ended("ft-liar", fleet_clock_wall_ms() + 60000, -ENOENT, NULL));
	(void)act("ft-three", DRIVER_START, 10000, &err);
	(void)wait_for_state("ft-three", FLEET_STATE_FAILED);
	CU_ASSERT_TRUE(ended("ft-three", began - 1000, 0, "exited with status 3"));
	(void)act("ft-before", DRIVER_START, 10000, &err);
	(void)wait_for_state("ft-before", FLEET_STATE_FAILED);
	CU_ASSERT_TRUE(ended("ft-before", began - 1000, 0, "ExecStartPre: exited with status 1"));
	CU_ASSERT_EQUAL(act("ft-liar", DRIVER_STOP, 10000, &err), 0);
}

/* dd takes its whole buffer at once, so where nothing limits it, it ends well and takes no more. */
static void test_memory_that_is_out(void)
{
	int64_t began = fleet_clock_wall_ms();
	struct fleet_error err = FLEET_ERROR_INIT;
	bool unified = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;

	if (!possible())
		return;
	write_unit("ft-greedy.service", "[Service]\nMemoryMax=20M\nMemorySwapMax=0\n"
					"ExecStart=/bin/dd if=/dev/zero of=/dev/null bs=200M count=1");
	reload();
	(void)act("ft-greedy", DRIVER_START, 10000, &err);
	while (status_of("ft-greedy").state == FLEET_STATE_RUNNING && fleet_clock_wall_ms() < began + 10000)
		usleep(50000);
	if (status_of("ft-greedy").state != FLEET_STATE_FAILED) {
		unit_skip("MemoryMax= has no effect on this machine");
		return;
	}
	/* systemd hears of it from cgroup v2 alone */
	CU_ASSERT_TRUE(ended("ft-greedy", began - 1000, 0,
		unified ? "killed for lack of memory (OOM)" : "killed by SIGKILL"));
}

static void expect_in_file(const char *path, const char *want)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	char line[4096] = "";

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	for (size_t n = fread(line, 1, sizeof(line) - 1, f), i = 0; i < n; i++) /* as /proc has arguments */
		line[i] = line[i] == '\0' || line[i] == '\n' ? ' ' : line[i];
	CU_ASSERT_PTR_NOT_NULL(strstr(line, want));
	if (!strstr(line, want))
		printf("# %s: %s\n", path, line);
}

static struct fleet_edit set_of(const char *path, const char *value)
{
	return (struct fleet_edit){.path = {path, strlen(path)},
		.value = {value, strlen(value)},
		.kind = FLEET_EDIT_SET,
		.type = FLEET_TYPE_STRING};
}

/* From no file at all to a service that runs with what the drop-in says; and back. */
static void test_a_drop_in(void)
{
	struct fleet_edit edits[] = {set_of("Service.LimitNOFILE", "777"),
		set_of("Service.ExecStart", "/bin/sleep 2000"), set_of("Service.Nice", "7")};
	_cleanup_buffer_ struct fleet_buffer text = FLEET_BUFFER_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct fleet_option unit;
	struct driver_call call = call_for(&unit, "ft-limits", 10000);
	struct driver_status status;
	char path[64];

	if (!possible())
		return;
	write_unit("ft-limits.service", "[Service]\nExecStart=/bin/sleep 1000");
	reload();
	CU_ASSERT_EQUAL(act("ft-limits", DRIVER_START, 10000, &err), 0);
	call.state_dir = NULL;
	call.option_count = 0;
	CU_ASSERT_EQUAL_FATAL(
		driver_format_edit(&call, (struct fleet_bytes){"", 0}, edits, 3, &text, &err), 0);
	CU_ASSERT_STRING_EQUAL(
		text.data, "[Service]\nLimitNOFILE=777\nExecStart=\nExecStart=/bin/sleep 2000\nNice=7\n");
	CU_ASSERT_EQUAL(mkdir(UNIT_DIR "ft-limits.service.d", 0755), 0);
	write_file("ft-limits.service.d/50-fleet.conf", text.data);
	reload();
	CU_ASSERT_EQUAL(act("ft-limits", DRIVER_RESTART, 10000, &err), 0);
	status = wait_for_state("ft-limits", FLEET_STATE_RUNNING);
	(void)snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)status.pid);
	expect_in_file(path, "/bin/sleep 2000");
	(void)snprintf(path, sizeof(path), "/proc/%d/limits", (int)status.pid);
	expect_in_file(path, "Max open files            777");
	CU_ASSERT_EQUAL(unlink(UNIT_DIR "ft-limits.service.d/50-fleet.conf"), 0);
	reload();
	CU_ASSERT_EQUAL(act("ft-limits", DRIVER_RESTART, 10000, &err), 0);
	status = wait_for_state("ft-limits", FLEET_STATE_RUNNING);
	(void)snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)status.pid);
	expect_in_file(path, "/bin/sleep 1000");
	CU_ASSERT_EQUAL(act("ft-limits", DRIVER_STOP, 10000, &err), 0);
}

/* A socket and a dependent go down with the service, and come back with it. */
static void test_companions(void)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct driver_status status;
	char why[240];

	if (!possible())
		return;
	write_file("ft-sock.socket", "[Socket]\nListenStream=/run/ft-sock\n");
	write_unit("ft-sock.service", "[Service]\nExecStart=/bin/sleep 1000");
	write_file("ft-dep.service", "[Unit]\nRequires=ft-sock.service\nAfter=ft-sock.service\n[Service]"
				     "\nExecStart=/bin/sleep 1000\n");
	write_file("ft-dep-dep.service", "[Unit]\nBindsTo=ft-dep.service\nAfter=ft-dep.service\n[Service]"
					 "\nExecStart=/bin/sleep 1000\n");
	write_file("ft-idle-dep.service",
		"[Unit]\nRequires=ft-sock.service\n[Service]\nExecStart=/bin/sleep 1000\n");
	reload();
	CU_ASSERT_EQUAL(system("systemctl start ft-sock.socket"), 0);
	status = status_of("ft-sock");
	CU_ASSERT_EQUAL(status.state, FLEET_STATE_DONE); /* at rest, and as it should be */
	CU_ASSERT_STRING_EQUAL(status.message, "not running until ft-sock.socket starts it");
	CU_ASSERT_EQUAL(system("systemctl start ft-dep-dep.service"), 0); /* which needs the others */
	CU_ASSERT_EQUAL(status_of("ft-sock").state, FLEET_STATE_RUNNING);
	CU_ASSERT_EQUAL(act("ft-sock", DRIVER_STOP, 10000, &err), 0);
	CU_ASSERT_EQUAL(status_of("ft-sock").state, FLEET_STATE_STOPPED);
	CU_ASSERT_EQUAL(status_of("ft-dep").state, FLEET_STATE_STOPPED);
	CU_ASSERT_EQUAL(status_of("ft-dep-dep").state, FLEET_STATE_STOPPED);
	CU_ASSERT_NOT_EQUAL(system("systemctl is-active -q ft-sock.socket"), 0);
	/* a second stop, as a rollback may make, forgets nothing */
	CU_ASSERT_EQUAL(act("ft-sock", DRIVER_STOP, 10000, &err), 0);
	CU_ASSERT_EQUAL(act("ft-sock", DRIVER_START, 10000, &err), 0);
	CU_ASSERT_EQUAL(status_of("ft-sock").state, FLEET_STATE_RUNNING);
	CU_ASSERT_EQUAL(status_of("ft-dep").state, FLEET_STATE_RUNNING);
	CU_ASSERT_EQUAL(status_of("ft-dep-dep").state, FLEET_STATE_RUNNING);
	CU_ASSERT_EQUAL(status_of("ft-idle-dep").state, FLEET_STATE_STOPPED); /* as it was */
	CU_ASSERT_EQUAL(system("systemctl is-active -q ft-sock.socket"), 0);
	CU_ASSERT_NOT_EQUAL(access("/tmp/went-down", F_OK), 0); /* nothing is remembered */
	/* a dependent that does not come back is told, and asked for again the next time */
	CU_ASSERT_EQUAL(act("ft-sock", DRIVER_STOP, 10000, &err), 0);
	write_file("ft-dep.service", "[Unit]\nRequires=ft-sock.service\nAfter=ft-sock.service\n[Service]"
				     "\nType=oneshot\nExecStart=/bin/false\n");
	reload();
	CU_ASSERT_EQUAL(act("ft-sock", DRIVER_START, 10000, &err), -EIO);
	(void)snprintf(why, sizeof(why), "%.239s", err.message);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "ft-dep.service, which requires it, cannot be started again"));
	write_file("ft-dep.service", "[Unit]\nRequires=ft-sock.service\nAfter=ft-sock.service\n[Service]"
				     "\nExecStart=/bin/sleep 1000\n");
	reload();
	CU_ASSERT_EQUAL(act("ft-sock", DRIVER_START, 10000, &err), 0);
	CU_ASSERT_EQUAL(status_of("ft-dep-dep").state, FLEET_STATE_RUNNING);
	CU_ASSERT_EQUAL(act("ft-sock", DRIVER_STOP, 10000, &err), 0);
	CU_ASSERT_EQUAL(unlink("/tmp/went-down"), 0);
}

/* What KillMode= leaves alive still runs from the tree: no stop is done before it is gone. */
static void test_processes_left_behind(void)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	if (!possible())
		return;
	write_unit("ft-left.service",
		"[Service]\nKillMode=process\nExecStart=/bin/sh -c 'sleep 3 & exec sleep 1000'");
	reload();
	CU_ASSERT_EQUAL(act("ft-left", DRIVER_START, 10000, &err), 0);
	CU_ASSERT_EQUAL(act("ft-left", DRIVER_STOP, 10000, &err), 0); /* outwaits it */
	CU_ASSERT_NOT_EQUAL(system("systemctl status ft-left | grep -q 'sleep 3'"), 0);
	write_unit("ft-left.service",
		"[Service]\nKillMode=process\nExecStart=/bin/sh -c 'sleep 1001 & exec sleep 1000'");
	reload();
	CU_ASSERT_EQUAL(act("ft-left", DRIVER_START, 10000, &err), 0);
	CU_ASSERT_EQUAL(act("ft-left", DRIVER_STOP, 2000, &err), -ETIMEDOUT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "of its processes go on"));
	CU_ASSERT_EQUAL(system("systemctl kill --signal=KILL ft-left.service"), 0);
}

static const struct unit_test systemd_tests[] = {UNIT_TEST(test_registered),
	UNIT_TEST(test_start_stop_restart), UNIT_TEST(test_failures_are_named),
	UNIT_TEST(test_a_used_up_start_limit_is_cleared), UNIT_TEST(test_time_up_cancels_the_job),
	UNIT_TEST(test_oneshots), UNIT_TEST(test_restarts_by_itself_are_counted),
	UNIT_TEST(test_units_that_are_not_there), UNIT_TEST(test_logs), UNIT_TEST(test_how_it_ended),
	UNIT_TEST(test_memory_that_is_out), UNIT_TEST(test_a_drop_in), UNIT_TEST(test_companions),
	UNIT_TEST(test_processes_left_behind), {0}};

int main(void)
{
	fleet_log_init("test_driver_systemd", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	return unit_run((const struct unit_suite[]){{"systemd-unit", systemd_tests}, {0}});
}
