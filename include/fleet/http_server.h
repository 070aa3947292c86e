/* HTTP/1.1 server over libevent's evhttp, plain or under TLS: a const table of routes with path parameters,
 * bodies and headers within bounds, answers as JSON, as problem+json (RFC 9457) or as a stream (SSE). A
 * request may be answered later; one whose client left is answered into nothing. Event loop only. */
#ifndef FLEET_HTTP_SERVER_H
#define FLEET_HTTP_SERVER_H
#include <event2/event.h>
#include "fleet/json.h"

struct fleet_tls_server;
struct fleet_x509_facts;
struct fleet_http_server;
struct fleet_http_request;
struct fleet_http_stream;

typedef void fleet_http_handler(struct fleet_http_request *req, void *arg);

struct fleet_http_route {
	const char *method;  /* "GET"; a GET route also answers HEAD */
	const char *pattern; /* "/api/agents/:agentId/ping"; a last segment "*" takes the rest */
	fleet_http_handler *handler;
	unsigned access; /* the program's own: which role may */
};

struct fleet_http_options {
	const char *address;                   /* "127.0.0.1"; IPv6 without brackets */
	uint16_t port;                         /* 0: the kernel chooses, see fleet_http_server_port */
	const struct fleet_http_route *routes; /* borrowed, ends with {0} */
	/* Runs before a matched handler (route->access is to be judged here): true lets it pass; false means
	 * that it has answered. May be NULL. */
	bool (*gate)(struct fleet_http_request *req, const struct fleet_http_route *route, void *arg);
	/* How long a client may take to send a request or fall silent. 0: FLEET_HTTP_TIMEOUT_S */
	int64_t timeout_ms;
	struct fleet_tls_server *tls; /* borrowed for the server's life; NULL: plain HTTP */
	/* Headers added to every answer, as "Name: value", NULL-terminated; may be NULL. */
	const char *const *headers;
	void *arg;
};

/* Listens. *ret owned. The error names address and port and, for EADDRINUSE, what to do. */
int fleet_http_server_new(struct event_base *base, const struct fleet_http_options *options,
	struct fleet_http_server **ret, struct fleet_error *err) FLEET_MUST_CHECK;
uint16_t fleet_http_server_port(const struct fleet_http_server *server);
/* Stops listening and ends what is open: streams hear of it, requests under way keep until they are answered,
 * and connections that became WebSockets are not its own any more. Not from within a handler. */
void fleet_http_server_free(struct fleet_http_server *server);

/* A request is the server's until one reply or stream_start call, each of which ends it. Handlers that
 * answer later keep the pointer: it stays valid until answered, also when the client leaves. */
const char *fleet_http_method(const struct fleet_http_request *req);
const char *fleet_http_path(const struct fleet_http_request *req); /* decoded, without the query */
const char *fleet_http_param(
	const struct fleet_http_request *req, const char *name); /* ":agentId", decoded */
const char *fleet_http_query(
	const struct fleet_http_request *req, const char *name); /* decoded; NULL absent */
const char *fleet_http_header(const struct fleet_http_request *req, const char *name); /* NULL absent */
const char *fleet_http_body(const struct fleet_http_request *req, size_t *ret_len);    /* NUL-terminated */
const char *fleet_http_peer(const struct fleet_http_request *req); /* address without port */
/* What the client's certificate is worth: as fleet_tls_client_of has it; 0 over plain HTTP. */
int fleet_http_certificate(const struct fleet_http_request *req, struct fleet_x509_facts *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Parsed body of a POST: an object, else 400 (415 for another content type, 413 past the bound) was
 * answered and NULL returned. Borrowed from req. Checks fields strictly where given. */
struct json_object *fleet_http_json_body(
	struct fleet_http_request *req, const struct fleet_json_field *fields);
/* Its client has shown a credential: from now on its connection does not count among those of its address
 * that have not (FLEET_PREAUTH_PER_ADDRESS_MAX; past that many, a request must be whole within 2 s). */
void fleet_http_set_known(struct fleet_http_request *req);
/* The program's word about a request (who asks), freed with it by free_fn. */
void fleet_http_set_context(struct fleet_http_request *req, void *takes_context, void (*free_fn)(void *));
void *fleet_http_context(const struct fleet_http_request *req);

void fleet_http_add_header(
	struct fleet_http_request *req, const char *name, const char *value); /* CR, LF refused */
void fleet_http_reply_json(struct fleet_http_request *req, int status, struct json_object *takes_body);
void fleet_http_reply_bytes(
	struct fleet_http_request *req, int status, const char *content_type, const void *data, size_t len);
/* RFC 9457: {type, title, status, detail, instance}; kind is the last segment of type ("agent-not-found");
 * extra (takes, may be NULL) holds further members (field, agentId, ...). */
void fleet_http_reply_problem(struct fleet_http_request *req, int status, const char *kind,
	struct json_object *extra, const char *fmt, ...) FLEET_PRINTF(5, 6);

/* A streaming answer (SSE, files). on_closed is called once when the client leaves (the stream is gone then).
 */
struct fleet_http_stream *fleet_http_stream_start(struct fleet_http_request *req, int status,
	const char *content_type, void (*on_closed)(struct fleet_http_stream *stream, void *arg), void *arg);
/* -ENOBUFS where the client does not keep up (FLEET_WS_BACKLOG_MAX unsent). */
int fleet_http_stream_send(struct fleet_http_stream *stream, const void *data, size_t len) FLEET_MUST_CHECK;
size_t fleet_http_stream_backlog(const struct fleet_http_stream *stream); /* bytes unsent */
/* The same without that bound, for answers that are read from somewhere piece by piece: on_sent is called
 * once, when all of it has left for the client, and then the next piece's turn is. Not called where on_closed
 * is. A Content-Length that was added before stream_start makes the answer one of that length. */
void fleet_http_stream_send_paced(struct fleet_http_stream *stream, const void *data, size_t len,
	void (*on_sent)(struct fleet_http_stream *stream, void *arg));
/* Cuts the answer off, with what waits to be sent: for clients that do not read. on_closed is not called. */
void fleet_http_stream_abort(struct fleet_http_stream *stream);
/* Ends the answer; on_closed is not called. One that is shorter than its Content-Length is seen as cut off.
 */
void fleet_http_stream_end(struct fleet_http_stream *stream);

#endif
