/* What is in certificates, requests and keys. */
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>
#include "x509_internal.h"

#define CHAIN_MAX 16

int x509_digest_of_key(X509_PUBKEY *key, unsigned char ret_digest[FLEET_SHA256_LEN], struct fleet_error *err)
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(key, &der);

	if (len <= 0)
		return x509_failed(err, "cannot read a public key");
	fleet_sha256(der, (size_t)len, ret_digest);
	OPENSSL_free(der);
	return 0;
}

static int seconds_of(const ASN1_TIME *when, int64_t *ret, struct fleet_error *err)
{
	struct tm tm = {0};

	if (ASN1_TIME_to_tm(when, &tm) != 1)
		return fleet_error_set(err, -EBADMSG, "the certificate has a date that is none");
	*ret = (int64_t)timegm(&tm);
	return 0;
}

/* A certificate of ours names one agent: of several names none counts. */
static void read_uri(X509 *certificate, char *out, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	int count = 0;

	out[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		const unsigned char *text;
		size_t len;

		if (name->type != GEN_URI)
			continue;
		text = ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
		len = (size_t)ASN1_STRING_length(name->d.uniformResourceIdentifier);
		out[0] = '\0';
		if (++count == 1 && len < size && !memchr(text, '\0', len)) {
			memcpy(out, text, len);
			out[len] = '\0';
		}
	}
	GENERAL_NAMES_free(names);
}

static void read_name(X509 *certificate, char *out, size_t size)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	unsigned char *text = NULL;

	(void)snprintf(out, size, "?");
	if (at < 0 ||
		ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))) < 0)
		return;
	(void)snprintf(out, size, "%s", (const char *)text); /* cut is fine */
	OPENSSL_free(text);
	fleet_text_sanitize(out);
}

int x509_facts_of(X509 *certificate, struct fleet_x509_facts *ret, struct fleet_error *err)
{
	struct fleet_x509_facts facts = {.begins_s = 0};
	unsigned len = sizeof(facts.fingerprint);
	int r;

	if (X509_digest(certificate, EVP_sha256(), facts.fingerprint, &len) != 1)
		return x509_failed(err, "cannot read a certificate");
	r = x509_digest_of_key(X509_get_X509_PUBKEY(certificate), facts.key, err);
	if (r >= 0)
		r = seconds_of(X509_get0_notBefore(certificate), &facts.begins_s, err);
	if (r >= 0)
		r = seconds_of(X509_get0_notAfter(certificate), &facts.ends_s, err);
	if (r < 0)
		return r;
	read_uri(certificate, facts.uri, sizeof(facts.uri));
	read_name(certificate, facts.name, sizeof(facts.name));
	facts.is_root = (X509_get_extension_flags(certificate) & EXFLAG_SS) && X509_check_ca(certificate) > 0;
	*ret = facts;
	return 0;
}

int fleet_x509_facts(const char *pem, size_t len, struct fleet_x509_facts *ret, struct fleet_error *err)
{
	_cleanup_(x509_bio_freep) BIO *bio = x509_text(pem, len);
	_cleanup_(x509_certificate_freep) X509 *certificate = NULL;
	int r = x509_read_certificate(bio, &certificate, err);

	return r < 0 ? r : x509_facts_of(certificate, ret, err);
}

int fleet_x509_facts_of_last(
	const char *pem, size_t len, struct fleet_x509_facts *ret, struct fleet_error *err)
{
	_cleanup_(x509_bio_freep) BIO *bio = x509_text(pem, len);
	int r, count = 0;

	do {
		_cleanup_(x509_certificate_freep) X509 *certificate = NULL;

		r = x509_read_certificate(bio, &certificate, count > 0 ? NULL : err);
		if (r < 0)
			return count > 0 ? 0 : r;
		r = x509_facts_of(certificate, ret, err);
	} while (r >= 0 && ++count < CHAIN_MAX);
	return r;
}

char *fleet_x509_last(const char *pem, size_t len)
{
	static const char begins[] = "-----BEGIN CERTIFICATE-----", ends[] = "-----END CERTIFICATE-----";
	const char *from = NULL, *to;
	_cleanup_free_ char *text = xstrndup(pem, len);

	for (const char *at = text; (at = strstr(at, begins)); at++)
		from = at;
	to = from ? strstr(from, ends) : NULL;
	return to ? xasprintf("%.*s\n", (int)(to - from) + (int)sizeof(ends) - 1, from) : xstrdup("");
}

int fleet_x509_request_key(
	const char *request_pem, unsigned char ret_digest[FLEET_SHA256_LEN], struct fleet_error *err)
{
	_cleanup_(x509_request_freep) X509_REQ *request = NULL;
	int r = x509_read_request(request_pem, &request, err);

	return r < 0 ? r : x509_digest_of_key(X509_REQ_get_X509_PUBKEY(request), ret_digest, err);
}

int fleet_x509_key_digest(
	const char *key_pem, unsigned char ret_digest[FLEET_SHA256_LEN], struct fleet_error *err)
{
	_cleanup_(x509_key_freep) EVP_PKEY *key = NULL;
	X509_PUBKEY *public_half = NULL;
	int r = x509_read_key(key_pem, &key, err);

	if (r < 0)
		return r;
	r = X509_PUBKEY_set(&public_half, key) == 1 ? x509_digest_of_key(public_half, ret_digest, err)
						    : x509_failed(err, "cannot read a key");
	X509_PUBKEY_free(public_half);
	return r;
}

int64_t fleet_x509_renew_s(const struct fleet_x509_facts *facts)
{
	return facts->ends_s - (facts->ends_s - facts->begins_s - FLEET_CERTIFICATE_SKEW_S) / 3;
}
