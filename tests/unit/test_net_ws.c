/* Both ends of ours, and the server against clients that are not. */
#include "test_net_ws.h"

static void test_carries_messages(void)
{
	pair();
	CU_ASSERT_STRING_EQUAL(t.bearer, "Bearer k3y");
	CU_ASSERT_STRING_EQUAL(t.agent, "a1");
	CU_ASSERT(str_starts(fleet_ws_peer(t.at_server.ws), "127.0.0.1:"));
	CU_ASSERT(str_starts(fleet_ws_peer(t.at_client.ws), "127.0.0.1:"));
	t.at_server.echo = true;
	CU_ASSERT_EQUAL(fleet_ws_send(t.at_client.ws, "h\xc3\xa9llo", 6), 0);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.messages == 1));
	CU_ASSERT_STRING_EQUAL(t.at_client.last.data, "h\xc3\xa9llo");
	CU_ASSERT_EQUAL(fleet_ws_send(t.at_client.ws, "", 0), 0);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.messages == 2));
	CU_ASSERT_EQUAL(t.at_client.last.len, 0);
	stop();
}

static void test_carries_every_size(void)
{
	static const size_t sizes[] = {
		1, 125, 126, 127, 4081, 4082, 4096, 65535, 65536, 65537, 500000, FLEET_MESSAGE_MAX};
	char *text = xmalloc(FLEET_MESSAGE_MAX + 1);
	size_t i;

	for (i = 0; i < FLEET_MESSAGE_MAX + 1; i++)
		text[i] = (char)('a' + i % 23);
	pair();
	t.at_server.echo = true;
	for (i = 0; i < FLEET_ARRAY_LEN(sizes); i++) {
		CU_ASSERT_EQUAL(fleet_ws_send(t.at_client.ws, text, sizes[i]), 0);
		CU_ASSERT(RAW_WAIT(t.base, t.at_client.messages == (int)i + 1));
		CU_ASSERT_EQUAL(t.at_client.last.len, sizes[i]);
		CU_ASSERT_EQUAL(memcmp(t.at_client.last.data, text, sizes[i]), 0);
	}
	CU_ASSERT_EQUAL(fleet_ws_send(t.at_client.ws, text, FLEET_MESSAGE_MAX + 1), -EMSGSIZE);
	CU_ASSERT_EQUAL(fleet_ws_send(t.at_client.ws, "\xff", 1), -EINVAL);
	/* Many at once arrive in order, each whole */
	for (i = 1; i <= 200; i++)
		CU_ASSERT_EQUAL(fleet_ws_send(t.at_client.ws, text, i * 17), 0);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.messages == (int)FLEET_ARRAY_LEN(sizes) + 200));
	CU_ASSERT_EQUAL(t.at_client.last.len, 200 * 17);
	free(text);
	stop();
}

static void test_pings(void)
{
	pair();
	fleet_ws_ping(t.at_client.ws);
	CU_ASSERT(RAW_WAIT(t.base, t.at_server.alive > 0 && t.at_client.alive > 0));
	CU_ASSERT_EQUAL(t.at_client.messages + t.at_server.messages, 0);
	fleet_ws_ping(t.at_server.ws);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.alive > 1 && t.at_server.alive > 1));
	CU_ASSERT(fleet_ws_last_heard_ms(t.at_server.ws) <= fleet_clock_monotonic_ms());
	CU_ASSERT(fleet_ws_last_heard_ms(t.at_server.ws) > fleet_clock_monotonic_ms() - RAW_DEADLINE_MS);
	stop();
}

static void test_says_goodbye(void)
{
	/* from the client */
	pair();
	fleet_ws_close(t.at_client.ws, 1001, "going away");
	fleet_ws_close(t.at_client.ws, 1000, "twice is once");
	CU_ASSERT_EQUAL(fleet_ws_send(t.at_client.ws, "x", 1), -ENOTCONN);
	CU_ASSERT_EQUAL(t.at_client.closed, 0);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed && t.at_server.closed));
	CU_ASSERT_EQUAL(t.at_server.end.close_code, 1001);
	CU_ASSERT_STRING_EQUAL(t.at_server.end.reason, "going away");
	CU_ASSERT_EQUAL(t.at_client.end.close_code, 1001);
	stop();

	/* from the server, what was sent before arrives */
	pair();
	CU_ASSERT_EQUAL(fleet_ws_send(t.at_server.ws, "last words", 10), 0);
	fleet_ws_close(t.at_server.ws, 1012, NULL);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed && t.at_server.closed));
	CU_ASSERT_STRING_EQUAL(t.at_client.last.data, "last words");
	CU_ASSERT_EQUAL(t.at_client.end.close_code, 1012);
	CU_ASSERT_EQUAL(t.at_server.closed, 1);
	stop();

	/* both at once */
	pair();
	fleet_ws_close(t.at_server.ws, 4000, "s");
	fleet_ws_close(t.at_client.ws, 4001, "c");
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed && t.at_server.closed));
	CU_ASSERT_EQUAL(t.at_client.end.close_code, 4000);
	CU_ASSERT_EQUAL(t.at_server.end.close_code, 4001);
	stop();
}

