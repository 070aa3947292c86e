/* json-config: what an edit leaves alone, what it writes, what it refuses; then the same for random documents
 * and edits, measured by the host's own idea of edits. */
#include <json-c/json.h>
#include "driver_fake.h"
#include "unit.h"

extern const struct fleet_driver_v1 fleet_driver_v1;
extern const struct unit_test json_oracle_tests[];

static struct fleet_bytes bytes_of(const char *text)
{
	return (struct fleet_bytes){text, strlen(text)};
}

static int read_settings(const char *text, size_t len, struct settings *ret, struct fleet_driver_error *err)
{
	struct fleet_sink sink = FAKE_SINK_INIT;
	struct fake_host h;
	int r;

	fake_host_init(&h, NULL, NULL, 0);
	*err = (struct fleet_driver_error){.size = sizeof(*err)};
	r = fleet_driver_v1.format->read(&h.host, (struct fleet_bytes){text, len}, &sink, err);
	if (r == 0 && ret) {
		*ret = sink.settings;
		sink.settings = (struct settings)SETTINGS_INIT;
	}
	fake_sink_done(&sink);
	return r;
}

static int edit_text(const char *text, size_t len, const struct fleet_edit *edits, uint32_t n,
	struct fleet_buffer *ret, struct fleet_driver_error *err)
{
	struct fleet_sink sink = FAKE_SINK_INIT;
	struct fake_host h;
	int r;

	fake_host_init(&h, NULL, NULL, 0);
	*err = (struct fleet_driver_error){.size = sizeof(*err)};
	r = fleet_driver_v1.format->edit(&h.host, (struct fleet_bytes){text, len}, edits, n, &sink, err);
	if (r == 0) {
		fleet_buffer_add(&sink.data, "", 0);
		*ret = sink.data;
		sink.data = (struct fleet_buffer)FLEET_BUFFER_INIT;
	}
	fake_sink_done(&sink);
	return r;
}

/* The host's measure: does the new text say what the edits make of the old one? */
static bool says_what_was_asked(const char *old, size_t old_len, const char *new, size_t new_len,
	const struct fleet_edit *edits, size_t n)
{
	struct settings before = SETTINGS_INIT, want = SETTINGS_INIT, after = SETTINGS_INIT;
	struct fleet_driver_error said;
	struct fleet_error err = FLEET_ERROR_INIT;
	bool good = read_settings(old, old_len, &before, &said) == 0 &&
		    read_settings(new, new_len, &after, &said) == 0 &&
		    settings_apply(&before, edits, n, &want, &err) == 0 &&
		    settings_compare(&want, &after, &err) == 0;

	if (!good)
		printf("# %s %s\n", said.message, err.message);
	settings_done(&before);
	settings_done(&want);
	settings_done(&after);
	return good;
}

/* "path=JSON" sets, "path" alone unsets. */
static struct fleet_edit edit_of(const char *spec)
{
	static const struct {
		char first;
		uint32_t type;
	} types[] = {{'"', FLEET_TYPE_STRING}, {'{', FLEET_TYPE_OBJECT}, {'[', FLEET_TYPE_ARRAY},
		{'t', FLEET_TYPE_BOOLEAN}, {'f', FLEET_TYPE_BOOLEAN}, {'n', FLEET_TYPE_NULL}};
	const char *equals = strchr(spec, '=');
	struct fleet_edit edit = {.kind = FLEET_EDIT_UNSET, .path = bytes_of(spec), .value = {"", 0}};

	if (!equals)
		return edit;
	edit.kind = FLEET_EDIT_SET;
	edit.path.len = (uint64_t)(equals - spec);
	edit.value = bytes_of(equals + 1);
	edit.type = strpbrk(equals + 1, ".eE") ? FLEET_TYPE_NUMBER : FLEET_TYPE_INTEGER;
	for (size_t i = 0; i < FLEET_ARRAY_LEN(types); i++) {
		if (equals[1] == types[i].first)
			edit.type = types[i].type;
	}
	if (edit.type == FLEET_TYPE_STRING) /* the text between the quotes */
		edit.value = (struct fleet_bytes){equals + 2, edit.value.len - 2};
	return edit;
}

struct example {
	const char *before, *edit, *after;
};

static void expect_examples(const struct example *list)
{
	for (const struct example *e = list; e->before; e++) {
		struct fleet_edit edit = edit_of(e->edit);
		struct fleet_buffer out = FLEET_BUFFER_INIT;
		struct fleet_driver_error err;
		int r = edit_text(e->before, strlen(e->before), &edit, 1, &out, &err);

		if (r < 0 || strcmp(out.data, e->after) != 0)
			printf("# %s on %s: %s\n# got  %s\n# want %s\n", e->edit, e->before, err.message,
				out.data, e->after);
		CU_ASSERT_EQUAL(r, 0);
		CU_ASSERT_STRING_EQUAL(out.data ? out.data : "", e->after);
		if (r == 0)
			CU_ASSERT_TRUE(says_what_was_asked(
				e->before, strlen(e->before), out.data, out.len, &edit, 1));
		fleet_buffer_done(&out);
	}
}

