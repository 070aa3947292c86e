/* Any format driver, linked into this program: what driver.h promises of read, check and edit, on hostile
 * files. The measure of an edit is the host's own (driver/settings_apply.c). */
#include "driver/keypath.h"
#include "fleet/text.h"
#include "format.h"

#define PICKS_MAX 1 /* settings of a file that are tried: more inputs are better than more of each */
#ifndef FUZZ_TRIES
#define FUZZ_TRIES TRIES_ALL /* of each input; a driver that is slow takes one, which the bytes choose */
#endif

extern const struct fleet_driver_v1 fleet_driver_v1;

#ifdef FUZZ_LENS
#define EDITS_COMPLETE 1 /* each other: what a lens cannot write yet waits for the edits behind it */
#else
#define EDITS_COMPLETE 0
#endif
enum { TRY_WISHES, TRY_SAME, TRY_OTHER, TRY_UNSET, TRY_FRESH, TRIES_ALL };

static const struct format_input *input; /* of this round */

/* ---- calls ---- */

static void begin(struct fake_host *h, struct fleet_driver_error *err)
{
	fake_host_init(h, NULL, input->options, input->option_count);
	*err = (struct fleet_driver_error){.size = sizeof(*err)};
}

/* A failure is told in a sentence; a success in nothing that looks like one. */
static void check_answer(const char *what, int r, const struct fleet_driver_error *err)
{
	size_t len = strnlen(err->message, sizeof(err->message));

	FUZZ_CHECK(r <= 0, "%s answered %d", what, r);
	FUZZ_CHECK(len < sizeof(err->message), "%s: its sentence has no end", what);
	FUZZ_CHECK(r == 0 || len > 0, "%s failed (%d) without a sentence", what, r);
	FUZZ_CHECK(r == 0 || err->code == r, "%s failed with %d and says %d", what, r, err->code);
	FUZZ_CHECK(r == 0 || fleet_text_is_utf8(err->message, len), "%s: its sentence is not UTF-8", what);
	FUZZ_CHECK(r == 0 || len + 1 == sizeof(err->message) || err->message[len - 1] != '.',
		"%s: a full stop: %s", what, err->message);
}

static int do_check(struct fleet_bytes in)
{
	struct fleet_driver_error err;
	struct fake_host h;
	int r;

	begin(&h, &err);
	r = fleet_driver_v1.format->check(&h.host, in, &err);
	check_answer("check", r, &err);
	FUZZ_CHECK(r == 0 || r == -EINVAL, "check answered %d: %s", r, err.message);
	return r;
}

static int do_read(struct fleet_bytes in, struct settings *ret)
{
	struct fleet_sink sink = FAKE_SINK_INIT;
	struct fleet_driver_error err;
	struct fake_host h;
	int r;

	begin(&h, &err);
	sink.settings.text_only = fleet_driver_v1.format->flags & FLEET_FORMAT_TEXT_ONLY;
	r = fleet_driver_v1.format->read(&h.host, in, &sink, &err);
	check_answer("read", r, &err);
	FUZZ_CHECK(sink.error != -EINVAL, "read told what is no setting: %s", err.message);
	FUZZ_CHECK(r == sink.error || sink.error == 0, "read ended with %d and not with its sink's %d", r,
		sink.error);
	for (size_t i = 0; i < sink.settings.count; i++) {
		const struct setting *s = &sink.settings.items[i];

		FUZZ_CHECK(fleet_text_is_utf8(s->path, strlen(s->path)), "a path that is not UTF-8");
		FUZZ_CHECK(fleet_text_is_utf8(s->value, s->value_len), "'%s' has a value that is not UTF-8",
			s->path);
	}
	if (r == 0 && ret) {
		*ret = sink.settings;
		sink.settings = (struct settings)SETTINGS_INIT;
	}
	fake_sink_done(&sink);
	return r;
}

static int do_edit(struct fleet_bytes in, const struct fleet_edit *edits, size_t n, struct fleet_buffer *ret)
{
	struct fleet_sink sink = FAKE_SINK_INIT;
	struct fleet_driver_error err;
	struct fake_host h;
	int r;

	begin(&h, &err);
	r = fleet_driver_v1.format->edit(&h.host, in, edits, (uint32_t)n, &sink, &err);
	check_answer("edit", r, &err);
	FUZZ_CHECK(r == 0 || r == -EINVAL, "edit answered %d: %s", r, err.message);
	if (r == 0) {
		fleet_buffer_add(&sink.data, "", 0);
		*ret = sink.data;
		sink.data = (struct fleet_buffer)FLEET_BUFFER_INIT;
	}
	fake_sink_done(&sink);
	return r;
}

