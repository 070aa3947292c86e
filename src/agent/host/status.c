#include "agent/host/status.h"
#include "agent/host/child.h"
#include "agent/host/outside.h"
#include "agent/host/status_child.h"
#include "fleet/clock.h"
#include "fleet/limits.h"
#include "fleet/log.h"

#define WAITING_MAX 64
#define DRIVERS_MAX FLEET_DRIVERS_MAX

struct waiting {
	char ref_id[FLEET_UUID_LEN + 1];
	uint64_t asker;
};
/* What is known of an app between requests. */
struct view {
	char *app_id;
	char health[16];
	int64_t health_since_ms;
};
struct status {
	struct event_base *base;
	const struct op_env *env;
	void (*answer)(const char *ref_id, uint64_t asker, struct json_object *apps, void *arg);
	void *arg;
	const struct status_watcher *watcher; /* NULL: none yet */
	struct outside *outside;
	struct event *deadline, *every;

	struct waiting now[WAITING_MAX], next[WAITING_MAX];
	size_t now_count, next_count;
	struct child *children[DRIVERS_MAX];
	char *drivers[DRIVERS_MAX]; /* owned: of each child */
	size_t child_count, living;
	struct json_object *told; /* id: app; NULL while nothing is asked */
	char **ids, **id_drivers; /* owned: the apps asked about, and their drivers */
	size_t id_count;
	bool expired;

	struct view *views;
	size_t view_count;
	struct status_version *versions;
	size_t version_count;
};

static void start(struct status *s);

/* ---- what is remembered ---- */

static struct view *find_view(struct status *s, const char *app_id)
{
	for (size_t i = 0; i < s->view_count; i++) {
		if (strcmp(s->views[i].app_id, app_id) == 0)
			return &s->views[i];
	}
	s->views = xreallocarray(s->views, s->view_count + 1, sizeof(*s->views));
	s->views[s->view_count] = (struct view){.app_id = xstrdup(app_id)};
	return &s->views[s->view_count++];
}

static void add_health_since(struct status *s, struct json_object *app)
{
	struct view *view = find_view(s, fleet_json_string(app, "id"));
	const char *health = fleet_json_string(app, "health");

	if (!str_equal(view->health, health)) {
		snprintf(view->health, sizeof(view->health), "%s", health ? health : "unknown");
		view->health_since_ms = fleet_clock_wall_ms();
	}
	fleet_json_add_time(app, "healthSince", view->health_since_ms);
}

static void remember_version(struct status *s, struct json_object *message)
{
	const char *id = fleet_json_string(message, "id"), *key = fleet_json_string(message, "key");
	struct json_object *app = fleet_json_object(s->told, id ? id : "");
	struct status_version *v = NULL;

	if (!id || !key)
		return;
	if (app && fleet_json_string(message, "version"))
		fleet_json_add_string(app, "version", fleet_json_string(message, "version"));
	for (size_t i = 0; i < s->version_count; i++) {
		if (strcmp(s->versions[i].app_id, id) == 0)
			v = &s->versions[i];
	}
	if (!v) {
		s->versions = xreallocarray(s->versions, s->version_count + 1, sizeof(*s->versions));
		v = &s->versions[s->version_count++];
		*v = (struct status_version){.app_id = xstrdup(id)};
	}
	free(v->key);
	free(v->version);
	v->key = xstrdup(key);
	v->version = xstrdup(fleet_json_string(message, "version"));
}

/* What the child says besides is for us. */
static void compare_with_before(struct status *s, struct json_object *app)
{
	const char *id = fleet_json_string(app, "id");
	_cleanup_free_ char *text =
		outside_look(s->outside, app, fleet_json_string(app, "why"), fleet_clock_wall_ms());

	if (text && s->watcher)
		s->watcher->outside_fleet(id, text, s->arg);
	json_object_object_del(app, "instance");
	json_object_object_del(app, "why");
}

static void look_again_later(struct status *s)
{
	const struct timeval wait = {.tv_sec = STATUS_EVERY_MS / 1000};

	if (s->watcher && event_add(s->every, &wait) < 0)
		abort(); /* out of memory */
}

/* ---- one answer ---- */

static void finish(struct status *s)
{
	_cleanup_json_ struct json_object *apps = json_object_new_array();

	event_del(s->deadline);
	for (size_t i = 0; i < s->id_count; i++) {
		struct json_object *app = json_object_get(fleet_json_object(s->told, s->ids[i]));

		if (!app) {
			_cleanup_free_ char *why = xasprintf("driver %s %s", s->id_drivers[i],
				s->expired ? "did not answer in time" : "did not tell how the app is");

			app = status_unknown(s->ids[i], why);
		}
		if (s->watcher)
			s->watcher->found(app, s->arg);
		compare_with_before(s, app);
		add_health_since(s, app);
		json_object_array_add(apps, app);
		free(s->ids[i]);
		free(s->id_drivers[i]);
	}
	free(s->ids);
	free(s->id_drivers);
	s->ids = s->id_drivers = NULL;
	s->id_count = 0;
	json_object_put(s->told);
	s->told = NULL;
	for (size_t i = 0; i < s->child_count; i++)
		free(s->drivers[i]);
	s->child_count = 0;
	if (s->watcher)
		s->watcher->looked(apps, s->arg);
	for (size_t i = 0; i < s->now_count; i++)
		s->answer(s->now[i].ref_id, s->now[i].asker, apps, s->arg);
	s->now_count = 0;
	if (s->next_count > 0)
		start(s);
	else
		look_again_later(s);
}

