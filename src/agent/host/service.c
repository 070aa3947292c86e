#include "agent/host/service.h"
#include <time.h>
#include "agent/host/unit_facts.h"
#include "fleet/clock.h"
#include "fleet/failpoint.h"
#include "fleet/file.h"
#include "fleet/limits.h"
#include "fleet/log.h"

#define AT_REST_POLL_MS 200

static const struct {
	const char *name, *title;
} states[] = {
	[FLEET_STATE_UNKNOWN] = {"unknown", "Unknown"},
	[FLEET_STATE_RUNNING] = {"running", "Running"},
	[FLEET_STATE_STOPPED] = {"stopped", "Stopped"},
	[FLEET_STATE_FAILED] = {"failed", "Failed"},
	[FLEET_STATE_STARTING] = {"starting", "Starting"},
	[FLEET_STATE_STOPPING] = {"stopping", "Stopping"},
	[FLEET_STATE_DONE] = {"done", "Done"},
};

const char *service_state_name(uint32_t state)
{
	return states[state < FLEET_ARRAY_LEN(states) ? state : FLEET_STATE_UNKNOWN].name;
}

const char *service_state_title(uint32_t state)
{
	return states[state < FLEET_ARRAY_LEN(states) ? state : FLEET_STATE_UNKNOWN].title;
}

bool service_is_good(const struct driver_status *status)
{
	return status->state == FLEET_STATE_RUNNING || status->state == FLEET_STATE_DONE;
}

static int find_driver(const struct op_env *env, const char *name, unsigned role,
	const struct driver_info **ret, struct fleet_error *err)
{
	const struct driver_info *driver = driver_registry_find(env->drivers, name);

	if (!driver)
		return fleet_error_set(err, -EOPNOTSUPP, "driver %s is not installed on this server", name);
	if (driver->error)
		return fleet_error_set(err, -EPROTO, "driver %s cannot be used: %s", name, driver->error);
	if (!(driver->roles & role))
		return fleet_error_set(err, -EOPNOTSUPP, "driver %s is no %s driver", name,
			role == DRIVER_ROLE_SERVICE ? "service" : "format");
	*ret = driver;
	return 0;
}

int service_call(const struct op_env *env, const struct app *app, int64_t deadline_ms,
	struct driver_call *ret, char **ret_state_dir, struct fleet_error *err)
{
	_cleanup_free_ char *dir = NULL;
	const struct driver_info *driver = NULL;
	int r = find_driver(env, app->service_driver, DRIVER_ROLE_SERVICE, &driver, err);

	if (r < 0)
		return r;
	dir = xasprintf("%s/drivers/%s/%s", env->state_dir, app->id, driver->name);
	r = fleet_mkdir_parents(dir, 0700, err);
	if (r < 0)
		return r;
	*ret = (struct driver_call){
		.driver = driver->name,
		.file = driver->file,
		.app_id = app->id,
		.state_dir = dir,
		.options = app->service_options.items,
		.option_count = app->service_options.count,
		.deadline_ms = deadline_ms,
	};
	*ret_state_dir = TAKE_PTR(dir);
	return 0;
}

int format_call(const struct op_env *env, const struct app *app, const struct app_file *file,
	struct driver_call *ret, struct fleet_error *err)
{
	const struct driver_info *driver = NULL;
	int r = find_driver(env, file->driver, DRIVER_ROLE_FORMAT, &driver, err);

	if (r < 0)
		return r;
	*ret = (struct driver_call){
		.driver = driver->name,
		.file = driver->file,
		.app_id = app->id,
		.options = file->options.items,
		.option_count = file->options.count,
		.deadline_ms = fleet_clock_monotonic_ms() + FLEET_DRIVER_CALL_MS,
	};
	return 0;
}

/* A status, log or version call may take the usual time, or the app's own timeout where that is shorter. */
static int64_t quick_deadline(const struct app *app)
{
	int64_t ms = app->timeout_ms > 0 && app->timeout_ms < FLEET_DRIVER_CALL_MS ? app->timeout_ms
										   : FLEET_DRIVER_CALL_MS;

	return fleet_clock_monotonic_ms() + ms;
}