/* Once: it may take long. FUZZ_LENS and its path are for a driver that must be told what files it is to read.
 */
static void do_init(void)
{
	static bool done;
#ifdef FUZZ_LENS
	static const struct fleet_option options[] = {{"lens", FUZZ_LENS}, {"load_path", FUZZ_LENS_PATH}};
	const uint32_t count = FLEET_ARRAY_LEN(options);
#else
	static const struct fleet_option *options;
	const uint32_t count = 0;
#endif
	struct fleet_driver_error err = {.size = sizeof(err)};
	struct fake_host h;

	if (done || !FLEET_CAN(fleet_driver_v1.format, init))
		return;
	fake_host_init(&h, NULL, options, count);
	FUZZ_CHECK(fleet_driver_v1.format->init(&h.host, &err) == 0, "init: %s", err.message);
	done = true;
}

/* ---- properties ---- */

static struct fleet_bytes bytes_of(const struct fleet_buffer *b)
{
	return (struct fleet_bytes){b->data ? b->data : "", b->len};
}

static bool same_bytes(struct fleet_bytes a, struct fleet_bytes b)
{
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* Edits that the driver made: the host, which reads the outcome itself, takes it. What makes no sense to the
 * host is refused there whatever the driver says; then one edit by itself has not changed anything. */
static void check_proven(struct fleet_bytes in, const struct settings *before, const struct fleet_edit *edits,
	size_t n, const struct fleet_buffer *out)
{
	const struct fleet_edit *last = &edits[n - 1];
	struct settings want = SETTINGS_INIT, after = SETTINGS_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;
	int r;

	FUZZ_CHECK(do_check(bytes_of(out)) == 0, "edit of '%.*s' made what check refuses:\n%s",
		(int)last->path.len, last->path.data, out->data);
	r = do_read(bytes_of(out), &after);
	FUZZ_CHECK(r == 0, "edit of '%.*s' made what cannot be read:\n%s", (int)last->path.len,
		last->path.data, out->data);
	r = settings_apply(before, edits, n, &want, &err);
	if (r < 0)
		FUZZ_CHECK(n > 1 || same_bytes(in, bytes_of(out)),
			"edit of '%.*s' did what makes no sense: %s\n%s", (int)last->path.len,
			last->path.data, err.message, out->data);
	else
		FUZZ_CHECK(settings_compare(&want, &after, &err) == 0,
			"edit of '%.*s' (%s) did something else: %s\n%s", (int)last->path.len,
			last->path.data, last->kind == FLEET_EDIT_SET ? "set" : "unset", err.message,
			out->data);
	settings_done(&want);
	settings_done(&after);
}

/* The same edit of its own outcome changes nothing more. */
static void check_again(const struct fleet_edit *edit, const struct fleet_buffer *once)
{
	struct fleet_buffer twice = FLEET_BUFFER_INIT;

	FUZZ_CHECK(do_edit(bytes_of(once), edit, 1, &twice) == 0, "'%.*s' can be edited once, not twice:\n%s",
		(int)edit->path.len, edit->path.data, once->data);
	FUZZ_CHECK(same_bytes(bytes_of(once), bytes_of(&twice)),
		"the same edit of '%.*s' (kind %u) again changed\n%s\nto\n%s", (int)edit->path.len,
		edit->path.data, edit->kind, once->data, twice.data);
	fleet_buffer_done(&twice);
}

/* Together or one after the other: the same bytes. Where edits complete each other, some cannot be done
 * alone. */
static void check_steps(const struct fleet_edit *edits, size_t n, const struct fleet_buffer *all)
{
	struct fleet_buffer step = FLEET_BUFFER_INIT;

	fleet_buffer_add(&step, input->file.data, input->file.len);
	for (size_t i = 0; i < n; i++) {
		struct fleet_buffer next = FLEET_BUFFER_INIT;
		struct settings now = SETTINGS_INIT;
		int r;

		FUZZ_CHECK(do_read(bytes_of(&step), &now) == 0, "a step made what cannot be read:\n%s",
			step.data);
		r = do_edit(bytes_of(&step), &edits[i], 1, &next);
		FUZZ_CHECK(r == 0 || EDITS_COMPLETE, "'%.*s' can be edited with others, not alone",
			(int)edits[i].path.len, edits[i].path.data);
		if (r == 0)
			check_proven(bytes_of(&step), &now, &edits[i], 1, &next);
		settings_done(&now);
		fleet_buffer_done(&step);
		step = next;
		if (r < 0)
			return;
	}
	FUZZ_CHECK(EDITS_COMPLETE || same_bytes(bytes_of(&step), bytes_of(all)),
		"together:\n%s\none by one:\n%s", all->data, step.data);
	fleet_buffer_done(&step);
}

/* ---- the edits that the input wishes, decided as the host decides them ---- */

static void try_wishes(const struct settings *now)
{
	struct fleet_edit edits[FORMAT_EDITS_MAX];
	char *values[FORMAT_EDITS_MAX] = {NULL};
	struct fleet_buffer out = FLEET_BUFFER_INIT;
	size_t n = 0;

	for (size_t i = 0; i < input->wish_count; i++) {
		const struct format_wish *wish = &input->wishes[i];
		struct fleet_edit *edit = &edits[n];
		uint32_t type = 0;

		/* the path is looked at in any case */
		if (settings_decide(now, wish->path, wish->text ? wish->text : "1", wish->mode, &type,
			    &values[n], NULL) < 0)
			continue;
		*edit = (struct fleet_edit){.path = {wish->path, strlen(wish->path)},
			.value = {"", 0},
			.kind = wish->text ? FLEET_EDIT_SET : FLEET_EDIT_UNSET};
		if (wish->text) {
			edit->type = type;
			edit->value = (struct fleet_bytes){values[n], strlen(values[n])};
		}
		n++;
	}
	if (n > 0 && do_edit(input->file, edits, n, &out) == 0) {
		check_proven(input->file, now, edits, n, &out);
		if (n > 1)
			check_steps(edits, n, &out);
		else if (edits[0].path.data[edits[0].path.len - 1] != ']' &&
			 !strstr(edits[0].path.data, "[+]"))
			check_again(&edits[0], &out); /* elements move up, or are added once more */
		fleet_buffer_done(&out);
	}
	for (size_t i = 0; i < n; i++)
		free(values[i]);
}

/* ---- edits of what the file says ---- */

static struct fleet_edit set_of(const char *path, const char *value, size_t len, uint32_t type)
{
	return (struct fleet_edit){
		.path = {path, strlen(path)}, .value = {value, len}, .kind = FLEET_EDIT_SET, .type = type};
}

static void try_same(const struct setting *s)
{
	struct fleet_edit edit = set_of(s->path, s->value, s->value_len, s->type);
	struct fleet_buffer out = FLEET_BUFFER_INIT;

	if (do_edit(input->file, &edit, 1, &out) < 0)
		return;
	FUZZ_CHECK(same_bytes(input->file, bytes_of(&out)), "'%s' was set to what it is, and became\n%s",
		s->path, out.data);
	fleet_buffer_done(&out);
}

/* Another value of the same type, some of them nasty to spell. */
static const char *another(const struct setting *s, uint32_t dice)
{
	static const char *const strings[] = {"changed", "", " lead", "trail ", "a\nb", "a # b", "k: v", "'",
		"\"", "\\", "true", "1", "~", "- x", "x;y", "[a]", "\xc3\xa9", "a\tb", "%i", "$x", "\n",
		"a\\\nb"};
	static const char *const integers[] = {"4242", "-1", "0"}, *const numbers[] = {"3.25", "1e5", "-0.5"},
				 *const booleans[] = {"true", "false"};

	switch (s->type) {
	case FLEET_TYPE_STRING:
		return strings[dice % FLEET_ARRAY_LEN(strings)];
	case FLEET_TYPE_INTEGER:
		return integers[dice % FLEET_ARRAY_LEN(integers)];
	case FLEET_TYPE_NUMBER:
		return numbers[dice % FLEET_ARRAY_LEN(numbers)];
	case FLEET_TYPE_BOOLEAN:
		return booleans[dice % FLEET_ARRAY_LEN(booleans)];
	default:
		return NULL;
	}
}

static void try_other(const struct settings *now, const struct setting *s, uint32_t dice)
{
	const char *value = another(s, dice);
	struct fleet_buffer out = FLEET_BUFFER_INIT;
	struct fleet_edit edit;

	if (!value)
		return;
	edit = set_of(s->path, value, strlen(value), s->type);
	if (do_edit(input->file, &edit, 1, &out) < 0)
		return;
	check_proven(input->file, now, &edit, 1, &out);
	check_again(&edit, &out);
	fleet_buffer_done(&out);
}

static void try_unset(const struct settings *now, const struct setting *s)
{
	struct fleet_edit edit = {
		.path = {s->path, strlen(s->path)}, .value = {"", 0}, .kind = FLEET_EDIT_UNSET};
	struct fleet_buffer out = FLEET_BUFFER_INIT;

	if (do_edit(input->file, &edit, 1, &out) < 0)
		return;
	check_proven(input->file, now, &edit, 1, &out);
	if (s->path[edit.path.len - 1] != ']')
		check_again(&edit, &out);
	fleet_buffer_done(&out);
}

/* Are all bytes of the old text in the new one, in their order? */
static bool lies_in(struct fleet_bytes old, struct fleet_bytes new)
{
	size_t at = 0;

	for (size_t i = 0; i < new.len &&at < old.len; i++)
		at += new.data[i] == old.data[at];
	return at == old.len;
}

static bool ends_in_backslash(struct fleet_bytes in)
{
	size_t len = in.len;

	while (len > 0 && in.data[len - 1] == '\n')
		len--;
	return len > 0 && in.data[len - 1] == '\\';
}

/* A key that is new comes beside this one and goes again: only added, and the first bytes are back. */
static void try_fresh(const struct settings *now, const struct setting *s)
{
	struct fleet_buffer with = FLEET_BUFFER_INIT, without = FLEET_BUFFER_INIT;
	struct fleet_bytes in = input->file;
	struct fleet_edit set, unset;
	struct keypath parsed;
	char *path;
	size_t parent;

	/* Behind a comment that goes on at the end, a new key needs an empty line, which stays. */
	if (ends_in_backslash(in) || memmem(in.data, in.len, "FuzzNew", 7) ||
		keypath_parse(s->path, strlen(s->path), false, &parsed, NULL) < 0 || parsed.count == 0 ||
		parsed.parts[parsed.count - 1].kind != KEYPATH_NAME)
		return;
	parent = parsed.count == 1 ? 0 : parsed.parts[parsed.count - 2].end;
	path = xasprintf("%.*s%sFuzzNew", (int)parent, s->path, parent > 0 ? "." : "");
	set = set_of(path, "new", 3, FLEET_TYPE_STRING);
	if (do_edit(in, &set, 1, &with) == 0) {
		check_proven(input->file, now, &set, 1, &with);
		check_again(&set, &with);
		FUZZ_CHECK(
			lies_in(in, bytes_of(&with)), "the new '%s' did not only add:\n%s", path, with.data);
		unset = (struct fleet_edit){.path = set.path, .value = {"", 0}, .kind = FLEET_EDIT_UNSET};
		if (do_edit(bytes_of(&with), &unset, 1, &without) == 0)
			FUZZ_CHECK(same_bytes(in, bytes_of(&without)),
				"the new '%s' came and went, and left\n%s", path, without.data);
		fleet_buffer_done(&with);
		fleet_buffer_done(&without);
	}
	free(path);
}

/* The last of its name: the one that an edit changes. */
static bool is_last(const struct settings *now, size_t n)
{
	for (size_t i = n + 1; i < now->count; i++) {
		if (str_equal(now->items[i].path, now->items[n].path))
			return false;
	}
	return true;
}

/* Is it this input's turn? The bits that choose are others than those that choose a setting. */
static bool takes(unsigned int what)
{
	unsigned int first = (input->dice >> 16) % TRIES_ALL;

	return (what + TRIES_ALL - first) % TRIES_ALL < FUZZ_TRIES;
}

static void try_file(const struct settings *now)
{
	for (uint32_t i = 0; i < PICKS_MAX && i < now->count; i++) {
		size_t n = (input->dice + i * (now->count / PICKS_MAX + 1)) % now->count;
		const struct setting *s = &now->items[n];

		if (!*s->path)
			continue; /* the document itself is no key */
		if (is_last(now, n) && takes(TRY_SAME))
			try_same(s);
		if (is_last(now, n) && takes(TRY_OTHER))
			try_other(now, s, input->dice >> (8 + i));
		if (takes(TRY_UNSET))
			try_unset(now, s);
		if (takes(TRY_FRESH))
			try_fresh(now, s);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct format_input taken;
	struct settings now = SETTINGS_INIT;
	int checked, r;

	do_init();
	format_input_parse(data, size, &taken);
	input = &taken;
	checked = do_check(taken.file);
	r = do_read(taken.file, &now);
	FUZZ_CHECK(checked != 0 || r != -EINVAL, "check takes what read refuses");
	FUZZ_CHECK(checked == 0 || r != 0, "read takes what check refuses");
	if (r == 0) {
		if (takes(TRY_WISHES))
			try_wishes(&now);
		try_file(&now);
	} else if (checked < 0) {
		struct fleet_edit edit = set_of("a", "b", 1, FLEET_TYPE_STRING);
		struct fleet_buffer out = FLEET_BUFFER_INIT;

		FUZZ_CHECK(do_edit(taken.file, &edit, 1, &out) < 0, "edit takes what check refuses:\n%s",
			out.data);
	}
	settings_done(&now);
	format_input_done(&taken);
	input = NULL;
	return 0;
}
