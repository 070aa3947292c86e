#include "augeas_tree.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct aug_node *aug_node_new(const char *label, size_t len)
{
	struct aug_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->start = node->end = node->value_start = node->value_end = AUG_NOWHERE;
	node->fresh = node->dirty = true;
	node->label = strndup(label, len);
	if (!node->label) {
		free(node);
		return NULL;
	}
	return node;
}

void aug_node_free(struct aug_node *node)
{
	struct aug_node *top = node ? node->parent : NULL;

	while (node && node != top) {
		struct aug_node *parent = node->parent, *below = node->first;

		if (below) { /* first what is below; then it is asked again */
			node->first = NULL;
			node = below;
			continue;
		}
		below = node->next;
		if (parent == top)
			below = NULL;
		free(node->label);
		free(node->value);
		free(node);
		node = below ? below : parent;
	}
}

void aug_node_link(struct aug_node *parent, struct aug_node *after, struct aug_node *node)
{
	struct aug_node *next = after ? after->next : parent->first;

	node->parent = parent;
	node->prev = after;
	node->next = next;
	*(after ? &after->next : &parent->first) = node;
	*(next ? &next->prev : &parent->last) = node;
}

void aug_node_unlink(struct aug_node *node)
{
	struct aug_node *parent = node->parent;

	*(node->prev ? &node->prev->next : &parent->first) = node->next;
	*(node->next ? &node->next->prev : &parent->last) = node->prev;
	node->parent = node->prev = node->next = NULL;
}

bool aug_node_set(struct aug_node *node, const char *value, size_t len)
{
	char *copy = value ? strndup(value, len) : NULL;

	if (value && !copy)
		return false;
	free(node->value);
	node->value = copy;
	return true;
}

void aug_node_mark(struct aug_node *node)
{
	for (; node; node = node->parent)
		node->dirty = true;
}

struct aug_node *aug_node_next(const struct aug_node *root, struct aug_node *node)
{
	if (node->first)
		return node->first;
	while (node != root && !node->next)
		node = node->parent;
	return node == root ? NULL : node->next;
}

bool aug_node_is_hidden(const struct aug_node *node)
{
	static const char comment[] = "comment";
	const char *label = node->label;
	size_t len = strlen(label);

	if (*label != '#')
		return false;
	return strcmp(label, "#empty") == 0 || strcmp(label, "#eol") == 0 ||
	       (len >= sizeof(comment) && strcmp(label + len - sizeof(comment) + 1, comment) == 0);
}

bool aug_node_is_compound(const struct aug_node *node)
{
	for (const struct aug_node *n = node->first; n; n = n->next) {
		if (!aug_node_is_hidden(n))
			return true;
	}
	return false;
}

bool aug_node_is_untold(const struct aug_node *node)
{
	return !node->value && node->first && !aug_node_is_compound(node);
}

static bool is_number(const char *label)
{
	return *label && strspn(label, "0123456789") == strlen(label) && strlen(label) < 10;
}

/* An array is what a lens numbers: 1 to the end, in order. Anything else are names that look so. */
static void find_elements(struct aug_node *parent)
{
	unsigned long n = 0;
	bool all = true;

	for (struct aug_node *child = parent->first; child && all; child = child->next) {
		if (is_number(child->label))
			all = strtoul(child->label, NULL, 10) == ++n;
	}
	for (struct aug_node *child = parent->first; child && all; child = child->next)
		child->element = is_number(child->label);
}

static int by_name(const void *a, const void *b)
{
	const struct aug_node *x = *(const struct aug_node *const *)a,
			      *y = *(const struct aug_node *const *)b;
	int order;

	if (x->element != y->element)
		return x->element ? -1 : 1;
	order = x->element ? 0 : strcmp(x->label, y->label);
	if (order != 0)
		return order;
	return x->nth < y->nth ? -1 : x->nth > y->nth;
}

bool aug_tree_index(struct aug_node *parent)
{
	struct aug_node **list;
	size_t count = 0, start = 0;

	for (struct aug_node *n = parent->first; n; n = n->next)
		n->nth = count++;
	list = malloc((count + 1) * sizeof(*list));
	if (!list)
		return false;
	count = 0;
	for (struct aug_node *n = parent->first; n; n = n->next)
		list[count++] = n;
	qsort(list, count, sizeof(*list), by_name);
	for (size_t i = 1; i <= count; i++) {
		if (i < count && list[i]->element == list[start]->element &&
			(list[i]->element || strcmp(list[i]->label, list[start]->label) == 0))
			continue;
		for (size_t k = start; k < i; k++) {
			list[k]->nth = k - start;
			list[k]->count = i - start;
		}
		start = i;
	}
	free(list);
	return true;
}

