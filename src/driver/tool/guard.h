/* Bytes that a driver is lent, laid so that they end where readable memory ends: a driver that reads past the
 * end of what it was given crashes, here and now, rather than one day on a server. The child of a call has
 * them by fork. */
#ifndef TOOL_GUARD_H
#define TOOL_GUARD_H
#include "fleet/base.h"
#include "fleet/driver.h"

struct guard {
	void *map;
	size_t size;
};

/* A copy of in, valid until guard_done. Ends the program where there is no memory. */
struct fleet_bytes guard_copy(struct guard *g, struct fleet_bytes in);
void guard_done(struct guard *g);

/* The same for edits. */
struct guarded_edits {
	struct fleet_edit *items; /* owned */
	struct guard *guards;     /* owned; two an edit */
	size_t count;
};
void guard_edits(struct guarded_edits *g, const struct fleet_edit *edits, size_t count);
void guard_edits_done(struct guarded_edits *g);

#endif
