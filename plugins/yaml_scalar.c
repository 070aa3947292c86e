#include <stdio.h>
#include "utf8.h"
#include "yaml_scalar.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static size_t digits(const char *s, size_t len, size_t at)
{
	while (at < len && is_digit(s[at]))
		at++;
	return at;
}

static bool is_word(const char *text, size_t len, const char *word)
{
	char upper[16], capital[16];
	size_t n = strlen(word);

	if (n != len || n >= sizeof(upper))
		return false;
	for (size_t i = 0; i <= n; i++) {
		upper[i] = word[i] >= 'a' && word[i] <= 'z' ? (char)(word[i] - 0x20) : word[i];
		capital[i] = i == 0 ? upper[i] : word[i];
	}
	return memcmp(text, word, n) == 0 || memcmp(text, upper, n) == 0 || memcmp(text, capital, n) == 0;
}

static bool only(const char *s, size_t len, size_t at, const char *set)
{
	if (at >= len)
		return false;
	for (; at < len; at++) {
		if (!s[at] || !strchr(set, s[at]))
			return false;
	}
	return true;
}

/* 2001-12-14, and with a time behind it. */
static bool is_time(const char *s, size_t len)
{
	size_t i;

	if (len < 8 || digits(s, len, 0) != 4 || s[4] != '-')
		return false;
	i = digits(s, len, 5);
	if (i == 5 || i > 7 || i >= len || s[i] != '-')
		return false;
	s += i + 1;
	len -= i + 1;
	i = digits(s, len, 0);
	return i > 0 && i <= 2 && (i == len || strchr("Tt \t", s[i]));
}

/* Whole and decimal numbers, without sign. */
static enum yaml_plain decimal(const char *s, size_t len)
{
	size_t whole = digits(s, len, 0), at = whole;
	bool point = false, exponent = false, fraction = false;

	if (at < len && s[at] == '.') {
		point = true;
		fraction = digits(s, len, at + 1) > at + 1;
		at = digits(s, len, at + 1);
	}
	if (whole == 0 && !fraction)
		return YAML_PLAIN_STRING;
	if (at < len && (s[at] == 'e' || s[at] == 'E')) {
		size_t from = at + 1;

		if (from < len && (s[from] == '+' || s[from] == '-'))
			from++;
		exponent = true;
		at = digits(s, len, from);
		if (at == from)
			return YAML_PLAIN_STRING;
	}
	if (at < len)
		return YAML_PLAIN_STRING;
	if (point || exponent)
		return whole > 1 && *s == '0' ? YAML_PLAIN_ZEROS : YAML_PLAIN_NUMBER;
	return whole > 1 && *s == '0' ? YAML_PLAIN_ZEROS : YAML_PLAIN_INTEGER;
}

static enum yaml_plain number(const char *text, size_t len)
{
	bool sign = text[0] == '+' || text[0] == '-';
	const char *s = text + sign;
	size_t n = len - sign;
	enum yaml_plain plain;

	if (n == 0)
		return YAML_PLAIN_STRING;
	if (is_word(s, n, ".inf") || (!sign && (is_word(s, n, ".nan") || is_word(s, n, ".NaN"))))
		return YAML_PLAIN_INFINITE;
	if (n == 4 && s[0] == '.' && (memcmp(s + 1, "Inf", 3) == 0 || memcmp(s + 1, "NaN", 3) == 0))
		return YAML_PLAIN_INFINITE;
	if (n > 2 && s[0] == '0' && strchr("xXobB", s[1])) {
		static const char hex[] = "0123456789abcdefABCDEF";

		if (s[1] == 'x' && !sign && n <= 2 + 15 && only(s, n, 2, hex))
			return YAML_PLAIN_INTEGER;
		if (s[1] == 'o' && !sign && n <= 2 + 20 && only(s, n, 2, "01234567"))
			return YAML_PLAIN_INTEGER;
		return only(s, n, 2, "_0123456789abcdefABCDEF") ? YAML_PLAIN_BASE : YAML_PLAIN_STRING;
	}
	plain = decimal(s, n);
	if (plain != YAML_PLAIN_STRING)
		return plain;
	if (is_digit(*s) && memchr(s, ':', n) && only(s, n, 0, "0123456789_:."))
		return YAML_PLAIN_SIXTY;
	if ((is_digit(*s) || *s == '.' || *s == '_') && memchr(s, '_', n) &&
		only(s, n, 0, "0123456789_.eE+-"))
		return YAML_PLAIN_UNDERSCORES;
	return YAML_PLAIN_STRING;
}

