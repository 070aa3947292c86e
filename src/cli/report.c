#include <ctype.h>
#include "cli/report.h"
#include "cli/diff.h"
#include "cli/exit.h"
#include "cli/format.h"
#include "cli/output.h"
#include "fleet/buffer.h"
#include "fleet/clock.h"

#define LOG_LINES_SHOWN 5

static const struct {
	const char *command, *noun;
} actions[] = {
	{"restart-app", "Restart"},
	{"push-config", "Config push"},
	{"update-app", "Update"},
	{"rollback-app", "Rollback"},
};

const char *report_action(struct json_object *command)
{
	const char *name = fleet_json_string(command, "command");

	for (size_t i = 0; i < FLEET_ARRAY_LEN(actions); i++)
		if (str_equal(actions[i].command, name))
			return actions[i].noun;
	return "Command";
}

bool report_is_final(struct json_object *command)
{
	static const char *const final[] = {"succeeded", "failed", "expired", "cancelled", "unknown"};
	const char *state = fleet_json_string(command, "state");

	for (size_t i = 0; i < FLEET_ARRAY_LEN(final); i++)
		if (str_equal(state, final[i]))
			return true;
	return false;
}

/* "Running, healthy" as the host found the app after the operation; "" where the record does not say. */
static void app_state_add(struct fleet_buffer *b, struct json_object *command)
{
	const char *status = fleet_json_string(command, "appStatus");

	if (status)
		fleet_buffer_add_string(b, format_status(status).text);
	if (!fleet_json_bool(command, "verified", true))
		fleet_buffer_printf(b, "%snot verified", b->len ? ", " : "");
	else if (fleet_json_get(command, "appHealthy"))
		fleet_buffer_printf(b, "%s%s", b->len ? ", " : "",
			fleet_json_bool(command, "appHealthy", false) ? "healthy" : "not healthy");
}

static void pid_and_pause_add(struct fleet_buffer *b, struct json_object *command)
{
	int64_t pid = fleet_json_int(command, "pid", 0);
	int64_t before = fleet_json_int(command, "previousPid", 0);
	int64_t down_ms = fleet_json_int(command, "downMs", -1);

	if (pid > 0)
		fleet_buffer_printf(b, ", pid %lld", (long long)pid);
	if (pid > 0 && before > 0)
		fleet_buffer_printf(b, " (was %lld)", (long long)before);
	if (down_ms >= 0)
		fleet_buffer_printf(b, ", down %s", format_duration(down_ms).text);
}

void report_change_add(struct fleet_buffer *b, struct json_object *change)
{
	const char *before = fleet_json_string(change, "before");
	const char *after = fleet_json_string(change, "after");

	if (fleet_json_bool(change, "masked", false))
		fleet_buffer_printf(b, "%s: changed (values hidden)", format_field(change, "key"));
	else
		fleet_buffer_printf(b, "%s: %s → %s", format_field(change, "key"),
			before ? before : "(not set)", after ? after : "(not set)");
}

/* What a push changed: docs/protocol.md calls it changes, the REST interface diff. */
static struct json_object *changes_of(struct json_object *command)
{
	struct json_object *changes = fleet_json_array(command, "changes");

	return changes ? changes : fleet_json_array(command, "diff");
}

/* What would be pushed, and how to push exactly that. */
static void push_tried(struct json_object *command, struct json_object *changes)
{
	struct short_text id = format_id(fleet_json_string(command, "commandId"));
	const char *hash = fleet_json_string(command, "hash");
	size_t count = changes ? json_object_array_length(changes) : 0;
	bool shown = diff_write(command);

	for (size_t i = 0; !shown && i < count; i++) {
		_cleanup_buffer_ struct fleet_buffer b = FLEET_BUFFER_INIT;

		report_change_add(&b, json_object_array_get_idx(changes, i));
		output_line(stdout, "%s", b.data);
	}
	output_line(stdout, "%s would change, nothing was written [%s]", format_count(count, "setting").text,
		id.text);
	if (hash)
		output_line(stdout,
			"%s is %s now: with --expect and that hash a push is made only while it still is",
			format_field(command, "file"), hash);
}

