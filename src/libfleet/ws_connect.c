/* The client's half: an address, a connection, an upgrade that is answered as RFC 6455 wants it. Every
 * address of a name is tried in turn; one bound holds for all of it. */
#include <arpa/inet.h>
#include <event2/dns.h>
#include <event2/http.h>
#include <netdb.h>
#include <signal.h>
#include <sys/socket.h>
#include "fleet/tls.h"
#include "ws_connect.h"
#include "ws_internal.h"

#define ADDRESSES_MAX 8

/* Outlives the dial where evdns still has to call back. */
struct resolution {
	struct fleet_ws *ws; /* NULL: nobody waits any more */
	struct evdns_getaddrinfo_request *request;
};

struct ws_dial {
	struct evdns_base *dns;       /* borrowed */
	struct fleet_tls_client *tls; /* borrowed; NULL: plain */
	char *host;                   /* without brackets */
	uint16_t port;
	char *request; /* the upgrade's text */
	char *subprotocol;
	char accept[WS_ACCEPT_LEN + 1];
	int64_t timeout_ms;
	struct resolution *resolution;
	struct {
		struct sockaddr_storage addr;
		int len;
	} addresses[ADDRESSES_MAX];
	size_t address_count, address_next;
	bool started, connected, encrypted; /* connected: so far that the server can answer */
};

void ws_dial_free(struct ws_dial *dial)
{
	if (!dial)
		return;
	if (dial->resolution) {
		struct resolution *resolution = TAKE_PTR(dial->resolution);

		resolution->ws = NULL;
		evdns_getaddrinfo_cancel(resolution->request); /* on_resolved frees it, now or later */
	}
	free(dial->host);
	free(dial->request);
	free(dial->subprotocol);
	free(dial);
}

static void take_answer(struct fleet_ws *ws, bool at_end);
static void on_answer(struct bufferevent *bev, void *arg);
static void on_dial_event(struct bufferevent *bev, short what, void *arg);

/* Goes to the next address; why: what happened to the one before. */
static void connect_next(struct fleet_ws *ws, int why)
{
	struct ws_dial *dial = ws->dial;

	while (dial->address_next < dial->address_count) {
		const size_t i = dial->address_next++;

		if (ws->bev)
			bufferevent_free(TAKE_PTR(ws->bev));
		ws->bev = bufferevent_socket_new(ws->base, -1, BEV_OPT_CLOSE_ON_FREE);
		if (!ws->bev)
			break;
		bufferevent_setcb(ws->bev, on_answer, NULL, on_dial_event, ws);
		bufferevent_setwatermark(ws->bev, EV_READ, 0, WS_ANSWER_MAX);
		if (bufferevent_socket_connect(ws->bev, (struct sockaddr *)&dial->addresses[i].addr,
			    dial->addresses[i].len) == 0 &&
			bufferevent_enable(ws->bev, EV_READ | EV_WRITE) == 0)
			return; /* on_dial_event hears the rest */
		why = EVUTIL_SOCKET_ERROR();
	}
	ws_end_errno(ws, why);
}

static void add_address(struct ws_dial *dial, const struct sockaddr *addr, size_t len)
{
	if (dial->address_count == ADDRESSES_MAX || len > sizeof(dial->addresses[0].addr))
		return;
	memcpy(&dial->addresses[dial->address_count].addr, addr, len);
	dial->addresses[dial->address_count++].len = (int)len;
}

static bool add_numeric(struct ws_dial *dial, const char *host)
{
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
	};
	struct addrinfo *info = NULL;
	char port[8];

	(void)snprintf(port, sizeof(port), "%u", dial->port);
	if (getaddrinfo(host, port, &hints, &info) != 0)
		return false;
	add_address(dial, info->ai_addr, info->ai_addrlen);
	freeaddrinfo(info);
	return true;
}

static void on_resolved(int result, struct evutil_addrinfo *info, void *arg)
{
	struct resolution *resolution = arg;
	struct fleet_ws *ws = resolution->ws;
	const struct evutil_addrinfo *ai;

	free(resolution);
	if (ws)
		ws->dial->resolution = NULL;
	if (ws && !ws->end) {
		for (ai = info; ai; ai = ai->ai_next)
			add_address(ws->dial, ai->ai_addr, ai->ai_addrlen);
		if (ws->dial->address_count > 0)
			connect_next(ws, EADDRNOTAVAIL);
		else
			ws_end(ws, 0, 1006, "cannot find the address of %s: %s", ws->dial->host,
				result ? evutil_gai_strerror(result) : "the name has none");
	}
	if (info)
		evutil_freeaddrinfo(info);
}

