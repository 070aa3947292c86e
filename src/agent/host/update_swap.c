#include "agent/host/update.h"
#include <time.h>
#include "agent/host/version.h"
#include "fleet/buffer.h"
#include "fleet/clock.h"
#include "fleet/log.h"

#define BACK_TRIES    3
#define BACK_PAUSE_MS 500
#define BACK_QUICK_MS 5000

static int begin(struct update *u, const char *step, struct json_object *takes_data, const char *takes_event,
	struct fleet_error *err)
{
	_cleanup_json_ struct json_object *data = takes_data;
	_cleanup_free_ char *event = (char *)(uintptr_t)takes_event; /* ours now */

	return op_begin_event(u->op, step, data, event, err);
}

/* ---- the way back ---- */

/* What fails for a moment only must not be the last word on the way back: nobody else would bring back the
 * app. What takes its time to fail is not asked again. */
static bool try_again(int tries, int64_t began_ms, const struct fleet_error *err)
{
	const struct timespec pause = {.tv_nsec = BACK_PAUSE_MS * 1000000L};

	if (tries >= BACK_TRIES || fleet_clock_monotonic_ms() - began_ms > BACK_QUICK_MS)
		return false;
	log_warn("on the way back: %s; once more", err->message);
	(void)nanosleep(&pause, NULL);
	return true;
}

static int start_again(struct update *u, const struct app_before **ret_failed, struct fleet_error *err)
{
	int64_t began_ms;
	int tries = 0, r;

	do {
		began_ms = fleet_clock_monotonic_ms();
		r = update_start_all(u, ret_failed, err);
	} while (r < 0 && try_again(++tries, began_ms, err));
	return r;
}

/* What was to take the app's place and does not: kept for another rollback, or gone. */
static void drop_new(struct update *u)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = u->left && !u->back ? tree_set_aside(&u->tree, TREE_NEW, &err) : 0;

	if (r >= 0) {
		tree_end_moving(&u->tree);
		r = u->back ? tree_keep(&u->tree, TREE_NEW, TREE_PREVIOUS, &err)
			    : tree_remove(&u->tree, TREE_NEW, &err);
	}
	if (r < 0)
		log_warn("%s", err.message); /* the next update moves it out of the way */
}

/* Starts again, as it was before, whatever runs there no more. The words say how the command's own app is. */
static bool run_again(struct update *u, bool fresh, struct fleet_buffer *words)
{
	const struct app_before *failed = &u->apps[0];
	struct fleet_error err = FLEET_ERROR_INIT;
	struct health_verdict v = {.known = false};
	int64_t since_ms = fleet_clock_wall_ms();
	const char *version = update_version_name(u->from_version);

	if (start_again(u, &failed, &err) < 0) {
		if (service_status(u->op, u->op->app, &v.status, NULL) == 0)
			health_add_to_result(
				u->op, &v.status, failed != &u->apps[0] && service_is_good(&v.status));
		fleet_buffer_printf(words, "%s does not start: %s", failed->app->id, err.message);
		return false;
	}
	if (!update_all_well(u, since_ms, fresh, &failed, &v)) {
		fleet_buffer_printf(words, "%s is not well: %s", failed->app->id, v.text);
		return false;
	}
	if (u->apps[0].was_stopped) {
		fleet_buffer_printf(words, "%s is in place, stopped as it was", version);
	} else {
		_cleanup_free_ char *state = health_words(&v);

		fleet_buffer_printf(words, "%s is %s", version, state);
		if (u->down_since_ms > 0 && v.good_at_ms > 0) {
			json_object_object_del(u->op->result, "downMs");
			fleet_json_add_int(u->op->result, "downMs", v.good_at_ms - u->down_since_ms);
		}
	}
	return true;
}

/* Where did update_stop leave which app? Only what is down now and was up is started again. */
static void resume_after_stop(struct update *u, const char *code, const char *why)
{
	_cleanup_buffer_ struct fleet_buffer words = FLEET_BUFFER_INIT;
	_cleanup_free_ char *text = NULL;
	bool well = run_again(u, false, &words);

	text = xasprintf("%s. Nothing was changed: %s%s", why, well ? "" : "but ", words.data);
	op_fail(u->op, code, "%s", text);
	drop_new(u);
}

