/* Certificates for tests, made on the spot with OpenSSL's API: an authority, and what it or nobody signs. */
#ifndef TEST_NET_CERTS_H
#define TEST_NET_CERTS_H
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include "fleet/base.h"

struct cert {
	EVP_PKEY *key;
	X509 *certificate;
};

static inline void cert_done(struct cert *c)
{
	EVP_PKEY_free(c->key);
	X509_free(c->certificate);
	*c = (struct cert){0};
}

static inline void cert_extend(X509 *certificate, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	if (!extension || X509_add_ext(certificate, extension, -1) != 1)
		abort();
	X509_EXTENSION_free(extension);
}

/* issuer NULL: signed by itself. alt_names: "DNS:localhost,IP:127.0.0.1"; NULL: an authority. Valid from and
 * until: seconds from now. */
static inline struct cert cert_new_of(EVP_PKEY *takes_key, const struct cert *issuer, const char *name,
	const char *alt_names, long from_s, long until_s)
{
	static long serial = 1000;
	struct cert c = {.key = takes_key, .certificate = X509_new()};
	X509_NAME *subject = X509_get_subject_name(c.certificate);

	if (!c.key || !X509_set_version(c.certificate, 2) ||
		!ASN1_INTEGER_set(X509_get_serialNumber(c.certificate), serial++) ||
		!X509_gmtime_adj(X509_getm_notBefore(c.certificate), from_s) ||
		!X509_gmtime_adj(X509_getm_notAfter(c.certificate), until_s) ||
		!X509_set_pubkey(c.certificate, c.key) ||
		!X509_NAME_add_entry_by_txt(
			subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) ||
		!X509_set_issuer_name(
			c.certificate, issuer ? X509_get_subject_name(issuer->certificate) : subject))
		abort();
	if (alt_names)
		cert_extend(c.certificate, NID_subject_alt_name, alt_names);
	else
		cert_extend(c.certificate, NID_basic_constraints, "critical,CA:TRUE");
	if (!X509_sign(c.certificate, issuer ? issuer->key : c.key, EVP_sha256()))
		abort();
	return c;
}

static inline struct cert cert_new(
	const struct cert *issuer, const char *name, const char *alt_names, long from_s, long until_s)
{
	return cert_new_of(EVP_EC_gen("P-256"), issuer, name, alt_names, from_s, until_s);
}

/* NULL: not wanted. passphrase NULL: none. */
static inline void cert_write(
	const struct cert *c, const char *cert_file, const char *key_file, const char *passphrase)
{
	FILE *f = cert_file ? fopen(cert_file, "we") : NULL;

	if (f && (!PEM_write_X509(f, c->certificate) || fclose(f) != 0))
		abort();
	f = key_file ? fopen(key_file, "we") : NULL;
	if (f && (!PEM_write_PrivateKey(f, c->key, passphrase ? EVP_aes_256_cbc() : NULL, NULL, 0, NULL,
			  (void *)(uintptr_t)passphrase) ||
			 fclose(f) != 0))
		abort();
}

#endif
