#include "console/commands.h"

#include "console/commands_internal.h"
#include "console/outcome.h"
#include "fleet/clock.h"
#include "fleet/failpoint.h"
#include "fleet/log.h"

void commands_init(struct commands *commands, const struct commands_options *options)
{
	*commands = (struct commands){.options = *options};
}

static void open_free(struct open_command *open)
{
	command_unref(open->command);
	free(open->put_off);
	free(open);
}

void commands_done(struct commands *commands)
{
	for (size_t i = 0; i < commands->open.count; i++)
		open_free(commands->open.entries[i].value);
	id_table_done(&commands->open);
}

struct open_command *commands_find(const struct commands *commands, const char *id)
{
	return id_table_get(&commands->open, id);
}

struct command *commands_open_get(const struct commands *commands, const char *id)
{
	struct open_command *open = commands_find(commands, id);

	return open ? open->command : NULL;
}

const struct command *commands_find_source(
	const struct commands *commands, const char *source, const char *agent_id, bool unknown_too)
{
	for (size_t i = 0; i < commands->open.count; i++) {
		const struct command *command =
			((const struct open_command *)commands->open.entries[i].value)->command;

		if ((unknown_too || !command_state_is_final(command->state)) &&
			str_equal(fleet_json_string(command->args, "artifactUrl"), source) &&
			(!agent_id || str_equal(command->agent_id, agent_id)))
			return command;
	}
	return NULL;
}

bool command_is_with_server(const struct command *command)
{
	return command->state == COMMAND_SENT || command->state == COMMAND_ACCEPTED ||
	       command->state == COMMAND_RUNNING;
}

static struct open_command *open_add(struct commands *commands, struct command *command)
{
	struct open_command *open = xcalloc(1, sizeof(*open));
	int64_t left_ms = command->expires_ms - fleet_clock_wall_ms(), now = fleet_clock_monotonic_ms();

	/* of one from before this start: the clock may have been set meanwhile */
	if (left_ms > command->expires_ms - command->created_ms)
		left_ms = command->expires_ms - command->created_ms;
	open->command = command_ref(command);
	open->heard_ms = now;
	open->expires_ms = now + left_ms;
	id_table_add(&commands->open, command->id, open);
	return open;
}

static void open_remove(struct commands *commands, struct open_command *open)
{
	(void)id_table_remove(&commands->open, open->command->id); /* it is `open` */
	open_free(open);
}

void commands_publish(struct commands *commands, const struct command *command)
{
	_cleanup_json_ struct json_object *json = command_to_json(command);

	events_publish(commands->options.events, "command", json);
}

/* --- creating ---------------------------------------------------------------------------------------- */

struct creation {
	struct commands *commands;
	struct command *command; /* owned */
	commands_created *done;
	void *arg;
};

static void creation_free(struct creation *creation)
{
	command_unref(creation->command);
	free(creation);
}

/* Of one that has ended the values are forgotten: whether they were the same cannot be told any more. */
static bool same_args(const struct command *first, const struct command *asked)
{
	_cleanup_json_ struct json_object *a = command_args_without_values(first->args),
					  *b = command_args_without_values(asked->args);

	if (command_state_is_final(first->state) && first->state != COMMAND_UNKNOWN)
		return json_object_equal(a, b);
	return json_object_equal(first->args, asked->args);
}

static void on_existing(int result, struct command *command, const struct fleet_error *err, void *arg)
{
	struct creation *creation = arg;
	const struct command *asked = creation->command;

	if (result >= 0 &&
		(command->action != asked->action || !str_equal(command->agent_id, asked->agent_id) ||
			!str_equal(command->app_id, asked->app_id) || !same_args(command, asked)))
		result = -ENOTUNIQ;
	creation->done(result < 0 ? result : -EEXIST, command, err, creation->arg);
	creation_free(creation);
}

