/* Queries: what somebody wants to see of an app. Each is answered by a child of its own, once, to the
 * connection that asked; nothing of it is kept, and a host that ends forgets it. What the admin allows is
 * asked in the child, of the apps as they were when it was forked. */
#include "agent/host/child.h"
#include "agent/host/host.h"
#include "agent/host/query_child.h"
#include "agent/host/verify.h"
#include "fleet/clock.h"
#include "fleet/ids.h"

#define DRIVER_MS (HOST_QUERY_MS - 1000) /* its end, and what it says of it, come before ours */

struct query {
	struct query *next;
	struct host *host;
	uint64_t peer_id;
	char ref_id[FLEET_UUID_LEN + 1];
	struct child *child;
	struct event *deadline;
	bool answered;
};

static void send_answer(struct host *h, uint64_t peer_id, const char *ref_id, struct json_object *members)
{
	_cleanup_json_ struct json_object *frame = fleet_message_new(FLEET_FRAME_ANSWER);

	fleet_json_add_string(frame, "refId", ref_id);
	json_object_object_foreach (members, key, value) {
		fleet_json_add(frame, key, json_object_get(value));
	}
	peers_send(h, peer_id, frame);
}

static void send_failure(
	struct host *h, uint64_t peer_id, const char *ref_id, const char *code, const char *why)
{
	_cleanup_json_ struct json_object *members = json_object_new_object();

	query_fail(members, code, "%s", why);
	send_answer(h, peer_id, ref_id, members);
}

static size_t count(const struct host *h)
{
	size_t n = 0;

	for (const struct query *q = h->queries; q; q = q->next)
		n++;
	return n;
}

static void free_query(struct query *q)
{
	struct query **at = &q->host->queries;

	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	child_free(q->child);
	event_free(q->deadline);
	free(q);
}

static void on_message(struct child *c FLEET_UNUSED, struct json_object *message, void *arg)
{
	struct query *q = arg;

	if (!q->answered)
		send_answer(q->host, q->peer_id, q->ref_id, message);
	q->answered = true;
}

static void on_ended(struct child *c FLEET_UNUSED, const char *how, void *arg)
{
	struct query *q = arg;
	_cleanup_free_ char *why = xasprintf("the child that was to answer %s", how);

	if (!q->answered)
		send_failure(q->host, q->peer_id, q->ref_id, "internal", why);
	free_query(q);
}

static const struct child_events events = {.message = on_message, .ended = on_ended};

static void on_deadline(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct query *q = arg;

	if (!q->answered)
		send_failure(
			q->host, q->peer_id, q->ref_id, "driver-timeout", "the answer took too long to make");
	q->answered = true;
	child_kill(q->child); /* on_ended follows */
}

static int start(struct host *h, uint64_t peer_id, const char *ref_id, struct json_object *payload,
	struct fleet_error *err)
{
	struct timeval wait = {.tv_sec = HOST_QUERY_MS / 1000};
	struct query_order order = {
		.env = &h->env, .payload = payload, .deadline_ms = fleet_clock_monotonic_ms() + DRIVER_MS};
	struct query *q = xcalloc(1, sizeof(*q));
	int r;

	q->host = h;
	q->peer_id = peer_id;
	snprintf(q->ref_id, sizeof(q->ref_id), "%s", ref_id);
	r = child_start(h->base, "fleet-query", -1, query_child_run, &order, &events, q, &q->child, err);
	if (r < 0) {
		free(q);
		return r;
	}
	q->deadline = evtimer_new(h->base, on_deadline, q);
	if (!q->deadline || event_add(q->deadline, &wait) < 0)
		abort(); /* out of memory */
	q->next = h->queries;
	h->queries = q;
	return 0;
}

void queries_take(struct host *h, uint64_t peer_id, struct json_object *frame)
{
	_cleanup_json_ struct json_object *payload = NULL;
	const char *ref_id = fleet_json_string(frame, "id");
	struct fleet_error err = FLEET_ERROR_INIT;
	enum verify_verdict verdict = verify_query(&h->keys, h->config->agent_id, fleet_clock_wall_ms(),
		fleet_json_string(frame, "jws"), &payload, &err);

	if (verdict == VERIFY_OK && (h->stopping || count(h) >= HOST_QUERIES_MAX)) {
		verdict = VERIFY_BUSY;
		(void)fleet_error_set(&err, -EBUSY, "the driver host %s",
			h->stopping ? "is ending" : "is answering as many queries as it may");
	}
	if (verdict != VERIFY_OK) {
		log_warn("a query was refused (%s): %s", verify_verdict_code(verdict), err.message);
		send_failure(h, peer_id, ref_id, verify_verdict_code(verdict), err.message);
	} else if (start(h, peer_id, ref_id, payload, &err) < 0) {
		log_error("a query cannot be answered: %s", err.message);
		send_failure(h, peer_id, ref_id, "internal", err.message);
	}
}

void queries_free(struct host *h)
{
	for (struct query *q = h->queries, *next; q; q = next) {
		next = q->next;
		free_query(q);
	}
}
