/* systemd-unit: services as systemd runs them (the option service_name names the unit), and their unit files
 * and drop-ins. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "systemd_bus.h"
#include "systemd_companions.h"
#include "systemd_journal.h"
#include "systemd_unit_format.h"

static const char *signal_text(int sig, char *buffer, size_t size)
{
	const char *name = sigabbrev_np(sig);

	if (name)
		(void)snprintf(buffer, size, "SIG%s", name);
	else
		(void)snprintf(buffer, size, "signal %d", sig);
	return buffer;
}

/* How a process ended; "" where it did not, or well. */
static void describe_end(int32_t code, int32_t status, char *out, size_t size)
{
	char name[32];

	*out = '\0';
	if (code == CLD_EXITED && status != 0)
		(void)snprintf(out, size, "exited with status %d", status);
	else if (code == CLD_KILLED)
		(void)snprintf(out, size, "killed by %s", signal_text(status, name, sizeof(name)));
	else if (code == CLD_DUMPED)
		(void)snprintf(
			out, size, "killed by %s (core dumped)", signal_text(status, name, sizeof(name)));
}

void systemd_unit_describe(const struct systemd_unit *u, char *out, size_t size)
{
	static const struct {
		const char *result, *text;
		bool with_end; /* the process's own end says more */
	} results[] = {
		{"exit-code", "exited with an error", true},
		{"signal", "killed by a signal", true},
		{"core-dump", "killed by a signal (core dumped)", true},
		{"timeout", "systemd's own time limit passed (TimeoutStartSec or TimeoutStopSec)", false},
		{"watchdog", "its watchdog was not fed in time", false},
		{"oom-kill", "killed for lack of memory (OOM)", false},
		{"resources", "systemd could not set it up (resources)", false},
		{"protocol", "it did not tell systemd that it is ready (protocol)", false},
		{"exec-condition", "its ExecCondition said no", false},
	};
	bool limit = strcmp(u->result, "start-limit-hit") == 0 ||
		     (strcmp(u->active_state, "failed") == 0 && u->start_limit > 0 &&
			     u->restarts >= u->start_limit);
	char end[96];

	*out = '\0';
	if (!*u->result || strcmp(u->result, "success") == 0)
		return;
	describe_end(u->main_code, u->main_status, end, sizeof(end));
	if (*u->helper && !*end) {
		char how[64];

		describe_end(u->helper_code, u->helper_status, how, sizeof(how));
		(void)snprintf(end, sizeof(end), "%.30s: %.60s", u->helper, how);
	}
	if (limit) {
		(void)snprintf(
			out, size, "start limit hit%s%s%s", *end ? ": " : "", end, *end ? ", too often" : "");
		return;
	}
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		if (strcmp(u->result, results[i].result) == 0) {
			(void)snprintf(out, size, "%s", results[i].with_end && *end ? end : results[i].text);
			return;
		}
	}
	(void)snprintf(out, size, "failed (%s)", u->result);
}

/* A oneshot's end, when it was a good one, is what it is for. */
static bool ran_well(const struct systemd_unit *u)
{
	return strcmp(u->type, "oneshot") == 0 && strcmp(u->result, "success") == 0 &&
	       u->main_code == CLD_EXITED && u->main_status == 0;
}

static uint32_t state_of(const struct systemd_unit *u)
{
	static const struct {
		const char *active;
		uint32_t state;
	} states[] = {
		{"active", FLEET_STATE_RUNNING},
		{"reloading", FLEET_STATE_RUNNING},
		{"refreshing", FLEET_STATE_RUNNING},
		{"activating", FLEET_STATE_STARTING},
		{"deactivating", FLEET_STATE_STOPPING},
		{"failed", FLEET_STATE_FAILED},
		{"inactive", FLEET_STATE_STOPPED},
	};

	if (strcmp(u->active_state, "active") == 0 && strcmp(u->sub_state, "exited") == 0)
		return FLEET_STATE_DONE;
	if (strcmp(u->active_state, "inactive") == 0 && ran_well(u))
		return FLEET_STATE_DONE;
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		if (strcmp(u->active_state, states[i].active) == 0)
			return states[i].state;
	}
	return FLEET_STATE_UNKNOWN;
}

