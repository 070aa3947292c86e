/* GET /api/events: what changes, told to whoever listens, as server-sent events named agent, command and
 * audit whose data is the resource as the REST API shows it; `reset` where a client has missed some and must
 * fetch anew. Event loop only. */
#ifndef CONSOLE_EVENTS_H
#define CONSOLE_EVENTS_H
#include "fleet/http_server.h"

struct events;

struct events *events_new(struct event_base *base); /* owned */
/* Ends all streams. Accepts NULL. */
void events_free(struct events *events);
/* data: borrowed, turned to text at once. */
void events_publish(struct events *events, const char *event, struct json_object *data);
/* Who reads. */
struct events_reader {
	bool (*sees)(const char *agent_id, void *arg); /* agent_id NULL: what is about no agent */
	bool (*may_stay)(void *arg);                   /* still */
	void (*done)(void *arg);                       /* frees arg */
	const void *owner; /* readers of one owner are counted together; compared only */
	void *arg;
};
/* Answers the request with the stream, or with 503 where FLEET_SSE_CLIENTS_MAX listen already, 429 where
 * FLEET_SSE_PER_KEY_MAX of one owner do. takes_reader: ended with its done. */
void events_serve(struct events *events, struct fleet_http_request *req, struct events_reader takes_reader);
/* Ends the streams of those who may not stay; by itself every 15 s. */
void events_check(struct events *events);
size_t events_client_count(const struct events *events);

#endif
