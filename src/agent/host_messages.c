/* What the driver host says, one function a frame. Every frame was checked against its table of fields before
 * it comes here: the host is privileged, not infallible, and what it passes on comes from drivers and apps.
 */
#include "agent/agent_private.h"
#include "fleet/encode.h"
#include "fleet/log.h"

#define PROBLEMS_TOLD 20

static size_t array_length(struct json_object *o, const char *key)
{
	struct json_object *array = fleet_json_array(o, key);

	return array ? json_object_array_length(array) : 0;
}

/* What a registration would say of it. */
static char *essence(struct json_object *description)
{
	static const char *const members[] = {"apps", "drivers", "problems"};
	_cleanup_json_ struct json_object *o = json_object_new_object();

	for (size_t i = 0; i < FLEET_ARRAY_LEN(members); i++) {
		struct json_object *value = fleet_json_array(description, members[i]);

		if (value)
			fleet_json_add(o, members[i], json_object_get(value));
	}
	return xstrdup(fleet_json_text(o, NULL));
}

/* "apps.d/bad.yaml:3:5: ", as far as it is known. */
static void format_place(struct json_object *problem, char *out, size_t len)
{
	const char *file = fleet_json_string(problem, "file");
	int64_t line = fleet_json_int(problem, "line", 0), column = fleet_json_int(problem, "column", 0);

	if (!file)
		file = "apps.d";
	if (line > 0 && column > 0)
		(void)snprintf(out, len, "%s:%lld:%lld", file, (long long)line, (long long)column);
	else if (line > 0)
		(void)snprintf(out, len, "%s:%lld", file, (long long)line);
	else
		(void)snprintf(out, len, "%s", file);
}

static void log_problems(struct json_object *problems)
{
	for (size_t i = 0; i < json_object_array_length(problems) && i < PROBLEMS_TOLD; i++) {
		struct json_object *p = json_object_array_get_idx(problems, i);
		char place[FLEET_PATH_LEN_MAX + 64];

		format_place(p, place, sizeof(place));
		log_warn("%s: %s", place, fleet_json_string(p, "message"));
	}
}

/* Problems are told once, not at every start of the agent or the host: the spool remembers which were. */
static void tell_problems(struct agent *a, struct json_object *description)
{
	struct json_object *problems = fleet_json_array(description, "problems"), *details, *told;
	size_t count = array_length(description, "problems"), len;
	char digest[FLEET_SHA256_HEX] = "none";
	const char *before = spool_note(a->spool, "problems"), *text;

	if (count > 0) {
		text = fleet_json_text(problems, &len);
		fleet_sha256_hex(text, len, digest);
	}
	if (str_equal(digest, before ? before : "none"))
		return;
	if (spool_set_note(a->spool, "problems", digest, NULL) < 0)
		log_debug("which problems of apps.d were told could not be kept");
	if (count == 0) {
		agent_audit(a, NULL, "the problems in apps.d are gone");
		return;
	}
	if (a->config->host_socket) /* a host of our own has just said so on the same terminal */
		log_problems(problems);
	details = json_object_new_object();
	told = json_object_new_array();
	for (size_t i = 0; i < count && i < PROBLEMS_TOLD; i++)
		json_object_array_add(told, json_object_get(json_object_array_get_idx(problems, i)));
	fleet_json_add(details, "problems", told);
	agent_audit(a, details, "%zu problem%s found in apps.d: %s", count, count == 1 ? "" : "s",
		fleet_json_string(json_object_array_get_idx(problems, 0), "message"));
}

static void tell_reload(struct agent *a, struct json_object *description)
{
	size_t apps = array_length(description, "apps"), problems = array_length(description, "problems");

	log_info("apps reloaded: %zu declared, %zu problem%s", apps, problems, problems == 1 ? "" : "s");
	agent_audit(a, NULL, "apps reloaded: %zu declared, %zu problem%s", apps, problems,
		problems == 1 ? "" : "s");
}

void agent_pass_keys(struct agent *a)
{
	struct json_object *frame;

	if (!a->console_keys)
		return;
	frame = fleet_message_new(FLEET_FRAME_KEYS);
	json_object_object_foreach (a->console_keys, key, value)
		fleet_json_add(frame, key, json_object_get(value));
	if (hostlink_send(a->host, frame) < 0)
		log_debug("the console's keys go to the driver host when it is back");
}

static void on_description(struct agent *a, struct json_object *message)
{
	_cleanup_free_ char *before = a->description ? essence(a->description) : NULL,
			    *now = essence(message);
	struct fleet_error err = FLEET_ERROR_INIT;
	bool changed = !str_equal(before, now), again = a->described;

	agent_hear_owed(a, fleet_json_string(message, "refId"));
	json_object_put(a->description);
	a->description = json_object_get(message);
	a->described = true;
	if (!again)
		agent_reached(&a->host_reach);
	if (spool_set_running(a->spool, fleet_json_array(message, "running"), &err) < 0)
		log_error("cannot keep which commands run: %s", err.message);
	fetches_keep(a->fetches, fleet_json_array(message, "running"));
	heartbeat_set_apps(a->heartbeat, fleet_json_array(message, "apps"));
	if (a->host_was_lost) {
		log_info("The driver host is back");
		agent_audit(a, NULL, "driver host is back");
		a->host_was_lost = false;
	}
	if (again && changed)
		tell_reload(a, message);
	tell_problems(a, message);
	if (!again) {
		agent_pass_keys(a); /* before the commands: it may need them to judge those */
		pending_offer_all(&a->pending);
	}
	if (a->link_started && changed && a->register_sent)
		agent_register(a);
	agent_start_link(a);
}

