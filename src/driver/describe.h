/* Asks one driver file what it is: the registry's look at it, in a child of its own. */
#ifndef DRIVER_DESCRIBE_H
#define DRIVER_DESCRIBE_H
#include "driver/call.h"
#include "driver/registry.h"

/* Fills name, version, summary and roles of *ret; call->driver: what it must call itself. Errors as of every
 * call. */
int driver_describe(
	const struct driver_call *call, struct driver_info *ret, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