bool update_is_exchanged(const struct update *u)
{
	return tree_is_exchanged(&u->tree, u->old_number, u->op->command_id, u->sha256);
}

static int put_back(struct update *u, struct fleet_error *err)
{
	int r = tree_settle(&u->tree, err);

	if (r >= 0 && update_is_exchanged(u))
		r = tree_exchange_back(&u->tree, err);
	/* also where the exchange was done before: what the new version wrote may be there still */
	if (r >= 0)
		r = moves_return(&u->tree, &u->moves, u->ran, err);
	u->left = r > 0;
	return r;
}

/* There is no way back: better the new version than none, where it is whole. For the message. */
static const char *run_as_it_is(struct update *u)
{
	const struct app_before *failed = &u->apps[0];
	struct fleet_error err = FLEET_ERROR_INIT;
	struct driver_status now;
	bool started = update_is_exchanged(u) && tree_exists(&u->tree, NULL);

	if (started && start_again(u, &failed, &err) < 0)
		log_warn("%s does not start: %s", failed->app->id, err.message);
	if (service_status(u->op, u->op->app, &now, NULL) == 0)
		health_add_to_result(u->op, &now, false);
	return started ? "; what had run was started again, with the new one"
		       : "; what had run stays stopped";
}

void update_roll_back(struct update *u, const char *code, const char *why)
{
	_cleanup_buffer_ struct fleet_buffer words = FLEET_BUFFER_INIT;
	_cleanup_free_ char *text = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	int64_t began_ms;
	int tries = 0, r;
	bool well;

	op_fail(u->op, code, "%s", why);
	r = begin(u, "rollback", NULL,
		xasprintf("%s: back to %s: %s", u->op->app->id, update_version_name(u->from_version), why),
		&err);
	if (r < 0)
		op_progress(
			u->op, -1, err.message); /* undone all the same: what is begun already covers it */
	do {
		began_ms = fleet_clock_monotonic_ms();
		r = update_stop(u, &err);
		if (r >= 0)
			r = put_back(u, &err);
	} while (r < 0 && try_again(++tries, began_ms, &err));
	if (r < 0) {
		text = xasprintf(
			"%s. Not rolled back: %s. The version before is at %s or in .%s.fleet beside it%s",
			why, err.message, u->tree.path, u->tree.name, run_as_it_is(u));
		op_end_step(u->op, false, err.message);
		op_result_fail(u->op->result, code, text);
		return;
	}
	json_object_object_del(u->op->result, "rolledBack");
	fleet_json_add_bool(u->op->result, "rolledBack", true);
	well = run_again(u, false, &words);
	if (u->left && !u->back)
		fleet_buffer_printf(&words,
			"; what %s made a link of is kept as " TREE_LEFT " in .%s.fleet beside it",
			update_version_name(u->to_version), u->tree.name);
	text = xasprintf(
		"%s. %s%s", why, well ? "Rolled back: " : "The version before is back, but ", words.data);
	op_end_step(u->op, well, well ? NULL : words.data);
	op_result_fail(u->op->result, code, text);
	drop_new(u);
}

/* ---- the way forward ---- */

char *update_keep(struct update *u)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	bool keep = u->op->app->keep_previous || u->back;
	int r;

	tree_end_moving(&u->tree);
	if (!tree_exists(&u->tree, TREE_NEW)) {
		if (u->op->app->keep_previous)
			return NULL; /* it was all done before */
		r = tree_remove(&u->tree, TREE_PREVIOUS, &err);
	} else if (keep) {
		/* on a full disk there is no room for the note, and there is for a rename: kept it is */
		if (tree_note_previous(&u->tree, u->from_version, u->op->command_id, &err) < 0) {
			log_warn("%s", err.message);
			tree_forget_note(&u->tree);
		}
		r = tree_keep(&u->tree, TREE_NEW, TREE_PREVIOUS, &err);
	} else {
		r = tree_remove(&u->tree, TREE_NEW, &err);
		if (r >= 0)
			r = tree_remove(&u->tree, TREE_PREVIOUS, &err);
	}
	if (r >= 0)
		return NULL;
	log_warn("%s", err.message); /* the update holds; the next one clears it away */
	if (keep)
		tree_forget_note(&u->tree);
	return keep ? xasprintf("; the version before could not be kept for a rollback: %s", err.message)
		    : NULL;
}

