#include "agent/heartbeat.h"
#include "agent/metrics.h"
#include "fleet/clock.h"
#include "fleet/log.h"
#include "fleet/message.h"

#define PATIENCE_MS  4000
#define FORGOTTEN_MS 30000 /* a request that old is not waited for: it is made again */
#define WAITING_MAX  16    /* requestHeartbeats answered together */

struct heartbeat {
	const struct heartbeat_ops *ops;
	void *arg;
	struct event *due, *late;
	struct agent_metrics metrics;
	int64_t interval_ms, patience_ms, seq;
	bool running;
	struct fleet_uuid asked; /* the statusRequest that is out; "" none */
	int64_t asked_ms;        /* when, on the monotonic clock */
	bool was_late;           /* its answer is still wanted, though the heartbeat has gone */
	struct fleet_uuid waiting[WAITING_MAX]; /* the requestHeartbeats that wait for it */
	size_t waiting_count;
	bool periodic;            /* and so does the heartbeat that was due */
	struct json_object *apps; /* owned array: as last known */
	char stale[256];          /* why their status is not known now; "" it is */
	bool once_more;           /* ask again after the answer that is on its way */
};

static void set_timer(struct event *timer, int64_t ms)
{
	struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000) * 1000};

	if (event_add(timer, &tv) < 0)
		log_error("cannot set a timer for heartbeats");
}

/* What is known of an app whose status is not: what it is, not how it is. */
static struct json_object *stale_app(struct json_object *app, const char *why)
{
	static const char *const lasting[] = {"id", "version", "files", "hold"};
	struct json_object *o = json_object_new_object();

	for (size_t i = 0; i < FLEET_ARRAY_LEN(lasting); i++) {
		struct json_object *value = fleet_json_get(app, lasting[i]);

		if (value)
			fleet_json_add(o, lasting[i], json_object_get(value));
	}
	fleet_json_add_string(o, "status", "unknown");
	fleet_json_add_string(o, "health", "unknown");
	fleet_json_add_string(o, "message", why);
	return o;
}

struct json_object *heartbeat_apps(const struct heartbeat *h)
{
	struct json_object *apps;

	if (!h->stale[0])
		return json_object_get(h->apps);
	apps = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(h->apps); i++)
		json_object_array_add(apps, stale_app(json_object_array_get_idx(h->apps, i), h->stale));
	return apps;
}

static void send_one(struct heartbeat *h, const char *ref_id)
{
	struct json_object *message = fleet_message_new(FLEET_MESSAGE_HEARTBEAT);

	fleet_json_add_int(message, "seq", ++h->seq);
	fleet_json_add_string(message, "refId", ref_id);
	fleet_json_add(message, "metrics", agent_metrics_collect(&h->metrics));
	fleet_json_add(message, "apps", heartbeat_apps(h));
	h->ops->send(message, h->arg);
}

/* Sends to everybody who waits. */
static void answer(struct heartbeat *h)
{
	(void)event_del(h->late); /* cannot fail */
	if (h->periodic && h->waiting_count == 0 && h->running)
		send_one(h, NULL);
	for (size_t i = 0; i < h->waiting_count && h->running; i++)
		send_one(h, h->waiting[i].text);
	h->periodic = false;
	h->waiting_count = 0;
}

static void ask(struct heartbeat *h)
{
	if (h->asked.text[0] && !h->was_late)
		return; /* on its way, for them all */
	if (h->asked.text[0] && fleet_clock_monotonic_ms() - h->asked_ms < FORGOTTEN_MS) {
		answer(h); /* still on its way: a slow host is not asked twice */
		return;
	}
	if (h->ops->ask(&h->asked, h->arg) < 0) {
		h->asked.text[0] = '\0';
		h->was_late = false;
		if (!h->stale[0])
			(void)snprintf(h->stale, sizeof(h->stale), "the driver host is not connected");
		answer(h);
		return;
	}
	h->was_late = false;
	h->asked_ms = fleet_clock_monotonic_ms();
	set_timer(h->late, h->patience_ms < h->interval_ms / 2 ? h->patience_ms : h->interval_ms / 2);
}

static void on_due(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct heartbeat *h = arg;

	set_timer(h->due, h->interval_ms);
	h->periodic = true;
	ask(h);
}

