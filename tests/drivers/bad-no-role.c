/* A driver for nothing. */
#include "zoo.h"

FLEET_DRIVER_DEFINE("bad-no-role", .version = "1", .summary = "Has no role");
