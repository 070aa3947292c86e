/* Finding the place of an edit, changing a value there, taking one away. */
#include <errno.h>
#include <stdio.h>
#include "json_edit.h"
#include "json_insert.h"
#include "json_style.h"

bool json_edit_is_blank(const struct json_doc *doc, uint32_t start, uint32_t end)
{
	return json_doc_skip(doc, start, end, true, false) == end;
}

static int find_name(const struct json_doc *doc, uint32_t container, const struct path *path, size_t i,
	uint32_t *ret, struct fleet_driver_error *err)
{
	const struct path_part *part = &path->parts[i];
	uint32_t found = JSON_NONE, times = 0;
	bool containers = false;

	for (uint32_t n = doc->nodes[container].first; n != JSON_NONE; n = doc->nodes[n].next) {
		const struct json_node *node = &doc->nodes[n];

		if (!json_string_is(doc->text + node->key_start, node->key_end - node->key_start, part->name,
			    part->name_len))
			continue;
		found = n;
		times++;
		containers = containers || node->type == FLEET_TYPE_OBJECT || node->type == FLEET_TYPE_ARRAY;
	}
	if (times > 1 && (containers || i + 1 < path->count))
		return json_doc_fail(doc, doc->nodes[found].key_start, err, -EINVAL,
			"this name is there more than once, so it is not clear which is meant: edit the file "
			"by hand");
	if (found == JSON_NONE)
		return 1;
	*ret = found;
	return 0;
}

int json_edit_find(const struct json_doc *doc, uint32_t container, const struct path *path, size_t i,
	uint32_t *ret, struct fleet_driver_error *err)
{
	const struct json_node *node = &doc->nodes[container];
	const struct path_part *part = &path->parts[i];
	uint32_t n = node->first;

	if (part->kind == PATH_NAME) {
		if (node->type != FLEET_TYPE_OBJECT)
			return json_doc_fail(doc, node->start, err, -EINVAL,
				node->type == FLEET_TYPE_ARRAY
					? "this is an array: its elements are [0], [1] and so on"
					: "this is a single value and has no members");
		return find_name(doc, container, path, i, ret, err);
	}
	if (node->type != FLEET_TYPE_ARRAY)
		return json_doc_fail(doc, node->start, err, -EINVAL, "this is not an array");
	if (part->kind == PATH_APPEND)
		return 1;
	if (part->index >= node->count)
		return json_doc_fail(doc, node->start, err, -EINVAL,
			"this array has no element of that index; a new last one is [+]");
	for (uint32_t k = 0; k < part->index; k++)
		n = doc->nodes[n].next;
	*ret = n;
	return 0;
}

static int replace(const struct json_doc *doc, uint32_t node, const struct json_doc *value, struct splices *s)
{
	const struct json_node *old = &doc->nodes[node];
	uint32_t begin = json_node_begin(old), up = old->parent;
	struct json_layout layout = {
		.style = json_style_of(doc, up == JSON_NONE ? node : up),
		.indent = json_line_indent(doc, begin),
		.lines = up == JSON_NONE || json_is_line_start(doc, begin),
	};

	if (json_values_equal(doc, node, value, 0))
		return 0;
	splice_begin(s, old->start, old->end);
	json_add_value(&layout, 0, value, 0, &s->text);
	splice_end(s);
	return 0;
}

static int set(const struct json_doc *doc, const struct path *path, const struct json_doc *value,
	struct splices *s, struct fleet_driver_error *err)
{
	uint32_t at = 0;

	if (doc->empty)
		return json_insert_root(doc, path, value, s, err);
	for (size_t i = 0; i < path->count; i++) {
		uint32_t child;
		int r = json_edit_find(doc, at, path, i, &child, err);

		if (r < 0)
			return r;
		if (r > 0)
			return json_insert(doc, at, path, i, value, s, err);
		at = child;
	}
	return replace(doc, at, value, s);
}

int json_edit_set(const struct json_doc *doc, const struct path *path, const struct fleet_edit *edit,
	struct splices *s, struct fleet_driver_error *err)
{
	struct json_doc value = {0};
	struct text token = {0};
	int r;

	r = json_value_parse(edit, &token, &value, err);
	if (r == 0)
		r = set(doc, path, &value, s, err);
	json_doc_done(&value);
	text_done(&token);
	return r;
}

