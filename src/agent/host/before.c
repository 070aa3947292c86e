#include "agent/host/before.h"
#include <fcntl.h>
#include "fleet/buffer.h"
#include "fleet/failpoint.h"
#include "fleet/file.h"
#include "fleet/ids.h"
#include "fleet/json.h"
#include "fleet/limits.h"
#include "fleet/log.h"

#define HEADER_MAX 8192

static char *before_path(const char *state_dir, const char *command_id)
{
	return xasprintf("%s/before/%s", state_dir, command_id);
}

/* Command ids are UUIDv7: their order is the order of time, newest first here. */
static int newest_first(const struct dirent **a, const struct dirent **b)
{
	return -strcmp((*a)->d_name, (*b)->d_name);
}

static int is_kept_file(const struct dirent *entry)
{
	return fleet_uuid_is_valid(entry->d_name);
}

/* Not the one that was just kept, however old its command is. */
static void prune(const char *dir, const char *own_id)
{
	struct dirent **entries = NULL;
	uint64_t bytes = 0;
	int n = scandir(dir, &entries, is_kept_file, newest_first);

	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, entries[i]->d_name);
		struct stat st;

		if (lstat(path, &st) == 0) {
			bytes += (uint64_t)st.st_size;
			if (i > 0 && (i >= BEFORE_KEEP || bytes > BEFORE_KEEP_BYTES) &&
				!str_equal(entries[i]->d_name, own_id) && unlink(path) < 0)
				log_warn("cannot remove the old copy %s: %m", path);
		}
		free(entries[i]);
	}
	free(entries);
}

int before_save(const char *state_dir, const char *command_id, const char *app_id, const char *file_name,
	const struct safe_content *content, struct fleet_error *err)
{
	_cleanup_free_ char *path = before_path(state_dir, command_id),
			    *dir = xasprintf("%s/before", state_dir);
	_cleanup_json_ struct json_object *header = json_object_new_object();
	_cleanup_buffer_ struct fleet_buffer text = FLEET_BUFFER_INIT;
	int r;

	r = fleet_mkdir_parents(dir, 0700, err);
	if (r < 0)
		return r;
	fleet_json_add_string(header, "appId", app_id);
	fleet_json_add_string(header, "file", file_name);
	fleet_json_add_bool(header, "exists", content->exists);
	fleet_json_add_string(header, "hash", content->hash);
	fleet_buffer_add_string(&text, fleet_json_text(header, NULL));
	fleet_buffer_add(&text, "\n", 1);
	fleet_buffer_add(&text, content->data, content->len);
	r = fleet_file_write_durable(path, text.data, text.len, 0600, err);
	FLEET_FAILPOINT("before.saved");
	if (r >= 0)
		prune(dir, command_id);
	return r;
}

int before_load(const char *state_dir, const char *command_id, const char *app_id, const char *file_name,
	struct safe_content *ret, struct fleet_error *err)
{
	_cleanup_free_ char *path = NULL, *text = NULL;
	_cleanup_json_ struct json_object *header = NULL;
	struct safe_content content = {0};
	const char *line_end;
	size_t len = 0;
	int r;

	if (!fleet_uuid_is_valid(command_id))
		return fleet_error_set(err, -EINVAL, "'%s' is no command's id", command_id);
	path = before_path(state_dir, command_id);
	r = fleet_file_read(path, FLEET_CONFIG_FILE_MAX + HEADER_MAX, &text, &len, err);
	if (r == -ENOENT)
		return fleet_error_set(err, -ENOENT,
			"this server keeps no earlier file of command %s (it keeps the last %d)", command_id,
			BEFORE_KEEP);
	if (r < 0)
		return r;
	line_end = memchr(text, '\n', len);
	if (!line_end)
		return fleet_error_set(err, -EBADMSG, "the kept file %s is damaged", path);
	r = fleet_json_parse(text, (size_t)(line_end - text), HEADER_MAX, &header, err);
	if (r < 0)
		return fleet_error_wrap(err, "the kept file %s is damaged", path);
	if (!str_equal(fleet_json_string(header, "appId"), app_id) ||
		!str_equal(fleet_json_string(header, "file"), file_name))
		return fleet_error_set(err, -EINVAL, "command %s changed another file: %s of %s", command_id,
			fleet_json_string(header, "file"), fleet_json_string(header, "appId"));
	content.exists = fleet_json_bool(header, "exists", true);
	content.len = len - (size_t)(line_end + 1 - text);
	safe_content_hash(line_end + 1, content.len, content.hash);
	if (!str_equal(content.hash, fleet_json_string(header, "hash")))
		return fleet_error_set(err, -EBADMSG, "the kept file %s is damaged", path);
	content.data = xmalloc(content.len + 1);
	memcpy(content.data, line_end + 1, content.len);
	content.data[content.len] = '\0';
	*ret = content;
	return 0;
}
