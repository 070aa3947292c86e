#include "console/console.h"

#include <signal.h>
#include <sys/resource.h>

#include "console/api.h"
#include "console/audit.h"
#include "console/signing_key.h"
#include "fleet/clock.h"
#include "fleet/log.h"

#define FAREWELL_CHECK_MS 20
#define FAREWELL_MAX_MS   3000 /* for agents to say goodbye too */
#define FAREWELL_FLUSH_MS 50   /* for the last answers to leave */

static struct timeval timeval_ms(int64_t ms)
{
	return (struct timeval){(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
}

static struct event *timer_new(struct console *console, short flags, event_callback_fn callback, int64_t ms)
{
	struct timeval tv = timeval_ms(ms);
	struct event *timer = event_new(console->base, -1, flags, callback, console);

	if (!timer || event_add(timer, &tv) < 0)
		abort(); /* out of memory: libevent has no other reason for a timer */
	return timer;
}

/* --- running ----------------------------------------------------------------------------------------- */

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct console *console = arg;

	(void)fd;
	(void)what;
	registry_tick(&console->registry, registry_now(), hub_missed, console->hub);
	commands_tick(&console->commands, fleet_clock_monotonic_ms());
	artifacts_tick(&console->artifacts);
	snapshots_tick(console->snapshots, fleet_clock_wall_ms());
	keys_tick(&console->keys);
	auth_tick(&console->auth);
	certificate_tick(&console->certificate);
	hub_tick(console->hub, fleet_clock_wall_ms());
	api_artifacts_file_check(console, NULL);
}

static void on_flushed(evutil_socket_t fd, short what, void *arg)
{
	struct console *console = arg;

	(void)fd;
	(void)what;
	(void)event_base_loopbreak(console->base); /* fails only without a loop */
}

/* The store has done everything that was asked before; its callers have their answers. */
static void on_last_words(int result, const struct fleet_error *err, void *arg)
{
	struct console *console = arg;

	if (result < 0)
		log_error("the end could not be audited: %s", err ? err->message : strerror(-result));
	if (console->farewell)
		event_free(console->farewell);
	console->farewell = timer_new(console, 0, on_flushed, FAREWELL_FLUSH_MS);
}

static void on_farewell(evutil_socket_t fd, short what, void *arg)
{
	struct console *console = arg;

	(void)fd;
	(void)what;
	if (hub_count(console->hub) > 0 &&
		fleet_clock_monotonic_ms() - console->farewell_ms < FAREWELL_MAX_MS)
		return;
	event_free(console->farewell);
	console->farewell = NULL;
	registry_flush(&console->registry);
	keys_flush(&console->keys);
	auth_flush(&console->auth);
	store_audit_append(console->store,
		&(struct audit_event){.category = "system", .message = "console stopped"}, on_last_words,
		console);
}

void console_stop(struct console *console)
{
	if (console->farewell_ms) {                        /* asked twice: at once */
		(void)event_base_loopbreak(console->base); /* fails only without a loop */
		return;
	}
	console->farewell_ms = fleet_clock_monotonic_ms();
	log_info("stopping");
	hub_stop(console->hub, "the console is stopping");
	console->farewell = timer_new(console, EV_PERSIST, on_farewell, FAREWELL_CHECK_MS);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	(void)number;
	(void)what;
	console_stop(arg);
}

static void on_hangup(evutil_socket_t number, short what, void *arg)
{
	struct console *console = arg;

	(void)number;
	(void)what;
	certificate_reload(&console->certificate);
}

void console_run(struct console *console)
{
	if (event_base_dispatch(console->base) < 0)
		log_error("the event loop failed");
}

uint16_t console_port(const struct console *console)
{
	return fleet_http_server_port(console->http);
}

/* --- starting ---------------------------------------------------------------------------------------- */

static int load_web(struct console *console, struct fleet_error *err)
{
	_cleanup_free_ char *found = console->config.web_dir ? NULL : static_files_find_dir();
	const char *dir = console->config.web_dir ? console->config.web_dir : found;

	if (!dir) {
		log_warn("there is no dashboard: its files lie neither beside the program nor where it was "
			 "installed");
		return 0;
	}
	return static_files_load(dir, &console->web, err);
}

static void on_audit(struct json_object *event, void *arg)
{
	events_publish(arg, "audit", event);
}

static void on_apps_seen(const char *agent_id, struct json_object *before, struct json_object *now, void *arg)
{
	snapshots_see(arg, agent_id, before, now);
}

/* Everything that lives on the store. */
static int start_rooms(struct console *console, struct fleet_error *err)
{
	int r;

	console->events = events_new(console->base);
	store_on_audit(console->store, on_audit, console->events);
	registry_init(
		&console->registry, console->store, console->events, console->config.heartbeat_interval_ms);
	console->snapshots = snapshots_new(console->store);
	members_init(&console->members, &console->config, console->store);
	console->hub = hub_new(&(struct hub_options){
		.base = console->base,
		.config = &console->config,
		.store = console->store,
		.registry = &console->registry,
		.commands = &console->commands,
		.members = &console->members,
		.logins = &console->auth.logins,
		.key = console->key,
		.key_changes = console->key_changes,
		.apps_seen = on_apps_seen,
		.arg = console->snapshots,
	});
	console->joining = joining_new(&(struct joining_options){
		.base = console->base,
		.config = &console->config,
		.store = console->store,
		.members = &console->members,
		.logins = &console->auth.logins,
		.registry = &console->registry,
		.hub = console->hub,
		.ca = console->ca,
		.certificate = &console->certificate,
	});
	hub_set_joining(console->hub, console->joining);
	snapshots_start(console->snapshots, console->hub);
	commands_init(&console->commands, &(struct commands_options){
						  .store = console->store,
						  .events = console->events,
						  .key = console->key,
						  .ttl_ms = console->config.command_ttl_ms,
						  .ready = hub_ready,
						  .send = hub_send,
						  .arg = console->hub,
					  });
	r = file_worker_new(console->base, &console->files, err);
	if (r < 0)
		return r;
	artifacts_init(&console->artifacts, console->store, &console->commands, console->files,
		console->config.data_dir);
	r = registry_load(&console->registry, err);
	if (r >= 0)
		r = members_load(&console->members, err);
	if (r >= 0)
		r = commands_load(&console->commands, err);
	if (r >= 0)
		r = artifacts_load(&console->artifacts, err);
	return r;
}

static void on_key_gone(const struct api_key *key, void *arg)
{
	struct console *console = arg;

	auth_key_gone(&console->auth, key);
	events_check(console->events);
	api_artifacts_file_check(console, NULL);
}

static int start_access(struct console *console, struct fleet_error *err)
{
	int r;

	keys_init(&console->keys, console->store, &console->config);
	console->keys.gone = on_key_gone;
	console->keys.arg = console;
	auth_init(&console->auth, &console->config, console->store, &console->keys, &console->registry);
	console->auth.members = &console->members;
	r = keys_load(&console->keys, err);
	if (r >= 0 && !console->config.dev && !keys_have_admin(&console->keys))
		log_warn("there is no API key of an admin: stop the console, and make one with "
			 "fleet-console init");
	return r;
}

static bool gate(struct fleet_http_request *req, const struct fleet_http_route *route, void *arg)
{
	struct console *console = arg;

	return auth_gate(&console->auth, req, route);
}

static int start_server(struct console *console, struct fleet_error *err)
{
	static const struct {
		int number;
		event_callback_fn callback;
	} watched[] = {{SIGTERM, on_signal}, {SIGINT, on_signal}, {SIGHUP, on_hangup}};
	int r = certificate_open(&console->certificate, &console->config, console->ca, console->store, err);

	if (r < 0)
		return r;
	if (console->config.agent_auth == AGENT_AUTH_MTLS && (!console->ca || !console->certificate.tls))
		return fleet_error_set(err, -EINVAL,
			"agent_auth: mtls needs an authority of this console, and https: run `fleet-console "
			"ca init`");
	console->auth.tls = console->certificate.tls != NULL;
	r = fleet_http_server_new(console->base,
		&(struct fleet_http_options){
			.address = console->config.listen_host,
			.port = console->config.listen_port,
			.routes = console_routes,
			.gate = gate,
			.headers = console->certificate.tls ? console_tls_headers : console_headers,
			.tls = console->certificate.tls,
			.arg = console,
		},
		&console->http, err);
	if (r < 0)
		return r;
	console->tick = timer_new(console, EV_PERSIST, on_tick, 1000);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(watched); i++) {
		/* What holds again when the handler is gone: a second signal does not cut the end short. */
		(void)signal(watched[i].number, SIG_IGN);
		console->signals[i] =
			evsignal_new(console->base, watched[i].number, watched[i].callback, console);
		if (!console->signals[i] || event_add(console->signals[i], NULL) < 0)
			return fleet_error_set(err, -ENOMEM, "cannot watch for signals");
	}
	return 0;
}

