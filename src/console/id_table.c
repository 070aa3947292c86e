#include "console/id_table.h"

#include <assert.h>

/* Index of the first entry that does not sort before id. */
static size_t lower_bound(const struct id_table *table, const char *id)
{
	size_t low = 0, high = table->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(table->entries[middle].id, id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool holds(const struct id_table *table, size_t index, const char *id)
{
	return index < table->count && strcmp(table->entries[index].id, id) == 0;
}

void *id_table_get(const struct id_table *table, const char *id)
{
	size_t index = lower_bound(table, id);

	return holds(table, index, id) ? table->entries[index].value : NULL;
}

void id_table_add(struct id_table *table, const char *id, void *value)
{
	size_t index = lower_bound(table, id);

	assert(!holds(table, index, id));
	if (table->count == table->capacity) {
		table->capacity = table->capacity ? table->capacity * 2 : 16;
		table->entries = xreallocarray(table->entries, table->capacity, sizeof(*table->entries));
	}
	memmove(&table->entries[index + 1], &table->entries[index],
		(table->count - index) * sizeof(*table->entries));
	table->entries[index] = (struct id_entry){id, value};
	table->count++;
}

void *id_table_remove(struct id_table *table, const char *id)
{
	size_t index = lower_bound(table, id);
	void *value;

	if (!holds(table, index, id))
		return NULL;
	value = table->entries[index].value;
	table->count--;
	memmove(&table->entries[index], &table->entries[index + 1],
		(table->count - index) * sizeof(*table->entries));
	return value;
}

size_t id_table_after(const struct id_table *table, const char *id)
{
	size_t index;

	if (!id)
		return 0;
	index = lower_bound(table, id);
	return holds(table, index, id) ? index + 1 : index;
}

void id_table_done(struct id_table *table)
{
	free(table->entries);
	*table = (struct id_table){NULL, 0, 0};
}
