#include "driver/json_leaves.h"
#include "fleet/limits.h"
#include "fleet/text.h"

#define MEMBERS_MAX 1000 /* of one object in a value that somebody types */

/* The length of the number at text, or 0. */
static size_t number_span(const char *text, size_t len, bool *ret_integer)
{
	size_t i = 0, digits;

#define DIGITS()                                                                                             \
	for (digits = 0; i < len && text[i] >= '0' && text[i] <= '9'; i++)                                   \
		digits++;
	*ret_integer = true;
	if (i < len && text[i] == '-')
		i++;
	if (i < len && text[i] == '0') {
		i++;
	} else {
		DIGITS();
		if (digits == 0)
			return 0;
	}
	if (i < len && text[i] == '.') {
		*ret_integer = false;
		i++;
		DIGITS();
		if (digits == 0)
			return 0;
	}
	if (i < len && (text[i] == 'e' || text[i] == 'E')) {
		*ret_integer = false;
		i++;
		if (i < len && (text[i] == '+' || text[i] == '-'))
			i++;
		DIGITS();
		if (digits == 0)
			return 0;
	}
#undef DIGITS
	return i;
}

int json_number_type(const char *text, size_t len)
{
	bool integer;

	if (len == 0 || number_span(text, len, &integer) != len)
		return -1;
	return integer ? FLEET_TYPE_INTEGER : FLEET_TYPE_NUMBER;
}

/* A number as sign, digits without zeros at either end, and the power of ten that its first digit counts in.
 */
struct decimal {
	bool negative;
	char *digits; /* owned */
	long long magnitude;
};

static bool decimal_from(const char *text, struct decimal *ret)
{
	size_t n = 0, skip = 0;
	long long point = 0;
	bool after = false;

	*ret = (struct decimal){.negative = *text == '-', .digits = xmalloc(strlen(text) + 1)};
	for (text += ret->negative; *text && *text != 'e' && *text != 'E'; text++) {
		if (*text == '.') {
			after = true;
		} else {
			ret->digits[n++] = *text;
			point += !after;
		}
	}
	if (*text) {
		if (strlen(text) > 12) /* an exponent past a hundred million: not worth comparing */
			return false;
		point += strtoll(text + 1, NULL, 10);
	}
	while (n > 0 && ret->digits[n - 1] == '0')
		n--;
	while (skip < n && ret->digits[skip] == '0')
		skip++;
	memmove(ret->digits, ret->digits + skip, n - skip);
	ret->digits[n - skip] = '\0';
	ret->magnitude = n == skip ? 0 : point - (long long)skip;
	ret->negative = ret->negative && n > skip;
	return true;
}

bool json_numbers_equal(const char *a, const char *b)
{
	struct decimal x = {0}, y = {0};
	bool known_a = decimal_from(a, &x), known_b = decimal_from(b, &y);
	bool equal = known_a && known_b && x.negative == y.negative && x.magnitude == y.magnitude &&
		     strcmp(x.digits, y.digits) == 0;

	free(x.digits);
	free(y.digits);
	return equal || strcmp(a, b) == 0;
}

void json_path_add_name(struct fleet_buffer *out, const char *name, size_t len)
{
	if (out->len > 0)
		fleet_buffer_add(out, ".", 1);
	if (len == 0)
		fleet_buffer_add(out, "\\e", 2);
	for (size_t i = 0; i < len; i++) {
		if (name[i] == '.' || name[i] == '[' || name[i] == '\\')
			fleet_buffer_add(out, "\\", 1);
		fleet_buffer_add(out, name + i, 1);
	}
}

struct walk {
	const char *text;
	size_t len, at;
	unsigned depth;
	struct fleet_buffer path;
	int (*leaf)(struct fleet_bytes path, struct fleet_bytes value, uint32_t type, void *arg);
	void *arg;
	struct fleet_error *err;
};

static int refuse(struct walk *w, const char *why)
{
	return fleet_error_set(
		w->err, -EINVAL, "not acceptable as JSON at character %zu: %s", w->at + 1, why);
}

static void skip_space(struct walk *w)
{
	while (w->at < w->len && strchr(" \t\r\n", w->text[w->at]) && w->text[w->at])
		w->at++;
}

