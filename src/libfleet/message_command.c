/* What a person asked for, and the payload of the signed command that carries it. */
#include "fleet/clock.h"
#include "fleet/ids.h"
#include "fleet/limits.h"
#include "message_tables.h"

const char *const message_actions[] = {
	[FLEET_ACTION_RESTART_APP] = "restart-app",
	[FLEET_ACTION_PUSH_CONFIG] = "push-config",
	[FLEET_ACTION_UPDATE_APP] = "update-app",
	[FLEET_ACTION_ROLLBACK_APP] = "rollback-app",
	[FLEET_ACTION_COUNT] = NULL,
};

const char *fleet_action_to_string(enum fleet_action action)
{
	return message_actions[action];
}

int fleet_action_from_string(const char *text, enum fleet_action *ret)
{
	for (size_t i = 0; i < FLEET_ACTION_COUNT; i++) {
		if (str_equal(text, message_actions[i])) {
			*ret = (enum fleet_action)i;
			return 0;
		}
	}
	return -EINVAL;
}

enum fleet_message_type fleet_action_message(enum fleet_action action)
{
	static const enum fleet_message_type carriers[] = {
		[FLEET_ACTION_RESTART_APP] = FLEET_MESSAGE_RESTART_APP,
		[FLEET_ACTION_PUSH_CONFIG] = FLEET_MESSAGE_PUSH_CONFIG,
		[FLEET_ACTION_UPDATE_APP] = FLEET_MESSAGE_UPDATE_APP,
		[FLEET_ACTION_ROLLBACK_APP] = FLEET_MESSAGE_ROLLBACK_APP,
	};

	return carriers[action];
}

_Static_assert(
	FLEET_VALUE_DEPTH_MAX + 4 <= FLEET_JSON_DEPTH_MAX, "payload, args, edits and edit surround it");
static const char *const edit_ops[] = {"set", "unset", NULL};
static const char *const edit_modes[] = {"auto", "string", "json", NULL};
static fields edit_fields[] = {
	ONE_OF("op", REQ, edit_ops),
	TEXT("key", REQ, .min = 1, .max = FLEET_KEY_PATH_MAX),
	{"value", FLEET_JSON_ANY, OPT, .min = 0},
	ONE_OF("mode", OPT, edit_modes),
	{0},
};
static fields push_fields[] = {
	TEXT("file", REQ, WORD),
	LIST("edits", OPT, FLEET_SETTINGS_PER_PUSH_MAX, edit_fields),
	BOOL("dryRun", OPT),
	TEXT("expectHash", OPT, FILEHASH),
	UUID("restoreOf", OPT),
	{0},
};
static fields update_fields[] = {
	TEXT("version", REQ, .min = 1, .max = FLEET_VERSION_LEN_MAX),
	TEXT("artifactUrl", REQ, .min = 1, .max = FLEET_URL_LEN_MAX),
	TEXT("sha256", OPT, HEXHASH),
	TEXT("signature", OPT, .min = 1, .max = 4096),
	BOOL("allowDowngrade", OPT),
	{0},
};
static fields command_fields[] = {
	INT("v", REQ, .min = 0),
	ID("agentId", REQ),
	ID("appId", REQ),
	UUID("commandId", REQ),
	ONE_OF("action", REQ, message_actions),
	TEXT("actor", REQ, .min = 1, .max = FLEET_ACTOR_MAX),
	TIME("issuedAt", REQ),
	TIME("expiresAt", REQ),
	{"args", FLEET_JSON_OBJECT, REQ, .min = 0},
	{0},
};
static fields *const args_fields[] = {
	[FLEET_ACTION_RESTART_APP] = message_no_fields,
	[FLEET_ACTION_PUSH_CONFIG] = push_fields,
	[FLEET_ACTION_UPDATE_APP] = update_fields,
	[FLEET_ACTION_ROLLBACK_APP] = message_no_fields,
};

/* What an edit's table cannot say: which value goes with which op and mode. */
static int check_edit(struct json_object *edit, size_t index, struct fleet_error *err)
{
	bool set = str_equal(fleet_json_string(edit, "op"), "set");
	const char *mode = fleet_json_string(edit, "mode");
	struct json_object *value = NULL;
	bool has_value = json_object_object_get_ex(edit, "value", &value);
	size_t len = 0;

	if (!set)
		return has_value ? fleet_error_set(err, -EINVAL,
					   "$.args.edits[%zu].value: unset takes no value", index)
				 : 0;
	if (!has_value)
		return fleet_error_set(err, -EINVAL, "$.args.edits[%zu].value: is missing", index);
	if (!str_equal(mode, "json") && !json_object_is_type(value, json_type_string))
		return fleet_error_set(err, -EINVAL, "$.args.edits[%zu].value: must be a string with mode %s",
			index, mode ? mode : "auto");
	/* else whoever parses the command, the console's own store among them, could not read it */
	if (fleet_json_is_deeper(value, FLEET_VALUE_DEPTH_MAX))
		return fleet_error_set(err, -EINVAL,
			"$.args.edits[%zu].value: has more than %d levels of objects and arrays", index,
			FLEET_VALUE_DEPTH_MAX);
	(void)fleet_json_text(value, &len);
	if (len > FLEET_VALUE_MAX)
		return fleet_error_set(err, -EINVAL,
			"$.args.edits[%zu].value: has %zu bytes, at most %u are allowed", index, len,
			FLEET_VALUE_MAX);
	return 0;
}

static int check_push(struct json_object *args, struct fleet_error *err)
{
	struct json_object *edits = fleet_json_array(args, "edits");
	size_t count = edits ? json_object_array_length(edits) : 0;

	if (fleet_json_string(args, "restoreOf"))
		return count == 0 ? 0
				  : fleet_error_set(err, -EINVAL, "$.args.edits: a restore takes no edits");
	if (count == 0)
		return fleet_error_set(err, -EINVAL, "$.args.edits: must have at least one edit");
	for (size_t i = 0; i < count; i++) {
		int r = check_edit(json_object_array_get_idx(edits, i), i, err);

		if (r < 0)
			return r;
	}
	return 0;
}

int fleet_command_check(struct json_object *payload, struct fleet_error *err)
{
	struct json_object *args;
	enum fleet_action action;
	int64_t issued, expires;
	int r = fleet_json_check(payload, command_fields, "$", err);

	if (r < 0)
		return r;
	if (fleet_json_int(payload, "v", 0) != 1)
		return fleet_error_set(err, -EINVAL, "$.v: this program knows version 1 of commands only");
	if (fleet_timestamp_parse(fleet_json_string(payload, "issuedAt"), &issued) < 0 ||
		fleet_timestamp_parse(fleet_json_string(payload, "expiresAt"), &expires) < 0 ||
		expires <= issued)
		return fleet_error_set(err, -EINVAL, "$.expiresAt: must be after issuedAt");
	r = fleet_action_from_string(fleet_json_string(payload, "action"), &action);
	if (r < 0)
		return fleet_error_set(err, r, "$.action: unknown");
	/* strictly: an argument that is not understood must not be left out of what is done */
	args = fleet_json_object(payload, "args");
	r = fleet_json_check_strict(args, args_fields[action], "$.args", err);
	if (r < 0)
		return r;
	return action == FLEET_ACTION_PUSH_CONFIG ? check_push(args, err) : 0;
}
