#include "agent/host/operation.h"
#include "agent/host/config_watch.h"
#include "agent/host/local_verbs.h"
#include "driver/safe_file.h"
#include "agent/host/verify.h"
#include "fleet/clock.h"
#include "fleet/failpoint.h"
#include "fleet/file.h"
#include "fleet/ids.h"
#include "fleet/limits.h"

#define UNSENT_EVENTS_MAX 500

static void pump(struct host *h);

/* ---- outcomes and events ---- */

void commands_tell(struct host *h)
{
	const struct ledger_entry *e;

	while (h->outcome_peer && (e = ledger_next_untold(h->ledger))) {
		_cleanup_json_ struct json_object *frame = NULL;
		struct fleet_error err = FLEET_ERROR_INIT;
		int r = ledger_outcome(h->ledger, e, &frame, &err);

		if (r < 0) {
			log_error("the outcome of %s cannot be told: %s", e->id, err.message);
			continue;
		}
		if (peers_try_send(h, h->outcome_peer, frame) < 0) {
			ledger_untell(h->ledger, e->id); /* again when the agent has taken in some of it */
			return;
		}
	}
}

void commands_event(struct host *h, const char *category, const char *app_id, const char *command_id,
	const char *fmt, ...)
{
	_cleanup_json_ struct json_object *frame = NULL;
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	frame = commands_event_frame(category, app_id, command_id, text);
	(void)commands_keep_event(h, frame); /* said in the log where it cannot be kept */
}

struct json_object *commands_event_frame(
	const char *category, const char *app_id, const char *command_id, const char *message)
{
	struct json_object *frame = fleet_message_new(FLEET_FRAME_EVENT);
	_cleanup_free_ char *text = xstrdup(message);

	fleet_text_sanitize(text);
	fleet_json_add_string(frame, "eventId", fleet_uuid_new().text);
	fleet_json_add_string(frame, "category", category);
	if (fleet_id_is_valid(app_id))
		fleet_json_add_string(frame, "appId", app_id);
	if (command_id && fleet_uuid_is_valid(command_id))
		fleet_json_add_string(frame, "commandId", command_id);
	fleet_json_add_string(frame, "message", text);
	return frame;
}

int commands_keep_event(struct host *h, struct json_object *frame)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	int r;

	if (ledger_unsent_events(h->ledger) >= UNSENT_EVENTS_MAX) {
		if (h->events_dropped++ == 0)
			log_error("%d events wait for an agent that does not take them: no more are kept",
				UNSENT_EVENTS_MAX);
		return -ENOBUFS;
	}
	r = ledger_event(h->ledger, frame, &err);
	if (r < 0)
		log_error("an event could not be kept: %s (it was: %s)", err.message,
			fleet_json_string(frame, "message"));
	commands_tell(h);
	return r;
}

void commands_stored(struct host *h, struct json_object *frame)
{
	struct json_object *ids = fleet_json_array(frame, "refIds");
	struct fleet_error err = FLEET_ERROR_INIT;

	FLEET_FAILPOINT("command.stored");
	for (size_t i = 0; i < json_object_array_length(ids); i++) {
		if (ledger_stored(
			    h->ledger, json_object_get_string(json_object_array_get_idx(ids, i)), &err) < 0)
			log_error("%s", err.message);
	}
	if (h->events_dropped > 0 && ledger_unsent_events(h->ledger) < UNSENT_EVENTS_MAX) {
		size_t dropped = h->events_dropped;

		h->events_dropped = 0;
		commands_event(h, "system", NULL, NULL,
			"%zu more refused commands or other events were not kept", dropped);
	}
	if (ledger_compact(h->ledger, &err) < 0)
		log_error("the ledger could not be compacted: %s", err.message);
	commands_tell(h);
}

struct json_object *commands_running(const struct host *h)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < ledger_count(h->ledger); i++) {
		const struct ledger_entry *e = ledger_at(h->ledger, i);

		if (!e->is_event && !e->is_local && e->state != LEDGER_ENDED)
			fleet_json_append_string(list, e->id);
	}
	return list;
}

int commands_keep_end(struct host *h, const char *id, struct json_object *result, struct fleet_error *err)
{
	const struct ledger_entry *e = ledger_find(h->ledger, id);
	_cleanup_json_ struct json_object *event = e && e->is_local ? local_end_event(result) : NULL;

	return ledger_end_event(h->ledger, id, result, event, err);
}

