#include "augeas_edit.h"
#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include "augeas_keys.h"
#include "augeas_lens.h"
#include "utf8.h"

struct edit {
	const struct fleet_edit *edit;
	struct aug_cuts *cuts;
	struct fleet_driver_error *err;
	struct path path;
	size_t at; /* the part that is looked at */
	bool set;
};

static int refuse(const struct edit *e, const char *why)
{
	return fleet_driver_fail(e->err, -EINVAL, 0, 0, "'%.*s': %s",
		(int)utf8_cut(e->edit->path.data, e->edit->path.len, 100), e->edit->path.data, why);
}

static int no_memory(const struct edit *e)
{
	return fleet_driver_fail(e->err, -ENOMEM, 0, 0, "out of memory");
}

static bool is_called(const struct aug_node *node, const struct path_part *part)
{
	if (!part) /* an element of an array without a name */
		return node->element;
	return !node->element && !aug_node_is_hidden(node) && strlen(node->label) == part->name_len &&
	       memcmp(node->label, part->name, part->name_len) == 0;
}

/* Of those called so: how many; the one with this number. */
static size_t count_called(const struct aug_node *parent, const struct path_part *name)
{
	size_t n = 0;

	for (const struct aug_node *node = parent->first; node; node = node->next)
		n += is_called(node, name);
	return n;
}

static struct aug_node *called(const struct aug_node *parent, const struct path_part *name, size_t nth)
{
	for (struct aug_node *node = parent->first; node; node = node->next) {
		if (is_called(node, name) && nth-- == 0)
			return node;
	}
	return NULL;
}

/* Is what a comment says an example of this key: `# Port 22`, `#port=22`? */
static bool is_example(const struct aug_node *node, const char *label)
{
	size_t len = strlen(label);

	return aug_node_is_hidden(node) && node->value && strncmp(node->value, label, len) == 0 &&
	       (!node->value[len] || strchr(" \t=:", node->value[len]));
}

/* The part of this name that one of parent's like has: its own parts are in the order that the lens wants. */
static const struct aug_node *model_for(const struct aug_node *parent, const char *label)
{
	if (!parent->parent)
		return NULL;
	for (const struct aug_node *n = parent->parent->first; n; n = n->next) {
		if (n == parent || n->element != parent->element ||
			(!n->element && strcmp(n->label, parent->label) != 0))
			continue;
		for (const struct aug_node *c = n->first; c; c = c->next) {
			if (strcmp(c->label, label) == 0)
				return c;
		}
	}
	return NULL;
}

/* The last of those that stand before it there. NULL: it is the first. */
static struct aug_node *after_as_model(const struct aug_node *parent, const struct aug_node *model)
{
	while ((model = model->prev)) {
		for (struct aug_node *n = parent->last; n; n = n->prev) {
			if (strcmp(n->label, model->label) == 0)
				return n;
		}
	}
	return NULL;
}

/* Behind the last of its name, its commented-out example, what it follows elsewhere, or the last of its kind:
 * lenses and programs alike have blocks behind single settings. */
static struct aug_node *place_for(const struct aug_node *parent, const struct aug_node *node, bool compound)
{
	struct aug_node *named = NULL, *example = NULL, *kind = NULL, *last = NULL;
	const struct aug_node *model;

	for (struct aug_node *n = parent->first; n; n = n->next) {
		if (node->element ? n->element : strcmp(n->label, node->label) == 0)
			named = n;
		if (!node->element && is_example(n, node->label))
			example = n;
		if (aug_node_is_hidden(n))
			continue;
		last = n;
		if (aug_node_is_compound(n) == compound)
			kind = n;
	}
	if (named || example)
		return named ? named : example;
	model = model_for(parent, node->label);
	if (model)
		return after_as_model(parent, model);
	return kind ? kind : last ? last : parent->last;
}

/* A name that differs in case only is the same to many programs, and whether to this one the lens does not
 * say. */
static bool has_other_case(const struct aug_node *parent, const struct path_part *name)
{
	if (count_called(parent, name) > 0)
		return false;
	for (const struct aug_node *n = parent->first; n; n = n->next) {
		if (strlen(n->label) == name->name_len &&
			strncasecmp(n->label, name->name, name->name_len) == 0)
			return true;
	}
	return false;
}

static int create(
	struct edit *e, struct aug_node *parent, const struct path_part *name, struct aug_node **ret)
{
	struct aug_node *node;
	unsigned long number = 0;
	char digits[24];