static void test_set_changes_the_value_only(void)
{
	static const struct example list[] = {
		{"{\"a\": 1}", "a=2", "{\"a\": 2}"},
		{"{\"a\" :\t1 }\n\n", "a=\"x\"", "{\"a\" :\t\"x\" }\n\n"},
		{"\xef\xbb\xbf{\r\n\t\"a\": 1,\r\n\t\"b\": 1.0\r\n}", "a=2",
			"\xef\xbb\xbf{\r\n\t\"a\": 2,\r\n\t\"b\": 1.0\r\n}"},
		{"{\"Logging\":{\"LogLevel\":{\"Default\":\"Info\"}}}", "Logging.LogLevel.Default=\"Debug\"",
			"{\"Logging\":{\"LogLevel\":{\"Default\":\"Debug\"}}}"},
		{"{\"a.b\": 1, \"a\": {\"b\": 2}}", "a\\.b=3", "{\"a.b\": 3, \"a\": {\"b\": 2}}"},
		{"{\"\": 1}", "\\e=3", "{\"\": 3}"},
		{"{\"a[0]\": 1}", "a\\[0]=3", "{\"a[0]\": 3}"},
		{"{\"caf\\u00e9\": 1}", "caf\xc3\xa9=3", "{\"caf\\u00e9\": 3}"},
		{"{\"a\": [1, {\"b\": 2}, 3]}", "a[1].b=true", "{\"a\": [1, {\"b\": true}, 3]}"},
		{"[[1],[2]]", "[1][0]=5", "[[1],[5]]"},
		{"{\"a\": 1, \"a\": 2}", "a=3", "{\"a\": 1, \"a\": 3}"},
		{"{ // c\n \"a\": /* x */ 1 // y\n ,}", "a=null", "{ // c\n \"a\": /* x */ null // y\n ,}"},
		{"{\"n\": 123456789012345678901234567890, \"f\": 1.0}", "f=1.50",
			"{\"n\": 123456789012345678901234567890, \"f\": 1.50}"},
		{"{\"a\": {\"b\": 1, \"c\": 2}}", "a=5", "{\"a\": 5}"},
		{"{\n  \"a\": 1\n}\n", "a={\"x\":1,\"y\":[1,2],\"z\":{}}",
			"{\n  \"a\": {\n    \"x\": 1,\n    \"y\": [1, 2],\n    \"z\": {}\n  }\n}\n"},
		{"{\"a\":1}", "a={\"x\" : [ {\"y\": 1} ] }", "{\"a\":{\"x\":[{\"y\":1}]}}"},
		{"{\"a\": 1}", "a=\"q\"\\\n\x01\xc3\xa9\"", "{\"a\": \"q\\\"\\\\\\n\\u0001\xc3\xa9\"}"},
		{0},
	};

	expect_examples(list);
}

static void test_set_to_what_it_is_changes_nothing(void)
{
	static const struct example list[] = {
		{"{\"a\": \"x\\u0041\\/\"}", "a=\"xA/\"", "{\"a\": \"x\\u0041\\/\"}"},
		{"{\"a\":   [ 1,2 ,{ \"b\" : null}]}", "a=[1,2,{\"b\":null}]",
			"{\"a\":   [ 1,2 ,{ \"b\" : null}]}"},
		{"{\"a\": { /* why */ }}", "a={}", "{\"a\": { /* why */ }}"},
		{"{\"a\": 1.0}", "a=1.0", "{\"a\": 1.0}"},
		{0},
	};

	expect_examples(list);
}

