/* console.yaml: every complaint names file, line, column and why. */
#include "console/config.h"
#include "fleet/ids.h"
#include "fleet/limits.h"
#include "fleet/yaml.h"

static const char *const root_keys[] = {"listen", "tls", "data_dir", "web_dir", "log", "api_keys",
	"agent_keys", "agent_auth", "agent_certificate_life", "heartbeat_interval", "command_ttl", NULL};
static const char *const tls_keys[] = {"cert_file", "key_file", "min_version", NULL};
static const char *const log_keys[] = {"level", "format", NULL};
static const char *const api_key_keys[] = {"name", "key", "key_sha256", "role", NULL};
static const char *const agent_key_keys[] = {"agent_id", "key", "key_sha256", NULL};

static int read_text(const struct fleet_yaml *yaml, const struct fleet_yaml_node *at, const char *key,
	char **ret, struct fleet_error *err)
{
	const char *text = NULL;
	int r = fleet_yaml_get_string(yaml, at, key, &text, err);

	if (r < 0)
		return r;
	if (text && !*text)
		return fleet_yaml_error(yaml, fleet_yaml_get(at, key), err, "%s must not be empty", key);
	if (text) {
		free(*ret);
		*ret = xstrdup(text);
	}
	return 0;
}

static int read_duration(const struct fleet_yaml *yaml, const struct fleet_yaml_node *at, const char *key,
	int64_t min_ms, int64_t max_ms, int64_t *ret, struct fleet_error *err)
{
	int64_t value = *ret;
	int r = fleet_yaml_get_duration_ms(yaml, at, key, &value, err);

	if (r < 0)
		return r;
	if (value != *ret && (value < min_ms || value > max_ms))
		return fleet_yaml_error(yaml, fleet_yaml_get(at, key), err,
			"%s must be from %lld s to %lld s", key, (long long)(min_ms / 1000),
			(long long)(max_ms / 1000));
	*ret = value;
	return 0;
}

static int read_tls(struct console_config *config, const struct fleet_yaml *yaml,
	const struct fleet_yaml_node *root, struct fleet_error *err)
{
	const struct fleet_yaml_node *tls = NULL;
	const char *version = NULL;
	int r;

	r = fleet_yaml_get_mapping(yaml, root, "tls", &tls, err);
	if (r < 0 || !tls)
		return r;
	r = fleet_yaml_check_keys(yaml, tls, tls_keys, err);
	if (r >= 0)
		r = read_text(yaml, tls, "cert_file", &config->tls_cert_file, err);
	if (r >= 0)
		r = read_text(yaml, tls, "key_file", &config->tls_key_file, err);
	if (r >= 0)
		r = fleet_yaml_get_string(yaml, tls, "min_version", &version, err);
	if (r < 0)
		return r;
	/* Half of it must not mean plain HTTP. */
	if (!config->tls_cert_file != !config->tls_key_file)
		return fleet_yaml_error(yaml, tls, err, "tls needs both cert_file and key_file");
	config->tls_wanted = true;
	if (version && strcmp(version, "1.2") != 0 && strcmp(version, "1.3") != 0)
		return fleet_yaml_error(yaml, fleet_yaml_get(tls, "min_version"), err,
			"min_version must be 1.2 or 1.3, not '%s'", version);
	config->tls_allow_1_2 = str_equal(version, "1.2");
	return 0;
}

static int read_agent_auth(struct console_config *config, const struct fleet_yaml *yaml,
	const struct fleet_yaml_node *root, struct fleet_error *err)
{
	static const char *const modes[] = {
		[AGENT_AUTH_TOKEN] = "token", [AGENT_AUTH_MTLS] = "mtls", [AGENT_AUTH_BOTH] = "both"};
	int64_t life_ms = config->agent_certificate_life_s * 1000;
	const char *mode = NULL;
	int r = fleet_yaml_get_string(yaml, root, "agent_auth", &mode, err);

	if (r >= 0)
		r = read_duration(yaml, root, "agent_certificate_life", 10 * 1000,
			365 * 86400 * INT64_C(1000), &life_ms, err);
	if (r < 0)
		return r;
	config->agent_certificate_life_s = life_ms / 1000;
	for (size_t i = 1; mode && i < FLEET_ARRAY_LEN(modes); i++) {
		if (strcmp(mode, modes[i]) == 0) {
			config->agent_auth = (enum agent_auth)i;
			return 0;
		}
	}
	return mode ? fleet_yaml_error(yaml, fleet_yaml_get(root, "agent_auth"), err,
			      "agent_auth must be token, mtls or both, not '%s'", mode)
		    : 0;
}

