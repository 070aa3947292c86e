/* Edits of a sample: each does what was asked, and leaves all other bytes alone. */
#include "driver/keypath.h"
#include "driver/tool/bytes.h"
#include "fleet/limits.h"

#define PICKS_MAX 24 /* settings of one sample that are tried */

/* What every edit of a sample is held to; one test each. */
struct edit_verdicts {
	struct verdict same, other, bytes, again, unset, added, back, several;
};
struct subject {
	struct check *c;
	const struct sample *sample;
	struct fleet_bytes in;
	const struct settings *now;
	struct edit_verdicts v;
};

/* The last of its name is the one that a set changes. */
static bool is_last(const struct subject *x, size_t n)
{
	for (size_t i = n + 1; i < x->now->count; i++) {
		if (str_equal(x->now->items[i].path, x->now->items[n].path))
			return false;
	}
	return true;
}

static bool is_only(const struct subject *x, size_t n)
{
	return settings_find(x->now, x->now->items[n].path) == &x->now->items[n] && is_last(x, n);
}

/* Another value of the same type; NULL where the type has none. */
static const char *another(const struct setting *s)
{
	static const struct {
		uint32_t type;
		const char *values[2];
	} table[] = {{FLEET_TYPE_STRING, {"changed-1", "changed-2"}}, {FLEET_TYPE_INTEGER, {"4242", "4243"}},
		{FLEET_TYPE_NUMBER, {"3.25", "6.50"}}, {FLEET_TYPE_BOOLEAN, {"true", "false"}}};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(table); i++) {
		if (table[i].type == s->type)
			return table[i].values[str_equal(s->value, table[i].values[0])];
	}
	return NULL;
}

static void try_same(struct subject *x, const struct setting *s)
{
	_cleanup_buffer_ struct fleet_buffer out = FLEET_BUFFER_INIT;
	struct fleet_edit edit = check_set(s->path, s->value, s->value_len, s->type);
	struct fleet_error err = FLEET_ERROR_INIT;
	enum outcome outcome = check_edit(x->c, x->in, &edit, 1, &out, &err);

	if (outcome == OUTCOME_REFUSED)
		verdict_refuse(&x->v.same, err.message);
	else if (outcome != OUTCOME_DONE)
		verdict_fail(&x->v.same, "'%s': %s", s->path, err.message);
	else if (out.len != x->in.len || memcmp(out.data, x->in.data, out.len) != 0)
		verdict_fail(&x->v.same, "'%s' was set to the value that it has, and line %u changed",
			s->path, bytes_line_at(x->in, bytes_span(x->in, &out).start));
	else
		verdict_hold(&x->v.same);
}

/* The same edit of its own outcome changes nothing more. */
static void try_again(
	struct subject *x, const struct fleet_edit *edit, const struct fleet_buffer *once, const char *path)
{
	_cleanup_buffer_ struct fleet_buffer twice = FLEET_BUFFER_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (check_edit(x->c, check_bytes(once->data, once->len), edit, 1, &twice, &err) != OUTCOME_DONE)
		verdict_fail(&x->v.again, "'%s', a second time: %s", path, err.message);
	else if (once->len != twice.len || memcmp(once->data, twice.data, once->len) != 0)
		verdict_fail(&x->v.again, "the %s of '%s', done a second time, changed the file once more",
			edit->kind == FLEET_EDIT_SET ? "set" : "unset", path);
	else
		verdict_hold(&x->v.again);
}

static void try_other(struct subject *x, const struct setting *s)
{
	_cleanup_buffer_ struct fleet_buffer out = FLEET_BUFFER_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;
	const char *value = another(s);
	struct fleet_edit edit;
	enum outcome outcome;

	if (!value)
		return;
	edit = check_set(s->path, value, strlen(value), s->type);
	outcome = check_proven(x->c, x->in, x->now, &edit, 1, &out, &err);
	if (outcome == OUTCOME_REFUSED) {
		verdict_refuse(&x->v.other, err.message);
		return;
	}
	if (outcome != OUTCOME_DONE) {
		verdict_fail(&x->v.other, "set of '%s': %s", s->path, err.message);
		return;
	}
	verdict_hold(&x->v.other);
	x->c->edits_made++;
	bytes_judge_set(&x->v.bytes, x->in, s, &out);
	try_again(x, &edit, &out, s->path);
}

