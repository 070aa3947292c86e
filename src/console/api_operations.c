/* POST /api/agents/:agentId/restart-app, push-config, update-app, rollback-app: each becomes a command that
 * is committed before its 202. */
#include <strings.h>

#include "console/api.h"
#include "fleet/ids.h"
#include "fleet/limits.h"

#define IDEMPOTENCY_KEY_MAX 200
#define HASH_LEN            71 /* sha256: and 64 digits */
#define SIGNATURE_MAX       4096

static const struct fleet_json_field app_only_fields[] = {
	{"appId", FLEET_JSON_ID, FLEET_JSON_REQUIRED, .min = 0},
	{0},
};
static const struct fleet_json_field push_fields[] = {
	{"appId", FLEET_JSON_ID, FLEET_JSON_REQUIRED, .min = 0},
	{"file", FLEET_JSON_ID, 0, .min = 0},
	{"settings", FLEET_JSON_OBJECT, 0, .max = FLEET_SETTINGS_PER_PUSH_MAX, .element = FLEET_JSON_ANY},
	{"stringSettings", FLEET_JSON_OBJECT, 0, .max = FLEET_SETTINGS_PER_PUSH_MAX,
		.element = FLEET_JSON_STRING},
	{"unset", FLEET_JSON_ARRAY, 0, .max = FLEET_SETTINGS_PER_PUSH_MAX, .element = FLEET_JSON_STRING},
	{"dryRun", FLEET_JSON_BOOLEAN, 0, .min = 0},
	{"expectHash", FLEET_JSON_STRING, 0, .min = HASH_LEN, .max = HASH_LEN},
	{"restoreOf", FLEET_JSON_UUID, 0, .min = 0},
	{0},
};
static const struct fleet_json_field update_fields[] = {
	{"appId", FLEET_JSON_ID, FLEET_JSON_REQUIRED, .min = 0},
	{"version", FLEET_JSON_STRING, FLEET_JSON_REQUIRED, .min = 1, .max = FLEET_VERSION_LEN_MAX},
	{"artifactUrl", FLEET_JSON_STRING, 0, .min = 1, .max = FLEET_URL_LEN_MAX},
	{"sha256", FLEET_JSON_STRING, 0, .min = 64, .max = 64},
	{"signature", FLEET_JSON_STRING, 0, .min = 1, .max = SIGNATURE_MAX},
	{"allowDowngrade", FLEET_JSON_BOOLEAN, 0, .min = 0},
	{0},
};

/* --- 202 --------------------------------------------------------------------------------------------- */

static void reply_accepted(struct fleet_http_request *req, const struct command *command)
{
	_cleanup_free_ char *location = xasprintf("/api/commands/%s", command->id);

	fleet_http_add_header(req, "Location", location);
	fleet_http_reply_json(req, 202, command_to_json(command));
}

static void on_created(int result, struct command *command, const struct fleet_error *err, void *arg)
{
	struct fleet_http_request *req = arg;
	const char *why = err ? err->message : "";

	switch (result) {
	case 0:
	case -EEXIST:
		reply_accepted(req, command);
		break;
	case -ENOTUNIQ:
		fleet_http_reply_problem(req, 409, "conflict", NULL,
			"this Idempotency-Key has asked for something else before: take a new one");
		break;
	case -EDQUOT:
		fleet_http_reply_problem(req, 429, "rate-limited", NULL, "%s", why);
		break;
	case -E2BIG:
		fleet_http_reply_problem(req, 413, "too-large", NULL, "%s", why);
		break;
	case -EINVAL:
		fleet_http_reply_problem(req, 400, "invalid-request", NULL, "%s", why);
		break;
	default:
		api_reply_store_failed(req, result, err);
		break;
	}
}

/* Keys name one wish of one person; they are not looked at further. */
static bool read_idempotency_key(struct fleet_http_request *req, const char **ret)
{
	const char *key = fleet_http_header(req, "Idempotency-Key");

	*ret = key;
	if (!key)
		return true;
	for (const char *c = key; *c; c++) {
		if (*c < 0x21 || *c > 0x7e)
			return api_refuse(req, "Idempotency-Key", "must be printable ASCII without spaces");
	}
	return (*key && strlen(key) <= IDEMPOTENCY_KEY_MAX) ||
	       api_refuse(req, "Idempotency-Key", "must have 1 to %d characters", IDEMPOTENCY_KEY_MAX);
}

