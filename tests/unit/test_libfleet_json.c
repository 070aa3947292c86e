#include "fleet/ids.h"
#include "fleet/json.h"
#include "fleet/limits.h"
#include "unit.h"

static struct json_object *parsed(const char *text)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct json_object *o = NULL;

	CU_ASSERT_EQUAL(fleet_json_parse(text, strlen(text), 1 << 20, &o, &err), 0);
	if (err.code)
		printf("# %s: %s\n", text, err.message);
	return o;
}

static void test_parse_values(void)
{
	static const char *const same[] = {"{}", "[]", "0", "-1", "true", "false", "\"\"", "[1,2,{\"a\":[]}]",
		"9223372036854775807", "-9223372036854775808", "18446744073709551615", "1.5", "1.10", "1e5",
		"-0.0", "\"gr\xC3\xBC\xC3\x9F\"", "\"\\u0001\"", "\"a/b\"", "{\"a\":null}", "{\"\":1}"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(same); i++) {
		_cleanup_json_ struct json_object *o = parsed(same[i]);
		size_t len = 0;

		CU_ASSERT_STRING_EQUAL(fleet_json_text(o, &len), same[i]);
		CU_ASSERT_EQUAL(len, strlen(same[i]));
	}
	{
		_cleanup_json_ struct json_object *o = parsed(" \t\r\n{ \"a\" : [ 1 , 2 ] }\n ");

		CU_ASSERT_STRING_EQUAL(fleet_json_text(o, NULL), "{\"a\":[1,2]}");
	}
	{
		_cleanup_json_ struct json_object *o =
			parsed("\"\\u00e9\\ud83d\\ude80\\\"\\\\\\/\\b\\f\\n\\r\\t\"");

		CU_ASSERT_STRING_EQUAL(json_object_get_string(o), "\xC3\xA9\xF0\x9F\x9A\x80\"\\/\b\f\n\r\t");
	}
}

static void test_parse_null(void)
{
	struct json_object *o = json_object_new_object(), *before = o;
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL(fleet_json_parse("null", 4, 10, &o, &err), 0);
	CU_ASSERT_PTR_NULL(o);
	json_object_put(before);
}

static void test_parse_refuses(void)
{
	static const struct {
		const char *text, *place;
	} bad[] = {
		{"", "line 1, column 1"},
		{" ", "line 1, column 2"},
		{"{", "line 1, column 2"},
		{"[1,]", "line 1, column 4"},
		{"{\"a\":1,}", "line 1, column 8"},
		{"{\"a\" 1}", "line 1, column 6"},
		{"{a:1}", "line 1, column 2"},
		{"{'a':1}", "line 1, column 2"},
		{"[1 2]", "line 1, column 4"},
		{"{\n \"a\": tru\n}", "line 2, column 7"},
		{"{} x", "line 1, column 4"},
		{"{}{}", "line 1, column 3"},
		{"nul", "line 1, column 1"},
		{"NaN", "line 1, column 1"},
		{"Infinity", "line 1"},
		{"-Infinity", "line 1, column 2"},
		{"[-]", "line 1, column 3"},
		{"01", "line 1, column 1"},
		{"-01", "line 1, column 2"},
		{"1.", "line 1, column 3"},
		{".5", "line 1, column 1"},
		{"1e", "line 1, column 3"},
		{"+1", "line 1, column 1"},
		{"0x10", "line 1, column 2"},
		{"1e+", "column 4"},
		{"TRUE", "line 1, column 1"},
		{"// c\n1", "line 1, column 1"},
		{"/* c */1", "line 1, column 1"},
		{"[1/* c */]", "line 1, column 3"},
		{"\"abc", "does not end"},
		{"\"a\nb\"", "control character"},
		{"\"a\tb\"", "control character"},
		{"\"\\x41\"", "escape"},
		{"\"\\u12g4\"", "four hex digits"},
		{"\"\\u0000\"", "NUL"},
		{"\"\\ud800\"", "surrogate"},
		{"\"\\ud800x\"", "surrogate"},
		{"\"\\ud800\\u0041\"", "surrogate"},
		{"\"\\udc00\"", "surrogate"},
		{"\"\xFF\"", "UTF-8"},
		{"\"\xC0\x80\"", "UTF-8"},
		{"\"\xED\xA0\x80\"", "UTF-8"},
		{"\"\xC3", "UTF-8"},
		{"\xEF\xBB\xBF{}", "line 1, column 1"},
		{"18446744073709551616", "64 bits"},
		{"-9223372036854775809", "64 bits"},
		{"99999999999999999999999999999", "64 bits"},
		{"[\"gr\xC3\xBC\xC3\x9F\", x]", "line 1, column 10"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(bad); i++) {
		struct json_object *marker = (struct json_object *)&marker, *o = marker;
		struct fleet_error err = FLEET_ERROR_INIT;

		CU_ASSERT_EQUAL(fleet_json_parse(bad[i].text, strlen(bad[i].text), 1000, &o, &err), -EBADMSG);
		CU_ASSERT_PTR_EQUAL(o, marker);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, bad[i].place));
		if (!strstr(err.message, bad[i].place))
			printf("# %s: %s\n", bad[i].text, err.message);
		CU_ASSERT_EQUAL(fleet_json_parse(bad[i].text, strlen(bad[i].text), 1000, &o, NULL), -EBADMSG);
	}
}

