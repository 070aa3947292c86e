#include "driver/child_host.h"
#include "driver/tool/check.h"
#include "driver/tool/guard.h"
#include "driver/tool/prove.h"
#include "fleet/text.h"

#define SMALL_INPUT 65536 /* for which there is always memory */

/* What happened, with a hint where the sentence of a crash does not say enough. */
static enum outcome classify(int r, size_t len, struct fleet_error *err)
{
	static const char *const bounds[] = {
		CHILD_PATH_TOO_LONG, CHILD_TOO_MANY_SETTINGS, CHILD_ANSWER_TOO_LONG};

	switch (r) {
	case 0:
		return OUTCOME_DONE;
	case -EPROTO:
		for (size_t i = 0; i < FLEET_ARRAY_LEN(bounds); i++) {
			if (strstr(err->message, bounds[i]))
				return OUTCOME_TOO_MUCH;
		}
		return OUTCOME_BROKEN;
	case -EFAULT:
		if (strstr(err->message, "SIGSEGV") || strstr(err->message, "SIGBUS"))
			fleet_error_wrap(err, "does it read past the end of what it is lent? It ends where "
					      "memory ends here");
		return OUTCOME_BROKEN;
	case -ENOMEM:
		if (len < SMALL_INPUT)
			fleet_error_wrap(err, "it says that memory is out, over an input of %zu bytes", len);
		return len < SMALL_INPUT ? OUTCOME_BROKEN : OUTCOME_REFUSED;
	case -ETIMEDOUT:
	case -ENODATA:
		return OUTCOME_BROKEN;
	default:
		return OUTCOME_REFUSED;
	}
}

static size_t line_count(struct fleet_bytes in)
{
	size_t n = 1;

	for (uint64_t i = 0; i < in.len; i++)
		n += in.data[i] == '\n' || in.data[i] == '\r';
	return n;
}

void check_sentence(struct check *c, const char *where, struct fleet_bytes in, const struct fleet_edit *edits,
	size_t count, const struct fleet_error *err)
{
	size_t len = strlen(err->message);
	const char *text = err->message;
	unsigned line = 0;
	char *end;

	if (strstr(text, DRIVER_SAID_NOTHING)) {
		verdict_fail(&c->sentences, "%s", text);
		return;
	}
	line = (unsigned)strtoul(text, &end, 10);
	if (end > text && *end == ':' && line > line_count(in))
		verdict_fail(&c->sentences, "%s: its error names line %u of an input of %zu lines: %s", where,
			line, line_count(in), text);
	if (len < 4 || text[len - 1] == '.')
		verdict_fail(&c->sentences,
			"%s: an error is one sentence for a person, without a final full stop: %s", where,
			text);
	for (size_t i = 0; i < count; i++) {
		const struct fleet_bytes *value = &edits[i].value;

		if (value->len >= 8 && memmem(text, len, value->data, value->len))
			verdict_fail(&c->sentences,
				"%s: the error tells the value that it was to write, which might be a "
				"secret: %s",
				where, text);
	}
	verdict_hold(&c->sentences);
}

static const struct setting *find_broken_text(const struct settings *s)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct setting *item = &s->items[i];

		if (!fleet_text_is_utf8(item->path, strlen(item->path)) ||
			!fleet_text_is_utf8(item->value, item->value_len))
			return item;
	}
	return NULL;
}

enum outcome check_read(struct check *c, struct fleet_bytes in, struct settings *ret, struct fleet_error *err)
{
	struct driver_call call = tool_target_call(&c->target);
	struct guard guard;
	enum outcome outcome =
		classify(driver_format_read(&call, guard_copy(&guard, in), ret, err), in.len, err);

	guard_done(&guard);
	if (outcome == OUTCOME_REFUSED)
		check_sentence(c, "read", in, NULL, 0, err);
	if (outcome == OUTCOME_DONE && find_broken_text(ret)) {
		fleet_error_set(err, -EPROTO,
			"read answers with a key or value that is not UTF-8; such a file is to be refused");
		settings_done(ret);
		return OUTCOME_BROKEN;
	}
	return outcome;
}

enum outcome check_check(struct check *c, struct fleet_bytes in, struct fleet_error *err)
{
	struct driver_call call = tool_target_call(&c->target);
	struct guard guard;
	enum outcome outcome = classify(driver_format_check(&call, guard_copy(&guard, in), err), in.len, err);

	guard_done(&guard);
	if (outcome == OUTCOME_REFUSED)
		check_sentence(c, "check", in, NULL, 0, err);
	return outcome;
}

enum outcome check_edit(struct check *c, struct fleet_bytes in, const struct fleet_edit *edits, size_t count,
	struct fleet_buffer *ret, struct fleet_error *err)
{
	struct driver_call call = tool_target_call(&c->target);
	struct guarded_edits lent;
	struct guard guard;
	enum outcome outcome;
	int r;

	guard_edits(&lent, edits, count);
	r = driver_format_edit(&call, guard_copy(&guard, in), lent.items, (uint32_t)count, ret, err);
	outcome = classify(r, in.len, err);
	guard_done(&guard);
	guard_edits_done(&lent);
	if (outcome == OUTCOME_DONE)
		fleet_buffer_add_string(ret, ""); /* data is not NULL even where the new file is empty */
	if (outcome == OUTCOME_REFUSED) {
		check_sentence(c, "edit", in, edits, count, err);
		(void)snprintf(c->refusal, sizeof(c->refusal), "%s", err->message);
	}
	return outcome;
}

enum outcome check_proven(struct check *c, struct fleet_bytes in, const struct settings *now,
	const struct fleet_edit *edits, size_t count, struct fleet_buffer *ret, struct fleet_error *err)
{
	_cleanup_(settings_done) struct settings expected = SETTINGS_INIT;
	enum outcome outcome;

	if (settings_apply(now, edits, count, &expected, err) < 0)
		return OUTCOME_REFUSED;
	outcome = check_edit(c, in, edits, count, ret, err);
	if (outcome != OUTCOME_DONE)
		return outcome;
	if (tool_prove(&c->target, check_bytes(ret->data, ret->len), &expected, err) < 0) {
		fleet_buffer_done(ret);
		return OUTCOME_BROKEN;
	}
	return OUTCOME_DONE;
}

bool check_same(const struct settings *a, const struct settings *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct setting *x = &a->items[i], *y = &b->items[i];

		if (!str_equal(x->path, y->path) || x->type != y->type || x->value_len != y->value_len ||
			memcmp(x->value, y->value, x->value_len) != 0)
			return false;
	}
	return true;
}
