/* What agents say, one function a message. A message at fault is answered with `error` and forgotten; the
 * connection stays. What must last is acked only after its commit. */
#include "console/audit.h"
#include "console/hub_link.h"
#include "console/joining.h"
#include "fleet/clock.h"
#include "fleet/failpoint.h"
#include "fleet/log.h"

#define CLOSE_POLICY        1008
#define CLOSE_TRY_AGAIN     1013
#define BAD_MESSAGES_LOGGED 10 /* of one connection: an agent gone mad must not fill the log */
#define AUDIT_DETAILS_MAX   (16 * 1024)

/* --- answers ----------------------------------------------------------------------------------------- */

static void send_or_note(struct hub_link *link, struct json_object *message)
{
	int r = hub_link_send(link, message);

	if (r < 0)
		log_debug("%s could not be sent a message: %s", link->agent_id, strerror(-r));
}

static void send_error(struct hub_link *link, const char *code, const char *text, struct json_object *about)
{
	_cleanup_json_ struct json_object *message = fleet_message_new(FLEET_MESSAGE_ERROR);
	const char *colon = strstr(text, ": "), *ref_id = about ? fleet_json_string(about, "id") : NULL;

	if (++link->bad_messages <= BAD_MESSAGES_LOGGED)
		log_warn("a message from %s was refused: %s%s", link->agent_id, text,
			link->bad_messages == BAD_MESSAGES_LOGGED ? " (further ones are not logged)" : "");
	fleet_json_add_string(message, "code", code);
	fleet_json_add_string(message, "message", text);
	if (text[0] == '$' && colon) {
		_cleanup_free_ char *path = xstrndup(text, (size_t)(colon - text));

		fleet_json_add_string(message, "path", path);
	}
	fleet_json_add_string(message, "refId", fleet_uuid_is_valid(ref_id ? ref_id : "") ? ref_id : NULL);
	send_or_note(link, message);
}

static void add_head(struct hub_link *link, struct json_object *message)
{
	const struct store_head *head = store_audit_head(link->hub->options.store);
	struct json_object *json;

	if (head->seq <= 0)
		return;
	json = json_object_new_object();
	fleet_json_add_int(json, "seq", head->seq);
	fleet_json_add_string(json, "hash", head->hash);
	fleet_json_add(message, "head", json);
}

/* --- acks -------------------------------------------------------------------------------------------- */

static void on_ack_due(evutil_socket_t fd, short what, void *arg);

static void schedule_ack(struct hub_link *link)
{
	if (!link->owner)
		return; /* they come again on the next connection, and are acked there */
	if (link->ack_running)
		link->ack_again = true;
	else if (!link->ack_timer)
		hub_timer_start(link, &link->ack_timer, on_ack_due, HUB_ACK_DELAY_MS);
}

static void on_ack_seq(int result, int64_t seq, const char *event_id, void *arg)
{
	_cleanup_(hub_link_unrefp) struct hub_link *link = arg;
	_cleanup_json_ struct json_object *message = fleet_message_new(FLEET_MESSAGE_ACK);

	(void)event_id;
	link->ack_running = false;
	if (!link->owner)
		return;
	if (result >= 0)
		fleet_json_add_int(message, "auditSeq", seq);
	fleet_json_add(message, "resultIds", link->result_ids);
	link->result_ids = json_object_new_array();
	add_head(link, message);
	FLEET_FAILPOINT("console.ack");
	send_or_note(link, message);
	if (link->ack_again) {
		link->ack_again = false;
		schedule_ack(link);
	}
}

static void on_ack_due(evutil_socket_t fd, short what, void *arg)
{
	struct hub_link *link = arg;

	(void)fd;
	(void)what;
	hub_timer_stop(&link->ack_timer);
	link->ack_running = true;
	store_spool_seq(
		link->hub->options.store, link->agent_id, link->spool_id, on_ack_seq, hub_link_ref(link));
}