static void test_parse_refuses_nul(void)
{
	static const char inside[] = "{\"a\":\"x\0y\"}", after[] = "{}\0", before[] = "\0{}";
	struct json_object *o = NULL;
	struct fleet_error err;

	CU_ASSERT_EQUAL(fleet_json_parse(inside, sizeof(inside) - 1, 1000, &o, &err), -EBADMSG);
	CU_ASSERT_EQUAL(fleet_json_parse(after, sizeof(after) - 1, 1000, &o, &err), -EBADMSG);
	CU_ASSERT_EQUAL(fleet_json_parse(before, sizeof(before) - 1, 1000, &o, &err), -EBADMSG);
}

static void test_parse_bounds(void)
{
	struct json_object *o = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	_cleanup_free_ char *deep = xmalloc(200001);
	size_t n = FLEET_JSON_DEPTH_MAX;

	CU_ASSERT_EQUAL(fleet_json_parse("[1,2]", 5, 4, &o, &err), -E2BIG);
	CU_ASSERT_EQUAL(fleet_json_parse("[1,2]", 5, 5, &o, &err), 0);
	json_object_put(TAKE_PTR(o));
	memset(deep, '[', n);
	memset(deep + n, ']', n);
	CU_ASSERT_EQUAL(fleet_json_parse(deep, 2 * n, 1000, &o, &err), 0);
	json_object_put(TAKE_PTR(o));
	n++;
	memset(deep, '[', n);
	memset(deep + n, ']', n);
	CU_ASSERT_EQUAL(fleet_json_parse(deep, 2 * n, 1000, &o, &err), -EBADMSG);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "deep"));
	memset(deep, '[', 200000);
	CU_ASSERT_EQUAL(fleet_json_parse(deep, 200000, 1000000, &o, &err), -EBADMSG);
	for (size_t i = 0; i + 4 < 200000; i += 5)
		memcpy(deep + i, "{\"a\":", 5);
	CU_ASSERT_EQUAL(fleet_json_parse(deep, 200000, 1000000, &o, &err), -EBADMSG);
}

static const char sample[] = "{\"type\":\"heartbeat\",\"n\":[0,-1.5e+3,true,false,null],\"s\":"
			     "\"\\u00e9\\ud83d\\ude80gr\xC3\xBC\xC3\x9F\","
			     "\"o\":{\"a\":{\"b\":[{}]}}}";

static void test_every_truncation_is_refused(void)
{
	for (size_t len = 0; len < sizeof(sample) - 1; len++) {
		_cleanup_free_ char *cut =
			xmalloc(len + 1); /* exactly as long, so that ASan sees a step too far */
		struct json_object *o = NULL;

		memcpy(cut, sample, len);
		CU_ASSERT_EQUAL(fleet_json_parse(cut, len, 1000, &o, NULL), -EBADMSG);
	}
}

