/* Certificate requests and certificates as PEM, which come from the network; and join tokens, which people
 * copy. Input: whatever there is is read as each of them. */
#include "fleet/join_token.h"
#include "fleet/x509.h"
#include "fuzz.h"

static void as_token(const char *text)
{
	struct fleet_join_token token, again;
	struct fleet_error err = FLEET_ERROR_INIT;
	_cleanup_free_ char *written = NULL;

	if (fleet_join_token_parse(text, &token, &err) < 0) {
		FUZZ_CHECK(err.code == -EINVAL && *err.message, "refused without a word");
		return;
	}
	written = fleet_join_token_text(&token);
	FUZZ_CHECK(strcmp(written, text) == 0, "a token that is written in another way: %s", written);
	FUZZ_CHECK(fleet_join_token_parse(written, &again, &err) == 0, "its own text is refused");
}

static void as_request(const char *text, const char *ca_key, const char *ca)
{
	const struct fleet_x509_wish wish = {.name = "a", .uri = FLEET_X509_AGENT "a", .life_s = 60};
	unsigned char key[FLEET_SHA256_LEN];
	struct fleet_x509_facts facts;
	_cleanup_free_ char *pem = NULL;

	if (fleet_x509_request_key(text, key, NULL) < 0) {
		FUZZ_CHECK(fleet_x509_issue(ca_key, ca, text, &wish, &pem, NULL) < 0,
			"issued for what is no request");
		return;
	}
	FUZZ_CHECK(
		fleet_x509_issue(ca_key, ca, text, &wish, &pem, NULL) == 0, "not issued for a good request");
	FUZZ_CHECK(fleet_x509_facts(pem, strlen(pem), &facts, NULL) == 0,
		"a certificate of ours that we cannot read");
	FUZZ_CHECK(memcmp(facts.key, key, sizeof(key)) == 0 && strcmp(facts.uri, wish.uri) == 0 &&
			   !facts.is_root,
		"a certificate for somebody else");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char *ca_key, *ca; /* made once */
	_cleanup_free_ char *text = xstrndup((const char *)data, size), *last = NULL;
	struct fleet_x509_facts facts;

	if (!ca && (fleet_x509_key_new(&ca_key, NULL) < 0 ||
			   fleet_x509_authority_new(ca_key, "CA", 3600, &ca, NULL) < 0))
		abort();
	as_token(text);
	as_request(text, ca_key, ca);
	if (fleet_x509_facts(text, strlen(text), &facts, NULL) == 0)
		FUZZ_CHECK(memchr(facts.uri, '\0', sizeof(facts.uri)) &&
				   memchr(facts.name, '\0', sizeof(facts.name)),
			"texts without an end");
	if (fleet_x509_facts_of_last(text, strlen(text), &facts, NULL) == 0)
		FUZZ_CHECK(memchr(facts.uri, '\0', sizeof(facts.uri)), "a text without an end");
	last = fleet_x509_last(text, strlen(text));
	FUZZ_CHECK(last != NULL, "nothing, not even an empty text");
	return 0;
}
