#include "agent/host/local_verbs.h"
#include "fleet/clock.h"
#include "fleet/ids.h"
#include "fleet/limits.h"

#define LOCAL_TTL_MS 600000 /* a rollback that waits for the same app so long was not meant any more */

struct local_wait {
	struct local_wait *next;
	char command_id[FLEET_UUID_LEN + 1];
	uint64_t peer_id;
};

/* ---- answers ---- */

static void refuse(
	struct host *h, uint64_t peer_id, struct json_object *frame, const char *code, const char *why)
{
	_cleanup_json_ struct json_object *answer = fleet_message_new(FLEET_FRAME_REFUSED);

	fleet_json_add_string(answer, "refId", fleet_json_string(frame, "id"));
	fleet_json_add_string(answer, "code", code);
	fleet_json_add_string(answer, "message", why);
	peers_send(h, peer_id, answer);
}

static void done(struct host *h, uint64_t peer_id, struct json_object *frame, const char *fmt, ...)
	FLEET_PRINTF(4, 5);
static void done(struct host *h, uint64_t peer_id, struct json_object *frame, const char *fmt, ...)
{
	_cleanup_json_ struct json_object *answer = fleet_message_new(FLEET_FRAME_LOCAL_DONE);
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	fleet_json_add_string(answer, "refId", fleet_json_string(frame, "id"));
	fleet_json_add_string(answer, "message", text);
	peers_send(h, peer_id, answer);
}

/* The app that the frame names, or NULL and the peer has heard so. */
static const struct app *find_app(struct host *h, uint64_t peer_id, struct json_object *frame)
{
	const char *id = fleet_json_string(frame, "appId"), *near;
	const struct app *app = apps_find(&h->apps, id);
	_cleanup_free_ char *why = NULL;

	if (app)
		return app;
	near = apps_nearest(&h->apps, id);
	why = xasprintf("app '%s' is not declared on this server%s%s%s", id, near ? "; did you mean " : "",
		near ? near : "", near ? "?" : "");
	refuse(h, peer_id, frame, "app-not-found", why);
	return NULL;
}

static struct json_object *event_of_root(const char *category, const char *app_id, const char *text)
{
	struct json_object *event = outcomes_event_frame(category, app_id, NULL, text),
			   *details = json_object_new_object();

	fleet_json_add_string(details, "actor", LOCAL_ACTOR);
	fleet_json_add(event, "details", details);
	return event;
}

/* ---- how things stand ---- */

static struct json_object *describe_hold(const struct ledger_hold *hold)
{
	struct json_object *o = json_object_new_object();

	fleet_json_add_time(o, "until", hold->until_ms);
	fleet_json_add_time(o, "since", hold->since_ms);
	fleet_json_add_string(o, "by", hold->by);
	fleet_json_add_string(o, "reason", hold->reason);
	return o;
}

static struct json_object *describe_command(const struct host *h, const struct ledger_entry *e)
{
	static const char *const members[] = {"action", "appId", "actor", "issuedAt"};
	_cleanup_json_ struct json_object *payload = NULL, *step = NULL;
	struct json_object *o = json_object_new_object();

	fleet_json_add_string(o, "commandId", e->id);
	fleet_json_add_bool(o, "begun", e->state == LEDGER_BEGUN);
	/* what cannot be read is left out: the id says which command it is */
	if (ledger_payload(h->ledger, e, &payload, NULL) >= 0) {
		for (size_t i = 0; i < FLEET_ARRAY_LEN(members); i++)
			fleet_json_add_string(o, members[i], fleet_json_string(payload, members[i]));
	}
	if (e->last_at >= 0 && ledger_last_step(h->ledger, e, &step, NULL) >= 0)
		fleet_json_add_string(o, "step", fleet_json_string(step, "step"));
	return o;
}

static struct json_object *open_commands(const struct host *h)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < ledger_count(h->ledger); i++) {
		const struct ledger_entry *e = ledger_at(h->ledger, i);

		if (!e->is_event && e->state != LEDGER_ENDED)
			json_object_array_add(list, describe_command(h, e));
	}
	return list;
}

static struct json_object *holds_now(const struct host *h)
{
	struct json_object *list = json_object_new_array();
	int64_t now = fleet_clock_wall_ms();