static void on_created(int result, const char *existing_id, const struct fleet_error *err, void *arg)
{
	struct creation *creation = arg;
	struct commands *commands = creation->commands;
	struct open_command *open = commands_find(commands, creation->command->id);

	open->busy = false;
	if (result < 0)
		open_remove(commands, open);
	if (result == -EEXIST && existing_id) {
		commands_get(commands, existing_id, on_existing, creation);
		return;
	}
	if (result >= 0)
		commands_publish(commands, creation->command);
	creation->done(result, result < 0 ? NULL : creation->command, err, creation->arg);
	creation_free(creation);
	if (result >= 0)
		commands_dispatch(commands, open);
}

static struct json_object *payload_new(const struct command *command)
{
	struct json_object *payload = json_object_new_object();

	fleet_json_add_int(payload, "v", 1);
	fleet_json_add_string(payload, "agentId", command->agent_id);
	fleet_json_add_string(payload, "appId", command->app_id);
	fleet_json_add_string(payload, "commandId", command->id);
	fleet_json_add_string(payload, "action", fleet_action_to_string(command->action));
	fleet_json_add_string(payload, "actor", command->actor);
	fleet_json_add_time(payload, "issuedAt", command->created_ms);
	fleet_json_add_time(payload, "expiresAt", command->expires_ms);
	fleet_json_add(payload, "args", json_object_get(command->args));
	return payload;
}

static int sign(const struct commands *commands, struct command *command, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *payload = payload_new(command);
	int r;

	r = fleet_command_check(payload, err);
	if (r < 0)
		return r;
	r = fleet_jws_sign(commands->options.key, payload, &command->jws, err);
	if (r < 0)
		return r;
	if (strlen(command->jws) > FLEET_COMMAND_JWS_MAX)
		return fleet_error_set(err, -E2BIG,
			"the command is too large: %zu bytes signed, at most %u fit", strlen(command->jws),
			FLEET_COMMAND_JWS_MAX);
	return 0;
}

static size_t count_open(const struct commands *commands, const char *agent_id)
{
	size_t count = 0;

	for (size_t i = 0; i < commands->open.count; i++) {
		const struct open_command *open = commands->open.entries[i].value;

		if (!command_state_is_final(open->command->state) &&
			str_equal(open->command->agent_id, agent_id))
			count++;
	}
	return count;
}

static struct command *command_from_request(
	const struct commands *commands, const struct command_request *request)
{
	struct command *command = command_new();

	command->action = request->action;
	command->agent_id = xstrdup(request->agent_id);
	command->app_id = xstrdup(request->app_id);
	command->actor = xstrdup(request->actor);
	command->source_address = xstrdup(request->source_address);
	command->args = json_object_get(request->args);
	command->created_ms = fleet_clock_wall_ms();
	command->expires_ms = command->created_ms + commands->options.ttl_ms;
	return command;
}

static int refuse_for_want_of_room(const char *agent_id, struct fleet_error *err)
{
	return fleet_error_set(err, -EDQUOT, "%s has %d open commands already: wait for them, or cancel some",
		agent_id, FLEET_COMMANDS_OPEN_PER_AGENT_MAX);
}

static void on_key_looked_up(int result, const char *existing_id, const struct fleet_error *err, void *arg)
{
	struct creation *creation = arg;
	struct fleet_error full = FLEET_ERROR_INIT;

	if (result == -EEXIST) {
		commands_get(creation->commands, existing_id, on_existing, creation);
		return;
	}
	if (result == -ENOENT) {
		result = refuse_for_want_of_room(creation->command->agent_id, &full);
		err = &full;
	}
	creation->done(result, NULL, err, creation->arg);
	creation_free(creation);
}

/* There is no room for another one. It may be one that is there: whoever heard no answer asks again. */
static void create_no_more(
	struct commands *commands, const struct command_request *request, commands_created *done, void *arg)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct creation *creation;

	if (!request->idempotency_key) {
		done(refuse_for_want_of_room(request->agent_id, &err), NULL, &err, arg);
		return;
	}
	creation = xcalloc(1, sizeof(*creation));
	*creation = (struct creation){commands, command_from_request(commands, request), done, arg};
	store_command_by_key(commands->options.store, request->actor, request->idempotency_key,
		on_key_looked_up, creation);
}

