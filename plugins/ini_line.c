/* One line of an INI file: section, directive or key, and how far a value goes. */
#include "ini_doc.h"

/* Asked of every byte of a file, for sets of one or two: a loop is quicker than strchr there. */
static inline bool is_one_of(const char *set, char c)
{
	for (; *set; set++) {
		if (*set == c)
			return true;
	}
	return false;
}

bool ini_is_comment(const struct ini_rules *rules, const char *s, size_t at, size_t end)
{
	return at < end && is_one_of(rules->comments, s[at]);
}

static size_t find(const char *s, size_t at, size_t end, char c)
{
	const char *p = at < end ? memchr(s + at, c, end - at) : NULL;

	return p ? (size_t)(p - s) : INI_NONE;
}

/* The end of the text in double quotes that begins at `at`, behind the closing one. */
static size_t php_string_end(const char *s, size_t at, size_t end)
{
	for (size_t i = at + 1; i < end; i++) {
		if (s[i] == '\\')
			i++;
		else if (s[i] == '"')
			return i + 1;
	}
	return INI_NONE;
}

static size_t php_value_end(const char *s, size_t at, size_t end)
{
	for (size_t i = at; i < end; i++) {
		if (s[i] == ';')
			return i;
		if (s[i] == '"') {
			i = php_string_end(s, i, end);
			if (i == INI_NONE)
				return INI_NONE;
			i--;
		} else if (s[i] == '\'' && (i == at || line_is_blank_char(s[i - 1]))) {
			size_t close = find(s, i + 1, end, '\'');

			i = close == INI_NONE ? i : close;
		}
	}
	return end;
}

/* As the option files of MySQL are read: a backslash protects within quotes only. */
static size_t mysql_value_end(const char *comments, const char *s, size_t at, size_t end)
{
	bool escaped = false;
	char quote = '\0';

	for (size_t i = at; i < end; i++) {
		if ((s[i] == '\'' || s[i] == '"') && !escaped) {
			if (!quote)
				quote = s[i];
			else if (quote == s[i])
				quote = '\0';
		}
		if (!quote && is_one_of(comments, s[i]))
			return i;
		escaped = quote && s[i] == '\\' && !escaped;
	}
	return end;
}

/* A comment needs a blank before it, and does not begin within "...". */
static size_t plain_value_end(const struct ini_rules *rules, const char *s, size_t at, size_t end)
{
	for (size_t i = at; i < end; i++) {
		if (i > 0 && line_is_blank_char(s[i - 1]) && is_one_of(rules->inline_comments, s[i]))
			return i;
		if (rules->quotes != INI_QUOTES_NONE && (s[i] == '"' || (s[i] == '\'' && i == at))) {
			size_t close = find(s, i + 1, end, s[i]);

			i = close == INI_NONE ? i : close;
		}
	}
	return end;
}

size_t ini_line_value_end(const struct ini_rules *rules, const char *s, size_t at, size_t end)
{
	if (rules->inlined == INI_INLINE_NONE)
		return rules->quotes == INI_QUOTES_PHP && php_value_end(s, at, end) == INI_NONE ? INI_NONE
												: end;
	if (rules->quotes == INI_QUOTES_PHP)
		return php_value_end(s, at, end);
	if (rules->quotes == INI_QUOTES_MYSQL)
		return mysql_value_end(rules->inline_comments, s, at, end);
	return plain_value_end(rules, s, at, end);
}

char ini_line_quote(const struct ini_rules *rules, const char *s, size_t at, size_t end)
{
	char q = at < end ? s[at] : '\0';

	if (rules->quotes == INI_QUOTES_NONE || (q != '"' && q != '\'') || end - at < 2 || s[end - 1] != q)
		return '\0';
	if (rules->quotes == INI_QUOTES_MYSQL || rules->quotes == INI_QUOTES_PLAIN)
		return q;
	if (rules->quotes == INI_QUOTES_PHP && q == '"')
		return php_string_end(s, at, end) == end ? q : '\0';
	return find(s, at + 1, end - 1, q) == INI_NONE ? q : '\0';
}

static int parse_section(const struct ini_doc *doc, struct line line, size_t at, struct ini_item *item,
	struct fleet_driver_error *err)
{
	const char *s = doc->text;
	size_t close = find(s, at, line.end, ']');
	bool followed = false;

	for (; close != INI_NONE; close = find(s, close + 1, line.end, ']')) {
		size_t rest = line_skip_blanks(s, close + 1, line.end);

		if (rest == line.end || is_one_of(";#", s[rest]))
			break;
		followed = true;
	}
	if (close == INI_NONE)
		return ini_doc_fail(doc, at, err, -EINVAL,
			followed ? "something stands behind the ] of a section" : "a section without ]");
	if (close == at + 1)
		return ini_doc_fail(doc, at, err, -EINVAL, "a section without a name");
	item->kind = INI_SECTION;
	item->name_start = at + 1;
	item->name_end = close;
	return 0;
}

static bool is_directive(const char *s, size_t at, size_t end)
{
	static const char *const words[] = {"!include", "!includedir"};
	size_t word = at;

	while (word < end && !line_is_blank_char(s[word]))
		word++;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (text_equal(s + at, word - at, words[i], strlen(words[i])))
			return true;
	}
	return false;
}

