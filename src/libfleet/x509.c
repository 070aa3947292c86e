/* Keys, requests and certificates; x509_facts.c reads what is in them. */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include "x509_internal.h"

#define STRENGTH_MIN 112  /* bits: RSA of 2048, P-256 has 128 */
#define KEY_BITS_MAX 4096 /* RSA of 16384 costs us some 30 times as much, and whoever shows it nothing */
#define NAME_MAX_LEN 64   /* X.520's bound of a CN */
#define DAY_S        INT64_C(86400)

static void name_freep(X509_NAME **name)
{
	X509_NAME_free(*name);
}
static void names_freep(GENERAL_NAMES **names)
{
	GENERAL_NAMES_free(*names);
}

int x509_failed(struct fleet_error *err, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return fleet_error_set(err, -EIO, "%s: %s", what, reason ? reason : "libcrypto does not say why");
}

int x509_no_password(
	char *out FLEET_UNUSED, int size FLEET_UNUSED, int writing FLEET_UNUSED, void *arg FLEET_UNUSED)
{
	return -1;
}

BIO *x509_text(const char *text, size_t len)
{
	BIO *bio = len <= INT32_MAX ? BIO_new_mem_buf(text, (int)len) : NULL;

	if (!bio)
		abort(); /* out of memory, as in xmalloc */
	return bio;
}

static char *take_text(BIO *bio)
{
	char *data = NULL, *text;
	long len = BIO_get_mem_data(bio, &data);

	text = xstrndup(data, (size_t)len);
	OPENSSL_cleanse(data, (size_t)len); /* it may be a key */
	return text;
}

static BIO *new_text(void)
{
	BIO *bio = BIO_new(BIO_s_mem());

	if (!bio)
		abort(); /* likewise */
	return bio;
}

int x509_read_key(const char *pem, EVP_PKEY **ret, struct fleet_error *err)
{
	_cleanup_(x509_bio_freep) BIO *bio = x509_text(pem, strlen(pem));
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, x509_no_password, NULL);

	ERR_clear_error();
	if (!key)
		return fleet_error_set(err, -EBADMSG, "not a private key in PEM form without a passphrase");
	*ret = key;
	return 0;
}

int x509_read_certificate(BIO *bio, X509 **ret, struct fleet_error *err)
{
	X509 *certificate = PEM_read_bio_X509(bio, NULL, x509_no_password, NULL);

	ERR_clear_error();
	if (!certificate)
		return fleet_error_set(err, -EBADMSG, "not a certificate in PEM form");
	*ret = certificate;
	return 0;
}

bool x509_key_is_fit(EVP_PKEY *key)
{
	static const int kinds[] = {EVP_PKEY_EC, EVP_PKEY_ED25519, EVP_PKEY_RSA};

	if (!key || EVP_PKEY_get_security_bits(key) < STRENGTH_MIN || EVP_PKEY_get_bits(key) > KEY_BITS_MAX)
		return false;
	for (size_t i = 0; i < FLEET_ARRAY_LEN(kinds); i++) {
		if (EVP_PKEY_get_base_id(key) == kinds[i])
			return true;
	}
	return false;
}

/* Signed with its own key, and that is one to rely on. */
int x509_read_request(const char *pem, X509_REQ **ret, struct fleet_error *err)
{
	_cleanup_(x509_bio_freep) BIO *bio = x509_text(pem, strlen(pem));
	_cleanup_(x509_request_freep) X509_REQ *request =
		PEM_read_bio_X509_REQ(bio, NULL, x509_no_password, NULL);
	EVP_PKEY *key = request ? X509_REQ_get0_pubkey(request) : NULL;
	int good;

	ERR_clear_error();
	if (!request || !key)
		return fleet_error_set(err, -EBADMSG, "not a certificate request in PEM form");
	if (!x509_key_is_fit(key))
		return fleet_error_set(err, -EBADMSG,
			"the key of the certificate request is too weak, or of another kind than EC, Ed25519 "
			"and RSA up to %d bits",
			KEY_BITS_MAX);
	good = X509_REQ_verify(request, key);
	ERR_clear_error();
	if (good != 1)
		return fleet_error_set(
			err, -EBADMSG, "the certificate request was not made with the key that is in it");
	*ret = TAKE_PTR(request);
	return 0;
}

