#include "agent/host/host.h"
#include "agent/host/config_watch.h"
#include "agent/host/local_verbs.h"
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "fleet/file.h"
#include "fleet/notify.h"

/* ---- systemd ---- */

static void notify(const struct host *h, const char *text)
{
	int r = fleet_notify(h->config->notify_socket, text);

	if (r < 0)
		log_warn("cannot tell systemd how it goes: %s", strerror(-r));
}

/* ---- end ---- */

void host_end_if_idle(struct host *h)
{
	if (h->stopping && commands_idle(h))
		event_base_loopbreak(h->base);
}

void host_stop(struct host *h, const char *why)
{
	if (h->stopping) {
		log_warn("asked to end a second time: what still runs is left to be taken up at the next "
			 "start");
		event_base_loopbreak(h->base);
		return;
	}
	log_info("ending: %s%s", why, commands_idle(h) ? "" : "; what runs may finish");
	notify(h, "STOPPING=1");
	h->stopping = true;
	commands_give_up_waiting(h);
	host_end_if_idle(h);
}

static void on_end_signal(evutil_socket_t sig, short what, void *arg)
{
	(void)what;
	host_stop(arg, sig == SIGINT ? "interrupted" : "asked to");
}

/* ---- apps and drivers ---- */

/* The old tables stay where the new ones cannot be read. Children that run keep their own copies. */
static int load(struct host *h, struct fleet_error *err)
{
	struct driver_registry drivers = {0};
	struct apps apps = APPS_INIT;
	int r;

	r = driver_registry_load(h->config->driver_dir, &drivers, err);
	if (r < 0)
		return r;
	r = apps_load(h->config->apps_dir, geteuid() == 0 && !h->config->dev, &drivers, &apps, err);
	if (r < 0) {
		driver_registry_done(&drivers);
		return r;
	}
	driver_registry_done(&h->drivers);
	apps_done(&h->apps);
	h->drivers = drivers;
	h->apps = apps;
	health_watch_forget(h->health);
	for (size_t i = 0; i < drivers.count; i++) {
		if (drivers.items[i].error)
			log_warn("driver %s cannot be used: %s", drivers.items[i].name,
				drivers.items[i].error);
	}
	for (size_t i = 0; i < apps.problem_count; i++) {
		const struct app_problem *p = &apps.problems[i];

		log_warn("%s:%u:%u: %s", p->file, p->line, p->column, p->message);
	}
	log_info("%zu apps, %zu drivers, %zu problems", apps.count, drivers.count, apps.problem_count);
	return 0;
}

static void on_reload_signal(evutil_socket_t sig, short what, void *arg)
{
	struct host *h = arg;
	struct fleet_error err = FLEET_ERROR_INIT;

	(void)sig;
	(void)what;
	/* The console signs commands for an agent by its id. systemd starts the host again. */
	if (host_config_agent_changed(h->config)) {
		host_stop(h, "agent.env names another agent");
		return;
	}
	notify(h, "STATUS=Reading apps and drivers again");
	if (load(h, &err) < 0)
		log_error("apps and drivers stay as they were: %s", err.message);
	peers_describe(h);
	notify(h, "STATUS=Ready");
	malloc_trim(0);
}

/* ---- status ---- */

static void on_status(const char *ref_id, uint64_t asker, struct json_object *apps, void *arg)
{
	_cleanup_json_ struct json_object *frame = fleet_message_new(FLEET_FRAME_STATUS);

	fleet_json_add_string(frame, "refId", ref_id);
	fleet_json_add(frame, "apps", json_object_get(apps));
	peers_send(arg, asker, frame);
}

static void on_look(void *arg)
{
	commands_forgive(arg);
}

static void on_outside_fleet(const char *app_id, const char *text, void *arg)
{
	log_info("%s", text);
	outcomes_event(arg, "restart", app_id, NULL, "%s", text);
}

static void on_looked(struct json_object *apps, void *arg)
{
	struct host *h = arg;

	config_watch_see(h->watch, apps);
}

static void on_found(struct json_object *app, void *arg)
{
	struct host *h = arg;

	health_watch_look(h->health, app);
	local_add_hold(h, app);
}

static int ask_agent(struct json_object *frame, void *arg)
{
	struct host *h = arg;

	return h->outcome_peer ? peers_try_send(h, h->outcome_peer, frame) : -ENOTCONN;
}

static const struct status_watcher watcher = {
	.found = on_found, .begins = on_look, .outside_fleet = on_outside_fleet, .looked = on_looked};

/* ---- start ---- */

/* One host to a state directory. A host that died may have left a child that holds the lock for a moment yet.
 */
