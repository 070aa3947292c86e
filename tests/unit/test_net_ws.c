#include <event2/dns.h>
#include "fleet/http_server.h"
#include "fleet/limits.h"
#include "fleet/ws.h"
#include "libfleet/ws_internal.h"
#include "test_net_raw.h"
#include "unit.h"

/* What one end of a connection has seen. */
struct seen {
	struct fleet_ws *ws;
	int opened, messages, alive, closed;
	struct fleet_ws_end end;
	struct fleet_buffer last; /* message */
	bool echo, free_on_message, close_on_message, keep /* after closed */;
};

static struct {
	struct event_base *base;
	struct fleet_http_server *server;
	struct seen at_server, at_client;
	char bearer[64], agent[64];
	int accept_result;
	struct fleet_error accept_error;
} t;

static void on_open(struct fleet_ws *ws, void *arg)
{
	struct seen *s = arg;

	CU_ASSERT_PTR_EQUAL(ws, s->ws);
	s->opened++;
}

static void on_message(struct fleet_ws *ws, const char *text, size_t len, void *arg)
{
	struct seen *s = arg;

	CU_ASSERT_EQUAL(text[len], '\0');
	s->messages++;
	fleet_buffer_truncate(&s->last, 0);
	fleet_buffer_add(&s->last, text, len);
	if (s->echo)
		CU_ASSERT_EQUAL(fleet_ws_send(ws, text, len), 0);
	if (s->close_on_message)
		fleet_ws_close(ws, 4001, "enough");
	if (s->free_on_message)
		fleet_ws_free(TAKE_PTR(s->ws));
}

static void on_alive(struct fleet_ws *ws FLEET_UNUSED, void *arg)
{
	struct seen *s = arg;

	s->alive++;
}

static void on_closed(struct fleet_ws *ws, const struct fleet_ws_end *end, void *arg)
{
	struct seen *s = arg;

	s->closed++;
	s->end = *end;
	if (s->keep)
		return;
	fleet_ws_free(ws);
	s->ws = NULL;
}

static const struct fleet_ws_events events = {on_open, on_message, on_alive, on_closed};

static void handle_hub(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	const char *bearer = fleet_http_header(req, "Authorization"),
		   *agent = fleet_http_query(req, "agentId");

	(void)snprintf(t.bearer, sizeof(t.bearer), "%s", bearer ? bearer : "");
	(void)snprintf(t.agent, sizeof(t.agent), "%s", agent ? agent : "");
	if (str_equal(agent, "taken")) {
		fleet_http_reply_problem(req, 409, "conflict", NULL, "agentId taken is in use on host-b");
		return;
	}
	if (str_equal(agent, "page")) {
		fleet_http_reply_bytes(req, 503, "text/html", "<p>down</p>", 11);
		return;
	}
	t.accept_result = fleet_ws_accept(req, fleet_ws_offers(req, "fleet.v1") ? "fleet.v1" : NULL, &events,
		&t.at_server, &t.at_server.ws, &t.accept_error);
	if (t.accept_result < 0)
		fleet_http_reply_problem(req, 426, "invalid-request", NULL, "%s", t.accept_error.message);
}

static const struct fleet_http_route routes[] = {
	{"GET", "/hub", handle_hub, 0}, {"POST", "/hub", handle_hub, 0}, {0}};

static void start(void)
{
	const struct fleet_http_options options = {.address = "127.0.0.1", .routes = routes};

	memset(&t, 0, sizeof(t));
	t.base = event_base_new();
	if (fleet_http_server_new(t.base, &options, &t.server, NULL) < 0)
		CU_FAIL_FATAL("server does not start");
}

static void stop(void)
{
	fleet_ws_free(t.at_client.ws);
	fleet_ws_free(t.at_server.ws);
	fleet_http_server_free(t.server);
	fleet_buffer_done(&t.at_client.last);
	fleet_buffer_done(&t.at_server.last);
	raw_turn(t.base);
	event_base_free(t.base);
}