int fleet_x509_key_new(char **ret_pem, struct fleet_error *err)
{
	_cleanup_(x509_key_freep) EVP_PKEY *key = EVP_EC_gen("P-256");
	_cleanup_(x509_bio_freep) BIO *bio = new_text();

	if (!key || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		return x509_failed(err, "cannot make a key");
	*ret_pem = take_text(bio);
	return 0;
}

void fleet_x509_forget(char **pem)
{
	if (*pem)
		explicit_bzero(*pem, strlen(*pem));
	free(TAKE_PTR(*pem));
}

static X509_NAME *make_name(const char *text)
{
	X509_NAME *name = X509_NAME_new();
	const int len = (int)strnlen(text, NAME_MAX_LEN); /* cut is fine: nobody goes by it */

	if (name && X509_NAME_add_entry_by_txt(
			    name, "CN", MBSTRING_UTF8, (const unsigned char *)text, len, -1, 0) == 1)
		return name;
	X509_NAME_free(name);
	return NULL;
}

int fleet_x509_request_new(const char *key_pem, const char *name, char **ret_pem, struct fleet_error *err)
{
	_cleanup_(x509_key_freep) EVP_PKEY *key = NULL;
	_cleanup_(x509_request_freep) X509_REQ *request = X509_REQ_new();
	_cleanup_(name_freep) X509_NAME *subject = make_name(name);
	_cleanup_(x509_bio_freep) BIO *bio = new_text();
	int r = x509_read_key(key_pem, &key, err);

	if (r < 0)
		return r;
	if (!request || !subject || X509_REQ_set_subject_name(request, subject) != 1 ||
		X509_REQ_set_pubkey(request, key) != 1 || X509_REQ_sign(request, key, EVP_sha256()) <= 0 ||
		PEM_write_bio_X509_REQ(bio, request) != 1)
		return x509_failed(err, "cannot make a certificate request");
	*ret_pem = take_text(bio);
	return 0;
}

/* --- certificates ------------------------------------------------------------------------------------ */

static bool add_name(GENERAL_NAMES *names, int type, const char *text)
{
	GENERAL_NAME *name = a2i_GENERAL_NAME(NULL, NULL, NULL, type, text, 0);

	if (name && sk_GENERAL_NAME_push(names, name) > 0)
		return true;
	GENERAL_NAME_free(name);
	return false;
}

static bool add_names(X509 *certificate, const struct fleet_x509_wish *wish)
{
	_cleanup_(names_freep) GENERAL_NAMES *names = GENERAL_NAMES_new();
	bool good = names != NULL;

	if (good && wish->uri)
		good = add_name(names, GEN_URI, wish->uri);
	for (size_t i = 0; good && wish->hosts && wish->hosts[i]; i++) {
		struct in6_addr address;
		bool numeric = inet_pton(AF_INET, wish->hosts[i], &address) == 1 ||
			       inet_pton(AF_INET6, wish->hosts[i], &address) == 1;

		good = add_name(names, numeric ? GEN_IPADD : GEN_DNS, wish->hosts[i]);
	}
	return good && X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0) == 1;
}

static bool add_extension(X509 *certificate, X509 *issuer, int what, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX context;
	bool good;

	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, what, value);
	good = extension && X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return good;
}

/* Version, number and dates; more than 64 random bits, so that nobody can foresee what will be signed. */
static bool begin(X509 *certificate, int64_t begins_s, int64_t ends_s)
{
	BIGNUM *number = BN_new();
	bool good = number && BN_rand(number, 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
		    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) &&
		    X509_set_version(certificate, X509_VERSION_3) == 1 &&
		    ASN1_TIME_set(X509_getm_notBefore(certificate), (time_t)begins_s) &&
		    ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)ends_s);

	BN_free(number);
	return good;
}

