#include "agent/host/status_child.h"
#include "driver/safe_file.h"
#include "agent/host/service.h"
#include "agent/host/version.h"
#include "fleet/buffer.h"
#include "fleet/clock.h"
#include "fleet/limits.h"
#include "fleet/log.h"

#define REASON_CALL_MS 1500 /* for how an app that is not as it was came to its end */

struct asking {
	const struct status_order *order;
	int fd;
	const struct app **apps;
	struct driver_status *status; /* of each app; state unknown until told */
	int64_t *news_since_ms;       /* of each app; 0: it is as it was */
	size_t count;
};

struct json_object *status_unknown(const char *app_id, const char *why)
{
	struct json_object *app = json_object_new_object();
	_cleanup_free_ char *text = xstrndup(why, FLEET_TEXT_MAX);

	fleet_text_sanitize(text);
	fleet_json_add_string(app, "id", app_id);
	fleet_json_add_string(app, "status", "unknown");
	fleet_json_add_string(app, "health", "unknown");
	fleet_json_add_string(app, "message", text);
	return app;
}

static void add_health(struct json_object *json, const struct app *app, const struct driver_status *status)
{
	const char *check = app_health_kind_name(app->health.kind);
	const char *health = "unknown"; /* where a check is declared: the host knows what it said last */

	if (status->state == FLEET_STATE_FAILED)
		health = "unhealthy";
	else if (service_is_good(status) && !check)
		health = "healthy";
	fleet_json_add_string(json, "health", health);
}

static void add_files(struct json_object *json, const struct app *app)
{
	struct json_object *files = json_object_new_array();

	fleet_json_add(json, "files", files);
	for (size_t i = 0; i < app->file_count; i++) {
		_cleanup_(safe_file_done) struct safe_file f = {.dir_fd = -1};
		_cleanup_(safe_content_done) struct safe_content content = {0};
		struct json_object *file = json_object_new_object();

		fleet_json_add_string(file, "name", app->files[i].name);
		if (safe_file_open(app->files[i].real_path, &f, NULL) == 0 &&
			safe_file_read(&f, &content, NULL) == 0 && content.exists)
			fleet_json_add_string(file, "hash", content.hash);
		json_object_array_add(files, file);
	}
}

/* Names one start of the service; a version found out for it holds until the next. */
static char *version_key(const struct driver_status *status)
{
	return xasprintf("%u %s %d %lld", status->state, status->instance, status->pid,
		(long long)status->since_unix_ms);
}

static const struct status_version *find_version(const struct status_order *order, const char *app_id)
{
	for (size_t i = 0; i < order->version_count; i++) {
		if (strcmp(order->versions[i].app_id, app_id) == 0)
			return &order->versions[i];
	}
	return NULL;
}

static void add_version(struct json_object *json, const struct asking *a, const struct app *app,
	const struct driver_status *status)
{
	const struct status_version *known = find_version(a->order, app->id);
	_cleanup_free_ char *key = version_key(status), *version = NULL;

	if (version_is_cheap(app)) {
		if (version_discover(a->order->env, app, &version, NULL) == 0)
			fleet_json_add_string(json, "version", version);
	} else if (known && strcmp(known->key, key) == 0) {
		fleet_json_add_string(json, "version", known->version);
	}
}

static void send_app(const struct asking *a, struct json_object *takes_app)
{
	_cleanup_json_ struct json_object *message = json_object_new_object();

	fleet_json_add(message, "app", takes_app);
	if (op_send(a->fd, message) < 0)
		_exit(1); /* nobody listens any more */
}

static void tell(size_t index, const struct driver_status *status, const struct fleet_error *err, void *arg)
{
	struct asking *a = arg;
	const struct app *app = a->apps[index];
	struct json_object *json;
	_cleanup_free_ char *text = NULL;

	if (!status) {
		json = status_unknown(app->id, err ? err->message : "the driver gave no answer");
		add_files(json, app);
		send_app(a, json);
		return;
	}
	a->status[index] = *status;
	json = json_object_new_object();
	fleet_json_add_string(json, "id", app->id);
	fleet_json_add_string(json, "status", service_state_name(status->state));
	add_health(json, app, status);
	if (status->pid > 0)
		fleet_json_add_int(json, "pid", status->pid);
	fleet_json_add_time(json, "since", status->since_unix_ms);
	if (status->memory_bytes > 0)
		fleet_json_add_int(json, "memoryBytes", (int64_t)status->memory_bytes);
	fleet_json_add_int(json, "restarts", status->restarts);
	text = xstrndup(status->message, sizeof(status->message) - 1);
	fleet_text_sanitize(text);
	if (*text)
		fleet_json_add_string(json, "message", text);
	add_files(json, app);
	add_version(json, a, app, status);
	fleet_json_add_string(json, "instance", *status->instance ? status->instance : NULL);
	if (!outside_is_news(a->order->outside, json, &a->news_since_ms[index]))
		a->news_since_ms[index] = 0;
	send_app(a, json);
}

