/* Starts, stops and restarts a service for real, because somebody said so (--exercise), and leaves it as it
 * was. */
#include "driver/tool/check.h"
#include "fleet/clock.h"

#define VERB_MS   60000
#define SETTLE_MS 10000

static int status_of(struct check *c, struct driver_status *ret, struct fleet_error *err)
{
	struct driver_call call = tool_target_call(&c->target);

	return driver_service_status(&call, ret, err);
}

static bool is_up(const struct driver_status *s)
{
	return s->state == FLEET_STATE_RUNNING || s->state == FLEET_STATE_DONE;
}

static bool is_moving(const struct driver_status *s)
{
	return s->state == FLEET_STATE_STARTING || s->state == FLEET_STATE_STOPPING;
}

/* Does it, and waits until the service is neither starting nor stopping. */
static int act(struct check *c, enum driver_verb verb, struct driver_status *ret, struct fleet_error *err)
{
	struct driver_call call = tool_target_call(&c->target);
	int64_t end;
	int r;

	call.deadline_ms = fleet_clock_monotonic_ms() + VERB_MS;
	r = driver_service_do(&call, verb, err);
	if (r < 0)
		return r;
	end = fleet_clock_monotonic_ms() + SETTLE_MS;
	do {
		r = status_of(c, ret, err);
		if (r < 0 || !is_moving(ret))
			return r;
		(void)usleep(50000); /* cut short, it asks again sooner */
	} while (fleet_clock_monotonic_ms() < end);
	return fleet_error_set(err, -ETIMEDOUT, "it was still %s long after the call said that it was done",
		ret->state == FLEET_STATE_STARTING ? "starting" : "stopping");
}

struct step {
	enum driver_verb verb;
	const char *name;
	bool up;          /* the service is, afterwards */
	int new_instance; /* 1: must be another than before, 0: the same, -1: does not matter */
};

static void take(struct check *c, const struct step *step, struct driver_status *now)
{
	struct driver_status after = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	bool same;
	int r = act(c, step->verb, &after, &err);

	if (r == -EOPNOTSUPP) {
		tap_skip(&c->tap, err.message, "%s", step->name);
		return;
	}
	if (r < 0) {
		tap_fail(&c->tap, err.message, "%s", step->name);
		return;
	}
	same = str_equal(after.instance, now->instance);
	if (is_up(&after) != step->up)
		tap_fail(&c->tap,
			step->up ? "status does not say running or done afterwards"
				 : "status still says running afterwards",
			"%s", step->name);
	else if (step->new_instance == 1 && *after.instance && same)
		tap_fail(&c->tap, "it was started anew, and status names the instance of before", "%s",
			step->name);
	else if (step->new_instance == 0 && !same)
		tap_fail(&c->tap, "nothing was to be done, and yet status names another instance", "%s",
			step->name);
	else
		tap_pass(&c->tap, "%s", step->name);
	*now = after;
}

void check_exercise(struct check *c)
{
	static const struct step steps[] = {
		{DRIVER_START, "start brings it up", true, -1},
		{DRIVER_START, "start of a running service is success, and starts nothing", true, 0},
		{DRIVER_RESTART, "restart makes a new instance", true, 1},
		{DRIVER_RELOAD, "reload leaves the instance", true, 0},
		{DRIVER_RELOAD_DEFINITIONS, "reload_definitions leaves the instance", true, 0},
		{DRIVER_STOP, "stop takes it down", false, -1},
		{DRIVER_STOP, "stop of a stopped service is success", false, -1},
		{DRIVER_START, "start after a stop makes a new instance", true, 1},
	};
	struct driver_status before = {0}, now;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (status_of(c, &before, &err) < 0) {
		tap_fail(&c->tap, err.message, "the service to exercise has a status");
		return;
	}
	now = before;
	for (size_t i = 0; i < FLEET_ARRAY_LEN(steps); i++)
		take(c, &steps[i], &now);
	if (!is_up(&before) && act(c, DRIVER_STOP, &now, &err) < 0)
		tap_note("it could not be stopped again, as it was found: %s", err.message);
}
