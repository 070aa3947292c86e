#include "driver/tool/prove.h"
#include "fleet/file.h"
#include "fleet/limits.h"

/* Room for the line end that is cut off, and one byte more that says the value is too long. */
#define VALUE_FILE_MAX (FLEET_VALUE_MAX + 3)

static int read_value(
	const char *key, const char *path, bool *stdin_used, char **ret, struct fleet_error *err)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = 0;

	if (!str_equal(path, "-")) {
		r = fleet_file_read(path, VALUE_FILE_MAX, &text, &len, err);
	} else if (*stdin_used) {
		r = fleet_error_set(err, -EINVAL, "'%s': standard input was read already", key);
	} else {
		*stdin_used = true;
		text = xmalloc(VALUE_FILE_MAX + 1);
		len = fread(text, 1, VALUE_FILE_MAX, stdin);
		if (ferror(stdin))
			r = fleet_error_set(err, -EIO, "'%s': cannot read standard input", key);
	}
	if (r < 0)
		return r;
	/* editors and echo end a file with a newline that is no part of the value */
	if (len > 0 && text[len - 1] == '\n')
		len--;
	if (len > 0 && text[len - 1] == '\r')
		len--;
	text[len] = '\0';
	if (strlen(text) != len)
		return fleet_error_set(err, -EINVAL, "'%s': a value must not hold a NUL", key);
	*ret = TAKE_PTR(text);
	return 0;
}

static int decide_one(const struct tool_change *change, const struct settings *now, bool *stdin_used,
	struct fleet_edit *edit, char **ret_value, struct fleet_error *err)
{
	static const enum settings_mode modes[] = {[TOOL_SET] = SETTINGS_AUTO,
		[TOOL_SET_FILE] = SETTINGS_AUTO,
		[TOOL_SET_STRING] = SETTINGS_STRING,
		[TOOL_SET_JSON] = SETTINGS_JSON};
	_cleanup_free_ char *from_file = NULL;
	int r;

	edit->path = (struct fleet_bytes){change->key, strlen(change->key)};
	if (change->kind == TOOL_UNSET) {
		edit->kind = FLEET_EDIT_UNSET;
		edit->value = (struct fleet_bytes){"", 0};
		return 0;
	}
	if (change->kind == TOOL_SET_FILE) {
		r = read_value(change->key, change->value, stdin_used, &from_file, err);
		if (r < 0)
			return r;
	}
	r = settings_decide(now, change->key, from_file ? from_file : change->value, modes[change->kind],
		&edit->type, ret_value, err);
	if (r < 0)
		return r;
	edit->kind = FLEET_EDIT_SET;
	edit->value = (struct fleet_bytes){*ret_value, strlen(*ret_value)};
	return 0;
}

int tool_edits_decide(const struct tool_options *options, const struct settings *now, struct tool_edits *ret,
	struct fleet_error *err)
{
	size_t n = options->change_count;
	struct tool_edits e = {xcalloc(n, sizeof(*e.items)), xcalloc(n, sizeof(*e.values)), n};
	bool stdin_used = str_equal(options->file, "-");
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = decide_one(&options->changes[i], now, &stdin_used, &e.items[i], &e.values[i], err);
	if (r < 0) {
		tool_edits_done(&e);
		return r;
	}
	*ret = e;
	return 0;
}

void tool_edits_done(struct tool_edits *e)
{
	for (size_t i = 0; i < e->count; i++)
		free(e->values[i]);
	free(e->values);
	free(e->items);
	*e = (struct tool_edits){NULL, NULL, 0};
}

int tool_prove(const struct tool_target *t, struct fleet_bytes bytes, const struct settings *expected,
	struct fleet_error *err)
{
	_cleanup_(settings_done) struct settings after = SETTINGS_INIT;
	struct driver_call call = tool_target_call(t);
	int r;

	r = driver_format_check(&call, bytes, err);
	if (r < 0)
		return fleet_error_wrap(err, "the new file would not be valid");
	call = tool_target_call(t);
	r = driver_format_read(&call, bytes, &after, err);
	if (r < 0)
		return fleet_error_wrap(err, "the new file does not read back");
	r = settings_compare(expected, &after, err);
	if (r < 0)
		return fleet_error_wrap(err, "driver %s did not make exactly the change asked for", t->name);
	return 0;
}

int tool_edit_proven(const struct tool_target *t, struct fleet_bytes in, const struct settings *now,
	const struct fleet_edit *edits, size_t count, struct fleet_buffer *ret, struct fleet_error *err)
{
	_cleanup_(settings_done) struct settings expected = SETTINGS_INIT;
	struct driver_call call = tool_target_call(t);
	struct fleet_buffer bytes = FLEET_BUFFER_INIT;
	int r;

	r = settings_apply(now, edits, count, &expected, err);
	if (r == 0)
		r = driver_format_edit(&call, in, edits, (uint32_t)count, &bytes, err);
	if (r == 0) {
		fleet_buffer_add_string(&bytes, ""); /* data is not NULL even where the new file is empty */
		if (bytes.len > FLEET_CONFIG_FILE_MAX)
			r = fleet_error_set(err, -EFBIG,
				"the new file would have %zu bytes, at most %u are handled", bytes.len,
				FLEET_CONFIG_FILE_MAX);
		else
			r = tool_prove(t, (struct fleet_bytes){bytes.data, bytes.len}, &expected, err);
	}
	if (r < 0) {
		fleet_buffer_done(&bytes);
		return r;
	}
	*ret = bytes;
	return 0;
}
