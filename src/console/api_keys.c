/* /api/keys: who may use this API. For admins; a secret is shown once, in the answer that made it. */
#include "console/api.h"
#include "fleet/clock.h"
#include "fleet/limits.h"

static const char *const role_words[] = {"viewer", "operator", "admin", NULL};
static const struct fleet_json_field create_fields[] = {
	{"name", FLEET_JSON_ID, FLEET_JSON_REQUIRED, .min = 0},
	{"role", FLEET_JSON_STRING, FLEET_JSON_REQUIRED, .min = 0, .one_of = role_words},
	{"limits", FLEET_JSON_OBJECT, FLEET_JSON_NULLABLE, .min = 0},
	{"expiresAt", FLEET_JSON_TIME, FLEET_JSON_NULLABLE, .min = 0},
	{0},
};
static const struct fleet_json_field rotate_fields[] = {
	{"overlapSeconds", FLEET_JSON_INTEGER, 0, .min = 0, .max = FLEET_KEY_OVERLAP_S_MAX},
	{0},
};

void api_keys_list(struct fleet_http_request *req, void *arg)
{
	const struct console *console = arg;
	const char *revoked = fleet_http_query(req, "revoked");
	struct json_object *array;
	int64_t now_ms = fleet_clock_wall_ms();

	if (revoked && strcmp(revoked, "true") != 0 && strcmp(revoked, "false") != 0) {
		(void)api_refuse(req, "revoked", "must be true or false");
		return;
	}
	array = json_object_new_array();
	for (size_t i = 0; i < console->keys.count; i++) {
		const struct api_key *key = console->keys.items[i];

		if (!key->revoked_ms || str_equal(revoked, "true"))
			json_object_array_add(array, api_key_to_json(key, now_ms));
	}
	fleet_http_reply_json(req, 200, array);
}

static void reply_not_found(struct fleet_http_request *req)
{
	struct json_object *extra = json_object_new_object();

	fleet_json_add_string(extra, "key", fleet_http_param(req, "key"));
	fleet_http_reply_problem(
		req, 404, "key-not-found", extra, "There is no API key '%s'", fleet_http_param(req, "key"));
}

void api_keys_get(struct fleet_http_request *req, void *arg)
{
	const struct console *console = arg;
	const struct api_key *key = keys_get(&console->keys, fleet_http_param(req, "key"));

	if (key)
		fleet_http_reply_json(req, 200, api_key_to_json(key, fleet_clock_wall_ms()));
	else
		reply_not_found(req);
}

/* --- changes ----------------------------------------------------------------------------------------- */

static void reply(struct fleet_http_request *req, int status, int result, const struct api_key *key,
	const char *secret, const struct fleet_error *err)
{
	struct json_object *body;

	switch (result) {
	case 0:
		body = api_key_to_json(key, fleet_clock_wall_ms());
		fleet_json_add_string(body, "key", secret);
		fleet_http_reply_json(req, status, body);
		break;
	case -ENOENT:
		reply_not_found(req);
		break;
	case -EINVAL:
		(void)api_refuse(req, "name", "%s", err->message);
		break;
	case -EEXIST:
	case -EALREADY:
	case -EPERM:
		fleet_http_reply_problem(req, 409, "conflict", NULL, "%s", err->message);
		break;
	case -EDQUOT:
		fleet_http_reply_problem(req, 429, "rate-limited", NULL, "%s", err->message);
		break;
	default:
		api_reply_store_failed(req, result, err);
		break;
	}
}

static void on_changed(
	int result, const struct api_key *key, const char *secret, const struct fleet_error *err, void *arg)
{
	reply(arg, 200, result, key, secret, err);
}

static void on_created(
	int result, const struct api_key *key, const char *secret, const struct fleet_error *err, void *arg)
{
	struct fleet_http_request *req = arg;
	_cleanup_free_ char *location = key ? xasprintf("/api/keys/%s", key->id) : NULL;

	if (location)
		fleet_http_add_header(req, "Location", location);
	reply(req, 201, result, key, secret, err);
}

static struct keys_by who_asks(const struct fleet_http_request *req)
{
	return (struct keys_by){auth_actor(req), fleet_http_peer(req)};
}

static bool read_expiry(struct fleet_http_request *req, struct json_object *body, int64_t *ret_ms)
{
	const char *text = fleet_json_string(body, "expiresAt");

	if (!text)
		return true;
	if (fleet_timestamp_parse(text, ret_ms) < 0 || *ret_ms <= fleet_clock_wall_ms())
		return api_refuse(req, "expiresAt", "must be a time to come, as 2030-01-31T23:59:59Z");
	return true;
}

void api_keys_create(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;
	struct json_object *body = fleet_http_json_body(req, create_fields);
	_cleanup_(api_key_unrefp) struct api_key *key = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	enum role role = ROLE_VIEWER;
	struct keys_by by;

	if (!body) /* it was answered: gone */
		return;
	by = who_asks(req);
	if (role_from_string(fleet_json_string(body, "role"), &role) < 0)
		abort(); /* the table of fields has held it */
	key = api_key_new(fleet_json_string(body, "name"), role);
	if (!read_expiry(req, body, &key->expires_ms))
		return;
	if (key_limits_parse(fleet_json_object(body, "limits"), "limits", &key->limits, &err) < 0) {
		(void)api_refuse(req, "limits", "%s", err.message);
		return;
	}
	keys_create(&console->keys, TAKE_PTR(key), &by, on_created, req);
}

void api_keys_rotate(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;
	struct json_object *body = fleet_http_json_body(req, rotate_fields);
	struct keys_by by;

	if (!body)
		return;
	by = who_asks(req);
	keys_rotate(&console->keys, fleet_http_param(req, "key"),
		fleet_json_int(body, "overlapSeconds", 0) * 1000, &by, on_changed, req);
}

void api_keys_revoke(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;
	struct keys_by by = who_asks(req);

	keys_revoke(&console->keys, fleet_http_param(req, "key"), &by, on_changed, req);
}
