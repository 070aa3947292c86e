#include "json_style.h"

uint32_t json_node_begin(const struct json_node *node)
{
	return node->key_end > node->key_start ? node->key_start : node->start;
}

static uint32_t line_start(const struct json_doc *doc, uint32_t at)
{
	uint32_t bom = doc->len >= 3 && memcmp(doc->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

	while (at > bom && doc->text[at - 1] != '\n')
		at--;
	return at;
}

struct json_span json_line_indent(const struct json_doc *doc, uint32_t at)
{
	uint32_t start = line_start(doc, at), end = start;

	while (end < at && (doc->text[end] == ' ' || doc->text[end] == '\t'))
		end++;
	return (struct json_span){doc->text + start, end - start};
}

bool json_is_line_start(const struct json_doc *doc, uint32_t at)
{
	uint32_t start = line_start(doc, at);

	return start > 0 && start + json_line_indent(doc, at).len == at;
}

static struct json_span newline_near(const struct json_doc *doc, uint32_t at)
{
	const char *before = at > 0 ? memrchr(doc->text, '\n', at) : NULL;
	const char *after = before ? before : memchr(doc->text + at, '\n', doc->len - at);

	if (after && after > doc->text && after[-1] == '\r')
		return (struct json_span){"\r\n", 2};
	return (struct json_span){"\n", 1};
}

/* By how much the container's children are indented against its own line; false where that cannot be told. */
static bool unit_of(const struct json_doc *doc, uint32_t container, struct json_span *ret)
{
	const struct json_node *node = &doc->nodes[container];
	struct json_span own, child;
	uint32_t begin;

	if (node->first == JSON_NONE)
		return false;
	begin = json_node_begin(&doc->nodes[node->first]);
	if (!json_is_line_start(doc, begin))
		return false;
	own = json_line_indent(doc, json_node_begin(node));
	child = json_line_indent(doc, begin);
	if (child.len <= own.len || (own.len > 0 && memcmp(own.data, child.data, own.len) != 0))
		return false;
	*ret = (struct json_span){child.data + own.len, child.len - own.len};
	return true;
}

static struct json_span unit_near(const struct json_doc *doc, uint32_t container)
{
	struct json_span unit;

	for (uint32_t n = container; n != JSON_NONE; n = doc->nodes[n].parent) {
		if (unit_of(doc, n, &unit))
			return unit;
	}
	for (uint32_t n = 0; n < doc->count; n++) {
		if (unit_of(doc, n, &unit))
			return unit;
	}
	return (struct json_span){"  ", 2};
}

/* What stands between name and value, where that is a colon and blanks only. */
static bool colon_of(const struct json_doc *doc, uint32_t n, struct json_span *ret)
{
	const struct json_node *node = &doc->nodes[n];
	uint32_t at = node->key_end;

	if (node->key_end == node->key_start || node->start - at > 16)
		return false;
	for (; at < node->start; at++) {
		if (!strchr(": \t", doc->text[at]))
			return false;
	}
	*ret = (struct json_span){doc->text + node->key_end, node->start - node->key_end};
	return true;
}

static struct json_span colon_near(const struct json_doc *doc, uint32_t container)
{
	struct json_span colon;

	if (container != JSON_NONE) {
		for (uint32_t n = doc->nodes[container].last; n != JSON_NONE; n = doc->nodes[n].previous) {
			if (colon_of(doc, n, &colon))
				return colon;
		}
		if (colon_of(doc, container, &colon))
			return colon;
	}
	for (uint32_t n = 0; n < doc->count; n++) {
		if (colon_of(doc, n, &colon))
			return colon;
	}
	return (struct json_span){": ", 2};
}

static struct json_span gap_near(const struct json_doc *doc, uint32_t container, struct json_span colon)
{
	uint32_t last = container == JSON_NONE ? JSON_NONE : doc->nodes[container].last;
	uint32_t previous = last == JSON_NONE ? JSON_NONE : doc->nodes[last].previous;

	if (previous != JSON_NONE) {
		uint32_t comma = doc->nodes[previous].comma, begin = json_node_begin(&doc->nodes[last]);

		if (json_doc_skip(doc, comma + 1, begin, false, false) == begin)
			return (struct json_span){doc->text + comma + 1, begin - comma - 1};
	}
	if (colon.len == 1)
		return (struct json_span){"", 0};
	return (struct json_span){" ", 1};
}

struct json_style json_style_of(const struct json_doc *doc, uint32_t container)
{
	struct json_style style = {
		.newline = newline_near(doc, container == JSON_NONE ? 0 : doc->nodes[container].end),
		.unit = unit_near(doc, container),
		.colon = colon_near(doc, container),
	};

	style.gap = gap_near(doc, container, style.colon);
	return style;
}

void json_add_line(const struct json_layout *at, unsigned deeper, struct text *out)
{
	text_add(out, at->style.newline.data, at->style.newline.len);
	text_add(out, at->indent.data, at->indent.len);
	for (unsigned i = 0; i < at->extra + deeper; i++)
		text_add(out, at->style.unit.data, at->style.unit.len);
}

/* Objects, and arrays that hold more than scalars, are laid out in lines. */
static bool wants_lines(const struct json_doc *doc, uint32_t node)
{
	if (doc->nodes[node].type == FLEET_TYPE_OBJECT)
		return doc->nodes[node].first != JSON_NONE;
	for (uint32_t n = doc->nodes[node].first; n != JSON_NONE; n = doc->nodes[n].next) {
		if (doc->nodes[n].first != JSON_NONE)
			return true;
	}
	return false;
}

void json_add_value(const struct json_layout *at, unsigned deeper, const struct json_doc *from, uint32_t node,
	struct text *out)
{
	const struct json_node *value = &from->nodes[node];
	bool object = value->type == FLEET_TYPE_OBJECT, lines = at->lines && wants_lines(from, node);

	if (!object && value->type != FLEET_TYPE_ARRAY) {
		text_add(out, from->text + value->start, value->end - value->start);
		return;
	}
	text_add(out, object ? "{" : "[", 1);
	for (uint32_t n = value->first; n != JSON_NONE; n = from->nodes[n].next) {
		if (lines)
			json_add_line(at, deeper + 1, out);
		else if (n != value->first)
			text_add(out, at->style.gap.data, at->style.gap.len);
		if (object) {
			text_add(out, from->text + from->nodes[n].key_start,
				from->nodes[n].key_end - from->nodes[n].key_start);
			text_add(out, at->style.colon.data, at->style.colon.len);
		}
		json_add_value(at, deeper + 1, from, n, out);
		if (from->nodes[n].next != JSON_NONE)
			text_add(out, ",", 1);
	}
	if (lines)
		json_add_line(at, deeper, out);
	text_add(out, object ? "}" : "]", 1);
}

static bool tokens_equal(const struct json_doc *a, uint32_t a_start, uint32_t a_end, const struct json_doc *b,
	uint32_t b_start, uint32_t b_end)
{
	const char *x = a->text + a_start, *y = b->text + b_start;
	struct text decoded = {0};
	bool same;

	if (text_equal(x, a_end - a_start, y, b_end - b_start))
		return true;
	if (a_end == a_start || *x != '"' || b_end == b_start || *y != '"')
		return false;
	json_string_decode(y, b_end - b_start, &decoded);
	same = !decoded.failed && json_string_is(x, a_end - a_start, decoded.data, decoded.len);
	text_done(&decoded);
	return same;
}

bool json_values_equal(const struct json_doc *a, uint32_t na, const struct json_doc *b, uint32_t nb)
{
	const struct json_node *x = &a->nodes[na], *y = &b->nodes[nb];
	uint32_t i = x->first, j = y->first;

	if (x->type != y->type || x->count != y->count)
		return false;
	if (x->type != FLEET_TYPE_OBJECT && x->type != FLEET_TYPE_ARRAY)
		return tokens_equal(a, x->start, x->end, b, y->start, y->end);
	for (; i != JSON_NONE && j != JSON_NONE; i = a->nodes[i].next, j = b->nodes[j].next) {
		const struct json_node *m = &a->nodes[i], *n = &b->nodes[j];

		if (!tokens_equal(a, m->key_start, m->key_end, b, n->key_start, n->key_end) ||
			!json_values_equal(a, i, b, j))
			return false;
	}
	return i == j;
}
