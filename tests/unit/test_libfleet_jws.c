#include <openssl/evp.h>
#include "fleet/encode.h"
#include "fleet/jws.h"
#include "fleet/limits.h"
#include "unit.h"

static struct json_object *payload(void)
{
	struct json_object *o = json_object_new_object();

	fleet_json_add_string(o, "commandId", "01890a5d-ac96-774b-bcce-b302099a8057");
	fleet_json_add_string(o, "action", "restart-app");
	fleet_json_add_int(o, "v", 1);
	return o;
}

static char *signed_by(const struct fleet_jws_key *key)
{
	_cleanup_json_ struct json_object *o = payload();
	char *jws = NULL;

	CU_ASSERT_EQUAL_FATAL(fleet_jws_sign(key, o, &jws, NULL), 0);
	return jws;
}

/* A JWS with this header over the payload, signed with the key whatever the header says. */
static char *forge(const char *pem, const char *header, const char *body)
{
	_cleanup_free_ char *h = fleet_base64url_encode(header, strlen(header)),
			    *b = fleet_base64url_encode(body, strlen(body));
	_cleanup_free_ char *text = xasprintf("%s.%s", h, b), *signature64 = NULL;
	_cleanup_free_ unsigned char *der = NULL;
	unsigned char signature[64];
	size_t len = sizeof(signature), der_len = 0;
	char seed64[200] = "";
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *pkey;
	const char *line = strchr(pem, '\n') + 1;

	/* PKCS#8 of an Ed25519 key is 48 bytes in one line of 64 digits, the last 32 of them the seed */
	for (size_t i = 0; i < 64; i++)
		seed64[i] = line[i] == '+' ? '-' : line[i] == '/' ? '_' : line[i];
	CU_ASSERT_EQUAL_FATAL(fleet_base64url_decode(seed64, 64, &der, &der_len), 0);
	CU_ASSERT_EQUAL_FATAL(der_len, 48);
	pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, der + 16, 32);
	CU_ASSERT_PTR_NOT_NULL_FATAL(pkey);
	CU_ASSERT_EQUAL(EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey), 1);
	CU_ASSERT_EQUAL(EVP_DigestSign(ctx, signature, &len, (const unsigned char *)text, strlen(text)), 1);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	signature64 = fleet_base64url_encode(signature, len);
	return xasprintf("%s.%s", text, signature64);
}

static void test_sign_and_verify(void)
{
	_cleanup_(fleet_jws_key_freep) struct fleet_jws_key *other = fleet_jws_key_new(),
							    *key = fleet_jws_key_new();
	struct fleet_jws_key *const keys[] = {other, key};
	_cleanup_free_ char *jws = signed_by(key), *text = NULL;
	_cleanup_json_ struct json_object *got = NULL, *peeked = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL(fleet_jws_verify(keys, 2, jws, strlen(jws), &got, &err), 0);
	text = fleet_json_canonical(got, NULL);
	CU_ASSERT_STRING_EQUAL(text, "{\"action\":\"restart-app\",\"commandId\":\"01890a5d-ac96-774b-bcce-"
				     "b302099a8057\",\"v\":1}");
	CU_ASSERT_EQUAL(fleet_jws_peek(jws, strlen(jws), &peeked, &err), 0);
	CU_ASSERT_TRUE(json_object_equal(got, peeked));
}

/* RFC 8037, appendix A: key, thumbprint and public JWK. */
static void test_rfc8037_key(void)
{
	const char *x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
	_cleanup_json_ struct json_object *jwk = json_object_new_object(), *back = NULL;
	_cleanup_(fleet_jws_key_freep) struct fleet_jws_key *key = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;

	fleet_json_add_string(jwk, "kty", "OKP");
	fleet_json_add_string(jwk, "crv", "Ed25519");
	fleet_json_add_string(jwk, "x", x);
	CU_ASSERT_EQUAL_FATAL(fleet_jws_key_from_jwk(jwk, &key, &err), 0);
	CU_ASSERT_STRING_EQUAL(fleet_jws_key_id(key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
	back = fleet_jws_key_to_jwk(key);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(back, "x"), x);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(back, "kid"), fleet_jws_key_id(key));
	CU_ASSERT_PTR_NULL(fleet_json_string(back, "d"));
}

