/* The life of commands, with the real store in a directory of its own. The agent is a list of what it was
 * sent. */
#include "console/commands.h"
#include "fleet/ids.h"
#include "fleet/log.h"
#include "test_console_fixture.h"

#define TTL_MS   600000
#define SENT_MAX 64

struct world {
	struct fixture f;
	struct store *store;
	struct events *events;
	struct fleet_jws_key *key;
	struct commands commands;
	bool online;
	unsigned sent_count;
	struct json_object *sent[SENT_MAX];
	int send_fails;
	/* the last answer */
	bool answered;
	int result;
	enum command_state state;
	char id[FLEET_UUID_LEN + 1];
	struct json_object *list;
};

static bool ready(const char *agent_id, void *arg)
{
	const struct world *w = arg;

	return w->online && strcmp(agent_id, "agent-001") == 0;
}

static int send_to_agent(const char *agent_id, struct json_object *message, void *arg)
{
	struct world *w = arg;

	(void)agent_id;
	if (w->send_fails)
		return -ENOTCONN;
	CU_ASSERT_FATAL(w->sent_count < SENT_MAX);
	w->sent[w->sent_count++] = json_object_get(message);
	return 0;
}

static void open_store(struct world *w)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL_FATAL(store_open(w->f.base, w->f.dir, &w->store, &err), 0);
	w->events = events_new(w->f.base);
	commands_init(&w->commands, &(struct commands_options){
					    .store = w->store,
					    .events = w->events,
					    .key = w->key,
					    .ttl_ms = TTL_MS,
					    .ready = ready,
					    .send = send_to_agent,
					    .arg = w,
				    });
	CU_ASSERT_EQUAL_FATAL(commands_load(&w->commands, &err), 0);
}

static void close_store(struct world *w)
{
	store_close(w->store);
	commands_done(&w->commands);
	events_free(w->events);
}

static struct world *world_new(void)
{
	struct world *w = xcalloc(1, sizeof(*w));

	fixture_init(&w->f);
	w->key = fleet_jws_key_new();
	w->online = true;
	open_store(w);
	return w;
}

static void world_free(struct world *w)
{
	close_store(w);
	for (unsigned i = 0; i < w->sent_count; i++)
		json_object_put(w->sent[i]);
	json_object_put(w->list);
	fleet_jws_key_free(w->key);
	fixture_done(&w->f);
	free(w);
}

/* Everything in memory is lost, as after a kill. */
static void restart(struct world *w)
{
	close_store(w);
	open_store(w);
}

static void on_command(int result, struct command *command, const struct fleet_error *err, void *arg)
{
	struct world *w = arg;

	(void)err;
	w->answered = true;
	w->result = result;
	if (command) {
		w->state = command->state;
		memcpy(w->id, command->id, sizeof(w->id));
	}
}

static int create_for(struct world *w, const char *app_id, const char *key)
{
	struct json_object *args = json_object_new_object();
	struct command_request request = {
		.action = FLEET_ACTION_RESTART_APP,
		.agent_id = "agent-001",
		.app_id = app_id,
		.actor = "operator@cli",
		.source_address = "127.0.0.1",
		.idempotency_key = key,
		.args = args,
	};

	w->answered = false;
	commands_create(&w->commands, &request, on_command, w);
	json_object_put(args);
	CU_ASSERT(fixture_wait(&w->f, fixture_is_set, &w->answered));
	return w->result;
}

static int create(struct world *w)
{
	return create_for(w, "app-a", NULL);
}

/* As the store has it: the truth that outlives the process. */
static enum command_state stored_state(struct world *w, const char *id)
{
	struct world probe = {.f = w->f};

	store_command_get(w->store, id, on_command, &probe);
	CU_ASSERT(fixture_wait(&w->f, fixture_is_set, &probe.answered));
	CU_ASSERT_EQUAL(probe.result, 0);
	return probe.state;
}

static void on_list(
	int result, struct json_object *array, const char *next, const struct fleet_error *err, void *arg)
{
	struct world *w = arg;

	(void)next;
	(void)err;
	CU_ASSERT_EQUAL(result, 0);
	json_object_put(w->list);
	w->list = json_object_get(array);
	w->answered = true;
}

