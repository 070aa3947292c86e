/* The client's half: whom it trusts, whom it wants to see, and the session by which it comes back. */
#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include "fleet/limits.h"
#include "tls_internal.h"
#include "x509_internal.h"

struct fleet_tls_client {
	SSL_CTX *context; /* NULL: not read yet */
	char *ca_file, *ca_setting, *cert_file, *key_file;
	bool has_authority_key; /* then that is trusted, and no file */
	unsigned char authority_key[FLEET_SHA256_LEN];
	struct tls_stamp ca, cert, key;
	SSL_SESSION *session; /* NULL: none to resume */
	char *session_host;   /* whose it is */
	uint16_t session_port;
};

struct fleet_tls_client *fleet_tls_client_new(const struct fleet_tls_client_options *options)
{
	struct fleet_tls_client *client = xcalloc(1, sizeof(*client));

	client->ca_file = xstrdup(options->ca_file);
	client->ca_setting = xstrdup(options->ca_setting);
	client->cert_file = xstrdup(options->cert_file);
	client->key_file = xstrdup(options->key_file);
	client->has_authority_key = options->authority_key != NULL;
	if (options->authority_key)
		memcpy(client->authority_key, options->authority_key, sizeof(client->authority_key));
	return client;
}

static void forget_session(struct fleet_tls_client *client)
{
	SSL_SESSION_free(TAKE_PTR(client->session));
	free(TAKE_PTR(client->session_host));
}

void fleet_tls_client_free(struct fleet_tls_client *client)
{
	if (!client)
		return;
	forget_session(client);
	if (client->context)
		(void)SSL_CTX_set_app_data(
			client->context, NULL); /* connections live on; cannot fail any more */
	SSL_CTX_free(client->context);
	free(client->ca_file);
	free(client->ca_setting);
	free(client->cert_file);
	free(client->key_file);
	free(client);
}

/* OpenSSL spoils the session of a connection that ends without a TLS goodbye; a copy stays good. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct fleet_tls_client *client = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const struct tls_conn *conn = tls_conn_of(ssl);

	if (client && conn && SSL_SESSION_is_resumable(session)) {
		forget_session(client);
		client->session = SSL_SESSION_dup(session);
		client->session_host = xstrdup(conn->host);
		client->session_port = conn->port;
	}
	return 0; /* theirs */
}

static int on_verify(int good, X509_STORE_CTX *store)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_conn *conn = ssl ? tls_conn_of(ssl) : NULL;

	if (!good && conn && !conn->refused)
		conn->refused = tls_refusal(store, conn);
	return good;
}

/* The one with the key that we know, among those that the server shows; borrowed. */
static X509 *find_authority(STACK_OF(X509) * chain, const unsigned char key[FLEET_SHA256_LEN])
{
	for (int i = 0; i < sk_X509_num(chain); i++) {
		X509 *certificate = sk_X509_value(chain, i);
		unsigned char digest[FLEET_SHA256_LEN];

		if (x509_digest_of_key(X509_get_X509_PUBKEY(certificate), digest, NULL) >= 0 &&
			memcmp(digest, key, sizeof(digest)) == 0)
			return certificate;
	}
	return NULL;
}

/* Nobody but the one with that key may have vouched for the server; names and dates count as ever. */
static int verify_by_key(X509_STORE_CTX *store, void *arg)
{
	const struct fleet_tls_client *client = arg;
	const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_conn *conn = ssl ? tls_conn_of(ssl) : NULL;
	X509 *authority = find_authority(X509_STORE_CTX_get0_untrusted(store), client->authority_key);
	STACK_OF(X509) *trusted = sk_X509_new_null();
	int good = 0;

	if (authority && trusted && sk_X509_push(trusted, authority) > 0) {
		X509_STORE_CTX_set0_trusted_stack(store, trusted);
		X509_STORE_CTX_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
		good = X509_verify_cert(store) == 1;
	} else {
		X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
		if (conn && !conn->refused)
			conn->refused = xasprintf("who answers as %s is not the console that made the join "
						  "token, or that has got "
						  "another authority since: nothing was said to it",
				conn->host);
	}
	sk_X509_free(trusted); /* what the chain holds of it has references of its own */
	return good;
}

static int load(struct fleet_tls_client *client, SSL_CTX *context, struct fleet_error *err)
{
	int r = 0;

	if (client->has_authority_key)
		SSL_CTX_set_cert_verify_callback(context, verify_by_key, client);
	else
		r = tls_load_authorities(context, client->ca_file, err);
	if (r >= 0 && client->cert_file)
		r = tls_load_identity(context, client->cert_file, client->key_file, err);
	return r;
}

int fleet_tls_client_ready(struct fleet_tls_client *client, struct fleet_error *err)
{
	const struct tls_stamp ca = tls_stamp_of(client->ca_file), cert = tls_stamp_of(client->cert_file),
			       key = tls_stamp_of(client->key_file);
	SSL_CTX *context = NULL;
	int r;

	if (client->context && tls_stamp_equal(&ca, &client->ca) && tls_stamp_equal(&cert, &client->cert) &&
		tls_stamp_equal(&key, &client->key))
		return 0;
	r = tls_context_new(TLS_client_method(), &context, err);
	if (r >= 0)
		r = load(client, context, err);
	if (r < 0) {
		SSL_CTX_free(context);
		return r;
	}
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_verify);
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context, on_session);
	if (SSL_CTX_set_app_data(context, client) != 1)
		abort(); /* out of memory, as in xmalloc */
	if (client->context)
		(void)SSL_CTX_set_app_data(
			client->context, NULL); /* connections of before leave no session here */
	SSL_CTX_free(client->context);
	forget_session(client); /* it stands for a certificate that others had vouched for */
	client->context = context;
	client->ca = ca;
	client->cert = cert;
	client->key = key;
	return 0;
}

static int expect_host(SSL *ssl, const char *host)
{
	struct in6_addr address;

	if (inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

struct bufferevent *fleet_tls_connect(
	struct fleet_tls_client *client, struct event_base *base, int fd, const char *host, uint16_t port)
{
	SSL *ssl = SSL_new(client->context);
	struct bufferevent *bev;
	struct tls_conn *conn;

	if (!ssl || expect_host(ssl, host) != 1)
		abort(); /* out of memory, as in xmalloc */
	conn = tls_conn_new(ssl);
	conn->host = xstrdup(host);
	conn->port = port;
	conn->ca_file = client->ca_file;
	conn->ca_setting = client->ca_setting;
	if (client->session && client->session_port == port && strcasecmp(client->session_host, host) == 0)
		(void)SSL_set_session(ssl, client->session); /* else it is a handshake like the first */
	bev = bufferevent_openssl_socket_new(
		base, fd, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
	if (!bev)
		abort(); /* likewise */
	bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	return bev;
}