static void on_late(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct heartbeat *h = arg;

	h->was_late = true;
	(void)snprintf(h->stale, sizeof(h->stale), "the driver host has not answered in time");
	answer(h);
}

struct heartbeat *heartbeat_new(
	struct event_base *base, int64_t patience_ms, const struct heartbeat_ops *ops, void *arg)
{
	struct heartbeat *h = xcalloc(1, sizeof(*h));

	h->ops = ops;
	h->arg = arg;
	h->patience_ms = patience_ms ? patience_ms : PATIENCE_MS;
	h->apps = json_object_new_array();
	(void)snprintf(h->stale, sizeof(h->stale), "the driver host has not answered yet");
	agent_metrics_init(&h->metrics);
	h->due = evtimer_new(base, on_due, h);
	h->late = evtimer_new(base, on_late, h);
	if (!h->due || !h->late) {
		heartbeat_free(h);
		return NULL;
	}
	return h;
}

void heartbeat_free(struct heartbeat *h)
{
	if (!h)
		return;
	if (h->due)
		event_free(h->due);
	if (h->late)
		event_free(h->late);
	json_object_put(h->apps);
	free(h);
}

void heartbeat_start(struct heartbeat *h, int64_t interval_ms)
{
	bool starts = !h->running;

	h->running = true;
	h->interval_ms = interval_ms;
	if (starts)
		h->seq = 0;
	on_due(-1, 0, h);
}

void heartbeat_stop(struct heartbeat *h)
{
	h->running = false;
	h->periodic = false;
	h->waiting_count = 0;
	(void)event_del(h->due); /* cannot fail */
	(void)event_del(h->late);
	if (h->asked.text[0])
		h->was_late = true;
}

void heartbeat_now(struct heartbeat *h)
{
	if (!h->running)
		return;
	/* An answer that is on its way may have been looked up before the change. */
	h->once_more = h->asked.text[0] != '\0';
	h->periodic = true;
	ask(h);
}

int heartbeat_request(struct heartbeat *h, const char *ref_id)
{
	if (h->waiting_count == WAITING_MAX)
		return -ENOBUFS;
	(void)snprintf(h->waiting[h->waiting_count].text, sizeof(h->waiting[0].text), "%s", ref_id);
	h->waiting_count++;
	ask(h);
	return 0;
}

static struct json_object *find_app(struct json_object *apps, const char *id)
{
	for (size_t i = 0; id && i < json_object_array_length(apps); i++) {
		struct json_object *app = json_object_array_get_idx(apps, i);

		if (str_equal(fleet_json_string(app, "id"), id))
			return app;
	}
	return NULL;
}

void heartbeat_set_apps(struct heartbeat *h, struct json_object *described)
{
	struct json_object *apps = json_object_new_array();
	size_t count = described ? json_object_array_length(described) : 0;

	for (size_t i = 0; i < count; i++) {
		const char *id = fleet_json_string(json_object_array_get_idx(described, i), "id");
		struct json_object *known = find_app(h->apps, id), *app;

		if (known) {
			json_object_array_add(apps, json_object_get(known));
			continue;
		}
		app = json_object_new_object();
		fleet_json_add_string(app, "id", id);
		if (!h->stale[0]) {
			fleet_json_add_string(app, "status", "unknown");
			fleet_json_add_string(app, "health", "unknown");
		}
		json_object_array_add(apps, app);
	}
	json_object_put(h->apps);
	h->apps = apps;
}

void heartbeat_status(struct heartbeat *h, const char *ref_id, struct json_object *apps)
{
	if (!h->asked.text[0] || !str_equal(ref_id, h->asked.text))
		return; /* an answer to what nobody waits for any more */
	h->asked.text[0] = '\0';
	json_object_put(h->apps);
	h->apps = json_object_get(apps);
	h->stale[0] = '\0';
	/* The console was told "unknown" meanwhile: it gets the truth as soon as we have it. */
	if (h->was_late)
		h->periodic = true;
	h->was_late = false;
	answer(h);
	if (h->once_more && h->running) {
		h->once_more = false;
		h->periodic = true;
		ask(h);
	}
}

void heartbeat_host_lost(struct heartbeat *h, const char *why)
{
	(void)snprintf(h->stale, sizeof(h->stale), "the driver host is not connected: %.200s", why);
	h->asked.text[0] = '\0';
	h->was_late = false;
	answer(h);
}
