/* json-config: what an edit leaves alone, what it writes, what it refuses. */
#include "driver_try.h"
#include "unit.h"

extern const struct unit_test json_random_tests[]; /* driver_json_random.c */
extern const struct unit_test json_oracle_tests[]; /* driver_json_oracle.c */

static void test_set_changes_the_value_only(void)
{
	static const struct try_example list[] = {
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

	try_examples(list);
}

static void test_set_to_what_it_is_changes_nothing(void)
{
	static const struct try_example list[] = {
		{"{\"a\": \"x\\u0041\\/\"}", "a=\"xA/\"", "{\"a\": \"x\\u0041\\/\"}"},
		{"{\"a\":   [ 1,2 ,{ \"b\" : null}]}", "a=[1,2,{\"b\":null}]",
			"{\"a\":   [ 1,2 ,{ \"b\" : null}]}"},
		{"{\"a\": { /* why */ }}", "a={}", "{\"a\": { /* why */ }}"},
		{"{\"a\": 1.0}", "a=1.0", "{\"a\": 1.0}"},
		{0},
	};

	try_examples(list);
}

static void test_a_new_key_goes_beside_its_siblings(void)
{
	static const struct try_example list[] = {
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

	try_examples(list);
}

static void test_unset_takes_the_line_and_the_comma(void)
{
	static const struct try_example list[] = {
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

	try_examples(list);
}

static void test_several_edits_build_on_each_other(void)
{
	const char *before = "{\n  \"list\": [\"a\", \"b\", \"c\"]\n}\n";
	struct fleet_edit edits[] = {try_edit_of("list[0]"), try_edit_of("list[0]=\"B\""),
		try_edit_of("list[+]=\"d\""), try_edit_of("n.m=1"), try_edit_of("n.o=2"), try_edit_of("n.m")};
	struct fleet_buffer out = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;

	CU_ASSERT_EQUAL_FATAL(try_edit(before, strlen(before), edits, FLEET_ARRAY_LEN(edits), &out, &err), 0);
	CU_ASSERT_STRING_EQUAL(
		out.data, "{\n  \"list\": [\"B\", \"c\", \"d\"],\n  \"n\": {\n    \"o\": 2\n  }\n}\n");
	CU_ASSERT_TRUE(try_says_what_was_asked(
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
		struct fleet_edit edit = try_edit_of(list[i].edit);
		struct fleet_buffer out = FLEET_BUFFER_INIT;
		struct fleet_driver_error err;
		int r = try_edit(list[i].before, strlen(list[i].before), &edit, 1, &out, &err);

		CU_ASSERT_EQUAL(r, -EINVAL);
		CU_ASSERT_EQUAL(err.line, list[i].line);
		CU_ASSERT_EQUAL(err.column, list[i].column);
		if (err.column != list[i].column)
			printf("# %s on %s: %u:%u %s\n", list[i].edit, list[i].before, err.line, err.column,
				err.message);
		fleet_buffer_done(&out);
	}
}

static void test_what_is_no_json(void)
{
	static const struct try_fault list[] = {
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
		{0},
	};

	try_faults(list);
}

static void test_depth_is_bounded(void)
{
	struct fleet_driver_error err;
	char text[4096];

	memset(text, '[', sizeof(text));
	CU_ASSERT_EQUAL(try_read(text, sizeof(text), NULL, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "nested too deeply"));
	memset(text + 128, ']', 128);
	CU_ASSERT_EQUAL(try_read(text, 256, NULL, &err), 0);
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

	CU_ASSERT_EQUAL_FATAL(try_read(text, strlen(text), &s, &err), 0);
	CU_ASSERT_EQUAL_FATAL(s.count, FLEET_ARRAY_LEN(want));
	for (size_t i = 0; i < s.count; i++) {
		CU_ASSERT_STRING_EQUAL(s.items[i].path, want[i].path);
		CU_ASSERT_STRING_EQUAL(s.items[i].value, want[i].value);
		CU_ASSERT_EQUAL(s.items[i].type, want[i].type);
	}
	settings_done(&s);
}

static const struct unit_test json_tests[] = {
	UNIT_TEST(test_set_changes_the_value_only),
	UNIT_TEST(test_set_to_what_it_is_changes_nothing),
	UNIT_TEST(test_a_new_key_goes_beside_its_siblings),
	UNIT_TEST(test_unset_takes_the_line_and_the_comma),
	UNIT_TEST(test_several_edits_build_on_each_other),
	UNIT_TEST(test_edits_that_make_no_sense),
	UNIT_TEST(test_what_is_no_json),
	UNIT_TEST(test_depth_is_bounded),
	UNIT_TEST(test_read),
	{0},
};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"json-config", json_tests},
		{"json-config at random", json_random_tests}, {"json-config and python", json_oracle_tests},
		{0}});
}