static bool take(struct walk *w, char c)
{
	skip_space(w);
	if (w->at >= w->len || w->text[w->at] != c)
		return false;
	w->at++;
	return true;
}

static int hex4(struct walk *w, uint32_t *ret)
{
	uint32_t code = 0;

	for (int i = 0; i < 4; i++, w->at++) {
		char c = w->at < w->len ? w->text[w->at] : '\0';
		uint32_t digit;

		if (c >= '0' && c <= '9')
			digit = (uint32_t)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			digit = (uint32_t)((c | 0x20) - 'a' + 10);
		else
			return refuse(w, "\\u needs four hexadecimal digits");
		code = code * 16 + digit;
	}
	*ret = code;
	return 0;
}

static void add_utf8(struct fleet_buffer *out, uint32_t code)
{
	char bytes[4];
	size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = {0, 0x00, 0xc0, 0xe0, 0xf0};

	for (size_t i = n - 1; i > 0; i--, code >>= 6)
		bytes[i] = (char)(0x80 | (code & 0x3f));
	bytes[0] = (char)(lead[n] | code);
	fleet_buffer_add(out, bytes, n);
}

static int escape(struct walk *w, struct fleet_buffer *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *known;
	uint32_t code, low;
	int r;

	if (w->at >= w->len || !w->text[w->at])
		return refuse(w, "a string without end");
	known = strchr(from, w->text[w->at]);
	if (known) {
		w->at++;
		fleet_buffer_add(out, &to[known - from], 1);
		return 0;
	}
	if (w->text[w->at] != 'u')
		return refuse(w, "an unknown escape");
	w->at++;
	r = hex4(w, &code);
	if (r < 0)
		return r;
	if (code == 0)
		return refuse(w, "a NUL character in a string");
	if (code >= 0xd800 && code <= 0xdbff) {
		if (w->at + 1 >= w->len || w->text[w->at] != '\\' || w->text[w->at + 1] != 'u')
			return refuse(w, "half a surrogate pair");
		w->at += 2;
		r = hex4(w, &low);
		if (r < 0)
			return r;
		if (low < 0xdc00 || low > 0xdfff)
			return refuse(w, "half a surrogate pair");
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	} else if (code >= 0xdc00 && code <= 0xdfff) {
		return refuse(w, "half a surrogate pair");
	}
	add_utf8(out, code);
	return 0;
}

/* w->at is behind the opening quote. */
static int string(struct walk *w, struct fleet_buffer *out)
{
	while (w->at < w->len && w->text[w->at] != '"') {
		int r = 0;

		if ((unsigned char)w->text[w->at] < 0x20)
			return refuse(w, "a control character in a string");
		if (w->text[w->at] != '\\') {
			fleet_buffer_add(out, &w->text[w->at++], 1);
			continue;
		}
		w->at++;
		r = escape(w, out);
		if (r < 0)
			return r;
	}
	if (w->at >= w->len)
		return refuse(w, "a string without end");
	w->at++;
	return 0;
}

static int tell(struct walk *w, const char *value, size_t len, uint32_t type)
{
	struct fleet_bytes path = {w->path.data ? w->path.data : "", w->path.len};

	return w->leaf(path, (struct fleet_bytes){value, len}, type, w->arg);
}

static int value(struct walk *w);

static int elements(struct walk *w)
{
	size_t base = w->path.len, n = 0;

	if (take(w, ']'))
		return tell(w, "[]", 2, FLEET_TYPE_ARRAY);
	do {
		int r;

		fleet_buffer_printf(&w->path, "[%zu]", n++);
		r = value(w);
		fleet_buffer_truncate(&w->path, base);
		if (r < 0)
			return r;
	} while (take(w, ','));
	return take(w, ']') ? 0 : refuse(w, "expected , or ] in an array");
}

struct names {
	char *list[MEMBERS_MAX];
	size_t count;
};

static void names_done(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->list[i]);
}