/* Is what runs now what was asked for? Where the app cannot tell, that is said. */
static bool check_version(struct update *u, char **ret_why)
{
	_cleanup_free_ char *version = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = version_discover(u->op->env, u->op->app, &version, &err);
	enum app_version_kind kind = u->op->app->version_kind;

	if (!tree_exists(&u->tree, NULL)) { /* it runs, and would not a second time */
		*ret_why = xasprintf(
			"%s removed itself from %s", update_version_name(u->to_version), u->tree.path);
		return false;
	}
	if (r >= 0 && version && str_equal(version, u->to_version))
		return true;
	/* these need not come from the release at all */
	if ((kind == APP_VERSION_DRIVER || kind == APP_VERSION_ENV) &&
		(r < 0 || !version || str_equal(version, u->from_version)))
		return true;
	if (!u->to_version) { /* back to a version that nobody knew */
		u->to_version = TAKE_PTR(version);
		fleet_json_add_string(u->op->result, "toVersion", u->to_version);
		return true;
	}
	if (r < 0)
		*ret_why = xasprintf("asked for %s, but the release does not say its version: %s",
			u->to_version, err.message);
	else
		*ret_why = xasprintf(
			"asked for %s, but the release says %s", u->to_version, update_version_name(version));
	return false;
}

static void succeed(struct update *u, const struct health_verdict *v, const char *not_kept)
{
	const char *unsure = update_no_checksum(u) ? "; no checksum" : "";
	_cleanup_free_ char *state = health_words(v);
	char down[64] = "", pid[32] = "";

	if (u->apps[0].was_stopped) { /* a boot may have started it meanwhile */
		bool stays = v->status.state == FLEET_STATE_STOPPED;
		_cleanup_free_ char *now = xasprintf("%s now", service_state_name(v->status.state));

		fleet_json_add_bool(u->op->result, "verified", false);
		op_succeed(u->op, "%s is in place; the app was stopped%s%s: not verified%s%s",
			update_version_name(u->to_version), stays ? " and stays stopped" : ", and is ",
			stays ? "" : now, unsure, not_kept ? not_kept : "");
		return;
	}
	if (u->down_since_ms > 0 && v->good_at_ms > 0) {
		char span[24];

		health_span(v->good_at_ms - u->down_since_ms, span, sizeof(span));
		snprintf(down, sizeof(down), ", down %s", span);
		fleet_json_add_int(u->op->result, "downMs", v->good_at_ms - u->down_since_ms);
	}
	if (v->status.pid > 0)
		snprintf(pid, sizeof(pid), ", pid %d", v->status.pid);
	fleet_json_add_bool(u->op->result, "verified", true);
	op_succeed(u->op, "%s%s%s%s%s%s", state, pid, down, v->caveat, unsure, not_kept ? not_kept : "");
}

