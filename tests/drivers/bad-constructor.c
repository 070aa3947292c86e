/* Crashes while it is being loaded. */
#include <stdlib.h>
#include "zoo.h"

__attribute__((constructor)) static void born_dead(void)
{
	abort();
}

static const struct fleet_format_ops ops = {
	.size = sizeof(ops), .read = zoo_read, .edit = zoo_edit, .check = zoo_check};
FLEET_DRIVER_DEFINE("bad-constructor", .version = "1", .summary = "Crashes when loaded", .format = &ops);
