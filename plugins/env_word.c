/* Words as sh takes them: quotes, backslashes and expansions, of which only the extent is found. */
#include "env_word.h"

#define NESTING_MAX 32

int env_shell_fail(const struct env_shell *p, size_t at, const char *why)
{
	return lines_fail(p->s, p->len, at, p->err, -EINVAL, why);
}

bool env_shell_at_line_end(const struct env_shell *p)
{
	return p->at >= p->len || p->s[p->at] == '\n' ||
	       (p->s[p->at] == '\r' && p->at + 1 < p->len && p->s[p->at + 1] == '\n');
}

static bool at_continuation(const struct env_shell *p)
{
	return p->at + 1 < p->len && p->s[p->at] == '\\' && p->s[p->at + 1] == '\n';
}

void env_shell_skip_blanks(struct env_shell *p)
{
	for (;;) {
		if (p->at < p->len && line_is_blank_char(p->s[p->at]))
			p->at++;
		else if (at_continuation(p))
			p->at += 2;
		else
			return;
	}
}

static int skip_expansion(struct env_shell *p, unsigned depth);

/* Behind the opening quote: to behind the closing one. Inside of a substitution, where only the extent
 * counts. */
static int skip_double(struct env_shell *p, size_t open, unsigned depth)
{
	int r = 0;

	while (p->at < p->len && p->s[p->at] != '"' && r == 0) {
		if (p->s[p->at] == '$' || p->s[p->at] == '`')
			r = skip_expansion(p, depth);
		else
			p->at += p->s[p->at] == '\\' ? 2 : 1;
	}
	if (r == 0 && p->at++ >= p->len)
		r = env_shell_fail(p, open, "the double quote that opens here is never closed");
	return r;
}

static int skip_backquotes(struct env_shell *p)
{
	size_t open = p->at++;

	while (p->at < p->len && p->s[p->at] != '`')
		p->at += p->s[p->at] == '\\' ? 2 : 1;
	if (p->at++ >= p->len)
		return env_shell_fail(p, open, "the backquote that opens here is never closed");
	return 0;
}

/* A command's text, up to the parenthesis that closes it. What could have one of its own is not known here.
 */
static int skip_command(struct env_shell *p, size_t open, unsigned depth)
{
	unsigned inner = 1;
	int r = 0;

	while (inner > 0 && r == 0) {
		char c;

		if (p->at >= p->len)
			return env_shell_fail(p, open, "the `$(` that opens here is never closed");
		c = p->s[p->at];
		if (c == '#' || (c == '<' && p->at + 1 < p->len && p->s[p->at + 1] == '<') ||
			(p->len - p->at > 4 && memcmp(p->s + p->at, "case", 4) == 0))
			return env_shell_fail(p, p->at, "a command with more in it than this driver follows");
		if (c == '\'') {
			const char *close = memchr(p->s + p->at + 1, '\'', p->len - p->at - 1);

			if (!close)
				return env_shell_fail(
					p, p->at, "the single quote that opens here is never closed");
			p->at = (size_t)(close - p->s) + 1;
		} else if (c == '"') {
			p->at++;
			r = skip_double(p, p->at - 1, depth);
		} else if (c == '$' || c == '`') {
			r = skip_expansion(p, depth);
		} else {
			inner += c == '(';
			inner -= c == ')';
			p->at += c == '\\' ? 2 : 1;
		}
	}
	return r;
}

/* `${...}`: shells differ about quotes inside. */
static int skip_parameter(struct env_shell *p, size_t open, unsigned depth)
{
	int r = 0;

	while (p->at < p->len && p->s[p->at] != '}' && r == 0) {
		if (p->s[p->at] == '$' || p->s[p->at] == '`')
			r = skip_expansion(p, depth);
		else if (strchr("'\"\\\n{", p->s[p->at]))
			r = env_shell_fail(p, p->at, "quotes or braces inside of `${...}`");
		else
			p->at++;
	}
	if (r == 0 && p->at++ >= p->len)
		r = env_shell_fail(p, open, "the `${` that opens here is never closed");
	return r;
}

