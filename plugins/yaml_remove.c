/* An entry goes, with the lines that are its own. */
#include <errno.h>
#include "yaml_edit.h"

/* Does the value before entry n end with a line break that is its own? */
static bool ends_before(const struct yaml_doc *doc, uint32_t n)
{
	const struct yaml_node *node;
	const char *text;

	if (doc->nodes[n].previous == YAML_NONE)
		return false;
	for (n = doc->nodes[n].previous; doc->nodes[n].last != YAML_NONE;)
		n = doc->nodes[n].last;
	node = &doc->nodes[n];
	text = yaml_string(doc, node->value);
	return (node->style == YAML_STYLE_LITERAL || node->style == YAML_STYLE_FOLDED) &&
	       node->value.len > 0 && text[node->value.len - 1] == '\n';
}

/* The lines of entry n. A file whose last line had no end keeps it so. */
static void remove_lines(const struct yaml_doc *doc, uint32_t n, struct splices *s)
{
	uint32_t begin = doc->nodes[n].begin, line = yaml_line_end(doc, doc->nodes[n].end);

	splice_remove(s,
		line == doc->len && !ends_before(doc, n) ? yaml_line_before(doc, begin)
							 : yaml_line_start(doc, begin),
		yaml_line_next(doc, line));
}

static void put_empty(
	const struct yaml_node *up, uint32_t from, uint32_t to, const char *before, struct splices *s)
{
	splice_begin(s, from, to);
	text_add_string(&s->text, before);
	text_add_string(&s->text, up->kind == YAML_KIND_MAPPING ? "{}" : "[]");
	splice_end(s);
}

/* The only one of a block collection: what stays is an empty one, or nothing in an ordinary document. */
static int remove_only(const struct yaml_doc *doc, uint32_t document, uint32_t n, struct splices *s,
	struct fleet_driver_error *err)
{
	const struct yaml_node *node = &doc->nodes[n], *up = &doc->nodes[node->parent];
	uint32_t lead = yaml_lead_end(doc, node->parent);

	if (up->parent == YAML_NONE && lead == YAML_NONE) {
		if (doc->document_count > 1 && !doc->documents[document].marked)
			put_empty(up, node->begin, node->end, "", s);
		else
			remove_lines(doc, n, s);
		return 0;
	}
	if (lead == YAML_NONE)
		return yaml_doc_fail(doc, node->begin, err, -EINVAL,
			"this entry cannot be taken out safely: edit the file by hand");
	if (yaml_line_start(doc, node->begin) < lead) {
		put_empty(up, node->begin, node->end, "", s);
	} else {
		put_empty(up, lead, lead, " ", s);
		remove_lines(doc, n, s);
	}
	return 0;
}

static int remove_from_block(
	const struct yaml_doc *doc, uint32_t n, struct splices *s, struct fleet_driver_error *err)
{
	const struct yaml_node *node = &doc->nodes[n];
	uint32_t begin = node->begin, line = yaml_line_end(doc, node->end), next;

	if (yaml_is_line_start(doc, begin)) {
		remove_lines(doc, n, s);
		return 0;
	}
	if (node->previous != YAML_NONE || node->next == YAML_NONE)
		return yaml_doc_fail(doc, begin, err, -EINVAL,
			"this entry cannot be taken out safely: edit the file by hand");
	/* the first, behind a dash: the next one takes its place, unless comments stand before that one */
	next = doc->nodes[node->next].begin;
	if (yaml_doc_skip(doc, line, next, true, false) == next) {
		splice_remove(s, begin, next);
		return 0;
	}
	while (begin > doc->bom && strchr(" \t", doc->text[begin - 1]))
		begin--;
	splice_remove(s, begin, line);
	return 0;
}

/* The only one of a flow collection; `{ a: 1 }` becomes `{ }`. */
static void empty_flow(const struct yaml_doc *doc, uint32_t n, struct splices *s)
{
	const struct yaml_node *node = &doc->nodes[n], *up = &doc->nodes[node->parent];
	uint32_t comma = yaml_comma(doc, n), tail = comma == YAML_NONE ? node->end : comma + 1;
	uint32_t open = up->body + 1, close = up->end - 1;

	if (tail > close)
		tail = close;
	if (yaml_doc_skip(doc, open, node->begin, true, false) == node->begin &&
		yaml_doc_skip(doc, tail, close, true, false) == close)
		splice_remove(
			s, memchr(doc->text + open, '\n', node->begin - open) ? open : node->begin, close);
	else
		splice_remove(s, node->begin, tail);
}

/* In lines of its own, where it has them. */
static bool remove_flow_lines(
	const struct yaml_doc *doc, uint32_t n, uint32_t comma, uint32_t close, struct splices *s)
{
	const struct yaml_node *node = &doc->nodes[n];
	uint32_t tail = comma == YAML_NONE ? node->end : comma + 1, behind;

	if (!yaml_is_line_start(doc, node->begin) ||
		(comma != YAML_NONE && memchr(doc->text + node->end, '\n', comma - node->end)))
		return false;
	behind = yaml_doc_skip(doc, tail, close, false, true);
	if (behind == close || behind != yaml_line_end(doc, behind))
		return false;
	if (node->next == YAML_NONE && comma == YAML_NONE) {
		uint32_t before = yaml_comma(doc, node->previous);

		splice_remove(s, before, before + 1);
	}
	splice_remove(s, yaml_line_start(doc, node->begin), yaml_line_next(doc, behind));
	return true;
}

static int remove_from_flow(
	const struct yaml_doc *doc, uint32_t n, struct splices *s, struct fleet_driver_error *err)
{
	const struct yaml_node *node = &doc->nodes[n], *up = &doc->nodes[node->parent];
	uint32_t comma = yaml_comma(doc, n), before;

	if (!strchr("[{", doc->text[up->body]))
		return yaml_doc_fail(doc, node->start, err, -EINVAL,
			"this is a single pair in a sequence: edit the file by hand");
	if (up->count == 1) {
		empty_flow(doc, n, s);
		return 0;
	}
	if (remove_flow_lines(doc, n, comma, up->end - 1, s))
		return 0;
	if (node->next != YAML_NONE &&
		(node->previous == YAML_NONE || yaml_is_line_start(doc, node->begin))) {
		splice_remove(s, node->begin,
			yaml_doc_skip(doc, comma + 1, doc->nodes[node->next].begin, false, false));
		return 0;
	}
	before = yaml_comma(doc, node->previous);
	if (yaml_doc_skip(doc, before + 1, node->begin, true, false) == node->begin) {
		splice_remove(s, before, node->end);
	} else { /* but for comments on the way */
		splice_remove(s, before, before + 1);
		splice_remove(s, node->begin, node->end);
	}
	return 0;
}

int yaml_remove(const struct yaml_doc *doc, uint32_t document, uint32_t n, struct splices *s,
	struct fleet_driver_error *err)
{
	const struct yaml_node *up = &doc->nodes[doc->nodes[n].parent];

	if (up->style == YAML_STYLE_FLOW)
		return remove_from_flow(doc, n, s, err);
	if (up->count == 1)
		return remove_only(doc, document, n, s, err);
	return remove_from_block(doc, n, s, err);
}
