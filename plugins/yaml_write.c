#include "yaml_write.h"

static char quote_of(enum yaml_style style)
{
	return style == YAML_STYLE_DOUBLE ? '"' : style == YAML_STYLE_SINGLE ? '\'' : '\0';
}

/* What the last text among the members chose, where it had the choice. */
static void copy_quotes(const struct yaml_doc *doc, uint32_t container, struct yaml_writer *w)
{
	bool known = false;

	for (uint32_t n = doc->nodes[container].last; n != YAML_NONE && !known; n = doc->nodes[n].previous) {
		const struct yaml_node *node = &doc->nodes[n];
		struct text plain = {0};

		if (node->kind != YAML_KIND_SCALAR || node->type != FLEET_TYPE_STRING)
			continue;
		yaml_add_string(yaml_string(doc, node->value), node->value.len, '\0', false,
			YAML_PLAIN_STRING, &plain);
		known = plain.len > 0 && plain.data[0] != '"';
		if (known)
			w->quote = quote_of(node->style);
		text_done(&plain);
	}
	if (doc->nodes[container].last != YAML_NONE &&
		doc->nodes[doc->nodes[container].last].key != YAML_NONE) {
		const struct yaml_node *key = &doc->nodes[doc->nodes[doc->nodes[container].last].key];

		w->key_quote = quote_of(key->style);
		if (key->kind == YAML_KIND_SCALAR && key->style == YAML_STYLE_PLAIN)
			w->key_kind = yaml_plain_of(yaml_string(doc, key->value), key->value.len);
	}
}

void yaml_writer_quote_as(struct yaml_writer *w, enum yaml_style style)
{
	w->quote = quote_of(style);
}

static void copy_gaps(const struct yaml_doc *doc, uint32_t container, struct yaml_writer *w)
{
	for (uint32_t n = doc->nodes[container].last; n != YAML_NONE; n = doc->nodes[n].previous) {
		const struct yaml_node *node = &doc->nodes[n];
		uint32_t from = node->key != YAML_NONE ? doc->nodes[node->key].end : node->begin + 1, at;

		if (node->explicit || node->start <= from || node->start - from > 16)
			continue;
		for (at = from; at < node->start && strchr(": \t", doc->text[at]);)
			at++;
		if (at < node->start)
			continue;
		if (node->key != YAML_NONE) {
			w->colon = doc->text + from;
			w->colon_len = node->start - from;
		} else if (doc->nodes[container].style == YAML_STYLE_BLOCK) {
			w->dash_gap = node->start - from;
		}
		return;
	}
}

/* By how much a nested block collection of this kind stands in; false where nothing tells. */
static bool indent_in(const struct yaml_doc *doc, uint32_t mapping, enum yaml_kind kind, uint32_t *ret)
{
	const struct yaml_node *up = &doc->nodes[mapping];

	if (up->kind != YAML_KIND_MAPPING || up->style != YAML_STYLE_BLOCK)
		return false;
	for (uint32_t n = up->first; n != YAML_NONE; n = doc->nodes[n].next) {
		const struct yaml_node *node = &doc->nodes[n];

		if (node->kind != kind || node->style != YAML_STYLE_BLOCK || node->column < up->column ||
			node->column - up->column > 16)
			continue;
		*ret = node->column - up->column;
		return true;
	}
	return false;
}

static uint32_t indent_near(
	const struct yaml_doc *doc, uint32_t container, enum yaml_kind kind, uint32_t otherwise)
{
	uint32_t found;

	for (uint32_t n = container; n != YAML_NONE; n = doc->nodes[n].parent) {
		if (indent_in(doc, n, kind, &found))
			return found;
	}
	for (uint32_t n = 0; n < doc->count; n++) {
		if (indent_in(doc, n, kind, &found))
			return found;
	}
	return otherwise;
}

static const char *newline_near(const struct yaml_doc *doc, uint32_t at)
{
	const char *before = at > 0 ? memrchr(doc->text, '\n', at) : NULL;
	const char *lf = before ? before : memchr(doc->text + at, '\n', doc->len - at);

	return lf && lf > doc->text && lf[-1] == '\r' ? "\r\n" : "\n";
}

