#include "agent/host/health_watch.h"
#include "agent/host/app_command.h"
#include "agent/host/child.h"
#include "fleet/clock.h"
#include "fleet/ids.h"
#include "fleet/limits.h"
#include "fleet/log.h"

#define CHILDREN_MAX 16 /* commands at a time */
#define AGAIN_MS     1000
#define DOUBT_MS     5000 /* after the first no of what was well: so soon it is asked again */
#define GRACE_MS     8000 /* past the check's own timeout, for the agent, and for systemd around a command */

enum verdict { NOT_YET, WELL, UNWELL, NOT_ASKED };

struct watched {
	struct watched *next;
	struct health_watch *watch;
	char *app_id;
	char start[128]; /* which start of the service this is about; "" it does not run */
	int64_t start_seen_ms;
	enum verdict verdict;
	bool doubted;   /* it was well, and the last answer was no */
	char text[300]; /* why not well, or why not asked */

	char probe_id[FLEET_UUID_LEN + 1]; /* of what the agent is asked; "" nothing */
	struct child *child;               /* the command that runs; NULL none does */
	struct json_object *answer;        /* of the child, before its end; owned */
	struct event *timer;               /* when it is asked next; while it is asked, until when it waits */
};
struct health_watch {
	struct event_base *base;
	const struct op_env *env;
	int (*ask)(struct json_object *frame, void *arg);
	void *arg;
	struct watched *apps;
	size_t children;
};

/* ---- what came of it ---- */

static void wait_ms(struct watched *a, int64_t ms)
{
	const struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	if (event_add(a->timer, &wait) < 0)
		abort(); /* out of memory */
}

static void stop_asking(struct watched *a)
{
	a->probe_id[0] = '\0';
	if (a->child) {
		child_free(TAKE_PTR(a->child));
		a->watch->children--;
	}
	json_object_put(a->answer);
	a->answer = NULL;
	(void)event_del(a->timer); /* fails for one that is no event only */
}

static void decide(struct watched *a, enum verdict verdict, const char *text)
{
	const struct app *app = apps_find(a->watch->env->apps, a->app_id);
	int64_t every_ms = app ? app->health.every_ms : AGAIN_MS;

	stop_asking(a);
	if (verdict == UNWELL && a->verdict == NOT_YET && app &&
		fleet_clock_monotonic_ms() - a->start_seen_ms < app->health.timeout_ms) {
		verdict = NOT_YET; /* it may still be on its way up */
		every_ms = AGAIN_MS;
	} else if (verdict == UNWELL && a->verdict == WELL && !a->doubted) {
		a->doubted = true; /* one lost packet, one slow answer: nobody is woken for that */
		wait_ms(a, every_ms < DOUBT_MS ? every_ms : DOUBT_MS);
		return;
	}
	a->doubted = false;
	a->verdict = verdict;
	(void)snprintf(a->text, sizeof(a->text), "%s", str_empty(text) ? "" : text);
	fleet_text_sanitize(a->text);
	wait_ms(a, every_ms);
}

/* ---- a command ---- */

static int run_command(int fd, void *arg)
{
	const struct watched *a = arg;
	const struct app *app = apps_find(a->watch->env->apps, a->app_id);
	_cleanup_json_ struct json_object *message = json_object_new_object();
	struct fleet_error err = FLEET_ERROR_INIT;
	struct program_end end;
	char detail[256] = "";

	if (!app)
		return 1;
	if (app_command_run(app, &app->health.argv, app->health.timeout_ms, &end, &err) < 0) {
		fleet_json_add_string(message, "error", err.message);
	} else {
		fleet_json_add_bool(message, "ok",
			app_command_well(
				&app->health.argv, &end, app->health.timeout_ms, detail, sizeof(detail)));
		fleet_json_add_string(message, "detail", detail);
	}
	return op_send(fd, message) < 0 ? 1 : 0;
}

static void take_answer(struct watched *a, struct json_object *answer)
{
	const char *error = fleet_json_string(answer, "error"), *detail = fleet_json_string(answer, "detail");

	if (error)
		decide(a, NOT_ASKED, error);
	else if (fleet_json_bool(answer, "ok", false))
		decide(a, WELL, NULL);
	else
		decide(a, UNWELL, detail ? detail : "no answer");
}

static struct watched *whose(struct health_watch *w, const struct child *c)
{
	struct watched *a = w->apps;

	while (a && a->child != c)
		a = a->next;
	return a;
}

static void on_message(struct child *c, struct json_object *message, void *arg)
{
	struct watched *a = whose(arg, c);

	if (a && !a->answer)
		a->answer = json_object_get(message);
}

static void on_ended(struct child *c, const char *how, void *arg)
{
	struct watched *a = whose(arg, c);
	_cleanup_json_ struct json_object *answer = NULL;
	_cleanup_free_ char *text = xasprintf("the process that was to run it %s", how);

	if (!a)
		return;
	answer = TAKE_PTR(a->answer);
	if (answer)
		take_answer(a, answer);
	else
		decide(a, NOT_ASKED, text);
}

static const struct child_events child_events = {.message = on_message, .ended = on_ended};

static void start_command(struct watched *a, const struct app *app)
{
	struct health_watch *w = a->watch;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (w->children == CHILDREN_MAX) {
		wait_ms(a, AGAIN_MS);
		return;
	}
	/* the fork has the declaration as it is now */
	if (child_start(w->base, "fleet-health", -1, run_command, a, &child_events, w, &a->child, &err) < 0) {
		decide(a, NOT_ASKED, err.message);
		return;
	}
	w->children++;
	wait_ms(a, app->health.timeout_ms + GRACE_MS);
}

