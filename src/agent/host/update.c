#include "agent/host/update.h"
#include "agent/host/signature.h"
#include "agent/host/version.h"
#include "fleet/clock.h"
#include "fleet/log.h"

/* ---- may it be ---- */

static int refuse(struct op *op, const char *code, const char *why)
{
	op_fail(op, code, "%s; nothing was done", why);
	return -EPERM;
}

static int open_place(struct update *u)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	int r;

	if (!u->op->app->binary_path)
		return refuse(u->op, "not-supported",
			"the app's declaration has no binary_path, so there is nothing that an update could "
			"replace");
	r = tree_open(u->op->app->binary_path, -1, &u->tree, &err);
	if (r < 0) {
		op_fail(u->op, r == -ENOENT || r == -ELOOP || r == -EINVAL ? "not-supported" : "write-failed",
			"%s; nothing was done", err.message);
		return r;
	}
	moves_collect(&u->tree, u->op->env->apps, &u->moves);
	r = moves_check(&u->tree, &u->moves, &err);
	if (r >= 0)
		r = moves_check_mounts(&u->tree, &u->moves, &err);
	if (r < 0)
		op_fail(u->op, r == -EINVAL || r == -ELOOP ? "not-supported" : "write-failed",
			"%s; nothing was done", err.message);
	return r;
}

static int find_versions(struct update *u)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	if (version_discover(u->op->env, u->op->app, &u->from_version, &err) < 0)
		log_info("the version of app %s before the update is not known: %s", u->op->app->id,
			err.message);
	fleet_json_add_string(u->op->result, "fromVersion", u->from_version);
	fleet_json_add_string(u->op->result, "toVersion", u->to_version);
	return 0;
}

static int check_order(struct update *u)
{
	if (u->from_version && !fleet_json_bool(u->op->args, "allowDowngrade", false) &&
		update_version_compare(u->to_version, u->from_version) < 0) {
		op_fail(u->op, "downgrade",
			"%s is older than %s, which is here; --allow-downgrade if that is meant. "
			"Nothing was done",
			u->to_version, u->from_version);
		return -EPERM;
	}
	return 0;
}

/* What the admin demands of a release, as far as it can be told before the download. */
static int check_demands(struct update *u)
{
	struct signature_keys keys = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	bool demanded;
	int r;

	if (u->op->app->require_sha256 && !fleet_json_string(u->op->args, "sha256"))
		return refuse(u->op, "hash-mismatch",
			"this server's admin demands a checksum of every release (require_sha256); give one "
			"with --sha256");
	r = signature_keys_load(u->op->env->trusted_keys_dir, u->op->env->as_root, &keys, &err);
	demanded = keys.count > 0;
	signature_keys_done(&keys);
	if (r < 0)
		return refuse(u->op, "bad-signature", err.message);
	if (demanded && !fleet_json_string(u->op->args, "signature"))
		return refuse(u->op, "bad-signature",
			"this server's admin demands signed releases (trusted-keys.d), and this one comes "
			"without a "
			"signature");
	return 0;
}

/* What an earlier operation left of a release goes; where some of the app's own may be in it, it is kept out
 * of the way. */
static int clear_room(struct update *u)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = tree_settle(&u->tree, &err);

	if (r >= 0)
		r = tree_exists(&u->tree, TREE_MOVING) ? tree_set_aside(&u->tree, TREE_NEW, &err)
						       : tree_remove(&u->tree, TREE_NEW, &err);
	if (r >= 0)
		tree_end_moving(&u->tree);
	if (r >= 0)
		r = tree_remove(&u->tree, TREE_UNPACK, &err);
	if (r < 0)
		op_fail(u->op, "write-failed", "%s; nothing was done", err.message);
	return r;
}

/* ---- the operations ---- */

static int prepare_update(struct update *u)
{
	_cleanup_free_ char *event = xasprintf("%s: update to %s begins", u->op->app->id, u->to_version);
	struct fleet_error err = FLEET_ERROR_INIT;
	int r;

	if (op_begin_event(u->op, "prepare", NULL, event, &err) < 0)
		return op_fail(u->op, "internal", "%s", err.message), -EPIPE;
	r = open_place(u);
	if (r >= 0)
		r = find_versions(u);
	if (r >= 0)
		r = check_order(u);
	if (r >= 0)
		r = check_demands(u);
	return r < 0 ? r : clear_room(u);
}

void op_update_app(struct op *op)
{
	_cleanup_(update_done) struct update u;

	update_init(&u, op);
	u.to_version = xstrdup(fleet_json_string(op->args, "version"));
	if (prepare_update(&u) >= 0 && update_stage(&u) >= 0)
		update_swap(&u);
	if (u.tree.work_fd >= 0)
		tree_tidy(&u.tree);
}

static int prepare_rollback(struct update *u)
{
	_cleanup_free_ char *event = NULL;
	_cleanup_json_ struct json_object *note = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = open_place(u);

	if (r < 0)
		return r;
	if (!tree_exists(&u->tree, TREE_PREVIOUS))
		return refuse(u->op, "not-supported",
			u->op->app->keep_previous
				? "no earlier version is kept of this app; the first update keeps one"
				: "this server keeps no earlier version of this app (keep_previous)");
	note = tree_previous_note(&u->tree);
	u->to_version = xstrdup(fleet_json_string(note, "version"));
	event = xasprintf("%s: rollback to %s begins", u->op->app->id, update_version_name(u->to_version));
	if (op_begin_event(u->op, "prepare", NULL, event, &err) < 0)
		return op_fail(u->op, "internal", "%s", err.message), -EPIPE;
	r = find_versions(u);
	if (r >= 0)
		r = clear_room(u);
	if (r < 0)
		return r;
	/* from here on it is ours to know again; a crash before the stop leaves it under a name that recovery
	 * keeps */
	r = tree_keep(&u->tree, TREE_PREVIOUS, TREE_NEW, &err);
	if (r >= 0)
		r = tree_mark(&u->tree, TREE_NEW, u->op->command_id, u->to_version, &err);
	if (r >= 0 && u->tree.is_file)
		r = tree_hash_file(&u->tree, TREE_NEW, u->sha256, &err);
	if (r < 0) {
		op_fail(u->op, "write-failed", "%s; the app was not touched", err.message);
		if (tree_keep(&u->tree, TREE_NEW, TREE_PREVIOUS, &err) < 0)
			log_error("%s", err.message);
	}
	return r;
}

void op_rollback_app(struct op *op)
{
	_cleanup_(update_done) struct update u;

	update_init(&u, op);
	u.back = true;
	if (prepare_rollback(&u) >= 0)
		update_swap(&u);
	if (u.tree.work_fd >= 0)
		tree_tidy(&u.tree);
}
