/* A new entry: where it goes, and how it looks there. */
#include <errno.h>
#include "utf8.h"
#include "yaml_edit.h"
#include "yaml_write.h"

static int check_parts(const struct path *path, size_t from, struct fleet_driver_error *err)
{
	for (size_t i = from; i < path->count; i++) {
		const struct path_part *part = &path->parts[i];

		if (part->kind == PATH_INDEX)
			return fleet_driver_fail(err, -EINVAL, 0, 0,
				"there is no sequence yet to have an element of this index; the first one of "
				"a new sequence is [+]");
		for (size_t at = 0; part->kind == PATH_NAME && at < part->name_len;) {
			size_t n = utf8_sequence(part->name + at, part->name_len - at);

			if (n == 0)
				return fleet_driver_fail(
					err, -EINVAL, 0, 0, "a name in the key path is not UTF-8 text");
			at += n;
		}
	}
	return 0;
}

/* Behind the # at `at`, is it `name:`? Where its name begins. */
static uint32_t example_name(
	const struct yaml_doc *doc, uint32_t at, uint32_t end, const struct path_part *part)
{
	uint32_t name = yaml_doc_skip(doc, at + 1, end, false, false), from = name, to;
	char quote = name < end && strchr("\"'", doc->text[name]) ? doc->text[name] : '\0';

	from += quote != '\0';
	to = from + (uint32_t)part->name_len;
	if (part->name_len > end || to > end || memcmp(doc->text + from, part->name, part->name_len) != 0)
		return YAML_NONE;
	if (quote && (to >= end || doc->text[to] != quote))
		return YAML_NONE;
	to = yaml_doc_skip(doc, to + (quote != '\0'), end, false, false);
	if (to >= end || doc->text[to] != ':' || (to + 1 < end && !strchr(" \t", doc->text[to + 1])))
		return YAML_NONE;
	return name;
}

/* What of the example follows in more comment lines, deeper than its name. Returns where its last line ends.
 */
static uint32_t example_end(const struct yaml_doc *doc, uint32_t hash, uint32_t name, uint32_t to)
{
	uint32_t line = yaml_line_start(doc, hash), end = yaml_line_end(doc, hash);

	for (;;) {
		uint32_t next = yaml_line_next(doc, end), at = yaml_doc_skip(doc, next, to, false, false),
			 deep;

		if (at >= to || doc->text[at] != '#' || at - next != hash - line)
			return end;
		deep = yaml_doc_skip(doc, at + 1, to, false, false);
		if (deep - next <= name - line || deep == yaml_line_end(doc, at))
			return end;
		end = yaml_line_end(doc, at);
	}
}

/* A commented-out example of the entry among the lines of [from, to): where its last line ends. */
static uint32_t example_in(
	const struct yaml_doc *doc, uint32_t from, uint32_t to, uint32_t column, const struct path_part *part)
{
	uint32_t line = yaml_is_line_start(doc, from) ? yaml_line_start(doc, from)
						      : yaml_line_next(doc, yaml_line_end(doc, from));

	for (; line < to; line = yaml_line_next(doc, yaml_line_end(doc, line))) {
		uint32_t hash = yaml_doc_skip(doc, line, to, false, false), end = yaml_line_end(doc, line),
			 name;

		if (hash >= to || end > to || doc->text[hash] != '#')
			continue;
		name = example_name(doc, hash, end, part);
		/* the # stands where the key will, or before a line that is the key's but for it */
		if (name != YAML_NONE &&
			(hash - line == column || (hash == line && name - hash - 1 == column)))
			return example_end(doc, hash, name, to);
	}
	return YAML_NONE;
}

/* Where what follows the container begins. */
static uint32_t limit_behind(const struct yaml_doc *doc, uint32_t document, uint32_t container)
{
	for (uint32_t n = container; n != YAML_NONE; n = doc->nodes[n].parent) {
		if (doc->nodes[n].next != YAML_NONE)
			return doc->nodes[doc->nodes[n].next].begin;
	}
	return doc->documents[document].end;
}

static uint32_t find_example(
	const struct yaml_doc *doc, uint32_t document, uint32_t container, const struct path_part *part)
{
	const struct yaml_node *node = &doc->nodes[container];
	uint32_t from = node->begin, found;

	if (part->kind != PATH_NAME)
		return YAML_NONE;
	if (node->parent == YAML_NONE)
		from = doc->documents[document].start;
	else if (node->key != YAML_NONE)
		from = doc->nodes[node->key].end;
	for (uint32_t n = node->first; n != YAML_NONE; n = doc->nodes[n].next) {
		found = example_in(doc, from, doc->nodes[n].begin, node->column, part);
		if (found != YAML_NONE)
			return found;
		from = doc->nodes[n].end;
	}
	return example_in(doc, from, limit_behind(doc, document, container), node->column, part);
}

/* New lines come in front of the line end at `at`, which becomes the last one's: in a file that mixes them,
 * the old line needs one of the same kind to be what it was. */
static void take_newline(const struct yaml_doc *doc, uint32_t at, struct yaml_writer *w)
{
	if (at < doc->len && doc->text[at] == '\n')
		w->newline = "\n";
	else if (at + 1 < doc->len && doc->text[at] == '\r' && doc->text[at + 1] == '\n')
		w->newline = "\r\n";
}

