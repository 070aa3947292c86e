/* Taking up what an operation left when it died, or when this host did: the ledger says what was begun, the
 * disk and the service say how far it got. The result is a success where that can be proven, else
 * `interrupted` with a sentence that says how things stand now. (DESIGN 7) */
#include "agent/host/before.h"
#include "agent/host/config_outside.h"
#include "agent/host/push.h"
#include "driver/settings.h"
#include "fleet/clock.h"
#include "fleet/failpoint.h"
#include "fleet/file.h"
#include "fleet/log.h"

static const char *step_name(struct json_object *step)
{
	const char *name = fleet_json_string(step, "step");

	return name ? name : "its first step";
}

/* ---- restart ---- */

/* A restart that got between stop and start leaves an app down that was up: it is started again. */
static void recover_restart(struct op *op)
{
	struct json_object *data = fleet_json_object(op->last_step, "data");
	bool was_good = fleet_json_bool(data, "good", false);
	int64_t since_ms = fleet_json_int(op->last_step, "at", 0);
	const char *old = fleet_json_string(data, "instance");
	struct fleet_error err = FLEET_ERROR_INIT;
	struct driver_status now;
	struct health_verdict v;
	_cleanup_free_ char *words = NULL;

	if (service_status(op, op->app, &now, &err) < 0) {
		op_fail(op, "interrupted",
			"the restart was interrupted, and how the app is cannot be told: %s", err.message);
		return;
	}
	if (service_is_good(&now) && !str_empty(old) && strcmp(now.instance, old) == 0) {
		words = health_look_words(op->app, &now);
		health_add_to_result(op, &now, true);
		op_fail(op, "interrupted", "interrupted before the app was restarted: %s, pid %d as before",
			words, now.pid);
		return;
	}
	if (service_is_good(&now) && str_empty(now.instance)) {
		words = health_look_words(op->app, &now);
		health_add_to_result(op, &now, true);
		op_fail(op, "interrupted",
			"interrupted, and whether the app was restarted cannot be told: %s", words);
		return;
	}
	if (now.state == FLEET_STATE_STOPPED && was_good) {
		if (op_begin(op, "restart", data, &err) < 0 ||
			service_do(op, op->app, DRIVER_START, &err) < 0) {
			health_add_to_result(op, &now, false);
			op_fail(op, "interrupted",
				"the restart was interrupted with the app stopped, and it does not start: %s",
				err.message);
			service_add_logs(op, op->app, since_ms);
			return;
		}
	}
	health_wait(op, op->app, old, since_ms, &v);
	health_add_to_result(op, &v.status, v.healthy);
	if (!v.healthy) {
		op_fail(op, "interrupted", "the restart was interrupted: %s", v.text);
		service_add_logs(op, op->app, since_ms);
		return;
	}
	words = health_words(&v);
	fleet_json_add_bool(op->result, "verified", true);
	op_succeed(op, "%s, pid %d; the driver host was interrupted meanwhile and looked again%s", words,
		v.status.pid, v.caveat);
}

/* ---- push ---- */

static void restore_apps(struct push *p, struct json_object *record)
{
	for (size_t i = 0; i < p->app_count; i++)
		/* one that uses the file only since then was not touched */
		(void)app_record_restore(fleet_json_array(record, "apps"), &p->apps[i]);
}

/* Did every app that had to start with the new file do so, and is it well? Then the push did all that it was
 * to do. */
static bool is_complete(struct push *p, int64_t since_ms)
{
	for (size_t i = 0; i < p->app_count; i++) {
		struct app_before *a = &p->apps[i];
		struct driver_status now;
		struct health_verdict v;

		if (a->was_stopped || a->app->after_push == APP_PUSH_NONE)
			continue;
		if (str_empty(a->before.instance) || a->app->after_push == APP_PUSH_RELOAD)
			return false; /* nothing would show it */
		if (service_status(p->op, a->app, &now, NULL) < 0 ||
			strcmp(now.instance, a->before.instance) == 0)
			return false; /* it still runs as it did: its restart was not begun */
		health_wait(p->op, a->app, a->before.instance, since_ms, &v);
		if (!v.healthy)
			return false;
		if (i == 0)
			health_add_to_result(p->op, &v.status, true);
	}
	return true;
}

/* Which apps no longer run as they did before the push? Those were touched, and start again with the old
 * file. */
static void find_touched(struct push *p)
{
	for (size_t i = 0; i < p->app_count; i++) {
		struct app_before *a = &p->apps[i];
		struct driver_status now;
		bool same = service_status(p->op, a->app, &now, NULL) == 0 && service_is_good(&now) &&
			    !str_empty(now.instance) && strcmp(now.instance, a->before.instance) == 0;

		a->touched = !a->was_stopped && (!same || a->app->after_push == APP_PUSH_RELOAD);
	}
}

static void tell_untouched(struct push *p, const char *what)
{
	const char *last = step_name(p->op->last_step);
	bool began = str_equal(last, "restart") || str_equal(last, "health") || str_equal(last, "rollback");
	_cleanup_free_ char *down = began ? push_start_left_down(p) : xstrdup("");
	struct driver_status now;

	if (service_status(p->op, p->op->app, &now, NULL) == 0)
		health_add_to_result(p->op, &now, service_is_good(&now) || p->apps[0].was_stopped);
	op_fail(p->op, "interrupted", "%s%s", what, down);
}

