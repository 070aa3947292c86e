/* From libyaml's events to the tree. */
#include <errno.h>
#include <stdio.h>
#include <yaml.h>
#include "utf8.h"
#include "yaml_doc.h"
#include "yaml_scalar.h"

#define ANCHORS_MAX 1000u

struct level {
	uint32_t node, key; /* key: of a mapping whose value is still to come, or YAML_NONE */
};
struct builder {
	struct yaml_doc *doc;
	struct fleet_driver_error *err;
	struct level levels[YAML_DEPTH_MAX + 1];
	uint32_t depth; /* 0: outside of any collection */
};

static int no_memory(struct fleet_driver_error *err)
{
	return fleet_driver_fail(err, -ENOMEM, 0, 0, "out of memory");
}

/* libyaml counts characters. Places come in order, nearly: a few steps back and forth. */
static uint32_t place(struct yaml_doc *doc, size_t index)
{
	while (doc->at_index < index && doc->at < doc->len) {
		size_t n = utf8_sequence(doc->text + doc->at, doc->len - doc->at);

		doc->at += n ? (uint32_t)n : 1;
		doc->at_index++;
	}
	while (doc->at_index > index && doc->at > doc->bom) {
		doc->at--;
		while (doc->at > doc->bom && ((unsigned char)doc->text[doc->at] & 0xc0) == 0x80)
			doc->at--;
		doc->at_index--;
	}
	return doc->at;
}

static struct yaml_span keep(struct yaml_doc *doc, const void *s, size_t len)
{
	struct yaml_span span = {(uint32_t)doc->strings.len, (uint32_t)len};

	if (!s)
		return (struct yaml_span){YAML_NONE, 0};
	text_add(&doc->strings, s, len);
	text_add(&doc->strings, "", 1);
	return span;
}

static struct yaml_span keep_name(struct yaml_doc *doc, const yaml_char_t *s)
{
	return keep(doc, s, s ? strlen((const char *)s) : 0);
}

/* Room for one more in an array that doubles. */
static bool grow(void **data, uint32_t count, uint32_t *capacity, size_t size)
{
	uint32_t more = *capacity ? *capacity * 2 : 64;
	void *grown;

	if (count < *capacity)
		return true;
	grown = realloc(*data, more * size);
	if (!grown)
		return false;
	*data = grown;
	*capacity = more;
	return true;
}

/* Behind the anchor and tag at node->start, and where the value itself begins. Only the props that the event
 * told of are its own: what follows may be those of a mapping's first key. */
