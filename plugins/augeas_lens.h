/* libaugeas, as far as this driver needs it: one lens, loaded before the sandbox closes, that makes a tree of
 * a text and a text of a tree. Nothing is kept between two calls but the lens. */
#ifndef PLUGINS_AUGEAS_LENS_H
#define PLUGINS_AUGEAS_LENS_H
#include "augeas_tree.h"
#include "fleet/driver.h"
#include "text.h"

/* From the options `lens` and `load_path`; reads files. -EINVAL. */
int aug_lens_open(const struct fleet_host *host, struct fleet_driver_error *err);
const char *aug_lens_name(void);
/* Where the first of the bytes stands that libaugeas keeps for itself: NUL, and 1 to 4, with which it marks
 * the parts of a tree before it writes, and ends the process where they are not its own. len: none. */
size_t aug_lens_reserved(const char *text, size_t len);

/* 0; -EINVAL where the text is not the lens's, *ret_at says from where on; -ENOMEM. The text has no NUL. */
int aug_lens_get(const char *text, size_t len, struct aug_node **ret, size_t *ret_at);
/* Adds to out what becomes of the text when its tree is [first, last], which are siblings; NULL: empty.
 * -EINVAL where the lens cannot do that; -ENOMEM. */
int aug_lens_put(const char *text, size_t len, const struct aug_node *first, const struct aug_node *last,
	struct text *out);

#endif
