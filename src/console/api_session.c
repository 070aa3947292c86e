/* /api/session: a dashboard's login and logout, and for everybody: who am I here? */
#include "console/api.h"
#include "fleet/limits.h"

static const struct fleet_json_field login_fields[] = {
	{"key", FLEET_JSON_STRING, FLEET_JSON_REQUIRED, .min = 1, .max = FLEET_API_KEY_MAX},
	{0},
};

void api_session_log_in(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;
	struct json_object *body = fleet_http_json_body(req, login_fields);

	if (body)
		auth_log_in(&console->auth, req, fleet_json_string(body, "key"));
}

void api_session_get(struct fleet_http_request *req, void *arg)
{
	const struct console *console = arg;

	fleet_http_reply_json(req, 200, auth_describe(&console->auth, req));
}

void api_session_log_out(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;

	auth_log_out(&console->auth, req);
	events_check(console->events);
}
