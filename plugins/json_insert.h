/* A new member or element: where it goes, and how it looks there. */
#ifndef PLUGINS_JSON_INSERT_H
#define PLUGINS_JSON_INSERT_H
#include "json_edit.h"

/* Into the container, which has no child for the path's part i; what the later parts name is made on the way.
 */
int json_insert(const struct json_doc *doc, uint32_t container, const struct path *path, size_t i,
	const struct json_doc *value, struct splices *s, struct fleet_driver_error *err);
/* Into a document without any value. */
int json_insert_root(const struct json_doc *doc, const struct path *path, const struct json_doc *value,
	struct splices *s, struct fleet_driver_error *err);

#endif
