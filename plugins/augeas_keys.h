/* Fleet's key paths for the nodes of a lens's tree.
 *
 * A label is a name. One that stands there several times is an array, `nameserver[1]`; one that has parts of
 * its own has its index even when it is alone, `server[0].listen`, so that its keys stay the same when a
 * second one comes. What a lens numbers (the lines of a table) is an array without a name, `[0].ipaddr`. The
 * value of a node that has parts is their neighbour `#value`. Comments and empty lines have no path. */
#ifndef PLUGINS_AUGEAS_KEYS_H
#define PLUGINS_AUGEAS_KEYS_H
#include "augeas_tree.h"
#include "fleet/driver.h"
#include "path.h"

#define AUG_OWN_VALUE "#value"

/* Tells every setting, in file order; settings NULL: only looks whether it could. */
int aug_keys_tell(const struct fleet_host *host, struct aug_node *root, const char *text, size_t len,
	struct fleet_sink *settings, struct fleet_driver_error *err);

/* The sole element of an array, which goes by the array's own path; NULL where it is not so. */
struct aug_node *aug_keys_alone(const struct aug_node *parent);

#endif
