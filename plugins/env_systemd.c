/* EnvironmentFile= as systemd reads it, and what readings are made of. */
#include "env_reading.h"

struct env_entry *env_reading_add(struct env_reading *r)
{
	if (r->count == r->capacity) {
		size_t capacity = r->capacity ? r->capacity * 2 : 64;
		struct env_entry *grown = reallocarray(r->list, capacity, sizeof(*grown));

		if (!grown) {
			r->texts.failed = true;
			return NULL;
		}
		r->list = grown;
		r->capacity = capacity;
	}
	r->list[r->count] = (struct env_entry){.text = r->texts.len};
	return &r->list[r->count++];
}

void env_reading_done(struct env_reading *r)
{
	free(r->list);
	text_done(&r->texts);
	*r = (struct env_reading){0};
}

size_t env_name_length(const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && (s[n] == '_' || (s[n] >= 'a' && s[n] <= 'z') || (s[n] >= 'A' && s[n] <= 'Z') ||
				  (n > 0 && s[n] >= '0' && s[n] <= '9')))
		n++;
	return n;
}

struct scan {
	const char *s;
	size_t len, at;
	bool old;
	bool dated; /* the other version would read it otherwise */
};

/* A CR alone ends a line too. */
static bool is_line_end(char c)
{
	return c == '\n' || c == '\r';
}

static size_t behind_line_end(const char *s, size_t len, size_t at)
{
	if (at < len && s[at] == '\r' && at + 1 < len && s[at + 1] == '\n')
		return at + 2;
	return at < len ? at + 1 : len;
}

static void skip_comment(struct scan *p)
{
	while (p->at < p->len && !is_line_end(p->s[p->at])) {
		bool escape = p->s[p->at++] == '\\';

		if (!escape || p->at == p->len)
			continue;
		if (is_line_end(p->s[p->at]))
			p->dated = true;
		if (p->old || !is_line_end(p->s[p->at]))
			p->at++;
	}
}

static void take_quoted(struct scan *p, struct text *value)
{
	char quote = p->s[p->at++];

	while (p->at < p->len && p->s[p->at] != quote) {
		const char *c = &p->s[p->at++];

		if (*c != '\\') {
			while (p->at < p->len && p->s[p->at] != quote && p->s[p->at] != '\\')
				p->at++;
			text_add(value, c, (size_t)(p->s + p->at - c));
			continue;
		}

		if (quote == '"') {
			if (p->at == p->len)
				return;
			c = &p->s[p->at++];
			if (*c == '\n')
				continue;
			if (!strchr("\"\\`$", *c))
				text_add(value, "\\", 1);
		}
		text_add(value, c, 1);
	}
	if (p->at < p->len)
		p->at++;
}

/* Quotes count before the first character that stands outside of them, and are text behind it. Returns where
 * the value ends, without the blanks behind. */
static size_t take_value(struct scan *p, struct text *value)
{
	static const bool special[256] = {[' '] = true,
		['\t'] = true,
		['\n'] = true,
		['\r'] = true,
		['\''] = true,
		['"'] = true,
		['\\'] = true};
	size_t end = p->at, kept = value->len;
	bool bare = false;

	while (p->at < p->len && !is_line_end(p->s[p->at])) {
		char c = p->s[p->at];

		if (!bare && (c == '\'' || c == '"')) {
			take_quoted(p, value);
		} else if (c == '\\') {
			bare = true;
			p->at++;
			if (p->at < p->len && !is_line_end(p->s[p->at]))
				text_add(value, p->s + p->at, 1);
			if (p->at < p->len)
				p->at++;
		} else if (!special[(unsigned char)c]) {
			size_t start = p->at;

			bare = true;
			while (p->at < p->len && !special[(unsigned char)p->s[p->at]])
				p->at++;
			text_add(value, p->s + start, p->at - start);
		} else {
			p->at++;
			if (!line_is_blank_char(c))
				bare = true;
			if (bare)
				text_add(value, &c, 1);
			if (line_is_blank_char(c))
				continue; /* kept only if more comes */
		}
		kept = value->len;
		end = p->at;
	}
	value->len = kept;
	return end;
}

/* The name that a key is, `export` and blanks taken off; false where it is none. */
static bool take_name(const struct scan *p, size_t start, size_t end, struct env_entry *e)
{
	size_t bom = lines_bom(p->s, p->len), word;

	if (start == 0 && bom > 0) {
		e->hidden = true;
		start = line_skip_blanks(p->s, bom, end);
	}
	end = line_trim(p->s, start, end);
	word = start + 6;
	if (end > word && memcmp(p->s + start, "export", 6) == 0 && line_is_blank_char(p->s[word])) {
		e->exported = true;
		start = line_skip_blanks(p->s, word, end);
	}
	e->start = start;
	e->name_len = env_name_length(p->s + start, end - start);
	return e->name_len > 0 && e->name_len == end - start;
}

static void take_key(struct scan *p, size_t line_start, struct env_reading *out)
{
	struct env_entry e = {.line_start = line_start, .sure = true, .literal = true}, *added;
	size_t start = p->at++, end;
	bool named;

	while (p->at < p->len && p->s[p->at] != '=' && !is_line_end(p->s[p->at]))
		p->at++;
	if (p->at == p->len || p->s[p->at] != '=')
		return;
	end = p->at++;
	named = take_name(p, start, end, &e);
	e.text = out->texts.len;
	e.value_start = p->at;
	e.value_end = take_value(p, &out->texts);
	e.text_len = out->texts.len - e.text;
	e.line_end = behind_line_end(p->s, p->len, p->at);
	if (!named) {
		out->texts.len = e.text;
		return;
	}
	added = env_reading_add(out);
	if (added)
		*added = e;
}

bool env_read_systemd(const char *s, size_t len, bool old, struct env_reading *out)
{
	struct scan p = {s, len, 0, old, false};
	size_t line_start = 0;

	while (p.at < len) {
		char c = s[p.at];

		if (is_line_end(c)) {
			line_start = ++p.at;
		} else if (line_is_blank_char(c)) {
			p.at++;
		} else if (c == '#' || c == ';') {
			skip_comment(&p);
		} else {
			take_key(&p, line_start, out);
		}
	}
	return p.dated;
}
