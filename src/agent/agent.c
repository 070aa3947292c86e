#include "agent/agent_private.h"
#include "agent/notify.h"
#include "fleet/file.h"
#include "fleet/log.h"

/* How long the first connection to the console waits for the host to say which apps there are. */
#define HOST_PATIENCE_US 1500000

static int ask_host_status(struct fleet_uuid *ret_id, void *arg)
{
	struct agent *a = arg;
	struct json_object *request = fleet_message_new(FLEET_FRAME_STATUS_REQUEST);
	struct fleet_uuid id = {""};
	int r;

	(void)snprintf(id.text, sizeof(id.text), "%s", fleet_json_string(request, "id"));
	r = hostlink_send(a->host, request);
	if (r >= 0)
		*ret_id = id;
	return r;
}

static void send_heartbeat(struct json_object *takes_message, void *arg)
{
	struct agent *a = arg;

	agent_fit(takes_message);
	if (link_send(a->link, takes_message) < 0)
		log_debug("a heartbeat found no connection");
}

static const struct heartbeat_ops heartbeat_ops = {.ask = ask_host_status, .send = send_heartbeat};

static int send_spooled(const char *text, size_t len, void *arg)
{
	struct agent *a = arg;

	return link_send_text(a->link, text, len);
}

static int offer_command(const char *jws, struct fleet_uuid *ret_frame_id, void *arg)
{
	struct agent *a = arg;
	struct json_object *frame = fleet_message_new(FLEET_FRAME_COMMAND);
	struct fleet_uuid id = {""};
	int r;

	if (!a->described) { /* its `description` comes first, then everything that waits */
		json_object_put(frame);
		return -ENOTCONN;
	}
	(void)snprintf(id.text, sizeof(id.text), "%s", fleet_json_string(frame, "id"));
	fleet_json_add_string(frame, "jws", jws);
	r = hostlink_send(a->host, frame);
	if (r >= 0)
		*ret_frame_id = id;
	return r;
}

/* -- the driver host -- */

static void on_host_frame(enum fleet_message_type type, struct json_object *message, void *arg)
{
	agent_host_frame(arg, type, message);
}

static void on_host_down(const char *why, void *arg)
{
	struct agent *a = arg;

	log_warn("The driver host is not there: %s", why);
	agent_missed(&a->host_reach, a->described, why, 0);
	if (a->described) {
		agent_audit(a, NULL, "driver host lost: %s", why);
		a->host_was_lost = true;
	}
	a->described = false;
	a->host_owes = false; /* a new connection hears all of it */
	a->owed_hello.text[0] = '\0';
	pending_host_lost(&a->pending);
	heartbeat_host_lost(a->heartbeat, why);
}

static const struct hostlink_events host_events = {.frame = on_host_frame, .down = on_host_down};

static int send_to_host(struct json_object *takes_frame, int fd, void *arg)
{
	struct agent *a = arg;

	if (a->described) /* else it has not said yet which commands it knows, and will ask for what it needs
			   */
		return hostlink_send_fd(a->host, takes_frame, fd);
	json_object_put(takes_frame);
	return -ENOTCONN;
}

static void on_fetch_progress(struct json_object *message, void *arg)
{
	agent_tell_progress(arg, message);
}

static const struct fetches_ops fetches_ops = {.to_host = send_to_host, .progress = on_fetch_progress};

/* -- the console -- */

static void on_hub_opened(void *arg)
{
	struct agent *a = arg;

	log_info("Connected to cloud hub");
	agent_register(a);
}

static void on_hub_message(const char *text, size_t len, void *arg)
{
	agent_hub_message(arg, text, len);
}

static void on_hub_lost(bool was_open FLEET_UNUSED, const char *why, int64_t retry_ms, void *arg)
{
	struct agent *a = arg;

	agent_missed(&a->hub_reach, a->registered, why, retry_ms);
	a->register_sent = a->registered = a->greeted = a->spool_renewed = false;
	a->registers_out = a->registers_stale = 0;
	(void)event_del(a->register_patience); /* cannot fail */
	heartbeat_stop(a->heartbeat);
	renewal_stop(a->renewal);
	outbox_close(&a->outbox);
	notify_status("Not connected to %s: %s; next attempt in %lld s", a->config->console_url, why,
		(long long)((retry_ms + 999) / 1000));
}

static void on_hub_closed(void *arg)
{
	struct agent *a = arg;

	if (event_base_loopbreak(a->base) < 0)
		log_error("cannot end the event loop");
}

static const struct link_events hub_events = {
	.opened = on_hub_opened, .message = on_hub_message, .lost = on_hub_lost, .closed = on_hub_closed};

static void on_register_patience(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct agent *a = arg;

	link_drop(a->link, "the console did not answer the registration");
}

static void on_host_patience(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	agent_start_link(arg);
}

void agent_start_link(struct agent *a)
{
	if (a->link_started || a->stopping)
		return;
	a->link_started = true;
	(void)event_del(a->host_patience); /* cannot fail */
	if (agent_has_to_join(a)) {
		agent_start_joining(a);
		return;
	}
	notify_status("Connecting to %s", a->config->console_url);
	link_start(a->link);
}

