/* A fake console for the agent's tests: a hub on a port of the kernel's choice, driven by the test. It runs
 * on the same loop as the agent, answers what it is set to answer, and remembers what it was told. */
#ifndef TEST_AGENT_HUB_H
#define TEST_AGENT_HUB_H
#include "fleet/http_server.h"
#include "fleet/message.h"
#include "fleet/ws.h"

#define HUB_KEEP 512

struct hub {
	struct event_base *base;
	struct fleet_http_server *server;
	struct fleet_ws *ws; /* the agent's connection; NULL none */
	char url[64];
	uint16_t port;
	/* what it does */
	int refuse_status; /* answer the handshake with this; 0: take it */
	bool silent;       /* take the connection and answer nothing */
	bool no_acks;
	bool claims_all;      /* says it has events of whatever spool registers */
	int64_t audit_seq;    /* what `registered` says it has; also the highest it has seen without a gap */
	int64_t heartbeat_ms; /* 0: not said */
	bool registered_without_keys;
	/* what it has seen */
	int handshakes, opened, closed, close_code;
	char authorization[128], agent_id[128], closed_reason[256];
	struct json_object *messages[HUB_KEEP]; /* owned, in order */
	size_t count;
	char spool_id[64];
	int invalid, gaps;
};

static struct json_object *hub_reply(enum fleet_message_type type)
{
	return fleet_message_new(type);
}

static void hub_send(struct hub *hub, struct json_object *takes_message)
{
	size_t len;
	const char *text = fleet_json_text(takes_message, &len);

	if (!hub->ws || fleet_ws_send(hub->ws, text, len) < 0)
		printf("# the fake hub could not send\n");
	json_object_put(takes_message);
}

static FLEET_UNUSED void hub_send_text(struct hub *hub, const char *text)
{
	if (!hub->ws || fleet_ws_send(hub->ws, text, strlen(text)) < 0)
		printf("# the fake hub could not send\n");
}

static void hub_answer_register(struct hub *hub, struct json_object *message)
{
	struct json_object *registered = hub_reply(FLEET_MESSAGE_REGISTERED);

	if (!str_equal(hub->spool_id, fleet_json_string(message, "spoolId")) && hub->spool_id[0])
		hub->audit_seq = 0; /* another spool, another count */
	(void)snprintf(hub->spool_id, sizeof(hub->spool_id), "%s", fleet_json_string(message, "spoolId"));
	fleet_json_add_string(registered, "serverTime", fleet_timestamp_now().text);
	fleet_json_add_int(registered, "auditSeq", hub->claims_all ? INT64_C(1) << 40 : hub->audit_seq);
	if (hub->heartbeat_ms)
		fleet_json_add_int(registered, "heartbeatIntervalMs", hub->heartbeat_ms);
	hub_send(hub, registered);
}

static void hub_ack(struct hub *hub, const char *result_id)
{
	struct json_object *ack = hub_reply(FLEET_MESSAGE_ACK), *ids = json_object_new_array(),
			   *head = json_object_new_object();
	char hash[65];

	memset(hash, 'a', sizeof(hash) - 1);
	hash[64] = '\0';
	fleet_json_add_int(ack, "auditSeq", hub->audit_seq);
	if (result_id)
		fleet_json_append_string(ids, result_id);
	fleet_json_add(ack, "resultIds", ids);
	fleet_json_add_int(head, "seq", 5);
	fleet_json_add_string(head, "hash", hash);
	fleet_json_add(ack, "head", head);
	hub_send(hub, ack);
}

static void hub_on_message(struct fleet_ws *ws FLEET_UNUSED, const char *text, size_t len, void *arg)
{
	struct hub *hub = arg;
	struct json_object *message = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	enum fleet_message_type type = FLEET_MESSAGE_INVALID;
	int r = fleet_message_parse(text, len, FLEET_AGENT_TO_CONSOLE, &type, &message, &err);

	if (r < 0) {
		printf("# the agent sent %.*s: %s\n", (int)(len > 300 ? 300 : len), text, err.message);
		hub->invalid++;
		json_object_put(message);
		return;
	}
	if (hub->count < HUB_KEEP)
		hub->messages[hub->count++] = message;
	else
		json_object_put(message);
	if (hub->silent)
		return;
	if (type == FLEET_MESSAGE_REGISTER) {
		hub_answer_register(hub, message);
	} else if (type == FLEET_MESSAGE_AUDIT_EVENT && !hub->no_acks) {
		int64_t seq = fleet_json_int(message, "seq", 0);

		if (seq == hub->audit_seq + 1)
			hub->audit_seq = seq;
		else if (seq > hub->audit_seq)
			hub->gaps++;
		hub_ack(hub, NULL);
	} else if (type == FLEET_MESSAGE_COMMAND_RESULT && !hub->no_acks) {
		hub_ack(hub, fleet_json_string(message, "commandId"));
	}
}

