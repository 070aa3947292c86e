/* Random YAML documents, in every style that people write, and random edits of them. */
#ifndef DRIVER_YAML_MAKER_H
#define DRIVER_YAML_MAKER_H
#include "driver_fake.h"

struct yaml_maker {
	uint64_t seed;
	struct fleet_buffer out;
	const char *newline;
	unsigned unit, sequence, gap; /* blanks: a mapping in a mapping, a sequence in one, behind a dash */
	unsigned anchors, closed[100], closed_count; /* an alias may only come behind the anchored value */
	bool comments, shared;
};

/* Into m->out, in place of the one before. */
void yaml_make_document(struct yaml_maker *m);
/* A path that is there, or has a parent that is. */
void yaml_make_edit(
	struct yaml_maker *m, const struct settings *now, char *path, size_t size, struct fleet_edit *ret);

#endif