/* A service that is at rest until a socket, a timer or a path starts it is as it should be. */
static int wait_for_trigger(const struct fleet_host *host, const char *unit, struct fleet_status *ret,
	struct fleet_driver_error *err)
{
	char trigger[160];
	int r = companions_trigger(host, unit, trigger, sizeof(trigger), err);

	if (r > 0) {
		ret->state = FLEET_STATE_DONE;
		(void)snprintf(ret->message, sizeof(ret->message), "not running until %s starts it", trigger);
	}
	return r < 0 ? r : 0;
}

static int32_t unit_status(
	const struct fleet_host *host, struct fleet_status *ret, struct fleet_driver_error *err)
{
	struct systemd_unit u;
	int r = systemd_unit_look(host, &u, err);
	char why[160];

	if (r < 0)
		return r;
	systemd_unit_describe(&u, why, sizeof(why));
	ret->state = state_of(&u);
	ret->pid = (int32_t)u.main_pid;
	ret->restarts = u.restarts;
	ret->memory_bytes = u.memory_bytes;
	ret->since_unix_ms =
		(int64_t)((ret->state == FLEET_STATE_RUNNING ? u.active_enter_us : u.state_change_us) / 1000);
	(void)snprintf(ret->instance, sizeof(ret->instance), "%s", u.invocation);
	if (strcmp(u.sub_state, "auto-restart") == 0)
		(void)snprintf(ret->message, sizeof(ret->message), "%s; systemd starts it again", why);
	else if (ret->state == FLEET_STATE_FAILED)
		(void)snprintf(ret->message, sizeof(ret->message), "%s", why);
	else if (ret->state == FLEET_STATE_STOPPED && u.condition_failed)
		(void)snprintf(ret->message, sizeof(ret->message),
			"not started: a Condition of the unit is not met");
	else if (ret->state == FLEET_STATE_UNKNOWN)
		(void)snprintf(ret->message, sizeof(ret->message), "systemd says %s (%s)", u.active_state,
			u.sub_state);
	else if (ret->state == FLEET_STATE_STOPPED)
		return wait_for_trigger(host, u.name, ret, err);
	return 0;
}

/* A job that did not end well, in a sentence. */
static int job_failed(const struct fleet_host *host, const struct systemd_unit *before, const char *result,
	struct fleet_driver_error *err)
{
	static const struct {
		const char *result, *text;
	} results[] = {
		{"canceled", "somebody else cancelled or replaced the job"},
		{"timeout", "systemd's time limit for the job passed"},
		{"dependency", "a unit that it depends on failed"},
		{"assert", "an Assert of the unit is not met"},
		{"unsupported", "this kind of unit is not supported here"},
		{"skipped", "the job does not apply to the unit's state"},
		{"invalid", "the job does not apply to the unit's state"},
		{"collected", "the unit was removed meanwhile"},
	};
	struct fleet_driver_error ignored = {.size = sizeof(ignored)};
	struct systemd_unit now;
	char why[160] = "";

	if (strcmp(result, "failed") == 0 && systemd_unit_look(host, &now, &ignored) == 0)
		systemd_unit_describe(&now, why, sizeof(why));
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]) && !*why; i++) {
		if (strcmp(result, results[i].result) == 0)
			(void)snprintf(why, sizeof(why), "%s", results[i].text);
	}
	if (!*why)
		(void)snprintf(why, sizeof(why), "systemd says: %.100s", result);
	return fleet_driver_fail(err, -EIO, 0, 0, "%s: %s", before->name, why);
}

/* The job is done; is the unit what it was to become? */
static int see_start(const struct fleet_host *host, struct fleet_driver_error *err)
{
	struct systemd_unit u;
	char why[160];
	int r = systemd_unit_look(host, &u, err);

	if (r < 0)
		return r;
	if (strcmp(u.active_state, "failed") == 0 || strcmp(u.sub_state, "auto-restart") == 0) {
		systemd_unit_describe(&u, why, sizeof(why));
		return fleet_driver_fail(err, -EIO, 0, 0, "%s: %s", u.name, why);
	}
	if (strcmp(u.active_state, "inactive") == 0 && u.condition_failed)
		return fleet_driver_fail(err, -EIO, 0, 0,
			"%s: not started, because a Condition of the unit is not met", u.name);
	return 0;
}

