#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "systemd_bus.h"

#define DESTINATION  "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER      "org.freedesktop.systemd1.Manager"

static sd_bus *connection; /* of this process, which ends with the call */
static bool subscribed;

int systemd_unit_name(const struct fleet_host *host, char *out, size_t size, struct fleet_driver_error *err)
{
	const char *name = fleet_driver_option(host, "service_name", "");
	int n;

	if (!*name)
		return fleet_driver_fail(err, -EINVAL, 0, 0,
			"no service_name is declared for this app, so it is not known which unit it is");
	n = snprintf(out, size, "%s%s", name, strchr(name, '.') ? "" : ".service");
	if (n < 0 || (size_t)n >= size || strpbrk(name, "/ \t\n"))
		return fleet_driver_fail(
			err, -EINVAL, 0, 0, "service_name '%.100s' is no name of a unit", name);
	return 0;
}

static uint64_t timeout_us(const struct fleet_host *host)
{
	int64_t left = host->remaining_ms(host);

	return (uint64_t)(left > 100 ? left : 100) * 1000;
}

static int no_bus(int error, struct fleet_driver_error *err)
{
	return fleet_driver_fail(
		err, error, 0, 0, "cannot reach systemd over the system bus: %s", strerror(-error));
}

/* systemd's own socket, for root, when there is no bus (yet). */
static int connect_directly(sd_bus **ret)
{
	sd_bus *bus = NULL;
	int r = sd_bus_new(&bus);

	if (r >= 0)
		r = sd_bus_set_address(bus, "unix:path=/run/systemd/private");
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r < 0) {
		sd_bus_unref(bus);
		return r;
	}
	*ret = bus;
	return 0;
}

static int bus_open(const struct fleet_host *host, struct fleet_driver_error *err)
{
	int r;

	if (connection)
		return 0;
	r = sd_bus_open_system(&connection);
	if (r < 0 && geteuid() == 0 && connect_directly(&connection) >= 0)
		r = 0;
	if (r < 0)
		return no_bus(r, err);
	r = sd_bus_set_method_call_timeout(connection, timeout_us(host));
	return r < 0 ? no_bus(r, err) : 0;
}

/* The sentence about a call that was answered with an error. */
static int refused(
	int r, const sd_bus_error *error, const char *unit, const char *what, struct fleet_driver_error *err)
{
	static const struct {
		const char *name;
		int code;
	} known[] = {
		{"org.freedesktop.systemd1.NoSuchUnit", -ENOENT},
		{"org.freedesktop.systemd1.UnitMasked", -EPERM},
		{"org.freedesktop.systemd1.JobTypeNotApplicable", -EOPNOTSUPP},
		{SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, -EACCES},
		{SD_BUS_ERROR_ACCESS_DENIED, -EACCES},
		{SD_BUS_ERROR_NO_REPLY, -ETIMEDOUT},
		{SD_BUS_ERROR_TIMEOUT, -ETIMEDOUT},
	};
	int code = r < 0 ? r : -EIO;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (error->name && strcmp(error->name, known[i].name) == 0)
			code = known[i].code;
	}
	return fleet_driver_fail(err, code, 0, 0, "systemd refuses to %s %.80s: %.120s", what,
		unit ? unit : "", error->message ? error->message : strerror(-code));
}

int systemd_manager_ask(const struct fleet_host *host, const char *method, const char *unit,
	sd_bus_message **ret, struct fleet_driver_error *err)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL;
	int r = bus_open(host, err);

	if (r < 0)
		return r;
	r = sd_bus_message_new_method_call(connection, &m, DESTINATION, MANAGER_PATH, MANAGER, method);
	if (r >= 0 && unit)
		r = sd_bus_message_append(m, "s", unit);
	if (r >= 0)
		r = sd_bus_call(connection, m, timeout_us(host), &error, ret);
	if (r < 0)
		r = refused(r, &error, unit, method, err);
	sd_bus_message_unref(m);
	sd_bus_error_free(&error);
	return r < 0 ? r : 0;
}

int systemd_manager_call(
	const struct fleet_host *host, const char *method, const char *unit, struct fleet_driver_error *err)
{
	sd_bus_message *unused = NULL;
	int r = systemd_manager_ask(host, method, unit, &unused, err);

	sd_bus_message_unref(unused);
	return r;
}

int systemd_unit_property(const struct fleet_host *host, const char *unit, const char *property,
	sd_bus_message **ret, struct fleet_driver_error *err)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *path = NULL;
	const char *object = "";
	int r = systemd_manager_ask(host, "LoadUnit", unit, &path, err);

	if (r < 0)
		return r;
	r = sd_bus_message_read(path, "o", &object);
	if (r >= 0)
		r = sd_bus_call_method(connection, DESTINATION, object, "org.freedesktop.DBus.Properties",
			"Get", &error, ret, "ss", "org.freedesktop.systemd1.Unit", property);
	if (r < 0)
		r = refused(r, &error, unit, "tell about", err);
	sd_bus_message_unref(path);
	sd_bus_error_free(&error);
	return r < 0 ? r : 0;
}

