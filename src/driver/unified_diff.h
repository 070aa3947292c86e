/* The difference of two texts as people and patch(1) know it: unified, three lines of context. Lines end with
 * LF; a CR before it belongs to the line. Pure; any process. */
#ifndef DRIVER_UNIFIED_DIFF_H
#define DRIVER_UNIFIED_DIFF_H
#include "fleet/buffer.h"
#include "fleet/driver.h"

/* Appends the diff to out, with `--- old_name` and `+++ new_name` above it; nothing where the texts are the
 * same. The difference is the smallest there is, unless that is more than some thousand lines. */
void unified_diff(struct fleet_buffer *out, const char *old_name, struct fleet_bytes old_text,
	const char *new_name, struct fleet_bytes new_text);

#endif
