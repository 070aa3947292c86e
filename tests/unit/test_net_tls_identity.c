/* Who the other end is: certificates of clients, and an authority that is known by its key. */
#include "test_net_tls.h"

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
	UNIT_TEST(test_clients_show_certificates),
	UNIT_TEST(test_what_strangers_show_costs_little),
	UNIT_TEST(test_a_client_shows_what_is_in_its_files),
	UNIT_TEST(test_an_authority_is_known_by_its_key),
	{0},
};

int main(void)
{
	return tls_run("tls identity", tests);
}
