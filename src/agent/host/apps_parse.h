/* One declaration of apps.d, from its YAML mapping to a struct app: every key known, every value of its type,
 * every path absolute and plain, and each complaint at its line and column. Pure but for the links of config
 * paths, which it follows and checks. Used by apps_load alone. */
#ifndef HOST_APPS_PARSE_H
#define HOST_APPS_PARSE_H
#include "agent/host/apps.h"
#include "fleet/yaml.h"

/* *ret owned. -EINVAL "FILE:LINE:COLUMN: why". */
int app_parse(const struct fleet_yaml *y, const struct fleet_yaml_node *node, bool as_root, struct app **ret,
	struct fleet_error *err) FLEET_MUST_CHECK;

#endif
