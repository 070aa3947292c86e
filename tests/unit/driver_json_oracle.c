/* json-config on random documents as no formatter writes them, measured by the host's own idea of edits and
 * by python3's JSON reader: comments, commas behind the last member, any white space anywhere, a byte order
 * mark, line ends of both kinds in one file, names that are there twice or written with escapes, numbers
 * beyond every machine type, deep nests. */
#include <fcntl.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <unistd.h>
#include "../../plugins/path.h"
#include "driver_dice.h"
#include "driver_oracle.h"
#include "driver_try.h"
#include "unit.h"

extern const struct unit_test json_oracle_tests[];

struct maker {
	uint64_t seed;
	struct fleet_buffer out;
	bool comments, trailing, spaces, twins;
	unsigned left; /* of values, so that no document is endless */
};

static void add(struct maker *m, const char *s)
{
	fleet_buffer_add_string(&m->out, s);
}

static void make_gap(struct maker *m)
{
	static const char *const blanks[] = {"", "", " ", "\t", "\n", "\r\n", "  ", "\n\n\t", "\n  "};
	static const char *const comments[] = {"// a \" { comment\n", "/* , ] */", "//\r\n", "/**/",
		"/* \"k0\": 1,\n */", "// \"k1\": 7,\n", "\n// \"k2\": 8\n", "/* // */"};

	if (m->spaces || DICE(m, 6) == 0)
		add(m, PICK(m, blanks));
	if (m->comments && DICE(m, 7) == 0)
		add(m, PICK(m, comments));
	if (m->spaces && DICE(m, 4) == 0)
		add(m, PICK(m, blanks));
}

static void make_name(struct maker *m, unsigned n)
{
	static const char *const odd[] = {"\"a.b\"", "\"x[0]\"", "\"\"", "\"\\u006b\\u0033\"",
		"\"q\\\"\\\\\"", "\"caf\\u00e9\"", "\"caf\xc3\xa9\"", "\"\\ud83d\\ude00\"", "\"//\"",
		"\"\\/\\b\""};

	if (DICE(m, 6) == 0)
		add(m, PICK(m, odd));
	else
		fleet_buffer_printf(&m->out, "\"k%u\"", m->twins ? DICE(m, 4) : n);
}

static void make_scalar(struct maker *m)
{
	static const char *const scalars[] = {"0", "-0", "1.0", "1e5", "-2.50E-10", "true", "false", "null",
		"123456789012345678901234567890", "0.1000000000000000055511151231257827", "1E400", "{}",
		"[ ]", "{ \n}", "\"\"", "\"x\"", "\"a // b /* c\"", "\"\\u0041\\n\\\\\"", "\"\\ud800\"",
		"\"\xf0\x9f\x98\x80\"", "\"}],\"", "\"\\\"\""};

	add(m, PICK(m, scalars));
}

static void make_value(struct maker *m, unsigned depth, unsigned nest)
{
	bool object = DICE(m, 3) != 0;
	unsigned n = nest > 0 ? 1 : DICE(m, 5);

	if (m->left == 0 || (depth > 0 && nest == 0 && (n == 0 || DICE(m, 2)))) {
		make_scalar(m);
		return;
	}
	add(m, object ? "{" : "[");
	for (unsigned i = 0; i < n && m->left > 0; i++) {
		m->left--;
		make_gap(m);
		if (object) {
			make_name(m, i);
			make_gap(m);
			add(m, ":");
			make_gap(m);
		}
		make_value(m, depth + 1, nest > 0 ? nest - 1 : 0);
		make_gap(m);
		if ((i + 1 < n && m->left > 0) || m->trailing)
			add(m, ",");
	}
	make_gap(m);
	add(m, object ? "}" : "]");
}

static void make_document(struct maker *m)
{
	fleet_buffer_truncate(&m->out, 0);
	m->comments = DICE(m, 2);
	m->trailing = DICE(m, 3) == 0;
	m->spaces = DICE(m, 3) != 0;
	m->twins = DICE(m, 3) == 0;
	m->left = 40;
	if (DICE(m, 8) == 0)
		add(m, "\xef\xbb\xbf");
	make_gap(m);
	if (DICE(m, 40))
		make_value(m, 0, DICE(m, 20) ? 0 : 5 + DICE(m, 30));
	make_gap(m);
	fleet_buffer_add(&m->out, "", 0);
}

/* What is there, something beside it, or something that cannot be. */
static void make_path(struct maker *m, const struct settings *now, char *path, size_t size)
{
	static const char *const more[] = {".k1", ".k2", ".new", ".new.deeper", "[+]", "[+].new", ".new[+]",
		"[0]", ".caf\xc3\xa9", ".\\e"};
	const char *base = now->count ? now->items[DICE(m, (uint32_t)now->count)].path : "";

	(void)snprintf(path, size, "%s", base);
	for (uint32_t up = DICE(m, 3); up > 0; up--) {
		size_t at = strlen(path);

		while (at > 0 && !(strchr(".[", path[at - 1]) && (at < 2 || path[at - 2] != '\\')))
			at--;
		path[at > 0 ? at - 1 : 0] = '\0';
	}
	if (DICE(m, 2) && strlen(path) + 16 < size) {
		const char *tail = PICK(m, more);

		memcpy(path + strlen(path), tail + (!*path && *tail == '.'),
			strlen(tail + (!*path && *tail == '.')) + 1);
	}
}

