/* What the console says, one function a message. Every message was checked against its table of fields before
 * it comes here; what is not understood is answered with `error` and the connection stays. */
#include "agent/agent_private.h"
#include "agent/notify.h"
#include "fleet/clock.h"
#include "fleet/log.h"

#define CLOCKS_DIFFER_MS 60000 /* past that a difference is worth a word */

void agent_hub_error(struct agent *a, const char *code, const char *ref_id, const char *command_id,
	const char *path, const char *message)
{
	struct json_object *error = fleet_message_new(FLEET_MESSAGE_ERROR);

	fleet_json_add_string(error, "code", code);
	fleet_json_add_string(error, "message", message);
	fleet_json_add_string(error, "path", path);
	if (ref_id && fleet_uuid_is_valid(ref_id))
		fleet_json_add_string(error, "refId", ref_id);
	if (command_id && fleet_uuid_is_valid(command_id))
		fleet_json_add_string(error, "commandId", command_id);
	if (link_send(a->link, error) < 0)
		log_debug("the console left before it heard: %s", message);
}

static bool is_off(const struct agent *a)
{
	return a->clock_known &&
	       (a->clock_offset_ms > CLOCKS_DIFFER_MS || a->clock_offset_ms < -CLOCKS_DIFFER_MS);
}

/* offset: the console's clock minus ours. Told when it changes by more than clocks drift, not at every
 * connection: the spool remembers it. */
static void take_offset(struct agent *a, int64_t offset_ms)
{
	bool was_off = is_off(a);
	int64_t change = offset_ms - (a->clock_known ? a->clock_offset_ms : 0);
	char text[24], span[32];

	a->clock_offset_ms = offset_ms;
	a->clock_known = true;
	(void)snprintf(text, sizeof(text), "%lld", (long long)offset_ms); /* fits */
	if (spool_set_note(a->spool, "clockOffsetMs", text, NULL) < 0)
		log_debug("the clock's offset could not be kept; it will be measured again");
	fleet_duration_format(offset_ms < 0 ? -offset_ms : offset_ms, span, sizeof(span));
	if (is_off(a) && (!was_off || change > CLOCKS_DIFFER_MS || change < -CLOCKS_DIFFER_MS)) {
		log_warn("this server's clock is %s %s the console's%s", span,
			offset_ms < 0 ? "ahead of" : "behind",
			offset_ms < 0 ? ": commands may be refused as expired" : "");
		agent_audit(a, NULL, "the clock of %s is %s %s the console's%s", a->config->agent_id, span,
			offset_ms < 0 ? "ahead of" : "behind",
			offset_ms < 0
				? ": commands may be refused as expired until one of the two is set right"
				: "");
	} else if (was_off && offset_ms < CLOCKS_DIFFER_MS / 2 && offset_ms > -CLOCKS_DIFFER_MS / 2) {
		log_info("this server's clock is the console's again");
		agent_audit(a, NULL, "the clock of %s is the console's again", a->config->agent_id);
	}
}

/* The half of the round trip is taken as the way of the console's answer. */
static void measure_clock(struct agent *a, const char *server_time)
{
	int64_t round_trip = fleet_clock_monotonic_ms() - a->register_sent_ms, server_ms;

	if (fleet_timestamp_parse(server_time, &server_ms) >= 0 && round_trip <= CLOCKS_DIFFER_MS)
		take_offset(a, server_ms + round_trip / 2 - fleet_clock_wall_ms());
}

/* Either clock may be set while the connection lasts: every message says when it was sent. */
static void watch_clock(struct agent *a, const char *sent)
{
	int64_t sent_ms, offset_ms;

	if (!a->clock_known || fleet_timestamp_parse(sent, &sent_ms) < 0)
		return;
	offset_ms = sent_ms - fleet_clock_wall_ms();
	if (offset_ms - a->clock_offset_ms > CLOCKS_DIFFER_MS ||
		offset_ms - a->clock_offset_ms < -CLOCKS_DIFFER_MS)
		take_offset(a, offset_ms);
}

/* Under a new id nothing that is numbered from now on is taken for what the console has, or waits behind what
 * it will never get. */
