#include "driver/tool/options.h"
#include "fleet/limits.h"
#include "fleet/text.h"

struct parser {
	struct tool_options *o;
	struct fleet_error *err;
};

/* KEY=VALUE; *ret_key owned. */
static int split(struct parser *p, const char *name, const char *text, char **ret_key, const char **ret_value)
{
	/* the first one parts: values have = in them every day, keys do not */
	const char *equals = strchr(text, '=');

	if (!equals || equals == text)
		return fleet_error_set(p->err, -EINVAL, "--%s takes KEY=VALUE", name);
	*ret_key = xstrndup(text, (size_t)(equals - text));
	*ret_value = equals + 1;
	return 0;
}

static int take_option(struct parser *p, const char *name, const char *value)
{
	struct fleet_option *item;
	const char *text;
	char *key;
	int r = split(p, name, value, &key, &text);

	if (r < 0)
		return r;
	p->o->options = xreallocarray(p->o->options, p->o->option_count + 1, sizeof(*p->o->options));
	item = &p->o->options[p->o->option_count++];
	*item = (struct fleet_option){.key = key, .value = text};
	return 0;
}

static int take_change(struct parser *p, const char *name, const char *value)
{
	static const char *const names[] = {[TOOL_SET] = "set",
		[TOOL_SET_STRING] = "set-string",
		[TOOL_SET_JSON] = "set-json",
		[TOOL_SET_FILE] = "set-file",
		[TOOL_UNSET] = "unset"};
	struct tool_change change = {.kind = TOOL_SET};

	while (!str_equal(names[change.kind], name))
		change.kind++; /* one of them: the table of options below says so */
	if (p->o->change_count == FLEET_SETTINGS_PER_PUSH_MAX)
		return fleet_error_set(
			p->err, -EINVAL, "more than %d changes at once", FLEET_SETTINGS_PER_PUSH_MAX);
	if (change.kind == TOOL_UNSET) {
		change.key = xstrdup(value);
	} else {
		int r = split(p, name, value, &change.key, &change.value);

		if (r < 0)
			return r;
	}
	p->o->changes = xreallocarray(p->o->changes, p->o->change_count + 1, sizeof(*p->o->changes));
	p->o->changes[p->o->change_count++] = change;
	return 0;
}

#define TEXT(member) offsetof(struct tool_options, member), false, NULL
#define FLAG(member) offsetof(struct tool_options, member), true, NULL

static const struct known {
	const char *name;
	unsigned verbs;
	size_t member;
	bool flag;
	int (*take)(struct parser *p, const char *name, const char *value); /* NULL: into the member */
} known[] = {
	{"driver", TOOL_READ | TOOL_EDIT, TEXT(driver)},
	{"driver-dir", TOOL_CHECK | TOOL_READ | TOOL_EDIT, TEXT(driver_dir)},
	{"debug", TOOL_CHECK | TOOL_READ | TOOL_EDIT, FLAG(debug)},
	{"option", TOOL_CHECK | TOOL_READ | TOOL_EDIT, 0, false, take_option},
	{"samples", TOOL_CHECK, TEXT(samples)},
	{"exercise", TOOL_CHECK, TEXT(exercise)},
	{"json", TOOL_READ, FLAG(json)},
	{"diff", TOOL_EDIT, FLAG(diff)},
	{"in-place", TOOL_EDIT, FLAG(in_place)},
	{"set", TOOL_EDIT, 0, false, take_change},
	{"set-string", TOOL_EDIT, 0, false, take_change},
	{"set-json", TOOL_EDIT, 0, false, take_change},
	{"set-file", TOOL_EDIT, 0, false, take_change},
	{"unset", TOOL_EDIT, 0, false, take_change},
};

static const struct known *find(
	struct parser *p, const char *verb, unsigned bit, const char *name, size_t len)
{
	const char *names[FLEET_ARRAY_LEN(known)], *near;
	_cleanup_free_ char *word = xstrndup(name, len);
	size_t count = 0;

	for (size_t i = 0; i < FLEET_ARRAY_LEN(known); i++) {
		if (!(known[i].verbs & bit))
			continue;
		if (str_equal(known[i].name, word))
			return &known[i];
		names[count++] = known[i].name;
	}
	near = fleet_text_nearest(word, names, count);
	fleet_error_set(p->err, -EINVAL, "%s has no option --%.80s%s%s%s", verb, word,
		near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
	return NULL;
}

/* argv[*at] begins with --. */
static int take_long(struct parser *p, const char *verb, unsigned bit, int argc, char **argv, int *at)
{
	const char *name = argv[*at] + 2, *equals = strchr(name, '='), *value;
	const struct known *k = find(p, verb, bit, name, equals ? (size_t)(equals - name) : strlen(name));
	void *member;

	if (!k)
		return -EINVAL;
	member = (char *)p->o + k->member;
	if (k->flag) {
		if (equals)
			return fleet_error_set(p->err, -EINVAL, "--%s takes no value", k->name);
		*(bool *)member = true;
		return 0;
	}
	if (!equals && *at + 1 >= argc)
		return fleet_error_set(p->err, -EINVAL, "--%s lacks its value", k->name);
	value = equals ? equals + 1 : argv[++*at];
	if (k->take)
		return k->take(p, k->name, value);
	if (*(const char **)member)
		return fleet_error_set(p->err, -EINVAL, "--%s is given twice", k->name);
	*(const char **)member = value;
	return 0;
}

static int check_whole(const struct tool_options *o, const char *verb, unsigned bit, struct fleet_error *err)
{
	if (!o->file)
		return fleet_error_set(err, -EINVAL, "%s needs %s", verb,
			bit == TOOL_CHECK ? "the driver's FILE.so" : "the FILE to look at");
	if (bit != TOOL_CHECK && !o->driver)
		return fleet_error_set(err, -EINVAL, "%s needs --driver, a name or the path of a .so", verb);
	if (bit == TOOL_EDIT && o->change_count == 0)
		return fleet_error_set(err, -EINVAL, "edit needs at least one --set or --unset");
	if (o->diff && o->in_place)
		return fleet_error_set(err, -EINVAL, "--diff only looks, --in-place writes: choose one");
	if (o->in_place && str_equal(o->file, "-"))
		return fleet_error_set(err, -EINVAL, "standard input cannot be replaced in place");
	return 0;
}

int tool_options_parse(const char *verb, unsigned verb_bit, int argc, char **argv, struct tool_options *ret,
	struct fleet_error *err)
{
	struct parser p = {ret, err};
	bool only_files = false;
	int r = 0;

	for (int i = 0; i < argc && r == 0; i++) {
		if (!only_files && str_equal(argv[i], "--"))
			only_files = true;
		else if (!only_files && str_starts(argv[i], "--"))
			r = take_long(&p, verb, verb_bit, argc, argv, &i);
		else if (!only_files && argv[i][0] == '-' && argv[i][1])
			r = fleet_error_set(err, -EINVAL, "'%.80s' is no option", argv[i]);
		else if (ret->file)
			r = fleet_error_set(
				err, -EINVAL, "one file at a time: '%.200s' is one too many", argv[i]);
		else
			ret->file = argv[i];
	}
	return r < 0 ? r : check_whole(ret, verb, verb_bit, err);
}

void tool_options_done(struct tool_options *o)
{
	for (uint32_t i = 0; i < o->option_count; i++)
		free((char *)o->options[i].key); /* ours, see split() */
	for (size_t i = 0; i < o->change_count; i++)
		free(o->changes[i].key);
	free(o->options);
	free(o->changes);
	*o = (struct tool_options){0};
}
