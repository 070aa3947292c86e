/* Edits, done to a lens's tree: which node a key path means, and what of the text goes with one that is
 * removed. The text itself comes later (augeas_write.h). */
#ifndef PLUGINS_AUGEAS_EDIT_H
#define PLUGINS_AUGEAS_EDIT_H
#include "augeas_tree.h"
#include "fleet/driver.h"

/* A removed node: where it stood, and how far its neighbours leave room for what parts it from them. */
struct aug_cut {
	size_t start, end, room_start, room_end;
};
struct aug_cuts {
	struct aug_cut *list; /* owned */
	size_t count, capacity;
};

/* What was read, and what has been done to it since. */
struct aug_draft {
	const struct fleet_host *host; /* borrowed, as text is */
	const char *text;
	size_t len;
	struct aug_node *root; /* owned */
	struct aug_cuts cuts;
};
void aug_draft_done(struct aug_draft *d);

/* Changes the tree, and marks in it what it changed. -EINVAL, -ENOMEM. */
int aug_edit_apply(struct aug_draft *d, const struct fleet_edit *edit, struct fleet_driver_error *err);

/* The ends of the neighbours that were read: where a node of `parent` between prev and next may stand. */
void aug_edit_room(const struct aug_node *node, size_t *ret_start, size_t *ret_end);

#endif