static void find_body(const struct yaml_doc *doc, struct yaml_node *node, uint32_t end)
{
	static const char name[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
	/* libyaml does not tell of a scalar's tag `!` */
	bool anchor = yaml_there(node->name), tag = yaml_there(node->tag) || node->kind == YAML_KIND_SCALAR;
	uint32_t at = node->start;

	node->props = node->body = at;
	while (at < end && ((anchor && doc->text[at] == '&') || (tag && doc->text[at] == '!'))) {
		if (doc->text[at] == '&') {
			anchor = false;
			for (at++; at < end && doc->text[at] && strchr(name, doc->text[at]);)
				at++;
		} else {
			tag = false;
			while (at < end && !strchr(" \t\r\n", doc->text[at]))
				at++;
		}
		node->props = at;
		at = yaml_doc_skip(doc, at, end, true, true);
	}
	node->body = at < end ? at : node->props;
}

/* The end of a block scalar's last line: what comes behind are blank lines, unless it keeps them, or their
 * blanks are more than its indentation and so its own. */
static uint32_t block_scalar_end(const struct yaml_doc *doc, const struct yaml_node *node, uint32_t end)
{
	uint32_t header = yaml_line_end(doc, node->body), last = header, column = YAML_NONE;
	bool keeps = false;

	for (uint32_t i = node->body + 1; i < header && strchr("+-0123456789", doc->text[i]); i++) {
		keeps = keeps || doc->text[i] == '+';
		if (doc->text[i] >= '1' && doc->text[i] <= '9')
			column = 0; /* some blanks, where the first line may begin with more */
	}
	for (uint32_t at = yaml_line_next(doc, header); at < end;
		at = yaml_line_next(doc, yaml_line_end(doc, at))) {
		uint32_t line = yaml_line_end(doc, at), text = yaml_doc_skip(doc, at, line, false, false);

		if (text < line && column == YAML_NONE)
			column = text - at;
		if (keeps || text < line || (column != YAML_NONE && line - at > column))
			last = line < end ? line : end;
		if (line >= doc->len)
			break;
	}
	return last;
}

/* Where the entry begins that the node is the key or the element of. */
static uint32_t find_begin(const struct yaml_doc *doc, const struct yaml_node *up, uint32_t start)
{
	uint32_t at;

	if (up->style == YAML_STYLE_FLOW) {
		if (up->kind == YAML_KIND_SEQUENCE || !strchr("{", doc->text[up->body]))
			return start;
		at = up->last != YAML_NONE ? doc->nodes[up->last].end : up->body + 1;
		at = yaml_doc_skip(doc, at, start, true, true);
		if (at < start && doc->text[at] == ',')
			at = yaml_doc_skip(doc, at + 1, start, true, true);
		return at;
	}
	at = up->last != YAML_NONE ? doc->nodes[up->last].end : up->body;
	return yaml_doc_skip(doc, at, start, true, true);
}

/* Takes the node into its parent; returns its number, or YAML_NONE with err filled. */
static uint32_t add_node(struct builder *b, struct yaml_node *node)
{
	struct yaml_doc *doc = b->doc;
	uint32_t n = doc->count;

	if (n >= YAML_NODES_MAX) {
		(void)yaml_doc_fail(
			doc, node->start, b->err, -EINVAL, "more values than Fleet takes of one file");
		return YAML_NONE;
	}
	if (!grow((void **)&doc->nodes, n, &doc->capacity, sizeof(*doc->nodes))) {
		(void)no_memory(b->err);
		return YAML_NONE;
	}
	node->parent = node->previous = node->next = node->first = node->last = node->key = YAML_NONE;
	if (b->depth > 0) {
		struct level *level = &b->levels[b->depth];
		struct yaml_node *up = &doc->nodes[level->node];

		node->parent = level->node;
		if (up->kind == YAML_KIND_MAPPING && level->key == YAML_NONE) {
			node->begin = find_begin(doc, up, node->start);
			node->explicit = node->begin < node->start || node->start == doc->len ||
					 (node->kind == YAML_KIND_SCALAR && node->start == node->end);
			node->is_key = true;
			level->key = n;
		} else {
			node->begin = up->kind == YAML_KIND_MAPPING ? doc->nodes[level->key].begin
								    : find_begin(doc, up, node->start);
			if (up->kind == YAML_KIND_MAPPING) {
				node->key = level->key;
				node->explicit = doc->nodes[level->key].explicit;
			}
			node->previous = up->last;
			if (up->last != YAML_NONE)
				doc->nodes[up->last].next = n;
			else
				up->first = n;
			up->last = n;
			up->count++;
			level->key = YAML_NONE;
		}
	} else {
		node->begin = node->start;
		doc->documents[doc->document_count - 1].root = n;
	}
	doc->nodes[n] = *node;
	doc->count++;
	return n;
}

static int add_anchor(struct builder *b, uint32_t n)
{
	struct yaml_doc *doc = b->doc;

	if (!yaml_there(doc->nodes[n].name))
		return 0;
	if (doc->anchor_count >= ANCHORS_MAX)
		return yaml_doc_fail(doc, doc->nodes[n].start, b->err, -EINVAL,
			"more anchors than Fleet takes of one file");
	if (!grow((void **)&doc->anchors, doc->anchor_count, &doc->anchor_capacity, sizeof(*doc->anchors)))
		return no_memory(b->err);
	doc->anchors[doc->anchor_count++] = n;
	return 0;
}

static int on_alias(struct builder *b, const yaml_event_t *event, struct yaml_node *node)
{
	struct yaml_doc *doc = b->doc;
	const char *name = (const char *)event->data.alias.anchor;
	uint32_t target = YAML_NONE;

	for (uint32_t i = doc->anchor_count; i > doc->document_anchors && target == YAML_NONE; i--) {
		if (strcmp(yaml_string(doc, doc->nodes[doc->anchors[i - 1]].name), name) == 0)
			target = doc->anchors[i - 1];
	}
	if (target == YAML_NONE)
		return yaml_doc_fail(doc, node->start, b->err, -EINVAL,
			"an alias without an anchor of its name before it");
	if (doc->nodes[target].after == 0)
		return yaml_doc_fail(
			doc, node->start, b->err, -EINVAL, "an alias within the value that it stands for");
	node->kind = YAML_KIND_ALIAS;
	node->name = keep_name(doc, event->data.alias.anchor);
	node->tag = node->value = (struct yaml_span){YAML_NONE, 0};
	node->props = node->body = node->start;
	node->target = target;
	node->leaves = doc->nodes[target].leaves;
	node->height = doc->nodes[target].height;
	doc->nodes[target].aliased++;
	node->after = doc->count + 1;
	return add_node(b, node) == YAML_NONE ? b->err->code : 0;
}

/* A tag decides only where it is one of the standard ones and fits what stands there. */
static uint32_t scalar_type(const char *tag, enum yaml_style style, const char *text, size_t len)
{
	static const char *const known[] = {"tag:yaml.org,2002:null", "tag:yaml.org,2002:bool",
		"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"};
	bool resolve = !tag;

	for (size_t i = 0; tag && i < sizeof(known) / sizeof(known[0]); i++)
		resolve = resolve || strcmp(tag, known[i]) == 0;
	return resolve && style == YAML_STYLE_PLAIN ? yaml_plain_type(yaml_plain_of(text, len))
						    : FLEET_TYPE_STRING;
}

static int on_scalar(struct builder *b, const yaml_event_t *event, struct yaml_node *node)
{
	static const enum yaml_style styles[] = {[YAML_ANY_SCALAR_STYLE] = YAML_STYLE_PLAIN,
		[YAML_PLAIN_SCALAR_STYLE] = YAML_STYLE_PLAIN,
		[YAML_SINGLE_QUOTED_SCALAR_STYLE] = YAML_STYLE_SINGLE,
		[YAML_DOUBLE_QUOTED_SCALAR_STYLE] = YAML_STYLE_DOUBLE,
		[YAML_LITERAL_SCALAR_STYLE] = YAML_STYLE_LITERAL,
		[YAML_FOLDED_SCALAR_STYLE] = YAML_STYLE_FOLDED};
	struct yaml_doc *doc = b->doc;
	const char *text = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;
	bool key = b->depth > 0 && doc->nodes[b->levels[b->depth].node].kind == YAML_KIND_MAPPING &&
		   b->levels[b->depth].key == YAML_NONE;
	uint32_t n;

	node->kind = YAML_KIND_SCALAR;
	node->style = styles[event->data.scalar.style];
	node->name = keep_name(doc, event->data.scalar.anchor);
	node->tag = keep_name(doc, event->data.scalar.tag);
	find_body(doc, node, node->end);
	if (node->props > node->start && !yaml_there(node->tag) &&
		memchr(doc->text + node->start, '!', node->props - node->start))
		node->tag = keep(doc, "!", 1);
	if (b->depth == 0 && len == 0 && node->start == node->end)
		return 0; /* a document without a value */
	if (key && len > 0 && memchr(text, '\0', len))
		return yaml_doc_fail(doc, node->start, b->err, -EINVAL,
			"a name with a NUL character, which no key path can name");
	node->type = scalar_type((const char *)event->data.scalar.tag, node->style, text, len);
	node->value = keep(doc, text, len);
	if (node->style == YAML_STYLE_LITERAL || node->style == YAML_STYLE_FOLDED)
		node->end = block_scalar_end(doc, node, node->end);
	node->leaves = 1;
	node->after = doc->count + 1;
	n = add_node(b, node);
	return n == YAML_NONE ? b->err->code : add_anchor(b, n);
}

static int on_collection(struct builder *b, const yaml_event_t *event, struct yaml_node *node)
{
	bool mapping = event->type == YAML_MAPPING_START_EVENT;
	bool flow = mapping ? event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE
			    : event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
	uint32_t n;
	int r;

	if (b->depth >= YAML_DEPTH_MAX)
		return yaml_doc_fail(b->doc, node->start, b->err, -EINVAL, "nested too deeply");
	node->kind = mapping ? YAML_KIND_MAPPING : YAML_KIND_SEQUENCE;
	node->style = flow ? YAML_STYLE_FLOW : YAML_STYLE_BLOCK;
	node->type = mapping ? FLEET_TYPE_OBJECT : FLEET_TYPE_ARRAY;
	node->name = keep_name(
		b->doc, mapping ? event->data.mapping_start.anchor : event->data.sequence_start.anchor);
	node->tag =
		keep_name(b->doc, mapping ? event->data.mapping_start.tag : event->data.sequence_start.tag);
	node->value = (struct yaml_span){YAML_NONE, 0};
	find_body(b->doc, node, b->doc->len);
	n = add_node(b, node);
	if (n == YAML_NONE)
		return b->err->code;
	r = add_anchor(b, n);
	b->levels[++b->depth] = (struct level){n, YAML_NONE};
	return r;
}

/* How much there is with every alias written out: a few aliases of aliases can make more than anyone can
 * tell. */
static int measure(const struct builder *b, struct yaml_node *node)
{
	const struct yaml_doc *doc = b->doc;

	for (uint32_t n = node->first; n != YAML_NONE; n = doc->nodes[n].next) {
		const struct yaml_node *child = &doc->nodes[n];

		node->leaves += child->leaves;
		if (node->height <= child->height)
			node->height = child->height + 1;
		if (node->leaves > YAML_NODES_MAX || node->height + b->depth > YAML_DEPTH_MAX + 1)
			return yaml_doc_fail(doc, child->start, b->err, -EINVAL,
				"the aliases make more of this than Fleet takes of one file");
	}
	if (node->leaves == 0)
		node->leaves = 1;
	return 0;
}

static int on_collection_end(struct builder *b, uint32_t end)
{
	struct yaml_doc *doc = b->doc;
	struct yaml_node *node = &doc->nodes[b->levels[b->depth].node];
	int r = measure(b, node);

	if (r < 0)
		return r;
	node->end = end;
	if (node->style == YAML_STYLE_BLOCK && node->last != YAML_NONE) {
		uint32_t begin = doc->nodes[node->first].begin, line = yaml_line_start(doc, begin);

		/* the column of the first entry, whatever stands before the collection */
		node->column = 0;
		for (uint32_t at = begin; at > line; at--)
			node->column += ((unsigned char)doc->text[at - 1] & 0xc0) != 0x80;
		node->end = doc->nodes[node->last].end;
	}
	node->after = doc->count;
	b->depth--;
	return 0;
}

static int on_document(struct builder *b, const yaml_event_t *event)
{
	struct yaml_doc *doc = b->doc;
	uint32_t start = doc->document_count ? doc->documents[doc->document_count - 1].end : doc->bom;

	if (doc->document_count >= YAML_DOCUMENTS_MAX)
		return yaml_doc_fail(doc, place(doc, event->start_mark.index), b->err, -EINVAL,
			"more documents than Fleet takes of one file");
	if (!grow((void **)&doc->documents, doc->document_count, &doc->document_capacity,
		    sizeof(*doc->documents)))
		return no_memory(b->err);
	if (!event->data.document_start.implicit)
		start = place(doc, event->end_mark.index);
	doc->document_anchors = doc->anchor_count;
	doc->documents[doc->document_count++] =
		(struct yaml_document){YAML_NONE, start, doc->len, !event->data.document_start.implicit};
	return 0;
}

static int on_event(struct builder *b, const yaml_event_t *event)
{
	struct yaml_node node = {.start = place(b->doc, event->start_mark.index)};

	node.end = place(b->doc, event->end_mark.index);
	node.column = (uint32_t)event->start_mark.column;
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		return on_document(b, event);
	case YAML_DOCUMENT_END_EVENT:
		/* `...` stays within, so that the next one's start is behind it */
		b->doc->documents[b->doc->document_count - 1].end = node.start;
		return 0;
	case YAML_ALIAS_EVENT:
		return on_alias(b, event, &node);
	case YAML_SCALAR_EVENT:
		return on_scalar(b, event, &node);
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		return on_collection(b, event, &node);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return on_collection_end(b, node.end);
	default:
		return 0;
	}
}

