#include "console/outcome.h"

#include "fleet/buffer.h"
#include "fleet/limits.h"
#include "fleet/redact.h"

#define KEYS_SHOWN_MAX 20

struct words {
	const char *category, *infinitive, *noun, *done;
};
static const struct words words[FLEET_ACTION_COUNT] = {
	[FLEET_ACTION_RESTART_APP] = {"restart", "restart", "Restart", "restarted"},
	[FLEET_ACTION_PUSH_CONFIG] = {"config", "push config to", "Config push", "Config pushed to"},
	[FLEET_ACTION_UPDATE_APP] = {"update", "update", "Update", "updated"},
	[FLEET_ACTION_ROLLBACK_APP] = {"update", "roll back", "Rollback", "rolled back"},
};

const char *outcome_category(enum fleet_action action)
{
	return words[action].category;
}

/* Keys that the command names, in its order; owned; NULL where there are none. */
static struct json_object *edited_keys(const struct command *command)
{
	struct json_object *edits = fleet_json_array(command->args, "edits"), *keys;

	if (!edits || json_object_array_length(edits) == 0)
		return NULL;
	keys = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(edits); i++)
		fleet_json_append_string(keys, fleet_json_string(json_object_array_get_idx(edits, i), "key"));
	return keys;
}

static void add_keys(
	struct fleet_buffer *out, const char *before, struct json_object *keys, const char *after)
{
	size_t count = keys ? json_object_array_length(keys) : 0;

	if (count == 0)
		return;
	fleet_buffer_add_string(out, before);
	for (size_t i = 0; i < count && i < KEYS_SHOWN_MAX; i++)
		fleet_buffer_printf(out, "%s%s", i ? ", " : "",
			json_object_get_string(json_object_array_get_idx(keys, i)));
	if (count > KEYS_SHOWN_MAX)
		fleet_buffer_printf(out, " and %zu more", count - KEYS_SHOWN_MAX);
	fleet_buffer_add_string(out, after);
}

/* Every value that the command sets. */
static char *mask_values(const struct command *command, const char *text)
{
	struct json_object *edits = fleet_json_array(command->args, "edits");
	_cleanup_(fleet_redact_done) struct fleet_redact values = FLEET_REDACT_INIT;

	for (size_t i = 0; edits && i < json_object_array_length(edits); i++)
		fleet_redact_add_json(&values, fleet_json_get(json_object_array_get_idx(edits, i), "value"));
	return fleet_redact(&values, text);
}

char *outcome_clean_text(const struct command *command, const char *text)
{
	_cleanup_free_ char *masked = mask_values(command, text);
	char *clean;

	command_cut_urls(masked);
	clean = xstrndup(masked, FLEET_TEXT_MAX); /* last: half a value would not be recognised */
	fleet_text_sanitize(clean);
	return clean;
}

/* Nobody said what the release's bytes have to be. */
static bool no_checksum(const struct command *command)
{
	return command->action == FLEET_ACTION_UPDATE_APP && !fleet_json_string(command->args, "sha256");
}

char *outcome_request_message(const struct command *command)
{
	_cleanup_json_ struct json_object *keys = edited_keys(command);
	const char *version = fleet_json_string(command->args, "version");
	const char *restore = fleet_json_string(command->args, "restoreOf");
	struct fleet_buffer out = FLEET_BUFFER_INIT;
	char *text;

	fleet_buffer_printf(&out, "%s asked to %s %s on %s", command->actor,
		words[command->action].infinitive, command->app_id, command->agent_id);
	if (command->action == FLEET_ACTION_UPDATE_APP && version)
		fleet_buffer_printf(&out, " to %s%s", version, no_checksum(command) ? " (no checksum)" : "");
	if (restore)
		fleet_buffer_printf(&out, ": the file as it was before %s", restore);
	add_keys(&out, ": ", keys, "");
	if (fleet_json_bool(command->args, "dryRun", false))
		fleet_buffer_add_string(&out, " (dry run)");
	text = fleet_buffer_take(&out, NULL);
	fleet_text_sanitize(text);
	return text;
}

/* The text is one URL: whatever stands in its query is not its end. */
static void cut_url(char *url)
{
	url[strcspn(url, "?#")] = '\0';
	command_cut_urls(url);
}

