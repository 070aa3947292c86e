/* A unit's lines in the journal. */
#ifndef PLUGINS_SYSTEMD_JOURNAL_H
#define PLUGINS_SYSTEMD_JOURNAL_H
#include "fleet/driver.h"

/* Emits the last `lines` entries of the unit and of systemd about it, no older than since_unix_ms, oldest
 * first. */
int systemd_journal_tell(const struct fleet_host *host, const char *unit, uint32_t lines,
	int64_t since_unix_ms, struct fleet_sink *out, struct fleet_driver_error *err);

#endif