static void renew_spool(struct agent *a, const char *why, int64_t console_seq, int64_t expected)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	if (a->spool_renewed) { /* it says so of every spool: another one would not help */
		link_drop(a->link, "what the console says of its audit events does not hold");
		return;
	}
	if (spool_renew(a->spool, &err) < 0) {
		log_error("cannot renew the spool, whose events the console would take for others: %s",
			err.message);
		link_drop(a->link, "the spool cannot be renewed");
		return;
	}
	a->spool_renewed = true;
	a->registers_stale = a->registers_out;
	a->registered = false; /* nor is an ack that is on its way about this spool */
	agent_acks_forget(a);
	outbox_close(&a->outbox);
	log_warn("%s: the console has events up to %lld, it had %lld; the spool goes on under a new id", why,
		(long long)console_seq, (long long)expected);
	agent_audit(a, NULL, "%s: the console has events up to %lld, it had %lld", why,
		(long long)console_seq, (long long)expected);
	agent_register(a);
}

/* What the console has of this spool is what we know that it has, or a little more whose ack was lost. True
 * where it is neither, and the spool goes on under a new id. event_id: what the console has under that
 * number; NULL where it does not say. */
static bool spool_is_another(struct agent *a, int64_t console_seq, const char *event_id)
{
	int64_t ours = spool_last_seq(a->spool), acked = spool_acked_seq(a->spool);

	if (console_seq > ours)
		renew_spool(a, "the agent's spool was put back to an earlier state", console_seq, ours);
	else if (console_seq < acked)
		renew_spool(a, "the console has lost audit events of this agent", console_seq, acked);
	else if (event_id && spool_has_other_event(a->spool, console_seq, event_id))
		renew_spool(a,
			"the agent's spool was put back to an earlier state, and numbered other events since",
			console_seq, ours);
	else
		return false;
	return true;
}

static void take_keys(struct agent *a, struct json_object *registered)
{
	static const char *const members[] = {"keys", "keyChanges"};

	json_object_put(TAKE_PTR(a->console_keys));
	if (!fleet_json_array(registered, "keys"))
		return;
	a->console_keys = json_object_new_object();
	for (size_t i = 0; i < FLEET_ARRAY_LEN(members); i++) {
		struct json_object *value = fleet_json_array(registered, members[i]);

		if (value)
			fleet_json_add(a->console_keys, members[i], json_object_get(value));
	}
	agent_pass_keys(a);
}

static void on_registered(struct agent *a, struct json_object *message)
{
	int64_t interval_ms = fleet_json_int(message, "heartbeatIntervalMs", a->config->heartbeat_ms);
	int64_t audit_seq = fleet_json_int(message, "auditSeq", 0);

	if (a->registers_out > 0)
		a->registers_out--;
	if (a->registers_stale > 0) { /* of the spool's id of before */
		a->registers_stale--;
		return;
	}
	(void)event_del(a->register_patience); /* cannot fail */
	measure_clock(a, fleet_json_string(message, "serverTime"));
	if (spool_is_another(a, audit_seq, fleet_json_string(message, "auditEventId")))
		return;
	if (!a->outbox.open) /* results are sent again, and named again */
		agent_acks_forget(a);
	agent_acks_take(a, message);
	link_registered(a->link);
	if (!a->registered)
		agent_reached(&a->hub_reach);
	a->registered = true;
	if (!a->greeted)
		log_info("Registered as %s", a->config->agent_id);
	a->greeted = true;
	notify_status("Connected to %s as %s", a->config->console_url, a->config->agent_id);
	take_keys(a, message);
	heartbeat_start(a->heartbeat, interval_ms);
	if (a->credentials.is_own)
		renewal_start(a->renewal);
	if (!a->outbox.open)
		outbox_open(&a->outbox);
}

static void on_ack(struct agent *a, struct json_object *message)
{
	if (a->registered) /* else not for this spool's numbers, as far as we know */
		agent_acks_take(a, message);
}

/* A console that was cut off before it heard our answer sends its command again. The host would refuse the
 * second copy, and tell the audit log so: what is known here is answered from here. */
static bool answer_known_command(struct agent *a, const char *jws)
{
	struct fleet_uuid id = pending_command_id(jws);
	struct json_object *accepted;

	switch (spool_find_command(a->spool, id.text)) {
	case SPOOL_COMMAND_ENDED:
		return true; /* its result is on the way, or follows */
	case SPOOL_COMMAND_RUNNING:
		accepted = fleet_message_new(FLEET_MESSAGE_COMMAND_ACCEPTED);
		fleet_json_add_string(accepted, "commandId", id.text);
		if (link_send(a->link, accepted) < 0)
			log_debug("the console left before it heard that command %s runs", id.text);
		return true;
	case SPOOL_COMMAND_UNKNOWN:
		break;
	}
	return false;
}