enum yaml_plain yaml_plain_of(const char *text, size_t len)
{
	static const struct {
		const char *word;
		enum yaml_plain plain;
	} words[] = {{"null", YAML_PLAIN_NULL}, {"~", YAML_PLAIN_NULL}, {"true", YAML_PLAIN_BOOLEAN},
		{"false", YAML_PLAIN_BOOLEAN}, {"yes", YAML_PLAIN_BOOLEAN}, {"no", YAML_PLAIN_BOOLEAN},
		{"on", YAML_PLAIN_BOOLEAN}, {"off", YAML_PLAIN_BOOLEAN}, {"y", YAML_PLAIN_WORD},
		{"n", YAML_PLAIN_WORD}, {"=", YAML_PLAIN_WORD}, {"<<", YAML_PLAIN_WORD}};

	if (len == 0)
		return YAML_PLAIN_NULL;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (is_word(text, len, words[i].word))
			return words[i].plain;
	}
	if (!text[0] || !strchr("+-.0123456789_", text[0]))
		return YAML_PLAIN_STRING;
	return is_time(text, len) ? YAML_PLAIN_TIME : number(text, len);
}

uint32_t yaml_plain_type(enum yaml_plain plain)
{
	static const uint32_t types[] = {FLEET_TYPE_STRING, FLEET_TYPE_NULL, FLEET_TYPE_BOOLEAN,
		FLEET_TYPE_INTEGER, FLEET_TYPE_NUMBER};

	return plain < YAML_PLAIN_ZEROS ? types[plain] : FLEET_TYPE_STRING;
}

/* A decimal as JSON spells it: no plus, a digit on each side of the point. */
static void add_decimal(const char *text, size_t len, struct text *out)
{
	size_t at = 0, point;

	if (text[at] == '+' || text[at] == '-') {
		if (text[at] == '-')
			text_add(out, "-", 1);
		at++;
	}
	if (text[at] == '.')
		text_add(out, "0", 1);
	point = digits(text, len, at);
	text_add(out, text + at, point - at);
	if (point >= len)
		return;
	if (text[point] != '.') {
		text_add(out, text + point, len - point);
		return;
	}
	text_add(out, ".", 1);
	at = point + 1;
	if (at >= len || !is_digit(text[at]))
		text_add(out, "0", 1);
	text_add(out, text + at, len - at);
}