static int lock_state(struct host *h, struct fleet_error *err)
{
	_cleanup_free_ char *path = xasprintf("%s/lock", h->config->state_dir);
	int r;

	r = fleet_mkdir_parents(h->config->state_dir, 0700, err);
	if (r < 0)
		return r;
	h->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (h->lock_fd < 0)
		return fleet_error_errno(err, -errno, "cannot open %s", path);
	if (flock(h->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	log_info("waiting for another driver host to let go of %s", h->config->state_dir);
	while (flock(h->lock_fd, LOCK_EX) < 0) {
		if (errno != EINTR)
			return fleet_error_errno(err, -errno, "cannot lock %s", path);
	}
	return 0;
}

static int prepare(struct host *h, struct fleet_error *err)
{
	_cleanup_free_ char *path = xasprintf("%s/ledger", h->config->state_dir);
	int r;

	r = lock_state(h, err);
	if (r < 0)
		return r;
	fleet_file_clean_partial(h->config->state_dir, NULL);
	r = ledger_open(path, &h->ledger, err);
	if (r >= 0)
		r = ledger_compact(h->ledger, err);
	if (r >= 0)
		r = keys_load(
			h->config->console_pub, h->config->dev ? NULL : h->config->state_dir, &h->keys, err);
	return r < 0 ? r : load(h, err);
}

static int run(struct host *h, struct fleet_error *err)
{
	static const struct {
		int sig;
		event_callback_fn handler;
	} signals[] = {{SIGTERM, on_end_signal}, {SIGINT, on_end_signal}, {SIGHUP, on_reload_signal}};
	struct event *handlers[FLEET_ARRAY_LEN(signals)];
	int r;

	for (size_t i = 0; i < FLEET_ARRAY_LEN(signals); i++) {
		/* What holds again when the handler is gone: a second signal does not cut the end short. */
		(void)signal(signals[i].sig, SIG_IGN);
		handlers[i] = evsignal_new(h->base, signals[i].sig, signals[i].handler, h);
		if (!handlers[i] || event_add(handlers[i], NULL) < 0)
			abort(); /* out of memory */
	}
	r = peers_listen(h, err);
	if (r >= 0) {
		notify(h, "READY=1\nSTATUS=Ready");
		commands_start(h);
		status_watch(h->status, &watcher);
		malloc_trim(0);
		if (event_base_dispatch(h->base) < 0)
			r = fleet_error_set(err, -EIO, "the event loop failed");
	}
	for (size_t i = 0; i < FLEET_ARRAY_LEN(signals); i++)
		event_free(handlers[i]);
	return r;
}

static int run_host(const struct host_config *config)
{
	struct host h = {.config = config, .lock_fd = -1};
	struct fleet_error err = FLEET_ERROR_INIT;
	int r;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)umask(077);
	h.base = event_base_new();
	if (!h.base)
		abort(); /* out of memory, or a kernel without epoll */
	h.env = (struct op_env){.apps = &h.apps,
		.drivers = &h.drivers,
		.state_dir = config->state_dir,
		.trusted_keys_dir = config->trusted_keys_dir,
		.unpacker = config->unpacker,
		.as_root = geteuid() == 0 && !config->dev};
	queue_init(&h.queue, HOST_OPERATIONS_MAX);
	h.status = status_new(h.base, &h.env, on_status, &h);
	h.health = health_watch_new(h.base, &h.env, ask_agent, &h);
	h.watch = config_watch_new(&h);
	r = prepare(&h, &err);
	if (r >= 0)
		r = run(&h, &err);
	if (r < 0)
		log_error("%s", err.message);
	commands_free(&h);
	queries_free(&h);
	config_watch_free(h.watch);
	status_free(h.status);
	health_watch_free(h.health);
	peers_free(&h);
	local_free(&h);
	queue_done(&h.queue);
	ledger_close(h.ledger);
	keys_done(&h.keys);
	apps_done(&h.apps);
	driver_registry_done(&h.drivers);
	free(h.foreign_kid);
	event_base_free(h.base);
	if (h.lock_fd >= 0)
		(void)close(h.lock_fd);
	return r < 0 ? 1 : 0;
}

static int run_recovery(const struct host_config *config)
{
	struct host h = {.config = config, .lock_fd = -1};
	_cleanup_free_ char *path = xasprintf("%s/ledger", config->state_dir);
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = 1;

	(void)umask(077);
	if (access(path, F_OK) < 0)
		return 0; /* nothing was ever done here */
	if (lock_state(&h, &err) < 0 || ledger_open(path, &h.ledger, &err) < 0)
		log_error("%s", err.message);
	else
		r = recover_files(h.ledger);
	ledger_close(h.ledger);
	if (h.lock_fd >= 0)
		(void)close(h.lock_fd);
	return r;
}

int host_run(const struct host_config *config)
{
	if (config->recover_files)
		return run_recovery(config);
	return run_host(config);
}
