/* What the files of TLS share among themselves, and their tests. Nobody else includes this.
 *
 * tls_files.c reads certificates, keys and authorities; tls_server.c and tls_client.c have the contexts and
 * their connections; tls_explain.c the sentences; tls_conn.c what hangs on a
 * connection; tls_socket.c what carries one that was taken over; tls_peer.c what clients show. */
#ifndef FLEET_TLS_INTERNAL_H
#define FLEET_TLS_INTERNAL_H
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/ssl.h>
#include <sys/stat.h>
#include "fleet/tls.h"

/* Which file it was; all zero: none. */
struct tls_stamp {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified, changed;
};
struct tls_stamp tls_stamp_of(const char *path);
bool tls_stamp_equal(const struct tls_stamp *a, const struct tls_stamp *b);

/* What hangs on an SSL and goes with it. */
struct tls_conn {
	struct event *deadline; /* NULL: settled */
	char *host;             /* owned; a client's: who the server has to be */
	uint16_t port;
	const char *ca_setting; /* borrowed from the client; */
	const char *ca_file;    /* likewise. Read while the handshake goes on */
	char *refused;          /* owned; why the server's certificate was not taken */
	int client_error;       /* X509_V_ERR_ of what a client has shown */
};
/* Makes it; it is freed with ssl. */
struct tls_conn *tls_conn_new(SSL *ssl);
struct tls_conn *tls_conn_of(const SSL *ssl); /* NULL: none */

/* A context with what both sides want. *ret owned. */
int tls_context_new(const SSL_METHOD *method, SSL_CTX **ret, struct fleet_error *err) FLEET_MUST_CHECK;
int tls_load_identity(SSL_CTX *context, const char *cert_file, const char *key_file,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* NULL: the system's authorities. */
int tls_load_authorities(SSL_CTX *context, const char *ca_file, struct fleet_error *err) FLEET_MUST_CHECK;
/* tls_peer.c: has clients asked for certificates of these authorities. */
int tls_ask_clients(SSL_CTX *context, const char *ca_file, struct fleet_error *err) FLEET_MUST_CHECK;
/* OpenSSL's oldest error as a word for people, and the queue emptied. */
const char *tls_error_text(char *out, size_t len);

/* Why `store` does not take a certificate; owned. */
char *tls_refusal(X509_STORE_CTX *store, const struct tls_conn *conn);

/* A BIO over a socket that it closes when it goes, and whose descriptor nobody else sees. */
BIO *tls_socket_new(int takes_fd);

#endif
