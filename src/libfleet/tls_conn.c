/* What hangs on a connection of ours, for as long as OpenSSL keeps it. */
#include "tls_internal.h"

static int conn_index = -1; /* ex_data; one for the process */

static void conn_free(void *parent FLEET_UNUSED, void *pointer, CRYPTO_EX_DATA *data FLEET_UNUSED,
	int index FLEET_UNUSED, long number FLEET_UNUSED, void *arg FLEET_UNUSED)
{
	struct tls_conn *conn = pointer;

	if (!conn)
		return;
	if (conn->deadline)
		event_free(conn->deadline);
	free(conn->host);
	free(conn->refused);
	free(conn);
}

struct tls_conn *tls_conn_new(SSL *ssl)
{
	struct tls_conn *conn = xcalloc(1, sizeof(*conn));

	if (conn_index < 0)
		conn_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, conn_free);
	if (conn_index < 0 || SSL_set_ex_data(ssl, conn_index, conn) != 1)
		abort(); /* out of memory, as in xmalloc */
	return conn;
}

struct tls_conn *tls_conn_of(const SSL *ssl)
{
	return conn_index < 0 ? NULL : SSL_get_ex_data(ssl, conn_index);
}
