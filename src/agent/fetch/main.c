/* fleet-fetch: downloads and probes for the agent. See worker.h. */
#include "agent/fetch/worker.h"

int main(void)
{
	return worker_run(3);
}
