/* /proc's texts: real ones, cut ones, hostile ones; identity; and a whole metrics object of this machine. */
#include <sys/sysmacros.h>
#include "agent/identity.h"
#include "agent/metrics.h"
#include "fleet/message.h"
#include "unit.h"

static void test_stat(void)
{
	static const struct {
		const char *text;
		int r;
		uint64_t busy, total;
	} cases[] = {
		{"cpu  100 20 30 400 50 6 7 8 9 10\ncpu0 1 2 3 4\n", 0, 171, 621},
		{"cpu  1 2 3 4\n", 0, 6, 10},
		{"cpu  1 2 3\n", -EBADMSG, 0, 0},
		{"cpu0 1 2 3 4 5\n", -EBADMSG, 0, 0},
		{"", -EBADMSG, 0, 0},
		{"cpu  -1 2 3 4\n", -EBADMSG, 0, 0},
		{"cpu  18446744073709551615 1 1 1\n", -EBADMSG, 0, 0},
		{"cpu  99999999999999999999999 1 1 1\n", -EBADMSG, 0, 0},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct procfs_cpu cpu = {7, 7};

		CU_ASSERT_EQUAL(procfs_parse_stat(cases[i].text, &cpu), cases[i].r);
		if (cases[i].r < 0) {
			CU_ASSERT(cpu.busy == 7 && cpu.total == 7);
		} else {
			CU_ASSERT_EQUAL(cpu.busy, cases[i].busy);
			CU_ASSERT_EQUAL(cpu.total, cases[i].total);
		}
	}
}

static void test_cpu_percent(void)
{
	static const struct {
		struct procfs_cpu before, now;
		double percent;
	} cases[] = {
		{{0, 0}, {50, 100}, 50},
		{{50, 100}, {50, 200}, 0},
		{{50, 100}, {150, 200}, 100},
		{{50, 100}, {40, 200}, 0},    /* iowait ran backwards */
		{{50, 100}, {350, 200}, 100}, /* more busy than time */
		{{50, 100}, {50, 100}, -1},
		{{50, 100}, {10, 20}, -1}, /* counters began anew */
		{{50, 100}, {52, 102}, -1},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++)
		CU_ASSERT_DOUBLE_EQUAL(
			procfs_cpu_percent(&cases[i].before, &cases[i].now), cases[i].percent, 1e-9);
}

static void test_meminfo(void)
{
	struct procfs_memory m;

	CU_ASSERT_EQUAL_FATAL(
		procfs_parse_meminfo("MemTotal:       2048 kB\nMemFree: 100 kB\nMemAvailable:    1024 kB\n"
				     "SwapTotal: 10 kB\nSwapFree: 4 kB\n",
			&m),
		0);
	CU_ASSERT(m.total == 2048 * 1024 && m.available == 1024 * 1024 && m.swap_total == 10240 &&
		  m.swap_free == 4096);
	CU_ASSERT_EQUAL_FATAL(procfs_parse_meminfo("MemTotal: 10 kB\nMemFree: 3 kB\n", &m), 0);
	CU_ASSERT_EQUAL(m.available, 3 * 1024);
	CU_ASSERT_EQUAL_FATAL(
		procfs_parse_meminfo("MemTotal: 10 kB\nMemAvailable: 30 kB\nSwapFree: 9 kB", &m), 0);
	CU_ASSERT(m.available == 10240 && m.swap_free == 0); /* never more free than there is */
	CU_ASSERT_EQUAL(procfs_parse_meminfo("", &m), -EBADMSG);
	CU_ASSERT_EQUAL(procfs_parse_meminfo("MemTotal: 99999999999999999999 kB\n", &m), -EBADMSG);
	CU_ASSERT_EQUAL(procfs_parse_meminfo("MemTotal: 18446744073709551615 kB\n", &m), -EBADMSG);
	CU_ASSERT_EQUAL(procfs_parse_meminfo("XMemTotal: 1 kB\nMemTotal:\n", &m), -EBADMSG);
}

