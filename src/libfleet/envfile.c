/* The states are those of systemd's own reader (systemd.exec(5), EnvironmentFile=). It skips what it does
 * not understand; here that is an error, because a skipped line is a setting that somebody misses. */
#include "fleet/buffer.h"
#include "fleet/envfile.h"
#include "fleet/limits.h"
#include "fleet/text.h"

struct assignment {
	char *key, *value; /* owned */
};

struct fleet_envfile {
	struct assignment *items;
	size_t count;
};

struct reader {
	const char *at, *end, *name;
	unsigned line;
	struct fleet_error *err;
};

static int fault(struct reader *r, unsigned line, const char *why)
{
	return fleet_error_set(r->err, -EBADMSG, "%s:%u: %s", r->name, line, why);
}

static bool is_newline(char c)
{
	return c == '\n' || c == '\r';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static char next(struct reader *r)
{
	if (*r->at == '\n')
		r->line++;
	return *r->at++;
}

static void skip_line(struct reader *r)
{
	while (r->at < r->end && !is_newline(*r->at))
		r->at++;
}

static bool is_key(const char *key)
{
	for (const char *p = key; *p; p++) {
		bool digit = *p >= '0' && *p <= '9';

		if (!(*p == '_' || (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') ||
			    (digit && p > key)))
			return false;
	}
	return key[0] != '\0';
}

static int read_key(struct reader *r, char **ret)
{
	const char *start = r->at;
	_cleanup_free_ char *key = NULL;
	size_t len;

	while (r->at < r->end && *r->at != '=' && !is_newline(*r->at))
		r->at++;
	if (r->at == r->end || *r->at != '=')
		return fault(r, r->line, "expected KEY=VALUE");
	len = (size_t)(r->at - start);
	while (len > 0 && is_blank(start[len - 1]))
		len--;
	key = xstrndup(start, len);
	if (str_starts(key, "export "))
		return fault(r, r->line, "'export' does not belong here: this is no shell script");
	if (!is_key(key))
		return fault(r, r->line, "a name may have letters, digits and '_', and no digit first");
	r->at++;
	*ret = TAKE_PTR(key);
	return 0;
}

static int read_single_quoted(struct reader *r, struct fleet_buffer *value)
{
	unsigned began = r->line;

	for (r->at++; r->at < r->end;) {
		char c = next(r);

		if (c == '\'')
			return 0;
		fleet_buffer_add(value, &c, 1);
	}
	return fault(r, began, "a single quote is not closed");
}

static int read_double_quoted(struct reader *r, struct fleet_buffer *value)
{
	unsigned began = r->line;

	for (r->at++; r->at < r->end;) {
		char c = next(r);

		if (c == '"')
			return 0;
		if (c == '\\' && r->at < r->end) {
			char escaped = next(r);

			if (escaped == '\n')
				continue;
			if (!strchr("\"\\`$", escaped))
				fleet_buffer_add(value, &c, 1);
			c = escaped;
		}
		fleet_buffer_add(value, &c, 1);
	}
	return fault(r, began, "a double quote is not closed");
}

/* An unquoted run up to the line's end, without the blanks at its end. */
static void read_plain(struct reader *r, struct fleet_buffer *value)
{
	size_t keep = value->len;

	while (r->at < r->end && !is_newline(*r->at)) {
		char c = next(r);

		if (c == '\\') {
			if (r->at == r->end)
				break;
			if (*r->at == '\r' && r->at + 1 < r->end && r->at[1] == '\n')
				r->at++;
			c = next(r);
			if (c == '\n')
				continue; /* the value goes on in the next line */
			fleet_buffer_add(value, &c, 1);
			keep = value->len;
			continue;
		}
		fleet_buffer_add(value, &c, 1);
		if (!is_blank(c))
			keep = value->len;
	}
	fleet_buffer_truncate(value, keep);
}

/* Quoted pieces may follow each other; after the first unquoted character quotes are plain characters. */
static int read_value(struct reader *r, struct fleet_buffer *value)
{
	while (r->at < r->end && !is_newline(*r->at)) {
		int result = 0;

		if (is_blank(*r->at)) {
			r->at++;
		} else if (*r->at == '\'') {
			result = read_single_quoted(r, value);
		} else if (*r->at == '"') {
			result = read_double_quoted(r, value);
		} else {
			read_plain(r, value);
			break;
		}
		if (result < 0)
			return result;
	}
	return 0;
}

static void assign(struct fleet_envfile *env, char *takes_key, char *takes_value)
{
	for (size_t i = 0; i < env->count; i++) {
		if (str_equal(env->items[i].key, takes_key)) {
			free(takes_key);
			free(env->items[i].value);
			env->items[i].value = takes_value;
			return;
		}
	}
	env->items = xreallocarray(env->items, env->count + 1, sizeof(*env->items));
	env->items[env->count++] = (struct assignment){takes_key, takes_value};
}

static int read_assignment(struct reader *r, struct fleet_envfile *env)
{
	_cleanup_buffer_ struct fleet_buffer value = FLEET_BUFFER_INIT;
	_cleanup_free_ char *key = NULL;
	int result = read_key(r, &key);

	if (result < 0)
		return result;
	result = read_value(r, &value);
	if (result < 0)
		return result;
	assign(env, TAKE_PTR(key), fleet_buffer_take(&value, NULL));
	return 0;
}

int fleet_envfile_parse(
	const char *text, size_t len, const char *name, struct fleet_envfile **ret, struct fleet_error *err)
{
	_cleanup_(fleet_envfile_freep) struct fleet_envfile *env = xcalloc(1, sizeof(*env));
	struct reader r = {.at = text, .end = text + len, .name = name, .line = 1, .err = err};

	if (len > FLEET_ENV_FILE_MAX)
		return fleet_error_set(err, -EBADMSG, "%s:1: it has %zu bytes, at most %u are allowed", name,
			len, FLEET_ENV_FILE_MAX);
	if (memchr(text, '\0', len) || !fleet_text_is_utf8(text, len))
		return fleet_error_set(err, -EBADMSG, "%s:1: not a text file in UTF-8", name);
	while (r.at < r.end) {
		int result;

		if (is_blank(*r.at) || is_newline(*r.at)) {
			(void)next(&r); /* a blank or an empty line says nothing */
			continue;
		}
		if (*r.at == '#' || *r.at == ';') {
			skip_line(&r);
			continue;
		}
		result = read_assignment(&r, env);
		if (result < 0)
			return result;
	}
	*ret = TAKE_PTR(env);
	return 0;
}

void fleet_envfile_free(struct fleet_envfile *env)
{
	if (!env)
		return;
	for (size_t i = 0; i < env->count; i++) {
		free(env->items[i].key);
		free(env->items[i].value);
	}
	free(env->items);
	free(env);
}

const char *fleet_envfile_get(const struct fleet_envfile *env, const char *key)
{
	for (size_t i = 0; i < env->count; i++) {
		if (str_equal(env->items[i].key, key))
			return env->items[i].value;
	}
	return NULL;
}
