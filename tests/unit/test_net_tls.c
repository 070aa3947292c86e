#include <dirent.h>
#include <openssl/err.h>
#include "fleet/http_server.h"
#include "fleet/limits.h"
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

static void on_open(struct fleet_ws *ws FLEET_UNUSED, void *arg)
{
	((struct seen *)arg)->opened++;
}

static void on_message(struct fleet_ws *ws, const char *text, size_t len, void *arg)
{
	struct seen *s = arg;

	s->messages++;
	fleet_buffer_truncate(&s->last, 0);
	fleet_buffer_add(&s->last, text, len);
	if (s->echo)
		CU_ASSERT_EQUAL(fleet_ws_send(ws, text, len), 0);
}

static void on_closed(struct fleet_ws *ws, const struct fleet_ws_end *end, void *arg)
{
	struct seen *s = arg;

	s->closed++;
	s->end = *end;
	fleet_ws_free(ws);
	s->ws = NULL;
}

static const struct fleet_ws_events events = {.open = on_open, .message = on_message, .closed = on_closed};

static void handle_hub(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	fleet_ws_free(TAKE_PTR(t.at_server.ws));
	if (fleet_ws_accept(req, NULL, &events, &t.at_server, &t.at_server.ws, &err) < 0)
		fleet_http_reply_problem(req, 426, "invalid-request", NULL, "%s", err.message);
}

static void handle_hello(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	fleet_http_reply_bytes(req, 200, "text/plain", "hello", 5);
}

static void handle_late(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	t.late = req;
}

/* What the server thinks of the client's certificate. */
static void handle_who(struct fleet_http_request *req, void *arg FLEET_UNUSED)
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

static void listen_again(int64_t timeout_ms)
{
	const struct fleet_http_options options = {
		.address = "127.0.0.1", .routes = routes, .tls = t.tls, .timeout_ms = timeout_ms};

	fleet_http_server_free(t.server);
	if (fleet_http_server_new(t.base, &options, &t.server, NULL) < 0)
		CU_FAIL_FATAL("the server does not start");
}

static void start_with(struct cert takes_server, bool allow_1_2, int64_t timeout_ms)
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

static struct cert good_certificate(void)
{
	return cert_new(&t.authority, "console", "DNS:localhost,IP:127.0.0.1", -DAY, 30 * DAY);
}

static void start(void)
{
	start_with(good_certificate(), false, 0);
}

static void stop(void)
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
static void dial(const char *host, uint16_t port)
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

static void pair(void)
{
	dial("localhost", 0);
	CU_ASSERT_FATAL(RAW_WAIT(t.base, (t.at_client.opened && t.at_server.ws) || t.at_client.closed));
	if (t.at_client.closed)
		printf("# %s\n", t.at_client.end.reason);
	CU_ASSERT_EQUAL_FATAL(t.at_client.closed, 0);
}

static bool say(const char *text, size_t len)
{
	int before = t.at_server.messages;

	return t.at_client.ws && fleet_ws_send(t.at_client.ws, text, len) == 0 &&
	       RAW_WAIT(t.base, t.at_server.messages > before) && t.at_server.last.len == len &&
	       memcmp(t.at_server.last.data, text, len) == 0;
}

static bool was_resumed(void)
{
	return SSL_session_reused(bufferevent_openssl_get_ssl(t.at_client.ws->bev)) == 1;
}

/* --- a client that is not ours ------------------------------------------------------------------------- */

struct raw_tls {
	int fd;
	SSL_CTX *context;
	SSL *ssl;
};

static struct raw_tls raw_tls_new(int min, int max)
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

static void raw_tls_done(struct raw_tls *r)
{
	SSL_free(r->ssl);
	SSL_CTX_free(r->context);
	(void)close(r->fd);
}

