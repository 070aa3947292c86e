#include "agent/host/push.h"
#include "fleet/buffer.h"
#include "fleet/clock.h"

int push_put_back(struct push *p, struct fleet_error *err)
{
	if (p->before.exists)
		return safe_file_replace(
			&p->target, &p->after, p->before.data, p->before.len, p->op->command_id, err);
	return safe_file_remove(&p->target, &p->after, err);
}

/* A unit's drop-in is read by the service manager itself, before any restart. */
static int reload_definitions(struct push *p, struct fleet_error *err)
{
	for (size_t i = 0; i < p->app_count; i++) {
		int r;

		if (strcmp(p->apps[i].app->service_driver, p->file->driver) != 0)
			continue;
		r = service_do(p->op, p->apps[i].app, DRIVER_RELOAD_DEFINITIONS, err);
		if (r == -EOPNOTSUPP)
			continue; /* it has none to reload */
		return r;         /* once for all: they are of one manager */
	}
	return 0;
}

static bool is_due(const struct app_before *a)
{
	return !a->was_stopped && a->app->after_push != APP_PUSH_NONE;
}

static int touch_apps(struct push *p, const struct app_before **ret_failed, struct fleet_error *err)
{
	for (size_t i = 0; i < p->app_count; i++) {
		struct app_before *a = &p->apps[i];
		bool reload = a->app->after_push == APP_PUSH_RELOAD && a->was_good;
		int r;

		if (!is_due(a))
			continue;
		a->touched = true;
		r = service_do(p->op, a->app, reload ? DRIVER_RELOAD : DRIVER_RESTART, err);
		if (r < 0) {
			*ret_failed = a;
			return r;
		}
	}
	return 0;
}

/* What became of one app: "restarted, healthy", and for the others that share the file "app-b restarted,
 * healthy". */
static void say_app(
	struct push *p, const struct app_before *a, const struct health_verdict *v, struct fleet_buffer *out)
{
	if (out->len > 0)
		fleet_buffer_add_string(out, "; ");
	if (a != &p->apps[0])
		fleet_buffer_printf(out, "%s ", a->app->id);
	if (a->was_stopped)
		fleet_buffer_add_string(out, "written; the app was stopped and stays stopped: not verified");
	else if (!a->touched)
		fleet_buffer_add_string(out, "written; the app reads it at its next start: not verified");
	else
		fleet_buffer_printf(out, "%s, %s%s",
			a->app->after_push == APP_PUSH_RELOAD && a->was_good ? "reloaded" : "restarted",
			v->checked ? "healthy" : service_state_name(v->status.state), v->caveat);
}

static void fail_unwell(struct push *p, const struct app_before *a, const char *code, const char *why)
{
	_cleanup_free_ char *whose = a == &p->apps[0] ? xstrdup(why) : xasprintf("%s: %s", a->app->id, why);
	struct driver_status now;

	service_add_logs(p->op, a->app, p->op->started_ms);
	if (a->was_good) {
		push_roll_back(p, code, whose);
		return;
	}
	op_fail(p->op, code, "%s. It was not well before this push either, so the new file stays", whose);
	if (service_status(p->op, p->apps[0].app, &now, NULL) == 0)
		health_add_to_result(p->op, &now, service_is_good(&now) && a != &p->apps[0]);
}

/* Waits for each touched app; false: one is not well, and the operation has its result. */
static bool all_well(struct push *p, int64_t since_ms, struct fleet_buffer *words)
{
	for (size_t i = 0; i < p->app_count; i++) {
		struct app_before *a = &p->apps[i];
		bool reload = a->app->after_push == APP_PUSH_RELOAD && a->was_good;
		struct health_verdict v = {.status = a->before};

		if (a->touched) {
			health_wait(p->op, a->app, reload ? NULL : a->before.instance, since_ms, &v);
			if (!v.healthy) {
				fail_unwell(p, a,
					v.known ? "unhealthy" : op_driver_code(v.code, "service-failed"),
					v.text);
				return false;
			}
		}
		say_app(p, a, &v, words);
		if (i == 0)
			health_add_to_result(p->op, &v.status, a->was_stopped || service_is_good(&v.status));
	}
	return true;
}

void push_apply(struct push *p)
{
	_cleanup_buffer_ struct fleet_buffer words = FLEET_BUFFER_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;
	const struct app_before *failed = &p->apps[0];
	int64_t since_ms = fleet_clock_wall_ms();
	bool any_due = false;
	int r;

	for (size_t i = 0; i < p->app_count; i++)
		any_due |= is_due(&p->apps[i]);
	r = reload_definitions(p, &err);
	if (r >= 0 && any_due && op_begin(p->op, "restart", NULL, &err) < 0) {
		push_roll_back(p, "internal", err.message);
		return;
	}
	if (r >= 0)
		r = touch_apps(p, &failed, &err);
	if (r < 0) {
		const char *code = op_driver_code(r, "service-failed");
		struct driver_status now;

		if (strcmp(code, "service-failed") == 0 &&
			service_status(p->op, failed->app, &now, NULL) == 0 &&
			now.state == FLEET_STATE_FAILED && now.message[0])
			health_explain(&now, since_ms, err.message, sizeof(err.message));
		fail_unwell(p, failed, code, err.message);
		return;
	}
	if (any_due && op_begin(p->op, "health", NULL, &err) < 0) {
		push_roll_back(p, "internal", err.message);
		return;
	}
	if (!all_well(p, since_ms, &words))
		return;
	fleet_json_add_bool(p->op->result, "verified", p->apps[0].touched);
	op_succeed(p->op, "%s", words.data);
}

