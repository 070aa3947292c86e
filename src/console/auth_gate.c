/* The gate before every handler: who comes, and may he. */
#include "console/auth.h"
#include "fleet/clock.h"
#include "fleet/limits.h"

static const char *face_of(const struct fleet_http_request *req)
{
	static const char *const faces[] = {"cli", "dashboard"};
	const char *said = fleet_http_header(req, "X-Fleet-Client");

	for (size_t i = 0; said && i < FLEET_ARRAY_LEN(faces); i++) {
		if (strcmp(said, faces[i]) == 0)
			return faces[i];
	}
	return "api";
}

/* Somebody chose the keys of console.yaml, and might have chosen badly: they cannot be tried without end.
 * What the console made itself cannot be guessed, and is heard also from an address from which others guess.
 */
struct api_key *auth_check_secret(struct auth *auth, struct fleet_http_request *req, const char *secret)
{
	static const char *const faults[] = {
		[KEY_UNKNOWN] = "is nobody's", [KEY_EXPIRED] = "is expired", [KEY_REVOKED] = "is revoked"};
	const char *peer = fleet_http_peer(req);
	int64_t now_ms = fleet_clock_monotonic_ms();
	int64_t wait_ms = logins_wait_ms(&auth->logins, peer, now_ms);
	enum key_state state = KEY_UNKNOWN;
	struct api_key *key = NULL;

	if (!wait_ms || api_key_is_made_here(secret))
		state = keys_find(auth->keys, secret, &key);
	if (state == KEY_VALID) {
		keys_used(key);
		return key;
	}
	if (!wait_ms || key)
		logins_failed(&auth->logins, peer, key, faults[state], now_ms);
	else
		logins_slowed(&auth->logins, peer, now_ms);
	if (wait_ms) {
		auth_reply_wait(req, wait_ms, "too many wrong keys");
	} else if (key) {
		fleet_http_add_header(req, "WWW-Authenticate", "Bearer realm=\"fleet\"");
		fleet_http_reply_problem(
			req, 401, "unauthenticated", NULL, "the key '%s' %s", key->name, faults[state]);
	} else {
		(void)auth_refuse(req, 401, "unauthenticated", "this console does not know the key");
	}
	return NULL;
}

/* False: it has answered. */
static bool may_ask(struct auth *auth, struct fleet_http_request *req)
{
	if (auth->dev || logins_may_ask(&auth->logins, fleet_http_peer(req), fleet_clock_monotonic_ms()))
		return true;
	fleet_http_add_header(req, "Connection", "close");
	fleet_http_add_header(req, "Retry-After", "10");
	return auth_refuse(req, 429, "rate-limited", "too many requests without a key came from here");
}

/* A page from elsewhere asks in the name of somebody who is logged in here: that is worth knowing. */
static bool refuse_page(struct auth *auth, struct fleet_http_request *req,
	const struct fleet_http_route *route, const char *fault)
{
	_cleanup_(api_key_secret_freep) char *cookie = auth->dev ? NULL : auth_cookie(auth, req);
	const struct session *session =
		cookie ? sessions_find(&auth->sessions, cookie, fleet_clock_wall_ms()) : NULL;
	const struct api_key *key = session ? session->key : auth->dev;
	const char *origin = fleet_http_header(req, "Origin");

	if (key) {
		_cleanup_free_ char *actor = xasprintf("%s@dashboard", key->name);
		_cleanup_free_ char *what = xasprintf("%s %s, of a page from %.100s", route->method,
			route->pattern, origin ? origin : "elsewhere");

		logins_refused(&auth->logins, fleet_http_peer(req), actor, what, fleet_clock_monotonic_ms());
	}
	return auth_refuse(req, 403, "forbidden", fault);
}

/* By its key, or by the certificate of its connection. False: it is none; then its key is looked for, and
 * counted, as anybody's. */
static bool welcome_agent(const struct auth *auth, struct fleet_http_request *req)
{
	const char *agent_id;
	struct proof proof;

	members_read_proof(req, &proof);
	proof.made_here_only =
		logins_wait_ms(&auth->logins, fleet_http_peer(req), fleet_clock_monotonic_ms()) > 0;
	agent_id = members_find(auth->members, &proof);
	if (agent_id)
		auth_welcome_agent(
			auth, req, agent_id, proof.certificate > 0 ? proof.facts.ends_s * 1000 : 0);
	return agent_id != NULL;
}