static void end_command(struct host *h, const char *id, struct json_object *result)
{
	const struct ledger_entry *e = ledger_find(h->ledger, id);
	bool is_local = e && e->is_local;
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = commands_keep_end(h, id, result, &err);

	if (r < 0) {
		log_error("the result of command %s could not be kept: %s", id, err.message);
		if (r == -EALREADY || unkept_has(h, id))
			return;
		unkept_add(h, result);
		if (is_local)
			local_ended(h, id, result);
		else if (h->outcome_peer)
			peers_send(h, h->outcome_peer, result);
		return;
	}
	FLEET_FAILPOINT("command.ended");
	log_info("command %s (%s %s): %s", id, fleet_json_string(result, "command"),
		fleet_json_string(result, "appId"),
		fleet_json_bool(result, "success", false) ? "done" : "failed");
	if (is_local)
		local_ended(h, id, result);
	commands_tell(h);
}

static void fail_command(struct host *h, struct json_object *payload, const char *code, const char *message)
{
	_cleanup_json_ struct json_object *result = op_result_new(payload, fleet_clock_wall_ms());

	op_result_fail(result, code, message);
	end_command(h, fleet_json_string(payload, "commandId"), result);
}

/* ---- running one ---- */

static struct operation *find_operation(struct host *h, const struct child *child)
{
	struct operation *o = h->operations;

	while (o && o->child != child)
		o = o->next;
	return o;
}

static void free_operation(struct operation *o)
{
	for (struct operation **at = &o->host->operations; *at; at = &(*at)->next) {
		if (*at == o) {
			*at = o->next;
			break;
		}
	}
	asks_forget(o);
	child_free(o->child);
	json_object_put(o->payload);
	free(o);
}

static void send_progress(struct operation *o, struct json_object *message)
{
	_cleanup_json_ struct json_object *frame = fleet_message_new(FLEET_FRAME_PROGRESS);
	int64_t percent = fleet_json_int(message, "percent", -1);
	uint64_t to = o->is_local ? local_asker(o->host, o->id) : o->host->outcome_peer;

	fleet_json_add_string(frame, "commandId", o->id);
	fleet_json_add_string(frame, "step", fleet_json_string(message, "step"));
	if (percent >= 0)
		fleet_json_add_int(frame, "percent", percent);
	fleet_json_add_string(frame, "message", fleet_json_string(message, "message"));
	if (to)
		peers_send(o->host, to, frame);
}

/* A step of an update, for the audit log; owned. */
static struct json_object *step_event(const struct operation *o, struct json_object *message)
{
	struct json_object *frame = fleet_message_new(FLEET_FRAME_EVENT), *details = json_object_new_object();
	_cleanup_free_ char *text = xstrndup(fleet_json_string(message, "event"), FLEET_TEXT_MAX);

	fleet_text_sanitize(text);
	fleet_json_add_string(frame, "eventId", fleet_uuid_new().text);
	fleet_json_add_string(frame, "category", "update");
	fleet_json_add_string(frame, "appId", fleet_json_string(o->payload, "appId"));
	fleet_json_add_string(frame, "commandId", o->id);
	fleet_json_add_string(frame, "message", text);
	fleet_json_add_string(details, "step", fleet_json_string(message, "step"));
	fleet_json_add(frame, "details", details);
	return frame;
}

static int keep_step(struct operation *o, struct json_object *message, struct fleet_error *err)
{
	const char *step = fleet_json_string(message, "step");
	struct json_object *data = fleet_json_object(message, "data");
	_cleanup_json_ struct json_object *event = NULL;
	int r;

	if (!fleet_json_string(message, "event"))
		return ledger_step(o->host->ledger, o->id, step, data, err);
	event = step_event(o, message);
	r = ledger_step_event(o->host->ledger, o->id, step, data, event, err);
	if (r >= 0)
		commands_tell(o->host);
	return r;
}

static void on_begin(struct operation *o, struct json_object *message)
{
	_cleanup_json_ struct json_object *answer = json_object_new_object();
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = keep_step(o, message, &err);

	fleet_json_add_string(answer, "k", "begun");
	fleet_json_add_bool(answer, "ok", r >= 0);
	if (r < 0)
		fleet_json_add_string(answer, "message", err.message);
	else
		send_progress(o, message);
	if (child_send(o->child, answer) < 0)
		log_warn("the operation of command %s does not listen", o->id); /* its end is seen soon */
}

