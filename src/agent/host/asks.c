/* The host has no network. What an operation needs of it, the agent does: the question goes to whoever said
 * hello last, again after each hello until it is answered, and the answer to the child that asked. */
#include "agent/host/operation.h"

/* ---- downloads ---- */

static void send_fetch(struct operation *o)
{
	if (o->host->outcome_peer && o->fetch)
		peers_send(o->host, o->host->outcome_peer, o->fetch);
}

void asks_fetch(struct operation *o, struct json_object *message)
{
	asks_forget(o);
	o->fetch = fleet_message_new(FLEET_FRAME_FETCH);
	fleet_json_add_string(o->fetch, "commandId", o->id);
	fleet_json_add_string(o->fetch, "url", fleet_json_string(message, "url"));
	fleet_json_add_int(o->fetch, "maxBytes", fleet_json_int(message, "maxBytes", 1));
	fleet_json_add_int(o->fetch, "timeoutSeconds", fleet_json_int(message, "timeoutSeconds", 1));
	queue_set_waiting(&o->host->queue, o->id, true); /* it may take an hour: others go on */
	send_fetch(o);
}

void asks_forget(struct operation *o)
{
	if (!o->fetch)
		return;
	json_object_put(o->fetch);
	o->fetch = NULL;
	queue_set_waiting(&o->host->queue, o->id, false);
}

void asks_cancel(struct operation *o)
{
	_cleanup_json_ struct json_object *frame = fleet_message_new(FLEET_FRAME_FETCH_CANCEL);

	asks_forget(o);
	fleet_json_add_string(frame, "commandId", o->id);
	if (o->host->outcome_peer)
		peers_send(o->host, o->host->outcome_peer, frame);
}

void commands_fetched(struct host *h, struct json_object *frame, int takes_fd)
{
	_cleanup_close_ int fd = takes_fd;
	_cleanup_json_ struct json_object *answer = NULL;
	struct operation *o = h->operations;

	while (o && !(o->fetch && str_equal(o->id, fleet_json_string(frame, "commandId"))))
		o = o->next;
	if (!o) {
		log_info("an artifact came that nobody waits for any more");
		return;
	}
	asks_forget(o);
	answer = json_object_new_object();
	fleet_json_add_string(answer, "k", "fetched");
	fleet_json_add_bool(answer, "ok", fleet_json_bool(frame, "ok", false));
	fleet_json_add_string(answer, "error", fleet_json_string(frame, "error"));
	if (child_send_fd(o->child, answer, fd) < 0)
		log_warn("the operation of command %s does not listen", o->id); /* its end is seen soon */
}

/* ---- probes: asked once, the child asks again itself ---- */

static void answer_probe(struct operation *o, struct json_object *from, const char *error)
{
	_cleanup_json_ struct json_object *answer = json_object_new_object();

	fleet_json_add_string(answer, "k", "probed");
	fleet_json_add_string(answer, "probeId", o->probe_id);
	if (from)
		fleet_json_add_bool(answer, "ok", fleet_json_bool(from, "ok", false));
	fleet_json_add_string(answer, "detail", fleet_json_string(from, "detail"));
	fleet_json_add_string(answer, "error", from ? fleet_json_string(from, "error") : error);
	o->probe_id[0] = '\0';
	if (child_send(o->child, answer) < 0)
		log_warn("the operation of command %s does not listen", o->id); /* its end is seen soon */
}

void asks_probe(struct operation *o, struct json_object *message)
{
	_cleanup_json_ struct json_object *frame = fleet_message_new(FLEET_FRAME_PROBE);
	const char *id = fleet_json_string(message, "probeId");

	snprintf(o->probe_id, sizeof(o->probe_id), "%s", id ? id : "");
	fleet_json_add_string(frame, "probeId", id);
	fleet_json_add_string(frame, "url", fleet_json_string(message, "url"));
	fleet_json_add_string(frame, "tcp", fleet_json_string(message, "tcp"));
	fleet_json_add_int(frame, "timeoutSeconds", fleet_json_int(message, "timeoutSeconds", 1));
	if (!o->host->outcome_peer || peers_try_send(o->host, o->host->outcome_peer, frame) < 0)
		answer_probe(o, NULL, "the agent is not there to ask");
}

void commands_probed(struct host *h, struct json_object *frame)
{
	struct operation *o = h->operations;

	while (o && !(o->probe_id[0] && str_equal(o->probe_id, fleet_json_string(frame, "probeId"))))
		o = o->next;
	if (o)
		answer_probe(o, frame, NULL);
	else if (!health_watch_probed(h->health, frame))
		log_debug("an answer came that nobody waits for any more");
}

/* ---- the agent comes and goes ---- */

void commands_ask_again(struct host *h)
{
	for (struct operation *o = h->operations; o; o = o->next)
		send_fetch(o);
}

void commands_give_up_waiting(struct host *h)
{
	for (struct operation *o = h->operations; o; o = o->next) {
		if (o->fetch)
			child_kill(o->child); /* the next host asks again, and the agent goes on meanwhile */
	}
}
