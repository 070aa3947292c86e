/* A new value where another one stands. */
#include <errno.h>
#include "yaml_edit.h"
#include "yaml_write.h"

struct replacement {
	const struct yaml_doc *doc;
	const struct yaml_node *node;
	struct yaml_writer w;
	struct yaml_source src;
	enum yaml_plain kind; /* of the plain text that goes */
	uint32_t lead;        /* yaml_lead_end */
	bool flow, full;
};

/* In one line, where `s` is open. */
static void add_inline(const struct replacement *r, struct splices *s)
{
	const struct yaml_node *old = r->node;
	bool word = old->kind == YAML_KIND_SCALAR && old->style == YAML_STYLE_PLAIN &&
		    old->type == FLEET_TYPE_BOOLEAN;

	if (r->full)
		yaml_add_flow(&r->w, r->src, &s->text);
	else if (word && yaml_source_type(&r->w, r->src) == FLEET_TYPE_BOOLEAN)
		text_add_string(
			&s->text, yaml_boolean_like(yaml_string(r->doc, old->value), old->value.len,
					  r->w.value->text[r->w.value->nodes[r->src.node].start] == 't'));
	else
		yaml_add_token(&r->w, r->src, r->flow, r->kind, &s->text);
}

/* Where nothing stands so far: `key:`, `-`, `{a}`. */
static int fill(const struct replacement *r, struct splices *s, struct fleet_driver_error *err)
{
	const struct yaml_doc *doc = r->doc;
	uint32_t at = r->lead;

	if (at == YAML_NONE && (!r->flow || r->node->key == YAML_NONE))
		return yaml_doc_fail(doc, r->node->start, err, -EINVAL,
			"there is no place for a value here: edit the file by hand");
	splice_begin(s, at == YAML_NONE ? doc->nodes[r->node->key].end : at,
		at == YAML_NONE ? doc->nodes[r->node->key].end : at);
	text_add_string(&s->text, at == YAML_NONE ? ": " : " ");
	add_inline(r, s);
	splice_end(s);
	return 0;
}

/* Lines of their own below the key, in place of what stood behind it. */
static void move_below(const struct replacement *r, struct splices *s)
{
	const struct yaml_doc *doc = r->doc;
	uint32_t column = doc->nodes[r->node->parent].column, line = yaml_line_end(doc, r->node->end);

	column += yaml_source_type(&r->w, r->src) == FLEET_TYPE_OBJECT ? r->w.unit : r->w.sequence;
	if (r->node->end > r->lead)
		splice_remove(s, r->lead, r->node->end);
	splice_begin(s, line, line);
	yaml_add_line(&r->w, column, &s->text);
	yaml_add_block(&r->w, r->src, column, &s->text);
	splice_end(s);
}

/* How far the lines of a block scalar stand in. */
static uint32_t block_scalar_column(const struct replacement *r, uint32_t lines)
{
	const struct yaml_doc *doc = r->doc;
	uint32_t up = r->node->parent;

	for (uint32_t at = yaml_line_next(doc, lines); at < r->node->end;
		at = yaml_line_next(doc, yaml_line_end(doc, at))) {
		uint32_t text = at;

		while (text < r->node->end && doc->text[text] == ' ')
			text++;
		if (text < yaml_line_end(doc, at))
			return text - at;
	}
	return up == YAML_NONE ? r->w.unit : doc->nodes[up].column + r->w.unit;
}

/* Its header and its lines, so that a comment behind the header stays. */
static void replace_block_scalar(const struct replacement *r, struct splices *s)
{
	const struct yaml_doc *doc = r->doc;
	const struct yaml_node *node = r->node;
	uint32_t header = node->body + 1, lines = yaml_line_end(doc, node->body);
	struct text head = {0}, body = {0};
	bool block;

	while (header < lines && strchr("+-0123456789", doc->text[header]))
		header++;
	block = yaml_block_text(
		&r->w, &head, &body, node->style == YAML_STYLE_FOLDED, block_scalar_column(r, lines));
	/* at the end of a file without a last newline, its text has none either */
	if (block && node->end == doc->len && memchr(head.data, '-', head.len) == NULL)
		block = false;
	splice_begin(s, node->body, header);
	if (block)
		text_add(&s->text, head.data, head.len);
	else
		add_inline(r, s);
	splice_end(s);
	splice_begin(s, lines, node->end > lines ? node->end : lines);
	if (block)
		text_add(&s->text, body.data, body.len);
	splice_end(s);
	s->text.failed = s->text.failed || head.failed || body.failed;
	text_done(&head);
	text_done(&body);
}