static void answer_told(struct operation *o, int result)
{
	_cleanup_json_ struct json_object *answer = json_object_new_object();

	fleet_json_add_string(answer, "k", "told");
	fleet_json_add_bool(answer, "ok", result >= 0);
	if (child_send(o->child, answer) < 0)
		log_debug("the operation of command %s does not listen", o->id); /* its end is seen soon */
}

static void on_message(struct child *c, struct json_object *message, void *arg)
{
	struct operation *o = find_operation(arg, c);
	const char *kind = fleet_json_string(message, "k");

	if (str_equal(kind, "begin"))
		on_begin(o, message);
	else if (str_equal(kind, "progress"))
		send_progress(o, message);
	else if (str_equal(kind, "fetch"))
		asks_fetch(o, message);
	else if (str_equal(kind, "fetchCancel"))
		asks_cancel(o);
	else if (str_equal(kind, "probe"))
		asks_probe(o, message);
	else if (str_equal(kind, "outside"))
		answer_told(o, config_watch_keep(o->host->watch, message));
	else if (str_equal(kind, "result") && fleet_json_object(message, "result"))
		end_command(o->host, o->id, fleet_json_object(message, "result"));
}

/* ---- order ---- */

static void add_file_keys(const struct host *h, const char *real_path, char **keys, size_t *count)
{
	char *key = safe_file_key(real_path);

	keys[(*count)++] = key;
	for (size_t i = 0; i < h->apps.count; i++) {
		const struct app *app = h->apps.items[i];

		for (size_t f = 0; f < app->file_count && *count < QUEUE_KEYS_MAX; f++) {
			_cleanup_free_ char *other = safe_file_key(app->files[f].real_path);

			if (strcmp(other, key) != 0)
				continue;
			keys[(*count)++] = app_service_key(app); /* it restarts with the file */
			break;
		}
	}
}

/* The tree that an update replaces, and every service that runs from it. */
static void add_tree_keys(const struct host *h, const struct app *app, char **keys, size_t *count)
{
	keys[(*count)++] = safe_file_key(app->binary_path);
	for (size_t i = 0; i < h->apps.count && *count < QUEUE_KEYS_MAX; i++) {
		const struct app *other = h->apps.items[i];

		if (other != app && str_equal(other->binary_path, app->binary_path))
			keys[(*count)++] = app_service_key(other);
	}
}

/* A command holds its app's service; a push also the file, and every service that uses it; an update the
 * tree, and every service that runs from it. */
static void enqueue(struct host *h, struct json_object *payload, bool first)
{
	const struct app *app = apps_find(&h->apps, fleet_json_string(payload, "appId"));
	char **keys = xcalloc(QUEUE_KEYS_MAX + 1, sizeof(*keys));
	size_t count = 0;

	if (app) {
		const char *action = fleet_json_string(payload, "action");
		const struct app_file *file = NULL;

		keys[count++] = app_service_key(app);
		if (app->binary_path &&
			(str_equal(action, "update-app") || str_equal(action, "rollback-app")))
			add_tree_keys(h, app, keys, &count);
		if (str_equal(action, "push-config"))
			file = app_find_file(
				app, fleet_json_string(fleet_json_object(payload, "args"), "file"));
		if (file)
			add_file_keys(h, file->real_path, keys, &count);
	}
	queue_add(&h->queue, fleet_json_string(payload, "commandId"), keys, count, first);
}

/* What happens now to the services that it holds is its doing. */
static void forgive(struct host *h, const char *command_id)
{
	for (size_t i = 0; i < h->apps.count; i++) {
		_cleanup_free_ char *key = app_service_key(h->apps.items[i]);

		if (queue_holds(&h->queue, command_id, key))
			status_forgive(h->status, h->apps.items[i]->id);
	}
}

bool commands_work_on(const struct host *h, const struct app *app)
{
	_cleanup_free_ char *key = app_service_key(app);

	for (const struct operation *o = h->operations; o; o = o->next) {
		if (queue_holds(&h->queue, o->id, key))
			return true;
	}
	return false;
}

void commands_forgive(struct host *h)
{
	for (const struct operation *o = h->operations; o; o = o->next)
		forgive(h, o->id);
}

