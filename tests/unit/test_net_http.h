/* An HTTP server with a route for each thing that a handler may do, and clients that send bytes as they are.
 */
#ifndef TEST_NET_HTTP_H
#define TEST_NET_HTTP_H
#include "fleet/http_server.h"
#include "fleet/limits.h"
#include "test_net_raw.h"
#include "unit.h"

static struct {
	struct event_base *base;
	struct fleet_http_server *server;
	struct fleet_http_request *held; /* /held leaves its request here */
	struct fleet_http_stream *stream;
	int streams_closed, contexts_freed, handled, pieces;
} t;

static inline void handle_hello(struct fleet_http_request *req, void *arg)
{
	t.handled++;
	CU_ASSERT_PTR_EQUAL(arg, &t);
	fleet_http_add_header(req, "X-Bad", "a\r\nX-Injected: yes");
	fleet_http_reply_bytes(req, 200, "text/plain", "hello", 5);
}

static inline void handle_echo(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	struct json_object *obj = json_object_new_object();

	fleet_json_add_string(obj, "method", fleet_http_method(req));
	fleet_json_add_string(obj, "path", fleet_http_path(req));
	fleet_json_add_string(obj, "id", fleet_http_param(req, ":id"));
	fleet_json_add_string(obj, "rest", fleet_http_param(req, "*"));
	fleet_json_add_string(obj, "q", fleet_http_query(req, "q"));
	fleet_json_add_string(obj, "empty", fleet_http_query(req, "empty"));
	fleet_json_add_string(obj, "test", fleet_http_header(req, "X-Test"));
	fleet_json_add_string(obj, "peer", fleet_http_peer(req));
	fleet_http_reply_json(req, 200, obj);
}

static inline void handle_post(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	static const struct fleet_json_field fields[] = {
		{.key = "appId", .type = FLEET_JSON_ID, .flags = FLEET_JSON_REQUIRED}, {0}};
	struct json_object *body = fleet_http_json_body(req, fields);

	if (body)
		fleet_http_reply_json(req, 202, json_object_get(body));
}

static inline void handle_bytes(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	size_t len;
	const char *body = fleet_http_body(req, &len);

	CU_ASSERT_EQUAL(body[len], '\0');
	(void)fleet_http_body(req, &len);
	fleet_http_reply_bytes(req, 200, "text/plain", body, len);
}

static inline void handle_held(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	t.held = req;
}

static inline void on_stream_closed(struct fleet_http_stream *stream, void *arg FLEET_UNUSED)
{
	CU_ASSERT_PTR_EQUAL(stream, t.stream);
	t.stream = NULL;
	t.streams_closed++;
}

static inline void handle_stream(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	t.stream = fleet_http_stream_start(req, 200, "text/event-stream", on_stream_closed, NULL);
}

#define PIECE  65536
#define PIECES 400

static char piece[PIECE];

static inline void on_piece_sent(struct fleet_http_stream *stream, void *arg)
{
	CU_ASSERT_PTR_EQUAL(stream, t.stream);
	if (++t.pieces < PIECES)
		fleet_http_stream_send_paced(stream, piece, sizeof(piece), on_piece_sent);
	else
		fleet_http_stream_end(TAKE_PTR(t.stream));
	(void)arg;
}

static inline void handle_pieces(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	char length[24];

	memset(piece, 'x', sizeof(piece));
	(void)snprintf(length, sizeof(length), "%d", PIECE * PIECES);
	fleet_http_add_header(req, "Content-Length", length);
	t.pieces = 0;
	t.stream = fleet_http_stream_start(req, 200, "application/octet-stream", on_stream_closed, NULL);
	fleet_http_stream_send_paced(t.stream, piece, sizeof(piece), on_piece_sent);
}

static inline void handle_nothing(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	fleet_http_reply_bytes(req, 204, NULL, NULL, 0);
}

static inline void handle_conflict(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	struct json_object *extra = json_object_new_object();

	fleet_json_add_string(extra, "agentId", "a1");
	fleet_http_reply_problem(
		req, 409, "agent-in-use", extra, "Agent '%s' is \"taken\" by \x01\xff", "a1");
}

static const struct fleet_http_route routes[] = {
	{"GET", "/hello", handle_hello, 0},
	{"GET", "/secret", handle_hello, 1},
	{"GET", "/echo/:id", handle_echo, 0},
	{"POST", "/echo/:id", handle_post, 0},
	{"DELETE", "/echo/:id/x", handle_echo, 0},
	{"GET", "/files/*", handle_echo, 0},
	{"POST", "/apps", handle_post, 0},
	{"POST", "/bytes", handle_bytes, 0},
	{"PUT", "/bytes", handle_bytes, 0},
	{"GET", "/held", handle_held, 0},
	{"GET", "/stream", handle_stream, 0},
	{"GET", "/pieces", handle_pieces, 0},
	{"GET", "/nothing", handle_nothing, 0},
	{"GET", "/conflict", handle_conflict, 0},
	{0},
};

static inline void free_context(void *context)
{
	free(context);
	t.contexts_freed++;
}

static inline bool gate(
	struct fleet_http_request *req, const struct fleet_http_route *route, void *arg FLEET_UNUSED)
{
	fleet_http_set_context(req, xstrdup("who asks"), free_context);
	if (fleet_http_header(req, "X-Key"))
		fleet_http_set_known(req);
	if (route->access == 0)
		return true;
	fleet_http_reply_problem(req, 401, "unauthenticated", NULL, "Say who you are");
	return false;
}

static const char *const headers[] = {"X-Content-Type-Options: nosniff", "Cache-Control:no-store", NULL};

static inline void start_with_timeout(int64_t timeout_ms)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	const struct fleet_http_options options = {.address = "127.0.0.1",
		.routes = routes,
		.gate = gate,
		.headers = headers,
		.timeout_ms = timeout_ms,
		.arg = &t};

	memset(&t, 0, sizeof(t));
	t.base = event_base_new();
	if (fleet_http_server_new(t.base, &options, &t.server, &err) < 0)
		CU_FAIL_FATAL("server does not start");
}

static inline void start(void)
{
	start_with_timeout(0);
}

static inline void stop(void)
{
	fleet_http_server_free(t.server);
	raw_turn(t.base);
	event_base_free(t.base);
}

/* One connection, one request as it is, everything that comes until the server ends the connection. */
static inline void ask(const void *request, size_t len, struct fleet_buffer *ret)
{
	_cleanup_close_ int fd = raw_connect(fleet_http_server_port(t.server));

	(void)raw_send(t.base, fd, request, len); /* the server may answer and close before it has all */
	CU_ASSERT(raw_wait_end(t.base, fd, ret));
}

#define C                     "Connection: close\r\n\r\n"
#define G(target)             "GET " target " HTTP/1.1\r\nHost: x\r\n" C
#define P(target, head, body) "POST " target " HTTP/1.1\r\nHost: x\r\n" head C body
#define JSON                  "Content-Type: application/json\r\n"
#define PROBLEM               "Content-Type: application/problem+json\r\n"

#endif
