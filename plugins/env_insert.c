/* Where a new key goes, and in which style: behind the commented-out example of itself, else behind the last
 * assignment, else at the file's end, behind a comment in case of need with an empty line between. */
#include "env_edit.h"

struct style {
	size_t indent_start, indent_end;
	size_t export_start, export_end; /* the word and the blanks behind; equal: without */
	char quote;
};

/* `export` and the blanks behind it, at `at`; else `at`. */
static size_t skip_export(const char *s, size_t at, size_t end)
{
	if (end - at > 7 && memcmp(s + at, "export", 6) == 0 && line_is_blank_char(s[at + 6]))
		return line_skip_blanks(s, at + 6, end);
	return at;
}

/* Is the line `#NAME=...`, in any of the ways in which people write that? */
static bool is_example(const char *s, struct line line, const struct env_wish *wish, struct style *ret)
{
	size_t at = line_skip_blanks(s, line.start, line.end), name;

	*ret = (struct style){.indent_start = line.start, .indent_end = at};
	if (at == line.end || !strchr("#;", s[at]))
		return false;
	while (at < line.end && strchr("#; \t", s[at]))
		at++;
	name = skip_export(s, at, line.end);
	if (line.end - name <= wish->name_len || memcmp(s + name, wish->name, wish->name_len) != 0 ||
		s[name + wish->name_len] != '=')
		return false;
	ret->export_start = at;
	ret->export_end = name;
	ret->quote = env_quote_of(s, name + wish->name_len + 1, line.end);
	return true;
}

static bool is_comment(const char *s, struct line line)
{
	size_t at = line_skip_blanks(s, line.start, line.end);

	return at < line.end && s[at] == '#';
}

/* Behind the last example, with the comment lines that a backslash makes part of it. */
static bool find_example(
	const struct env_doc *doc, const struct env_wish *wish, size_t *ret, struct style *style)
{
	const char *s = doc->text.data;
	size_t len = doc->text.len, next;
	bool found = false;

	for (size_t at = 0; at < len; at = next) {
		struct line line = line_at(s, len, at);
		struct style this;

		next = line.next;
		if (!is_example(s, line, wish, &this))
			continue;
		while (next < len && line.end > line.start && s[line.end - 1] == '\\' &&
			is_comment(s, line_at(s, len, next))) {
			line = line_at(s, len, next);
			next = line.next;
		}
		found = true;
		*ret = next;
		*style = this;
	}
	return found;
}

/* The assignment that a key at `at` has for its neighbour: the one before, else the first behind. */
static const struct env_item *neighbour(const struct env_doc *doc, size_t at)
{
	const struct env_item *found = NULL;

	for (size_t i = 0; i < doc->count; i++) {
		const struct env_item *item = &doc->items[i];

		if (!env_item_is_sh(item) || !item->systemd || item->sh->hidden)
			continue;
		if (item->start < at || !found)
			found = item;
	}
	return found;
}

static bool all_exported(const struct env_doc *doc)
{
	for (size_t i = 0; i < doc->count; i++) {
		const struct env_item *item = &doc->items[i];
		size_t start;

		if (!env_item_is_sh(item))
			continue;
		start = line_skip_blanks(doc->text.data, item->sh->line_start, item->start);
		if (start == item->start)
			return false;
	}
	return true;
}

static void take_style(
	const struct env_doc *doc, const struct env_item *item, bool whole, struct style *style)
{
	const char *s = doc->text.data;
	size_t start = line_skip_blanks(s, item->sh->line_start, item->start);
	size_t name = skip_export(s, start, item->start + item->name_len);

	if (whole) {
		style->indent_start = item->sh->line_start;
		style->indent_end = start;
		style->quote = env_quote_of(s, item->sh->value_start, item->sh->value_end);
	}
	/* systemd passes over lines with export: a file that it reads too has some without */
	if (style->export_start == style->export_end && name == item->start && all_exported(doc)) {
		style->export_start = start;
		style->export_end = name;
	}
}

static void compose(const struct env_doc *doc, const struct env_wish *wish, const struct style *style,
	size_t at, bool apart, struct env_change *ret)
{
	const char *s = doc->text.data;
	size_t len = doc->text.len, bom = len > 0 ? lines_bom(s, len) : 0;
	const char *ending = lines_ending(s, len, at);
	bool cut = at > 0 && s[at - 1] != '\n'; /* the last line has no end */

	*ret = (struct env_change){.key = ENV_NONE, .start = at, .end = at};
	if (cut)
		text_add_string(&ret->text, ending);
	if (apart)
		text_add_string(&ret->text, ending);
	if (style->indent_end > style->indent_start)
		text_add(&ret->text, s + style->indent_start, style->indent_end - style->indent_start);
	if (style->export_end > style->export_start)
		text_add(&ret->text, s + style->export_start, style->export_end - style->export_start);
	text_add(&ret->text, wish->name, wish->name_len);
	text_add(&ret->text, "=", 1);
	env_spell(*wish->value, style->quote, &ret->text);
	if (!cut || len == bom)
		text_add_string(&ret->text, ending);
}

/* A comment is the last line. An assignment that goes on at the file's end is somebody's slip: an empty line
 * would end it, and stay when the new key goes again. */
static bool ends_in_comment(const struct env_doc *doc)
{
	const char *s = doc->text.data;
	size_t len = doc->text.len, start = len > 0 && s[len - 1] == '\n' ? len - 1 : len;

	while (start > 0 && s[start - 1] != '\n')
		start--;
	return is_comment(s, line_at(s, len, start));
}

bool env_insert_propose(
	const struct env_doc *doc, const struct env_wish *wish, unsigned n, struct env_change *ret)
{
	struct style style = {0};
	const struct env_item *near;
	size_t at = doc->text.len;
	bool example = false;

	if (n > 3 || (n == 3 && !ends_in_comment(doc)))
		return false;
	if (n == 0)
		example = find_example(doc, wish, &at, &style);
	if (!example && n < 2 && doc->count > 0) {
		const struct env_item *last = &doc->items[doc->count - 1];

		at = env_item_is_sh(last) ? last->sh->line_end : last->systemd->line_end;
	}
	near = neighbour(doc, at);
	if (near)
		take_style(doc, near, !example, &style);
	compose(doc, wish, &style, at, n == 3, ret); /* no comment before can go on in it */
	return true;
}