/* One connection an agent: take what the system gives. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit); /* then it is as many as before */
	}
}

int console_new(struct console_config *takes_config, struct console **ret, struct fleet_error *err)
{
	struct console *console = xcalloc(1, sizeof(*console));
	int r;

	console->config = *takes_config;
	*takes_config = (struct console_config){0};
	raise_descriptor_limit();
	(void)signal(SIGPIPE, SIG_IGN); /* a peer that left is told by errno */
	console->base = event_base_new();
	/* The store locks the data directory: the key's turn is after it. */
	r = console->base ? store_open(console->base, console->config.data_dir, &console->store, err)
			  : fleet_error_set(err, -ENOMEM, "no event loop to be had");
	if (r >= 0)
		r = signing_key_ensure(console->config.data_dir, &console->key, err);
	if (r >= 0)
		r = signing_key_changes(console->config.data_dir, &console->key_changes, err);
	if (r >= 0)
		r = ca_load(console->config.data_dir, &console->ca, err);
	if (r == -ENOENT) /* no authority: agents are given keys */
		r = 0;
	if (r >= 0)
		r = start_rooms(console, err);
	if (r >= 0)
		r = start_access(console, err);
	if (r >= 0)
		r = load_web(console, err);
	if (r >= 0)
		r = start_server(console, err);
	if (r < 0) {
		console_free(console);
		return r;
	}
	audit_system(console->store, NULL, NULL, "console started (version %s)", PACKAGE_VERSION);
	*ret = console;
	return 0;
}

void console_free(struct console *console)
{
	if (!console)
		return;
	if (console->tick)
		event_free(console->tick);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(console->signals); i++) {
		if (console->signals[i])
			event_free(console->signals[i]);
	}
	/* Those with threads first: their last callbacks answer requests and speak to the hub. */
	if (console->files)
		file_worker_stop(console->files);
	if (console->store)
		store_close(console->store);
	if (console->farewell)
		event_free(console->farewell);
	joining_free(console->joining);
	hub_free(console->hub);
	snapshots_free(console->snapshots);
	events_free(console->events);
	fleet_http_server_free(console->http);
	certificate_done(&console->certificate);
	members_done(&console->members);
	ca_free(console->ca);
	artifacts_done(&console->artifacts);
	file_worker_free(console->files);
	commands_done(&console->commands);
	auth_done(&console->auth);
	keys_done(&console->keys);
	registry_done(&console->registry);
	static_files_free(console->web);
	fleet_jws_key_free(console->key);
	json_object_put(console->key_changes);
	if (console->base)
		event_base_free(console->base);
	console_config_done(&console->config);
	free(console);
}
