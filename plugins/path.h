/* Key paths as driver.h defines them, for format drivers: taken apart with the names unescaped, and put
 * together. */
#ifndef PLUGINS_PATH_H
#define PLUGINS_PATH_H
#include "fleet/driver.h"
#include "text.h"

#define PATH_PARTS_MAX 128

enum path_kind { PATH_NAME, PATH_INDEX, PATH_APPEND };

struct path_part {
	enum path_kind kind;
	uint32_t index;
	const char *name; /* points into path.names */
	size_t name_len;
};
struct path {
	struct path_part parts[PATH_PARTS_MAX];
	size_t count;
	char *names; /* owned */
};

/* 0; -EINVAL where it is no key path (the host has checked it before: this is a second look), -ENOMEM. */
int path_parse(struct fleet_bytes text, struct path *ret);
void path_done(struct path *p);

/* Adds a name, escaped and with its dot where one is due, or an index, to a path that is being built. */
void path_add_name(struct text *path, const char *name, size_t len);
void path_add_index(struct text *path, size_t index);

#endif