static struct fleet_edit make_edit(struct maker *m, const char *path)
{
	static const struct {
		const char *text;
		uint32_t type;
	} values[] = {{"text", FLEET_TYPE_STRING}, {"", FLEET_TYPE_STRING},
		{"\"\\/\n\t\x01\x7f caf\xc3\xa9 \xf0\x9f\x98\x80", FLEET_TYPE_STRING},
		{"// no comment */", FLEET_TYPE_STRING}, {"77", FLEET_TYPE_INTEGER},
		{"99999999999999999999999", FLEET_TYPE_INTEGER}, {"1.0", FLEET_TYPE_NUMBER},
		{"-0.5e-3", FLEET_TYPE_NUMBER}, {"false", FLEET_TYPE_BOOLEAN}, {"null", FLEET_TYPE_NULL},
		{"{}", FLEET_TYPE_OBJECT}, {"[]", FLEET_TYPE_ARRAY},
		{"{\"p\": {\"q\": [1, {\"r\": 2.0}]}, \"\": \"\"}", FLEET_TYPE_OBJECT},
		{"[[], {\"a\": []}, \"\\u00e9\"]", FLEET_TYPE_ARRAY}};
	uint32_t value = DICE(m, FLEET_ARRAY_LEN(values));
	struct fleet_edit edit = {.path = {path, strlen(path)}, .kind = FLEET_EDIT_UNSET, .value = {"", 0}};

	if (DICE(m, 3)) {
		edit.kind = FLEET_EDIT_SET;
		edit.type = values[value].type;
		edit.value = (struct fleet_bytes){values[value].text, strlen(values[value].text)};
	}
	return edit;
}

static struct json_object *parts_of(const struct fleet_edit *edit)
{
	struct json_object *list = json_object_new_array(), *plus;
	struct path path;

	CU_ASSERT_EQUAL(path_parse(edit->path, &path), 0);
	for (size_t i = 0; i < path.count; i++) {
		const struct path_part *part = &path.parts[i];

		if (part->kind == PATH_NAME) {
			json_object_array_add(list, oracle_text(part->name, part->name_len));
		} else if (part->kind == PATH_INDEX) {
			json_object_array_add(list, json_object_new_int64(part->index));
		} else {
			plus = json_object_new_array();
			json_object_array_add(plus, json_object_new_string("+"));
			json_object_array_add(list, plus);
		}
	}
	path_done(&path);
	return list;
}

static void add_case(struct oracle *o, const struct fleet_buffer *old, const struct fleet_buffer *new,
	const struct fleet_edit *edit)
{
	struct json_object *line = json_object_new_object(), *type = NULL;

	if (edit->kind == FLEET_EDIT_SET)
		type = json_object_new_string(edit->type == FLEET_TYPE_STRING ? "string" : "json");
	json_object_object_add(line, "old", oracle_text(old->data, old->len));
	json_object_object_add(line, "new", oracle_text(new->data, new->len));
	json_object_object_add(line, "path", parts_of(edit));
	json_object_object_add(line, "type", type);
	json_object_object_add(line, "value", oracle_text(edit->value.data, edit->value.len));
	oracle_add(o, line);
}

struct tally {
	unsigned good, refused, same;
};

static bool try_one(struct maker *m, struct oracle *oracle, struct tally *tally)
{
	struct settings now = SETTINGS_INIT;
	struct fleet_buffer new = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;
	struct fleet_edit edit;
	char path[512];
	bool good = true;
	int r;

	make_document(m);
	r = try_read(m->out.data, m->out.len, &now, &err);
	if (r < 0) {
		printf("# cannot read %s: %u:%u %s\n", m->out.data, err.line, err.column, err.message);
		return false;
	}
	make_path(m, &now, path, sizeof(path));
	edit = make_edit(m, path);
	r = try_edit(m->out.data, m->out.len, &edit, 1, &new, &err);
	if (r == 0) {
		tally->good++;
		tally->same += new.len == m->out.len &&memcmp(new.data, m->out.data, new.len) == 0;
		good = try_says_what_was_asked(m->out.data, m->out.len, new.data, new.len, &edit, 1);
		add_case(oracle, &m->out, &new, &edit);
	} else {
		good = r == -EINVAL;
		tally->refused++;
	}
	if (!good)
		printf("# %s: %s\n# old\n%s\n# new\n%s\n", path, r ? err.message : "", m->out.data,
			new.data ? new.data : "-");
	settings_done(&now);
	fleet_buffer_done(&new);
	return good;
}

static void test_odd_documents(void)
{
	struct maker m = {.seed = 20260501};
	struct oracle oracle = {.tried = 0};
	struct tally tally = {0};
	unsigned bad = 0;

	try_options(NULL, 0);
	if (!oracle_open(&oracle, "json"))
		return;
	for (unsigned i = 0; i < 20000 && bad < 5; i++)
		bad += !try_one(&m, &oracle, &tally);
	printf("# %u good (%u of them changed nothing), %u refused\n", tally.good, tally.same, tally.refused);
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_TRUE(tally.good > 6000 && tally.good - tally.same > 5000 && tally.refused > 500);
	fleet_buffer_done(&m.out);
	if (!oracle_ask(&oracle, NULL))
		return;
	printf("# python's json: %u read, %u of them otherwise\n", oracle.tried, oracle.wrong);
	CU_ASSERT_EQUAL(oracle.wrong, 0);
	CU_ASSERT_EQUAL(oracle.tried, tally.good);
}

const struct unit_test json_oracle_tests[] = {UNIT_TEST(test_odd_documents), {0}};