static bool raw_tls_wants(struct raw_tls *r, int result)
{
	int error = SSL_get_error(r->ssl, result);

	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static bool raw_tls_handshake(struct raw_tls *r)
{
	int result = 0;

	(void)RAW_WAIT(t.base, (ERR_clear_error(), result = SSL_do_handshake(r->ssl),
				       result == 1 || !raw_tls_wants(r, result)));
	return result == 1;
}

static bool raw_tls_read(struct raw_tls *r, struct fleet_buffer *answer, const char *wanted)
{
	int result = 0;
	char chunk[4096];

	return RAW_WAIT(
		t.base, (result = SSL_read(r->ssl, chunk, sizeof(chunk)),
				result > 0 ? fleet_buffer_add(answer, chunk, (size_t)result) : (void)0,
				raw_has(answer, wanted)));
}

static bool raw_tls_ask(struct raw_tls *r, const char *text, struct fleet_buffer *answer, const char *wanted)
{
	const int len = (int)strlen(text);

	return SSL_write(r->ssl, text, len) == len && raw_tls_read(r, answer, wanted);
}

/* --- tests --------------------------------------------------------------------------------------------- */

static void test_messages_go_both_ways(void)
{
	const size_t len = FLEET_MESSAGE_MAX;
	_cleanup_free_ char *large = xmalloc(len);

	start();
	t.at_server.echo = true;
	pair();
	CU_ASSERT(say("Grüße", strlen("Grüße")));
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.messages == 1));
	memset(large, 'x', len);
	CU_ASSERT(say(large, len));
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.messages == 2));
	CU_ASSERT_EQUAL(t.at_client.last.len, len);
	fleet_ws_close(t.at_client.ws, 1000, "enough");
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed && t.at_server.closed));
	CU_ASSERT_EQUAL(t.at_client.end.close_code, 1000);
	CU_ASSERT_EQUAL(t.at_server.end.close_code, 1000);
	stop();
}

static void test_an_address_is_a_name_too(void)
{
	start();
	dial("127.0.0.1", 0);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.opened));
	stop();
}

static void test_what_is_not_trusted_is_said(void)
{
	static const struct {
		const char *title, *alt_names, *host, *said;
		long from_s, until_s;
		enum { AUTHORITY, STRANGER, ITSELF } signer;
	} cases[] = {
		{"another name", "DNS:other.example.com,DNS:two.example.com", "localhost",
			"the certificate of localhost is for other.example.com, two.example.com", -DAY, DAY,
			AUTHORITY},
		{"another address", "IP:127.0.0.2", "127.0.0.1",
			"the certificate of 127.0.0.1 is for 127.0.0.2", -DAY, DAY, AUTHORITY},
		{"a name where an address is asked", "DNS:127.0.0.1", "127.0.0.1", "is for 127.0.0.1", -DAY,
			DAY, AUTHORITY},
		{"expired", "DNS:localhost", "localhost", "the certificate of localhost expired on 20",
			-9 * DAY, -DAY, AUTHORITY},
		{"not yet", "DNS:localhost", "localhost", "clock right?", DAY, 9 * DAY, AUTHORITY},
		{"another authority", "DNS:localhost", "localhost",
			"('Stranger') that is not trusted: it is not in /", -DAY, DAY, STRANGER},
		{"nobody", "DNS:localhost", "localhost", "signed by nobody but itself", -DAY, DAY, ITSELF},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		const struct cert *signer = cases[i].signer == AUTHORITY  ? &t.authority
					    : cases[i].signer == STRANGER ? &t.stranger
									  : NULL;

		start_with(cert_new(signer, "console", cases[i].alt_names, cases[i].from_s, cases[i].until_s),
			false, 0);
		dial(cases[i].host, 0);
		CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed || t.at_client.opened));
		CU_ASSERT_EQUAL(t.at_client.opened, 0);
		CU_ASSERT_PTR_NULL(t.at_server.ws); /* nothing was said to it */
		if (!strstr(t.at_client.end.reason, cases[i].said)) {
			printf("# %s: %s\n", cases[i].title, t.at_client.end.reason);
			CU_FAIL("another sentence");
		}
		stop();
	}
}

static void test_old_versions_are_refused(void)
{
	static const struct {
		int version;
		bool allow_1_2, taken;
	} cases[] = {
		{TLS1_VERSION, true, false},
		{TLS1_1_VERSION, true, false},
		{TLS1_2_VERSION, false, false},
		{TLS1_2_VERSION, true, true},
		{TLS1_3_VERSION, false, true},
		{TLS1_3_VERSION, true, true},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct raw_tls r;

		start_with(good_certificate(), cases[i].allow_1_2, 0);
		r = raw_tls_new(cases[i].version, cases[i].version);
		CU_ASSERT_EQUAL(raw_tls_handshake(&r), cases[i].taken);
		if (cases[i].taken)
			CU_ASSERT_EQUAL(SSL_version(r.ssl), cases[i].version);
		raw_tls_done(&r);
		stop();
	}
}

