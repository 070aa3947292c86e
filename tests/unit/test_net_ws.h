/* Two ends of a WebSocket connection on one loop, and a raw client that has upgraded and sends frames as it
 * likes. */
#ifndef TEST_NET_WS_H
#define TEST_NET_WS_H
#include "fleet/http_server.h"
#include "fleet/limits.h"
#include "fleet/ws.h"
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

static inline void on_open(struct fleet_ws *ws, void *arg)
{
	struct seen *s = arg;

	CU_ASSERT_PTR_EQUAL(ws, s->ws);
	s->opened++;
}

static inline void on_message(struct fleet_ws *ws, const char *text, size_t len, void *arg)
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

static inline void on_alive(struct fleet_ws *ws FLEET_UNUSED, void *arg)
{
	struct seen *s = arg;

	s->alive++;
}

static inline void on_closed(struct fleet_ws *ws, const struct fleet_ws_end *end, void *arg)
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

static inline void handle_hub(struct fleet_http_request *req, void *arg FLEET_UNUSED)
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

static inline void start(void)
{
	const struct fleet_http_options options = {.address = "127.0.0.1", .routes = routes};

	memset(&t, 0, sizeof(t));
	t.base = event_base_new();
	if (fleet_http_server_new(t.base, &options, &t.server, NULL) < 0)
		CU_FAIL_FATAL("server does not start");
}

static inline void stop(void)
{
	fleet_ws_free(t.at_client.ws);
	fleet_ws_free(t.at_server.ws);
	fleet_http_server_free(t.server);
	fleet_buffer_done(&t.at_client.last);
	fleet_buffer_done(&t.at_server.last);
	raw_turn(t.base);
	event_base_free(t.base);
}

static inline void dial(const char *url_format, const char *subprotocol, int64_t timeout_ms)
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

static inline void pair(void)
{
	start();
	dial("ws://127.0.0.1:PORT/hub?agentId=a1", "fleet.v1", 5000);
	CU_ASSERT_FATAL(RAW_WAIT(t.base, t.at_client.opened && t.at_server.ws));
}

/* Raw side: a client that has upgraded and now sends frames as it likes. */

#define UPGRADE                                                                                              \
	"GET /hub HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"          \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

static inline int raw_upgrade(struct fleet_buffer *buf)
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
static inline void add_frame(struct fleet_buffer *buf, unsigned first, const void *data, size_t len)
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

#endif
