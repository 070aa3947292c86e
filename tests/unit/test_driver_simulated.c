/* simulated: its life by its files and the clock. Delays are short and waited for by condition, with
 * deadlines. */
#include <fcntl.h>
#include "driver_fake.h"
#include "fleet/clock.h"
#include "unit.h"

extern const struct fleet_driver_v1 fleet_driver_v1;

static char dir[] = "/tmp/test_driver_simulated.XXXXXX";

/* A fresh state directory for each test. */
static void begin(void)
{
	_cleanup_free_ char *clean = xasprintf("rm -rf '%s'", dir);

	if (strstr(dir, "XXXXXX") == NULL)
		CU_ASSERT_EQUAL(system(clean), 0);
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
}

static struct fleet_status status_with(const struct fleet_option *options, uint32_t count)
{
	struct fleet_driver_error err = {.size = sizeof(err)};
	struct fleet_status status = {.size = sizeof(status), .state = 99};
	struct fake_host h;

	fake_host_init(&h, dir, options, count);
	if (fleet_driver_v1.service->status(&h.host, &status, &err) < 0)
		printf("# %s\n", err.message);
	return status;
}

typedef int32_t (*verb)(const struct fleet_host *, struct fleet_driver_error *);

static int act(verb function, const struct fleet_option *options, uint32_t count, int64_t remaining_ms,
	char *said, size_t size)
{
	struct fleet_driver_error err = {.size = sizeof(err)};
	struct fake_host h;
	int r;

	fake_host_init(&h, dir, options, count);
	h.remaining_ms = remaining_ms;
	r = function(&h.host, &err);
	(void)snprintf(said, size, "%s", err.message);
	return r;
}

static struct fleet_status wait_for(uint32_t state, const struct fleet_option *options, uint32_t count)
{
	int64_t deadline = fleet_clock_monotonic_ms() + 10000;
	struct fleet_status status = status_with(options, count);

	while (status.state != state && fleet_clock_monotonic_ms() < deadline) {
		usleep(2000);
		status = status_with(options, count);
	}
	CU_ASSERT_EQUAL(status.state, state);
	return status;
}

static void test_it_runs_when_first_seen(void)
{
	struct fleet_status first, again;

	begin();
	first = status_with(NULL, 0);
	CU_ASSERT_EQUAL(first.state, FLEET_STATE_RUNNING);
	CU_ASSERT_TRUE(first.pid > 0);
	CU_ASSERT_EQUAL(first.memory_bytes, 12 * 1024 * 1024);
	CU_ASSERT_TRUE(*first.instance != '\0');
	again = status_with(NULL, 0);
	CU_ASSERT_EQUAL(again.pid, first.pid);
	CU_ASSERT_EQUAL(again.since_unix_ms, first.since_unix_ms);
	CU_ASSERT_STRING_EQUAL(again.instance, first.instance);
}

static void test_stop_start_restart(void)
{
	const struct fleet_service_ops *ops = fleet_driver_v1.service;
	struct fleet_status first, status;
	char said[256];

	begin();
	first = status_with(NULL, 0);
	CU_ASSERT_EQUAL(act(ops->stop, NULL, 0, 5000, said, sizeof(said)), 0);
	status = status_with(NULL, 0);
	CU_ASSERT_EQUAL(status.state, FLEET_STATE_STOPPED);
	CU_ASSERT_EQUAL(status.pid, 0);
	CU_ASSERT_EQUAL(act(ops->stop, NULL, 0, 5000, said, sizeof(said)), 0);
	CU_ASSERT_TRUE(act(ops->reload, NULL, 0, 5000, said, sizeof(said)) < 0);
	CU_ASSERT_EQUAL(act(ops->start, NULL, 0, 5000, said, sizeof(said)), 0);
	status = status_with(NULL, 0);
	CU_ASSERT_EQUAL(status.state, FLEET_STATE_RUNNING);
	CU_ASSERT_STRING_NOT_EQUAL(status.instance, first.instance);
	first = status;
	CU_ASSERT_EQUAL(act(ops->start, NULL, 0, 5000, said, sizeof(said)), 0); /* it is up already */
	CU_ASSERT_EQUAL(act(ops->reload, NULL, 0, 5000, said, sizeof(said)), 0);
	status = status_with(NULL, 0);
	CU_ASSERT_STRING_EQUAL(status.instance, first.instance);
	CU_ASSERT_EQUAL(act(ops->restart, NULL, 0, 5000, said, sizeof(said)), 0);
	status = status_with(NULL, 0);
	CU_ASSERT_STRING_NOT_EQUAL(status.instance, first.instance);
	CU_ASSERT_NOT_EQUAL(status.pid, first.pid);
}

