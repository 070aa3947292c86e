/* A unit's lines in the journal. */
#ifndef PLUGINS_SYSTEMD_JOURNAL_H
#define PLUGINS_SYSTEMD_JOURNAL_H
#include "systemd_bus.h"

/* Emits the last `lines` entries of the unit and of systemd about it, no older than since_unix_ms, oldest
 * first. */
int systemd_journal_tell(const struct fleet_host *host, const char *unit, uint32_t lines,
	int64_t since_unix_ms, struct fleet_sink *out, struct fleet_driver_error *err);

/* How the unit last failed, as systemd wrote it down itself and no longer ago than since_unix_ms: result and
 * how its processes ended, for systemd_unit_describe(); the rest of *ret is zero. -ENOENT. */
int systemd_journal_last_end(
	const char *unit, int64_t since_unix_ms, struct systemd_unit *ret, struct fleet_driver_error *err);

#endif