static bool newline_at(const struct json_doc *doc, uint32_t at, uint32_t *ret_after)
{
	uint32_t lf = at < doc->len && doc->text[at] == '\r' ? at + 1 : at;

	if (lf >= doc->len || doc->text[lf] != '\n')
		return false;
	*ret_after = lf + 1;
	return true;
}

/* Takes the value with its own line, where it has lines to itself. */
static bool remove_lines(const struct json_doc *doc, uint32_t n, struct splices *s)
{
	const struct json_node *node = &doc->nodes[n];
	uint32_t begin = json_node_begin(node), tail = node->end, after, line;

	if (!json_is_line_start(doc, begin))
		return false;
	if (node->comma != JSON_NONE) {
		if (memchr(doc->text + node->end, '\n', node->comma - node->end))
			return false; /* the comma leads the next line */
		tail = node->comma + 1;
	}
	if (!newline_at(doc, json_doc_skip(doc, tail, doc->len, false, true), &after))
		return false;
	line = begin - (uint32_t)json_line_indent(doc, begin).len;
	if (node->next == JSON_NONE && node->comma == JSON_NONE && node->previous != JSON_NONE) {
		uint32_t comma = doc->nodes[node->previous].comma;

		splice_remove(s, comma, comma + 1);
	}
	splice_remove(s, line, after);
	return true;
}

/* From the comma before the value to its end, but for comments on the way. */
static void remove_with_comma_before(const struct json_doc *doc, uint32_t n, struct splices *s)
{
	const struct json_node *node = &doc->nodes[n];
	uint32_t comma = doc->nodes[node->previous].comma, begin = json_node_begin(node), from = comma + 1,
		 after;

	for (;;) {
		uint32_t at = json_doc_skip(doc, from, begin, true, false), end;

		if (at >= begin)
			break;
		end = json_doc_comment_end(doc, at);
		if (doc->text[at + 1] == '/')
			(void)newline_at(
				doc, end, &end); /* without its newline it would swallow what follows */
		from = end;
	}
	if (from == comma + 1 && json_is_line_start(doc, comma) &&
		newline_at(doc, json_doc_skip(doc, node->end, doc->len, false, false), &after)) {
		/* commas lead the lines here: the line is its own */
		splice_remove(s, comma - json_line_indent(doc, comma).len, after);
	} else if (from > comma + 1) {
		splice_remove(s, comma, comma + 1);
		splice_remove(s, from, node->end);
	} else {
		splice_remove(s, comma, node->end);
	}
}

static void take_out(const struct json_doc *doc, uint32_t n, struct splices *s)
{
	const struct json_node *node = &doc->nodes[n], *up = &doc->nodes[node->parent];
	uint32_t begin = json_node_begin(node), tail = node->comma != JSON_NONE ? node->comma + 1 : node->end;

	if (up->count == 1 && json_edit_is_blank(doc, up->start + 1, begin) &&
		json_edit_is_blank(doc, tail, up->end - 1) &&
		json_edit_is_blank(doc, node->end, tail - (node->comma != JSON_NONE))) {
		splice_remove(s, up->start + 1, up->end - 1);
		return;
	}
	if (remove_lines(doc, n, s))
		return;
	if (node->next != JSON_NONE && (node->previous == JSON_NONE || json_is_line_start(doc, begin)))
		splice_remove(s, begin,
			json_doc_skip(doc, tail, json_node_begin(&doc->nodes[node->next]), false, false));
	else if (node->previous != JSON_NONE)
		remove_with_comma_before(doc, n, s);
	else
		splice_remove(s, begin, tail);
}

int json_edit_unset(const struct json_doc *doc, const struct path *path, struct splices *s,
	struct fleet_driver_error *err)
{
	uint32_t at = 0;

	for (size_t i = 0; i < path->count; i++) {
		if (path->parts[i].kind == PATH_APPEND)
			return fleet_driver_fail(
				err, -EINVAL, 0, 0, "[+] cannot be unset: it is for a new element");
	}
	if (doc->empty)
		return 0;
	for (size_t i = 0; i < path->count; i++) {
		int r = json_edit_find(doc, at, path, i, &at, err);

		if (r != 0)
			return r < 0 ? r : 0;
	}
	take_out(doc, at, s);
	return 0;
}
