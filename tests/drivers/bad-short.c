/* Its object is shorter than it says. */
#include "zoo.h"

struct little {
	uint32_t size;
	uint16_t abi_major, abi_minor;
	const char *name;
};
extern const struct little fleet_driver_v1;
__attribute__((visibility("default"))) const struct little fleet_driver_v1 = {
	.size = sizeof(struct fleet_driver_v1), .abi_major = 1, .name = "bad-short"};
