/* What moves open commands on: agents' words, operators' second thoughts, and time. */
#include "console/commands_internal.h"
#include "fleet/clock.h"
#include "fleet/log.h"

/* --- asking ------------------------------------------------------------------------------------------ */

struct question {
	struct commands *commands;
	char *actor, *abandon; /* owned; of a cancellation */
	commands_found *done;
	void *arg;
};

static struct question *question_new(struct commands *commands, commands_found *done, void *arg)
{
	struct question *question = xcalloc(1, sizeof(*question));

	question->commands = commands;
	question->done = done;
	question->arg = arg;
	return question;
}

static void question_free(struct question *question)
{
	free(question->actor);
	free(question->abandon);
	free(question);
}

static void on_got(int result, struct command *command, const struct fleet_error *err, void *arg)
{
	struct question *question = arg;
	struct command *open = result < 0 ? NULL : commands_open_get(question->commands, command->id);

	question->done(result, open ? open : command, err, question->arg);
	question_free(question);
}

void commands_get(struct commands *commands, const char *id_or_tail, commands_found *done, void *arg)
{
	struct open_command *open = commands_find(commands, id_or_tail);

	if (open)
		done(0, open->command, NULL, arg);
	else
		store_command_get(
			commands->options.store, id_or_tail, on_got, question_new(commands, done, arg));
}

/* --- cancelling -------------------------------------------------------------------------------------- */

static void on_cancelled(int result, const char *id, void *arg)
{
	struct question *question = arg;
	struct command *command = commands_open_get(question->commands, id);
	struct fleet_error err = FLEET_ERROR_INIT;

	if (result < 0)
		result = fleet_error_errno(&err, result, "command %s could not be ended", id);
	question->done(result, command, &err, question->arg);
	question_free(question);
}

static void on_cancel_found(int result, struct command *command, const struct fleet_error *err, void *arg)
{
	struct question *question = arg;
	struct commands *commands = question->commands;
	struct open_command *open = result < 0 ? NULL : commands_find(commands, command->id);
	_cleanup_free_ char *why = NULL;

	if (result >= 0 && open && !open->busy && question->abandon && command->state == COMMAND_UNKNOWN) {
		why = xasprintf("abandoned by %s: %s", question->actor, question->abandon);
		commands_finish(commands, open, COMMAND_FAILED, NULL, why, on_cancelled, question);
		return;
	}
	if (result >= 0 && open && !open->busy && !question->abandon && command->state == COMMAND_QUEUED) {
		why = xasprintf("cancelled by %s before it was sent", question->actor);
		commands_finish(commands, open, COMMAND_CANCELLED, NULL, why, on_cancelled, question);
		return;
	}
	question->done(result < 0 ? result : -EBUSY, command, err, question->arg);
	question_free(question);
}

void commands_cancel(struct commands *commands, const char *id_or_tail, const char *actor,
	const char *abandon, commands_found *done, void *arg)
{
	struct question *question = question_new(commands, done, arg);

	question->actor = xstrdup(actor);
	question->abandon = xstrdup(abandon);
	commands_get(commands, id_or_tail, on_cancel_found, question);
}

/* --- what agents say --------------------------------------------------------------------------------- */

static int find_for_agent(
	struct commands *commands, const char *agent_id, const char *id, struct open_command **ret)
{
	struct open_command *open = commands_find(commands, id);

	if (!open)
		return -ENOENT;
	if (!str_equal(open->command->agent_id, agent_id)) {
		log_warn("%s speaks of command %s, which is %s's: ignored", agent_id, id,
			open->command->agent_id);
		return -EPERM;
	}
	*ret = open;
	return 0;
}

static void on_advanced(int result, const struct fleet_error *err, void *arg)
{
	(void)arg;
	if (result < 0) /* harmless: after a restart the command is taken for less far than it is */
		log_error("a command's state could not be kept: %s", err ? err->message : strerror(-result));
}