static void test_sessions_are_resumed(void)
{
	start();
	pair();
	CU_ASSERT_FALSE(was_resumed());
	CU_ASSERT(say("one", 3));                /* the ticket comes with the first answer */
	fleet_ws_free(TAKE_PTR(t.at_client.ws)); /* as a process dies: no goodbye of any kind */
	CU_ASSERT(RAW_WAIT(t.base, t.at_server.closed == 1));
	for (int i = 0; i < 3; i++) {
		pair();
		CU_ASSERT(was_resumed());
		CU_ASSERT(say("again", 5));
		fleet_ws_free(TAKE_PTR(t.at_client.ws));
		CU_ASSERT(RAW_WAIT(t.base, t.at_server.closed == 2 + i));
	}
	/* Another host of the same certificate is another server. */
	dial("127.0.0.1", 0);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.opened));
	CU_ASSERT_FALSE(was_resumed());
	stop();
}

static void test_a_replaced_certificate_is_served(void)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct cert other;
	int64_t expires;

	start();
	expires = fleet_tls_server_expires(t.tls);
	CU_ASSERT_EQUAL(fleet_tls_server_reload(t.tls, true, &err), 0);
	pair();
	CU_ASSERT(say("before", 6));

	/* Half of it: the certificate without its key. Those who come get the old one, and it is told once.
	 */
	other = cert_new(&t.authority, "console", "DNS:localhost", -DAY, 60 * DAY);
	cert_write(&other, t.cert, NULL, NULL);
	CU_ASSERT_EQUAL(fleet_tls_server_reload(t.tls, true, &err), -EBADMSG);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "does not belong to the certificate in"));
	CU_ASSERT_EQUAL(fleet_tls_server_reload(t.tls, true, &err), 0);
	CU_ASSERT_EQUAL(fleet_tls_server_expires(t.tls), expires);
	fleet_ws_free(TAKE_PTR(t.at_client.ws));
	CU_ASSERT(RAW_WAIT(t.base, t.at_server.closed == 1));
	pair();
	CU_ASSERT(was_resumed());

	cert_write(&other, NULL, t.key, NULL);
	CU_ASSERT_EQUAL(fleet_tls_server_reload(t.tls, true, &err), 1);
	CU_ASSERT(fleet_tls_server_expires(t.tls) > expires + 29 * DAY);
	CU_ASSERT(say("a connection of before goes on", 30));
	fleet_ws_free(TAKE_PTR(t.at_client.ws));
	CU_ASSERT(RAW_WAIT(t.base, t.at_server.closed == 2));
	pair();
	CU_ASSERT_FALSE(was_resumed()); /* the new one was looked at */
	CU_ASSERT(say("after", 5));
	cert_done(&other);
	stop();
}

static void test_replaced_authorities_are_read(void)
{
	start();
	pair();
	CU_ASSERT(say("before", 6));
	fleet_ws_free(TAKE_PTR(t.at_client.ws));
	CU_ASSERT(RAW_WAIT(t.base, t.at_server.closed == 1));
	cert_write(&t.stranger, t.ca, NULL, NULL);
	dial("localhost", 0);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed || t.at_client.opened));
	CU_ASSERT_EQUAL(t.at_client.opened, 0); /* not by the session of before either */
	cert_write(&t.authority, t.ca, NULL, NULL);
	pair();
	stop();
}

