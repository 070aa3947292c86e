#include "agent/host/config.h"
#include <getopt.h>
#include <limits.h>
#include <pwd.h>
#include <sys/stat.h>
#include "fleet/envfile.h"
#include "fleet/file.h"
#include "fleet/ids.h"
#include "fleet/join_token.h"
#include "fleet/limits.h"

#define ETC_DIR    "/etc/fleet-agent"
#define AGENT_USER "fleet-agent"

static const char help[] =
	"Usage: fleet-driver-host [options]\n"
	"\n"
	"Does the privileged work of a fleet agent on the apps that this server's admin declared: restarts "
	"them,\n"
	"changes their config files, tells how they are. Takes commands over a socket, and only with the "
	"console's\n"
	"signature.\n"
	"\n"
	"  --env-file FILE     the agent's settings; FLEET_AGENT_ID, FLEET_LOG_LEVEL, FLEET_JOIN_TOKEN\n"
	"                      [" ETC_DIR "/agent.env; none with --dev]\n"
	"  --agent-id ID       this server's id [FLEET_AGENT_ID, else the host name]\n"
	"  --apps-dir DIR      where apps are declared [" ETC_DIR "/apps.d]\n"
	"  --driver-dir DIR    where drivers are [../lib/drivers from this program, else " DRIVERDIR "]\n"
	"  --state-dir DIR     the ledger, and files as they were before a push\n"
	"                      [/var/lib/fleet-driver-host; $XDG_STATE_HOME/fleet/ID/host with --dev]\n"
	"  --console-pub FILE  the console's public key, as a JWK or a JWK set [" ETC_DIR "/console.pub]\n"
	"  --trusted-keys DIR  minisign public keys (*.pub); where there is one, every release must be "
	"signed\n"
	"                      [" ETC_DIR "/trusted-keys.d; none with --dev]\n"
	"  --socket PATH       listen there [/run/fleet-agent/host.sock], unless systemd hands a socket "
	"over\n"
	"  --socket-fd N       serve this one connection, and end with it\n"
	"  --peer-uid UID      who may connect besides root and this program's own user [user " AGENT_USER
	"]\n"
	"  --dev               for developers: keys are not pinned across runs\n"
	"  --log-level LEVEL   error, warn, info or debug [info]\n"
	"  --recover-files     only bring what an interrupted update left half renamed to one of its ends; "
	"for boot\n"
	"  --help, --version\n"
	"\n"
	"SIGHUP reads the declared apps and the drivers again; SIGTERM lets what runs finish, then ends.\n";

struct flags {
	const char *env_file, *agent_id, *apps_dir, *driver_dir, *state_dir, *console_pub, *socket_path,
		*log_level, *trusted_keys;
	long socket_fd, peer_uid;
	bool dev, recover_files;
};

static int parse_number(const char *flag, const char *text, long *ret, struct fleet_error *err)
{
	char *end;

	errno = 0;
	*ret = strtol(text, &end, 10);
	if (errno || end == text || *end || *ret < 0 || *ret > INT_MAX)
		return fleet_error_set(err, -EINVAL, "--%s needs a number, not '%s'", flag, text);
	return 0;
}

