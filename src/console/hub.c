#include "console/hub.h"

#include "console/audit.h"
#include "console/auth.h"
#include "console/hub_link.h"
#include "fleet/clock.h"
#include "fleet/log.h"

#define CLOSE_GOING_AWAY 1001
#define CLOSE_POLICY     1008

static void link_accept(
	struct hub *hub, struct fleet_http_request *req, const char *agent_id, int64_t expires_ms);

/* --- a connection's life ----------------------------------------------------------------------------- */

struct hub_link *hub_link_ref(struct hub_link *link)
{
	link->refs++;
	return link;
}

void hub_link_unref(struct hub_link *link)
{
	if (!link || --link->refs > 0)
		return;
	json_object_put(link->result_ids);
	free(link->agent_id);
	free(link);
}

void hub_timer_stop(struct event **timer)
{
	if (*timer)
		event_free(*timer);
	*timer = NULL;
}

void hub_timer_start(struct hub_link *link, struct event **timer, event_callback_fn callback, int64_t ms)
{
	struct timeval tv = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};

	hub_timer_stop(timer);
	*timer = event_new(link->hub->options.base, -1, 0, callback, link);
	if (!*timer || event_add(*timer, &tv) < 0)
		abort(); /* out of memory: libevent has no other reason for a timer */
}

static void stop_timers(struct hub_link *link)
{
	hub_timer_stop(&link->timer);
	hub_timer_stop(&link->ack_timer);
	hub_timer_stop(&link->newcomer_timer);
}

/* The WebSocket is gone, or goes now. */
static void link_end(struct hub_link *link)
{
	stop_timers(link);
	fleet_ws_free(link->ws);
	link->ws = NULL;
	*link->prev = link->next;
	if (link->next)
		link->next->prev = link->prev;
	link->hub->count--;
	hub_link_unref(link);
}

void hub_link_disown(struct hub_link *link, const char *why)
{
	struct hub *hub = link->hub;
	struct fleet_http_request *newcomer;

	if (!link->owner)
		return;
	newcomer = TAKE_PTR(link->newcomer); /* only an owner has one */
	link->owner = link->ready = false;
	(void)id_table_remove(&hub->links, link->agent_id); /* it is link */
	stop_timers(link);
	if (link->agent) {
		registry_offline(hub->options.registry, link->agent);
		log_info("%s is offline: %s", link->agent_id, why);
		if (!hub->stopping)
			audit_agent(hub->options.store, link->agent_id, link->address, NULL,
				"agent offline: %s", why);
	}
	hub_pings_fail(link, why);
	hub_queries_fail(link, why);
	link->agent = NULL; /* it may be removed before the connection has ended */
	if (newcomer)
		link_accept(hub, newcomer, link->agent_id, link->newcomer_expires_ms);
}

void hub_link_close(struct hub_link *link, int code, const char *why)
{
	hub_link_disown(link, why);
	if (link->ws)
		fleet_ws_close(link->ws, code, why);
}

int hub_link_send(struct hub_link *link, struct json_object *message)
{
	size_t len;
	const char *text = fleet_json_text(message, &len);
	int r = link->ws ? fleet_ws_send(link->ws, text, len) : -ENOTCONN;

	if (r == -ENOBUFS)
		hub_link_close(link, CLOSE_POLICY, "the agent does not keep up with what it is sent");
	return r;
}

static void on_closed(struct fleet_ws *ws, const struct fleet_ws_end *end, void *arg)
{
	struct hub_link *link = arg;
	char why[300];

	(void)ws;
	if (!*end->reason && end->close_code == CLOSE_GOING_AWAY)
		(void)snprintf(why, sizeof(why), "it left"); /* fits */
	else
		(void)snprintf(why, sizeof(why), "%s", *end->reason ? end->reason : "the connection ended");
	fleet_text_sanitize(why);
	hub_link_disown(link, why);
	link_end(link);
}

/* --- two for one agentId ----------------------------------------------------------------------------- */