static void test_may_end_inside_a_callback(void)
{
	pair();
	t.at_server.free_on_message = true;
	CU_ASSERT_EQUAL(fleet_ws_send(t.at_client.ws, "a", 1), 0);
	CU_ASSERT_EQUAL(fleet_ws_send(t.at_client.ws, "b", 1), 0);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed));
	CU_ASSERT_EQUAL(t.at_server.messages, 1);
	CU_ASSERT_EQUAL(t.at_server.closed, 0);
	CU_ASSERT_EQUAL(t.at_client.end.close_code, 1006);
	stop();

	pair();
	t.at_server.close_on_message = true;
	CU_ASSERT_EQUAL(fleet_ws_send(t.at_client.ws, "a", 1), 0);
	CU_ASSERT_EQUAL(fleet_ws_send(t.at_client.ws, "b", 1), 0);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed && t.at_server.closed));
	CU_ASSERT_EQUAL(t.at_server.messages, 1);
	CU_ASSERT_STRING_EQUAL(t.at_client.end.reason, "enough");
	stop();
}

static void test_long_reasons_are_cut_between_characters(void)
{
	char reason[200];
	size_t i;

	for (i = 0; i + 2 < sizeof(reason); i += 2)
		memcpy(reason + i, "\xc3\xa9", 2);
	reason[i] = '\0';
	pair();
	fleet_ws_close(t.at_server.ws, 1008, reason);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed));
	CU_ASSERT_EQUAL(t.at_client.end.close_code, 1008);
	CU_ASSERT_EQUAL(strlen(t.at_client.end.reason), 122);
	stop();
}

static void test_tells_of_a_lost_connection(void)
{
	pair();
	fleet_ws_free(TAKE_PTR(t.at_client.ws));
	CU_ASSERT(RAW_WAIT(t.base, t.at_server.closed));
	CU_ASSERT_EQUAL(t.at_server.end.close_code, 1006);
	CU_ASSERT_EQUAL(t.at_client.closed, 0);
	stop();
}

static void test_takes_fragments_and_what_came_with_the_request(void)
{
	_cleanup_buffer_ struct fleet_buffer buf = FLEET_BUFFER_INIT, out = FLEET_BUFFER_INIT;
	_cleanup_close_ int fd = -1;
	size_t i;

	/* frames in the same packet as the request */
	start();
	t.at_server.echo = true;
	fd = raw_connect(fleet_http_server_port(t.server));
	fleet_buffer_add_string(&out, UPGRADE);
	add_frame(&out, 0x81, "early", 5);
	CU_ASSERT(raw_send(t.base, fd, out.data, out.len));
	CU_ASSERT(raw_wait_text(t.base, fd, &buf,
		"\x81\x05"
		"early"));

	/* a message in pieces, a ping between them, byte by byte */
	fleet_buffer_truncate(&out, 0);
	fleet_buffer_truncate(&buf, 0);
	add_frame(&out, 0x01, "\xc3", 1); /* half a character */
	add_frame(&out, 0x89, "are you there", 13);
	add_frame(&out, 0x00, "", 0);
	add_frame(&out, 0x00, "\xa9 and ", 6);
	add_frame(&out, 0x80, "more", 4);
	for (i = 0; i < out.len; i++)
		CU_ASSERT(raw_send(t.base, fd, out.data + i, 1));
	CU_ASSERT(raw_wait_text(t.base, fd, &buf, "\xc3\xa9 and more"));
	CU_ASSERT(raw_has(&buf, "\x8a\x0d"
				"are you there"));
	CU_ASSERT_EQUAL(t.at_server.messages, 2);
	stop();
}

struct attack {
	const char *what;
	const char *bytes;
	size_t len;
	unsigned code; /* of the close frame that answers */
};
#define A(text) text, sizeof(text) - 1

