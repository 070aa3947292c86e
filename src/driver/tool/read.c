/* fleet-driver read: what the driver says that a file says. */
#include "driver/tool/target.h"
#include "driver/tool/tool.h"
#include "driver/tool/words.h"

static void print_table(const struct settings *s)
{
	size_t key_width = strlen("KEY");

	for (size_t i = 0; i < s->count; i++) {
		size_t width = words_width(s->items[i].path);

		key_width = width > key_width ? width : key_width;
	}
	if (key_width > 60)
		key_width = 60; /* one endless key must not push all values off the screen */
	printf("%-*s  %-7s  %s\n", (int)key_width, "KEY", "TYPE", "VALUE");
	for (size_t i = 0; i < s->count; i++) {
		const struct setting *item = &s->items[i];
		_cleanup_free_ char *key = words_for_terminal(item->path, strlen(item->path));
		_cleanup_free_ char *value = words_for_terminal(item->value, item->value_len);
		size_t width = words_width(key);

		printf("%s%*s  %-7s  %s\n", *key ? key : "(document)",
			width < key_width ? (int)(key_width - width) : 0, "", words_type(item->type), value);
	}
}

/* By hand: every number keeps its spelling, which no JSON library promises. */
static void print_json(const struct tool_target *t, const struct settings *s)
{
	_cleanup_buffer_ struct fleet_buffer out = FLEET_BUFFER_INIT;

	fleet_buffer_add_string(&out, "{\"driver\": ");
	words_add_json(&out, t->name, strlen(t->name));
	fleet_buffer_add_string(&out, ", \"settings\": [");
	for (size_t i = 0; i < s->count; i++) {
		const struct setting *item = &s->items[i];

		fleet_buffer_add_string(&out, i > 0 ? ",\n  {\"key\": " : "\n  {\"key\": ");
		words_add_json(&out, item->path, strlen(item->path));
		fleet_buffer_printf(&out, ", \"type\": \"%s\", \"value\": ", words_type(item->type));
		if (item->type == FLEET_TYPE_STRING)
			words_add_json(&out, item->value, item->value_len);
		else
			fleet_buffer_add(&out, item->value, item->value_len);
		fleet_buffer_add_string(&out, "}");
	}
	fleet_buffer_add_string(&out, s->count > 0 ? "\n]}\n" : "]}\n");
	(void)fwrite(out.data, 1, out.len, stdout); /* tool_main looks at the stream's state */
}

int tool_read(const struct tool_options *options)
{
	_cleanup_(tool_target_done) struct tool_target target = {0};
	_cleanup_(settings_done) struct settings settings = SETTINGS_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;
	_cleanup_free_ char *data = NULL;
	struct driver_call call;
	size_t len = 0;
	int r;

	r = tool_target_find(options, &target, &err);
	if (r == 0)
		r = tool_file_read(options->file, &data, &len, &err);
	if (r < 0)
		return tool_fail(&err);
	call = tool_target_call(&target);
	r = driver_format_read(&call, (struct fleet_bytes){data, len}, &settings, &err);
	if (r < 0) {
		fleet_error_wrap(&err, "cannot read %s", tool_file_name(options->file));
		return tool_fail(&err);
	}
	if (options->json)
		print_json(&target, &settings);
	else
		print_table(&settings);
	return TOOL_DONE;
}
