/* A small authority's work, looked at with OpenSSL's own verification; and the tokens to join with. */
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>
#include "fleet/join_token.h"
#include "fleet/x509.h"
#include "unit.h"

static struct {
	char *ca_key, *ca, *key, *request;
} t;

static void begin(void)
{
	CU_ASSERT_EQUAL_FATAL(fleet_x509_key_new(&t.ca_key, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(fleet_x509_authority_new(t.ca_key, "Fleet CA 1", 1000, &t.ca, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(fleet_x509_key_new(&t.key, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(fleet_x509_request_new(t.key, "agent-001", &t.request, NULL), 0);
}

static void end(void)
{
	fleet_x509_forget(&t.ca_key);
	fleet_x509_forget(&t.key);
	free(t.ca);
	free(t.request);
}

static X509 *parse(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	CU_ASSERT_PTR_NOT_NULL_FATAL(certificate);
	return certificate;
}

/* As a peer of TLS would: chain, purpose, and the name where there is one. */
static int verify(const char *pem, const char *purpose, const char *host)
{
	X509 *ca = parse(t.ca), *certificate = parse(pem);
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	int result = -1;

	if (X509_STORE_add_cert(store, ca) == 1 &&
		X509_STORE_CTX_init(context, store, certificate, NULL) == 1 &&
		X509_STORE_CTX_set_default(context, purpose) == 1) {
		X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(context), X509_V_FLAG_X509_STRICT);
		if (host && strchr("0123456789", host[0]))
			(void)X509_VERIFY_PARAM_set1_ip_asc(X509_STORE_CTX_get0_param(context), host);
		else if (host)
			(void)X509_VERIFY_PARAM_set1_host(X509_STORE_CTX_get0_param(context), host, 0);
		result = X509_verify_cert(context) == 1 ? 0 : X509_STORE_CTX_get_error(context);
	}
	X509_STORE_CTX_free(context);
	X509_STORE_free(store);
	X509_free(ca);
	X509_free(certificate);
	return result;
}

static void test_an_agents_certificate(void)
{
	const struct fleet_x509_wish wish = {
		.name = "agent-001", .uri = FLEET_X509_AGENT "agent-001", .life_s = 300};
	_cleanup_free_ char *pem = NULL;
	unsigned char key[FLEET_SHA256_LEN], requested[FLEET_SHA256_LEN];
	struct fleet_x509_facts facts, ca;
	const int64_t now = (int64_t)time(NULL);

	begin();
	CU_ASSERT_EQUAL_FATAL(fleet_x509_issue(t.ca_key, t.ca, t.request, &wish, &pem, NULL), 0);
	CU_ASSERT_EQUAL(verify(pem, "ssl_client", NULL), 0);
	CU_ASSERT_EQUAL(verify(pem, "ssl_server", NULL), X509_V_ERR_INVALID_PURPOSE);
	CU_ASSERT_EQUAL(fleet_x509_facts(pem, strlen(pem), &facts, NULL), 0);
	CU_ASSERT_STRING_EQUAL(facts.uri, "fleet:agent:agent-001");
	CU_ASSERT_STRING_EQUAL(facts.name, "agent-001");
	CU_ASSERT_FALSE(facts.is_root);
	CU_ASSERT(facts.ends_s >= now + 299 && facts.ends_s <= now + 301);
	CU_ASSERT(facts.begins_s <= now - FLEET_CERTIFICATE_SKEW_S + 1);
	CU_ASSERT(fleet_x509_renew_s(&facts) >= now + 199 && fleet_x509_renew_s(&facts) <= now + 202);
	CU_ASSERT_EQUAL(fleet_x509_key_digest(t.key, key, NULL), 0);
	CU_ASSERT_EQUAL(fleet_x509_request_key(t.request, requested, NULL), 0);
	CU_ASSERT_EQUAL(memcmp(facts.key, key, sizeof(key)), 0);
	CU_ASSERT_EQUAL(memcmp(facts.key, requested, sizeof(key)), 0);
	CU_ASSERT_EQUAL(fleet_x509_facts(t.ca, strlen(t.ca), &ca, NULL), 0);
	CU_ASSERT(ca.is_root && memcmp(ca.key, key, sizeof(key)) != 0);
	end();
}

static void test_a_servers_certificate(void)
{
	static const char *const hosts[] = {"console.example.com", "localhost", "192.0.2.7", "::1", NULL};
	const struct fleet_x509_wish wish = {.name = hosts[0], .hosts = hosts, .life_s = 300};
	_cleanup_free_ char *pem = NULL, *chain = NULL, *last = NULL;
	struct fleet_x509_facts facts, ca;

	begin();
	CU_ASSERT_EQUAL_FATAL(fleet_x509_issue(t.ca_key, t.ca, t.request, &wish, &pem, NULL), 0);
	CU_ASSERT_EQUAL(verify(pem, "ssl_server", "console.example.com"), 0);
	CU_ASSERT_EQUAL(verify(pem, "ssl_server", "192.0.2.7"), 0);
	CU_ASSERT_EQUAL(verify(pem, "ssl_server", "other.example.com"), X509_V_ERR_HOSTNAME_MISMATCH);
	CU_ASSERT_EQUAL(verify(pem, "ssl_server", "192.0.2.8"), X509_V_ERR_IP_ADDRESS_MISMATCH);
	CU_ASSERT_EQUAL(verify(pem, "ssl_client", NULL), X509_V_ERR_INVALID_PURPOSE);
	chain = xasprintf("%s%s", pem, t.ca);
	CU_ASSERT_EQUAL(fleet_x509_facts(chain, strlen(chain), &facts, NULL), 0);
	CU_ASSERT_STRING_EQUAL(facts.uri, "");
	CU_ASSERT_EQUAL(fleet_x509_facts_of_last(chain, strlen(chain), &facts, NULL), 0);
	CU_ASSERT_EQUAL(fleet_x509_facts(t.ca, strlen(t.ca), &ca, NULL), 0);
	CU_ASSERT_EQUAL(memcmp(facts.fingerprint, ca.fingerprint, sizeof(ca.fingerprint)), 0);
	last = fleet_x509_last(chain, strlen(chain));
	CU_ASSERT_STRING_EQUAL(last, t.ca);
	end();
}

static void test_an_agent_signs_nobody(void)
{
	const struct fleet_x509_wish wish = {.name = "a", .uri = FLEET_X509_AGENT "a", .life_s = 300};
	_cleanup_free_ char *pem = NULL, *below = NULL;

	begin();
	CU_ASSERT_EQUAL_FATAL(fleet_x509_issue(t.ca_key, t.ca, t.request, &wish, &pem, NULL), 0);
	/* Whoever has the key can sign; nobody takes it. */
	CU_ASSERT_EQUAL_FATAL(fleet_x509_issue(t.key, pem, t.request, &wish, &below, NULL), 0);
	CU_ASSERT_NOT_EQUAL(verify(below, "ssl_client", NULL), 0);
	/* Nor does a key sign for an authority that it is not. */
	free(TAKE_PTR(below));
	CU_ASSERT(fleet_x509_issue(t.key, t.ca, t.request, &wish, &below, NULL) < 0);
	end();
}

static void test_bad_requests(void)
{
	const struct fleet_x509_wish wish = {.name = "a", .uri = FLEET_X509_AGENT "a", .life_s = 300};
	unsigned char digest[FLEET_SHA256_LEN];
	size_t taken = 0, len;

	begin();
	len = strlen(t.request);
	for (size_t i = strlen("-----BEGIN CERTIFICATE REQUEST-----\n"); i + 40 < len; i += 7) {
		_cleanup_free_ char *altered = xstrdup(t.request), *pem = NULL;

		if (altered[i] == '\n')
			continue;
		altered[i] = altered[i] == 'A' ? 'B' : 'A';
		if (fleet_x509_issue(t.ca_key, t.ca, altered, &wish, &pem, NULL) >= 0)
			taken++;
	}
	CU_ASSERT_EQUAL(taken, 0);
	CU_ASSERT_EQUAL(fleet_x509_request_key("", digest, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(fleet_x509_request_key(t.ca, digest, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(fleet_x509_key_digest(t.ca, digest, NULL), -EBADMSG);
	end();
}

static void test_join_tokens(void)
{
	static const char kid[] = "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA";
	unsigned char authority[FLEET_SHA256_LEN];
	struct fleet_join_token made, read, plain;
	_cleanup_free_ char *text = NULL, *short_text = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;

	memset(authority, 7, sizeof(authority));
	fleet_join_token_new(authority, kid, &made);
	text = fleet_join_token_text(&made);
	CU_ASSERT_EQUAL(fleet_join_token_parse(text, &read, &err), 0);
	CU_ASSERT_STRING_EQUAL(read.secret, made.secret);
	CU_ASSERT(read.has_authority && memcmp(read.authority, authority, sizeof(authority)) == 0);
	CU_ASSERT_STRING_EQUAL(read.kid, kid);
	fleet_join_token_new(NULL, kid, &plain);
	CU_ASSERT_STRING_NOT_EQUAL(plain.secret, made.secret);
	short_text = fleet_join_token_text(&plain);
	CU_ASSERT_EQUAL(fleet_join_token_parse(short_text, &read, &err), 0);
	CU_ASSERT_FALSE(read.has_authority);
	/* Cut or lengthened anywhere it is none, and the sentence does not repeat it. */
	for (size_t len = 0; len < strlen(text); len++) {
		_cleanup_free_ char *cut = xstrndup(text, len),
				    *longer = xasprintf("%.*sA%s", (int)len, text, text + len);

		CU_ASSERT_EQUAL(fleet_join_token_parse(cut, &read, &err), -EINVAL);
		CU_ASSERT_EQUAL(fleet_join_token_parse(longer, &read, &err), -EINVAL);
		CU_ASSERT_PTR_NULL(strstr(err.message, made.secret));
	}
}

int main(void)
{
	static const struct unit_test tests[] = {UNIT_TEST(test_an_agents_certificate),
		UNIT_TEST(test_a_servers_certificate), UNIT_TEST(test_an_agent_signs_nobody),
		UNIT_TEST(test_bad_requests), UNIT_TEST(test_join_tokens), {0}};

	return unit_run((const struct unit_suite[]){{"x509", tests}, {0}});
}
