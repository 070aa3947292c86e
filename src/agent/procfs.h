/* Parsers of what the kernel tells in /proc: texts in, numbers out, no I/O. metrics.c reads the files. The
 * texts are the kernel's, but inside a container anything may be mounted over them, so nothing is taken on
 * trust. Pure; any thread. */
#ifndef AGENT_PROCFS_H
#define AGENT_PROCFS_H
#include <sys/types.h>
#include "fleet/base.h"
#include "fleet/limits.h"

struct procfs_cpu {
	uint64_t busy, total; /* in ticks since boot */
};
/* The first line of /proc/stat. -EBADMSG. */
int procfs_parse_stat(const char *text, struct procfs_cpu *ret) FLEET_MUST_CHECK;
/* Share of time that was not idle between two samples, 0 to 100; negative: too little time to tell. */
double procfs_cpu_percent(const struct procfs_cpu *before, const struct procfs_cpu *now);

struct procfs_memory {
	uint64_t total, available, swap_total, swap_free; /* bytes */
};
/* /proc/meminfo; MemAvailable is MemFree on kernels without it. -EBADMSG where there is no MemTotal. */
int procfs_parse_meminfo(const char *text, struct procfs_memory *ret) FLEET_MUST_CHECK;

int procfs_parse_loadavg(const char *text, double ret[3]) FLEET_MUST_CHECK;
int procfs_parse_uptime(const char *text, int64_t *ret_seconds) FLEET_MUST_CHECK;

/* Resident pages of /proc/PID/statm; at most 2^40, so that pages times their size fit. */
int procfs_parse_statm(const char *text, uint64_t *ret_pages) FLEET_MUST_CHECK;

struct procfs_network {
	uint64_t rx, tx; /* bytes */
};
/* /proc/net/dev, summed over interfaces that lead out of the machine: without lo and the virtual ones that
 * containers and bridges make, whose traffic would count twice. -EBADMSG where no line fits. */
int procfs_parse_net_dev(const char *text, struct procfs_network *ret) FLEET_MUST_CHECK;

struct procfs_mount {
	char *point;  /* owned, unescaped */
	dev_t device; /* of the file system */
	bool btrfs;   /* whose files show other device numbers than the mount */
};
struct procfs_mounts {
	struct procfs_mount items[FLEET_DISKS_MAX];
	size_t count;
};
/* /proc/self/mountinfo: the file systems on local disks, each once, at its shortest mount point. Everything
 * else is left out by type: asking a dead network mount for its size would block for ever. Lines that do not
 * parse are skipped. */
void procfs_parse_mountinfo(const char *text, struct procfs_mounts *ret);
void procfs_mounts_done(struct procfs_mounts *m);

#endif
