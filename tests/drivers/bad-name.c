/* Calls itself something else than its file. */
#include "zoo.h"

static const struct fleet_format_ops ops = {
	.size = sizeof(ops), .read = zoo_read, .edit = zoo_edit, .check = zoo_check};
FLEET_DRIVER_DEFINE("json-config", .version = "1", .summary = "Wears another's name", .format = &ops);