static void test_a_new_key_goes_beside_its_siblings(void)
{
	static const struct example list[] = {
		{"{\"a\": 1}", "b=2", "{\"a\": 1, \"b\": 2}"},
		{"{\"a\":1}", "b=2", "{\"a\":1,\"b\":2}"},
		{"{\"a\": 1,\"c\": 3}", "b=2", "{\"a\": 1,\"c\": 3,\"b\": 2}"},
		{"{ \"a\" : 1 }", "b=2", "{ \"a\" : 1, \"b\" : 2 }"},
		{"{\"a\": 1,}", "b=2", "{\"a\": 1, \"b\": 2,}"},
		{"{\n  \"a\": 1\n}\n", "b=2", "{\n  \"a\": 1,\n  \"b\": 2\n}\n"},
		{"{\r\n\t\"a\": 1\r\n}", "b=2", "{\r\n\t\"a\": 1,\r\n\t\"b\": 2\r\n}"},
		{"{\r\n\t\"a\": 1\r\n\n}", "b=2", "{\r\n\t\"a\": 1,\r\n\t\"b\": 2\r\n\n}"}, /* mixed */
		{"{\n\t\"a\": 1\n\r\n}", "b=2", "{\n\t\"a\": 1,\n\t\"b\": 2\n\r\n}"},
		/* a lone return is a blank */
		{"{\r\n\t\"a\": 1 \r\r\n}", "b=2", "{\r\n\t\"a\": 1, \r\r\n\t\"b\": 2\r\n}"},
		{"{\n  \"a\": 1, // one\n}\n", "b=2", "{\n  \"a\": 1, // one\n  \"b\": 2,\n}\n"},
		{"{\n  \"a\": 1 // one\n}\n", "b=2", "{\n  \"a\": 1, // one\n  \"b\": 2\n}\n"},
		{"{\n  \"a\": 1 /* one */ }\n", "b=2", "{\n  \"a\": 1,\n  \"b\": 2 /* one */ }\n"},
		{"{\n  \"a\": {\n    \"x\": 1\n  },\n  \"c\": 3\n}\n", "a.y=2",
			"{\n  \"a\": {\n    \"x\": 1,\n    \"y\": 2\n  },\n  \"c\": 3\n}\n"},
		{"{\n  \"a\": {}\n}\n", "a.y=2", "{\n  \"a\": {\n    \"y\": 2\n  }\n}\n"},
		{"{\n  \"a\": {\n  }\n}\n", "a.y=2", "{\n  \"a\": {\n    \"y\": 2\n  }\n}\n"},
		{"{\"a\":{}}", "a.y=2", "{\"a\":{\"y\":2}}"},
		{"{\"a\":{ /* none */ }}", "a.y=2", "{\"a\":{ /* none */ \"y\":2 }}"},
		{"{\n  \"a\": {\n    // none\n  }\n}\n", "a.y=2",
			"{\n  \"a\": {\n    // none\n    \"y\": 2\n  }\n}\n"},
		{"{}", "a=1", "{\n  \"a\": 1\n}"},
		{"{}\n", "a.b.c=1", "{\n  \"a\": {\n    \"b\": {\n      \"c\": 1\n    }\n  }\n}\n"},
		{"{\n    \"x\": 1\n}\n", "a.b[+]=\"v\"",
			"{\n    \"x\": 1,\n    \"a\": {\n        \"b\": [\"v\"]\n    }\n}\n"},
		{"{\n\t\"x\": 1\n}\n", "a[+].b=1",
			"{\n\t\"x\": 1,\n\t\"a\": [\n\t\t{\n\t\t\t\"b\": 1\n\t\t}\n\t]\n}\n"},
		{"{\"l\": [1, 2]}", "l[+]=3", "{\"l\": [1, 2, 3]}"},
		{"{\"l\": [1,2]}", "l[+]=3", "{\"l\": [1,2,3]}"},
		{"{\"l\": []}", "l[+]=3", "{\"l\": [3]}"},
		{"{\n  \"l\": [\n    1,\n    2\n  ]\n}", "l[+]={\"a\":1}",
			"{\n  \"l\": [\n    1,\n    2,\n    {\n      \"a\": 1\n    }\n  ]\n}"},
		{"", "a=1", "{\n  \"a\": 1\n}\n"},
		{"// why\n", "a=1", "// why\n{\n  \"a\": 1\n}\n"},
		{"\xef\xbb\xbf", "a=1", "\xef\xbb\xbf{\n  \"a\": 1\n}\n"},
		/* after its commented-out example */
		{"{\n  \"a\": 1,\n  // \"b\": 5,\n  \"c\": 3\n}\n", "b=2",
			"{\n  \"a\": 1,\n  // \"b\": 5,\n  \"b\": 2,\n  \"c\": 3\n}\n"},
		{"{\n  \"a\": 1\n  // \"b\": 5\n}\n", "b=2",
			"{\n  \"a\": 1,\n  // \"b\": 5\n  \"b\": 2\n}\n"},
		{"{\n  //\"b\": 5\n}\n", "b=2", "{\n  //\"b\": 5\n  \"b\": 2\n}\n"},
		{"{\n  // \"b\": 5\n  \"a\": 1\n}\n", "b=2",
			"{\n  // \"b\": 5\n  \"b\": 2,\n  \"a\": 1\n}\n"},
		{0},
	};

	expect_examples(list);
}

