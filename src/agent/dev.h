/* What --dev adds: a data directory with simulated apps to play with, and the command line of the driver host
 * that the agent runs as its own child. Used by run.c, before the loop. */
#ifndef AGENT_DEV_H
#define AGENT_DEV_H
#include "agent/config.h"

#define DEV_HOST_ARGS_MAX 16

struct dev_host {
	char *argv[DEV_HOST_ARGS_MAX + 1]; /* owned, NULL-terminated */
};

/* Makes the directories; unless config->apps_dir names another, copies each *.yaml of share/fleet/dev-apps.d
 * beside the program to DATA/apps.d (with @DATA_DIR@ in it replaced) and the rest to DATA/apps. What is there
 * already stays: it may have been edited, or pushed to. */
int dev_prepare(
	const struct agent_config *config, struct dev_host *ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* The copying alone. */
int dev_copy_apps(const char *from, const char *data_dir, struct fleet_error *err) FLEET_MUST_CHECK;
void dev_host_done(struct dev_host *host);

#endif
