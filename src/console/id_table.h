/* Things found by their id: a sorted array, so that lists come in order and a page can begin after the last
 * id of the one before. Up to some ten thousand entries. Embedded; owns its array, not what it points at. */
#ifndef CONSOLE_ID_TABLE_H
#define CONSOLE_ID_TABLE_H
#include "fleet/base.h"

struct id_entry {
	const char *id; /* borrowed: lives as long as the value */
	void *value;
};
struct id_table {
	struct id_entry *entries; /* owned; ascending by strcmp */
	size_t count, capacity;
};

void *id_table_get(const struct id_table *table, const char *id); /* NULL: not there */
/* The id must not be there yet. */
void id_table_add(struct id_table *table, const char *id, void *value);
/* The value that was there, or NULL. */
void *id_table_remove(struct id_table *table, const char *id);
/* Index of the first entry whose id sorts after `id` (NULL: of the first). */
size_t id_table_after(const struct id_table *table, const char *id);
void id_table_done(struct id_table *table);

#endif
