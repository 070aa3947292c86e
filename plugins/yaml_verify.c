/* Whatever a name or a value might smuggle in, and whatever this driver might get wrong about a layout, ends
 * here: the outcome is read again and compared, value by value. */
#include "yaml_edit.h"
#include "yaml_scalar.h"

static bool scalar_says(const struct yaml_doc *doc, const struct yaml_node *node,
	const struct json_doc *value, const struct json_node *said)
{
	const char *text = yaml_string(doc, node->value), *token = value->text + said->start;
	struct text json = {0};
	bool same;

	if (node->type == FLEET_TYPE_STRING)
		return json_string_is(token, said->end - said->start, text, node->value.len);
	yaml_plain_json(yaml_plain_of(text, node->value.len), text, node->value.len, &json);
	same = !json.failed && text_equal(json.data, json.len, token, said->end - said->start);
	text_done(&json);
	return same;
}

bool yaml_says(const struct yaml_doc *doc, uint32_t n, const struct json_doc *value, uint32_t v)
{
	const struct yaml_node *node = &doc->nodes[yaml_resolve(doc, n)];
	const struct json_node *said = &value->nodes[v];
	uint32_t i = node->first, j = said->first;

	if (node->type != said->type || node->count != said->count)
		return false;
	if (node->kind == YAML_KIND_SCALAR)
		return scalar_says(doc, node, value, said);
	for (; i != YAML_NONE && j != JSON_NONE; i = doc->nodes[i].next, j = value->nodes[j].next) {
		const struct json_node *member = &value->nodes[j];

		if (node->kind == YAML_KIND_MAPPING) {
			const char *name;
			size_t len;

			if (!yaml_member_name(doc, i, &name, &len) ||
				!json_string_is(value->text + member->key_start,
					member->key_end - member->key_start, name, len))
				return false;
		}
		if (!yaml_says(doc, i, value, j))
			return false;
	}
	return true;
}

static bool same_span(
	const struct yaml_doc *a, struct yaml_span x, const struct yaml_doc *b, struct yaml_span y)
{
	return yaml_there(x) == yaml_there(y) &&
	       (!yaml_there(x) || text_equal(yaml_string(a, x), x.len, yaml_string(b, y), y.len));
}

/* The node itself, without what is below it. */
static bool same_head(const struct yaml_doc *a, uint32_t x, const struct yaml_doc *b, uint32_t y)
{
	const struct yaml_node *m = &a->nodes[x], *n = &b->nodes[y];

	return m->kind == n->kind && m->type == n->type && same_span(a, m->name, b, n->name) &&
	       same_span(a, m->tag, b, n->tag) && same_span(a, m->value, b, n->value);
}

static bool same(const struct yaml_doc *a, uint32_t x, const struct yaml_doc *b, uint32_t y);

static bool same_entry(const struct yaml_doc *a, uint32_t x, const struct yaml_doc *b, uint32_t y)
{
	uint32_t k = a->nodes[x].key, l = b->nodes[y].key;

	if ((k == YAML_NONE) != (l == YAML_NONE))
		return false;
	return (k == YAML_NONE || same(a, k, b, l)) && same(a, x, b, y);
}

static bool same(const struct yaml_doc *a, uint32_t x, const struct yaml_doc *b, uint32_t y)
{
	uint32_t i = a->nodes[x].first, j = b->nodes[y].first;

	if (!same_head(a, x, b, y) || a->nodes[x].count != b->nodes[y].count)
		return false;
	for (; i != YAML_NONE; i = a->nodes[i].next, j = b->nodes[j].next) {
		if (!same_entry(a, i, b, j))
			return false;
	}
	return true;
}

static bool is_named(const struct yaml_doc *doc, uint32_t n, const struct path_part *part)
{
	const char *name;
	size_t len;

	if (part->kind != PATH_NAME || doc->nodes[n].key == YAML_NONE)
		return part->kind != PATH_NAME && doc->nodes[n].key == YAML_NONE;
	return yaml_member_name(doc, n, &name, &len) && text_equal(name, len, part->name, part->name_len);
}

struct asked {
	const struct yaml_doc *old, *new;
	const struct path *path;
	const struct json_doc *value;
};

/* What the path's parts from i on make, with the value at its end. */
static bool is_made(const struct asked *q, uint32_t n, size_t i)
{
	const struct yaml_node *node = &q->new->nodes[n];

	if (i == q->path->count)
		return yaml_says(q->new, n, q->value, 0);
	return (node->kind == YAML_KIND_MAPPING || node->kind == YAML_KIND_SEQUENCE) && node->count == 1 &&
	       is_named(q->new, node->first, &q->path->parts[i]) && is_made(q, node->first, i + 1);
}

static bool as_asked(const struct asked *q, uint32_t a, uint32_t b, size_t i)
{
	const struct path_part *part = &q->path->parts[i];
	uint32_t x = q->old->nodes[a].first, y = q->new->nodes[b].first, target = YAML_NONE;
	struct fleet_driver_error unused = {.size = sizeof(unused)};
	bool final = i + 1 == q->path->count, made = false;
	int found;

	if (i == q->path->count) /* only ever replaced */
		return q->value && yaml_says(q->new, b, q->value, 0);
	found = yaml_edit_find(q->old, a, q->path, i, &target, &unused);
	if (found < 0 || !same_head(q->old, a, q->new, b))
		return false;
	while (x != YAML_NONE || y != YAML_NONE) {
		if (x != YAML_NONE && x == target) {
			uint32_t k = q->old->nodes[x].key;

			if (!q->value && final) {
				x = q->old->nodes[x].next;
				continue;
			}
			if (y == YAML_NONE || !as_asked(q, x, y, i + 1) ||
				(k != YAML_NONE && !same(q->old, k, q->new, q->new->nodes[y].key)))
				return false;
		} else if (x != YAML_NONE && y != YAML_NONE && same_entry(q->old, x, q->new, y)) {
			/* nothing asked of it */
		} else if (found > 0 && !made && q->value && y != YAML_NONE && is_named(q->new, y, part)) {
			made = is_made(q, y, i + 1);
			if (!made)
				return false;
			y = q->new->nodes[y].next;
			continue;
		} else {
			return false;
		}
		x = q->old->nodes[x].next;
		y = q->new->nodes[y].next;
	}
	return found == 0 || made;
}

bool yaml_is_as_asked(const struct yaml_doc *old, const struct yaml_doc *new, uint32_t document,
	const struct path *path, const struct json_doc *value)
{
	const struct asked q = {old, new, path, value};
	/* the only document may come with its first value, and go with its last */
	uint32_t count =
		old->document_count > new->document_count ? old->document_count : new->document_count;

	if (count > 1 && old->document_count != new->document_count)
		return false;
	for (uint32_t d = 0; d < count; d++) {
		uint32_t a = d < old->document_count ? old->documents[d].root : YAML_NONE;
		uint32_t b = d < new->document_count ? new->documents[d].root : YAML_NONE;
		bool good;

		if (d != document)
			good = a == YAML_NONE ? b == YAML_NONE : b != YAML_NONE && same(old, a, new, b);
		else if (a == YAML_NONE)
			good = value && b != YAML_NONE && is_made(&q, b, 0);
		else if (b == YAML_NONE)
			good = !value && path->count == 1 && old->nodes[a].count == 1;
		else
			good = as_asked(&q, a, b, 0);
		if (!good)
			return false;
	}
	return true;
}