static void dial(const char *url_format, const char *subprotocol, int64_t timeout_ms)
{
	char url[256];
	struct fleet_error err = FLEET_ERROR_INIT;
	const struct fleet_ws_client_options options = {.url = url,
		.subprotocol = subprotocol,
		.bearer = "k3y",
		.user_agent = "test/1",
		.timeout_ms = timeout_ms};

	const char *port = strstr(url_format, "PORT");

	if (port)
		(void)snprintf(url, sizeof(url), "%.*s%u%s", (int)(port - url_format), url_format,
			fleet_http_server_port(t.server), port + 4);
	else
		(void)snprintf(url, sizeof(url), "%s", url_format);
	if (fleet_ws_connect(t.base, NULL, &options, &events, &t.at_client, &t.at_client.ws, &err) < 0) {
		printf("# %s\n", err.message);
		CU_FAIL_FATAL("dial");
	}
}

static void pair(void)
{
	start();
	dial("ws://127.0.0.1:PORT/hub?agentId=a1", "fleet.v1", 5000);
	CU_ASSERT_FATAL(RAW_WAIT(t.base, t.at_client.opened && t.at_server.ws));
}

/* Raw side: a client that has upgraded and now sends frames as it likes. */

#define UPGRADE                                                                                              \
	"GET /hub HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"          \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

static int raw_upgrade(struct fleet_buffer *buf)
{
	int fd;

	start();
	fd = raw_connect(fleet_http_server_port(t.server));
	CU_ASSERT(raw_send(t.base, fd, UPGRADE, strlen(UPGRADE)));
	CU_ASSERT(raw_wait_text(t.base, fd, buf, "\r\n\r\n"));
	CU_ASSERT(raw_has(buf, "HTTP/1.1 101 "));
	CU_ASSERT(raw_has(
		buf, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")); /* RFC 6455's example */
	fleet_buffer_truncate(buf, 0);
	return fd;
}

/* A masked frame (the mask is 0, so that the bytes read as they are). */
static void add_frame(struct fleet_buffer *buf, unsigned first, const void *data, size_t len)
{
	unsigned char head[14] = {(unsigned char)first};
	size_t n = 2;

	if (len < 126) {
		head[1] = (unsigned char)(0x80 | len);
	} else if (len < 65536) {
		head[1] = 0x80 | 126;
		head[2] = (unsigned char)(len >> 8);
		head[3] = (unsigned char)len;
		n = 4;
	} else {
		head[1] = 0x80 | 127;
		head[6] = (unsigned char)(len >> 24);
		head[7] = (unsigned char)(len >> 16);
		head[8] = (unsigned char)(len >> 8);
		head[9] = (unsigned char)len;
		n = 10;
	}
	fleet_buffer_add(buf, head, n + 4);
	fleet_buffer_add(buf, data, len);
}

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

/* ---- the client against servers that are not ours ---- */

static void test_tells_why_it_was_refused(void)
{
	start();
	dial("ws://127.0.0.1:PORT/hub?agentId=taken", "fleet.v1", 5000);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed));
	CU_ASSERT_EQUAL(t.at_client.end.http_status, 409);
	CU_ASSERT_STRING_EQUAL(t.at_client.end.reason, "agentId taken is in use on host-b");
	CU_ASSERT_EQUAL(t.at_client.opened, 0);

	dial("http://localhost:PORT/hub?agentId=page", "fleet.v1", 5000);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed == 2));
	CU_ASSERT_EQUAL(t.at_client.end.http_status, 503);
	CU_ASSERT_STRING_EQUAL(t.at_client.end.reason, "HTTP 503 Service Unavailable");

	dial("ws://localhost:PORT", "fleet.v1", 5000);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed == 3));
	CU_ASSERT_EQUAL(t.at_client.end.http_status, 404);

	dial("ws://127.0.0.1:PORT/hub", "fleet.v2", 5000); /* our test server picks none then */
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed == 4));
	CU_ASSERT_EQUAL(t.at_client.end.http_status, 0);
	CU_ASSERT_STRING_EQUAL(t.at_client.end.reason, "the server does not speak fleet.v2");
	stop();
}