/* -- life -- */

static int open_spool(struct agent *a, struct fleet_error *err)
{
	_cleanup_free_ char *lost = NULL;
	const char *offset;
	int r = fleet_mkdir_parents(a->config->data_dir, 0700, err);

	if (r < 0 || (r = spool_open(a->config->data_dir, 0, &a->spool, &lost, err)) < 0)
		return r;
	a->outbox = (struct outbox){.spool = a->spool, .send = send_spooled, .arg = a};
	a->pending = (struct pending){.offer = offer_command, .arg = a};
	if (lost) {
		log_error("%s", lost);
		agent_audit(a, NULL, "%s", lost);
	}
	offset = spool_note(a->spool, "clockOffsetMs");
	a->clock_known = offset != NULL;
	a->clock_offset_ms = offset ? strtoll(offset, NULL, 10) : 0;
	return 0;
}

static int open_links(struct agent *a, const char *const *child_argv, struct fleet_error *err)
{
	const struct timeval patience = {
		.tv_usec = HOST_PATIENCE_US % 1000000, .tv_sec = HOST_PATIENCE_US / 1000000};
	struct link_options hub = {.console_url = a->config->console_url,
		.agent_id = a->config->agent_id,
		.agent_version = PACKAGE_VERSION};
	struct hostlink_options host = {.socket_path = a->config->host_socket,
		.child_argv = child_argv,
		.agent_version = PACKAGE_VERSION};
	int r = link_new(a->base, &hub, &hub_events, a, &a->link, err);

	if (r < 0)
		return r;
	a->fetch_options = (struct fetches_options){
		.data_dir = a->config->data_dir, .console_url = a->config->console_url};
	agent_use_credentials(a);
	a->renewal = agent_renewal_new(a);
	a->fetches = fetches_new(a->base, &a->fetch_options, &fetches_ops, a);
	a->heartbeat = heartbeat_new(a->base, 0, &heartbeat_ops, a);
	a->register_patience = evtimer_new(a->base, on_register_patience, a);
	a->host_patience = evtimer_new(a->base, on_host_patience, a);
	a->owed = evtimer_new(a->base, agent_ask_for_owed, a);
	a->acks_retry = evtimer_new(a->base, agent_acks_retry, a);
	a->host = hostlink_new(a->base, &host, &host_events, a);
	if (!a->heartbeat || !a->register_patience || !a->host_patience || !a->owed || !a->acks_retry ||
		!a->host || event_add(a->host_patience, &patience) < 0)
		return fleet_error_set(err, -ENOMEM, "cannot set up the agent's timers");
	return 0;
}

int agent_new(struct event_base *base, const struct agent_config *config, const char *const *child_argv,
	struct agent **ret, struct fleet_error *err)
{
	struct agent *a = xcalloc(1, sizeof(*a));
	int r;

	a->base = base;
	a->config = config;
	agent_missed(&a->hub_reach, true, "it was not tried yet", 0);
	agent_missed(&a->host_reach, true, "it was not tried yet", 0);
	agent_identity_read("", &a->identity);
	r = open_spool(a, err);
	if (r >= 0)
		r = open_links(a, child_argv, err);
	if (r < 0) {
		agent_free(a);
		return r;
	}
	agent_audit(a, NULL, "agent started (version %s)", PACKAGE_VERSION);
	*ret = a;
	return 0;
}

void agent_reload(struct agent *a)
{
	if (hostlink_reload_child(a->host)) {
		log_info("The driver host reads its apps again");
	} else {
		/* root's process: systemctl reload fleet-agent reaches both through the units */
		log_info("Asking the driver host which apps there are");
		hostlink_hello(a->host, NULL);
	}
	if (a->register_sent)
		agent_register(a);
}

void agent_stop(struct agent *a)
{
	if (a->stopping) {
		on_hub_closed(a);
		return;
	}
	a->stopping = true;
	join_free(TAKE_PTR(a->join));
	notify_stopping();
	heartbeat_stop(a->heartbeat);
	agent_audit(a, NULL, "agent stopped");
	link_close(a->link, "the agent is stopping");
}

void agent_free(struct agent *a)
{
	if (!a)
		return;
	fetches_free(a->fetches);
	hostlink_free(a->host);
	join_free(a->join);
	renewal_free(a->renewal);
	link_free(a->link);
	heartbeat_free(a->heartbeat);
	if (a->register_patience)
		event_free(a->register_patience);
	if (a->host_patience)
		event_free(a->host_patience);
	if (a->owed)
		event_free(a->owed);
	agent_acks_forget(a);
	if (a->acks_retry)
		event_free(a->acks_retry);
	pending_done(&a->pending);
	spool_close(a->spool);
	agent_credentials_done(&a->credentials);
	agent_identity_done(&a->identity);
	json_object_put(a->description);
	json_object_put(a->console_keys);
	free(a);
}
