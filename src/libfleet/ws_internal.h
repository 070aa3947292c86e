/* What the files of the WebSocket endpoint share among themselves. Nobody else includes this.
 *
 * ws.c has the connection, ws_frames.c bytes and messages, ws_handshake.c what both sides of an upgrade
 * check, ws_accept.c the server's half, ws_connect.c the client's. */
#ifndef FLEET_WS_INTERNAL_H
#define FLEET_WS_INTERNAL_H
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include "fleet/limits.h"
#include "fleet/ws.h"

/* ws_frames.c: wslay's context is 8 KB, so it lives only while a frame or message is half done. */

struct ws_frames;

enum ws_item_kind { WS_NOTHING, WS_MESSAGE, WS_PING, WS_PONG, WS_CLOSE, WS_BROKEN };
struct ws_item {
	enum ws_item_kind kind;
	const char *data; /* borrowed until the next call, NUL-terminated; for WS_BROKEN what is wrong */
	size_t len;
	int code; /* WS_CLOSE: 1005 where there is none. WS_BROKEN: the code to close with */
};

struct ws_frames *ws_frames_new(bool is_client);
void ws_frames_free(struct ws_frames *f);
/* Takes bytes from input until there is something to tell; WS_NOTHING: input is empty. After WS_BROKEN f is
 * good for putting only. */
void ws_frames_next(struct ws_frames *f, struct evbuffer *input, struct ws_item *ret);
/* Nothing is half done: f may go. */
bool ws_frames_is_idle(const struct ws_frames *f);
void ws_frames_put(struct ws_frames *f, struct evbuffer *output, int opcode, const void *data, size_t len);

/* ws_handshake.c */

#define WS_ACCEPT_LEN 28
/* RFC 6455 4.2.2: base64 of the SHA-1 of the key and the GUID. -EIO where libcrypto has no SHA-1. */
int ws_accept_of(const char *key, char ret_accept[WS_ACCEPT_LEN + 1]) FLEET_MUST_CHECK;
/* A new key: base64 of 16 random bytes. */
int ws_key_new(char ret_key[25]) FLEET_MUST_CHECK;
bool ws_key_is_valid(const char *key);
/* Is token one of the comma-separated words of a header's value? Case does not matter. */
bool ws_has_token(const char *value, const char *token);

/* ws.c */

struct ws_dial; /* ws_connect.c: what a client needs until it is open */

struct fleet_ws {
	struct event_base *base;  /* borrowed */
	struct bufferevent *bev;  /* NULL: not connected yet, or cut */
	struct ws_frames *frames; /* NULL while nothing is half done */
	struct ws_dial *dial;     /* client, until it is open */
	struct event *timer; /* dial: the handshake's bound. Later: the goodbye's, or the end's delivery */
	struct fleet_ws_end *end;     /* set: only `closed` is still to come */
	struct fleet_ws_end *verdict; /* what will be told when the peer has left */
	struct fleet_ws_events events;
	void *arg;
	char *peer;
	int64_t last_heard_ms;
	unsigned busy; /* callbacks of ours on the stack: the struct must stay */
	bool is_client, open, close_sent, close_received, broken, dead;
};

struct fleet_ws *ws_new(
	struct event_base *base, bool is_client, const struct fleet_ws_events *events, void *arg);
/* Frames go over bev from now on. */
void ws_open(struct fleet_ws *ws);
/* The end: closed comes from the loop, with this. The first end counts. */
void ws_end(struct fleet_ws *ws, int http_status, int close_code, const char *fmt, ...) FLEET_PRINTF(4, 5);
void ws_end_errno(struct fleet_ws *ws, int code);
/* The transport failed: what TLS says, else code. */
void ws_end_transport(struct fleet_ws *ws, int code);
void ws_timer_start(struct fleet_ws *ws, int64_t ms);
void ws_timer_stop(struct fleet_ws *ws);
/* "127.0.0.1:4711" of a connected socket; owned. */
char *ws_peer_of(int fd);
void ws_no_delay(int fd);

void ws_dial_go_on(struct fleet_ws *ws); /* the timer fired */
void ws_dial_free(struct ws_dial *dial);

#endif
