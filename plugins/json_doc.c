#include <errno.h>
#include "json_doc.h"
#include "utf8.h"

struct parser {
	struct json_doc *doc;
	struct fleet_driver_error *err;
	uint32_t at, depth;
};

int json_doc_fail(
	const struct json_doc *doc, size_t at, struct fleet_driver_error *err, int code, const char *why)
{
	uint32_t line = 1;
	size_t start = doc->len >= 3 && memcmp(doc->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

	for (size_t i = start; i < at && i < doc->len; i++) {
		if (doc->text[i] == '\n') {
			line++;
			start = i + 1;
		}
	}
	return fleet_driver_fail(err, code, line, at >= start ? (uint32_t)(at - start + 1) : 1, "%s", why);
}

static int fail_at(struct parser *p, uint32_t at, const char *why)
{
	return json_doc_fail(p->doc, at, p->err, -EINVAL, why);
}

uint32_t json_doc_comment_end(const struct json_doc *doc, uint32_t at)
{
	const char *s = doc->text;
	uint32_t i = at + 2;

	if (at + 1 >= doc->len || s[at] != '/' || (s[at + 1] != '/' && s[at + 1] != '*'))
		return at;
	if (s[at + 1] == '/') {
		while (i < doc->len && s[i] != '\n')
			i++;
		return i > at + 2 && s[i - 1] == '\r' && i < doc->len ? i - 1 : i;
	}
	for (; i + 1 < doc->len; i++) {
		if (s[i] == '*' && s[i + 1] == '/')
			return i + 2;
	}
	return JSON_NONE;
}

uint32_t json_doc_skip(
	const struct json_doc *doc, uint32_t at, uint32_t limit, bool lines, bool also_comments)
{
	while (at < limit) {
		char c = doc->text[at];
		bool line_end = c == '\n' || (c == '\r' && at + 1 < doc->len && doc->text[at + 1] == '\n');
		uint32_t end;

		if (strchr(" \t\r\n", c) && c && (lines || !line_end)) {
			at++;
			continue;
		}
		if (!also_comments)
			break;
		end = json_doc_comment_end(doc, at);
		if (end == at || end > limit)
			break;
		at = end;
	}
	return at;
}

static int skip(struct parser *p)
{
	p->at = json_doc_skip(p->doc, p->at, p->doc->len, true, true);
	if (p->at + 1 < p->doc->len && p->doc->text[p->at] == '/' && p->doc->text[p->at + 1] == '*')
		return fail_at(p, p->at, "a comment without end");
	return 0;
}

static char peek(const struct parser *p)
{
	return p->at < p->doc->len ? p->doc->text[p->at] : '\0';
}

/* The node's number, or JSON_NONE without memory. */
static uint32_t add_node(struct json_doc *doc, uint32_t parent)
{
	struct json_node *node;

	if (doc->count == doc->capacity) {
		uint32_t capacity = doc->capacity ? doc->capacity * 2 : 256;
		struct json_node *grown = realloc(doc->nodes, capacity * sizeof(*grown));

		if (!grown)
			return JSON_NONE;
		doc->nodes = grown;
		doc->capacity = capacity;
	}
	node = &doc->nodes[doc->count];
	*node = (struct json_node){.comma = JSON_NONE,
		.parent = parent,
		.previous = JSON_NONE,
		.next = JSON_NONE,
		.first = JSON_NONE,
		.last = JSON_NONE};
	if (parent != JSON_NONE) {
		struct json_node *up = &doc->nodes[parent];

		node->previous = up->last;
		if (up->last != JSON_NONE)
			doc->nodes[up->last].next = doc->count;
		else
			up->first = doc->count;
		up->last = doc->count;
		up->count++;
	}
	return doc->count++;
}

static int parse_escape(struct parser *p)
{
	char c = ++p->at < p->doc->len ? p->doc->text[p->at] : '\0';

	if (c == 'u') {
		for (int i = 0; i < 4; i++) {
			char h = ++p->at < p->doc->len ? p->doc->text[p->at] : '\0';

			if (!((h >= '0' && h <= '9') || ((h | 0x20) >= 'a' && (h | 0x20) <= 'f')))
				return fail_at(p, p->at, "\\u needs four hexadecimal digits");
		}
	} else if (!c || !strchr("\"\\/bfnrt", c)) {
		return fail_at(p, p->at, "an unknown escape in a string");
	}
	p->at++;
	return 0;
}

/* p->at is at the opening quote. */
static int parse_string(struct parser *p)
{
	uint32_t start = p->at++;

	while (p->at < p->doc->len && p->doc->text[p->at] != '"') {
		unsigned char c = (unsigned char)p->doc->text[p->at];
		size_t n = 1;

		if (c < 0x20)
			return fail_at(p, c == '\n' || c == '\r' ? start : p->at,
				c == '\n' || c == '\r' ? "a string without end"
						       : "a control character in a string");
		if (c == '\\') {
			int r = parse_escape(p);

			if (r < 0)
				return r;
			continue;
		}
		if (c >= 0x80) {
			n = utf8_sequence(p->doc->text + p->at, p->doc->len - p->at);
			if (n == 0)
				return fail_at(p, p->at, "a byte that is not UTF-8");
		}
		p->at += (uint32_t)n;
	}
	if (p->at >= p->doc->len)
		return fail_at(p, start, "a string without end");
	p->at++;
	return 0;
}

static bool digits(struct parser *p)
{
	uint32_t start = p->at;

	while (peek(p) >= '0' && peek(p) <= '9')
		p->at++;
	return p->at > start;
}

static int parse_number(struct parser *p, uint32_t *ret_type)
{
	uint32_t start = p->at;

	*ret_type = FLEET_TYPE_INTEGER;
	if (peek(p) == '-')
		p->at++;
	if (peek(p) == '0')
		p->at++;
	else if (!digits(p))
		return fail_at(p, start, "expected a value");
	if (peek(p) == '.') {
		*ret_type = FLEET_TYPE_NUMBER;
		p->at++;
		if (!digits(p))
			return fail_at(p, start, "a malformed number");
	}
	if (peek(p) == 'e' || peek(p) == 'E') {
		*ret_type = FLEET_TYPE_NUMBER;
		p->at++;
		if (peek(p) == '+' || peek(p) == '-')
			p->at++;
		if (!digits(p))
			return fail_at(p, start, "a malformed number");
	}
	return 0;
}

static int parse_scalar(struct parser *p, uint32_t *ret_type)
{
	static const struct {
		const char *word;
		uint32_t type;
	} words[] = {{"true", FLEET_TYPE_BOOLEAN}, {"false", FLEET_TYPE_BOOLEAN}, {"null", FLEET_TYPE_NULL}};
	uint32_t start = p->at;
	int r;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t n = strlen(words[i].word);

		if (p->doc->len - p->at >= n && memcmp(p->doc->text + p->at, words[i].word, n) == 0) {
			p->at += (uint32_t)n;
			*ret_type = words[i].type;
			break;
		}
	}
	if (p->at == start) {
		r = parse_number(p, ret_type);
		if (r < 0)
			return r;
	}
	if (peek(p) && strchr("_$.+-0123456789", peek(p)))
		return fail_at(p, start, "expected a value");
	if ((peek(p) | 0x20) >= 'a' && (peek(p) | 0x20) <= 'z')
		return fail_at(p, start, "expected a value");
	return 0;
}

