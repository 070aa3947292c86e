/* What the agent was told: agent.env and the command line, the command line winning (DESIGN 7, INTERFACES).
 * Read once by main, and again when an unconfigured agent gets SIGHUP. Plain data; the only file of the agent
 * that looks at the environment. */
#ifndef AGENT_CONFIG_H
#define AGENT_CONFIG_H
#include "fleet/error.h"
#include "fleet/json.h"
#include "fleet/log.h"

#define AGENT_ENV_FILE        "/etc/fleet-agent/agent.env"
#define AGENT_DATA_DIR        "/var/lib/fleet-agent"
#define AGENT_APPS_DIR        "/etc/fleet-agent/apps.d"
#define AGENT_HOST_SOCKET     "/run/fleet-agent/host.sock"
#define AGENT_HEARTBEAT_MS    10000
#define AGENT_HEARTBEAT_S_MAX 3600

struct agent_config {
	char *agent_id, *console_url;         /* owned; console_url NULL: not configured */
	char *api_key;                        /* owned; NULL: none is sent */
	char *join_token;                     /* owned */
	char *ca_file, *cert_file, *key_file; /* owned */
	char *data_dir, *env_file,
		*host_socket;        /* owned; absolute or as given; host_socket NULL: a host of our own */
	char *apps_dir, *driver_dir; /* owned; for the host that --dev starts; NULL: the default */
	struct json_object *labels;  /* owned object; NULL: none */
	int64_t heartbeat_ms;
	enum fleet_log_level log_level;
	enum fleet_log_format log_format;
	bool dev, help, version;
	char *notify_socket; /* owned; systemd's, NULL: none */
	uint64_t watchdog_us;
	char *unconfigured; /* owned: why the agent cannot work yet, and what to do; NULL: it can */
};

/* argv as main's. Problems of the command line are -EINVAL with a sentence (usage); problems of agent.env
 * make the configuration `unconfigured`, since a service that exits for them would only be started again.
 * Unknown FLEET_ keys are logged as warnings. ret is filled on success only; agent_config_done frees. */
int agent_config_load(
	int argc, char *const argv[], struct agent_config *ret, struct fleet_error *err) FLEET_MUST_CHECK;
void agent_config_done(struct agent_config *c);
/* Would agent.env's KEY=value do? 0; -EINVAL: err says why not ("must be ..."); -ENOENT: there is no such
 * setting, *ret_near is one that was perhaps meant, static, or NULL. */
int agent_config_try(
	const char *key, const char *value, const char **ret_near, struct fleet_error *err) FLEET_MUST_CHECK;
/* The text of --help. */
void agent_config_help(FILE *out);

#endif