	for (size_t i = 0; i < ledger_hold_count(h->ledger) && i < FLEET_APPS_PER_AGENT_MAX; i++) {
		const struct ledger_hold *hold = ledger_hold_at(h->ledger, i);
		struct json_object *o;

		if (hold->until_ms <= now)
			continue;
		o = describe_hold(hold);
		fleet_json_add_string(o, "appId", hold->app_id);
		json_object_array_add(list, o);
	}
	return list;
}

void local_inspect(struct host *h, uint64_t peer_id, struct json_object *frame)
{
	static const char *const members[] = {"hostVersion", "apps", "drivers", "problems", "keyIds"};
	_cleanup_json_ struct json_object *answer = fleet_message_new(FLEET_FRAME_INSPECTION);
	_cleanup_json_ struct json_object *description = peers_description(h);

	fleet_json_add_string(answer, "refId", fleet_json_string(frame, "id"));
	fleet_json_add_string(answer, "agentId", h->config->agent_id);
	fleet_json_add_bool(answer, "agentConnected", h->outcome_peer != 0);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(members); i++)
		fleet_json_add(answer, members[i], json_object_get(fleet_json_get(description, members[i])));
	fleet_json_add(answer, "commands", open_commands(h));
	fleet_json_add(answer, "holds", holds_now(h));
	fleet_json_add_int(answer, "unsentEvents", (int64_t)ledger_unsent_events(h->ledger));
	peers_send(h, peer_id, answer);
}

/* ---- holds ---- */

char *local_hold_sentence(const struct ledger_hold *hold)
{
	return xasprintf("app '%s' is held until %s by %s (%s); nothing was done", hold->app_id,
		fleet_timestamp_format(hold->until_ms).text, hold->by, hold->reason);
}

void local_add_hold(const struct host *h, struct json_object *app)
{
	const struct ledger_hold *hold =
		ledger_find_hold(h->ledger, fleet_json_string(app, "id"), fleet_clock_wall_ms());

	if (hold)
		fleet_json_add(app, "hold", describe_hold(hold));
}

static size_t commands_of(const struct host *h, const struct app *app)
{
	size_t n = 0;

	for (const struct queue_item *i = h->queue.first; i; i = i->next) {
		_cleanup_free_ char *key = app_service_key(app);

		if (i->running && queue_holds(&h->queue, i->command_id, key))
			n++;
	}
	return n;
}

void local_hold(struct host *h, uint64_t peer_id, struct json_object *frame)
{
	const struct app *app = find_app(h, peer_id, frame);
	_cleanup_free_ char *reason = xstrdup(fleet_json_string(frame, "reason")), *text = NULL;
	struct ledger_hold hold = {.since_ms = fleet_clock_wall_ms()};
	_cleanup_json_ struct json_object *event = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	size_t running;

	if (!app)
		return;
	fleet_text_sanitize(reason);
	hold.app_id = app->id;
	hold.by = (char *)(uintptr_t)LOCAL_ACTOR; /* borrowed by the call */
	hold.reason = reason;
	hold.until_ms = hold.since_ms + fleet_json_int(frame, "seconds", 1) * 1000;
	text = xasprintf("%s is held until %s by %s: %s", app->id, fleet_timestamp_format(hold.until_ms).text,
		LOCAL_ACTOR, reason);
	event = event_of_root("system", app->id, text);
	if (ledger_hold(h->ledger, &hold, event, &err) < 0) {
		log_error("%s", err.message);
		refuse(h, peer_id, frame, "internal", err.message);
		return;
	}
	log_info("%s", text);
	running = commands_of(h, app);
	done(h, peer_id, frame, "%s is held until %s: commands from the console are refused%s", app->id,
		fleet_timestamp_format(hold.until_ms).text,
		running ? "; the one that runs now goes on to its end" : "");
	outcomes_tell(h);
}

