/* GET /api/agents/:agentId/apps/:appId/config/history and snapshots: what the console keeps of an app's
 * config. */
#include "console/api.h"
#include "fleet/limits.h"

static const char *const params[] = {"file", NULL};

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

static void list(struct fleet_http_request *req, struct console *console,
	void (*ask)(struct store *store, const struct config_file *file, struct store_page page,
		store_list *done, void *arg))
{
	const struct agent *agent = api_find_agent(console, req);
	struct config_file file = {0};
	struct api_page page;

	if (!agent) /* it was answered: gone */
		return;
	file.agent_id = agent->id;
	file.app_id = fleet_http_param(req, "appId");
	/* of an app that is no longer declared there is still a history */
	if (!api_read_page(req, FLEET_PAGE_DEFAULT, &page) || !api_read_id(req, "file", &file.file))
		return;
	ask(console->store, &file, (struct store_page){page.limit, page.cursor}, on_listed, req);
}

void api_config_history(struct fleet_http_request *req, void *arg)
{
	list(req, arg, store_config_history);
}

void api_config_snapshots(struct fleet_http_request *req, void *arg)
{
	list(req, arg, store_snapshot_query);
}
