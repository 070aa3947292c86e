/* POST /api/agents/:id/ping: requestHeartbeat out, the heartbeat that names it back. */
#include "console/hub_link.h"
#include "fleet/clock.h"

struct hub_ping {
	struct hub_ping *next;
	struct hub_link *link;
	struct fleet_http_request *req;
	char *message_id; /* owned */
	int64_t asked_ms; /* monotonic */
	struct event *timer;
};

static void reply_gone(struct fleet_http_request *req, const char *agent_id, const char *why)
{
	struct json_object *extra = json_object_new_object();

	fleet_json_add_string(extra, "agentId", agent_id);
	fleet_http_reply_problem(req, 504, "unavailable", extra, "%s", why);
}

/* Takes it out of its list and frees it; the request is the caller's to answer. */
static struct fleet_http_request *ping_take(struct hub_link *link, struct hub_ping *ping)
{
	struct fleet_http_request *req = ping->req;
	struct hub_ping **at = &link->pings;

	while (*at != ping)
		at = &(*at)->next;
	*at = ping->next;
	event_free(ping->timer);
	free(ping->message_id);
	free(ping);
	return req;
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct hub_ping *ping = arg;
	_cleanup_free_ char *agent_id = xstrdup(ping->link->agent_id);
	_cleanup_free_ char *why = xasprintf("%s did not answer within %d s", agent_id, HUB_PING_MS / 1000);

	(void)fd;
	(void)what;
	reply_gone(ping_take(ping->link, ping), agent_id, why);
}

void hub_pings_fail(struct hub_link *link, const char *why)
{
	while (link->pings) {
		_cleanup_free_ char *sentence = xasprintf("%s went offline: %s", link->agent_id, why);

		reply_gone(ping_take(link, link->pings), link->agent_id, sentence);
	}
}

void hub_pings_answer(struct hub_link *link, struct json_object *heartbeat)
{
	static const char *const members[] = {"ts", "seq", "metrics", "apps"};
	const char *ref_id = fleet_json_string(heartbeat, "refId");
	struct hub_ping *ping = link->pings;
	struct json_object *body;

	while (ping && !str_equal(ping->message_id, ref_id))
		ping = ping->next;
	if (!ping)
		return;
	body = json_object_new_object();
	fleet_json_add_string(body, "agentId", link->agent_id);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(members); i++)
		fleet_json_add(body, members[i], json_object_get(fleet_json_get(heartbeat, members[i])));
	fleet_json_add_int(body, "roundTripMs", fleet_clock_monotonic_ms() - ping->asked_ms);
	fleet_http_reply_json(ping_take(link, ping), 200, body);
}

char *hub_offline_text(const struct hub *hub, const char *agent_id)
{
	const struct agent *agent = registry_get(hub->options.registry, agent_id);
	const char *seen = agent ? fleet_json_string(agent->doc, "lastSeen") : NULL;
	int64_t seen_ms;
	char silent[32];

	if (seen && fleet_timestamp_parse(seen, &seen_ms) == 0) {
		fleet_duration_format(fleet_clock_wall_ms() - seen_ms, silent, sizeof(silent));
		return xasprintf("%s is offline: last heard of %s ago", agent_id, silent);
	}
	return xasprintf("%s is offline", agent_id);
}

void hub_ping(struct hub *hub, const char *agent_id, struct fleet_http_request *req)
{
	struct hub_link *link = id_table_get(&hub->links, agent_id);
	_cleanup_json_ struct json_object *message = NULL;
	struct hub_ping *ping;

	if (!link || !link->ready) {
		_cleanup_free_ char *why = hub_offline_text(hub, agent_id);

		reply_gone(req, agent_id, why);
		return;
	}
	message = fleet_message_new(FLEET_MESSAGE_REQUEST_HEARTBEAT);
	if (hub_link_send(link, message) < 0) {
		reply_gone(req, agent_id, "the agent does not keep up with what it is sent");
		return;
	}
	ping = xcalloc(1, sizeof(*ping));
	ping->link = link;
	ping->req = req;
	ping->message_id = xstrdup(fleet_json_string(message, "id"));
	ping->asked_ms = fleet_clock_monotonic_ms();
	ping->next = link->pings;
	link->pings = ping;
	ping->timer = event_new(hub->options.base, -1, 0, on_timeout, ping);
	if (!ping->timer || event_add(ping->timer, &(struct timeval){HUB_PING_MS / 1000, 0}) < 0)
		abort(); /* out of memory: libevent has no other reason for a timer */
}
