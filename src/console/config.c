#include "console/config.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <limits.h>
#include <sys/stat.h>

#include "fleet/clock.h"
#include "fleet/file.h"
#include "fleet/limits.h"

const char console_config_help[] =
	"Usage: fleet-console [run] [options]\n"
	"       fleet-console audit verify [--data-dir DIR]\n"
	"       fleet-console init [--name NAME] [--config FILE] [--data-dir DIR]\n"
	"       fleet-console key create NAME --role ROLE [--agents PATTERN,...] [--labels KEY=VALUE,...]\n"
	"                         [--actions ACTION,...] [--expires TIME]\n"
	"       fleet-console key list [--all] [--json]\n"
	"       fleet-console key rotate NAME [--overlap TIME]\n"
	"       fleet-console key revoke NAME\n"
	"       fleet-console command-key show|rotate|make-recovery FILE|recover FILE [--data-dir DIR]\n"
	"       fleet-console ca init|names [--data-dir DIR] [NAME]...\n"
	"       fleet-console ca show [--data-dir DIR]\n"
	"       fleet-console backup|restore DIRECTORY [--data-dir DIR]\n"
	"\n"
	"Runs the fleet's console: the hub for agents, the REST API and the dashboard.\n"
	"\n"
	"  --config FILE       settings (default " CONSOLE_CONFIG_FILE ")\n"
	"  --listen HOST:PORT  where to listen (default " CONSOLE_LISTEN "; port 0: any free one)\n"
	"  --data-dir DIR      database and signing key (default " CONSOLE_DATA_DIR ")\n"
	"  --web-dir DIR       the dashboard's files (default: beside the program)\n"
	"  --log-level LEVEL   error, warn, info or debug\n"
	"  --dev               for developers: loopback only, no keys, data below "
	"$XDG_STATE_HOME/fleet/console\n"
	"  --help, --version\n"
	"\n"
	"  audit verify        recomputes the audit log's chain of hashes\n"
	"  init                makes the first API key, an admin's, and shows it: once\n"
	"  key                 API keys of people and their programs, while the console does not run (then "
	"it\n"
	"                      is fleetctl keys). ROLE: viewer, operator or admin. ACTION: restart, "
	"push-config,\n"
	"                      update, read-config, read-logs, ping, cancel or artifacts. TIME: 12h, 90d.\n"
	"                      --overlap: for so long the key before is good, too\n"
	"  command-key show    prints the public half of the key that signs commands, as a JWK\n"
	"                      (also: key show)\n"
	"  command-key rotate  makes a new one; servers take it on the word of the old one (stop the console "
	"first)\n"
	"  command-key make-recovery\n"
	"                      writes a key to FILE, to be kept elsewhere, with which `recover` makes a new "
	"command\n"
	"                      key after the loss of the old one\n"
	"  backup              copies all that a console is, keys included, into a new directory; while it "
	"runs, too\n"
	"  restore             makes a data directory of such a backup, on this or another machine\n"
	"  ca init [NAME]...   makes the console's own authority: for agents' certificates, and for https "
	"where\n"
	"                      the settings name no certificate. NAME: what else this console is called\n"
	"  ca names NAME...    replaces those names\n"
	"  ca show             prints the authority's certificate (PEM), and on stderr what there is to know "
	"of it\n";

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'},
	{"listen", required_argument, NULL, 'l'},
	{"data-dir", required_argument, NULL, 'd'},
	{"web-dir", required_argument, NULL, 'w'},
	{"log-level", required_argument, NULL, 'L'},
	{"dev", no_argument, NULL, 'D'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{0},
};

struct flags {
	const char *config, *listen, *data_dir, *web_dir, *log_level;
	bool dev;
	enum console_config_wish wish;
};

bool console_address_is_loopback(const char *address)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, address, &v4) == 1)
		return (ntohl(v4.s_addr) >> 24) == 127;
	if (inet_pton(AF_INET6, address, &v6) != 1)
		return false;
	if (IN6_IS_ADDR_V4MAPPED(&v6))
		return v6.s6_addr[12] == 127;
	return IN6_IS_ADDR_LOOPBACK(&v6);
}

static int parse_port(const char *text, uint16_t *ret)
{
	char *end;
	unsigned long port;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	port = strtoul(text, &end, 10);
	if (errno || *end || port > UINT16_MAX)
		return -EINVAL;
	*ret = (uint16_t)port;
	return 0;
}

int console_config_set_listen(struct console_config *config, const char *text, struct fleet_error *err)
{
	_cleanup_free_ char *host = NULL;
	const char *colon = strrchr(text, ':');
	struct in6_addr address;
	uint16_t port;

	if (!colon || parse_port(colon + 1, &port) < 0)
		return fleet_error_set(err, -EINVAL,
			"'%s' is no address to listen on: write HOST:PORT, as " CONSOLE_LISTEN, text);
	if (text[0] == '[' && colon > text + 1 && colon[-1] == ']')
		host = xstrndup(text + 1, (size_t)(colon - text) - 2);
	else
		host = xstrndup(text, (size_t)(colon - text));
	if (strcmp(host, "localhost") == 0) {
		free(host);
		host = xstrdup("127.0.0.1");
	}
	if (inet_pton(AF_INET, host, &address) != 1 && inet_pton(AF_INET6, host, &address) != 1)
		return fleet_error_set(err, -EINVAL,
			"'%s' is no address to listen on: HOST must be an IP address or localhost", text);
	free(config->listen_host);
	config->listen_host = TAKE_PTR(host);
	config->listen_port = port;
	return 0;
}

