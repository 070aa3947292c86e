/* Signed commands, and the keys that they come with. The input is taken as a signed text, as a key (PEM, JWK)
 * and as a payload: what we sign is verified, and no bit of it can be turned over. */
#include "fleet/jws.h"
#include "fleet/limits.h"
#include "fuzz.h"

static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
			  "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
			  "-----END PRIVATE KEY-----\n";

static void try_sign(struct fleet_jws_key *key, struct json_object *payload, size_t turn)
{
	_cleanup_json_ struct json_object *back = NULL, *none = NULL;
	_cleanup_free_ char *jws = NULL, *sent = NULL, *got = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	size_t len, sent_len, got_len;

	if (fleet_jws_sign(key, payload, &jws, &err) < 0)
		return;
	len = strlen(jws);
	FUZZ_CHECK(
		fleet_jws_verify(&key, 1, jws, len, &back, &err) == 0, "our own signature: %s", err.message);
	sent = fleet_json_canonical(payload, &sent_len);
	got = fleet_json_canonical(back, &got_len);
	FUZZ_CHECK(sent_len == got_len && memcmp(sent, got, got_len) == 0, "signed\n%s\nread\n%s", sent, got);
	jws[turn % len] = (char)(jws[turn % len] ^ (1 << (turn / len % 7)));
	FUZZ_CHECK(fleet_jws_verify(&key, 1, jws, len, &none, &err) < 0,
		"byte %zu was changed, and nobody saw it:\n%s", turn % len, jws);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fleet_jws_key *key; /* the same for all */
	_cleanup_(fleet_jws_key_freep) struct fleet_jws_key *from_pem = NULL, *from_jwk = NULL;
	_cleanup_json_ struct json_object *payload = NULL, *peeked = NULL, *json = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	_cleanup_free_ char *text = xmalloc(size + 1);
	int r;

	if (!key)
		FUZZ_CHECK(fleet_jws_key_from_pem(pem, strlen(pem), &key, &err) == 0, "%s", err.message);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	r = fleet_jws_verify(&key, 1, text, size, &payload, &err);
	FUZZ_CHECK(r == 0 || r == -EBADMSG || r == -ENOKEY || r == -EKEYREJECTED || r == -E2BIG, "%d: %s", r,
		err.message);
	if (fleet_jws_peek(text, size, &peeked, &err) < 0)
		FUZZ_CHECK(r < 0, "verified, but not to be peeked at");
	/* milliseconds of OpenSSL's for what is none, so only for what looks like it */
	if (str_starts(text, "-----BEGIN") && fleet_jws_key_from_pem(text, size, &from_pem, &err) == 0)
		FUZZ_CHECK(strlen(fleet_jws_key_id(from_pem)) == FLEET_KID_LEN, "a key without a name");
	if (fleet_json_parse(text, size, FLEET_MESSAGE_MAX, &json, &err) < 0 ||
		!json_object_is_type(json, json_type_object))
		return 0;
	if (fleet_jws_key_from_jwk(json, &from_jwk, &err) == 0) {
		_cleanup_json_ struct json_object *again = fleet_jws_key_to_jwk(from_jwk);

		FUZZ_CHECK(str_equal(fleet_json_string(again, "kid"), fleet_jws_key_id(from_jwk)),
			"another kid");
	}
	try_sign(key, json, size * 31 + data[size / 2]);
	return 0;
}