static size_t place_of(const xmlNode *span, const char *name, size_t len)
{
	xmlChar *text = xmlGetProp(span, BAD_CAST name);
	long at = text ? strtol((const char *)text, NULL, 10) : -1;

	xmlFree(text);
	return at < 0 || (size_t)at > len ? AUG_NOWHERE : (size_t)at;
}

static void take_span(struct aug_node *node, const xmlNode *span, size_t len)
{
	xmlChar *kind = xmlGetProp(span, BAD_CAST "for");
	bool value = kind && strcmp((const char *)kind, "value") == 0,
	     whole = kind && strcmp((const char *)kind, "node") == 0;
	size_t start = place_of(span, "start", len), end = place_of(span, "end", len);

	xmlFree(kind);
	if ((!value && !whole) || start == AUG_NOWHERE || end == AUG_NOWHERE || start > end)
		return;
	*(value ? &node->value_start : &node->start) = start;
	*(value ? &node->value_end : &node->end) = end;
}

/* A value that its lens makes up stands nowhere. */
static void doubt_value_span(struct aug_node *node, const char *text)
{
	size_t len = node->value ? strlen(node->value) : 0;

	if (node->value && node->value_start != AUG_NOWHERE && node->value_end - node->value_start == len &&
		memcmp(text + node->value_start, node->value, len) == 0)
		return;
	node->value_start = node->value_end = AUG_NOWHERE;
}

static bool is_named(const xmlNode *xml, const char *name)
{
	return xml->type == XML_ELEMENT_NODE && strcmp((const char *)xml->name, name) == 0;
}

static struct aug_node *take_node(const xmlNode *xml, const char *text, size_t len)
{
	xmlChar *label = xmlGetProp(xml, BAD_CAST "label"), *value;
	struct aug_node *node = label ? aug_node_new((const char *)label, strlen((const char *)label)) : NULL;
	bool good = node;

	xmlFree(label);
	for (const xmlNode *child = xml->children; child && good; child = child->next) {
		if (is_named(child, "span"))
			take_span(node, child, len);
		if (!is_named(child, "value"))
			continue;
		value = xmlNodeGetContent(child);
		good = value && aug_node_set(node, (const char *)value, strlen((const char *)value));
		xmlFree(value);
	}
	if (!good) {
		aug_node_free(node);
		return NULL;
	}
	node->fresh = node->dirty = false;
	doubt_value_span(node, text);
	return node;
}

static const xmlNode *next_named(const xmlNode *xml)
{
	while (xml && !is_named(xml, "node"))
		xml = xml->next;
	return xml;
}

struct aug_node *aug_tree_from_xml(const xmlNode *xml, const char *text, size_t len)
{
	struct aug_node *root = take_node(xml, text, len), *parent = root;
	const xmlNode *at = next_named(xml->children);

	if (!root)
		return NULL;
	root->start = 0;
	root->end = len;
	while (at || parent != root) {
		struct aug_node *node;

		if (!at) { /* all of this one's children are there */
			find_elements(parent);
			at = next_named(xml->next);
			xml = xml->parent;
			parent = parent->parent;
			continue;
		}
		node = take_node(at, text, len);
		if (!node) {
			aug_node_free(root);
			return NULL;
		}
		aug_node_link(parent, parent->last, node);
		parent = node;
		xml = at;
		at = next_named(at->children);
	}
	find_elements(root);
	return root;
}

static bool nodes_equal(const struct aug_node *want, const struct aug_node *have)
{
	if (strcmp(want->label, have->label) != 0 && !(is_number(want->label) && is_number(have->label)))
		return false;
	if (!want->value || !have->value) {
		const char *only = want->value ? want->value : have->value;

		/* to the settings a value that is empty and none at all are the same */
		return !only || (!*only && (want->fresh || want->set));
	}
	return strcmp(want->value, have->value) == 0;
}

bool aug_tree_equal(const struct aug_node *want, const struct aug_node *have)
{
	const struct aug_node *a = want, *b = have;

	for (;;) {
		if (a->first && b->first) {
			a = a->first;
			b = b->first;
		} else if (a->first || b->first) {
			return false;
		} else {
			while (a != want && b != have && !a->next && !b->next) {
				a = a->parent;
				b = b->parent;
			}
			if (a == want || b == have)
				return a == want && b == have;
			if (!a->next || !b->next)
				return false;
			a = a->next;
			b = b->next;
		}
		if (!nodes_equal(a, b))
			return false;
	}
}
