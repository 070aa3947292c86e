/* Parsing: a scanner of our own first, because json-c forgives more than RFC 8259 allows (NaN, raw control
 * characters, numbers cut to 64 bits) and tells no line; then json-c builds the tree. */
#include "fleet/json.h"
#include "fleet/limits.h"
#include "fleet/text.h"

struct scan {
	const char *text, *at, *end;
	unsigned depth;
	struct fleet_error *err;
};

static int fault(struct scan *s, const char *why)
{
	unsigned line = 1, column = 1;

	if (!s->err)
		return -EBADMSG;
	for (const char *p = s->text; p < s->at; p++) {
		if (*p == '\n') {
			line++;
			column = 1;
		} else if (((unsigned char)*p & 0xC0) != 0x80) {
			column++;
		}
	}
	return fleet_error_set(s->err, -EBADMSG, "not valid JSON: line %u, column %u: %s", line, column, why);
}

static char peek(const struct scan *s)
{
	return s->at < s->end ? *s->at : '\0'; /* a NUL inside is nowhere allowed either */
}

static void skip_space(struct scan *s)
{
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
		s->at++;
}

static int scan_word(struct scan *s, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
		return fault(s, "a value was expected");
	s->at += len;
	return 0;
}

static int scan_hex4(struct scan *s, unsigned *ret)
{
	unsigned value = 0;

	for (int i = 0; i < 4; i++) {
		char c = peek(s);

		if (c >= '0' && c <= '9')
			value = value * 16 + (unsigned)(c - '0');
		else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
			value = value * 16 + (unsigned)((c | 0x20) - 'a' + 10);
		else
			return fault(s, "\\u needs four hex digits");
		s->at++;
	}
	*ret = value;
	return 0;
}

/* What follows a backslash. */
static int scan_escape(struct scan *s)
{
	unsigned unit, low;
	int r;

	if (s->at == s->end || *s->at == '\0' || !strchr("\"\\/bfnrtu", *s->at))
		return fault(s, "unknown escape in a string");
	if (*s->at++ != 'u')
		return 0;
	r = scan_hex4(s, &unit);
	if (r < 0)
		return r;
	if (unit == 0)
		return fault(s, "a string must not contain NUL");
	if (unit >= 0xDC00 && unit <= 0xDFFF)
		return fault(s, "half of a surrogate pair");
	if (unit < 0xD800 || unit > 0xDBFF)
		return 0;
	if (s->end - s->at < 2 || s->at[0] != '\\' || s->at[1] != 'u')
		return fault(s, "half of a surrogate pair");
	s->at += 2;
	r = scan_hex4(s, &low);
	if (r < 0)
		return r;
	return low >= 0xDC00 && low <= 0xDFFF ? 0 : fault(s, "half of a surrogate pair");
}

static int scan_string(struct scan *s)
{
	int r;

	for (s->at++;;) {
		size_t n;

		if (s->at == s->end)
			return fault(s, "a string does not end");
		if (*s->at == '"') {
			s->at++;
			return 0;
		}
		if (*s->at == '\\') {
			s->at++;
			r = scan_escape(s);
			if (r < 0)
				return r;
			continue;
		}
		if ((unsigned char)*s->at < 0x20)
			return fault(s, "a control character in a string must be escaped");
		n = fleet_text_utf8_sequence(s->at, (size_t)(s->end - s->at));
		if (n == 0)
			return fault(s, "not valid UTF-8");
		s->at += n;
	}
}

static int scan_digits(struct scan *s)
{
	if (peek(s) < '0' || peek(s) > '9')
		return fault(s, "a digit was expected");
	while (peek(s) >= '0' && peek(s) <= '9')
		s->at++;
	return 0;
}

/* Would json-c keep this whole number, or cut it to what 64 bits hold? */
static bool fits_64_bits(const char *digits, size_t len, bool negative)
{
	uint64_t value = 0, limit = negative ? (uint64_t)INT64_MAX + 1 : UINT64_MAX;

	for (size_t i = 0; i < len; i++) {
		if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(digits[i] - '0'), &value))
			return false;
	}
	return value <= limit;
}

