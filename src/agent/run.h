/* fleet-agent's process: its loop, its signals, and the waiting of an agent that nobody has configured yet.
 */
#ifndef AGENT_RUN_H
#define AGENT_RUN_H
#include "agent/config.h"

/* Runs until SIGTERM or SIGINT. config: borrowed, may be replaced by what a SIGHUP reads again while the
 * agent is unconfigured. argv as main's. The program's exit status. */
int agent_run(int argc, char *const argv[], struct agent_config *config) FLEET_MUST_CHECK;

/* `fleet-agent VERB ...`: becomes fleet-admin, which lies beside this program. Returns an exit status where
 * it cannot. */
int agent_run_verb(char *const argv[]);

#endif
