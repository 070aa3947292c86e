#include "agent/join.h"
#include "agent/credentials.h"
#include "agent/link.h"
#include "fleet/join_token.h"
#include "fleet/log.h"
#include "fleet/message.h"

struct join {
	struct join_options options;
	const struct join_events *events;
	void *arg;
	struct link *link;
	struct event *over; /* fires when it is done, outside of the link's callbacks */
	char *key_pem;      /* owned */
	bool done;
};

static void on_opened(void *arg)
{
	struct join *join = arg;
	const struct agent_config *config = join->options.config;
	struct json_object *message = fleet_message_new(FLEET_MESSAGE_JOIN);
	_cleanup_free_ char *request = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (fleet_x509_request_new(join->key_pem, config->agent_id, &request, &err) < 0) {
		json_object_put(message);
		link_drop(join->link, err.message);
		return;
	}
	fleet_json_add_string(message, "agentId", config->agent_id);
	fleet_json_add_string(message, "instanceId", join->options.instance_id);
	fleet_json_add_string(message, "hostname", join->options.hostname);
	fleet_json_add_string(message, "agentVersion", join->options.agent_version);
	fleet_json_add_string(message, "request", request);
	if (link_send(join->link, message) < 0)
		log_debug("the console left before it heard who wants to join");
}

static void on_joined(struct join *join, struct json_object *message)
{
	const struct timeval now = {0};
	struct fleet_error err = FLEET_ERROR_INIT;

	if (agent_credentials_keep(join->options.config, join->key_pem, message, &err) < 0) {
		link_drop(join->link, err.message);
		return;
	}
	join->done = true;
	if (event_add(join->over, &now) < 0)
		abort(); /* out of memory: libevent has no other reason for a timer */
}

static void on_message(const char *text, size_t len, void *arg)
{
	struct join *join = arg;
	_cleanup_json_ struct json_object *message = NULL;
	enum fleet_message_type type = FLEET_MESSAGE_INVALID;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (join->done)
		return;
	if (fleet_message_parse(text, len, FLEET_CONSOLE_TO_AGENT, &type, &message, &err) < 0)
		link_drop(join->link, err.message);
	else if (type == FLEET_MESSAGE_JOINED)
		on_joined(join, message);
	else if (type == FLEET_MESSAGE_ERROR)
		link_refused(join->link, fleet_json_string(message, "message"));
	else
		log_debug("the console says '%s' to one who only joins", fleet_message_type_to_string(type));
}

static void on_lost(bool was_open, const char *why, int64_t retry_ms, void *arg)
{
	struct join *join = arg;

	(void)was_open;
	if (!join->done)
		join->events->failed(why, retry_ms, link_was_refused(join->link), join->arg);
}

static void on_link_closed(void *arg)
{
	(void)arg; /* nobody asks for it */
}

static void on_over(evutil_socket_t fd, short what, void *arg)
{
	struct join *join = arg;

	(void)fd;
	(void)what;
	join->events->joined(join->arg);
}

static const struct link_events link_events = {
	.opened = on_opened, .message = on_message, .lost = on_lost, .closed = on_link_closed};

int join_new(struct event_base *base, const struct join_options *options, const struct join_events *events,
	void *arg, struct join **ret, struct fleet_error *err)
{
	const struct agent_config *config = options->config;
	struct join *join = xcalloc(1, sizeof(*join));
	struct fleet_join_token token;
	struct link_options link = {.console_url = config->console_url,
		.agent_id = config->agent_id,
		.path = "/api/join",
		.ca_file = config->ca_file,
		.credential = "check FLEET_JOIN_TOKEN; a new one is made with: fleetctl tokens create",
		.agent_version = options->agent_version,
		.wait_ms = options->wait_ms};
	int r = fleet_join_token_parse(config->join_token, &token, err);

	join->options = *options;
	join->events = events;
	join->arg = arg;
	join->over = evtimer_new(base, on_over, join);
	if (!join->over)
		abort(); /* likewise */
	if (r >= 0)
		r = agent_credentials_join_key(config, &join->key_pem, err);
	if (r >= 0) {
		link.api_key = token.secret;
		link.authority_key = token.has_authority ? token.authority : NULL;
		r = link_new(base, &link, &link_events, join, &join->link, err);
	}
	explicit_bzero(&token, sizeof(token));
	if (r < 0) {
		join_free(join);
		return r;
	}
	link_start(join->link);
	*ret = join;
	return 0;
}

void join_free(struct join *join)
{
	if (!join)
		return;
	link_free(join->link);
	event_free(join->over);
	fleet_x509_forget(&join->key_pem);
	free(join);
}
