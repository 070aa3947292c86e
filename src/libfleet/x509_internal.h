/* What the files of x509 and tls share among themselves. Nobody else includes this. */
#ifndef FLEET_X509_INTERNAL_H
#define FLEET_X509_INTERNAL_H
#include <openssl/x509.h>
#include "fleet/x509.h"

static inline void x509_bio_freep(BIO **bio)
{
	BIO_free(*bio);
}
static inline void x509_key_freep(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}
static inline void x509_certificate_freep(X509 **certificate)
{
	X509_free(*certificate);
}
static inline void x509_request_freep(X509_REQ **request)
{
	X509_REQ_free(*request);
}

/* -EIO with OpenSSL's reason, and its queue emptied. */
int x509_failed(struct fleet_error *err, const char *what);
/* Instead of OpenSSL's own, which would ask on the terminal. */
int x509_no_password(char *out, int size, int writing, void *arg);
BIO *x509_text(const char *text, size_t len); /* owned; the text is borrowed */

/* Does a key say enough, and cost little enough to be asked of? Whoever comes may show one. */
bool x509_key_is_fit(EVP_PKEY *key);
/* *ret owned. -EBADMSG. */
int x509_read_key(const char *pem, EVP_PKEY **ret, struct fleet_error *err) FLEET_MUST_CHECK;
int x509_read_certificate(BIO *bio, X509 **ret, struct fleet_error *err) FLEET_MUST_CHECK;
int x509_read_request(const char *pem, X509_REQ **ret, struct fleet_error *err) FLEET_MUST_CHECK;

/* x509_facts.c. -EBADMSG for one that says what cannot be. */
int x509_facts_of(X509 *certificate, struct fleet_x509_facts *ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* The digest of a public key, as SubjectPublicKeyInfo. */
int x509_digest_of_key(X509_PUBKEY *key, unsigned char ret_digest[FLEET_SHA256_LEN],
	struct fleet_error *err) FLEET_MUST_CHECK;

#endif
