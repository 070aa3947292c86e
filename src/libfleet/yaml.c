/* libyaml's events into our tree. Bounds count what the tree is when its aliases are followed, so that a
 * reader that walks it meets no more than they say ("billion laughs"). */
#include <yaml.h>
#include "fleet/limits.h"
#include "fleet/yaml.h"

struct anchor {
	struct anchor *next;
	char *name; /* owned */
	struct fleet_yaml_node *node;
};

/* A node and what it costs to walk it. */
struct cell {
	struct fleet_yaml_node node; /* first: a node is its cell */
	struct cell *next;           /* all cells of the document */
	size_t walk;                 /* nodes met below and with it */
	unsigned height;
};

struct fleet_yaml {
	char *name; /* owned */
	struct fleet_yaml_node *root;
	struct cell *cells;
};

struct builder {
	struct fleet_yaml *yaml;
	yaml_parser_t parser;
	struct anchor *anchors;
	size_t nodes, aliases;
	struct fleet_error *err;
};

static struct cell *cell_of(struct fleet_yaml_node *node)
{
	return (struct cell *)node;
}

static int fault_at(struct builder *b, const yaml_mark_t *mark, const char *why)
{
	return fleet_error_set(
		b->err, -EBADMSG, "%s:%zu:%zu: %s", b->yaml->name, mark->line + 1, mark->column + 1, why);
}

static int next_event(struct builder *b, yaml_event_t *event)
{
	const yaml_parser_t *p = &b->parser;

	if (yaml_parser_parse(&b->parser, event))
		return 0;
	if (p->error == YAML_READER_ERROR) {
		/* a byte that is no text: the reader knows its offset, not its line */
		return fleet_error_set(b->err, -EBADMSG, "%s: byte %zu: %s", b->yaml->name, p->problem_offset,
			p->problem ? p->problem : "not text");
	}
	return fault_at(b, &p->problem_mark, p->problem ? p->problem : "not valid YAML");
}

static struct fleet_yaml_node *new_node(struct builder *b, enum fleet_yaml_kind kind, const yaml_mark_t *mark)
{
	struct cell *cell = xcalloc(1, sizeof(*cell));

	cell->node.kind = kind;
	cell->node.line = (unsigned)mark->line + 1;
	cell->node.column = (unsigned)mark->column + 1;
	cell->walk = 1;
	cell->next = b->yaml->cells;
	b->yaml->cells = cell;
	return &cell->node;
}

static void remember_anchor(struct builder *b, const yaml_char_t *name, struct fleet_yaml_node *node)
{
	struct anchor *a;

	if (!name)
		return;
	a = xcalloc(1, sizeof(*a));
	a->name = xstrdup((const char *)name);
	a->node = node;
	a->next = b->anchors; /* a name given again means the later one from here on */
	b->anchors = a;
}

/* Counts what a parent gains with child. */
static int adopt(struct builder *b, struct fleet_yaml_node *parent, struct fleet_yaml_node *child,
	const yaml_mark_t *mark, unsigned depth)
{
	struct cell *p = cell_of(parent), *c = cell_of(child);

	p->walk += c->walk;
	if (p->walk > FLEET_YAML_NODES_MAX)
		return fault_at(b, mark, "too many nodes");
	if (p->height < c->height + 1)
		p->height = c->height + 1;
	if (depth + p->height > FLEET_YAML_DEPTH_MAX)
		return fault_at(b, mark, "nested too deep");
	return 0;
}

static int build_scalar(struct builder *b, const yaml_event_t *e, struct fleet_yaml_node **ret)
{
	const char *tag = (const char *)e->data.scalar.tag;
	struct fleet_yaml_node *node;

	if (tag && !str_equal(tag, "!") && !str_equal(tag, YAML_STR_TAG))
		return fault_at(b, &e->start_mark, "tags are not supported");
	if (memchr(e->data.scalar.value, '\0', e->data.scalar.length))
		return fault_at(b, &e->start_mark, "a value must not contain NUL");
	node = new_node(b, FLEET_YAML_SCALAR, &e->start_mark);
	node->text = xstrndup((const char *)e->data.scalar.value, e->data.scalar.length);
	node->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE || tag;
	remember_anchor(b, e->data.scalar.anchor, node);
	*ret = node;
	return 0;
}

