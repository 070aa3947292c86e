/* Values and keys that a careless driver writes so that they say something else, or more. Each may be
 * refused, with a sentence; what is not refused must read back exactly. */
#include "driver/keypath.h"
#include "driver/tool/check.h"
#include "fleet/limits.h"

#define TEXT(t)                                                                                              \
	{                                                                                                    \
		t, sizeof(t) - 1                                                                             \
	}

static const struct {
	const char *data;
	size_t len;
} texts[] = {TEXT(""), TEXT(" "), TEXT(" leading"), TEXT("trailing "), TEXT("two words"), TEXT("\tTab\t"),
	TEXT("one\nSmuggled=two"), TEXT("one\nsmuggled: two"), TEXT("one\r\nSmuggled two\r\n"), TEXT("\n"),
	TEXT("\n[section]\nkey=value"), TEXT("it's"), TEXT("say \"so\""), TEXT("\""), TEXT("'"), TEXT("\\"),
	TEXT("back\\slash"), TEXT("ends in \\"), TEXT("a;b"), TEXT("; comment"), TEXT("# comment"),
	TEXT("a # b"), TEXT("a=b"), TEXT("a: b"), TEXT("$HOME `id` $(id)"), TEXT("%n%s"), TEXT("{}"),
	TEXT("[]"), TEXT("- x"), TEXT("*alias"), TEXT("&anchor"), TEXT("!tag"),
	TEXT("<a href=\"b\">&amp;</a>"), TEXT("null"), TEXT("~"), TEXT("no"), TEXT("true"), TEXT("1.0"),
	TEXT("0x1F"), TEXT("007"), TEXT("1e3"), TEXT("2026-01-31"),
	TEXT("\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x88"), TEXT("\xe2\x80\xa8"), TEXT("\x01\x1b[31m"),
	TEXT("\x7f"), TEXT("a, b"), TEXT("@x"), TEXT("|"), TEXT(">"), TEXT("?"), TEXT("//"), TEXT("/* x */")};

/* For formats with types: JSON text, as the host hands it on. */
static const struct {
	const char *text;
	uint32_t type;
} typed[] = {{"123456789012345678901234567890", FLEET_TYPE_INTEGER}, {"-0", FLEET_TYPE_INTEGER},
	{"1.0", FLEET_TYPE_NUMBER}, {"1e400", FLEET_TYPE_NUMBER}, {"true", FLEET_TYPE_BOOLEAN},
	{"null", FLEET_TYPE_NULL}, {"[]", FLEET_TYPE_ARRAY}, {"{}", FLEET_TYPE_OBJECT},
	{"[1,[],{\"a\":\"b\"}]", FLEET_TYPE_ARRAY},
	{"{\"k\":{\"l\":[1,\"2\"]},\"m\":\"n\"}", FLEET_TYPE_OBJECT}};

/* The last part of a key path, as it is written there. */
static const char *const names[] = {"a b", " a", "a=b", "a:b", "#a", ";a", "\"a\"", "'a'", "a\\.b", "\\[a]",
	"\\\\", "-", "\xc3\xa4", "0", "null", "{a}", "a\tb", "\\e", "<a>", "$a", "export a"};

#define TEXT_PICKS 5 /* settings of a sample that texts are tried at */

struct subject {
	struct check *c;
	const struct sample *sample;
	struct fleet_bytes in;
	const struct settings *now;
};

static void try_edit(
	const struct subject *x, const struct fleet_edit *edit, const char *what, struct verdict *v)
{
	_cleanup_buffer_ struct fleet_buffer out = FLEET_BUFFER_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;

	switch (check_proven(x->c, x->in, x->now, edit, 1, &out, &err)) {
	case OUTCOME_DONE:
		verdict_hold(v);
		break;
	case OUTCOME_REFUSED:
		verdict_refuse(v, err.message);
		break;
	default:
		verdict_fail(v, "%s: %s", what, err.message);
		break;
	}
}

/* The first string that has its name to itself, else any such value. */
static const struct setting *pick(const struct settings *now)
{
	const struct setting *best = NULL;

	for (size_t i = 0; i < now->count; i++) {
		const struct setting *s = &now->items[i];
		bool only = settings_find(now, s->path) == s;

		for (size_t k = i + 1; k < now->count && only; k++)
			only = !str_equal(now->items[k].path, s->path);
		if (!only || !*s->path || s->type == FLEET_TYPE_ARRAY || s->type == FLEET_TYPE_OBJECT)
			continue;
		if (s->type == FLEET_TYPE_STRING)
			return s;
		best = best ? best : s;
	}
	return best;
}

