/* What goes down with a unit that is stopped, and has to come back with it: the sockets, timers and paths
 * that would start it meanwhile, and the units that require it. systemd stops the latter by itself and starts
 * neither again. What is remembered lies in the driver's state directory, for stop and start are calls of
 * their own, and either may be the last before a crash. */
#ifndef PLUGINS_SYSTEMD_COMPANIONS_H
#define PLUGINS_SYSTEMD_COMPANIONS_H
#include <stdbool.h>
#include "fleet/driver.h"

/* Before the unit stops: remembers both kinds, those that are active, and stops what would trigger it. */
int companions_before_stop(const struct fleet_host *host, const char *unit, struct fleet_driver_error *err);
/* After its stop: waits until no process of it is left (KillMode= may leave some). -ETIMEDOUT names them. */
int companions_wait_for_end(const struct fleet_host *host, const char *unit, struct fleet_driver_error *err);
/* Before its start: what triggers it is started, since a socket cannot be once its service runs. */
int companions_before_start(const struct fleet_host *host, struct fleet_driver_error *err);
/* After its start: what went down with it is started; when all of that is there, nothing is remembered any
 * more. */
int companions_after_start(const struct fleet_host *host, struct fleet_driver_error *err);

/* Is there an active unit that starts this one when it is needed? Its name, in out. 1 yes, 0 no, or an error.
 */
int companions_trigger(const struct fleet_host *host, const char *unit, char *out, size_t size,
	struct fleet_driver_error *err);

#endif
