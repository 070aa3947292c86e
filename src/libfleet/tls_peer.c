/* What clients show of themselves. Each is taken for the sake of a good answer, and since most who come have
 * no certificate and need none; the program asks, when it matters, what there is and whether it is good. */
#include <time.h>
#include "fleet/limits.h"
#include "tls_internal.h"
#include "x509_internal.h"

static int on_verify(int good, X509_STORE_CTX *store)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_conn *conn = ssl ? tls_conn_of(ssl) : NULL;

	if (!conn)
		return good;
	if (!good && conn->client_error == X509_V_OK)
		conn->client_error = X509_STORE_CTX_get_error(store);
	return 1;
}

/* Strangers, too, show what they like: a chain of great keys would hold the loop for long. The authority
 * signs agents' certificates itself, so that what stands between is not looked at, and a key that no agent
 * has ends the handshake before it is asked to prove anything. */
static int verify_alone(X509_STORE_CTX *store, void *arg FLEET_UNUSED)
{
	if (!x509_key_is_fit(X509_get0_pubkey(X509_STORE_CTX_get0_cert(store)))) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
		return 0;
	}
	X509_STORE_CTX_set0_untrusted(store, NULL);
	return X509_verify_cert(store);
}

int tls_ask_clients(SSL_CTX *context, const char *ca_file, struct fleet_error *err)
{
	STACK_OF(X509_NAME) * names;
	int r = tls_load_authorities(context, ca_file, err);

	if (r < 0)
		return r;
	names = SSL_load_client_CA_file(ca_file);
	if (!names)
		return x509_failed(err, "the names of the authorities for clients cannot be read");
	SSL_CTX_set_client_CA_list(context, names); /* takes them */
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_verify);
	SSL_CTX_set_cert_verify_callback(context, verify_alone, NULL);
	SSL_CTX_set_max_cert_list(context, FLEET_CERTIFICATE_PEM_MAX);
	return 0;
}

static int bad_date(const char *how, int64_t when_s, struct fleet_error *err)
{
	const time_t when = (time_t)when_s;
	struct tm tm;
	char text[32];

	if (!gmtime_r(&when, &tm) || strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &tm) == 0)
		(void)snprintf(text, sizeof(text), "an unknown time");
	return fleet_error_set(err, -EKEYREJECTED, "its certificate %s %s", how, text);
}

int fleet_tls_client_of(struct bufferevent *bev, struct fleet_x509_facts *ret, struct fleet_error *err)
{
	SSL *ssl = bufferevent_openssl_get_ssl(bev);
	X509 *certificate = ssl && SSL_is_server(ssl) ? SSL_get0_peer_certificate(ssl) : NULL;
	const struct tls_conn *conn = ssl ? tls_conn_of(ssl) : NULL;
	struct fleet_x509_facts facts;
	const int64_t now_s = (int64_t)time(NULL);
	long result;

	if (!certificate)
		return 0;
	if (x509_facts_of(certificate, &facts, err) < 0)
		return fleet_error_set(err, -EKEYREJECTED, "its certificate cannot be read");
	if (facts.ends_s < now_s)
		return bad_date("expired on", facts.ends_s, err);
	if (facts.begins_s > now_s)
		return bad_date("is not valid before", facts.begins_s, err);
	result = SSL_get_verify_result(ssl); /* of a resumed session, too */
	if (result == X509_V_OK && conn)
		result = conn->client_error;
	switch (result) {
	case X509_V_OK:
		*ret = facts;
		return 1;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		return fleet_error_set(
			err, -EKEYREJECTED, "its certificate was not issued by this console's authority");
	default:
		return fleet_error_set(err, -EKEYREJECTED, "its certificate is not taken: %s",
			X509_verify_cert_error_string(result));
	}
}