/* The newest audit message of a category, or NULL; and how many there are. */
static const char *audit(struct world *w, const char *category, size_t *ret_count)
{
	struct audit_filter filter = {.category = category};

	w->answered = false;
	store_audit_query(w->store, &filter, (struct store_page){100, NULL}, on_list, w);
	CU_ASSERT(fixture_wait(&w->f, fixture_is_set, &w->answered));
	if (ret_count)
		*ret_count = json_object_array_length(w->list);
	return json_object_array_length(w->list)
		       ? fleet_json_string(json_object_array_get_idx(w->list, 0), "message")
		       : NULL;
}

struct expectation {
	struct world *w;
	enum command_state state;
	unsigned sent;
};

static bool is_in_state(void *arg)
{
	const struct expectation *e = arg;
	const struct command *command = commands_open_get(&e->w->commands, e->w->id);

	return command && command->state == e->state;
}

static bool was_sent(void *arg)
{
	const struct expectation *e = arg;

	return e->w->sent_count >= e->sent;
}

static bool is_closed(void *arg)
{
	const struct world *w = arg;

	return !commands_open_get(&w->commands, w->id);
}

#define WAIT_STATE(w, s)                                                                                     \
	CU_ASSERT(fixture_wait(&(w)->f, is_in_state, &(struct expectation){.w = (w), .state = (s)}))
#define WAIT_SENT(w, n)                                                                                      \
	CU_ASSERT(fixture_wait(&(w)->f, was_sent, &(struct expectation){.w = (w), .sent = (n)}))
#define WAIT_CLOSED(w) CU_ASSERT(fixture_wait(&(w)->f, is_closed, (w)))

static struct json_object *result_message(const char *id, bool success, const char *text)
{
	struct json_object *message = fleet_message_new(FLEET_MESSAGE_COMMAND_RESULT);

	fleet_json_add_string(message, "commandId", id);
	fleet_json_add_string(message, "command", "restart-app");
	fleet_json_add_string(message, "appId", "app-a");
	fleet_json_add_bool(message, "success", success);
	fleet_json_add_string(message, "message", text);
	return message;
}

struct recorded {
	unsigned count;
	int result;
	bool twice;
};

static void on_recorded(int result, const char *id, void *arg)
{
	struct recorded *r = arg;

	(void)id;
	r->count++;
	r->result = result;
	r->twice = r->count >= 2;
}

static bool is_recorded(void *arg)
{
	return ((struct recorded *)arg)->count > 0;
}

static void end(struct world *w, bool success, const char *text)
{
	_cleanup_json_ struct json_object *message = result_message(w->id, success, text);
	struct recorded recorded = {0};

	CU_ASSERT_EQUAL(commands_result(&w->commands, "agent-001", message, on_recorded, &recorded), 0);
	CU_ASSERT(fixture_wait(&w->f, is_recorded, &recorded));
	CU_ASSERT_EQUAL(recorded.result, 0);
}

static int64_t later(int64_t ms)
{
	return fleet_clock_monotonic_ms() + ms;
}

/* --- the tests --------------------------------------------------------------------------------------- */