static void test_every_byte_flipped_is_refused(void)
{
	_cleanup_(fleet_jws_key_freep) struct fleet_jws_key *key = fleet_jws_key_new();
	_cleanup_free_ char *jws = signed_by(key);
	size_t len = strlen(jws);

	for (size_t i = 0; i < len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			struct json_object *got = NULL;
			int r;

			jws[i] = (char)(jws[i] ^ (1 << bit));
			r = fleet_jws_verify(&key, 1, jws, len, &got, NULL);
			CU_ASSERT_TRUE(r == -EBADMSG || r == -ENOKEY || r == -EKEYREJECTED);
			CU_ASSERT_PTR_NULL(got);
			jws[i] = (char)(jws[i] ^ (1 << bit));
		}
	}
}

static void test_every_truncation_is_refused(void)
{
	_cleanup_(fleet_jws_key_freep) struct fleet_jws_key *key = fleet_jws_key_new();
	_cleanup_free_ char *jws = signed_by(key);

	for (size_t len = 0; len < strlen(jws); len++) {
		_cleanup_free_ char *cut = xmalloc(len + 1);
		struct json_object *got = NULL;

		memcpy(cut, jws, len);
		CU_ASSERT_TRUE(fleet_jws_verify(&key, 1, cut, len, &got, NULL) < 0);
		CU_ASSERT_PTR_NULL(got);
	}
	{
		_cleanup_free_ char *longer = xasprintf("%sA", jws), *fourth = xasprintf("%s.", jws),
				    *space = xasprintf("%s\n", jws);
		struct json_object *got = NULL;

		CU_ASSERT_EQUAL(fleet_jws_verify(&key, 1, longer, strlen(longer), &got, NULL), -EBADMSG);
		CU_ASSERT_EQUAL(fleet_jws_verify(&key, 1, fourth, strlen(fourth), &got, NULL), -EBADMSG);
		CU_ASSERT_EQUAL(fleet_jws_verify(&key, 1, space, strlen(space), &got, NULL), -EBADMSG);
		CU_ASSERT_EQUAL(fleet_jws_verify(&key, 1, jws, strlen(jws) + 1, &got, NULL), -EBADMSG);
	}
}

static void test_foreign_keys(void)
{
	_cleanup_(fleet_jws_key_freep) struct fleet_jws_key *mine = fleet_jws_key_new(),
							    *theirs = fleet_jws_key_new();
	_cleanup_free_ char *jws = signed_by(theirs), *pem = NULL, *header = NULL, *forged = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct json_object *got = NULL;

	CU_ASSERT_EQUAL(fleet_jws_verify(&mine, 1, jws, strlen(jws), &got, &err), -ENOKEY);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, fleet_jws_key_id(theirs)));
	CU_ASSERT_EQUAL(fleet_jws_verify(NULL, 0, jws, strlen(jws), &got, &err), -ENOKEY);
	/* signed by theirs under my name */
	CU_ASSERT_EQUAL_FATAL(fleet_jws_key_to_pem(theirs, &pem, &err), 0);
	header = xasprintf(
		"{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"typ\":\"fleet-command+jws\"}", fleet_jws_key_id(mine));
	forged = forge(pem, header, "{}");
	CU_ASSERT_EQUAL(fleet_jws_verify(&mine, 1, forged, strlen(forged), &got, &err), -EKEYREJECTED);
	CU_ASSERT_PTR_NULL(got);
}