static void test_unset_takes_the_line_and_the_comma(void)
{
	static const struct example list[] = {
		{"{\"a\": 1}", "a", "{}"},
		{"{ \"a\": 1 }", "a", "{}"},
		{"{\"a\": 1, \"b\": 2}", "a", "{\"b\": 2}"},
		{"{\"a\": 1, \"b\": 2}", "b", "{\"a\": 1}"},
		{"{\"a\": 1, \"b\": 2, \"c\": 3}", "b", "{\"a\": 1, \"c\": 3}"},
		{"{\"a\": 1, \"b\": 2,}", "b", "{\"a\": 1,}"},
		{"[1, 2, 3]", "[0]", "[2, 3]"},
		{"{\n  \"a\": 1,\n  \"b\": 2\n}\n", "a", "{\n  \"b\": 2\n}\n"},
		{"{\n  \"a\": 1,\n  \"b\": 2\n}\n", "b", "{\n  \"a\": 1\n}\n"},
		{"{\r\n  \"a\": 1,\r\n  \"b\": 2 // two\r\n}\r\n", "b", "{\r\n  \"a\": 1\r\n}\r\n"},
		{"{\r\n\t\"a\": 1, \r\r\n\t\"b\": 2\r\n}", "b", "{\r\n\t\"a\": 1 \r\r\n}"},
		{"{\n  \"a\": 1,\n  \"b\": 2,\n}\n", "b", "{\n  \"a\": 1,\n}\n"},
		{"{\n  \"a\": 1, // one\n  \"b\": 2, // two\n  \"c\": 3\n}\n", "b",
			"{\n  \"a\": 1, // one\n  \"c\": 3\n}\n"},
		{"{\n  \"a\": {\n    \"x\": 1\n  },\n  \"b\": 2\n}\n", "a", "{\n  \"b\": 2\n}\n"},
		{"{\n  \"a\": {\n    \"x\": 1\n  },\n  \"b\": 2\n}\n", "a.x",
			"{\n  \"a\": {},\n  \"b\": 2\n}\n"},
		{"{\n  // keep\n  \"a\": 1\n}\n", "a", "{\n  // keep\n}\n"},
		{"{\"a\": 1, /* of b */ \"b\": 2}", "b", "{\"a\": 1 /* of b */}"},
		{"{ \"a\": 1, // x\n  \"b\": 2 }", "b", "{ \"a\": 1 // x\n }"},
		{"{\n    \"a\": 1\n  , \"b\": 2\n  , \"c\": 3\n}\n", "b",
			"{\n    \"a\": 1\n  , \"c\": 3\n}\n"},
		{"{\"a\": 1, \"b\": 2, \"a\": 3}", "a", "{\"b\": 2}"},
		{"{\"a\": 1}", "b", "{\"a\": 1}"},
		{"{\"a\": 1}", "b.c.d", "{\"a\": 1}"},
		{"", "b", ""},
		{0},
	};

	expect_examples(list);
}

static void test_several_edits_build_on_each_other(void)
{
	const char *before = "{\n  \"list\": [\"a\", \"b\", \"c\"]\n}\n";
	struct fleet_edit edits[] = {edit_of("list[0]"), edit_of("list[0]=\"B\""), edit_of("list[+]=\"d\""),
		edit_of("n.m=1"), edit_of("n.o=2"), edit_of("n.m")};
	struct fleet_buffer out = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;

	CU_ASSERT_EQUAL_FATAL(
		edit_text(before, strlen(before), edits, FLEET_ARRAY_LEN(edits), &out, &err), 0);
	CU_ASSERT_STRING_EQUAL(
		out.data, "{\n  \"list\": [\"B\", \"c\", \"d\"],\n  \"n\": {\n    \"o\": 2\n  }\n}\n");
	CU_ASSERT_TRUE(says_what_was_asked(
		before, strlen(before), out.data, out.len, edits, FLEET_ARRAY_LEN(edits)));
	fleet_buffer_done(&out);
}

static void test_edits_that_make_no_sense(void)
{
	static const struct {
		const char *before, *edit;
		uint32_t line, column;
	} list[] = {
		{"{\n \"a\": 1}", "a.b=1", 2, 7},
		{"{\"a\": [1]}", "a.b=1", 1, 7},
		{"{\"a\": {\"x\": 1}}", "a[0]=1", 1, 7},
		{"{\"a\": [1]}", "a[1]=1", 1, 7},
		{"{\"a\": [1]}", "a[1]", 1, 7},
		{"{}", "a[0]=1", 0, 0},
		{"{\"a\": {\"x\": 1}, \"a\": {}}", "a.x=1", 1, 17},
		{"{\"a\": {\"x\": 1}, \"a\": 2}", "a=1", 1, 17},
		{"[1]", "a=1", 1, 1},
		{"5", "a=1", 1, 1},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(list); i++) {
		struct fleet_edit edit = edit_of(list[i].edit);
		struct settings before = SETTINGS_INIT, after = SETTINGS_INIT;
		struct fleet_buffer out = FLEET_BUFFER_INIT;
		struct fleet_driver_error err;
		int r = edit_text(list[i].before, strlen(list[i].before), &edit, 1, &out, &err);

		CU_ASSERT_EQUAL(r, -EINVAL);
		CU_ASSERT_EQUAL(err.line, list[i].line);
		CU_ASSERT_EQUAL(err.column, list[i].column);
		if (err.column != list[i].column)
			printf("# %s on %s: %u:%u %s\n", list[i].edit, list[i].before, err.line, err.column,
				err.message);
		fleet_buffer_done(&out);
		settings_done(&before);
		settings_done(&after);
	}
}

