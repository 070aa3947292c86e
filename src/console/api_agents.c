/* GET /api/agents, /api/agents/:agentId, /api/apps; POST /api/agents/:agentId/ping. */
#include "console/api.h"
#include "fleet/limits.h"

static bool status_fits(const struct agent *agent, const char *status)
{
	return !status || agent->online == (strcmp(status, "online") == 0);
}

/* "key" or "key=value" */
static bool label_fits(const struct agent *agent, const char *label)
{
	struct json_object *labels = fleet_json_object(agent->doc, "labels");
	const char *equals = label ? strchr(label, '=') : NULL;
	_cleanup_free_ char *key = NULL;
	const char *value;

	if (!label)
		return true;
	key = xstrndup(label, equals ? (size_t)(equals - label) : strlen(label));
	value = labels ? fleet_json_string(labels, key) : NULL;
	return value && (!equals || strcmp(value, equals + 1) == 0);
}

void api_agents_list(struct fleet_http_request *req, void *arg)
{
	static const char *const params[] = {"status", "label", "app", NULL};
	const struct console *console = arg;
	const struct id_table *agents = &console->registry.agents;
	const char *status = fleet_http_query(req, "status"), *label = fleet_http_query(req, "label"), *app;
	const char *last = NULL, *next = NULL;
	struct json_object *array;
	struct api_page page;

	if (!api_read_page(req, FLEET_PAGE_DEFAULT, &page) || !api_read_id(req, "app", &app))
		return;
	if (status && strcmp(status, "online") != 0 && strcmp(status, "offline") != 0) {
		(void)api_refuse(req, "status", "must be online or offline");
		return;
	}
	array = json_object_new_array();
	for (size_t i = id_table_after(agents, page.cursor); i < agents->count && !next; i++) {
		const struct agent *agent = agents->entries[i].value;

		if (!auth_sees(&console->auth, req, agent->id) || !status_fits(agent, status) ||
			!label_fits(agent, label) || (app && !agent_app(agent, app)))
			continue;
		if (json_object_array_length(array) == (size_t)page.limit) {
			next = last;
			break;
		}
		json_object_array_add(array, json_object_get(agent->doc));
		last = agent->id;
	}
	api_reply_page(req, array, next, params);
}

/* With what is known of its right to be one, where it has joined or an operator has said something. */
void api_agents_get(struct fleet_http_request *req, void *arg)
{
	const struct console *console = arg;
	const struct agent *agent = api_find_agent(arg, req);
	const struct member *m = agent ? members_get(&console->members, agent->id) : NULL;
	struct json_object *body;

	if (!agent)
		return;
	if (!m) {
		fleet_http_reply_json(req, 200, json_object_get(agent->doc));
		return;
	}
	body = json_object_new_object();
	json_object_object_foreach (agent->doc, key, value)
		fleet_json_add(body, key, json_object_get(value));
	fleet_json_add(body, "access", member_to_json(m));
	fleet_http_reply_json(req, 200, body);
}

void api_agents_ping(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;
	const struct agent *agent = api_find_agent(console, req);

	if (agent)
		hub_ping(console->hub, agent->id, req);
}

/* --- apps of the whole fleet --------------------------------------------------------------------------- */

static bool is_problem(const struct agent *agent, struct json_object *app)
{
	const char *status = fleet_json_string(app, "status"), *health = fleet_json_string(app, "health");

	return !agent->online || str_equal(status, "failed") || str_equal(health, "unhealthy");
}

static struct json_object *app_with_agent(const struct agent *agent, struct json_object *app)
{
	struct json_object *copy = json_object_new_object();

	fleet_json_add_string(copy, "agentId", agent->id);
	fleet_json_add_bool(copy, "agentOnline", agent->online);
	json_object_object_foreach (app, key, value)
		fleet_json_add(copy, key, json_object_get(value));
	return copy;
}

static void add_apps(struct json_object *array, const struct agent *agent, const char *wanted,
	const char *status, bool only_problems)
{
	struct json_object *apps = fleet_json_array(agent->doc, "apps");

	for (size_t i = 0; apps && i < json_object_array_length(apps); i++) {
		struct json_object *app = json_object_array_get_idx(apps, i);

		if ((!wanted || str_equal(fleet_json_string(app, "id"), wanted)) &&
			(!status || str_equal(fleet_json_string(app, "status"), status)) &&
			(!only_problems || is_problem(agent, app)))
			json_object_array_add(array, app_with_agent(agent, app));
	}
}

static bool is_status(const char *text)
{
	static const char *const statuses[] = {
		"running", "done", "stopped", "failed", "starting", "stopping", "unknown"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(statuses); i++) {
		if (str_equal(statuses[i], text))
			return true;
	}
	return false;
}

/* A page ends with the last app of an agent, so it may hold a few more than its limit. */
void api_apps_list(struct fleet_http_request *req, void *arg)
{
	static const char *const params[] = {"app", "status", "problems", NULL};
	const struct console *console = arg;
	const struct id_table *agents = &console->registry.agents;
	const char *problems = fleet_http_query(req, "problems"), *status = fleet_http_query(req, "status"),
		   *wanted;
	const char *next = NULL;
	struct json_object *array;
	struct api_page page;

	if (!api_read_page(req, FLEET_PAGE_DEFAULT, &page) || !api_read_id(req, "app", &wanted))
		return;
	if (problems && strcmp(problems, "true") != 0 && strcmp(problems, "false") != 0) {
		(void)api_refuse(req, "problems", "must be true or false");
		return;
	}
	if (status && !is_status(status)) {
		(void)api_refuse(req, "status",
			"must be running, done, stopped, failed, starting, stopping or unknown");
		return;
	}
	array = json_object_new_array();
	for (size_t i = id_table_after(agents, page.cursor); i < agents->count && !next; i++) {
		const struct agent *agent = agents->entries[i].value;

		if (auth_sees(&console->auth, req, agent->id))
			add_apps(array, agent, wanted, status, str_equal(problems, "true"));
		if (json_object_array_length(array) >= (size_t)page.limit && i + 1 < agents->count)
			next = agent->id;
	}
	api_reply_page(req, array, next, params);
}