static void on_ended(struct child *c, const char *how, void *arg)
{
	struct host *h = arg;
	struct operation *o = find_operation(h, c);
	const struct ledger_entry *e = ledger_find(h->ledger, o->id);

	forgive(h, o->id);
	queue_remove(&h->queue, o->id);
	if (e && e->state != LEDGER_ENDED && !unkept_has(h, o->id)) {
		log_error("the operation of command %s %s before it had a result", o->id, how);
		if (!h->stopping)
			enqueue(h, o->payload,
				true); /* taken up at once, before whatever waits for the same app */
	}
	free_operation(o);
	pump(h);
	host_end_if_idle(h);
}

static const struct child_events events = {.message = on_message, .ended = on_ended};

struct start_order {
	struct host *host;
	struct op_order order;
};

static int run_child(int fd, void *arg)
{
	struct start_order *start = arg;

	return op_run(&start->host->env, fd, &start->order);
}

static int start_child(
	struct host *h, const struct ledger_entry *e, struct json_object *payload, struct fleet_error *err)
{
	struct start_order start = {.host = h,
		.order = {
			.payload = payload, .recovering = e->state == LEDGER_BEGUN, .is_local = e->is_local}};
	_cleanup_json_ struct json_object *last = NULL, *write = NULL;
	struct operation *o;
	int r;

	if (start.order.recovering) {
		r = e->last_at >= 0 ? ledger_last_step(h->ledger, e, &last, err) : 0;
		if (r >= 0 && e->write_at >= 0)
			r = ledger_write_step(h->ledger, e, &write, err);
		if (r < 0)
			return r;
		start.order.last_step = last;
		start.order.write_step = write;
	}
	/* from here on it counts as begun: it is never simply run a second time */
	r = ledger_step(h->ledger, e->id, start.order.recovering ? "recover" : "start", NULL, err);
	if (r < 0)
		return r;
	o = xcalloc(1, sizeof(*o));
	o->host = h;
	o->is_local = e->is_local;
	snprintf(o->id, sizeof(o->id), "%s", e->id);
	r = child_start(
		h->base, "fleet-operation", h->lock_fd, run_child, &start, &events, h, &o->child, err);
	if (r < 0) {
		free(o);
		return r;
	}
	o->payload = json_object_get(payload);
	o->next = h->operations;
	h->operations = o;
	h->operations_begun++;
	forgive(h, o->id);
	return 0;
}

/* What is kept of it; where its arguments are gone, its outline. 1: all of it, 0: the outline, and err says
 * why. */
static int read_back(
	const struct host *h, const struct ledger_entry *e, struct json_object **ret, struct fleet_error *err)
{
	if (ledger_payload(h->ledger, e, ret, err) >= 0)
		return 1;
	return ledger_outline(h->ledger, e, ret, NULL) >= 0 ? 0 : -EBADMSG;
}

/* The hold that stands in the way of what this command would touch, or NULL; *ret_app borrowed. */
static const struct ledger_hold *hold_of(
	const struct host *h, const struct queue_item *item, const struct app **ret_app)
{
	int64_t now = fleet_clock_wall_ms();

	for (size_t i = 0; i < h->apps.count; i++) {
		const struct ledger_hold *hold = ledger_find_hold(h->ledger, h->apps.items[i]->id, now);
		_cleanup_free_ char *key = hold ? app_service_key(h->apps.items[i]) : NULL;

		for (size_t k = 0; key && k < item->key_count; k++) {
			if (strcmp(item->keys[k], key) != 0)
				continue;
			*ret_app = h->apps.items[i];
			return hold;
		}
	}
	return NULL;
}

/* The console's, not begun yet, and more than a look. true: it has its result. */
static bool fail_if_held(struct host *h, const struct ledger_entry *e, struct json_object *payload,
	const struct queue_item *item)
{
	const struct app *app = NULL;
	const struct ledger_hold *hold = NULL;
	_cleanup_free_ char *why = NULL;

	if (e->state == LEDGER_ACCEPTED && !e->is_local &&
		!fleet_json_bool(fleet_json_object(payload, "args"), "dryRun", false))
		hold = hold_of(h, item, &app);
	if (!hold)
		return false;
	why = local_hold_sentence(hold);
	queue_remove(&h->queue, e->id);
	fail_command(h, payload, "held", why);
	return true;
}

