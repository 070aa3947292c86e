/* Whom the client trusts, what the server takes, and the files that both have it from. */
#include "fleet/limits.h"
#include "test_net_tls.h"

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

static const struct unit_test tests[] = {
	UNIT_TEST(test_messages_go_both_ways),
	UNIT_TEST(test_an_address_is_a_name_too),
	UNIT_TEST(test_what_is_not_trusted_is_said),
	UNIT_TEST(test_old_versions_are_refused),
	UNIT_TEST(test_sessions_are_resumed),
	UNIT_TEST(test_a_replaced_certificate_is_served),
	UNIT_TEST(test_replaced_authorities_are_read),
	UNIT_TEST(test_files_are_complained_of),
	UNIT_TEST(test_who_speaks_no_tls_is_told_of),
	UNIT_TEST(test_without_a_context_there_is_no_tls),
	{0},
};

int main(void)
{
	return tls_run("tls", tests);
}
