/* Its format role says that it is shorter than ABI 1.0. */
#include "zoo.h"

static const struct fleet_format_ops ops = {
	.size = 16, .read = zoo_read, .edit = zoo_edit, .check = zoo_check};
FLEET_DRIVER_DEFINE("bad-short-ops", .version = "1", .summary = "Too short", .format = &ops);
