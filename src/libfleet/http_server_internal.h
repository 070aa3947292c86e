/* What the files of the HTTP server share among themselves, and with ws_accept. Nobody else includes this.
 *
 * Who owns an evhttp_request: evhttp, until the handler runs; then we (EVHTTP_USER_OWNED), so that a
 * connection that ends in the meantime leaves headers and body in place; evhttp again from the reply on. */
#ifndef FLEET_HTTP_SERVER_INTERNAL_H
#define FLEET_HTTP_SERVER_INTERNAL_H
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <sys/queue.h>
#include "fleet/http_server.h"
#include "fleet/limits.h"

#define FLEET_HTTP_PARAMS_MAX 8

struct fleet_http_pair {
	char *name, *value; /* owned */
};

struct fleet_http_newcomer;
struct fleet_http_leaving; /* a connection taken over, whose evhttp objects are still to be freed */

struct fleet_http_server {
	LIST_ENTRY(fleet_http_server) link;
	struct event_base *base; /* borrowed */
	struct evhttp *http;
	const struct fleet_http_route *routes; /* borrowed */
	bool (*gate)(struct fleet_http_request *req, const struct fleet_http_route *route, void *arg);
	void *arg;
	struct fleet_tls_server *tls;    /* borrowed; NULL: plain */
	struct fleet_http_pair *headers; /* of every answer; ends with {0} */
	struct event *accept_again;      /* armed while accepting pauses for want of descriptors */
	struct event *reaper;            /* frees what `leaving` holds, outside of evhttp's own calls */
	struct timeval timeout;          /* of one byte, and of one whole request */
	int null_fd;                     /* /dev/null: takes the place of a descriptor that was taken over */
	uint16_t port;
	LIST_HEAD(, fleet_http_request) requests; /* not answered yet */
	LIST_HEAD(, fleet_http_leaving) leaving;
	LIST_HEAD(, fleet_http_newcomer) newcomers;
};

struct fleet_http_request {
	LIST_ENTRY(fleet_http_request) link;
	struct fleet_http_server *server; /* NULL: the server was freed */
	struct evhttp_request *evreq;     /* ours until the reply */
	struct evhttp_connection *evcon;  /* NULL: the connection is gone */
	const char *method;
	char *path; /* decoded */
	struct fleet_http_pair params[FLEET_HTTP_PARAMS_MAX];
	size_t param_count;
	struct fleet_http_pair *query;
	size_t query_count;
	char *peer;
	const char *body; /* in evreq's buffer */
	size_t body_len;
	struct event_base *base; /* borrowed; outlives the server */
	struct json_object *json;
	void *context;
	void (*free_context)(void *);
};

/* Parses target and framing of what evhttp read. 0, or an HTTP status with the sentence for it. */
struct fleet_http_request *fleet_http_request_new(
	struct fleet_http_server *server, struct evhttp_request *evreq);
int fleet_http_request_parse(struct fleet_http_request *req, struct fleet_error *err) FLEET_MUST_CHECK;
/* Frees our side only; evreq has found another owner. */
void fleet_http_request_free(struct fleet_http_request *req);
/* Hands evreq back to evhttp for the answer; NULL where the connection is gone (evreq is freed then). */
struct evhttp_request *fleet_http_request_release(struct fleet_http_request *req);
bool fleet_http_is_head(const struct fleet_http_request *req);

/* 0, or -EINVAL for a bad escape, a NUL or what is no UTF-8. *ret owned. */
int fleet_http_decode(const char *text, size_t len, bool plus_is_space, char **ret) FLEET_MUST_CHECK;

/* Finds the route and fills the parameters. 0, 404, 405 (*ret_allow, owned, says what is) or 400. */
int fleet_http_route_find(struct fleet_http_request *req, const struct fleet_http_route **ret_route,
	char **ret_allow) FLEET_MUST_CHECK;

const char *fleet_http_status_text(int status);
/* The server's own headers, where the answer does not have them yet. */
void fleet_http_add_server_headers(struct fleet_http_request *req);
/* An answer may take long to be read, a request may not take long to be sent. */
void fleet_http_timeouts_answering(struct evhttp_connection *evcon, const struct timeval *timeout);

/* http_server_conn.c: evhttp's connection, from its beginning to its end. */
typedef void fleet_http_closed(struct evhttp_connection *evcon, void *arg);
void fleet_http_conn_watch(struct fleet_http_server *server, struct bufferevent *bev);
/* At the server's end: those that were accepted a moment ago. */
void fleet_http_conn_forget_newcomers(struct fleet_http_server *server);
/* Who is told when the connection goes; NULL: nobody. */
void fleet_http_conn_on_closed(struct evhttp_connection *evcon, fleet_http_closed *on_closed, void *arg);
/* The connection is taken over: its time is not ours any more. */
void fleet_http_conn_forget(struct evhttp_connection *evcon);

/* http_server_rate.c. Counts a connection of this address (its first half); false: it has had too many. */
struct in6_addr;
bool fleet_http_may_connect(const struct in6_addr *address);

/* Rewrites evhttp's own HTML error pages as problem+json: watches a connection's output. */
void fleet_http_error_pages_watch(struct bufferevent *bev);

/* Takes the connection from evhttp: *ret_bev owned, with what was read already in its input; req is gone.
 * -ENOTCONN where the client left, -errno of dup; req is still there then. */
int fleet_http_take_over(struct fleet_http_request *req, struct bufferevent **ret_bev,
	struct fleet_error *err) FLEET_MUST_CHECK;
void fleet_http_leaving_reap(struct fleet_http_server *server);

#endif
