/* Taking up an update that was cut off: the ledger has the plan, the markers say which tree is where. */
#include "agent/host/update.h"
#include "fleet/clock.h"
#include "fleet/log.h"

static void tell(struct update *u, const char *what)
{
	struct driver_status now;

	if (service_status(u->op, u->op->app, &now, NULL) == 0)
		health_add_to_result(u->op, &now, service_is_good(&now) || now.state == FLEET_STATE_STOPPED);
	op_fail(u->op, "interrupted", "%s", what);
}

/* Before anything was stopped: what was staged goes, the app was never touched. */
static void recover_staged(struct update *u, const char *step)
{
	_cleanup_free_ char *what =
		xasprintf("interrupted at step %s, before the app was touched: nothing was changed", step);
	struct fleet_error err = FLEET_ERROR_INIT;

	if (u->op->app->binary_path && tree_open(u->op->app->binary_path, -1, &u->tree, &err) >= 0) {
		int r = 0;

		/* a rollback that had not taken the kept one yet: what else lies there is an earlier one's,
		 * which the next one sets aside where it must */
		if (!u->back || !tree_exists(&u->tree, TREE_PREVIOUS)) {
			tree_end_moving(&u->tree);
			r = u->back ? tree_keep(&u->tree, TREE_NEW, TREE_PREVIOUS, &err)
				    : tree_remove(&u->tree, TREE_NEW, &err);
		}
		if (r < 0)
			log_warn("%s", err.message);
		update_clean(u);
		tree_tidy(&u->tree);
	}
	tell(u, what);
}

/* Only what runs no more, or with the wrong version under it, is to be stopped and started; whoever never
 * stopped goes on. */
static bool never_stopped(struct update *u)
{
	for (size_t i = 0; i < u->app_count; i++) {
		const struct app_before *a = &u->apps[i];
		struct driver_status now;

		if (a->was_stopped)
			continue;
		if (!a->was_good || service_status(u->op, a->app, &now, NULL) < 0 || !service_is_good(&now) ||
			str_empty(now.instance) || strcmp(now.instance, a->before.instance) != 0)
			return false;
	}
	return true;
}

static void recover_swap(struct update *u, const char *step)
{
	bool in_place;
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = tree_settle(&u->tree, &err);

	if (r < 0) { /* perhaps for a moment only: that is tried again there */
		(void)fleet_error_wrap(&err, "interrupted, and its files are not in order");
		u->ran = strcmp(step, "stop") != 0 && strcmp(step, "swap") != 0;
		update_roll_back(u, "interrupted", err.message);
		return;
	}
	in_place = update_is_exchanged(u);
	if (strcmp(step, "keep") == 0 && in_place) {
		_cleanup_free_ char *not_kept = update_keep(u);
		struct driver_status now = {.state = FLEET_STATE_UNKNOWN};

		if (service_status(u->op, u->op->app, &now, NULL) == 0)
			health_add_to_result(u->op, &now, service_is_good(&now) || u->apps[0].was_stopped);
		fleet_json_add_bool(u->op->result, "verified", !u->apps[0].was_stopped);
		op_succeed(u->op, "%s is in place%s; the driver host was interrupted meanwhile%s",
			update_version_name(u->to_version),
			u->apps[0].was_stopped ? "; the app was stopped before: not verified"
					       : " and was seen to be well",
			not_kept ? not_kept : "");
	} else if (strcmp(step, "rollback") == 0) {
		u->ran = true;
		update_roll_back(u, "interrupted", "interrupted while it was rolled back");
	} else if (in_place) {
		update_go_on(u); /* as if nothing had been: it starts, and is well or not */
	} else if (never_stopped(u) && moves_return(&u->tree, &u->moves, false, &err) >= 0) {
		/* (what is an app's own may have moved all the same, where it was stopped before) */
		tree_end_moving(&u->tree);
		r = u->back ? tree_keep(&u->tree, TREE_NEW, TREE_PREVIOUS, &err)
			    : tree_remove(&u->tree, TREE_NEW, &err);
		if (r < 0)
			log_warn("%s", err.message);
		tell(u, "interrupted before the app was stopped: nothing was changed");
	} else {
		update_roll_back(u, "interrupted", "interrupted before the new version was in place");
	}
}

