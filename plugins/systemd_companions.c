#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "systemd_bus.h"
#include "systemd_companions.h"

#define FILE_NAME    "went-down"
#define UNITS_MAX    64
#define NAME_MAX_LEN 255
#define POLL_MS      50

/* Why a unit is in the list; also how its line in the file begins. */
enum kind { TRIGGER, DEPENDENT };
static const char *const kinds[] = {[TRIGGER] = "trigger", [DEPENDENT] = "dependent"};

struct companions {
	size_t count;
	struct companion {
		enum kind kind;
		char name[NAME_MAX_LEN + 1];
	} units[UNITS_MAX];
};

static bool has(const struct companions *c, const char *name)
{
	for (size_t i = 0; i < c->count; i++) {
		if (strcmp(c->units[i].name, name) == 0)
			return true;
	}
	return false;
}

static int add(struct companions *c, enum kind kind, const char *name, struct fleet_driver_error *err)
{
	if (has(c, name))
		return 0;
	if (c->count == UNITS_MAX)
		return fleet_driver_fail(err, -E2BIG, 0, 0,
			"more than %d units would go down with it; nothing was stopped", UNITS_MAX);
	c->units[c->count].kind = kind;
	(void)snprintf(c->units[c->count++].name, sizeof(c->units[0].name), "%s", name);
	return 0;
}

/* ---- what is remembered ---- */

static char *path_of(const struct fleet_host *host, const char *suffix)
{
	char *path = NULL;

	if (!host->state_dir || asprintf(&path, "%s/" FILE_NAME "%s", host->state_dir, suffix) < 0)
		return NULL;
	return path;
}

static int cannot(struct fleet_driver_error *err, int error, const char *what)
{
	return fleet_driver_fail(
		err, error, 0, 0, "cannot %s what went down with the service: %s", what, strerror(-error));
}

static int recall(const struct fleet_host *host, struct companions *ret, struct fleet_driver_error *err)
{
	char *path = path_of(host, ""), line[NAME_MAX_LEN + 16];
	FILE *f = path ? fopen(path, "re") : NULL;
	int r = f || !path || errno == ENOENT ? 0 : cannot(err, -errno, "read");

	*ret = (struct companions){0};
	while (r == 0 && f && fgets(line, sizeof(line), f)) {
		char *name = strchr(line, ' ');

		line[strcspn(line, "\n")] = '\0';
		if (!name)
			continue;
		*name++ = '\0';
		for (size_t k = 0; r == 0 && k < sizeof(kinds) / sizeof(kinds[0]); k++) {
			if (strcmp(line, kinds[k]) == 0)
				r = add(ret, (enum kind)k, name, err);
		}
	}
	if (f)
		(void)fclose(f);
	free(path);
	return r;
}

static int write_list(const char *path, const struct companions *c)
{
	FILE *f = fopen(path, "we");
	int r;

	if (!f)
		return -errno;
	for (size_t i = 0; i < c->count; i++)
		(void)fprintf(f, "%s %s\n", kinds[c->units[i].kind], c->units[i].name);
	r = fflush(f) == 0 && !ferror(f) && fsync(fileno(f)) == 0 ? 0 : -errno;
	return fclose(f) == 0 ? r : -errno;
}

static int sync_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd >= 0 && fsync(fd) == 0 ? 0 : -errno;

	if (fd >= 0)
		(void)close(fd);
	return r;
}

/* Whole or not at all, and on the disk. */
static int remember(const struct fleet_host *host, const struct companions *c, struct fleet_driver_error *err)
{
	char *path = path_of(host, ""), *beside = path_of(host, ".new");
	int r = path && beside ? write_list(beside, c) : -ENOMEM;

	if (r == 0 && rename(beside, path) < 0)
		r = -errno;
	if (r == 0)
		r = sync_directory(host->state_dir);
	free(path);
	free(beside);
	return r < 0 ? cannot(err, r, "write down") : 0;
}