static void test_tells_why_it_cannot_connect(void)
{
	uint16_t port;
	char url[64];
	int fd = raw_listen(&port);

	(void)close(fd);
	start();
	(void)snprintf(url, sizeof(url), "ws://localhost:%u/", port);
	dial(url, NULL, 5000);
	CU_ASSERT_EQUAL(fleet_ws_send(t.at_client.ws, "x", 1), -ENOTCONN);
	fleet_ws_ping(t.at_client.ws);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed));
	CU_ASSERT_STRING_EQUAL(t.at_client.end.reason, "connection refused");
	CU_ASSERT_EQUAL(t.at_client.end.http_status, 0);
	dial("ws://[::1]:1/", NULL, 5000);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed == 2));
	dial("ws://no-resolver.example/", NULL, 5000);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed == 3));
	CU_ASSERT_PTR_NOT_NULL(strstr(t.at_client.end.reason, "no-resolver.example"));
	/* given up while it dials */
	dial("ws://127.0.0.1:PORT/hub", NULL, 5000);
	fleet_ws_close(t.at_client.ws, 1000, "never mind");
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed == 4));
	dial("ws://127.0.0.1:PORT/hub", NULL, 5000);
	stop(); /* and freed while it dials */
	CU_ASSERT_EQUAL(t.at_client.opened, 0);
}

static void test_asks_the_resolver_for_names(void)
{
	struct fleet_ws_client_options options = {.url = "ws://host.invalid:9/", .timeout_ms = 100};
	struct evdns_base *dns;
	uint16_t port;
	int fd = raw_listen(&port);
	char hosts[] = "/tmp/fleet-hosts-XXXXXX", url[64], line[] = "127.0.0.1 some-host.test\n";
	int file = mkstemp(hosts);

	CU_ASSERT(file >= 0 && write(file, line, strlen(line)) == (ssize_t)strlen(line));
	(void)close(file);
	start();
	dns = evdns_base_new(t.base, 0);
	CU_ASSERT_EQUAL(evdns_base_load_hosts(dns, hosts), 0);
	(void)unlink(hosts);
	/* no name server: evdns waits for one, the bound does not */
	CU_ASSERT_EQUAL(
		fleet_ws_connect(t.base, dns, &options, &events, &t.at_client, &t.at_client.ws, NULL), 0);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed));
	CU_ASSERT_PTR_NOT_NULL(strstr(t.at_client.end.reason, "host.invalid"));
	/* a name of the hosts file */
	(void)snprintf(url, sizeof(url), "ws://some-host.test:%u/hub", fleet_http_server_port(t.server));
	options.url = url;
	options.timeout_ms = 5000;
	CU_ASSERT_EQUAL(
		fleet_ws_connect(t.base, dns, &options, &events, &t.at_client, &t.at_client.ws, NULL), 0);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.opened));
	fleet_ws_free(TAKE_PTR(t.at_client.ws));
	/* a name server that never answers: the bound, and freeing in the middle */
	(void)close(fd);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	{
		struct sockaddr_in a = {.sin_family = AF_INET};
		socklen_t len = sizeof(a);
		char server[32];

		a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
		CU_ASSERT_EQUAL(getsockname(fd, (struct sockaddr *)&a, &len), 0);
		(void)snprintf(server, sizeof(server), "127.0.0.1:%u", ntohs(a.sin_port));
		CU_ASSERT_EQUAL(evdns_base_nameserver_ip_add(dns, server), 0);
	}
	options.url = "ws://host.invalid:9/";
	options.timeout_ms = 100;
	CU_ASSERT_EQUAL(
		fleet_ws_connect(t.base, dns, &options, &events, &t.at_client, &t.at_client.ws, NULL), 0);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed == 2));
	CU_ASSERT_PTR_NOT_NULL(strstr(t.at_client.end.reason, "looking up"));
	options.timeout_ms = 5000;
	CU_ASSERT_EQUAL(
		fleet_ws_connect(t.base, dns, &options, &events, &t.at_client, &t.at_client.ws, NULL), 0);
	raw_turn(t.base);
	raw_turn(t.base);
	fleet_ws_free(TAKE_PTR(t.at_client.ws));
	raw_turn(t.base);
	evdns_base_free(dns, 1);
	raw_turn(t.base);
	(void)close(fd);
	stop();
}