/* What was not kept is not acked, and comes again after a reconnect: see to it that there is one. */
static void on_store_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	hub_link_close(arg, CLOSE_TRY_AGAIN, "the console could not store what the agent sent");
}

/* Until the agent comes again, and says all of it in its order, nothing is taken that belongs behind what was
 * lost. */
static void store_failed(struct hub_link *link)
{
	link->behind = true;
	if (link->owner && !link->timer)
		hub_timer_start(link, &link->timer, on_store_retry, HUB_STORE_RETRY_MS);
}

/* --- register ---------------------------------------------------------------------------------------- */

struct witness {
	struct store *store;
	struct json_object *head; /* owned */
	char agent_id[FLEET_ID_MAX + 1];
};

static void on_witness(int result, int64_t missing, const struct fleet_error *err, void *arg)
{
	struct witness *witness = arg;
	long long seq = fleet_json_int(witness->head, "seq", 0);

	if (result < 0) {
		log_error("the audit log could not be compared with what %s was shown: %s", witness->agent_id,
			err ? err->message : strerror(-result));
	} else if (result == 0) {
		_cleanup_free_ char *what =
			missing > 0 ? xasprintf("the audit log has lost its last %lld entries",
					      (long long)missing)
				    : xstrdup("the audit log was changed");

		log_error("%s: %s was shown entry %lld with hash %s, which is not there; restored from a "
			  "backup, or "
			  "tampered with",
			what, witness->agent_id, seq, fleet_json_string(witness->head, "hash"));
		audit_system(witness->store, witness->agent_id, json_object_get(witness->head),
			"%s: entry %lld is not there as %s was shown it", what, seq, witness->agent_id);
	}
	json_object_put(witness->head);
	free(witness);
}

static void check_witness(struct hub_link *link, struct json_object *head)
{
	const char *hash = head ? fleet_json_string(head, "hash") : NULL;
	struct witness *witness;

	if (!hash || fleet_json_int(head, "seq", 0) <= 0)
		return;
	witness = xcalloc(1, sizeof(*witness));
	witness->store = link->hub->options.store;
	witness->head = json_object_get(head);
	(void)snprintf(
		witness->agent_id, sizeof(witness->agent_id), "%s", link->agent_id); /* a valid id: fits */
	store_witness(
		witness->store, link->agent_id, fleet_json_int(head, "seq", 0), hash, on_witness, witness);
}

static void audit_registration(
	struct hub_link *link, const struct registration *registration, struct json_object *message)
{
	struct store *store = link->hub->options.store;
	const char *version = fleet_json_string(message, "agentVersion");
	struct json_object *details = json_object_new_object();
	char offline[32];

	fleet_json_add_string(details, "hostname", fleet_json_string(message, "hostname"));
	fleet_json_add_string(details, "instanceId", fleet_json_string(message, "instanceId"));
	if (registration->other_machine)
		log_warn("%s is another machine than before: %s", link->agent_id,
			fleet_json_string(message, "hostname"));
	if (registration->is_new) {
		log_info("%s registered (version %s) from %s", link->agent_id, version, link->peer);
	} else {
		fleet_duration_format(registration->offline_ms, offline, sizeof(offline));
		log_info("%s is online again after %s (version %s) from %s", link->agent_id, offline, version,
			link->peer);
		fleet_json_add_int(details, "offlineMs", registration->offline_ms);
	}
	audit_agent(store, link->agent_id, link->address, details, "agent registered (version %s)", version);
}

struct welcome {
	struct hub_link *link;       /* owned reference */
	struct json_object *running; /* owned; may be NULL */
	bool other_spool;
};