static int build_alias(struct builder *b, const yaml_event_t *e, struct fleet_yaml_node **ret)
{
	if (++b->aliases > FLEET_YAML_ALIASES_MAX)
		return fault_at(b, &e->start_mark, "too many aliases");
	for (struct anchor *a = b->anchors; a; a = a->next) {
		if (str_equal(a->name, (const char *)e->data.alias.anchor)) {
			*ret = a->node;
			return 0;
		}
	}
	return fault_at(b, &e->start_mark, "an alias without its anchor before it");
}

static int build(struct builder *b, const yaml_event_t *e, unsigned depth, struct fleet_yaml_node **ret);

static int build_sequence(
	struct builder *b, const yaml_event_t *start, unsigned depth, struct fleet_yaml_node **ret)
{
	struct fleet_yaml_node *node;

	if (start->data.sequence_start.tag)
		return fault_at(b, &start->start_mark, "tags are not supported");
	node = new_node(b, FLEET_YAML_SEQUENCE, &start->start_mark);
	for (;;) {
		_cleanup_(yaml_event_delete) yaml_event_t e = {0};
		struct fleet_yaml_node *item = NULL;
		int r = next_event(b, &e);

		if (r < 0)
			return r;
		if (e.type == YAML_SEQUENCE_END_EVENT)
			break;
		r = build(b, &e, depth + 1, &item);
		if (r < 0)
			return r;
		r = adopt(b, node, item, &e.start_mark, depth);
		if (r < 0)
			return r;
		node->values = xreallocarray(node->values, node->count + 1, sizeof(*node->values));
		node->values[node->count++] = item;
	}
	remember_anchor(b, start->data.sequence_start.anchor, node);
	*ret = node;
	return 0;
}

static int build_pair(
	struct builder *b, struct fleet_yaml_node *node, const yaml_event_t *key_event, unsigned depth)
{
	_cleanup_(yaml_event_delete) yaml_event_t e = {0};
	struct fleet_yaml_node *key = NULL, *value = NULL;
	int r = build(b, key_event, depth + 1, &key);

	if (r < 0)
		return r;
	if (!key || key->kind != FLEET_YAML_SCALAR)
		return fault_at(b, &key_event->start_mark, "a key must be plain text");
	if (fleet_yaml_get(node, key->text))
		return fleet_error_set(b->err, -EBADMSG, "%s:%zu:%zu: the key '%s' is there twice",
			b->yaml->name, key_event->start_mark.line + 1, key_event->start_mark.column + 1,
			key->text);
	r = next_event(b, &e);
	if (r < 0)
		return r;
	r = build(b, &e, depth + 1, &value);
	if (r >= 0)
		r = adopt(b, node, key, &key_event->start_mark, depth);
	if (r >= 0)
		r = adopt(b, node, value, &e.start_mark, depth);
	if (r < 0)
		return r;
	node->keys = xreallocarray(node->keys, node->count + 1, sizeof(*node->keys));
	node->values = xreallocarray(node->values, node->count + 1, sizeof(*node->values));
	node->keys[node->count] = key;
	node->values[node->count++] = value;
	return 0;
}

static int build_mapping(
	struct builder *b, const yaml_event_t *start, unsigned depth, struct fleet_yaml_node **ret)
{
	struct fleet_yaml_node *node;

	if (start->data.mapping_start.tag)
		return fault_at(b, &start->start_mark, "tags are not supported");
	node = new_node(b, FLEET_YAML_MAPPING, &start->start_mark);
	for (;;) {
		_cleanup_(yaml_event_delete) yaml_event_t e = {0};
		int r = next_event(b, &e);

		if (r < 0)
			return r;
		if (e.type == YAML_MAPPING_END_EVENT)
			break;
		r = build_pair(b, node, &e, depth);
		if (r < 0)
			return r;
	}
	remember_anchor(b, start->data.mapping_start.anchor, node);
	*ret = node;
	return 0;
}