static int read_log(struct console_config *config, const struct fleet_yaml *yaml,
	const struct fleet_yaml_node *root, struct fleet_error *err)
{
	const struct fleet_yaml_node *log = NULL;
	const char *level = NULL, *format = NULL;
	int r;

	r = fleet_yaml_get_mapping(yaml, root, "log", &log, err);
	if (r < 0 || !log)
		return r;
	r = fleet_yaml_check_keys(yaml, log, log_keys, err);
	if (r >= 0)
		r = fleet_yaml_get_string(yaml, log, "level", &level, err);
	if (r >= 0)
		r = fleet_yaml_get_string(yaml, log, "format", &format, err);
	if (r < 0)
		return r;
	if (level && fleet_log_level_from_string(level, &config->log_level) < 0)
		return fleet_yaml_error(yaml, fleet_yaml_get(log, "level"), err,
			"level must be error, warn, info or debug, not '%s'", level);
	if (str_equal(format, "json"))
		config->log_format = FLEET_LOG_FORMAT_JSON;
	else if (str_equal(format, "text"))
		config->log_format = FLEET_LOG_FORMAT_TEXT;
	else if (format)
		return fleet_yaml_error(yaml, fleet_yaml_get(log, "format"), err,
			"format must be text or json, not '%s'", format);
	return 0;
}

/* key or key_sha256, exactly one of them. The text of a key never goes into a message. */
static int read_digest(const struct fleet_yaml *yaml, const struct fleet_yaml_node *item,
	unsigned char ret_digest[FLEET_SHA256_LEN], struct fleet_error *err)
{
	const char *key = NULL, *hex = NULL;
	int r;

	r = fleet_yaml_get_string(yaml, item, "key", &key, err);
	if (r >= 0)
		r = fleet_yaml_get_string(yaml, item, "key_sha256", &hex, err);
	if (r < 0)
		return r;
	if (!key == !hex)
		return fleet_yaml_error(yaml, item, err, "give either key or key_sha256");
	if (key) {
		if (strlen(key) < CONSOLE_KEY_TEXT_MIN)
			return fleet_yaml_error(yaml, fleet_yaml_get(item, "key"), err,
				"a key has at least %d characters: try `openssl rand -hex 24`",
				CONSOLE_KEY_TEXT_MIN);
		fleet_sha256(key, strlen(key), ret_digest);
		return 0;
	}
	if (fleet_hex_decode(hex, strlen(hex), ret_digest, FLEET_SHA256_LEN) < 0)
		return fleet_yaml_error(yaml, fleet_yaml_get(item, "key_sha256"), err,
			"key_sha256 must be 64 hex digits: try `printf %%s KEY | sha256sum`");
	return 0;
}

static int read_role(const struct fleet_yaml *yaml, const struct fleet_yaml_node *item, enum role *ret,
	struct fleet_error *err)
{
	const char *text = NULL;
	int r = fleet_yaml_get_string(yaml, item, "role", &text, err);

	if (r < 0)
		return r;
	if (role_from_string(text, ret) >= 0)
		return 0;
	return fleet_yaml_error(yaml, text ? fleet_yaml_get(item, "role") : item, err,
		"role must be viewer, operator or admin");
}

static int read_api_key(struct console_config *config, const struct fleet_yaml *yaml,
	const struct fleet_yaml_node *item, struct fleet_error *err)
{
	struct config_key key = {0};
	const char *name = NULL;
	int r;

	r = fleet_yaml_check_keys(yaml, item, api_key_keys, err);
	if (r >= 0)
		r = fleet_yaml_get_string(yaml, item, "name", &name, err);
	if (r >= 0 && !fleet_id_is_valid(name ? name : ""))
		r = fleet_yaml_error(
			yaml, item, err, "an API key needs a name of letters, digits, '.', '_' and '-'");
	if (r >= 0)
		r = read_digest(yaml, item, key.digest, err);
	if (r >= 0)
		r = read_role(yaml, item, &key.role, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < config->api_key_count; i++) {
		if (str_equal(config->api_keys[i].name, name))
			return fleet_yaml_error(yaml, item, err, "the API key '%s' is there twice", name);
	}
	key.name = xstrdup(name);
	config->api_keys =
		xreallocarray(config->api_keys, config->api_key_count + 1, sizeof(*config->api_keys));
	config->api_keys[config->api_key_count++] = key;
	return 0;
}