static void test_goes_from_queued_to_succeeded(void)
{
	struct world *w = world_new();
	_cleanup_json_ struct json_object *payload = NULL;
	struct fleet_jws_key *keys[] = {w->key};
	const char *jws;
	size_t outcomes;

	CU_ASSERT_EQUAL(create(w), 0);
	WAIT_SENT(w, 1);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(w->sent[0], "type"), "restartApp");
	jws = fleet_json_string(w->sent[0], "jws");
	CU_ASSERT_PTR_NOT_NULL_FATAL(jws);
	CU_ASSERT_EQUAL_FATAL(fleet_jws_verify(keys, 1, jws, strlen(jws), &payload, NULL), 0);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(payload, "commandId"), w->id);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(payload, "agentId"), "agent-001");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(payload, "actor"), "operator@cli");
	CU_ASSERT_EQUAL(stored_state(w, w->id), COMMAND_SENT);

	CU_ASSERT_EQUAL(commands_accepted(&w->commands, "agent-001", w->id), 0);
	CU_ASSERT_EQUAL(stored_state(w, w->id), COMMAND_ACCEPTED);
	{
		_cleanup_json_ struct json_object *progress =
			fleet_message_new(FLEET_MESSAGE_COMMAND_PROGRESS);

		fleet_json_add_string(progress, "commandId", w->id);
		fleet_json_add_string(progress, "step", "stop");
		fleet_json_add_int(progress, "percent", 30);
		CU_ASSERT_EQUAL(commands_progress(&w->commands, "agent-001", progress), 0);
	}
	CU_ASSERT_EQUAL(stored_state(w, w->id), COMMAND_RUNNING);
	CU_ASSERT_EQUAL(commands_open_get(&w->commands, w->id)->progress_percent, 30);
	end(w, true, "Running, healthy, pid 4127");
	CU_ASSERT_PTR_NULL(commands_open_get(&w->commands, w->id));
	CU_ASSERT_EQUAL(stored_state(w, w->id), COMMAND_SUCCEEDED);
	CU_ASSERT_STRING_EQUAL(
		audit(w, "restart", &outcomes), "app-a restarted on agent-001 by operator@cli");
	CU_ASSERT_EQUAL(outcomes, 1);
	CU_ASSERT_STRING_EQUAL(audit(w, "request", NULL), "operator@cli asked to restart app-a on agent-001");
	world_free(w);
}

static void test_failure_says_why(void)
{
	struct world *w = world_new();

	CU_ASSERT_EQUAL(create(w), 0);
	WAIT_SENT(w, 1);
	end(w, false, "exited 1 after 0.4 s");
	CU_ASSERT_EQUAL(stored_state(w, w->id), COMMAND_FAILED);
	CU_ASSERT_STRING_EQUAL(audit(w, "restart", NULL),
		"Restart failed for app-a on agent-001 by operator@cli: exited 1 after 0.4 s");
	world_free(w);
}

static void test_a_refusal_ends_it_unless_it_may_pass(void)
{
	static const struct {
		const char *code;
		enum command_state state;
	} cases[] = {{"duplicate", COMMAND_SENT}, {"busy", COMMAND_SENT}, {"unheard-of", COMMAND_SENT},
		{"unknown-key", COMMAND_FAILED}, {"too-old", COMMAND_FAILED}, {"expired", COMMAND_EXPIRED}};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct world *w = world_new();

		CU_ASSERT_EQUAL(create(w), 0);
		WAIT_SENT(w, 1);
		CU_ASSERT_EQUAL(
			commands_refused(&w->commands, "agent-002", w->id, cases[i].code, "no"), -EPERM);
		CU_ASSERT_EQUAL(commands_refused(&w->commands, "agent-001", w->id, cases[i].code,
					"the key is another"),
			0);
		CU_ASSERT_EQUAL(stored_state(w, w->id), cases[i].state);
		if (cases[i].state == COMMAND_FAILED)
			CU_ASSERT_STRING_EQUAL(audit(w, "restart", NULL),
				"Restart failed for app-a on agent-001 by operator@cli: refused by "
				"agent-001: the key is another");
		world_free(w);
	}
}

static void test_what_was_put_off_is_sent_again_until_it_expires(void)
{
	struct world *w = world_new();

	CU_ASSERT_EQUAL(create(w), 0);
	WAIT_SENT(w, 1);
	WAIT_STATE(w, COMMAND_SENT);
	CU_ASSERT_EQUAL(commands_refused(&w->commands, "agent-001", w->id, "busy", "no room"), 0);
	commands_tick(&w->commands, fleet_clock_monotonic_ms());
	CU_ASSERT_EQUAL(w->sent_count, 1);
	commands_tick(&w->commands, fleet_clock_monotonic_ms() + COMMANDS_RETRY_MS + 1);
	CU_ASSERT_EQUAL(w->sent_count, 2);
	commands_tick(&w->commands, fleet_clock_monotonic_ms() + 2 * COMMANDS_RETRY_MS);
	CU_ASSERT_EQUAL(w->sent_count, 2); /* not before it was put off again */
	CU_ASSERT_EQUAL(commands_refused(&w->commands, "agent-001", w->id, "busy", "no room"), 0);
	commands_tick(&w->commands, later(TTL_MS + 1));
	CU_ASSERT_EQUAL(stored_state(w, w->id), COMMAND_EXPIRED);
	CU_ASSERT_PTR_NOT_NULL(strstr(audit(w, "restart", NULL), "did not take it before"));
	CU_ASSERT_PTR_NOT_NULL(strstr(audit(w, "restart", NULL), ": no room"));
	world_free(w);
}

