/* The subcommands of fleet-console. */
#include <getopt.h>

#include "console/console.h"
#include "console/signing_key.h"
#include "fleet/log.h"

#define EXIT_USAGE 2

static int fail(const struct fleet_error *err, int status)
{
	fprintf(stderr, "fleet-console: %s\n", err->message);
	return status;
}

static void tell_address(const struct console *console)
{
	const char *host = console->config.listen_host, *scheme = console->certificate.tls ? "https" : "http";
	char address[80];

	if (str_equal(host, "127.0.0.1") || str_equal(host, "::1"))
		host = "localhost";
	(void)snprintf(address, sizeof(address), strchr(host, ':') ? "%s://[%s]:%u" : "%s://%s:%u", scheme,
		host, console_port(console)); /* an address and a port fit */
	if (console->config.dev) {
		printf("Listening on %s\n", address);
		(void)fflush(stdout); /* nobody reads it: then nobody misses it */
	} else {
		log_info("Listening on %s", address);
		if (str_equal(host, "localhost"))
			log_info("Other machines reach this console once console.yaml says so: listen: "
				 "0.0.0.0:%u",
				console_port(console));
	}
}

static void warn_of_gaps(const struct console *console)
{
	const struct console_config *config = &console->config;

	if (config->dev)
		return;
	if (!console->certificate.tls && !console_address_is_loopback(config->listen_host))
		log_warn("keys travel unencrypted to %s: give the console a certificate (`fleet-console ca "
			 "init`, or "
			 "tls in its config), or put a TLS proxy in front",
			config->listen_host);
}

int console_main_run(int argc, char **argv)
{
	enum console_config_wish wish = CONSOLE_CONFIG_RUN;
	struct console_config config = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	struct console *console = NULL;

	fleet_log_init("fleet-console", FLEET_LOG_INFO, FLEET_LOG_FORMAT_TEXT);
	if (console_config_load(argc, argv, &config, &wish, &err) < 0)
		return fail(&err, EXIT_USAGE);
	if (wish == CONSOLE_CONFIG_HELP) {
		fputs(console_config_help, stdout);
		return EXIT_SUCCESS;
	}
	if (wish == CONSOLE_CONFIG_VERSION) {
		puts("fleet-console " PACKAGE_VERSION);
		return EXIT_SUCCESS;
	}
	fleet_log_init("fleet-console", config.log_level, config.log_format);
	if (console_new(&config, &console, &err) < 0) {
		console_config_done(&config);
		log_error("%s", err.message);
		return EXIT_FAILURE;
	}
	warn_of_gaps(console);
	tell_address(console);
	console_run(console);
	console_free(console);
	log_info("stopped");
	return EXIT_SUCCESS;
}

int console_main_data_dir(int argc, char **argv, const char **ret_dir)
{
	static const struct option options[] = {
		{"data-dir", required_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	*ret_dir = CONSOLE_DATA_DIR;
	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'h') {
			fputs(console_config_help, stdout);
			return EXIT_SUCCESS;
		}
		if (c != 'd') {
			fprintf(stderr, "fleet-console: %s is no option here: see fleet-console --help\n",
				argv[optind - 1]);
			return EXIT_USAGE;
		}
		*ret_dir = optarg;
	}
	return -1;
}

/* For the subcommands that look into the data directory: argv is VERB and options. */
static int parse_data_dir(int argc, char **argv, const char *verb, const char **ret_dir)
{
	int status = console_main_data_dir(argc, argv, ret_dir);

	if (status >= 0)
		return status;
	if (argc - optind == 1 && strcmp(argv[optind], verb) == 0)
		return -1;
	fprintf(stderr, "fleet-console: say `fleet-console %s %s [--data-dir DIR]`\n", argv[0], verb);
	return EXIT_USAGE;
}

int console_main_audit(int argc, char **argv)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct store_head head = {0};
	const char *dir;
	int status = parse_data_dir(argc, argv, "verify", &dir);

	if (status >= 0)
		return status;
	if (store_audit_verify(dir, &head, &err) < 0)
		return fail(&err, EXIT_FAILURE);
	if (head.seq == 0)
		puts("The audit log is empty.");
	else
		printf("The audit log holds: %lld entries, head %s\n", (long long)head.seq, head.hash);
	return EXIT_SUCCESS;
}

int console_main_command_key(int argc, char **argv)
{
	_cleanup_(fleet_jws_key_freep) struct fleet_jws_key *key = NULL;
	_cleanup_json_ struct json_object *jwk = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	const char *dir;
	int status;

	if (argc > 1 && strcmp(argv[1], "show") != 0 && argv[1][0] != '-')
		return console_main_rotation(argc, argv);
	status = parse_data_dir(argc, argv, "show", &dir);

	if (status >= 0)
		return status;
	if (signing_key_load(dir, &key, &err) < 0)
		return fail(&err, EXIT_FAILURE);
	jwk = fleet_jws_key_to_jwk(key);
	puts(fleet_json_text(jwk, NULL));
	return EXIT_SUCCESS;
}