static void add_based(const char *text, size_t len, struct text *out)
{
	uint64_t n = 0;
	char buffer[32];

	for (size_t i = 2; i < len; i++) {
		char c = text[i];

		if (text[1] == 'o')
			n = n * 8 + (uint64_t)(c - '0');
		else
			n = n * 16 + (uint64_t)(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	(void)snprintf(buffer, sizeof(buffer), "%llu", (unsigned long long)n);
	text_add_string(out, buffer);
}

const char *yaml_boolean_like(const char *old, size_t len, bool value)
{
	static const char *const words[][2] = {{"false", "true"}, {"False", "True"}, {"FALSE", "TRUE"},
		{"no", "yes"}, {"No", "Yes"}, {"NO", "YES"}, {"off", "on"}, {"Off", "On"}, {"OFF", "ON"}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		for (size_t k = 0; k < 2; k++) {
			if (text_equal(old, len, words[i][k], strlen(words[i][k])))
				return words[i][value];
		}
	}
	return words[0][value];
}

void yaml_plain_json(enum yaml_plain plain, const char *text, size_t len, struct text *out)
{
	if (plain == YAML_PLAIN_NULL)
		text_add_string(out, "null");
	else if (plain == YAML_PLAIN_BOOLEAN)
		text_add_string(out,
			is_word(text, len, "true") || is_word(text, len, "yes") || is_word(text, len, "on")
				? "true"
				: "false");
	else if (plain == YAML_PLAIN_INTEGER && len > 2 && (text[1] == 'x' || text[1] == 'o'))
		add_based(text, len, out);
	else
		add_decimal(text, len, out);
}

static uint32_t code_point(const char *s, size_t n)
{
	static const unsigned char mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t code = (unsigned char)s[0] & mask[n];

	for (size_t i = 1; i < n; i++)
		code = code << 6 | ((unsigned char)s[i] & 0x3f);
	return code;
}

/* May it stand for itself in a file that everyone reads alike? */
static bool is_printable(uint32_t code)
{
	return (code >= 0x20 && code < 0x7f) || (code >= 0xa0 && code != 0x2028 && code != 0x2029 &&
							code != 0xfeff && (code & 0xfffe) != 0xfffe);
}

static bool all_printable(const char *text, size_t len, const char *also)
{
	for (size_t i = 0; i < len;) {
		size_t n = utf8_sequence(text + i, len - i);

		if (n == 0)
			return false;
		if (!is_printable(code_point(text + i, n)) && (!text[i] || !strchr(also, text[i])))
			return false;
		i += n;
	}
	return true;
}

/* Would the text, plain, be one scalar of just these bytes? On the careful side. */
static bool is_plain_safe(const char *s, size_t len, bool flow)
{
	if (len == 0 || s[0] == ' ' || s[len - 1] == ' ' || s[len - 1] == ':' || !all_printable(s, len, ""))
		return false;
	if (strchr("?:,[]{}#&*!|>'\"%@`", s[0]))
		return false;
	if (s[0] == '-' &&
		(len == 1 || s[1] == ' ' || strchr(",[]{}", s[1]) || (len > 2 && s[1] == '-' && s[2] == '-')))
		return false;
	if (len >= 3 && memcmp(s, "...", 3) == 0)
		return false;
	for (size_t i = 0; i + 1 < len; i++) {
		if ((s[i] == ':' && s[i + 1] == ' ') || (s[i] == ' ' && s[i + 1] == '#'))
			return false;
	}
	if (flow) {
		for (size_t i = 0; i < len; i++) {
			if (strchr(",[]{}?:#", s[i]) && !(s[i] == ':' && i + 1 < len && s[i + 1] != ':'))
				return false;
		}
	}
	return true;
}

static void add_escape(uint32_t code, struct text *out)
{
	static const char from[] = "\"\\\a\b\f\n\r\t\v\x1b", to[] = "\"\\abfnrtve";
	const char *known = code && code < 0x80 ? strchr(from, (int)code) : NULL;
	char buffer[16];

	if (known)
		(void)snprintf(buffer, sizeof(buffer), "\\%c", to[known - from]);
	else if (code < 0x100)
		(void)snprintf(buffer, sizeof(buffer), "\\x%02X", (unsigned)code);
	else if (code < 0x10000)
		(void)snprintf(buffer, sizeof(buffer), "\\u%04X", (unsigned)code);
	else
		(void)snprintf(buffer, sizeof(buffer), "\\U%08X", (unsigned)code);
	text_add_string(out, buffer);
}

static void add_double(const char *text, size_t len, struct text *out)
{
	text_add(out, "\"", 1);
	for (size_t i = 0; i < len;) {
		size_t n = utf8_sequence(text + i, len - i);
		uint32_t code;

		if (n == 0) {
			out->failed = true; /* seen to by the callers */
			return;
		}
		code = code_point(text + i, n);
		if (code == '"' || code == '\\' || !is_printable(code))
			add_escape(code, out);
		else
			text_add(out, text + i, n);
		i += n;
	}
	text_add(out, "\"", 1);
}

static void add_single(const char *text, size_t len, struct text *out)
{
	text_add(out, "'", 1);
	for (size_t i = 0; i < len; i++) {
		text_add(out, text + i, 1);
		if (text[i] == '\'')
			text_add(out, "'", 1);
	}
	text_add(out, "'", 1);
}

void yaml_add_string(
	const char *text, size_t len, char quote, bool flow, enum yaml_plain kind, struct text *out)
{
	enum yaml_plain plain = yaml_plain_of(text, len);

	if (quote == '\0' && (plain == YAML_PLAIN_STRING || (plain == kind && plain >= YAML_PLAIN_ZEROS)) &&
		is_plain_safe(text, len, flow))
		text_add(out, text, len);
	else if (quote == '\'' && all_printable(text, len, ""))
		add_single(text, len, out);
	else
		add_double(text, len, out);
}

bool yaml_fits_block(const char *text, size_t len)
{
	if (len == 0 || text[0] == ' ' || text[0] == '\n' || text[0] == '\t' ||
		!all_printable(text, len, "\n\t"))
		return false;
	if (len >= 2 && text[len - 1] == '\n' && text[len - 2] == '\n')
		return false;
	for (size_t i = 0; i < len; i++) { /* blanks at the end of a line: nobody would see them */
		if ((text[i] == ' ' || text[i] == '\t') && (i + 1 == len || text[i + 1] == '\n'))
			return false;
	}
	return true;
}
