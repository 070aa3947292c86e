#include "console/events.h"

#include "console/event_ring.h"
#include "fleet/limits.h"
#include "fleet/log.h"

#define KEEP_ALIVE_S 15
#define HEAD_MAX     128

struct client {
	struct events *events;
	size_t index; /* among its clients */
	struct fleet_http_stream *stream;
	struct events_reader reader;
};
struct events {
	struct event *keep_alive;
	struct client **clients; /* owned; in no order */
	size_t client_count;
	bool behind; /* one of them has more to read than its share of FLEET_SSE_BACKLOG_ALL_MAX */
	struct event_ring ring;
};

static void forget_at(struct events *events, size_t index)
{
	struct client *client = events->clients[index];

	events->clients[index] = events->clients[--events->client_count];
	events->clients[index]->index = index;
	client->reader.done(client->reader.arg);
	free(client);
}

static void client_forget(struct client *client)
{
	forget_at(client->events, client->index);
}

static void on_client_left(struct fleet_http_stream *stream, void *arg)
{
	(void)stream;
	client_forget(arg);
}

/* A client that does not keep up is let go: it comes back and goes on from the ring, or starts anew. */
static bool client_send(struct client *client, const char *frame, size_t len)
{
	int r = fleet_http_stream_send(client->stream, frame, len);

	if (fleet_http_stream_backlog(client->stream) > FLEET_SSE_BACKLOG_ALL_MAX / FLEET_SSE_CLIENTS_MAX)
		client->events->behind = true;
	if (r >= 0)
		return true;
	log_info("a listener of /api/events does not keep up and is let go: %s", strerror(-r));
	fleet_http_stream_abort(client->stream);
	client_forget(client);
	return false;
}

/* All of them together must not fill the memory either: those who are furthest behind go first. */
static void shed(struct events *events)
{
	while (events->behind) {
		size_t all = 0, most = 0, worst = 0;

		for (size_t i = 0; i < events->client_count; i++) {
			size_t backlog = fleet_http_stream_backlog(events->clients[i]->stream);

			all += backlog;
			if (backlog > most) {
				most = backlog;
				worst = i;
			}
		}
		events->behind = all > FLEET_SSE_BACKLOG_ALL_MAX;
		if (!events->behind)
			return;
		log_info("a listener of /api/events is let go: %zu bytes wait for all of them, %zu for it",
			all, most);
		fleet_http_stream_abort(events->clients[worst]->stream);
		forget_at(events, worst);
	}
}

/* From the last on: who is let go leaves his place to one that had it already. */
static void send_to_those_who_see(struct events *events, const char *agent_id, const char *frame, size_t len)
{
	for (size_t i = events->client_count; i > 0; i--) {
		struct client *client = events->clients[i - 1];

		if (client->reader.sees(agent_id, client->reader.arg))
			(void)client_send(client, frame, len); /* tells of its failure itself */
	}
	shed(events);
}

void events_check(struct events *events)
{
	for (size_t i = events->client_count; i > 0; i--) {
		struct client *client = events->clients[i - 1];

		if (client->reader.may_stay(client->reader.arg))
			continue;
		/* nor hears what waits for him */
		if (fleet_http_stream_backlog(client->stream) > 0)
			fleet_http_stream_abort(client->stream);
		else
			fleet_http_stream_end(client->stream);
		client_forget(client);
	}
}

static void on_keep_alive(evutil_socket_t fd, short what, void *arg)
{
	static const char comment[] = ": still here\n\n";
	struct events *events = arg;

	(void)fd;
	(void)what;
	events_check(events);
	for (size_t i = events->client_count; i > 0; i--)
		(void)client_send(events->clients[i - 1], comment, sizeof(comment) - 1); /* likewise */
}

struct events *events_new(struct event_base *base)
{
	struct events *events = xcalloc(1, sizeof(*events));

	event_ring_init(&events->ring);
	events->keep_alive = event_new(base, -1, EV_PERSIST, on_keep_alive, events);
	if (!events->keep_alive || event_add(events->keep_alive, &(struct timeval){KEEP_ALIVE_S, 0}) < 0)
		abort(); /* out of memory: libevent has no other reason for a timer */
	return events;
}

void events_free(struct events *events)
{
	if (!events)
		return;
	while (events->client_count > 0) {
		struct client *client = events->clients[events->client_count - 1];

		fleet_http_stream_end(client->stream);
		client_forget(client);
	}
	free(events->clients);
	event_free(events->keep_alive);
	event_ring_done(&events->ring);
	free(events);
}

void events_publish(struct events *events, const char *event, struct json_object *data)
{
	size_t len;
	const char *agent_id = fleet_json_string(data, "agentId");
	const char *frame = event_ring_add(&events->ring, event, agent_id, fleet_json_text(data, NULL), &len);

	send_to_those_who_see(events, agent_id, frame, len);
}

static bool replay_one(const char *agent_id, const char *frame, size_t len, void *arg)
{
	struct client **client = arg;

	if (!(*client)->reader.sees(agent_id, (*client)->reader.arg) || client_send(*client, frame, len))
		return true;
	*client = NULL;
	return false;
}

/* May one more listen? False: it has answered. */
static bool has_room(const struct events *events, struct fleet_http_request *req, const void *owner)
{
	size_t own = 0;

	for (size_t i = 0; i < events->client_count; i++)
		own += events->clients[i]->reader.owner == owner;
	if (events->client_count >= FLEET_SSE_CLIENTS_MAX)
		fleet_http_reply_problem(req, 503, "unavailable", NULL,
			"%d clients listen to events already: close one or ask again later",
			FLEET_SSE_CLIENTS_MAX);
	else if (own >= FLEET_SSE_PER_KEY_MAX)
		fleet_http_reply_problem(req, 429, "rate-limited", NULL,
			"%d clients listen to events with this key already: close one",
			FLEET_SSE_PER_KEY_MAX);
	return events->client_count < FLEET_SSE_CLIENTS_MAX && own < FLEET_SSE_PER_KEY_MAX;
}

void events_serve(struct events *events, struct fleet_http_request *req, struct events_reader takes_reader)
{
	_cleanup_free_ char *last_id = xstrdup(fleet_http_header(req, "Last-Event-ID"));
	struct client *client;
	char head[HEAD_MAX], id[EVENT_RING_ID_MAX];

	if (!has_room(events, req, takes_reader.owner)) {
		takes_reader.done(takes_reader.arg);
		return;
	}
	fleet_http_add_header(req, "Cache-Control", "no-store");
	client = xcalloc(1, sizeof(*client));
	client->events = events;
	client->reader = takes_reader;
	client->stream = fleet_http_stream_start(req, 200, "text/event-stream", on_client_left, client);
	client->index = events->client_count++;
	events->clients = xreallocarray(events->clients, events->client_count, sizeof(struct client *));
	events->clients[client->index] = client;

	if (last_id && event_ring_replay(&events->ring, last_id, replay_one, &client) == 0) {
		if (client)
			(void)client_send(
				client, ":\n\n", 3); /* begins the answer where there was nothing to tell */
		shed(events);
		return;
	}
	/* An id without data is no event, but it is the place that a client which comes back names. */
	event_ring_last_id(&events->ring, id);
	(void)snprintf(head, sizeof(head), "retry: 2000\nid: %s\n%s\n", id,
		last_id ? "event: reset\ndata: {}\n" : "");
	(void)client_send(client, head, strlen(head)); /* tells of its failure itself */
}

size_t events_client_count(const struct events *events)
{
	return events->client_count;
}