static void on_welcome_seq(int result, int64_t seq, const char *event_id, void *arg)
{
	struct welcome *welcome = arg;
	_cleanup_(hub_link_unrefp) struct hub_link *link = welcome->link;
	_cleanup_json_ struct json_object *running = welcome->running;
	const struct hub_options *options = &link->hub->options;
	_cleanup_json_ struct json_object *message = NULL;
	struct json_object *keys;
	bool other_spool = welcome->other_spool, again = link->ready;

	free(welcome);
	if (!link->owner)
		return;
	if (result < 0) {
		hub_link_close(link, CLOSE_TRY_AGAIN, "the console's store does not answer");
		return;
	}
	message = fleet_message_new(FLEET_MESSAGE_REGISTERED);
	if (options->config->heartbeat_interval_ms)
		fleet_json_add_int(message, "heartbeatIntervalMs", options->config->heartbeat_interval_ms);
	fleet_json_add_time(message, "serverTime", fleet_clock_wall_ms());
	fleet_json_add_int(message, "auditSeq", seq);
	fleet_json_add_string(message, "auditEventId", event_id);
	add_head(link, message);
	keys = json_object_new_array();
	json_object_array_add(keys, fleet_jws_key_to_jwk(options->key));
	fleet_json_add(message, "keys", keys);
	if (options->key_changes && json_object_array_length(options->key_changes) > 0)
		fleet_json_add(message, "keyChanges", json_object_get(options->key_changes));
	if (hub_link_send(link, message) < 0)
		return;
	link->ready = true;
	if (!again) /* an agent that registers anew on its connection has what it was sent there */
		commands_agent_ready(options->commands, link->agent_id, other_spool, running);
}

static void handle_register(struct hub_link *link, struct json_object *message)
{
	const struct hub_options *options = &link->hub->options;
	bool again = link->agent != NULL;
	struct registration registration;
	struct welcome *welcome;

	if (!str_equal(fleet_json_string(message, "agentId"), link->agent_id)) {
		send_error(link, "wrong-agent", "$.agentId: must be the agentId of the connection", message);
		hub_link_close(link, CLOSE_POLICY, "register names another agent");
		return;
	}
	if (registry_register(options->registry, link->agent_id, message, registry_now(), &registration) <
		0) {
		send_error(link, "too-many-agents", "this console holds as many agents as it may", message);
		hub_link_close(link, CLOSE_TRY_AGAIN, "too many agents");
		return;
	}
	link->agent = registration.agent;
	(void)snprintf(link->spool_id, sizeof(link->spool_id), "%s",
		fleet_json_string(message, "spoolId")); /* a uuid */
	hub_timer_stop(&link->timer);
	if (!again || registration.other_version)
		audit_registration(link, &registration, message);
	check_witness(link, fleet_json_object(message, "auditHead"));
	if (!again) /* else it says nothing anew */
		store_agent_returns(options->store, link->agent_id);
	welcome = xcalloc(1, sizeof(*welcome));
	welcome->link = hub_link_ref(link);
	welcome->running = json_object_get(fleet_json_array(message, "running"));
	welcome->other_spool = registration.other_spool;
	store_spool_seq(options->store, link->agent_id, link->spool_id, on_welcome_seq, welcome);
}

/* --- the others -------------------------------------------------------------------------------------- */

static void handle_heartbeat(struct hub_link *link, struct json_object *message)
{
	const struct hub_options *options = &link->hub->options;
	_cleanup_json_ struct json_object *before =
		json_object_get(fleet_json_array(link->agent->doc, "apps"));

	registry_heartbeat(options->registry, link->agent, message, registry_now());
	if (options->apps_seen)
		options->apps_seen(
			link->agent_id, before, fleet_json_array(link->agent->doc, "apps"), options->arg);
	if (fleet_json_string(message, "refId"))
		hub_pings_answer(link, message);
}

static void on_audit_kept(int result, const struct fleet_error *err, void *arg)
{
	_cleanup_(hub_link_unrefp) struct hub_link *link = arg;

	if (result >= 0) {
		schedule_ack(link);
		return;
	}
	if (!link->behind) /* once: what comes behind it is refused for it alone */
		log_error("an audit event of %s could not be kept: %s", link->agent_id,
			err ? err->message : strerror(-result));
	store_failed(link);
}

