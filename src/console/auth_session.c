/* A dashboard's login: a key becomes a cookie that no script can read and no other site can send. Its name
 * begins with __Host- where the browser came by https, so that neither plain HTTP nor a neighbouring name of
 * the domain can plant one. */
#include "console/api.h"
#include "fleet/clock.h"
#include "fleet/log.h"

#define COOKIE        "fleet-session"
#define SECURE_COOKIE "__Host-" COOKIE

/* By https, be it by way of a proxy: then the page's Origin says so. */
static bool is_secure(const struct auth *auth, const struct fleet_http_request *req)
{
	const char *origin = fleet_http_header(req, "Origin");

	return auth->tls || (origin && str_starts(origin, "https://"));
}

static char *find_cookie(const char *header, const char *name)
{
	size_t len = strlen(name);

	while (header && *header) {
		header += strspn(header, "; \t");
		if (strncmp(header, name, len) == 0 && header[len] == '=')
			return xstrndup(header + len + 1, strcspn(header + len + 1, "; \t"));
		header += strcspn(header, ";");
	}
	return NULL;
}

char *auth_cookie(const struct auth *auth, const struct fleet_http_request *req)
{
	const char *header = fleet_http_header(req, "Cookie");
	char *cookie = find_cookie(header, SECURE_COOKIE);

	return cookie || auth->tls ? cookie : find_cookie(header, COOKIE);
}

static void set_cookie(
	const struct auth *auth, struct fleet_http_request *req, const char *value, int64_t max_age_ms)
{
	bool secure = is_secure(auth, req);
	_cleanup_(api_key_secret_freep) char *text = xasprintf(
		"%s=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%lld%s", secure ? SECURE_COOKIE : COOKIE,
		value, (long long)(max_age_ms / 1000), secure ? "; Secure" : "");

	fleet_http_add_header(req, "Set-Cookie", text);
}

static struct json_object *describe(const struct api_key *key, bool dev)
{
	struct json_object *out = json_object_new_object();

	fleet_json_add_string(out, "name", key->name);
	fleet_json_add_string(out, "role", role_to_string(key->role));
	fleet_json_add(out, "limits", key_limits_to_json(&key->limits));
	fleet_json_add_time(out, "keyExpiresAt", key->expires_ms);
	if (dev)
		fleet_json_add_bool(out, "dev", true);
	return out;
}

static void on_audited(int result, const struct fleet_error *err, void *arg)
{
	(void)arg;
	if (result < 0)
		log_error("a login could not be audited: %s", err ? err->message : strerror(-result));
}

static void audit(const struct auth *auth, const struct fleet_http_request *req, const struct api_key *key,
	const char *face, const char *what)
{
	_cleanup_free_ char *actor = xasprintf("%s@%s", key->name, face);
	_cleanup_free_ char *message = xasprintf("%s %s", actor, what);

	store_audit_append(auth->keys->store,
		&(struct audit_event){
			.category = "access",
			.actor = actor,
			.source_address = fleet_http_peer(req),
			.message = message,
		},
		on_audited, NULL);
}

void auth_log_in(struct auth *auth, struct fleet_http_request *req, const char *secret)
{
	_cleanup_(api_key_secret_freep) char *cookie = NULL, *before = auth_cookie(auth, req);
	bool is_cli = str_equal(fleet_http_header(req, "X-Fleet-Client"), "cli");
	struct api_key *key = auth->dev ? auth->dev : auth_check_secret(auth, req, secret);
	int64_t now_ms = fleet_clock_wall_ms(), expires_ms;
	struct json_object *body;

	if (!key) /* it was answered: req is gone */
		return;
	body = describe(key, auth->dev != NULL);
	if (is_cli && !auth->dev) { /* it shows its key each time: a session would be nobody's */
		audit(auth, req, key, "cli", "logged in");
	} else if (!auth->dev) {
		if (before)
			(void)sessions_close(&auth->sessions, before); /* nothing, where it was none */
		cookie = sessions_open(&auth->sessions, key, now_ms, &expires_ms);
		set_cookie(auth, req, cookie, expires_ms - now_ms);
		fleet_json_add_time(body, "expiresAt", expires_ms);
		audit(auth, req, key, "dashboard", "logged in");
		fleet_http_set_known(req);
	}
	fleet_http_reply_json(req, 200, body);
}

void auth_log_out(struct auth *auth, struct fleet_http_request *req)
{
	_cleanup_(api_key_secret_freep) char *cookie = auth_cookie(auth, req);
	struct json_object *body = json_object_new_object();

	if (cookie && sessions_close(&auth->sessions, cookie))
		audit(auth, req, auth_key(req), "dashboard", "logged out");
	set_cookie(auth, req, "", 0);
	fleet_json_add_string(body, "status", "logged out");
	fleet_http_reply_json(req, 200, body);
}

struct json_object *auth_describe(const struct auth *auth, const struct fleet_http_request *req)
{
	struct json_object *out = describe(auth_key(req), auth->dev != NULL);
	_cleanup_(api_key_secret_freep) char *cookie = auth_cookie(auth, req);
	const struct session *session =
		cookie && !auth->dev ? sessions_find(&auth->sessions, cookie, fleet_clock_wall_ms()) : NULL;

	fleet_json_add_string(out, "actor", auth_actor(req));
	if (session && session->key == auth_key(req))
		fleet_json_add_time(out, "expiresAt", session->expires_ms);
	return out;
}