static void test_what_is_no_json(void)
{
	static const struct {
		const char *text;
		uint32_t line, column;
		const char *why;
	} list[] = {
		{"{\n  \"a\": 1\n  \"b\": 2\n}", 3, 3, "expected , or }"},
		{"{\"a\" 1}", 1, 6, "expected :"},
		{"{a: 1}", 1, 2, "expected a name in double quotes"},
		{"{\"a\": tru}", 1, 7, "expected a value"},
		{"{\"a\": truest}", 1, 7, "expected a value"},
		{"{\"a\": 01}", 1, 7, "expected a value"},
		{"{\"a\": 1.}", 1, 7, "malformed number"},
		{"{\"a\": 1e}", 1, 7, "malformed number"},
		{"{\"a\": -}", 1, 7, "expected a value"},
		{"{\"a\": +1}", 1, 7, "expected a value"},
		{"{\"a\": 'x'}", 1, 7, "expected a value"},
		{"{\"a\": \"x}\n", 1, 7, "a string without end"},
		{"{\"a\": \"x", 1, 7, "a string without end"},
		{"{\"a\": \"\\x\"}", 1, 9, "unknown escape"},
		{"{\"a\": \"\\u12g4\"}", 1, 12, "hexadecimal"},
		{"{\"a\": \"\t\"}", 1, 8, "control character"},
		{"{\"a\": \"\xff\"}", 1, 8, "not UTF-8"},
		{"{\"a\": \"\xed\xa0\x80\"}", 1, 8, "not UTF-8"},
		{"{\"a\\u0000\": 1}", 1, 2, "NUL"},
		{"{\"a\": 1", 1, 8, "an object without end"},
		{"[1", 1, 3, "an array without end"},
		{"[,]", 1, 2, "expected a value"},
		{"[1,,2]", 1, 4, "expected a value"},
		{"{\"a\": 1}}", 1, 9, "something after the end"},
		{"{\"a\": 1} /* ", 1, 10, "a comment without end"},
		{"/", 1, 1, "expected a value"},
		{"\xef\xbb\xbf{x", 1, 2, "expected a name"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(list); i++) {
		struct fleet_driver_error err = {.size = sizeof(err)};
		struct fake_host h;

		fake_host_init(&h, NULL, NULL, 0);
		CU_ASSERT_EQUAL(
			fleet_driver_v1.format->check(&h.host, bytes_of(list[i].text), &err), -EINVAL);
		CU_ASSERT_EQUAL(err.line, list[i].line);
		CU_ASSERT_EQUAL(err.column, list[i].column);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, list[i].why));
		if (err.column != list[i].column || !strstr(err.message, list[i].why))
			printf("# %s: %u:%u %s\n", list[i].text, err.line, err.column, err.message);
		CU_ASSERT_EQUAL(read_settings(list[i].text, strlen(list[i].text), NULL, &err), -EINVAL);
	}
}

static void test_depth_is_bounded(void)
{
	struct fleet_driver_error err;
	char text[4096];

	memset(text, '[', sizeof(text));
	CU_ASSERT_EQUAL(read_settings(text, sizeof(text), NULL, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "nested too deeply"));
	memset(text + 128, ']', 128);
	CU_ASSERT_EQUAL(read_settings(text, 256, NULL, &err), 0);
}

static void test_read(void)
{
	static const char text[] = "{\"a\": {\"b.c\": \"x\\ny\", \"d\": [1, 2.50, true, null, {}, []]}, "
				   "\"a\": 1e3, \"\": \"\\ud83d\\ude00\\ud800\"}";
	static const struct {
		const char *path, *value;
		uint32_t type;
	} want[] = {{"a.b\\.c", "x\ny", FLEET_TYPE_STRING}, {"a.d[0]", "1", FLEET_TYPE_INTEGER},
		{"a.d[1]", "2.50", FLEET_TYPE_NUMBER}, {"a.d[2]", "true", FLEET_TYPE_BOOLEAN},
		{"a.d[3]", "null", FLEET_TYPE_NULL}, {"a.d[4]", "{}", FLEET_TYPE_OBJECT},
		{"a.d[5]", "[]", FLEET_TYPE_ARRAY}, {"a", "1e3", FLEET_TYPE_NUMBER},
		{"\\e", "\xf0\x9f\x98\x80\xef\xbf\xbd", FLEET_TYPE_STRING}};
	struct settings s = SETTINGS_INIT;
	struct fleet_driver_error err;

	CU_ASSERT_EQUAL_FATAL(read_settings(text, strlen(text), &s, &err), 0);
	CU_ASSERT_EQUAL_FATAL(s.count, FLEET_ARRAY_LEN(want));
	for (size_t i = 0; i < s.count; i++) {
		CU_ASSERT_STRING_EQUAL(s.items[i].path, want[i].path);
		CU_ASSERT_STRING_EQUAL(s.items[i].value, want[i].value);
		CU_ASSERT_EQUAL(s.items[i].type, want[i].type);
	}
	settings_done(&s);
}

