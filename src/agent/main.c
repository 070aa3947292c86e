#include "agent/run.h"

int main(int argc, char *argv[])
{
	_cleanup_(agent_config_done) struct agent_config config = {0};
	struct fleet_error err = FLEET_ERROR_INIT;

	if (argc > 1 && argv[1][0] != '-')
		return agent_run_verb(argv);
	fleet_log_init("fleet-agent", FLEET_LOG_INFO, FLEET_LOG_FORMAT_TEXT);
	if (agent_config_load(argc, argv, &config, &err) < 0) {
		log_error("%s", err.message);
		return 2;
	}
	if (config.help) {
		agent_config_help(stdout);
		return 0;
	}
	if (config.version) {
		puts("fleet-agent " PACKAGE_VERSION);
		return 0;
	}
	fleet_log_init("fleet-agent", config.log_level, config.log_format);
	return agent_run(argc, argv, &config);
}
