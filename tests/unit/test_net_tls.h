/* Both ends of a TLS connection on one loop with certificates of their own, and a client that is not ours. */
#ifndef TEST_NET_TLS_H
#define TEST_NET_TLS_H
#include <openssl/err.h>
#include "fleet/http_server.h"
#include "fleet/tls.h"
#include "fleet/ws.h"
#include "libfleet/tls_internal.h"
#include "libfleet/ws_internal.h"
#include "test_net_certs.h"
#include "test_net_raw.h"
#include "unit.h"

#define DAY 86400L

struct seen {
	struct fleet_ws *ws;
	int opened, messages, closed;
	struct fleet_ws_end end;
	struct fleet_buffer last;
	bool echo;
};

static struct {
	char dir[64], cert[96], key[96], ca[96];
	struct cert authority, stranger;
	struct event_base *base;
	struct fleet_tls_server *tls;
	struct fleet_tls_client *client;
	struct fleet_http_server *server;
	struct fleet_http_request *late; /* to be answered by the test */
	struct seen at_server, at_client;
} t;

/* --- both ends --------------------------------------------------------------------------------------- */

static inline void on_open(struct fleet_ws *ws FLEET_UNUSED, void *arg)
{
	((struct seen *)arg)->opened++;
}

static inline void on_message(struct fleet_ws *ws, const char *text, size_t len, void *arg)
{
	struct seen *s = arg;

	s->messages++;
	fleet_buffer_truncate(&s->last, 0);
	fleet_buffer_add(&s->last, text, len);
	if (s->echo)
		CU_ASSERT_EQUAL(fleet_ws_send(ws, text, len), 0);
}

static inline void on_closed(struct fleet_ws *ws, const struct fleet_ws_end *end, void *arg)
{
	struct seen *s = arg;

	s->closed++;
	s->end = *end;
	fleet_ws_free(ws);
	s->ws = NULL;
}

static const struct fleet_ws_events events = {.open = on_open, .message = on_message, .closed = on_closed};

static inline void handle_hub(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	fleet_ws_free(TAKE_PTR(t.at_server.ws));
	if (fleet_ws_accept(req, NULL, &events, &t.at_server, &t.at_server.ws, &err) < 0)
		fleet_http_reply_problem(req, 426, "invalid-request", NULL, "%s", err.message);
}

static inline void handle_hello(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	fleet_http_reply_bytes(req, 200, "text/plain", "hello", 5);
}

static inline void handle_late(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	t.late = req;
}

/* What the server thinks of the client's certificate. */
static inline void handle_who(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	struct fleet_x509_facts facts = {.uri = ""};
	struct fleet_error err = FLEET_ERROR_INIT;
	_cleanup_free_ char *text = NULL;
	int r = fleet_http_certificate(req, &facts, &err);

	text = xasprintf("<%s>", r > 0 ? facts.uri : r == 0 ? "nobody" : err.message);
	fleet_http_reply_bytes(req, 200, "text/plain", text, strlen(text));
}

static const struct fleet_http_route routes[] = {{"GET", "/late", handle_late, 0},
	{"GET", "/hub", handle_hub, 0}, {"GET", "/who", handle_who, 0}, {"GET", "/hello", handle_hello, 0},
	{0}};

static inline void listen_again(int64_t timeout_ms)
{
	const struct fleet_http_options options = {
		.address = "127.0.0.1", .routes = routes, .tls = t.tls, .timeout_ms = timeout_ms};

	fleet_http_server_free(t.server);
	if (fleet_http_server_new(t.base, &options, &t.server, NULL) < 0)
		CU_FAIL_FATAL("the server does not start");
}

static inline void start_with(struct cert takes_server, bool allow_1_2, int64_t timeout_ms)
{
	struct fleet_tls_server_options options = {
		.cert_file = t.cert, .key_file = t.key, .allow_1_2 = allow_1_2};
	struct fleet_error err = FLEET_ERROR_INIT;

	memset(&t.at_server, 0, sizeof(t.at_server));
	memset(&t.at_client, 0, sizeof(t.at_client));
	cert_write(&takes_server, t.cert, t.key, NULL);
	cert_done(&takes_server);
	t.base = event_base_new();
	if (fleet_tls_server_new(&options, &t.tls, &err) < 0) {
		printf("# %s\n", err.message);
		CU_FAIL_FATAL("no context");
	}
	t.client = fleet_tls_client_new(
		&(struct fleet_tls_client_options){.ca_file = t.ca, .ca_setting = "FLEET_CA_FILE"});
	listen_again(timeout_ms);
}

static inline struct cert good_certificate(void)
{
	return cert_new(&t.authority, "console", "DNS:localhost,IP:127.0.0.1", -DAY, 30 * DAY);
}

static inline void start(void)
{
	start_with(good_certificate(), false, 0);
}

static inline void stop(void)
{
	fleet_ws_free(TAKE_PTR(t.at_client.ws));
	fleet_ws_free(TAKE_PTR(t.at_server.ws));
	fleet_http_server_free(TAKE_PTR(t.server));
	fleet_tls_client_free(TAKE_PTR(t.client));
	fleet_tls_server_free(TAKE_PTR(t.tls));
	fleet_buffer_done(&t.at_client.last);
	fleet_buffer_done(&t.at_server.last);
	raw_turn(t.base);
	event_base_free(t.base);
}