/* Random documents: every style in the same one. */
struct maker {
	uint64_t seed;
	struct fleet_buffer out;
	const char *newline, *unit;
	bool lines, comments, trailing, bom, spaced;
	unsigned next_name;
};

static uint32_t dice(struct maker *m, uint32_t sides)
{
	m->seed = m->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(m->seed >> 33) % sides;
}

static void make_break(struct maker *m, unsigned depth, bool lines)
{
	if (m->comments && dice(m, 6) == 0)
		fleet_buffer_add_string(&m->out, dice(m, 2) ? " /* , \" } */"
						 : lines    ? " // { \"x\": 1"
							    : "/**/");
	if (!lines)
		return;
	if (m->comments && dice(m, 8) == 0) {
		fleet_buffer_add_string(&m->out, m->newline);
		fleet_buffer_add_string(&m->out, "//");
		fleet_buffer_add_string(&m->out, " \"k3\": 5,");
	}
	fleet_buffer_add_string(&m->out, m->newline);
	for (unsigned i = 0; i < depth; i++)
		fleet_buffer_add_string(&m->out, m->unit);
}

static void make_scalar(struct maker *m)
{
	static const char *const scalars[] = {"0", "-1", "12345678901234567890123", "1.0", "2.50e+10", "true",
		"false", "null", "\"\"", "\"x\"", "\"a \\\"quoted\\\" , } ] text\"", "\"\\u00e9\\n\\/\"",
		"\"// no comment /* \"", "{}", "[]", "[ ]"};

	fleet_buffer_add_string(&m->out, scalars[dice(m, FLEET_ARRAY_LEN(scalars))]);
}

static void make_value(struct maker *m, unsigned depth)
{
	bool object = dice(m, 2), lines = m->lines && dice(m, 5) != 0;
	unsigned n = dice(m, 5);

	if (depth == 0) {
		object = dice(m, 8) != 0;
		n++;
	}
	if (depth > 4 || (depth > 0 && dice(m, 2)) || n == 0) {
		make_scalar(m);
		return;
	}
	fleet_buffer_add_string(&m->out, object ? "{" : "[");
	for (unsigned i = 0; i < n; i++) {
		make_break(m, depth + 1, lines);
		if (object) {
			/* distinct names within an object: what happens to twins is for the examples */
			fleet_buffer_printf(&m->out, dice(m, 9) ? "\"k%u\"" : "\"k.%u\"", i);
			fleet_buffer_add_string(&m->out, m->spaced ? " : " : dice(m, 20) ? ": " : ":");
		}
		make_value(m, depth + 1);
		if (m->comments && dice(m, 12) == 0)
			fleet_buffer_add_string(&m->out, " /* behind */ ");
		if (i + 1 < n || m->trailing)
			fleet_buffer_add_string(&m->out, ",");
		if (i + 1 < n && !lines && dice(m, 3))
			fleet_buffer_add_string(&m->out, " ");
	}
	make_break(m, depth, lines);
	fleet_buffer_add_string(&m->out, object ? "}" : "]");
}

static void make_document(struct maker *m)
{
	static const char *const units[] = {"  ", "\t", "    ", " "};

	fleet_buffer_truncate(&m->out, 0);
	m->newline = dice(m, 3) ? "\n" : "\r\n";
	m->unit = units[dice(m, 4)];
	m->lines = dice(m, 4) != 0;
	m->comments = dice(m, 3) == 0;
	m->trailing = dice(m, 4) == 0;
	m->spaced = dice(m, 6) == 0;
	if (dice(m, 10) == 0)
		fleet_buffer_add_string(&m->out, "\xef\xbb\xbf");
	make_value(m, 0);
	if (dice(m, 3))
		fleet_buffer_add_string(&m->out, m->newline);
}

/* A path that is there, or has a parent that is. */
static void make_edit(
	struct maker *m, const struct settings *now, char *path, size_t size, struct fleet_edit *ret)
{
	static const struct {
		const char *text;
		uint32_t type;
	} values[] = {{"text", FLEET_TYPE_STRING}, {"", FLEET_TYPE_STRING},
		{"with \"quotes\"\n", FLEET_TYPE_STRING}, {"77", FLEET_TYPE_INTEGER},
		{"99999999999999999999", FLEET_TYPE_INTEGER}, {"-0.50", FLEET_TYPE_NUMBER},
		{"true", FLEET_TYPE_BOOLEAN}, {"null", FLEET_TYPE_NULL}, {"{}", FLEET_TYPE_OBJECT},
		{"[]", FLEET_TYPE_ARRAY}, {"{\"p\":{\"q\":[1,{\"r\":2}]},\"s\":\"\"}", FLEET_TYPE_OBJECT},
		{"[1,2]", FLEET_TYPE_ARRAY}};
	const char *base = now->count ? now->items[dice(m, (uint32_t)now->count)].path : "";
	uint32_t value = dice(m, FLEET_ARRAY_LEN(values));
	char *cut;