static int take_string(sd_bus_message *m, char *out, size_t size)
{
	const char *text;
	int r = sd_bus_message_read(m, "v", "s", &text);

	if (r >= 0)
		(void)snprintf(out, size, "%s", text);
	return r;
}

/* ExecStartPre and its like: which command was run how often and how it ended. The first that failed is kept.
 */
static int take_helpers(sd_bus_message *m, const char *property, struct systemd_unit *u)
{
	int r = sd_bus_message_enter_container(m, 'v', "a(sasbttttuii)");

	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "(sasbttttuii)");
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'r', "sasbttttuii")) > 0) {
		const char *path;
		int ignore, code, status;
		uint64_t t[4];
		uint32_t pid;

		r = sd_bus_message_read(m, "s", &path);
		if (r >= 0)
			r = sd_bus_message_skip(m, "as");
		if (r >= 0)
			r = sd_bus_message_read(
				m, "bttttuii", &ignore, &t[0], &t[1], &t[2], &t[3], &pid, &code, &status);
		if (r >= 0 && !ignore && code != 0 && status != 0 && !*u->helper) {
			(void)snprintf(u->helper, sizeof(u->helper), "%s", property);
			u->helper_code = code;
			u->helper_status = status;
		}
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	return r >= 0 ? sd_bus_message_exit_container(m) : r;
}

static int take_invocation(sd_bus_message *m, struct systemd_unit *u)
{
	const void *id;
	size_t len;
	int r = sd_bus_message_enter_container(m, 'v', "ay");

	if (r >= 0)
		r = sd_bus_message_read_array(m, 'y', &id, &len);
	for (size_t i = 0; r >= 0 && len == 16 && i < len; i++)
		(void)snprintf(u->invocation + 2 * i, 3, "%02x", ((const unsigned char *)id)[i]);
	return r >= 0 ? sd_bus_message_exit_container(m) : r;
}

/* Reads the value of one property where it is wanted, skips it otherwise. */
static int take_property(sd_bus_message *m, const char *name, struct systemd_unit *u)
{
	const struct {
		const char *name, *type;
		void *out;
		size_t size;
	} wanted[] = {
		{"LoadState", "s", u->load_state, sizeof(u->load_state)},
		{"ActiveState", "s", u->active_state, sizeof(u->active_state)},
		{"SubState", "s", u->sub_state, sizeof(u->sub_state)},
		{"Type", "s", u->type, sizeof(u->type)},
		{"Result", "s", u->result, sizeof(u->result)},
		{"MainPID", "u", &u->main_pid, 0},
		{"NRestarts", "u", &u->restarts, 0},
		{"StartLimitBurst", "u", &u->start_limit, 0},
		{"ConditionTimestamp", "t", &u->condition_us, 0},
		{"ExecMainCode", "i", &u->main_code, 0},
		{"ExecMainStatus", "i", &u->main_status, 0},
		{"ActiveEnterTimestamp", "t", &u->active_enter_us, 0},
		{"StateChangeTimestamp", "t", &u->state_change_us, 0},
		{"MemoryCurrent", "t", &u->memory_bytes, 0},
	};
	int flag, r;

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		if (strcmp(name, wanted[i].name) == 0)
			return wanted[i].size ? take_string(m, wanted[i].out, wanted[i].size)
					      : sd_bus_message_read(m, "v", wanted[i].type, wanted[i].out);
	}
	if (strcmp(name, "ConditionResult") == 0 || strcmp(name, "CanReload") == 0) {
		r = sd_bus_message_read(m, "v", "b", &flag);
		if (r >= 0 && strcmp(name, "CanReload") == 0)
			u->can_reload = flag != 0;
		else if (r >= 0)
			u->condition_failed = flag == 0;
		return r;
	}
	if (strcmp(name, "InvocationID") == 0)
		return take_invocation(m, u);
	if (strcmp(name, "ExecStartPre") == 0 || strcmp(name, "ExecStartPost") == 0 ||
		strcmp(name, "ExecCondition") == 0)
		return take_helpers(m, name, u);
	return sd_bus_message_skip(m, "v");
}

static int read_properties(sd_bus_message *m, struct systemd_unit *u)
{
	int r = sd_bus_message_enter_container(m, 'a', "{sv}");

	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		const char *name;

		r = sd_bus_message_read(m, "s", &name);
		if (r >= 0)
			r = take_property(m, name, u);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	return r < 0 ? r : 0;
}

