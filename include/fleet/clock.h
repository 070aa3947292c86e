/* Times. Durations and deadlines use the monotonic clock, records the wall clock. Any thread. */
#ifndef FLEET_CLOCK_H
#define FLEET_CLOCK_H
#include "fleet/base.h"

int64_t fleet_clock_monotonic_ms(void);
int64_t fleet_clock_wall_ms(void); /* Unix time */

#define FLEET_TIMESTAMP_LEN 24 /* 2026-01-31T23:59:59.123Z */
struct fleet_timestamp {
	char text[FLEET_TIMESTAMP_LEN + 1];
};
/* RFC 3339, UTC, milliseconds. */
struct fleet_timestamp fleet_timestamp_format(int64_t unix_ms);
struct fleet_timestamp fleet_timestamp_now(void);
/* Takes any RFC 3339 date-time (any offset, any fraction). -EINVAL. */
int fleet_timestamp_parse(const char *text, int64_t *ret_unix_ms) FLEET_MUST_CHECK;
/* "30s", "5m", "2h", "1d", "250ms", or plain seconds; at most 365 d. -EINVAL. */
int fleet_duration_parse(const char *text, int64_t *ret_ms) FLEET_MUST_CHECK;
/* "1.2 s", "8 min", "3 h", "2 d": for people. */
void fleet_duration_format(int64_t ms, char *out, size_t out_len);

#endif
