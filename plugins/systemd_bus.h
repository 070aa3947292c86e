/* systemd's manager over D-Bus, as the systemd-unit driver needs it: one connection for the life of the call
 * child, what a unit says of itself, and jobs that are followed to their own end. */
#ifndef PLUGINS_SYSTEMD_BUS_H
#define PLUGINS_SYSTEMD_BUS_H
#include <stdbool.h>
#include <systemd/sd-bus.h>
#include "fleet/driver.h"

/* The unit that the app's option service_name means; .service where it has no suffix. -EINVAL. */
int systemd_unit_name(const struct fleet_host *host, char *out, size_t size, struct fleet_driver_error *err);

/* What systemd says about a unit, as far as it is wanted here; "" and 0 unknown. */
struct systemd_unit {
	char name[256];
	char path[512]; /* its object */
	char load_state[32], active_state[32], sub_state[32], type[32], result[32];
	bool condition_failed, can_reload;
	uint32_t main_pid, restarts, start_limit;
	int32_t main_code, main_status; /* how the main process ended: CLD_*, and status or signal */
	char helper[32];                /* ExecStartPre and the like, where one of those failed */
	int32_t helper_code, helper_status;
	uint64_t active_enter_us, state_change_us; /* Unix time */
	uint64_t condition_us;                     /* when conditions were last looked at */
	uint64_t memory_bytes;
	char invocation[33];
};
/* Loads the unit and asks. -ENOENT there is no such unit. */
int systemd_unit_look(
	const struct fleet_host *host, struct systemd_unit *ret, struct fleet_driver_error *err);
/* "exited with status 1", "killed by SIGKILL", "start limit hit: ..."; "" where nothing failed. */
void systemd_unit_describe(const struct systemd_unit *unit, char *out, size_t size);

/* Makes a job (method: StartUnit and its like) and waits for its own JobRemoved. result is systemd's word:
 * done, failed, timeout... On expiry the job is cancelled: -ETIMEDOUT. */
int systemd_job_run(const struct fleet_host *host, const char *method, const char *unit, char *result,
	size_t size, struct fleet_driver_error *err);
/* A method of the manager that takes a unit's name (NULL: nothing) and answers nothing of interest. -ENOENT:
 * no such unit. */
int systemd_manager_call(
	const struct fleet_host *host, const char *method, const char *unit, struct fleet_driver_error *err);

/* A method of the manager that takes a unit's name: its answer, to be unreferenced by the caller. */
int systemd_manager_ask(const struct fleet_host *host, const char *method, const char *unit,
	sd_bus_message **ret, struct fleet_driver_error *err);
/* A property of any unit (interface Unit), whether it is loaded or not: the answer, before its variant;
 * likewise. */
int systemd_unit_property(const struct fleet_host *host, const char *unit, const char *property,
	sd_bus_message **ret, struct fleet_driver_error *err);

#endif
