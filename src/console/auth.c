#include "console/auth.h"

#include <strings.h>

#include "fleet/limits.h"
#include "fleet/log.h"

#define BEARER_MAX 512

/* Takes the same time wherever the first difference lies. */
static bool digests_equal(const unsigned char a[FLEET_SHA256_LEN], const unsigned char b[FLEET_SHA256_LEN])
{
	volatile unsigned char difference = 0;

	for (size_t i = 0; i < FLEET_SHA256_LEN; i++)
		difference = (unsigned char)(difference | (a[i] ^ b[i]));
	return difference == 0;
}

/* Digest of the bearer token. */
static int bearer_digest(const char *authorization, unsigned char ret_digest[FLEET_SHA256_LEN])
{
	const char *token;

	if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
		return -EINVAL;
	token = authorization + 7;
	token += strspn(token, " ");
	if (!*token || strlen(token) > BEARER_MAX)
		return -EINVAL;
	fleet_sha256(token, strlen(token), ret_digest);
	return 0;
}

const struct api_key *auth_find_api_key(const struct console_config *config, const char *authorization)
{
	unsigned char digest[FLEET_SHA256_LEN];
	const struct api_key *found = NULL;

	if (bearer_digest(authorization, digest) < 0)
		return NULL;
	for (size_t i = 0; i < config->api_key_count; i++) { /* all of them: the time tells nothing */
		if (digests_equal(config->api_keys[i].digest, digest))
			found = &config->api_keys[i];
	}
	return found;
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

bool auth_role_may(enum role role, unsigned access)
{
	switch (access) {
	case ACCESS_NONE:
	case ACCESS_PROBE:
	case ACCESS_HUB:
	case ACCESS_VIEWER:
		return true;
	case ACCESS_RELEASE:
	case ACCESS_OPERATOR:
		return role >= ROLE_OPERATOR;
	case ACCESS_ADMIN:
		return role >= ROLE_ADMIN;
	default:
		return false; /* a route that says nothing is nobody's */
	}
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

bool auth_origin_is_own(const char *origin, const char *host)
{
	static const char *const schemes[] = {"http://", "https://"};

	for (size_t i = 0; host && i < FLEET_ARRAY_LEN(schemes); i++) {
		if (str_starts(origin, schemes[i]))
			return strcasecmp(origin + strlen(schemes[i]), host) == 0;
	}
	return false; /* "null", a file, an extension */
}

bool auth_host_is_local(const char *host)
{
	static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};

	for (size_t i = 0; host && i < FLEET_ARRAY_LEN(names); i++) {
		size_t len = strlen(names[i]);

		if (strncasecmp(host, names[i], len) == 0 && (!host[len] || host[len] == ':'))
			return true;
	}
	return false;
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

static bool is_write(const struct fleet_http_request *req)
{
	const char *method = fleet_http_method(req);

	return strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0;
}

static bool refuse(struct fleet_http_request *req, int status, const char *kind, const char *why)
{
	if (status == 401)
		fleet_http_add_header(req, "WWW-Authenticate", "Bearer realm=\"fleet\"");
	fleet_http_reply_problem(req, status, kind, NULL, "%s", why);
	return false;
}

static bool welcome(struct fleet_http_request *req, const char *name)
{
	fleet_http_set_known(req);
	fleet_http_set_context(req, xasprintf("%s@%s", name, face_of(req)), free);
	return true;
}

bool auth_gate(const struct auth *auth, struct fleet_http_request *req, const struct fleet_http_route *route)
{
	const struct console_config *config = auth->config;
	const char *origin = fleet_http_header(req, "Origin"), *host = fleet_http_header(req, "Host");
	const struct api_key *key;

	if (config->dev && !auth_host_is_local(host))
		return refuse(req, 403, "forbidden",
			"a console in --dev mode answers to localhost only, not to the name in Host");
	if (route->access == ACCESS_HUB)
		return true;
	if (origin && is_write(req) && !auth_origin_is_own(origin, host))
		return refuse(
			req, 403, "forbidden", "a page from elsewhere may change nothing here (Origin)");
	if (route->access == ACCESS_NONE)
		return true;
	if (config->dev)
		return welcome(req, "operator");
	key = auth_find_api_key(config, fleet_http_header(req, "Authorization"));
	if (!key && route->access == ACCESS_RELEASE) {
		const char *agent_id = auth_find_agent(config, fleet_http_header(req, "Authorization"));

		if (agent_id)
			return welcome(req, agent_id);
	}
	if (!key && route->access == ACCESS_PROBE && console_address_is_loopback(fleet_http_peer(req)))
		return true;
	if (!key)
		return refuse(req, 401, "unauthenticated",
			fleet_http_header(req, "Authorization")
				? "this console does not know the key"
				: "an API key is needed: Authorization: Bearer KEY");
	if (!auth_role_may(key->role, route->access)) {
		log_warn("%s (%s) may not %s %s", key->name, role_to_string(key->role),
			fleet_http_method(req), fleet_http_path(req));
		fleet_http_reply_problem(req, 403, "forbidden", NULL,
			"the key '%s' is a %s's, which may not do this", key->name,
			role_to_string(key->role));
		return false;
	}
	return welcome(req, key->name);
}

const char *auth_actor(const struct fleet_http_request *req)
{
	const char *actor = fleet_http_context(req);

	return actor ? actor : "anonymous@api";
}
