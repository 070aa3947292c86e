#include "agent/host/config_watch.h"
#include "agent/host/child.h"
#include "agent/host/config_outside.h"
#include "agent/host/host.h"
#include "fleet/clock.h"
#include "fleet/limits.h"

struct seen {
	char *app_id, *file; /* owned */
	char hash[SAFE_FILE_HASH_LEN + 2], now[SAFE_FILE_HASH_LEN + 2];
	bool looked; /* hash is what a child found; now, what the newest look at the apps did */
	bool due;
	int64_t told_ms; /* monotonic; 0: not yet */
};
struct config_watch {
	struct host *host;
	struct seen *files;
	size_t count;

	struct child *child; /* NULL: none looks */
	struct event *deadline;
	size_t order[CONFIG_LOOK_FILES]; /* in files, of what it looks at */
	size_t order_count;
	uint64_t begun; /* operations, when it began */
};

static struct seen *find_or_add(struct config_watch *w, const char *app_id, const char *file)
{
	for (size_t i = 0; i < w->count; i++) {
		if (str_equal(w->files[i].app_id, app_id) && str_equal(w->files[i].file, file))
			return &w->files[i];
	}
	w->files = xreallocarray(w->files, w->count + 1, sizeof(*w->files));
	w->files[w->count] = (struct seen){.app_id = xstrdup(app_id), .file = xstrdup(file)};
	return &w->files[w->count++];
}

/* ---- what the child says ---- */

int config_watch_keep(struct config_watch *w, struct json_object *message)
{
	_cleanup_json_ struct json_object *frame = fleet_message_new(FLEET_FRAME_EVENT);
	const char *id = fleet_json_string(message, "eventId"), *text = fleet_json_string(message, "message");
	struct json_object *details = fleet_json_object(message, "details");
	struct seen *seen =
		find_or_add(w, fleet_json_string(message, "appId"), fleet_json_string(details, "file"));
	int r;

	seen->told_ms = fleet_clock_monotonic_ms();
	if (!id || ledger_find(w->host->ledger, id))
		return id ? 0 : -EINVAL; /* told by one that died before it could remember it */
	fleet_json_add_string(frame, "eventId", id);
	fleet_json_add_string(frame, "category", "config");
	fleet_json_add_string(frame, "appId", fleet_json_string(message, "appId"));
	fleet_json_add_string(frame, "message", text);
	fleet_json_add(frame, "details", json_object_get(details));
	r = outcomes_keep_event(w->host, frame);
	if (r >= 0)
		log_info("%s", text);
	return r;
}

/* What was read while a command worked on the app, or just before, may be its doing. */
static bool is_doubtful(const struct config_watch *w, struct json_object *message)
{
	const struct app *app = apps_find(&w->host->apps, fleet_json_string(message, "appId"));

	return !app || w->begun != w->host->operations_begun || commands_work_on(w->host, app);
}

static void on_message(struct child *c, struct json_object *message, void *arg)
{
	struct config_watch *w = arg;
	const char *hash = fleet_json_string(message, "hash");
	int64_t index = fleet_json_int(message, "index", -1);

	if (str_equal(fleet_json_string(message, "k"), "outside")) {
		_cleanup_json_ struct json_object *answer = json_object_new_object();

		fleet_json_add_string(answer, "k", "told");
		fleet_json_add_bool(
			answer, "ok", !is_doubtful(w, message) && config_watch_keep(w, message) >= 0);
		if (child_send(c, answer) < 0)
			log_debug("the child that looks at config files does not listen");
	} else if (index >= 0 && (size_t)index < w->order_count &&
		   !fleet_json_bool(message, "later", false)) {
		struct seen *seen = &w->files[w->order[index]];

		/* one that cannot be looked at is not looked at again until it is another */
		(void)snprintf(seen->hash, sizeof(seen->hash), "%s", hash ? hash : seen->now);
		seen->looked = true;
		seen->due = false;
	}
}

static void on_ended(struct child *c, const char *how, void *arg)
{
	struct config_watch *w = arg;

	if (!str_equal(how, "exited with status 0"))
		log_warn("the child that looks at config files %s", how);
	event_del(w->deadline);
	child_free(c);
	w->child = NULL;
	w->order_count = 0; /* what is still due is looked at after the next look at the apps */
}

static const struct child_events events = {.message = on_message, .ended = on_ended};

static void on_deadline(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct config_watch *w = arg;

	if (w->child)
		child_kill(w->child); /* on_ended follows */
}

/* ---- looking ---- */

static bool is_quiet(const struct seen *seen, int64_t now_ms)
{
	return seen->told_ms > 0 && now_ms - seen->told_ms < CONFIG_QUIET_MS;
}

static void start(struct config_watch *w)
{
	struct config_look looks[CONFIG_LOOK_FILES];
	struct config_look_order order = {.env = &w->host->env, .looks = looks};
	struct timeval wait = {.tv_sec = CONFIG_LOOK_MS / 1000};
	int64_t now_ms = fleet_clock_monotonic_ms();
	struct fleet_error err = FLEET_ERROR_INIT;

	for (size_t i = 0; i < w->count && order.count < CONFIG_LOOK_FILES; i++) {
		const struct seen *seen = &w->files[i];
		const struct app *app = seen->due ? apps_find(&w->host->apps, seen->app_id) : NULL;
		const struct app_file *file = app ? app_find_file(app, seen->file) : NULL;

		if (!file || is_quiet(seen, now_ms) || commands_work_on(w->host, app))
			continue;
		w->order[order.count] = i;
		looks[order.count++] = (struct config_look){.app = app, .file = file};
	}
	if (order.count == 0)
		return;
	w->order_count = order.count;
	w->begun = w->host->operations_begun;
	if (child_start(w->host->base, "fleet-look", -1, config_look_run, &order, &events, w, &w->child,
		    &err) < 0) {
		log_error("cannot look at config files: %s", err.message);
		w->order_count = 0;
		return;
	}
	event_add(w->deadline, &wait);
}

void config_watch_see(struct config_watch *w, struct json_object *apps)
{
	for (size_t i = 0; i < json_object_array_length(apps); i++) {
		struct json_object *app = json_object_array_get_idx(apps, i),
				   *files = fleet_json_array(app, "files");

		for (size_t f = 0; files && f < json_object_array_length(files); f++) {
			struct json_object *file = json_object_array_get_idx(files, f);
			const char *hash = fleet_json_string(file, "hash");
			struct seen *seen =
				find_or_add(w, fleet_json_string(app, "id"), fleet_json_string(file, "name"));

			(void)snprintf(seen->now, sizeof(seen->now), "%s", hash ? hash : "");
			seen->due = !seen->looked || !str_equal(seen->hash, seen->now);
		}
	}
	if (!w->child && !w->host->stopping)
		start(w);
}

struct config_watch *config_watch_new(struct host *h)
{
	struct config_watch *w = xcalloc(1, sizeof(*w));

	w->host = h;
	w->deadline = evtimer_new(h->base, on_deadline, w);
	if (!w->deadline)
		abort(); /* out of memory */
	return w;
}

void config_watch_free(struct config_watch *w)
{
	if (!w)
		return;
	child_free(w->child);
	event_free(w->deadline);
	for (size_t i = 0; i < w->count; i++) {
		free(w->files[i].app_id);
		free(w->files[i].file);
	}
	free(w->files);
	free(w);
}