/* May [at, end) be a key that has no value? */
static bool is_bare(const struct ini_rules *rules, const char *s, size_t at, size_t end)
{
	if (rules->bare != INI_BARE_WORDS)
		return rules->bare == INI_BARE_ANY;
	for (; at < end; at++) {
		char c = s[at];

		if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9') && c != '-' &&
			c != '_')
			return false;
	}
	return true;
}

/* The lines that continue an indented value: those that are indented deeper than its key. Blank lines and
 * comments belong to it only where more of it follows. */
static void take_indented(const struct ini_doc *doc, size_t indent, struct ini_item *item)
{
	const char *s = doc->text;
	bool comment = false;

	for (size_t at = item->end; at < doc->len;) {
		struct line line = line_at(s, doc->len, at);
		size_t begin = line_skip_blanks(s, line.start, line.end), end;

		at = line.next;
		if (begin == line.end)
			continue;
		if (ini_is_comment(doc->rules, s, begin, line.end)) {
			comment = true;
			continue;
		}
		if (begin - line.start <= indent)
			break;
		end = ini_line_value_end(doc->rules, s, begin, line.end);
		item->inner_comment = item->inner_comment || comment || end != line.end;
		item->several_lines = true;
		item->value_end = line_trim(s, begin, end);
		item->end = line.next;
	}
}

static bool ends_in_backslash(const char *s, size_t start, size_t end)
{
	size_t n = 0;

	while (end > start && s[end - 1] == '\\') {
		end--;
		n++;
	}
	return n % 2 == 1;
}

static void take_backslashed(const struct ini_doc *doc, struct line line, struct ini_item *item)
{
	const char *s = doc->text;
	bool more = ends_in_backslash(s, line.start, line.end);

	while (more && line.next < doc->len) {
		size_t begin;

		line = line_at(s, doc->len, line.next);
		begin = line_skip_blanks(s, line.start, line.end);
		item->several_lines = true;
		item->end = line.next;
		if (ini_is_comment(doc->rules, s, begin, line.end)) {
			item->inner_comment = true;
			continue;
		}
		more = ends_in_backslash(s, line.start, line.end);
		item->value_end = line_trim(s, begin, line.end);
	}
}

static int parse_value(const struct ini_doc *doc, struct line line, size_t begin, struct ini_item *item,
	struct fleet_driver_error *err)
{
	const struct ini_rules *rules = doc->rules;
	size_t at = line_skip_blanks(doc->text, item->delimiter + 1, line.end);
	size_t end = ini_line_value_end(rules, doc->text, at, line.end);

	if (end == INI_NONE)
		return ini_doc_fail(doc, at, err, -EINVAL,
			"a double quote without end on this line; values of several lines are not edited "
			"here");
	item->value_start = at;
	item->value_end = line_trim(doc->text, at, end);
	if (rules->continuation == INI_CONTINUES_INDENTED) {
		bool comment = end < line.end;

		take_indented(doc, begin - line.start, item);
		item->inner_comment = item->several_lines && (item->inner_comment || comment);
	}
	if (rules->continuation == INI_CONTINUES_BACKSLASH)
		take_backslashed(doc, line, item);
	if (!item->several_lines)
		item->quote = ini_line_quote(rules, doc->text, at, item->value_end);
	return 0;
}

int ini_line_parse(
	const struct ini_doc *doc, struct line line, struct ini_item *item, struct fleet_driver_error *err)
{
	const struct ini_rules *rules = doc->rules;
	const char *s = doc->text;
	size_t begin = line_skip_blanks(s, line.start, line.end), at = begin, bad;
	bool comment = false;
	int r;

	if (s[begin] == '[') {
		r = parse_section(doc, line, begin, item, err);
	} else if (rules->directives && is_directive(s, begin, line.end)) {
		item->kind = INI_DIRECTIVE;
		return 0;
	} else {
		item->kind = INI_KEY;
		for (; at < line.end && !is_one_of(rules->delimiters, s[at]) && !comment; at++)
			comment = at > begin && is_one_of(rules->inline_comments, s[at]) &&
				  (rules->inlined == INI_INLINE_ANYWHERE ||
					  (rules->inlined == INI_INLINE_AFTER_BLANK &&
						  line_is_blank_char(s[at - 1])));
		at -= comment;
		item->name_start = begin;
		item->name_end = item->value_start = item->value_end = line_trim(s, begin, at);
		if (item->name_end == begin)
			return ini_doc_fail(doc, at, err, -EINVAL, "a name is missing");
		if (at < line.end && !comment) {
			item->delimiter = at;
			r = parse_value(doc, line, begin, item, err);
		} else if (is_bare(rules, s, begin, item->name_end)) {
			r = 0;
		} else {
			r = ini_doc_fail(doc, begin, err, -EINVAL,
				strchr(rules->delimiters, '=') ? "expected key = value"
							       : "expected key: value");
		}
	}
	if (r < 0)
		return r;
	bad = lines_bad_utf8(s, item->name_start, item->name_end);
	if (bad == item->name_end) {
		bad = lines_bad_utf8(s, item->value_start, item->value_end);
		if (bad == item->value_end)
			return 0;
	}
	return ini_doc_fail(doc, bad, err, -EINVAL, "a byte that is not UTF-8");
}
