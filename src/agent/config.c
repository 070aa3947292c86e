#include "agent/config.h"
#include <limits.h>
#include <sys/stat.h>
#include "fleet/clock.h"
#include "fleet/envfile.h"
#include "fleet/file.h"
#include "fleet/ids.h"
#include "fleet/join_token.h"
#include "fleet/notify.h"
#include "fleet/text.h"

struct setting;
typedef int apply_fn(
	const struct setting *s, struct agent_config *c, const char *value, struct fleet_error *err);

static apply_fn apply_text, apply_id, apply_url, apply_heartbeat, apply_labels, apply_log_level,
	apply_log_format, apply_dir, apply_switch, apply_token;

/* One line for everything that can be set: its flag, its key in agent.env, or both. */
static const struct setting {
	const char *flag, *key, *value_name, *help;
	apply_fn *apply;
	size_t offset;
} settings[] = {
#define FIELD(name) offsetof(struct agent_config, name)
	{"dev", NULL, NULL,
		"for developers: no key, console http://localhost:5000, a driver host and simulated apps of "
		"its own",
		apply_switch, FIELD(dev)},
	{"agent-id", "FLEET_AGENT_ID", "ID", "who this agent is [the hostname; agent-dev-01 with --dev]",
		apply_id, FIELD(agent_id)},
	{"console-url", "FLEET_CONSOLE_URL", "URL", "where the console is", apply_url, FIELD(console_url)},
	{"data-dir", NULL, "DIR", "spool [" AGENT_DATA_DIR "; $XDG_STATE_HOME/fleet/ID with --dev]",
		apply_dir, FIELD(data_dir)},
	{"apps-dir", NULL, "DIR", "with --dev: declared apps [two simulated ones]", apply_dir,
		FIELD(apps_dir)},
	{"driver-dir", NULL, "DIR", "with --dev: drivers [../lib/drivers beside the program]", apply_dir,
		FIELD(driver_dir)},
	{"env-file", NULL, "FILE", "settings [" AGENT_ENV_FILE "; none with --dev]", apply_text,
		FIELD(env_file)},
	{"host-socket", NULL, "PATH", "the driver host's socket [" AGENT_HOST_SOCKET "]", apply_text,
		FIELD(host_socket)},
	{"heartbeat-interval", "FLEET_HEARTBEAT_INTERVAL", "SECONDS", "unless the console says another [10]",
		apply_heartbeat, 0},
	{"labels", "FLEET_LABELS", "K=V,K=V", "what to group this server by", apply_labels, 0},
	{"log-level", "FLEET_LOG_LEVEL", "LEVEL", "error, warn, info or debug [info]", apply_log_level, 0},
	{"log-format", NULL, "FORMAT", "text or json [text]", apply_log_format, 0},
	{NULL, "FLEET_API_KEY", NULL, NULL, apply_text, FIELD(api_key)},
	{NULL, "FLEET_JOIN_TOKEN", NULL, NULL, apply_token, FIELD(join_token)},
	{"ca-file", "FLEET_CA_FILE", "FILE",
		"trust these authorities for the console's certificate [the system's]", apply_text,
		FIELD(ca_file)},
	{NULL, "FLEET_CERT_FILE", NULL, NULL, apply_text, FIELD(cert_file)},
	{NULL, "FLEET_KEY_FILE", NULL, NULL, apply_text, FIELD(key_file)},
	{"version", NULL, NULL, "print the version", apply_switch, FIELD(version)},
	{"help", NULL, NULL, "print this", apply_switch, FIELD(help)},
#undef FIELD
};

static const char *setting_name(const struct setting *s, bool from_flag, char *out, size_t len)
{
	(void)snprintf(out, len, "%s%s", from_flag ? "--" : "", from_flag ? s->flag : s->key);
	return out;
}

static int apply_text(
	const struct setting *s, struct agent_config *c, const char *value, struct fleet_error *err)
{
	char **field = (char **)(void *)((char *)c + s->offset);

	if (!*value)
		return fleet_error_set(err, -EINVAL, "must not be empty");
	if (strlen(value) > FLEET_PATH_LEN_MAX)
		return fleet_error_set(err, -EINVAL, "is longer than %d bytes", FLEET_PATH_LEN_MAX);
	for (const char *p = value; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 127)
			return fleet_error_set(err, -EINVAL, "must not hold control characters");
	}
	free(*field);
	*field = xstrdup(value);
	return 0;
}

