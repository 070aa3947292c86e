#include "agent/host/health.h"
#include <time.h>
#include "agent/host/unit_facts.h"
#include "fleet/clock.h"

#define POLL_MS 100
#define SAME_INSTANCE_MS                                                                                     \
	3000 /* how long an old process may still show after its restart was reported done                   \
	      */
#define CRASHES_WHILE_STARTING 2

static void pause_ms(long ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000L};

	(void)nanosleep(&t, NULL);
}

static char *words(const struct driver_status *status, bool healthy)
{
	return xasprintf("%s%s", service_state_title(status->state),
		healthy && service_is_good(status) ? ", healthy" : "");
}

char *health_words(const struct health_verdict *v)
{
	return words(&v->status, v->checked);
}

char *health_look_words(const struct app *app, const struct driver_status *status)
{
	return words(status, app->health.kind == APP_HEALTH_NONE);
}

void health_add_to_result(struct op *op, const struct driver_status *status, bool healthy)
{
	static const char *const keys[] = {"appStatus", "appHealthy", "pid"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(keys); i++)
		json_object_object_del(op->result, keys[i]);
	fleet_json_add_string(op->result, "appStatus", service_state_name(status->state));
	fleet_json_add_bool(op->result, "appHealthy", healthy);
	if (status->pid > 0)
		fleet_json_add_int(op->result, "pid", status->pid);
}

void health_span(int64_t ms, char *out, size_t out_len)
{
	if (ms < 100)
		(void)snprintf(out, out_len, "%lld ms", (long long)ms);
	else
		fleet_duration_format(ms, out, out_len);
}

void health_explain(const struct driver_status *s, int64_t since_ms, char *out, size_t out_len)
{
	int64_t lived = s->since_unix_ms - since_ms;
	char after[32] = "";

	if (s->state == FLEET_STATE_FAILED && since_ms > 0 && lived >= 0 && lived < 86400000 &&
		!strstr(s->message, " after ")) {
		char span[24];

		health_span(lived, span, sizeof(span));
		(void)snprintf(after, sizeof(after), " after %s", span);
	}
	if (s->message[0])
		(void)snprintf(out, out_len, "%s%s", s->message, after);
	else
		(void)snprintf(out, out_len, "the service is %s%s", service_state_title(s->state), after);
	fleet_text_sanitize(out);
}

static void say_why(struct health_verdict *v, int64_t since_ms)
{
	health_explain(&v->status, since_ms, v->text, sizeof(v->text));
}

static int look(struct op *op, const struct app *app, struct health_verdict *v)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = service_status(op, app, &v->status, &err);

	v->known = r >= 0;
	if (r < 0) {
		v->code = r;
		snprintf(v->text, sizeof(v->text), "%.*s", (int)sizeof(v->text) - 1, err.message);
	}
	return r;
}

/* Still the same start, and not restarted by its supervisor, for as long as it must settle? */
static bool settles(struct op *op, const struct app *app, int64_t since_ms, struct health_verdict *v)
{
	int64_t until = fleet_clock_monotonic_ms() + app->health.settle_ms;
	struct driver_status first = v->status;

	while (fleet_clock_monotonic_ms() < until) {
		pause_ms(POLL_MS);
		if (look(op, app, v) < 0)
			return false;
		if (!service_is_good(&v->status)) {
			say_why(v, since_ms);
			return false;
		}
		if (strcmp(first.instance, v->status.instance) != 0 || v->status.restarts > first.restarts) {
			snprintf(v->text, sizeof(v->text),
				"crashed and was started again within %lld ms of its start",
				(long long)app->health.settle_ms);
			return false;
		}
	}
	return true;
}

static bool still_well(struct op *op, const struct app *app, struct health_verdict *v, int64_t since_ms)
{
	struct driver_status first = v->status;

	if (look(op, app, v) < 0)
		return false;
	if (!service_is_good(&v->status)) {
		say_why(v, since_ms);
		return false;
	}
	if (strcmp(first.instance, v->status.instance) != 0 || v->status.restarts > first.restarts) {
		snprintf(
			v->text, sizeof(v->text), "crashed and was started again while its health was asked");
		return false;
	}
	return true;
}

void health_wait(struct op *op, const struct app *app, const char *old_instance, int64_t since_ms,
	struct health_verdict *ret)
{
	struct health_verdict v = {0};
	int64_t begun = fleet_clock_monotonic_ms(), timeout_ms = unit_facts_timeout_ms(app);
	int64_t first_restarts = -1;
	bool done = false;

	while (!done && look(op, app, &v) >= 0) {
		bool old = !str_empty(old_instance) && strcmp(old_instance, v.status.instance) == 0;
		int64_t waited = fleet_clock_monotonic_ms() - begun;

		if (first_restarts < 0)
			first_restarts = v.status.restarts;
		done = true;
		if (service_is_good(&v.status) && !old) {
			v.good_at_ms = fleet_clock_monotonic_ms();
			v.healthy = settles(op, app, since_ms, &v) &&
				    health_check_declared(op, app, &v, still_well, since_ms);
		} else if (service_is_good(&v.status) && waited >= SAME_INSTANCE_MS) {
			snprintf(v.text, sizeof(v.text),
				"the service still runs as it was started before (pid %d)", v.status.pid);
		} else if (v.status.state == FLEET_STATE_FAILED || v.status.state == FLEET_STATE_STOPPED) {
			say_why(&v, since_ms);
		} else if (v.status.restarts >= first_restarts + CRASHES_WHILE_STARTING) {
			snprintf(v.text, sizeof(v.text), "keeps crashing as it starts: %s",
				v.status.message[0] ? v.status.message
						    : "its supervisor started it again and again");
		} else if (waited >= timeout_ms) {
			snprintf(v.text, sizeof(v.text), "still %s after %lld s",
				service_state_name(v.status.state), (long long)(timeout_ms / 1000));
		} else {
			done = false;
			pause_ms(POLL_MS);
		}
	}
	*ret = v;
}
