/* One edit of a JSON document, as changes of its bytes. */
#ifndef PLUGINS_JSON_EDIT_H
#define PLUGINS_JSON_EDIT_H
#include "json_doc.h"
#include "path.h"
#include "splice.h"

/* Both fill s with what is to be changed; no splice: nothing. -EINVAL with the place at fault. */
int json_edit_set(const struct json_doc *doc, const struct path *path, const struct fleet_edit *edit,
	struct splices *s, struct fleet_driver_error *err);
/* Takes one; of a name that stands there twice, the last. */
int json_edit_unset(const struct json_doc *doc, const struct path *path, struct splices *s,
	struct fleet_driver_error *err);

/* The child that the path's part means. 0; 1 there is none yet (a name, or [+]); -EINVAL. final: the path
 * ends here. */
int json_edit_find(const struct json_doc *doc, uint32_t container, const struct path *path, size_t part,
	uint32_t *ret, struct fleet_driver_error *err);
/* Is there nothing but blanks in [start, end)? */
bool json_edit_is_blank(const struct json_doc *doc, uint32_t start, uint32_t end);

#endif