/* When every app's status is told: what may take a while. */
static void find_reasons(struct asking *a)
{
	for (size_t i = 0; i < a->count; i++) {
		_cleanup_buffer_ struct fleet_buffer why = FLEET_BUFFER_INIT;
		_cleanup_free_ char *state_dir = NULL;
		_cleanup_json_ struct json_object *message = NULL;
		struct fleet_error err = FLEET_ERROR_INIT;
		struct driver_call call;
		int r;

		if (a->news_since_ms[i] == 0)
			continue;
		r = service_call(a->order->env, a->apps[i], fleet_clock_monotonic_ms() + REASON_CALL_MS,
			&call, &state_dir, &err);
		if (r == 0)
			r = driver_service_last_end(&call, a->news_since_ms[i], &why, &err);
		if (r < 0 && r != -ENOENT && r != -EOPNOTSUPP)
			log_info("how app %s came to its end is not known: %s", a->apps[i]->id, err.message);
		if (r < 0 || why.len == 0)
			continue; /* then the status alone is told */
		message = json_object_new_object();
		fleet_json_add_string(message, "id", a->apps[i]->id);
		fleet_json_add_string(message, "why", why.data);
		if (op_send(a->fd, message) < 0)
			return;
	}
}

/* Last. */
static void find_versions(struct asking *a)
{
	for (size_t i = 0; i < a->count; i++) {
		const struct app *app = a->apps[i];
		const struct status_version *known = find_version(a->order, app->id);
		_cleanup_free_ char *key = version_key(&a->status[i]), *version = NULL;
		_cleanup_json_ struct json_object *message = NULL;
		struct fleet_error err = FLEET_ERROR_INIT;

		if (version_is_cheap(app) || a->status[i].state == FLEET_STATE_UNKNOWN ||
			(known && strcmp(known->key, key) == 0))
			continue;
		if (version_discover(a->order->env, app, &version, &err) <
			0) /* asked again at the next start */
			log_info("the version of app %s is not known: %s", app->id, err.message);
		message = json_object_new_object();
		fleet_json_add_string(message, "id", app->id);
		fleet_json_add_string(message, "key", key);
		fleet_json_add_string(message, "version", version);
		if (op_send(a->fd, message) < 0)
			return;
	}
}

int status_child_run(int fd, void *order)
{
	struct asking a = {.order = order, .fd = fd};
	const struct apps *apps = a.order->env->apps;
	struct driver_call *calls = xcalloc(apps->count, sizeof(*calls));
	char **dirs = xcalloc(apps->count, sizeof(*dirs));
	size_t n = 0;

	a.apps = xcalloc(apps->count, sizeof(*a.apps));
	a.status = xcalloc(apps->count, sizeof(*a.status));
	a.news_since_ms = xcalloc(apps->count, sizeof(*a.news_since_ms));
	for (size_t i = 0; i < apps->count; i++) {
		const struct app *app = apps->items[i];
		struct fleet_error err = FLEET_ERROR_INIT;

		if (strcmp(app->service_driver, a.order->driver) != 0)
			continue;
		a.apps[n] = app;
		if (service_call(a.order->env, app, fleet_clock_monotonic_ms() + STATUS_CALL_MS, &calls[n],
			    &dirs[n], &err) < 0)
			tell(n, NULL, &err, &a);
		else
			n++;
	}
	a.count = n;
	if (n > 0)
		driver_service_status_all(calls, n, tell, &a);
	find_reasons(&a);
	find_versions(&a);
	for (size_t i = 0; i < apps->count; i++)
		free(dirs[i]);
	free(dirs);
	free(calls);
	free(a.apps);
	free(a.status);
	free(a.news_since_ms);
	return 0;
}
