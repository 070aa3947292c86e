/* What the admin decided: console.yaml and flags, read once at start, before the event loop runs. Flags win
 * over the file, the file over the defaults. The only place of the console that reads the environment. */
#ifndef CONSOLE_CONFIG_H
#define CONSOLE_CONFIG_H
#include "console/key.h"
#include "fleet/error.h"
#include "fleet/log.h"

#define CONSOLE_CONFIG_FILE  "/etc/fleet-console/console.yaml"
#define CONSOLE_DATA_DIR     "/var/lib/fleet-console"
#define CONSOLE_LISTEN       "127.0.0.1:5000"
#define CONSOLE_KEY_TEXT_MIN 8

struct config_key {
	char *name; /* owned: the first half of the actor */
	unsigned char digest[FLEET_SHA256_LEN];
	enum role role;
};
/* By what agents prove who they are: keys (of console.yaml, or given when they join), certificates of the
 * console's own authority. */
enum agent_auth { AGENT_AUTH_TOKEN = 1, AGENT_AUTH_MTLS = 2, AGENT_AUTH_BOTH = 3 };

struct agent_key {
	char *agent_id; /* owned: the only agent that may show it */
	unsigned char digest[FLEET_SHA256_LEN];
};

struct console_config {
	bool dev;          /* loopback only, no keys asked */
	char *listen_host; /* owned: an address without brackets */
	uint16_t listen_port;
	char *tls_cert_file, *tls_key_file; /* owned; NULL: plain HTTP */
	bool tls_wanted;                    /* the file has tls: plain HTTP is not meant */
	bool tls_allow_1_2;                 /* beside 1.3 */
	enum agent_auth agent_auth;         /* 0 (a zeroed config): both */
	int64_t agent_certificate_life_s;
	char *data_dir; /* owned */
	char *web_dir;  /* owned; NULL: beside the program, else the installed one */
	enum fleet_log_level log_level;
	enum fleet_log_format log_format;
	int64_t heartbeat_interval_ms; /* told to the agents; 0: each keeps its own */
	int64_t command_ttl_ms;
	struct config_key *api_keys; /* owned */
	size_t api_key_count;
	struct agent_key *agent_keys; /* owned */
	size_t agent_key_count;
};

/* What the command line asked for besides the config. */
enum console_config_wish { CONSOLE_CONFIG_RUN, CONSOLE_CONFIG_HELP, CONSOLE_CONFIG_VERSION };

/* argv[0] is skipped. -EINVAL with what is wrong (a flag, or FILE:LINE:COLUMN). *ret to be ended with
 * console_config_done. */
int console_config_load(int argc, char **argv, struct console_config *ret, enum console_config_wish *ret_wish,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Reads console.yaml's text into *config (config_file.c). name: for messages. */
int console_config_read(struct console_config *config, const char *text, size_t len, const char *name,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* "HOST:PORT", "[::1]:5000", "localhost:0" into *config. -EINVAL. */
int console_config_set_listen(
	struct console_config *config, const char *text, struct fleet_error *err) FLEET_MUST_CHECK;
bool console_address_is_loopback(const char *address);
void console_config_done(struct console_config *config);
extern const char console_config_help[];

#endif
