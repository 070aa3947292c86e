/* What the driver host was started with: flags, agent.env, and what systemd hands over in the environment.
 * Read once, before anything else runs: who changes agent.env has the host start anew. The only file here
 * that reads the environment. */
#ifndef HOST_CONFIG_H
#define HOST_CONFIG_H
#include <sys/types.h>
#include "fleet/error.h"
#include "fleet/log.h"

struct host_config {
	char *agent_id, *apps_dir, *driver_dir, *state_dir, *console_pub, /* owned; NULL with --dev */
		*trusted_keys_dir;                                        /* owned; likewise */
	char *token_file;    /* owned; agent.env, where there may be a join token; NULL: none (--dev) */
	char *env_file;      /* owned; agent.env, where it says who the agent is; NULL: a flag did */
	char *unpacker;      /* owned; path of fleet-unpack */
	char *socket_path;   /* owned; where to listen if nothing was handed over */
	char *notify_socket; /* owned; systemd's, NULL: none */
	int listen_fd;       /* from systemd, -1 none */
	int socket_fd;       /* one connection that is there already, -1 none */
	uid_t peer_uid;      /* the agent's; root and ourselves may connect as well */
	bool dev;
	bool recover_files; /* put trees in order and end */
	enum fleet_log_level log_level;
};

/* 0: run; 1: --help or --version was answered, end well; -EINVAL: err says what is wrong with the flags, or
 * what else went wrong in the environment. */
int host_config_parse(
	int argc, char **argv, struct host_config *ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* The id of the command key that the join token in agent.env names, read now; owned. NULL: there is no token
 * there; "": there is one that cannot be read, and no key is the one it means. */
char *host_config_join_kid(const struct host_config *c);
/* Whether agent.env names another agent by now. A file that cannot be read names none. */
bool host_config_agent_changed(const struct host_config *c) FLEET_MUST_CHECK;
void host_config_done(struct host_config *c);

#endif