static int build(struct builder *b, const yaml_event_t *e, unsigned depth, struct fleet_yaml_node **ret)
{
	if (depth > FLEET_YAML_DEPTH_MAX)
		return fault_at(b, &e->start_mark, "nested too deep");
	if (++b->nodes > FLEET_YAML_NODES_MAX)
		return fault_at(b, &e->start_mark, "too many nodes");
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		return build_scalar(b, e, ret);
	case YAML_ALIAS_EVENT:
		return build_alias(b, e, ret);
	case YAML_SEQUENCE_START_EVENT:
		return build_sequence(b, e, depth, ret);
	case YAML_MAPPING_START_EVENT:
		return build_mapping(b, e, depth, ret);
	default:
		return fault_at(b, &e->start_mark, "a value was expected");
	}
}

static int build_document(struct builder *b)
{
	bool seen = false;

	for (;;) {
		_cleanup_(yaml_event_delete) yaml_event_t e = {0};
		int r = next_event(b, &e);

		if (r < 0)
			return r;
		switch (e.type) {
		case YAML_STREAM_END_EVENT:
			return 0;
		case YAML_STREAM_START_EVENT:
		case YAML_DOCUMENT_END_EVENT:
			break;
		case YAML_DOCUMENT_START_EVENT:
			if (seen)
				return fault_at(b, &e.start_mark, "a second document; only one is allowed");
			seen = true;
			break;
		default:
			r = build(b, &e, 1, &b->yaml->root);
			if (r < 0)
				return r;
		}
	}
}

int fleet_yaml_parse(
	const char *text, size_t len, const char *name, struct fleet_yaml **ret, struct fleet_error *err)
{
	_cleanup_(fleet_yaml_freep) struct fleet_yaml *yaml = xcalloc(1, sizeof(*yaml));
	struct builder b = {.yaml = yaml, .err = err};
	int r;

	yaml->name = xstrdup(name);
	if (len > FLEET_YAML_FILE_MAX)
		return fleet_error_set(err, -EBADMSG, "%s:1:1: it has %zu bytes, at most %u are allowed",
			name, len, FLEET_YAML_FILE_MAX);
	if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
		text += 3; /* an editor's byte order mark */
		len -= 3;
	}
	if (!yaml_parser_initialize(&b.parser))
		return fleet_error_set(err, -ENOMEM, "%s:1:1: out of memory", name);
	yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, len);
	r = build_document(&b);
	yaml_parser_delete(&b.parser);
	while (b.anchors) {
		struct anchor *a = b.anchors;

		b.anchors = a->next;
		free(a->name);
		free(a);
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(yaml);
	return 0;
}

void fleet_yaml_free(struct fleet_yaml *yaml)
{
	if (!yaml)
		return;
	while (yaml->cells) {
		struct cell *cell = yaml->cells;

		yaml->cells = cell->next;
		free(cell->node.text);
		free(cell->node.keys);
		free(cell->node.values);
		free(cell);
	}
	free(yaml->name);
	free(yaml);
}

const struct fleet_yaml_node *fleet_yaml_root(const struct fleet_yaml *yaml)
{
	return yaml->root;
}

const char *fleet_yaml_name(const struct fleet_yaml *yaml)
{
	return yaml->name;
}

const struct fleet_yaml_node *fleet_yaml_get(const struct fleet_yaml_node *mapping, const char *key)
{
	if (!mapping || mapping->kind != FLEET_YAML_MAPPING)
		return NULL;
	for (size_t i = 0; i < mapping->count; i++) {
		if (str_equal(mapping->keys[i]->text, key))
			return mapping->values[i];
	}
	return NULL;
}
