/* Chance that is the same each time: what the tests of the format drivers make their random documents of. */
#ifndef DRIVER_DICE_H
#define DRIVER_DICE_H
#include "fleet/base.h"

static inline uint32_t dice_roll(uint64_t *seed, uint32_t sides)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*seed >> 33) % sides;
}

/* m: whatever has a seed. */
#define DICE(m, sides) dice_roll(&(m)->seed, sides)
#define PICK(m, list)  ((list)[DICE(m, FLEET_ARRAY_LEN(list))])

#endif
