#include <errno.h>
#include "json_insert.h"
#include "json_style.h"

struct insertion {
	const struct path *path;
	const struct json_doc *value;
	struct json_layout layout;
};

/* Adds the member or element for part i, with everything that the later parts need. */
static void add_child(const struct insertion *in, size_t i, unsigned deeper, struct text *out)
{
	const struct path_part *part = &in->path->parts[i];
	bool object, lines;

	if (part->kind == PATH_NAME) {
		if (!json_string_encode(part->name, part->name_len, out))
			out->failed = true; /* seen to in check_parts */
		text_add(out, in->layout.style.colon.data, in->layout.style.colon.len);
	}
	if (i + 1 == in->path->count) {
		json_add_value(&in->layout, deeper, in->value, 0, out);
		return;
	}
	object = in->path->parts[i + 1].kind == PATH_NAME;
	lines = in->layout.lines &&
		(object || i + 2 < in->path->count || in->value->nodes[0].first != JSON_NONE);
	text_add(out, object ? "{" : "[", 1);
	if (lines)
		json_add_line(&in->layout, deeper + 1, out);
	add_child(in, i + 1, deeper + 1, out);
	if (lines)
		json_add_line(&in->layout, deeper, out);
	text_add(out, object ? "}" : "]", 1);
}

static int check_parts(const struct path *path, size_t from, struct fleet_driver_error *err)
{
	for (size_t i = from; i < path->count; i++) {
		struct text token = {0};
		bool good = path->parts[i].kind != PATH_NAME ||
			    json_string_encode(path->parts[i].name, path->parts[i].name_len, &token);

		text_done(&token);
		if (!good)
			return fleet_driver_fail(
				err, -EINVAL, 0, 0, "a name in the key path is not UTF-8 text");
		if (path->parts[i].kind == PATH_INDEX)
			return fleet_driver_fail(err, -EINVAL, 0, 0,
				"there is no array yet to have an element of this index; the first one of a "
				"new array is [+]");
	}
	return 0;
}

/* Where a member's commented-out example stands: `// "name": 1`. */
struct example {
	uint32_t previous;   /* the sibling before it, or JSON_NONE */
	uint32_t start, end; /* of the comment */
};

static bool is_example(const struct json_doc *doc, uint32_t start, uint32_t end, const struct path_part *part)
{
	const char *s = doc->text;
	uint32_t at = start + 2, key;

	while (at < end && strchr(" \t/*", s[at]) && s[at])
		at++;
	if (at >= end || s[at] != '"')
		return false;
	for (key = at++; at < end && s[at] != '"'; at++) {
		if (s[at] == '\\')
			return false; /* no name that anybody comments out */
	}
	if (at >= end || !text_equal(s + key + 1, at - key - 1, part->name, part->name_len))
		return false;
	at = json_doc_skip(doc, at + 1, end, false, false);
	return at < end && s[at] == ':';
}

static bool at_line_end(const struct json_doc *doc, uint32_t at)
{
	at = json_doc_skip(doc, at, doc->len, false, false);
	return at < doc->len && (doc->text[at] == '\n' || doc->text[at] == '\r');
}

/* In the gap behind `previous`. */
static bool find_in_gap(const struct json_doc *doc, uint32_t from, uint32_t to, const struct path_part *part,
	struct example *ret)
{
	for (uint32_t at = json_doc_skip(doc, from, to, true, false); at < to;
		at = json_doc_skip(doc, at, to, true, false)) {
		uint32_t end = json_doc_comment_end(doc, at);

		if (end == at) {
			at++; /* a comma */
			continue;
		}
		if (is_example(doc, at, end, part) && json_is_line_start(doc, at) && at_line_end(doc, end)) {
			ret->start = at;
			ret->end = end;
			return true;
		}
		at = end;
	}
	return false;
}

static bool find_example(
	const struct json_doc *doc, uint32_t container, const struct path_part *part, struct example *ret)
{
	const struct json_node *node = &doc->nodes[container];
	uint32_t from = node->start + 1;

	if (part->kind != PATH_NAME)
		return false;
	ret->previous = JSON_NONE;
	for (uint32_t n = node->first; n != JSON_NONE; n = doc->nodes[n].next) {
		if (find_in_gap(doc, from, json_node_begin(&doc->nodes[n]), part, ret))
			return true;
		ret->previous = n;
		from = doc->nodes[n].comma != JSON_NONE ? doc->nodes[n].comma + 1 : doc->nodes[n].end;
	}
	return find_in_gap(doc, from, node->end - 1, part, ret);
}

/* The new line ends as the one that it comes behind, which may not be how the others end. */
static void take_newline(const struct json_doc *doc, uint32_t at, struct insertion *in)
{
	at = json_doc_skip(doc, at, doc->len, false, false);
	if (at < doc->len && doc->text[at] == '\n')
		in->layout.style.newline = (struct json_span){"\n", 1};
	else if (at + 1 < doc->len && doc->text[at] == '\r' && doc->text[at + 1] == '\n')
		in->layout.style.newline = (struct json_span){"\r\n", 2};
}

static void insert_after_example(const struct json_doc *doc, uint32_t container, const struct example *e,
	struct insertion *in, size_t i, struct splices *s)
{
	const struct json_node *node = &doc->nodes[container];
	bool last = e->previous == node->last;
	const struct json_node *previous = e->previous == JSON_NONE ? NULL : &doc->nodes[e->previous];