/* Either it runs, and ends in on_ended, or it has its result and is out of the queue. */
static void start_one(struct host *h, const struct queue_item *item)
{
	const char *queued_id = item->command_id;
	const struct ledger_entry *e = ledger_find(h->ledger, queued_id);
	_cleanup_json_ struct json_object *payload = NULL;
	_cleanup_free_ char *id = xstrdup(queued_id); /* the queue's own goes with its item */
	struct fleet_error err = FLEET_ERROR_INIT;
	int64_t expires_ms = 0;
	int r = e ? read_back(h, e, &payload, &err) : -ENOENT;

	if (r < 0) { /* the disk gives nothing back; the next start of this host tries again */
		log_error("command %s cannot be taken up: %s", id, err.message);
		queue_remove(&h->queue, id);
		return;
	}
	if (r == 0 && e->state == LEDGER_ACCEPTED) {
		_cleanup_free_ char *why = xasprintf(
			"what it was to do was lost on this server: %s; nothing was done", err.message);

		queue_remove(&h->queue, id);
		fail_command(h, payload, "internal", why);
	} else if (e->state == LEDGER_ACCEPTED &&
		   fleet_timestamp_parse(fleet_json_string(payload, "expiresAt"), &expires_ms) == 0 &&
		   expires_ms <= fleet_clock_wall_ms()) {
		_cleanup_free_ char *why = xasprintf(
			"expired at %s while it waited on the server, whose clock says %s; nothing was done",
			fleet_timestamp_format(expires_ms).text, fleet_timestamp_now().text);

		queue_remove(&h->queue, id);
		fail_command(h, payload, "expired", why);
	} else if (e->recoveries >= HOST_RECOVERIES_MAX ||
		   e->recoveries + e->recoveries_before >= HOST_RECOVERIES_ALL_MAX) {
		queue_remove(&h->queue, id);
		fail_command(h, payload, "interrupted",
			"interrupted, and each attempt to find out how far it got was interrupted too; look "
			"at the app by hand");
	} else if (!fail_if_held(h, e, payload, item)) {
		r = start_child(h, e, payload, &err);
		if (r < 0) {
			queue_remove(&h->queue, id);
			fail_command(h, payload, "internal", err.message);
		}
	}
}

static void pump(struct host *h)
{
	struct queue_item *item;

	while (!h->stopping && (item = queue_next(&h->queue)))
		start_one(h, item);
}

/* ---- a command arrives ---- */

static void refuse(struct host *h, uint64_t peer_id, struct json_object *command, struct json_object *payload,
	const char *code, const char *why)
{
	_cleanup_json_ struct json_object *frame = fleet_message_new(FLEET_FRAME_REFUSED);
	const char *id = fleet_json_string(payload, "commandId");
	bool busy = str_equal(code, verify_verdict_code(VERIFY_BUSY)), again = busy && h->busy_told;

	fleet_json_add_string(frame, "refId", fleet_json_string(command, "id"));
	if (id && fleet_uuid_is_valid(id))
		fleet_json_add_string(frame, "commandId", id);
	fleet_json_add_string(frame, "code", code);
	fleet_json_add_string(frame, "message", why);
	peers_send(h, peer_id, frame);
	if (again) { /* who sent it tries again every few seconds: it is told once until one is taken */
		log_debug("a command was refused (%s): %s", code, why);
		return;
	}
	h->busy_told = h->busy_told || busy;
	log_warn("a command was refused (%s): %s", code, why);
	commands_event(h, "system", fleet_json_string(payload, "appId"), id, "a command was refused (%s): %s",
		code, why);
}

static void send_accepted(struct host *h, uint64_t peer_id, const char *id)
{
	_cleanup_json_ struct json_object *frame = fleet_message_new(FLEET_FRAME_ACCEPTED);

	fleet_json_add_string(frame, "commandId", id);
	peers_send(h, peer_id, frame);
}

/* Makes good a lost answer: what was said of the first copy is said again. */
static void answer_again(struct host *h, uint64_t peer_id, const char *id)
{
	const struct ledger_entry *e = ledger_find(h->ledger, id);
	_cleanup_json_ struct json_object *result = NULL;

	if (e->is_event)
		return;
	if (e->state == LEDGER_ENDED && ledger_outcome(h->ledger, e, &result, NULL) == 0)
		peers_send(h, peer_id, result);
	else
		send_accepted(h, peer_id, id);
}

