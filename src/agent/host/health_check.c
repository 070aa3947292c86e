#include <time.h>
#include "agent/host/app_command.h"
#include "agent/host/health.h"
#include "fleet/clock.h"

#define PAUSE_MS 500
#define ONE_PROBE_MS                                                                                         \
	5000 /* of several within the check's timeout: a first one may hang that a second does not */

/* Several attempts at one check. */
struct asking {
	bool answered; /* the app gave an answer at least once */
	char detail[256], error[256];
};

static const char *path_of_url(const char *url)
{
	const char *at = strstr(url, "://"), *slash = at ? strchr(at + 3, '/') : NULL;

	return slash ? slash : "/";
}

static int ask_agent(struct op *op, const struct app *app, int64_t left_ms, struct asking *a)
{
	bool url = app->health.kind == APP_HEALTH_URL, ok = false;
	int64_t ms = left_ms < ONE_PROBE_MS ? left_ms : ONE_PROBE_MS;
	_cleanup_free_ char *detail = NULL, *path = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = op_probe(op, url ? app->health.target : NULL, url ? NULL : app->health.target,
		ms < 1000 ? 1 : (int)(ms / 1000), &ok, &detail, &err);

	if (r < 0) {
		snprintf(a->error, sizeof(a->error), "%.*s", (int)sizeof(a->error) - 1, err.message);
		return r;
	}
	a->answered = true;
	if (ok)
		return 1;
	path = xstrdup(path_of_url(app->health.target));
	path[strcspn(path, "?#")] = '\0';
	if (url && !(detail && strstr(detail, "GET ")))
		snprintf(a->detail, sizeof(a->detail), "GET %.100s: %.120s", path,
			detail ? detail : "no answer");
	else if (url)
		snprintf(a->detail, sizeof(a->detail), "%.240s", detail);
	else
		snprintf(a->detail, sizeof(a->detail), "%.100s: %.120s", app->health.target,
			detail ? detail : "no answer");
	fleet_text_sanitize(a->detail);
	return 0;
}

/* It is its own to say how long it takes, within what is left. */
static int ask_command(const struct app *app, int64_t left_ms, struct asking *a)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct program_end end;
	int64_t ms = left_ms < 100 ? 100 : left_ms;
	int r = app_command_run(app, &app->health.argv, ms, &end, &err);

	if (r < 0) {
		snprintf(a->error, sizeof(a->error), "%.*s", (int)sizeof(a->error) - 1, err.message);
		return r;
	}
	a->answered = true;
	return app_command_well(&app->health.argv, &end, ms, a->detail, sizeof(a->detail)) ? 1 : 0;
}

/* 1 well, 0 not well, negative: it could not be asked. */
static int ask_once(struct op *op, const struct app *app, int64_t left_ms, struct asking *a)
{
	return app->health.kind == APP_HEALTH_COMMAND ? ask_command(app, left_ms, a)
						      : ask_agent(op, app, left_ms, a);
}

static bool check(struct op *op, const struct app *app, struct health_verdict *v,
	bool (*still_well)(struct op *op, const struct app *app, struct health_verdict *v, int64_t since_ms),
	int64_t since_ms)
{
	int64_t begun = fleet_clock_monotonic_ms(), until = begun + app->health.timeout_ms;
	struct asking a = {.answered = false};
	char span[24];

	for (;;) {
		struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};

		if (ask_once(op, app, until - fleet_clock_monotonic_ms(), &a) > 0) {
			v->checked = true;
			return true;
		}
		if (fleet_clock_monotonic_ms() + PAUSE_MS >= until)
			break;
		(void)nanosleep(&pause, NULL);
		if (!still_well(op, app, v, since_ms))
			return false;
	}
	if (!a.answered) {
		snprintf(v->caveat, sizeof(v->caveat),
			"; by its service's state: its %s health check could not be made: %.120s",
			app_health_kind_name(app->health.kind), a.error);
		return true;
	}
	fleet_duration_format(fleet_clock_monotonic_ms() - begun, span, sizeof(span));
	snprintf(v->text, sizeof(v->text), "%s for %s", a.detail, span);
	return false;
}

bool health_check_declared(struct op *op, const struct app *app, struct health_verdict *v,
	bool (*still_well)(struct op *op, const struct app *app, struct health_verdict *v, int64_t since_ms),
	int64_t since_ms)
{
	if (app->health.kind != APP_HEALTH_NONE)
		return check(op, app, v, still_well, since_ms);
	v->checked = true;
	return true;
}
