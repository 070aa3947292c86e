#include "driver_try.h"
#include "fleet/text.h"
#include "unit.h"

extern const struct fleet_driver_v1 fleet_driver_v1;

static const struct fleet_option *given;
static uint32_t given_count;

void try_options(const struct fleet_option *options, uint32_t count)
{
	given = options;
	given_count = count;
}

static void begin(struct fake_host *h, struct fleet_driver_error *err)
{
	fake_host_init(h, NULL, given, given_count);
	*err = (struct fleet_driver_error){.size = sizeof(*err)};
}

int try_read(const char *text, size_t len, struct settings *ret, struct fleet_driver_error *err)
{
	struct fleet_sink sink = FAKE_SINK_INIT;
	struct fake_host h;
	int r;

	begin(&h, err);
	sink.settings.text_only = fleet_driver_v1.format->flags & FLEET_FORMAT_TEXT_ONLY;
	r = fleet_driver_v1.format->read(&h.host, (struct fleet_bytes){text, len}, &sink, err);
	if (r == 0 && ret) {
		*ret = sink.settings;
		sink.settings = (struct settings)SETTINGS_INIT;
	}
	fake_sink_done(&sink);
	return r;
}

int try_check(const char *text, size_t len, struct fleet_driver_error *err)
{
	struct fake_host h;

	begin(&h, err);
	return fleet_driver_v1.format->check(&h.host, (struct fleet_bytes){text, len}, err);
}

int try_edit(const char *text, size_t len, const struct fleet_edit *edits, uint32_t n,
	struct fleet_buffer *ret, struct fleet_driver_error *err)
{
	struct fleet_sink sink = FAKE_SINK_INIT;
	struct fake_host h;
	int r;

	begin(&h, err);
	r = fleet_driver_v1.format->edit(&h.host, (struct fleet_bytes){text, len}, edits, n, &sink, err);
	if (r == 0) {
		fleet_buffer_add(&sink.data, "", 0);
		*ret = sink.data;
		sink.data = (struct fleet_buffer)FLEET_BUFFER_INIT;
	}
	fake_sink_done(&sink);
	return r;
}

bool try_says_what_was_asked(const char *old, size_t old_len, const char *new, size_t new_len,
	const struct fleet_edit *edits, size_t n)
{
	struct settings before = SETTINGS_INIT, want = SETTINGS_INIT, after = SETTINGS_INIT;
	struct fleet_driver_error said = {.size = sizeof(said)};
	struct fleet_error err = FLEET_ERROR_INIT;
	bool good = try_read(old, old_len, &before, &said) == 0 &&
		    try_read(new, new_len, &after, &said) == 0 &&
		    settings_apply(&before, edits, n, &want, &err) == 0 &&
		    settings_compare(&want, &after, &err) == 0;

	if (!good)
		printf("# %s %s\n", said.message, err.message);
	settings_done(&before);
	settings_done(&want);
	settings_done(&after);
	return good;
}

/* Of a format that knows types: JSON text, but for a string only the quotes go. */
static void take_type(struct fleet_edit *edit)
{
	static const struct {
		char first;
		uint32_t type;
	} types[] = {{'"', FLEET_TYPE_STRING}, {'{', FLEET_TYPE_OBJECT}, {'[', FLEET_TYPE_ARRAY},
		{'t', FLEET_TYPE_BOOLEAN}, {'f', FLEET_TYPE_BOOLEAN}, {'n', FLEET_TYPE_NULL}};

	edit->type = strpbrk(edit->value.data, ".eE") ? FLEET_TYPE_NUMBER : FLEET_TYPE_INTEGER;
	for (size_t i = 0; i < FLEET_ARRAY_LEN(types); i++) {
		if (*edit->value.data == types[i].first)
			edit->type = types[i].type;
	}
	if (edit->type == FLEET_TYPE_STRING)
		edit->value = (struct fleet_bytes){edit->value.data + 1, edit->value.len - 2};
}

struct fleet_edit try_edit_of(const char *spec)
{
	const char *equals = strchr(spec, '=');
	struct fleet_edit edit = {.kind = FLEET_EDIT_UNSET, .path = {spec, strlen(spec)}, .value = {"", 0}};

	if (!equals)
		return edit;
	edit.kind = FLEET_EDIT_SET;
	edit.path.len = (uint64_t)(equals - spec);
	edit.value = (struct fleet_bytes){equals + 1, strlen(equals + 1)};
	edit.type = FLEET_TYPE_STRING;
	if (!(fleet_driver_v1.format->flags & FLEET_FORMAT_TEXT_ONLY))
		take_type(&edit);
	return edit;
}