static int apply_id(
	const struct setting *s, struct agent_config *c, const char *value, struct fleet_error *err)
{
	if (!fleet_id_is_valid(value))
		return fleet_error_set(err, -EINVAL,
			"must begin with a letter or digit and hold only letters, digits, '.', '_' and '-', "
			"at most %d",
			FLEET_ID_MAX);
	return apply_text(s, c, value, err);
}

static int apply_token(
	const struct setting *s, struct agent_config *c, const char *value, struct fleet_error *err)
{
	struct fleet_join_token token;
	int r = fleet_join_token_parse(value, &token, err);

	explicit_bzero(&token, sizeof(token));
	return r < 0 ? r : apply_text(s, c, value, err);
}

static int apply_url(
	const struct setting *s, struct agent_config *c, const char *value, struct fleet_error *err)
{
	size_t len = strlen(value);
	_cleanup_free_ char *cut = NULL;

	if (!str_starts(value, "http://") && !str_starts(value, "https://"))
		return fleet_error_set(err, -EINVAL, "must begin with http:// or https://");
	if (strpbrk(value, "?#") || len > FLEET_URL_LEN_MAX - 100 || value[strcspn(value, "/") + 2] == '\0')
		return fleet_error_set(err, -EINVAL, "must look like https://console.example.com");
	while (value[len - 1] == '/')
		len--;
	cut = xstrndup(value, len);
	return apply_text(s, c, cut, err);
}

static int apply_dir(
	const struct setting *s, struct agent_config *c, const char *value, struct fleet_error *err)
{
	char **field = (char **)(void *)((char *)c + s->offset);
	char *absolute;
	int r = apply_text(s, c, value, err);

	if (r < 0 || value[0] == '/')
		return r;
	absolute = getcwd(NULL, 0);
	if (!absolute)
		return fleet_error_errno(err, -errno, "cannot tell the working directory");
	free(*field);
	*field = xasprintf("%s/%s", absolute, value);
	free(absolute);
	return 0;
}

static int apply_switch(const struct setting *s, struct agent_config *c, const char *value FLEET_UNUSED,
	struct fleet_error *err FLEET_UNUSED)
{
	*(bool *)((char *)c + s->offset) = true;
	return 0;
}

static int apply_heartbeat(const struct setting *s FLEET_UNUSED, struct agent_config *c, const char *value,
	struct fleet_error *err)
{
	int64_t ms;

	if (fleet_duration_parse(value, &ms) < 0 || ms < 1000 || ms > AGENT_HEARTBEAT_S_MAX * 1000)
		return fleet_error_set(err, -EINVAL, "must be 1 to %d seconds", AGENT_HEARTBEAT_S_MAX);
	c->heartbeat_ms = ms;
	return 0;
}

static bool label_word_is_valid(const char *text, size_t len)
{
	if (len < 1 || len > FLEET_ID_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] <= ' ' || text[i] == '"' || text[i] == 127)
			return false;
	}
	return fleet_text_is_utf8(text, len);
}

static int apply_labels(const struct setting *s FLEET_UNUSED, struct agent_config *c, const char *value,
	struct fleet_error *err)
{
	_cleanup_json_ struct json_object *labels = json_object_new_object();
	const char *p = value;

	while (*p) {
		size_t item = strcspn(p, ","), key = strcspn(p, "=");

		if (key >= item || !label_word_is_valid(p, key) ||
			(item > key + 1 && !label_word_is_valid(p + key + 1, item - key - 1))) {
			return fleet_error_set(err, -EINVAL,
				"must be k=v,k=v with words of 1 to %d characters, without spaces",
				FLEET_ID_MAX);
		}
		_cleanup_free_ char *k = xstrndup(p, key), *v = xstrndup(p + key + 1, item - key - 1);

		fleet_json_add_string(labels, k, v);
		p += item;
		p += *p == ',';
	}
	if (json_object_object_length(labels) > FLEET_LABELS_MAX)
		return fleet_error_set(err, -EINVAL, "holds more than %d labels", FLEET_LABELS_MAX);
	json_object_put(c->labels);
	c->labels = TAKE_PTR(labels);
	return 0;
}