/* Each change on a line of its own; a single one begins the last line, which says what became of the app. */
static void push_success(struct json_object *command, bool dry_run)
{
	struct short_text id = format_id(fleet_json_string(command, "commandId"));
	const char *message = fleet_json_string(command, "message");
	struct json_object *changes = changes_of(command);
	size_t count = changes ? json_object_array_length(changes) : 0;
	_cleanup_buffer_ struct fleet_buffer b = FLEET_BUFFER_INIT;

	if (message && str_starts(message, "dry run")) {
		push_tried(command, changes);
		return;
	}
	if (!count) {
		output_line(stdout, "%c%s [%s]",
			toupper((unsigned char)*(str_empty(message) ? "n" : message)),
			str_empty(message) ? "othing was changed" : message + 1, id.text);
		return;
	}
	if (dry_run) {
		push_tried(command, changes);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		fleet_buffer_truncate(&b, 0);
		report_change_add(&b, json_object_array_get_idx(changes, i));
		if (count > 1)
			output_line(stdout, "%s", b.data);
	}
	if (count > 1)
		fleet_buffer_truncate(&b, 0);
	else
		fleet_buffer_add_string(&b, ", ");
	output_line(stdout, "%s%s [%s]. Back: fleetctl apps config %s %s --restore %s", b.len ? b.data : "",
		str_empty(message) ? "done" : message, id.text, format_field(command, "agentId"),
		format_field(command, "appId"), id.text);
}

/* From which version to which, how the app is, and how to go back. */
static void version_success(struct json_object *command, const char *to, const char *message)
{
	const char *from = fleet_json_string(command, "fromVersion");
	int64_t down_ms = fleet_json_int(command, "downMs", -1);
	_cleanup_buffer_ struct fleet_buffer b = FLEET_BUFFER_INIT;

	fleet_buffer_printf(&b, "%s", message);
	if (down_ms >= 0 && !strstr(message, "down "))
		fleet_buffer_printf(&b, ", down %s", format_duration(down_ms).text);
	output_line(stdout, "%s is v%s%s%s%s: %s [%s]. Back: fleetctl apps rollback %s %s",
		format_field(command, "appId"), str_empty(to) ? "?" : to + (*to == 'v'), from ? " (was " : "",
		from ? from : "", from ? ")" : "", b.data,
		format_id(fleet_json_string(command, "commandId")).text, format_field(command, "agentId"),
		format_field(command, "appId"));
}

static void success(struct json_object *command, bool dry_run)
{
	struct short_text id = format_id(fleet_json_string(command, "commandId"));
	const char *action = format_field(command, "command");
	const char *message = fleet_json_string(command, "message");
	const char *version = fleet_json_string(command, "toVersion");
	_cleanup_buffer_ struct fleet_buffer b = FLEET_BUFFER_INIT;

	if (str_equal(action, "push-config")) {
		push_success(command, dry_run);
		return;
	}
	if (str_empty(message)) { /* the server's own sentence says most */
		app_state_add(&b, command);
		pid_and_pause_add(&b, command);
		message = b.len ? b.data : "done";
	}
	if (str_equal(action, "update-app") || str_equal(action, "rollback-app"))
		version_success(command, version, message);
	else
		output_line(stdout, "%s [%s]", message, id.text);
}

static void log_lines(struct json_object *command, const char *indent, size_t max)
{
	struct json_object *lines = fleet_json_array(command, "logLines");
	size_t count = lines ? json_object_array_length(lines) : 0;

	for (size_t i = count > max ? count - max : 0; i < count; i++)
		output_line(
			stderr, "%s%s", indent, json_object_get_string(json_object_array_get_idx(lines, i)));
}

/* Where a failure's message goes on from why it failed to what was done about it, or to the check's own
 * words. */
