#include "console/auth.h"

#include <strings.h>

#include "fleet/clock.h"
#include "fleet/limits.h"

/* --- agents ------------------------------------------------------------------------------------------ */

/* Takes the same time wherever the first difference lies. */
bool auth_digests_equal(const unsigned char a[FLEET_SHA256_LEN], const unsigned char b[FLEET_SHA256_LEN])
{
	volatile uint64_t difference =
		0; /* in words: a stranger's key is held against those of 10,000 agents */
	uint64_t left[FLEET_SHA256_LEN / sizeof(uint64_t)], right[FLEET_ARRAY_LEN(left)];

	memcpy(left, a, sizeof(left));
	memcpy(right, b, sizeof(right));
	for (size_t i = 0; i < FLEET_ARRAY_LEN(left); i++)
		difference |= left[i] ^ right[i];
	return difference == 0;
}

const char *auth_bearer_token(const char *authorization)
{
	const char *token;

	if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
		return NULL;
	token = authorization + 7;
	token += strspn(token, " ");
	return *token && strlen(token) <= FLEET_API_KEY_MAX ? token : NULL;
}

int auth_bearer_digest(const char *authorization, unsigned char ret_digest[FLEET_SHA256_LEN])
{
	const char *token = auth_bearer_token(authorization);

	if (!token)
		return -EINVAL;
	fleet_sha256(token, strlen(token), ret_digest);
	return 0;
}

const char *auth_find_agent(const struct console_config *config, const char *authorization)
{
	unsigned char digest[FLEET_SHA256_LEN];
	const char *found = NULL;

	if (auth_bearer_digest(authorization, digest) < 0)
		return NULL;
	for (size_t i = 0; i < config->agent_key_count; i++) { /* likewise */
		if (auth_digests_equal(config->agent_keys[i].digest, digest))
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
	if (auth_bearer_digest(authorization, digest) < 0)
		return AGENT_UNAUTHENTICATED;
	for (size_t i = 0; i < config->agent_key_count; i++) {
		const struct agent_key *key = &config->agent_keys[i];

		if (!auth_digests_equal(key->digest, digest))
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
	char *agent_id;      /* owned; NULL: it has a key */
	uint64_t version;    /* of what was known of the agent then */
	int64_t expires_ms;  /* its certificate does; 0: it has shown none */
	bool by_session;
	unsigned char session[FLEET_SHA256_LEN];
};

static void asker_free(void *arg)
{
	struct asker *asker = arg;

	api_key_unref(asker->key);
	free(asker->actor);
	free(asker->agent_id);
	free(asker);
}

void auth_init(struct auth *auth, const struct console_config *config, struct store *store, struct keys *keys,
	const struct registry *registry)
{
	*auth = (struct auth){.config = config, .keys = keys, .registry = registry};
	logins_init(&auth->logins, store);
	auth->logins.minute_ms = fleet_clock_monotonic_ms();
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

bool auth_refuse(struct fleet_http_request *req, int status, const char *kind, const char *why)
{
	if (status == 401)
		fleet_http_add_header(req, "WWW-Authenticate", "Bearer realm=\"fleet\"");
	fleet_http_reply_problem(req, status, kind, NULL, "%s", why);
	return false;
}

void auth_reply_wait(struct fleet_http_request *req, int64_t wait_ms, const char *what)
{
	char seconds[24];

	(void)snprintf(seconds, sizeof(seconds), "%lld", (long long)(wait_ms + 999) / 1000); /* fits */
	fleet_http_add_header(req, "Connection", "close");
	fleet_http_add_header(req, "Retry-After", seconds);
	fleet_http_reply_problem(req, 429, "rate-limited", NULL, "%s came from %s: try again in %s s", what,
		fleet_http_peer(req), seconds);
}

static struct asker *welcome(struct fleet_http_request *req, const char *name, const char *face)
{
	struct asker *asker = xcalloc(1, sizeof(*asker));

	asker->actor = xasprintf("%s@%s", name, face);
	fleet_http_set_known(req);
	fleet_http_set_context(req, asker, asker_free);
	return asker;
}

void auth_welcome(
	struct fleet_http_request *req, struct api_key *key, const char *face, const struct session *session)
{
	struct asker *asker = welcome(req, key->name, face);

	asker->key = api_key_ref(key);
	asker->by_session = session != NULL;
	if (session)
		memcpy(asker->session, session->digest, sizeof(asker->session));
}

void auth_welcome_agent(
	const struct auth *auth, struct fleet_http_request *req, const char *agent_id, int64_t expires_ms)
{
	struct asker *asker = welcome(req, agent_id, "agent");

	asker->agent_id = xstrdup(agent_id);
	asker->version = members_version(auth->members, agent_id);
	asker->expires_ms = expires_ms;
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

const char *auth_agent(const struct fleet_http_request *req)
{
	const struct asker *asker = fleet_http_context(req);

	return asker ? asker->agent_id : NULL;
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

static bool agent_may_stay(const struct auth *auth, const struct asker *asker)
{
	return members_version(auth->members, asker->agent_id) == asker->version &&
	       (!asker->expires_ms || fleet_clock_wall_ms() < asker->expires_ms);
}

/* A stream outlives the request that opened it, and must not outlive what it was opened with. */
static bool reader_may_stay(void *arg)
{
	const struct reading *reading = arg;
	const struct auth *auth = reading->auth;

	if (reading->asker.agent_id)
		return agent_may_stay(auth, &reading->asker);
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
	free(reading->asker.agent_id);
	free(reading);
}

struct events_reader auth_reader(const struct auth *auth, const struct fleet_http_request *req)
{
	const struct asker *asker = fleet_http_context(req);
	struct reading *reading = xcalloc(1, sizeof(*reading));

	reading->auth = auth;
	reading->asker = *asker;
	reading->asker.actor = NULL;
	reading->asker.agent_id = xstrdup(asker->agent_id);
	if (asker->key)
		(void)api_key_ref(asker->key); /* it is the reading's */
	return (struct events_reader){
		.sees = reader_sees,
		.may_stay = reader_may_stay,
		.done = reader_done,
		.owner = reading->asker.key,
		.arg = reading,
	};
}
