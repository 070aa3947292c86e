#include "agent/metrics.h"
#include <sys/stat.h>
#include <sys/statvfs.h>
#include "fleet/file.h"

#define PROC_FILE_MAX (1024u * 1024u)

static char *read_proc(const char *path)
{
	char *text = NULL;
	size_t len;

	return fleet_file_read(path, PROC_FILE_MAX, &text, &len, NULL) < 0 ? NULL : text;
}

static void sample_cpu(struct agent_metrics *m)
{
	_cleanup_free_ char *text = read_proc("/proc/stat");
	struct procfs_cpu now;
	double percent;

	if (!text || procfs_parse_stat(text, &now) < 0)
		return;
	if (m->cpu.total > 0) {
		percent = procfs_cpu_percent(&m->cpu, &now);
		if (percent < 0)
			return; /* asked twice within a moment: the last answer holds */
		m->cpu_percent = percent;
	}
	m->cpu = now;
}

static void add_memory(struct json_object *o)
{
	_cleanup_free_ char *text = read_proc("/proc/meminfo");
	struct procfs_memory memory;

	if (!text || procfs_parse_meminfo(text, &memory) < 0)
		return;
	fleet_json_add_int(o, "memoryUsedBytes", (int64_t)(memory.total - memory.available));
	fleet_json_add_int(o, "memoryTotalBytes", (int64_t)memory.total);
	fleet_json_add_int(o, "swapUsedBytes", (int64_t)(memory.swap_total - memory.swap_free));
}

static void add_load(struct json_object *o)
{
	_cleanup_free_ char *load_text = read_proc("/proc/loadavg"), *uptime_text = read_proc("/proc/uptime");
	double load[3];
	int64_t uptime;

	if (load_text && procfs_parse_loadavg(load_text, load) == 0) {
		fleet_json_add_number(o, "load1", load[0]);
		fleet_json_add_number(o, "load5", load[1]);
		fleet_json_add_number(o, "load15", load[2]);
	}
	if (uptime_text && procfs_parse_uptime(uptime_text, &uptime) == 0)
		fleet_json_add_int(o, "uptimeSeconds", uptime);
}

static void add_network(struct json_object *o)
{
	_cleanup_free_ char *text = read_proc("/proc/net/dev");
	struct procfs_network network;

	if (!text || procfs_parse_net_dev(text, &network) < 0 || network.rx > INT64_MAX ||
		network.tx > INT64_MAX)
		return;
	fleet_json_add_int(o, "networkRxBytes", (int64_t)network.rx);
	fleet_json_add_int(o, "networkTxBytes", (int64_t)network.tx);
}

static void add_disks(struct json_object *o)
{
	_cleanup_free_ char *text = read_proc("/proc/self/mountinfo");
	_cleanup_(procfs_mounts_done) struct procfs_mounts mounts = {.count = 0};
	struct json_object *disks;

	if (!text)
		return;
	procfs_parse_mountinfo(text, &mounts);
	disks = json_object_new_array();
	for (size_t i = 0; i < mounts.count; i++) {
		const struct procfs_mount *mount = &mounts.items[i];
		struct statvfs fs;
		struct stat st;
		struct json_object *disk;

		/* Something else may be mounted over it (ProtectHome= does): then its size cannot be asked
		 * for. */
		if (stat(mount->point, &st) < 0 || (!mount->btrfs && st.st_dev != mount->device) ||
			statvfs(mount->point, &fs) < 0 || fs.f_blocks == 0 || fs.f_blocks < fs.f_bfree ||
			fs.f_blocks > (uint64_t)INT64_MAX / (fs.f_frsize ? fs.f_frsize : 1))
			continue;
		fleet_text_sanitize(mount->point);
		disk = json_object_new_object();
		fleet_json_add_string(disk, "mount", mount->point);
		fleet_json_add_int(disk, "usedBytes", (int64_t)((fs.f_blocks - fs.f_bfree) * fs.f_frsize));
		fleet_json_add_int(disk, "totalBytes", (int64_t)(fs.f_blocks * fs.f_frsize));
		json_object_array_add(disks, disk);
	}
	fleet_json_add(o, "disks", disks);
}

static void add_own_memory(struct json_object *o)
{
	_cleanup_free_ char *text = read_proc("/proc/self/statm");
	long page = sysconf(_SC_PAGESIZE);
	uint64_t resident;

	if (text && page > 0 && procfs_parse_statm(text, &resident) == 0)
		fleet_json_add_int(o, "agentMemoryBytes", (int64_t)resident * page);
}

void agent_metrics_init(struct agent_metrics *m)
{
	*m = (struct agent_metrics){.cpu_percent = -1};
	sample_cpu(m);
}

struct json_object *agent_metrics_collect(struct agent_metrics *m)
{
	struct json_object *o = json_object_new_object();

	sample_cpu(m);
	if (m->cpu_percent >= 0)
		fleet_json_add_number(o, "cpuPercent", m->cpu_percent);
	add_memory(o);
	add_load(o);
	add_disks(o);
	add_network(o);
	add_own_memory(o);
	return o;
}