static int parse_flags(int argc, char **argv, struct flags *f, struct fleet_error *err)
{
	enum {
		ENV_FILE = 256,
		AGENT_ID,
		APPS_DIR,
		DRIVER_DIR,
		STATE_DIR,
		CONSOLE_PUB,
		SOCKET,
		SOCKET_FD,
		PEER_UID,
		DEV,
		LOG_LEVEL,
		TRUSTED_KEYS,
		RECOVER_FILES,
		HELP,
		SHOW_VERSION
	};
	static const struct option options[] = {{"env-file", required_argument, NULL, ENV_FILE},
		{"agent-id", required_argument, NULL, AGENT_ID},
		{"apps-dir", required_argument, NULL, APPS_DIR},
		{"driver-dir", required_argument, NULL, DRIVER_DIR},
		{"state-dir", required_argument, NULL, STATE_DIR},
		{"console-pub", required_argument, NULL, CONSOLE_PUB},
		{"socket", required_argument, NULL, SOCKET},
		{"socket-fd", required_argument, NULL, SOCKET_FD},
		{"peer-uid", required_argument, NULL, PEER_UID}, {"dev", no_argument, NULL, DEV},
		{"log-level", required_argument, NULL, LOG_LEVEL},
		{"trusted-keys", required_argument, NULL, TRUSTED_KEYS},
		{"recover-files", no_argument, NULL, RECOVER_FILES}, {"help", no_argument, NULL, HELP},
		{"version", no_argument, NULL, SHOW_VERSION}, {0}};
	const char **const texts[] = {[ENV_FILE - 256] = &f->env_file,
		[AGENT_ID - 256] = &f->agent_id,
		[APPS_DIR - 256] = &f->apps_dir,
		[DRIVER_DIR - 256] = &f->driver_dir,
		[STATE_DIR - 256] = &f->state_dir,
		[CONSOLE_PUB - 256] = &f->console_pub,
		[SOCKET - 256] = &f->socket_path,
		[LOG_LEVEL - 256] = &f->log_level};
	int c, r = 0;

	opterr = 0;
	optind = 1;
	while (r >= 0 && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == HELP || c == SHOW_VERSION) {
			printf("%s", c == HELP ? help : "fleet-driver-host " PACKAGE_VERSION "\n");
			return 1;
		}
		if (c == SOCKET_FD)
			r = parse_number("socket-fd", optarg, &f->socket_fd, err);
		else if (c == PEER_UID)
			r = parse_number("peer-uid", optarg, &f->peer_uid, err);
		else if (c == DEV)
			f->dev = true;
		else if (c == TRUSTED_KEYS)
			f->trusted_keys = optarg;
		else if (c == RECOVER_FILES)
			f->recover_files = true;
		else if (c == '?')
			r = fleet_error_set(err, -EINVAL,
				"'%s' is no option, or lacks its value (see --help)", argv[optind - 1]);
		else
			*texts[c - 256] = optarg;
	}
	if (r >= 0 && optind < argc)
		return fleet_error_set(err, -EINVAL, "'%s' is not understood (see --help)", argv[optind]);
	return r;
}

/* The socket that systemd holds for us (sd_listen_fds(3)), without the library. */
static int listen_fd_from_systemd(int *ret_fd, struct fleet_error *err)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	int fd = 3;

	if (!pid || !count || strtol(pid, NULL, 10) != (long)getpid())
		fd = -1;
	else if (strcmp(count, "1") != 0)
		return fleet_error_set(err, -EINVAL, "systemd hands over %s sockets, expected one", count);
	(void)unsetenv("LISTEN_PID"); /* not for children */
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	*ret_fd = fd;
	return 0;
}

static int read_env_file(const char *path, bool required, struct fleet_envfile **ret, struct fleet_error *err)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = fleet_file_read(path, FLEET_ENV_FILE_MAX, &text, &len, err);

	if (r == -ENOENT && !required)
		return 0;
	return r < 0 ? r : fleet_envfile_parse(text, len, path, ret, err);
}

static int choose_agent_id(struct host_config *c, const struct flags *f, const struct fleet_envfile *env,
	struct fleet_error *err)
{
	char host[FLEET_HOSTNAME_LEN_MAX + 1] = "";
	const char *id = f->agent_id;

	if (!id && env)
		id = fleet_envfile_get(env, "FLEET_AGENT_ID");
	if (str_empty(id) && f->dev)
		id = "agent-dev-01";
	if (str_empty(id) && gethostname(host, sizeof(host) - 1) == 0)
		id = host;
	if (!fleet_id_is_valid(id))
		return fleet_error_set(err, -EINVAL,
			"'%s' is no agent id: letters, digits, '.', '_' and '-', at most %d (FLEET_AGENT_ID "
			"or --agent-id)",
			id, FLEET_ID_MAX);
	c->agent_id = xstrdup(id);
	return 0;
}

static int choose_paths(struct host_config *c, const struct flags *f, struct fleet_error *err)
{
	_cleanup_free_ char *program = NULL;
	int r;

	c->apps_dir = xstrdup(f->apps_dir ? f->apps_dir : ETC_DIR "/apps.d");
	c->socket_path = xstrdup(f->socket_path ? f->socket_path : "/run/fleet-agent/host.sock");
	if (f->console_pub || !f->dev)
		c->console_pub = xstrdup(f->console_pub ? f->console_pub : ETC_DIR "/console.pub");
	if (f->trusted_keys || !f->dev)
		c->trusted_keys_dir = xstrdup(f->trusted_keys ? f->trusted_keys : ETC_DIR "/trusted-keys.d");
	if (f->state_dir) {
		c->state_dir = xstrdup(f->state_dir);
	} else if (!f->dev) {
		c->state_dir = xstrdup("/var/lib/fleet-driver-host");
	} else {
		const char *base = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

		if (str_empty(base) && str_empty(home))
			return fleet_error_set(
				err, -EINVAL, "neither XDG_STATE_HOME nor HOME is set: give --state-dir");
		c->state_dir = str_empty(base) ? xasprintf("%s/.local/state/fleet/%s/host", home, c->agent_id)
					       : xasprintf("%s/fleet/%s/host", base, c->agent_id);
	}
	r = fleet_program_dir(&program, err);
	if (r < 0)
		return r;
	c->unpacker = xasprintf("%s/fleet-unpack", program);
	if (f->driver_dir) {
		c->driver_dir = realpath(f->driver_dir, NULL);
		if (!c->driver_dir)
			return fleet_error_errno(
				err, -errno, "cannot use the driver directory %s", f->driver_dir);
	} else {
		_cleanup_free_ char *beside = xasprintf("%s/../lib/drivers", program);

		c->driver_dir = realpath(beside, NULL);
		if (!c->driver_dir)
			c->driver_dir = xstrdup(DRIVERDIR);
	}
	return 0;
}