static void test_result_counts_once(void)
{
	struct world *w = world_new();
	_cleanup_json_ struct json_object *first = NULL, *second = NULL;
	struct recorded recorded = {0};
	size_t outcomes;

	CU_ASSERT_EQUAL(create(w), 0);
	WAIT_SENT(w, 1);
	first = result_message(w->id, true, "done");
	second = result_message(w->id, false, "a contradiction");
	/* both before the first is committed, then once more afterwards: each is acked */
	CU_ASSERT_EQUAL(commands_result(&w->commands, "agent-001", first, on_recorded, &recorded), 0);
	CU_ASSERT_EQUAL(commands_result(&w->commands, "agent-001", second, on_recorded, &recorded), 0);
	CU_ASSERT(fixture_wait(&w->f, fixture_is_set, &recorded.twice));
	CU_ASSERT_EQUAL(commands_result(&w->commands, "agent-001", first, on_recorded, &recorded), 0);
	CU_ASSERT_EQUAL(recorded.count, 3);
	CU_ASSERT_EQUAL(recorded.result, 0);
	CU_ASSERT_EQUAL(stored_state(w, w->id), COMMAND_SUCCEEDED);
	(void)audit(w, "restart", &outcomes);
	CU_ASSERT_EQUAL(outcomes, 1);
	world_free(w);
}

static void test_another_agents_word_does_not_count(void)
{
	struct world *w = world_new();
	_cleanup_json_ struct json_object *message = NULL;
	struct recorded recorded = {0};

	CU_ASSERT_EQUAL(create(w), 0);
	WAIT_SENT(w, 1);
	WAIT_STATE(w, COMMAND_SENT);
	message = result_message(w->id, true, "I did it");
	CU_ASSERT_EQUAL(commands_result(&w->commands, "agent-002", message, on_recorded, &recorded), -EPERM);
	CU_ASSERT_EQUAL(commands_accepted(&w->commands, "agent-002", w->id), -EPERM);
	CU_ASSERT_EQUAL(recorded.count, 0);
	CU_ASSERT_EQUAL(stored_state(w, w->id), COMMAND_SENT);
	world_free(w);
}

static void test_waits_for_an_offline_agent(void)
{
	struct world *w = world_new();

	w->online = false;
	CU_ASSERT_EQUAL(create(w), 0);
	commands_tick(&w->commands, later(0));
	CU_ASSERT_EQUAL(stored_state(w, w->id), COMMAND_QUEUED);
	CU_ASSERT_EQUAL(w->sent_count, 0);
	restart(w); /* a kill between 202 and the agent's return */
	w->online = true;
	commands_agent_ready(&w->commands, "agent-001", false, NULL);
	WAIT_SENT(w, 1);
	CU_ASSERT_EQUAL(stored_state(w, w->id), COMMAND_SENT);
	world_free(w);
}

/* The same command, by the same id, under the key that servers obey now. */
static void test_is_signed_anew_after_a_change_of_keys(void)
{
	struct world *w = world_new();
	struct json_object *payloads[2] = {NULL, NULL};
	struct fleet_error err = FLEET_ERROR_INIT;
	struct fleet_jws_key *old;

	CU_ASSERT_EQUAL(create(w), 0);
	WAIT_SENT(w, 1);
	WAIT_STATE(w, COMMAND_SENT);
	old = w->key;
	w->key = fleet_jws_key_new();
	restart(w);
	commands_agent_ready(&w->commands, "agent-001", false, NULL);
	WAIT_SENT(w, 2);
	for (unsigned i = 0; i < 2; i++) {
		const char *jws = fleet_json_string(w->sent[i], "jws");

		CU_ASSERT_EQUAL(
			fleet_jws_verify(i == 0 ? &old : &w->key, 1, jws, strlen(jws), &payloads[i], &err),
			0);
	}
	CU_ASSERT(json_object_equal(payloads[0], payloads[1]));
	json_object_put(payloads[0]);
	json_object_put(payloads[1]);
	fleet_jws_key_free(old);
	world_free(w);
}