static void test_refuses_hostile_frames(void)
{
	static const struct attack table[] = {
		{"unmasked", A("\x81\x05hello"), 1002},
		{"reserved bit", A("\xc1\x80\0\0\0\0"), 1002},
		{"reserved opcode", A("\x83\x80\0\0\0\0"), 1002},
		{"reserved control opcode", A("\x8b\x80\0\0\0\0"), 1002},
		{"binary", A("\x82\x81\0\0\0\0x"), 1003},
		{"continuation first", A("\x80\x81\0\0\0\0x"), 1002},
		{"text in text", A("\x01\x81\0\0\0\0x\x81\x81\0\0\0\0y"), 1002},
		{"long ping", A("\x89\xfe\x00\x80\0\0\0\0"), 1002},
		{"fragmented ping", A("\x09\x80\0\0\0\0"), 1002},
		{"length not minimal", A("\x81\xfe\x00\x05\0\0\0\0hello"), 1002},
		{"length of 2^63", A("\x81\xff\x80\0\0\0\0\0\0\0\0\0\0\0x"), 1002},
		{"length of an exabyte", A("\x81\xff\x10\0\0\0\0\0\0\0\0\0\0\0x"), 1009},
		{"one byte too long", A("\x81\xff\0\0\0\0\0\x10\0\x01\0\0\0\0x"), 1009},
		{"invalid UTF-8", A("\x81\x82\0\0\0\0\xc3\x28"), 1007},
		{"half a character", A("\x81\x81\0\0\0\0\xc3"), 1007},
		{"surrogate", A("\x81\x83\0\0\0\0\xed\xa0\x80"), 1007},
		{"close code 1005", A("\x88\x82\0\0\0\0\x03\xed"), 1002},
		{"close code 999", A("\x88\x82\0\0\0\0\x03\xe7"), 1002},
		{"close of one byte", A("\x88\x81\0\0\0\0\x03"), 1002},
		{"close reason no UTF-8", A("\x88\x83\0\0\0\0\x03\xe8\xff"), 1007},
	};
	size_t i;

	for (i = 0; i < FLEET_ARRAY_LEN(table); i++) {
		_cleanup_buffer_ struct fleet_buffer buf = FLEET_BUFFER_INIT;
		_cleanup_close_ int fd = raw_upgrade(&buf);
		const unsigned char *got;
		bool ended;

		CU_ASSERT(raw_send(t.base, fd, table[i].bytes, table[i].len));
		ended = raw_wait_end(t.base, fd, &buf);
		got = (const unsigned char *)buf.data;
		if (!ended || buf.len < 4 || got[0] != 0x88 ||
			(unsigned)(got[2] << 8 | got[3]) != table[i].code) {
			printf("# %s: %zu bytes, code %d\n", table[i].what, buf.len,
				buf.len >= 4 ? got[2] << 8 | got[3] : 0);
			CU_FAIL("not refused as it should be");
		}
		(void)close(TAKE_FD(fd));
		CU_ASSERT(RAW_WAIT(t.base, t.at_server.closed));
		CU_ASSERT_EQUAL(t.at_server.end.close_code, (int)table[i].code);
		CU_ASSERT_EQUAL(t.at_server.messages, 0);
		CU_ASSERT_NOT_EQUAL(t.at_server.end.reason[0], '\0');
		stop();
	}
}

static void test_bounds_a_message_of_fragments(void)
{
	static char piece[65536];
	_cleanup_buffer_ struct fleet_buffer buf = FLEET_BUFFER_INIT, out = FLEET_BUFFER_INIT;
	_cleanup_close_ int fd = raw_upgrade(&buf);
	int i;

	for (i = 0; i < 17; i++)
		add_frame(&out, i == 0 ? 0x01 : 0x00, piece, sizeof(piece));
	(void)raw_send(t.base, fd, out.data, out.len);
	CU_ASSERT(raw_wait_end(t.base, fd, &buf));
	CU_ASSERT(raw_has(&buf, "\x03\xf1")); /* 1009 */
	stop();
}

static void test_cuts_who_does_not_say_goodbye(void)
{
	_cleanup_buffer_ struct fleet_buffer buf = FLEET_BUFFER_INIT;
	_cleanup_close_ int fd = raw_upgrade(&buf);
	const int64_t before = fleet_clock_monotonic_ms();

	fleet_ws_close(t.at_server.ws, 1000, "bye");
	CU_ASSERT(RAW_WAIT(t.base, t.at_server.closed));
	CU_ASSERT(fleet_clock_monotonic_ms() - before >= 2900);
	CU_ASSERT_EQUAL(t.at_server.end.close_code, 1006);
	CU_ASSERT(raw_wait_end(t.base, fd, &buf));
	stop();
}