static void on_command(struct agent *a, struct json_object *message)
{
	const char *id = fleet_json_string(message, "id"), *jws = fleet_json_string(message, "jws");
	struct fleet_error err = FLEET_ERROR_INIT;

	if (!answer_known_command(a, jws) && pending_add(&a->pending, id, jws, &err) < 0) {
		log_warn("a command is refused: %s", err.message);
		agent_hub_error(a, "busy", id, NULL, NULL, err.message);
	}
}

/* A query is passed on under the id that it came with, so that the answer names it by itself. Nothing of it
 * is kept: whoever asked waits for some seconds and asks again. */
static void on_query(struct agent *a, struct json_object *message)
{
	const char *id = fleet_json_string(message, "id");
	struct json_object *frame = fleet_message_new(FLEET_FRAME_QUERY), *result;

	json_object_object_del(frame, "id");
	fleet_json_add_string(frame, "id", id);
	fleet_json_add_string(frame, "jws", fleet_json_string(message, "jws"));
	if (hostlink_send(a->host, frame) >= 0)
		return;
	result = fleet_message_new(FLEET_MESSAGE_QUERY_RESULT);
	fleet_json_add_string(result, "refId", id);
	fleet_json_add_string(result, "errorCode", "no-driver-host");
	fleet_json_add_string(result, "message", "the driver host of this server is not there at the moment");
	if (link_send(a->link, result) < 0)
		log_debug("the console left before it heard that the driver host is not there");
}

static void on_reserved(struct agent *a, struct json_object *message)
{
	agent_hub_error(a, "not-supported", fleet_json_string(message, "id"), NULL, NULL,
		"this agent's version does not do that yet");
}

static void on_request_heartbeat(struct agent *a, struct json_object *message)
{
	const char *id = fleet_json_string(message, "id");

	if (heartbeat_request(a->heartbeat, id) < 0)
		agent_hub_error(a, "busy", id, NULL, NULL, "too many heartbeats are asked for at once");
}

static void on_renewed(struct agent *a, struct json_object *message)
{
	renewal_take(a->renewal, message);
}

static void on_error(struct agent *a FLEET_UNUSED, struct json_object *message)
{
	const char *path = fleet_json_string(message, "path");

	log_warn("the console refused a message: %s: %s%s%s", fleet_json_string(message, "code"),
		fleet_json_string(message, "message"), path ? " at " : "", path ? path : "");
}

static void (*const handlers[FLEET_MESSAGE_TYPE_COUNT])(struct agent *a, struct json_object *message) = {
	[FLEET_MESSAGE_REGISTERED] = on_registered,
	[FLEET_MESSAGE_ACK] = on_ack,
	[FLEET_MESSAGE_RESTART_APP] = on_command,
	[FLEET_MESSAGE_PUSH_CONFIG] = on_command,
	[FLEET_MESSAGE_UPDATE_APP] = on_command,
	[FLEET_MESSAGE_ROLLBACK_APP] = on_command,
	[FLEET_MESSAGE_READ_CONFIG] = on_query,
	[FLEET_MESSAGE_READ_LOGS] = on_query,
	[FLEET_MESSAGE_CANCEL] = on_reserved,
	[FLEET_MESSAGE_REQUEST_HEARTBEAT] = on_request_heartbeat,
	[FLEET_MESSAGE_RENEWED] = on_renewed,
	[FLEET_MESSAGE_ERROR] = on_error,
};

void agent_hub_message(struct agent *a, const char *text, size_t len)
{
	_cleanup_json_ struct json_object *message = NULL;
	enum fleet_message_type type = FLEET_MESSAGE_INVALID;
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = fleet_message_parse(text, len, FLEET_CONSOLE_TO_AGENT, &type, &message, &err);

	if (r < 0) {
		/* The path at fault leads the sentence: "$.jws: must be ..." */
		_cleanup_free_ char *path =
			err.message[0] == '$' ? xstrndup(err.message, strcspn(err.message, ":")) : NULL;

		log_debug("the console sent a message that is refused: %s", err.message);
		if (type == FLEET_MESSAGE_ERROR)
			return; /* an answer to an error would be answered with an error */
		agent_hub_error(a, r == -EOPNOTSUPP ? "unknown-type" : "invalid-message",
			message ? fleet_json_string(message, "id") : NULL, NULL, path, err.message);
		return;
	}
	if (a->registered)
		watch_clock(a, fleet_json_string(message, "ts"));
	if (handlers[type])
		handlers[type](a, message);
	else
		agent_hub_error(a, "unknown-type", fleet_json_string(message, "id"), NULL, NULL,
			"this type is for those who join");
}
