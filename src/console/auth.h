/* Who asks, and may they. API keys with a role for people and their programs, agent keys bound to one
 * agentId; both compared as SHA-256 digests in constant time. --dev asks for no key and therefore takes only
 * names of this machine in Host, so that no web page elsewhere can be made to look like it. Event loop only.
 */
#ifndef CONSOLE_AUTH_H
#define CONSOLE_AUTH_H
#include "console/config.h"
#include "fleet/http_server.h"

/* What a route asks for (fleet_http_route's access). */
enum access {
	ACCESS_NONE = 1, /* the dashboard's files: they hold nothing */
	ACCESS_PROBE,    /* health and version: from this machine no key, else as viewer */
	ACCESS_HUB,      /* the hub judges itself */
	ACCESS_RELEASE,  /* an artifact's file: agents with their own key, else as operator */
	ACCESS_VIEWER,
	ACCESS_OPERATOR,
	ACCESS_ADMIN,
};

struct auth {
	const struct console_config *config; /* borrowed */
};

/* The http_server's gate: answers 401 or 403 and returns false, or notes who asks and lets pass. */
bool auth_gate(const struct auth *auth, struct fleet_http_request *req, const struct fleet_http_route *route);
/* "NAME@FACE" of a request that passed; borrowed from it. */
const char *auth_actor(const struct fleet_http_request *req);

/* The key that an Authorization header shows, or NULL. */
const struct api_key *auth_find_api_key(const struct console_config *config, const char *authorization);
/* The agent whose key it shows, or NULL; also with --dev, which asks for none. Borrowed from config. */
const char *auth_find_agent(const struct console_config *config, const char *authorization);
bool auth_role_may(enum role role, unsigned access);
enum agent_access { AGENT_WELCOME, AGENT_UNAUTHENTICATED, AGENT_OTHERS_KEY };
enum agent_access auth_judge_agent(
	const struct console_config *config, const char *authorization, const char *agent_id);
/* Is a request with this Origin from a page of this very console? host: the Host header. */
bool auth_origin_is_own(const char *origin, const char *host);
bool auth_host_is_local(const char *host); /* localhost, 127.0.0.1, [::1], each with or without a port */

#endif
