#include "console/auth.h"

#include <strings.h>

#include "fleet/clock.h"
#include "fleet/limits.h"
#include "fleet/log.h"

/* --- agents ------------------------------------------------------------------------------------------ */

/* Takes the same time wherever the first difference lies. */
static bool digests_equal(const unsigned char a[FLEET_SHA256_LEN], const unsigned char b[FLEET_SHA256_LEN])
{
	volatile unsigned char difference = 0;

	for (size_t i = 0; i < FLEET_SHA256_LEN; i++)
		difference = (unsigned char)(difference | (a[i] ^ b[i]));
	return difference == 0;
}

/* The bearer token, or NULL. Borrowed from authorization. */
static const char *bearer_token(const char *authorization)
{
	const char *token;

	if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
		return NULL;
	token = authorization + 7;
	token += strspn(token, " ");
	return *token && strlen(token) <= FLEET_API_KEY_MAX ? token : NULL;
}

static int bearer_digest(const char *authorization, unsigned char ret_digest[FLEET_SHA256_LEN])
{
	const char *token = bearer_token(authorization);

	if (!token)
		return -EINVAL;
	fleet_sha256(token, strlen(token), ret_digest);
	return 0;
}

const char *auth_find_agent(const struct console_config *config, const char *authorization)
{
	unsigned char digest[FLEET_SHA256_LEN];
	const char *found = NULL;

	if (bearer_digest(authorization, digest) < 0)
		return NULL;
	for (size_t i = 0; i < config->agent_key_count; i++) { /* likewise */
		if (digests_equal(config->agent_keys[i].digest, digest))
			found = config->agent_keys[i].agent_id;
	}
	return found;
}

enum agent_access auth_judge_agent(
	const struct console_config *config, const char *authorization, const char *agent_id)
{
	unsigned char digest[FLEET_SHA256_LEN];
	enum agent_access access = AGENT_UNAUTHENTICATED;

	if (config->dev)
		return AGENT_WELCOME;
	if (bearer_digest(authorization, digest) < 0)
		return AGENT_UNAUTHENTICATED;
	for (size_t i = 0; i < config->agent_key_count; i++) {
		const struct agent_key *key = &config->agent_keys[i];

		if (!digests_equal(key->digest, digest))
			continue;
		if (str_equal(key->agent_id, agent_id))
			access = AGENT_WELCOME;
		else if (access != AGENT_WELCOME)
			access = AGENT_OTHERS_KEY;
	}
	return access;
}

/* --- who asks ---------------------------------------------------------------------------------------- */

struct asker {
	struct api_key *key; /* a reference; NULL: an agent */
	char *actor;         /* owned */
	bool by_session;
	unsigned char session[FLEET_SHA256_LEN];
};

static void asker_free(void *arg)
{
	struct asker *asker = arg;

	api_key_unref(asker->key);
	free(asker->actor);
	free(asker);
}

void auth_init(struct auth *auth, const struct console_config *config, struct store *store, struct keys *keys,
	const struct registry *registry)
{
	*auth = (struct auth){.config = config, .keys = keys, .registry = registry};
	logins_init(&auth->logins, store);
	if (config->dev)
		auth->dev = api_key_new("operator", ROLE_ADMIN);
}

void auth_done(struct auth *auth)
{
	sessions_done(&auth->sessions);
	logins_done(&auth->logins);
	api_key_unref(auth->dev);
	auth->dev = NULL;
}

void auth_tick(struct auth *auth)
{
	logins_tick(&auth->logins, fleet_clock_monotonic_ms());
	sessions_tick(&auth->sessions, fleet_clock_wall_ms());
}

void auth_flush(struct auth *auth)
{
	logins_flush(&auth->logins);
}

void auth_key_gone(struct auth *auth, const struct api_key *key)
{
	sessions_close_key(&auth->sessions, key);
}

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

bool auth_refuse(struct fleet_http_request *req, int status, const char *kind, const char *why)
{
	if (status == 401)
		fleet_http_add_header(req, "WWW-Authenticate", "Bearer realm=\"fleet\"");
	fleet_http_reply_problem(req, status, kind, NULL, "%s", why);
	return false;
}

/* key: NULL for an agent, whose name it then is. */
static void welcome(struct fleet_http_request *req, struct api_key *key, const char *name, const char *face,
	const struct session *session)
{
	struct asker *asker = xcalloc(1, sizeof(*asker));

	asker->key = key ? api_key_ref(key) : NULL;
	asker->actor = xasprintf("%s@%s", name, face);
	asker->by_session = session != NULL;
	if (session)
		memcpy(asker->session, session->digest, sizeof(asker->session));
	fleet_http_set_known(req);
	fleet_http_set_context(req, asker, asker_free);
}

const char *auth_actor(const struct fleet_http_request *req)
{
	const struct asker *asker = fleet_http_context(req);

	return asker ? asker->actor : "anonymous@api";
}

struct api_key *auth_key(const struct fleet_http_request *req)
{
	const struct asker *asker = fleet_http_context(req);

	return asker ? asker->key : NULL;
}

/* --- what they see ----------------------------------------------------------------------------------- */

static bool key_sees(const struct registry *registry, const struct api_key *key, const char *agent_id)
{
	const struct agent *agent;

	if (!key_limits_on_agents(&key->limits))
		return true;
	if (!agent_id)
		return false;
	agent = registry_get(registry, agent_id);
	return key_limits_reach(
		&key->limits, agent_id, agent ? fleet_json_object(agent->doc, "labels") : NULL);
}

