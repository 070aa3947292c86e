/* Arguments that must be forgotten when their command has ended: PATH.args/ID, 0600. A line of the ledger
 * cannot be taken back, a file can. */
#include "agent/host/ledger_record.h"
#include "fleet/file.h"
#include "fleet/log.h"

char *ledger_aside_path(const struct ledger *l, const char *id)
{
	return xasprintf("%s.args/%s", l->path, id);
}

bool ledger_sets_values(struct json_object *payload)
{
	struct json_object *edits = fleet_json_array(fleet_json_object(payload, "args"), "edits");

	return edits && json_object_array_length(edits) > 0;
}

int ledger_put_aside(
	const struct ledger *l, const char *id, struct json_object *payload, struct fleet_error *err)
{
	_cleanup_free_ char *dir = xasprintf("%s.args", l->path), *path = ledger_aside_path(l, id);
	size_t len;
	const char *text = fleet_json_text(payload, &len);
	int r = fleet_mkdir_parents(dir, 0700, err);

	return r < 0 ? r : fleet_file_write_durable(path, text, len, 0600, err);
}

void ledger_forget_aside(const struct ledger *l, const char *id)
{
	_cleanup_free_ char *path = ledger_aside_path(l, id);

	if (unlink(path) < 0 && errno != ENOENT)
		log_error("the arguments of command %s, which has ended, stay in %s: %m", id, path);
}

void ledger_forget_orphans(const struct ledger *l)
{
	_cleanup_free_ char *path = xasprintf("%s.args", l->path);
	_cleanup_closedir_ DIR *dir = opendir(path);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		const struct ledger_entry *e = ledger_find(l, entry->d_name);

		if (entry->d_name[0] != '.' && (!e || e->state == LEDGER_ENDED))
			ledger_forget_aside(l, entry->d_name);
	}
}
