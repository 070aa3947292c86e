/* What one edit of a large config file costs, in times of what the format's own library takes to read that
 * file: json-c for JSON, libyaml for YAML, GLib's GKeyFile for the formats of `key=value` lines. All figures
 * are processor time, the least of several rounds, within one run. `edit` is the driver's own part, as in the
 * process that is made for a call. `push` is all that a push does with the file: read, edit, check and read
 * again, each in a process of its own behind the sandbox, and the comparison of what the file says with what
 * it should say.
 *
 *	format_edit DRIVERS [KEYS]        DRIVERS: their directory; "NAME VALUE UNIT" a line
 */
#include <glib.h>
#include <json-c/json.h>
#include <sys/resource.h>
#include <yaml.h>
#include "driver/loader.h"
#include "driver/tool/prove.h"
#include "fleet/file.h"
#include "fleet/limits.h"

enum { ROUNDS = 15, SECTION = 100 };

static void must(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "format_edit: %s\n", what);
	exit(1);
}

static double cpu_ms(void)
{
	double ms = 0;

	for (int i = 0; i < 2; i++) {
		struct rusage u;

		must(getrusage(i ? RUSAGE_CHILDREN : RUSAGE_SELF, &u) == 0, "getrusage");
		ms += (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
		      (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
	}
	return ms;
}

/* ---- the files: sections of a hundred keys, 52 bytes a key ---- */

static void make_json(size_t keys, struct fleet_buffer *out)
{
	for (size_t i = 0; i < keys; i++) {
		if (i % SECTION == 0)
			fleet_buffer_printf(
				out, "%s  \"section%04zu\": {\n", i ? "\n  },\n" : "{\n", i / SECTION);
		fleet_buffer_printf(out, "%s    \"key_%05zu\": \"the value of number %07zu\"",
			i % SECTION ? ",\n" : "", i, i * 7);
	}
	fleet_buffer_add_string(out, "\n  }\n}\n");
}

static void make_yaml(size_t keys, struct fleet_buffer *out)
{
	for (size_t i = 0; i < keys; i++) {
		if (i % SECTION == 0)
			fleet_buffer_printf(out, "section%04zu:\n", i / SECTION);
		fleet_buffer_printf(out, "  key_%05zu: the value of the number of %09zu\n", i, i * 7);
	}
}

static void make_ini(size_t keys, struct fleet_buffer *out)
{
	for (size_t i = 0; i < keys; i++) {
		if (i % SECTION == 0)
			fleet_buffer_printf(out, "%s[section%04zu]\n", i ? "\n" : "", i / SECTION);
		fleet_buffer_printf(out, "key_%05zu = the value of the number of %010zu\n", i, i * 7);
	}
}

static void make_env(size_t keys, struct fleet_buffer *out)
{
	for (size_t i = 0; i < keys; i++)
		fleet_buffer_printf(out, "KEY_%05zu=\"the value of the number of %012zu\"\n", i, i * 7);
}

/* ---- the libraries ---- */

static void read_json(const char *data, size_t len)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *root = json_tokener_parse_ex(tokener, data, (int)len);

	must(root != NULL, "json-c cannot read the file");
	json_object_put(root);
	json_tokener_free(tokener);
}

static void read_yaml(const char *data, size_t len)
{
	yaml_parser_t parser;
	yaml_document_t document;

	must(yaml_parser_initialize(&parser), "libyaml");
	yaml_parser_set_input_string(&parser, (const unsigned char *)data, len);
	must(yaml_parser_load(&parser, &document), "libyaml cannot read the file");
	yaml_document_delete(&document);
	yaml_parser_delete(&parser);
}

static void read_keyfile(const char *data, size_t len)
{
	GKeyFile *file = g_key_file_new();

	must(g_key_file_load_from_data(file, data, len, G_KEY_FILE_NONE, NULL), "GLib cannot read the file");
	g_key_file_free(file);
}

/* It wants a section. */
static void read_env(const char *data, size_t len)
{
	struct fleet_buffer file = FLEET_BUFFER_INIT;

	fleet_buffer_add_string(&file, "[env]\n");
	fleet_buffer_add(&file, data, len);
	read_keyfile(file.data, file.len);
	fleet_buffer_done(&file);
}

static const struct format {
	const char *driver, *short_name, *library;
	void (*make)(size_t keys, struct fleet_buffer *out);
	void (*read)(const char *data, size_t len);
	bool flat; /* keys and no sections */
} formats[] = {
	{"json-config", "json", "json-c", make_json, read_json, false},
	{"yaml-config", "yaml", "libyaml", make_yaml, read_yaml, false},
	{"ini-config", "ini", "GKeyFile", make_ini, read_keyfile, false},
	{"systemd-unit", "unit", "GKeyFile", make_ini, read_keyfile, false},
	{"env-config", "env", "GKeyFile", make_env, read_env, true},
};

/* ---- one file and what is done to it ---- */

struct subject {
	const struct format *format;
	const struct tool_target *target;
	struct fleet_buffer file;
	size_t keys;
	struct fleet_edit edit;
	const char *value; /* NULL: unset */
	char path[64];
};

static void do_library(struct subject *s)
{
	s->format->read(s->file.data, s->file.len);
}

/* The driver's side of a call, in this process. */
struct fleet_sink {
	struct fleet_buffer bytes;
};

static int32_t on_emit(struct fleet_sink *sink, const void *data, uint64_t len)
{
	fleet_buffer_add(&sink->bytes, data, len);
	return 0;
}

static void on_log(const struct fleet_host *host, int32_t level, const char *text)
{
	(void)host;
	(void)level;
	(void)text;
}

static const struct fleet_driver_v1 *driver;

static void do_edit(struct subject *s)
{
	const struct fleet_host host = {.size = sizeof(host),
		.abi_major = FLEET_DRIVER_ABI_MAJOR,
		.app_id = "bench",
		.emit = on_emit,
		.log = on_log};
	struct fleet_driver_error said = {.size = sizeof(said)};
	struct fleet_sink sink = {FLEET_BUFFER_INIT};

	if (driver->format->edit(
		    &host, (struct fleet_bytes){s->file.data, s->file.len}, &s->edit, 1, &sink, &said) != 0)
		must(false, said.message);
	fleet_buffer_done(&sink.bytes);
}

static void do_push(struct subject *s)
{
	struct driver_call call = tool_target_call(s->target);
	struct fleet_bytes in = {s->file.data, s->file.len};
	struct fleet_error err = FLEET_ERROR_INIT;
	struct settings now = SETTINGS_INIT;
	struct fleet_buffer after = FLEET_BUFFER_INIT;
	uint32_t type;
	char *value = NULL;
	int r = driver_format_read(&call, in, &now, &err);

	if (r == 0 && s->value)
		r = settings_decide(&now, s->path, s->value, SETTINGS_AUTO, &type, &value, &err);
	if (r == 0)
		r = tool_edit_proven(s->target, in, &now, &s->edit, 1, &after, &err);
	must(r == 0, err.message);
	free(value);
	settings_done(&now);
	fleet_buffer_done(&after);
}

static double took(void (*work)(struct subject *s), struct subject *s)
{
	double start = cpu_ms();

	work(s);
	return cpu_ms() - start;
}

/* ---- the table ---- */

enum { SET, ADD, UNSET, KINDS };
static const char *const kinds[KINDS] = {"set", "add", "unset"};

static void make(struct subject *s, size_t keys)
{
	s->format->make(keys, &s->file);
	s->keys = keys;
	must(s->file.len + 64 < FLEET_CONFIG_FILE_MAX && keys < FLEET_SETTINGS_PER_FILE_MAX,
		"the file would be larger than the host takes");
}

static void ask(struct subject *s, int kind)
{
	size_t middle = s->keys / 2;

	if (s->format->flat)
		(void)snprintf(s->path, sizeof(s->path), kind == ADD ? "NEW" : "KEY_%05zu", middle);
	else if (kind == ADD)
		(void)snprintf(s->path, sizeof(s->path), "section%04zu.new", middle / SECTION);
	else
		(void)snprintf(s->path, sizeof(s->path), "section%04zu.key_%05zu", middle / SECTION, middle);
	s->value = kind == UNSET ? NULL : "another value";
	s->edit = (struct fleet_edit){.path = {s->path, strlen(s->path)},
		.value = {s->value ? s->value : "", s->value ? strlen(s->value) : 0},
		.kind = s->value ? FLEET_EDIT_SET : FLEET_EDIT_UNSET,
		.type = FLEET_TYPE_STRING};
}

/* In turns, so that a machine that is busy for a while is so for all of them. */
static void row(const char *what, void (*work)(struct subject *s), const struct format *format,
	const struct tool_target *target, size_t keys)
{
	struct subject half = {.format = format, .target = target, .file = FLEET_BUFFER_INIT}, whole = half;

	make(&half, keys / 2);
	make(&whole, keys);
	for (int kind = 0; kind < KINDS; kind++) {
		double best[3] = {1e9, 1e9, 1e9};
		char name[64];

		ask(&half, kind);
		ask(&whole, kind);
		for (int i = 0; i < ROUNDS; i++) {
			double now[3] = {took(do_library, &whole), took(work, &half), took(work, &whole)};

			for (int k = 0; k < 3; k++)
				best[k] = now[k] < best[k] ? now[k] : best[k];
		}
		(void)snprintf(name, sizeof(name), "format_%s_%s_%s", what, format->short_name, kinds[kind]);
		printf("%-24s %5.2f times %s's read (%.1f ms), %.2f times that of half the file\n", name,
			best[2] / best[0], format->library, best[0], best[2] / best[1]);
	}
	fleet_buffer_done(&half.file);
	fleet_buffer_done(&whole.file);
}

static bool run(const struct format *format, const char *drivers, size_t keys)
{
	const struct tool_options options = {.driver = format->driver, .driver_dir = drivers};
	struct tool_target target = {0};
	struct fleet_error err = FLEET_ERROR_INIT;

	if (tool_target_find(&options, &target, &err) < 0) {
		printf("# %s: %s\n", format->driver, err.message);
		return false;
	}
	row("push", do_push, format, &target, keys);
	must(driver_loader_open(format->driver, target.file, -1, &driver, &err) == 0, err.message);
	row("edit", do_edit, format, &target, keys);
	tool_target_done(&target);
	return true;
}

int main(int argc, char **argv)
{
	size_t keys = argc > 2 ? strtoul(argv[2], NULL, 10) : FLEET_SETTINGS_PER_FILE_MAX - 200;
	bool any = false;

	must(argc > 1, "usage: format_edit DRIVERS [KEYS]");
	printf("# %zu keys in a file of 1 MB, the least of %d rounds\n", keys, ROUNDS);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(formats); i++)
		any = run(&formats[i], argv[1], keys) || any;
	must(any, "there is no driver");
	return 0;
}