bool auth_sees(const struct auth *auth, const struct fleet_http_request *req, const char *agent_id)
{
	const struct api_key *key = auth_key(req);

	return key && key_sees(auth->registry, key, agent_id);
}

struct json_object *auth_agents_seen(const struct auth *auth, const struct fleet_http_request *req)
{
	const struct api_key *key = auth_key(req);
	const struct id_table *agents = &auth->registry->agents;
	struct json_object *array;

	if (key && !key_limits_on_agents(&key->limits))
		return NULL;
	array = json_object_new_array();
	for (size_t i = 0; key && i < agents->count; i++) {
		if (key_sees(auth->registry, key, agents->entries[i].id))
			fleet_json_append_string(array, agents->entries[i].id);
	}
	return array;
}

struct reading {
	const struct auth *auth;
	struct asker asker; /* key: a reference */
};

static bool reader_sees(const char *agent_id, void *arg)
{
	const struct reading *reading = arg;

	return key_sees(reading->auth->registry, reading->asker.key, agent_id);
}

/* A stream outlives the request that opened it, and must not outlive what it was opened with. */
static bool reader_may_stay(void *arg)
{
	const struct reading *reading = arg;
	const struct auth *auth = reading->auth;

	if (reading->asker.key == auth->dev)
		return true;
	if (reading->asker.by_session &&
		!sessions_find_digest(&auth->sessions, reading->asker.session, fleet_clock_wall_ms()))
		return false;
	return keys_hold(auth->keys, reading->asker.key) && keys_state(reading->asker.key) == KEY_VALID;
}

static void reader_done(void *arg)
{
	struct reading *reading = arg;

	api_key_unref(reading->asker.key);
	free(reading);
}

struct events_reader auth_reader(const struct auth *auth, const struct fleet_http_request *req)
{
	const struct asker *asker = fleet_http_context(req);
	struct reading *reading = xcalloc(1, sizeof(*reading));

	reading->auth = auth;
	reading->asker = *asker;
	reading->asker.actor = NULL;
	(void)api_key_ref(reading->asker.key); /* it is the reading's */
	return (struct events_reader){
		.sees = reader_sees,
		.may_stay = reader_may_stay,
		.done = reader_done,
		.owner = reading->asker.key,
		.arg = reading,
	};
}

/* --- the gate ---------------------------------------------------------------------------------------- */

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
	char seconds[24];

	if (!wait_ms || api_key_is_made_here(secret))
		state = keys_find(auth->keys, secret, &key);
	if (state == KEY_VALID) {
		keys_used(key);
		return key;
	}
	if (!wait_ms || key)
		logins_failed(&auth->logins, peer, key, faults[state], now_ms);
	if (wait_ms) {
		(void)snprintf(
			seconds, sizeof(seconds), "%lld", (long long)(wait_ms + 999) / 1000); /* fits */
		fleet_http_add_header(req, "Retry-After", seconds);
		fleet_http_reply_problem(req, 429, "rate-limited", NULL,
			"too many wrong keys came from %s: try again in %s s", peer, seconds);
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

/* Welcomes whoever it is, or has answered. */
static bool identify(struct auth *auth, struct fleet_http_request *req, unsigned access)
{
	const char *authorization = fleet_http_header(req, "Authorization");
	_cleanup_(api_key_secret_freep) char *cookie = authorization ? NULL : auth_cookie(auth, req);
	const struct session *session;
	const char *fault, *agent_id, *token;
	struct api_key *key;

	if (auth->dev) {
		welcome(req, auth->dev, auth->dev->name, face_of(req), NULL);
		return true;
	}
	if (authorization) {
		agent_id = access_role(access) == ACCESS_RELEASE
				   ? auth_find_agent(auth->config, authorization)
				   : NULL;
		token = bearer_token(authorization);
		if (!agent_id) {
			key = auth_check_secret(auth, req, token ? token : "");
			if (!key)
				return false;
			welcome(req, key, key->name, face_of(req), NULL);
			return true;
		}
		welcome(req, NULL, agent_id, face_of(req), NULL);
		return true;
	}
	session = cookie ? sessions_find(&auth->sessions, cookie, fleet_clock_wall_ms()) : NULL;
	if (!session || keys_state(session->key) != KEY_VALID)
		return may_ask(auth, req) && auth_refuse(req, 401, "unauthenticated",
						     "an API key is needed: Authorization: Bearer KEY");
	fault = auth_origin_fault(req, true);
	if (fault)
		return auth_refuse(req, 403, "forbidden", fault);
	keys_used(session->key);
	welcome(req, session->key, session->key->name, "dashboard", session);
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
	fault = auth_origin_fault(req, false);
	if (fault)
		return auth_refuse(req, 403, "forbidden", fault);
	if (role == ACCESS_NONE) /* also a login: its key is counted when it is looked at */
		return may_ask(auth, req);
	if (role == ACCESS_PROBE && !auth->dev && !fleet_http_header(req, "Authorization") &&
		console_address_is_loopback(fleet_http_peer(req)))
		return true;
	if (!identify(auth, req, route->access))
		return false;
	if (!auth_key(req)) /* an agent, whose update the handler looks for */
		return true;
	verdict = judge(auth, req, route);
	return verdict == VERDICT_GRANTED || refuse_verdict(auth, req, route, verdict);
}
