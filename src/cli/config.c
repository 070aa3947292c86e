#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <strings.h>
#include <sys/stat.h>
#include "cli/config.h"
#include "fleet/file.h"
#include "fleet/json.h"
#include "fleet/limits.h"

#define CONFIG_FILE_MAX (64u * 1024u)

static const struct fleet_json_field config_fields[] = {
	{"consoleUrl", FLEET_JSON_STRING, FLEET_JSON_REQUIRED, 1, FLEET_URL_LEN_MAX, NULL, 0, NULL},
	{"apiKey", FLEET_JSON_STRING, FLEET_JSON_NULLABLE, 0, 4096, NULL, 0, NULL},
	{"caFile", FLEET_JSON_STRING, FLEET_JSON_NULLABLE, 0, FLEET_PATH_LEN_MAX, NULL, 0, NULL},
	{0},
};

void config_done(struct config *config)
{
	free(config->url);
	free(config->api_key);
	free(config->ca_file);
	*config = (struct config){0};
}

int config_path(char **ret_path, struct fleet_error *err)
{
	const char *base = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");

	if (base && base[0] == '/') {
		*ret_path = xasprintf("%s/fleetctl/config.json", base);
		return 0;
	}
	if (!home || home[0] != '/') {
		const struct passwd *user = getpwuid(geteuid());

		home = user ? user->pw_dir : NULL;
	}
	if (!home || home[0] != '/')
		return fleet_error_set(
			err, -ENOENT, "No home directory for the configuration: set HOME or XDG_CONFIG_HOME");
	*ret_path = xasprintf("%s/.config/fleetctl/config.json", home);
	return 0;
}

static int owner_check(const char *path, const struct stat *st, struct fleet_error *err)
{
	if (st->st_uid == geteuid())
		return 0;
	return fleet_error_set(err, -EPERM,
		"%s belongs to user id %lu, not to you: it is neither read nor written", path,
		(unsigned long)st->st_uid);
}

/* Owned; an empty text is none. */
static char *text_or_null(struct json_object *file, const char *key)
{
	const char *text = fleet_json_string(file, key);

	return str_empty(text) ? NULL : xstrdup(text);
}

int config_load(const char *path, struct config *ret, bool *ret_loose, struct fleet_error *err)
{
	_cleanup_free_ char *url = NULL;
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ struct json_object *file = NULL;
	struct stat st;
	size_t len;
	int r;

	if (fd < 0)
		return fleet_error_errno(err, -errno, "Cannot read %s", path);
	if (fstat(fd, &st) < 0)
		return fleet_error_errno(err, -errno, "Cannot read %s", path);
	r = owner_check(path, &st, err);
	if (r < 0)
		return r;
	r = fleet_file_read_fd(fd, path, CONFIG_FILE_MAX, &text, &len, err);
	if (r < 0)
		return r;
	r = fleet_json_parse(text, len, CONFIG_FILE_MAX, &file, err);
	if (r >= 0)
		r = fleet_json_check(file, config_fields, "$", err);
	if (r >= 0)
		r = config_url_normalize(fleet_json_string(file, "consoleUrl"), &url, err);
	if (r < 0) {
		(void)fleet_error_wrap(err, "%s is not as login writes it", path); /* the code is ours */
		return -EBADMSG;
	}
	*ret_loose = (st.st_mode & (S_IRWXG | S_IRWXO)) != 0;
	*ret = (struct config){
		.url = TAKE_PTR(url),
		.api_key = text_or_null(file, "apiKey"),
		.ca_file = text_or_null(file, "caFile"),
	};
	return 0;
}

/* Where a write must go: path itself, or the end of the user's own link. */
static int target_find(const char *path, char **ret_target, struct fleet_error *err)
{
	_cleanup_free_ char *target = NULL;
	struct stat st;
	int r;

	if (lstat(path, &st) < 0) {
		if (errno != ENOENT)
			return fleet_error_errno(err, -errno, "Cannot look at %s", path);
		*ret_target = xstrdup(path);
		return 0;
	}
	r = owner_check(path, &st, err);
	if (r < 0)
		return r;
	if (!S_ISLNK(st.st_mode)) {
		*ret_target = xstrdup(path);
		return 0;
	}
	target = realpath(path, NULL);
	if (!target || stat(target, &st) < 0)
		return fleet_error_errno(err, -errno, "Cannot follow the link %s", path);
	r = owner_check(target, &st, err);
	if (r < 0)
		return r;
	*ret_target = TAKE_PTR(target);
	return 0;
}

int config_save(const char *path, const struct config *config, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *file = json_object_new_object();
	_cleanup_free_ char *directory = xstrndup(path, (size_t)(strrchr(path, '/') - path));
	_cleanup_free_ char *target = NULL;
	_cleanup_free_ char *text = NULL;
	struct stat st;
	int r;

	r = fleet_mkdir_parents(directory, 0700, err);
	if (r < 0)
		return r;
	if (stat(directory, &st) < 0)
		return fleet_error_errno(err, -errno, "Cannot look at %s", directory);
	r = owner_check(directory, &st, err);
	if (r < 0)
		return r;
	r = target_find(path, &target, err);
	if (r < 0)
		return r;
	fleet_json_add_string(file, "consoleUrl", config->url);
	fleet_json_add_string(file, "apiKey", config->api_key);
	fleet_json_add_string(file, "caFile", config->ca_file);
	text = xasprintf("%s\n", json_object_to_json_string_ext(
					 file, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	return fleet_file_write_durable(target, text, strlen(text), 0600, err);
}

int config_url_normalize(const char *url, char **ret_url, struct fleet_error *err)
{
	size_t scheme = strncasecmp(url, "http://", 7) == 0    ? 7
			: strncasecmp(url, "https://", 8) == 0 ? 8
							       : 0;
	size_t len = strlen(url);

	if (!scheme)
		return fleet_error_set(err, -EINVAL, "'%.200s' is no http:// or https:// URL", url);
	if (len > FLEET_URL_LEN_MAX)
		return fleet_error_set(err, -EINVAL, "the URL is longer than %d bytes", FLEET_URL_LEN_MAX);
	while (len > scheme && url[len - 1] == '/')
		len--;
	if (len == scheme)
		return fleet_error_set(err, -EINVAL, "'%s' names no host", url);
	for (size_t i = scheme; i < len; i++) {
		if ((unsigned char)url[i] <= ' ' || url[i] == 0x7F || url[i] == '\\')
			return fleet_error_set(err, -EINVAL, "the URL holds a space or a control character");
		if (url[i] == '@')
			return fleet_error_set(
				err, -EINVAL, "no user name or password in the URL: keys go into --api-key");
		if (url[i] == '?' || url[i] == '#')
			return fleet_error_set(err, -EINVAL, "the console's URL has no '%c' in it", url[i]);
	}
	*ret_url =
		xasprintf("%s%.*s", scheme == 7 ? "http://" : "https://", (int)(len - scheme), url + scheme);
	return 0;
}

bool config_url_is_loopback(const char *url)
{
	static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]"};
	const char *host = strstr(url, "://");

	host = host ? host + 3 : url;
	for (size_t i = 0; i < FLEET_ARRAY_LEN(hosts); i++) {
		size_t len = strlen(hosts[i]);

		if (strncasecmp(host, hosts[i], len) == 0 &&
			(!host[len] || host[len] == ':' || host[len] == '/'))
			return true;
	}
	return false;
}

bool config_colour_is_wanted(void)
{
	const char *terminal = getenv("TERM");

	return str_empty(getenv("NO_COLOR")) && !str_empty(terminal) && !str_equal(terminal, "dumb");
}
