/* GET /api/agents/:agentId/apps/:appId/logs and config: asked of the server itself, kept nowhere. */
#include "console/api.h"
#include "fleet/clock.h"
#include "fleet/ids.h"
#include "fleet/limits.h"

struct reading {
	struct fleet_http_request *req;
	char *agent_id, *app_id; /* owned */
	const char *const *members;
};

/* How a server's errorCode looks over HTTP; what is not here is 502 server-failed. */
static const struct {
	const char *code, *kind;
	int status;
} refusals[] = {
	{"app-not-found", "app-not-found", 404},
	{"invalid-settings", "not-found", 404}, /* a file that the app does not declare */
	{"not-allowed-by-server", "not-allowed-by-server", 422},
	{"busy", "unavailable", 503},
	{"no-driver-host", "unavailable", 503},
	{"driver-timeout", "unavailable", 504},
};

static void reply_refused(const struct reading *reading, const char *code, const char *message)
{
	struct json_object *extra = json_object_new_object();
	const char *kind = "server-failed";
	int status = 502;

	for (size_t i = 0; i < FLEET_ARRAY_LEN(refusals); i++) {
		if (str_equal(code, refusals[i].code)) {
			kind = refusals[i].kind;
			status = refusals[i].status;
		}
	}
	fleet_json_add_string(extra, "agentId", reading->agent_id);
	fleet_json_add_string(extra, "appId", reading->app_id);
	fleet_json_add_string(extra, "errorCode", code);
	fleet_http_reply_problem(reading->req, status, kind, extra, "%s",
		message ? message : "the server did not say why it does not answer");
}

static void on_answered(struct json_object *result, const char *why, void *arg)
{
	struct reading *reading = arg;
	const char *code = fleet_json_string(result, "errorCode");

	if (!result) {
		struct json_object *extra = json_object_new_object();

		fleet_json_add_string(extra, "agentId", reading->agent_id);
		fleet_http_reply_problem(reading->req, 504, "unavailable", extra, "%s", why);
	} else if (code) {
		reply_refused(reading, code, fleet_json_string(result, "message"));
	} else {
		struct json_object *body = json_object_new_object();

		fleet_json_add_string(body, "agentId", reading->agent_id);
		fleet_json_add_string(body, "appId", reading->app_id);
		for (size_t i = 0; reading->members[i]; i++)
			fleet_json_add(body, reading->members[i],
				json_object_get(fleet_json_get(result, reading->members[i])));
		fleet_http_reply_json(reading->req, 200, body);
	}
	free(reading->agent_id);
	free(reading->app_id);
	free(reading);
}

static void ask(struct console *console, struct fleet_http_request *req, enum fleet_query query,
	struct json_object *args, const char *const *members)
{
	const struct agent *agent = api_find_agent(console, req);
	const char *app_id =
		agent ? fleet_http_param(req, "appId") : NULL; /* without it req was answered: gone */
	struct reading *reading;

	if (!agent || !api_check_app(req, agent, app_id))
		return;
	reading = xcalloc(1, sizeof(*reading));
	*reading = (struct reading){req, xstrdup(agent->id), xstrdup(app_id), members};
	hub_query(console->hub,
		&(struct hub_query_request){
			.query = query,
			.agent_id = reading->agent_id,
			.app_id = reading->app_id,
			.actor = auth_actor(req),
			.args = args,
		},
		on_answered, reading);
}

void api_app_logs(struct fleet_http_request *req, void *arg)
{
	static const char *const members[] = {"lines", "left", "driver", NULL};
	_cleanup_json_ struct json_object *args = json_object_new_object();
	const char *lines = fleet_http_query(req, "lines"), *since = fleet_http_query(req, "since");
	long count = FLEET_LOG_LINES_DEFAULT;
	int64_t since_ms;

	if (lines) {
		char *end;

		errno = 0;
		count = strtol(lines, &end, 10);
		if (errno || end == lines || *end || count < 1 || count > FLEET_DRIVER_LOG_LINES_MAX) {
			(void)api_refuse(
				req, "lines", "must be a number from 1 to %d", FLEET_DRIVER_LOG_LINES_MAX);
			return;
		}
	}
	if (since && fleet_timestamp_parse(since, &since_ms) < 0) {
		(void)api_refuse(req, "since", "must be a time such as 2026-01-31T23:59:59Z");
		return;
	}
	fleet_json_add_int(args, "lines", count);
	if (since)
		fleet_json_add_time(args, "since", since_ms);
	ask(arg, req, FLEET_QUERY_READ_LOGS, args, members);
}

void api_app_config(struct fleet_http_request *req, void *arg)
{
	static const char *const members[] = {"file", "driver", "settings", "left", "hash", "readAt", NULL};
	_cleanup_json_ struct json_object *args = json_object_new_object();
	const char *file;

	if (!api_read_id(req, "file", &file))
		return;
	fleet_json_add_string(args, "file", file ? file : "main");
	ask(arg, req, FLEET_QUERY_READ_CONFIG, args, members);
}