static void test_refuses_what_is_no_url(void)
{
	static const char *const urls[] = {"", "x", "ws://", "ws:///hub", "ftp://host/", "ws://host:0/",
		"ws://host:99999/", "ws://host:x/", "ws://user:pw@host/", "ws://host/#part", "ws://ho st/",
		"ws://host/a b", "ws://host/\r\nX: y", "wss://host/", "https://host/", NULL};
	struct fleet_ws_client_options options = {0};
	struct fleet_error err;
	size_t i;

	start();
	for (i = 0; i < FLEET_ARRAY_LEN(urls); i++) {
		options.url = urls[i];
		err = (struct fleet_error)FLEET_ERROR_INIT;
		CU_ASSERT_EQUAL(fleet_ws_connect(
					t.base, NULL, &options, &events, &t.at_client, &t.at_client.ws, &err),
			-EINVAL);
		CU_ASSERT_NOT_EQUAL(err.message[0], '\0');
	}
	options.url = "ws://host/";
	options.bearer = "a\r\nX-Injected: yes";
	CU_ASSERT_EQUAL(
		fleet_ws_connect(t.base, NULL, &options, &events, &t.at_client, &t.at_client.ws, &err),
		-EINVAL);
	CU_ASSERT_PTR_NULL(t.at_client.ws);
	stop();
}

static void test_nothing_comes_after_closed(void)
{
	static const struct fleet_ws_client_options options = {
		.url = "ws://host.invalid:9/", .timeout_ms = 50};
	struct evdns_base *dns;
	int64_t until;

	/* given up while the name is looked up, freed much later */
	start();
	t.at_client.keep = true;
	dns = evdns_base_new(t.base, 0);
	CU_ASSERT_EQUAL(
		fleet_ws_connect(t.base, dns, &options, &events, &t.at_client, &t.at_client.ws, NULL), 0);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed));
	evdns_base_free(dns, 1); /* fails what is under way */
	for (until = fleet_clock_monotonic_ms() + 100; fleet_clock_monotonic_ms() < until;)
		raw_turn(t.base);
	CU_ASSERT_EQUAL(t.at_client.closed, 1);
	CU_ASSERT_EQUAL(fleet_ws_send(t.at_client.ws, "x", 1), -ENOTCONN);
	fleet_ws_ping(t.at_client.ws);
	fleet_ws_close(t.at_client.ws, 1000, "again");
	raw_turn(t.base);
	stop();

	/* and after an orderly end */
	pair();
	t.at_client.keep = t.at_server.keep = true;
	fleet_ws_close(t.at_server.ws, 1000, "bye");
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed && t.at_server.closed));
	CU_ASSERT_EQUAL(fleet_ws_send(t.at_server.ws, "x", 1), -ENOTCONN);
	fleet_ws_ping(t.at_server.ws);
	fleet_ws_close(t.at_server.ws, 1000, "again");
	raw_turn(t.base);
	CU_ASSERT_EQUAL(t.at_client.closed + t.at_server.closed, 2);
	stop();
}

