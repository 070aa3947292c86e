/* GET /api/hub: the agents' connections. Judges each handshake (agentId, key, subprotocol, no browser),
 * settles who owns an agentId when two claim it (the first is pinged; an answer within HUB_CLAIM_MS refuses
 * the newcomer, silence replaces the first), tells registry and commands who is there, and acks only what is
 * committed. Event loop only. hub_link.h is what its files share. */
#ifndef CONSOLE_HUB_H
#define CONSOLE_HUB_H
#include "console/commands.h"
#include "console/config.h"
#include "console/logins.h"
#include "console/members.h"
#include "console/registry.h"
#include "fleet/http_server.h"
#include "fleet/query.h"

#define HUB_CLAIM_MS     3000  /* for the first connection to prove that it lives */
#define HUB_REGISTER_MS  15000 /* from the handshake to `register` */
#define HUB_ACK_DELAY_MS 20    /* acks of a burst go together */
#define HUB_STORE_RETRY_MS                                                                                   \
	30000 /* after the store failed: the connection ends, and what was not acked comes again */
#define HUB_PING_MS  5000
#define HUB_QUERY_MS 10000

struct joining;
struct hub_options {
	struct event_base *base; /* borrowed, as are the others */
	const struct console_config *config;
	struct store *store;
	struct registry *registry;
	struct commands *commands;
	const struct members *members;
	struct logins *logins;
	const struct fleet_jws_key *key;
	struct json_object *key_changes; /* an array; NULL: none */
	/* A heartbeat came: the agent's apps before it, and as it has them. May be NULL. */
	void (*apps_seen)(
		const char *agent_id, struct json_object *before, struct json_object *now, void *arg);
	void *arg;
};
struct hub;

struct hub *hub_new(const struct hub_options *options); /* owned */
/* Cuts what is left. Accepts NULL. Store callbacks may still come until the store is closed: close it first.
 */
void hub_free(struct hub *hub);
/* Who renews certificates; before the loop runs. */
void hub_set_joining(struct hub *hub, struct joining *joining);
/* Answers a request for /api/hub: takes its connection over, or refuses. */
void hub_serve(struct hub *hub, struct fleet_http_request *req);

/* commands_options' ready and send; arg is the hub. */
bool hub_ready(const char *agent_id, void *arg);
int hub_send(const char *agent_id, struct json_object *message, void *arg);
/* Asks for a heartbeat and answers req with it (200), or with 504. The agent is known. */
void hub_ping(struct hub *hub, const char *agent_id, struct fleet_http_request *req);
/* Asks the agent's server and calls back once: with the result (borrowed; its errorCode where the server
 * refused or failed), or with NULL and why none came, after HUB_QUERY_MS at most; maybe before hub_query
 * returns. */
typedef void hub_answered(struct json_object *result, const char *why, void *arg);
struct hub_query_request {
	enum fleet_query query;
	const char *agent_id, *app_id, *actor; /* borrowed, as is args */
	struct json_object *args;
};
void hub_query(struct hub *hub, const struct hub_query_request *request, hub_answered *done, void *arg);
/* Ends a connection from which nothing was heard; its agent is offline at once. */
void hub_missed(struct agent *agent, int64_t silent_ms, void *arg);

/* Ends an agent's connection, where it has one: it is offline at once, and what it still says is not heard.
 */
void hub_cut(struct hub *hub, const char *agent_id, const char *why);
/* Once a second: ends the connections of those whose certificate has expired in the meantime. */
void hub_tick(struct hub *hub, int64_t wall_ms);
/* Does the request name an agent, and not come from a browser? Does it ask for a WebSocket of our protocol?
 * False: it was answered. For whoever else has a door for agents. */
bool hub_check_agent(struct fleet_http_request *req, const char *agent_id);
bool hub_check_upgrade(struct fleet_http_request *req);
/* Answers whoever has shown too many wrong credentials and waits, and counts it. */
void hub_reply_slowed(struct logins *logins, struct fleet_http_request *req, int64_t wait_ms);

/* Says 1001 to every agent and takes no more. */
void hub_stop(struct hub *hub, const char *reason);
/* Connections that are not yet closed. */
size_t hub_count(const struct hub *hub);

#endif