struct yaml_writer yaml_writer_for(
	const struct yaml_doc *doc, uint32_t container, const struct path *path, const struct json_doc *value)
{
	struct yaml_writer w = {.path = path, .value = value, .dash_gap = 1, .colon = ": ", .colon_len = 2};

	w.newline = newline_near(doc, container == YAML_NONE ? 0 : doc->nodes[container].end);
	w.unit = indent_near(doc, container, YAML_KIND_MAPPING, 2);
	w.sequence = indent_near(doc, container, YAML_KIND_SEQUENCE, w.unit);
	if (w.unit == 0)
		w.unit = 2;
	if (container != YAML_NONE) {
		copy_quotes(doc, container, &w);
		copy_gaps(doc, container, &w);
	}
	return w;
}

uint32_t yaml_source_type(const struct yaml_writer *w, struct yaml_source src)
{
	if (src.part < w->path->count)
		return w->path->parts[src.part].kind == PATH_NAME ? FLEET_TYPE_OBJECT : FLEET_TYPE_ARRAY;
	return w->value->nodes[src.node].type;
}

bool yaml_source_is_full(const struct yaml_writer *w, struct yaml_source src)
{
	uint32_t type = yaml_source_type(w, src);

	if (type != FLEET_TYPE_OBJECT && type != FLEET_TYPE_ARRAY)
		return false;
	return src.part < w->path->count || w->value->nodes[src.node].first != JSON_NONE;
}

/* The children: false after the last. Begin with *at at JSON_NONE. */
static bool next_child(const struct yaml_writer *w, struct yaml_source src, struct yaml_source *at)
{
	uint32_t previous = at->node;

	if (src.part < w->path->count) {
		*at = (struct yaml_source){src.part + 1, 0};
		return previous == JSON_NONE;
	}
	*at = (struct yaml_source){src.part,
		previous == JSON_NONE ? w->value->nodes[src.node].first : w->value->nodes[previous].next};
	return at->node != JSON_NONE;
}

/* A number is quoted, but not beside keys that are numbers too. */
static void add_key_name(
	const char *name, size_t len, char quote, bool flow, enum yaml_plain kind, struct text *out)
{
	enum yaml_plain plain = yaml_plain_of(name, len);

	if (quote == '\0' && plain == kind && (plain == YAML_PLAIN_INTEGER || plain == YAML_PLAIN_NUMBER))
		text_add(out, name, len);
	else
		yaml_add_string(name, len, quote, flow, kind, out);
}

/* The key of a child of src. */
static void add_key(const struct yaml_writer *w, struct yaml_source src, struct yaml_source child, bool flow,
	struct text *out)
{
	size_t from = out->len;
	bool json_like;

	if (src.part < w->path->count) {
		const struct path_part *part = &w->path->parts[src.part];

		add_key_name(part->name, part->name_len, w->key_quote, flow, w->key_kind, out);
	} else {
		const struct json_node *node = &w->value->nodes[child.node];
		struct text name = {0};

		json_string_decode(w->value->text + node->key_start, node->key_end - node->key_start, &name);
		yaml_add_string(
			name.data ? name.data : "", name.len, w->key_quote, flow, YAML_PLAIN_STRING, out);
		out->failed = out->failed || name.failed;
		text_done(&name);
	}
	json_like = flow && out->len > from && strchr("\"'", out->data[from]);
	text_add(out, w->colon, w->colon_len);
	if (w->colon[w->colon_len - 1] == ':' && !json_like) /* but {"a":1} may do without */
		text_add(out, " ", 1);
}

static void add_blanks(uint32_t n, struct text *out)
{
	for (; n > 0; n--)
		text_add(out, " ", 1);
}

void yaml_add_line(const struct yaml_writer *w, uint32_t column, struct text *out)
{
	text_add_string(out, w->newline);
	add_blanks(column, out);
}

void yaml_add_token(const struct yaml_writer *w, struct yaml_source src, bool flow, enum yaml_plain kind,
	struct text *out)
{
	const struct json_node *node = &w->value->nodes[src.node];

	if (node->type == FLEET_TYPE_STRING) {
		struct text decoded = {0};

		json_string_decode(w->value->text + node->start, node->end - node->start, &decoded);
		yaml_add_string(decoded.data ? decoded.data : "", decoded.len, w->quote, flow, kind, out);
		out->failed = out->failed || decoded.failed;
		text_done(&decoded);
	} else if (node->type == FLEET_TYPE_OBJECT || node->type == FLEET_TYPE_ARRAY) {
		text_add_string(out, node->type == FLEET_TYPE_OBJECT ? "{}" : "[]");
	} else {
		text_add(out, w->value->text + node->start, node->end - node->start);
	}
}

