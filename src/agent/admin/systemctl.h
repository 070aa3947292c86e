/* What systemd says of a unit: `systemctl show`, whose words these are. Blocks, for some seconds at most. */
#ifndef ADMIN_SYSTEMCTL_H
#define ADMIN_SYSTEMCTL_H
#include "fleet/error.h"

/* properties: comma separated. *ret: "Name=value" lines, owned. -ENOENT: no systemctl, or no systemd runs. */
int systemctl_show(
	const char *unit, const char *properties, char **ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* The value of the index-th line NAME=, or NULL; owned. "" counts as none. */
char *systemctl_value(const char *shown, const char *name, size_t index);

#endif
