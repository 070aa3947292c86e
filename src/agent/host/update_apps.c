#include "agent/host/update.h"
#include "fleet/clock.h"
#include "fleet/log.h"

void update_init(struct update *u, struct op *op)
{
	*u = (struct update){.op = op, .tree = TREE_INIT};
	u->apps = xcalloc(op->env->apps->count + 1, sizeof(*u->apps));
	u->apps[u->app_count++] = (struct app_before){.app = op->app};
	for (size_t i = 0; op->app->binary_path && i < op->env->apps->count; i++) {
		const struct app *app = op->env->apps->items[i];

		if (app != op->app && str_equal(app->binary_path, op->app->binary_path))
			u->apps[u->app_count++] = (struct app_before){.app = app};
	}
}

void update_done(struct update *u)
{
	tree_done(&u->tree);
	moves_done(&u->moves);
	free(u->apps);
	free(u->from_version);
	free(u->to_version);
}

const char *update_version_name(const char *version)
{
	return str_empty(version) ? "an unknown version" : version;
}

bool update_no_checksum(const struct update *u)
{
	return !u->back && !fleet_json_string(u->op->args, "sha256");
}

int update_look(struct update *u, struct fleet_error *err)
{
	for (size_t i = 0; i < u->app_count; i++) {
		struct app_before *a = &u->apps[i];
		int r = service_status(u->op, a->app, &a->before, err);

		if (r < 0)
			return fleet_error_wrap(
				err, "cannot tell how app '%s' stands, so nothing was done", a->app->id);
		a->was_good = service_is_good(&a->before);
		a->was_stopped = a->before.state == FLEET_STATE_STOPPED;
	}
	if (u->apps[0].before.pid > 0)
		fleet_json_add_int(u->op->result, "previousPid", u->apps[0].before.pid);
	return 0;
}

static bool is_at_rest(const struct driver_status *status)
{
	return status->state == FLEET_STATE_STOPPED || status->state == FLEET_STATE_FAILED ||
	       status->state == FLEET_STATE_DONE;
}

int update_stop(struct update *u, struct fleet_error *err)
{
	for (size_t i = 0; i < u->app_count; i++) {
		struct app_before *a = &u->apps[i];
		struct driver_status now;
		int r = service_status(u->op, a->app, &now, err);

		if (r < 0)
			return r;
		if (now.state == FLEET_STATE_STOPPED)
			continue;
		if (u->down_since_ms == 0 && a->was_good)
			u->down_since_ms = fleet_clock_monotonic_ms();
		r = service_do(u->op, a->app, DRIVER_STOP, err);
		if (r >= 0)
			r = service_status(u->op, a->app, &now, err);
		if (r >= 0 && !is_at_rest(&now))
			r = fleet_error_set(err, -EBUSY, "it is still %s", service_state_name(now.state));
		if (r < 0)
			return fleet_error_wrap(err, "app '%s' does not stop", a->app->id);
	}
	return 0;
}

int update_start(struct update *u, const struct app_before **ret_failed, struct fleet_error *err)
{
	for (size_t i = 0; i < u->app_count; i++) {
		struct app_before *a = &u->apps[i];
		int r;

		if (a->was_stopped)
			continue;
		r = service_do(u->op, a->app, DRIVER_START, err);
		if (r < 0) {
			*ret_failed = a;
			return r;
		}
	}
	return 0;
}

int update_start_all(struct update *u, const struct app_before **ret_failed, struct fleet_error *err)
{
	int first = 0;

	for (size_t i = 0; i < u->app_count; i++) {
		struct app_before *a = &u->apps[i];
		struct fleet_error why = FLEET_ERROR_INIT;
		struct driver_status now;
		int r;

		if (a->was_stopped ||
			(service_status(u->op, a->app, &now, NULL) == 0 && now.state == FLEET_STATE_RUNNING))
			continue;
		r = service_do(u->op, a->app, DRIVER_START, &why);
		if (r < 0 && first == 0) {
			*ret_failed = a;
			*err = why;
			first = r;
		}
	}
	return first;
}

bool update_all_well(struct update *u, int64_t since_ms, bool fresh, const struct app_before **ret_failed,
	struct health_verdict *ret_verdict)
{
	for (size_t i = 0; i < u->app_count; i++) {
		const struct app_before *a = &u->apps[i];
		struct health_verdict v = {.status = a->before};

		if (!a->was_stopped) {
			health_wait(u->op, a->app, fresh ? a->before.instance : NULL, since_ms, &v);
			if (i == 0)
				health_add_to_result(u->op, &v.status, v.healthy);
			if (!v.healthy) {
				*ret_failed = a;
				*ret_verdict = v;
				return false;
			}
		} else if (i == 0) {
			if (service_status(u->op, a->app, &v.status, NULL) < 0)
				v.status = a->before;
			health_add_to_result(
				u->op, &v.status, true); /* stopped, as it is meant to be, mostly */
		}
		if (i == 0)
			*ret_verdict = v;
	}
	return true;
}

/* ---- for the ledger ---- */

struct json_object *update_record(const struct update *u)
{
	struct json_object *record = json_object_new_object(), *apps = json_object_new_array();
	_cleanup_free_ char *number = NULL;

	fleet_json_add_string(record, "path", u->tree.path);
	fleet_json_add_bool(record, "file", u->tree.is_file);
	if (u->tree.is_file)
		fleet_json_add_string(record, "sha256", u->sha256);
	number = xasprintf("%ju", (uintmax_t)u->old_number); /* more than every reader of JSON has room for */
	fleet_json_add_string(record, "inode", number);
	fleet_json_add_string(record, "from", u->from_version);
	fleet_json_add_string(record, "to", u->to_version);
	fleet_json_add_bool(record, "back", u->back);
	fleet_json_add(record, "apps", apps);
	for (size_t i = 0; i < u->app_count; i++)
		app_record_add(apps, &u->apps[i]);
	fleet_json_add(record, "moves", moves_to_json(&u->moves));
	return record;
}

void update_restore(struct update *u, struct json_object *record)
{
	const char *sha256 = fleet_json_string(record, "sha256"),
		   *number = fleet_json_string(record, "inode");

	u->old_number = number ? strtoull(number, NULL, 10) : 0;
	if (sha256)
		snprintf(u->sha256, sizeof(u->sha256), "%s", sha256);
	u->back = fleet_json_bool(record, "back", false);
	u->from_version = xstrdup(fleet_json_string(record, "from"));
	u->to_version = xstrdup(fleet_json_string(record, "to"));
	moves_from_json(fleet_json_array(record, "moves"), &u->moves);
	for (size_t i = 0; i < u->app_count; i++) {
		struct app_before *a = &u->apps[i];

		/* one that is of the tree only since: as it is now */
		if (!app_record_restore(fleet_json_array(record, "apps"), a) &&
			service_status(u->op, a->app, &a->before, NULL) >= 0) {
			a->was_good = service_is_good(&a->before);
			a->was_stopped = a->before.state == FLEET_STATE_STOPPED;
		}
	}
}