/* Whatever a mutated text is: no crash, and what is accepted reads back as the same value. */
static void test_mutations(void)
{
	for (size_t round = 0; round < 20000; round++) {
		char text[sizeof(sample)];
		struct json_object *o = NULL;
		unsigned char random[8];

		memcpy(text, sample, sizeof(sample));
		fleet_random(random, sizeof(random));
		for (int i = 0; i < 1 + random[0] % 3; i++)
			text[random[1 + 2 * i] % (sizeof(sample) - 1)] = (char)random[2 + 2 * i];
		if (fleet_json_parse(text, sizeof(sample) - 1, 1000, &o, NULL) == 0) {
			size_t len = 0;
			_cleanup_free_ char *canonical = fleet_json_canonical(o, &len), *again = NULL;
			struct json_object *back = NULL;

			CU_ASSERT_EQUAL(fleet_json_parse(canonical, len, 10000, &back, NULL), 0);
			again = fleet_json_canonical(back, NULL);
			CU_ASSERT_STRING_EQUAL(canonical, again);
			CU_ASSERT_TRUE(json_object_equal(o, back));
			json_object_put(back);
			json_object_put(o);
		}
	}
}

static const struct fleet_json_field inner_fields[] = {
	{.key = "id", .type = FLEET_JSON_ID, .flags = FLEET_JSON_REQUIRED},
	{.key = "on", .type = FLEET_JSON_BOOLEAN},
	{0},
};
static const char *const colours[] = {"red", "green", NULL};
static const struct fleet_json_field fields[] = {
	{.key = "name", .type = FLEET_JSON_STRING, .flags = FLEET_JSON_REQUIRED, .min = 1, .max = 5},
	{.key = "count", .type = FLEET_JSON_INTEGER, .min = 1, .max = 10},
	{.key = "whole", .type = FLEET_JSON_INTEGER},
	{.key = "share", .type = FLEET_JSON_NUMBER, .min = 0, .max = 1},
	{.key = "colour", .type = FLEET_JSON_STRING, .one_of = colours},
	{.key = "at", .type = FLEET_JSON_TIME},
	{.key = "uuid", .type = FLEET_JSON_UUID},
	{.key = "maybe", .type = FLEET_JSON_STRING, .flags = FLEET_JSON_NULLABLE},
	{.key = "any", .type = FLEET_JSON_ANY},
	{.key = "inner", .type = FLEET_JSON_OBJECT, .fields = inner_fields},
	{.key = "list", .type = FLEET_JSON_ARRAY, .min = 0, .max = 2, .fields = inner_fields},
	{.key = "ids", .type = FLEET_JSON_ARRAY, .element = FLEET_JSON_UUID},
	{.key = "words", .type = FLEET_JSON_ARRAY, .element = FLEET_JSON_STRING, .one_of = colours},
	{.key = "map", .type = FLEET_JSON_OBJECT, .min = 0, .max = 2, .element = FLEET_JSON_STRING},
	{0},
};

static void test_check_accepts(void)
{
	static const char *const good[] = {
		"{\"name\":\"a\"}",
		"{\"name\":\"abcde\",\"unknown\":{\"x\":1}}",
		"{\"name\":\"a\",\"count\":1,\"share\":0.5,\"whole\":-9223372036854775808,\"colour\":"
		"\"green\"}",
		"{\"name\":\"a\",\"count\":10,\"share\":1,\"at\":\"2026-01-31T23:59:59.123Z\"}",
		"{\"name\":\"a\",\"uuid\":\"01890a5d-ac96-774b-bcce-b302099a8057\",\"maybe\":null,\"any\":"
		"null}",
		"{\"name\":\"a\",\"inner\":{\"id\":\"x\",\"on\":true},\"list\":[{\"id\":\"x\"},{\"id\":\"y\"}"
		"]}",
		"{\"name\":\"a\",\"ids\":[\"01890a5d-ac96-774b-bcce-b302099a8057\"],\"words\":[\"red\","
		"\"red\"]}",
		"{\"name\":\"a\",\"map\":{\"x\":\"y\"},\"ids\":[],\"list\":[],\"any\":[1,{}]}",
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(good); i++) {
		_cleanup_json_ struct json_object *o = parsed(good[i]);
		struct fleet_error err = FLEET_ERROR_INIT;

		CU_ASSERT_EQUAL(fleet_json_check(o, fields, "$", &err), 0);
		if (err.code)
			printf("# %s: %s\n", good[i], err.message);
	}
}

