#include "augeas_spell.h"
#include <errno.h>
#include "augeas_lens.h"
#include "lines.h"

#define WHOLE_MAX 2000 /* nodes, for a text that the lens writes as a whole */

static bool is_small(const struct aug_draft *d)
{
	size_t count = 0;

	for (struct aug_node *n = d->root; n && count <= WHOLE_MAX; n = aug_node_next(d->root, n))
		count++;
	return count <= WHOLE_MAX;
}

int aug_spell_whole(const struct aug_draft *d, struct text *out)
{
	return is_small(d) ? aug_lens_put(d->text, d->len, d->root->first, d->root->last, out) : -EINVAL;
}

static size_t number_of(const struct aug_node *node)
{
	size_t n = 0;

	while ((node = node->prev))
		n++;
	return n;
}

/* Where node stands in what was read from a text that the lens wrote: of top alone, or of everything. */
static const struct aug_node *same_place(
	const struct aug_node *tree, const struct aug_node *top, const struct aug_node *node, bool alone)
{
	const struct aug_node *parent = node == top ? tree : same_place(tree, top, node->parent, alone),
			      *child;
	size_t n = node == top && alone ? 0 : number_of(node);

	child = parent ? parent->first : NULL;
	while (child && n-- > 0)
		child = child->next;
	return child;
}

/* The bytes of one fresh node out of what the lens wrote. */
static int extract(const struct text *written, const struct aug_node *top, const struct aug_node *node,
	bool alone, struct text *out)
{
	const struct aug_node *found;
	struct aug_node *tree = NULL;
	size_t at;
	int r = aug_lens_get(aug_bytes_of(written), written->len, &tree, &at);

	if (r < 0)
		return r;
	found = same_place(tree, top, node, alone);
	if (!found || found->start == AUG_NOWHERE || found->end == AUG_NOWHERE || found->end == found->start)
		r = -EINVAL;
	else
		text_add(out, written->data + found->start, found->end - found->start);
	aug_node_free(tree);
	return r == 0 && out->failed ? -ENOMEM : r;
}

/* A fresh node as its lens writes it: first by itself or in what holds it, else in the whole text. */
static int render(const struct aug_draft *d, const struct aug_node *node, struct text *out)
{
	const struct aug_node *top = node;
	struct text written = {0};
	int r;

	while (top->parent != d->root)
		top = top->parent;
	if (top->fresh)
		r = aug_lens_put("", 0, top, top, &written);
	else if (top->start == AUG_NOWHERE)
		r = -EINVAL;
	else
		r = aug_lens_put(d->text + top->start, top->end - top->start, top, top, &written);
	if (r == 0)
		r = extract(&written, top, node, true, out);
	if (r == -EINVAL) {
		written.len = out->len = 0;
		r = aug_spell_whole(d, &written);
		if (r == 0)
			r = extract(&written, top, node, false, out);
	}
	text_done(&written);
	return r;
}

/* Whether a lens wants an empty text for nothing, or no value at all, only it knows. */
static int render_either(const struct aug_draft *d, struct aug_node *node, struct text *out)
{
	int r = render(d, node, out);

	if (r != -EINVAL || node->first || (node->value && *node->value))
		return r;
	out->len = 0;
	if (!aug_node_set(node, node->value ? NULL : "", 0))
		return -ENOMEM;
	return render(d, node, out);
}

static bool is_pattern(const struct aug_node *n)
{
	return n && !n->fresh && !n->first && n->value && n->start != AUG_NOWHERE &&
	       n->value_start != AUG_NOWHERE && n->start <= n->value_start && n->value_end <= n->end &&
	       !aug_node_is_hidden(n);
}

/* The value nearest to it, one of the same name before all others. */
static const struct aug_node *pattern_for(const struct aug_node *node)
{
	for (const struct aug_node *n = node->parent->last; n; n = n->prev) {
		if (is_pattern(n) && strcmp(n->label, node->label) == 0)
			return n;
	}
	for (const struct aug_node *n = node->prev; n; n = n->prev) {
		if (is_pattern(n))
			return n;
	}
	for (const struct aug_node *n = node->next; n; n = n->next) {
		if (is_pattern(n))
			return n;
	}
	return NULL;
}

static int spell_as_neighbour(
	const struct aug_draft *d, const struct aug_node *node, size_t seam, struct text *out)
{
	const struct aug_node *as = node->first || !node->value ? NULL : pattern_for(node);
	const char *bytes, *label;
	size_t before, before_it;

	if (!as)
		return -EINVAL;
	bytes = d->text + as->start;
	before = as->value_start - as->start;
	label = as->element ? bytes : memmem(bytes, before, as->label, strlen(as->label));
	if (!label || as->element != node->element)
		return -EINVAL;
	before_it = aug_blanks_before(d->text, as->start);
	if (aug_is_line_start(d->text, seam) && aug_is_line_start(d->text, before_it))
		text_add(out, d->text + before_it, as->start - before_it);
	if (!as->element) {
		text_add(out, bytes, (size_t)(label - bytes));
		text_add_string(out, node->label);
		label += strlen(as->label);
	}
	text_add(out, label, before - (size_t)(label - bytes));
	text_add_string(out, node->value);
	text_add(out, d->text + as->value_end, as->end - as->value_end);
	return out->failed ? -ENOMEM : 0;
}

/* The blanks that a neighbour's line begins with, where they are its own bytes. */
static struct fleet_bytes indentation(const struct aug_draft *d, const struct aug_node *node)
{
	const struct aug_node *n = node->prev ? node->prev : node->next;
	size_t end;

	while (n && (n->fresh || n->start == AUG_NOWHERE))
		n = n->prev;
	if (!n || (n->start > 0 && d->text[n->start - 1] != '\n'))
		return (struct fleet_bytes){"", 0};
	end = line_skip_blanks(d->text, n->start, n->end);
	return (struct fleet_bytes){d->text + n->start, end - n->start};
}

static int spell_indented(const struct aug_draft *d, struct aug_node *node, struct text *out)
{
	struct fleet_bytes blanks = indentation(d, node);
	struct text written = {0};
	int r = blanks.len > 0 ? render_either(d, node, &written) : -EINVAL;

	for (size_t at = 0; r == 0 && at < written.len;) {
		struct line line = line_at(written.data, written.len, at);

		if (line.end > line.start)
			text_add(out, blanks.data, blanks.len);
		text_add(out, written.data + line.start, line.next - line.start);
		at = line.next;
	}
	text_done(&written);
	return r == 0 && out->failed ? -ENOMEM : r;
}

size_t aug_spell_seam(const struct aug_draft *d, const struct aug_node *node)
{
	const struct aug_node *prev = node->prev, *next = node->next;

	while (prev && prev->end == AUG_NOWHERE)
		prev = prev->prev;
	while (next && next->start == AUG_NOWHERE)
		next = next->next;
	return prev ? prev->end : next ? next->start : node->parent == d->root ? 0 : AUG_NOWHERE;
}

int aug_spell(const struct aug_draft *d, struct aug_node *node, enum aug_style style, struct text *out)
{
	size_t seam = aug_spell_seam(d, node);
	int r = seam == AUG_NOWHERE ? -EINVAL : 0;

	if (r < 0)
		return r;
	if (style == AUG_STYLE_NEIGHBOUR)
		r = spell_as_neighbour(d, node, seam, out);
	if (r == -EINVAL || style == AUG_STYLE_INDENTED) {
		out->len = 0;
		r = spell_indented(d, node, out);
	}
	if (r == -EINVAL || style == AUG_STYLE_LENS) {
		out->len = 0;
		r = render_either(d, node, out);
	}
	return r;
}