static int run(const struct fleet_host *host, const char *method, const char *doing, bool starts,
	struct fleet_driver_error *err)
{
	struct fleet_driver_error ignored = {.size = sizeof(ignored)};
	struct systemd_unit u;
	char result[64] = "";
	int r = systemd_unit_look(host, &u, err);

	if (r < 0)
		return r;
	if (starts && strcmp(u.load_state, "loaded") != 0)
		return fleet_driver_fail(err, -EPERM, 0, 0, "%s cannot be started: systemd says it is %s",
			u.name, u.load_state);
	if (starts) /* clears a used-up start limit; where there is nothing to clear it says so, which is fine
		     */
		(void)systemd_manager_call(host, "ResetFailedUnit", u.name, &ignored);
	if (starts) /* else systemd forgets a unit that nothing wants as soon as it is done, and how it went
		     */
		(void)systemd_manager_call(host, "RefUnit", u.name, &ignored);
	r = host->progress(host, 10, doing);
	if (r < 0)
		return r;
	r = systemd_job_run(host, method, u.name, result, sizeof(result), err);
	if (r < 0)
		return r;
	if (strcmp(result, "done") != 0)
		return job_failed(host, &u, result, err);
	return starts ? see_start(host, err) : 0;
}

static int32_t unit_start(const struct fleet_host *host, struct fleet_driver_error *err)
{
	int r = companions_before_start(host, err);

	if (r == 0)
		r = run(host, "StartUnit", "starting", true, err);
	return r < 0 ? r : companions_after_start(host, err);
}

/* Of the unit nothing runs afterwards, and nothing starts it before the next start does. */
static int32_t unit_stop(const struct fleet_host *host, struct fleet_driver_error *err)
{
	char name[256];
	int r = systemd_unit_name(host, name, sizeof(name), err);

	if (r == 0)
		r = companions_before_stop(host, name, err);
	if (r == 0)
		r = run(host, "StopUnit", "stopping", false, err);
	return r < 0 ? r : companions_wait_for_end(host, name, err);
}

static int32_t unit_restart(const struct fleet_host *host, struct fleet_driver_error *err)
{
	return run(host, "RestartUnit", "restarting", true, err);
}

static int32_t unit_reload(const struct fleet_host *host, struct fleet_driver_error *err)
{
	struct systemd_unit u;
	int r = systemd_unit_look(host, &u, err);

	if (r < 0)
		return r;
	if (strcmp(u.active_state, "active") != 0)
		return fleet_driver_fail(err, -ESRCH, 0, 0, "%s is not running, so it cannot reload", u.name);
	if (!u.can_reload)
		return fleet_driver_fail(err, -EOPNOTSUPP, 0, 0,
			"%s has no ExecReload, so it cannot reload; restart it", u.name);
	return run(host, "ReloadUnit", "reloading", false, err);
}

static int32_t unit_reload_definitions(const struct fleet_host *host, struct fleet_driver_error *err)
{
	return systemd_manager_call(host, "Reload", NULL, err);
}

static int32_t unit_logs(const struct fleet_host *host, uint32_t lines, int64_t since_unix_ms,
	struct fleet_sink *out, struct fleet_driver_error *err)
{
	char name[256];
	int r = systemd_unit_name(host, name, sizeof(name), err);

	return r < 0 ? r : systemd_journal_tell(host, name, lines, since_unix_ms, out, err);
}

static int32_t unit_last_end(const struct fleet_host *host, int64_t since_unix_ms, struct fleet_sink *out,
	struct fleet_driver_error *err)
{
	struct systemd_unit ended;
	char name[256], why[160];
	int r = systemd_unit_name(host, name, sizeof(name), err);

	if (r == 0)
		r = systemd_journal_last_end(name, since_unix_ms, &ended, err);
	if (r < 0)
		return r;
	systemd_unit_describe(&ended, why, sizeof(why));
	return host->emit(out, why, strlen(why));
}

static const struct fleet_service_ops ops = {
	.size = sizeof(ops),
	.status = unit_status,
	.start = unit_start,
	.stop = unit_stop,
	.restart = unit_restart,
	.reload = unit_reload,
	.reload_definitions = unit_reload_definitions,
	.logs = unit_logs,
	.last_end = unit_last_end,
};
FLEET_DRIVER_DEFINE("systemd-unit", .version = "1.0",
	.summary = "Services that systemd runs, and their unit files", .format = &systemd_unit_format,
	.service = &ops);
