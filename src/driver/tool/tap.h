/* The results of `fleet-driver check` as TAP (testanything.org): a line a test, after a failed one its
 * reason. Embedded. */
#ifndef TOOL_TAP_H
#define TOOL_TAP_H
#include "fleet/error.h"

struct tap {
	unsigned count, failed;
};

void tap_pass(struct tap *t, const char *fmt, ...) FLEET_PRINTF(2, 3);
/* why: one sentence. */
void tap_fail(struct tap *t, const char *why, const char *fmt, ...) FLEET_PRINTF(3, 4);
void tap_skip(struct tap *t, const char *why, const char *fmt, ...) FLEET_PRINTF(3, 4);
/* A line that counts as nothing. */
void tap_note(const char *fmt, ...) FLEET_PRINTF(1, 2);
/* The plan; true when nothing failed and something was tested. */
bool tap_end(const struct tap *t);

/* What became of one property over many tries; the first failure's reason counts. */
struct verdict {
	unsigned held, refused;
	bool failed;
	char why[640]; /* of the failure, or of the last refusal */
};
void verdict_hold(struct verdict *v);
void verdict_fail(struct verdict *v, const char *fmt, ...) FLEET_PRINTF(2, 3);
/* The driver said no, as it may: the property was neither kept nor broken. */
void verdict_refuse(struct verdict *v, const char *why);
/* One test of it: failed, skipped where it never came to hold, else passed. nothing: why there was nothing to
 * try. */
void verdict_tell(const struct verdict *v, struct tap *t, const char *nothing, const char *fmt, ...)
	FLEET_PRINTF(4, 5);

#endif
