/* Which sections and keys are one by their names. A hash table each: a file has thousands of keys. */
#include "ini_doc.h"

static size_t hash(const struct ini_rules *rules, size_t section, const char *name, size_t len)
{
	uint64_t h = 14695981039346656037u ^ (section * 0x9e3779b97f4a7c15u);

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)ini_fold(rules, name[i])) * 1099511628211u;
	return (size_t)(h ^ (h >> 29));
}

/* The slot of a name: what it has, or a free one. */
static size_t *section_slot(const struct ini_doc *doc, const char *name, size_t len)
{
	size_t mask = doc->section_names_capacity - 1;

	for (size_t at = hash(doc->rules, 0, name, len) & mask;; at = (at + 1) & mask) {
		size_t *slot = &doc->section_names[at];
		const struct ini_section *section = *slot == INI_NONE ? NULL : &doc->sections[*slot];

		if (!section || ini_names_equal(doc->rules, doc->text + section->name_start,
					section->name_end - section->name_start, name, len))
			return slot;
	}
}

static size_t *key_slot(const struct ini_doc *doc, size_t section, const char *name, size_t len)
{
	size_t mask = doc->names_capacity - 1;

	for (size_t at = hash(doc->rules, section, name, len) & mask;; at = (at + 1) & mask) {
		size_t *slot = &doc->names[at];
		const struct ini_item *item = *slot == INI_NONE ? NULL : &doc->items[*slot];

		if (!item ||
			(item->section == section && ini_names_equal(doc->rules, doc->text + item->name_start,
							     item->name_end - item->name_start, name, len)))
			return slot;
	}
}

static size_t *new_table(size_t count, size_t *ret_capacity)
{
	size_t capacity = 16, *table;

	while (capacity < count * 2)
		capacity *= 2;
	table = malloc(capacity * sizeof(*table));
	for (size_t i = 0; table && i < capacity; i++)
		table[i] = INI_NONE;
	*ret_capacity = capacity;
	return table;
}

static size_t enter_section(struct ini_doc *doc, size_t i)
{
	const struct ini_item *item = &doc->items[i];
	size_t *slot = section_slot(doc, doc->text + item->name_start, item->name_end - item->name_start);

	if (*slot == INI_NONE) {
		*slot = doc->section_count++;
		doc->sections[*slot] = (struct ini_section){item->name_start, item->name_end, i, i, INI_NONE};
	}
	doc->sections[*slot].last = i;
	return *slot;
}

static void enter_key(struct ini_doc *doc, size_t i)
{
	struct ini_item *item = &doc->items[i], *first;
	size_t *slot =
		key_slot(doc, item->section, doc->text + item->name_start, item->name_end - item->name_start);

	doc->sections[item->section].last_key = i;
	if (*slot == INI_NONE) {
		*slot = item->first = item->last = i;
		item->count = 1;
		return;
	}
	item->first = *slot;
	first = &doc->items[*slot];
	doc->items[first->last].next = i;
	first->last = i;
	item->nth = first->count++;
}

int ini_index(struct ini_doc *doc)
{
	size_t sections = 1, keys = 0, section = 0;

	for (size_t i = 0; i < doc->count; i++) {
		sections += doc->items[i].kind == INI_SECTION;
		keys += doc->items[i].kind == INI_KEY;
	}
	doc->names = new_table(keys, &doc->names_capacity);
	doc->section_names = new_table(sections, &doc->section_names_capacity);
	doc->sections = malloc(sections * sizeof(*doc->sections));
	if (!doc->names || !doc->section_names || !doc->sections)
		return -ENOMEM;
	doc->sections[0] = (struct ini_section){0, 0, INI_NONE, INI_NONE, INI_NONE};
	doc->section_count = 1;
	for (size_t i = 0; i < doc->count; i++) {
		if (doc->items[i].kind == INI_SECTION)
			section = enter_section(doc, i);
		doc->items[i].section = section;
		if (doc->items[i].kind == INI_KEY)
			enter_key(doc, i);
	}
	return 0;
}

size_t ini_doc_section(const struct ini_doc *doc, const char *name, size_t len)
{
	return name ? *section_slot(doc, name, len) : 0;
}

size_t ini_doc_key(const struct ini_doc *doc, size_t section, const char *name, size_t len)
{
	return section == INI_NONE ? INI_NONE : *key_slot(doc, section, name, len);
}