void yaml_add_flow(const struct yaml_writer *w, struct yaml_source src, struct text *out)
{
	bool object = yaml_source_type(w, src) == FLEET_TYPE_OBJECT, first = true;
	struct yaml_source child = {0, JSON_NONE};

	if (!yaml_source_is_full(w, src)) {
		yaml_add_token(w, src, true, YAML_PLAIN_STRING, out);
		return;
	}
	text_add(out, object ? "{" : "[", 1);
	while (next_child(w, src, &child)) {
		if (!first)
			text_add(out, ", ", 2);
		first = false;
		if (object)
			add_key(w, src, child, true, out);
		yaml_add_flow(w, child, out);
	}
	text_add(out, object ? "}" : "]", 1);
}

/* Behind a key with its colon, or a dash. */
static void add_value(
	const struct yaml_writer *w, struct yaml_source src, uint32_t column, bool dash, struct text *out)
{
	if (!yaml_source_is_full(w, src)) {
		yaml_add_token(w, src, false, YAML_PLAIN_STRING, out);
		return;
	}
	if (dash) {
		yaml_add_block(w, src, column + 1 + w->dash_gap, out);
		return;
	}
	while (out->len > 0 && (out->data[out->len - 1] == ' ' || out->data[out->len - 1] == '\t'))
		out->len--;
	column += yaml_source_type(w, src) == FLEET_TYPE_OBJECT ? w->unit : w->sequence;
	yaml_add_line(w, column, out);
	yaml_add_block(w, src, column, out);
}

static void add_entry(const struct yaml_writer *w, struct yaml_source src, struct yaml_source child,
	uint32_t column, struct text *out)
{
	bool object = yaml_source_type(w, src) == FLEET_TYPE_OBJECT;

	if (object) {
		add_key(w, src, child, false, out);
	} else {
		text_add(out, "-", 1);
		add_blanks(w->dash_gap, out);
	}
	add_value(w, child, column, !object, out);
}

void yaml_add_block(const struct yaml_writer *w, struct yaml_source src, uint32_t column, struct text *out)
{
	struct yaml_source child = {0, JSON_NONE};
	bool first = true;

	while (next_child(w, src, &child)) {
		if (!first)
			yaml_add_line(w, column, out);
		first = false;
		add_entry(w, src, child, column, out);
	}
}

void yaml_add_block_entry(const struct yaml_writer *w, size_t part, uint32_t column, struct text *out)
{
	add_entry(w, (struct yaml_source){part, 0}, (struct yaml_source){part + 1, 0}, column, out);
}

void yaml_add_flow_entry(const struct yaml_writer *w, size_t part, struct text *out)
{
	struct yaml_source src = {part, 0}, child = {part + 1, 0};

	if (w->path->parts[part].kind == PATH_NAME)
		add_key(w, src, child, true, out);
	yaml_add_flow(w, child, out);
}

bool yaml_block_text(
	const struct yaml_writer *w, struct text *header, struct text *lines, bool folded, uint32_t column)
{
	const struct json_node *node = &w->value->nodes[0];
	struct text decoded = {0};
	const char *s, *lf;
	size_t len, at = 0;
	bool good, ends;

	if (node->type != FLEET_TYPE_STRING)
		return false;
	json_string_decode(w->value->text + node->start, node->end - node->start, &decoded);
	s = decoded.data ? decoded.data : "";
	len = decoded.len;
	good = !decoded.failed && yaml_fits_block(s, len);
	if (good) {
		ends = s[len - 1] == '\n';
		len -= ends;
		/* a single line is never folded, so both kinds say the same of it */
		text_add_string(header, folded && !memchr(s, '\n', len) ? ">" : "|");
		if (!ends)
			text_add(header, "-", 1);
		while (at < len) {
			lf = memchr(s + at, '\n', len - at);
			text_add_string(lines, w->newline);
			if (lf != s + at)
				add_blanks(column, lines);
			text_add(lines, s + at, lf ? (size_t)(lf - s) - at : len - at);
			at = lf ? (size_t)(lf - s) + 1 : len;
		}
	}
	text_done(&decoded);
	return good;
}