static int scan_number(struct scan *s)
{
	bool negative = *s->at == '-';
	const char *first;
	int r;

	if (negative)
		s->at++;
	first = s->at;
	if (peek(s) == '0' && s->at + 1 < s->end && s->at[1] >= '0' && s->at[1] <= '9')
		return fault(s, "a number must not begin with 0");
	r = scan_digits(s);
	if (r < 0)
		return r;
	if (peek(s) != '.' && peek(s) != 'e' && peek(s) != 'E' &&
		!fits_64_bits(first, (size_t)(s->at - first), negative))
		return fault(s, "a whole number of more than 64 bits");
	if (peek(s) == '.') {
		s->at++;
		r = scan_digits(s);
		if (r < 0)
			return r;
	}
	if (peek(s) == 'e' || peek(s) == 'E') {
		s->at++;
		if (peek(s) == '+' || peek(s) == '-')
			s->at++;
		r = scan_digits(s);
	}
	return r;
}

static int scan_value(struct scan *s);

static int scan_members(struct scan *s)
{
	int r;

	for (;;) {
		skip_space(s);
		if (peek(s) != '"')
			return fault(s, "a member's name in double quotes was expected");
		r = scan_string(s);
		if (r < 0)
			return r;
		skip_space(s);
		if (peek(s) != ':')
			return fault(s, "':' was expected");
		s->at++;
		r = scan_value(s);
		if (r < 0)
			return r;
		skip_space(s);
		if (peek(s) == '}') {
			s->at++;
			return 0;
		}
		if (peek(s) != ',')
			return fault(s, "',' or '}' was expected");
		s->at++;
	}
}

static int scan_elements(struct scan *s)
{
	int r;

	for (;;) {
		r = scan_value(s);
		if (r < 0)
			return r;
		skip_space(s);
		if (peek(s) == ']') {
			s->at++;
			return 0;
		}
		if (peek(s) != ',')
			return fault(s, "',' or ']' was expected");
		s->at++;
	}
}

static int scan_nested(struct scan *s, char closing, int (*inside)(struct scan *s))
{
	int r;

	if (s->depth == FLEET_JSON_DEPTH_MAX)
		return fault(s, "nested too deep");
	s->at++;
	skip_space(s);
	if (peek(s) == closing) {
		s->at++;
		return 0;
	}
	s->depth++;
	r = inside(s);
	s->depth--;
	return r;
}

static int scan_value(struct scan *s)
{
	skip_space(s);
	if (s->at == s->end)
		return fault(s, "the text ends where a value was expected");
	switch (*s->at) {
	case '{':
		return scan_nested(s, '}', scan_members);
	case '[':
		return scan_nested(s, ']', scan_elements);
	case '"':
		return scan_string(s);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	default:
		if (*s->at == '-' || (*s->at >= '0' && *s->at <= '9'))
			return scan_number(s);
		return fault(s, "a value was expected");
	}
}

static int scan_text(struct scan *s)
{
	int r = scan_value(s);

	if (r < 0)
		return r;
	skip_space(s);
	return s->at == s->end ? 0 : fault(s, "something follows the value");
}

static void tokener_freep(struct json_tokener **t)
{
	if (*t)
		json_tokener_free(*t);
}

int fleet_json_parse(
	const char *text, size_t len, size_t max_len, struct json_object **ret, struct fleet_error *err)
{
	struct scan s = {.text = text, .at = text, .end = text + len, .err = err};
	_cleanup_(tokener_freep) struct json_tokener *tokener = NULL;
	_cleanup_json_ struct json_object *object = NULL;
	int r;

	if (len > max_len || len > INT32_MAX - 1)
		return fleet_error_set(
			err, -E2BIG, "the JSON text has %zu bytes, at most %zu are allowed", len, max_len);
	r = scan_text(&s);
	if (r < 0)
		return r;
	tokener = json_tokener_new_ex(FLEET_JSON_DEPTH_MAX + 1);
	if (!tokener)
		return fleet_error_set(err, -ENOMEM, "out of memory for the JSON text");
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	object = json_tokener_parse_ex(tokener, text, (int)len);
	if (json_tokener_get_error(tokener) == json_tokener_continue)
		object = json_tokener_parse_ex(tokener, "", 1); /* a number ends only with what follows it */
	if (json_tokener_get_error(tokener) != json_tokener_success)
		return fleet_error_set(err, -EBADMSG, "not valid JSON: %s",
			json_tokener_error_desc(json_tokener_get_error(tokener)));
	*ret = TAKE_PTR(object);
	return 0;
}