static int read_agent_key(struct console_config *config, const struct fleet_yaml *yaml,
	const struct fleet_yaml_node *item, struct fleet_error *err)
{
	struct agent_key key = {0};
	const char *id = NULL;
	int r;

	r = fleet_yaml_check_keys(yaml, item, agent_key_keys, err);
	if (r >= 0)
		r = fleet_yaml_get_string(yaml, item, "agent_id", &id, err);
	if (r >= 0 && !fleet_id_is_valid(id ? id : ""))
		r = fleet_yaml_error(yaml, item, err, "an agent's key needs the agent_id it belongs to");
	if (r >= 0)
		r = read_digest(yaml, item, key.digest, err);
	if (r < 0)
		return r;
	key.agent_id = xstrdup(id);
	config->agent_keys =
		xreallocarray(config->agent_keys, config->agent_key_count + 1, sizeof(*config->agent_keys));
	config->agent_keys[config->agent_key_count++] = key;
	return 0;
}

static int read_list(struct console_config *config, const struct fleet_yaml *yaml,
	const struct fleet_yaml_node *root, const char *name, size_t max,
	int (*read_item)(struct console_config *, const struct fleet_yaml *, const struct fleet_yaml_node *,
		struct fleet_error *),
	struct fleet_error *err)
{
	const struct fleet_yaml_node *list = NULL;
	int r = fleet_yaml_get_sequence(yaml, root, name, &list, err);

	if (r < 0 || !list)
		return r;
	if (list->count > max)
		return fleet_yaml_error(yaml, list, err, "%s has more than %zu entries", name, max);
	for (size_t i = 0; i < list->count; i++) {
		if (list->values[i]->kind != FLEET_YAML_MAPPING)
			return fleet_yaml_error(
				yaml, list->values[i], err, "an entry of %s must be a mapping", name);
		r = read_item(config, yaml, list->values[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

int console_config_read(struct console_config *config, const char *text, size_t len, const char *name,
	struct fleet_error *err)
{
	_cleanup_(fleet_yaml_freep) struct fleet_yaml *yaml = NULL;
	const struct fleet_yaml_node *root;
	const char *listen = NULL;
	struct fleet_error why = FLEET_ERROR_INIT;
	int r;

	r = fleet_yaml_parse(text, len, name, &yaml, err);
	if (r < 0)
		return r;
	root = fleet_yaml_root(yaml);
	if (!root)
		return 0; /* an empty file asks for the defaults */
	if (root->kind != FLEET_YAML_MAPPING)
		return fleet_yaml_error(yaml, root, err, "the file must be a mapping of settings");
	r = fleet_yaml_check_keys(yaml, root, root_keys, err);
	if (r >= 0)
		r = fleet_yaml_get_string(yaml, root, "listen", &listen, err);
	if (r >= 0 && listen && console_config_set_listen(config, listen, &why) < 0)
		r = fleet_yaml_error(yaml, fleet_yaml_get(root, "listen"), err, "%s", why.message);
	if (r >= 0)
		r = read_text(yaml, root, "data_dir", &config->data_dir, err);
	if (r >= 0)
		r = read_text(yaml, root, "web_dir", &config->web_dir, err);
	if (r >= 0)
		r = read_tls(config, yaml, root, err);
	if (r >= 0)
		r = read_log(config, yaml, root, err);
	if (r >= 0)
		r = read_agent_auth(config, yaml, root, err);
	if (r >= 0)
		r = read_duration(yaml, root, "heartbeat_interval", 1000, 3600 * 1000,
			&config->heartbeat_interval_ms, err);
	if (r >= 0)
		r = read_duration(yaml, root, "command_ttl", 1000, 7 * 86400 * INT64_C(1000),
			&config->command_ttl_ms, err);
	if (r >= 0)
		r = read_list(config, yaml, root, "api_keys", FLEET_API_KEYS_MAX, read_api_key, err);
	if (r >= 0)
		r = read_list(config, yaml, root, "agent_keys", FLEET_AGENTS_MAX, read_agent_key, err);
	return r;
}