/* host: as in the URL; port 0: the server's. */
static inline void dial(const char *host, uint16_t port)
{
	_cleanup_free_ char *url =
		xasprintf("wss://%s:%u/hub", host, port ? port : fleet_http_server_port(t.server));
	struct fleet_ws_client_options options = {
		.url = url, .tls = t.client, .timeout_ms = RAW_DEADLINE_MS / 2};
	struct fleet_error err = FLEET_ERROR_INIT;

	t.at_client.opened = t.at_client.closed = 0;
	if (fleet_ws_connect(t.base, NULL, &options, &events, &t.at_client, &t.at_client.ws, &err) < 0) {
		printf("# %s\n", err.message);
		CU_FAIL_FATAL("dial");
	}
}

static inline void pair(void)
{
	dial("localhost", 0);
	CU_ASSERT_FATAL(RAW_WAIT(t.base, (t.at_client.opened && t.at_server.ws) || t.at_client.closed));
	if (t.at_client.closed)
		printf("# %s\n", t.at_client.end.reason);
	CU_ASSERT_EQUAL_FATAL(t.at_client.closed, 0);
}

static inline bool say(const char *text, size_t len)
{
	int before = t.at_server.messages;

	return t.at_client.ws && fleet_ws_send(t.at_client.ws, text, len) == 0 &&
	       RAW_WAIT(t.base, t.at_server.messages > before) && t.at_server.last.len == len &&
	       memcmp(t.at_server.last.data, text, len) == 0;
}

static inline bool was_resumed(void)
{
	return SSL_session_reused(bufferevent_openssl_get_ssl(t.at_client.ws->bev)) == 1;
}

/* --- a client that is not ours ------------------------------------------------------------------------- */

struct raw_tls {
	int fd;
	SSL_CTX *context;
	SSL *ssl;
};

static inline struct raw_tls raw_tls_new(int min, int max)
{
	struct raw_tls r = {.fd = raw_connect(fleet_http_server_port(t.server)),
		.context = SSL_CTX_new(TLS_client_method())};

	SSL_CTX_set_security_level(r.context, 0); /* else it would not even try what is old */
	if (!SSL_CTX_set_min_proto_version(r.context, min) ||
		!SSL_CTX_set_max_proto_version(r.context, max) || !(r.ssl = SSL_new(r.context)) ||
		!SSL_set_fd(r.ssl, r.fd))
		abort();
	SSL_set_connect_state(r.ssl);
	return r;
}

static inline void raw_tls_done(struct raw_tls *r)
{
	SSL_free(r->ssl);
	SSL_CTX_free(r->context);
	(void)close(r->fd);
}

static inline bool raw_tls_wants(struct raw_tls *r, int result)
{
	int error = SSL_get_error(r->ssl, result);

	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static inline bool raw_tls_handshake(struct raw_tls *r)
{
	int result = 0;

	(void)RAW_WAIT(t.base, (ERR_clear_error(), result = SSL_do_handshake(r->ssl),
				       result == 1 || !raw_tls_wants(r, result)));
	return result == 1;
}

static inline bool raw_tls_read(struct raw_tls *r, struct fleet_buffer *answer, const char *wanted)
{
	int result = 0;
	char chunk[4096];

	return RAW_WAIT(
		t.base, (result = SSL_read(r->ssl, chunk, sizeof(chunk)),
				result > 0 ? fleet_buffer_add(answer, chunk, (size_t)result) : (void)0,
				raw_has(answer, wanted)));
}

static inline bool raw_tls_ask(
	struct raw_tls *r, const char *text, struct fleet_buffer *answer, const char *wanted)
{
	const int len = (int)strlen(text);

	return SSL_write(r->ssl, text, len) == len && raw_tls_read(r, answer, wanted);
}

static inline void remove_dir(void)
{
	static const char *const names[] = {"cert", "key", "ca", "bad", "locked", "key-2"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(names); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", t.dir, names[i]);

		(void)unlink(path); /* not every test makes each */
	}
	(void)rmdir(t.dir); /* a directory below /tmp is all that may stay */
}

/* The whole of a program: its suite, in a directory and with authorities of its own. */
static inline int tls_run(const char *name, const struct unit_test *tests)
{
	int status;

	(void)snprintf(t.dir, sizeof(t.dir), "/tmp/fleet-unit-tls-XXXXXX");
	if (!mkdtemp(t.dir))
		return 1;
	(void)snprintf(t.cert, sizeof(t.cert), "%s/cert", t.dir);
	(void)snprintf(t.key, sizeof(t.key), "%s/key", t.dir);
	(void)snprintf(t.ca, sizeof(t.ca), "%s/ca", t.dir);
	t.authority = cert_new(NULL, "Authority", NULL, -DAY, 365 * DAY);
	t.stranger = cert_new(NULL, "Stranger", NULL, -DAY, 365 * DAY);
	cert_write(&t.authority, t.ca, NULL, NULL);
	status = unit_run((const struct unit_suite[]){{name, tests}, {0}});
	cert_done(&t.authority);
	cert_done(&t.stranger);
	remove_dir();
	return status;
}

#endif
