#include "driver/tool/target.h"
#include "driver/describe.h"
#include "fleet/clock.h"
#include "fleet/file.h"
#include "fleet/ids.h"
#include "fleet/text.h"

#define DEBUG_CALL_MS (60 * 60 * 1000)

static int64_t call_ms(const struct tool_options *options)
{
	return options->debug ? DEBUG_CALL_MS : FLEET_DRIVER_CALL_MS;
}

struct driver_call tool_target_call(const struct tool_target *t)
{
	return (struct driver_call){.driver = t->name,
		.file = t->file,
		.app_id = TOOL_APP,
		.state_dir = t->state_dir,
		.options = t->options,
		.option_count = t->option_count,
		.deadline_ms = fleet_clock_monotonic_ms() + t->call_ms};
}

int tool_target_from_path(const char *path, const struct tool_options *options, struct tool_target *ret,
	struct fleet_error *err)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	size_t len = strlen(base);
	_cleanup_free_ char *dir = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
	_cleanup_free_ char *real = NULL, *name = NULL;

	if (access(path, R_OK) < 0)
		return fleet_error_errno(err, -errno, "cannot read driver file %s", path);
	if (len <= 3 || !str_equal(base + len - 3, ".so"))
		return fleet_error_set(err, -EINVAL, "a driver's file is called NAME.so, not '%s'", base);
	name = xstrndup(base, len - 3);
	if (!fleet_id_is_valid(name))
		return fleet_error_set(err, -EINVAL,
			"'%s' can be no driver's name: letters, digits, '.', '_' and '-', at most %d", name,
			FLEET_ID_MAX);
	real = realpath(dir, NULL); /* of the directory alone: the name counts, also where it is a link's */
	if (!real)
		return fleet_error_errno(err, -errno, "cannot find the directory of %s", path);
	*ret = (struct tool_target){.name = TAKE_PTR(name),
		.file = xasprintf("%s/%s", real, base),
		.options = options->options,
		.option_count = options->option_count,
		.call_ms = call_ms(options)};
	return 0;
}

int tool_target_describe(struct tool_target *t, struct fleet_error *err)
{
	struct driver_call call = tool_target_call(t);
	struct driver_info about = {0};
	int r = driver_describe(&call, &about, err);

	if (r == 0) {
		t->version = about.version;
		t->summary = about.summary;
		t->roles = about.roles;
		about.version = about.summary = NULL;
	}
	free(about.name); /* equal to the file's */
	free(about.version);
	free(about.summary);
	return r;
}

static int driver_dir(const struct tool_options *options, char **ret, struct fleet_error *err)
{
	_cleanup_free_ char *program = NULL, *beside = NULL;
	int r;

	if (options->driver_dir) {
		*ret = realpath(options->driver_dir, NULL);
		return *ret ? 0
			    : fleet_error_errno(
				      err, -errno, "cannot use the driver directory %s", options->driver_dir);
	}
	r = fleet_program_dir(&program, err);
	if (r < 0)
		return r;
	beside = xasprintf("%s/../lib/drivers", program);
	*ret = realpath(beside, NULL);
	if (!*ret)
		*ret = xstrdup(DRIVERDIR);
	return 0;
}

/* There is none of this name: which are there? */
static int unknown(
	const struct driver_registry *all, const char *dir, const char *name, struct fleet_error *err)
{
	_cleanup_buffer_ struct fleet_buffer list = FLEET_BUFFER_INIT;
	const char *near, **names = xcalloc(all->count + 1, sizeof(*names));

	fleet_buffer_add_string(&list, all->count > 0 ? "there are" : "it is empty");
	for (size_t i = 0; i < all->count; i++) {
		names[i] = all->items[i].name;
		fleet_buffer_printf(&list, "%s %s", i > 0 ? "," : "", all->items[i].name);
	}
	near = fleet_text_nearest(name, names, all->count);
	fleet_error_set(err, -ENOENT, "there is no driver %s in %s%s%s%s; %s", name, dir,
		near ? " (did you mean " : "", near ? near : "", near ? "?)" : "", list.data);
	free(names);
	return -ENOENT;
}

static int find_by_name(const struct tool_options *options, struct tool_target *ret, struct fleet_error *err)
{
	_cleanup_(driver_registry_done) struct driver_registry all = {NULL, 0};
	_cleanup_free_ char *dir = NULL;
	const struct driver_info *info;
	int r = driver_dir(options, &dir, err);

	if (r == 0)
		r = driver_registry_load(dir, &all, err);
	if (r < 0)
		return r;
	info = driver_registry_find(&all, options->driver);
	if (!info)
		return unknown(&all, dir, options->driver, err);
	if (info->error)
		return fleet_error_set(err, -EPROTO, "%s", info->error);
	*ret = (struct tool_target){.name = xstrdup(info->name),
		.file = xstrdup(info->file),
		.version = xstrdup(info->version),
		.summary = xstrdup(info->summary),
		.roles = info->roles,
		.options = options->options,
		.option_count = options->option_count,
		.call_ms = call_ms(options)};
	return 0;
}

int tool_target_find(const struct tool_options *options, struct tool_target *ret, struct fleet_error *err)
{
	const char *driver = options->driver;
	size_t len = strlen(driver);
	struct tool_target t = {0};
	int r;

	if (strchr(driver, '/') || (len > 3 && str_equal(driver + len - 3, ".so"))) {
		r = tool_target_from_path(driver, options, &t, err);
		if (r == 0)
			r = tool_target_describe(&t, err);
	} else {
		r = find_by_name(options, &t, err);
	}
	if (r == 0 && !(t.roles & DRIVER_ROLE_FORMAT))
		r = fleet_error_set(err, -EOPNOTSUPP,
			"driver %s has no format role: it looks after services, not files", t.name);
	if (r < 0) {
		tool_target_done(&t);
		return r;
	}
	*ret = t;
	return 0;
}

void tool_target_done(struct tool_target *t)
{
	free(t->name);
	free(t->file);
	free(t->version);
	free(t->summary);
	free(t->state_dir);
	*t = (struct tool_target){0};
}

static int read_stream(FILE *in, char **ret_data, size_t *ret_len, struct fleet_error *err)
{
	_cleanup_free_ char *data = xmalloc(FLEET_CONFIG_FILE_MAX + 2);
	size_t len = fread(data, 1, FLEET_CONFIG_FILE_MAX + 1, in);

	if (ferror(in))
		return fleet_error_errno(err, -EIO, "cannot read standard input");
	if (len > FLEET_CONFIG_FILE_MAX)
		return fleet_error_set(err, -EFBIG,
			"standard input is longer than %u bytes, the most that is handled",
			FLEET_CONFIG_FILE_MAX);
	data[len] = '\0';
	*ret_data = TAKE_PTR(data);
	*ret_len = len;
	return 0;
}

int tool_file_read(const char *path, char **ret_data, size_t *ret_len, struct fleet_error *err)
{
	if (str_equal(path, "-"))
		return read_stream(stdin, ret_data, ret_len, err);
	return fleet_file_read(path, FLEET_CONFIG_FILE_MAX, ret_data, ret_len, err);
}

const char *tool_file_name(const char *path)
{
	return str_equal(path, "-") ? "standard input" : path;
}
