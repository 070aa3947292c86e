#include "console/api.h"

#include <event2/http.h>

#include "fleet/buffer.h"
#include "fleet/ids.h"
#include "fleet/limits.h"
#include "fleet/log.h"

#define CURSOR_MAX 256

bool api_refuse(struct fleet_http_request *req, const char *field, const char *fmt, ...)
{
	struct json_object *extra = json_object_new_object();
	_cleanup_free_ char *why = NULL;
	va_list ap;

	va_start(ap, fmt);
	why = xvasprintf(fmt, ap);
	va_end(ap);
	fleet_json_add_string(extra, "field", field);
	fleet_http_reply_problem(req, 400, "invalid-request", extra, "%s: %s", field, why);
	return false;
}

bool api_read_page(struct fleet_http_request *req, int default_limit, struct api_page *ret)
{
	const char *limit = fleet_http_query(req, "limit"), *cursor = fleet_http_query(req, "cursor");
	struct api_page page = {default_limit, cursor && *cursor ? cursor : NULL};

	if (limit) {
		char *end;
		long value;

		errno = 0;
		value = strtol(limit, &end, 10);
		if (errno || end == limit || *end || value < 1 || value > FLEET_PAGE_MAX)
			return api_refuse(req, "limit", "must be a number from 1 to %d", FLEET_PAGE_MAX);
		page.limit = (int)value;
	}
	if (cursor && strlen(cursor) > CURSOR_MAX)
		return api_refuse(req, "cursor", "is none of this console's");
	*ret = page;
	return true;
}

bool api_read_id(struct fleet_http_request *req, const char *name, const char **ret)
{
	const char *id = fleet_http_query(req, name);

	if (id && !fleet_id_is_valid(id))
		return api_refuse(req, name, "must be an id: at most %d letters, digits, '.', '_' and '-'",
			FLEET_ID_MAX);
	*ret = id;
	return true;
}

static void add_parameter(struct fleet_buffer *url, const char *name, const char *value)
{
	char *encoded = value ? evhttp_encode_uri(value) : NULL;

	if (encoded)
		fleet_buffer_printf(
			url, "%c%s=%s", memchr(url->data, '?', url->len) ? '&' : '?', name, encoded);
	free(encoded);
}

void api_reply_page(struct fleet_http_request *req, struct json_object *takes_array, const char *next,
	const char *const *params)
{
	_cleanup_buffer_ struct fleet_buffer link = FLEET_BUFFER_INIT;

	if (next) {
		fleet_buffer_printf(&link, "<%s", fleet_http_path(req));
		for (size_t i = 0; params[i]; i++)
			add_parameter(&link, params[i], fleet_http_query(req, params[i]));
		add_parameter(&link, "limit", fleet_http_query(req, "limit"));
		add_parameter(&link, "cursor", next);
		fleet_buffer_add_string(&link, ">; rel=\"next\"");
		fleet_http_add_header(req, "Link", link.data);
	}
	fleet_http_reply_json(req, 200, takes_array);
}

struct agent *api_find_agent(struct console *console, struct fleet_http_request *req)
{
	const char *id = fleet_http_param(req, "agentId");
	struct agent *agent = registry_get(&console->registry, id);
	const char *suggestion;
	struct json_object *extra;

	if (agent)
		return agent;
	suggestion = registry_suggest(&console->registry, id);
	if (suggestion && !auth_sees(&console->auth, req, suggestion))
		suggestion = NULL;
	extra = json_object_new_object();
	fleet_json_add_string(extra, "agentId", id);
	fleet_json_add_string(extra, "suggestion", suggestion);
	if (suggestion)
		fleet_http_reply_problem(req, 404, "agent-not-found", extra,
			"Agent '%s' not found. Did you mean %s?", id, suggestion);
	else
		fleet_http_reply_problem(req, 404, "agent-not-found", extra, "Agent '%s' not found", id);
	return NULL;
}

bool api_check_app(struct fleet_http_request *req, const struct agent *agent, const char *app_id)
{
	const char *suggestion;
	struct json_object *extra;

	if (agent_app(agent, app_id))
		return true;
	suggestion = agent_suggest_app(agent, app_id);
	extra = json_object_new_object();
	fleet_json_add_string(extra, "agentId", agent->id);
	fleet_json_add_string(extra, "appId", app_id);
	fleet_json_add_string(extra, "suggestion", suggestion);
	if (suggestion)
		fleet_http_reply_problem(req, 404, "app-not-found", extra,
			"App '%s' not found on %s. Did you mean %s?", app_id, agent->id, suggestion);
	else
		fleet_http_reply_problem(
			req, 404, "app-not-found", extra, "App '%s' not found on %s", app_id, agent->id);
	return false;
}

void api_reply_store_failed(struct fleet_http_request *req, int result, const struct fleet_error *err)
{
	log_error("%s %s: the store failed: %s", fleet_http_method(req), fleet_http_path(req),
		err && *err->message ? err->message : strerror(-result));
	fleet_http_reply_problem(req, 503, "unavailable", NULL,
		"the console's store does not work at the moment: its log says why");
}
