/* Connections and streams in the course of time: slow clients, clients that leave, handlers that answer
 * later, bounds on what waits. */
#include <sys/resource.h>
#include "test_net_http.h"

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
	return unit_run((const struct unit_suite[]){{"http life", tests}, {0}});
}