static void test_delays(void)
{
	static const struct fleet_option slow[] = {
		{"start_delay", "300ms"}, {"stop_delay", "0.3"}, {"memory", "64M"}};
	static const struct fleet_option never[] = {{"start_delay", "1h"}};
	const struct fleet_service_ops *ops = fleet_driver_v1.service;
	int64_t began;
	char said[256];

	begin();
	CU_ASSERT_EQUAL(status_with(slow, 3).memory_bytes, 64 * 1024 * 1024);
	began = fleet_clock_monotonic_ms();
	CU_ASSERT_EQUAL(act(ops->restart, slow, 3, 5000, said, sizeof(said)), 0);
	CU_ASSERT_TRUE(fleet_clock_monotonic_ms() - began >= 590);
	CU_ASSERT_EQUAL(act(ops->stop, NULL, 0, 5000, said, sizeof(said)), 0);
	CU_ASSERT_EQUAL(act(ops->start, never, 1, 0, said, sizeof(said)), -ETIMEDOUT);
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "still starting"));
	CU_ASSERT_EQUAL(status_with(never, 1).state, FLEET_STATE_STOPPED);
}

static void test_a_start_that_fails(void)
{
	static const struct fleet_option fail[] = {{"fail_start", "true"}};
	const struct fleet_service_ops *ops = fleet_driver_v1.service;
	struct fleet_status status;
	char said[256];

	begin();
	CU_ASSERT_EQUAL(status_with(fail, 1).state, FLEET_STATE_RUNNING);
	CU_ASSERT_EQUAL(act(ops->restart, fail, 1, 5000, said, sizeof(said)), -EIO);
	CU_ASSERT_STRING_EQUAL(said, "exited with status 1");
	status = status_with(fail, 1);
	CU_ASSERT_EQUAL(status.state, FLEET_STATE_FAILED);
	CU_ASSERT_STRING_EQUAL(status.message, "exited with status 1");
	CU_ASSERT_EQUAL(status.pid, 0);
	CU_ASSERT_EQUAL(act(ops->start, NULL, 0, 5000, said, sizeof(said)), 0);
	CU_ASSERT_EQUAL(status_with(NULL, 0).state, FLEET_STATE_RUNNING);
}

static void test_health_on_demand(void)
{
	_cleanup_free_ char *flag = NULL;
	struct fleet_option bad[] = {{"fail_health", NULL}};

	begin();
	flag = xasprintf("%s/flag", dir);
	bad[0].value = flag;
	CU_ASSERT_EQUAL(status_with(bad, 1).state, FLEET_STATE_RUNNING);
	CU_ASSERT_EQUAL(close(open(flag, O_CREAT | O_WRONLY, 0600)), 0);
	CU_ASSERT_EQUAL(status_with(bad, 1).state, FLEET_STATE_FAILED);
	CU_ASSERT_EQUAL(unlink(flag), 0);
	CU_ASSERT_EQUAL(status_with(bad, 1).state, FLEET_STATE_RUNNING);
}

