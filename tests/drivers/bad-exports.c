/* Exports more than its one symbol. */
#include "zoo.h"

__attribute__((visibility("default"))) void parse_config(void);
void parse_config(void) {}

static const struct fleet_format_ops ops = {
	.size = sizeof(ops), .read = zoo_read, .edit = zoo_edit, .check = zoo_check};
FLEET_DRIVER_DEFINE("bad-exports", .version = "1", .summary = "Exports too much", .format = &ops);
