/* TLS, server and client, on OpenSSL 3 under libevent's bufferevents: contexts made from files, verification
 * of names and chains, sentences for what went wrong. Used by the HTTP server and the WebSocket endpoint,
 * which see bufferevents; programs make a context, have it read its files again, and hand it to them. Event
 * loop only.
 *
 * TLS 1.3; a server takes 1.2 by option, a client talks to servers of either (a proxy may be older than the
 * console behind it, and 1.3 notices a downgrade). Sessions are resumed, so that agents that come back
 * together cost no signatures; a context with new files resumes nothing of the old one's. Clients may show a
 * certificate, too: a server takes every client, and tells its program what a certificate is worth. */
#ifndef FLEET_TLS_H
#define FLEET_TLS_H
#include <event2/event.h>
#include "fleet/x509.h"

struct bufferevent;
struct fleet_tls_server;
struct fleet_tls_client;

struct fleet_tls_server_options {   /* copied */
	const char *cert_file;      /* PEM: the certificate, then what leads to its authority */
	const char *key_file;       /* PEM, without a passphrase */
	const char *client_ca_file; /* PEM: whose certificates clients are asked for; NULL: for none */
	bool allow_1_2;
};

/* -errno of a file, -EBADMSG for what is in it. *ret owned. */
int fleet_tls_server_new(const struct fleet_tls_server_options *options, struct fleet_tls_server **ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Reads the files again, where only_if_changed is false or they are others than those read last (by inode,
 * size and times). 1: new connections get what is there now; 0: nothing changed; negative: what was there
 * before is still used, and the same files are not complained of twice. */
int fleet_tls_server_reload(
	struct fleet_tls_server *server, bool only_if_changed, struct fleet_error *err) FLEET_MUST_CHECK;
/* Until when the certificate in use is valid, in seconds since 1970. */
int64_t fleet_tls_server_expires(const struct fleet_tls_server *server);
/* Accepts NULL. Connections live on. */
void fleet_tls_server_free(struct fleet_tls_server *server);
FLEET_DEFINE_CLEANUP(struct fleet_tls_server *, fleet_tls_server_free)

struct fleet_tls_client_options { /* copied */
	const char *ca_file;      /* PEM; trusted instead of the system's authorities. NULL: those */
	const char *ca_setting;   /* what a person sets to name that file: "FLEET_CA_FILE" */
	/* PEM: what is shown to a server that asks; may be one file. NULL: nothing */
	const char *cert_file, *key_file;
	/* Trusted instead of any file: whoever in the server's chain has a key of this digest (32 bytes);
	 * NULL: none
	 */
	const unsigned char *authority_key;
};
/* Nothing is read yet: the file may come later than its name. Owned. */
struct fleet_tls_client *fleet_tls_client_new(const struct fleet_tls_client_options *options);
/* To be called before each connection: reads the files where that has not been done, or where they have
 * changed since. */
int fleet_tls_client_ready(struct fleet_tls_client *client, struct fleet_error *err) FLEET_MUST_CHECK;
void fleet_tls_client_free(struct fleet_tls_client *client);

/* For http_server and ws; nobody else sees a bufferevent. All owned, none NULL (out of memory aborts). */

/* For a connection whose descriptor comes by bufferevent_setfd. It is cut when the handshake is not done and
 * fleet_tls_settled not called in time. */
struct bufferevent *fleet_tls_accept(
	struct fleet_tls_server *server, struct event_base *base, const struct timeval *timeout);
/* The peer has shown that it means it: it is not cut any more. */
void fleet_tls_settled(struct bufferevent *bev);
bool fleet_tls_is_on(const struct bufferevent *bev);
/* What the client of an accepted connection has shown: 1 a certificate that is good now (names of its own are
 * to be judged yet), 0 none, or it was not asked; -EKEYREJECTED one that is not, with what is wrong with it.
 * Asked anew each time: dates pass, and a resumed session shows what was shown once. */
int fleet_tls_client_of(
	struct bufferevent *bev, struct fleet_x509_facts *ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* Continues the connection of old, which gets no more bytes and is freed by its owner, on descriptor fd, a
 * duplicate of old's (taken). What had been decrypted already is in old's input. The owner closes old's
 * descriptor. */
struct bufferevent *fleet_tls_take_over(struct event_base *base, struct bufferevent *old, int fd);
/* A handshake with the server that must be host, a name or an address, over a connected descriptor (taken).
 */
struct bufferevent *fleet_tls_connect(
	struct fleet_tls_client *client, struct event_base *base, int fd, const char *host, uint16_t port);
/* Why it failed, as part of a sentence; code: the errno where TLS has nothing to say. */
void fleet_tls_explain(struct bufferevent *bev, int code, char *out, size_t len);

#endif