void local_unhold(struct host *h, uint64_t peer_id, struct json_object *frame)
{
	const char *app_id = fleet_json_string(frame, "appId");
	_cleanup_free_ char *text = xasprintf("%s is no longer held, says %s", app_id, LOCAL_ACTOR);
	_cleanup_json_ struct json_object *event = event_of_root("system", app_id, text);
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = ledger_unhold(h->ledger, app_id, event, &err);

	if (r == -ENOENT && !find_app(h, peer_id, frame))
		return;
	if (r < 0) {
		refuse(h, peer_id, frame, r == -ENOENT ? "not-held" : "internal", err.message);
		return;
	}
	log_info("%s", text);
	done(h, peer_id, frame, "%s is no longer held", app_id);
	outcomes_tell(h);
}

/* ---- a rollback ---- */

static struct json_object *rollback_payload(const struct host *h, const struct app *app)
{
	struct json_object *payload = json_object_new_object();
	int64_t now = fleet_clock_wall_ms();

	fleet_json_add_int(payload, "v", 1);
	fleet_json_add_string(payload, "agentId", h->config->agent_id);
	fleet_json_add_string(payload, "appId", app->id);
	fleet_json_add_string(payload, "commandId", fleet_uuid_new().text);
	fleet_json_add_string(payload, "action", fleet_action_to_string(FLEET_ACTION_ROLLBACK_APP));
	fleet_json_add_string(payload, "actor", LOCAL_ACTOR);
	fleet_json_add_time(payload, "issuedAt", now);
	fleet_json_add_time(payload, "expiresAt", now + LOCAL_TTL_MS);
	fleet_json_add(payload, "args", json_object_new_object());
	return payload;
}

void local_rollback(struct host *h, uint64_t peer_id, struct json_object *frame)
{
	const struct app *app = find_app(h, peer_id, frame);
	_cleanup_json_ struct json_object *payload = NULL, *answer = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct local_wait *wait;
	const char *id;

	if (!app)
		return;
	payload = rollback_payload(h, app);
	id = fleet_json_string(payload, "commandId");
	if (commands_take_local(h, payload, &err) < 0) {
		refuse(h, peer_id, frame, "busy", err.message);
		return;
	}
	wait = xcalloc(1, sizeof(*wait));
	snprintf(wait->command_id, sizeof(wait->command_id), "%s", id);
	wait->peer_id = peer_id;
	wait->next = h->local;
	h->local = wait;
	answer = fleet_message_new(FLEET_FRAME_ACCEPTED);
	fleet_json_add_string(answer, "commandId", id);
	peers_send(h, peer_id, answer);
	outcomes_event(h, "update", app->id, NULL, "%s: rollback asked for on the server by %s", app->id,
		LOCAL_ACTOR);
	commands_pump(h);
}

struct json_object *local_end_event(struct json_object *result)
{
	const char *app_id = fleet_json_string(result, "appId"), *why = fleet_json_string(result, "message");
	bool success = fleet_json_bool(result, "success", false);
	_cleanup_free_ char *text = xasprintf("%s: rollback by %s %s%s%s", app_id, LOCAL_ACTOR,
		success ? "done" : "failed", why ? ": " : "", why ? why : "");

	if (strlen(text) > FLEET_TEXT_MAX)
		text[FLEET_TEXT_MAX] = '\0';
	return event_of_root("update", app_id, text);
}

/* ---- who waits ---- */

uint64_t local_asker(const struct host *h, const char *command_id)
{
	for (const struct local_wait *w = h->local; w; w = w->next) {
		if (str_equal(w->command_id, command_id))
			return w->peer_id;
	}
	return 0;
}

static void forget(struct host *h, const char *command_id, uint64_t peer_id)
{
	for (struct local_wait **at = &h->local; *at;) {
		struct local_wait *w = *at;

		if (command_id ? str_equal(w->command_id, command_id) : w->peer_id == peer_id) {
			*at = w->next;
			free(w);
		} else {
			at = &w->next;
		}
	}
}

void local_ended(struct host *h, const char *command_id, struct json_object *result)
{
	uint64_t asker = local_asker(h, command_id);

	if (asker)
		peers_send(h, asker, result);
	forget(h, command_id, 0);
}

void local_forget_peer(struct host *h, uint64_t peer_id)
{
	forget(h, NULL, peer_id);
}

void local_free(struct host *h)
{
	while (h->local)
		forget(h, h->local->command_id, 0);
}
