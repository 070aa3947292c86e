/* Who may be an agent: POST /api/agents/:agentId/revoke and allow-rejoin, DELETE /api/agents/:agentId; GET
 * /api/join, where agents join. */
#include "console/api.h"
#include "fleet/clock.h"
#include "fleet/ids.h"
#include "fleet/limits.h"

struct changing {
	struct console *console;
	struct fleet_http_request *req;
	char *agent_id; /* owned */
};

static struct changing *changing_new(
	struct console *console, struct fleet_http_request *req, const char *agent_id)
{
	struct changing *c = xcalloc(1, sizeof(*c));

	*c = (struct changing){console, req, xstrdup(agent_id)};
	return c;
}

/* What is known of the agent's right to be one. */
static struct json_object *access_of(const struct console *console, const char *agent_id)
{
	const struct member *m = members_get(&console->members, agent_id);
	struct json_object *body = m ? member_to_json(m) : json_object_new_object();

	fleet_json_add_string(body, "agentId", agent_id);
	return body;
}

static void on_changed(int result, const struct fleet_error *err, void *arg)
{
	struct changing *c = arg;

	if (result < 0)
		api_reply_store_failed(c->req, result, err);
	else
		fleet_http_reply_json(c->req, 200, access_of(c->console, c->agent_id));
	free(c->agent_id);
	free(c);
}

/* An agent that this console has heard of, or that has joined; else 404 was answered. */
static const char *find_agent(struct console *console, struct fleet_http_request *req)
{
	const char *id = fleet_http_param(req, "agentId");
	const struct agent *agent;

	if (members_get(&console->members, id))
		return id;
	agent = api_find_agent(console, req);
	return agent ? agent->id : NULL;
}

/* Of a request that is not answered yet. */
static struct member_asker asker_of(const struct fleet_http_request *req)
{
	return (struct member_asker){.actor = auth_actor(req), .source_address = fleet_http_peer(req)};
}

/* Of the request's agent; NULL where there is none, and the request is answered. */
static struct changing *begin_change(
	struct console *console, struct fleet_http_request *req, struct member_asker *ret_asker)
{
	const char *id = find_agent(console, req);

	if (!id)
		return NULL;
	*ret_asker = asker_of(req);
	return changing_new(console, req, id);
}

void api_agents_revoke(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;
	struct member_asker asker = {0};
	struct changing *c = begin_change(console, req, &asker);

	if (!c)
		return;
	members_revoke(&console->members, c->agent_id, &asker, on_changed, c);
	hub_cut(console->hub, c->agent_id, "the agent was revoked");
	api_artifacts_file_check(console, c->agent_id);
}

void api_agents_remove(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;
	struct member_asker asker = {0};
	struct changing *c = begin_change(console, req, &asker);

	if (!c)
		return;
	/* In this order: what the end of the connection has saved must not come after the removal. */
	hub_cut(console->hub, c->agent_id, "the agent was removed");
	api_artifacts_file_check(console, c->agent_id);
	registry_remove(&console->registry, c->agent_id);
	members_remove(&console->members, c->agent_id, &asker, on_changed, c);
}

void api_agents_allow_rejoin(struct fleet_http_request *req, void *arg)
{
	static const struct fleet_json_field fields[] = {
		{"forSeconds", FLEET_JSON_INTEGER, FLEET_JSON_REQUIRED, .min = 1,
			.max = FLEET_REJOIN_LIFE_MAX_S},
		{0},
	};
	struct console *console = arg;
	struct json_object *body = fleet_http_json_body(req, fields);
	struct member_asker asker = {0};
	struct changing *c = body ? begin_change(console, req, &asker) : NULL;

	if (!c)
		return;
	members_allow_rejoin(&console->members, c->agent_id,
		fleet_clock_wall_ms() + fleet_json_int(body, "forSeconds", 0) * 1000, &asker, on_changed, c);
}

void api_join(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;

	if (console->farewell_ms)
		fleet_http_reply_problem(req, 503, "unavailable", NULL, "the console is stopping");
	else
		joining_serve(console->joining, req);
}
