/* Says that it is made for another major version of the ABI. */
#include "zoo.h"

extern const struct fleet_driver_v1 fleet_driver_v1;
__attribute__((visibility("default"))) const struct fleet_driver_v1 fleet_driver_v1 = {
	.size = 8, .abi_major = 2, .abi_minor = 3, .name = (const char *)16, .version = (const char *)16};
