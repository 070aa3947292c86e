#include "ini_doc.h"

int ini_doc_fail(
	const struct ini_doc *doc, size_t at, struct fleet_driver_error *err, int code, const char *why)
{
	return lines_fail(doc->text, doc->len, at, err, code, why);
}

static struct ini_item *add_item(struct ini_doc *doc)
{
	if (doc->count == doc->capacity) {
		size_t capacity = doc->capacity ? doc->capacity * 2 : 256;
		struct ini_item *grown = realloc(doc->items, capacity * sizeof(*grown));

		if (!grown)
			return NULL;
		doc->items = grown;
		doc->capacity = capacity;
	}
	return &doc->items[doc->count++];
}

static const char *next(const struct ini_doc *doc, const char *from, char c)
{
	size_t left = doc->len - (size_t)(from - doc->text);

	return left > 0 ? memchr(from, c, left) : NULL;
}

/* What no INI file has, whatever reads it. */
static int check_bytes(const struct ini_doc *doc, struct fleet_driver_error *err)
{
	const char *s = doc->text, *nul = next(doc, s, '\0');

	if (doc->len >= 2 && (memcmp(s, "\xff\xfe", 2) == 0 || memcmp(s, "\xfe\xff", 2) == 0))
		return ini_doc_fail(doc, 0, err, -EINVAL, "this is UTF-16: save the file as UTF-8");
	for (const char *cr = s; (cr = next(doc, cr, '\r')) && (!nul || cr < nul); cr++) {
		if (cr + 1 == s + doc->len || cr[1] != '\n')
			return ini_doc_fail(
				doc, (size_t)(cr - s), err, -EINVAL, "a carriage return that is no line end");
	}
	if (nul)
		return ini_doc_fail(doc, (size_t)(nul - s), err, -EINVAL, "a NUL byte: this is no text");
	return 0;
}

int ini_doc_parse(const struct ini_rules *rules, const char *text, size_t len, struct ini_doc *ret,
	struct fleet_driver_error *err)
{
	int r;

	*ret = (struct ini_doc){.rules = rules, .text = text, .len = len};
	r = check_bytes(ret, err);
	if (r < 0)
		return r;
	for (size_t at = lines_bom(text, len); at < len;) {
		struct line line = line_at(text, len, at);
		size_t begin = line_skip_blanks(text, line.start, line.end);
		struct ini_item *item = add_item(ret);

		if (!item)
			return fleet_driver_fail(err, -ENOMEM, 0, 0, "out of memory");
		*item = (struct ini_item){.kind = INI_BLANK,
			.start = line.start,
			.end = line.next,
			.delimiter = INI_NONE,
			.next = INI_NONE};
		if (ini_is_comment(rules, text, begin, line.end))
			item->kind = INI_COMMENT;
		else if (begin < line.end)
			r = ini_line_parse(ret, line, item, err);
		if (r < 0)
			return r;
		at = item->end;
	}
	r = ini_index(ret);
	return r < 0 ? fleet_driver_fail(err, r, 0, 0, "out of memory") : 0;
}

void ini_doc_done(struct ini_doc *doc)
{
	free(doc->items);
	free(doc->sections);
	free(doc->names);
	free(doc->section_names);
	*doc = (struct ini_doc){0};
}

void ini_doc_path(const struct ini_doc *doc, size_t i, bool with_index, struct text *out)
{
	const struct ini_item *item = &doc->items[i], *first = &doc->items[item->first];
	const struct ini_section *section = &doc->sections[item->section];

	if (item->section > 0)
		path_add_name(out, doc->text + section->name_start, section->name_end - section->name_start);
	path_add_name(out, doc->text + first->name_start, first->name_end - first->name_start);
	if (with_index && first->count > 1)
		path_add_index(out, item->nth);
}

static void add_unescaped_php(const char *s, size_t len, struct text *out)
{
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\\' && i + 1 < len && strchr("\\\"'", s[i + 1]))
			i++;
		text_add(out, s + i, 1);
	}
}

static void add_unescaped_mysql(const char *s, size_t len, struct text *out)
{
	static const char from[] = "ntrbs\"'\\", to[] = "\n\t\r\b \"'\\";

	for (size_t i = 0; i < len; i++) {
		const char *known = s[i] == '\\' && i + 1 < len && s[i + 1] ? strchr(from, s[i + 1]) : NULL;

		text_add(out, known ? to + (known - from) : s + i, 1);
		i += known != NULL;
	}
}

static void add_several_lines(const struct ini_doc *doc, const struct ini_item *item, struct text *out)
{
	bool indented = doc->rules->continuation == INI_CONTINUES_INDENTED;
	const char *s = doc->text;
	size_t from = out->len;
	bool began = false;

	for (size_t at = item->value_start; at <= item->value_end && at < doc->len;) {
		struct line line = line_at(s, doc->len, at);
		size_t begin = line_skip_blanks(s, at, line.end), end = line.end;

		at = line.next;
		if (began && ini_is_comment(doc->rules, s, begin, end))
			continue;
		if (indented)
			end = ini_line_value_end(doc->rules, s, begin, end);
		else if (end > begin && s[end - 1] == '\\' && line.next < doc->len)
			end--;
		end = line_trim(s, begin, end);
		/* a blank in place of the backslash, but none around the value */
		if (began && (indented || (out->len > from && end > begin)))
			text_add(out, indented ? "\n" : " ", 1);
		began = true;
		text_add(out, s + begin, end - begin);
		if (line.next == line.end)
			break; /* the file's last */
	}
}

void ini_doc_value(const struct ini_doc *doc, size_t i, struct text *out)
{
	const struct ini_item *item = &doc->items[i];
	size_t quoted = item->quote != '\0', len = item->value_end - item->value_start - 2 * quoted;
	const char *s = doc->text + item->value_start + quoted;

	if (item->several_lines)
		add_several_lines(doc, item, out);
	else if (doc->rules->quotes == INI_QUOTES_MYSQL)
		add_unescaped_mysql(s, len, out);
	else if (doc->rules->quotes == INI_QUOTES_PHP && item->quote == '"')
		add_unescaped_php(s, len, out);
	else
		text_add(out, s, len);
}
