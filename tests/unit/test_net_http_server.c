#include <sys/resource.h>
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

static void handle_hello(struct fleet_http_request *req, void *arg)
{
	t.handled++;
	CU_ASSERT_PTR_EQUAL(arg, &t);
	fleet_http_add_header(req, "X-Bad", "a\r\nX-Injected: yes");
	fleet_http_reply_bytes(req, 200, "text/plain", "hello", 5);
}

static void handle_echo(struct fleet_http_request *req, void *arg FLEET_UNUSED)
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

static void handle_post(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	static const struct fleet_json_field fields[] = {
		{.key = "appId", .type = FLEET_JSON_ID, .flags = FLEET_JSON_REQUIRED}, {0}};
	struct json_object *body = fleet_http_json_body(req, fields);

	if (body)
		fleet_http_reply_json(req, 202, json_object_get(body));
}

static void handle_bytes(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	size_t len;
	const char *body = fleet_http_body(req, &len);

	CU_ASSERT_EQUAL(body[len], '\0');
	(void)fleet_http_body(req, &len);
	fleet_http_reply_bytes(req, 200, "text/plain", body, len);
}

static void handle_held(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	t.held = req;
}

static void on_stream_closed(struct fleet_http_stream *stream, void *arg FLEET_UNUSED)
{
	CU_ASSERT_PTR_EQUAL(stream, t.stream);
	t.stream = NULL;
	t.streams_closed++;
}

static void handle_stream(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	t.stream = fleet_http_stream_start(req, 200, "text/event-stream", on_stream_closed, NULL);
}

#define PIECE  65536
#define PIECES 400

static char piece[PIECE];

static void on_piece_sent(struct fleet_http_stream *stream, void *arg)
{
	CU_ASSERT_PTR_EQUAL(stream, t.stream);
	if (++t.pieces < PIECES)
		fleet_http_stream_send_paced(stream, piece, sizeof(piece), on_piece_sent);
	else
		fleet_http_stream_end(TAKE_PTR(t.stream));
	(void)arg;
}

static void handle_pieces(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	char length[24];

	memset(piece, 'x', sizeof(piece));
	(void)snprintf(length, sizeof(length), "%d", PIECE * PIECES);
	fleet_http_add_header(req, "Content-Length", length);
	t.pieces = 0;
	t.stream = fleet_http_stream_start(req, 200, "application/octet-stream", on_stream_closed, NULL);
	fleet_http_stream_send_paced(t.stream, piece, sizeof(piece), on_piece_sent);
}

static void handle_nothing(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	fleet_http_reply_bytes(req, 204, NULL, NULL, 0);
}

static void handle_conflict(struct fleet_http_request *req, void *arg FLEET_UNUSED)
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

static void free_context(void *context)
{
	free(context);
	t.contexts_freed++;
}

static bool gate(struct fleet_http_request *req, const struct fleet_http_route *route, void *arg FLEET_UNUSED)
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

static void start_with_timeout(int64_t timeout_ms)
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

static void start(void)
{
	start_with_timeout(0);
}

static void stop(void)
{
	fleet_http_server_free(t.server);
	raw_turn(t.base);
	event_base_free(t.base);
}

/* One connection, one request as it is, everything that comes until the server ends the connection. */
static void ask(const void *request, size_t len, struct fleet_buffer *ret)
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

struct exchange {
	const char *request;
	int status;
	const char *has, *has_not; /* NULL: not asked */
};

static void check_exchanges(const struct exchange *e)
{
	start();
	for (; e->request; e++) {
		_cleanup_buffer_ struct fleet_buffer buf = FLEET_BUFFER_INIT;
		char line[32];

		ask(e->request, strlen(e->request), &buf);
		(void)snprintf(
			line, sizeof(line), "HTTP/1.%d %d ", !strstr(e->request, "HTTP/1.0"), e->status);
		if (!buf.data || strncmp(buf.data, line, strlen(line)) != 0 ||
			(e->has && !raw_has(&buf, e->has)) || (e->has_not && raw_has(&buf, e->has_not))) {
			printf("# asked: %.200s\n# got: %s\n", e->request, buf.data ? buf.data : "nothing");
			CU_FAIL("unexpected answer");
		}
	}
	stop();
}

