/* GET /api/audit/doubts and POST /api/audit/accept-gap: what agents miss in the audit log. */
#include "console/api.h"

#define REASON_MAX 500

static void on_doubts(
	int result, struct json_object *array, const char *next, const struct fleet_error *err, void *arg)
{
	struct fleet_http_request *req = arg;

	(void)next;
	if (result < 0)
		api_reply_store_failed(req, result, err);
	else
		fleet_http_reply_json(req, 200, json_object_get(array));
}

void api_audit_doubts(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;

	store_witness_doubts(console->store, on_doubts, req);
}

static void on_accepted(int result, const struct fleet_error *err, void *arg)
{
	struct fleet_http_request *req = arg;

	if (result == -ENOENT)
		fleet_http_reply_problem(req, 409, "conflict", NULL, "%s", err->message);
	else if (result < 0)
		api_reply_store_failed(req, result, err);
	else
		fleet_http_reply_json(req, 200, json_object_new_object());
}

static const struct fleet_json_field accept_fields[] = {
	{"reason", FLEET_JSON_STRING, FLEET_JSON_REQUIRED, .min = 1, .max = REASON_MAX},
	{0},
};

void api_audit_accept_gap(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;
	struct json_object *body = fleet_http_json_body(req, accept_fields);
	_cleanup_free_ char *message = NULL;

	if (!body || !api_check_plain(req, "reason", fleet_json_string(body, "reason")))
		return;
	message = xasprintf("the gap in the audit log was accepted by %s: %s", auth_actor(req),
		fleet_json_string(body, "reason"));
	store_witness_accept(console->store,
		&(struct audit_event){.category = "system",
			.actor = auth_actor(req),
			.source_address = fleet_http_peer(req),
			.message = message},
		on_accepted, req);
}