static void test_is_resent_until_accepted(void)
{
	struct world *w = world_new();
	_cleanup_json_ struct json_object *running = json_object_new_array();

	CU_ASSERT_EQUAL(create(w), 0);
	WAIT_SENT(w, 1);
	WAIT_STATE(w, COMMAND_SENT);
	restart(w);
	commands_agent_ready(&w->commands, "agent-001", false, NULL);
	WAIT_SENT(w, 2);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(w->sent[0], "jws"), fleet_json_string(w->sent[1], "jws"));
	/* the server has it, though its commandAccepted was lost */
	fleet_json_append_string(running, w->id);
	commands_agent_ready(&w->commands, "agent-001", false, running);
	CU_ASSERT_EQUAL(w->sent_count, 2);
	CU_ASSERT_EQUAL(stored_state(w, w->id), COMMAND_ACCEPTED);
	commands_agent_ready(&w->commands, "agent-001", false, NULL);
	CU_ASSERT_EQUAL(stored_state(w, w->id), COMMAND_ACCEPTED);
	CU_ASSERT_EQUAL(w->sent_count, 2);
	world_free(w);
}

static void test_expires_when_never_sent(void)
{
	struct world *w = world_new();
	const char *message;

	w->online = false;
	CU_ASSERT_EQUAL(create(w), 0);
	commands_tick(&w->commands, later(TTL_MS - 1000));
	CU_ASSERT_EQUAL(stored_state(w, w->id), COMMAND_QUEUED);
	commands_tick(&w->commands, later(TTL_MS + 1000));
	WAIT_CLOSED(w);
	CU_ASSERT_EQUAL(stored_state(w, w->id), COMMAND_EXPIRED);
	message = audit(w, "restart", NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(message);
	CU_ASSERT(str_starts(message,
		"Restart expired for app-a on agent-001 by operator@cli: agent-001 was not "
		"connected before "));
	world_free(w);
}

static void test_silence_makes_unknown_and_a_late_result_replaces_it(void)
{
	struct world *w = world_new();

	CU_ASSERT_EQUAL(create(w), 0);
	WAIT_SENT(w, 1);
	WAIT_STATE(w, COMMAND_SENT);
	commands_tick(&w->commands, later(TTL_MS + COMMANDS_SILENCE_MS - 5000));
	CU_ASSERT_EQUAL(stored_state(w, w->id), COMMAND_SENT);
	commands_tick(&w->commands, later(TTL_MS + COMMANDS_SILENCE_MS + 1000));
	WAIT_STATE(w, COMMAND_UNKNOWN);
	CU_ASSERT_EQUAL(stored_state(w, w->id), COMMAND_UNKNOWN);
	restart(w);
	end(w, true, "done long ago");
	CU_ASSERT_EQUAL(stored_state(w, w->id), COMMAND_SUCCEEDED);
	CU_ASSERT_STRING_EQUAL(audit(w, "restart", NULL), "app-a restarted on agent-001 by operator@cli");
	world_free(w);
}

/* A driver host that was away longer than the console waited: nothing was done, and it says so. Of other
 * refusals that is not certain: the first copy may have been another matter. */
static void test_a_late_refusal_as_expired_replaces_unknown(void)
{
	static const struct {
		const char *code;
		enum command_state state;
	} cases[] = {{"duplicate", COMMAND_UNKNOWN}, {"busy", COMMAND_UNKNOWN},
		{"unknown-key", COMMAND_UNKNOWN}, {"too-old", COMMAND_UNKNOWN}, {"expired", COMMAND_EXPIRED}};
	struct world *w = world_new();

	CU_ASSERT_EQUAL(create(w), 0);
	WAIT_SENT(w, 1);
	WAIT_STATE(w, COMMAND_SENT);
	commands_tick(&w->commands, later(TTL_MS + COMMANDS_SILENCE_MS + 1000));
	WAIT_STATE(w, COMMAND_UNKNOWN);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		CU_ASSERT_EQUAL(
			commands_refused(&w->commands, "agent-001", w->id, cases[i].code, "too late"), 0);
		CU_ASSERT_EQUAL(stored_state(w, w->id), cases[i].state);
	}
	CU_ASSERT_STRING_EQUAL(audit(w, "restart", NULL),
		"Restart expired for app-a on agent-001 by operator@cli: refused by agent-001: too late");
	world_free(w);
}