static int forget(const struct fleet_host *host, struct fleet_driver_error *err)
{
	char *path = path_of(host, "");
	int r = path && unlink(path) < 0 && errno != ENOENT ? cannot(err, -errno, "forget") : 0;

	free(path);
	return r;
}

/* ---- what there is ---- */

static int is_active(const struct fleet_host *host, const char *unit, struct fleet_driver_error *err)
{
	sd_bus_message *m = NULL;
	const char *state = "";
	int r = systemd_unit_property(host, unit, "ActiveState", &m, err);

	if (r < 0)
		return r;
	r = sd_bus_message_read(m, "v", "s", &state);
	r = r < 0 ? fleet_driver_fail(err, r, 0, 0, "systemd's answer about %.100s is not understood", unit)
		  : strcmp(state, "active") == 0 || strcmp(state, "activating") == 0 ||
			    strcmp(state, "reloading") == 0;
	sd_bus_message_unref(m);
	return r;
}

static bool can_be_started(const char *name)
{
	static const char *const not [] = {".scope", ".slice", ".device"};
	const char *suffix = strrchr(name, '.');

	for (size_t i = 0; i < sizeof(not ) / sizeof(not [0]); i++) {
		if (suffix && strcmp(suffix, not [i]) == 0)
			return false;
	}
	return suffix && strlen(name) <= NAME_MAX_LEN;
}

/* The units that a property of this one names, as far as they are active. */
static int collect(const struct fleet_host *host, const char *unit, const char *property, enum kind kind,
	struct companions *to, struct fleet_driver_error *err)
{
	sd_bus_message *m = NULL;
	char **names = NULL;
	int r = systemd_unit_property(host, unit, property, &m, err);

	if (r < 0)
		return r;
	r = sd_bus_message_enter_container(m, 'v', "as");
	if (r >= 0)
		r = sd_bus_message_read_strv(m, &names);
	if (r < 0)
		r = fleet_driver_fail(err, r, 0, 0, "systemd's answer about %.100s is not understood", unit);
	for (char **name = names; r >= 0 && name && *name; name++) {
		if (has(to, *name) || !can_be_started(*name))
			continue;
		r = is_active(host, *name, err);
		if (r > 0)
			r = add(to, kind, *name, err);
	}
	for (char **name = names; name && *name; name++)
		free(*name);
	free(names);
	sd_bus_message_unref(m);
	return r < 0 ? r : 0;
}

/* Also what requires those that require it. */
static int collect_dependents(const struct fleet_host *host, const char *unit, struct companions *to,
	struct fleet_driver_error *err)
{
	static const char *const properties[] = {"RequiredBy", "BoundBy", "ConsistsOf"};
	size_t next = to->count;