	in->layout.indent = json_line_indent(doc, e->start);
	in->layout.lines = true;
	take_newline(doc, e->end, in);
	if (last && previous && previous->comma == JSON_NONE)
		splice_insert(s, previous->end, ",");
	splice_begin(s, e->end, e->end);
	json_add_line(&in->layout, 0, &s->text);
	add_child(in, i, 0, &s->text);
	if (!last || (previous && previous->comma != JSON_NONE))
		text_add(&s->text, ",", 1);
	splice_end(s);
}

static void insert_after_last(
	const struct json_doc *doc, uint32_t container, struct insertion *in, size_t i, struct splices *s)
{
	const struct json_node *node = &doc->nodes[container], *last = &doc->nodes[node->last];
	uint32_t begin = json_node_begin(last), at;
	bool trailing = last->comma != JSON_NONE;

	in->layout.indent = json_line_indent(doc, begin);
	in->layout.lines = json_is_line_start(doc, begin);
	at = trailing ? last->comma + 1 : last->end;
	if (in->layout.lines) {
		uint32_t comments = json_doc_skip(doc, at, node->end - 1, false, true);

		if (at_line_end(doc, comments))
			at = comments;
		take_newline(doc, at, in);
	}
	if (!trailing)
		splice_insert(s, last->end, ",");
	splice_begin(s, at, at);
	if (in->layout.lines)
		json_add_line(&in->layout, 0, &s->text);
	else
		text_add(&s->text, in->layout.style.gap.data, in->layout.style.gap.len);
	add_child(in, i, 0, &s->text);
	if (trailing)
		text_add(&s->text, ",", 1);
	splice_end(s);
}

/* The end of the last comment in an empty container, or JSON_NONE. */
static uint32_t last_comment(const struct json_doc *doc, uint32_t start, uint32_t end)
{
	uint32_t found = JSON_NONE;

	for (uint32_t at = json_doc_skip(doc, start, end, true, false); at < end;
		at = json_doc_skip(doc, at, end, true, false))
		found = at = json_doc_comment_end(doc, at);
	return found;
}

static void insert_first(
	const struct json_doc *doc, uint32_t container, struct insertion *in, size_t i, struct splices *s)
{
	const struct json_node *node = &doc->nodes[container];
	uint32_t begin = json_node_begin(node), comment = last_comment(doc, node->start + 1, node->end - 1);
	uint32_t from = comment == JSON_NONE ? node->start + 1 : comment;
	bool broken = memchr(doc->text + from, '\n', node->end - 1 - from) != NULL;

	in->layout.indent = json_line_indent(doc, begin);
	in->layout.extra = 1;
	in->layout.lines = broken || (comment == JSON_NONE &&
					     (node->parent == JSON_NONE || json_is_line_start(doc, begin)));
	splice_begin(s, from, comment == JSON_NONE ? node->end - 1 : from);
	if (in->layout.lines)
		json_add_line(&in->layout, 0, &s->text);
	else if (comment != JSON_NONE)
		text_add(&s->text, " ", 1);
	add_child(in, i, 0, &s->text);
	if (in->layout.lines && comment == JSON_NONE) {
		in->layout.extra = 0;
		json_add_line(&in->layout, 0, &s->text);
	}
	splice_end(s);
}

int json_insert(const struct json_doc *doc, uint32_t container, const struct path *path, size_t i,
	const struct json_doc *value, struct splices *s, struct fleet_driver_error *err)
{
	struct insertion in = {
		.path = path, .value = value, .layout = {.style = json_style_of(doc, container)}};
	struct example example;
	int r = check_parts(path, i, err);

	if (r < 0)
		return r;
	if (find_example(doc, container, &path->parts[i], &example))
		insert_after_example(doc, container, &example, &in, i, s);
	else if (doc->nodes[container].last != JSON_NONE)
		insert_after_last(doc, container, &in, i, s);
	else
		insert_first(doc, container, &in, i, s);
	return 0;
}

int json_insert_root(const struct json_doc *doc, const struct path *path, const struct json_doc *value,
	struct splices *s, struct fleet_driver_error *err)
{
	struct insertion in = {.path = path,
		.value = value,
		.layout = {.style = json_style_of(doc, JSON_NONE), .lines = true}};
	const struct json_span newline = in.layout.style.newline;
	bool object = path->parts[0].kind == PATH_NAME;
	int r = check_parts(path, 0, err);

	if (r < 0)
		return r;
	splice_begin(s, doc->len, doc->len);
	if (json_doc_skip(doc, 0, doc->len, true, false) < doc->len && doc->text[doc->len - 1] != '\n' &&
		doc->text[doc->len - 1] != '\xbf')
		text_add(&s->text, newline.data, newline.len); /* behind a comment */
	text_add(&s->text, object ? "{" : "[", 1);
	json_add_line(&in.layout, 1, &s->text);
	add_child(&in, 0, 1, &s->text);
	json_add_line(&in.layout, 0, &s->text);
	text_add(&s->text, object ? "}" : "]", 1);
	text_add(&s->text, newline.data, newline.len);
	splice_end(s);
	return 0;
}