static void handle_audit_event(struct hub_link *link, struct json_object *message)
{
	const struct hub_options *options = &link->hub->options;
	const char *command_id = fleet_json_string(message, "commandId");
	struct command *command = command_id ? commands_open_get(options->commands, command_id) : NULL;
	_cleanup_json_ struct json_object *details = json_object_get(fleet_json_object(message, "details"));
	_cleanup_free_ char *text = xstrdup(fleet_json_string(message, "message"));
	int64_t happened_ms = 0;
	size_t details_len = 0;

	if (link->behind)
		return;
	if (!str_equal(fleet_json_string(message, "spoolId"), link->spool_id)) {
		send_error(link, "wrong-spool", "$.spoolId: must be the registered one", message);
		return;
	}
	if (details)
		(void)fleet_json_text(details, &details_len);
	if (details_len > AUDIT_DETAILS_MAX) {
		json_object_put(details);
		details = json_object_new_object();
		fleet_json_add_bool(details, "cut", true);
	}
	if (fleet_timestamp_parse(fleet_json_string(message, "ts"), &happened_ms) < 0)
		happened_ms = 0; /* the envelope was checked; now, all the same */
	fleet_text_sanitize(text);
	store_audit_append(options->store,
		&(struct audit_event){
			.event_id = fleet_json_string(message, "eventId"),
			.timestamp_ms = happened_ms,
			.category = fleet_json_string(message, "category"),
			.agent_id = link->agent_id,
			.app_id = fleet_json_string(message, "appId"),
			.command_id = command_id,
			/* who asked is the console's to say, not the agent's */
			.actor = command && str_equal(command->agent_id, link->agent_id) ? command->actor
											 : NULL,
			.source_address = link->address,
			.message = text,
			.details = details,
			.spool_id = link->spool_id,
			.spool_seq = fleet_json_int(message, "seq", 0),
			.in_order = true,
		},
		on_audit_kept, hub_link_ref(link));
}

static void handle_accepted(struct hub_link *link, struct json_object *message)
{
	const char *id = fleet_json_string(message, "commandId");
	int r = commands_accepted(link->hub->options.commands, link->agent_id, id);

	if (r < 0)
		log_debug("%s accepted command %s, which is not open here", link->agent_id, id);
}

static void handle_progress(struct hub_link *link, struct json_object *message)
{
	int r = commands_progress(link->hub->options.commands, link->agent_id, message);

	if (r < 0)
		log_debug("%s goes on with command %s, which is not open here", link->agent_id,
			fleet_json_string(message, "commandId"));
}

static void on_result_kept(int result, const char *id, void *arg)
{
	_cleanup_(hub_link_unrefp) struct hub_link *link = arg;

	if (result < 0) {
		store_failed(link);
		return;
	}
	fleet_json_append_string(link->result_ids, id);
	schedule_ack(link);
}

static void handle_result(struct hub_link *link, struct json_object *message)
{
	int r;

	if (link->behind)
		return;
	r = commands_result(
		link->hub->options.commands, link->agent_id, message, on_result_kept, hub_link_ref(link));
	if (r < 0) { /* then on_result_kept is not called */
		send_error(link, "wrong-agent", "$.commandId: is another agent's command", message);
		hub_link_unref(link);
	}
}

static void handle_query_result(struct hub_link *link, struct json_object *message)
{
	hub_queries_answer(link, message);
}

static void handle_error(struct hub_link *link, struct json_object *message)
{
	const char *command_id = fleet_json_string(message, "commandId");

	if (hub_queries_refused(link, message))
		return;
	if (command_id && link->agent &&
		commands_refused(link->hub->options.commands, link->agent_id, command_id,
			fleet_json_string(message, "code"), fleet_json_string(message, "message")) < 0)
		log_debug("%s refused command %s, which is not open here", link->agent_id, command_id);
	if (++link->bad_messages <= BAD_MESSAGES_LOGGED)
		log_warn("%s does not like a message: %s (%s)", link->agent_id,
			fleet_json_string(message, "message"), fleet_json_string(message, "code"));
}