	for (const char *of = unit; of; of = next < to->count ? to->units[next++].name : NULL) {
		for (size_t i = 0; i < sizeof(properties) / sizeof(properties[0]); i++) {
			int r = collect(host, of, properties[i], DEPENDENT, to, err);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

int companions_trigger(const struct fleet_host *host, const char *unit, char *out, size_t size,
	struct fleet_driver_error *err)
{
	struct companions c = {0};
	int r = collect(host, unit, "TriggeredBy", TRIGGER, &c, err);

	if (r < 0 || c.count == 0)
		return r;
	(void)snprintf(out, size, "%s", c.units[0].name);
	return 1;
}

/* ---- down, and up again ---- */

static int job(const struct fleet_host *host, const char *method, const struct companion *u, const char *what,
	struct fleet_driver_error *err)
{
	char result[64] = "";
	int r = systemd_job_run(host, method, u->name, result, sizeof(result), err);

	if (r == 0 && strcmp(result, "done") != 0)
		r = fleet_driver_fail(err, -EIO, 0, 0, "%.120s, %s, cannot be %s: systemd says %.40s",
			u->name,
			u->kind == TRIGGER ? "which starts it when it is needed" : "which requires it", what,
			result);
	return r;
}

static int start_all(const struct fleet_host *host, const struct companions *c, enum kind kind,
	struct fleet_driver_error *err)
{
	for (size_t i = 0; i < c->count; i++) {
		struct fleet_driver_error ignored = {.size = sizeof(ignored)};
		int r;

		if (c->units[i].kind != kind)
			continue;
		/* a start limit that its own restarts have used up; where there is none, systemd says so */
		(void)systemd_manager_call(host, "ResetFailedUnit", c->units[i].name, &ignored);
		r = job(host, "StartUnit", &c->units[i], "started again", err);
		if (r == -ENOENT)
			continue; /* its unit file went meanwhile, with the old release perhaps */
		if (r < 0)
			return r;
	}
	return 0;
}

int companions_before_stop(const struct fleet_host *host, const char *unit, struct fleet_driver_error *err)
{
	struct companions c;
	int r = recall(host, &c, err); /* of a stop before this one, that was never followed by a start */
	size_t known = c.count;

	if (r == 0)
		r = collect(host, unit, "TriggeredBy", TRIGGER, &c, err);
	if (r == 0)
		r = collect_dependents(host, unit, &c, err);
	if (r == 0 && c.count > known)
		r = remember(host, &c, err);
	for (size_t i = 0; r == 0 && i < c.count; i++) {
		if (c.units[i].kind == TRIGGER) {
			r = is_active(host, c.units[i].name, err);
			if (r > 0)
				r = job(host, "StopUnit", &c.units[i], "stopped", err);
		}
	}
	return r;
}

/* How many processes are left, and which is the first. */
static int processes_of(const struct fleet_host *host, const char *unit, uint32_t *ret_pid, char *command,
	size_t size, struct fleet_driver_error *err)
{
	sd_bus_message *m = NULL;
	int count = 0, r = systemd_manager_ask(host, "GetUnitProcesses", unit, &m, err);

	if (r == -ENOENT)
		return 0; /* systemd has forgotten the unit: nothing of it is there */
	if (r < 0)
		return r;
	r = sd_bus_message_enter_container(m, 'a', "(sus)");
	while (r >= 0) {
		const char *group, *line;
		uint32_t pid;

		r = sd_bus_message_read(m, "(sus)", &group, &pid, &line);
		if (r <= 0)
			break;
		if (count++ == 0) {
			*ret_pid = pid;
			(void)snprintf(command, size, "%s", line);
		}
	}
	sd_bus_message_unref(m);
	return r < 0 ? fleet_driver_fail(
			       err, r, 0, 0, "systemd's answer about %.100s is not understood", unit)
		     : count;
}

int companions_wait_for_end(const struct fleet_host *host, const char *unit, struct fleet_driver_error *err)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
	char command[64] = "";
	uint32_t pid = 0;
	int r;

	while ((r = processes_of(host, unit, &pid, command, sizeof(command), err)) > 0) {
		if (host->remaining_ms(host) <= 0)
			return fleet_driver_fail(err, -ETIMEDOUT, 0, 0,
				"%.100s was stopped, but %d of its processes go on, as pid %u (%.50s): look "
				"at its KillMode=",
				unit, r, pid, command);
		(void)nanosleep(&pause, NULL);
	}
	return r;
}

int companions_before_start(const struct fleet_host *host, struct fleet_driver_error *err)
{
	struct companions c;
	int r = recall(host, &c, err);

	return r < 0 ? r : start_all(host, &c, TRIGGER, err);
}

int companions_after_start(const struct fleet_host *host, struct fleet_driver_error *err)
{
	struct companions c;
	int r = recall(host, &c, err);

	if (r < 0 || c.count == 0)
		return r;
	r = start_all(host, &c, DEPENDENT, err);
	return r < 0 ? r : forget(host, err);
}