static void test_check_names_the_path(void)
{
	static const struct {
		const char *text, *message;
	} bad[] = {
		{"[]", "$: must be an object"},
		{"{}", "$.name: is missing"},
		{"{\"name\":\"\"}", "$.name: must be a string of 1 to 5 bytes"},
		{"{\"name\":\"abcdef\"}", "$.name: must be a string of 1 to 5 bytes"},
		{"{\"name\":5}", "$.name: must be a string of 1 to 5 bytes"},
		{"{\"name\":null}", "$.name: must be a string of 1 to 5 bytes"},
		{"{\"name\":\"a\",\"count\":0}", "$.count: must be a whole number from 1 to 10"},
		{"{\"name\":\"a\",\"count\":11}", "$.count: must be a whole number from 1 to 10"},
		{"{\"name\":\"a\",\"count\":1.0}", "$.count: must be a whole number"},
		{"{\"name\":\"a\",\"count\":\"1\"}", "$.count: must be a whole number"},
		{"{\"name\":\"a\",\"whole\":18446744073709551615}",
			"$.whole: must be a whole number below 2^63"},
		{"{\"name\":\"a\",\"share\":1.01}", "$.share: must be a number from 0 to 1"},
		{"{\"name\":\"a\",\"share\":1e999}", "$.share: must be a finite number"},
		{"{\"name\":\"a\",\"share\":\"1\"}", "$.share: must be a number"},
		{"{\"name\":\"a\",\"colour\":\"blue\"}", "$.colour: must be one of red, green"},
		{"{\"name\":\"a\",\"colour\":1}", "$.colour: must be a string"},
		{"{\"name\":\"a\",\"at\":\"yesterday\"}", "$.at: must be a time"},
		{"{\"name\":\"a\",\"at\":1}", "$.at: must be a time"},
		{"{\"name\":\"a\",\"uuid\":\"x\"}", "$.uuid: must be a UUID"},
		{"{\"name\":\"a\",\"maybe\":1}", "$.maybe: must be a string"},
		{"{\"name\":\"a\",\"inner\":{}}", "$.inner.id: is missing"},
		{"{\"name\":\"a\",\"inner\":{\"id\":\"-\"}}", "$.inner.id: must be a name"},
		{"{\"name\":\"a\",\"inner\":{\"id\":\"x\",\"on\":1}}", "$.inner.on: must be true or false"},
		{"{\"name\":\"a\",\"inner\":[]}", "$.inner: must be an object"},
		{"{\"name\":\"a\",\"inner\":null}", "$.inner: must be an object"},
		{"{\"name\":\"a\",\"list\":{}}", "$.list: must be an array"},
		{"{\"name\":\"a\",\"list\":[{\"id\":\"x\"},5]}", "$.list[1]: must be an object"},
		{"{\"name\":\"a\",\"list\":[{\"id\":\"x\"},{\"id\":\"\"}]}", "$.list[1].id: must be a name"},
		{"{\"name\":\"a\",\"list\":[{},{},{}]}", "$.list: must have 0 to 2 elements, has 3"},
		{"{\"name\":\"a\",\"ids\":[\"x\"]}", "$.ids[0]: must be a UUID"},
		{"{\"name\":\"a\",\"ids\":[null]}", "$.ids[0]: must be a UUID"},
		{"{\"name\":\"a\",\"words\":[\"red\",\"blue\"]}", "$.words[1]: must be one of red, green"},
		{"{\"name\":\"a\",\"map\":{\"k\":1}}", "$.map.k: must be a string"},
		{"{\"name\":\"a\",\"map\":{\"a\":\"\",\"b\":\"\",\"c\":\"\"}}",
			"$.map: must have 0 to 2 members, has 3"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(bad); i++) {
		_cleanup_json_ struct json_object *o = parsed(bad[i].text);
		struct fleet_error err = FLEET_ERROR_INIT;

		CU_ASSERT_EQUAL(fleet_json_check(o, fields, "$", &err), -EINVAL);
		CU_ASSERT_TRUE(str_starts(err.message, bad[i].message));
		if (!str_starts(err.message, bad[i].message))
			printf("# %s: %s\n", bad[i].text, err.message);
	}
}

static void test_check_strict(void)
{
	static const struct {
		const char *text, *message;
	} bad[] = {
		{"{\"namee\":\"a\"}", "$.namee: unknown field; did you mean 'name'?"},
		{"{\"name\":\"a\",\"zzzzzzzz\":1}", "$.zzzzzzzz: unknown field"},
		{"{\"name\":\"a\",\"inner\":{\"id\":\"x\",\"off\":true}}", "$.inner.off: unknown field"},
		{"{\"name\":\"a\",\"list\":[{\"id\":\"x\",\"ON\":true}]}",
			"$.list[0].ON: unknown field; did you mean 'on'?"},
	};
	_cleanup_json_ struct json_object *good =
		parsed("{\"name\":\"a\",\"map\":{\"free\":\"x\"},\"any\":{\"free\":1}}");

	CU_ASSERT_EQUAL(fleet_json_check_strict(good, fields, "$", NULL), 0);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(bad); i++) {
		_cleanup_json_ struct json_object *o = parsed(bad[i].text);
		struct fleet_error err = FLEET_ERROR_INIT;

		CU_ASSERT_EQUAL(fleet_json_check(o, fields, "$", &err), 0 - (i == 0 ? EINVAL : 0));
		CU_ASSERT_EQUAL(fleet_json_check_strict(o, fields, "$", &err), -EINVAL);
		CU_ASSERT_STRING_EQUAL(err.message, bad[i].message);
	}
}