static void test_crashes(void)
{
	static const struct fleet_option crash[] = {{"crash_after", "100ms"}};
	static const struct fleet_option again[] = {{"crash_after", "60ms"}, {"restart_after", "60ms"}};
	struct fleet_status first, status;
	int64_t deadline = fleet_clock_monotonic_ms() + 10000;

	begin();
	first = status_with(crash, 1);
	status = wait_for(FLEET_STATE_FAILED, crash, 1);
	CU_ASSERT_STRING_EQUAL(status.message, "killed by SIGSEGV");
	CU_ASSERT_EQUAL(status.since_unix_ms, first.since_unix_ms + 100);

	begin();
	first = status_with(again, 2);
	do {
		status = status_with(again, 2);
	} while (status.restarts < 3 && fleet_clock_monotonic_ms() < deadline);
	CU_ASSERT_TRUE(status.restarts >= 3);
	CU_ASSERT_STRING_NOT_EQUAL(status.instance, first.instance);
}

static void test_logs_and_version(void)
{
	static const struct fleet_option options[] = {{"version", "2.1.0"}, {"crash_after", "10ms"}};
	const struct fleet_service_ops *ops = fleet_driver_v1.service;
	struct fleet_driver_error err = {.size = sizeof(err)};
	struct fleet_sink sink = FAKE_SINK_INIT;
	struct fake_host h;
	char said[256];

	begin();
	CU_ASSERT_EQUAL(act(ops->restart, options, 2, 5000, said, sizeof(said)), 0);
	(void)wait_for(FLEET_STATE_FAILED, options, 2);
	fake_host_init(&h, dir, options, 2);
	CU_ASSERT_EQUAL(ops->logs(&h.host, 3, 0, &sink, &err), 0);
	CU_ASSERT_EQUAL_FATAL(sink.line_count, 3);
	CU_ASSERT_STRING_EQUAL(sink.lines[0].text, "starting");
	CU_ASSERT_STRING_EQUAL(sink.lines[1].text, "ready");
	CU_ASSERT_STRING_EQUAL(sink.lines[2].text, "killed by SIGSEGV");
	CU_ASSERT_EQUAL(sink.lines[2].priority, 3);
	sink.line_count = 0;
	CU_ASSERT_EQUAL(ops->logs(&h.host, 50, fleet_clock_wall_ms() + 60000, &sink, &err), 0);
	CU_ASSERT_EQUAL(sink.line_count, 0);
	CU_ASSERT_EQUAL(ops->version(&h.host, &sink, &err), 0);
	CU_ASSERT_STRING_EQUAL(sink.data.data, "2.1.0");
	fake_sink_done(&sink);
}

static void test_what_it_cannot_work_with(void)
{
	const struct fleet_service_ops *ops = fleet_driver_v1.service;
	struct fleet_driver_error err = {.size = sizeof(err)};
	struct fleet_status status = {.size = sizeof(status)};
	_cleanup_free_ char *state = NULL;
	struct fake_host h;
	FILE *f;

	begin();
	fake_host_init(&h, "/nonexistent/dir", NULL, 0);
	CU_ASSERT_EQUAL(ops->status(&h.host, &status, &err), -ENOENT);
	fake_host_init(&h, NULL, NULL, 0);
	CU_ASSERT_TRUE(ops->status(&h.host, &status, &err) < 0);
	fake_host_init(&h, dir, NULL, 0);
	state = xasprintf("%s/state", dir);
	f = fopen(state, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	(void)fputs("not a state", f);
	(void)fclose(f);
	CU_ASSERT_EQUAL(ops->status(&h.host, &status, &err), -EINVAL);
}

static const struct unit_test simulated_tests[] = {UNIT_TEST(test_it_runs_when_first_seen),
	UNIT_TEST(test_stop_start_restart), UNIT_TEST(test_delays), UNIT_TEST(test_a_start_that_fails),
	UNIT_TEST(test_health_on_demand), UNIT_TEST(test_crashes), UNIT_TEST(test_logs_and_version),
	UNIT_TEST(test_what_it_cannot_work_with), {0}};

int main(void)
{
	_cleanup_free_ char *clean = NULL;
	int status = unit_run((const struct unit_suite[]){{"simulated", simulated_tests}, {0}});

	clean = xasprintf("rm -rf '%s'", dir);
	return system(clean) == 0 ? status : 1;
}