/* At a `$` or a backquote. A `$` that expands nothing is skipped alone. */
static int skip_expansion(struct env_shell *p, unsigned depth)
{
	size_t open = p->at;
	char next = p->at + 1 < p->len ? p->s[p->at + 1] : ' ';

	if (depth == NESTING_MAX)
		return env_shell_fail(p, open, "expansions are nested too deeply");
	if (p->s[open] == '`')
		return skip_backquotes(p);
	p->at++;
	if (next != '(' && next != '{')
		return 0;
	p->at++;
	return next == '(' ? skip_command(p, open, depth + 1) : skip_parameter(p, open, depth + 1);
}

static bool expands(char c)
{
	return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       strchr("({[*@#?-$!", c);
}

static int take_expansion(struct env_shell *p, bool quoted, struct text *out, bool *literal)
{
	size_t start = p->at;
	char next = start + 1 < p->len ? p->s[start + 1] : ' ';
	int r;

	if (p->s[start] == '$' && !quoted && (next == '\'' || next == '"'))
		return env_shell_fail(p, start, "shells differ about a quote behind `$`");
	if (p->s[start] == '$' && !quoted && next == '[')
		return env_shell_fail(p, start, "shells differ about `$[`");
	if (p->s[start] == '`' || expands(next))
		*literal = false;
	r = skip_expansion(p, 0);
	if (r == 0)
		text_add(out, p->s + start, p->at - start);
	return r;
}

/* From `at` on, what means itself: all but what ends a word or begins something in it. */
static size_t plain_run(const struct env_shell *p, const bool special[256])
{
	size_t end = p->at;

	while (end < p->len && !special[(unsigned char)p->s[end]])
		end++;
	return end - p->at;
}

static int take_single(struct env_shell *p, struct text *out)
{
	size_t open = p->at++;
	const char *close = memchr(p->s + p->at, '\'', p->len - p->at);

	if (!close)
		return env_shell_fail(
			p, open, "the single quote that opens here is never closed: quote the whole value");
	text_add(out, p->s + p->at, (size_t)(close - p->s) - p->at);
	p->at = (size_t)(close - p->s) + 1;
	return 0;
}

static int take_double(struct env_shell *p, struct text *out, bool *literal)
{
	static const bool special[256] = {['"'] = true, ['$'] = true, ['`'] = true, ['\\'] = true};
	size_t open = p->at++, run;
	int r = 0;

	while (p->at < p->len && p->s[p->at] != '"' && r == 0) {
		char c = p->s[p->at];

		run = plain_run(p, special);
		if (run > 0) {
			text_add(out, p->s + p->at, run);
			p->at += run;
		} else if (c == '$' || c == '`') {
			r = take_expansion(p, true, out, literal);
		} else if (at_continuation(p)) {
			p->at += 2;
		} else {
			if (c == '\\' && p->at + 1 < p->len && strchr("$`\"\\", p->s[p->at + 1]))
				p->at++;
			text_add(out, p->s + p->at++, 1);
		}
	}
	if (r == 0 && p->at++ >= p->len)
		r = env_shell_fail(
			p, open, "the double quote that opens here is never closed: quote the whole value");
	return r;
}

int env_word_take(struct env_shell *p, bool assigned, struct text *out, bool *ret_literal)
{
	static const bool special[256] = {[' '] = true,
		['\t'] = true,
		['\n'] = true,
		['\r'] = true,
		[';'] = true,
		['&'] = true,
		['|'] = true,
		['<'] = true,
		['>'] = true,
		['('] = true,
		[')'] = true,
		['\''] = true,
		['"'] = true,
		['$'] = true,
		['`'] = true,
		['\\'] = true,
		['~'] = true,
		[':'] = true};
	bool tilde = assigned;
	int r = 0;

	*ret_literal = true;
	while (r == 0 && !env_shell_at_line_end(p) && !strchr(" \t;&|<>()", p->s[p->at])) {
		char c = p->s[p->at];
		bool colon = c == ':';
		size_t run = plain_run(p, special);

		if (run > 0) {
			text_add(out, p->s + p->at, run);
			p->at += run;
		} else if (c == '\'') {
			r = take_single(p, out);
		} else if (c == '"') {
			r = take_double(p, out, ret_literal);
		} else if (c == '$' || c == '`') {
			r = take_expansion(p, false, out, ret_literal);
		} else if (at_continuation(p)) {
			p->at += 2;
			continue; /* as if it were not there */
		} else {
			if (c == '~' && tilde)
				*ret_literal = false;
			if (c == '\\' && p->at + 1 < p->len)
				p->at++;
			text_add(out, p->s + p->at++, 1);
		}
		tilde = assigned && colon;
	}
	return r;
}
