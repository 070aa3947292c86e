#include "console/command.h"

static const char *const states[] = {
	[COMMAND_QUEUED] = "queued",
	[COMMAND_SENT] = "sent",
	[COMMAND_ACCEPTED] = "accepted",
	[COMMAND_RUNNING] = "running",
	[COMMAND_SUCCEEDED] = "succeeded",
	[COMMAND_FAILED] = "failed",
	[COMMAND_EXPIRED] = "expired",
	[COMMAND_CANCELLED] = "cancelled",
	[COMMAND_UNKNOWN] = "unknown",
};

const char *command_state_to_string(enum command_state state)
{
	return states[state];
}

int command_state_from_string(const char *text, enum command_state *ret)
{
	for (size_t i = 0; i < FLEET_ARRAY_LEN(states); i++) {
		if (str_equal(text, states[i])) {
			*ret = (enum command_state)i;
			return 0;
		}
	}
	return -EINVAL;
}

bool command_state_is_final(enum command_state state)
{
	return state >= COMMAND_SUCCEEDED;
}

struct command *command_new(void)
{
	struct command *c = xcalloc(1, sizeof(*c));
	struct fleet_uuid id = fleet_uuid_new();

	c->refs = 1;
	c->progress_percent = -1;
	memcpy(c->id, id.text, sizeof(c->id));
	return c;
}

struct command *command_ref(struct command *c)
{
	c->refs++;
	return c;
}

void command_unref(struct command *c)
{
	if (!c || --c->refs > 0)
		return;
	free(c->agent_id);
	free(c->app_id);
	free(c->actor);
	free(c->source_address);
	json_object_put(c->args);
	free(c->jws);
	json_object_put(c->result);
	free(c->message);
	free(c->progress_step);
	free(c->progress_message);
	free(c);
}

struct json_object *command_args_without_values(struct json_object *args)
{
	struct json_object *out, *edits = fleet_json_array(args, "edits"), *kept;

	if (!args || !edits)
		return json_object_get(args);
	out = json_object_new_object();
	json_object_object_foreach (args, key, value) {
		if (value != edits)
			fleet_json_add(out, key, json_object_get(value));
	}
	kept = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(edits); i++) {
		struct json_object *from = json_object_array_get_idx(edits, i),
				   *edit = json_object_new_object();

		fleet_json_add_string(edit, "op", fleet_json_string(from, "op"));
		fleet_json_add_string(edit, "key", fleet_json_string(from, "key"));
		fleet_json_add_string(edit, "mode", fleet_json_string(from, "mode"));
		json_object_array_add(kept, edit);
	}
	fleet_json_add(out, "edits", kept);
	return out;
}

/* "user:password@" of the authority that begins here. */
static size_t userinfo_len(const char *authority)
{
	size_t len = strcspn(authority, "/?# \t\n\"<>");

	while (len > 0 && authority[len - 1] != '@')
		len--;
	return len;
}

/* What follows the first '?' or '#' of a URL in a text. Marks that close the sentence or a quotation stay. */
static size_t query_len(const char *query)
{
	size_t len = strcspn(query, " \t\n\"<>");

	while (len > 1 && strchr("'),.;:]", query[len - 1]))
		len--;
	return len;
}

void command_cut_urls(char *text)
{
	char *out = text;
	bool in_url = false;

	for (const char *p = text; *p;) {
		if (strncmp(p, "://", 3) == 0) {
			memmove(out, p, 3);
			out += 3;
			p += 3;
			p += userinfo_len(p);
			in_url = true;
		} else if (in_url && (*p == '?' || *p == '#')) {
			p += query_len(p);
			in_url = false;
		} else {
			in_url = in_url && !strchr(" \t\n\"<>", *p);
			*out++ = *p++;
		}
	}
	*out = '\0';
}

static void add_text(struct json_object *to, const char *key, const char *text)
{
	_cleanup_free_ char *cut = xstrdup(text);

	if (cut)
		command_cut_urls(cut);
	fleet_json_add_string(to, key, cut);
}

static struct json_object *steps_to_json(struct json_object *steps)
{
	struct json_object *out = json_object_new_array();