static void test_a_new_spool_makes_unknown_what_was_sent(void)
{
	struct world *w = world_new();
	char sent[FLEET_UUID_LEN + 1];

	CU_ASSERT_EQUAL(create(w), 0);
	WAIT_SENT(w, 1);
	WAIT_STATE(w, COMMAND_SENT);
	memcpy(sent, w->id, sizeof(sent));
	w->online = false;
	CU_ASSERT_EQUAL(create(w), 0); /* this one is still queued */
	w->online = true;
	commands_agent_ready(&w->commands, "agent-001", true, NULL);
	WAIT_SENT(w, 2);
	CU_ASSERT_EQUAL(stored_state(w, w->id), COMMAND_SENT);
	CU_ASSERT_EQUAL(stored_state(w, sent), COMMAND_UNKNOWN);
	world_free(w);
}

static void cancel(struct world *w, const char *abandon)
{
	w->answered = false;
	commands_cancel(&w->commands, w->id, "operator@cli", abandon, on_command, w);
	CU_ASSERT(fixture_wait(&w->f, fixture_is_set, &w->answered));
}

static void test_only_a_queued_one_can_be_cancelled(void)
{
	struct world *w = world_new();

	w->online = false;
	CU_ASSERT_EQUAL(create(w), 0);
	cancel(w, NULL);
	CU_ASSERT_EQUAL(w->result, 0);
	CU_ASSERT_EQUAL(w->state, COMMAND_CANCELLED);
	cancel(w, NULL);
	CU_ASSERT_EQUAL(w->result, -EBUSY);
	commands_agent_ready(&w->commands, "agent-001", false, NULL);
	CU_ASSERT_EQUAL(w->sent_count, 0);
	CU_ASSERT_STRING_EQUAL(audit(w, "restart", NULL),
		"Restart cancelled for app-a on agent-001 by operator@cli: "
		"cancelled by operator@cli before it was sent");
	w->online = true;
	CU_ASSERT_EQUAL(create(w), 0);
	WAIT_SENT(w, 1);
	cancel(w, NULL);
	CU_ASSERT_EQUAL(w->result, -EBUSY);
	CU_ASSERT_EQUAL(stored_state(w, w->id), COMMAND_SENT);
	world_free(w);
}

static void test_cancelling_while_it_is_being_sent_loses(void)
{
	struct world *w = world_new();

	w->online = false;
	CU_ASSERT_EQUAL(create(w), 0);
	w->online = true;
	commands_agent_ready(&w->commands, "agent-001", false, NULL); /* `sent` is on its way to the store */
	cancel(w, NULL);
	CU_ASSERT_EQUAL(w->result, -EBUSY);
	WAIT_SENT(w, 1);
	world_free(w);
}

static void test_an_unknown_one_can_be_abandoned(void)
{
	struct world *w = world_new();

	CU_ASSERT_EQUAL(create(w), 0);
	WAIT_SENT(w, 1);
	WAIT_STATE(w, COMMAND_SENT);
	cancel(w, "the disk is gone");
	CU_ASSERT_EQUAL(w->result, -EBUSY);
	commands_tick(&w->commands, later(TTL_MS + COMMANDS_SILENCE_MS + 1000));
	WAIT_STATE(w, COMMAND_UNKNOWN);
	cancel(w, "the disk is gone");
	CU_ASSERT_EQUAL(w->result, 0);
	CU_ASSERT_EQUAL(stored_state(w, w->id), COMMAND_FAILED);
	world_free(w);
}

