#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include "fleet/encode.h"
#include "fleet/jws.h"
#include "fleet/limits.h"

#define KEY_LEN       32
#define SIGNATURE_LEN 64
#define HEADER_MAX    1024 /* decoded; ours has some 90 bytes */
#define TYP           "fleet-command+jws"

struct fleet_jws_key {
	EVP_PKEY *pkey; /* owned */
	bool is_private;
	unsigned char public_bytes[KEY_LEN];
	char id[FLEET_KID_LEN + 1];
};

static void bio_freep(BIO **bio)
{
	BIO_free(*bio);
}
static void pkey_freep(EVP_PKEY **pkey)
{
	EVP_PKEY_free(*pkey);
}
static void md_freep(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
}

/* RFC 7638: SHA-256 over the required members in order. */
static void thumbprint(const unsigned char public_bytes[KEY_LEN], char ret_id[FLEET_KID_LEN + 1])
{
	_cleanup_free_ char *x = fleet_base64url_encode(public_bytes, KEY_LEN);
	_cleanup_free_ char *text = xasprintf("{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}", x);
	_cleanup_free_ char *id = NULL;
	unsigned char digest[FLEET_SHA256_LEN];

	fleet_sha256(text, strlen(text), digest);
	id = fleet_base64url_encode(digest, sizeof(digest));
	memcpy(ret_id, id, FLEET_KID_LEN + 1);
}

/* takes pkey; NULL where it is no Ed25519 key. */
static struct fleet_jws_key *key_from_pkey(EVP_PKEY *takes_pkey, bool is_private)
{
	_cleanup_(pkey_freep) EVP_PKEY *pkey = takes_pkey;
	unsigned char public_bytes[KEY_LEN];
	size_t len = sizeof(public_bytes);
	struct fleet_jws_key *key;

	if (!pkey || EVP_PKEY_get_id(pkey) != EVP_PKEY_ED25519 ||
		EVP_PKEY_get_raw_public_key(pkey, public_bytes, &len) != 1 || len != KEY_LEN)
		return NULL;
	key = xcalloc(1, sizeof(*key));
	key->pkey = TAKE_PTR(pkey);
	key->is_private = is_private;
	memcpy(key->public_bytes, public_bytes, KEY_LEN);
	thumbprint(public_bytes, key->id);
	return key;
}

struct fleet_jws_key *fleet_jws_key_new(void)
{
	struct fleet_jws_key *key = key_from_pkey(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), true);

	if (!key) {
		fprintf(stderr, "libcrypto cannot make an Ed25519 key\n");
		abort();
	}
	return key;
}

void fleet_jws_key_free(struct fleet_jws_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey);
	free(key);
}

int fleet_jws_key_to_pem(const struct fleet_jws_key *key, char **ret_pem, struct fleet_error *err)
{
	_cleanup_(bio_freep) BIO *bio = BIO_new(BIO_s_mem());
	char *data = NULL;
	long len;

	if (!key->is_private)
		return fleet_error_set(
			err, -EINVAL, "key %s is a public one: there is no private key to write", key->id);
	if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) != 1)
		return fleet_error_set(err, -EIO, "libcrypto cannot write key %s as PEM", key->id);
	len = BIO_get_mem_data(bio, &data);
	*ret_pem = xstrndup(data, (size_t)len);
	OPENSSL_cleanse(data, (size_t)len);
	return 0;
}

/* Instead of OpenSSL's own, which would ask on the terminal. */
static int no_password(char *buffer, int size, int writing, void *arg)
{
	(void)buffer;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

int fleet_jws_key_from_pem(const char *pem, size_t len, struct fleet_jws_key **ret, struct fleet_error *err)
{
	_cleanup_(bio_freep) BIO *bio = len <= INT32_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
	struct fleet_jws_key *key;
	EVP_PKEY *pkey;
	bool is_private = true;

	if (!bio)
		return fleet_error_set(err, -EBADMSG, "cannot read a key from PEM");
	pkey = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	if (!pkey) {
		(void)BIO_reset(bio); /* a memory buffer always goes back to its start */
		pkey = PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL);
		is_private = false;
	}
	if (!pkey)
		return fleet_error_set(err, -EBADMSG,
			"not a key in PEM: expected an unencrypted PKCS#8 private key or a public key");
	key = key_from_pkey(pkey, is_private);
	if (!key)
		return fleet_error_set(err, -EBADMSG, "the PEM holds a key, but not an Ed25519 one");
	*ret = key;
	return 0;
}

struct json_object *fleet_jws_key_to_jwk(const struct fleet_jws_key *key)
{
	_cleanup_free_ char *x = fleet_base64url_encode(key->public_bytes, KEY_LEN);
	struct json_object *jwk = json_object_new_object();