/* Good signatures of the right key over headers that must not be. */
static void test_headers_are_strict(void)
{
	static const char *const bad[] = {
		"{\"alg\":\"none\",\"kid\":\"%s\",\"typ\":\"fleet-command+jws\"}",
		"{\"alg\":\"HS256\",\"kid\":\"%s\",\"typ\":\"fleet-command+jws\"}",
		"{\"alg\":\"EDDSA\",\"kid\":\"%s\",\"typ\":\"fleet-command+jws\"}",
		"{\"alg\":[\"EdDSA\"],\"kid\":\"%s\",\"typ\":\"fleet-command+jws\"}",
		"{\"kid\":\"%s\",\"typ\":\"fleet-command+jws\"}",
		"{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"typ\":\"JWT\"}",
		"{\"alg\":\"EdDSA\",\"kid\":\"%s\"}",
		"{\"alg\":\"EdDSA\",\"kid\":\"%sx\",\"typ\":\"fleet-command+jws\"}",
		"{\"alg\":\"EdDSA\",\"typ\":\"fleet-command+jws\",\"x\":\"%s\"}",
		"{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"typ\":\"fleet-command+jws\",\"crit\":[\"b64\"],\"b64\":"
		"false}",
		"{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"typ\":\"fleet-command+jws\",\"crit\":[]}",
		"{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"typ\":\"fleet-command+jws\",\"jwk\":{}}",
		"[\"%s\"]",
		"{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"typ\":\"fleet-command+jws\"} x",
		"%s",
	};
	_cleanup_(fleet_jws_key_freep) struct fleet_jws_key *key = fleet_jws_key_new();
	_cleanup_free_ char *pem = NULL, *good = NULL, *header = NULL;
	_cleanup_json_ struct json_object *got = NULL;

	CU_ASSERT_EQUAL_FATAL(fleet_jws_key_to_pem(key, &pem, NULL), 0);
	header = xasprintf(
		"{\"typ\":\"fleet-command+jws\", \"alg\":\"EdDSA\",\"kid\":\"%s\"}", fleet_jws_key_id(key));
	good = forge(pem, header, "{\"a\":1}");
	CU_ASSERT_EQUAL(fleet_jws_verify(&key, 1, good, strlen(good), &got, NULL), 0); /* the forge works */
	for (size_t i = 0; i < FLEET_ARRAY_LEN(bad); i++) {
		_cleanup_free_ char *text = NULL, *jws = NULL;
		const char *at = strstr(bad[i], "%s");
		struct json_object *none = NULL;

		text = xasprintf("%.*s%s%s", (int)(at - bad[i]), bad[i], fleet_jws_key_id(key), at + 2);
		jws = forge(pem, text, "{\"a\":1}");
		CU_ASSERT_EQUAL(fleet_jws_verify(&key, 1, jws, strlen(jws), &none, NULL), -EBADMSG);
		CU_ASSERT_PTR_NULL(none);
	}
}

static void test_payloads_that_are_no_objects(void)
{
	static const char *const bad[] = {"", "[]", "1", "null", "{", "{}{}", "\xFF"};
	_cleanup_(fleet_jws_key_freep) struct fleet_jws_key *key = fleet_jws_key_new();
	_cleanup_free_ char *pem = NULL, *header = NULL;

	CU_ASSERT_EQUAL_FATAL(fleet_jws_key_to_pem(key, &pem, NULL), 0);
	header = xasprintf(
		"{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"typ\":\"fleet-command+jws\"}", fleet_jws_key_id(key));
	for (size_t i = 0; i < FLEET_ARRAY_LEN(bad); i++) {
		_cleanup_free_ char *jws = forge(pem, header, bad[i]);
		struct json_object *none = NULL;

		CU_ASSERT_EQUAL(fleet_jws_verify(&key, 1, jws, strlen(jws), &none, NULL), -EBADMSG);
		CU_ASSERT_EQUAL(fleet_jws_peek(jws, strlen(jws), &none, NULL), -EBADMSG);
		CU_ASSERT_PTR_NULL(none);
	}
}