static void test_loadavg_and_uptime(void)
{
	static const char *const bad[] = {
		"", "x", "0.1 0.2", "0.1 0.2 x", "-1 0 0", "0. 0.1 0.2", "0.1x 0.2 0.3", "nan inf 1"};
	double load[3] = {0};
	int64_t uptime = 0;

	CU_ASSERT_EQUAL(procfs_parse_loadavg("0.52 1.05 12.00 3/977 12345\n", load), 0);
	CU_ASSERT_DOUBLE_EQUAL(load[0], 0.52, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(load[1], 1.05, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(load[2], 12.0, 1e-9);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(bad); i++)
		CU_ASSERT_EQUAL(procfs_parse_loadavg(bad[i], load), -EBADMSG);
	CU_ASSERT_EQUAL(procfs_parse_uptime("93215.77 180034.28\n", &uptime), 0);
	CU_ASSERT_EQUAL(uptime, 93215);
	CU_ASSERT_EQUAL(procfs_parse_uptime("99999999999999 1\n", &uptime), -EBADMSG);
	CU_ASSERT_EQUAL(procfs_parse_uptime("", &uptime), -EBADMSG);
}

static void test_statm(void)
{
	uint64_t pages = 0;

	CU_ASSERT_EQUAL(procfs_parse_statm("3000 1234 900 1 0 500 0\n", &pages), 0);
	CU_ASSERT_EQUAL(pages, 1234);
	CU_ASSERT_EQUAL(procfs_parse_statm("3000\n", &pages), -EBADMSG);
	CU_ASSERT_EQUAL(procfs_parse_statm("1 18446744073709551615", &pages), -EBADMSG);
	CU_ASSERT_EQUAL(procfs_parse_statm("", &pages), -EBADMSG);
}

static void test_net_dev(void)
{
	static const char real[] =
		"Inter-|   Receive                                                |  Transmit\n"
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs "
		"drop fifo colls carrier compressed\n"
		"    lo: 9999 1 0 0 0 0 0 0 9999 1 0 0 0 0 0 0\n"
		"  eth0: 1000 10 0 0 0 0 0 0 200 20 0 0 0 0 0 0\n"
		"  eth1:1 10 0 0 0 0 0 0 2 20 0 0 0 0 0 0\n"
		"docker0: 5000 10 0 0 0 0 0 0 6000 20 0 0 0 0 0 0\n"
		"veth12a: 5000 10 0 0 0 0 0 0 6000 20 0 0 0 0 0 0\n";
	struct procfs_network n;

	CU_ASSERT_EQUAL_FATAL(procfs_parse_net_dev(real, &n), 0);
	CU_ASSERT(n.rx == 1001 && n.tx == 202);
	CU_ASSERT_EQUAL(procfs_parse_net_dev("", &n), -EBADMSG);
	CU_ASSERT_EQUAL(procfs_parse_net_dev("eth0: 1 2 3\n", &n), -EBADMSG);
	CU_ASSERT_EQUAL(procfs_parse_net_dev(
				"eth0: 18446744073709551615 0 0 0 0 0 0 0 1\neth1: 1 0 0 0 0 0 0 0 1\n", &n),
		-EBADMSG);
}

static void test_mountinfo(void)
{
	static const char text[] = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
				   "23 22 0:21 / /proc rw - proc proc rw\n"
				   "24 22 0:22 / /run rw shared:5 - tmpfs tmpfs rw\n"
				   "25 22 8:2 / /var/lib/very/long rw - xfs /dev/sda2 rw\n"
				   "26 22 8:2 /sub /srv rw - xfs /dev/sda2 rw\n"
				   "27 22 8:3 / /with\\040blank rw shared:7 master:2 - btrfs /dev/sda3 rw\n"
				   "28 22 0:40 / /mnt/nas rw - nfs4 nas:/export rw\n"
				   "29 28 8:4 / /mnt/nas/disk rw - ext4 /dev/sda4 rw\n"
				   "30 22 8:5 / /mnt/nasty rw - ext4 /dev/sda5 rw\n"
				   "31 22 0:41 / /sshfs rw - fuse.sshfs host: rw\n"
				   "32 22 7:1 / /snap/x rw - squashfs /dev/loop1 ro\n"
				   "33 22 0:42 / /merged rw - overlay overlay rw\n";
	struct procfs_mounts m;

	procfs_parse_mountinfo(text, &m);
	CU_ASSERT_EQUAL_FATAL(m.count, 4);
	CU_ASSERT_STRING_EQUAL(m.items[0].point, "/");
	CU_ASSERT_EQUAL(m.items[0].device, makedev(8, 1));
	CU_ASSERT_STRING_EQUAL(m.items[1].point, "/srv");
	CU_ASSERT_STRING_EQUAL(m.items[2].point, "/with blank");
	CU_ASSERT_TRUE(m.items[2].btrfs);
	CU_ASSERT_STRING_EQUAL(m.items[3].point, "/mnt/nasty");
	procfs_mounts_done(&m);
	procfs_parse_mountinfo("22 1 0:5 / / rw - overlay overlay rw", &m);
	CU_ASSERT_EQUAL(m.count, 1);
	procfs_mounts_done(&m);
}

static void test_hostile_mountinfo(void)
{
	static const char *const lines[] = {"", "\n\n\n", "22", "22 1 8:1", "22 1 8:1 / / rw - ",
		"22 1 8:1 / / rw -", "22 1 x:1 / / rw - ext4 a rw", "22 1 8 / / rw - ext4 a rw",
		"22 1 8:1 / relative rw - ext4 a rw", "22 1 99999999999:1 / / rw - ext4 a rw",
		"- - - - - - - - - ext4", "22 1 8:1 / /\\9\\ rw ext4 - a"};
	_cleanup_free_ char *many = NULL;
	struct procfs_mounts m;
	size_t len = 0;
	FILE *f;

	for (size_t i = 0; i < FLEET_ARRAY_LEN(lines); i++) {
		procfs_parse_mountinfo(lines[i], &m);
		CU_ASSERT_EQUAL(m.count, 0);
		procfs_mounts_done(&m);
	}
	f = open_memstream(&many, &len);
	for (int i = 0; i < 1000; i++)
		fprintf(f, "%d 1 8:%d / /mnt/%d rw - ext4 /dev/x rw\n", i, i, i);
	fclose(f);
	procfs_parse_mountinfo(many, &m);
	CU_ASSERT_EQUAL(m.count, FLEET_DISKS_MAX);
	procfs_mounts_done(&m);
}

/* The metrics of the machine that the test runs on: whatever they are, the console must take them. */
static void test_metrics_pass_the_check(void)
{
	_cleanup_json_ struct json_object *heartbeat = fleet_message_new(FLEET_MESSAGE_HEARTBEAT),
					  *back = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	enum fleet_message_type type;
	struct agent_metrics m;
	struct json_object *o;
	const char *text;
	size_t len;

	agent_metrics_init(&m);
	o = agent_metrics_collect(&m);
	CU_ASSERT(fleet_json_int(o, "memoryTotalBytes", 0) > 0);
	CU_ASSERT(fleet_json_int(o, "uptimeSeconds", 0) > 0);
	CU_ASSERT(fleet_json_int(o, "agentMemoryBytes", 0) > 0);
	CU_ASSERT_PTR_NOT_NULL(fleet_json_array(o, "disks"));
	fleet_json_add_int(heartbeat, "seq", 1);
	fleet_json_add(heartbeat, "metrics", o);
	text = fleet_json_text(heartbeat, &len);
	CU_ASSERT_EQUAL(fleet_message_parse(text, len, FLEET_AGENT_TO_CONSOLE, &type, &back, &err), 0);
	if (err.message[0])
		printf("# %s\n", err.message);
}

static void test_instance_id(void)
{
	char one[FLEET_SHA256_HEX], again[FLEET_SHA256_HEX], other[FLEET_SHA256_HEX];

	CU_ASSERT_EQUAL(agent_instance_id("0123456789abcdef0123456789abcdef", one), 0);
	CU_ASSERT_EQUAL(agent_instance_id("0123456789abcdef0123456789abcdef", again), 0);
	CU_ASSERT_EQUAL(agent_instance_id("1123456789abcdef0123456789abcdef", other), 0);
	CU_ASSERT_STRING_EQUAL(one, again);
	CU_ASSERT_STRING_NOT_EQUAL(one, other);
	CU_ASSERT_EQUAL(strlen(one), 64);
	CU_ASSERT_PTR_NULL(strstr(one, "0123456789abcdef"));
	CU_ASSERT_EQUAL(agent_instance_id(NULL, one), -EINVAL);
	CU_ASSERT_EQUAL(agent_instance_id("uninitialized", one), -EINVAL);
	CU_ASSERT_EQUAL(agent_instance_id("0123456789ABCDEF0123456789abcdef", one), -EINVAL);
}

static void test_identity(void)
{
	_cleanup_json_ struct json_object *os = NULL;
	struct agent_identity id;

	agent_identity_read("", &id);
	CU_ASSERT_PTR_NOT_NULL(id.hostname);
	CU_ASSERT_PTR_NOT_NULL(id.kernel);
	os = agent_identity_os(&id);
	CU_ASSERT_PTR_NOT_NULL(fleet_json_string(os, "arch"));
	agent_identity_done(&id);
	agent_identity_read("/nonexistent", &id);
	CU_ASSERT_STRING_EQUAL(id.instance_id, "");
	CU_ASSERT_PTR_NULL(id.os_id);
	CU_ASSERT_PTR_NOT_NULL(id.hostname);
	agent_identity_done(&id);
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_stat),
	UNIT_TEST(test_cpu_percent),
	UNIT_TEST(test_meminfo),
	UNIT_TEST(test_loadavg_and_uptime),
	UNIT_TEST(test_statm),
	UNIT_TEST(test_net_dev),
	UNIT_TEST(test_mountinfo),
	UNIT_TEST(test_hostile_mountinfo),
	UNIT_TEST(test_metrics_pass_the_check),
	UNIT_TEST(test_instance_id),
	UNIT_TEST(test_identity),
	{0},
};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"agent_procfs", tests}, {0}});
}