void commands_take(struct host *h, uint64_t peer_id, struct json_object *frame)
{
	_cleanup_json_ struct json_object *payload = NULL, *peeked = NULL;
	const char *jws = fleet_json_string(frame, "jws"), *id;
	struct fleet_error err = FLEET_ERROR_INIT;
	enum verify_verdict verdict;

	verdict = verify_command(
		&h->keys, h->ledger, h->config->agent_id, fleet_clock_wall_ms(), jws, &payload, &err);
	if (verdict == VERIFY_OK && h->stopping) {
		verdict = VERIFY_BUSY;
		(void)fleet_error_set(
			&err, -ESHUTDOWN, "the driver host is ending; it takes no more commands");
	}
	id = fleet_json_string(payload, "commandId");
	FLEET_FAILPOINT("command.verified");
	if (verdict == VERIFY_OK && ledger_accept(h->ledger, payload, &err) < 0)
		verdict = VERIFY_BUSY;
	if (verdict == VERIFY_DUPLICATE)
		answer_again(h, peer_id, id);
	if (verdict != VERIFY_OK) {
		/* whose command it claims to be, for the record of its refusal only */
		if (!payload && fleet_jws_peek(jws, strlen(jws), &peeked, NULL) < 0)
			peeked = NULL;
		refuse(h, peer_id, frame, payload ? payload : peeked, verify_verdict_code(verdict),
			err.message);
		return;
	}
	log_info("command %s accepted: %s of %s by %s", id, fleet_json_string(payload, "action"),
		fleet_json_string(payload, "appId"), fleet_json_string(payload, "actor"));
	FLEET_FAILPOINT("command.accepted");
	h->busy_told = false;
	send_accepted(h, peer_id, id);
	enqueue(h, payload, false);
	pump(h);
}

int commands_take_local(struct host *h, struct json_object *payload, struct fleet_error *err)
{
	int r;

	if (h->stopping)
		return fleet_error_set(
			err, -ESHUTDOWN, "the driver host is ending; it takes no more commands");
	if (ledger_open_commands(h->ledger) >= FLEET_COMMANDS_OPEN_PER_AGENT_MAX)
		return fleet_error_set(err, -EBUSY, "%d commands are waiting here already",
			FLEET_COMMANDS_OPEN_PER_AGENT_MAX);
	r = ledger_accept_local(h->ledger, payload, err);
	if (r < 0)
		return r;
	log_info("command %s accepted: %s of %s by %s", fleet_json_string(payload, "commandId"),
		fleet_json_string(payload, "action"), fleet_json_string(payload, "appId"),
		fleet_json_string(payload, "actor"));
	enqueue(h, payload, false);
	return 0;
}

void commands_pump(struct host *h)
{
	pump(h);
}

/* ---- life ---- */

/* Copies of artifacts, and of files half kept: whoever made them is dead, and who takes up its work makes its
 * own. */
static void clean_staging(const struct host *h)
{
	_cleanup_free_ char *path = xasprintf("%s/staging", h->config->state_dir),
			    *before = xasprintf("%s/before", h->config->state_dir);
	_cleanup_closedir_ DIR *dir = opendir(path);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (fleet_uuid_is_valid(entry->d_name) && unlinkat(dirfd(dir), entry->d_name, 0) < 0)
			log_warn("cannot remove %s/%s: %m", path, entry->d_name);
	}
	fleet_file_clean_partial(before, NULL);
}

void commands_start(struct host *h)
{
	clean_staging(h);
	/* what was begun first: nothing may touch the same app before that is settled */
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < ledger_count(h->ledger); i++) {
			const struct ledger_entry *e = ledger_at(h->ledger, i);
			_cleanup_json_ struct json_object *payload = NULL;
			struct fleet_error err = FLEET_ERROR_INIT;

			if (e->is_event || e->state != (pass == 0 ? LEDGER_BEGUN : LEDGER_ACCEPTED))
				continue;
			if (read_back(h, e, &payload, &err) < 0)
				log_error("command %s cannot be taken up: %s", e->id, err.message);
			else
				enqueue(h, payload, false);
		}
	}
	pump(h);
}

bool commands_idle(const struct host *h)
{
	return !h->operations;
}

void commands_free(struct host *h)
{
	unkept_free(h);
	for (struct operation *o = h->operations, *next; o; o = next) {
		next = o->next;
		free_operation(o);
	}
}
