/* An app's declaration made of a unit: every line is either what the unit says or a guess, and says which;
 * what only the admin can decide stands there as a comment. Pure. */
#ifndef ADMIN_SUGGESTION_H
#define ADMIN_SUGGESTION_H
#include "agent/admin/unit_view.h"
#include "fleet/buffer.h"

/* apps_dir: where it is to go, for the words. */
void suggestion_write(const struct unit_view *u, const char *apps_dir, struct fleet_buffer *out);
/* The app's id for the unit: letters, digits, '.', '_' and '-'; owned. */
char *suggestion_id(const char *unit);

#endif