/* Welcomes whoever it is, or has answered. */
static bool identify(struct auth *auth, struct fleet_http_request *req, const struct fleet_http_route *route)
{
	const char *authorization = fleet_http_header(req, "Authorization");
	_cleanup_(api_key_secret_freep) char *cookie = authorization ? NULL : auth_cookie(auth, req);
	const struct session *session;
	const char *fault, *token;
	struct api_key *key;

	if (auth->dev) {
		auth_welcome(req, auth->dev, face_of(req), NULL);
		return true;
	}
	if (access_role(route->access) == ACCESS_RELEASE && welcome_agent(auth, req))
		return true;
	if (authorization) {
		token = auth_bearer_token(authorization);
		key = auth_check_secret(auth, req, token ? token : "");
		if (!key)
			return false;
		auth_welcome(req, key, face_of(req), NULL);
		return true;
	}
	session = cookie ? sessions_find(&auth->sessions, cookie, fleet_clock_wall_ms()) : NULL;
	if (!session || keys_state(session->key) != KEY_VALID)
		return may_ask(auth, req) && auth_refuse(req, 401, "unauthenticated",
						     "an API key is needed: Authorization: Bearer KEY");
	fault = auth_origin_fault(req, auth->tls, true);
	if (fault)
		return refuse_page(auth, req, route, fault);
	keys_used(session->key);
	auth_welcome(req, session->key, "dashboard", session);
	return true;
}

static bool refuse_verdict(struct auth *auth, struct fleet_http_request *req,
	const struct fleet_http_route *route, enum verdict verdict)
{
	const struct api_key *key = auth_key(req);
	const char *action = key_action_to_string(access_action(route->access));
	_cleanup_free_ char *what = xasprintf("%s %s", route->method, route->pattern);
	struct json_object *extra = NULL;

	logins_refused(
		&auth->logins, fleet_http_peer(req), auth_actor(req), what, fleet_clock_monotonic_ms());
	switch (verdict) {
	case VERDICT_ROLE:
		fleet_http_reply_problem(req, 403, "forbidden", NULL,
			"the key '%s' is a %s's, which may not do this", key->name,
			role_to_string(key->role));
		break;
	case VERDICT_ACTION:
		fleet_http_reply_problem(req, 403, "forbidden", NULL,
			"the key '%s' is limited to other actions than %s", key->name, action);
		break;
	case VERDICT_AGENT:
		extra = json_object_new_object();
		fleet_json_add_string(extra, "agentId", fleet_http_param(req, "agentId"));
		fleet_http_reply_problem(req, 403, "forbidden", extra,
			"the key '%s' is limited to other agents than %s", key->name,
			fleet_http_param(req, "agentId"));
		break;
	default:
		fleet_http_reply_problem(req, 403, "forbidden", NULL,
			"the key '%s' is limited, and this is for keys that are not", key->name);
		break;
	}
	return false;
}

static enum verdict judge(
	const struct auth *auth, const struct fleet_http_request *req, const struct fleet_http_route *route)
{
	const char *agent_id = fleet_http_param(req, "agentId");
	const struct agent *agent = agent_id ? registry_get(auth->registry, agent_id) : NULL;

	return access_judge(auth_key(req), route->access, agent_id,
		agent ? fleet_json_object(agent->doc, "labels") : NULL);
}

bool auth_gate(struct auth *auth, struct fleet_http_request *req, const struct fleet_http_route *route)
{
	enum access role = access_role(route->access);
	const char *fault = NULL;
	enum verdict verdict;

	if (auth->dev && !auth_host_is_local(fleet_http_header(req, "Host")))
		return auth_refuse(req, 403, "forbidden",
			"a console in --dev mode answers to localhost only, not to the name in Host");
	if (role == ACCESS_HUB)
		return true;
	fault = auth_origin_fault(req, auth->tls, false);
	if (fault)
		return refuse_page(auth, req, route, fault);
	if (role == ACCESS_NONE) /* also a login: its key is counted when it is looked at */
		return may_ask(auth, req);
	if (role == ACCESS_PROBE && !auth->dev && !fleet_http_header(req, "Authorization") &&
		console_address_is_loopback(fleet_http_peer(req)))
		return true;
	if (!identify(auth, req, route))
		return false;
	if (!auth_key(req)) /* an agent, whose update the handler looks for */
		return true;
	verdict = judge(auth, req, route);
	return verdict == VERDICT_GRANTED || refuse_verdict(auth, req, route, verdict);
}