	fleet_json_add_string(jwk, "kty", "OKP");
	fleet_json_add_string(jwk, "crv", "Ed25519");
	fleet_json_add_string(jwk, "x", x);
	fleet_json_add_string(jwk, "kid", key->id);
	fleet_json_add_string(jwk, "use", "sig");
	fleet_json_add_string(jwk, "alg", "EdDSA");
	return jwk;
}

/* Says of an optional member whether it is absent or exactly this. */
static bool absent_or(struct json_object *obj, const char *key, const char *value)
{
	return !json_object_object_get_ex(obj, key, NULL) || str_equal(fleet_json_string(obj, key), value);
}

int fleet_jws_key_from_jwk(struct json_object *jwk, struct fleet_jws_key **ret, struct fleet_error *err)
{
	_cleanup_(fleet_jws_key_freep) struct fleet_jws_key *key = NULL;
	_cleanup_free_ unsigned char *bytes = NULL;
	const char *x = fleet_json_string(jwk, "x");
	size_t len = 0;

	if (!str_equal(fleet_json_string(jwk, "kty"), "OKP") ||
		!str_equal(fleet_json_string(jwk, "crv"), "Ed25519") || !absent_or(jwk, "alg", "EdDSA") ||
		!absent_or(jwk, "use", "sig"))
		return fleet_error_set(err, -EBADMSG, "not an Ed25519 signature key in JWK form");
	if (json_object_object_get_ex(jwk, "d", NULL))
		return fleet_error_set(err, -EBADMSG, "the JWK holds a private key, which must not travel");
	if (!x || fleet_base64url_decode(x, strlen(x), &bytes, &len) < 0 || len != KEY_LEN)
		return fleet_error_set(err, -EBADMSG, "the JWK's x is not the base64url of 32 bytes");
	key = key_from_pkey(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, bytes, len), false);
	if (!key)
		return fleet_error_set(err, -EBADMSG, "the JWK's x is no Ed25519 key");
	if (!absent_or(jwk, "kid", key->id))
		return fleet_error_set(
			err, -EBADMSG, "the JWK's kid is not its thumbprint, which is %s", key->id);
	*ret = TAKE_PTR(key);
	return 0;
}

const char *fleet_jws_key_id(const struct fleet_jws_key *key)
{
	return key->id;
}

int fleet_jws_sign(
	const struct fleet_jws_key *key, struct json_object *payload, char **ret_jws, struct fleet_error *err)
{
	_cleanup_(md_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	_cleanup_free_ char *header = NULL, *header64 = NULL, *body = NULL, *body64 = NULL,
			    *signed_text = NULL;
	_cleanup_free_ char *signature64 = NULL, *jws = NULL;
	unsigned char signature[SIGNATURE_LEN];
	size_t len = 0, signature_len = sizeof(signature);

	if (!key->is_private)
		return fleet_error_set(err, -EINVAL, "cannot sign with key %s: it is a public one", key->id);
	header = xasprintf("{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"typ\":\"" TYP "\"}", key->id);
	header64 = fleet_base64url_encode(header, strlen(header));
	body = fleet_json_canonical(payload, &len);
	body64 = fleet_base64url_encode(body, len);
	signed_text = xasprintf("%s.%s", header64, body64);
	if (!ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->pkey) != 1 ||
		EVP_DigestSign(ctx, signature, &signature_len, (const unsigned char *)signed_text,
			strlen(signed_text)) != 1 ||
		signature_len != SIGNATURE_LEN)
		return fleet_error_set(err, -EIO, "libcrypto cannot sign with key %s", key->id);
	signature64 = fleet_base64url_encode(signature, signature_len);
	jws = xasprintf("%s.%s", signed_text, signature64);
	if (strlen(jws) > FLEET_COMMAND_JWS_MAX)
		return fleet_error_set(err, -E2BIG,
			"the signed command has %zu bytes, at most %u are allowed", strlen(jws),
			FLEET_COMMAND_JWS_MAX);
	*ret_jws = TAKE_PTR(jws);
	return 0;
}

/* The three parts, borrowed from the text. */
struct parts {
	const char *header, *payload, *signature;
	size_t header_len, payload_len, signature_len;
};

static int split(const char *jws, size_t len, struct parts *ret, struct fleet_error *err)
{
	const char *first, *second;

	if (len > FLEET_COMMAND_JWS_MAX)
		return fleet_error_set(err, -EBADMSG,
			"the signed command has %zu bytes, at most %u are allowed", len,
			FLEET_COMMAND_JWS_MAX);
	first = memchr(jws, '.', len);
	second = first ? memchr(first + 1, '.', len - (size_t)(first + 1 - jws)) : NULL;
	if (!second || memchr(second + 1, '.', len - (size_t)(second + 1 - jws)))
		return fleet_error_set(err, -EBADMSG, "not a signed command: it has not three parts");
	*ret = (struct parts){
		.header = jws,
		.header_len = (size_t)(first - jws),
		.payload = first + 1,
		.payload_len = (size_t)(second - first - 1),
		.signature = second + 1,
		.signature_len = len - (size_t)(second + 1 - jws),
	};
	return 0;
}

