/* A WebSocket endpoint (RFC 6455), server and client, over bufferevents with wslay's framing. It hides what
 * carries the bytes and what a connection costs: no caller sees a bufferevent. Text messages only, at most
 * FLEET_MESSAGE_MAX. Event loop only; callbacks run on it. */
#ifndef FLEET_WS_H
#define FLEET_WS_H
#include <event2/event.h>
#include "fleet/error.h"

struct fleet_ws;
struct evdns_base;
struct fleet_tls_client;
struct fleet_http_request;

/* Why a connection ended, or never began. */
struct fleet_ws_end {
	int http_status;  /* client: the handshake was answered with this instead of 101; 0 otherwise */
	int close_code;   /* RFC 6455 7.4; 1006 where the peer left without a close frame, 1005 where that had
			     none */
	char reason[256]; /* for a person: "connection refused", the peer's close reason, the problem's detail
			   */
};

struct fleet_ws_events {
	void (*open)(struct fleet_ws *ws, void *arg); /* client: the handshake is done. Servers get none */
	/* text is NUL-terminated, valid UTF-8, borrowed. */
	void (*message)(struct fleet_ws *ws, const char *text, size_t len, void *arg);
	/* Anything arrived at all (pings and pongs too): for liveness. May be NULL. */
	void (*alive)(struct fleet_ws *ws, void *arg);
	/* Called exactly once unless the owner freed it first; never from within a call into this module.
	 * The callee frees ws here or later. */
	void (*closed)(struct fleet_ws *ws, const struct fleet_ws_end *end, void *arg);
};

struct fleet_ws_client_options {
	const char *url; /* ws://host[:port]/path?query, wss://… (http:// and https:// are taken as these) */
	struct fleet_tls_client *tls; /* borrowed until it is open or closed; for wss:// */
	const char *subprotocol;
	const char *bearer; /* NULL: no Authorization header */
	const char *user_agent;
	int64_t timeout_ms; /* connect and handshake together */
};

/* Starts to connect; options are copied. *ret owned. -EINVAL for a URL that is none, or what
 * fleet_tls_client_ready says; what happens on the network is told by open or closed. */
int fleet_ws_connect(struct event_base *base, struct evdns_base *dns,
	const struct fleet_ws_client_options *options, const struct fleet_ws_events *events, void *arg,
	struct fleet_ws **ret, struct fleet_error *err) FLEET_MUST_CHECK;

/* Server: answers an upgrade request with 101 and takes its connection over; afterwards req is gone. The
 * caller has checked credentials and subprotocol. -EINVAL where the request is no valid upgrade (the caller
 * then answers 400 or 426). *ret owned. */
int fleet_ws_accept(struct fleet_http_request *req, const char *subprotocol,
	const struct fleet_ws_events *events, void *arg, struct fleet_ws **ret,
	struct fleet_error *err) FLEET_MUST_CHECK;

/* 0 where the request asks for a WebSocket as RFC 6455 has it, so that fleet_ws_accept can only fail for what
 * happens to the connection; else -EINVAL, and err says what is missing. */
int fleet_ws_check_upgrade(struct fleet_http_request *req, struct fleet_error *err) FLEET_MUST_CHECK;

/* Does the client of this upgrade request offer subprotocol? */
bool fleet_ws_offers(const struct fleet_http_request *req, const char *subprotocol);

/* Queues a text message. -ENOBUFS past FLEET_WS_BACKLOG_MAX, -ENOTCONN before open and after close, -EMSGSIZE
 * past FLEET_MESSAGE_MAX, -EINVAL for what is no UTF-8. */
int fleet_ws_send(struct fleet_ws *ws, const char *text, size_t len) FLEET_MUST_CHECK;
void fleet_ws_ping(struct fleet_ws *ws);
/* Says goodbye (code, reason up to 123 bytes), flushes, then `closed` comes; a peer that does not answer
 * within 3 s is cut. */
void fleet_ws_close(struct fleet_ws *ws, int code, const char *reason);
/* Cuts at once, no callback. Accepts NULL. Safe inside callbacks. */
void fleet_ws_free(struct fleet_ws *ws);
const char *fleet_ws_peer(const struct fleet_ws *ws);      /* "127.0.0.1:4711", borrowed */
int64_t fleet_ws_last_heard_ms(const struct fleet_ws *ws); /* monotonic */

#endif