	if (parent->parent && !parent->fresh && !aug_node_is_compound(parent) &&
		(parent->value || !parent->first))
		return refuse(e, "what this would be a part of is a single value");
	if (name && name->name_len == 0)
		return refuse(e, "the name is empty");
	if (name && has_other_case(parent, name))
		return refuse(e,
			"the same name is there with other upper and lower case; spell it as the file does");
	for (const struct aug_node *n = parent->first; n && !name; n = n->next) {
		unsigned long other = n->element ? strtoul(n->label, NULL, 10) : 0;

		number = other > number ? other : number;
	}
	(void)snprintf(digits, sizeof(digits), "%lu", number + 1);
	node = name ? aug_node_new(name->name, name->name_len) : aug_node_new(digits, strlen(digits));
	if (!node)
		return no_memory(e);
	node->element = !name;
	aug_node_link(parent, place_for(parent, node, e->at < e->path.count), node);
	aug_node_mark(parent);
	*ret = node;
	return 0;
}

/* Has it parts that can be seen, but none of this kind? */
static bool is_another_kind(const struct aug_node *parent, bool element)
{
	bool others = parent->parent && parent->value && aug_node_is_compound(parent);

	for (const struct aug_node *n = parent->first; n; n = n->next) {
		if (aug_node_is_hidden(n))
			continue;
		if (n->element == element)
			return false;
		others = true;
	}
	return others;
}

/* From parent to what the next part, or name and index, means. *ret NULL: nothing, and it is to be unset.
 * *ret_all: the name alone, of which there are several. */
static int step(struct edit *e, struct aug_node *parent, struct aug_node **ret, bool *ret_all)
{
	const struct path_part *parts = e->path.parts,
			       *name = parts[e->at].kind == PATH_NAME ? &parts[e->at++] : NULL,
			       *index = e->at < e->path.count && parts[e->at].kind != PATH_NAME
						? &parts[e->at++]
						: NULL;
	size_t there = count_called(parent, name);

	*ret = NULL;
	if (is_another_kind(parent, !name))
		return refuse(e, name ? "this has elements, as in [0], and no names"
				      : "this has names, and no elements");
	if (index && index->kind == PATH_APPEND && !e->set)
		return refuse(e, "[+] is for a new one");
	if (index && index->kind == PATH_APPEND) {
		struct aug_node *last = there > 0 ? called(parent, name, there - 1) : NULL;

		if (!last || !aug_node_is_untold(last))
			return create(e, parent, name, ret);
		*ret = last;
		return 0;
	}
	if (index && index->index < there) {
		*ret = called(parent, name, index->index);
		return 0;
	}
	if (index)
		return there == 0 && !e->set
			       ? 0
			       : refuse(e, "it does not stand there so many times; a new one is [+]");
	if (e->at < e->path.count)
		return there == 0 && !e->set
			       ? 0
			       : refuse(e, there == 0 ? "what has parts is written with an index: a new "
							"one as name[+].part, and name[0].part from then on"
						      : "say which: what has parts is written with an "
							"index, as in name[0].part");
	if (there > 1 && e->set)
		return refuse(e, "it stands there several times: say which, as in name[0]");
	*ret_all = true;
	*ret = called(parent, name, 0);
	return there == 0 && e->set ? create(e, parent, name, ret) : 0;
}

static int set_value(struct edit *e, struct aug_node *node)
{
	const char *value = e->edit->value.data;
	size_t len = e->edit->value.len;

	if (memchr(value, '\0', len))
		return refuse(e, "a value has no NUL byte");
	if (node->value ? strlen(node->value) == len && memcmp(node->value, value, len) == 0
			: len == 0 && !node->fresh)
		return 0;
	/* where nothing stood, or something new is empty, it has no value */
	if (!aug_node_set(node, len == 0 && !node->value ? NULL : value, len))
		return no_memory(e);
	node->set = true;
	aug_node_mark(node);
	return 0;
}

void aug_edit_room(const struct aug_node *node, size_t *ret_start, size_t *ret_end)
{
	const struct aug_node *prev = node->prev, *next = node->next;

	while (prev && prev->end == AUG_NOWHERE)
		prev = prev->prev;
	while (next && next->start == AUG_NOWHERE)
		next = next->next;
	*ret_start = prev ? prev->end : node->parent->start;
	*ret_end = next ? next->start : node->parent->end;
}