static void test_bounds_the_backlog(void)
{
	static char text[FLEET_MESSAGE_MAX];
	_cleanup_buffer_ struct fleet_buffer buf = FLEET_BUFFER_INIT, pings = FLEET_BUFFER_INIT;
	_cleanup_close_ int fd = raw_upgrade(&buf); /* and does not read */
	int i, r = 0;

	memset(text, 'x', sizeof(text));
	for (i = 0; i < 100 && r == 0; i++) {
		r = fleet_ws_send(t.at_server.ws, text, sizeof(text));
		raw_turn(t.base);
	}
	CU_ASSERT_EQUAL(r, -ENOBUFS);
	CU_ASSERT(i < 40);
	CU_ASSERT_EQUAL(t.at_server.closed, 0);

	/* Its pings are not answered for ever, either */
	for (i = 0; i < 10000; i++)
		add_frame(&pings, 0x89,
			"012345678901234567890123456789012345678901234567890123456789012345678901234567890123"
			"4567890123456789",
			100);
	for (i = 0; i < 100 && !t.at_server.closed; i++)
		(void)raw_send(t.base, fd, pings.data, pings.len);
	CU_ASSERT(RAW_WAIT(t.base, t.at_server.closed));
	CU_ASSERT_EQUAL(t.at_server.end.close_code, 1006);
	stop();
}

static void test_refuses_what_is_no_upgrade(void)
{
	static const char *const requests[] = {
		"GET /hub HTTP/1.1\r\nConnection: close\r\n\r\n",
		"GET /hub HTTP/1.1\r\nUpgrade: websocket\r\nConnection: close\r\nSec-WebSocket-Version: "
		"13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		"GET /hub HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade, "
		"close\r\nSec-WebSocket-Version: 13\r\n\r\n",
		"GET /hub HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: "
		"13\r\n"
		"Sec-WebSocket-Key: short\r\n\r\n",
		"GET /hub HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: "
		"8\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		"GET /hub HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		"GET /hub HTTP/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: "
		"13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		"POST /hub HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: "
		"13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
	};
	size_t i;

	for (i = 0; i < FLEET_ARRAY_LEN(requests); i++) {
		_cleanup_buffer_ struct fleet_buffer buf = FLEET_BUFFER_INIT;
		_cleanup_close_ int fd = -1;

		start();
		fd = raw_connect(fleet_http_server_port(t.server));
		CU_ASSERT(raw_send(t.base, fd, requests[i], strlen(requests[i])));
		CU_ASSERT(raw_wait_text(t.base, fd, &buf, "\r\n\r\n{"));
		CU_ASSERT(raw_has(&buf, " 426 "));
		CU_ASSERT_EQUAL(t.accept_result, -EINVAL);
		CU_ASSERT_PTR_NULL(t.at_server.ws);
		if (strstr(requests[i], "Version: 8"))
			CU_ASSERT(raw_has(&buf, "Sec-WebSocket-Version: 13\r\n"));
		stop();
	}
}

static void test_survives_half_a_handshake(void)
{
	size_t len;

	start();
	for (len = 1; len < strlen(UPGRADE); len += 16) {
		int fd = raw_connect(fleet_http_server_port(t.server));

		CU_ASSERT(raw_send(t.base, fd, UPGRADE, len));
		(void)close(fd);
		raw_turn(t.base);
	}
	CU_ASSERT_PTR_NULL(t.at_server.ws);
	stop();
}

static void test_the_connection_outlives_its_server(void)
{
	pair();
	t.at_server.echo = true;
	fleet_http_server_free(TAKE_PTR(t.server));
	CU_ASSERT_EQUAL(fleet_ws_send(t.at_client.ws, "still", 5), 0);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.messages == 1));
	stop();
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_carries_messages),
	UNIT_TEST(test_carries_every_size),
	UNIT_TEST(test_pings),
	UNIT_TEST(test_says_goodbye),
	UNIT_TEST(test_may_end_inside_a_callback),
	UNIT_TEST(test_long_reasons_are_cut_between_characters),
	UNIT_TEST(test_tells_of_a_lost_connection),
	UNIT_TEST(test_takes_fragments_and_what_came_with_the_request),
	UNIT_TEST(test_refuses_hostile_frames),
	UNIT_TEST(test_bounds_a_message_of_fragments),
	UNIT_TEST(test_cuts_who_does_not_say_goodbye),
	UNIT_TEST(test_bounds_the_backlog),
	UNIT_TEST(test_refuses_what_is_no_upgrade),
	UNIT_TEST(test_survives_half_a_handshake),
	UNIT_TEST(test_the_connection_outlives_its_server),
	{0},
};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"ws", tests}, {0}});
}
