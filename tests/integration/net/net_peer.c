/* Our network rooms as a program, for strangers to talk to:
 *
 *	net_peer serve              an HTTP and WebSocket server; prints its port; ends when stdin does
 *	net_peer connect URL SUB    a WebSocket client that echoes; prints what happens to it
 */
#include <event2/event.h>
#include <sys/queue.h>
#include "fleet/http_server.h"
#include "fleet/log.h"
#include "fleet/ws.h"

static struct event_base *base;

/* What is open when the program ends: a leak check should find nothing. */
struct peer {
	LIST_ENTRY(peer) link;
	struct fleet_ws *ws;
	bool is_client;
};
static LIST_HEAD(, peer) peers = LIST_HEAD_INITIALIZER(peers);

static struct peer *peer_new(bool is_client)
{
	struct peer *peer = xcalloc(1, sizeof(*peer));

	peer->is_client = is_client;
	LIST_INSERT_HEAD(&peers, peer, link);
	return peer;
}

static void peer_free(struct peer *peer)
{
	LIST_REMOVE(peer, link);
	fleet_ws_free(peer->ws);
	free(peer);
}

static void on_open(struct fleet_ws *ws, void *arg FLEET_UNUSED)
{
	printf("open %s\n", fleet_ws_peer(ws));
	(void)fflush(stdout);
}

static void on_message(struct fleet_ws *ws, const char *text, size_t len, void *arg)
{
	int r = 0;

	if (strcmp(text, "please close") == 0)
		fleet_ws_close(ws, 4321, "as you wish");
	else if (strcmp(text, "please ping") == 0)
		fleet_ws_ping(ws);
	else if (strcmp(text, "please vanish") == 0)
		peer_free(arg);
	else
		r = fleet_ws_send(ws, text, len);
	if (r < 0) {
		fprintf(stderr, "cannot send: %s\n", strerror(-r));
		exit(1);
	}
}

static void on_closed(struct fleet_ws *ws FLEET_UNUSED, const struct fleet_ws_end *end, void *arg)
{
	struct peer *peer = arg;

	printf("closed %d %d %s\n", end->http_status, end->close_code, end->reason);
	(void)fflush(stdout);
	if (peer->is_client)
		(void)event_base_loopexit(base, NULL);
	peer_free(peer);
}

static const struct fleet_ws_events events = {.open = on_open, .message = on_message, .closed = on_closed};

static void handle_echo(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	const char *subprotocol = fleet_ws_offers(req, "fleet.v1") ? "fleet.v1" : NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct peer *peer = peer_new(false);

	if (fleet_ws_accept(req, subprotocol, &events, peer, &peer->ws, &err) == 0)
		return;
	peer_free(peer);
	fleet_http_reply_problem(req, 426, "invalid-request", NULL, "%s", err.message);
}

static void handle_hello(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	fleet_http_reply_bytes(req, 200, "text/plain", "hello\n", 6);
}

static void handle_bytes(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	size_t len;
	const char *body = fleet_http_body(req, &len);

	fleet_http_reply_bytes(req, 200, "application/octet-stream", body, len);
}

static void handle_stream(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	static const char one[] = "event: agent\ndata: {}\n\n";
	struct fleet_http_stream *stream = fleet_http_stream_start(req, 200, "text/event-stream", NULL, NULL);
	int i;

	for (i = 0; i < 3; i++)
		if (fleet_http_stream_send(stream, one, strlen(one)) < 0)
			exit(1);
	fleet_http_stream_end(stream);
}

static const struct fleet_http_route routes[] = {
	{"GET", "/echo", handle_echo, 0},
	{"GET", "/hello", handle_hello, 0},
	{"POST", "/bytes", handle_bytes, 0},
	{"GET", "/stream", handle_stream, 0},
	{0},
};

static void on_stdin(evutil_socket_t fd, short what FLEET_UNUSED, void *arg FLEET_UNUSED)
{
	char c;

	if (read((int)fd, &c, 1) <= 0)
		(void)event_base_loopexit(base, NULL);
}

static int serve(void)
{
	const struct fleet_http_options options = {.address = "127.0.0.1", .routes = routes};
	struct fleet_error err = FLEET_ERROR_INIT;
	struct fleet_http_server *server;
	struct event *end = event_new(base, 0, EV_READ | EV_PERSIST, on_stdin, NULL);

	if (fleet_http_server_new(base, &options, &server, &err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		return 1;
	}
	printf("%u\n", fleet_http_server_port(server));
	(void)fflush(stdout);
	(void)event_add(end, NULL);
	(void)event_base_dispatch(base);
	fleet_http_server_free(server);
	event_free(end);
	return 0;
}

static int connect_to(const char *url, const char *subprotocol)
{
	const struct fleet_ws_client_options options = {.url = url,
		.subprotocol = subprotocol,
		.bearer = "k3y",
		.user_agent = "net_peer",
		.timeout_ms = 5000};
	struct fleet_error err = FLEET_ERROR_INIT;
	struct peer *peer = peer_new(true);

	if (fleet_ws_connect(base, NULL, &options, &events, peer, &peer->ws, &err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		return 1;
	}
	(void)event_base_dispatch(base);
	return 0;
}

int main(int argc, char **argv)
{
	int r = 2;

	fleet_log_init("net_peer", FLEET_LOG_INFO, FLEET_LOG_FORMAT_TEXT);
	base = event_base_new();
	if (argc == 2 && strcmp(argv[1], "serve") == 0)
		r = serve();
	else if (argc >= 3 && strcmp(argv[1], "connect") == 0)
		r = connect_to(argv[2], argv[3]);
	while (!LIST_EMPTY(&peers))
		peer_free(LIST_FIRST(&peers));
	event_base_free(base);
	return r;
}