static int apply_log_level(const struct setting *s FLEET_UNUSED, struct agent_config *c, const char *value,
	struct fleet_error *err)
{
	if (fleet_log_level_from_string(value, &c->log_level) < 0)
		return fleet_error_set(err, -EINVAL, "must be error, warn, info or debug");
	return 0;
}

static int apply_log_format(const struct setting *s FLEET_UNUSED, struct agent_config *c, const char *value,
	struct fleet_error *err)
{
	if (!str_equal(value, "text") && !str_equal(value, "json"))
		return fleet_error_set(err, -EINVAL, "must be text or json");
	c->log_format = str_equal(value, "json") ? FLEET_LOG_FORMAT_JSON : FLEET_LOG_FORMAT_TEXT;
	return 0;
}

/* The command line, split once: it is needed before agent.env (which file? --dev?) and applied after it. */
struct flags {
	const char *value[FLEET_ARRAY_LEN(settings)]; /* borrowed from argv; NULL: not given */
};

static int unknown_flag(const char *name, size_t len, struct fleet_error *err)
{
	const char *names[FLEET_ARRAY_LEN(settings)], *near;
	_cleanup_free_ char *word = xstrndup(name, len);
	size_t count = 0;

	for (size_t i = 0; i < FLEET_ARRAY_LEN(settings); i++) {
		if (settings[i].flag)
			names[count++] = settings[i].flag;
	}
	near = fleet_text_nearest(word, names, count);
	if (near)
		return fleet_error_set(err, -EINVAL, "unknown flag --%s; did you mean --%s?", word, near);
	return fleet_error_set(err, -EINVAL, "unknown flag --%s; see fleet-agent --help", word);
}

static int split_flags(int argc, char *const argv[], struct flags *flags, struct fleet_error *err)
{
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i], *name = arg + 2;
		const struct setting *s = NULL;
		size_t len, n;

		if (!str_starts(arg, "--") || !*name)
			return fleet_error_set(
				err, -EINVAL, "unexpected argument '%s'; see fleet-agent --help", arg);
		len = strcspn(name, "=");
		for (n = 0; n < FLEET_ARRAY_LEN(settings) && !s; n++) {
			if (settings[n].flag && strlen(settings[n].flag) == len &&
				strncmp(settings[n].flag, name, len) == 0)
				s = &settings[n];
		}
		if (!s)
			return unknown_flag(name, len, err);
		if (!s->value_name && name[len])
			return fleet_error_set(err, -EINVAL, "--%s takes no value", s->flag);
		if (s->value_name && !name[len] && (i + 1 >= argc || str_starts(argv[i + 1], "--")))
			return fleet_error_set(
				err, -EINVAL, "--%s needs a value: --%s %s", s->flag, s->flag, s->value_name);
		flags->value[s - settings] = !s->value_name ? "" : name[len] ? name + len + 1 : argv[++i];
	}
	return 0;
}

static int apply_flags(const struct flags *flags, struct agent_config *c, struct fleet_error *err)
{
	for (size_t i = 0; i < FLEET_ARRAY_LEN(settings); i++) {
		char name[64];
		int r = flags->value[i] ? settings[i].apply(&settings[i], c, flags->value[i], err) : 0;

		if (r < 0)
			return fleet_error_wrap(err, "%s '%s'",
				setting_name(&settings[i], true, name, sizeof(name)), flags->value[i]);
	}
	return 0;
}

int agent_config_try(const char *key, const char *value, const char **ret_near, struct fleet_error *err)
{
	_cleanup_(agent_config_done) struct agent_config scratch = {0};
	const char *names[FLEET_ARRAY_LEN(settings)];
	size_t count = 0;

	for (size_t i = 0; i < FLEET_ARRAY_LEN(settings); i++) {
		if (!settings[i].key)
			continue;
		if (str_equal(settings[i].key, key))
			return str_empty(value) ? 0 : settings[i].apply(&settings[i], &scratch, value, err);
		names[count++] = settings[i].key;
	}
	*ret_near = fleet_text_nearest(key, names, count);
	return fleet_error_set(err, -ENOENT, "there is no setting %s", key);
}

