/* One edit of an INI file, as a change of its lines. */
#ifndef PLUGINS_INI_EDIT_H
#define PLUGINS_INI_EDIT_H
#include "ini_doc.h"

/* Lines that go, and one place where text comes. */
struct ini_change {
	bool *dropped;     /* owned; one for each item, or NULL: none */
	size_t start, end; /* where text comes, in place of [start, end) */
	struct text text;  /* owned */
	bool there;        /* anything to change at all */
	/* what the new file must say besides: this value, of item `changed`, or of a new key that is the
	 * ordinal-th of the old keys' row */
	size_t changed, ordinal;
};

/* Applies one edit to *file, which is replaced where that changes anything. -EINVAL with a sentence, and the
 * place where it is about one. */
int ini_edit(const struct ini_rules *rules, struct text *file, const struct fleet_edit *edit,
	struct fleet_driver_error *err);

/* ini_insert.c. Fills change with a new line for the key (after item `after` where that is not INI_NONE), and
 * a new section where `section` is none. */
struct ini_new_key {
	const struct path_part *section; /* NULL: before all sections */
	const struct path_part *name;
	size_t section_number; /* INI_NONE: the file has none of this name */
	size_t after;
	struct fleet_bytes value;
};
int ini_insert(const struct ini_doc *doc, const struct ini_new_key *key, struct ini_change *change,
	struct fleet_driver_error *err);
/* How a bare key gets a value: ` = ` as the neighbours of item i have it. */
void ini_add_assignment(const struct ini_doc *doc, size_t i, struct text *out);
/* -EINVAL "the new value " and why. */
int ini_refuse_value(const char *why, struct fleet_driver_error *err);

#endif