	for (size_t i = 0; i < json_object_array_length(steps); i++) {
		struct json_object *from = json_object_array_get_idx(steps, i),
				   *step = json_object_new_object();

		fleet_json_add_string(step, "step", fleet_json_string(from, "step"));
		fleet_json_add_string(step, "startedAt", fleet_json_string(from, "startedAt"));
		fleet_json_add_string(step, "finishedAt", fleet_json_string(from, "finishedAt"));
		fleet_json_add(step, "ok", json_object_get(fleet_json_get(from, "ok")));
		add_text(step, "message", fleet_json_string(from, "message"));
		(void)json_object_array_add(
			out, step); /* fails for want of memory alone, and then shows less */
	}
	return out;
}

static struct json_object *lines_to_json(struct json_object *lines)
{
	struct json_object *out = json_object_new_array();

	for (size_t i = 0; i < json_object_array_length(lines); i++) {
		const char *line = json_object_get_string(json_object_array_get_idx(lines, i));
		_cleanup_free_ char *cut = xstrdup(line);

		if (cut)
			command_cut_urls(cut);
		fleet_json_append_string(out, cut);
	}
	return out;
}

/* What the server said, under the names that REST gives it. */
static void add_result(struct json_object *to, struct json_object *result)
{
	static const char *const as_they_are[] = {"errorCode", "appStatus", "appHealthy", "verified",
		"rolledBack", "pid", "previousPid", "downMs", "changedKeys", "file", "hash", "fromVersion",
		"toVersion", "unifiedDiff", "unifiedDiffLeft", "unifiedDiffNote"};
	struct json_object *steps = fleet_json_array(result, "steps"),
			   *lines = fleet_json_array(result, "logLines");

	for (size_t i = 0; i < FLEET_ARRAY_LEN(as_they_are); i++)
		fleet_json_add(to, as_they_are[i], json_object_get(fleet_json_get(result, as_they_are[i])));
	fleet_json_add(to, "diff", json_object_get(fleet_json_array(result, "changes")));
	if (steps)
		fleet_json_add(to, "steps", steps_to_json(steps));
	if (lines)
		fleet_json_add(to, "logLines", lines_to_json(lines));
}

static void add_progress(struct json_object *to, const struct command *c)
{
	struct json_object *progress;

	if (!c->progress_step || command_state_is_final(c->state))
		return;
	progress = json_object_new_object();
	fleet_json_add_string(progress, "step", c->progress_step);
	if (c->progress_percent >= 0)
		fleet_json_add_int(progress, "percent", c->progress_percent);
	add_text(progress, "message", c->progress_message);
	fleet_json_add(to, "progress", progress);
}

struct json_object *command_to_json(const struct command *c)
{
	struct json_object *out = json_object_new_object();

	fleet_json_add_string(out, "commandId", c->id);
	fleet_json_add_string(out, "command", fleet_action_to_string(c->action));
	fleet_json_add_string(out, "agentId", c->agent_id);
	fleet_json_add_string(out, "appId", c->app_id);
	fleet_json_add_string(out, "actor", c->actor);
	fleet_json_add_string(out, "state", command_state_to_string(c->state));
	if (fleet_json_bool(c->args, "dryRun", false))
		fleet_json_add_bool(out, "dryRun", true);
	fleet_json_add_string(out, "restoreOf", fleet_json_string(c->args, "restoreOf"));
	add_progress(out, c);
	if (command_state_is_final(c->state) && c->state != COMMAND_UNKNOWN)
		fleet_json_add_bool(out, "success", c->state == COMMAND_SUCCEEDED);
	add_text(out, "message", c->message ? c->message : fleet_json_string(c->result, "message"));
	if (c->result)
		add_result(out, c->result);
	if (!fleet_json_get(out, "file"))
		fleet_json_add_string(out, "file", fleet_json_string(c->args, "file"));
	if (!fleet_json_get(out, "toVersion"))
		fleet_json_add_string(out, "toVersion", fleet_json_string(c->args, "version"));
	fleet_json_add_time(out, "createdAt", c->created_ms);
	fleet_json_add_time(out, "startedAt", c->started_ms);
	fleet_json_add_time(out, "finishedAt", c->finished_ms);
	fleet_json_add_time(out, "expiresAt", c->expires_ms);
	return out;
}
