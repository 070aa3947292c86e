/* How commands end, and what else happens here, told to whoever hears outcomes until it has stored them;
 * first of all in the ledger, so that it is told at all. */
#include "agent/host/local_verbs.h"
#include "agent/host/operation.h"
#include "fleet/clock.h"
#include "fleet/failpoint.h"
#include "fleet/ids.h"

#define UNSENT_EVENTS_MAX 500

void outcomes_tell(struct host *h)
{
	const struct ledger_entry *e;

	while (h->outcome_peer && (e = ledger_next_untold(h->ledger))) {
		_cleanup_json_ struct json_object *frame = NULL;
		struct fleet_error err = FLEET_ERROR_INIT;
		int r = ledger_outcome(h->ledger, e, &frame, &err);

		if (r < 0) {
			log_error("the outcome of %s cannot be told: %s", e->id, err.message);
			continue;
		}
		if (peers_try_send(h, h->outcome_peer, frame) < 0) {
			ledger_untell(h->ledger, e->id); /* again when the agent has taken in some of it */
			return;
		}
	}
}

void outcomes_event(struct host *h, const char *category, const char *app_id, const char *command_id,
	const char *fmt, ...)
{
	_cleanup_json_ struct json_object *frame = NULL;
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	frame = outcomes_event_frame(category, app_id, command_id, text);
	(void)outcomes_keep_event(h, frame); /* said in the log where it cannot be kept */
}

struct json_object *outcomes_event_frame(
	const char *category, const char *app_id, const char *command_id, const char *message)
{
	struct json_object *frame = fleet_message_new(FLEET_FRAME_EVENT);
	_cleanup_free_ char *text = xstrdup(message);

	fleet_text_sanitize(text);
	fleet_json_add_string(frame, "eventId", fleet_uuid_new().text);
	fleet_json_add_string(frame, "category", category);
	if (fleet_id_is_valid(app_id))
		fleet_json_add_string(frame, "appId", app_id);
	if (command_id && fleet_uuid_is_valid(command_id))
		fleet_json_add_string(frame, "commandId", command_id);
	fleet_json_add_string(frame, "message", text);
	return frame;
}

int outcomes_keep_event(struct host *h, struct json_object *frame)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	int r;

	if (ledger_unsent_events(h->ledger) >= UNSENT_EVENTS_MAX) {
		if (h->events_dropped++ == 0)
			log_error("%d events wait for an agent that does not take them: no more are kept",
				UNSENT_EVENTS_MAX);
		return -ENOBUFS;
	}
	r = ledger_event(h->ledger, frame, &err);
	if (r < 0)
		log_error("an event could not be kept: %s (it was: %s)", err.message,
			fleet_json_string(frame, "message"));
	outcomes_tell(h);
	return r;
}

void outcomes_stored(struct host *h, struct json_object *frame)
{
	struct json_object *ids = fleet_json_array(frame, "refIds");
	struct fleet_error err = FLEET_ERROR_INIT;

	FLEET_FAILPOINT("command.stored");
	for (size_t i = 0; i < json_object_array_length(ids); i++) {
		if (ledger_stored(
			    h->ledger, json_object_get_string(json_object_array_get_idx(ids, i)), &err) < 0)
			log_error("%s", err.message);
	}
	if (h->events_dropped > 0 && ledger_unsent_events(h->ledger) < UNSENT_EVENTS_MAX) {
		size_t dropped = h->events_dropped;

		h->events_dropped = 0;
		outcomes_event(h, "system", NULL, NULL,
			"%zu more refused commands or other events were not kept", dropped);
	}
	if (ledger_compact(h->ledger, &err) < 0)
		log_error("the ledger could not be compacted: %s", err.message);
	outcomes_tell(h);
}

int outcomes_keep_end(struct host *h, const char *id, struct json_object *result, struct fleet_error *err)
{
	const struct ledger_entry *e = ledger_find(h->ledger, id);
	_cleanup_json_ struct json_object *event = e && e->is_local ? local_end_event(result) : NULL;

	return ledger_end_event(h->ledger, id, result, event, err);
}

void outcomes_end(struct host *h, const char *id, struct json_object *result)
{
	const struct ledger_entry *e = ledger_find(h->ledger, id);
	bool is_local = e && e->is_local;
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = outcomes_keep_end(h, id, result, &err);

	if (r < 0) {
		log_error("the result of command %s could not be kept: %s", id, err.message);
		if (r == -EALREADY || unkept_has(h, id))
			return;
		unkept_add(h, result);
		if (is_local)
			local_ended(h, id, result);
		else if (h->outcome_peer)
			peers_send(h, h->outcome_peer, result);
		return;
	}
	FLEET_FAILPOINT("command.ended");
	log_info("command %s (%s %s): %s", id, fleet_json_string(result, "command"),
		fleet_json_string(result, "appId"),
		fleet_json_bool(result, "success", false) ? "done" : "failed");
	if (is_local)
		local_ended(h, id, result);
	outcomes_tell(h);
}

void outcomes_fail(struct host *h, struct json_object *payload, const char *code, const char *message)
{
	_cleanup_json_ struct json_object *result = op_result_new(payload, fleet_clock_wall_ms());

	op_result_fail(result, code, message);
	outcomes_end(h, fleet_json_string(payload, "commandId"), result);
}
