/* The server's half of an upgrade. */
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include "http_server_internal.h"
#include "ws_internal.h"

bool fleet_ws_offers(const struct fleet_http_request *req, const char *subprotocol)
{
	const struct evkeyvalq *headers = evhttp_request_get_input_headers(req->evreq);
	const struct evkeyval *h;

	TAILQ_FOREACH(h, headers, next)
	if (strcasecmp(h->key, "Sec-WebSocket-Protocol") == 0 && ws_has_token(h->value, subprotocol))
		return true;
	return false;
}

int fleet_ws_check_upgrade(struct fleet_http_request *req, struct fleet_error *err)
{
	if (strcmp(req->method, "GET") != 0 || req->evreq->major != 1 || req->evreq->minor < 1)
		return fleet_error_set(err, -EINVAL, "A WebSocket begins with a GET of HTTP/1.1");
	if (!ws_has_token(fleet_http_header(req, "Upgrade"), "websocket") ||
		!ws_has_token(fleet_http_header(req, "Connection"), "upgrade"))
		return fleet_error_set(err, -EINVAL,
			"Only WebSockets are served here: the request needs Upgrade: websocket and "
			"Connection: Upgrade");
	if (!str_equal(fleet_http_header(req, "Sec-WebSocket-Version"), "13")) {
		fleet_http_add_header(req, "Sec-WebSocket-Version", "13");
		return fleet_error_set(
			err, -EINVAL, "The only version of the WebSocket protocol known here is 13");
	}
	if (!ws_key_is_valid(fleet_http_header(req, "Sec-WebSocket-Key")))
		return fleet_error_set(err, -EINVAL, "Sec-WebSocket-Key must be 16 bytes in base64");
	return 0;
}

int fleet_ws_accept(struct fleet_http_request *req, const char *subprotocol,
	const struct fleet_ws_events *events, void *arg, struct fleet_ws **ret, struct fleet_error *err)
{
	struct event_base *base = req->base;
	char accept[WS_ACCEPT_LEN + 1];
	struct bufferevent *bev;
	struct fleet_ws *ws;
	int r = fleet_ws_check_upgrade(req, err);

	if (r < 0)
		return r;
	if (ws_accept_of(fleet_http_header(req, "Sec-WebSocket-Key"), accept) < 0)
		return fleet_error_set(err, -EIO, "libcrypto offers no SHA-1, which RFC 6455 needs");
	r = fleet_http_take_over(req, &bev, err); /* what came behind the request's end are frames already */
	if (r < 0)
		return r;
	/* req is gone from here on. */
	ws = ws_new(base, false, events, arg);
	ws->bev = bev;
	ws->peer = ws_peer_of(bufferevent_getfd(bev));
	ws_no_delay(bufferevent_getfd(bev));
	(void)evbuffer_add_printf(bufferevent_get_output(bev), /* else the client gets no answer and leaves */
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: %s\r\n%s%s%s\r\n",
		accept, subprotocol ? "Sec-WebSocket-Protocol: " : "", subprotocol ? subprotocol : "",
		subprotocol ? "\r\n" : "");
	ws_open(ws);
	*ret = ws;
	return 0;
}