/* --- certificates ------------------------------------------------------------------------------------- */

static void on_renewal(const struct renewal *renewal, void *arg)
{
	_cleanup_(hub_link_unrefp) struct hub_link *link = arg;
	_cleanup_json_ struct json_object *message = NULL;

	link->renewing = false;
	if (!link->owner)
		return;
	if (renewal->code) {
		send_error(link, renewal->code, renewal->why, NULL);
		return;
	}
	/* It is the same agent, on the connection of before: that goes on. */
	if (link->expires_ms)
		link->expires_ms = renewal->expires_ms;
	message = fleet_message_new(FLEET_MESSAGE_RENEWED);
	fleet_json_add_string(message, "certificate", renewal->certificate);
	fleet_json_add_string(message, "authorities", renewal->authorities);
	fleet_json_add_string(message, "serverTime", fleet_timestamp_now().text);
	send_or_note(link, message);
}

static void handle_renew(struct hub_link *link, struct json_object *message)
{
	if (!link->hub->joining || link->renewing) {
		send_error(link, link->renewing ? "busy" : "not-supported",
			link->renewing ? "one certificate is being made already"
				       : "this console gives no certificates",
			message);
		return;
	}
	link->renewing = true;
	joining_renew(link->hub->joining, link->agent_id, fleet_json_string(message, "request"),
		link->address, on_renewal, hub_link_ref(link));
}

/* --- dispatch ---------------------------------------------------------------------------------------- */

static const struct {
	void (*handle)(struct hub_link *link, struct json_object *message);
	bool before_register;
} handlers[FLEET_MESSAGE_TYPE_COUNT] = {
	[FLEET_MESSAGE_REGISTER] = {handle_register, true},
	[FLEET_MESSAGE_HEARTBEAT] = {handle_heartbeat, false},
	[FLEET_MESSAGE_AUDIT_EVENT] = {handle_audit_event, false},
	[FLEET_MESSAGE_COMMAND_ACCEPTED] = {handle_accepted, false},
	[FLEET_MESSAGE_COMMAND_PROGRESS] = {handle_progress, false},
	[FLEET_MESSAGE_COMMAND_RESULT] = {handle_result, false},
	[FLEET_MESSAGE_QUERY_RESULT] = {handle_query_result, false},
	[FLEET_MESSAGE_RENEW] = {handle_renew, false},
	[FLEET_MESSAGE_ERROR] = {handle_error, true},
};

void hub_on_message(struct fleet_ws *ws, const char *text, size_t len, void *arg)
{
	_cleanup_(hub_link_unrefp) struct hub_link *link = hub_link_ref(arg); /* a handler may close it */
	_cleanup_json_ struct json_object *message = NULL;
	enum fleet_message_type type = FLEET_MESSAGE_INVALID;
	struct fleet_error err = FLEET_ERROR_INIT;
	int r;

	(void)ws;
	if (!link->owner)
		return;
	r = fleet_message_parse(text, len, FLEET_AGENT_TO_CONSOLE, &type, &message, &err);
	if (r == -EOPNOTSUPP)
		send_error(link, "unknown-type", err.message, message);
	else if (r == -EINVAL)
		send_error(link, "invalid-message", err.message, message);
	else if (r < 0)
		send_error(link, "not-a-message", err.message, NULL);
	else if (!handlers[type].handle)
		send_error(link, "unknown-type", "this type is not for the console", message);
	else if (!link->agent && !handlers[type].before_register)
		send_error(link, "not-registered", "the first message must be register", message);
	else
		handlers[type].handle(link, message);
}
