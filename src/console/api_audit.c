/* GET /api/audit */
#include "console/api.h"
#include "fleet/clock.h"
#include "fleet/ids.h"
#include "fleet/limits.h"

static const char *const params[] = {
	"agentId", "appId", "category", "actor", "commandId", "from", "to", "requests", "order", NULL};

static void on_listed(
	int result, struct json_object *array, const char *next, const struct fleet_error *err, void *arg)
{
	struct fleet_http_request *req = arg;

	if (result == -EINVAL)
		(void)api_refuse(req, "cursor", "is none of this console's");
	else if (result < 0)
		api_reply_store_failed(req, result, err);
	else
		api_reply_page(req, json_object_get(array), next, params);
}

static bool read_time(struct fleet_http_request *req, const char *name, int64_t *ret)
{
	const char *text = fleet_http_query(req, name);

	if (text && fleet_timestamp_parse(text, ret) < 0)
		return api_refuse(req, name, "must be a time, as 2026-01-31T23:59:59Z");
	return true;
}

static bool read_category(struct fleet_http_request *req, const char **ret)
{
	static const char *const categories[] = {
		"request", "agent", "restart", "config", "update", "access", "system"};
	const char *text = fleet_http_query(req, "category");

	*ret = text;
	for (size_t i = 0; text && i < FLEET_ARRAY_LEN(categories); i++) {
		if (strcmp(text, categories[i]) == 0)
			return true;
	}
	return !text || api_refuse(req, "category",
				"must be request, agent, restart, config, update, access or system");
}

void api_audit_list(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;
	_cleanup_json_ struct json_object *only_agents = NULL;
	struct audit_filter filter = {0};
	const char *requests = fleet_http_query(req, "requests"), *order = fleet_http_query(req, "order");
	struct api_page page;

	if (!api_read_page(req, FLEET_AUDIT_PAGE_DEFAULT, &page) ||
		!api_read_id(req, "agentId", &filter.agent_id) ||
		!api_read_id(req, "appId", &filter.app_id) || !read_category(req, &filter.category) ||
		!read_time(req, "from", &filter.from_ms) || !read_time(req, "to", &filter.to_ms))
		return;
	filter.actor = fleet_http_query(req, "actor");
	filter.command_id = fleet_http_query(req, "commandId");
	if (filter.command_id && !fleet_uuid_is_valid(filter.command_id)) {
		(void)api_refuse(req, "commandId", "must be a whole commandId");
		return;
	}
	if (requests && strcmp(requests, "true") != 0 && strcmp(requests, "false") != 0) {
		(void)api_refuse(req, "requests", "must be true or false");
		return;
	}
	if (order && strcmp(order, "newest") != 0 && strcmp(order, "oldest") != 0) {
		(void)api_refuse(req, "order", "must be newest or oldest: which come first");
		return;
	}
	filter.oldest_first = str_equal(order, "oldest");
	filter.hide_requests = str_equal(requests, "false");
	only_agents = auth_agents_seen(&console->auth, req);
	filter.only_agents = only_agents;
	store_audit_query(
		console->store, &filter, (struct store_page){page.limit, page.cursor}, on_listed, req);
}