static bool same_parent(const char *a, const char *b)
{
	size_t len = bytes_parent_len(a);

	return len == bytes_parent_len(b) && (len == SIZE_MAX || strncmp(a, b, len) == 0);
}

static bool has_sibling(const struct subject *x, const struct setting *s)
{
	size_t parent = bytes_parent_len(s->path);

	for (size_t i = 0; parent != SIZE_MAX && i < x->now->count; i++) {
		const char *other = x->now->items[i].path;

		if (!str_equal(other, s->path) && keypath_is_below(other, s->path, parent, NULL))
			return true;
	}
	return false;
}

static void try_unset(struct subject *x, const struct setting *s, bool only)
{
	_cleanup_buffer_ struct fleet_buffer out = FLEET_BUFFER_INIT;
	struct fleet_edit edit = check_unset(s->path);
	struct fleet_error err = FLEET_ERROR_INIT;
	enum outcome outcome;

	outcome = check_proven(x->c, x->in, x->now, &edit, 1, &out, &err);
	if (outcome == OUTCOME_REFUSED)
		verdict_refuse(&x->v.unset, err.message);
	else if (outcome != OUTCOME_DONE)
		verdict_fail(&x->v.unset, "unset of '%s': %s", s->path, err.message);
	else if (only && has_sibling(x, s))
		bytes_judge_unset(&x->v.unset, x->in, s, &out);
	else
		verdict_hold(&x->v.unset);
	/* not of elements: the next one has moved into its place */
	if (outcome == OUTCOME_DONE && bytes_parent_len(s->path) != SIZE_MAX)
		try_again(x, &edit, &out, s->path);
}

/* A new key beside this one comes and goes, and the file is what it was. */
static void try_new(struct subject *x, const struct setting *s)
{
	size_t parent = bytes_parent_len(s->path);
	_cleanup_free_ char *path = parent == SIZE_MAX ? NULL
						       : xasprintf("%.*s%sFleetCheckNew", (int)parent,
								 s->path, parent > 0 ? "." : "");
	_cleanup_buffer_ struct fleet_buffer with = FLEET_BUFFER_INIT, without = FLEET_BUFFER_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct fleet_edit set, unset;
	enum outcome outcome;
	struct byte_span span;

	if (!path || strlen(path) > FLEET_KEY_PATH_MAX || settings_find(x->now, path))
		return;
	set = check_set(path, "new-value", strlen("new-value"), FLEET_TYPE_STRING);
	outcome = check_proven(x->c, x->in, x->now, &set, 1, &with, &err);
	if (outcome == OUTCOME_REFUSED) {
		verdict_refuse(&x->v.added, err.message);
		return;
	}
	if (outcome != OUTCOME_DONE) {
		verdict_fail(&x->v.added, "set of '%s': %s", path, err.message);
		return;
	}
	span = bytes_span(x->in, &with);
	if (span.start != span.old_end)
		verdict_fail(&x->v.added, "set of the new '%s' did not only add, it changed line %u", path,
			bytes_line_at(x->in, span.start));
	else
		verdict_hold(&x->v.added);
	try_again(x, &set, &with, path);
	unset = check_unset(path);
	if (check_edit(x->c, check_bytes(with.data, with.len), &unset, 1, &without, &err) != OUTCOME_DONE)
		verdict_fail(&x->v.back, "unset of '%s', which was just set: %s", path, err.message);
	else if (without.len != x->in.len || memcmp(without.data, x->in.data, without.len) != 0)
		verdict_fail(&x->v.back,
			"'%s' was set and unset, and the file is not what it was, from line %u on", path,
			bytes_line_at(x->in, bytes_span(x->in, &without).start));
	else
		verdict_hold(&x->v.back);
}

