/* A file as sh reads it that sources it: simple commands, most of which are assignments. */
#include "env_reading.h"
#include "env_word.h"

struct list {
	struct env_shell p;
	struct env_reading *out;
	size_t line_start, first; /* where this line begins, in the file and among the entries */
	bool depends;             /* it has an operator that makes a command depend on something */
};

/* What begins, ends or divides more than a simple command, at a command's start. */
static bool is_reserved(const char *word, size_t len)
{
	static const char *const reserved[] = {"if", "then", "elif", "else", "fi", "for", "while", "until",
		"do", "done", "case", "esac", "in", "{", "}", "!", "[[", "function", "select", "time",
		"coproc", NULL};

	for (const char *const *w = reserved; *w; w++) {
		if (text_equal(word, len, *w, strlen(*w)))
			return true;
	}
	return false;
}

static struct env_entry *add(struct list *l, size_t start)
{
	struct env_entry *e = env_reading_add(l->out);

	if (e) {
		e->start = start;
		e->line_start = l->line_start;
		e->hidden = l->line_start == 0 && lines_bom(l->p.s, l->p.len) > 0;
	}
	return e;
}

/* In its place among what it declares. */
static void add_command(struct list *l, size_t start, size_t end)
{
	struct env_entry *e = add(l, start), command;

	if (!e)
		return;
	e->value_end = end;
	command = *e;
	for (; e > l->out->list && e[-1].start > start; e--)
		*e = e[-1];
	*e = command;
}

static size_t assignment_at(const struct list *l)
{
	const struct env_shell *p = &l->p;
	size_t n = env_name_length(p->s + p->at, p->len - p->at);

	return n > 0 && p->at + n < p->len && p->s[p->at + n] == '=' ? n : 0;
}

/* `sure` so far; what else the line holds may take it back. */
static int take_assignment(struct list *l, size_t name_len, bool exported)
{
	struct env_entry *e = add(l, l->p.at);
	int r;

	if (!e)
		return -ENOMEM;
	e->name_len = name_len;
	e->exported = exported;
	e->sure = true;
	l->p.at += name_len + 1;
	e->value_start = l->p.at;
	r = env_word_take(&l->p, true, &l->out->texts, &e->literal);
	e->value_end = l->p.at;
	e->text_len = l->out->texts.len - e->text;
	return r;
}

static bool at_redirection(const struct list *l)
{
	size_t at = l->p.at;

	while (at < l->p.len && l->p.s[at] >= '0' && l->p.s[at] <= '9')
		at++;
	return at < l->p.len && (l->p.s[at] == '<' || l->p.s[at] == '>');
}

/* The operator; the file's name is a word like another. */
static int take_redirection(struct list *l)
{
	struct env_shell *p = &l->p;

	while (p->s[p->at] >= '0' && p->s[p->at] <= '9')
		p->at++;
	if (p->at + 1 < p->len && p->s[p->at] == '<' && p->s[p->at + 1] == '<')
		return env_shell_fail(
			p, p->at, "a here-document: this file is a program, no list of settings");
	p->at++;
	if (p->at < p->len && strchr("<>&|", p->s[p->at]))
		p->at++;
	env_shell_skip_blanks(p);
	return 0;
}

enum kind { NOTHING, EXPORT, DECLARATION, OTHER };

/* The word that says which command it is. */
static int take_command_name(struct list *l, enum kind *ret)
{
	static const char *const declarations[] = {"readonly", "declare", "typeset", "local"};
	struct env_shell *p = &l->p;
	size_t start = p->at, mark = l->out->texts.len;
	bool literal;
	int r = env_word_take(p, false, &l->out->texts, &literal);

	l->out->texts.len = mark;
	if (r < 0)
		return r;
	if (is_reserved(p->s + start, p->at - start))
		return env_shell_fail(p, start,
			"shell code in blocks or with conditions: this file is a program, no list of "
			"settings");
	for (size_t i = start; i + 1 < p->at; i++) {
		if (p->s[i] == '\\' && p->s[i + 1] == '\n')
			return env_shell_fail(p, i, "a command's name goes on in the next line");
	}
	*ret = OTHER;
	if (text_equal(p->s + start, p->at - start, "export", 6))
		*ret = EXPORT;
	for (size_t i = 0; i < 4; i++) {
		if (text_equal(p->s + start, p->at - start, declarations[i], strlen(declarations[i])))
			*ret = DECLARATION;
	}
	return 0;
}

/* Of a declaration: assignments, names, and options that make it another command. */
static int take_word(struct list *l, enum kind kind, bool *plain)
{
	size_t n = kind == EXPORT || kind == DECLARATION ? assignment_at(l) : 0, start = l->p.at;
	size_t mark = l->out->texts.len;
	bool literal;
	int r;

	if (n > 0) {
		r = take_assignment(l, n, kind == EXPORT);
		if (r == 0) { /* here some shells expand patterns */
			struct env_entry *e = &l->out->list[l->out->count - 1];

			for (size_t i = e->value_start; i < e->value_end; i++)
				e->literal = e->literal && !strchr("*?[", l->p.s[i]);
		}
		return r;
	}
	r = env_word_take(&l->p, false, &l->out->texts, &literal);
	l->out->texts.len = mark;
	if (r < 0 || kind != EXPORT)
		return r;
	if (env_name_length(l->p.s + start, l->p.at - start) == l->p.at - start)
		return 0;
	*plain = false;
	if (literal && l->p.s[start] != '-')
		return env_shell_fail(
			&l->p, start, "sh ends here: `export` takes NAME=value, without blanks around the =");
	return 0;
}

