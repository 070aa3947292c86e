/* A WebSocket connection once it is open, and its end. */
#include <arpa/inet.h>
#include <ctype.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <wslay/wslay.h>
#include "fleet/clock.h"
#include "fleet/text.h"
#include "fleet/tls.h"
#include "ws_internal.h"

#define GOODBYE_MS     3000 /* end_by_verdict's sentence says it, too */
#define FRAME_HEAD_MAX 14

static void end_by_verdict(struct fleet_ws *ws, const char *otherwise);
static void on_read(struct bufferevent *bev, void *arg);
static void on_written(struct bufferevent *bev, void *arg);
static void on_event(struct bufferevent *bev, short what, void *arg);

static void on_timer(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct fleet_ws *ws = arg;

	if (!ws->end && ws->dial) {
		ws_dial_go_on(ws);
		return;
	}
	if (!ws->end)
		end_by_verdict(ws, "the peer did not answer the goodbye within 3 s");
	ws_timer_stop(ws);
	ws_dial_free(TAKE_PTR(ws->dial)); /* a name's answer must find nobody waiting */
	if (ws->bev)
		bufferevent_free(TAKE_PTR(ws->bev)); /* the descriptor should not wait for the owner */
	if (ws->events.closed)
		ws->events.closed(ws, ws->end, ws->arg);
	/* ws may be gone. */
}

struct fleet_ws *ws_new(
	struct event_base *base, bool is_client, const struct fleet_ws_events *events, void *arg)
{
	struct fleet_ws *ws = xcalloc(1, sizeof(*ws));

	ws->base = base;
	ws->is_client = is_client;
	ws->events = *events;
	ws->arg = arg;
	ws->last_heard_ms = fleet_clock_monotonic_ms();
	return ws;
}

void ws_timer_start(struct fleet_ws *ws, int64_t ms)
{
	const struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	if (!ws->timer)
		ws->timer = evtimer_new(ws->base, on_timer, ws);
	if (!ws->timer || event_add(ws->timer, &tv) < 0)
		abort(); /* out of memory, as in xmalloc */
}

void ws_timer_stop(struct fleet_ws *ws)
{
	if (ws->timer)
		event_free(TAKE_PTR(ws->timer));
}

void ws_end(struct fleet_ws *ws, int http_status, int close_code, const char *fmt, ...)
{
	va_list ap;

	if (ws->end || ws->dead)
		return;
	ws->end = xcalloc(1, sizeof(*ws->end));
	ws->end->http_status = http_status;
	ws->end->close_code = close_code;
	va_start(ap, fmt);
	(void)vsnprintf(ws->end->reason, sizeof(ws->end->reason), fmt, ap); /* cut where it does not fit */
	va_end(ap);
	fleet_text_sanitize(ws->end->reason); /* also a character that was cut in half */
	if (ws->bev)
		(void)bufferevent_disable(ws->bev, EV_READ | EV_WRITE); /* cannot fail for a socket */
	ws_timer_start(ws, 0);
}

void ws_end_errno(struct fleet_ws *ws, int code)
{
	_cleanup_free_ char *text = xstrdup(strerror(code));

	text[0] = (char)tolower((unsigned char)text[0]); /* it stands within a sentence */
	ws_end(ws, 0, 1006, "%s", text);
}

void ws_end_transport(struct fleet_ws *ws, int code)
{
	char why[sizeof(ws->end->reason)];

	if (!fleet_tls_is_on(ws->bev)) {
		ws_end_errno(ws, code);
		return;
	}
	fleet_tls_explain(ws->bev, code, why, sizeof(why));
	ws_end(ws, 0, 1006, "%s", why);
}

void ws_no_delay(int fd)
{
	const int yes = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)); /* else it is only slower */
}