static int parse_flags(int argc, char **argv, struct flags *ret, struct fleet_error *err)
{
	struct flags flags = {0};
	int c;

	optind = 1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			flags.config = optarg;
			break;
		case 'l':
			flags.listen = optarg;
			break;
		case 'd':
			flags.data_dir = optarg;
			break;
		case 'w':
			flags.web_dir = optarg;
			break;
		case 'L':
			flags.log_level = optarg;
			break;
		case 'D':
			flags.dev = true;
			break;
		case 'h':
			flags.wish = CONSOLE_CONFIG_HELP;
			break;
		case 'V':
			flags.wish = CONSOLE_CONFIG_VERSION;
			break;
		case ':':
			return fleet_error_set(err, -EINVAL, "%s needs a value", argv[optind - 1]);
		default:
			return fleet_error_set(err, -EINVAL, "unknown option %s: see fleet-console --help",
				argv[optind - 1]);
		}
	}
	if (optind < argc)
		return fleet_error_set(
			err, -EINVAL, "unexpected argument '%s': see fleet-console --help", argv[optind]);
	*ret = flags;
	return 0;
}

static int dev_data_dir(char **ret, struct fleet_error *err)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (state && *state == '/')
		*ret = xasprintf("%s/fleet/console", state);
	else if (home && *home == '/')
		*ret = xasprintf("%s/.local/state/fleet/console", home);
	else
		return fleet_error_set(err, -ENOENT,
			"no place for data: neither XDG_STATE_HOME nor HOME is set; give --data-dir");
	return 0;
}

static int read_file(struct console_config *config, const char *path, struct fleet_error *err)
{
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t len;
	int r;

	r = fleet_file_read(path, FLEET_YAML_FILE_MAX, &text, &len, err);
	if (r < 0)
		return r == -ENOENT
			       ? fleet_error_set(err, r,
					 "no config file %s: write one, name another with --config, or try "
					 "fleet-console --dev",
					 path)
			       : r;
	if (stat(path, &st) == 0 && (st.st_mode & S_IRWXO))
		log_warn("%s is open to every user and may hold keys: chmod 640 it", path);
	return console_config_read(config, text, len, path, err);
}

static int apply_flags(struct console_config *config, const struct flags *flags, struct fleet_error *err)
{
	int r;

	if (flags->listen) {
		r = console_config_set_listen(config, flags->listen, err);
		if (r < 0)
			return r;
	}
	if (flags->data_dir) {
		free(config->data_dir);
		config->data_dir = xstrdup(flags->data_dir);
	}
	if (flags->web_dir) {
		free(config->web_dir);
		config->web_dir = xstrdup(flags->web_dir);
	}
	if (flags->log_level && fleet_log_level_from_string(flags->log_level, &config->log_level) < 0)
		return fleet_error_set(err, -EINVAL,
			"--log-level must be error, warn, info or debug, not '%s'", flags->log_level);
	return 0;
}

/* What the file and the flags left open, and what --dev does not allow. */
static int complete(struct console_config *config, struct fleet_error *err)
{
	int r = 0;

	if (!config->listen_host)
		r = console_config_set_listen(config, CONSOLE_LISTEN, err);
	if (r >= 0 && config->dev && !console_address_is_loopback(config->listen_host))
		return fleet_error_set(err, -EINVAL,
			"--dev asks for no keys and so listens on loopback only, not on %s: "
			"leave --dev out and write keys into a config file",
			config->listen_host);
	if (r >= 0 && !config->data_dir) {
		if (config->dev)
			r = dev_data_dir(&config->data_dir, err);
		else
			config->data_dir = xstrdup(CONSOLE_DATA_DIR);
	}
	return r;
}

int console_config_load(int argc, char **argv, struct console_config *ret, enum console_config_wish *ret_wish,
	struct fleet_error *err)
{
	_cleanup_(console_config_done) struct console_config config = {
		.log_level = FLEET_LOG_INFO,
		.command_ttl_ms = FLEET_COMMAND_TTL_S * INT64_C(1000),
		.agent_auth = AGENT_AUTH_BOTH,
		.agent_certificate_life_s = FLEET_CERTIFICATE_LIFE_S,
	};
	struct flags flags = {0};
	int r;

	r = parse_flags(argc, argv, &flags, err);
	if (r < 0)
		return r;
	if (flags.wish == CONSOLE_CONFIG_RUN) {
		config.dev = flags.dev;
		if (flags.config || !flags.dev)
			r = read_file(&config, flags.config ? flags.config : CONSOLE_CONFIG_FILE, err);
		if (r >= 0)
			r = apply_flags(&config, &flags, err);
		if (r >= 0)
			r = complete(&config, err);
		if (r < 0)
			return r;
	}
	*ret_wish = flags.wish;
	*ret = config;
	config = (struct console_config){0};
	return 0;
}

void console_config_done(struct console_config *config)
{
	free(config->listen_host);
	free(config->tls_cert_file);
	free(config->tls_key_file);
	free(config->data_dir);
	free(config->web_dir);
	for (size_t i = 0; i < config->api_key_count; i++)
		free(config->api_keys[i].name);
	free(config->api_keys);
	for (size_t i = 0; i < config->agent_key_count; i++)
		free(config->agent_keys[i].agent_id);
	free(config->agent_keys);
	*config = (struct console_config){0};
}
