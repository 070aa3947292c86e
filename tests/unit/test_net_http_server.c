/* Requests: what is refused, what is answered. */
#include "test_net_http.h"

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
	{0},
};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"http_server", tests}, {0}});
}
