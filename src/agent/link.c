#include "agent/link.h"
#include <event2/dns.h>
#include "fleet/backoff.h"
#include "fleet/clock.h"
#include "fleet/log.h"
#include "fleet/message.h"
#include "fleet/tls.h"
#include "fleet/ws.h"

#define IDLE_PING_MS       15000
#define DEAD_MS            45000
#define CONNECT_TIMEOUT_MS 20000
#define STEADY_MS          5000

struct link {
	struct event_base *base;
	const struct link_events *events;
	void *arg;
	char *console_url, *hub_url, *api_key, *user_agent, *credential;
	int64_t idle_ping_ms, dead_ms, connect_timeout_ms, steady_ms;
	int64_t (*wait_ms)(int64_t wait_ms);
	struct fleet_tls_client *tls; /* NULL: the console is asked in plain */
	struct fleet_ws *ws;
	struct evdns_base *dns; /* while connecting: it holds buffers that an idle agent does not need */
	struct fleet_backoff backoff;
	struct event *retry, *liveness;
	int64_t last_sent_ms, opened_ms;
	int64_t registered_ms; /* on this connection; 0: not yet */
	bool open, closing;
	bool refused;       /* the last failure was the console's no */
	char last_why[512]; /* the failure that was logged last; "" since a registration that lasted */
};

static struct timeval to_timeval(int64_t ms)
{
	return (struct timeval){.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000) * 1000};
}

static void set_timer(struct event *timer, int64_t ms)
{
	struct timeval tv = to_timeval(ms);

	if (event_add(timer, &tv) < 0)
		log_error("cannot set a timer for the connection to the console");
}

static void drop_dns(struct link *link)
{
	if (link->dns)
		evdns_base_free(link->dns, 0);
	link->dns = NULL;
}

/* Read anew for each attempt: resolv.conf of a moment ago may be of another network. Numbers and names of
 * /etc/hosts do without a name server. */