void update_go_on(struct update *u)
{
	const struct app_before *failed = &u->apps[0];
	struct fleet_error err = FLEET_ERROR_INIT;
	struct health_verdict v = {.known = false};
	_cleanup_free_ char *why = NULL, *not_kept = NULL;
	int64_t since_ms = fleet_clock_wall_ms();
	int r;

	u->ran = true;
	r = begin(u, "start", NULL,
		xasprintf("%s: starting %s", u->op->app->id, update_version_name(u->to_version)), &err);
	if (r < 0) {
		update_roll_back(u, "internal", err.message);
		return;
	}
	r = update_start(u, &failed, &err);
	if (r < 0) {
		struct driver_status now;

		if (service_status(u->op, failed->app, &now, NULL) == 0 && now.state == FLEET_STATE_FAILED &&
			now.message[0])
			health_explain(&now, since_ms, err.message, sizeof(err.message));
		why = xasprintf("health check failed: %s%s%s", failed == u->apps ? "" : failed->app->id,
			failed == u->apps ? "" : ": ", err.message);
		service_add_logs(u->op, failed->app, since_ms);
		update_roll_back(u, op_driver_code(r, "unhealthy"), why);
		return;
	}
	if (op_begin(u->op, "health", NULL, &err) < 0) {
		update_roll_back(u, "internal", err.message);
		return;
	}
	if (!update_all_well(u, since_ms, true, &failed, &v)) {
		why = xasprintf("health check failed: %s%s%s", failed == u->apps ? "" : failed->app->id,
			failed == u->apps ? "" : ": ", v.text);
		service_add_logs(u->op, failed->app, since_ms);
		update_roll_back(u, v.known ? "unhealthy" : op_driver_code(v.code, "service-failed"), why);
		return;
	}
	if (!check_version(u, &why)) {
		update_roll_back(u, "version-mismatch", why);
		return;
	}
	if (op_begin(u->op, "keep", NULL, &err) < 0) {
		update_roll_back(u, "internal", err.message);
		return;
	}
	not_kept = update_keep(u);
	succeed(u, &v, not_kept);
}

/* Moves what is the app's own into the release, and the release into the app's place. */
static int put_in_place(struct update *u, struct fleet_error *err)
{
	int r = moves_carry(&u->tree, &u->moves, err);

	if (r >= 0)
		r = tree_exchange(&u->tree, err);
	return r;
}

static void undo_swap(struct update *u, const char *why)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	int64_t began_ms;
	int tries = 0, r;

	do {
		began_ms = fleet_clock_monotonic_ms();
		r = tree_settle(&u->tree, &err);
		if (r >= 0 && update_is_exchanged(u)) {
			update_roll_back(u, "write-failed", why);
			return;
		}
		if (r >= 0)
			r = moves_return(&u->tree, &u->moves, false, &err);
	} while (r < 0 && try_again(++tries, began_ms, &err));
	if (r < 0) {
		op_fail(u->op, "write-failed",
			"%s. It could not be undone: %s. What is missing at %s is in .%s.fleet beside it; "
			"what had run stays stopped",
			why, err.message, u->tree.path, u->tree.name);
		return;
	}
	resume_after_stop(u, "write-failed", why);
}

void update_swap(struct update *u)
{
	const char *id = u->op->app->id;
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = update_look(u, &err);

	if (r < 0) {
		op_fail(u->op, op_driver_code(r, "service-failed"), "%s", err.message);
		drop_new(u);
		return;
	}
	if (tree_begin_moving(&u->tree, &err) < 0) {
		op_fail(u->op, "write-failed", "%s; nothing was changed", err.message);
		drop_new(u);
		return;
	}
	u->old_number = tree_number(&u->tree, NULL);
	r = begin(u, "stop", update_record(u),
		xasprintf("%s: stopping %s", id, update_version_name(u->from_version)), &err);
	if (r < 0) {
		op_fail(u->op, "internal", "%s", err.message);
		drop_new(u);
		return;
	}
	r = update_stop(u, &err);
	if (r < 0) {
		resume_after_stop(u, op_driver_code(r, "service-failed"), err.message);
		return;
	}
	u->old_number = tree_number(&u->tree, NULL); /* until now the app could replace it */
	r = moves_decide(&u->tree, &u->moves, &err);
	if (r < 0) {
		resume_after_stop(u, "write-failed", err.message);
		return;
	}
	r = begin(u, "swap", update_record(u),
		xasprintf("%s: %s takes the place of %s%s", id, update_version_name(u->to_version),
			update_version_name(u->from_version), update_no_checksum(u) ? " (no checksum)" : ""),
		&err);
	if (r < 0) {
		resume_after_stop(u, "internal", err.message);
		return;
	}
	if (put_in_place(u, &err) < 0)
		undo_swap(u, err.message);
	else
		update_go_on(u);
}
