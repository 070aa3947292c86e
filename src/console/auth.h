/* Who asks, and may they. People and their programs show an API key, a dashboard the cookie that it got for
 * one; access.h says what such a key may. Agents show keys that are bound to one agentId. --dev asks for no
 * key and therefore takes only names of this machine in Host, so that no web page elsewhere can be made to
 * look like it. Event loop only. */
#ifndef CONSOLE_AUTH_H
#define CONSOLE_AUTH_H
#include "console/access.h"
#include "console/config.h"
#include "console/events.h"
#include "console/keys.h"
#include "console/logins.h"
#include "console/members.h"
#include "console/registry.h"
#include "console/sessions.h"
#include "fleet/http_server.h"

struct auth {
	const struct console_config *config; /* borrowed, as are the next two */
	struct keys *keys;
	const struct registry *registry;
	const struct members
		*members; /* borrowed: which agents' proofs are good; set before the first request */
	struct sessions sessions;
	struct logins logins;
	struct api_key *dev; /* owned: who asks in --dev; NULL otherwise */
	bool tls; /* the console itself speaks https, and nothing else; set before the first request */
};
void auth_init(struct auth *auth, const struct console_config *config, struct store *store, struct keys *keys,
	const struct registry *registry);
void auth_done(struct auth *auth);
/* Once a second. */
void auth_tick(struct auth *auth);
/* At the end: what is still to be audited. */
void auth_flush(struct auth *auth);
/* A key is no good any more: what was opened with it ends. */
void auth_key_gone(struct auth *auth, const struct api_key *key);

/* The http_server's gate: answers 401, 403 or 429 and returns false, or notes who asks and lets pass.
 * (auth_gate.c) */
bool auth_gate(struct auth *auth, struct fleet_http_request *req, const struct fleet_http_route *route);
/* "NAME@FACE" of a request that passed; borrowed from it. */
const char *auth_actor(const struct fleet_http_request *req);
/* Its key, borrowed from it; NULL: an agent's, or none was asked. */
struct api_key *auth_key(const struct fleet_http_request *req);
/* The agent that asks, borrowed from it; NULL: it is none. */
const char *auth_agent(const struct fleet_http_request *req);
/* Is this agent within the reach of who asks? */
bool auth_sees(const struct auth *auth, const struct fleet_http_request *req, const char *agent_id);
/* The agents within it as a JSON array, owned; NULL where it is all of them. */
struct json_object *auth_agents_seen(const struct auth *auth, const struct fleet_http_request *req);
/* Of a request for what goes on (events, a file): who reads, to be given to events_serve or kept; its done is
 * to be called. */
struct events_reader auth_reader(const struct auth *auth, const struct fleet_http_request *req);

/* --- sessions (auth_session.c), and between the files
 * ----------------------------------------------------------------------- */

/* The value of the session's cookie in the request, owned; NULL none. */
char *auth_cookie(const struct auth *auth, const struct fleet_http_request *req);
/* Logs in with a key that was said: answers with Set-Cookie and who it is, or why not. */
void auth_log_in(struct auth *auth, struct fleet_http_request *req, const char *secret);
void auth_log_out(struct auth *auth, struct fleet_http_request *req);
/* {name, role, limits, expiresAt, ...} of who asks; owned. */
struct json_object *auth_describe(const struct auth *auth, const struct fleet_http_request *req);
/* The bearer token, or NULL. Borrowed from authorization. */
const char *auth_bearer_token(const char *authorization);
/* Notes who asks. session: NULL none. */
void auth_welcome(
	struct fleet_http_request *req, struct api_key *key, const char *face, const struct session *session);
/* expires_ms: when its certificate does; 0: it has shown none. */
void auth_welcome_agent(
	const struct auth *auth, struct fleet_http_request *req, const char *agent_id, int64_t expires_ms);
/* Whose key, after all that is to be counted, audited and answered where it is no good (NULL). */
struct api_key *auth_check_secret(struct auth *auth, struct fleet_http_request *req, const char *secret);
bool auth_refuse(struct fleet_http_request *req, int status, const char *kind, const char *why);
/* 429 to who has to wait; what: "too many wrong keys". Ends the connection, so that asking on and on costs a
 * new one each time. */
void auth_reply_wait(struct fleet_http_request *req, int64_t wait_ms, const char *what);

/* --- agents ------------------------------------------------------------------------------------------ */

/* The agent whose key an Authorization header shows, or NULL; also with --dev, which asks for none. Borrowed
 * from config. */
const char *auth_find_agent(const struct console_config *config, const char *authorization);
/* Digest of the bearer token in an Authorization header; -EINVAL where there is none. */
int auth_bearer_digest(
	const char *authorization, unsigned char ret_digest[FLEET_SHA256_LEN]) FLEET_MUST_CHECK;
/* Takes the same time wherever the first difference lies. */
bool auth_digests_equal(const unsigned char a[FLEET_SHA256_LEN], const unsigned char b[FLEET_SHA256_LEN]);
/* Of console.yaml's agent keys alone; members_judge knows the others. */
enum agent_access { AGENT_WELCOME, AGENT_UNAUTHENTICATED, AGENT_OTHERS_KEY };
enum agent_access auth_judge_agent(
	const struct console_config *config, const char *authorization, const char *agent_id);

/* --- where a request comes from (auth_origin.c) ------------------------------------------------------- */

/* Is a request with this Origin from a page of this very console? host: the Host header. */
bool auth_origin_is_own(const char *origin, const char *host);
bool auth_host_is_local(const char *host); /* localhost, 127.0.0.1, [::1], each with or without a port */
/* May a page's request pass, by what the browser says of the page? by_cookie: it has shown no more than a
 * cookie, which browsers add by themselves. tls: this console's own pages come by https. NULL, or why not. */
const char *auth_origin_fault(const struct fleet_http_request *req, bool tls, bool by_cookie);

#endif