	(void)snprintf(path, size, "%s", base);
	for (uint32_t up = dice(m, 3); up > 0; up--) {
		cut = strpbrk(path, ".[") ? strrchr(path, dice(m, 2) ? '.' : '[') : NULL;
		if (cut && cut > path && cut[-1] != '\\')
			*cut = '\0';
	}
	if (dice(m, 3) == 0) {
		static const char *const more[] = {
			".fresh", ".k3", ".fresh.deeper", "[+]", "[+].fresh", "[0]", ".fresh[+]", "[1]"};

		(void)snprintf(
			path + strlen(path), size - strlen(path), "%s", more[dice(m, FLEET_ARRAY_LEN(more))]);
		if (path[0] == '.')
			memmove(path, path + 1, strlen(path));
	}
	*ret = (struct fleet_edit){
		.path = bytes_of(path), .kind = dice(m, 4) == 0 ? FLEET_EDIT_UNSET : FLEET_EDIT_SET};
	ret->value = ret->kind == FLEET_EDIT_SET ? bytes_of(values[value].text) : (struct fleet_bytes){"", 0};
	ret->type = ret->kind == FLEET_EDIT_SET ? values[value].type : 0;
}

/* Can `shorter` be had from `longer` by leaving bytes out? Blanks in shorter do not count: `[ ]` loses its
 * own. */
static bool is_subsequence(const char *shorter, size_t n, const char *longer, size_t len)
{
	size_t i = 0;

	for (size_t j = 0; i < n && j < len; j++)
		i += shorter[i] == longer[j] || strchr(" \t\r\n", shorter[i]);
	return i == n;
}

/* Bytes that differ between two texts in the middle, of either. */
static void middle(const struct fleet_buffer *a, const struct fleet_buffer *b, size_t *ret_a, size_t *ret_b)
{
	size_t prefix = 0, suffix = 0, least = a->len < b->len ? a->len : b->len;

	while (prefix < least && a->data[prefix] == b->data[prefix])
		prefix++;
	while (suffix < least - prefix && a->data[a->len - 1 - suffix] == b->data[b->len - 1 - suffix])
		suffix++;
	*ret_a = a->len - prefix - suffix;
	*ret_b = b->len - prefix - suffix;
}

struct tally {
	unsigned good, refused, changed, inserted, returned;
};

static bool check_bytes(const struct settings *now, const struct fleet_edit *edit, const char *path,
	const struct fleet_buffer *old, const struct fleet_buffer *new, struct tally *tally)
{
	const struct setting *exact = settings_find(now, path);
	size_t from, to;

	if (edit->kind == FLEET_EDIT_UNSET)
		return is_subsequence(new->data, new->len, old->data, old->len);
	middle(old, new, &from, &to);
	if (exact && exact->type != FLEET_TYPE_OBJECT && exact->type != FLEET_TYPE_ARRAY &&
		exact->type != FLEET_TYPE_STRING) {
		tally->changed++;
		return from <= exact->value_len; /* the token, and nothing more */
	}
	for (size_t i = 0; i < now->count; i++) {
		if (strncmp(now->items[i].path, path, strlen(path)) == 0)
			return true; /* a whole object, array or string makes way */
	}
	tally->inserted++;
	return is_subsequence(old->data, old->len, new->data, new->len);
}

/* A key that was new goes again: the first bytes are back, if its parent had something in it before. */
static bool check_back(struct maker *m, const struct settings *now, const struct fleet_edit *edit,
	const char *path, const struct fleet_buffer *new, struct tally *tally)
{
	const char *dot = strrchr(path, '.');
	struct fleet_edit unset = {.path = edit->path, .kind = FLEET_EDIT_UNSET, .value = {"", 0}};
	struct fleet_buffer back = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;
	bool parent = false, there = false, same;

	if (edit->kind != FLEET_EDIT_SET || strchr(path, '+') || !dot || dot[-1] == '\\' || m->comments)
		return true;
	for (size_t i = 0; i < now->count; i++) {
		const char *p = now->items[i].path;

		parent = parent || (strncmp(p, path, (size_t)(dot - path) + 1) == 0);
		there = there || strncmp(p, path, strlen(path)) == 0;
	}
	if (!parent || there)
		return true;
	if (edit_text(new->data, new->len, &unset, 1, &back, &err) < 0)
		return false;
	same = back.len == m->out.len && memcmp(back.data, m->out.data, back.len) == 0;
	if (!same)
		printf("# back to %s\n", back.data);
	fleet_buffer_done(&back);
	tally->returned++;
	return same;
}