char *ws_peer_of(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_storage storage;
	} a = {{0}};
	socklen_t len = sizeof(a);
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (getpeername(fd, &a.any, &len) < 0 || getnameinfo(&a.any, len, host, sizeof(host), port,
							 sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return xstrdup("unknown");
	return xasprintf(a.any.sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

void ws_open(struct fleet_ws *ws)
{
	ws->open = true;
	ws->last_heard_ms = fleet_clock_monotonic_ms();
	bufferevent_setcb(ws->bev, on_read, on_written, on_event, ws);
	bufferevent_setwatermark(ws->bev, EV_READ, 0, 0);
	if (bufferevent_enable(ws->bev, EV_READ | EV_WRITE) < 0) {
		ws_end(ws, 0, 1006, "cannot watch the connection");
		return;
	}
	if (evbuffer_get_length(bufferevent_get_input(ws->bev)) > 0)
		bufferevent_trigger(ws->bev, EV_READ, BEV_OPT_DEFER_CALLBACKS);
}

static struct ws_frames *frames_get(struct fleet_ws *ws)
{
	if (!ws->frames)
		ws->frames = ws_frames_new(ws->is_client);
	return ws->frames;
}

static void frames_drop_if_idle(struct fleet_ws *ws)
{
	if (ws->frames && ws->busy == 0 && ws_frames_is_idle(ws->frames)) {
		ws_frames_free(ws->frames);
		ws->frames = NULL;
	}
}

static size_t backlog(const struct fleet_ws *ws)
{
	return evbuffer_get_length(bufferevent_get_output(ws->bev));
}

static void put(struct fleet_ws *ws, int opcode, const void *data, size_t len)
{
	ws_frames_put(frames_get(ws), bufferevent_get_output(ws->bev), opcode, data, len);
	frames_drop_if_idle(ws);
}

static bool can_send(const struct fleet_ws *ws)
{
	return ws->open && !ws->close_sent && !ws->end && !ws->dead;
}

static void put_close(struct fleet_ws *ws, int code, const char *reason, size_t len)
{
	unsigned char payload[125] = {(unsigned char)(code >> 8), (unsigned char)(code & 0xff)};

	if (len > sizeof(payload) - 2)
		len = sizeof(payload) - 2;
	while (len > 0 && !fleet_text_is_utf8(reason, len))
		len--; /* not half a character */
	if (len > 0)
		memcpy(payload + 2, reason, len);
	put(ws, WSLAY_CONNECTION_CLOSE, payload, code == 1005 ? 0 : len + 2);
	ws->close_sent = true;
	ws_timer_start(ws, GOODBYE_MS);
}

/* What will be told once the peer has left. */
static void set_verdict(struct fleet_ws *ws, int code, const char *reason)
{
	if (ws->verdict)
		return;
	ws->verdict = xcalloc(1, sizeof(*ws->verdict));
	ws->verdict->close_code = code;
	(void)snprintf(ws->verdict->reason, sizeof(ws->verdict->reason), "%s", reason); /* cut is fine */
}

static void end_by_verdict(struct fleet_ws *ws, const char *otherwise)
{
	if (ws->verdict)
		ws_end(ws, 0, ws->verdict->close_code, "%s", ws->verdict->reason);
	else
		ws_end(ws, 0, 1006, "%s", otherwise);
}

/* The peer broke the protocol: it is told why, and then nothing more is heard. The end comes when it has left
 * or the goodbye's time is over: closing at once, with bytes unread, would reset the connection, and the
 * close frame would be lost. */
static void fail(struct fleet_ws *ws, int code, const char *why)
{
	ws->broken = true;
	set_verdict(ws, code, why);
	if (!ws->close_sent)
		put_close(ws, code, why, strlen(why));
}

static void take_ping(struct fleet_ws *ws, const struct ws_item *item)
{
	if (!can_send(ws))
		return;
	if (backlog(ws) > FLEET_WS_BACKLOG_MAX)
		ws_end(ws, 0, 1006, "the peer pings and does not read the answers");
	else
		put(ws, WSLAY_PONG, item->data, item->len);
}

static void finish_if_said(struct fleet_ws *ws)
{
	if (!ws->bev || backlog(ws) > 0)
		return;
	if (ws->broken)
		(void)shutdown(bufferevent_getfd(ws->bev), SHUT_WR); /* gone already is fine, too */
	else if (ws->close_received && ws->close_sent && !ws->is_client)
		end_by_verdict(ws, ""); /* the server closes first (RFC 6455 7.1.1) */
}

static void take_close(struct fleet_ws *ws, const struct ws_item *item)
{
	ws->close_received = true;
	set_verdict(ws, item->code, item->data);
	if (!ws->close_sent)
		put_close(ws, item->code, item->data, item->len);
	finish_if_said(ws);
}

static void take_item(struct fleet_ws *ws, const struct ws_item *item)
{
	switch (item->kind) {
	case WS_MESSAGE:
		if (!ws->close_sent && ws->events.message)
			ws->events.message(ws, item->data, item->len, ws->arg);
		break;
	case WS_PING:
		take_ping(ws, item);
		break;
	case WS_CLOSE:
		take_close(ws, item);
		break;
	case WS_BROKEN:
		fail(ws, item->code, item->data);
		break;
	case WS_PONG:
	case WS_NOTHING:
		break;
	}
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(bev);
	struct fleet_ws *ws = arg;
	struct ws_item item = {.kind = WS_PONG};

	ws->last_heard_ms = fleet_clock_monotonic_ms();
	ws->busy++;
	if (ws->events.alive)
		ws->events.alive(ws, ws->arg);
	while (!ws->dead && !ws->end && !ws->broken && !ws->close_received && item.kind != WS_NOTHING) {
		ws_frames_next(frames_get(ws), input, &item);
		take_item(ws, &item);
	}
	ws->busy--;
	if (ws->dead) {
		fleet_ws_free(ws);
		return;
	}
	if (ws->bev)
		(void)evbuffer_drain(input, evbuffer_get_length(input)); /* after the goodbye; cannot fail */
	frames_drop_if_idle(ws);
}

static void on_written(struct bufferevent *bev FLEET_UNUSED, void *arg)
{
	finish_if_said(arg);
}

static void on_event(struct bufferevent *bev FLEET_UNUSED, short what, void *arg)
{
	struct fleet_ws *ws = arg;

	if (what & BEV_EVENT_ERROR && !ws->verdict)
		ws_end_transport(ws, EVUTIL_SOCKET_ERROR());
	else if (what & BEV_EVENT_ERROR)
		end_by_verdict(ws, "");
	else if (what & BEV_EVENT_EOF)
		end_by_verdict(ws, "the peer closed the connection without a goodbye");
}

int fleet_ws_send(struct fleet_ws *ws, const char *text, size_t len)
{
	if (!can_send(ws))
		return -ENOTCONN;
	if (len > FLEET_MESSAGE_MAX)
		return -EMSGSIZE;
	if (!fleet_text_is_utf8(text, len))
		return -EINVAL;
	if (backlog(ws) + len + FRAME_HEAD_MAX > FLEET_WS_BACKLOG_MAX)
		return -ENOBUFS;
	put(ws, WSLAY_TEXT_FRAME, text, len);
	return 0;
}

void fleet_ws_ping(struct fleet_ws *ws)
{
	if (can_send(ws) && backlog(ws) < FLEET_WS_BACKLOG_MAX)
		put(ws, WSLAY_PING, "", 0);
}

void fleet_ws_close(struct fleet_ws *ws, int code, const char *reason)
{
	if (ws->open && can_send(ws))
		put_close(ws, code, reason ? reason : "", reason ? strlen(reason) : 0);
	else if (!ws->open)
		ws_end(ws, 0, 1006, "closed before it was open");
}

void fleet_ws_free(struct fleet_ws *ws)
{
	if (!ws)
		return;
	ws_timer_stop(ws);
	if (ws->bev)
		bufferevent_free(TAKE_PTR(ws->bev));
	ws_dial_free(TAKE_PTR(ws->dial));
	ws->dead = true;
	if (ws->busy > 0)
		return; /* the caller below us on the stack frees the rest */
	ws_frames_free(ws->frames);
	free(ws->verdict);
	free(ws->end);
	free(ws->peer);
	free(ws);
}

const char *fleet_ws_peer(const struct fleet_ws *ws)
{
	return ws->peer ? ws->peer : "";
}

int64_t fleet_ws_last_heard_ms(const struct fleet_ws *ws)
{
	return ws->last_heard_ms;
}