int update_put_in_order(
	const char *id, const char *step, struct json_object *plan, bool to_the_end, struct fleet_error *err)
{
	_cleanup_(tree_done) struct tree tree = TREE_INIT;
	_cleanup_(moves_done) struct moves moves = {0};
	const char *path = fleet_json_string(plan, "path"), *sha256 = fleet_json_string(plan, "sha256"),
		   *number = fleet_json_string(plan, "inode");
	bool back = str_equal(step, "rollback"), in_place;
	int r;

	if (!path || path[0] != '/')
		return fleet_error_set(err, -EBADMSG, "the ledger does not say what was to be updated");
	moves_from_json(fleet_json_array(plan, "moves"), &moves);
	r = tree_open(path, fleet_json_bool(plan, "file", false), &tree, err);
	if (r >= 0)
		r = tree_settle(&tree, err);
	if (r < 0)
		return r;
	in_place = tree_is_exchanged(&tree, number ? strtoull(number, NULL, 10) : 0, id, sha256);
	if (in_place && back)
		r = tree_exchange_back(&tree, err);
	if (r < 0 || (in_place && !back))
		return r < 0 ? r : 1;
	r = moves_return(&tree, &moves, back, err);
	if (r == 0 && to_the_end) {
		tree_end_moving(&tree);
		r = fleet_json_bool(plan, "back", false) ? tree_keep(&tree, TREE_NEW, TREE_PREVIOUS, err)
							 : tree_remove(&tree, TREE_NEW, err);
		tree_tidy(&tree);
	}
	return r < 0 ? r : 0;
}

/* The app is declared no more, or elsewhere: nothing can be asked or started. */
static void recover_undeclared(struct op *op, struct json_object *plan, const char *step)
{
	const char *path = fleet_json_string(plan, "path"), *to = fleet_json_string(plan, "to");
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = update_put_in_order(op->command_id, step, plan, true, &err);

	if (r < 0)
		op_fail(op, "interrupted",
			"interrupted while it updated %s, which is no longer declared, and its files are not "
			"in order: %s. Look at it, and at the .fleet directory beside it, by hand",
			path, err.message);
	else
		op_fail(op, "interrupted",
			"interrupted while it updated %s, which is no longer declared: %s is in place, "
			"whole, "
			"and whether it runs is not known",
			path, r > 0 ? update_version_name(to) : "the old version");
}

void op_recover_update(struct op *op)
{
	struct json_object *record = fleet_json_object(op->write_step, "data");
	const char *step = fleet_json_string(op->last_step, "step");
	_cleanup_(update_done) struct update u = {.tree = TREE_INIT};
	struct fleet_error err = FLEET_ERROR_INIT;

	if (!step)
		step = "start";
	if (record && (!op->app || !str_equal(op->app->binary_path, fleet_json_string(record, "path")))) {
		recover_undeclared(op, record, step);
		return;
	}
	if (!record && op->action == FLEET_ACTION_UPDATE_APP &&
		(strcmp(step, "start") == 0 || strcmp(step, "prepare") == 0 ||
			strcmp(step, "download") == 0)) {
		op_update_app(op); /* a download may take an hour, and nothing was done yet */
		return;
	}
	update_init(&u, op);
	u.back = op->action == FLEET_ACTION_ROLLBACK_APP;
	if (!record) {
		recover_staged(&u, step);
		return;
	}
	update_restore(&u, record);
	fleet_json_add_string(op->result, "fromVersion", u.from_version);
	fleet_json_add_string(op->result, "toVersion", u.to_version);
	if (tree_open(op->app->binary_path, fleet_json_bool(record, "file", false), &u.tree, &err) < 0)
		tell(&u, err.message);
	else
		recover_swap(&u, step);
	if (u.tree.work_fd >= 0) {
		update_clean(&u);
		tree_tidy(&u.tree);
	}
}
