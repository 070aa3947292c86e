#include "agent/host/push_diff.h"
#include <ctype.h>
#include "agent/host/key_policy.h"
#include "driver/unified_diff.h"
#include "fleet/limits.h"
#include "fleet/redact.h"
#include "fleet/text.h"

/* Plain words: no format has to quote them, so the line looks as it does with a value of its own. A secret
 * that changes must still look changed. */
#define HIDDEN     "HIDDEN"
#define HIDDEN_OLD "HIDDEN-OLD"
#define HIDDEN_NEW "HIDDEN-NEW"

static bool is_hidden(const struct app *app, const struct setting *item)
{
	return item->type != FLEET_TYPE_ARRAY && item->type != FLEET_TYPE_OBJECT &&
	       item->type != FLEET_TYPE_NULL && key_policy_is_secret(app, item->path);
}

/* ---- the secrets that the driver knows of ---- */

static int by_path(const void *a, const void *b)
{
	return strcmp((*(const struct setting *const *)a)->path, (*(const struct setting *const *)b)->path);
}

static const struct setting **by_name(const struct settings *s)
{
	const struct setting **list = xcalloc(s->count + 1, sizeof(*list));

	for (size_t i = 0; i < s->count; i++)
		list[i] = &s->items[i];
	qsort(list, s->count, sizeof(*list), by_path);
	return list;
}

static bool same_in(const struct setting *item, const struct setting **other, size_t count)
{
	const struct setting **found = bsearch(&item, other, count, sizeof(*other), by_path);

	return found && (*found)->type == item->type && (*found)->value_len == item->value_len &&
	       memcmp((*found)->value, item->value, item->value_len) == 0;
}

static struct fleet_edit *placeholders(const struct push *p, const struct settings *s,
	const struct settings *other, const char *changed, size_t *ret_count)
{
	_cleanup_free_ const struct setting **names = by_name(other);
	struct fleet_edit *edits = xcalloc(s->count + 1, sizeof(*edits));
	size_t n = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct setting *item = &s->items[i];
		const char *word = same_in(item, names, other->count) ? HIDDEN : changed;

		if (!is_hidden(p->op->app, item))
			continue;
		edits[n++] = (struct fleet_edit){.kind = FLEET_EDIT_SET,
			.path = {item->path, strlen(item->path)},
			.value = {word, strlen(word)},
			.type = FLEET_TYPE_STRING};
	}
	*ret_count = n;
	return edits;
}

/* content with a placeholder for each secret's value, and nothing else changed. */
static int hide(struct push *p, const struct safe_content *content, const struct settings *s,
	const struct settings *other, const char *changed, struct fleet_buffer *ret, struct fleet_error *err)
{
	_cleanup_(settings_done) struct settings expected = SETTINGS_INIT, seen = SETTINGS_INIT;
	_cleanup_free_ struct fleet_edit *edits = NULL;
	struct driver_call call;
	size_t count = 0;
	int r;

	edits = placeholders(p, s, other, changed, &count);
	if (count == 0) {
		fleet_buffer_add(ret, content->data, content->len);
		return 0;
	}
	r = settings_apply(s, edits, count, &expected, err);
	if (r >= 0)
		r = format_call(p->op->env, p->op->app, p->file, &call, err);
	if (r >= 0)
		r = driver_format_edit(&call, (struct fleet_bytes){content->data, content->len}, edits,
			(uint32_t)count, ret, err);
	if (r >= 0)
		r = driver_format_read(&call, (struct fleet_bytes){ret->data, ret->len}, &seen, err);
	return r < 0 ? r : settings_compare(&expected, &seen, err);
}

/* ---- those that stand in comments ---- */

static void add_secrets(struct fleet_redact *to, const struct app *app, const struct settings *s)
{
	for (size_t i = 0; i < s->count; i++) {
		const char *value = s->items[i].value;

		if (!is_hidden(app, &s->items[i]))
			continue;
		while (*value) { /* line by line, as the diff has them */
			size_t len = strcspn(value, "\n");

			fleet_redact_add(to, value, len);
			value += len + (value[len] == '\n');
		}
	}
}

static bool is_name_char(char c)
{
	return isalnum((unsigned char)c) || strchr("_-.", c);
}

/* "#password = old": what follows a secret's name, unless it is a placeholder or the begin of something
 * longer. */