static void test_files_are_complained_of(void)
{
	struct cert c = good_certificate(), other = good_certificate();
	_cleanup_free_ char *none = xasprintf("%s/none", t.dir), *bad = xasprintf("%s/bad", t.dir),
			    *locked = xasprintf("%s/locked", t.dir), *key_2 = xasprintf("%s/key-2", t.dir);
	const struct {
		const char *cert, *key, *said[3];
		int code;
	} cases[] = {
		{none, t.key, {"the certificate: cannot", "/none", "No such file"}, -ENOENT},
		{t.cert, none, {"the certificate's key: cannot", "/none", "No such file"}, -ENOENT},
		{bad, t.key, {"/bad", "no certificate in PEM form", "openssl x509"}, -EBADMSG},
		{t.cert, bad, {"/bad", "no private key", ""}, -EBADMSG},
		{t.cert, key_2, {"/key-2", "does not belong", t.cert}, -EBADMSG},
		{t.cert, locked, {"/locked", "passphrase", "openssl pkey"}, -EBADMSG},
		{t.dir, t.key, {t.dir, "", ""}, -EINVAL},
	};
	struct fleet_tls_client *client = fleet_tls_client_new(
		&(struct fleet_tls_client_options){.ca_file = bad, .ca_setting = "FLEET_CA_FILE"});
	struct fleet_error err = FLEET_ERROR_INIT;
	FILE *f = fopen(bad, "we");

	CU_ASSERT(f && fputs("no PEM\n", f) >= 0 && fclose(f) == 0);
	cert_write(&c, t.cert, t.key, NULL);
	cert_write(&c, NULL, locked, "secret");
	cert_write(&other, NULL, key_2, NULL);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct fleet_tls_server_options options = {
			.cert_file = cases[i].cert, .key_file = cases[i].key};
		struct fleet_tls_server *server = NULL;

		err = (struct fleet_error)FLEET_ERROR_INIT;
		CU_ASSERT_EQUAL(fleet_tls_server_new(&options, &server, &err), cases[i].code);
		CU_ASSERT_PTR_NULL(server);
		for (size_t n = 0; n < FLEET_ARRAY_LEN(cases[i].said); n++) {
			if (strstr(err.message, cases[i].said[n]))
				continue;
			printf("# %s\n", err.message);
			CU_FAIL("another sentence");
		}
	}
	CU_ASSERT_EQUAL(fleet_tls_client_ready(client, &err), -EBADMSG);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "/bad holds no certificate"));
	CU_ASSERT_EQUAL(ERR_peek_error(), 0);
	fleet_tls_client_free(client);
	cert_done(&c);
	cert_done(&other);
}

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

static void test_who_speaks_no_tls_is_told_of(void)
{
	static const char plain[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
	static const char ask[] = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
	struct fleet_buffer got = {0};
	uint16_t port;
	int listener = raw_listen(&port), fd = -1;

	start();
	dial("127.0.0.1", port);
	CU_ASSERT(RAW_WAIT(t.base, (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0));
	CU_ASSERT(raw_wait_text(t.base, fd, &got, "\x16"));
	CU_ASSERT(raw_send(t.base, fd, plain, sizeof(plain) - 1));
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed));
	CU_ASSERT_STRING_EQUAL(t.at_client.end.reason,
		"TLS handshake: what answers there does not speak TLS; is it http://?");
	(void)close(fd);

	dial("127.0.0.1", port);
	CU_ASSERT(RAW_WAIT(t.base, (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0));
	(void)close(fd);
	CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed));
	CU_ASSERT_PTR_NOT_NULL(strstr(t.at_client.end.reason, "TLS handshake: "));

	fd = raw_connect(fleet_http_server_port(t.server)); /* and the other way round */
	fleet_buffer_truncate(&got, 0);
	CU_ASSERT(raw_send(t.base, fd, ask, sizeof(ask) - 1));
	CU_ASSERT(raw_wait_end(t.base, fd, &got));
	CU_ASSERT_FALSE(raw_has(&got, "hello"));
	(void)close(fd);
	(void)close(listener);
	fleet_buffer_done(&got);
	stop();
}

static void test_without_a_context_there_is_no_tls(void)
{
	struct fleet_ws_client_options options = {.url = "wss://localhost/"};
	struct fleet_error err = FLEET_ERROR_INIT;
	struct fleet_ws *ws = NULL;
	struct fleet_tls_client *client;

	t.base = event_base_new();
	CU_ASSERT_EQUAL(fleet_ws_connect(t.base, NULL, &options, &events, &t.at_client, &ws, &err), -EINVAL);
	client = fleet_tls_client_new(&(struct fleet_tls_client_options){
		.ca_file = "/nowhere/ca.pem", .ca_setting = "FLEET_CA_FILE"});
	options.tls = client;
	CU_ASSERT_EQUAL(fleet_ws_connect(t.base, NULL, &options, &events, &t.at_client, &ws, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "/nowhere/ca.pem"));
	CU_ASSERT_PTR_NULL(ws);
	fleet_tls_client_free(client);
	event_base_free(t.base);
}

