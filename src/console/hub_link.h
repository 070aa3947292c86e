/* One agent's connection, as hub*.c share it. It has two lives: its WebSocket's, and that of requests to the
 * store which end in it; the last one out frees it. */
#ifndef CONSOLE_HUB_LINK_H
#define CONSOLE_HUB_LINK_H
#include "console/hub.h"
#include "fleet/ws.h"

struct hub {
	struct hub_options options;
	struct id_table links; /* struct hub_link by agentId: who owns it now */
	struct hub_link *all;  /* every one whose WebSocket is not closed */
	size_t count;
	bool stopping;
	struct joining *joining; /* borrowed; NULL: certificates are not renewed */
};
struct hub_ping;
struct hub_query;

struct hub_link {
	unsigned refs;
	struct hub *hub;
	struct hub_link *next, **prev; /* in hub->all */
	char *agent_id;                /* owned */
	char address[64], peer[64];    /* without and with the port */
	struct fleet_ws *ws;           /* owned; NULL: closed */
	bool owner;                    /* it is in hub->links: what it says counts */
	struct agent *agent;           /* borrowed; NULL until registered */
	int64_t expires_ms;            /* wall: when its certificate does; 0: it has shown none */
	bool ready;                    /* `registered` is on its way, commands may follow */
	char spool_id[FLEET_UUID_LEN + 1];
	struct event *timer; /* register is overdue, or: the store failed, come again */
	bool behind;         /* the store failed: what would come behind the gap is not taken */
	unsigned bad_messages;
	/* acks */
	struct event *ack_timer;
	struct json_object *result_ids; /* owned; committed, not yet acked */
	bool ack_running;
	bool ack_again;
	/* a newcomer for the same agentId, held until this one has answered or not */
	struct fleet_http_request *newcomer;
	struct event *newcomer_timer;
	int64_t newcomer_expires_ms;
	bool renewing;             /* a certificate is being made */
	struct hub_ping *pings;    /* owned */
	struct hub_query *queries; /* owned */
};

struct hub_link *hub_link_ref(struct hub_link *link);
void hub_link_unref(struct hub_link *link);
FLEET_DEFINE_CLEANUP(struct hub_link *, hub_link_unref)
/* A one-shot timer; replaces what *timer was. */
void hub_timer_start(struct hub_link *link, struct event **timer, event_callback_fn callback, int64_t ms);
void hub_timer_stop(struct event **timer);
/* Gives up the agentId: agent offline (audited with why), pings fail, a held newcomer takes over. */
void hub_link_disown(struct hub_link *link, const char *why);
/* Disowns and says goodbye. */
void hub_link_close(struct hub_link *link, int code, const char *why);
/* Sends; a connection that does not keep up is closed. message: borrowed. */
int hub_link_send(struct hub_link *link, struct json_object *message) FLEET_MUST_CHECK;

/* hub_messages.c */
void hub_on_message(struct fleet_ws *ws, const char *text, size_t len, void *arg);
/* hub_ping.c */
void hub_pings_answer(struct hub_link *link, struct json_object *heartbeat);
void hub_pings_fail(struct hub_link *link, const char *why);
/* "agent-001 is offline: last heard of 3 min ago"; owned. */
char *hub_offline_text(const struct hub *hub, const char *agent_id);

/* hub_query.c */
void hub_queries_answer(struct hub_link *link, struct json_object *result);
/* The agent does not understand a message: true where it was a query. */
bool hub_queries_refused(struct hub_link *link, struct json_object *error);
void hub_queries_fail(struct hub_link *link, const char *why);

#endif