/* Starts again what the push had restarted and what was well before it. The words say how the command's own
 * app is. */
static bool restart_touched(struct push *p, struct fleet_buffer *words)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	bool well = true;

	if (reload_definitions(p, &err) < 0)
		fleet_buffer_printf(words, " (%s)", err.message);
	for (size_t i = 0; i < p->app_count; i++) {
		struct app_before *a = &p->apps[i];
		struct health_verdict v = {.status = a->before};
		int64_t since_ms = fleet_clock_wall_ms();
		struct driver_status now = {0};
		bool good = true;

		if (!a->touched && service_status(p->op, a->app, &v.status, NULL) < 0)
			v.status = a->before; /* nothing was done to it since */
		if (a->touched && a->was_good) {
			bool reload = a->app->after_push == APP_PUSH_RELOAD;

			if (service_status(p->op, a->app, &now, NULL) < 0)
				now.instance[0] = '\0';
			reload = reload && service_is_good(&now);
			if (service_do(p->op, a->app, reload ? DRIVER_RELOAD : DRIVER_RESTART, &err) < 0) {
				good = false;
				if (service_status(p->op, a->app, &v.status, NULL) < 0)
					v.status = (struct driver_status){.state = FLEET_STATE_UNKNOWN};
				snprintf(v.text, sizeof(v.text), "%.500s", err.message);
			} else {
				health_wait(p->op, a->app, reload ? NULL : now.instance, since_ms, &v);
				good = v.healthy;
			}
		}
		well &= good;
		if (i == 0)
			health_add_to_result(p->op, &v.status, good && (a->was_good || a->was_stopped));
		if (i == 0 || !good) {
			_cleanup_free_ char *state =
				a->touched ? health_words(&v) : health_look_words(a->app, &v.status);

			fleet_buffer_printf(words, "%s%s%s%s", words->len > 0 ? "; " : "",
				i == 0 ? "" : a->app->id, i == 0 ? "" : " is ", good ? state : v.text);
		}
	}
	return well;
}

char *push_start_left_down(struct push *p)
{
	_cleanup_buffer_ struct fleet_buffer words = FLEET_BUFFER_INIT;

	for (size_t i = 0; i < p->app_count; i++) {
		struct app_before *a = &p->apps[i];
		struct fleet_error err = FLEET_ERROR_INIT;
		struct driver_status now;

		if (!a->was_good || service_status(p->op, a->app, &now, NULL) < 0 ||
			now.state != FLEET_STATE_STOPPED)
			continue;
		if (service_do(p->op, a->app, DRIVER_START, &err) < 0)
			fleet_buffer_printf(&words, "; %s was left stopped, and does not start: %s",
				a->app->id, err.message);
		else
			fleet_buffer_printf(
				&words, "; %s was left stopped, and was started again", a->app->id);
	}
	return xstrdup(words.data ? words.data : "");
}

void push_roll_back(struct push *p, const char *code, const char *why)
{
	_cleanup_buffer_ struct fleet_buffer words = FLEET_BUFFER_INIT;
	_cleanup_free_ char *text = NULL, *clean = op_redact(p->op, why);
	struct fleet_error err = FLEET_ERROR_INIT;
	int r;

	why = clean;
	op_fail(p->op, code, "%s", why);
	if (op_begin(p->op, "rollback", NULL, &err) < 0)
		op_progress(
			p->op, -1, err.message); /* undone all the same: what is begun already covers it */
	r = push_put_back(p, &err);
	if (r < 0) {
		_cleanup_free_ char *down = push_start_left_down(p);

		text = xasprintf("%s. Not rolled back: %s%s", why, err.message, down);
		op_end_step(p->op, false, err.message);
		op_result_fail(p->op->result, code, text);
		return;
	}
	fleet_json_add_bool(p->op->result, "rolledBack", true);
	json_object_object_del(p->op->result, "hash");
	if (p->before.exists)
		fleet_json_add_string(p->op->result, "hash", p->before.hash);
	if (restart_touched(p, &words)) {
		text = xasprintf("%s. Rolled back: %s", why, words.data ? words.data : "");
		op_end_step(p->op, true, NULL);
	} else {
		text = xasprintf("%s. The old file is back, but the app is not well with it either: %s", why,
			words.data ? words.data : "");
		op_end_step(p->op, false, words.data);
	}
	op_result_fail(p->op->result, code, text);
}