static int parse_value(struct parser *p, uint32_t node);

static bool names_nul(const char *token, size_t len)
{
	struct text name = {0};
	bool nul;

	if (!memchr(token, '\\', len))
		return false;
	json_string_decode(token, len, &name);
	nul = name.len > 0 && memchr(name.data, '\0', name.len);
	text_done(&name);
	return nul;
}

static int parse_key(struct parser *p, uint32_t node)
{
	uint32_t start = p->at;
	int r;

	if (peek(p) != '"')
		return fail_at(p, p->at,
			p->at >= p->doc->len ? "an object without end" : "expected a name in double quotes");
	r = parse_string(p);
	if (r < 0)
		return r;
	p->doc->nodes[node].key_start = start;
	p->doc->nodes[node].key_end = p->at;
	if (names_nul(p->doc->text + start, p->at - start))
		return fail_at(p, start, "a name with a NUL character, which no key path can name");
	r = skip(p);
	if (r < 0)
		return r;
	if (peek(p) != ':')
		return fail_at(p, p->at, "expected : after a name");
	p->at++;
	return skip(p);
}

/* p->at is behind the opening bracket. */
static int parse_children(struct parser *p, uint32_t node, bool object)
{
	char close = object ? '}' : ']';
	int r = skip(p);

	while (r == 0 && peek(p) != close) {
		uint32_t child = add_node(p->doc, node);

		if (child == JSON_NONE)
			return fleet_driver_fail(p->err, -ENOMEM, 0, 0, "out of memory");
		if (object)
			r = parse_key(p, child);
		if (r == 0)
			r = parse_value(p, child);
		if (r == 0)
			r = skip(p);
		if (r < 0)
			return r;
		if (peek(p) == ',') {
			p->doc->nodes[child].comma = p->at++;
			r = skip(p);
		} else if (peek(p) != close) {
			return fail_at(p, p->at,
				p->at >= p->doc->len
					? (object ? "an object without end" : "an array without end")
				: object ? "expected , or } after a member"
					 : "expected , or ] after an element");
		}
	}
	if (r == 0)
		p->at++;
	return r;
}

static int parse_value(struct parser *p, uint32_t node)
{
	uint32_t type = FLEET_TYPE_STRING, start = p->at;
	int r;

	if (p->at >= p->doc->len)
		return fail_at(p, p->at, "expected a value");
	if (peek(p) == '{' || peek(p) == '[') {
		bool object = peek(p) == '{';

		if (++p->depth > JSON_DEPTH_MAX)
			return fail_at(p, p->at, "nested too deeply");
		type = object ? FLEET_TYPE_OBJECT : FLEET_TYPE_ARRAY;
		p->at++;
		r = parse_children(p, node, object);
		p->depth--;
	} else if (peek(p) == '"') {
		r = parse_string(p);
	} else {
		r = parse_scalar(p, &type);
	}
	p->doc->nodes[node].type = type;
	p->doc->nodes[node].start = start;
	p->doc->nodes[node].end = p->at;
	return r;
}

int json_doc_parse(const char *text, size_t len, struct json_doc *ret, struct fleet_driver_error *err)
{
	struct parser p = {.doc = ret, .err = err};
	int r;

	*ret = (struct json_doc){.text = text};
	if (len > 64u * 1024 * 1024)
		return fleet_driver_fail(err, -EFBIG, 0, 0, "the document is too long");
	ret->len = (uint32_t)len;
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		p.at = 3;
	r = skip(&p);
	if (r < 0)
		return r;
	if (p.at == ret->len) {
		ret->empty = true;
		return 0;
	}
	if (add_node(ret, JSON_NONE) == JSON_NONE)
		return fleet_driver_fail(err, -ENOMEM, 0, 0, "out of memory");
	r = parse_value(&p, 0);
	if (r == 0)
		r = skip(&p);
	if (r == 0 && p.at < ret->len)
		r = fail_at(&p, p.at, "something after the end of the document");
	return r;
}

void json_doc_done(struct json_doc *doc)
{
	free(doc->nodes);
	doc->nodes = NULL;
}
