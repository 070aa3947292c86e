/* Restart: look, restart, look until it is well, settle. */
#include "agent/host/health.h"
#include "fleet/clock.h"

static void tell_success(
	struct op *op, const struct driver_status *before, const struct health_verdict *v, int64_t down_ms)
{
	_cleanup_free_ char *words = health_words(v);
	char pid[64] = "", down[64] = "";

	if (v->status.pid > 0 && before->pid > 0 && before->pid != v->status.pid)
		snprintf(pid, sizeof(pid), ", pid %d (was %d)", v->status.pid, before->pid);
	else if (v->status.pid > 0)
		snprintf(pid, sizeof(pid), ", pid %d", v->status.pid);
	if (down_ms >= 0) {
		char span[24];

		health_span(down_ms, span, sizeof(span));
		snprintf(down, sizeof(down), ", down %s", span);
		fleet_json_add_int(op->result, "downMs", down_ms);
	}
	fleet_json_add_bool(op->result, "verified", true);
	op_succeed(op, "%s%s%s%s", words, pid, down, v->caveat);
}

/* ill: a check that was asked said no, whatever the service's own state says. */
static void fail_after(struct op *op, const char *code, const char *why, bool ill)
{
	struct driver_status now;

	op_fail(op, code, "%s", why);
	if (service_status(op, op->app, &now, NULL) == 0)
		health_add_to_result(op, &now, service_is_good(&now) && !ill);
	service_add_logs(op, op->app, op->started_ms);
}

/* A driver that broke down, or whose time was up, between stop and start has left an app down that was up.
 * One that says no may know better: somebody else stopped it, perhaps. What became of it, for the message;
 * owned.
 */
static char *start_if_left_down(struct op *op, int code, int64_t since_ms)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct driver_status now;
	struct health_verdict v;

	if (code != -ETIMEDOUT && code != -EFAULT && code != -ENODATA)
		return xstrdup("");
	if (service_status(op, op->app, &now, NULL) < 0 || now.state != FLEET_STATE_STOPPED)
		return xstrdup("");
	if (service_do(op, op->app, DRIVER_START, &err) < 0)
		return xasprintf("; it was left stopped, and does not start: %s", err.message);
	health_wait(op, op->app, NULL, since_ms, &v);
	if (!v.healthy)
		return xasprintf("; it was left stopped, and does not come up: %s", v.text);
	return xstrdup("; it was left stopped, and was started again");
}

/* What became of the service says more than that the driver's call failed; both are said where they differ.
 */
static void fail_restart(struct op *op, const char *code, const struct fleet_error *err, int64_t since_ms)
{
	struct driver_status now;
	char why[512];

	if (strcmp(code, "service-failed") != 0 || service_status(op, op->app, &now, NULL) < 0 ||
		now.state != FLEET_STATE_FAILED || !now.message[0]) {
		fail_after(op, code, err->message, false);
		return;
	}
	health_explain(&now, since_ms, why, sizeof(why));
	if (strstr(err->message, now.message)) {
		fail_after(op, code, why, false);
	} else {
		_cleanup_free_ char *both = xasprintf("%s (%s)", why, err->message);

		fail_after(op, code, both, false);
	}
}

void op_restart(struct op *op)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct driver_status before = {0};
	struct health_verdict v;
	_cleanup_json_ struct json_object *data = json_object_new_object();
	int64_t begun, begun_wall;
	bool was_good;
	int r;

	/* A service that cannot be asked can perhaps still be restarted; if not, that says why. */
	if (service_status(op, op->app, &before, &err) < 0)
		before = (struct driver_status){.state = FLEET_STATE_UNKNOWN};
	was_good = service_is_good(&before);
	if (before.pid > 0)
		fleet_json_add_int(op->result, "previousPid", before.pid);
	fleet_json_add_string(data, "instance", before.instance);
	fleet_json_add_bool(data, "good", was_good);
	fleet_json_add_int(data, "pid", before.pid);
	if (op_begin(op, "restart", data, &err) < 0) {
		op_fail(op, "internal", "%s", err.message);
		return;
	}
	begun = fleet_clock_monotonic_ms();
	begun_wall = fleet_clock_wall_ms();
	r = service_do(op, op->app, DRIVER_RESTART, &err);
	if (r < 0) {
		_cleanup_free_ char *since = was_good ? start_if_left_down(op, r, begun_wall) : xstrdup("");
		size_t len = strlen(err.message);

		(void)snprintf(err.message + len, sizeof(err.message) - len, "%s", since);
		fail_restart(op, op_driver_code(r, "service-failed"), &err, begun_wall);
		return;
	}
	if (op_begin(op, "health", data, &err) < 0) {
		op_fail(op, "internal", "%s", err.message);
		return;
	}
	health_wait(op, op->app, before.instance, begun_wall, &v);
	if (!v.healthy) {
		fail_after(op, v.known ? "unhealthy" : op_driver_code(v.code, "service-failed"), v.text,
			v.known);
		return;
	}
	health_add_to_result(op, &v.status, true);
	tell_success(op, &before, &v, was_good ? v.good_at_ms - begun : -1);
}