void commands_create(
	struct commands *commands, const struct command_request *request, commands_created *done, void *arg)
{
	_cleanup_json_ struct json_object *details = NULL;
	_cleanup_free_ char *message = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct creation *creation;
	struct command *command;
	int r;

	if (count_open(commands, request->agent_id) >= FLEET_COMMANDS_OPEN_PER_AGENT_MAX) {
		create_no_more(commands, request, done, arg);
		return;
	}
	command = command_from_request(commands, request);
	r = sign(commands, command, &err);
	if (r < 0) {
		command_unref(command);
		done(r, NULL, &err, arg);
		return;
	}
	open_add(commands, command)->busy = true; /* in sight, but nobody's to send before it is committed */
	creation = xcalloc(1, sizeof(*creation));
	*creation = (struct creation){commands, command, done, arg};
	message = outcome_request_message(command);
	details = outcome_request_details(command);
	store_command_create(commands->options.store, command, request->idempotency_key,
		&(struct audit_event){
			.category = "request",
			.agent_id = command->agent_id,
			.app_id = command->app_id,
			.command_id = command->id,
			.actor = command->actor,
			.source_address = command->source_address,
			.timestamp_ms = command->created_ms,
			.message = message,
			.details = details,
		},
		on_created, creation);
}

/* --- those of before a start -------------------------------------------------------------------------- */

/* Of one from before this start: the console's key may be another by now, and servers obey no other. Whoever
 * has the command already knows it by its id, whoever signed it. */
static void load_one(struct command *command, void *arg)
{
	struct commands *commands = arg;
	_cleanup_free_ char *before = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (commands_find(commands, command->id))
		return;
	before = TAKE_PTR(command->jws);
	if (sign(commands, command, &err) < 0) {
		log_warn("command %s stays signed as it was: %s", command->id, err.message);
		free(command->jws);
		command->jws = TAKE_PTR(before);
	}
	(void)open_add(commands, command); /* nothing more to note */
}

int commands_load(struct commands *commands, struct fleet_error *err)
{
	return store_commands_open(commands->options.store, load_one, commands, err);
}

/* --- sending ----------------------------------------------------------------------------------------- */

void commands_transmit(struct commands *commands, const struct command *command)
{
	_cleanup_json_ struct json_object *message = fleet_message_new(fleet_action_message(command->action));
	int r;

	fleet_json_add_string(message, "jws", command->jws);
	r = commands->options.send(command->agent_id, message, commands->options.arg);
	if (r < 0) /* sent again when the agent comes back */
		log_info("command %s did not reach %s: %s", command->id, command->agent_id, strerror(-r));
}

struct advance {
	struct commands *commands;
	struct open_command *open; /* busy, so it stays */
};

static void on_sent(int result, const struct fleet_error *err, void *arg)
{
	struct advance *advance = arg;
	struct commands *commands = advance->commands;
	struct open_command *open = advance->open;

	free(advance);
	open->busy = false;
	if (result < 0) {
		log_error("command %s stays queued: %s", open->command->id,
			err ? err->message : strerror(-result));
		open->retry_ms = fleet_clock_monotonic_ms() + COMMANDS_RETRY_MS;
		return;
	}
	if (open->command->state != COMMAND_QUEUED)
		return; /* the server has it already, as its register said meanwhile */
	FLEET_FAILPOINT("console.sent");
	open->command->state = COMMAND_SENT;
	commands_publish(commands, open->command);
	commands_transmit(commands, open->command);
}

/* `sent` is committed before the first byte leaves: a console that dies in between must not take a command
 * for one that nobody has seen. */
void commands_dispatch(struct commands *commands, struct open_command *open)
{
	struct advance *advance;

	if (open->busy || open->command->state != COMMAND_QUEUED ||
		!commands->options.ready(open->command->agent_id, commands->options.arg))
		return;
	open->busy = true;
	advance = xcalloc(1, sizeof(*advance));
	*advance = (struct advance){commands, open};
	store_command_advance(commands->options.store, open->command->id, COMMAND_SENT, fleet_clock_wall_ms(),
		on_sent, advance);
}