static void insert_in_block(const struct yaml_doc *doc, uint32_t document, uint32_t container,
	struct yaml_writer *w, size_t i, struct splices *s)
{
	const struct yaml_node *node = &doc->nodes[container];
	uint32_t at = find_example(doc, document, container, &w->path->parts[i]);

	if (at == YAML_NONE)
		at = yaml_line_end(doc, doc->nodes[node->last].end);
	take_newline(doc, at, w);
	splice_begin(s, at, at);
	yaml_add_line(w, node->column, &s->text);
	yaml_add_block_entry(w, i, node->column, &s->text);
	splice_end(s);
}

/* `{}`, `[ ]`: the blanks that are there come on both sides. */
static void insert_in_empty(const struct yaml_doc *doc, uint32_t container, const struct yaml_writer *w,
	size_t i, struct splices *s)
{
	const struct yaml_node *node = &doc->nodes[container];
	uint32_t from = node->body + 1, to = node->end - 1;
	bool blank = yaml_doc_skip(doc, from, to, false, false) == to;

	splice_begin(s, from, blank ? to : from);
	if (blank)
		text_add(&s->text, doc->text + from, to - from);
	yaml_add_flow_entry(w, i, &s->text);
	if (blank)
		text_add(&s->text, doc->text + from, to - from);
	splice_end(s);
}

static void insert_in_flow(
	const struct yaml_doc *doc, uint32_t container, struct yaml_writer *w, size_t i, struct splices *s)
{
	const struct yaml_node *node = &doc->nodes[container], *last = &doc->nodes[node->last];
	uint32_t comma = yaml_comma(doc, node->last), at = comma == YAML_NONE ? last->end : comma + 1;
	uint32_t line = yaml_line_start(doc, last->begin), close = node->end - 1;
	bool lines = yaml_is_line_start(doc, last->begin);

	if (lines) {
		uint32_t behind = yaml_doc_skip(doc, at, close, false, true);

		if (behind == yaml_line_end(doc, behind))
			at = behind;
		take_newline(doc, at, w);
	}
	if (comma == YAML_NONE)
		splice_insert(s, last->end, ",");
	splice_begin(s, at, at);
	if (lines) {
		text_add_string(&s->text, w->newline);
		text_add(&s->text, doc->text + line, last->begin - line);
	} else if (last->previous == YAML_NONE || yaml_comma(doc, last->previous) + 1 < last->begin) {
		text_add(&s->text, " ", 1);
	}
	yaml_add_flow_entry(w, i, &s->text);
	if (comma != YAML_NONE)
		text_add(&s->text, ",", 1);
	splice_end(s);
}

int yaml_insert(const struct yaml_doc *doc, uint32_t document, uint32_t container, const struct path *path,
	size_t i, const struct json_doc *value, struct splices *s, struct fleet_driver_error *err)
{
	const struct yaml_node *node = &doc->nodes[container];
	struct yaml_writer w = yaml_writer_for(doc, container, path, value);
	int r = check_parts(path, i, err);

	if (r < 0)
		return r;
	if (node->style == YAML_STYLE_BLOCK) {
		insert_in_block(doc, document, container, &w, i, s);
		return 0;
	}
	if (!strchr("[{", doc->text[node->body]))
		return yaml_doc_fail(doc, node->start, err, -EINVAL,
			"this is a single pair in a sequence: edit the file by hand");
	if (node->last == YAML_NONE)
		insert_in_empty(doc, container, &w, i, s);
	else
		insert_in_flow(doc, container, &w, i, s);
	return 0;
}

int yaml_insert_root(const struct yaml_doc *doc, uint32_t document, const struct path *path,
	const struct json_doc *value, struct splices *s, struct fleet_driver_error *err)
{
	struct yaml_writer w = yaml_writer_for(doc, YAML_NONE, path, value);
	uint32_t from = doc->bom, to = doc->len, at;
	int r = check_parts(path, 0, err);

	if (r < 0)
		return r;
	if (document == 0 && doc->document_count > 1 && path->parts[0].kind != PATH_NAME)
		return fleet_driver_fail(err, -EINVAL, 0, 0,
			"the first of several documents can get keys, no elements: the others' keys stand "
			"beside its own");
	if (document < doc->document_count) {
		from = doc->documents[document].start;
		to = doc->documents[document].end;
	}
	at = path->parts[0].kind == PATH_NAME ? example_in(doc, from, to, 0, &path->parts[0]) : YAML_NONE;
	splice_begin(s, at == YAML_NONE ? to : at, at == YAML_NONE ? to : at);
	if (at != YAML_NONE) {
		take_newline(doc, at, &w);
		yaml_add_line(&w, 0, &s->text);
		yaml_add_block_entry(&w, 0, 0, &s->text);
	} else if (to == doc->len && to > doc->bom && doc->text[to - 1] != '\n') {
		yaml_add_line(&w, 0, &s->text);
		yaml_add_block_entry(&w, 0, 0, &s->text);
	} else {
		yaml_add_block_entry(&w, 0, 0, &s->text);
		yaml_add_line(&w, 0, &s->text);
	}
	splice_end(s);
	return 0;
}