static int write_certificate(X509 *certificate, EVP_PKEY *signer, char **ret_pem, struct fleet_error *err)
{
	_cleanup_(x509_bio_freep) BIO *bio = new_text();
	/* Ed25519 brings its own digest. */
	const EVP_MD *digest = EVP_PKEY_get_id(signer) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();

	if (X509_sign(certificate, signer, digest) <= 0 || PEM_write_bio_X509(bio, certificate) != 1)
		return x509_failed(err, "cannot sign a certificate");
	*ret_pem = take_text(bio);
	return 0;
}

int fleet_x509_authority_new(
	const char *key_pem, const char *name, int64_t life_s, char **ret_pem, struct fleet_error *err)
{
	_cleanup_(x509_key_freep) EVP_PKEY *key = NULL;
	_cleanup_(x509_certificate_freep) X509 *certificate = X509_new();
	_cleanup_(name_freep) X509_NAME *subject = make_name(name);
	const int64_t now = (int64_t)time(NULL);
	int r = x509_read_key(key_pem, &key, err);

	if (r < 0)
		return r;
	if (!certificate || !subject || !begin(certificate, now - DAY_S, now + life_s) ||
		X509_set_subject_name(certificate, subject) != 1 ||
		X509_set_issuer_name(certificate, subject) != 1 || X509_set_pubkey(certificate, key) != 1 ||
		!add_extension(
			certificate, certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
		!add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign") ||
		!add_extension(certificate, certificate, NID_subject_key_identifier, "hash"))
		return x509_failed(err, "cannot make an authority's certificate");
	return write_certificate(certificate, key, ret_pem, err);
}

static bool fill(X509 *certificate, X509_REQ *request, X509 *ca, const struct fleet_x509_wish *wish)
{
	_cleanup_(name_freep) X509_NAME *subject = make_name(wish->name);
	const int64_t now = (int64_t)time(NULL);

	return subject && begin(certificate, now - FLEET_CERTIFICATE_SKEW_S, now + wish->life_s) &&
	       X509_set_subject_name(certificate, subject) == 1 &&
	       X509_set_issuer_name(certificate, X509_get_subject_name(ca)) == 1 &&
	       X509_set_pubkey(certificate, X509_REQ_get0_pubkey(request)) == 1 &&
	       add_extension(certificate, ca, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(certificate, ca, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(certificate, ca, NID_ext_key_usage, wish->uri ? "clientAuth" : "serverAuth") &&
	       add_extension(certificate, ca, NID_subject_key_identifier, "hash") &&
	       add_extension(certificate, ca, NID_authority_key_identifier, "keyid:always") &&
	       add_names(certificate, wish);
}

int fleet_x509_issue(const char *ca_key_pem, const char *ca_pem, const char *request_pem,
	const struct fleet_x509_wish *wish, char **ret_pem, struct fleet_error *err)
{
	_cleanup_(x509_key_freep) EVP_PKEY *key = NULL;
	_cleanup_(x509_bio_freep) BIO *bio = x509_text(ca_pem, strlen(ca_pem));
	_cleanup_(x509_certificate_freep) X509 *ca = NULL, *certificate = X509_new();
	_cleanup_(x509_request_freep) X509_REQ *request = NULL;
	int r = x509_read_request(request_pem, &request, err);

	if (r >= 0)
		r = x509_read_key(ca_key_pem, &key, err);
	if (r >= 0)
		r = x509_read_certificate(bio, &ca, err);
	if (r < 0)
		return r;
	if (X509_check_private_key(ca, key) != 1)
		return x509_failed(err, "the authority's key does not belong to its certificate");
	if (!certificate || !fill(certificate, request, ca, wish))
		return x509_failed(err, "cannot make a certificate");
	return write_certificate(certificate, key, ret_pem, err);
}
