/* Health, version, events, the hub's door and the dashboard's files. */
#include "console/api.h"

void api_events(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;

	events_serve(console->events, req, auth_reader(&console->auth, req));
}

void api_hub(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;

	hub_serve(console->hub, req);
}

void api_static(struct fleet_http_request *req, void *arg)
{
	const struct console *console = arg;

	static_files_serve(console->web, req);
}

static void reply_status(struct fleet_http_request *req, const char *status)
{
	struct json_object *body = json_object_new_object();

	fleet_json_add_string(body, "status", status);
	fleet_http_reply_json(req, 200, body);
}

/* The loop turns: that is all it says. */
void api_healthz(struct fleet_http_request *req, void *arg)
{
	(void)arg;
	reply_status(req, "ok");
}

static void on_store_answered(int result, const struct fleet_error *err, void *arg)
{
	struct fleet_http_request *req = arg;

	if (result < 0)
		api_reply_store_failed(req, result, err);
	else
		reply_status(req, "ready");
}

/* The store answers too. */
void api_readyz(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;
	const struct store_head *head = store_audit_head(console->store);

	if (console->farewell_ms)
		fleet_http_reply_problem(req, 503, "unavailable", NULL, "the console is stopping");
	else
		store_audit_contains(console->store, head->seq, head->hash, on_store_answered, req);
}

void api_version(struct fleet_http_request *req, void *arg)
{
	struct json_object *body = json_object_new_object();

	(void)arg;
	fleet_json_add_string(body, "name", "fleet-console");
	fleet_json_add_string(body, "version", PACKAGE_VERSION);
	fleet_json_add_string(body, "protocol", FLEET_SUBPROTOCOL);
	fleet_http_reply_json(req, 200, body);
}