static void on_message(struct child *c FLEET_UNUSED, struct json_object *message, void *arg)
{
	struct json_object *app = fleet_json_object(message, "app");
	struct status *s = arg;

	if (app && fleet_json_string(app, "id"))
		fleet_json_add(s->told, fleet_json_string(app, "id"), json_object_get(app));
	else if (fleet_json_string(message, "why") && fleet_json_string(message, "id") &&
		 (app = fleet_json_object(s->told, fleet_json_string(message, "id"))))
		fleet_json_add_string(app, "why", fleet_json_string(message, "why"));
	else
		remember_version(s, message);
}

static void on_ended(struct child *c, const char *how, void *arg)
{
	struct status *s = arg;

	for (size_t i = 0; i < s->child_count; i++) {
		if (s->children[i] != c)
			continue;
		s->children[i] = NULL;
		if (!s->expired && !str_equal(how, "exited with status 0"))
			log_warn("the child that asked driver %s how its apps are %s", s->drivers[i], how);
	}
	child_free(c);
	if (--s->living == 0)
		finish(s);
}

static const struct child_events events = {.message = on_message, .ended = on_ended};

static void on_deadline(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct status *s = arg;

	s->expired = true;
	for (size_t i = 0; i < s->child_count; i++) {
		if (s->children[i])
			child_kill(s->children[i]); /* on_ended follows */
	}
}

static bool has_driver(const struct status *s, const char *driver)
{
	for (size_t i = 0; i < s->child_count; i++) {
		if (strcmp(s->drivers[i], driver) == 0)
			return true;
	}
	return s->child_count == DRIVERS_MAX;
}

static void ask_driver(struct status *s, const char *driver)
{
	struct status_order order = {.env = s->env,
		.driver = driver,
		.versions = s->versions,
		.version_count = s->version_count,
		.outside = s->outside};
	struct fleet_error err = FLEET_ERROR_INIT;
	struct child *c = NULL;

	if (child_start(s->base, "fleet-status", -1, status_child_run, &order, &events, s, &c, &err) < 0) {
		log_error("cannot ask driver %s how its apps are: %s", driver, err.message);
		return;
	}
	s->children[s->child_count] = c;
	s->drivers[s->child_count++] = xstrdup(driver);
	s->living++;
}

static void start(struct status *s)
{
	const struct apps *apps = s->env->apps;
	struct timeval wait = {
		.tv_sec = STATUS_DEADLINE_MS / 1000, .tv_usec = (STATUS_DEADLINE_MS % 1000) * 1000};

	memcpy(s->now, s->next, sizeof(s->now));
	s->now_count = s->next_count;
	s->next_count = 0;
	s->expired = false;
	outside_begin(s->outside, fleet_clock_wall_ms());
	if (s->watcher)
		s->watcher->begins(s->arg);
	s->told = json_object_new_object();
	s->ids = xcalloc(apps->count, sizeof(*s->ids));
	s->id_drivers = xcalloc(apps->count, sizeof(*s->id_drivers));
	for (size_t i = 0; i < apps->count; i++) {
		s->ids[s->id_count] = xstrdup(apps->items[i]->id);
		s->id_drivers[s->id_count++] = xstrdup(apps->items[i]->service_driver);
		if (!has_driver(s, apps->items[i]->service_driver))
			ask_driver(s, apps->items[i]->service_driver);
	}
	event_add(s->deadline, &wait);
	if (s->living == 0)
		finish(s);
}

void status_request(struct status *s, const char *ref_id, uint64_t asker)
{
	struct waiting *w;

	if (s->next_count ==
		WAITING_MAX) { /* an agent that asks faster than it listens: the oldest is not answered */
		memmove(s->next, s->next + 1, sizeof(s->next) - sizeof(s->next[0]));
		s->next_count--;
	}
	w = &s->next[s->next_count++];
	snprintf(w->ref_id, sizeof(w->ref_id), "%s", ref_id);
	w->asker = asker;
	if (!s->told)
		start(s);
}

static void on_every(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct status *s = arg;

	if (!s->told)
		start(s);
}

void status_watch(struct status *s, const struct status_watcher *watcher)
{
	s->watcher = watcher;
	look_again_later(s);
}

void status_forgive(struct status *s, const char *app_id)
{
	outside_forgive(s->outside, app_id);
}

struct status *status_new(struct event_base *base, const struct op_env *env,
	void (*answer)(const char *ref_id, uint64_t asker, struct json_object *apps, void *arg), void *arg)
{
	struct status *s = xcalloc(1, sizeof(*s));

	s->base = base;
	s->env = env;
	s->answer = answer;
	s->arg = arg;
	s->outside = outside_new();
	s->deadline = evtimer_new(base, on_deadline, s);
	s->every = evtimer_new(base, on_every, s);
	if (!s->deadline || !s->every)
		abort(); /* out of memory */
	return s;
}

void status_free(struct status *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->child_count; i++) {
		child_free(s->children[i]);
		free(s->drivers[i]);
	}
	for (size_t i = 0; i < s->id_count; i++) {
		free(s->ids[i]);
		free(s->id_drivers[i]);
	}
	free(s->ids);
	free(s->id_drivers);
	for (size_t i = 0; i < s->view_count; i++)
		free(s->views[i].app_id);
	free(s->views);
	for (size_t i = 0; i < s->version_count; i++) {
		free(s->versions[i].app_id);
		free(s->versions[i].key);
		free(s->versions[i].version);
	}
	free(s->versions);
	json_object_put(s->told);
	event_free(s->deadline);
	event_free(s->every);
	outside_free(s->outside);
	free(s);
}
