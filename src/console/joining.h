/* GET /api/join: a new agent's first conversation, a WebSocket on which it shows a join token, says which
 * machine it is and what its key is (`join`), and hears by what it is known from then on (`joined`). An
 * agentId that is taken goes to another machine only on an operator's word. Certificates are renewed for
 * agents that are connected. Nothing is said before it is committed. Event loop only. */
#ifndef CONSOLE_JOINING_H
#define CONSOLE_JOINING_H
#include "console/certificate.h"
#include "console/logins.h"
#include "console/members.h"
#include "console/registry.h"

#define JOINING_MS 15000 /* from the handshake to the end of it */

struct hub;
struct joining;
struct joining_options { /* all borrowed */
	struct event_base *base;
	const struct console_config *config;
	struct store *store;
	struct members *members;
	struct logins *logins;
	const struct registry *registry;
	struct hub *hub;
	const struct ca *ca;                   /* NULL: agents are given keys */
	const struct certificate *certificate; /* of the console itself */
};

struct joining *joining_new(const struct joining_options *options); /* owned */
/* Cuts who is there. Accepts NULL. As with the hub: the store is closed before. */
void joining_free(struct joining *joining);
/* Answers a request for /api/join: takes its connection over, or refuses. */
void joining_serve(struct joining *joining, struct fleet_http_request *req);

/* A new certificate for an agent that has proven who it is. Calls back once: certificate and authorities
 * (PEM, the second may be NULL) where it is committed, else code and why. */
struct renewal {
	const char *certificate, *authorities, *code, *why;
	int64_t expires_ms;
};
void joining_renew(struct joining *joining, const char *agent_id, const char *request_pem,
	const char *source_address, void (*done)(const struct renewal *renewal, void *arg), void *arg);

#endif
