#include "agent/host/host.h"

int main(int argc, char **argv)
{
	struct host_config config;
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = host_config_parse(argc, argv, &config, &err);

	if (r > 0)
		return 0;
	if (r < 0) {
		fprintf(stderr, "fleet-driver-host: %s\n", err.message);
		return 2;
	}
	fleet_log_init("fleet-driver-host", config.log_level, FLEET_LOG_FORMAT_TEXT);
	r = host_run(&config);
	host_config_done(&config);
	return r;
}