/* fleet_envfile has no iterator, on purpose: what we know we ask for. To warn of keys that we do not know,
 * the names are picked from the text once more. */
static void warn_unknown_keys(const char *text, const char *file)
{
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *key = line + strspn(line, " \t");
		_cleanup_free_ char *word = NULL;
		const char *near = NULL;

		if (!str_starts(key, "FLEET_") || !memchr(key, '=', strcspn(key, "\n")))
			continue;
		word = xstrndup(key, strcspn(key, "= \t"));
		if (agent_config_try(word, NULL, &near, NULL) != -ENOENT)
			continue;
		log_warn("%s: unknown setting %s is ignored%s%s%s", file, word, near ? "; did you mean " : "",
			near ? near : "", near ? "?" : "");
	}
}

static void warn_of_readers(const char *file)
{
	struct stat st;

	if (stat(file, &st) == 0 && (st.st_mode & 077))
		log_warn("%s can be read by others than its owner (mode %o), and holds the agent's key: "
			 "chmod 600",
			file, (unsigned)(st.st_mode & 07777));
}

/* Fills c->unconfigured where the file cannot be used; negative only for a file that was asked for by name.
 */
static int read_env_file(struct agent_config *c, const char *file, bool asked_for, struct fleet_error *err)
{
	struct fleet_error why = FLEET_ERROR_INIT;
	_cleanup_(fleet_envfile_freep) struct fleet_envfile *env = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = fleet_file_read(file, FLEET_ENV_FILE_MAX, &text, &len, &why);

	if (r < 0 && asked_for) {
		if (err)
			*err = why;
		return r;
	}
	if (r == -ENOENT)
		return 0; /* the missing console URL will be told */
	if (r >= 0)
		r = fleet_envfile_parse(text, len, file, &env, &why);
	if (r < 0) {
		c->unconfigured = xstrdup(why.message);
		return 0;
	}
	warn_unknown_keys(text, file);
	if (!str_empty(fleet_envfile_get(env, "FLEET_API_KEY")) ||
		!str_empty(fleet_envfile_get(env, "FLEET_JOIN_TOKEN")))
		warn_of_readers(file);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(settings); i++) {
		const char *value = settings[i].key ? fleet_envfile_get(env, settings[i].key) : NULL;

		if (str_empty(value)) /* KEY= is how a template leaves a setting open */
			continue;
		if (settings[i].apply(&settings[i], c, value, &why) < 0 && !c->unconfigured)
			c->unconfigured = xasprintf("%s: %s %s", file, settings[i].key, why.message);
	}
	return 0;
}

static char *dev_data_dir(const char *agent_id)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (state && state[0] == '/')
		return xasprintf("%s/fleet/%s", state, agent_id);
	return xasprintf("%s/.local/state/fleet/%s", home && home[0] == '/' ? home : "/tmp", agent_id);
}

/* The hostname, made into an id: what an id may not hold becomes '-'. */
static char *hostname_id(void)
{
	char name[HOST_NAME_MAX + 1] = "";

	if (gethostname(name, sizeof(name) - 1) < 0)
		return NULL;
	name[FLEET_ID_MAX] = '\0';
	for (char *p = name; *p; p++) {
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", *p))
			*p = '-';
	}
	return fleet_id_is_valid(name) ? xstrdup(name) : NULL;
}

static bool is_safe_to_join(const char *url)
{
	static const char *const near[] = {"http://localhost", "http://127.0.0.1", "http://[::1]"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(near); i++) {
		size_t len = strlen(near[i]);

		if (strncmp(url, near[i], len) == 0 && (!url[len] || url[len] == ':' || url[len] == '/'))
			return true;
	}
	return str_starts(url, "https://");
}