/* The audit log's line about a handshake that was refused. known: not for what was shown. */
static void tell_refusal(
	struct hub *hub, const char *agent_id, const char *address, const char *why, bool known)
{
	logins_agent_refused(hub->options.logins,
		&(struct login_refusal){"agent", agent_id, address, "agent refused", why}, known,
		fleet_clock_monotonic_ms());
}

static const char *link_host(const struct hub_link *link)
{
	const char *host = link->agent ? fleet_json_string(link->agent->doc, "hostname") : NULL;

	return host ? host : link->peer;
}

static void refuse_newcomer(struct hub_link *link)
{
	struct fleet_http_request *newcomer = TAKE_PTR(link->newcomer);
	struct json_object *extra = json_object_new_object();
	_cleanup_free_ char *why = xasprintf("the agentId is in use by %s (%s)", link_host(link), link->peer);

	hub_timer_stop(&link->newcomer_timer);
	tell_refusal(link->hub, link->agent_id, fleet_http_peer(newcomer), why, true);
	fleet_json_add_string(extra, "agentId", link->agent_id);
	fleet_http_reply_problem(newcomer, 409, "conflict", extra,
		"agentId '%s' is in use by %s (%s): give one of the two another FLEET_AGENT_ID",
		link->agent_id, link_host(link), link->peer);
}

/* Anything heard: of two that claim an agentId, the first connection's pong above all. */
static void on_alive(struct fleet_ws *ws, void *arg)
{
	struct hub_link *link = arg;

	(void)ws;
	if (link->newcomer)
		refuse_newcomer(link);
	if (link->owner && link->agent)
		registry_alive(link->hub->options.registry, link->agent, registry_now());
}

static void on_claim_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct hub_link *link = arg;

	(void)fd;
	(void)what;
	hub_link_disown(link, "another connection of this agent took its place: this one did not answer");
	link_end(link);
}

static void hold_newcomer(struct hub_link *link, struct fleet_http_request *req, int64_t expires_ms)
{
	if (link->newcomer) {
		fleet_http_reply_problem(req, 409, "conflict", NULL,
			"agentId '%s' is claimed by several connections at once: try again", link->agent_id);
		return;
	}
	link->newcomer = req;
	link->newcomer_expires_ms = expires_ms;
	hub_timer_start(link, &link->newcomer_timer, on_claim_timeout, HUB_CLAIM_MS);
	fleet_ws_ping(link->ws);
}

/* --- handshakes -------------------------------------------------------------------------------------- */

static void on_register_timeout(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	hub_link_close(arg, CLOSE_POLICY, "no register within 15 s");
}

static const struct fleet_ws_events ws_events = {
	.message = hub_on_message, .alive = on_alive, .closed = on_closed};

static void link_accept(
	struct hub *hub, struct fleet_http_request *req, const char *agent_id, int64_t expires_ms)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct hub_link *link = xcalloc(1, sizeof(*link));

	link->refs = 1;
	link->hub = hub;
	link->agent_id = xstrdup(agent_id);
	link->expires_ms = expires_ms;
	link->result_ids = json_object_new_array();
	(void)snprintf(
		link->address, sizeof(link->address), "%s", fleet_http_peer(req)); /* an IP address: fits */
	if (fleet_ws_accept(req, FLEET_SUBPROTOCOL, &ws_events, link, &link->ws, &err) < 0) {
		log_warn("%s could not be connected: %s", agent_id, err.message);
		fleet_http_reply_problem(req, 503, "unavailable", NULL,
			"the connection cannot be made a WebSocket: %s", err.message);
		hub_link_unref(link);
		return;
	}
	(void)snprintf(
		link->peer, sizeof(link->peer), "%s", fleet_ws_peer(link->ws)); /* for people: cut is fine */
	link->owner = true;
	id_table_add(&hub->links, link->agent_id, link);
	link->next = hub->all;
	link->prev = &hub->all;
	if (link->next)
		link->next->prev = &link->next;
	hub->all = link;
	hub->count++;
	hub_timer_start(link, &link->timer, on_register_timeout, HUB_REGISTER_MS);
}

