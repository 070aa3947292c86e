/* Whose turn it is: what of the queue may run now, and why some of it ends without having run. */
#include "agent/host/operation.h"
#include "agent/host/local_verbs.h"
#include "fleet/clock.h"

int commands_read_back(
	const struct host *h, const struct ledger_entry *e, struct json_object **ret, struct fleet_error *err)
{
	if (ledger_payload(h->ledger, e, ret, err) >= 0)
		return 1;
	return ledger_outline(h->ledger, e, ret, NULL) >= 0 ? 0 : -EBADMSG;
}

/* The hold that stands in the way of what this command would touch, or NULL; *ret_app borrowed. */
static const struct ledger_hold *hold_of(
	const struct host *h, const struct queue_item *item, const struct app **ret_app)
{
	int64_t now = fleet_clock_wall_ms();

	for (size_t i = 0; i < h->apps.count; i++) {
		const struct ledger_hold *hold = ledger_find_hold(h->ledger, h->apps.items[i]->id, now);
		_cleanup_free_ char *key = hold ? app_service_key(h->apps.items[i]) : NULL;

		for (size_t k = 0; key && k < item->key_count; k++) {
			if (strcmp(item->keys[k], key) != 0)
				continue;
			*ret_app = h->apps.items[i];
			return hold;
		}
	}
	return NULL;
}

/* The console's, not begun yet, and more than a look. true: it has its result. */
static bool fail_if_held(struct host *h, const struct ledger_entry *e, struct json_object *payload,
	const struct queue_item *item)
{
	const struct app *app = NULL;
	const struct ledger_hold *hold = NULL;
	_cleanup_free_ char *why = NULL;

	if (e->state == LEDGER_ACCEPTED && !e->is_local &&
		!fleet_json_bool(fleet_json_object(payload, "args"), "dryRun", false))
		hold = hold_of(h, item, &app);
	if (!hold)
		return false;
	why = local_hold_sentence(hold);
	queue_remove(&h->queue, e->id);
	outcomes_fail(h, payload, "held", why);
	return true;
}

/* Either it runs, and ends in on_ended, or it has its result and is out of the queue. */
static void start_one(struct host *h, const struct queue_item *item)
{
	const char *queued_id = item->command_id;
	const struct ledger_entry *e = ledger_find(h->ledger, queued_id);
	_cleanup_json_ struct json_object *payload = NULL;
	_cleanup_free_ char *id = xstrdup(queued_id); /* the queue's own goes with its item */
	struct fleet_error err = FLEET_ERROR_INIT;
	int64_t expires_ms = 0;
	int r = e ? commands_read_back(h, e, &payload, &err) : -ENOENT;

	if (r < 0) { /* the disk gives nothing back; the next start of this host tries again */
		log_error("command %s cannot be taken up: %s", id, err.message);
		queue_remove(&h->queue, id);
		return;
	}
	if (r == 0 && e->state == LEDGER_ACCEPTED) {
		_cleanup_free_ char *why = xasprintf(
			"what it was to do was lost on this server: %s; nothing was done", err.message);

		queue_remove(&h->queue, id);
		outcomes_fail(h, payload, "internal", why);
	} else if (e->state == LEDGER_ACCEPTED &&
		   fleet_timestamp_parse(fleet_json_string(payload, "expiresAt"), &expires_ms) == 0 &&
		   expires_ms <= fleet_clock_wall_ms()) {
		_cleanup_free_ char *why = xasprintf(
			"expired at %s while it waited on the server, whose clock says %s; nothing was done",
			fleet_timestamp_format(expires_ms).text, fleet_timestamp_now().text);

		queue_remove(&h->queue, id);
		outcomes_fail(h, payload, "expired", why);
	} else if (e->recoveries >= HOST_RECOVERIES_MAX ||
		   e->recoveries + e->recoveries_before >= HOST_RECOVERIES_ALL_MAX) {
		queue_remove(&h->queue, id);
		outcomes_fail(h, payload, "interrupted",
			"interrupted, and each attempt to find out how far it got was interrupted too; look "
			"at the app by hand");
	} else if (!fail_if_held(h, e, payload, item)) {
		r = operation_start(h, e, payload, &err);
		if (r < 0) {
			queue_remove(&h->queue, id);
			outcomes_fail(h, payload, "internal", err.message);
		}
	}
}

void commands_pump(struct host *h)
{
	struct queue_item *item;

	while (!h->stopping && (item = queue_next(&h->queue)))
		start_one(h, item);
}