/* ---- a question to the agent ---- */

static void ask_agent(struct watched *a, const struct app *app)
{
	struct fleet_uuid id = fleet_uuid_new();
	_cleanup_json_ struct json_object *frame = fleet_message_new(FLEET_FRAME_PROBE);
	int64_t seconds = (app->health.timeout_ms + 999) / 1000;

	(void)snprintf(a->probe_id, sizeof(a->probe_id), "%s", id.text);
	fleet_json_add_string(frame, "probeId", a->probe_id);
	fleet_json_add_string(frame, app->health.kind == APP_HEALTH_URL ? "url" : "tcp", app->health.target);
	fleet_json_add_int(frame, "timeoutSeconds", seconds);
	wait_ms(a, seconds * 1000 + GRACE_MS);
	if (a->watch->ask(frame, a->watch->arg) < 0)
		decide(a, NOT_ASKED, "the agent is not there to ask");
}

bool health_watch_probed(struct health_watch *w, struct json_object *frame)
{
	const char *id = fleet_json_string(frame, "probeId");

	for (struct watched *a = w->apps; a; a = a->next) {
		if (a->probe_id[0] && str_equal(a->probe_id, id)) {
			take_answer(a, frame);
			return true;
		}
	}
	return false;
}

/* ---- when ---- */

static void on_timer(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct watched *a = arg;
	const struct app *app = apps_find(a->watch->env->apps, a->app_id);

	if (a->child || a->probe_id[0])
		decide(a, NOT_ASKED, a->child ? "its command came to no end" : "the agent did not answer");
	else if (!app || !a->start[0] || app->health.kind == APP_HEALTH_NONE)
		return; /* at its next look it is asked again */
	else if (app->health.kind == APP_HEALTH_COMMAND)
		start_command(a, app);
	else
		ask_agent(a, app);
}

static struct watched *find_or_add(struct health_watch *w, const char *app_id)
{
	struct watched *a = w->apps;

	while (a && strcmp(a->app_id, app_id) != 0)
		a = a->next;
	if (a)
		return a;
	a = xcalloc(1, sizeof(*a));
	a->watch = w;
	a->app_id = xstrdup(app_id);
	a->timer = evtimer_new(w->base, on_timer, a);
	if (!a->timer)
		abort(); /* out of memory */
	a->next = w->apps;
	w->apps = a;
	return a;
}

/* Another start, or none: what was known is over. */
static void begin(struct watched *a, const char *start)
{
	stop_asking(a);
	(void)snprintf(a->start, sizeof(a->start), "%s", start);
	a->start_seen_ms = fleet_clock_monotonic_ms();
	a->verdict = NOT_YET;
	a->doubted = false;
	a->text[0] = '\0';
	if (a->start[0])
		wait_ms(a, 0);
}

static void tell(const struct watched *a, const struct app *app, struct json_object *json)
{
	static const char *const words[] = {
		[NOT_YET] = "unknown", [WELL] = "healthy", [UNWELL] = "unhealthy", [NOT_ASKED] = "unknown"};
	_cleanup_free_ char *text = NULL;

	if (a->verdict == NOT_YET)
		text = a->text[0] ? xasprintf("just started: %s", a->text)
				  : xstrdup("just started: not asked yet");
	else if (a->verdict == NOT_ASKED)
		text = xasprintf("its %s health check could not be made: %s",
			app_health_kind_name(app->health.kind), a->text);
	else if (a->verdict == UNWELL)
		text = xstrdup(a->text);
	json_object_object_del(json, "health");
	json_object_object_del(json, "healthMessage");
	fleet_json_add_string(json, "health", words[a->verdict]);
	fleet_json_add_string(json, "healthMessage", text);
}

void health_watch_look(struct health_watch *w, struct json_object *json)
{
	const char *id = fleet_json_string(json, "id"), *status = fleet_json_string(json, "status");
	const char *instance = fleet_json_string(json, "instance");
	const struct app *app = id ? apps_find(w->env->apps, id) : NULL;
	bool runs = str_equal(status, "running") || str_equal(status, "done");
	char start[128] = "";
	struct watched *a;

	if (!app || app->health.kind == APP_HEALTH_NONE)
		return;
	a = find_or_add(w, id);
	if (runs)
		(void)snprintf(start, sizeof(start), "%.20s %.80s %lld", status, instance ? instance : "",
			(long long)fleet_json_int(json, "pid", 0));
	if (strcmp(start, a->start) != 0)
		begin(a, start);
	if (runs)
		tell(a, app, json);
}

/* ---- its life ---- */

struct health_watch *health_watch_new(struct event_base *base, const struct op_env *env,
	int (*ask)(struct json_object *frame, void *arg), void *arg)
{
	struct health_watch *w = xcalloc(1, sizeof(*w));

	w->base = base;
	w->env = env;
	w->ask = ask;
	w->arg = arg;
	return w;
}

void health_watch_forget(struct health_watch *w)
{
	while (w->apps) {
		struct watched *a = w->apps;

		w->apps = a->next;
		stop_asking(a);
		event_free(a->timer);
		free(a->app_id);
		free(a);
	}
}

void health_watch_free(struct health_watch *w)
{
	if (!w)
		return;
	health_watch_forget(w);
	free(w);
}