/* A server of raw bytes: answers whatever it is told to. Returns the accepted descriptor. */
static int raw_answer(const char *answer, const char *subprotocol, int64_t timeout_ms)
{
	_cleanup_buffer_ struct fleet_buffer buf = FLEET_BUFFER_INIT;
	uint16_t port;
	_cleanup_close_ int listening = raw_listen(&port);
	char url[64];
	int fd = -1;

	(void)snprintf(url, sizeof(url), "ws://127.0.0.1:%u/x?y=z", port);
	dial(url, subprotocol, timeout_ms);
	CU_ASSERT_FATAL(RAW_WAIT(t.base, (fd = accept(listening, NULL, NULL)) >= 0));
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	CU_ASSERT(raw_wait_text(t.base, fd, &buf, "\r\n\r\n"));
	CU_ASSERT(raw_has(&buf, "GET /x?y=z HTTP/1.1\r\nHost: 127.0.0.1:"));
	CU_ASSERT(raw_has(&buf, "User-Agent: test/1\r\n"));
	(void)raw_send(t.base, fd, answer, strlen(answer));
	return fd;
}

static void test_refuses_bad_answers(void)
{
#define SWITCH "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	static const struct {
		const char *answer;
		int status;
		const char *reason;
	} table[] = {
		{"HTTP/1.1 101 x\r\n\r\n", 0, "another protocol"},
		{SWITCH "\r\n", 0, "Sec-WebSocket-Accept"},
		{SWITCH "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", 0,
			"Sec-WebSocket-Accept"},
		{"SSH-2.0-OpenSSH\r\n\r\n", 0, "no HTTP"},
		{"\r\n\r\n", 0, "no HTTP"},
		{"HTTP/1.1 2000 OK\r\n\r\n", 0, "no HTTP"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "HTTP 200 OK"},
		{"HTTP/1.1 401\r\nContent-Length: 0\r\n\r\n", 401, "HTTP 401"},
		{"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n", 302,
			"elsewhere"},
		{"HTTP/1.1 403 No\r\ncontent-type: Application/Problem+JSON; x=y\r\nContent-Length: "
		 "16\r\n\r\n"
		 "{\"detail\":\"no\x07o\"}",
			403, "HTTP 403 No"},
		{"HTTP/1.1 403 No\r\ncontent-type: Application/Problem+JSON; x=y\r\ncontent-LENGTH:  14 "
		 "\r\n\r\n"
		 "{\"detail\":\"no\"}",
			403, "HTTP 403 No"},
		{"HTTP/1.1 403 No\r\ncontent-type: Application/Problem+JSON; x=y\r\ncontent-LENGTH:  15 "
		 "\r\n\r\n"
		 "{\"detail\":\"nay\"}",
			403, "HTTP 403 No"},
		{"HTTP/1.1 403 No\r\ncontent-type: Application/Problem+JSON; x=y\r\ncontent-LENGTH:  16 "
		 "\r\n\r\n"
		 "{\"detail\":\"nay\"}",
			403, "nay"},
		{"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n", 403, "HTTP 403 No"},
		{"HTTP/1.1 403 No\r\nContent-Length: 99999999999\r\n\r\n", 403, "HTTP 403 No"},
	};
	size_t i;

	for (i = 0; i < FLEET_ARRAY_LEN(table); i++) {
		_cleanup_close_ int fd = -1;

		start();
		fd = raw_answer(table[i].answer, NULL, 5000);
		CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed));
		if (t.at_client.end.http_status != table[i].status ||
			!strstr(t.at_client.end.reason, table[i].reason)) {
			printf("# answer %zu: %d %s\n", i, t.at_client.end.http_status,
				t.at_client.end.reason);
			CU_FAIL("told wrongly");
		}
		CU_ASSERT_EQUAL(t.at_client.opened, 0);
		stop();
	}
}