static void make_dns(struct link *link)
{
	drop_dns(link);
	link->dns = evdns_base_new(
		link->base, EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (link->dns)
		return;
	link->dns = evdns_base_new(link->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (link->dns)
		(void)evdns_base_load_hosts(
			link->dns, "/etc/hosts"); /* what is not found there fails by name */
}

/* What a person can do about an answer other than 101. */
static void explain(const struct link *link, const struct fleet_ws_end *end, char *why, size_t len)
{
	const char *reason = end->reason[0] ? end->reason : "the connection ended";

	switch (end->http_status) {
	case 401:
	case 403:
		(void)snprintf(why, len, "the console refused the credential (%d: %.250s): %s",
			end->http_status, reason,
			link->credential ? link->credential
			: link->api_key  ? "check FLEET_API_KEY and FLEET_AGENT_ID"
					 : "FLEET_API_KEY is not set");
		break;
	case 409: /* the console says whose it is, and what to do */
		(void)snprintf(why, len, "another agent is connected under this id (409: %.250s)", reason);
		break;
	case 404:
	case 426:
		(void)snprintf(why, len,
			"no fleet console of this version answers there (%d: %.250s): check "
			"FLEET_CONSOLE_URL",
			end->http_status, reason);
		break;
	case 0:
		(void)snprintf(why, len, "%.250s", reason);
		break;
	default:
		(void)snprintf(why, len, "the console answered %d: %.250s", end->http_status, reason);
	}
}

static void tell_failure(struct link *link, bool was_open, const char *why)
{
	if (str_equal(why, link->last_why))
		return;
	(void)snprintf(link->last_why, sizeof(link->last_why), "%s", why);
	log_warn("%s %s: %s",
		link->refused ? "Refused by"
		: was_open    ? "Lost the connection to"
			      : "Cannot connect to",
		link->console_url, why);
}

/* A registration that lasted is the success after which the table of waits begins anew. */
static void judge_registration(struct link *link)
{
	if (link->registered_ms && fleet_clock_monotonic_ms() - link->registered_ms >= link->steady_ms) {
		fleet_backoff_reset(&link->backoff);
		link->last_why[0] = '\0';
	}
	link->registered_ms = 0;
}

/* The one way out of a connection or an attempt: tells, and sets the next attempt. */
static void lose(struct link *link, const char *why)
{
	bool was_open = link->open;
	int64_t wait_ms;

	fleet_ws_free(link->ws);
	link->ws = NULL;
	link->open = false;
	(void)event_del(link->liveness); /* cannot fail */
	if (link->closing) {
		link->events->closed(link->arg);
		return;
	}
	judge_registration(link);
	tell_failure(link, was_open, why);
	wait_ms = fleet_backoff_next_ms(&link->backoff);
	if (link->wait_ms)
		wait_ms = link->wait_ms(wait_ms);
	set_timer(link->retry, wait_ms);
	link->events->lost(was_open, why, wait_ms, link->arg);
}

static void on_open(struct fleet_ws *ws FLEET_UNUSED, void *arg)
{
	struct link *link = arg;

	link->open = true;
	link->refused = false;
	link->opened_ms = link->last_sent_ms = fleet_clock_monotonic_ms();
	set_timer(link->liveness, link->idle_ping_ms / 3);
	link->events->opened(link->arg);
}

static void on_message(struct fleet_ws *ws FLEET_UNUSED, const char *text, size_t len, void *arg)
{
	struct link *link = arg;

	link->events->message(text, len, link->arg);
}

static void on_closed(struct fleet_ws *ws FLEET_UNUSED, const struct fleet_ws_end *end, void *arg)
{
	struct link *link = arg;
	char why[512];

	link->refused = end->http_status == 401 || end->http_status == 403;
	if (link->refused)
		fleet_backoff_refused(&link->backoff);
	explain(link, end, why, sizeof(why));
	lose(link, why);
}

static const struct fleet_ws_events ws_events = {.open = on_open, .message = on_message, .closed = on_closed};

static void on_retry(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct link *link = arg;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct fleet_ws_client_options options = {.url = link->hub_url,
		.tls = link->tls,
		.subprotocol = FLEET_SUBPROTOCOL,
		.bearer = link->api_key,
		.user_agent = link->user_agent,
		.timeout_ms = link->connect_timeout_ms};

	make_dns(link);
	if (fleet_ws_connect(link->base, link->dns, &options, &ws_events, link, &link->ws, &err) < 0) {
		link->ws = NULL;
		lose(link, err.message);
	}
}

/* Pings what is silent in either direction: a console that only listens must be seen to be there, too. */
static void on_liveness(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct link *link = arg;
	int64_t now = fleet_clock_monotonic_ms(), heard = fleet_ws_last_heard_ms(link->ws);
	int64_t silent_ms = now - (heard > link->opened_ms ? heard : link->opened_ms);

	if (silent_ms >= link->dead_ms) {
		char why[128];

		(void)snprintf(why, sizeof(why), "the console did not answer for %lld s",
			(long long)(silent_ms / 1000));
		lose(link, why);
		return;
	}
	if (silent_ms >= link->idle_ping_ms || now - link->last_sent_ms >= link->idle_ping_ms) {
		fleet_ws_ping(link->ws);
		link->last_sent_ms = now;
	}
	set_timer(link->liveness, link->idle_ping_ms / 3);
}

void link_identify(struct link *link, const struct link_options *options)
{
	if (link->api_key)
		explicit_bzero(link->api_key, strlen(link->api_key));
	free(link->api_key);
	free(link->credential);
	fleet_tls_client_free(link->tls);
	link->api_key = xstrdup(options->api_key);
	link->credential = xstrdup(options->credential);
	link->tls = NULL;
	if (str_starts(link->console_url, "https://"))
		link->tls =
			fleet_tls_client_new(&(struct fleet_tls_client_options){.ca_file = options->ca_file,
				.ca_setting = "FLEET_CA_FILE",
				.cert_file = options->cert_file,
				.key_file = options->key_file,
				.authority_key = options->authority_key});
}

int link_new(struct event_base *base, const struct link_options *options, const struct link_events *events,
	void *arg, struct link **ret, struct fleet_error *err)
{
	struct link *link = xcalloc(1, sizeof(*link));

	link->base = base;
	link->events = events;
	link->arg = arg;
	link->console_url = xstrdup(options->console_url);
	/* An agent id holds nothing that a URL would have to escape (fleet_id_is_valid). */
	link->hub_url = xasprintf("%s%s?agentId=%s", options->console_url,
		options->path ? options->path : "/api/hub", options->agent_id);
	link->user_agent = xasprintf("fleet-agent/%s", options->agent_version);
	link_identify(link, options);
	link->idle_ping_ms = options->idle_ping_ms ? options->idle_ping_ms : IDLE_PING_MS;
	link->dead_ms = options->dead_ms ? options->dead_ms : DEAD_MS;
	link->connect_timeout_ms =
		options->connect_timeout_ms ? options->connect_timeout_ms : CONNECT_TIMEOUT_MS;
	link->steady_ms = options->steady_ms ? options->steady_ms : STEADY_MS;
	link->wait_ms = options->wait_ms;
	link->retry = evtimer_new(base, on_retry, link);
	link->liveness = evtimer_new(base, on_liveness, link);
	if (!link->retry || !link->liveness) {
		link_free(link);
		return fleet_error_set(err, -ENOMEM, "cannot set timers for the connection to the console");
	}
	*ret = link;
	return 0;
}

void link_start(struct link *link)
{
	int64_t wait_ms = fleet_backoff_next_ms(&link->backoff);

	set_timer(link->retry, link->wait_ms ? link->wait_ms(wait_ms) : wait_ms);
}

void link_registered(struct link *link)
{
	drop_dns(link); /* not earlier: a failure may be told from within its own callback */
	if (!link->registered_ms)
		link->registered_ms = fleet_clock_monotonic_ms();
}

bool link_is_open(const struct link *link)
{
	return link->open && !link->closing;
}

int link_send_text(struct link *link, const char *text, size_t len)
{
	int r;

	if (!link_is_open(link))
		return -ENOTCONN;
	r = fleet_ws_send(link->ws, text, len);
	if (r >= 0)
		link->last_sent_ms = fleet_clock_monotonic_ms();
	return r;
}

int link_send(struct link *link, struct json_object *takes_message)
{
	_cleanup_json_ struct json_object *message = takes_message;
	size_t len;
	const char *text = fleet_json_text(message, &len);

	return link_send_text(link, text, len);
}

void link_drop(struct link *link, const char *why)
{
	if (link_is_open(link))
		lose(link, why);
}

void link_refused(struct link *link, const char *why)
{
	fleet_backoff_refused(&link->backoff);
	link->refused = true;
	link_drop(link, why);
}

bool link_was_refused(const struct link *link)
{
	return link->refused;
}

void link_close(struct link *link, const char *reason)
{
	link->closing = true;
	(void)event_del(link->retry); /* cannot fail */
	if (link->open)
		fleet_ws_close(link->ws, 1001, reason);
	else
		lose(link, reason);
}

void link_free(struct link *link)
{
	if (!link)
		return;
	fleet_ws_free(link->ws);
	fleet_tls_client_free(link->tls);
	drop_dns(link);
	if (link->retry)
		event_free(link->retry);
	if (link->liveness)
		event_free(link->liveness);
	if (link->api_key)
		explicit_bzero(link->api_key, strlen(link->api_key));
	free(link->console_url);
	free(link->hub_url);
	free(link->api_key);
	free(link->user_agent);
	free(link->credential);
	free(link);
}
