/* What the index only points at, read back from the file. */
#include "agent/host/ledger_record.h"
#include "fleet/file.h"

int ledger_payload(const struct ledger *l, const struct ledger_entry *e, struct json_object **ret,
	struct fleet_error *err)
{
	_cleanup_json_ struct json_object *record = NULL;
	_cleanup_free_ char *kept = NULL;
	const char *text;
	int r = ledger_read_at(l->fd, e->payload_at, &record, err);

	if (r >= 0 && fleet_json_bool(record, "aside", false)) {
		_cleanup_free_ char *path = ledger_aside_path(l, e->id);
		size_t len = 0;

		r = fleet_file_read(path, FLEET_MESSAGE_MAX, &kept, &len, err);
	}
	if (r < 0)
		return r;
	text = kept ? kept : fleet_json_string(record, "payload");
	if (!text)
		return fleet_error_set(err, -EBADMSG, "the ledger has no arguments for command %s", e->id);
	return fleet_json_parse(text, strlen(text), FLEET_MESSAGE_MAX, ret, err);
}

int ledger_outline(const struct ledger *l, const struct ledger_entry *e, struct json_object **ret,
	struct fleet_error *err)
{
	_cleanup_json_ struct json_object *record = NULL;
	struct json_object *outline;
	int r = ledger_read_at(l->fd, e->payload_at, &record, err);

	if (r < 0)
		return r;
	if (!fleet_json_string(record, "appId") || !fleet_json_string(record, "action"))
		return fleet_error_set(err, -EBADMSG, "the ledger does not say what command %s was", e->id);
	outline = json_object_new_object();
	fleet_json_add_string(outline, "commandId", e->id);
	fleet_json_add_string(outline, "appId", fleet_json_string(record, "appId"));
	fleet_json_add_string(outline, "action", fleet_json_string(record, "action"));
	fleet_json_add(outline, "args", json_object_new_object());
	*ret = outline;
	return 0;
}

int ledger_outcome(const struct ledger *l, const struct ledger_entry *e, struct json_object **ret,
	struct fleet_error *err)
{
	_cleanup_json_ struct json_object *record = NULL;
	struct json_object *frame;
	int r = ledger_read_at(l->fd, e->end_at, &record, err);

	if (r < 0)
		return r;
	frame = fleet_json_object(record, e->is_event ? "event" : "result");
	if (!frame)
		return fleet_error_set(
			err, -ENOENT, "the ledger keeps only that command %s has ended", e->id);
	*ret = json_object_get(frame);
	return 0;
}

int ledger_last_step(const struct ledger *l, const struct ledger_entry *e, struct json_object **ret,
	struct fleet_error *err)
{
	return ledger_read_at(l->fd, e->last_at, ret, err);
}

int ledger_write_step(const struct ledger *l, const struct ledger_entry *e, struct json_object **ret,
	struct fleet_error *err)
{
	return ledger_read_at(l->fd, e->write_at, ret, err);
}