static int member(struct walk *w, struct names *names)
{
	_cleanup_buffer_ struct fleet_buffer name = FLEET_BUFFER_INIT;
	size_t base = w->path.len;
	int r;

	if (!take(w, '"'))
		return refuse(w, "expected a name in quotes");
	r = string(w, &name);
	if (r < 0)
		return r;
	for (size_t i = 0; i < names->count; i++) {
		if (strcmp(names->list[i], name.data ? name.data : "") == 0)
			return refuse(w, "the same name twice in one object");
	}
	if (names->count == MEMBERS_MAX)
		return refuse(w, "too many members in one object");
	json_path_add_name(&w->path, name.data ? name.data : "", name.len);
	names->list[names->count++] = fleet_buffer_take(&name, NULL);
	if (!take(w, ':'))
		return refuse(w, "expected :");
	r = value(w);
	fleet_buffer_truncate(&w->path, base);
	return r;
}

static int members(struct walk *w)
{
	_cleanup_(names_done) struct names names = {.count = 0};

	if (take(w, '}'))
		return tell(w, "{}", 2, FLEET_TYPE_OBJECT);
	do {
		int r = member(w, &names);

		if (r < 0)
			return r;
	} while (take(w, ','));
	return take(w, '}') ? 0 : refuse(w, "expected , or } in an object");
}

static int scalar(struct walk *w)
{
	static const struct {
		const char *text;
		uint32_t type;
	} words[] = {{"true", FLEET_TYPE_BOOLEAN}, {"false", FLEET_TYPE_BOOLEAN}, {"null", FLEET_TYPE_NULL}};
	const char *start = w->text + w->at;
	size_t rest = w->len - w->at, n;
	bool integer;

	for (size_t i = 0; i < FLEET_ARRAY_LEN(words); i++) {
		n = strlen(words[i].text);
		if (rest >= n && memcmp(start, words[i].text, n) == 0) {
			w->at += n;
			return tell(w, start, n, words[i].type);
		}
	}
	n = number_span(start, rest, &integer);
	if (n == 0)
		return refuse(w, "expected a value");
	w->at += n;
	return tell(w, start, n, integer ? FLEET_TYPE_INTEGER : FLEET_TYPE_NUMBER);
}

static int value(struct walk *w)
{
	int r;

	if (++w->depth > FLEET_JSON_DEPTH_MAX)
		return refuse(w, "too deep");
	if (take(w, '{')) {
		r = members(w);
	} else if (take(w, '[')) {
		r = elements(w);
	} else if (take(w, '"')) {
		_cleanup_buffer_ struct fleet_buffer text = FLEET_BUFFER_INIT;

		r = string(w, &text);
		if (r == 0)
			r = tell(w, text.data ? text.data : "", text.len, FLEET_TYPE_STRING);
	} else {
		r = scalar(w);
	}
	w->depth--;
	return r;
}

int json_leaves(const char *at, const char *text, size_t len,
	int (*leaf)(struct fleet_bytes path, struct fleet_bytes value, uint32_t type, void *arg), void *arg,
	struct fleet_error *err)
{
	struct walk w = {.text = text, .len = len, .leaf = leaf, .arg = arg, .err = err};
	int r;

	if (!fleet_text_is_utf8(text, len))
		return fleet_error_set(err, -EINVAL, "not acceptable as JSON: not UTF-8");
	fleet_buffer_add_string(&w.path, at);
	r = value(&w);
	if (r == 0) {
		skip_space(&w);
		if (w.at < w.len)
			r = refuse(&w, "something after the value");
	}
	fleet_buffer_done(&w.path);
	return r;
}

int json_outer_type(const char *text, size_t len)
{
	size_t i = 0;

	while (i < len && strchr(" \t\r\n", text[i]) && text[i])
		i++;
	if (i == len)
		return -1;
	switch (text[i]) {
	case '{':
		return FLEET_TYPE_OBJECT;
	case '[':
		return FLEET_TYPE_ARRAY;
	case '"':
		return FLEET_TYPE_STRING;
	case 't':
	case 'f':
		return FLEET_TYPE_BOOLEAN;
	case 'n':
		return FLEET_TYPE_NULL;
	default:
		while (len > i && strchr(" \t\r\n", text[len - 1]) && text[len - 1])
			len--;
		return json_number_type(text + i, len - i);
	}
}