static void on_status(struct agent *a, struct json_object *message)
{
	heartbeat_status(
		a->heartbeat, fleet_json_string(message, "refId"), fleet_json_array(message, "apps"));
}

/* What is said about a command on the way is said to whom is there; the end of it goes through the spool. */
static void tell_console(struct agent *a, enum fleet_message_type type, struct json_object *frame)
{
	static const char *const members[] = {"commandId", "step", "percent", "message"};
	struct json_object *message = fleet_message_new(type);

	for (size_t i = 0; i < FLEET_ARRAY_LEN(members); i++) {
		struct json_object *value = fleet_json_get(frame, members[i]);

		if (value)
			fleet_json_add(message, members[i], json_object_get(value));
	}
	if (!a->register_sent || link_send(a->link, message) < 0) {
		if (!a->register_sent)
			json_object_put(message);
		log_debug("the console is not there to hear of command %s; registering will tell",
			fleet_json_string(frame, "commandId"));
	}
}

static void on_accepted(struct agent *a, struct json_object *message)
{
	const char *id = fleet_json_string(message, "commandId");
	struct fleet_error err = FLEET_ERROR_INIT;

	pending_taken(&a->pending, id);
	if (spool_add_running(a->spool, id, &err) < 0)
		log_error("cannot keep that command %s runs: %s", id, err.message);
	log_debug("command %s is accepted", id);
	tell_console(a, FLEET_MESSAGE_COMMAND_ACCEPTED, message);
}

static void on_refused(struct agent *a, struct json_object *message)
{
	const char *code = fleet_json_string(message, "code"), *text = fleet_json_string(message, "message");
	const char *command_id = fleet_json_string(message, "commandId");
	struct fleet_uuid hub_id = {""};

	if (!pending_refused(&a->pending, fleet_json_string(message, "refId"), &hub_id)) {
		log_debug("the driver host refused what it was not asked: %s", text);
		return;
	}
	log_warn("the driver host refused command %s: %s: %s", command_id ? command_id : "(no id)", code,
		text);
	agent_hub_error(a, code, hub_id.text, command_id, NULL, text);
}

void agent_tell_progress(struct agent *a, struct json_object *message)
{
	tell_console(a, FLEET_MESSAGE_COMMAND_PROGRESS, message);
}

/* To the console, as it is, under the names that the protocol has for it. */
static void on_answer(struct agent *a, struct json_object *message)
{
	const struct fleet_json_field *fields = fleet_message_fields(FLEET_MESSAGE_QUERY_RESULT);
	struct json_object *result = fleet_message_new(FLEET_MESSAGE_QUERY_RESULT);

	for (size_t i = 0; fields[i].key; i++) {
		struct json_object *value = fleet_json_get(message, fields[i].key);

		if (value)
			fleet_json_add(result, fields[i].key, json_object_get(value));
	}
	if (link_send(a->link, result) < 0)
		log_debug("the console left before it heard the answer to its query");
}

static void on_fetch(struct agent *a, struct json_object *message)
{
	fetches_fetch(a->fetches, message);
}

static void on_fetch_cancel(struct agent *a, struct json_object *message)
{
	fetches_cancel(a->fetches, message);
}

static void on_probe(struct agent *a, struct json_object *message)
{
	fetches_probe(a->fetches, message);
}

static void on_host_error(struct agent *a FLEET_UNUSED, struct json_object *message)
{
	log_warn("the driver host refused a frame: %s: %s", fleet_json_string(message, "code"),
		fleet_json_string(message, "message"));
}

static void (*const handlers[FLEET_MESSAGE_TYPE_COUNT])(struct agent *a, struct json_object *message) = {
	[FLEET_FRAME_DESCRIPTION] = on_description,
	[FLEET_FRAME_STATUS] = on_status,
	[FLEET_FRAME_ACCEPTED] = on_accepted,
	[FLEET_FRAME_REFUSED] = on_refused,
	[FLEET_FRAME_PROGRESS] = agent_tell_progress,
	[FLEET_FRAME_ANSWER] = on_answer,
	[FLEET_FRAME_RESULT] = agent_keep_result,
	[FLEET_FRAME_EVENT] = agent_keep_event,
	[FLEET_FRAME_FETCH] = on_fetch,
	[FLEET_FRAME_FETCH_CANCEL] = on_fetch_cancel,
	[FLEET_FRAME_PROBE] = on_probe,
	[FLEET_MESSAGE_ERROR] = on_host_error,
};

void agent_host_frame(struct agent *a, enum fleet_message_type type, struct json_object *message)
{
	if (handlers[type])
		handlers[type](a, message);
	else
		log_warn("the driver host's frame '%s' is for an agent that does more than this one",
			fleet_message_type_to_string(type));
}