static void resolve(struct fleet_ws *ws)
{
	const struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct ws_dial *dial = ws->dial;
	struct evdns_getaddrinfo_request *request;
	struct resolution *resolution;
	char port[8];

	if (add_numeric(dial, dial->host)) {
		connect_next(ws, EADDRNOTAVAIL);
		return;
	}
	if (strcasecmp(dial->host, "localhost") == 0) {
		(void)add_numeric(dial, "127.0.0.1"); /* cannot fail */
		(void)add_numeric(dial, "::1");       /* likewise */
		connect_next(ws, EADDRNOTAVAIL);
		return;
	}
	if (!dial->dns) {
		ws_end(ws, 0, 1006, "cannot find the address of %s: there is no resolver here", dial->host);
		return;
	}
	resolution = xcalloc(1, sizeof(*resolution));
	resolution->ws = ws;
	dial->resolution = resolution;
	(void)snprintf(port, sizeof(port), "%u", dial->port);
	request = evdns_getaddrinfo(dial->dns, dial->host, port, &hints, on_resolved, resolution);
	if (request)
		resolution->request = request; /* else on_resolved has been called already, and it is gone */
}

/* The timer fired: to begin with, then because time is over. */
void ws_dial_go_on(struct fleet_ws *ws)
{
	struct ws_dial *dial = ws->dial;

	if (!dial->started) {
		dial->started = true;
		ws_timer_start(ws, dial->timeout_ms);
		resolve(ws);
		return;
	}
	if (dial->connected && evbuffer_get_length(bufferevent_get_input(ws->bev)) > 0) {
		take_answer(ws, true);
		return;
	}
	if (dial->resolution)
		ws_end(ws, 0, 1006, "looking up %s took longer than %lld ms", dial->host,
			(long long)dial->timeout_ms);
	else if (dial->connected)
		ws_end(ws, 0, 1006, "connected, but the server did not answer within %lld ms",
			(long long)dial->timeout_ms);
	else if (dial->encrypted)
		ws_end(ws, 0, 1006, "connected, but the TLS handshake was not done within %lld ms",
			(long long)dial->timeout_ms);
	else
		ws_end(ws, 0, 1006, "nobody accepted the connection within %lld ms",
			(long long)dial->timeout_ms);
}

static void take_answer(struct fleet_ws *ws, bool at_end)
{
	struct evbuffer *input = bufferevent_get_input(ws->bev);
	struct ws_answer answer;

	if (ws->end)
		return; /* closed is on its way */
	switch (ws_answer_read(input, at_end, ws->dial->accept, ws->dial->subprotocol, &answer)) {
	case WS_ANSWER_MORE:
		return;
	case WS_ANSWER_REFUSED:
		ws_end(ws, answer.status, 1006, "%s", answer.reason);
		return;
	case WS_ANSWER_OPEN:
		break;
	}
	ws_timer_stop(ws);
	ws_dial_free(TAKE_PTR(ws->dial));
	ws_open(ws);
	if (ws->open && !ws->end && ws->events.open) {
		ws->busy++;
		ws->events.open(ws, ws->arg);
		ws->busy--;
		if (ws->dead)
			fleet_ws_free(ws);
	}
}

static void on_answer(struct bufferevent *bev FLEET_UNUSED, void *arg)
{
	take_answer(arg, false);
}

/* The connection is there: now it is made a TLS one. */
static void encrypt(struct fleet_ws *ws)
{
	struct ws_dial *dial = ws->dial;
	struct bufferevent *plain = TAKE_PTR(ws->bev);
	const int fd = bufferevent_getfd(plain);

	dial->encrypted = true;
	(void)bufferevent_disable(plain, EV_READ | EV_WRITE); /* cannot fail for a socket, nor this: */
	(void)bufferevent_setfd(plain, -1);
	bufferevent_free(plain);
	ws->bev = fleet_tls_connect(dial->tls, ws->base, fd, dial->host, dial->port);
	bufferevent_setcb(ws->bev, on_answer, NULL, on_dial_event, ws);
	bufferevent_setwatermark(ws->bev, EV_READ, 0, WS_ANSWER_MAX);
	if (bufferevent_enable(ws->bev, EV_READ | EV_WRITE) < 0)
		ws_end(ws, 0, 1006, "cannot watch the connection");
}

static void say_request(struct fleet_ws *ws)
{
	struct ws_dial *dial = ws->dial;

	dial->connected = true;
	if (bufferevent_write(ws->bev, dial->request, strlen(dial->request)) < 0)
		ws_end(ws, 0, 1006, "no memory for the request");
}

static void on_dial_event(struct bufferevent *bev, short what, void *arg)
{
	struct fleet_ws *ws = arg;
	struct ws_dial *dial = ws->dial;

	if (ws->end)
		return; /* likewise */
	if (what & BEV_EVENT_CONNECTED) {
		const int fd = bufferevent_getfd(bev);

		free(ws->peer);
		ws->peer = ws_peer_of(fd);
		ws_no_delay(fd);
		if (dial->tls && !dial->encrypted)
			encrypt(ws);
		else
			say_request(ws);
	} else if (what & BEV_EVENT_ERROR && !dial->connected && !dial->encrypted) {
		connect_next(ws, EVUTIL_SOCKET_ERROR());
	} else if (what & BEV_EVENT_ERROR) {
		ws_end_transport(ws, EVUTIL_SOCKET_ERROR());
	} else if (what & BEV_EVENT_EOF && dial->connected) {
		take_answer(ws, true);
	} else if (what & BEV_EVENT_EOF) {
		ws_end_transport(ws, 0);
	}
}