/* --- certificates of clients --------------------------------------------------------------------------- */

static void asking_start(bool allow_1_2)
{
	struct fleet_tls_server_options options = {
		.cert_file = t.cert, .key_file = t.key, .client_ca_file = t.ca, .allow_1_2 = allow_1_2};

	start_with(good_certificate(), allow_1_2, 0);
	fleet_tls_server_free(t.tls);
	CU_ASSERT_EQUAL_FATAL(fleet_tls_server_new(&options, &t.tls, NULL), 0);
	listen_again(0);
}

/* Shows it (NULL: nothing) and below times its issuer, perhaps with a session of before; what the server
 * thinks of it, owned. */
static char *ask_who_below(const struct cert *shown, const struct cert *issuer, int below, int version,
	SSL_SESSION **session, bool *ret_resumed)
{
	struct raw_tls r = raw_tls_new(version, version);
	struct fleet_buffer answer = FLEET_BUFFER_INIT;
	const char *from, *to = NULL;
	char *text = NULL;

	if (shown && (SSL_use_certificate(r.ssl, shown->certificate) != 1 ||
			     SSL_use_PrivateKey(r.ssl, shown->key) != 1))
		abort();
	for (int i = 0; i < below; i++)
		(void)SSL_add1_chain_cert(r.ssl, issuer->certificate);
	if (*session)
		(void)SSL_set_session(r.ssl, *session);
	if (raw_tls_handshake(&r) && raw_tls_ask(&r, "GET /who HTTP/1.1\r\nHost: h\r\n\r\n", &answer, ">")) {
		from = strchr(answer.data, '<');
		to = from ? strchr(from, '>') : NULL;
		text = to ? xstrndup(from + 1, (size_t)(to - from) - 1) : NULL;
	}
	*ret_resumed = SSL_session_reused(r.ssl) == 1;
	SSL_SESSION_free(*session);
	*session = SSL_SESSION_dup(SSL_get0_session(r.ssl)); /* the end of r spoils its own */
	fleet_buffer_done(&answer);
	raw_tls_done(&r);
	return text;
}

static char *ask_who(const struct cert *shown, int version, SSL_SESSION **session, bool *ret_resumed)
{
	return ask_who_below(shown, NULL, 0, version, session, ret_resumed);
}

/* Anybody may show what costs us much: what no agent of ours has is not even looked at. */
static void test_what_strangers_show_costs_little(void)
{
	static const char agent[] = "URI:fleet:agent:agent-001";
	struct cert between = cert_new(&t.authority, "Between", NULL, -DAY, DAY);
	struct cert below = cert_new(&between, "agent", agent, -DAY, DAY);
	struct cert other =
		cert_new_of(EVP_PKEY_Q_keygen(NULL, NULL, "ED448"), &t.authority, "agent", agent, -DAY, DAY);
	struct cert great = cert_new_of(
		EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)4104), &t.authority, "agent", agent, -DAY, DAY);
	const struct {
		const char *title, *thinks; /* NULL: it hears nothing */
		const struct cert *shown;
		int between;
	} cases[] = {
		{"an authority in between", "was not issued by this console's authority", &below, 1},
		{"a long chain", NULL, &below, 40},
		{"another kind of key", NULL, &other, 0},
		{"a great key", NULL, &great, 0},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_free_ char *thinks = NULL;
		SSL_SESSION *session = NULL;
		bool resumed;

		asking_start(false);
		thinks = ask_who_below(
			cases[i].shown, &between, cases[i].between, TLS1_3_VERSION, &session, &resumed);
		CU_ASSERT(cases[i].thinks ? thinks && strstr(thinks, cases[i].thinks) : !thinks);
		if (cases[i].thinks ? !thinks || !strstr(thinks, cases[i].thinks) : !!thinks)
			printf("# %s: %s\n", cases[i].title, thinks ? thinks : "no answer");
		SSL_SESSION_free(session);
		stop();
	}
	cert_done(&between);
	cert_done(&below);
	cert_done(&other);
	cert_done(&great);
}