static void test_an_idempotency_key_finds_the_first_command(void)
{
	struct world *w = world_new();
	char first[FLEET_UUID_LEN + 1];

	CU_ASSERT_EQUAL(create_for(w, "app-a", "k1"), 0);
	memcpy(first, w->id, sizeof(first));
	CU_ASSERT_EQUAL(create_for(w, "app-a", "k1"), -EEXIST);
	CU_ASSERT_STRING_EQUAL(w->id, first);
	CU_ASSERT_EQUAL(create_for(w, "app-b", "k1"), -ENOTUNIQ);
	CU_ASSERT_EQUAL(create_for(w, "app-b", "k2"), 0);
	WAIT_SENT(w, 2);
	CU_ASSERT_EQUAL(w->sent_count, 2);
	world_free(w);
}

/* Whoever asks again because he heard no answer is told that it was taken, however much waits by now. */
static void test_an_idempotency_key_is_found_where_there_is_no_room(void)
{
	struct world *w = world_new();
	char first[FLEET_UUID_LEN + 1];

	w->online = false;
	CU_ASSERT_EQUAL(create_for(w, "app-a", "k1"), 0);
	memcpy(first, w->id, sizeof(first));
	for (int i = 1; i < FLEET_COMMANDS_OPEN_PER_AGENT_MAX; i++)
		CU_ASSERT_EQUAL(create(w), 0);
	CU_ASSERT_EQUAL(create(w), -EDQUOT);
	CU_ASSERT_EQUAL(create_for(w, "app-a", "k2"), -EDQUOT);
	CU_ASSERT_EQUAL(create_for(w, "app-a", "k1"), -EEXIST);
	CU_ASSERT_STRING_EQUAL(w->id, first);
	CU_ASSERT_EQUAL(create_for(w, "app-b", "k1"), -ENOTUNIQ);
	CU_ASSERT_EQUAL(create_for(w, "app-a", "k2"), -EDQUOT); /* the key was not used up */
	world_free(w);
}

static void test_a_failed_send_is_made_good_at_the_next_connection(void)
{
	struct world *w = world_new();

	w->send_fails = 1;
	CU_ASSERT_EQUAL(create(w), 0);
	WAIT_STATE(w, COMMAND_SENT);
	CU_ASSERT_EQUAL(w->sent_count, 0);
	w->send_fails = 0;
	commands_agent_ready(&w->commands, "agent-001", false, NULL);
	CU_ASSERT_EQUAL(w->sent_count, 1);
	world_free(w);
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_goes_from_queued_to_succeeded),
	UNIT_TEST(test_failure_says_why),
	UNIT_TEST(test_a_refusal_ends_it_unless_it_may_pass),
	UNIT_TEST(test_what_was_put_off_is_sent_again_until_it_expires),
	UNIT_TEST(test_result_counts_once),
	UNIT_TEST(test_another_agents_word_does_not_count),
	UNIT_TEST(test_waits_for_an_offline_agent),
	UNIT_TEST(test_is_resent_until_accepted),
	UNIT_TEST(test_is_signed_anew_after_a_change_of_keys),
	UNIT_TEST(test_expires_when_never_sent),
	UNIT_TEST(test_silence_makes_unknown_and_a_late_result_replaces_it),
	UNIT_TEST(test_a_late_refusal_as_expired_replaces_unknown),
	UNIT_TEST(test_a_new_spool_makes_unknown_what_was_sent),
	UNIT_TEST(test_only_a_queued_one_can_be_cancelled),
	UNIT_TEST(test_cancelling_while_it_is_being_sent_loses),
	UNIT_TEST(test_an_unknown_one_can_be_abandoned),
	UNIT_TEST(test_an_idempotency_key_finds_the_first_command),
	UNIT_TEST(test_an_idempotency_key_is_found_where_there_is_no_room),
	UNIT_TEST(test_a_failed_send_is_made_good_at_the_next_connection),
	{0},
};

int main(void)
{
	fleet_log_init("test", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	return unit_run((const struct unit_suite[]){{"commands", tests}, {0}});
}
