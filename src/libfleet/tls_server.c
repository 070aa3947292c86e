/* The server's half: a context that can be replaced while connections of the old one live on, and what is
 * done to those who connect. */
#include <sys/socket.h>
#include <time.h>
#include "fleet/limits.h"
#include "tls_internal.h"

struct fleet_tls_server {
	SSL_CTX *context;
	char *cert_file, *key_file, *client_ca_file; /* the last: NULL, clients are not asked */
	bool allow_1_2;
	struct tls_stamp cert, key, client_ca; /* what was read last, well or not */
	int64_t expires;
};

static int64_t expiry_of(const SSL_CTX *context)
{
	struct tm tm = {0};
	X509 *certificate = SSL_CTX_get0_certificate(context);

	return certificate && ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm) == 1
		       ? (int64_t)timegm(&tm)
		       : 0;
}

static int load(struct fleet_tls_server *server, struct fleet_error *err)
{
	static const unsigned char session_name[] = "fleet";
	SSL_CTX *context = NULL;
	int r = tls_context_new(TLS_server_method(), &context, err);

	if (r < 0)
		return r;
	r = tls_load_identity(context, server->cert_file, server->key_file, err);
	if (r >= 0 && server->client_ca_file)
		r = tls_ask_clients(context, server->client_ca_file, err);
	if (r < 0) {
		SSL_CTX_free(context);
		return r;
	}
	/* Tickets only, which cost the server no memory, and one of them: who resumes gets the next. None of
	 * these can fail for these values. */
	(void)SSL_CTX_set_min_proto_version(context, server->allow_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION);
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_session_id_context(context, session_name, sizeof(session_name) - 1);
	(void)SSL_CTX_set_num_tickets(context, 1);
	(void)SSL_CTX_set_timeout(context, FLEET_TLS_SESSION_S);
	(void)SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_free(server->context);
	server->context = context;
	server->expires = expiry_of(context);
	return 0;
}

int fleet_tls_server_new(const struct fleet_tls_server_options *options, struct fleet_tls_server **ret,
	struct fleet_error *err)
{
	_cleanup_(fleet_tls_server_freep) struct fleet_tls_server *server = xcalloc(1, sizeof(*server));
	int r;

	server->cert_file = xstrdup(options->cert_file);
	server->key_file = xstrdup(options->key_file);
	server->client_ca_file = xstrdup(options->client_ca_file);
	server->allow_1_2 = options->allow_1_2;
	r = fleet_tls_server_reload(server, false, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(server);
	return 0;
}

int fleet_tls_server_reload(struct fleet_tls_server *server, bool only_if_changed, struct fleet_error *err)
{
	/* Before reading: what changes in the meantime is seen the next time. */
	const struct tls_stamp cert = tls_stamp_of(server->cert_file), key = tls_stamp_of(server->key_file);
	const struct tls_stamp client_ca = tls_stamp_of(server->client_ca_file);
	int r;

	if (only_if_changed && tls_stamp_equal(&cert, &server->cert) && tls_stamp_equal(&key, &server->key) &&
		tls_stamp_equal(&client_ca, &server->client_ca))
		return 0;
	server->cert = cert;
	server->key = key;
	server->client_ca = client_ca;
	r = load(server, err);
	return r < 0 ? r : 1;
}

int64_t fleet_tls_server_expires(const struct fleet_tls_server *server)
{
	return server->expires;
}

void fleet_tls_server_free(struct fleet_tls_server *server)
{
	if (!server)
		return;
	SSL_CTX_free(server->context);
	free(server->cert_file);
	free(server->key_file);
	free(server->client_ca_file);
	free(server);
}

/* To evhttp it looks as if the client had left. */
static void on_deadline(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	const int socket = SSL_get_fd(arg);

	if (socket >= 0)
		(void)shutdown(socket, SHUT_RDWR); /* gone already is fine, too */
}

struct bufferevent *fleet_tls_accept(
	struct fleet_tls_server *server, struct event_base *base, const struct timeval *timeout)
{
	SSL *ssl = SSL_new(server->context);
	struct bufferevent *bev = ssl ? bufferevent_openssl_socket_new(base, -1, ssl,
						BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE)
				      : NULL;
	struct tls_conn *conn;

	if (!bev)
		abort(); /* out of memory, as in xmalloc */
	bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	conn = tls_conn_new(ssl);
	conn->deadline = evtimer_new(base, on_deadline, ssl);
	if (!conn->deadline || event_add(conn->deadline, timeout) < 0)
		abort(); /* likewise */
	return bev;
}

void fleet_tls_settled(struct bufferevent *bev)
{
	const SSL *ssl = bufferevent_openssl_get_ssl(bev);
	struct tls_conn *conn = ssl ? tls_conn_of(ssl) : NULL;

	if (conn && conn->deadline)
		event_free(TAKE_PTR(conn->deadline));
}

bool fleet_tls_is_on(const struct bufferevent *bev)
{
	return bufferevent_openssl_get_ssl((struct bufferevent *)bev) != NULL;
}

/* Whoever closes the descriptor, it is not this BIO. */
static void let_go_of_socket(SSL *ssl)
{
	BIO *bio = SSL_get_wbio(ssl);

	if (bio)
		(void)BIO_set_close(bio, BIO_NOCLOSE); /* returns nothing of use */
	SSL_set_bio(ssl, NULL, NULL);
}

struct bufferevent *fleet_tls_take_over(struct event_base *base, struct bufferevent *old, int fd)
{
	SSL *ssl = bufferevent_openssl_get_ssl(old);
	struct bufferevent *bev;
	BIO *bio;

	fleet_tls_settled(old);
	if (SSL_up_ref(ssl) != 1)
		abort(); /* only for a count that overflows */
	let_go_of_socket(ssl);
	bev = bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_OPEN, BEV_OPT_CLOSE_ON_FREE);
	if (!bev || bufferevent_setfd(bev, fd) < 0)
		abort(); /* out of memory, as in xmalloc */
	/* That made a BIO, of which old would learn the descriptor. */
	let_go_of_socket(ssl);
	bio = tls_socket_new(fd);
	SSL_set_bio(ssl, bio, bio);
	bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	return bev;
}
