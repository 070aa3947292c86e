/* From changes that somebody asked for to new bytes that are proven to say that and nothing else, as the
 * driver host does it (DESIGN 6): the driver edits, and is not believed. */
#ifndef TOOL_PROVE_H
#define TOOL_PROVE_H
#include "driver/tool/target.h"

/* What is to be done to a file; texts owned. */
struct tool_edits {
	struct fleet_edit *items;
	char **values;
	size_t count;
};
/* Decides the changes' types by what the file says now, reading what --set-file names. */
int tool_edits_decide(const struct tool_options *options, const struct settings *now, struct tool_edits *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
void tool_edits_done(struct tool_edits *e);

/* Do the new bytes pass the driver's check, and say exactly what is expected? 0, or what differs. -EBADMSG
 * where they say something else; else the call's error. */
int tool_prove(const struct tool_target *t, struct fleet_bytes bytes, const struct settings *expected,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Edits `in`, which says `now`, and proves it. */
int tool_edit_proven(const struct tool_target *t, struct fleet_bytes in, const struct settings *now,
	const struct fleet_edit *edits, size_t count, struct fleet_buffer *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;

#endif