static void fill_defaults(struct agent_config *c, const char *env_file, bool host_is_given)
{
	if (!c->agent_id)
		c->agent_id = c->dev ? xstrdup("agent-dev-01") : hostname_id();
	if (!c->console_url && c->dev)
		c->console_url = xstrdup("http://localhost:5000");
	if (!c->data_dir)
		c->data_dir = c->dev ? dev_data_dir(c->agent_id) : xstrdup(AGENT_DATA_DIR);
	if (!host_is_given && !c->dev)
		c->host_socket = xstrdup(AGENT_HOST_SOCKET);
	if (!c->env_file)
		c->env_file = xstrdup(env_file);
	if (c->unconfigured)
		return;
	if (!c->console_url)
		c->unconfigured = xasprintf("FLEET_CONSOLE_URL is not set in %s", env_file);
	else if (!c->agent_id)
		c->unconfigured = xasprintf(
			"FLEET_AGENT_ID is not set in %s, and the hostname is no valid id", env_file);
	else if (c->join_token && !c->api_key && !is_safe_to_join(c->console_url))
		c->unconfigured =
			xasprintf("%s: FLEET_CONSOLE_URL must begin with https:// where a join token is to "
				  "be shown: in the clear anybody could read it",
				env_file);
	else if (!c->cert_file != !c->key_file)
		c->unconfigured = xasprintf("%s: FLEET_CERT_FILE and FLEET_KEY_FILE go together", env_file);
}

int agent_config_load(int argc, char *const argv[], struct agent_config *ret, struct fleet_error *err)
{
	struct flags flags = {{NULL}};
	_cleanup_(agent_config_done) struct agent_config given = {.heartbeat_ms = AGENT_HEARTBEAT_MS};
	struct agent_config c = {.heartbeat_ms = AGENT_HEARTBEAT_MS, .log_level = FLEET_LOG_INFO};
	const char *env_file;
	int r;

	if ((r = split_flags(argc, argv, &flags, err)) < 0)
		return r;
	if ((r = apply_flags(&flags, &given, err)) < 0) /* also finds --dev and --env-file */
		return r;
	env_file = given.env_file ? given.env_file : given.dev ? NULL : AGENT_ENV_FILE;
	if (env_file && !given.help && !given.version)
		r = read_env_file(&c, env_file, given.env_file != NULL, err);
	if (r >= 0)
		r = apply_flags(&flags, &c, err);
	if (r < 0) {
		agent_config_done(&c);
		return r;
	}
	fill_defaults(&c, env_file ? env_file : AGENT_ENV_FILE, given.host_socket != NULL);
	c.notify_socket = xstrdup(getenv("NOTIFY_SOCKET"));
	c.watchdog_us = fleet_notify_watchdog_us(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
	*ret = c;
	return 0;
}

void agent_config_done(struct agent_config *c)
{
	char **owned[] = {&c->agent_id, &c->console_url, &c->api_key, &c->join_token, &c->ca_file,
		&c->cert_file, &c->key_file, &c->data_dir, &c->env_file, &c->host_socket, &c->apps_dir,
		&c->driver_dir, &c->notify_socket, &c->unconfigured};

	if (c->api_key)
		explicit_bzero(c->api_key, strlen(c->api_key));
	if (c->join_token)
		explicit_bzero(c->join_token, strlen(c->join_token));
	for (size_t i = 0; i < FLEET_ARRAY_LEN(owned); i++)
		free(*owned[i]);
	json_object_put(c->labels);
	*c = (struct agent_config){0};
}

void agent_config_help(FILE *out)
{
	fputs("Usage: fleet-agent [--dev] [FLAG...]\n"
	      "       fleet-agent VERB ...      for the admin on this server: fleet-agent help\n\n"
	      "Represents this server at a fleet console. Settings are read from " AGENT_ENV_FILE ";\n"
	      "flags win over it.\n\n",
		out);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(settings); i++) {
		char name[64];

		if (!settings[i].flag)
			continue;
		(void)snprintf(name, sizeof(name), "--%s %s", settings[i].flag,
			settings[i].value_name ? settings[i].value_name : "");
		fprintf(out, "  %-28s %s%s%s%s\n", name, settings[i].help, settings[i].key ? " (" : "",
			settings[i].key ? settings[i].key : "", settings[i].key ? ")" : "");
	}
	fputs("\nOnly in agent.env: FLEET_API_KEY, FLEET_JOIN_TOKEN, FLEET_CERT_FILE, FLEET_KEY_FILE.\n",
		out);
}