static void test_refuses_what_is_no_http(void)
{
	static const struct exchange table[] = {{"no request at all, really\r\n\r\n", 400, PROBLEM, "HTML"},
		{"GET /hello\r\n\r\n", 400, PROBLEM, NULL},
		{"GET /hello HTTP/9.9\r\n\r\n", 400, PROBLEM, NULL},
		{"GET /hello HTTP/1.1\r\nno colon here\r\n\r\n", 400, "/problems/invalid-request", NULL},
		{"GET /hello HTTP/1.1\r\nBad Name: x\r\n\r\n", 400, PROBLEM, NULL},
		{"BREW /hello HTTP/1.1\r\nHost: x\r\n\r\n", 501, PROBLEM, NULL},
		{"CONNECT x:80 HTTP/1.0\r\n\r\n", 501, PROBLEM, NULL},
		{"GET /hello HTTP/0.1\r\nHost: x\r\n\r\n", 505, "HTTP/1.1 505 ", NULL},
		{"TRACE /hello HTTP/1.1\r\nHost: x\r\n\r\n", 501, PROBLEM, NULL},
		{"OPTIONS * HTTP/1.1\r\nHost: x\r\n" C, 404, PROBLEM, NULL},
		{"GET hello HTTP/1.1\r\nHost: x\r\n" C, 400, "begin with a slash", NULL},
		{"POST /apps HTTP/1.1\r\nExpect: miracles\r\nContent-Length: 5\r\n\r\n12345", 417, PROBLEM,
			NULL},
		{0}};

	check_exchanges(table);
}

