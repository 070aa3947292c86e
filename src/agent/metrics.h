/* The server's numbers for a heartbeat, from /proc and statvfs. Reads small files of the kernel and asks
 * local disks for their size, nothing that can block on the network. The owner keeps the sample from one call
 * to the next, since a share of CPU time needs two. */
#ifndef AGENT_METRICS_H
#define AGENT_METRICS_H
#include "agent/procfs.h"
#include "fleet/json.h"

struct agent_metrics {
	struct procfs_cpu cpu; /* the sample before */
	double cpu_percent;    /* as last told; negative: not known yet */
};

/* Takes the first sample. */
void agent_metrics_init(struct agent_metrics *m);
/* The `metrics` object of a heartbeat (docs/protocol.md); what cannot be read is absent. Owned by the caller.
 */
struct json_object *agent_metrics_collect(struct agent_metrics *m);

#endif