static size_t why_len(const char *message, const char **ret_rest)
{
	static const char *const marks[] = {". Rolled back: ", ". Not rolled back: ",
		". The old file is back", ". It was not well before"};
	static const char health[] = "health check failed: ";
	size_t len = strlen(message);

	*ret_rest = message + len;
	if (str_starts(message, health)) {
		*ret_rest = message + strlen(health);
		return strlen(health) - 2;
	}
	for (size_t i = 0; i < FLEET_ARRAY_LEN(marks); i++) {
		const char *at = strstr(message, marks[i]);

		if (at && (size_t)(at - message) < len) {
			len = (size_t)(at - message);
			*ret_rest = at + 2;
		}
	}
	return len;
}

static void failure(struct json_object *command)
{
	const char *message = format_field(command, "message");
	const char *status = fleet_json_string(command, "appStatus");
	const char *version = fleet_json_string(command, "fromVersion");
	struct short_text id = format_id(fleet_json_string(command, "commandId"));
	_cleanup_buffer_ struct fleet_buffer b = FLEET_BUFFER_INIT;
	const char *rest;
	size_t len = why_len(message, &rest);
	bool said = strstr(rest, "olled back: ") || strstr(rest, "file is back"); /* how the app is now */

	output_line(stderr, "%s failed for %s on %s: %.*s", report_action(command),
		format_field(command, "appId"), format_field(command, "agentId"), (int)len, message);
	log_lines(command, "    ", LOG_LINES_SHOWN);
	if (*rest)
		fleet_buffer_printf(&b, "%s. ", rest);
	if (!said && fleet_json_bool(command, "rolledBack", false))
		fleet_buffer_printf(&b, "Rolled back: %s is %s, %s. ",
			version ? version : format_field(command, "appId"), format_status(status).text,
			fleet_json_bool(command, "appHealthy", false) ? "healthy" : "not healthy");
	else if (!said && status)
		fleet_buffer_printf(
			&b, "%s is %s. ", format_field(command, "appId"), format_status(status).text);
	output_line(stderr, "  %sNext: fleetctl commands show %s", b.len ? b.data : "", id.text);
}

int report_exit_code(struct json_object *command)
{
	const char *state = format_field(command, "state");

	if (str_equal(state, "succeeded"))
		return CLI_OK;
	/* A failure that does not say how the app is did not touch it. */
	if (str_equal(state, "failed") && !fleet_json_bool(command, "appHealthy", true))
		return CLI_APP_UNHEALTHY;
	return CLI_COMMAND_FAILED;
}

int report_outcome(struct json_object *command, bool dry_run)
{
	const char *state = format_field(command, "state");
	const char *message = fleet_json_string(command, "message");

	if (str_equal(state, "succeeded")) {
		success(command, dry_run);
	} else if (str_equal(state, "failed")) {
		failure(command);
	} else {
		output_line(stderr, "%s %s for %s on %s%s%s", report_action(command),
			str_equal(state, "unknown") ? "ended unknown" : state, format_field(command, "appId"),
			format_field(command, "agentId"), message ? ": " : "", message ? message : "");
		output_line(stderr, "  Next: fleetctl commands show %s",
			format_id(fleet_json_string(command, "commandId")).text);
	}
	return report_exit_code(command);
}

static void detail_line(const char *name, const char *value)
{
	if (!str_empty(value))
		output_line(stdout, "  %-10s %s", name, value);
}

/* From one time to another, "" where one is missing. */
static struct short_text took(struct json_object *obj)
{
	struct short_text none = {""};
	const char *from = fleet_json_string(obj, "startedAt");
	const char *to = fleet_json_string(obj, "finishedAt");
	int64_t from_ms, to_ms;

	if (!from || !to || fleet_timestamp_parse(from, &from_ms) < 0 ||
		fleet_timestamp_parse(to, &to_ms) < 0)
		return none;
	return format_duration(to_ms > from_ms ? to_ms - from_ms : 0);
}

