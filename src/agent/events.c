/* What goes into the spool: audit events, the agent's own and the host's, and the host's results. */
#include "agent/agent_private.h"
#include "fleet/failpoint.h"
#include "fleet/log.h"

/* What sequence number and spoolId add to a stored text, with room to spare. */
#define TEXT_MAX (FLEET_MESSAGE_MAX - 256)
#define OWED_MS  2000 /* until the host is asked again; an ack that makes room does it sooner */

static void tell_spool_trouble(struct agent *a, const struct fleet_error *err)
{
	if (!a->spool_failing)
		log_error("cannot keep what the console must hear: %s", err->message);
	a->spool_failing = true;
}

/* Neither kept nor said to be: the host has it, and all that comes after. */
static void let_host_keep(struct agent *a, const struct fleet_error *err)
{
	const struct timeval wait = {.tv_sec = OWED_MS / 1000, .tv_usec = OWED_MS % 1000 * 1000};

	a->host_owes = true;
	if (event_add(a->owed, &wait) < 0)
		log_error("cannot set a timer: what the host has to tell waits for the next connection");
	tell_spool_trouble(a, err);
}

void agent_ask_for_owed(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *agent)
{
	struct agent *a = agent;

	if (a->host_owes && !a->owed_hello.text[0])
		hostlink_hello(a->host, &a->owed_hello);
}

void agent_hear_owed(struct agent *a, const char *hello_id)
{
	if (!a->owed_hello.text[0] || !str_equal(a->owed_hello.text, hello_id))
		return;
	a->host_owes = false;
	a->owed_hello.text[0] = '\0';
}

/* The host's frame as a message to the console: the same fields under a type and an id of its own. ts stays:
 * it says when it happened. */
static struct json_object *to_hub_message(enum fleet_message_type type, struct json_object *frame)
{
	struct json_object *message = fleet_message_new(type);

	json_object_object_foreach (frame, key, value) {
		if (!str_equal(key, "type") && !str_equal(key, "id"))
			fleet_json_add(message, key, json_object_get(value));
	}
	return message;
}

/* A frame may be as long as a message, and ours is a little longer: what tells most about least goes first.
 */
static void shorten(struct json_object *message)
{
	static const char *const dispensable[] = {
		"unifiedDiff", "logLines", "changes", "steps", "changedKeys", "details"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(dispensable); i++) {
		size_t len;

		(void)fleet_json_text(message, &len);
		if (len <= TEXT_MAX)
			return;
		json_object_object_del(message, dispensable[i]);
	}
	/* What is left is bounded field by field, but for members that only a newer host knows. */
	json_object_object_foreach (message, key, value) {
		if (json_object_is_type(value, json_type_array) ||
			json_object_is_type(value, json_type_object))
			json_object_object_add(message, key, NULL);
	}
}

static void say_stored(struct agent *a, const char *id)
{
	struct json_object *stored = fleet_message_new(FLEET_FRAME_STORED), *ids = json_object_new_array();

	fleet_json_append_string(ids, id);
	fleet_json_add(stored, "refIds", ids);
	if (hostlink_send(a->host, stored) < 0)
		log_debug("the driver host is gone before it heard that %s is stored; it will send it again",
			id);
}

void agent_audit(struct agent *a, struct json_object *takes_details, const char *fmt, ...)
{
	_cleanup_json_ struct json_object *message = fleet_message_new(FLEET_MESSAGE_AUDIT_EVENT);
	struct fleet_error err = FLEET_ERROR_INIT;
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	if (strlen(text) > FLEET_TEXT_MAX)
		text[FLEET_TEXT_MAX] = '\0';
	fleet_text_sanitize(text);
	fleet_json_add_string(message, "eventId", fleet_uuid_new().text);
	fleet_json_add_string(message, "category", "agent");
	fleet_json_add_string(message, "message", text);
	fleet_json_add(message, "details", takes_details);
	free(text);
	if (spool_add_event(a->spool, message, &err) < 0) {
		a->lost_events++;
		tell_spool_trouble(a, &err);
		return;
	}
	outbox_kick(&a->outbox);
}

void agent_keep_event(struct agent *a, struct json_object *frame)
{
	_cleanup_json_ struct json_object *message = to_hub_message(FLEET_MESSAGE_AUDIT_EVENT, frame);
	struct fleet_error err = FLEET_ERROR_INIT;

	if (a->host_owes)
		return;
	/* Their values are ours to give; the stored text gets them when it is sent. */
	json_object_object_del(message, "seq");
	json_object_object_del(message, "spoolId");
	shorten(message);
	if (spool_add_event(a->spool, message, &err) < 0) {
		let_host_keep(a, &err);
		return;
	}
	agent_spool_drained(a);
	FLEET_FAILPOINT("agent.event-kept");
	say_stored(a, fleet_json_string(frame, "eventId"));
	outbox_kick(&a->outbox);
}

void agent_keep_result(struct agent *a, struct json_object *frame)
{
	_cleanup_json_ struct json_object *message = to_hub_message(FLEET_MESSAGE_COMMAND_RESULT, frame);
	const char *id = fleet_json_string(frame, "commandId");
	struct fleet_error err = FLEET_ERROR_INIT;

	pending_taken(&a->pending, id);
	fetches_ended(a->fetches, id);
	if (a->host_owes)
		return;
	shorten(message);
	if (spool_add_result(a->spool, message, &err) < 0) {
		let_host_keep(a, &err);
		return;
	}
	agent_spool_drained(a);
	FLEET_FAILPOINT("agent.result-kept");
	log_info("command %s (%s of %s) %s", id, fleet_json_string(frame, "command"),
		fleet_json_string(frame, "appId"),
		fleet_json_bool(frame, "success", false) ? "succeeded" : "failed");
	say_stored(a, id);
	outbox_kick(&a->outbox);
	heartbeat_now(a->heartbeat);
}

void agent_spool_drained(struct agent *a)
{
	int64_t lost = a->lost_events;

	if (!a->spool_failing)
		return;
	a->spool_failing = false;
	if (lost > 0) {
		a->lost_events = 0;
		agent_audit(a, NULL,
			"%lld audit events of the agent itself found no room in its spool and are lost",
			(long long)lost);
		if (a->lost_events > 0)
			a->lost_events = lost;
	}
	if (!a->spool_failing)
		agent_ask_for_owed(-1, 0, a);
}
