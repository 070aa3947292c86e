#include "fleet/backoff.h"
#include "fleet/ids.h"

static const int64_t table_ms[] = {0, 2000, 5000, 10000, 30000};

#define LAST (FLEET_ARRAY_LEN(table_ms) - 1)

void fleet_backoff_reset(struct fleet_backoff *b)
{
	b->attempt = 0;
}

void fleet_backoff_refused(struct fleet_backoff *b)
{
	b->attempt = LAST;
}

int64_t fleet_backoff_base_ms(unsigned attempt)
{
	return table_ms[attempt < LAST ? attempt : LAST];
}

int64_t fleet_backoff_next_ms(struct fleet_backoff *b)
{
	int64_t base = fleet_backoff_base_ms(b->attempt);
	uint64_t span = base > 0 ? (uint64_t)base / 5 : 1000, random;

	if (b->attempt < LAST)
		b->attempt++;
	fleet_random(&random, sizeof(random));
	return base + (int64_t)(random % (span + 1));
}