/* What the services say of it must not tell them. */
static void learn_secrets(struct push *p, const struct safe_content *content)
{
	_cleanup_(settings_done) struct settings settings = SETTINGS_INIT;

	if (push_read_settings(p, content, &settings, NULL) >= 0)
		op_learn_secrets(p->op, &settings);
}

static void recover_written(struct push *p, struct json_object *record)
{
	const char *last = step_name(p->op->last_step);
	bool rolling_back = strcmp(last, "rollback") == 0;
	int64_t since_ms = fleet_json_int(p->op->write_step, "at", 0);
	struct fleet_error err = FLEET_ERROR_INIT;

	restore_apps(p, record);
	if (safe_file_open(p->file->real_path, &p->target, &err) < 0 ||
		safe_file_read(&p->target, &p->after, &err) < 0) {
		tell_untouched(p, err.message);
		return;
	}
	safe_file_clean(&p->target, p->op->command_id);
	fleet_json_add_string(p->op->result, "hash", p->after.hash);
	learn_secrets(p, &p->after);
	if (before_load(p->op->env->state_dir, p->op->command_id, p->op->app->id, p->file->name, &p->before,
		    &err) < 0) {
		_cleanup_free_ char *text =
			xasprintf("interrupted while it wrote %s, and cannot be undone: %s", p->file->path,
				err.message);

		tell_untouched(p, text);
	} else if (p->after.exists && str_equal(p->after.hash, fleet_json_string(record, "after"))) {
		if (!rolling_back && is_complete(p, since_ms)) {
			fleet_json_add_bool(p->op->result, "verified",
				p->apps[0].app->after_push == APP_PUSH_RESTART && !p->apps[0].was_stopped);
			op_succeed(p->op, "%s; the driver host was interrupted meanwhile and looked again",
				p->apps[0].was_stopped || p->apps[0].app->after_push == APP_PUSH_NONE
					? "written, not verified"
					: "restarted, healthy");
			return;
		}
		find_touched(p);
		push_roll_back(
			p, "interrupted", "interrupted before the app was seen to be well with the new file");
	} else if (p->after.exists == p->before.exists && str_equal(p->after.hash, p->before.hash)) {
		if (rolling_back) { /* the bytes are back; whether the app has them is not known */
			safe_content_done(&p->after);
			if (safe_file_read(&p->target, &p->after, &err) >= 0) {
				find_touched(p);
				push_roll_back(p, "interrupted", "interrupted while it was rolled back");
			}
			return;
		}
		tell_untouched(p, "interrupted before the file was replaced: nothing was changed");
	} else {
		tell_untouched(p,
			"interrupted, and the file was changed by somebody else since: it was left as it is");
	}
}

static void recover_push(struct op *op)
{
	_cleanup_free_ char *before_dir = xasprintf("%s/before", op->env->state_dir);
	struct json_object *record = fleet_json_object(op->write_step, "data");
	const char *name = fleet_json_string(record ? record : op->args, "file");
	const struct app_file *file = app_find_file(op->app, name);
	struct driver_status now;

	fleet_file_clean_partial(before_dir, op->command_id);
	if (!record) {
		if (service_status(op, op->app, &now, NULL) == 0)
			health_add_to_result(op, &now, service_is_good(&now));
		op_fail(op, "interrupted",
			"interrupted at step %s, before anything was written: nothing was changed",
			step_name(op->last_step));
		return;
	}
	if (!file || !str_equal(file->real_path, fleet_json_string(record, "path"))) {
		op_fail(op, "interrupted",
			"interrupted while it wrote %s, which is no longer declared: look at that file by "
			"hand",
			fleet_json_string(record, "path"));
		return;
	}
	{
		_cleanup_(push_done) struct push p;

		push_init(&p, op, file);
		fleet_json_add_string(op->result, "file", file->name);
		recover_written(&p, record);
		config_outside_settle(&p);
	}
}

void op_recover_undeclared(struct op *op)
{
	struct json_object *record = fleet_json_object(op->write_step, "data");
	const char *app_id = fleet_json_string(op->result, "appId");

	if (record && op->action != FLEET_ACTION_PUSH_CONFIG)
		op_recover_update(op);
	else if (record)
		op_fail(op, "interrupted",
			"interrupted while it wrote %s, which is no longer declared: look at that file by "
			"hand",
			fleet_json_string(record, "path"));
	else
		op_fail(op, "interrupted",
			"interrupted at step %s, and app '%s' is no longer declared on this server: look at "
			"its service by hand",
			step_name(op->last_step), app_id);
}

void op_recover(struct op *op)
{
	log_info("taking up command %s, which was interrupted at step %s", op->command_id,
		step_name(op->last_step));
	FLEET_FAILPOINT("recover.begin");
	if (op->action == FLEET_ACTION_PUSH_CONFIG) {
		recover_push(op);
	} else if (op->action == FLEET_ACTION_UPDATE_APP || op->action == FLEET_ACTION_ROLLBACK_APP) {
		op_recover_update(op);
	} else if (op->action == FLEET_ACTION_RESTART_APP &&
		   (str_equal(step_name(op->last_step), "restart") ||
			   str_equal(step_name(op->last_step), "health"))) {
		recover_restart(op);
	} else {
		struct driver_status now;

		if (service_status(op, op->app, &now, NULL) == 0)
			health_add_to_result(op, &now, service_is_good(&now));
		op_fail(op, "interrupted", "interrupted before anything was done");
	}
}
