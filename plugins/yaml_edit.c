/* Finding what an edit means, and whether it may be done there. */
#include <errno.h>
#include <stdio.h>
#include "yaml_edit.h"

static int find_name(const struct yaml_doc *doc, uint32_t container, const struct path *path, size_t i,
	uint32_t *ret, struct fleet_driver_error *err)
{
	const struct path_part *part = &path->parts[i];
	uint32_t found = YAML_NONE, times = 0;
	bool containers = false, plain = true;

	for (uint32_t n = doc->nodes[container].first; n != YAML_NONE; n = doc->nodes[n].next) {
		const char *name;
		size_t len;
		bool good = yaml_member_name(doc, n, &name, &len);

		if (!text_equal(name, len, part->name, part->name_len))
			continue;
		found = n;
		times++;
		plain = plain && good;
		containers = containers || doc->nodes[yaml_resolve(doc, n)].kind != YAML_KIND_SCALAR;
	}
	if (found == YAML_NONE)
		return 1;
	if (!plain)
		return yaml_doc_fail(doc, doc->nodes[found].begin, err, -EINVAL,
			"the key of this entry is no simple text: edit the file by hand");
	if (times > 1 && (containers || i + 1 < path->count))
		return yaml_doc_fail(doc, doc->nodes[found].begin, err, -EINVAL,
			"this name is there more than once, so it is not clear which is meant: edit the file "
			"by hand");
	*ret = found;
	return 0;
}

int yaml_edit_find(const struct yaml_doc *doc, uint32_t container, const struct path *path, size_t i,
	uint32_t *ret, struct fleet_driver_error *err)
{
	const struct yaml_node *node = &doc->nodes[container];
	const struct path_part *part = &path->parts[i];
	uint32_t n = node->first;

	if (part->kind == PATH_NAME) {
		if (node->kind != YAML_KIND_MAPPING)
			return yaml_doc_fail(doc, node->start, err, -EINVAL,
				node->kind == YAML_KIND_SEQUENCE
					? "this is a sequence: its elements are [0], [1] and so on"
					: "this is a single value and has no members");
		return find_name(doc, container, path, i, ret, err);
	}
	if (node->kind != YAML_KIND_SEQUENCE)
		return yaml_doc_fail(doc, node->start, err, -EINVAL, "this is not a sequence");
	if (part->kind == PATH_APPEND)
		return 1;
	if (part->index >= node->count)
		return yaml_doc_fail(doc, node->start, err, -EINVAL,
			"this sequence has no element of that index; a new last one is [+]");
	for (uint32_t k = 0; k < part->index; k++)
		n = doc->nodes[n].next;
	*ret = n;
	return 0;
}

/* What stands in the way of a change: an alias or an anchored value on the way to it. */
static void note_shared(const struct yaml_doc *doc, uint32_t n, uint32_t *shared)
{
	if (*shared == YAML_NONE && (doc->nodes[n].kind == YAML_KIND_ALIAS || doc->nodes[n].aliased > 0))
		*shared = n;
}

/* An anchor in the entry of n whose value is needed elsewhere. */
static uint32_t anchor_needed(const struct yaml_doc *doc, uint32_t n)
{
	uint32_t from = doc->nodes[n].key != YAML_NONE ? doc->nodes[n].key : n, after = doc->nodes[n].after;
	bool any = false;

	for (uint32_t k = from; k < after && !any; k++)
		any = doc->nodes[k].aliased > 0;
	for (uint32_t k = after; k < doc->count && any; k++) {
		if (doc->nodes[k].kind == YAML_KIND_ALIAS && doc->nodes[k].target >= from &&
			doc->nodes[k].target < after)
			return doc->nodes[k].target;
	}
	return YAML_NONE;
}

static int refuse_shared(const struct yaml_doc *doc, uint32_t n, struct fleet_driver_error *err)
{
	const struct yaml_node *node = &doc->nodes[n];
	char why[200];

	if (node->kind == YAML_KIND_ALIAS)
		(void)snprintf(why, sizeof(why),
			"this is the alias *%.40s of a value that stands elsewhere, so an edit would change "
			"both: edit the file by hand",
			yaml_string(doc, node->name));
	else
		(void)snprintf(why, sizeof(why),
			"the alias *%.40s stands for this value in other places, so an edit would change "
			"them too: edit the file by hand",
			yaml_string(doc, node->name));
	return yaml_doc_fail(doc, node->start, err, -EINVAL, why);
}

static int finish(const struct yaml_doc *doc, int r, uint32_t shared, const struct splices *s,
	struct fleet_driver_error *err)
{
	return r == 0 && s->count > 0 && shared != YAML_NONE ? refuse_shared(doc, shared, err) : r;
}

int yaml_edit_set(const struct yaml_doc *doc, uint32_t document, const struct path *path,
	const struct json_doc *value, struct splices *s, struct fleet_driver_error *err)
{
	uint32_t at = document < doc->document_count ? doc->documents[document].root : YAML_NONE;
	uint32_t shared = YAML_NONE, child;
	int r;

	if (at == YAML_NONE)
		return yaml_insert_root(doc, document, path, value, s, err);
	for (size_t i = 0; i < path->count; i++) {
		note_shared(doc, at, &shared);
		at = yaml_resolve(doc, at);
		r = yaml_edit_find(doc, at, path, i, &child, err);
		if (r < 0)
			return r;
		if (r > 0)
			return finish(
				doc, yaml_insert(doc, document, at, path, i, value, s, err), shared, s, err);
		at = child;
	}
	note_shared(doc, at, &shared);
	if (shared == YAML_NONE)
		shared = anchor_needed(doc, at);
	if (yaml_says(doc, at, value, 0))
		return 0;
	if (shared != YAML_NONE)
		return refuse_shared(doc, shared, err);
	return yaml_replace(doc, at, path, value, s, err);
}

int yaml_edit_unset(const struct yaml_doc *doc, uint32_t document, const struct path *path, struct splices *s,
	struct fleet_driver_error *err)
{
	uint32_t at = document < doc->document_count ? doc->documents[document].root : YAML_NONE;
	uint32_t shared = YAML_NONE;

	for (size_t i = 0; i < path->count; i++) {
		if (path->parts[i].kind == PATH_APPEND)
			return fleet_driver_fail(
				err, -EINVAL, 0, 0, "[+] cannot be unset: it is for a new element");
	}
	if (at == YAML_NONE)
		return 0;
	for (size_t i = 0; i < path->count; i++) {
		int r;

		note_shared(doc, at, &shared);
		r = yaml_edit_find(doc, yaml_resolve(doc, at), path, i, &at, err);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	if (shared == YAML_NONE)
		shared = anchor_needed(doc, at);
	if (shared != YAML_NONE)
		return refuse_shared(doc, shared, err);
	return yaml_remove(doc, document, at, s, err);
}