void try_examples(const struct try_example *list)
{
	for (const struct try_example *e = list; e->before; e++) {
		struct fleet_edit edit = try_edit_of(e->edit);
		struct fleet_buffer out = FLEET_BUFFER_INIT;
		struct fleet_driver_error err;
		int r = try_edit(e->before, strlen(e->before), &edit, 1, &out, &err);

		if (r < 0 || strcmp(out.data, e->after) != 0)
			printf("# %s on\n%s\n# %s; got\n%s\n# want\n%s\n", e->edit, e->before, err.message,
				out.data ? out.data : "-", e->after);
		CU_ASSERT_EQUAL(r, 0);
		CU_ASSERT_STRING_EQUAL(out.data ? out.data : "-", e->after);
		if (r == 0)
			CU_ASSERT_TRUE(try_says_what_was_asked(
				e->before, strlen(e->before), out.data, out.len, &edit, 1));
		fleet_buffer_done(&out);
	}
}

void try_refusals(const struct try_refusal *list)
{
	for (const struct try_refusal *e = list; e->before; e++) {
		struct fleet_edit edit = try_edit_of(e->edit);
		struct fleet_buffer out = FLEET_BUFFER_INIT;
		struct fleet_driver_error err;
		int r = try_edit(e->before, strlen(e->before), &edit, 1, &out, &err);

		if (r != -EINVAL || !strstr(err.message, e->why))
			printf("# %s on %s: %d %s\n# %s\n", e->edit, e->before, r, err.message,
				out.data ? out.data : "-");
		CU_ASSERT_EQUAL(r, -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, e->why));
		CU_ASSERT_TRUE(fleet_text_is_utf8(err.message, strlen(err.message)));
		fleet_buffer_done(&out);
	}
}

void try_faults(const struct try_fault *list)
{
	for (const struct try_fault *f = list; f->text; f++) {
		struct fleet_driver_error err, read_err;
		int r = try_check(f->text, strlen(f->text), &err);

		CU_ASSERT_EQUAL(r, -EINVAL);
		CU_ASSERT_EQUAL(err.line, f->line);
		CU_ASSERT_EQUAL(err.column, f->column);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, f->why));
		if (err.line != f->line || err.column != f->column || !strstr(err.message, f->why))
			printf("# %s: %u:%u %s\n", f->text, err.line, err.column, err.message);
		CU_ASSERT_EQUAL(try_read(f->text, strlen(f->text), NULL, &read_err), -EINVAL);
		CU_ASSERT_STRING_EQUAL(err.message, read_err.message);
	}
}

char *try_settings_text(const char *text)
{
	struct fleet_buffer out = FLEET_BUFFER_INIT;
	struct settings s = SETTINGS_INIT;
	struct fleet_driver_error err;

	fleet_buffer_add_string(&out, "");
	if (try_read(text, strlen(text), &s, &err) < 0)
		fleet_buffer_printf(&out, "%u:%u %s", err.line, err.column, err.message);
	for (size_t i = 0; i < s.count; i++)
		fleet_buffer_printf(&out, "%s%s=%s", i ? "\n" : "", s.items[i].path, s.items[i].value);
	settings_done(&s);
	return out.data;
}

void try_reads(const char *text, const char *want)
{
	char *got = try_settings_text(text);

	CU_ASSERT_STRING_EQUAL(got, want);
	if (strcmp(got, want) != 0)
		printf("# %s\n# reads\n%s\n# not\n%s\n", text, got, want);
	free(got);
}

bool try_file_text(const char *path, struct fleet_buffer *ret)
{
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	for (int c; (c = getc(f)) != EOF;)
		fleet_buffer_add(ret, &(char){(char)c}, 1);
	(void)fclose(f);
	return true;
}

static size_t next_line(const struct fleet_buffer *b, size_t at)
{
	const char *newline = memchr(b->data + at, '\n', b->len - at);

	return newline ? (size_t)(newline - b->data) + 1 : b->len;
}

static size_t count_lines(const struct fleet_buffer *b, size_t from, size_t to)
{
	size_t n = 0;

	for (size_t at = from; at < to; at = next_line(b, at))
		n++;
	return n;
}

bool try_lines_differ(
	const struct fleet_buffer *old, const struct fleet_buffer *new, size_t *ret_gone, size_t *ret_came)
{
	size_t start = 0, end = 0, least = old->len < new->len ? old->len : new->len, line;

	if (least >= 3 && memcmp(old->data, "\xef\xbb\xbf", 3) == 0 && memcmp(new->data, old->data, 3) == 0)
		start = 3;
	while (start < least) { /* whole lines that are the same */
		line = next_line(old, start);
		if (line > new->len || next_line(new, start) != line ||
			memcmp(old->data + start, new->data + start, line - start) != 0)
			break;
		start = line;
	}
	while (end < least - start && old->data[old->len - 1 - end] == new->data[new->len - 1 - end])
		end++;
	while (end > 0 && ((old->len - end > start && old->data[old->len - end - 1] != '\n') ||
				  (new->len - end > start &&new->data[new->len - end - 1] != '\n')))
		end--;
	*ret_gone = count_lines(old, start, old->len - end);
	*ret_came = count_lines(new, start, new->len - end);
	return *ret_gone + *ret_came > 0;
}
