/* One edit of a YAML document, as changes of its bytes. All of these fill s with what is to be changed (no
 * splice: nothing), or fail with -EINVAL and the place at fault. */
#ifndef PLUGINS_YAML_EDIT_H
#define PLUGINS_YAML_EDIT_H
#include "json_doc.h"
#include "path.h"
#include "splice.h"
#include "yaml_doc.h"

int yaml_edit_set(const struct yaml_doc *doc, uint32_t document, const struct path *path,
	const struct json_doc *value, struct splices *s, struct fleet_driver_error *err);
/* Takes one; of a name that stands there twice, the last. */
int yaml_edit_unset(const struct yaml_doc *doc, uint32_t document, const struct path *path, struct splices *s,
	struct fleet_driver_error *err);

/* The child that the path's part means, in a container that is no alias. 0; 1 there is none yet (a name, or
 * [+]). */
int yaml_edit_find(const struct yaml_doc *doc, uint32_t container, const struct path *path, size_t part,
	uint32_t *ret, struct fleet_driver_error *err);
/* Does the value, aliases followed, say what the JSON value says? */
bool yaml_says(const struct yaml_doc *doc, uint32_t n, const struct json_doc *value, uint32_t v);

/* yaml_replace.c: a value in the place of node n, which is no alias. */
int yaml_replace(const struct yaml_doc *doc, uint32_t n, const struct path *path,
	const struct json_doc *value, struct splices *s, struct fleet_driver_error *err);
/* yaml_insert.c: a new entry for the path's part i in a container that has none, with everything that the
 * later parts need; and the first of a document that has no value at all. */
int yaml_insert(const struct yaml_doc *doc, uint32_t document, uint32_t container, const struct path *path,
	size_t i, const struct json_doc *value, struct splices *s, struct fleet_driver_error *err);
int yaml_insert_root(const struct yaml_doc *doc, uint32_t document, const struct path *path,
	const struct json_doc *value, struct splices *s, struct fleet_driver_error *err);
/* yaml_remove.c: the entry of node n goes. */
int yaml_remove(const struct yaml_doc *doc, uint32_t document, uint32_t n, struct splices *s,
	struct fleet_driver_error *err);

/* yaml_verify.c: does the new file say what the old one says, but for the one edit? value: NULL for unset. */
bool yaml_is_as_asked(const struct yaml_doc *old, const struct yaml_doc *new, uint32_t document,
	const struct path *path, const struct json_doc *value);

#endif