static uid_t choose_peer(const struct flags *f)
{
	const struct passwd *user;

	if (f->peer_uid >= 0)
		return (uid_t)f->peer_uid;
	user = f->dev ? NULL : getpwnam(AGENT_USER);
	return user ? user->pw_uid : geteuid();
}

int host_config_parse(int argc, char **argv, struct host_config *ret, struct fleet_error *err)
{
	_cleanup_(fleet_envfile_freep) struct fleet_envfile *env = NULL;
	struct flags f = {.socket_fd = -1, .peer_uid = -1};
	struct host_config c = {.log_level = FLEET_LOG_INFO};
	const char *level;
	int r;

	r = parse_flags(argc, argv, &f, err);
	if (r != 0)
		return r;
	if (f.env_file || !f.dev)
		r = read_env_file(
			f.env_file ? f.env_file : ETC_DIR "/agent.env", f.env_file != NULL, &env, err);
	level = f.log_level ? f.log_level : env ? fleet_envfile_get(env, "FLEET_LOG_LEVEL") : NULL;
	if (r >= 0 && !str_empty(level) && fleet_log_level_from_string(level, &c.log_level) < 0)
		r = fleet_error_set(
			err, -EINVAL, "log level '%s' is none of error, warn, info and debug", level);
	if (r >= 0)
		r = choose_agent_id(&c, &f, env, err);
	if (r >= 0)
		r = choose_paths(&c, &f, err);
	if (r >= 0)
		r = listen_fd_from_systemd(&c.listen_fd, err);
	if (r < 0) {
		host_config_done(&c);
		return r;
	}
	if (f.env_file || !f.dev)
		c.token_file = xstrdup(f.env_file ? f.env_file : ETC_DIR "/agent.env");
	if (!f.agent_id)
		c.env_file = xstrdup(c.token_file);
	c.socket_fd = (int)f.socket_fd;
	c.peer_uid = choose_peer(&f);
	c.dev = f.dev;
	c.recover_files = f.recover_files;
	c.notify_socket = xstrdup(getenv("NOTIFY_SOCKET"));
	(void)unsetenv("NOTIFY_SOCKET"); /* ours alone */
	*ret = c;
	return 0;
}

bool host_config_agent_changed(const struct host_config *c)
{
	_cleanup_(fleet_envfile_freep) struct fleet_envfile *env = NULL;
	_cleanup_(host_config_done) struct host_config now = {0};
	const struct flags f = {.dev = c->dev};

	return c->env_file && read_env_file(c->env_file, true, &env, NULL) >= 0 &&
	       choose_agent_id(&now, &f, env, NULL) >= 0 && !str_equal(now.agent_id, c->agent_id);
}

char *host_config_join_kid(const struct host_config *c)
{
	_cleanup_(fleet_envfile_freep) struct fleet_envfile *env = NULL;
	struct fleet_join_token token = {.kid = ""};
	struct fleet_error err = FLEET_ERROR_INIT;
	const char *text;
	char *kid;

	if (!c->token_file || read_env_file(c->token_file, false, &env, &err) < 0 || !env)
		return NULL;
	text = fleet_envfile_get(env, "FLEET_JOIN_TOKEN");
	if (str_empty(text))
		return NULL;
	if (fleet_join_token_parse(text, &token, &err) < 0)
		log_error("%s: FLEET_JOIN_TOKEN %s", c->token_file, err.message);
	kid = xstrdup(token.kid);
	explicit_bzero(&token, sizeof(token));
	return kid;
}

void host_config_done(struct host_config *c)
{
	free(c->env_file);
	free(c->token_file);
	free(c->agent_id);
	free(c->apps_dir);
	free(c->driver_dir);
	free(c->state_dir);
	free(c->console_pub);
	free(c->trusted_keys_dir);
	free(c->unpacker);
	free(c->socket_path);
	free(c->notify_socket);
	*c = (struct host_config){.listen_fd = -1, .socket_fd = -1};
}