static void test_check_of_hostile_keys(void)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *map = json_object_new_object();
	_cleanup_free_ char *key = xmalloc(5001);
	struct fleet_error err = FLEET_ERROR_INIT;

	memset(key, '\n', 5000);
	key[5000] = '\0';
	fleet_json_add_string(o, "name", "a");
	fleet_json_add_int(map, key, 1);
	fleet_json_add(o, "map", map);
	CU_ASSERT_EQUAL(fleet_json_check(o, fields, "$", &err), -EINVAL);
	CU_ASSERT_PTR_NULL(strchr(err.message, '\n'));
	fleet_json_add_int(o, key, 1);
	CU_ASSERT_EQUAL(fleet_json_check_strict(o, fields, "$", &err), -EINVAL);
	CU_ASSERT_PTR_NULL(strchr(err.message, '\n'));
}

static void test_getters(void)
{
	_cleanup_json_ struct json_object *o =
		parsed("{\"s\":\"x\",\"i\":5,\"d\":1.5,\"b\":true,\"o\":{},\"a\":[],\"n\":null}");

	CU_ASSERT_STRING_EQUAL(fleet_json_string(o, "s"), "x");
	CU_ASSERT_PTR_NULL(fleet_json_string(o, "i"));
	CU_ASSERT_PTR_NULL(fleet_json_string(o, "missing"));
	CU_ASSERT_PTR_NULL(fleet_json_string(o, "n"));
	CU_ASSERT_PTR_NULL(fleet_json_string(NULL, "s"));
	CU_ASSERT_EQUAL(fleet_json_int(o, "i", 7), 5);
	CU_ASSERT_EQUAL(fleet_json_int(o, "d", 7), 7);
	CU_ASSERT_EQUAL(fleet_json_int(o, "s", 7), 7);
	CU_ASSERT_DOUBLE_EQUAL(fleet_json_number(o, "d", 7), 1.5, 0);
	CU_ASSERT_DOUBLE_EQUAL(fleet_json_number(o, "i", 7), 5, 0);
	CU_ASSERT_DOUBLE_EQUAL(fleet_json_number(o, "s", 7), 7, 0);
	CU_ASSERT_TRUE(fleet_json_bool(o, "b", false));
	CU_ASSERT_TRUE(fleet_json_bool(o, "i", true));
	CU_ASSERT_PTR_NOT_NULL(fleet_json_object(o, "o"));
	CU_ASSERT_PTR_NULL(fleet_json_object(o, "a"));
	CU_ASSERT_PTR_NOT_NULL(fleet_json_array(o, "a"));
	CU_ASSERT_PTR_NULL(fleet_json_array(o, "o"));
	CU_ASSERT_PTR_NULL(fleet_json_get(fleet_json_array(o, "a"), "x"));
}