static void try_texts(const struct subject *x, const struct setting *s, struct verdict *v)
{
	_cleanup_free_ char *big = xmalloc(FLEET_VALUE_MAX);
	struct fleet_edit edit;

	for (size_t i = 0; i < FLEET_ARRAY_LEN(texts); i++) {
		_cleanup_free_ char *shown = xstrdup(texts[i].data), *what = NULL;

		fleet_text_sanitize(shown);
		what = xasprintf("'%s' set to '%s'", s->path, shown);
		edit = check_set(s->path, texts[i].data, texts[i].len, FLEET_TYPE_STRING);
		try_edit(x, &edit, what, v);
	}
	memset(big, 'x', FLEET_VALUE_MAX);
	edit = check_set(s->path, big, FLEET_VALUE_MAX, FLEET_TYPE_STRING);
	try_edit(x, &edit, "a value of 64 KiB", v);
}

/* Texts at strings all over the sample: how a value may be written depends on where it stands. */
static void try_everywhere(const struct subject *x, const struct setting *first, struct verdict *v)
{
	size_t step = x->now->count / TEXT_PICKS + 1;

	try_texts(x, first, v);
	for (size_t i = 0; i < x->now->count; i += step) {
		const struct setting *s = &x->now->items[i];
		bool only = settings_find(x->now, s->path) == s;

		for (size_t k = i + 1; k < x->now->count && only; k++)
			only = !str_equal(x->now->items[k].path, s->path);
		if (only && s != first && *s->path && s->type == FLEET_TYPE_STRING)
			try_texts(x, s, v);
	}
}

static void try_types(const struct subject *x, const struct setting *s, struct verdict *v)
{
	for (size_t i = 0; i < FLEET_ARRAY_LEN(typed); i++) {
		_cleanup_free_ char *what = xasprintf("'%s' set to the JSON %s", s->path, typed[i].text);
		struct fleet_edit edit =
			check_set(s->path, typed[i].text, strlen(typed[i].text), typed[i].type);

		try_edit(x, &edit, what, v);
	}
}

static void try_names(const struct subject *x, const struct setting *s, struct verdict *v)
{
	struct keypath parsed;
	size_t parent;

	if (keypath_parse(s->path, strlen(s->path), false, &parsed, NULL) < 0 || parsed.count == 0 ||
		parsed.parts[parsed.count - 1].kind != KEYPATH_NAME)
		return;
	parent = parsed.count > 1 ? parsed.parts[parsed.count - 2].end : 0;
	for (size_t i = 0; i < FLEET_ARRAY_LEN(names); i++) {
		_cleanup_free_ char *path =
			xasprintf("%.*s%s%s", (int)parent, s->path, parent > 0 ? "." : "", names[i]);
		_cleanup_free_ char *what = xasprintf("the new key '%s'", path);
		struct fleet_edit edit = check_set(path, "new-value", strlen("new-value"), FLEET_TYPE_STRING);

		fleet_text_sanitize(what);
		if (strlen(path) <= FLEET_KEY_PATH_MAX)
			try_edit(x, &edit, what, v);
	}
}

/* The host refuses these before it asks the driver. A driver that is asked all the same must not come to
 * harm, and must not say that it did it. */
static void try_nonsense(const struct subject *x, const struct setting *s, struct verdict *v)
{
	_cleanup_free_ char *below = xasprintf("%s.below", s->path),
			    *index = xasprintf("%s[999999]", s->path);
	const char *const paths[] = {below, index, "", ".", "[", "a..b", "a[", "a\\", "[01]", "a[+].b", "\\"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(paths); i++) {
		_cleanup_buffer_ struct fleet_buffer out = FLEET_BUFFER_INIT;
		struct fleet_edit edit = check_set(paths[i], "x", 1, FLEET_TYPE_STRING);
		struct fleet_error err = FLEET_ERROR_INIT;

		if (strlen(paths[i]) > FLEET_KEY_PATH_MAX)
			continue;
		if (check_edit(x->c, x->in, &edit, 1, &out, &err) == OUTCOME_BROKEN)
			verdict_fail(v, "set of '%s': %s", paths[i], err.message);
		else if (i < 2 && out.len != 0)
			verdict_fail(v, "set of '%s' was not refused, though '%s' is a single value",
				paths[i], s->path);
		else
			verdict_hold(v);
	}
}

void check_sample_values(struct check *c, const struct sample *sample, const struct settings *now)
{
	struct subject x = {c, sample, check_bytes(sample->data, sample->len), now};
	const struct setting *s = pick(now);
	struct verdict values = {0}, types = {0}, keys = {0}, nonsense = {0};

	if (s) {
		try_everywhere(&x, s, &values);
		if (!now->text_only)
			try_types(&x, s, &types);
		try_names(&x, s, &keys);
		try_nonsense(&x, s, &nonsense);
	}
	verdict_tell(&values, &c->tap, "no value to set",
		"%s: a text reads back as it was set, or is refused", sample->name);
	verdict_tell(&types, &c->tap, now->text_only ? "the format has text only" : "no value to set",
		"%s: a value of any type reads back as it was set, or is refused", sample->name);
	verdict_tell(&keys, &c->tap, "no key to put one beside",
		"%s: an odd new key reads back, or is refused", sample->name);
	verdict_tell(&nonsense, &c->tap, "no value to try it at", "%s: edits that make no sense do no harm",
		sample->name);
}