struct json_object *outcome_request_details(const struct command *command)
{
	struct json_object *details = json_object_new_object(), *keys = edited_keys(command);
	_cleanup_free_ char *url = xstrdup(fleet_json_string(command->args, "artifactUrl"));

	if (url)
		cut_url(url);
	fleet_json_add(details, "keys", keys);
	fleet_json_add_string(details, "file", fleet_json_string(command->args, "file"));
	fleet_json_add_string(details, "restoreOf", fleet_json_string(command->args, "restoreOf"));
	fleet_json_add_string(details, "version", fleet_json_string(command->args, "version"));
	fleet_json_add_string(details, "artifactUrl", url);
	fleet_json_add_string(details, "sha256", fleet_json_string(command->args, "sha256"));
	if (json_object_object_length(details) > 0)
		return details;
	json_object_put(details);
	return NULL;
}

static void add_success(struct fleet_buffer *out, const struct command *command, struct json_object *result)
{
	const char *from = fleet_json_string(result, "fromVersion"),
		   *to = fleet_json_string(result, "toVersion");
	struct json_object *changed = fleet_json_array(result, "changedKeys");
	bool config = command->action == FLEET_ACTION_PUSH_CONFIG;

	if (config && fleet_json_bool(command->args, "dryRun", false))
		fleet_buffer_printf(out, "Config push tried on %s (dry run)", command->app_id);
	else if (config && changed && json_object_array_length(changed) == 0)
		fleet_buffer_printf(out, "Config push changed nothing in %s", command->app_id);
	else if (config)
		fleet_buffer_printf(out, "%s %s", words[command->action].done, command->app_id);
	else
		fleet_buffer_printf(out, "%s %s", command->app_id, words[command->action].done);
	fleet_buffer_printf(out, " on %s by %s", command->agent_id, command->actor);
	if (to && from)
		fleet_buffer_printf(out, ": %s to %s", from, to);
	else if (to)
		fleet_buffer_printf(out, ": to %s", to);
	if (no_checksum(command))
		fleet_buffer_add_string(out, " (no checksum)");
}

static void add_other_end(struct fleet_buffer *out, const struct command *command, enum command_state state,
	struct json_object *keys)
{
	static const char *const ends[] = {
		[COMMAND_FAILED] = "failed",
		[COMMAND_EXPIRED] = "expired",
		[COMMAND_CANCELLED] = "cancelled",
		[COMMAND_UNKNOWN] = "of unknown outcome",
	};

	fleet_buffer_printf(out, "%s %s for %s on %s by %s", words[command->action].noun, ends[state],
		command->app_id, command->agent_id, command->actor);
	add_keys(out, " (", keys, ")");
}

char *outcome_message(
	const struct command *command, enum command_state state, struct json_object *result, const char *why)
{
	_cleanup_json_ struct json_object *keys = edited_keys(command);
	const char *said = result ? fleet_json_string(result, "message") : why;
	struct fleet_buffer out = FLEET_BUFFER_INIT;
	char *text;

	if (state == COMMAND_SUCCEEDED) {
		struct json_object *changed = fleet_json_array(result, "changedKeys");
		bool some = changed && json_object_array_length(changed) > 0;

		add_success(&out, command, result);
		add_keys(&out, ": ", some ? changed : keys, "");
	} else {
		_cleanup_free_ char *clean = outcome_clean_text(command, said);

		add_other_end(&out, command, state, keys);
		if (*clean)
			fleet_buffer_printf(&out, ": %s", clean);
	}
	text = fleet_buffer_take(&out, NULL);
	fleet_text_sanitize(text);
	return text;
}

struct json_object *outcome_details(
	const struct command *command, enum command_state state, struct json_object *result)
{
	static const char *const copied[] = {"errorCode", "changedKeys", "fromVersion", "toVersion", "downMs",
		"rolledBack", "verified", "appStatus", "appHealthy"};
	struct json_object *details = json_object_new_object();

	fleet_json_add_string(details, "state", command_state_to_string(state));
	if (!result || !fleet_json_array(result, "changedKeys"))
		fleet_json_add(details, "keys", edited_keys(command));
	for (size_t i = 0; result && i < FLEET_ARRAY_LEN(copied); i++)
		fleet_json_add(details, copied[i], json_object_get(fleet_json_get(result, copied[i])));
	return details;
}
