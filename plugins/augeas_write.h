/* From an edited tree back to a text of which every byte that no edit names is the old one.
 *
 * The lens could write the whole text itself, but what it keeps for each node it finds again by label and
 * order, so that blanks and quotes of other lines move when one is taken away, and its time grows with the
 * square of the file. So it is asked only for what is new, in the smallest piece that it takes; that is put
 * between the old bytes, and a candidate counts when the lens reads from it exactly the edited tree. */
#ifndef PLUGINS_AUGEAS_WRITE_H
#define PLUGINS_AUGEAS_WRITE_H
#include "augeas_edit.h"
#include "text.h"

enum aug_effort { AUG_BY_PIECES, AUG_BY_THE_LENS, AUG_BY_PLACES };

/* 0: the new text is in out, *ret what the lens reads there (owned by the caller). -EINVAL: not with this
 * effort; nothing is changed but, perhaps, places of fresh nodes. -ENOMEM. */
int aug_write(struct aug_draft *d, enum aug_effort effort, struct text *out, struct aug_node **ret);

#endif