static bool try_one(struct maker *m, struct tally *tally)
{
	struct settings now = SETTINGS_INIT, want = SETTINGS_INIT;
	struct fleet_buffer new = FLEET_BUFFER_INIT;
	struct fleet_error host_err = FLEET_ERROR_INIT;
	struct fleet_driver_error err;
	struct fleet_edit edit;
	char path[512];
	bool good = true;
	int r, host;

	make_document(m);
	r = read_settings(m->out.data, m->out.len, &now, &err);
	if (r < 0) {
		printf("# cannot read %s: %u:%u %s\n", m->out.data, err.line, err.column, err.message);
		return false;
	}
	make_edit(m, &now, path, sizeof(path), &edit);
	r = edit.path.len == 0 ? -EINVAL : edit_text(m->out.data, m->out.len, &edit, 1, &new, &err);
	host = settings_apply(&now, &edit, 1, &want, &host_err);
	if ((r < 0) != (host < 0)) { /* what the host takes the driver takes, and the other way round */
		good = false;
	} else if (r < 0) {
		tally->refused++;
	} else {
		tally->good++;
		good = says_what_was_asked(m->out.data, m->out.len, new.data, new.len, &edit, 1) &&
		       check_bytes(&now, &edit, path, &m->out, &new, tally) &&
		       check_back(m, &now, &edit, path, &new, tally);
		if (!m->comments && !m->trailing && strncmp(new.data, "\xef\xbb\xbf", 3) != 0) {
			struct json_object *o =
				json_tokener_parse(new.data); /* somebody else's reader agrees */

			good = good && o;
			json_object_put(o);
		}
	}
	if (!good)
		printf("# %s %s=%.*s: driver %d %s, host %d %s\n# old %s\n# new %s\n",
			edit.kind ? "unset" : "set", path, (int)edit.value.len, edit.value.data, r,
			r ? err.message : "", host, host_err.message, m->out.data, new.data ? new.data : "-");
	settings_done(&now);
	settings_done(&want);
	fleet_buffer_done(&new);
	return good;
}

static void test_random_documents_and_edits(void)
{
	struct maker m = {.seed = 20260101};
	struct tally tally = {0};
	unsigned bad = 0;

	for (unsigned i = 0; i < 20000 && bad < 5; i++)
		bad += !try_one(&m, &tally);
	printf("# %u good (%u changed, %u new, %u back again), %u refused\n", tally.good, tally.changed,
		tally.inserted, tally.returned, tally.refused);
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_TRUE(
		tally.changed > 1000 && tally.inserted > 500 && tally.returned > 80 && tally.refused > 500);
	fleet_buffer_done(&m.out);
}

/* Documents with a byte changed, dropped or doubled: read, check and edit say the same about them, and never
 * crash. */
static void test_damaged_documents(void)
{
	struct maker m = {.seed = 7};
	struct fleet_edit edit = edit_of("k0=1");
	unsigned taken = 0;

	for (unsigned i = 0; i < 20000; i++) {
		struct fleet_driver_error err = {.size = sizeof(err)};
		struct fleet_buffer out = FLEET_BUFFER_INIT;
		struct fake_host h;
		size_t at;
		int checked, edited;

		make_document(&m);
		at = dice(&m, (uint32_t)m.out.len);
		m.out.data[at] = dice(&m, 2) ? (char)dice(&m, 256) : "\"{}[],:/*\\\n"[dice(&m, 11)];
		fake_host_init(&h, NULL, NULL, 0);
		checked = fleet_driver_v1.format->check(
			&h.host, (struct fleet_bytes){m.out.data, m.out.len}, &err);
		CU_ASSERT_EQUAL(read_settings(m.out.data, m.out.len, NULL, &err), checked);
		edited = edit_text(m.out.data, m.out.len, &edit, 1, &out, &err);
		CU_ASSERT_TRUE(checked == 0 || edited < 0);
		taken += checked == 0;
		fleet_buffer_done(&out);
	}
	CU_ASSERT_TRUE(taken > 100 && taken < 19000);
	fleet_buffer_done(&m.out);
}

static const struct unit_test json_tests[] = {UNIT_TEST(test_set_changes_the_value_only),
	UNIT_TEST(test_set_to_what_it_is_changes_nothing), UNIT_TEST(test_a_new_key_goes_beside_its_siblings),
	UNIT_TEST(test_unset_takes_the_line_and_the_comma), UNIT_TEST(test_several_edits_build_on_each_other),
	UNIT_TEST(test_edits_that_make_no_sense), UNIT_TEST(test_what_is_no_json),
	UNIT_TEST(test_depth_is_bounded), UNIT_TEST(test_read), UNIT_TEST(test_random_documents_and_edits),
	UNIT_TEST(test_damaged_documents), {0}};

int main(void)
{
	return unit_run((const struct unit_suite[]){
		{"json-config", json_tests}, {"json-config and python", json_oracle_tests}, {0}});
}
