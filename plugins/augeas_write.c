#include "augeas_write.h"
#include <errno.h>
#include "augeas_lens.h"
#include "augeas_spell.h"

#define TIME_LEFT_MS 3000 /* kept for saying no */
#define PLACES_MAX   40   /* where a new node is tried */

/* Bytes that come in place of [start, end) of the old text. */
struct piece {
	size_t start, end, order;
	struct text text; /* owned */
};
struct pieces {
	struct piece *list; /* owned */
	size_t count, capacity;
};

static void pieces_done(struct pieces *p)
{
	for (size_t i = 0; i < p->count; i++)
		text_done(&p->list[i].text);
	free(p->list);
	*p = (struct pieces){0};
}

/* Takes the text, in any case. */
static int add_piece(struct pieces *p, size_t start, size_t end, struct text *text)
{
	if (p->count == p->capacity) {
		size_t capacity = p->capacity ? p->capacity * 2 : 16;
		struct piece *list = realloc(p->list, capacity * sizeof(*list));

		if (!list) {
			text_done(text);
			return -ENOMEM;
		}
		p->list = list;
		p->capacity = capacity;
	}
	p->list[p->count] = (struct piece){start, end, p->count, *text};
	p->count++;
	*text = (struct text){0};
	return 0;
}

/* What holds another comes before it, so that the inner one can be left out. */
static int by_place(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if ((x->start == x->end) != (y->start == y->end))
		return x->start == x->end ? -1 : 1;
	if (x->end != y->end)
		return x->end > y->end ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

static int assemble(const struct aug_draft *d, struct pieces *p, struct text *out)
{
	size_t at = 0;

	if (p->count > 0)
		qsort(p->list, p->count, sizeof(*p->list), by_place);
	for (size_t i = 0; i < p->count; i++) {
		const struct piece *piece = &p->list[i];

		if (piece->start < at)
			continue;
		text_add(out, d->text + at, piece->start - at);
		text_add(out, piece->text.data, piece->text.len);
		at = piece->end;
	}
	text_add(out, d->text + at, d->len - at);
	return out->failed ? -ENOMEM : 0;
}

/* Does the lens read the edited tree there? */
static int prove(const struct aug_draft *d, const struct text *candidate, struct aug_node **ret)
{
	struct aug_node *tree = NULL;
	size_t at;
	int r = aug_lens_get(aug_bytes_of(candidate), candidate->len, &tree, &at);

	if (r == 0 && !aug_tree_equal(d->root, tree))
		r = -EINVAL;
	if (r < 0) {
		aug_node_free(tree);
		return r;
	}
	*ret = tree;
	return 0;
}

static int add_fresh(const struct aug_draft *d, struct aug_node *node, enum aug_style style, struct pieces *p)
{
	size_t at = aug_spell_seam(d, node);
	struct text text = {0};
	int r = aug_spell(d, node, style, &text);

	if (r == 0)
		return add_piece(p, at, at, &text);
	text_done(&text);
	return r;
}

/* An old node by its values alone. */
static int add_value(const struct aug_node *node, struct pieces *p)
{
	struct text text = {0};

	if (!node->value || node->value_start == AUG_NOWHERE)
		return -EINVAL;
	text_add_string(&text, node->value);
	return text.failed ? -ENOMEM : add_piece(p, node->value_start, node->value_end, &text);
}

/* Where of the old text the edits are. */
struct hull {
	size_t start, end;
};

static void widen(struct hull *h, size_t start, size_t end)
{
	h->start = start < h->start ? start : h->start;
	h->end = end > h->end ? end : h->end;
}

static struct hull hull_of(const struct aug_draft *d, struct aug_node *top)
{
	struct hull h = {SIZE_MAX, 0};
	size_t start, end;

	for (struct aug_node *n = top; n; n = aug_node_next(top, n)) {
		if (n == d->root || (n->parent->fresh && n->parent != d->root))
			continue;
		if (n->fresh) {
			aug_edit_room(n, &start, &end);
			widen(&h, start, end);
		} else if (n->set) {
			widen(&h, n->start, n->end);
		}
	}
	for (size_t i = 0; i < d->cuts.count; i++) {
		const struct aug_cut *cut = &d->cuts.list[i];

		if (cut->start >= top->start && cut->end <= top->end)
			widen(&h, cut->room_start, cut->room_end);
	}
	return h;
}

/* Is all of [start, end) that is outside of the hull still there, before and behind what was written? */
static bool is_within(
	const struct aug_draft *d, size_t start, size_t end, const struct text *written, struct hull h)
{
	size_t head, tail;

	if (h.start > h.end || h.start < start || h.end > end)
		return false;
	head = h.start - start;
	tail = end - h.end;
	return written->len >= head + tail &&
	       text_equal(d->text + start, head, aug_bytes_of(written), head) &&
	       text_equal(d->text + h.end, tail, aug_bytes_of(written) + written->len - tail, tail);
}

static int add_window(const struct aug_draft *d, struct aug_node *top, struct pieces *p)
{
	struct text written = {0};
	int r;

	if (top->start == AUG_NOWHERE)
		return -EINVAL;
	r = aug_lens_put(d->text + top->start, top->end - top->start, top, top, &written);
	if (r == 0 && !is_within(d, top->start, top->end, &written, hull_of(d, top)))
		r = -EINVAL;
	if (r == 0)
		return add_piece(p, top->start, top->end, &written);
	text_done(&written);
	return r;
}

/* A cut takes the rest of a line on which nothing is left, and the blanks that would be left over beside it.
 */
static void cut_neatly(const struct aug_draft *d, size_t *start, size_t *end)
{
	size_t before = aug_blanks_before(d->text, *start), after = line_skip_blanks(d->text, *end, d->len);
	struct line rest = line_at(d->text, d->len, after);
	bool at_end = after == rest.end, line_taken = *end > *start && d->text[*end - 1] == '\n';

	if (aug_is_line_start(d->text, before)) {
		if (line_taken || at_end)
			*start = before;
		if (!line_taken && at_end)
			*end = rest.next;
	} else if (at_end && !line_taken) {
		*start = before;
		*end = after;
	} else if (before < *start && !line_taken) {
		*end = after;
	}
}

static int collect_cuts(const struct aug_draft *d, bool neatly, struct pieces *p)
{
	int r = 0;

	for (size_t i = 0; i < d->cuts.count && r == 0; i++) {
		size_t start = d->cuts.list[i].start, end = d->cuts.list[i].end;

		if (start == AUG_NOWHERE)
			return -EINVAL;
		if (neatly)
			cut_neatly(d, &start, &end);
		r = add_piece(p, start, end, &(struct text){0});
	}
	return r;
}

static int collect(const struct aug_draft *d, enum aug_style style, bool windows, struct pieces *p)
{
	struct aug_node *node = d->root, *next;
	int r = collect_cuts(d, style != AUG_STYLE_LENS, p);

	for (node = aug_node_next(d->root, node); node && r == 0; node = next) {
		bool skip = !node->dirty || node->fresh || windows;

		if (node->fresh)
			r = add_fresh(d, node, style, p);
		else if (node->dirty && windows)
			r = add_window(d, node, p);
		else if (node->set)
			r = add_value(node, p);
		while (skip && node->last) /* over what is below */
			node = node->last;
		next = aug_node_next(d->root, node);
	}
	return r;
}

static int try_pieces(const struct aug_draft *d, enum aug_style style, bool windows, struct text *out,
	struct aug_node **ret)
{
	struct pieces p = {0};
	int r = collect(d, style, windows, &p);

	out->len = 0;
	if (r == 0)
		r = assemble(d, &p, out);
	if (r == 0)
		r = prove(d, out, ret);
	pieces_done(&p);
	return r;
}

static bool has_fresh(const struct aug_draft *d)
{
	for (struct aug_node *n = d->root; n; n = aug_node_next(d->root, n)) {
		if (n->fresh)
			return true;
	}
	return false;
}

static int try_styles(const struct aug_draft *d, struct text *out, struct aug_node **ret)
{
	int r = try_pieces(d, AUG_STYLE_NEIGHBOUR, false, out, ret);

	if (r == -EINVAL && has_fresh(d))
		r = try_pieces(d, AUG_STYLE_INDENTED, false, out, ret);
	if (r == -EINVAL && (has_fresh(d) || d->cuts.count > 0))
		r = try_pieces(d, AUG_STYLE_LENS, false, out, ret);
	return r;
}

static int try_whole(const struct aug_draft *d, struct text *out, struct aug_node **ret)
{
	int r;

	out->len = 0;
	r = aug_spell_whole(d, out);
	if (r == 0 && !is_within(d, 0, d->len, out, hull_of(d, d->root)))
		r = -EINVAL;
	return r == 0 ? prove(d, out, ret) : r;
}

static int try_all(const struct aug_draft *d, struct text *out, struct aug_node **ret)
{
	int r = try_styles(d, out, ret);

	if (r == -EINVAL)
		r = try_pieces(d, AUG_STYLE_LENS, true, out, ret);
	return r == -EINVAL ? try_whole(d, out, ret) : r;
}

static void move_behind(struct aug_node *node, struct aug_node *after)
{
	struct aug_node *parent = node->parent;

	aug_node_unlink(node);
	aug_node_link(parent, after, node);
}

static int try_place(const struct aug_draft *d, struct text *out, struct aug_node **ret)
{
	int r = try_pieces(d, AUG_STYLE_NEIGHBOUR, false, out, ret);

	return r == -EINVAL ? try_pieces(d, AUG_STYLE_LENS, false, out, ret) : r;
}

/* What the lens takes nowhere need not be tried everywhere. */
static bool has_hope(const struct aug_draft *d, const struct aug_node *node)
{
	struct aug_node *tree = NULL;
	struct text alone = {0};
	bool hope = true;
	size_t at;

	if (node->parent == d->root && aug_lens_get("", 0, &tree, &at) == 0) {
		aug_node_free(tree);
		hope = aug_lens_put("", 0, node, node, &alone) == 0;
		text_done(&alone);
	}
	return hope;
}

static bool has_time(const struct aug_draft *d, unsigned *left)
{
	return (*left)-- > 0 && d->host->remaining_ms(d->host) > TIME_LEFT_MS;
}

/* A lens may take a new node at some places only: nearer ones first, upwards and then down. */
static int try_places_of(
	const struct aug_draft *d, struct aug_node *node, struct text *out, struct aug_node **ret)
{
	struct aug_node *home = node->prev, *at = home;
	unsigned left = PLACES_MAX;
	int r = -EINVAL;

	if (!has_hope(d, node))
		return r;
	while (r == -EINVAL && at && has_time(d, &left)) {
		at = at->prev;
		move_behind(node, at);
		r = try_place(d, out, ret);
	}
	if (r != -EINVAL)
		return r;
	move_behind(node, home);
	while (r == -EINVAL && node->next && has_time(d, &left)) {
		move_behind(node, node->next);
		r = try_place(d, out, ret);
	}
	if (r == -EINVAL)
		move_behind(node, home);
	return r;
}

static int try_places(const struct aug_draft *d, struct text *out, struct aug_node **ret)
{
	struct aug_node *next;
	int r = -EINVAL;

	for (struct aug_node *n = d->root; n && r == -EINVAL; n = next) {
		next = aug_node_next(d->root, n);
		if (n->fresh && !n->parent->fresh)
			r = try_places_of(d, n, out, ret);
	}
	return r;
}

int aug_write(struct aug_draft *d, enum aug_effort effort, struct text *out, struct aug_node **ret)
{
	switch (effort) {
	case AUG_BY_PIECES:
		return try_styles(d, out, ret);
	case AUG_BY_THE_LENS:
		return try_all(d, out, ret);
	default:
		return try_places(d, out, ret);
	}
}