static void test_refuses_ambiguous_framing(void)
{
	static const struct exchange table[] = {
		{P("/bytes", "Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"), 400,
			"more than one Content-Length", NULL},
		{P("/bytes", "Content-Length: 4\r\ncontent-length: 4\r\n", "abcd"), 400, "more than one",
			NULL},
		{P("/bytes", "Content-Length: +4\r\n", "abcd"), 400, "no number", NULL},
		{P("/bytes", "Content-Length: x\r\n", "abcd"), 400, PROBLEM, NULL},
		{P("/bytes", "Content-Length: -1\r\n", "abcd"), 400, PROBLEM, NULL},
		{P("/bytes", "Content-Length: 99999999999999999999\r\n", "abcd"), 413, PROBLEM, NULL},
		{P("/bytes", "Content-Length : 4\r\n", "abcd"), 400, PROBLEM, NULL},
		{P("/bytes", "Transfer-Encoding: gzip\r\n", "abcd"), 501, "chunked", NULL},
		{P("/bytes", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n"), 400,
			PROBLEM, NULL},
		{P("/bytes", "Transfer-Encoding: chunked\r\n", "zz\r\nabcd\r\n"), 413, PROBLEM, NULL},
		{P("/bytes", "Transfer-Encoding: chunked\r\n", "-4\r\nabcd\r\n"), 413, PROBLEM, NULL},
		{"HEAD /hello HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd", 400, NULL, NULL}, {0}};

	check_exchanges(table);
}

static void test_refuses_bad_encodings(void)
{
	static const struct exchange table[] = {{G("/echo/%00"), 400, PROBLEM, NULL},
		{G("/echo/%zz"), 400, PROBLEM, NULL}, {G("/echo/%4"), 400, PROBLEM, NULL},
		{G("/echo/%c3%28"), 400, "UTF-8", NULL}, {G("/files/a%00b"), 400, PROBLEM, NULL},
		{G("/echo/a?q=%00"), 400, "query", NULL}, {G("/echo/a?q=%ff"), 400, "query", NULL},
		{G("/echo/a?%ff=1"), 400, "query", NULL}, {0}};

	check_exchanges(table);
}

static void test_refuses_bad_bodies(void)
{
	static const struct exchange table[] = {
		{P("/apps", JSON "Content-Length: 8\r\n", "{\"appId\""), 400,
			"The body cannot be read: not valid JSON: line 1", NULL},
		{P("/apps", JSON "Content-Length: 2\r\n", "[]"), 400, "must be a JSON object", NULL},
		{P("/apps", JSON "Content-Length: 4\r\n", "null"), 400, "must be a JSON object", NULL},
		{P("/apps", JSON "Content-Length: 2\r\n", "{}"), 400, "\"field\":\"appId\"", NULL},
		{P("/apps", JSON "Content-Length: 11\r\n", "{\"appId\":7}"), 400, "\"field\":\"appId\"",
			NULL},
		{P("/apps", JSON "Content-Length: 21\r\n", "{\"appId\":\"a\",\"typo\":1}"), 400, PROBLEM,
			NULL},
		{P("/apps", JSON, ""), 400, PROBLEM, NULL},
		{P("/apps", "Content-Length: 2\r\n", "{}"), 415, "application/json", NULL},
		{P("/apps", "Content-Type: application/jsonp\r\nContent-Length: 2\r\n", "{}"), 415, PROBLEM,
			NULL},
		{P("/apps", JSON "Content-Length: 1048577\r\n", ""), 413, "/problems/too-large", "HTML"},
		{P("/apps", JSON "Expect: 100-continue\r\nContent-Length: 1048577\r\n", ""), 413, PROBLEM,
			NULL},
		{P("/apps", JSON "Transfer-Encoding: chunked\r\n", "100001\r\n"), 413, PROBLEM, NULL}, {0}};

	check_exchanges(table);
}

static void test_bounds_headers_and_urls(void)
{
	_cleanup_buffer_ struct fleet_buffer request = FLEET_BUFFER_INIT, answer = FLEET_BUFFER_INIT;
	size_t i;

	start();
	fleet_buffer_add_string(&request, "GET /hello HTTP/1.1\r\n");
	for (i = 0; i < 400; i++)
		fleet_buffer_printf(
			&request, "X-%zu: 012345678901234567890123456789012345678901234567890\r\n", i);
	fleet_buffer_add_string(&request, C);
	ask(request.data, request.len, &answer);
	CU_ASSERT(raw_has(&answer, "HTTP/1.1 400 "));
	CU_ASSERT(raw_has(&answer, PROBLEM));

	fleet_buffer_truncate(&request, 0);
	fleet_buffer_truncate(&answer, 0);
	fleet_buffer_add_string(&request, "GET /hello?");
	for (i = 0; i < FLEET_URL_LEN_MAX; i++)
		fleet_buffer_add_string(&request, "x");
	fleet_buffer_add_string(&request, " HTTP/1.1\r\n" C);
	ask(request.data, request.len, &answer);
	CU_ASSERT(raw_has(&answer, "HTTP/1.1 414 "));

	/* A first line without an end */
	fleet_buffer_truncate(&request, 0);
	fleet_buffer_truncate(&answer, 0);
	for (i = 0; i < 4 * FLEET_HTTP_HEADERS_MAX; i++)
		fleet_buffer_add_string(&request, "x");
	ask(request.data, request.len, &answer);
	CU_ASSERT(raw_has(&answer, "HTTP/1.1 400 "));
	stop();
}

static void test_answers(void)
{
	static const struct exchange table[] = {{G("/hello"), 200, "\r\n\r\nhello", "X-Injected"},
		{G("/hello"), 200, "X-Content-Type-Options: nosniff\r\n", NULL},
		{G("/hello"), 200, "Cache-Control: no-store\r\n", NULL},
		{G("http://x/hello"), 200, "hello", NULL},
		{"HEAD /hello HTTP/1.1\r\n" C, 200, "Content-Length: 5\r\n", "hello"},
		{"HEAD /none HTTP/1.1\r\n" C, 404, PROBLEM, "{"},
		{G("/secret"), 401, "Say who you are", NULL},
		{G("/none"), 404, "\"instance\":\"/none\"", NULL}, {G("/"), 404, PROBLEM, NULL},
		{G("/hello/"), 404, PROBLEM, NULL}, {G("/hell"), 404, PROBLEM, NULL},
		{G("/echo/"), 404, PROBLEM, NULL},
		{"DELETE /hello HTTP/1.1\r\n" C, 405, "Allow: GET, HEAD\r\n", NULL},
		{"DELETE /echo/a HTTP/1.1\r\n" C, 405, "Allow: GET, HEAD, POST\r\n", NULL},
		{"DELETE /echo/a/x HTTP/1.1\r\n" C, 200, "\"method\":\"DELETE\"", NULL},
		{"GET /bytes HTTP/1.1\r\n" C, 405, "Allow: POST, PUT\r\n", NULL},
		{G("/nothing"), 204, NULL, "Content-Length"},
		{G("/conflict"), 409,
			"{\"type\":\"/problems/agent-in-use\",\"title\":\"Agent in use\",\"status\":409,",
			NULL},
		{G("/conflict"), 409, "Agent 'a1' is \\\"taken\\\" by ??", NULL},
		{G("/conflict"), 409, "\"agentId\":\"a1\"", NULL},
		{G("/echo/a%2Fb%20c?q=x+y%26z&empty=&q=2"), 200, "\"id\":\"a/b c\"", NULL},
		{G("/echo/a?q=x+y%26z&&empty&q=2"), 200, "\"q\":\"x y&z\",\"empty\":\"\"", NULL},
		{G("/echo/a+b"), 200, "\"id\":\"a+b\"", "\"q\""},
		{G("/echo/%c3%a9"), 200, "\"id\":\"\xc3\xa9\"", NULL},
		{G("/files/a/b.css"), 200, "\"rest\":\"a/b.css\"", NULL},
		{G("/files/"), 200, "\"rest\":\"\"", NULL},
		{"GET /echo/a HTTP/1.1\r\nx-tEsT:  1 \r\n" C, 200, "\"test\":\"1\"", NULL},
		{G("/echo/a"), 200, "\"peer\":\"127.0.0.1\"", NULL},
		{P("/apps", JSON "Content-Length: 13\r\n", "{\"appId\":\"a\"}"), 202, "{\"appId\":\"a\"}",
			NULL},
		{P("/apps", "content-type: Application/JSON; charset=utf-8\r\nContent-Length: 13\r\n",
			 "{\"appId\":\"a\"}"),
			202, "{\"appId\":\"a\"}", NULL},
		{P("/apps", JSON "Transfer-Encoding: chunked\r\n",
			 "5\r\n{\"app\r\n8\r\nId\":\"a\"}\r\n0\r\nX-Trailer: 1\r\n\r\n"),
			202, "{\"appId\":\"a\"}", NULL},
		{P("/bytes", "Content-Length: 4\r\n", "abcd"), 200, "\r\n\r\nabcd", NULL},
		{P("/bytes", "", ""), 200, "Content-Length: 0\r\n", NULL},
		{P("/bytes", "Expect: 100-continue\r\nContent-Length: 4\r\n", "abcd"), 200, "\r\n\r\nabcd",
			NULL},
		{"GET /hello HTTP/1.0\r\n\r\n", 200, "hello", NULL}, {0}};

	check_exchanges(table);
	CU_ASSERT_EQUAL(t.held, NULL);
}

static void test_frees_contexts(void)
{
	_cleanup_buffer_ struct fleet_buffer buf = FLEET_BUFFER_INIT;

	start();
	ask(G("/hello"), strlen(G("/hello")), &buf);
	ask(G("/secret"), strlen(G("/secret")), &buf);
	CU_ASSERT_EQUAL(t.contexts_freed, 2);
	stop();
}

static void test_takes_a_body_of_the_bound(void)
{
	_cleanup_buffer_ struct fleet_buffer request = FLEET_BUFFER_INIT, answer = FLEET_BUFFER_INIT;
	size_t i;

	start();
	fleet_buffer_printf(&request, "PUT /bytes HTTP/1.1\r\nContent-Length: %u\r\n" C, FLEET_HTTP_BODY_MAX);
	for (i = 0; i < FLEET_HTTP_BODY_MAX / 16; i++)
		fleet_buffer_add_string(&request, "0123456789abcdef");
	ask(request.data, request.len, &answer);
	CU_ASSERT(raw_has(&answer, "HTTP/1.1 200 "));
	CU_ASSERT(answer.len > FLEET_HTTP_BODY_MAX);

	/* The same in chunks */
	fleet_buffer_truncate(&request, 0);
	fleet_buffer_truncate(&answer, 0);
	fleet_buffer_add_string(&request, "PUT /bytes HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" C);
	for (i = 0; i < FLEET_HTTP_BODY_MAX / 16; i++)
		fleet_buffer_add_string(&request, "10\r\n0123456789abcdef\r\n");
	fleet_buffer_add_string(&request, "0\r\n\r\n");
	ask(request.data, request.len, &answer);
	CU_ASSERT(raw_has(&answer, "HTTP/1.1 200 "));
	CU_ASSERT(answer.len > FLEET_HTTP_BODY_MAX);
	stop();
}

static void test_keeps_connections(void)
{
	static const char two[] = "GET /hello HTTP/1.1\r\n\r\nGET /nothing HTTP/1.1\r\n\r\n";
	static const char last[] = "GET /echo/last HTTP/1.1\r\n" C;
	_cleanup_buffer_ struct fleet_buffer buf = FLEET_BUFFER_INIT;
	_cleanup_close_ int fd = -1;

	start();
	fd = raw_connect(fleet_http_server_port(t.server));
	CU_ASSERT(raw_send(t.base, fd, two, strlen(two))); /* pipelined */
	CU_ASSERT(raw_wait_text(t.base, fd, &buf, "HTTP/1.1 204 "));
	CU_ASSERT(raw_has(&buf, "\r\n\r\nhello"));
	CU_ASSERT(raw_send(t.base, fd, last, strlen(last)));
	CU_ASSERT(raw_wait_end(t.base, fd, &buf));
	CU_ASSERT(raw_has(&buf, "\"id\":\"last\""));
	stop();
}

/* evhttp's pages are rewritten in a connection that has been written to before, too. */
static void test_refuses_later_requests_as_the_first(void)
{
	static const char good[] = "GET /hello HTTP/1.1\r\n\r\n", bad[] = "nonsense, and no request\r\n\r\n";
	static const char head[] =
		"POST /bytes HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n";
	_cleanup_buffer_ struct fleet_buffer buf = FLEET_BUFFER_INIT;
	_cleanup_close_ int fd = -1;

	start();
	fd = raw_connect(fleet_http_server_port(t.server));
	CU_ASSERT(raw_send(t.base, fd, good, strlen(good)));
	CU_ASSERT(raw_wait_text(t.base, fd, &buf, "hello"));
	CU_ASSERT(raw_send(t.base, fd, bad, strlen(bad)));
	CU_ASSERT(raw_wait_end(t.base, fd, &buf));
	CU_ASSERT(raw_has(&buf, "HTTP/1.1 400 ") && raw_has(&buf, PROBLEM) && !raw_has(&buf, "HTML"));
	(void)close(TAKE_FD(fd));

	fleet_buffer_truncate(&buf, 0);
	fd = raw_connect(fleet_http_server_port(t.server));
	CU_ASSERT(raw_send(t.base, fd, head, strlen(head)));
	CU_ASSERT(raw_wait_text(t.base, fd, &buf, "HTTP/1.1 100 "));
	CU_ASSERT(raw_send(t.base, fd, "100001\r\n", 8));
	CU_ASSERT(raw_wait_end(t.base, fd, &buf));
	CU_ASSERT(raw_has(&buf, "HTTP/1.1 413 ") && raw_has(&buf, PROBLEM) && !raw_has(&buf, "HTML"));
	stop();
}

static int open_stream(struct fleet_buffer *buf)
{
	static const char request[] = "GET /stream HTTP/1.1\r\n\r\n";
	int fd = raw_connect(fleet_http_server_port(t.server));

	CU_ASSERT(raw_send(t.base, fd, request, strlen(request)));
	CU_ASSERT(raw_wait_text(t.base, fd, buf, "\r\n\r\n"));
	CU_ASSERT(raw_has(buf, "Content-Type: text/event-stream\r\n"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(t.stream);
	return fd;
}

static void test_cuts_slow_clients(void)
{
	static const char *const beginnings[] = {"", "G", "GET /hello HTTP/1.1\r\nX-A: b\r\n",
		"POST /bytes HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nab",
		"POST /bytes HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
		"GET /hello HTTP/1.1\r\n\r\nGET /hello HTTP/1.1\r\nX-A: b\r\n"};
	size_t i;

	start_with_timeout(300);
	for (i = 0; i < FLEET_ARRAY_LEN(beginnings); i++) {
		const int64_t before = fleet_clock_monotonic_ms();
		_cleanup_buffer_ struct fleet_buffer buf = FLEET_BUFFER_INIT;
		_cleanup_close_ int fd = raw_connect(fleet_http_server_port(t.server));
		int64_t sent = before;
		bool ended = false;

		CU_ASSERT(raw_send(t.base, fd, beginnings[i], strlen(beginnings[i])));
		/* a byte every 50 ms: never silent, never done */
		while (!ended && fleet_clock_monotonic_ms() < before + RAW_DEADLINE_MS) {
			if (i > 0 && fleet_clock_monotonic_ms() > sent + 50) {
				(void)send(fd, "x", 1, MSG_NOSIGNAL);
				sent = fleet_clock_monotonic_ms();
			}
			raw_turn(t.base);
			ended = raw_take(fd, &buf);
		}
		CU_ASSERT(ended);
		CU_ASSERT(fleet_clock_monotonic_ms() - before >= 250);
		CU_ASSERT_EQUAL(raw_has(&buf, "hello"), i == 5);
	}
	stop();
}

/* One address cannot hold the memory with slow requests, unless it has shown a credential on each connection.
 */
static void test_hurries_strangers_in_a_crowd(void)
{
	enum { KNOWN = 2, PATIENT = KNOWN + FLEET_PREAUTH_PER_ADDRESS_MAX, ALL = PATIENT + 5 };
	static const char hello[] = "GET /hello HTTP/1.1\r\nX-Key: k\r\n\r\n";
	static const char slow[] = "POST /bytes HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nab";
	struct fleet_buffer bufs[ALL] = {{0}};
	int fds[ALL], ended = 0;
	int64_t before;

	start_with_timeout(20000);
	before = fleet_clock_monotonic_ms();
	for (int i = 0; i < ALL; i++) {
		fds[i] = raw_connect(fleet_http_server_port(t.server));
		if (i < KNOWN) {
			CU_ASSERT(raw_send(t.base, fds[i], hello, strlen(hello)));
			CU_ASSERT(raw_wait_text(t.base, fds[i], &bufs[i], "hello"));
		}
		CU_ASSERT(raw_send(t.base, fds[i], slow, strlen(slow)));
		raw_turn(t.base);
	}
	for (bool done = false; !done && fleet_clock_monotonic_ms() < before + RAW_DEADLINE_MS;) {
		raw_turn(t.base);
		done = true;
		for (int i = PATIENT; i < ALL; i++)
			done = raw_take(fds[i], &bufs[i]) && done;
	}
	CU_ASSERT(fleet_clock_monotonic_ms() - before >= 1900);
	for (int i = 0; i < ALL; i++) {
		bool has_ended = raw_take(fds[i], &bufs[i]);

		CU_ASSERT_EQUAL(has_ended, i >= PATIENT);
		ended += has_ended;
	}
	CU_ASSERT_EQUAL(ended, ALL - PATIENT);
	for (int i = 0; i < ALL; i++) {
		(void)close(fds[i]);
		fleet_buffer_done(&bufs[i]);
	}
	raw_turn(t.base);
	stop();
}

static void test_waits_for_handlers_and_streams(void)
{
	static const char held[] = "GET /held HTTP/1.1\r\n\r\n";
	_cleanup_buffer_ struct fleet_buffer buf = FLEET_BUFFER_INIT, stream_buf = FLEET_BUFFER_INIT;
	_cleanup_close_ int fd = -1, stream = -1;
	int64_t until;

	start_with_timeout(100);
	fd = raw_connect(fleet_http_server_port(t.server));
	CU_ASSERT(raw_send(t.base, fd, held, strlen(held)));
	stream = open_stream(&stream_buf);
	CU_ASSERT(raw_send(t.base, stream, "junk", 4));
	for (until = fleet_clock_monotonic_ms() + 400; fleet_clock_monotonic_ms() < until;)
		raw_turn(t.base);
	CU_ASSERT_PTR_NOT_NULL_FATAL(t.held);
	fleet_http_reply_bytes(t.held, 200, "text/plain", "late", 4);
	CU_ASSERT(raw_wait_text(t.base, fd, &buf, "late"));
	CU_ASSERT_EQUAL(t.streams_closed, 0);
	CU_ASSERT_EQUAL(fleet_http_stream_send(t.stream, "data: 1\n\n", 9), 0);
	CU_ASSERT(raw_wait_text(t.base, stream, &stream_buf, "data: 1"));
	/* and the kept connection has its time again, and no more */
	CU_ASSERT(raw_wait_end(t.base, fd, &buf));
	stop();
}

static void test_answers_later(void)
{
	static const char request[] = "GET /held HTTP/1.1\r\nX-Test: kept\r\n\r\n";
	_cleanup_buffer_ struct fleet_buffer buf = FLEET_BUFFER_INIT;
	_cleanup_close_ int fd = -1;

	start();
	fd = raw_connect(fleet_http_server_port(t.server));
	CU_ASSERT(raw_send(t.base, fd, request, strlen(request)));
	CU_ASSERT_FATAL(RAW_WAIT(t.base, t.held));
	fleet_http_reply_bytes(t.held, 200, "text/plain", "late", 4);
	CU_ASSERT(raw_wait_text(t.base, fd, &buf, "late"));
	stop();
}

static void test_survives_clients_that_leave(void)
{
	static const char request[] = "GET /held HTTP/1.1\r\nX-Test: kept\r\n\r\n";
	static const struct linger reset = {1, 0};
	int i;

	start();
	for (i = 0; i < 2; i++) {
		int fd = raw_connect(fleet_http_server_port(t.server));

		t.held = NULL;
		CU_ASSERT(raw_send(t.base, fd, request, strlen(request)));
		CU_ASSERT_FATAL(RAW_WAIT(t.base, t.held));
		if (i == 1)
			(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		(void)close(fd);
		raw_turn(t.base);
		CU_ASSERT_STRING_EQUAL(fleet_http_header(t.held, "x-test"), "kept");
		fleet_http_reply_bytes(t.held, 200, "text/plain", "late", 4);
		raw_turn(t.base);
		raw_turn(t.base);
	}
	CU_ASSERT_EQUAL(t.contexts_freed, 2);
	stop();
}

static void test_requests_outlive_their_server(void)
{
	static const char request[] = "GET /held HTTP/1.1\r\nX-Test: kept\r\n\r\n";
	_cleanup_close_ int fd = -1, other = -1;
	struct fleet_http_request *first;

	start();
	fd = raw_connect(fleet_http_server_port(t.server));
	CU_ASSERT(raw_send(t.base, fd, request, strlen(request)));
	CU_ASSERT_FATAL(RAW_WAIT(t.base, t.held));
	first = TAKE_PTR(t.held);
	other = raw_connect(fleet_http_server_port(t.server));
	CU_ASSERT(raw_send(t.base, other, request, strlen(request)));
	CU_ASSERT_FATAL(RAW_WAIT(t.base, t.held));
	fleet_http_server_free(t.server);
	CU_ASSERT_STRING_EQUAL(fleet_http_header(first, "X-Test"), "kept");
	CU_ASSERT_STRING_EQUAL(fleet_http_path(first), "/held");
	fleet_http_reply_problem(first, 503, "unavailable", NULL, "Going down");
	t.stream = fleet_http_stream_start(t.held, 200, "text/event-stream", on_stream_closed, NULL);
	CU_ASSERT_EQUAL(fleet_http_stream_send(t.stream, "x", 1), 0);
	CU_ASSERT(RAW_WAIT(t.base, t.streams_closed == 1));
	CU_ASSERT_EQUAL(t.contexts_freed, 2);
	event_base_free(t.base);
}

static void test_streams(void)
{
	_cleanup_buffer_ struct fleet_buffer buf = FLEET_BUFFER_INIT;
	_cleanup_close_ int fd = -1;

	start();
	fd = open_stream(&buf);
	CU_ASSERT_EQUAL(fleet_http_stream_send(t.stream, "data: 1\n\n", 9), 0);
	CU_ASSERT(raw_wait_text(t.base, fd, &buf, "9\r\ndata: 1\n\n\r\n"));
	CU_ASSERT_EQUAL(fleet_http_stream_send(t.stream, "data: 2\n\n", 9), 0);
	CU_ASSERT(raw_wait_text(t.base, fd, &buf, "data: 2\n"));
	CU_ASSERT_EQUAL(fleet_http_stream_send(t.stream, "", 0), 0);
	fleet_http_stream_end(TAKE_PTR(t.stream));
	CU_ASSERT(raw_wait_end(t.base, fd, &buf));
	CU_ASSERT(raw_has(&buf, "\r\n0\r\n\r\n"));
	CU_ASSERT_EQUAL(t.streams_closed, 0);
	stop();
}

static void test_paces_an_answer_of_known_length(void)
{
	static const char request[] = "GET /pieces HTTP/1.1\r\n\r\n",
			  head[] = "HEAD /pieces HTTP/1.1\r\n\r\n";
	_cleanup_buffer_ struct fleet_buffer buf = FLEET_BUFFER_INIT;
	const char *body;
	int fd;

	start();
	fd = raw_connect(fleet_http_server_port(t.server));
	CU_ASSERT(raw_send(t.base, fd, request, strlen(request)));
	CU_ASSERT_FATAL(RAW_WAIT(t.base, t.stream));
	/* who does not read is not sent more and more: the kernel's buffers end somewhere */
	for (int i = 0; i < 50; i++)
		raw_turn(t.base);
	CU_ASSERT(t.pieces < PIECES);
	CU_ASSERT(raw_wait_end(t.base, fd, &buf));
	CU_ASSERT(raw_has(&buf, "Content-Length: 26214400\r\n") && !raw_has(&buf, "chunked"));
	body = buf.data ? memmem(buf.data, buf.len, "\r\n\r\n", 4) : NULL;
	CU_ASSERT_PTR_NOT_NULL_FATAL(body);
	CU_ASSERT_EQUAL(buf.len - (size_t)(body + 4 - buf.data), (size_t)PIECE * PIECES);
	CU_ASSERT_EQUAL(t.pieces, PIECES);
	CU_ASSERT_EQUAL(t.streams_closed, 0);
	(void)close(fd);

	/* a client that leaves in the middle, and one that wants the head alone */
	fd = raw_connect(fleet_http_server_port(t.server));
	CU_ASSERT(raw_send(t.base, fd, request, strlen(request)));
	CU_ASSERT_FATAL(RAW_WAIT(t.base, t.stream));
	(void)close(fd);
	CU_ASSERT(RAW_WAIT(t.base, t.streams_closed == 1));
	fd = raw_connect(fleet_http_server_port(t.server));
	fleet_buffer_truncate(&buf, 0);
	CU_ASSERT(raw_send(t.base, fd, head, strlen(head)));
	CU_ASSERT(RAW_WAIT(t.base, t.streams_closed == 2));
	CU_ASSERT(raw_wait_end(t.base, fd, &buf));
	CU_ASSERT(raw_has(&buf, "Content-Length: 26214400\r\n") && !raw_has(&buf, "xxx"));
	(void)close(fd);
	stop();
}

static void test_tells_when_a_streams_client_leaves(void)
{
	_cleanup_buffer_ struct fleet_buffer buf = FLEET_BUFFER_INIT;
	int fd;

	start();
	fd = open_stream(&buf);
	(void)close(fd);
	CU_ASSERT(RAW_WAIT(t.base, t.streams_closed == 1));

	/* and when the server ends it */
	fleet_buffer_truncate(&buf, 0);
	fd = open_stream(&buf);
	CU_ASSERT_EQUAL(fleet_http_stream_send(t.stream, "data: 1\n\n", 9), 0);
	fleet_http_server_free(TAKE_PTR(t.server));
	CU_ASSERT_EQUAL(t.streams_closed, 2);
	(void)close(fd);
	stop();
}

static void test_bounds_a_streams_backlog(void)
{
	static char chunk[1024 * 1024];
	_cleanup_buffer_ struct fleet_buffer buf = FLEET_BUFFER_INIT;
	_cleanup_close_ int fd = -1;
	int i, r = 0;

	start();
	fd = open_stream(&buf); /* and does not read */
	for (i = 0; i < 100 && r == 0; i++) {
		r = fleet_http_stream_send(t.stream, chunk, sizeof(chunk));
		raw_turn(t.base);
	}
	CU_ASSERT_EQUAL(r, -ENOBUFS);
	CU_ASSERT(i < 40); /* the bound, and what fits into the kernel's buffers */
	CU_ASSERT_EQUAL(t.streams_closed, 0);
	fleet_http_stream_end(TAKE_PTR(t.stream));
	stop();
}

static void test_bounds_what_a_streams_client_says(void)
{
	static char chunk[1024 * 1024];
	_cleanup_buffer_ struct fleet_buffer buf = FLEET_BUFFER_INIT;
	_cleanup_close_ int fd = -1;
	size_t taken = 0;
	int idle = 0;

	start();
	fd = open_stream(&buf);
	while (idle < 50 && taken < 64 * sizeof(chunk)) {
		const ssize_t n = send(fd, chunk, sizeof(chunk), MSG_NOSIGNAL);

		taken += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
		raw_turn(t.base);
	}
	CU_ASSERT(taken < 64 * sizeof(chunk)); /* the kernel's buffers are full, nobody reads */
	CU_ASSERT_EQUAL(fleet_http_stream_send(t.stream, "data: 1\n\n", 9), 0);
	CU_ASSERT(raw_wait_text(t.base, fd, &buf, "data: 1"));
	stop();
	CU_ASSERT_EQUAL(t.streams_closed, 1);
}

static void test_ends_a_stream_that_head_asked_for(void)
{
	static const char request[] = "HEAD /stream HTTP/1.1\r\n\r\n";
	_cleanup_buffer_ struct fleet_buffer buf = FLEET_BUFFER_INIT;

	start();
	ask(request, strlen(request), &buf);
	CU_ASSERT(raw_has(&buf, "HTTP/1.1 200 "));
	CU_ASSERT(RAW_WAIT(t.base, t.streams_closed == 1));
	stop();
}

static void test_explains_why_it_cannot_listen(void)
{
	struct fleet_http_options options = {.address = "127.0.0.1", .routes = routes};
	struct fleet_error err = FLEET_ERROR_INIT;
	struct fleet_http_server *other = NULL;

	start();
	options.port = fleet_http_server_port(t.server);
	CU_ASSERT_EQUAL(fleet_http_server_new(t.base, &options, &other, &err), -EADDRINUSE);
	CU_ASSERT(strstr(err.message, "in use") && strstr(err.message, "127.0.0.1"));
	options.address = "localhost";
	CU_ASSERT_EQUAL(fleet_http_server_new(t.base, &options, &other, &err), -EINVAL);
	options.address = "192.0.2.1";
	CU_ASSERT_EQUAL(fleet_http_server_new(t.base, &options, &other, &err), -EADDRNOTAVAIL);
	CU_ASSERT_PTR_NULL(other);
	stop();
}

static void test_pauses_when_descriptors_run_out(void)
{
	static const char request[] = G("/hello");
	_cleanup_buffer_ struct fleet_buffer buf = FLEET_BUFFER_INIT;
	struct rlimit old, few;
	_cleanup_close_ int fd = -1;
	int i;

	start();
	fd = raw_connect(fleet_http_server_port(t.server));
	CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = (rlim_t)fd; /* none left */
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (i = 0; i < 20; i++)
		raw_turn(t.base);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
	CU_ASSERT(raw_send(t.base, fd, request, strlen(request)));
	CU_ASSERT(raw_wait_text(t.base, fd, &buf, "hello"));
	stop();
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_refuses_what_is_no_http),
	UNIT_TEST(test_refuses_ambiguous_framing),
	UNIT_TEST(test_refuses_bad_encodings),
	UNIT_TEST(test_refuses_bad_bodies),
	UNIT_TEST(test_bounds_headers_and_urls),
	UNIT_TEST(test_answers),
	UNIT_TEST(test_frees_contexts),
	UNIT_TEST(test_takes_a_body_of_the_bound),
	UNIT_TEST(test_keeps_connections),
	UNIT_TEST(test_refuses_later_requests_as_the_first),
	UNIT_TEST(test_cuts_slow_clients),
	UNIT_TEST(test_hurries_strangers_in_a_crowd),
	UNIT_TEST(test_waits_for_handlers_and_streams),
	UNIT_TEST(test_answers_later),
	UNIT_TEST(test_survives_clients_that_leave),
	UNIT_TEST(test_requests_outlive_their_server),
	UNIT_TEST(test_streams),
	UNIT_TEST(test_tells_when_a_streams_client_leaves),
	UNIT_TEST(test_paces_an_answer_of_known_length),
	UNIT_TEST(test_bounds_a_streams_backlog),
	UNIT_TEST(test_bounds_what_a_streams_client_says),
	UNIT_TEST(test_ends_a_stream_that_head_asked_for),
	UNIT_TEST(test_explains_why_it_cannot_listen),
	UNIT_TEST(test_pauses_when_descriptors_run_out),
	{0},
};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"http_server", tests}, {0}});
}