/* Several edits in one call are the same as one after the other. */
static void try_several(struct subject *x, const struct setting *first, const struct setting *last)
{
	_cleanup_buffer_ struct fleet_buffer all = FLEET_BUFFER_INIT, step = FLEET_BUFFER_INIT;
	const char *value = another(last);
	struct fleet_edit edits[2];
	struct fleet_error err = FLEET_ERROR_INIT;
	enum outcome outcome;

	if (first == last || !value || !*first->path || bytes_parent_len(first->path) == SIZE_MAX)
		return;
	edits[0] = check_unset(first->path);
	edits[1] = check_set(last->path, value, strlen(value), last->type);
	outcome = check_proven(x->c, x->in, x->now, edits, 2, &all, &err);
	if (outcome == OUTCOME_REFUSED) {
		verdict_refuse(&x->v.several, err.message);
		return;
	}
	if (outcome != OUTCOME_DONE) {
		verdict_fail(&x->v.several, "unset of '%s' and set of '%s' in one call: %s", first->path,
			last->path, err.message);
		return;
	}
	fleet_buffer_add(&step, x->in.data, x->in.len);
	for (size_t i = 0; i < 2; i++) {
		struct fleet_buffer next = FLEET_BUFFER_INIT;

		if (check_edit(x->c, check_bytes(step.data, step.len), &edits[i], 1, &next, &err) !=
			OUTCOME_DONE) {
			verdict_fail(&x->v.several,
				"'%s' can be edited together with another, but not alone: %s",
				i == 0 ? first->path : last->path, err.message);
			return;
		}
		fleet_buffer_done(&step);
		step = next;
	}
	if (step.len != all.len || memcmp(step.data, all.data, all.len) != 0)
		verdict_fail(&x->v.several,
			"'%s' and '%s' edited in one call give other bytes than one by one", first->path,
			last->path);
	else
		verdict_hold(&x->v.several);
}

static void tell(const struct subject *x)
{
	static const char none[] = "nothing in it to try that with";
	const struct {
		const struct verdict *v;
		const char *name;
	} tests[] = {{&x->v.same, "set to the same value changes no byte"},
		{&x->v.other, "set changes that value and no other"},
		{&x->v.bytes, "set leaves all bytes but the value's own"},
		{&x->v.again, "the same edit again changes nothing"},
		{&x->v.unset, "unset takes that key and nothing else"},
		{&x->v.added, "a new key is only added"},
		{&x->v.back, "unset of a new key gives the first bytes back"},
		{&x->v.several, "several edits in one call are as one by one"}};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(tests); i++)
		verdict_tell(tests[i].v, &x->c->tap, none, "%s: %s", x->sample->name, tests[i].name);
}

void check_sample_edits(struct check *c, const struct sample *sample, const struct settings *now)
{
	struct subject x = {
		.c = c, .sample = sample, .in = check_bytes(sample->data, sample->len), .now = now};
	size_t picks = now->count < PICKS_MAX ? now->count : PICKS_MAX;
	const struct setting *last = NULL;

	for (size_t i = 0; i < picks; i++) {
		size_t n = picks > 1 ? i * (now->count - 1) / (picks - 1) : 0;
		const struct setting *s = &now->items[n];

		if (!*s->path)
			continue;     /* the document itself is no key */
		if (is_last(&x, n)) { /* of its name: that is the one that a set changes */
			try_same(&x, s);
			try_other(&x, s);
		}
		try_unset(&x, s, is_only(&x, n));
		/* once for each neighbourhood */
		if (!last || !same_parent(s->path, last->path))
			try_new(&x, s);
		last = s;
	}
	for (size_t n = now->count; n > 1; n--) {
		if (!is_only(&x, n - 1) || !another(&now->items[n - 1]))
			continue;
		try_several(&x, &now->items[0], &now->items[n - 1]);
		break;
	}
	tell(&x);
}