static int malformed(struct builder *b, const yaml_parser_t *parser)
{
	struct yaml_doc *doc = b->doc;
	char why[200];

	if (parser->error == YAML_MEMORY_ERROR)
		return no_memory(b->err);
	if (parser->error == YAML_READER_ERROR)
		return yaml_doc_fail(
			doc, doc->bom + parser->problem_offset, b->err, -EINVAL, parser->problem);
	(void)snprintf(why, sizeof(why), "%s%s%s", parser->problem ? parser->problem : "malformed",
		parser->context ? ", " : "", parser->context ? parser->context : "");
	return yaml_doc_fail(doc, place(doc, parser->problem_mark.index), b->err, -EINVAL, why);
}

static int parse(struct builder *b, yaml_parser_t *parser)
{
	bool end = false;
	int r = 0;

	while (r == 0 && !end) {
		yaml_event_t event;

		if (!yaml_parser_parse(parser, &event))
			return malformed(b, parser);
		end = event.type == YAML_STREAM_END_EVENT;
		r = on_event(b, &event);
		yaml_event_delete(&event);
	}
	return r == 0 && b->doc->strings.failed ? no_memory(b->err) : r;
}

int yaml_doc_parse(const char *text, size_t len, struct yaml_doc *ret, struct fleet_driver_error *err)
{
	struct builder b = {.doc = ret, .err = err};
	yaml_parser_t parser;
	int r;

	*ret = (struct yaml_doc){.text = text};
	if (len > 64u * 1024 * 1024)
		return fleet_driver_fail(err, -EFBIG, 0, 0, "the document is too long");
	ret->len = (uint32_t)len;
	if (len >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
		return yaml_doc_fail(ret, 0, err, -EINVAL, "the file is UTF-16: only UTF-8 is taken");
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		ret->bom = 3;
	ret->at = ret->bom;
	if (!yaml_parser_initialize(&parser))
		return no_memory(err);
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text + ret->bom, len - ret->bom);
	r = parse(&b, &parser);
	yaml_parser_delete(&parser);
	return r;
}

void yaml_doc_done(struct yaml_doc *doc)
{
	free(doc->nodes);
	free(doc->documents);
	free(doc->anchors);
	text_done(&doc->strings);
	*doc = (struct yaml_doc){.text = NULL};
}