static void step_lines(struct json_object *steps)
{
	if (steps && json_object_array_length(steps) > 0)
		output_line(stdout, "  Steps");
	for (size_t i = 0; steps && i < json_object_array_length(steps); i++) {
		struct json_object *step = json_object_array_get_idx(steps, i);
		const char *message = fleet_json_string(step, "message");
		const char *mark = !fleet_json_get(step, "ok")          ? "..."
				   : fleet_json_bool(step, "ok", false) ? "ok"
									: "failed";

		output_line(stdout, "    %-7s %s%s%s%s%s", mark, format_field(step, "step"),
			message ? ": " : "", message ? message : "", took(step).text[0] ? ", " : "",
			took(step).text);
	}
}

static void progress_detail(struct json_object *progress)
{
	const char *step = fleet_json_string(progress, "step");
	const char *message = fleet_json_string(progress, "message");
	int64_t percent = fleet_json_int(progress, "percent", -1);
	_cleanup_buffer_ struct fleet_buffer b = FLEET_BUFFER_INIT;

	if (!step)
		return;
	fleet_buffer_add_string(&b, step);
	if (percent >= 0)
		fleet_buffer_printf(&b, ", %lld %%", (long long)percent);
	if (!str_empty(message))
		fleet_buffer_printf(&b, ": %s", message);
	detail_line("Doing", b.data);
}

void report_details(struct json_object *command)
{
	struct json_object *changes = changes_of(command);
	struct json_object *lines = fleet_json_array(command, "logLines");
	struct json_object *progress = fleet_json_object(command, "progress");
	bool done = str_equal(format_field(command, "state"), "succeeded");
	_cleanup_buffer_ struct fleet_buffer app = FLEET_BUFFER_INIT;

	output_line(stdout, "%s of %s on %s: %s [%s]", report_action(command), format_field(command, "appId"),
		format_field(command, "agentId"), format_field(command, "state"),
		format_id(fleet_json_string(command, "commandId")).text);
	detail_line("Id", fleet_json_string(command, "commandId"));
	detail_line("Asked by", fleet_json_string(command, "actor"));
	detail_line("Asked", format_date(fleet_json_string(command, "createdAt")).text);
	detail_line("Started", format_date(fleet_json_string(command, "startedAt")).text);
	detail_line("Finished", format_date(fleet_json_string(command, "finishedAt")).text);
	detail_line("Took", took(command).text);
	if (!report_is_final(command)) {
		detail_line("Expires", format_date(fleet_json_string(command, "expiresAt")).text);
		progress_detail(progress);
	}
	detail_line("Result", fleet_json_string(command, "message"));
	detail_line("Error", fleet_json_string(command, "errorCode"));
	app_state_add(&app, command);
	if (app.len) {
		pid_and_pause_add(&app, command);
		detail_line("App", app.data);
	}
	detail_line("File", fleet_json_string(command, "file"));
	detail_line("Hash", fleet_json_string(command, "hash"));
	/* one that failed is not now what it was to be */
	detail_line(done ? "Was" : "From", fleet_json_string(command, "fromVersion"));
	detail_line(done ? "Now" : "To", fleet_json_string(command, "toVersion"));
	step_lines(fleet_json_array(command, "steps"));
	if (changes && json_object_array_length(changes) > 0)
		output_line(stdout, "  Changes");
	for (size_t i = 0; changes && i < json_object_array_length(changes); i++) {
		_cleanup_buffer_ struct fleet_buffer b = FLEET_BUFFER_INIT;

		report_change_add(&b, json_object_array_get_idx(changes, i));
		output_line(stdout, "    %s", b.data);
	}
	(void)diff_write(command); /* of a dry run only */
	if (lines && json_object_array_length(lines) > 0)
		output_line(stdout, "  Log");
	for (size_t i = 0; lines && i < json_object_array_length(lines); i++)
		output_line(stdout, "    %s", json_object_get_string(json_object_array_get_idx(lines, i)));
}
