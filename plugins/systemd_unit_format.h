/* systemd-unit's format role: unit files and drop-ins, on the parts of ini-config. What is told of a key is
 * what counts in this file: an assignment of nothing (`ExecStart=`) resets the key, so neither it nor those
 * before it are told, unless nothing follows; then the key is empty. */
#ifndef PLUGINS_SYSTEMD_UNIT_FORMAT_H
#define PLUGINS_SYSTEMD_UNIT_FORMAT_H
#include "fleet/driver.h"

extern const struct fleet_format_ops systemd_unit_format;

#endif