static void test_too_large(void)
{
	_cleanup_(fleet_jws_key_freep) struct fleet_jws_key *key = fleet_jws_key_new();
	_cleanup_json_ struct json_object *o = json_object_new_object();
	_cleanup_free_ char *text = xcalloc(1, FLEET_COMMAND_JWS_MAX + 1);
	struct json_object *got = NULL;
	char *jws = NULL;

	memset(text, 'a', FLEET_COMMAND_JWS_MAX);
	fleet_json_add_string(o, "x", text);
	CU_ASSERT_EQUAL(fleet_jws_sign(key, o, &jws, NULL), -E2BIG);
	CU_ASSERT_PTR_NULL(jws);
	memset(text, '.', FLEET_COMMAND_JWS_MAX);
	CU_ASSERT_EQUAL(fleet_jws_verify(&key, 1, text, FLEET_COMMAND_JWS_MAX + 1, &got, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(fleet_jws_verify(&key, 1, text, FLEET_COMMAND_JWS_MAX, &got, NULL), -EBADMSG);
}

static void test_pem_round_trip(void)
{
	_cleanup_(fleet_jws_key_freep) struct fleet_jws_key *key = fleet_jws_key_new(), *back = NULL;
	_cleanup_free_ char *pem = NULL, *jws = NULL;
	_cleanup_json_ struct json_object *got = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL_FATAL(fleet_jws_key_to_pem(key, &pem, &err), 0);
	CU_ASSERT_TRUE(str_starts(pem, "-----BEGIN PRIVATE KEY-----\n"));
	CU_ASSERT_EQUAL_FATAL(fleet_jws_key_from_pem(pem, strlen(pem), &back, &err), 0);
	CU_ASSERT_STRING_EQUAL(fleet_jws_key_id(back), fleet_jws_key_id(key));
	jws = signed_by(back);
	CU_ASSERT_EQUAL(fleet_jws_verify(&key, 1, jws, strlen(jws), &got, &err), 0);
}

static void test_pem_refuses(void)
{
	static const char ec[] = "-----BEGIN PUBLIC KEY-----\n"
				 "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9\n"
				 "q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==\n"
				 "-----END PUBLIC KEY-----\n";
	static const char public[] = "-----BEGIN PUBLIC KEY-----\n"
				     "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
				     "-----END PUBLIC KEY-----\n";
	static const char encrypted[] =
		"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGb\n-----END ENCRYPTED PRIVATE KEY-----\n";
	_cleanup_json_ struct json_object *o = payload();
	struct fleet_jws_key *key = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	char *jws = NULL, *pem = NULL;

	CU_ASSERT_EQUAL(fleet_jws_key_from_pem("", 0, &key, &err), -EBADMSG);
	CU_ASSERT_EQUAL(fleet_jws_key_from_pem("junk", 4, &key, &err), -EBADMSG);
	CU_ASSERT_EQUAL(fleet_jws_key_from_pem(encrypted, strlen(encrypted), &key, &err), -EBADMSG);
	CU_ASSERT_EQUAL(fleet_jws_key_from_pem(ec, strlen(ec), &key, &err), -EBADMSG);
	CU_ASSERT_PTR_NULL(key);
	/* a public key is read, but neither signs nor is written as a private one */
	CU_ASSERT_EQUAL_FATAL(fleet_jws_key_from_pem(public, strlen(public), &key, &err), 0);
	CU_ASSERT_STRING_EQUAL(fleet_jws_key_id(key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
	CU_ASSERT_EQUAL(fleet_jws_sign(key, o, &jws, &err), -EINVAL);
	CU_ASSERT_EQUAL(fleet_jws_key_to_pem(key, &pem, &err), -EINVAL);
	fleet_jws_key_free(key);
}

static void test_jwk_refuses(void)
{
	static const char *const bad[] = {"{}", "[]", "{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}",
		"{\"kty\":\"RSA\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
		"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
		"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUR\"}",
		"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo="
		"\"}",
		"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\","
		"\"kid\":\"mine\"}",
		"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\","
		"\"use\":\"enc\"}",
		"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\","
		"\"alg\":\"none\"}",
		"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\","
		"\"d\":\"x\"}"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(bad); i++) {
		_cleanup_json_ struct json_object *jwk = json_tokener_parse(bad[i]);
		struct fleet_jws_key *key = NULL;

		CU_ASSERT_EQUAL(fleet_jws_key_from_jwk(jwk, &key, NULL), -EBADMSG);
		CU_ASSERT_PTR_NULL(key);
	}
	fleet_jws_key_free(NULL);
}

static const struct unit_test tests[] = {UNIT_TEST(test_sign_and_verify), UNIT_TEST(test_rfc8037_key),
	UNIT_TEST(test_every_byte_flipped_is_refused), UNIT_TEST(test_every_truncation_is_refused),
	UNIT_TEST(test_foreign_keys), UNIT_TEST(test_headers_are_strict),
	UNIT_TEST(test_payloads_that_are_no_objects), UNIT_TEST(test_too_large),
	UNIT_TEST(test_pem_round_trip), UNIT_TEST(test_pem_refuses), UNIT_TEST(test_jwk_refuses), {0}};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"jws", tests}, {0}});
}
