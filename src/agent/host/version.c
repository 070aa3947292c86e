#include "agent/host/version.h"
#include <fcntl.h>
#include <sys/stat.h>
#include "agent/host/app_command.h"
#include "agent/host/beneath.h"
#include "agent/host/service.h"
#include "fleet/clock.h"
#include "fleet/envfile.h"
#include "fleet/file.h"
#include "fleet/limits.h"

#define VERSION_FILE_MAX 4096
#define COMMAND_MS       3000

bool version_is_cheap(const struct app *app)
{
	return app->version_kind == APP_VERSION_FILE || app->version_kind == APP_VERSION_ENV;
}

char *version_of_text(const char *text, size_t len)
{
	const char *end = memchr(text, '\n', len);
	char *line;
	size_t n;

	if (end)
		len = (size_t)(end - text);
	while (len > 0 && strchr(" \t\r", text[0])) {
		text++;
		len--;
	}
	n = len < FLEET_VERSION_LEN_MAX ? len : FLEET_VERSION_LEN_MAX;
	line = xstrndup(text, n);
	n = strlen(line);
	while (n > 0 && strchr(" \t\r", line[n - 1]))
		line[--n] = '\0';
	fleet_text_sanitize(line);
	if (!*line) {
		free(line);
		return NULL;
	}
	return line;
}

/* The file may lie where the app's own user can write: no link of his leads elsewhere, in whatever part of
 * the path, and it must be an ordinary file with one name, so that nothing of root's is shown through it. */
static int read_plain(const char *path, size_t max, char **ret, size_t *ret_len, struct fleet_error *err)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r = beneath_open_trusted(path);

	if (r < 0)
		return fleet_error_errno(err, r, "cannot open %s", path);
	fd = r;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1)
		return fleet_error_set(err, -EINVAL, "%s is not a regular file with one name", path);
	return fleet_file_read_fd(fd, path, max, ret, ret_len, err);
}

static int from_file(const struct app *app, char **ret, struct fleet_error *err)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = read_plain(app->version_source, VERSION_FILE_MAX, &text, &len, err);

	if (r >= 0)
		*ret = version_of_text(text, len);
	return r;
}

static int from_env(const struct app *app, char **ret, struct fleet_error *err)
{
	for (size_t i = 0; i < app->file_count; i++) {
		_cleanup_(fleet_envfile_freep) struct fleet_envfile *env = NULL;
		_cleanup_free_ char *text = NULL;
		const char *value;
		size_t len = 0;
		int r;

		if (strcmp(app->files[i].driver, "env-config") != 0)
			continue;
		r = read_plain(app->files[i].real_path, FLEET_ENV_FILE_MAX, &text, &len, err);
		if (r >= 0)
			r = fleet_envfile_parse(text, len, app->files[i].path, &env, err);
		if (r < 0)
			return r;
		value = fleet_envfile_get(env, app->version_source);
		if (value) {
			*ret = version_of_text(value, strlen(value));
			return 0;
		}
	}
	return fleet_error_set(err, -ENOENT, "no env file of the app has %s", app->version_source);
}

static int from_command(const struct app *app, char **ret, struct fleet_error *err)
{
	struct program_end end;
	int r = app_command_run(app, &app->version_argv, COMMAND_MS, &end, err);

	if (r < 0)
		return fleet_error_wrap(err, "cannot ask %s", app->version_argv.items[0]);
	*ret = version_of_text(end.out.text, end.out.len);
	if (!*ret)
		return fleet_error_set(err, -ENODATA,
			"%s printed no version (it runs as the app's user, for at most %d s)",
			app->version_argv.items[0], COMMAND_MS / 1000);
	return 0;
}

static int from_driver(const struct op_env *env, const struct app *app, char **ret, struct fleet_error *err)
{
	_cleanup_buffer_ struct fleet_buffer text = FLEET_BUFFER_INIT;
	_cleanup_free_ char *state_dir = NULL;
	struct driver_call call;
	int r = service_call(env, app, fleet_clock_monotonic_ms() + COMMAND_MS, &call, &state_dir, err);

	if (r >= 0)
		r = driver_service_version(&call, &text, err);
	if (r == -EOPNOTSUPP)
		return 0;
	if (r >= 0 && text.len > 0)
		*ret = version_of_text(text.data, text.len);
	return r;
}

int version_discover(const struct op_env *env, const struct app *app, char **ret, struct fleet_error *err)
{
	*ret = NULL;
	switch (app->version_kind) {
	case APP_VERSION_FILE:
		return from_file(app, ret, err);
	case APP_VERSION_ENV:
		return from_env(app, ret, err);
	case APP_VERSION_COMMAND:
		return from_command(app, ret, err);
	case APP_VERSION_DRIVER:
		break;
	}
	return from_driver(env, app, ret, err);
}
