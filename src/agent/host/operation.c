/* A command that runs: what its child says, and how it begins and ends. */
#include "agent/host/operation.h"
#include "agent/host/config_watch.h"
#include "agent/host/local_verbs.h"
#include "fleet/ids.h"
#include "fleet/limits.h"

static struct operation *find_operation(struct host *h, const struct child *child)
{
	struct operation *o = h->operations;

	while (o && o->child != child)
		o = o->next;
	return o;
}

void operation_free(struct operation *o)
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
		outcomes_tell(o->host);
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
		outcomes_end(o->host, o->id, fleet_json_object(message, "result"));
}

static void on_ended(struct child *c, const char *how, void *arg)
{
	struct host *h = arg;
	struct operation *o = find_operation(h, c);
	const struct ledger_entry *e = ledger_find(h->ledger, o->id);

	commands_forgive_one(h, o->id);
	queue_remove(&h->queue, o->id);
	if (e && e->state != LEDGER_ENDED && !unkept_has(h, o->id)) {
		log_error("the operation of command %s %s before it had a result", o->id, how);
		if (!h->stopping)
			commands_enqueue(h, o->payload,
				true); /* taken up at once, before whatever waits for the same app */
	}
	operation_free(o);
	commands_pump(h);
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

int operation_start(
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
	commands_forgive_one(h, o->id);
	return 0;
}