static void test_adders(void)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *a = json_object_new_array();

	fleet_json_add_string(o, "none", NULL);
	fleet_json_add_string(o, "s", "x/y");
	fleet_json_add_int(o, "i", INT64_MIN);
	fleet_json_add_number(o, "d", 23.45678);
	fleet_json_add_number(o, "whole", 2.0);
	fleet_json_add_number(o, "tiny", -0.0001);
	fleet_json_add_number(o, "nan", 0.0 / 0.0);
	fleet_json_add_number(o, "inf", 1e308 * 10);
	fleet_json_add_bool(o, "b", true);
	fleet_json_add_time(o, "t", 1769903999123);
	fleet_json_add_time(o, "never", 0);
	fleet_json_add(o, "null", NULL);
	fleet_json_append_string(a, "x");
	fleet_json_append_string(a, NULL);
	fleet_json_add(o, "a", a);
	CU_ASSERT_STRING_EQUAL(fleet_json_text(o, NULL),
		"{\"s\":\"x/y\",\"i\":-9223372036854775808,\"d\":23.457,\"whole\":2,\"tiny\":0,\"b\":true,"
		"\"t\":\"2026-01-31T23:59:59.123Z\",\"a\":[\"x\"]}");
}

static void test_canonical(void)
{
	static const char *const cases[][2] = {
		{"{ \"b\" : 1 , \"a\" : { \"d\" : [ ] , \"c\" : null } }",
			"{\"a\":{\"c\":null,\"d\":[]},\"b\":1}"},
		{"{\"\xC3\xA9\":1,\"z\":2,\"Z\":3,\"\":4,\"aa\":5,\"a\":6}",
			"{\"\":4,\"Z\":3,\"a\":6,\"aa\":5,\"z\":2,\"\xC3\xA9\":1}"},
		{"\"\\u00e9\\/\\u001f\\u007f\\b\\f\\n\\r\\t\\\"\\\\\"",
			"\"\xC3\xA9/\\u001f\x7f\\b\\f\\n\\r\\t\\\"\\\\\""},
		{"[1,-0,18446744073709551615,true,false,1.50]", NULL},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_json_ struct json_object *o = parsed(cases[i][0]);
		size_t len = 0;
		_cleanup_free_ char *text = fleet_json_canonical(o, &len);

		CU_ASSERT_EQUAL(len, strlen(text));
		if (cases[i][1])
			CU_ASSERT_STRING_EQUAL(text, cases[i][1]);
	}
	{
		_cleanup_free_ char *text = fleet_json_canonical(NULL, NULL);

		CU_ASSERT_STRING_EQUAL(text, "null");
		CU_ASSERT_STRING_EQUAL(fleet_json_text(NULL, NULL), "null");
	}
}

static const struct unit_test parse_tests[] = {UNIT_TEST(test_parse_values), UNIT_TEST(test_parse_null),
	UNIT_TEST(test_parse_refuses), UNIT_TEST(test_parse_refuses_nul), UNIT_TEST(test_parse_bounds),
	UNIT_TEST(test_every_truncation_is_refused), UNIT_TEST(test_mutations), {0}};
static const struct unit_test check_tests[] = {UNIT_TEST(test_check_accepts),
	UNIT_TEST(test_check_names_the_path), UNIT_TEST(test_check_strict),
	UNIT_TEST(test_check_of_hostile_keys), {0}};
static const struct unit_test access_tests[] = {
	UNIT_TEST(test_getters), UNIT_TEST(test_adders), UNIT_TEST(test_canonical), {0}};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"json parse", parse_tests}, {"json check", check_tests},
		{"json access", access_tests}, {0}});
}
