/* A small private authority's work: keys, requests, certificates (X.509), all as PEM texts. EC P-256 with
 * SHA-256, which every peer of TLS 1.2 and 1.3 takes. Of a request only its key counts: who the certificate
 * is for, the authority says. Pure but for random numbers; any thread. */
#ifndef FLEET_X509_H
#define FLEET_X509_H
#include "fleet/encode.h"
#include "fleet/error.h"
#include "fleet/limits.h"

/* Whose certificate it is, as a name in it (SAN URI): fleet:agent:ID. */
#define FLEET_X509_AGENT   "fleet:agent:"
#define FLEET_X509_URI_MAX (sizeof(FLEET_X509_AGENT) - 1 + FLEET_ID_MAX)

/* A fresh private key, PKCS#8, unencrypted; owned, to be erased (fleet_x509_forget) when it is not needed
 * any more. */
int fleet_x509_key_new(char **ret_pem, struct fleet_error *err) FLEET_MUST_CHECK;
/* Erases and frees; accepts what points at NULL. For _cleanup_. */
void fleet_x509_forget(char **pem);

/* A self-signed certificate that may sign others, but no further authorities. *ret_pem owned, as below. */
int fleet_x509_authority_new(const char *key_pem, const char *name, int64_t life_s, char **ret_pem,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* PKCS#10. */
int fleet_x509_request_new(
	const char *key_pem, const char *name, char **ret_pem, struct fleet_error *err) FLEET_MUST_CHECK;

struct fleet_x509_wish {
	const char *name;         /* the subject's CN */
	const char *uri;          /* for a client that has this name; NULL: */
	const char *const *hosts; /* for a server of these names and addresses, NULL-terminated */
	int64_t life_s;           /* from now on; it holds since FLEET_CERTIFICATE_SKEW_S ago */
};
/* -EBADMSG for a request that is none, that was not made with its own key, or whose key is too weak. */
int fleet_x509_issue(const char *ca_key_pem, const char *ca_pem, const char *request_pem,
	const struct fleet_x509_wish *wish, char **ret_pem, struct fleet_error *err) FLEET_MUST_CHECK;

struct fleet_x509_facts {
	unsigned char fingerprint[FLEET_SHA256_LEN]; /* of the certificate */
	unsigned char key[FLEET_SHA256_LEN];         /* of its public key, as SubjectPublicKeyInfo */
	int64_t begins_s, ends_s;                    /* since 1970 */
	char uri[FLEET_X509_URI_MAX + 1];            /* its only one; "": none, or several */
	char name[128];                              /* for a person */
	bool is_root;                                /* an authority that vouches for itself */
};
/* Of the first certificate in the text. -EBADMSG. */
int fleet_x509_facts(
	const char *pem, size_t len, struct fleet_x509_facts *ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* Of the last one: of a chain, who vouches for it. */
int fleet_x509_facts_of_last(
	const char *pem, size_t len, struct fleet_x509_facts *ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* That one alone, as PEM; owned. "" where there is none. */
char *fleet_x509_last(const char *pem, size_t len);
/* The digest of a request's, or of a private, key: what facts call `key`. -EBADMSG. */
int fleet_x509_request_key(const char *request_pem, unsigned char ret_digest[FLEET_SHA256_LEN],
	struct fleet_error *err) FLEET_MUST_CHECK;
int fleet_x509_key_digest(const char *key_pem, unsigned char ret_digest[FLEET_SHA256_LEN],
	struct fleet_error *err) FLEET_MUST_CHECK;
/* When a certificate is to be replaced: two thirds of its life are over. */
int64_t fleet_x509_renew_s(const struct fleet_x509_facts *facts);

#endif