static void test_clients_show_certificates(void)
{
	static const char agent[] = "URI:fleet:agent:agent-001";
	static const struct {
		const char *title, *names, *thinks;
		long from_s, until_s;
		enum { NOTHING, AUTHORITY, STRANGER, ITSELF } signer;
	} cases[] = {
		{"nothing", NULL, "nobody", 0, 0, NOTHING},
		{"a good one", agent, "fleet:agent:agent-001", -DAY, DAY, AUTHORITY},
		{"two names", "URI:fleet:agent:a,URI:fleet:agent:b", "", -DAY, DAY, AUTHORITY},
		{"another kind of name", "DNS:agent-001", "", -DAY, DAY, AUTHORITY},
		{"expired", agent, "its certificate expired on 20", -2 * DAY, -DAY, AUTHORITY},
		{"not yet", agent, "its certificate is not valid before 20", DAY, 2 * DAY, AUTHORITY},
		{"a stranger's", agent, "was not issued by this console's authority", -DAY, DAY, STRANGER},
		{"its own", agent, "was not issued by this console's authority", -DAY, DAY, ITSELF},
	};
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	for (size_t i = 0; i < 2 * FLEET_ARRAY_LEN(cases); i++) {
		const struct cert *signer = cases[i / 2].signer == AUTHORITY  ? &t.authority
					    : cases[i / 2].signer == STRANGER ? &t.stranger
									      : NULL;
		struct cert shown = {0};
		SSL_SESSION *session = NULL;

		asking_start(true);
		if (cases[i / 2].signer != NOTHING)
			shown = cert_new(signer, "agent", cases[i / 2].names, cases[i / 2].from_s,
				cases[i / 2].until_s);
		for (int again = 0; again < 2; again++) { /* a session that is resumed says the same */
			bool resumed = false;
			_cleanup_free_ char *thinks = ask_who(cases[i / 2].signer != NOTHING ? &shown : NULL,
				versions[i % 2], &session, &resumed);

			CU_ASSERT_EQUAL(resumed, again);
			if (!thinks || !strstr(thinks, cases[i / 2].thinks) ||
				(!*cases[i / 2].thinks && *thinks)) {
				printf("# %s (%d): %s\n", cases[i / 2].title, again,
					thinks ? thinks : "no answer");
				CU_FAIL("the server thinks something else");
			}
		}
		SSL_SESSION_free(session);
		cert_done(&shown);
		stop();
	}
}

static void test_a_client_shows_what_is_in_its_files(void)
{
	_cleanup_free_ char *file = xasprintf("%s/identity", t.dir);
	struct cert first = cert_new(&t.authority, "agent", "URI:fleet:agent:agent-001", -DAY, DAY),
		    second = cert_new(&t.authority, "agent", "URI:fleet:agent:agent-002", -DAY, DAY);
	struct fleet_x509_facts facts;

	asking_start(false);
	fleet_tls_client_free(t.client);
	t.client = fleet_tls_client_new(&(struct fleet_tls_client_options){
		.ca_file = t.ca, .ca_setting = "FLEET_CA_FILE", .cert_file = file, .key_file = file});
	for (int i = 0; i < 2; i++) {
		const struct cert *shown = i ? &second : &first;
		FILE *f = fopen(file, "we"); /* both in one file */

		if (!f || !PEM_write_PrivateKey(f, shown->key, NULL, NULL, 0, NULL, NULL) ||
			!PEM_write_X509(f, shown->certificate) || fclose(f) != 0)
			abort();
		pair();
		CU_ASSERT_EQUAL(fleet_tls_client_of(t.at_server.ws->bev, &facts, NULL), 1);
		CU_ASSERT_STRING_EQUAL(facts.uri, i ? "fleet:agent:agent-002" : "fleet:agent:agent-001");
		CU_ASSERT(say("hello", 5));
		fleet_ws_free(TAKE_PTR(t.at_client.ws));
		CU_ASSERT(RAW_WAIT(t.base, t.at_server.closed == i + 1));
	}
	(void)unlink(file);
	cert_done(&first);
	cert_done(&second);
	stop();
}

static void digest_of(const struct cert *c, unsigned char ret[FLEET_SHA256_LEN])
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(c->certificate), &der);

	fleet_sha256(der, (size_t)len, ret);
	OPENSSL_free(der);
}

