/* The holds of the ledger: few, small, and looked at before each command. */
#include "agent/host/ledger_record.h"
#include "fleet/clock.h"
#include "fleet/ids.h"

static void hold_done(struct ledger_hold *hold)
{
	free(hold->app_id);
	free(hold->by);
	free(hold->reason);
}

void ledger_holds_done(struct ledger *l)
{
	for (size_t i = 0; i < l->hold_count; i++)
		hold_done(&l->holds[i]);
	free(l->holds);
	l->holds = NULL;
	l->hold_count = 0;
}

static void forget(struct ledger *l, const char *app_id)
{
	for (size_t i = 0; i < l->hold_count; i++) {
		if (strcmp(l->holds[i].app_id, app_id) != 0)
			continue;
		hold_done(&l->holds[i]);
		l->holds[i] = l->holds[--l->hold_count];
		return;
	}
}

int ledger_index_hold(struct ledger *l, struct json_object *record)
{
	const char *app_id = fleet_json_string(record, "appId"), *by = fleet_json_string(record, "by"),
		   *reason = fleet_json_string(record, "reason");

	if (!fleet_id_is_valid(app_id))
		return -EBADMSG;
	forget(l, app_id);
	if (str_equal(fleet_json_string(record, "r"), "unhold"))
		return 0;
	l->holds = xreallocarray(l->holds, l->hold_count + 1, sizeof(*l->holds));
	l->holds[l->hold_count++] = (struct ledger_hold){
		.app_id = xstrdup(app_id),
		.by = xstrdup(by ? by : "unknown"),
		.reason = xstrdup(reason ? reason : ""),
		.since_ms = fleet_json_int(record, "at", 0),
		.until_ms = fleet_json_int(record, "until", 0),
	};
	return 0;
}

static struct json_object *hold_record(const struct ledger_hold *hold)
{
	struct json_object *record = ledger_record_new("hold", fleet_uuid_new().text);

	if (hold->since_ms > 0) {
		json_object_object_del(record, "at");
		fleet_json_add_int(record, "at", hold->since_ms);
	}
	fleet_json_add_string(record, "appId", hold->app_id);
	fleet_json_add_int(record, "until", hold->until_ms);
	fleet_json_add_string(record, "by", hold->by);
	fleet_json_add_string(record, "reason", hold->reason);
	return record;
}

void ledger_copy_holds(const struct ledger *l, struct fleet_buffer *out)
{
	int64_t now = fleet_clock_wall_ms();

	for (size_t i = 0; i < l->hold_count; i++) {
		_cleanup_json_ struct json_object *record = NULL;

		if (l->holds[i].until_ms <= now)
			continue;
		record = hold_record(&l->holds[i]);
		ledger_format_line(record, out);
	}
}

/* The event first: a write that is cut leaves no change that nobody hears of. */
static int append_with(
	struct ledger *l, struct json_object *record, struct json_object *event, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *told = ledger_event_record(event);

	return ledger_append(l, told, record, true, err);
}

int ledger_hold(
	struct ledger *l, const struct ledger_hold *hold, struct json_object *event, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *record = hold_record(hold);

	return append_with(l, record, event, err);
}

int ledger_unhold(struct ledger *l, const char *app_id, struct json_object *event, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *record = NULL;

	if (!ledger_find_hold(l, app_id, fleet_clock_wall_ms()))
		return fleet_error_set(err, -ENOENT, "app '%s' is not held", app_id);
	record = ledger_record_new("unhold", fleet_uuid_new().text);
	fleet_json_add_string(record, "appId", app_id);
	return append_with(l, record, event, err);
}

const struct ledger_hold *ledger_find_hold(const struct ledger *l, const char *app_id, int64_t now_ms)
{
	for (size_t i = 0; i < l->hold_count; i++) {
		if (str_equal(l->holds[i].app_id, app_id) && l->holds[i].until_ms > now_ms)
			return &l->holds[i];
	}
	return NULL;
}

size_t ledger_hold_count(const struct ledger *l)
{
	return l->hold_count;
}

const struct ledger_hold *ledger_hold_at(const struct ledger *l, size_t index)
{
	return &l->holds[index];
}