static int take_away(struct edit *e, struct aug_node *node)
{
	struct aug_node *parent = node->parent;
	struct aug_cuts *cuts = e->cuts;
	struct aug_cut *cut;

	if (cuts->count == cuts->capacity) {
		size_t capacity = cuts->capacity ? cuts->capacity * 2 : 16;

		cut = realloc(cuts->list, capacity * sizeof(*cut));
		if (!cut)
			return no_memory(e);
		cuts->list = cut;
		cuts->capacity = capacity;
	}
	if (!node->fresh) {
		cut = &cuts->list[cuts->count++];
		*cut = (struct aug_cut){.start = node->start, .end = node->end};
		aug_edit_room(node, &cut->room_start, &cut->room_end);
	}
	aug_node_mark(parent);
	aug_node_unlink(node);
	aug_node_free(node);
	return 0;
}

/* With its last part a node without value goes too: it would be another thing than one that has parts. */
static int remove_node(struct edit *e, struct aug_node *node)
{
	static const char as_a_whole[] =
		"it is the last part of something that cannot be without: unset that as a whole";
	const struct aug_node *asked = node;
	size_t others = 0;

	while (node->parent->parent && !node->parent->value && node->parent->first == node->parent->last)
		node = node->parent;
	for (const struct aug_node *n = node->next; n && node != asked; n = n->next) {
		if (node->element ? n->element : strcmp(n->label, node->label) == 0)
			return refuse(e, as_a_whole); /* the later ones' numbers would change */
	}
	for (const struct aug_node *n = node->parent->first; n; n = n->next)
		others += n != node && !aug_node_is_hidden(n);
	if (node->parent->parent && node->parent->value && others == 0)
		return refuse(e, as_a_whole);
	return take_away(e, node);
}

static int unset(struct edit *e, struct aug_node *node, bool all)
{
	struct aug_node *next;
	char *label;
	int r = 0;

	if (!all)
		return remove_node(e, node);
	label = strdup(node->label);
	if (!label)
		return no_memory(e);
	for (; node && r == 0; node = next) {
		for (next = node->next; next && (next->element || strcmp(next->label, label) != 0);)
			next = next->next;
		r = next ? take_away(e, node) : remove_node(e, node);
	}
	free(label);
	return r;
}

static int apply(struct edit *e, struct aug_node *root)
{
	struct aug_node *node = root, *below = NULL, *inner;
	bool own = false, all = false;
	int r;

	while (e->at < e->path.count) {
		const struct path_part *part = &e->path.parts[e->at];

		own = e->at > 0 && e->at + 1 == e->path.count && part->kind == PATH_NAME &&
		      part->name_len == sizeof(AUG_OWN_VALUE) - 1 &&
		      memcmp(part->name, AUG_OWN_VALUE, part->name_len) == 0;
		if (own)
			break;
		all = false;
		r = step(e, node, &below, &all);
		if (r < 0 || !below)
			return r;
		node = below;
	}
	inner = own ? NULL : aug_keys_alone(node);
	if (own && !node->fresh && !aug_node_is_compound(node))
		return e->set ? refuse(e, "it has no parts: its value is its own, without #value") : 0;
	if (own && !e->set) {
		if (node->value && !aug_node_set(node, NULL, 0))
			return no_memory(e);
		node->set = true;
		aug_node_mark(node);
		return 0;
	}
	if (!e->set)
		return unset(e, node, all);
	if (inner)
		return set_value(e, inner);
	if (!own && aug_node_is_compound(node))
		return refuse(e, "it has parts: set one of them, or its own value as #value");
	return set_value(e, node);
}

static bool has_reserved(struct fleet_bytes bytes)
{
	return aug_lens_reserved(bytes.data, bytes.len) < bytes.len;
}

int aug_edit_apply(struct aug_draft *d, const struct fleet_edit *edit, struct fleet_driver_error *err)
{
	struct edit e = {.edit = edit, .cuts = &d->cuts, .err = err, .set = edit->kind == FLEET_EDIT_SET};
	int r = path_parse(edit->path, &e.path);

	if (r < 0 || e.path.count == 0)
		r = fleet_driver_fail(err, r < 0 ? r : -EINVAL, 0, 0, "an edit without a proper key path");
	else if (has_reserved(edit->path) || has_reserved(edit->value))
		r = refuse(&e, "a NUL, or a control character that libaugeas keeps for itself");
	else
		r = apply(&e, d->root);
	path_done(&e.path);
	return r;
}

void aug_draft_done(struct aug_draft *d)
{
	aug_node_free(d->root);
	free(d->cuts.list);
	*d = (struct aug_draft){0};
}