int service_status(struct op *op, const struct app *app, struct driver_status *ret, struct fleet_error *err)
{
	_cleanup_free_ char *state_dir = NULL;
	struct driver_call call;
	int r = service_call(op->env, app, quick_deadline(app), &call, &state_dir, err);

	return r < 0 ? r : driver_service_status(&call, ret, err);
}

static void wait_until_at_rest(struct op *op, const struct app *app, int64_t timeout_ms)
{
	int64_t until = fleet_clock_monotonic_ms() + timeout_ms;

	while (fleet_clock_monotonic_ms() < until) {
		struct driver_status status;
		struct timespec pause = {.tv_nsec = AT_REST_POLL_MS * 1000000L};

		if (service_status(op, app, &status, NULL) < 0)
			return; /* whoever asks next says why */
		if (status.state != FLEET_STATE_STARTING && status.state != FLEET_STATE_STOPPING)
			return;
		(void)nanosleep(&pause, NULL);
	}
}

static void tell_progress(uint32_t percent, const char *text, void *arg)
{
	op_progress(arg, percent <= 100 ? (int)percent : -1, text);
}

int service_do(struct op *op, const struct app *app, enum driver_verb verb, struct fleet_error *err)
{
	_cleanup_free_ char *state_dir = NULL;
	struct driver_call call;
	int64_t timeout_ms = unit_facts_timeout_ms(app);
	int r = service_call(op->env, app, fleet_clock_monotonic_ms() + timeout_ms, &call, &state_dir, err);

	if (r < 0)
		return r;
	call.progress = tell_progress;
	call.arg = op;
	r = FLEET_FAILS("service.do") ? fleet_error_errno(err, -errno, "the driver call failed")
				      : driver_service_do(&call, verb, err);
	FLEET_FAILPOINT("service.done");
	if (r == -ETIMEDOUT || r == -EFAULT || r == -ENODATA)
		wait_until_at_rest(op, app, timeout_ms);
	return r;
}

static void add_lines(struct json_object *list, char *text, size_t len)
{
	size_t lines = 0, kept = len > FLEET_FAILURE_LOG_BYTES ? FLEET_FAILURE_LOG_BYTES : len;
	char *from = text + (len - kept), *save = NULL;

	for (char *p = from; (p = strchr(p, '\n')); p++)
		lines++;
	lines += len > 0 && text[len - 1] != '\n';
	for (char *line = strtok_r(from, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (lines-- > FLEET_FAILURE_LOG_LINES)
			continue;
		fleet_text_sanitize(line);
		fleet_json_append_string(list, line);
	}
}

void service_add_logs(struct op *op, const struct app *app, int64_t since_unix_ms)
{
	_cleanup_free_ char *state_dir = NULL;
	struct json_object *list = json_object_new_array();
	struct driver_call call;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (service_call(op->env, app, quick_deadline(app), &call, &state_dir, &err) == 0) {
		/* lines of this operation, or the last there are */
		for (int attempt = 0; attempt < 2 && json_object_array_length(list) == 0; attempt++) {
			_cleanup_buffer_ struct fleet_buffer text = FLEET_BUFFER_INIT;
			int r = driver_service_logs(
				&call, FLEET_FAILURE_LOG_LINES, attempt ? 0 : since_unix_ms, &text, &err);

			if (r < 0)
				break;
			if (text.len > 0) {
				_cleanup_free_ char *clean = op_redact(op, text.data);

				add_lines(list, clean, strlen(clean));
			}
		}
	}
	if (err.code && err.code != -EOPNOTSUPP)
		log_warn("no log lines of app %s: %s", app->id, err.message);
	if (json_object_array_length(list) == 0) {
		json_object_put(list);
		return;
	}
	json_object_object_del(op->result, "logLines");
	fleet_json_add(op->result, "logLines", list);
}