/* A header's value that we send: one line of visible text. */
static bool is_plain(const char *text)
{
	for (; text && *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

static int parse_url(const char *url, struct ws_dial *dial, char **ret_target, char **ret_authority,
	struct fleet_error *err)
{
	struct evhttp_uri *uri = NULL;
	const char *scheme, *host, *path, *query;
	int port, default_port;
	bool tls;
	size_t len;

	if (url && strlen(url) <= FLEET_URL_LEN_MAX && is_plain(url))
		uri = evhttp_uri_parse(url);
	scheme = uri ? evhttp_uri_get_scheme(uri) : NULL;
	host = uri ? evhttp_uri_get_host(uri) : NULL;
	tls = scheme && (strcasecmp(scheme, "wss") == 0 || strcasecmp(scheme, "https") == 0);
	if (!scheme || (!tls && strcasecmp(scheme, "ws") != 0 && strcasecmp(scheme, "http") != 0) ||
		str_empty(host) || evhttp_uri_get_userinfo(uri) || evhttp_uri_get_fragment(uri) ||
		evhttp_uri_get_port(uri) == 0 || evhttp_uri_get_port(uri) > 65535) {
		if (uri)
			evhttp_uri_free(uri);
		return fleet_error_set(err, -EINVAL,
			"'%.200s' is no WebSocket URL: ws://host[:port]/path or wss://… is expected",
			url ? url : "");
	}
	if (!tls)
		dial->tls = NULL;
	default_port = tls ? 443 : 80;
	port = evhttp_uri_get_port(uri);
	dial->port = (uint16_t)(port < 0 ? default_port : port);
	len = strlen(host);
	if (host[0] == '[' && host[len - 1] == ']')
		dial->host = xstrndup(host + 1, len - 2);
	else
		dial->host = xstrdup(host);
	path = evhttp_uri_get_path(uri);
	query = evhttp_uri_get_query(uri);
	*ret_target = xasprintf("%s%s%s", str_empty(path) ? "/" : path, query ? "?" : "", query ? query : "");
	*ret_authority = port < 0 || port == default_port ? xstrdup(host) : xasprintf("%s:%d", host, port);
	evhttp_uri_free(uri);
	if (tls && !dial->tls)
		return fleet_error_set(err, -EINVAL, "%s asks for TLS, for which nothing was set up", url);
	return 0;
}

int fleet_ws_connect(struct event_base *base, struct evdns_base *dns,
	const struct fleet_ws_client_options *options, const struct fleet_ws_events *events, void *arg,
	struct fleet_ws **ret, struct fleet_error *err)
{
	_cleanup_free_ char *target = NULL, *authority = NULL;
	struct ws_dial *dial;
	struct fleet_ws *ws;
	char key[25];
	int r;

	if (!is_plain(options->subprotocol) || !is_plain(options->bearer) || !is_plain(options->user_agent))
		return fleet_error_set(err, -EINVAL,
			"the API key, the subprotocol or the user agent has a control character");
	dial = xcalloc(1, sizeof(*dial));
	dial->tls = options->tls;
	r = parse_url(options->url, dial, &target, &authority, err);
	if (r == 0 && dial->tls)
		r = fleet_tls_client_ready(dial->tls, err);
	if (r == 0 && (ws_key_new(key) < 0 || ws_accept_of(key, dial->accept) < 0))
		r = fleet_error_set(err, -EIO, "no random bytes or no SHA-1 to be had, which RFC 6455 needs");
	if (r < 0) {
		ws_dial_free(dial);
		return r;
	}
	(void)signal(SIGPIPE, SIG_IGN); /* a server that leaves while we write must not end the program */
	dial->dns = dns;
	dial->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : FLEET_HTTP_TIMEOUT_S * 1000;
	dial->subprotocol = xstrdup(options->subprotocol);
	dial->request = xasprintf(
		"GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n%s%s%s%s%s%s%s%s%s\r\n",
		target, authority, key, options->subprotocol ? "Sec-WebSocket-Protocol: " : "",
		options->subprotocol ? options->subprotocol : "", options->subprotocol ? "\r\n" : "",
		options->bearer ? "Authorization: Bearer " : "", options->bearer ? options->bearer : "",
		options->bearer ? "\r\n" : "", options->user_agent ? "User-Agent: " : "",
		options->user_agent ? options->user_agent : "", options->user_agent ? "\r\n" : "");
	ws = ws_new(base, true, events, arg);
	ws->dial = dial;
	ws_timer_start(ws, 0); /* everything else happens on the loop */
	*ret = ws;
	return 0;
}
