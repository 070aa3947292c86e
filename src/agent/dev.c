#include "agent/dev.h"
#include "agent/host_child.h"
#include "fleet/buffer.h"
#include "fleet/file.h"
#include "fleet/limits.h"

#define PLACEHOLDER "@DATA_DIR@"

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len > n && strcmp(text + len - n, end) == 0;
}

static void replace_placeholder(const char *text, const char *value, struct fleet_buffer *out)
{
	for (const char *at; (at = strstr(text, PLACEHOLDER)); text = at + strlen(PLACEHOLDER)) {
		fleet_buffer_add(out, text, (size_t)(at - text));
		fleet_buffer_add_string(out, value);
	}
	fleet_buffer_add_string(out, text);
}

static int copy_one(const char *from, const char *name, const char *data_dir, struct fleet_error *err)
{
	bool yaml = ends_with(name, ".yaml");
	_cleanup_free_ char *source = xasprintf("%s/%s", from, name), *text = NULL;
	_cleanup_free_ char *target = xasprintf("%s/%s/%s", data_dir, yaml ? "apps.d" : "apps", name);
	_cleanup_buffer_ struct fleet_buffer filled = FLEET_BUFFER_INIT;
	int r;

	if (access(target, F_OK) == 0)
		return 0;
	r = fleet_file_read(source, FLEET_YAML_FILE_MAX, &text, NULL, err);
	if (r < 0)
		return r;
	replace_placeholder(text, yaml ? data_dir : PLACEHOLDER, &filled);
	return fleet_file_write_durable(target, filled.data ? filled.data : "", filled.len, 0644, err);
}

int dev_copy_apps(const char *from, const char *data_dir, struct fleet_error *err)
{
	_cleanup_free_ char *apps_d = xasprintf("%s/apps.d", data_dir),
			    *apps = xasprintf("%s/apps", data_dir);
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *entry;
	int r;

	if ((r = fleet_mkdir_parents(apps_d, 0755, err)) < 0 ||
		(r = fleet_mkdir_parents(apps, 0755, err)) < 0)
		return r;
	dir = opendir(from);
	if (!dir)
		return fleet_error_errno(err, -errno,
			"cannot read the simulated apps in %s; name apps of your own with --apps-dir", from);
	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		if (!ends_with(entry->d_name, ".yaml") && !ends_with(entry->d_name, ".json"))
			continue;
		if ((r = copy_one(from, entry->d_name, data_dir, err)) < 0)
			return r;
	}
	return errno ? fleet_error_errno(err, -errno, "cannot read %s", from) : 0;
}

int dev_prepare(const struct agent_config *config, struct dev_host *ret, struct fleet_error *err)
{
	static const char *const levels[] = {"error", "warn", "info", "debug"};
	_cleanup_free_ char *here = NULL, *from = NULL, *apps_dir = xstrdup(config->apps_dir);
	int r = fleet_program_dir(&here, err);

	if (r < 0 || (r = fleet_mkdir_parents(config->data_dir, 0700, err)) < 0)
		return r;
	if (!apps_dir) {
		from = xasprintf("%s/../share/fleet/dev-apps.d", here);
		if ((r = dev_copy_apps(from, config->data_dir, err)) < 0)
			return r;
		apps_dir = xasprintf("%s/apps.d", config->data_dir);
	}
	*ret = (struct dev_host){
		.argv = {
			xasprintf("%s/fleet-driver-host", here),
			xstrdup("--dev"),
			xasprintf("--socket-fd=%d", HOST_CHILD_SOCKET_FD),
			xasprintf("--agent-id=%s", config->agent_id),
			xasprintf("--state-dir=%s/host", config->data_dir),
			xasprintf("--apps-dir=%s", apps_dir),
			xasprintf("--log-level=%s", levels[config->log_level]),
			config->driver_dir ? xasprintf("--driver-dir=%s", config->driver_dir) : NULL,
		}};
	return 0;
}

void dev_host_done(struct dev_host *host)
{
	for (size_t i = 0; host->argv[i]; i++)
		free(host->argv[i]);
	*host = (struct dev_host){{NULL}};
}