static void test_bounds_the_handshake(void)
{
	_cleanup_buffer_ struct fleet_buffer big = FLEET_BUFFER_INIT;
	size_t i;
	int fd;

	/* silence */
	start();
	fd = raw_answer("", NULL, 200);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed));
	CU_ASSERT_PTR_NOT_NULL(strstr(t.at_client.end.reason, "did not answer"));
	(void)close(fd);
	/* half an answer */
	fd = raw_answer("HTTP/1.1 101 x\r\n", NULL, 200);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed == 2));
	CU_ASSERT_PTR_NOT_NULL(strstr(t.at_client.end.reason, "did not finish"));
	(void)close(fd);
	fd = raw_answer("HTTP/1.1 101 x\r\n", NULL, 5000);
	(void)close(fd);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed == 3));
	/* a refusal whose body does not end */
	fd = raw_answer("HTTP/1.1 429 Slow down\r\nContent-Length: 10\r\n\r\nx", NULL, 200);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed == 4));
	CU_ASSERT_EQUAL(t.at_client.end.http_status, 429);
	(void)close(fd);
	/* headers without end */
	fleet_buffer_add_string(&big, "HTTP/1.1 101 x\r\n");
	for (i = 0; i < 2000; i++)
		fleet_buffer_add_string(&big, "X-Filler: 01234567890123456789\r\n");
	fd = raw_answer(big.data, NULL, 5000);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed == 5));
	CU_ASSERT_PTR_NOT_NULL(strstr(t.at_client.end.reason, "too long"));
	(void)close(fd);
	stop();
}

/* As a proper server would: the accept value is computed by the room under test, so its own check is of no
 * interest here, only what comes behind the 101. */
static void test_the_client_refuses_masked_frames(void)
{
	_cleanup_buffer_ struct fleet_buffer buf = FLEET_BUFFER_INIT, out = FLEET_BUFFER_INIT;
	char accept_value[WS_ACCEPT_LEN + 1], key[25] = "", url[64];
	uint16_t port;
	_cleanup_close_ int listening = raw_listen(&port), fd = -1;

	start();
	(void)snprintf(url, sizeof(url), "ws://127.0.0.1:%u/", port);
	dial(url, NULL, 5000);
	CU_ASSERT_FATAL(RAW_WAIT(t.base, (fd = accept(listening, NULL, NULL)) >= 0));
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	CU_ASSERT_FATAL(raw_wait_text(t.base, fd, &buf, "\r\n\r\n"));
	memcpy(key, strstr(buf.data, "Sec-WebSocket-Key: ") + 19, 24);
	CU_ASSERT_EQUAL(ws_accept_of(key, accept_value), 0);
	fleet_buffer_printf(&out, SWITCH "Sec-WebSocket-Accept: %s\r\n\r\n", accept_value);
	fleet_buffer_add(&out, "\x81\x02hi", 4); /* in the same packet: a message */
	add_frame(&out, 0x81, "x", 1);
	fleet_buffer_truncate(&buf, 0);
	CU_ASSERT(raw_send(t.base, fd, out.data, out.len));
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.messages == 1));
	CU_ASSERT_STRING_EQUAL(t.at_client.last.data, "hi");
	CU_ASSERT_EQUAL(t.at_client.opened, 1);
	CU_ASSERT(raw_wait_end(t.base, fd, &buf));
	CU_ASSERT(buf.len > 8 && (unsigned char)buf.data[0] == 0x88 && (unsigned char)buf.data[1] & 0x80);
	(void)close(TAKE_FD(fd));
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed));
	CU_ASSERT_EQUAL(t.at_client.end.close_code, 1002);
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
	UNIT_TEST(test_tells_why_it_was_refused),
	UNIT_TEST(test_tells_why_it_cannot_connect),
	UNIT_TEST(test_asks_the_resolver_for_names),
	UNIT_TEST(test_refuses_what_is_no_url),
	UNIT_TEST(test_nothing_comes_after_closed),
	UNIT_TEST(test_refuses_bad_answers),
	UNIT_TEST(test_bounds_the_handshake),
	UNIT_TEST(test_the_client_refuses_masked_frames),
	{0},
};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"ws", tests}, {0}});
}