/* --- ending ------------------------------------------------------------------------------------------ */

struct ending {
	struct commands *commands;
	char id[FLEET_UUID_LEN + 1];
	enum command_state state;
	struct json_object *result; /* owned */
	char *message;              /* owned */
	int64_t started_ms, finished_ms;
	commands_recorded *done;
	void *arg;
};

static void ending_free(struct ending *ending)
{
	json_object_put(ending->result);
	free(ending->message);
	free(ending);
}

static void apply_ending(struct open_command *open, struct ending *ending)
{
	struct command *command = open->command;

	command->state = ending->state;
	json_object_put(command->result);
	command->result = TAKE_PTR(ending->result);
	free(command->message);
	command->message = TAKE_PTR(ending->message);
	command->started_ms = ending->started_ms;
	command->finished_ms = ending->finished_ms;
	command->progress_percent = -1;
	open->busy = false;
}

static void on_finished(int result, const struct fleet_error *err, void *arg)
{
	struct ending *ending = arg;
	struct commands *commands = ending->commands;
	struct open_command *open = commands_find(commands, ending->id);

	if (result == -EALREADY) { /* it has its one result, so this copy has done its duty */
		log_debug("command %s has ended before", ending->id);
		result = 0;
	} else if (result < 0) {
		log_error("the end of command %s could not be kept: %s", ending->id,
			err ? err->message : strerror(-result));
		if (open) {
			open->busy = false;
			open->retry_ms = fleet_clock_monotonic_ms() + COMMANDS_RETRY_MS;
		}
	} else if (open) {
		apply_ending(open, ending);
		commands_publish(commands, open->command);
	}
	FLEET_FAILPOINT("console.finished");
	if (ending->done)
		ending->done(result, ending->id, ending->arg);
	/* A command of unknown outcome stays open for its late result. */
	open = commands_find(commands, ending->id);
	if (result >= 0 && open && ending->state != COMMAND_UNKNOWN)
		open_remove(commands, open);
	ending_free(ending);
}

static int64_t time_of(struct json_object *result, const char *key, int64_t otherwise)
{
	const char *text = result ? fleet_json_string(result, key) : NULL;
	int64_t ms;

	return text && fleet_timestamp_parse(text, &ms) == 0 ? ms : otherwise;
}

void commands_finish(struct commands *commands, struct open_command *open, enum command_state state,
	struct json_object *result, const char *why, commands_recorded *done, void *arg)
{
	struct command *command = open->command;
	struct ending *ending = xcalloc(1, sizeof(*ending));
	_cleanup_json_ struct json_object *details = outcome_details(command, state, result);
	_cleanup_free_ char *message = outcome_message(command, state, result, why);

	ending->commands = commands;
	memcpy(ending->id, command->id, sizeof(ending->id));
	ending->state = state;
	ending->result = json_object_get(result);
	ending->message = outcome_clean_text(command, result ? fleet_json_string(result, "message") : why);
	ending->finished_ms = time_of(result, "finishedAt", fleet_clock_wall_ms());
	ending->started_ms = time_of(result, "startedAt", command->started_ms);
	ending->done = done;
	ending->arg = arg;
	open->busy = true;
	store_command_finish(commands->options.store, command->id, state, result, ending->message,
		ending->started_ms, ending->finished_ms,
		&(struct audit_event){
			.timestamp_ms = ending->finished_ms, /* when it happened, not when it was heard */
			.category = outcome_category(command->action),
			.agent_id = command->agent_id,
			.app_id = command->app_id,
			.command_id = command->id,
			.actor = command->actor,
			.source_address = command->source_address,
			.message = message,
			.details = details,
			.in_order = result != NULL, /* the server's word, not our own conclusion */
		},
		on_finished, ending);
}