int systemd_unit_look(const struct fleet_host *host, struct systemd_unit *ret, struct fleet_driver_error *err)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	struct systemd_unit u = {0};
	sd_bus_message *path = NULL, *all = NULL, *call = NULL;
	const char *object = "";
	int r = systemd_unit_name(host, u.name, sizeof(u.name), err);

	if (r == 0)
		r = bus_open(host, err);
	if (r < 0)
		return r;
	r = sd_bus_call_method(
		connection, DESTINATION, MANAGER_PATH, MANAGER, "LoadUnit", &error, &path, "s", u.name);
	if (r >= 0)
		r = sd_bus_message_read(path, "o", &object);
	if (r >= 0)
		r = sd_bus_message_new_method_call(
			connection, &call, DESTINATION, object, "org.freedesktop.DBus.Properties", "GetAll");
	if (r >= 0)
		r = sd_bus_message_append(call, "s", ""); /* of all its interfaces */
	if (r >= 0)
		r = sd_bus_call(connection, call, timeout_us(host), &error, &all);
	if (r >= 0)
		r = read_properties(all, &u);
	if (r < 0) {
		r = refused(r, &error, u.name, "tell about", err);
	} else if (strcmp(u.load_state, "not-found") == 0) {
		r = fleet_driver_fail(err, -ENOENT, 0, 0, "there is no unit %.120s", u.name);
	} else {
		(void)snprintf(u.path, sizeof(u.path), "%s", object);
		if (u.memory_bytes == UINT64_MAX)
			u.memory_bytes = 0;
		if (u.condition_us == 0)
			u.condition_failed = false; /* not looked at since the unit was loaded */
		*ret = u;
	}
	sd_bus_message_unref(path);
	sd_bus_message_unref(call);
	sd_bus_message_unref(all);
	sd_bus_error_free(&error);
	return r;
}

/* The job that we wait for, and what became of it. */
struct job {
	const char *path;
	char *result;
	size_t size;
	bool removed;
};

static int on_job_removed(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	const char *path, *unit, *result;
	struct job *job = arg;
	uint32_t id;

	(void)error;
	if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) < 0)
		return 0; /* not a signal that we know */
	if (job->path && strcmp(path, job->path) == 0) {
		job->removed = true;
		(void)snprintf(job->result, job->size, "%s", result);
	}
	return 0;
}

static void cancel(const char *job)
{
	/* best effort: the caller says that time was up, whatever comes of this */
	(void)sd_bus_call_method(
		connection, DESTINATION, job, "org.freedesktop.systemd1.Job", "Cancel", NULL, NULL, NULL);
}

static int wait_for(
	const struct fleet_host *host, struct job *job, const char *unit, struct fleet_driver_error *err)
{
	while (!job->removed) {
		int64_t left = host->remaining_ms(host);
		int r = sd_bus_process(connection, NULL);

		if (r < 0)
			return no_bus(r, err);
		if (r > 0)
			continue; /* there may be more */
		if (left <= 0) {
			cancel(job->path);
			return fleet_driver_fail(err, -ETIMEDOUT, 0, 0,
				"systemd was not done with %.100s when the time was up; its job is cancelled",
				unit);
		}
		r = sd_bus_wait(connection, (uint64_t)left * 1000);
		if (r < 0 && r != -EINTR)
			return no_bus(r, err);
	}
	return 0;
}

int systemd_job_run(const struct fleet_host *host, const char *method, const char *unit, char *result,
	size_t size, struct fleet_driver_error *err)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	struct job job = {.result = result, .size = size};
	sd_bus_message *call = NULL, *reply = NULL;
	sd_bus_slot *match = NULL;
	int r = bus_open(host, err);

	if (r < 0)
		return r;
	/* first the ear, then the word: the job may end before we hear that it began */
	r = sd_bus_match_signal(
		connection, &match, NULL, MANAGER_PATH, MANAGER, "JobRemoved", on_job_removed, &job);
	if (r >= 0 && !subscribed)
		r = sd_bus_call_method(
			connection, DESTINATION, MANAGER_PATH, MANAGER, "Subscribe", &error, NULL, NULL);
	if (r >= 0)
		subscribed = true; /* for the life of the connection: systemd refuses a second time */
	if (r >= 0)
		r = sd_bus_message_new_method_call(
			connection, &call, DESTINATION, MANAGER_PATH, MANAGER, method);
	if (r >= 0)
		r = sd_bus_message_append(call, "ss", unit, "replace");
	if (r >= 0)
		r = sd_bus_call(connection, call, timeout_us(host), &error, &reply);
	if (r >= 0)
		r = sd_bus_message_read(reply, "o", &job.path);
	if (r < 0)
		r = refused(r, &error, unit, method, err);
	else
		r = wait_for(host, &job, unit, err);
	sd_bus_slot_unref(match);
	sd_bus_message_unref(call);
	sd_bus_message_unref(reply);
	sd_bus_error_free(&error);
	return r;
}