/* make_args: the command's args from the body, owned; NULL where it has answered. */
static void handle(struct fleet_http_request *req, struct console *console, enum fleet_action action,
	const struct fleet_json_field *fields,
	struct json_object *(*make_args)(
		struct fleet_http_request *req, const struct console *console, struct json_object *body))
{
	const struct agent *agent = api_find_agent(console, req);
	_cleanup_json_ struct json_object *args = NULL;
	struct json_object *body;
	struct command_request request;
	const char *key;

	if (!agent)
		return;
	body = fleet_http_json_body(req, fields);
	if (!body || !read_idempotency_key(req, &key) ||
		!api_check_app(req, agent, fleet_json_string(body, "appId")))
		return;
	args = make_args(req, console, body);
	if (!args)
		return;
	request = (struct command_request){
		.action = action,
		.agent_id = agent->id,
		.app_id = fleet_json_string(body, "appId"),
		.actor = auth_actor(req),
		.source_address = fleet_http_peer(req),
		.idempotency_key = key,
		.args = args,
	};
	commands_create(&console->commands, &request, on_created, req);
}

/* --- push-config ------------------------------------------------------------------------------------- */

struct edits {
	struct fleet_http_request *req;
	struct json_object *array; /* borrowed */
	struct json_object *seen;  /* borrowed: the keys so far */
};

static bool check_key(struct edits *edits, const char *field, const char *key)
{
	size_t len = strlen(key);

	if (len == 0 || len > FLEET_KEY_PATH_MAX)
		return api_refuse(edits->req, field, "a key has 1 to %d bytes", FLEET_KEY_PATH_MAX);
	for (const char *c = key; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return api_refuse(edits->req, field, "a key holds no control characters");
	}
	if (json_object_object_get_ex(edits->seen, key, NULL))
		return api_refuse(edits->req, field, "the key '%s' is there twice", key);
	if (json_object_array_length(edits->array) >= FLEET_SETTINGS_PER_PUSH_MAX)
		return api_refuse(
			edits->req, field, "at most %d settings in one push", FLEET_SETTINGS_PER_PUSH_MAX);
	fleet_json_add_bool(edits->seen, key, true);
	return true;
}

static bool add_edit(struct edits *edits, const char *field, const char *op, const char *key,
	struct json_object *value, const char *mode)
{
	struct json_object *edit;
	size_t len = 0;

	if (!check_key(edits, field, key))
		return false;
	if (fleet_json_is_deeper(value, FLEET_VALUE_DEPTH_MAX))
		return api_refuse(edits->req, field,
			"the value of '%s' has more than %d levels of objects and arrays", key,
			FLEET_VALUE_DEPTH_MAX);
	if (value)
		(void)fleet_json_text(value, &len); /* as JSON, whatever it becomes in the file */
	if (len > FLEET_VALUE_MAX)
		return api_refuse(
			edits->req, field, "the value of '%s' has more than %u bytes", key, FLEET_VALUE_MAX);
	edit = json_object_new_object();
	fleet_json_add_string(edit, "op", op);
	fleet_json_add_string(edit, "key", key);
	if (mode) /* null is a value here, and absent is none */
		json_object_object_add(edit, "value", json_object_get(value));
	fleet_json_add_string(edit, "mode", mode);
	json_object_array_add(edits->array, edit);
	return true;
}

static bool add_settings(struct edits *edits, struct json_object *body)
{
	struct json_object *settings = fleet_json_object(body, "settings");
	struct json_object *strings = fleet_json_object(body, "stringSettings");
	struct json_object *unset = fleet_json_array(body, "unset");

	if (settings) {
		json_object_object_foreach (settings, key, value) {
			bool text = json_object_is_type(value, json_type_string);

			if (!add_edit(edits, "settings", "set", key, value, text ? "auto" : "json"))
				return false;
		}
	}
	if (strings) {
		json_object_object_foreach (strings, key, value) {
			if (!add_edit(edits, "stringSettings", "set", key, value, "string"))
				return false;
		}
	}
	for (size_t i = 0; unset && i < json_object_array_length(unset); i++) {
		if (!add_edit(edits, "unset", "unset",
			    json_object_get_string(json_object_array_get_idx(unset, i)), NULL, NULL))
			return false;
	}
	return true;
}

static struct json_object *push_args(
	struct fleet_http_request *req, const struct console *console, struct json_object *body)
{
	_cleanup_json_ struct json_object *seen = json_object_new_object();
	_cleanup_json_ struct json_object *array = json_object_new_array();
	struct edits edits = {req, array, seen};
	const char *file = fleet_json_string(body, "file"), *restore = fleet_json_string(body, "restoreOf");
	struct json_object *args;
	size_t count;

