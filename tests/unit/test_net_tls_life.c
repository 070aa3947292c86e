/* TLS connections in the course of time: slow ones, ends of every kind, and requests over them. */
#include <dirent.h>
#include "fleet/limits.h"
#include "test_net_tls.h"

/* A client of its own pace: one byte of its handshake now and then. */
static void test_slow_handshakes_are_cut(void)
{
	const int64_t began = fleet_clock_monotonic_ms();
	struct fleet_buffer got = {0};
	int silent, slow, turns = 0;

	start_with(good_certificate(), false, 400);
	silent = raw_connect(fleet_http_server_port(t.server));
	slow = raw_connect(fleet_http_server_port(t.server));
	CU_ASSERT(RAW_WAIT(
		t.base, (turns++ % 20 == 0 ? (void)send(slow, turns == 1 ? "\x16" : "\x03", 1, MSG_NOSIGNAL)
					   : (void)0,
				raw_take(slow, &got))));
	CU_ASSERT(fleet_clock_monotonic_ms() - began >= 300);
	CU_ASSERT(raw_wait_end(t.base, silent, &got));
	(void)close(silent);
	(void)close(slow);
	fleet_buffer_done(&got);
	stop();
}

/* The handshake is done, the request does not come. */
static void test_slow_requests_are_cut(void)
{
	struct raw_tls r;
	char byte;
	int result = 0;

	start_with(good_certificate(), false, 400);
	r = raw_tls_new(TLS1_3_VERSION, TLS1_3_VERSION);
	CU_ASSERT(raw_tls_handshake(&r));
	CU_ASSERT(RAW_WAIT(t.base, (ERR_clear_error(), result = SSL_read(r.ssl, &byte, 1),
					   result == 0 || !raw_tls_wants(&r, result))));
	raw_tls_done(&r);
	stop();
}

static void test_a_settled_connection_is_not_cut(void)
{
	static const char ask[] = "GET /late HTTP/1.1\r\nHost: x\r\n\r\n";
	struct fleet_buffer answer = {0};
	struct raw_tls r;

	start_with(good_certificate(), false, 400);
	r = raw_tls_new(TLS1_3_VERSION, TLS1_3_VERSION);
	CU_ASSERT(raw_tls_handshake(&r));
	CU_ASSERT_EQUAL(SSL_write(r.ssl, ask, sizeof(ask) - 1), sizeof(ask) - 1);
	CU_ASSERT_FATAL(RAW_WAIT(t.base, t.late));
	pair();
	CU_ASSERT(say("hello", 5));
	for (const int64_t until = fleet_clock_monotonic_ms() + 900; fleet_clock_monotonic_ms() < until;)
		raw_turn(t.base); /* that nothing happens is what is tested */
	CU_ASSERT(say("still here", 10));
	CU_ASSERT_EQUAL(t.at_client.closed + t.at_server.closed, 0);
	fleet_http_reply_bytes(TAKE_PTR(t.late), 200, "text/plain", "at last", 7);
	CU_ASSERT(raw_tls_read(&r, &answer, "at last"));
	raw_tls_done(&r);
	fleet_buffer_done(&answer);
	stop();
}

static void test_requests_and_errors(void)
{
	struct fleet_buffer answer = {0};
	struct raw_tls r;

	start();
	r = raw_tls_new(TLS1_3_VERSION, TLS1_3_VERSION);
	CU_ASSERT(raw_tls_handshake(&r));
	for (int i = 0; i < 2; i++) {
		fleet_buffer_truncate(&answer, 0);
		CU_ASSERT(
			raw_tls_ask(&r, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", &answer, "\r\n\r\nhello"));
	}
	fleet_buffer_truncate(&answer, 0);
	/* evhttp's own page is rewritten under TLS too. */
	CU_ASSERT(raw_tls_ask(&r, "no HTTP at all\r\n\r\n", &answer, "application/problem+json"));
	CU_ASSERT(raw_has(&answer, " 400 "));
	raw_tls_done(&r);
	fleet_buffer_done(&answer);
	stop();
}

/* Frames in the record of the upgrade itself must not be lost when the connection changes hands. */
static void test_frames_behind_the_upgrade(void)
{
	static const char upgrade[] =
		"GET /hub HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
		"\x81\x82\x01\x01\x01\x01ij"; /* "hk", masked */
	struct fleet_buffer answer = {0};
	struct raw_tls r;

	start();
	r = raw_tls_new(TLS1_3_VERSION, TLS1_3_VERSION);
	CU_ASSERT(raw_tls_handshake(&r));
	CU_ASSERT(raw_tls_ask(&r, upgrade, &answer, "101 Switching"));
	CU_ASSERT(RAW_WAIT(t.base, t.at_server.messages == 1));
	CU_ASSERT(t.at_server.last.len == 2 && memcmp(t.at_server.last.data, "hk", 2) == 0);
	/* A goodbye of TLS alone, then none at all. */
	(void)SSL_shutdown(r.ssl);
	CU_ASSERT(RAW_WAIT(t.base, t.at_server.closed == 1));
	CU_ASSERT_EQUAL(t.at_server.end.close_code, 1006);
	raw_tls_done(&r);
	fleet_buffer_done(&answer);
	stop();
}

static int open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		(void)closedir(dir);
	return count;
}

static void test_sudden_ends_leave_nothing(void)
{
	static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
	const int before = (start(), open_descriptors());
	struct raw_tls r;

	for (int i = 0; i < 5; i++) {
		int fd = raw_connect(fleet_http_server_port(t.server));

		CU_ASSERT(raw_send(t.base, fd, hello, sizeof(hello) - 1));
		(void)close(fd);
		r = raw_tls_new(TLS1_3_VERSION, TLS1_3_VERSION);
		CU_ASSERT(raw_tls_handshake(&r));
		CU_ASSERT_EQUAL(SSL_write(r.ssl, "GET /h", 6), 6);
		raw_tls_done(&r);
		pair();
		CU_ASSERT(say("x", 1));
		if (i % 2)
			fleet_ws_free(TAKE_PTR(t.at_client.ws));
		else
			fleet_ws_free(TAKE_PTR(t.at_server.ws));
		CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed + t.at_server.closed > 0));
		fleet_ws_free(TAKE_PTR(t.at_client.ws));
		t.at_client.closed = t.at_server.closed = 0;
	}
	CU_ASSERT(RAW_WAIT(t.base, open_descriptors() == before));
	stop();
}

/* The server goes while a connection is between evhttp and its new owner. */
static void test_the_server_goes_first(void)
{
	start();
	pair();
	fleet_http_server_free(TAKE_PTR(t.server));
	CU_ASSERT(say("it is ours", 10));
	stop();
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_slow_handshakes_are_cut),
	UNIT_TEST(test_slow_requests_are_cut),
	UNIT_TEST(test_a_settled_connection_is_not_cut),
	UNIT_TEST(test_requests_and_errors),
	UNIT_TEST(test_frames_behind_the_upgrade),
	UNIT_TEST(test_sudden_ends_leave_nothing),
	UNIT_TEST(test_the_server_goes_first),
	{0},
};

int main(void)
{
	return tls_run("tls life", tests);
}
