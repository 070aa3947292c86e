#include "ini_value.h"
#include "ini_doc.h"

static bool has(const char *value, size_t len, char c)
{
	return len > 0 && memchr(value, c, len);
}

static bool has_any(const char *value, size_t len, const char *set)
{
	for (size_t i = 0; i < len; i++) {
		if (value[i] && strchr(set, value[i]))
			return true;
	}
	return false;
}

static const char *check_bytes(const struct ini_rules *rules, const char *value, size_t len)
{
	const char *written = rules->quotes == INI_QUOTES_MYSQL ? "\n\r\b\t" : "\t";

	if (lines_bad_utf8(value, 0, len) < len)
		return "is not UTF-8 text";
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)value[i];

		if (c == '\n' && !strchr(written, c))
			return "has a line break in it, which this kind of file cannot hold";
		if ((c < 0x20 && !(c && strchr(written, c))) || c == 0x7f)
			return "has a control character in it, which this kind of file cannot hold";
	}
	return NULL;
}

/* Why the value cannot stand there without quotes. */
static const char *check_plain(const struct ini_rules *rules, const char *value, size_t len)
{
	if (len > 0 && (line_is_blank_char(value[0]) || line_is_blank_char(value[len - 1])) &&
		!(rules->quotes == INI_QUOTES_MYSQL && value[0] != ' ' && value[len - 1] != ' '))
		return "begins or ends with a blank, which would be lost";
	if (rules->quotes == INI_QUOTES_MYSQL)
		return has_any(value, len, "#'\"") ? "has a quote or # in it" : NULL;
	if (rules->quotes == INI_QUOTES_PHP)
		return has_any(value, len, "={}|&~!()^\"'$;?[]<>*\\`") ? "has a special character in it"
								       : NULL;
	if (ini_line_quote(rules, value, 0, len))
		return "stands in quotes, which would be taken off";
	if (len > 0 && rules->inlined != INI_INLINE_NONE && strchr(rules->inline_comments, value[0]))
		return "would be read as a comment";
	if (ini_line_value_end(rules, value, 0, len) != len)
		return "has a blank and then ; or # in it, and what follows would be read as a comment";
	if (rules->continuation == INI_CONTINUES_BACKSLASH && len > 0 && value[len - 1] == '\\')
		return "ends in a backslash, which would take in the next line";
	return NULL;
}

static void add_mysql(const char *value, size_t len, char quote, struct text *out)
{
	static const char from[] = "\n\t\r\b\\", to[] = "ntrb\\";

	for (size_t i = 0; i < len; i++) {
		const char *known = strchr(from, value[i]);

		if (known || (quote && value[i] == quote))
			text_add(out, "\\", 1);
		text_add(out, known ? to + (known - from) : value + i, 1);
	}
}

static void add_php(const char *value, size_t len, struct text *out)
{
	for (size_t i = 0; i < len; i++) {
		if (value[i] == '\\' || value[i] == '"')
			text_add(out, "\\", 1);
		text_add(out, value + i, 1);
	}
}

static const char *check_quoted(const struct ini_rules *rules, const char *value, size_t len, char quote)
{
	if (rules->quotes == INI_QUOTES_MYSQL || rules->quotes == INI_QUOTES_PLAIN)
		return NULL;
	if (rules->quotes == INI_QUOTES_PHP && quote == '"') {
		for (size_t i = 0; i + 1 < len; i++) {
			if (value[i] == '$' && value[i + 1] == '{')
				return "has both ${ and a single quote in it, which PHP cannot read as they "
				       "are";
		}
		return NULL;
	}
	return has(value, len, quote) ? "has the quote in it that stands around this file's value" : NULL;
}

static void add_quoted(
	const struct ini_rules *rules, const char *value, size_t len, char quote, struct text *out)
{
	text_add(out, &quote, 1);
	if (rules->quotes == INI_QUOTES_MYSQL)
		add_mysql(value, len, quote, out);
	else if (rules->quotes == INI_QUOTES_PHP && quote == '"')
		add_php(value, len, out);
	else
		text_add(out, value, len);
	text_add(out, &quote, 1);
}

const char *ini_value_add(
	const struct ini_rules *rules, const char *value, size_t len, char quote, struct text *out)
{
	const char *why = check_bytes(rules, value, len), *told = NULL;
	const char tries[] = {quote, '"', '\''};

	if (why)
		return why;
	for (size_t i = 0; i < sizeof(tries); i++) {
		if (tries[i] == '\0') {
			why = check_plain(rules, value, len);
			if (!why && rules->quotes == INI_QUOTES_MYSQL)
				add_mysql(value, len, '\0', out);
			else if (!why)
				text_add(out, value, len);
		} else if (i > 0 && (rules->quotes == INI_QUOTES_NONE || rules->quotes == INI_QUOTES_KEPT)) {
			return told;
		} else {
			why = check_quoted(rules, value, len, tries[i]);
			if (!why)
				add_quoted(rules, value, len, tries[i], out);
		}
		if (!why)
			return NULL;
		told = i < 2 ? why : told;
	}
	return told;
}
