/* What an operation must not say: values of secrets, whoever quotes them (a driver that stumbles over one, an
 * app that writes its settings into its log before it gives up). */
#include "agent/host/key_policy.h"
#include "agent/host/op.h"
#include "driver/settings.h"

void op_learn_secrets(struct op *op, const struct settings *settings)
{
	for (size_t i = 0; i < settings->count; i++) {
		const char *value = settings->items[i].value;

		if (settings->items[i].type == FLEET_TYPE_BOOLEAN ||
			settings->items[i].type == FLEET_TYPE_NULL ||
			!key_policy_is_secret(op->app, settings->items[i].path))
			continue; /* the first two are words of any sentence */
		while (*value) {  /* texts are told line by line */
			size_t len = strcspn(value, "\r\n");

			fleet_redact_add(&op->secrets, value, len);
			value += len + (value[len] != '\0');
		}
	}
}

void op_learn_asked_secrets(struct op *op)
{
	struct json_object *edits = fleet_json_array(op->args, "edits");

	for (size_t i = 0; edits && i < json_object_array_length(edits); i++) {
		struct json_object *edit = json_object_array_get_idx(edits, i);
		const char *key = fleet_json_string(edit, "key");

		if (key && key_policy_is_secret(op->app, key))
			fleet_redact_add_json(&op->secrets, fleet_json_get(edit, "value"));
	}
}

char *op_redact(struct op *op, const char *text)
{
	return fleet_redact(&op->secrets, text);
}

static void hide_member(struct op *op, struct json_object *in, const char *key)
{
	const char *text = fleet_json_string(in, key);
	_cleanup_free_ char *clean = text ? op_redact(op, text) : NULL;

	if (!clean || str_equal(clean, text))
		return;
	json_object_object_del(in, key);
	fleet_json_add_string(in, key, clean);
}

void op_hide_secrets(struct op *op)
{
	struct json_object *steps = fleet_json_array(op->result, "steps");
	struct json_object *lines = fleet_json_array(op->result, "logLines");

	if (op->secrets.count == 0)
		return;
	hide_member(op, op->result, "message");
	hide_member(op, op->result, "unifiedDiffNote");
	for (size_t i = 0; steps && i < json_object_array_length(steps); i++)
		hide_member(op, json_object_array_get_idx(steps, i), "message");
	for (size_t i = 0; lines && i < json_object_array_length(lines); i++) {
		_cleanup_free_ char *clean =
			op_redact(op, json_object_get_string(json_object_array_get_idx(lines, i)));

		json_object_array_put_idx(lines, i, json_object_new_string(clean));
	}
}