/* Whoever joins knows the digest of a key, and no file. */
static void test_an_authority_is_known_by_its_key(void)
{
	static const struct {
		const char *title, *alt_names, *said; /* NULL: taken */
		bool shows_authority, known;
		long until_s;
	} cases[] = {
		{"the one", "DNS:localhost", NULL, true, true, DAY},
		{"another one", "DNS:localhost", "is not the console that made the join token", true, false,
			DAY},
		{"it is not shown", "DNS:localhost", "is not the console that made the join token", false,
			true, DAY},
		{"another name", "DNS:other", "is for other", true, true, DAY},
		{"expired", "DNS:localhost", "expired on 20", true, true, -60},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		unsigned char digest[FLEET_SHA256_LEN];
		FILE *f;

		start_with(cert_new(&t.authority, "console", cases[i].alt_names, -DAY, cases[i].until_s),
			false, 0);
		f = fopen(t.cert, "ae");
		if (!f || (cases[i].shows_authority && !PEM_write_X509(f, t.authority.certificate)) ||
			fclose(f) != 0)
			abort();
		CU_ASSERT_EQUAL(fleet_tls_server_reload(t.tls, false, NULL), 1);
		digest_of(cases[i].known ? &t.authority : &t.stranger, digest);
		fleet_tls_client_free(t.client);
		t.client = fleet_tls_client_new(&(struct fleet_tls_client_options){
			.authority_key = digest, .ca_setting = "FLEET_CA_FILE"});
		dial("localhost", 0);
		CU_ASSERT(RAW_WAIT(t.base, t.at_client.closed || t.at_client.opened));
		CU_ASSERT_EQUAL(t.at_client.opened, !cases[i].said);
		if (cases[i].said && !strstr(t.at_client.end.reason, cases[i].said)) {
			printf("# %s: %s\n", cases[i].title, t.at_client.end.reason);
			CU_FAIL("another sentence");
		}
		stop();
	}
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_messages_go_both_ways),
	UNIT_TEST(test_an_address_is_a_name_too),
	UNIT_TEST(test_what_is_not_trusted_is_said),
	UNIT_TEST(test_old_versions_are_refused),
	UNIT_TEST(test_sessions_are_resumed),
	UNIT_TEST(test_a_replaced_certificate_is_served),
	UNIT_TEST(test_replaced_authorities_are_read),
	UNIT_TEST(test_files_are_complained_of),
	UNIT_TEST(test_slow_handshakes_are_cut),
	UNIT_TEST(test_slow_requests_are_cut),
	UNIT_TEST(test_a_settled_connection_is_not_cut),
	UNIT_TEST(test_requests_and_errors),
	UNIT_TEST(test_frames_behind_the_upgrade),
	UNIT_TEST(test_sudden_ends_leave_nothing),
	UNIT_TEST(test_the_server_goes_first),
	UNIT_TEST(test_who_speaks_no_tls_is_told_of),
	UNIT_TEST(test_without_a_context_there_is_no_tls),
	UNIT_TEST(test_clients_show_certificates),
	UNIT_TEST(test_what_strangers_show_costs_little),
	UNIT_TEST(test_a_client_shows_what_is_in_its_files),
	UNIT_TEST(test_an_authority_is_known_by_its_key),
	{0},
};

static void remove_dir(void)
{
	static const char *const names[] = {"cert", "key", "ca", "bad", "locked", "key-2"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(names); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", t.dir, names[i]);

		(void)unlink(path); /* not every test makes each */
	}
	(void)rmdir(t.dir); /* a directory below /tmp is all that may stay */
}

int main(void)
{
	int status;

	(void)snprintf(t.dir, sizeof(t.dir), "/tmp/test_net_tls.XXXXXX");
	if (!mkdtemp(t.dir))
		return 1;
	(void)snprintf(t.cert, sizeof(t.cert), "%s/cert", t.dir);
	(void)snprintf(t.key, sizeof(t.key), "%s/key", t.dir);
	(void)snprintf(t.ca, sizeof(t.ca), "%s/ca", t.dir);
	t.authority = cert_new(NULL, "Authority", NULL, -DAY, 365 * DAY);
	t.stranger = cert_new(NULL, "Stranger", NULL, -DAY, 365 * DAY);
	cert_write(&t.authority, t.ca, NULL, NULL);
	status = unit_run((const struct unit_suite[]){{"tls", tests}, {0}});
	cert_done(&t.authority);
	cert_done(&t.stranger);
	remove_dir();
	return status;
}