static int decode_object(const char *text, size_t len, size_t max, const char *what, struct json_object **ret,
	struct fleet_error *err)
{
	_cleanup_json_ struct json_object *object = NULL;
	_cleanup_free_ unsigned char *data = NULL;
	size_t data_len = 0;
	int r;

	if (fleet_base64url_decode(text, len, &data, &data_len) < 0)
		return fleet_error_set(err, -EBADMSG, "the signed command's %s is not base64url", what);
	r = fleet_json_parse((const char *)data, data_len, max, &object, err);
	if (r < 0) {
		fleet_error_wrap(err, "the signed command's %s", what);
		if (err)
			err->code = -EBADMSG;
		return -EBADMSG;
	}
	if (!json_object_is_type(object, json_type_object))
		return fleet_error_set(err, -EBADMSG, "the signed command's %s is not a JSON object", what);
	*ret = TAKE_PTR(object);
	return 0;
}

/* Exactly the three members that we write: what could change a signature's meaning (crit, b64, jwk, another
 * alg) has no place. */
static int read_header(const struct parts *parts, char ret_kid[FLEET_KID_LEN + 1], struct fleet_error *err)
{
	_cleanup_json_ struct json_object *header = NULL;
	const char *kid;
	int r = decode_object(parts->header, parts->header_len, HEADER_MAX, "header", &header, err);

	if (r < 0)
		return r;
	if (!str_equal(fleet_json_string(header, "alg"), "EdDSA"))
		return fleet_error_set(err, -EBADMSG, "the signed command's alg is not EdDSA");
	if (!str_equal(fleet_json_string(header, "typ"), TYP))
		return fleet_error_set(err, -EBADMSG, "the signed command's typ is not " TYP);
	kid = fleet_json_string(header, "kid");
	if (!kid || strlen(kid) != FLEET_KID_LEN)
		return fleet_error_set(err, -EBADMSG, "the signed command does not name its key");
	if (json_object_object_length(header) != 3)
		return fleet_error_set(
			err, -EBADMSG, "the signed command's header has members beside alg, kid and typ");
	memcpy(ret_kid, kid, FLEET_KID_LEN + 1);
	return 0;
}

static int verify_bytes(const struct fleet_jws_key *key, const struct parts *parts, struct fleet_error *err)
{
	_cleanup_(md_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	_cleanup_free_ unsigned char *signature = NULL;
	size_t len = 0;

	if (fleet_base64url_decode(parts->signature, parts->signature_len, &signature, &len) < 0 ||
		len != SIGNATURE_LEN)
		return fleet_error_set(
			err, -EBADMSG, "the signed command's signature is not the base64url of 64 bytes");
	if (!ctx || EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key->pkey) != 1)
		return fleet_error_set(err, -EIO, "libcrypto cannot verify with key %s", key->id);
	if (EVP_DigestVerify(ctx, signature, len, (const unsigned char *)parts->header,
		    parts->header_len + 1 + parts->payload_len) != 1)
		return fleet_error_set(
			err, -EKEYREJECTED, "the signature is not that of key %s over this command", key->id);
	return 0;
}

int fleet_jws_verify(struct fleet_jws_key *const keys[], size_t key_count, const char *jws, size_t len,
	struct json_object **ret_payload, struct fleet_error *err)
{
	const struct fleet_jws_key *key = NULL;
	char kid[FLEET_KID_LEN + 1];
	struct parts parts;
	int r = split(jws, len, &parts, err);

	if (r < 0)
		return r;
	r = read_header(&parts, kid, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < key_count && !key; i++) {
		if (str_equal(keys[i]->id, kid))
			key = keys[i];
	}
	if (!key)
		return fleet_error_set(err, -ENOKEY, "signed by key %s, which is not trusted here", kid);
	r = verify_bytes(key, &parts, err);
	if (r < 0)
		return r;
	return decode_object(
		parts.payload, parts.payload_len, FLEET_COMMAND_JWS_MAX, "payload", ret_payload, err);
}

int fleet_jws_peek(const char *jws, size_t len, struct json_object **ret_payload, struct fleet_error *err)
{
	struct parts parts;
	int r = split(jws, len, &parts, err);

	if (r < 0)
		return r;
	return decode_object(
		parts.payload, parts.payload_len, FLEET_COMMAND_JWS_MAX, "payload", ret_payload, err);
}