	(void)console;
	if (!add_settings(&edits, body))
		return NULL;
	count = json_object_array_length(array);
	if (count == 0 && !restore) {
		(void)api_refuse(
			req, "settings", "name at least one setting in settings, stringSettings or unset");
		return NULL;
	}
	if (count > 0 && restore) {
		(void)api_refuse(req, "restoreOf", "brings a whole file back: it goes with no settings");
		return NULL;
	}
	args = json_object_new_object();
	fleet_json_add_string(args, "file", file ? file : "main");
	fleet_json_add(args, "edits", TAKE_PTR(array));
	if (fleet_json_bool(body, "dryRun", false))
		fleet_json_add_bool(args, "dryRun", true);
	fleet_json_add_string(args, "expectHash", fleet_json_string(body, "expectHash"));
	fleet_json_add_string(args, "restoreOf", restore);
	return args;
}

/* --- update-app -------------------------------------------------------------------------------------- */

/* Where it comes from is the console's to know: the artifact that is registered for this app and version. */
static bool use_registered(struct fleet_http_request *req, const struct console *console,
	struct json_object *body, struct json_object *args)
{
	const char *app_id = fleet_json_string(body, "appId"), *version = fleet_json_string(body, "version");
	const char *sha256 = fleet_json_string(body, "sha256"),
		   *signature = fleet_json_string(body, "signature");
	const struct artifact *a = artifacts_find(&console->artifacts, app_id, version);
	_cleanup_free_ char *source = NULL, *others = NULL;
	struct json_object *extra = json_object_new_object();

	fleet_json_add_string(extra, "appId", app_id);
	fleet_json_add_string(extra, "field", "version");
	if (!a) {
		others = artifacts_versions(&console->artifacts, app_id);
		fleet_http_reply_problem(req, 422, "artifact-not-found", extra,
			"No artifact of %s %s is registered; %s%s", app_id, version,
			*others ? "there are: " : "there is none of this app", others);
		return false;
	}
	if (a->lost || (sha256 && a->sha256[0] && strcasecmp(sha256, a->sha256) != 0)) {
		fleet_http_reply_problem(req, 422, a->lost ? "artifact-not-found" : "conflict", extra,
			a->lost ? "The console has lost the file of %s %s (artifact %s): remove it and add "
				  "it "
				  "anew"
				: "%s %s is registered with another sha256 (artifact %s)",
			app_id, version, a->id);
		return false;
	}
	json_object_put(extra);
	source = artifact_source(a);
	fleet_json_add_string(args, "version", a->version);
	fleet_json_add_string(args, "artifactUrl", source);
	fleet_json_add_string(args, "sha256", sha256 ? sha256 : a->sha256[0] ? a->sha256 : NULL);
	fleet_json_add_string(args, "signature", signature ? signature : a->signature);
	return true;
}

static struct json_object *update_args(
	struct fleet_http_request *req, const struct console *console, struct json_object *body)
{
	static const char *const copied[] = {"version", "artifactUrl", "sha256", "signature"};
	const char *url = fleet_json_string(body, "artifactUrl");
	_cleanup_json_ struct json_object *args = json_object_new_object();

	if (!api_check_url(req, "artifactUrl", url) ||
		!api_check_sha256(req, "sha256", fleet_json_string(body, "sha256")))
		return NULL;
	if (!url && !use_registered(req, console, body, args))
		return NULL;
	for (size_t i = 0; url && i < FLEET_ARRAY_LEN(copied); i++)
		fleet_json_add(args, copied[i], json_object_get(fleet_json_get(body, copied[i])));
	if (fleet_json_bool(body, "allowDowngrade", false))
		fleet_json_add_bool(args, "allowDowngrade", true);
	return TAKE_PTR(args);
}

static struct json_object *no_args(
	struct fleet_http_request *req, const struct console *console, struct json_object *body)
{
	(void)req;
	(void)console;
	(void)body;
	return json_object_new_object();
}

void api_restart_app(struct fleet_http_request *req, void *arg)
{
	handle(req, arg, FLEET_ACTION_RESTART_APP, app_only_fields, no_args);
}

void api_push_config(struct fleet_http_request *req, void *arg)
{
	handle(req, arg, FLEET_ACTION_PUSH_CONFIG, push_fields, push_args);
}

void api_update_app(struct fleet_http_request *req, void *arg)
{
	handle(req, arg, FLEET_ACTION_UPDATE_APP, update_fields, update_args);
}

void api_rollback_app(struct fleet_http_request *req, void *arg)
{
	handle(req, arg, FLEET_ACTION_ROLLBACK_APP, app_only_fields, no_args);
}
