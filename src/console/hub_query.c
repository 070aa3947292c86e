/* Questions to a server: a signed query out, the queryResult that names it back. None outlives its connection
 * or HUB_QUERY_MS. */
#include "console/hub_link.h"
#include "fleet/clock.h"
#include "fleet/limits.h"

struct hub_query {
	struct hub_query *next;
	struct hub_link *link;
	char *message_id; /* owned */
	hub_answered *done;
	void *arg;
	struct event *timer;
};

/* Takes it out of its list, tells, and frees it. */
static void query_end(
	struct hub_link *link, struct hub_query *query, struct json_object *result, const char *why)
{
	struct hub_query **at = &link->queries;

	while (*at != query)
		at = &(*at)->next;
	*at = query->next;
	query->done(result, why, query->arg);
	event_free(query->timer);
	free(query->message_id);
	free(query);
}

static struct hub_query *query_find(struct hub_link *link, struct json_object *message)
{
	const char *ref_id = fleet_json_string(message, "refId");
	struct hub_query *query = link->queries;

	while (query && !str_equal(query->message_id, ref_id))
		query = query->next;
	return query;
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct hub_query *query = arg;
	_cleanup_free_ char *why =
		xasprintf("%s did not answer within %d s", query->link->agent_id, HUB_QUERY_MS / 1000);

	(void)fd;
	(void)what;
	query_end(query->link, query, NULL, why);
}

void hub_queries_answer(struct hub_link *link, struct json_object *result)
{
	struct hub_query *query = query_find(link, result);

	if (query) /* else it comes too late */
		query_end(link, query, result, NULL);
}

bool hub_queries_refused(struct hub_link *link, struct json_object *error)
{
	struct hub_query *query = query_find(link, error);
	_cleanup_json_ struct json_object *result = NULL;

	if (!query)
		return false;
	result = json_object_new_object();
	fleet_json_add_string(result, "errorCode", fleet_json_string(error, "code"));
	fleet_json_add_string(result, "message", fleet_json_string(error, "message"));
	query_end(link, query, result, NULL);
	return true;
}

void hub_queries_fail(struct hub_link *link, const char *why)
{
	while (link->queries) {
		_cleanup_free_ char *sentence = xasprintf("%s went offline: %s", link->agent_id, why);

		query_end(link, link->queries, NULL, sentence);
	}
}

static struct json_object *payload_new(const struct hub_query_request *request)
{
	struct json_object *payload = json_object_new_object();
	int64_t now_ms = fleet_clock_wall_ms();

	fleet_json_add_int(payload, "v", 1);
	fleet_json_add_string(payload, "agentId", request->agent_id);
	fleet_json_add_string(payload, "appId", request->app_id);
	fleet_json_add_string(payload, "query", fleet_query_to_string(request->query));
	fleet_json_add_string(payload, "actor", request->actor);
	fleet_json_add_time(payload, "issuedAt", now_ms);
	fleet_json_add_time(payload, "expiresAt", now_ms + FLEET_QUERY_TTL_S * 1000);
	fleet_json_add(payload, "args", json_object_get(request->args));
	return payload;
}

/* Signs and sends. *ret: the message, owned. */
static int send_query(struct hub_link *link, const struct hub_query_request *request,
	struct json_object **ret, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *payload = payload_new(request);
	_cleanup_json_ struct json_object *message = fleet_message_new(fleet_query_message(request->query));
	_cleanup_free_ char *jws = NULL;
	int r;

	r = fleet_query_check(payload, err);
	if (r >= 0)
		r = fleet_jws_sign(link->hub->options.key, payload, &jws, err);
	if (r < 0)
		return r;
	fleet_json_add_string(message, "jws", jws);
	r = hub_link_send(link, message);
	if (r < 0)
		return fleet_error_set(err, r, "%s does not keep up with what it is sent", request->agent_id);
	*ret = TAKE_PTR(message);
	return 0;
}

static bool is_busy(const struct hub_link *link)
{
	size_t count = 0;

	for (const struct hub_query *query = link->queries; query; query = query->next)
		count++;
	return count >= FLEET_QUERIES_PER_AGENT_MAX;
}

void hub_query(struct hub *hub, const struct hub_query_request *request, hub_answered *done, void *arg)
{
	struct hub_link *link = id_table_get(&hub->links, request->agent_id);
	_cleanup_json_ struct json_object *message = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct hub_query *query;

	if (!link || !link->ready) {
		_cleanup_free_ char *why = hub_offline_text(hub, request->agent_id);

		done(NULL, why, arg);
		return;
	}
	if (is_busy(link)) {
		_cleanup_free_ char *why = xasprintf("%s is answering %d other questions: ask again later",
			request->agent_id, FLEET_QUERIES_PER_AGENT_MAX);

		done(NULL, why, arg);
		return;
	}
	if (send_query(link, request, &message, &err) < 0) {
		done(NULL, err.message, arg);
		return;
	}
	query = xcalloc(1, sizeof(*query));
	query->link = link;
	query->message_id = xstrdup(fleet_json_string(message, "id"));
	query->done = done;
	query->arg = arg;
	query->next = link->queries;
	link->queries = query;
	query->timer = event_new(hub->options.base, -1, 0, on_timeout, query);
	if (!query->timer || event_add(query->timer, &(struct timeval){HUB_QUERY_MS / 1000, 0}) < 0)
		abort(); /* out of memory: libevent has no other reason for a timer */
}
