/* The power is cut, for real: the app, the ledger and staging lie on ext4 in an image; where the cut is, the
 * processes stand still, and the image's backing file is copied without a sync. The copy is the disk that a
 * server comes up with: what was written and not synced is not on it. Then what runs at boot runs, and the
 * host. A sync that is left out on purpose shows that this notices. Needs root, ext4 and a loop device. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "fleet/clock.h"
#include "host_update_lab.h"
#include "unit.h"

/* Stands before libc's, for the whole program. */
int syncfs(int fd);
static bool leave_syncfs_out;

int syncfs(int fd)
{
	return leave_syncfs_out ? 0 : (int)syscall(SYS_syncfs, fd);
}

static bool run(const char *const *arguments)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		if (dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
			_exit(127);
		execvp(arguments[0], (char *const *)(uintptr_t)arguments);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

struct disk {
	struct fixture *f;
	char *image, *copy, *cut_file, *artifact; /* owned; beside the mount point */
};

static bool mount_image(const struct disk *d, const char *image)
{
	return run((const char *const[]){"mount", "-o", "loop,noatime", image, d->f->dir, NULL});
}

static void unmount(const struct disk *d)
{
	int64_t until = fleet_clock_monotonic_ms() + FIXTURE_WAIT_MS;

	while (umount2(d->f->dir, 0) < 0 && errno == EBUSY && fleet_clock_monotonic_ms() < until)
		(void)poll(NULL, 0, 10); /* whoever was killed is not gone yet */
}

/* false: such things cannot be done here. */
static bool disk_init(struct disk *d, struct fixture *f, const char *run_conf)
{
	_cleanup_free_ char *apps = NULL, *made = NULL;
	int fd;

	fixture_init(f);
	*d = (struct disk){.f = f,
		.image = xasprintf("%s.image", f->dir),
		.copy = xasprintf("%s.copy", f->dir),
		.cut_file = xasprintf("%s.cut", f->dir),
		.artifact = xasprintf("%s.artifact", f->dir)};
	fd = open(d->image, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (geteuid() != 0 || fd < 0 || ftruncate(fd, 64 << 20) < 0)
		return false;
	(void)close(fd);
	if (!run((const char *const[]){"mkfs.ext4", "-q", "-F", d->image, NULL}) || !mount_image(d, d->image))
		return false;
	apps = xasprintf("%s/apps.d", f->dir);
	CU_ASSERT_EQUAL(mkdir(apps, 0755), 0);
	lab_fill(f, "");
	made = lab_make_release(f, "2.1.0\n", run_conf);
	CU_ASSERT_TRUE(run((const char *const[]){"cp", made, d->artifact, NULL}));
	CU_ASSERT_EQUAL(unlink(made), 0);
	f->artifact = d->artifact;
	f->cut_file = d->cut_file;
	return true;
}

static void disk_done(struct disk *d)
{
	char *const files[] = {d->image, d->copy, d->cut_file, d->artifact};

	if (d->f->host > 0)
		fixture_kill(d->f);
	unmount(d);
	fixture_done(d->f);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(files); i++) {
		(void)unlink(files[i]);
		free(files[i]);
	}
}

/* Sends the command, waits until the operation stands still, and comes up with the disk as it is then. */
static void cut_and_boot(struct disk *d, struct json_object *payload, const char *step)
{
	int64_t until = fleet_clock_monotonic_ms() + FIXTURE_WAIT_MS;
	struct fixture *f = d->f;
	int fd;

	f->die_at = step;
	fixture_write(f, "once", "");
	fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT_EQUAL(
		(int)syscall(SYS_syncfs, fd), 0); /* what was there before the command is no question */
	(void)close(fd);
	fixture_start(f);
	fixture_send_command(f, payload);
	if (!str_equal(step, "prepare") && !str_equal(step, "download")) {
		_cleanup_json_ struct json_object *fetch = fixture_wait(f, "fetch");

		CU_ASSERT_PTR_NOT_NULL(fetch);
	}
	while (access(d->cut_file, F_OK) < 0 && fleet_clock_monotonic_ms() < until)
		(void)poll(NULL, 0, 5);
	CU_ASSERT_EQUAL_FATAL(access(d->cut_file, F_OK), 0);
	CU_ASSERT_TRUE(run((const char *const[]){"cp", "--sparse=always", d->image, d->copy, NULL}));
	fixture_kill(f);
	unmount(d);
	CU_ASSERT_TRUE_FATAL(mount_image(d, d->copy));
	f->die_at = NULL;
	fixture_recover_files(f);
}

/* As the app's own start finds it: one version or the other, all of it. Counts instead of asserting. */
static bool is_whole(const struct fixture *f)
{
	static const char *const names[] = {
		"app/bin/web", "app/version", "app/run.conf", "app/web.conf", "app/data/db"};
	const char *const versions[][FLEET_ARRAY_LEN(names)] = {
		{"old program", "2.0.0\n", "ok\n", "level=mine\n", "what the app wrote"},
		{"new program", "2.1.0\n", NULL, "level=mine\n", "what the app wrote"}};

	for (size_t v = 0; v < FLEET_ARRAY_LEN(versions); v++) {
		size_t same = 0;

		for (size_t i = 0; i < FLEET_ARRAY_LEN(names); i++) {
			_cleanup_free_ char *text = fixture_read(f, names[i]);

			same += text && (!versions[v][i] || strcmp(text, versions[v][i]) == 0);
		}
		if (same == FLEET_ARRAY_LEN(names))
			return true;
	}
	return false;
}

static void survive(const char *step, const char *run_conf)
{
	struct fixture f;
	struct disk d;
	_cleanup_json_ struct json_object *payload =
		fixture_command("update-app", "web", lab_arguments("2.1.0"));
	const char *id = fleet_json_string(payload, "commandId");
	struct json_object *result;
	bool success;

	if (!disk_init(&d, &f, run_conf)) {
		disk_done(&d);
		unit_skip("needs root, mkfs.ext4 and a loop device");
		return;
	}
	cut_and_boot(&d, payload, step);
	if (!is_whole(&f)) {
		printf("# not whole after a cut at %s\n", step);
		CU_FAIL("after boot the app is neither the old version nor the new one");
	}
	fixture_set_state(&f, "web", "running", 50); /* as its unit does at boot */
	fixture_start(&f);
	result = fixture_result(&f, id);
	CU_ASSERT_PTR_NOT_NULL_FATAL(result);
	success = fleet_json_bool(result, "success", false);
	if (strcmp(run_conf, "ok\n") != 0)
		CU_ASSERT_FALSE(success);
	lab_assert_whole(&f, success);
	lab_assert_running(&f);
	CU_ASSERT_TRUE(fleet_json_bool(result, "appHealthy", false));
	disk_done(&d);
}

static void test_power_cut_at_each_step(void)
{
	static const char *const steps[] = {"download", "verify", "unpack", "unpacked", "stop", "swap",
		"aside", "move", "exchange", "exchanged", "start", "health", "keep"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(steps); i++)
		survive(steps[i], "ok\n");
}

static void test_power_cut_at_each_step_of_a_failure(void)
{
	static const char *const steps[] = {"exchanged", "health", "rollback", "remove"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(steps); i++)
		survive(steps[i], "crash=yes\n");
}

/* The syncs are there for a reason: without that of the new tree, the exchange brings up what is not on the
 * disk. */
static void test_missing_sync_is_noticed(void)
{
	struct fixture f;
	struct disk d;
	_cleanup_json_ struct json_object *payload =
		fixture_command("update-app", "web", lab_arguments("2.1.0"));

	if (!disk_init(&d, &f, "ok\n")) {
		disk_done(&d);
		unit_skip("needs root, mkfs.ext4 and a loop device");
		return;
	}
	leave_syncfs_out = true;
	cut_and_boot(&d, payload, "start");
	leave_syncfs_out = false;
	CU_ASSERT_FALSE(is_whole(&f));
	disk_done(&d);
}

int main(void)
{
	static const struct unit_test tests[] = {UNIT_TEST(test_power_cut_at_each_step),
		UNIT_TEST(test_power_cut_at_each_step_of_a_failure), UNIT_TEST(test_missing_sync_is_noticed),
		{0}};

	(void)signal(SIGPIPE, SIG_IGN);
	return unit_run((const struct unit_suite[]){{"power cut", tests}, {0}});
}