static void hub_on_closed(struct fleet_ws *ws, const struct fleet_ws_end *end, void *arg)
{
	struct hub *hub = arg;

	hub->closed++;
	hub->close_code = end->close_code;
	(void)snprintf(hub->closed_reason, sizeof(hub->closed_reason), "%s", end->reason);
	fleet_ws_free(ws);
	if (hub->ws == ws)
		hub->ws = NULL;
}

static const struct fleet_ws_events hub_ws_events = {.message = hub_on_message, .closed = hub_on_closed};

static void hub_handshake(struct fleet_http_request *req, void *arg)
{
	struct hub *hub = arg;
	const char *authorization = fleet_http_header(req, "Authorization"),
		   *id = fleet_http_query(req, "agentId");
	struct fleet_error err = FLEET_ERROR_INIT;

	hub->handshakes++;
	(void)snprintf(
		hub->authorization, sizeof(hub->authorization), "%s", authorization ? authorization : "");
	(void)snprintf(hub->agent_id, sizeof(hub->agent_id), "%s", id ? id : "");
	if (hub->refuse_status) {
		fleet_http_reply_problem(req, hub->refuse_status, "refused", NULL, "refused by the test");
		return;
	}
	fleet_ws_free(hub->ws);
	hub->ws = NULL;
	if (fleet_ws_accept(req, FLEET_SUBPROTOCOL, &hub_ws_events, hub, &hub->ws, &err) < 0) {
		printf("# %s\n", err.message);
		fleet_http_reply_problem(req, 400, "invalid-request", NULL, "%s", err.message);
		return;
	}
	hub->opened++;
}

/* port 0: the kernel chooses. False where it cannot listen. */
static bool hub_listen(struct hub *hub, struct event_base *base, uint16_t port)
{
	static const struct fleet_http_route routes[] = {
		{.method = "GET", .pattern = "/api/hub", .handler = hub_handshake}, {0}};
	struct fleet_http_options options = {
		.address = "127.0.0.1", .port = port, .routes = routes, .arg = hub};
	struct fleet_error err = FLEET_ERROR_INIT;

	hub->base = base;
	if (fleet_http_server_new(base, &options, &hub->server, &err) < 0) {
		printf("# %s\n", err.message);
		return false;
	}
	hub->port = fleet_http_server_port(hub->server);
	(void)snprintf(hub->url, sizeof(hub->url), "http://127.0.0.1:%u", hub->port);
	return true;
}

/* Gone, as when its process was killed: the connection breaks, nobody listens. */
static void hub_vanish(struct hub *hub)
{
	fleet_ws_free(hub->ws);
	hub->ws = NULL;
	fleet_http_server_free(hub->server);
	hub->server = NULL;
}

static FLEET_UNUSED void hub_forget(struct hub *hub)
{
	for (size_t i = 0; i < hub->count; i++)
		json_object_put(hub->messages[i]);
	hub->count = 0;
}

static void hub_done(struct hub *hub)
{
	hub_vanish(hub);
	hub_forget(hub);
}

/* How many messages of a type there are; the last of them; NULL. Borrowed. */
static FLEET_UNUSED int hub_count(const struct hub *hub, const char *type)
{
	int count = 0;

	for (size_t i = 0; i < hub->count; i++)
		count += str_equal(fleet_json_string(hub->messages[i], "type"), type);
	return count;
}

static FLEET_UNUSED struct json_object *hub_last(const struct hub *hub, const char *type)
{
	for (size_t i = hub->count; i-- > 0;) {
		if (str_equal(fleet_json_string(hub->messages[i], "type"), type))
			return hub->messages[i];
	}
	return NULL;
}

/* The audit event whose message begins with text; NULL. */
static FLEET_UNUSED struct json_object *hub_event(const struct hub *hub, const char *text)
{
	for (size_t i = 0; i < hub->count; i++) {
		if (str_equal(fleet_json_string(hub->messages[i], "type"), "auditEvent") &&
			str_starts(fleet_json_string(hub->messages[i], "message"), text))
			return hub->messages[i];
	}
	return NULL;
}

#endif
