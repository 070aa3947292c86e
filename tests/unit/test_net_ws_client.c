/* The client: what it says where it is not let in, and what it makes of servers that are not ours. */
#include <event2/dns.h>
#include "libfleet/ws_internal.h"
#include "test_net_ws.h"

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
	return unit_run((const struct unit_suite[]){{"ws client", tests}, {0}});
}