static bool offers_subprotocol(const char *header)
{
	static const char name[] = FLEET_SUBPROTOCOL;

	while (header && *header) {
		size_t len;

		header += strspn(header, ", \t");
		len = strcspn(header, ", \t");
		if (len == sizeof(name) - 1 && memcmp(header, name, len) == 0)
			return true;
		header += len;
	}
	return false;
}

bool hub_check_agent(struct fleet_http_request *req, const char *agent_id)
{
	if (!fleet_id_is_valid(agent_id ? agent_id : "")) {
		fleet_http_reply_problem(req, 400, "invalid-request", NULL,
			"name the agent: %s?agentId=ID, of at most %d letters, digits, '.', '_' and '-'",
			fleet_http_path(req), FLEET_ID_MAX);
		return false;
	}
	if (fleet_http_header(req, "Origin")) {
		fleet_http_reply_problem(
			req, 403, "forbidden", NULL, "the hub is for agents, not for browsers");
		return false;
	}
	return true;
}

bool hub_check_upgrade(struct fleet_http_request *req)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	if (!offers_subprotocol(fleet_http_header(req, "Sec-WebSocket-Protocol"))) {
		fleet_http_add_header(req, "Upgrade", "websocket");
		fleet_http_reply_problem(req, 426, "invalid-request", NULL,
			"this console speaks the WebSocket subprotocol " FLEET_SUBPROTOCOL);
		return false;
	}
	/* before anybody is asked whether he still lives: what is no handshake must not replace him */
	if (fleet_ws_check_upgrade(req, &err) < 0) {
		fleet_http_reply_problem(
			req, 400, "invalid-request", NULL, "this is no WebSocket handshake: %s", err.message);
		return false;
	}
	return true;
}

void hub_reply_slowed(struct logins *logins, struct fleet_http_request *req, int64_t wait_ms)
{
	logins_slowed(logins, fleet_http_peer(req), fleet_clock_monotonic_ms());
	auth_reply_wait(req, wait_ms, "too many wrong credentials");
}

/* What it has shown proves nothing, but where it was given to it and taken back. */
static void refuse_proof(struct hub *hub, struct fleet_http_request *req, const char *agent_id,
	const struct judgement *judgement, int64_t wait_ms)
{
	const struct login_refusal refusal = {
		"agent", agent_id, fleet_http_peer(req), "agent refused", judgement->why};

	if (judgement->verdict != MEMBER_REVOKED && wait_ms) {
		hub_reply_slowed(hub->options.logins, req, wait_ms);
		return;
	}
	if (judgement->verdict == MEMBER_REVOKED)
		tell_refusal(hub, agent_id, fleet_http_peer(req), judgement->why, true);
	else
		logins_agent_failed(hub->options.logins, &refusal, fleet_clock_monotonic_ms());
	switch (judgement->verdict) {
	case MEMBER_REVOKED:
		fleet_http_reply_problem(req, 403, "forbidden", NULL,
			"%s; an operator can let it in again: fleetctl agents allow-rejoin %s --for 1h",
			judgement->why, agent_id);
		break;
	case MEMBER_OTHERS:
		fleet_http_reply_problem(
			req, 403, "forbidden", NULL, "'%s' was shown %s", agent_id, judgement->why);
		break;
	default:
		fleet_http_add_header(req, "WWW-Authenticate", "Bearer");
		fleet_http_reply_problem(req, 401, "unauthenticated", NULL,
			"this console does not take what '%s' has shown: %s", agent_id, judgement->why);
	}
}

/* False: it was answered. */
static bool check_handshake(
	struct hub *hub, struct fleet_http_request *req, const char *agent_id, struct judgement *ret)
{
	struct proof proof;
	int64_t wait_ms;

	if (fleet_http_header(req, "Origin") && fleet_id_is_valid(agent_id ? agent_id : ""))
		tell_refusal(hub, agent_id, fleet_http_peer(req), "a browser's Origin", false);
	if (!hub_check_agent(req, agent_id))
		return false;
	wait_ms = logins_agent_wait_ms(
		hub->options.logins, fleet_http_peer(req), agent_id, fleet_clock_monotonic_ms());
	members_read_proof(req, &proof);
	proof.made_here_only = wait_ms > 0;
	members_judge(hub->options.members, &proof, agent_id, ret);
	if (ret->verdict != MEMBER_WELCOME) {
		refuse_proof(hub, req, agent_id, ret, wait_ms);
		return false;
	}
	logins_agent_came(hub->options.logins, fleet_http_peer(req), agent_id);
	return hub_check_upgrade(req);
}