static bool at_end(const struct list *l)
{
	return env_shell_at_line_end(&l->p) || strchr(";&|()", l->p.s[l->p.at]) || l->p.s[l->p.at] == '#';
}

/* One simple command. Assignments before another command are its own and pass with it. */
static int take_command(struct list *l)
{
	size_t first = l->out->count, command = ENV_NONE, end = 0;
	enum kind kind = NOTHING;
	bool plain = true;
	int r = 0;

	while (r == 0 && !at_end(l)) {
		size_t n = kind == NOTHING ? assignment_at(l) : 0, start = l->p.at;

		if (at_redirection(l)) {
			plain = false;
			r = take_redirection(l);
			if (r == 0)
				r = take_word(l, OTHER, &plain);
		} else if (n > 0) {
			r = take_assignment(l, n, false);
		} else if (kind == NOTHING) {
			command = start;
			r = take_command_name(l, &kind);
			plain = plain && kind == EXPORT && first == l->out->count;
		} else {
			r = take_word(l, kind, &plain);
		}
		end = l->p.at;
		env_shell_skip_blanks(&l->p);
	}
	for (size_t i = first; i < l->out->count && !plain; i++)
		l->out->list[i].sure = false;
	if (r == 0 && command != ENV_NONE && (!plain || first == l->out->count))
		add_command(l, command, end);
	return r;
}

/* Behind a command: to the next one, or behind the line's end. */
static int take_separator(struct list *l, bool *ret_more)
{
	struct env_shell *p = &l->p;
	char c = p->at < p->len ? p->s[p->at] : '\n', next = p->at + 1 < p->len ? p->s[p->at + 1] : '\n';

	*ret_more = false;
	if (c == '#') {
		const char *end = memchr(p->s + p->at, '\n', p->len - p->at);

		p->at = end ? (size_t)(end - p->s) : p->len;
	}
	if (env_shell_at_line_end(p)) {
		p->at = line_at(p->s, p->len, p->at).next;
		return 0;
	}
	if (c == '(' || c == ')')
		return env_shell_fail(p, p->at,
			"sh takes a parenthesis that is in no quotes as code: quote the whole value");
	if (c == ';' && next == ';')
		return env_shell_fail(p, p->at, "sh cannot read `;;` here: quote the whole value");
	p->at += 1 + ((c == '&' || c == '|') && next == c);
	l->depends = l->depends || c != ';';
	env_shell_skip_blanks(p);
	if (c == ';' || (c == '&' && next != '&')) {
		*ret_more = !env_shell_at_line_end(p);
		if (!*ret_more)
			p->at = line_at(p->s, p->len, p->at).next;
		else if (strchr(";&|", p->s[p->at]))
			return env_shell_fail(p, p->at, "sh expects a command here: quote the whole value");
		return 0;
	}
	while (p->at < p->len && env_shell_at_line_end(p)) { /* `&&` and `|` go on in the next line */
		p->at = line_at(p->s, p->len, p->at).next;
		env_shell_skip_blanks(p);
	}
	if (p->at >= p->len || strchr(";&|#", p->s[p->at]))
		return env_shell_fail(p, p->at, "sh expects a command here: quote the whole value");
	*ret_more = true;
	return 0;
}

static int take_line(struct list *l)
{
	bool more = true;
	int r = 0;

	l->line_start = l->p.at;
	l->first = l->out->count;
	l->depends = false;
	if (l->p.at == 0)
		l->p.at = lines_bom(l->p.s, l->p.len);
	env_shell_skip_blanks(&l->p);
	if (l->p.at < l->p.len && l->p.s[l->p.at] == ';') { /* to systemd a comment; sh ends here */
		l->p.at = line_at(l->p.s, l->p.len, l->p.at).next;
		return 0;
	}
	if (l->p.at < l->p.len && (l->p.s[l->p.at] == '&' || l->p.s[l->p.at] == '|'))
		return env_shell_fail(&l->p, l->p.at, "sh expects a command here");
	while (r == 0 && more) {
		r = take_command(l);
		if (r == 0)
			r = take_separator(l, &more);
	}
	for (size_t i = l->first; i < l->out->count; i++) {
		l->out->list[i].line_end = l->p.at;
		if (l->depends)
			l->out->list[i].sure = false;
	}
	return r;
}

int env_read_sh(const char *s, size_t len, struct env_reading *out, struct fleet_driver_error *err)
{
	struct list l = {.p = {s, len, 0, err}, .out = out};
	int r = 0;

	while (r == 0 && l.p.at < len && !out->texts.failed)
		r = take_line(&l);
	return r;
}
