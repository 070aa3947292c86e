/* Bodies of POST /api/agents/:agentId/..., each to its handler: the first byte says which ('r', 'p', 'u',
 * 'b'), the first line after it is the Idempotency-Key, the rest is the body. Around api_operations.c there
 * is no console here but what follows: a request that is answered once, by a refusal or by a command that the
 * server would take. */
#include "console/api.h"
#include "fleet/ids.h"
#include "fleet/limits.h"
#include "fuzz.h"

struct fleet_http_request {
	const struct fuzz_text *body;
	const char *key; /* NULL: none */
	struct json_object *json;
	unsigned answers;
	int status;
};

static struct agent agent = {.id = (char[]){"agent-1"}};

/* ---- what the handlers call ---- */

struct agent *api_find_agent(
	struct console *console FLEET_UNUSED, struct fleet_http_request *req FLEET_UNUSED)
{
	return &agent;
}

bool api_check_app(struct fleet_http_request *req FLEET_UNUSED, const struct agent *a, const char *app_id)
{
	FUZZ_CHECK(a == &agent && fleet_id_is_valid(app_id), "an app '%s'", app_id);
	return true;
}

bool api_refuse(struct fleet_http_request *req, const char *field, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	FUZZ_CHECK(*field && *text, "a refusal without words");
	free(text);
	req->answers++;
	req->status = 400;
	return false;
}

void api_reply_store_failed(
	struct fleet_http_request *req, int result FLEET_UNUSED, const struct fleet_error *err FLEET_UNUSED)
{
	req->answers++;
	req->status = 503;
}

const char *auth_actor(const struct fleet_http_request *req FLEET_UNUSED)
{
	return "somebody";
}

const char *fleet_http_peer(const struct fleet_http_request *req FLEET_UNUSED)
{
	return "127.0.0.1";
}

const char *fleet_http_header(const struct fleet_http_request *req, const char *name)
{
	return str_equal(name, "Idempotency-Key") ? req->key : NULL;
}

void fleet_http_add_header(
	struct fleet_http_request *req FLEET_UNUSED, const char *name FLEET_UNUSED, const char *value)
{
	FUZZ_CHECK(!strpbrk(value, "\r\n"), "a header of two lines");
}

void fleet_http_reply_json(struct fleet_http_request *req, int status, struct json_object *takes_body)
{
	json_object_put(takes_body);
	req->answers++;
	req->status = status;
}

void fleet_http_reply_problem(struct fleet_http_request *req, int status, const char *kind FLEET_UNUSED,
	struct json_object *extra, const char *fmt FLEET_UNUSED, ...)
{
	json_object_put(extra);
	req->answers++;
	req->status = status;
}

struct json_object *fleet_http_json_body(
	struct fleet_http_request *req, const struct fleet_json_field *fields)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	if (fleet_json_parse(req->body->data, req->body->len, FLEET_HTTP_BODY_MAX, &req->json, &err) == 0 &&
		json_object_is_type(req->json, json_type_object) &&
		fleet_json_check_strict(req->json, fields, "$", &err) == 0)
		return req->json;
	fleet_http_reply_problem(req, 400, "invalid-request", NULL, "%s", err.message);
	return NULL;
}

struct json_object *command_to_json(const struct command *c)
{
	return json_object_get(c->args);
}

void command_cut_urls(char *text FLEET_UNUSED) {} /* of what is shown, which nothing is here */

void commands_create(struct commands *commands FLEET_UNUSED, const struct command_request *request,
	commands_created *done, void *arg)
{
	struct command command = {.id = "00000000-0000-4000-8000-000000000001", .args = request->args};
	_cleanup_json_ struct json_object *payload = json_object_new_object(), *back = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	const char *text;
	size_t len;
	int r;

	fleet_json_add_int(payload, "v", 1);
	fleet_json_add_string(payload, "agentId", request->agent_id);
	fleet_json_add_string(payload, "appId", request->app_id);
	fleet_json_add_string(payload, "commandId", command.id);
	fleet_json_add_string(payload, "action", fleet_action_to_string(request->action));
	fleet_json_add_string(payload, "actor", request->actor);
	fleet_json_add_time(payload, "issuedAt", INT64_C(1700000000000));
	fleet_json_add_time(payload, "expiresAt", INT64_C(1700000600000));
	fleet_json_add(payload, "args", json_object_get(request->args));
	r = fleet_command_check(payload, &err);
	text = fleet_json_text(payload, &len);
	FUZZ_CHECK(r == 0, "a body was taken that makes no command: %s\n%s", err.message, text);
	r = fleet_json_parse(text, len, FLEET_MESSAGE_MAX, &back, &err);
	FUZZ_CHECK(r == 0, "the command is not to be read back: %s\n%s", err.message, text);
	done(0, &command, &err, arg);
}

/* One release is registered, as a file of the console; another has lost its file. */
const struct artifact *artifacts_find(
	const struct artifacts *artifacts FLEET_UNUSED, const char *app_id, const char *version)
{
	static char newer[] = "2.0", older[] = "1.0";
	static const struct artifact here = {.id = "00000000-0000-4000-8000-000000000002", .version = newer},
				     lost = {.version = older, .lost = true};

	FUZZ_CHECK(fleet_id_is_valid(app_id), "an app '%s'", app_id);
	return str_equal(version, "2.0") ? &here : str_equal(version, "1.0") ? &lost : NULL;
}

char *artifacts_versions(const struct artifacts *artifacts FLEET_UNUSED, const char *app_id FLEET_UNUSED)
{
	return xstrdup("2.0, 1.0");
}

/* ---- the target ---- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct {
		char letter;
		fleet_http_handler *handler;
	} handlers[] = {{'p', api_push_config}, {'u', api_update_app}, {'r', api_restart_app},
		{'b', api_rollback_app}};
	struct fuzz_text rest = {(const char *)data + 1, size - 1}, line = {"", 0};
	_cleanup_free_ char *key = NULL;
	struct fleet_http_request req = {.body = &rest};
	static struct console console;
	size_t which = 0;

	if (size == 0)
		return 0;
	(void)fuzz_next_line(&rest, &line);
	key = line.len > 0 ? xstrndup(line.data, line.len) : NULL;
	req.key = key;
	for (size_t i = 0; i < FLEET_ARRAY_LEN(handlers); i++) {
		if (handlers[i].letter == (char)data[0])
			which = i;
	}
	handlers[which].handler(&req, &console);
	FUZZ_CHECK(req.answers == 1, "%u answers", req.answers);
	FUZZ_CHECK(req.status == 202 || req.status == 400 || req.status == 422, "status %d", req.status);
	json_object_put(req.json);
	return 0;
}