static size_t named_secret(const struct app *app, const char *line)
{
	for (const char *at = line; (at = strpbrk(at, "=:")); at++) {
		const char *end = at, *start, *rest = at + 1;
		_cleanup_free_ char *name = NULL;

		while (end > line && strchr(" \t\"'", end[-1]))
			end--;
		for (start = end; start > line && is_name_char(start[-1]);)
			start--;
		rest += strspn(rest, " \t\"'=:");
		name = xstrndup(start, (size_t)(end - start));
		if (*name && *rest && !str_starts(rest, HIDDEN) && !strchr("{[|>\r", *rest) &&
			key_policy_is_secret(app, name))
			return (size_t)(rest - line);
	}
	return 0;
}

static void add_line(struct fleet_buffer *out, const struct app *app, struct fleet_redact *secrets,
	const char *text, size_t len)
{
	_cleanup_free_ char *line = xcalloc(len + 1, 1);
	bool content = len > 0 && strchr("+- ", *text);
	size_t named, return_len = len > 0 && text[len - 1] == '\r';

	memcpy(line, text, len - return_len);
	for (size_t i = 0; i < len; i++) {
		if (line[i] == '\t')
			line[i] = ' ';
		else if (!line[i] && i < len - return_len)
			line[i] = '?';
	}
	fleet_text_sanitize(line); /* a file is not always text */
	named = content ? named_secret(app, line + 1) : 0;
	if (content && fleet_redact_finds(secrets, line + 1))
		fleet_buffer_printf(out, "%c(hidden: a secret's value stands in this line)", *line);
	else if (named)
		fleet_buffer_printf(out, "%.*s" HIDDEN, (int)named + 1, line);
	else
		fleet_buffer_add_string(out, line);
	fleet_buffer_add(out, "\r\n" + !return_len, 1 + return_len);
}

static void add_lines(struct push *p, const struct fleet_buffer *diff, struct fleet_redact *secrets)
{
	_cleanup_buffer_ struct fleet_buffer out = FLEET_BUFFER_INIT;
	size_t at = 0, left = 0;
	bool header = true;

	while (at < diff->len) {
		const char *line = diff->data + at, *end = memchr(line, '\n', diff->len - at);
		size_t len = end ? (size_t)(end - line) : diff->len - at, before = out.len;

		if (left > 0) {
			left++;
		} else if (header) { /* "--- " and "+++ " are ours */
			fleet_buffer_add(&out, line, len);
			fleet_buffer_add_string(&out, "\n");
			header = *line == '-';
		} else {
			add_line(&out, p->op->app, secrets, line, len);
			if (out.len > FLEET_DIFF_MAX) {
				fleet_buffer_truncate(&out, before);
				left++;
			}
		}
		at += len + 1;
	}
	fleet_json_add_string(p->op->result, "unifiedDiff", out.data);
	if (left > 0)
		fleet_json_add_int(p->op->result, "unifiedDiffLeft", (int64_t)left);
}

void push_diff_add(struct push *p, const struct settings *now, const struct settings *after)
{
	_cleanup_buffer_ struct fleet_buffer old = FLEET_BUFFER_INIT, new = FLEET_BUFFER_INIT,
					     diff = FLEET_BUFFER_INIT;
	_cleanup_(fleet_redact_done) struct fleet_redact secrets = FLEET_REDACT_INIT;
	_cleanup_free_ char *name = xstrdup(p->file->path), *after_name = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (hide(p, &p->before, now, after, HIDDEN_OLD, &old, &err) < 0 ||
		hide(p, &p->after, after, now, HIDDEN_NEW, &new, &err) < 0) {
		_cleanup_free_ char *note =
			xasprintf("the lines are not shown: %s cannot hide the secrets among "
				  "them (%s)",
				p->file->driver, err.message);

		fleet_text_sanitize(note);
		fleet_json_add_string(p->op->result, "unifiedDiffNote", note);
		return;
	}
	fleet_text_sanitize(name);
	after_name = xasprintf("%s (after the push)", name);
	unified_diff(&diff, name, (struct fleet_bytes){old.data ? old.data : "", old.len}, after_name,
		(struct fleet_bytes){new.data ? new.data : "", new.len});
	if (diff.len == 0)
		return;
	add_secrets(&secrets, p->op->app, now);
	add_secrets(&secrets, p->op->app, after);
	add_lines(p, &diff, &secrets);
}