static void advance(struct commands *commands, struct open_command *open, enum command_state state)
{
	int64_t now = fleet_clock_wall_ms();

	open->heard_ms = fleet_clock_monotonic_ms();
	if (command_state_is_final(open->command->state) || open->command->state >= state)
		return;
	open->command->state = state;
	if (state == COMMAND_RUNNING)
		open->command->started_ms = now;
	store_command_advance(commands->options.store, open->command->id, state, now, on_advanced, NULL);
	commands_publish(commands, open->command);
}

int commands_accepted(struct commands *commands, const char *agent_id, const char *id)
{
	struct open_command *open;
	int r = find_for_agent(commands, agent_id, id, &open);

	if (r >= 0)
		advance(commands, open, COMMAND_ACCEPTED);
	return r;
}

int commands_progress(struct commands *commands, const char *agent_id, struct json_object *message)
{
	struct open_command *open;
	struct command *command;
	int r = find_for_agent(commands, agent_id, fleet_json_string(message, "commandId"), &open);

	if (r < 0)
		return r;
	command = open->command;
	if (command_state_is_final(command->state))
		return 0;
	free(command->progress_step);
	command->progress_step = xstrdup(fleet_json_string(message, "step"));
	free(command->progress_message);
	command->progress_message = xstrdup(fleet_json_string(message, "message"));
	command->progress_percent = (int)fleet_json_int(message, "percent", -1);
	if (command->state == COMMAND_RUNNING) {
		open->heard_ms = fleet_clock_monotonic_ms();
		commands_publish(commands, command);
	} else {
		advance(commands, open, COMMAND_RUNNING);
	}
	return 0;
}

/* The message without its envelope. */
static struct json_object *result_new(struct json_object *message)
{
	static const char *const members[] = {"command", "appId", "success", "message", "errorCode",
		"startedAt", "finishedAt", "steps", "changedKeys", "changes", "file", "hash", "appStatus",
		"appHealthy", "verified", "rolledBack", "pid", "previousPid", "downMs", "fromVersion",
		"toVersion", "logLines", "unifiedDiff", "unifiedDiffLeft", "unifiedDiffNote"};
	struct json_object *result = json_object_new_object();

	for (size_t i = 0; i < FLEET_ARRAY_LEN(members); i++)
		fleet_json_add(result, members[i], json_object_get(fleet_json_get(message, members[i])));
	return result;
}

int commands_result(struct commands *commands, const char *agent_id, struct json_object *message,
	commands_recorded *done, void *arg)
{
	const char *id = fleet_json_string(message, "commandId");
	_cleanup_json_ struct json_object *result = NULL;
	struct open_command *open;
	bool success = fleet_json_bool(message, "success", false);
	int r = find_for_agent(commands, agent_id, id, &open);

	if (r == -ENOENT) { /* it ended before, or this console never knew it: either way nothing is waiting
			       for it */
		log_info("%s sent a result of command %s, which is not open: acknowledged", agent_id, id);
		done(0, id, arg);
		return 0;
	}
	if (r < 0)
		return r;
	result = result_new(message);
	commands_finish(
		commands, open, success ? COMMAND_SUCCEEDED : COMMAND_FAILED, result, NULL, done, arg);
	return 0;
}

/* Which refusals end a command: nothing was done and nothing will be. A `duplicate` is told beside the state
 * of the first copy, and `busy` passes. */
static bool refusal_is_final(const char *code)
{
	static const char *const codes[] = {
		"bad-signature", "unknown-key", "wrong-agent", "malformed", "too-old", "expired"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(codes); i++) {
		if (str_equal(code, codes[i]))
			return true;
	}
	return false;
}

int commands_refused(
	struct commands *commands, const char *agent_id, const char *id, const char *code, const char *text)
{
	_cleanup_json_ struct json_object *result = NULL;
	_cleanup_free_ char *why = NULL;
	struct open_command *open;
	bool late;
	int r = find_for_agent(commands, agent_id, id, &open);