void hub_serve(struct hub *hub, struct fleet_http_request *req)
{
	const char *agent_id = fleet_http_query(req, "agentId");
	struct judgement judgement;
	struct hub_link *link;

	if (hub->stopping) {
		fleet_http_reply_problem(req, 503, "unavailable", NULL, "the console is stopping");
		return;
	}
	if (!check_handshake(hub, req, agent_id, &judgement))
		return;
	link = id_table_get(&hub->links, agent_id);
	if (link)
		hold_newcomer(link, req, judgement.expires_ms);
	else
		link_accept(hub, req, agent_id, judgement.expires_ms);
}

/* --- the hub ----------------------------------------------------------------------------------------- */

struct hub *hub_new(const struct hub_options *options)
{
	struct hub *hub = xcalloc(1, sizeof(*hub));

	hub->options = *options;
	return hub;
}

void hub_set_joining(struct hub *hub, struct joining *joining)
{
	hub->joining = joining;
}

void hub_free(struct hub *hub)
{
	if (!hub)
		return;
	hub->stopping = true;
	for (struct hub_link *link = hub->all, *next; link; link = next) {
		next = link->next;
		link->owner = false;
		hub_pings_fail(link, "the console is stopping");
		hub_queries_fail(link, "the console is stopping");
		link_end(link);
	}
	id_table_done(&hub->links);
	free(hub);
}

void hub_stop(struct hub *hub, const char *reason)
{
	hub->stopping = true;
	for (struct hub_link *link = hub->all, *next; link; link = next) {
		struct fleet_http_request *newcomer = TAKE_PTR(link->newcomer);

		next = link->next;
		if (newcomer)
			fleet_http_reply_problem(newcomer, 503, "unavailable", NULL, "%s", reason);
		hub_link_close(link, CLOSE_GOING_AWAY, reason);
	}
}

size_t hub_count(const struct hub *hub)
{
	return hub->count;
}

bool hub_ready(const char *agent_id, void *arg)
{
	const struct hub *hub = arg;
	const struct hub_link *link = id_table_get(&hub->links, agent_id);

	return link && link->ready;
}

int hub_send(const char *agent_id, struct json_object *message, void *arg)
{
	const struct hub *hub = arg;
	struct hub_link *link = id_table_get(&hub->links, agent_id);

	return link && link->ready ? hub_link_send(link, message) : -ENOTCONN;
}

void hub_cut(struct hub *hub, const char *agent_id, const char *why)
{
	struct hub_link *link = id_table_get(&hub->links, agent_id);
	struct fleet_http_request *newcomer = link ? TAKE_PTR(link->newcomer) : NULL;

	if (newcomer) /* he was judged by what held before */
		fleet_http_reply_problem(newcomer, 503, "unavailable", NULL, "%s: try again", why);
	if (link)
		hub_link_close(link, CLOSE_POLICY, why);
}

void hub_tick(struct hub *hub, int64_t wall_ms)
{
	for (struct hub_link *link = hub->all, *next; link; link = next) {
		next = link->next;
		if (link->owner && link->expires_ms && link->expires_ms <= wall_ms)
			hub_link_close(link, CLOSE_POLICY, "its certificate has expired");
	}
}

void hub_missed(struct agent *agent, int64_t silent_ms, void *arg)
{
	struct hub *hub = arg;
	struct hub_link *link = id_table_get(&hub->links, agent->id);
	char silent[32];
	_cleanup_free_ char *why = NULL;

	fleet_duration_format(silent_ms, silent, sizeof(silent));
	why = xasprintf("no heartbeat for %s", silent);
	if (link)
		hub_link_close(link, CLOSE_POLICY, why);
	else
		registry_offline(hub->options.registry, agent);
}