static int replace_block(const struct replacement *r, struct splices *s, struct fleet_driver_error *err)
{
	const struct yaml_doc *doc = r->doc;
	const struct yaml_node *node = r->node, *up = &doc->nodes[node->parent];
	uint32_t begin = doc->nodes[node->first].begin, column = node->column,
		 line = yaml_line_start(doc, begin);

	if (r->lead == YAML_NONE)
		return yaml_doc_fail(doc, node->start, err, -EINVAL,
			"this value stands where it cannot be "
			"replaced safely: edit the file by hand");
	if (line < r->lead) { /* behind its dash */
		splice_begin(s, begin, node->end);
		if (r->full)
			yaml_add_block(&r->w, r->src, column, &s->text);
		else
			add_inline(r, s);
		splice_end(s);
	} else if (r->full) {
		if (yaml_source_type(&r->w, r->src) == FLEET_TYPE_OBJECT && up->kind == YAML_KIND_MAPPING &&
			column <= up->column)
			column = up->column + r->w.unit;
		splice_begin(s, yaml_line_before(doc, begin), node->end);
		yaml_add_line(&r->w, column, &s->text);
		yaml_add_block(&r->w, r->src, column, &s->text);
		splice_end(s);
	} else {
		splice_begin(s, r->lead, r->lead);
		text_add(&s->text, " ", 1);
		add_inline(r, s);
		splice_end(s);
		splice_remove(s, yaml_line_before(doc, begin), node->end);
	}
	return 0;
}

static bool is_on_key_line(const struct replacement *r)
{
	const struct yaml_doc *doc = r->doc;
	const struct yaml_node *node = r->node;

	return node->key != YAML_NONE && !node->explicit && r->lead != YAML_NONE &&
	       node->body <= yaml_line_end(doc, r->lead) &&
	       yaml_doc_skip(doc, node->end, doc->len, false, true) == yaml_line_end(doc, node->end);
}

int yaml_replace(const struct yaml_doc *doc, uint32_t n, const struct path *path,
	const struct json_doc *value, struct splices *s, struct fleet_driver_error *err)
{
	struct replacement r = {.doc = doc,
		.node = &doc->nodes[n],
		.w = yaml_writer_for(doc, doc->nodes[n].parent, path, value),
		.src = {path->count, 0},
		.lead = yaml_lead_end(doc, n),
		.flow = yaml_is_in_flow(doc, n)};
	const struct yaml_node *node = r.node;

	r.full = yaml_source_is_full(&r.w, r.src);
	if (yaml_there(node->tag) && node->type != yaml_source_type(&r.w, r.src))
		return yaml_doc_fail(doc, node->start, err, -EINVAL,
			"a tag says what this value is, and the new one is something else: edit the file by "
			"hand");
	if (node->kind == YAML_KIND_SCALAR && node->type == FLEET_TYPE_STRING) {
		yaml_writer_quote_as(&r.w, node->style);
		if (node->style == YAML_STYLE_PLAIN)
			r.kind = yaml_plain_of(yaml_string(doc, node->value), node->value.len);
	}
	if (node->style == YAML_STYLE_LITERAL || node->style == YAML_STYLE_FOLDED) {
		replace_block_scalar(&r, s);
		return 0;
	}
	if (node->kind != YAML_KIND_SCALAR && node->style == YAML_STYLE_BLOCK)
		return replace_block(&r, s, err);
	if (r.full && !r.flow && is_on_key_line(&r)) {
		move_below(&r, s);
		return 0;
	}
	if (node->body == node->end)
		return fill(&r, s, err);
	splice_begin(s, node->body, node->end);
	add_inline(&r, s);
	splice_end(s);
	return 0;
}