	if (r < 0 || open->busy)
		return r;
	/* Late, and of all refusals the one that says for certain that nothing was done: the server looks
	 * first whether it knows the command. */
	late = open->command->state == COMMAND_UNKNOWN && str_equal(code, "expired");
	if (open->command->state != COMMAND_SENT && !late)
		return 0;
	if (str_equal(code, "busy")) {
		free(open->put_off);
		open->put_off = xstrdup(text);
		open->retry_ms = fleet_clock_monotonic_ms() + COMMANDS_RETRY_MS;
	}
	if (!refusal_is_final(code))
		return 0;
	why = xasprintf("refused by %s: %s", agent_id, text);
	result = json_object_new_object();
	fleet_json_add_bool(result, "success", false);
	fleet_json_add_string(result, "errorCode", code);
	fleet_json_add_string(result, "message", why);
	commands_finish(commands, open, str_equal(code, "expired") ? COMMAND_EXPIRED : COMMAND_FAILED, result,
		NULL, NULL, NULL);
	return 0;
}

static bool contains(struct json_object *array, const char *text)
{
	for (size_t i = 0; array && i < json_object_array_length(array); i++) {
		if (str_equal(json_object_get_string(json_object_array_get_idx(array, i)), text))
			return true;
	}
	return false;
}

/* UUIDv7 sorts by time, and so does the table: commands leave in the order in which they were asked. */
void commands_agent_ready(
	struct commands *commands, const char *agent_id, bool other_spool, struct json_object *running)
{
	int64_t now = fleet_clock_monotonic_ms();

	for (size_t i = 0; i < commands->open.count; i++) {
		struct open_command *open = commands->open.entries[i].value;
		struct command *command = open->command;

		if (!str_equal(command->agent_id, agent_id))
			continue;
		if (contains(running, command->id)) {
			advance(commands, open, COMMAND_ACCEPTED);
		} else if (open->busy) {
			continue; /* its own callback goes on with it */
		} else if (command_is_with_server(command) && other_spool) {
			commands_finish(commands, open, COMMAND_UNKNOWN, NULL,
				"the agent came back without its spool, so a result may be lost", NULL, NULL);
		} else if (command->state == COMMAND_QUEUED) {
			commands_dispatch(commands, open);
		} else if (command->state == COMMAND_SENT && now < open->expires_ms) {
			commands_transmit(commands, command);
		}
	}
}

/* --- time -------------------------------------------------------------------------------------------- */

static void tick_one(struct commands *commands, struct open_command *open, int64_t now_ms)
{
	struct command *command = open->command;
	int64_t last_ms = open->heard_ms > open->expires_ms ? open->heard_ms : open->expires_ms;
	_cleanup_free_ char *why = NULL;

	if (open->busy || now_ms < open->retry_ms)
		return;
	if (command->state == COMMAND_QUEUED && now_ms >= open->expires_ms) {
		why = xasprintf("%s was not connected before %s", command->agent_id,
			fleet_timestamp_format(command->expires_ms).text);
		commands_finish(commands, open, COMMAND_EXPIRED, NULL, why, NULL, NULL);
	} else if (command->state == COMMAND_QUEUED) {
		commands_dispatch(commands, open);
	} else if (command->state == COMMAND_SENT && open->put_off && now_ms >= open->expires_ms) {
		why = xasprintf("%s did not take it before %s: %s", command->agent_id,
			fleet_timestamp_format(command->expires_ms).text, open->put_off);
		commands_finish(commands, open, COMMAND_EXPIRED, NULL, why, NULL, NULL);
	} else if (command->state == COMMAND_SENT && open->put_off) {
		free(TAKE_PTR(open->put_off));
		commands_transmit(commands, command);
	} else if (command_is_with_server(command) && now_ms >= last_ms + COMMANDS_SILENCE_MS) {
		why = xasprintf("%s was sent it, and has not said how it ended", command->agent_id);
		commands_finish(commands, open, COMMAND_UNKNOWN, NULL, why, NULL, NULL);
	}
}

void commands_tick(struct commands *commands, int64_t now_ms)
{
	for (size_t i = 0; i < commands->open.count; i++)
		tick_one(commands, commands->open.entries[i].value, now_ms);
}
