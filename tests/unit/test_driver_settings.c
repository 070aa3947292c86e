/* Key paths, what an operator's word becomes, what edits make of a list of settings, and which keys a pattern
 * means. */
#include "driver/json_leaves.h"
#include "driver/keypath.h"
#include "driver/settings.h"
#include "fleet/limits.h"
#include "unit.h"

static struct fleet_bytes bytes_of(const char *text)
{
	return (struct fleet_bytes){text, strlen(text)};
}

static void test_paths_have_one_spelling(void)
{
	static const struct {
		const char *path;
		int parts; /* -1: refused */
	} list[] = {{"", 0}, {"a", 1}, {"a.b", 2}, {"a\\.b", 1}, {"a[0]", 2}, {"[0]", 1}, {"[0][12].x", 3},
		{"\\e", 1}, {"a.\\e.b", 3}, {"\\e[1]", 2}, {"a\\[0]", 1}, {"a\\\\", 1}, {"a\\.[0]", 2},
		{"a]", 1}, {"a b/c", 1}, {".", -1}, {".a", -1}, {"a.", -1}, {"a..b", -1}, {"a.[0]", -1},
		{"[0]a", -1}, {"a[", -1}, {"a[]", -1}, {"a[01]", -1}, {"a[-1]", -1}, {"a[1", -1},
		{"a[x]", -1}, {"a[+]", -1}, {"a\\", -1}, {"a\\x", -1}, {"a\\eb", -1}, {"ab\\e", -1},
		{"a[9999999999]", -1}, {"[doc1]", 1}, {"[doc1].a", 2}, {"[doc12][0]", 2}, {"\\[doc1]", 1},
		{"[doc0]", -1}, {"[doc01].a", -1}, {"[doc]", -1}, {"[doc1", -1}, {"[doc1]a", -1},
		{"a[doc1]", -1}, {"[doc1][doc1]", -1}, {"[doc9999999999]", -1}};
	struct keypath path;

	for (size_t i = 0; i < FLEET_ARRAY_LEN(list); i++) {
		struct fleet_error err = FLEET_ERROR_INIT;
		int r = keypath_parse(list[i].path, strlen(list[i].path), false, &path, &err);

		if ((r < 0) != (list[i].parts < 0))
			printf("# %s: %s\n", list[i].path, err.message);
		CU_ASSERT_EQUAL(r, list[i].parts < 0 ? -EINVAL : 0);
		CU_ASSERT_TRUE(r < 0 || (int)path.count == list[i].parts);
		CU_ASSERT_TRUE(r == 0 || strstr(err.message, "key path '"));
	}
	CU_ASSERT_EQUAL(keypath_parse("a[+].b", 6, true, &path, NULL), 0);
	CU_ASSERT_EQUAL(path.parts[1].kind, KEYPATH_APPEND);
	CU_ASSERT_EQUAL(keypath_parse("a[+]b", 5, true, &path, NULL), -EINVAL);
	CU_ASSERT_EQUAL(keypath_parse("a\0b", 3, true, &path, NULL), -EINVAL);
}

static void test_paths_are_bounded(void)
{
	char text[FLEET_KEY_PATH_MAX + 2];
	struct keypath path;

	memset(text, 'a', sizeof(text));
	CU_ASSERT_EQUAL(keypath_parse(text, FLEET_KEY_PATH_MAX, false, &path, NULL), 0);
	CU_ASSERT_EQUAL(keypath_parse(text, FLEET_KEY_PATH_MAX + 1, false, &path, NULL), -EINVAL);
	for (size_t i = 0; i + 1 < 2 * KEYPATH_PARTS_MAX; i += 2)
		text[i + 1] = '.';
	CU_ASSERT_EQUAL(keypath_parse(text, 2 * KEYPATH_PARTS_MAX - 1, false, &path, NULL), 0);
	CU_ASSERT_EQUAL(keypath_parse(text, 2 * KEYPATH_PARTS_MAX + 1, false, &path, NULL), -EINVAL);
}

/* "path:type:value" lines; type: s i n b z a o */
static struct settings list_of(const char *const *lines)
{
	static const char letters[] = "sinbzao";
	struct settings s = SETTINGS_INIT;

	for (; *lines; lines++) {
		const char *type = strchr(*lines, ':');
		struct fleet_bytes path = {*lines, (uint64_t)(type - *lines)};

		CU_ASSERT_EQUAL_FATAL(settings_add(&s, path, bytes_of(type + 3),
					      (uint32_t)(strchr(letters, type[1]) - letters)),
			0);
	}
	return s;
}

static void test_only_what_fits_its_type_is_taken(void)
{
	static const struct {
		const char *path, *value;
		uint32_t type;
		int code;
	} list[] = {{"a", "1", FLEET_TYPE_INTEGER, 0}, {"a", "1.0", FLEET_TYPE_NUMBER, 0},
		{"a", "1.0", FLEET_TYPE_INTEGER, -EINVAL}, {"a", "1", FLEET_TYPE_NUMBER, -EINVAL},
		{"a", "", FLEET_TYPE_INTEGER, -EINVAL}, {"a", "yes", FLEET_TYPE_BOOLEAN, -EINVAL},
		{"a", "true", FLEET_TYPE_BOOLEAN, 0}, {"a", "nil", FLEET_TYPE_NULL, -EINVAL},
		{"a", "{}", FLEET_TYPE_OBJECT, 0}, {"a", "{ }", FLEET_TYPE_OBJECT, -EINVAL},
		{"a", "[]", FLEET_TYPE_ARRAY, 0}, {"a", "[1]", FLEET_TYPE_ARRAY, -EINVAL},
		{"a", "anything", FLEET_TYPE_STRING, 0}, {"a", "x", 7, -EINVAL},
		{"a..b", "x", FLEET_TYPE_STRING, -EINVAL}};
	struct settings s = SETTINGS_INIT;
	int r = 0;

	for (size_t i = 0; i < FLEET_ARRAY_LEN(list); i++)
		CU_ASSERT_EQUAL(
			settings_add(&s, bytes_of(list[i].path), bytes_of(list[i].value), list[i].type),
			list[i].code);
	while (r == 0 && s.count <= FLEET_SETTINGS_PER_FILE_MAX)
		r = settings_add(&s, bytes_of("a"), bytes_of(""), FLEET_TYPE_STRING);
	CU_ASSERT_EQUAL(r, -E2BIG);
	CU_ASSERT_EQUAL(s.count, FLEET_SETTINGS_PER_FILE_MAX);
	settings_done(&s);
}

static void test_decide(void)
{
	static const char *const now[] = {"str:s:8080", "int:i:1", "big:i:123456789012345678901234567890",
		"num:n:1.50", "flag:b:true", "none:z:null", "obj.x:i:1", "list[0]:i:1", "empty:o:{}",
		"twice:i:1", "twice:s:x", NULL};
	static const struct {
		const char *path, *text;
		enum settings_mode mode;
		int type; /* -1: refused */
		const char *value;
	} list[] = {
		{"str", "9090", SETTINGS_AUTO, FLEET_TYPE_STRING, "9090"},
		{"str", "null", SETTINGS_AUTO, FLEET_TYPE_STRING, "null"},
		{"int", "2", SETTINGS_AUTO, FLEET_TYPE_INTEGER, "2"},
		{"int", "2.5", SETTINGS_AUTO, FLEET_TYPE_NUMBER, "2.5"},
		{"int", "1.0", SETTINGS_AUTO, FLEET_TYPE_INTEGER,
			"1"}, /* the same number: its spelling stays */
		{"int", "10e-1", SETTINGS_AUTO, FLEET_TYPE_INTEGER, "1"},
		{"int", "-1", SETTINGS_AUTO, FLEET_TYPE_INTEGER, "-1"},
		{"int", "two", SETTINGS_AUTO, FLEET_TYPE_STRING, "two"},
		{"int", "007", SETTINGS_AUTO, FLEET_TYPE_STRING, "007"},
		{"int", "2", SETTINGS_STRING, FLEET_TYPE_STRING, "2"},
		{"big", "123456789012345678901234567891", SETTINGS_AUTO, FLEET_TYPE_INTEGER,
			"123456789012345678901234567891"},
		{"num", "1.5", SETTINGS_AUTO, FLEET_TYPE_NUMBER, "1.50"},
		{"num", "15e-1", SETTINGS_JSON, FLEET_TYPE_NUMBER, "1.50"},
		{"num", "2", SETTINGS_AUTO, FLEET_TYPE_INTEGER, "2"},
		{"flag", "false", SETTINGS_AUTO, FLEET_TYPE_BOOLEAN, "false"},
		{"flag", "no", SETTINGS_AUTO, FLEET_TYPE_BOOLEAN, "false"},
		{"flag", "On", SETTINGS_AUTO, FLEET_TYPE_BOOLEAN, "true"},
		{"flag", "maybe", SETTINGS_AUTO, FLEET_TYPE_STRING, "maybe"},
		{"str", "no", SETTINGS_AUTO, FLEET_TYPE_STRING, "no"},
		{"fresh", "no", SETTINGS_AUTO, FLEET_TYPE_STRING, "no"},
		{"none", "x", SETTINGS_AUTO, FLEET_TYPE_STRING, "x"},
		{"fresh", "true", SETTINGS_AUTO, FLEET_TYPE_BOOLEAN, "true"},
		{"fresh", "null", SETTINGS_AUTO, FLEET_TYPE_NULL, "null"},
		{"fresh", "1e3", SETTINGS_AUTO, FLEET_TYPE_NUMBER, "1e3"},
		{"fresh", "", SETTINGS_AUTO, FLEET_TYPE_STRING, ""},
		{"fresh", " 1", SETTINGS_AUTO, FLEET_TYPE_STRING, " 1"},
		{"fresh", "{\"a\":1}", SETTINGS_AUTO, FLEET_TYPE_STRING, "{\"a\":1}"},
		{"fresh", "{\"a\": 1}", SETTINGS_JSON, FLEET_TYPE_OBJECT, "{\"a\": 1}"},
		{"fresh", " [] ", SETTINGS_JSON, FLEET_TYPE_ARRAY, " [] "},
		{"fresh", " \"a\\u0041\" ", SETTINGS_JSON, FLEET_TYPE_STRING, "aA"},
		{"fresh", "3", SETTINGS_JSON, FLEET_TYPE_INTEGER, "3"},
		{"list[+]", "3", SETTINGS_AUTO, FLEET_TYPE_INTEGER, "3"},
		{"twice", "y", SETTINGS_AUTO, FLEET_TYPE_STRING, "y"}, /* the last of them counts */
		{"twice", "7", SETTINGS_AUTO, FLEET_TYPE_STRING, "7"},
		{"obj", "x", SETTINGS_AUTO, -1, "is an object or array"},
		{"list", "x", SETTINGS_AUTO, -1, "is an object or array"},
		{"empty", "x", SETTINGS_AUTO, -1, "is an object or array"},
		{"obj", "{}", SETTINGS_JSON, FLEET_TYPE_OBJECT, "{}"},
		{"fresh", "{a:1}", SETTINGS_JSON, -1, "not acceptable as JSON at character 2"},
		{"fresh", "{\"a\":1,\"a\":2}", SETTINGS_JSON, -1, "the same name twice"},
		{"fresh", "1 2", SETTINGS_JSON, -1, "something after the value"},
		{"fresh", "\"\\u0000\"", SETTINGS_JSON, -1, "NUL"},
		{"fresh", "\"\\ud800\"", SETTINGS_JSON, -1, "surrogate"},
		{"fresh", "", SETTINGS_JSON, -1, "expected a value"},
		{"fresh", "\xff", SETTINGS_STRING, -1, "not UTF-8"},
		{"", "x", SETTINGS_AUTO, -1, "a key path is missing"},
		{"a..b", "x", SETTINGS_AUTO, -1, "a name is missing"},
		{"a\nb", "x", SETTINGS_AUTO, -1, "control characters"},
		{"a\xff", "x", SETTINGS_AUTO, -1, "UTF-8"},
	};
	struct settings s = list_of(now);

	for (size_t i = 0; i < FLEET_ARRAY_LEN(list); i++) {
		struct fleet_error err = FLEET_ERROR_INIT;
		_cleanup_free_ char *value = NULL;
		uint32_t type = 99;
		int r = settings_decide(&s, list[i].path, list[i].text, list[i].mode, &type, &value, &err);

		if (list[i].type < 0) {
			CU_ASSERT_EQUAL(r, -EINVAL);
			CU_ASSERT_PTR_NULL(value);
			CU_ASSERT_PTR_NOT_NULL(strstr(err.message, list[i].value));
			continue;
		}
		if (r < 0 || (int)type != list[i].type)
			printf("# %s=%s: %u %s\n", list[i].path, list[i].text, type, err.message);
		CU_ASSERT_EQUAL_FATAL(r, 0);
		CU_ASSERT_EQUAL((int)type, list[i].type);
		CU_ASSERT_STRING_EQUAL(value, list[i].value);
	}
	settings_done(&s);
}

static void test_decide_for_a_format_of_text_only(void)
{
	struct settings s = {.text_only = true};
	struct fleet_error err = FLEET_ERROR_INIT;
	char *value = NULL;
	uint32_t type;

	CU_ASSERT_EQUAL_FATAL(settings_decide(&s, "port", "8080", SETTINGS_AUTO, &type, &value, &err), 0);
	CU_ASSERT_EQUAL(type, FLEET_TYPE_STRING);
	free(value);
	value = NULL;
	CU_ASSERT_EQUAL_FATAL(settings_decide(&s, "port", "8080", SETTINGS_JSON, &type, &value, &err), 0);
	CU_ASSERT_EQUAL(type, FLEET_TYPE_STRING);
	CU_ASSERT_STRING_EQUAL(value, "8080");
	free(value);
	value = NULL;
	CU_ASSERT_EQUAL(settings_decide(&s, "port", "{}", SETTINGS_JSON, &type, &value, &err), -EINVAL);
	CU_ASSERT_EQUAL(settings_decide(&s, "port", "null", SETTINGS_JSON, &type, &value, &err), -EINVAL);
}

static void test_a_value_is_never_quoted_in_an_error(void)
{
	struct settings s = SETTINGS_INIT;
	_cleanup_free_ char *big = xmalloc(FLEET_VALUE_MAX + 2);
	struct fleet_error err = FLEET_ERROR_INIT;
	char *value = NULL;
	uint32_t type;

	CU_ASSERT_EQUAL(settings_decide(&s, "a", "{hunter2", SETTINGS_JSON, &type, &value, &err), -EINVAL);
	CU_ASSERT_PTR_NULL(strstr(err.message, "hunter2"));
	memset(big, 'x', FLEET_VALUE_MAX + 1);
	big[FLEET_VALUE_MAX + 1] = '\0';
	CU_ASSERT_EQUAL(settings_decide(&s, "a", big, SETTINGS_STRING, &type, &value, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "longer than"));
}

struct apply_case {
	const char *before[8];
	struct fleet_edit edit;
	const char *after[8]; /* {NULL}: refused */
	const char *why;
};
#define SET(p, t, v)                                                                                         \
	{                                                                                                    \
		.path = {p, sizeof(p) - 1}, .value = {v, sizeof(v) - 1}, .kind = FLEET_EDIT_SET, .type = t   \
	}
#define UNSET(p)                                                                                             \
	{                                                                                                    \
		.path = {p, sizeof(p) - 1}, .value = {"", 0}, .kind = FLEET_EDIT_UNSET                       \
	}

static void expect_applied(const struct apply_case *list, size_t count, bool text_only)
{
	for (size_t i = 0; i < count; i++) {
		struct settings before = list_of(list[i].before), got = SETTINGS_INIT, want = SETTINGS_INIT;
		struct fleet_error err = FLEET_ERROR_INIT;
		int r;

		before.text_only = text_only;
		r = settings_apply(&before, &list[i].edit, 1, &got, &err);

		if (list[i].why) {
			CU_ASSERT_EQUAL(r, -EINVAL);
			CU_ASSERT_PTR_NOT_NULL(strstr(err.message, list[i].why));
			CU_ASSERT_PTR_NULL(got.items);
		} else {
			want = list_of(list[i].after);
			CU_ASSERT_EQUAL(r, 0);
			r = settings_compare(&got, &want, &err);
			CU_ASSERT_EQUAL(r, 0);
		}
		if (list[i].why ? !strstr(err.message, list[i].why) : r < 0)
			printf("# case %zu, %s: %s\n", i, list[i].edit.path.data, err.message);
		settings_done(&before);
		settings_done(&got);
		settings_done(&want);
	}
}

static void test_apply(void)
{
	static const struct apply_case list[] = {
		{{"a:i:1", "b:i:2"}, SET("a", FLEET_TYPE_INTEGER, "3"), {"b:i:2", "a:i:3"}, NULL},
		{{"a:i:1"}, SET("b.c", FLEET_TYPE_STRING, "x"), {"a:i:1", "b.c:s:x"}, NULL},
		{{":o:{}"}, SET("a", FLEET_TYPE_STRING, "x"), {"a:s:x"}, NULL},
		{{NULL}, SET("a", FLEET_TYPE_STRING, "x"), {"a:s:x"}, NULL},
		{{"a:o:{}"}, SET("a.b", FLEET_TYPE_STRING, "x"), {"a.b:s:x"}, NULL},
		{{"a.b:i:1", "a.c:i:2", "ab:i:3"}, SET("a", FLEET_TYPE_INTEGER, "5"), {"a:i:5", "ab:i:3"},
			NULL},
		{{"a:i:1"}, SET("a", FLEET_TYPE_OBJECT, "{\"x\": {\"y\": [1, \"t\"]}, \"z.\": {}}"),
			{"a.x.y[0]:i:1", "a.x.y[1]:s:t", "a.z\\.:o:{}"}, NULL},
		{{"a:i:1"}, SET("a", FLEET_TYPE_ARRAY, "[]"), {"a:a:[]"}, NULL},
		{{"a[0]:i:1"}, SET("a[+]", FLEET_TYPE_INTEGER, "2"), {"a[0]:i:1", "a[1]:i:2"}, NULL},
		{{"a:a:[]"}, SET("a[+]", FLEET_TYPE_INTEGER, "2"), {"a[0]:i:2"}, NULL},
		{{"b:i:1"}, SET("a[+].x", FLEET_TYPE_INTEGER, "2"), {"b:i:1", "a[0].x:i:2"}, NULL},
		{{"a:i:1", "a:i:2"}, SET("a", FLEET_TYPE_INTEGER, "3"), {"a:i:1", "a:i:3"}, NULL},
		{{"a:i:1", "a:i:2", "b:i:3"}, UNSET("a"), {"b:i:3"}, NULL},
		{{"a.b:i:1", "a.c:i:2"}, UNSET("a.b"), {"a.c:i:2"}, NULL},
		{{"a.b:i:1", "c:i:2"}, UNSET("a.b"), {"c:i:2", "a:o:{}"}, NULL},
		{{"a.b:i:1", "c:i:2"}, UNSET("a.b"), {"c:i:2"},
			NULL}, /* an INI's empty section says nothing */
		{{"a:i:1"}, UNSET("a"), {":o:{}"}, NULL},
		{{"a:i:1"}, UNSET("b"), {"a:i:1"}, NULL},
		{{"a:i:1"}, UNSET("b.c.d"), {"a:i:1"}, NULL},
		{{"a[0]:i:1", "a[1].x:i:2", "a[2]:i:3"}, UNSET("a[0]"), {"a[0].x:i:2", "a[1]:i:3"}, NULL},
		{{"a[0]:i:1"}, UNSET("a[0]"), {"a:a:[]"}, NULL},
		{{"a[9]:i:1", "a[10]:i:2"}, UNSET("a[9]"), {"a[9]:i:2"}, NULL},
		{{"a:i:1"}, SET("a.b", FLEET_TYPE_INTEGER, "2"), {NULL}, "single value"},
		{{"a.b:i:1"}, SET("a[0]", FLEET_TYPE_INTEGER, "2"), {NULL}, "is an object, not an array"},
		{{"a[0]:i:1"}, SET("a.b", FLEET_TYPE_INTEGER, "2"), {NULL}, "is an array, not an object"},
		{{"a:o:{}"}, SET("a[+]", FLEET_TYPE_INTEGER, "2"), {NULL}, "is an object, not an array"},
		{{"a[0]:i:1"}, SET("a[1]", FLEET_TYPE_INTEGER, "2"), {NULL}, "no element of this index"},
		{{"b:i:1"}, SET("a[0]", FLEET_TYPE_INTEGER, "2"), {NULL}, "no element of this index"},
		{{"a[0]:i:1"}, UNSET("a[1]"), {NULL}, "no element of this index"},
		{{"a[0]:i:1"}, UNSET("a[+]"), {NULL}, "only for a new element"},
		{{"a:i:1"}, SET("", FLEET_TYPE_INTEGER, "2"), {NULL}, "a key path is missing"},
		{{"a:i:1"}, SET("a", FLEET_TYPE_INTEGER, "x"), {NULL}, "does not fit its type"},
		{{"a:i:1"}, SET("a", FLEET_TYPE_OBJECT, "{"), {NULL}, "not acceptable as JSON"},
	};

	expect_applied(list, FLEET_ARRAY_LEN(list), false);
}

/* A name that stands there several times is an array; one that stands there once is not. */
static void test_apply_to_a_format_of_text_only(void)
{
	static const struct apply_case list[] = {
		{{"a:s:1"}, SET("a[+]", FLEET_TYPE_STRING, "2"), {"a[0]:s:1", "a[1]:s:2"}, NULL},
		{{"a[0]:s:1", "a[1]:s:2"}, SET("a[+]", FLEET_TYPE_STRING, "3"),
			{"a[0]:s:1", "a[1]:s:2", "a[2]:s:3"}, NULL},
		{{"b:s:1"}, SET("s.a[+]", FLEET_TYPE_STRING, "2"), {"b:s:1", "s.a:s:2"}, NULL},
		{{"a:s:1"}, SET("a[0]", FLEET_TYPE_STRING, "2"), {"a:s:2"}, NULL},
		{{"a[0]:s:1", "a[1]:s:2"}, SET("a[1]", FLEET_TYPE_STRING, "3"), {"a[0]:s:1", "a[1]:s:3"},
			NULL},
		{{"a[0]:s:1", "a[1]:s:2"}, SET("a", FLEET_TYPE_STRING, "3"), {"a:s:3"}, NULL},
		{{"s.a[0]:s:1", "s.a[1]:s:2"}, UNSET("s.a[0]"), {"s.a:s:2"}, NULL},
		{{"a:s:1", "b:s:2"}, UNSET("a[0]"), {"b:s:2"}, NULL},
		{{"a[0]:s:1", "a[1]:s:2", "b:s:3"}, UNSET("a"), {"b:s:3"}, NULL},
		{{"a:s:1"}, SET("a[1]", FLEET_TYPE_STRING, "2"), {NULL}, "no element of this index"},
		{{"a:s:1"}, SET("a.b", FLEET_TYPE_STRING, "2"), {NULL}, "single value"},
	};

	expect_applied(list, FLEET_ARRAY_LEN(list), true);
}

/* Emptied by one edit, which a format may show as [] or not at all: for the next one it may be missing. */
static void test_unset_of_what_an_unset_has_emptied(void)
{
	struct settings before = list_of((const char *const[]){"s.a:s:1", "s.b:s:2", NULL}),
			after = SETTINGS_INIT, want = list_of((const char *const[]){"s.b:s:2", NULL});
	const struct fleet_edit edits[] = {UNSET("s.a[0]"), UNSET("s.a[0]")};
	struct fleet_error err = FLEET_ERROR_INIT;

	before.text_only = true;
	CU_ASSERT_EQUAL_FATAL(settings_apply(&before, edits, FLEET_ARRAY_LEN(edits), &after, &err), 0);
	CU_ASSERT_EQUAL(settings_compare(&after, &want, &err), 0);
	settings_done(&before);
	settings_done(&after);
	settings_done(&want);
}

static void test_compare(void)
{
	static const struct {
		const char *expected[6], *actual[6];
		const char *why; /* NULL: equal */
	} list[] = {
		{{"a:i:1", "b:i:2"}, {"b:i:2", "a:i:1"}, NULL},
		{{"a:i:1", "a:i:2"}, {"a:i:2", "a:i:1"}, "'a' would have another value"},
		{{"a:i:1"}, {"a:s:1"}, "'a' would be of another type"},
		{{"a:i:1"}, {NULL}, "'a' would be missing"},
		{{NULL}, {"secret:s:hunter2"},
			"'secret' would be in the new file without having been asked for"},
		{{"a:s:x"}, {"a:s:hunter2"}, "'a' would have another value"},
		{{"a:o:{}"}, {NULL}, "'a' would be missing"},
		{{"a:i:1"}, {"a:i:1", "a:i:1"}, "without having been asked for"},
		/* with something before and behind that is the same */
		{{"z:i:0", "a:i:1", "b:i:2", "y:i:9"}, {"z:i:0", "b:i:2", "a:i:1", "y:i:9"}, NULL},
		{{"z:i:0", "a:i:1", "a:i:2", "y:i:9"}, {"z:i:0", "a:i:2", "a:i:1", "y:i:9"},
			"'a' would have another value"},
		{{"a:i:1", "a:i:2", "a:i:1"}, {"a:i:1", "a:i:1", "a:i:2"}, "'a' would have another value"},
		{{"a:i:1", "b:i:2", "a:i:3"}, {"a:i:1", "a:i:3", "b:i:2"}, NULL},
		{{"a:i:1", "b:i:1", "a:i:1"}, {"a:i:1", "b:i:1"}, "'a' would be missing"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(list); i++) {
		struct settings expected = list_of(list[i].expected), actual = list_of(list[i].actual);
		struct fleet_error err = FLEET_ERROR_INIT;
		int r = settings_compare(&expected, &actual, &err);

		CU_ASSERT_EQUAL(r, list[i].why ? -EBADMSG : 0);
		CU_ASSERT_TRUE(!list[i].why || strstr(err.message, list[i].why));
		CU_ASSERT_PTR_NULL(strstr(err.message, "hunter2"));
		settings_done(&expected);
		settings_done(&actual);
	}
}

/* A list of one has an index or none. */
static void test_compare_of_text_only(void)
{
	static const struct {
		const char *expected[4], *actual[4];
		bool differ;
	} list[] = {
		{{"a:s:x", "b:s:y"}, {"a[0]:s:x", "b:s:y"}, false},
		{{"a[0].b[0]:s:x"}, {"a.b:s:x"}, false},
		{{"a[0].b[0]:s:x", "a[1].b:s:x"}, {"a[0].b:s:x", "a[1].b[0]:s:x"}, false},
		{{"[0].a:s:x"}, {"[0].a[0]:s:x"}, false},
		{{"a:s:x"}, {"a[0]:s:hunter2"}, true},
		{{"a[0]:s:x", "a[1]:s:y"}, {"a:s:x", "a:s:y"}, true},
		{{"a[0][0]:s:x", "a[0][1]:s:y"}, {"a[0]:s:x", "a[1]:s:y"}, true},
		{{"a\\[0]:s:x"}, {"a:s:x"}, true},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(list); i++) {
		struct settings expected = list_of(list[i].expected), actual = list_of(list[i].actual);
		struct fleet_error err = FLEET_ERROR_INIT;
		int r;

		expected.text_only = actual.text_only = true;
		r = settings_compare(&expected, &actual, &err);
		if ((r < 0) != list[i].differ)
			printf("# %s: %s\n", list[i].expected[0], err.message);
		CU_ASSERT_EQUAL(r, list[i].differ ? -EBADMSG : 0);
		actual.text_only = false; /* elsewhere an element is one */
		CU_ASSERT_EQUAL(settings_compare(&expected, &actual, &err), -EBADMSG);
		settings_done(&expected);
		settings_done(&actual);
	}
}

static void test_values_may_hold_nul(void)
{
	struct settings a = SETTINGS_INIT, b = SETTINGS_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL(
		settings_add(&a, bytes_of("k"), (struct fleet_bytes){"x\0y", 3}, FLEET_TYPE_STRING), 0);
	CU_ASSERT_EQUAL(
		settings_add(&b, bytes_of("k"), (struct fleet_bytes){"x\0z", 3}, FLEET_TYPE_STRING), 0);
	CU_ASSERT_EQUAL(settings_compare(&a, &b, &err), -EBADMSG);
	settings_done(&a);
	settings_done(&b);
}

static void test_globs(void)
{
	static const struct {
		const char *glob, *path;
		bool matches;
	} list[] = {
		{"a", "a", true},
		{"a", "ab", false},
		{"a", "a.b", false},
		{"a*", "abc", true},
		{"a*", "a.b", false},
		{"a*", "a[0]", false},
		{"a.*", "a.b", true},
		{"a.*", "a.b.c", false},
		{"a.**", "a.b.c", true},
		{"a.**", "a", false},
		{"**", "", true},
		{"**", "a.b[0].c", true},
		{"*", "a\\.b", true},
		{"a\\.*", "a\\.b", true},
		{"a\\.*", "a.b", false},
		{"a[*]", "a[12]", true},
		{"a[*].x", "a[1].x", true},
		{"**.x", "x", true},
		{"**.x", "a.b.x", true},
		{"**.x", "a.bx", false},
		{"a.**.x", "a.x", true},
		{"a.**.x", "a.b[0].x", true},
		{"*x", "abx", true},
		{"*x*", "axb", true},
		{"", "a", false},
		{"\\*", "*", true},
		{"\\*", "a", false},
		{"Logging.**", "Logging.LogLevel.Default", true},
		{"**a**a**a**b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(list); i++) {
		bool matches = settings_path_matches(list[i].glob, list[i].path);

		if (matches != list[i].matches)
			printf("# %s on %s: %d\n", list[i].glob, list[i].path, matches);
		CU_ASSERT_EQUAL(matches, list[i].matches);
	}
}

static void test_secrets(void)
{
	static const struct {
		const char *path;
		bool secret;
	} list[] = {{"Password", true}, {"db.password", true}, {"DB_PASSWD", true}, {"smtp.pass", true},
		{"api-key", true}, {"apiKey", true}, {"tls.private_key", true},
		{"ConnectionStrings.Default", true}, {"auth.token[0]", true}, {"secrets.anything", true},
		{"client\\.secret", true}, {"LogLevel", false}, {"port", false}, {"pass.through", true},
		{"keyboard", false}, {"", false}, {"server.key_file", false}, {"pin", true}, {"spin", false}};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(list); i++) {
		if (settings_path_is_secret(list[i].path) != list[i].secret)
			printf("# %s\n", list[i].path);
		CU_ASSERT_EQUAL(settings_path_is_secret(list[i].path), list[i].secret);
	}
}

static void test_numbers(void)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} list[] = {{"1", "1.0", true}, {"1", "10e-1", true}, {"0", "-0.0", true}, {"100", "1e2", true},
		{"1", "2", false}, {"0.1", "0.10", true}, {"-1", "1", false},
		{"12345678901234567890", "12345678901234567891", false},
		{"9007199254740993", "9007199254740992", false}, {"1e99999999999", "1e99999999999", true},
		{"1e99999999999", "2e99999999999", false}, {"0.001", "1E-3", true}, {"120", "12", false}};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(list); i++)
		CU_ASSERT_EQUAL(json_numbers_equal(list[i].a, list[i].b), list[i].equal);
}

static const struct unit_test settings_tests[] = {UNIT_TEST(test_paths_have_one_spelling),
	UNIT_TEST(test_paths_are_bounded), UNIT_TEST(test_only_what_fits_its_type_is_taken),
	UNIT_TEST(test_decide), UNIT_TEST(test_decide_for_a_format_of_text_only),
	UNIT_TEST(test_a_value_is_never_quoted_in_an_error), UNIT_TEST(test_apply),
	UNIT_TEST(test_apply_to_a_format_of_text_only), UNIT_TEST(test_unset_of_what_an_unset_has_emptied),
	UNIT_TEST(test_compare), UNIT_TEST(test_compare_of_text_only), UNIT_TEST(test_values_may_hold_nul),
	UNIT_TEST(test_globs), UNIT_TEST(test_secrets), UNIT_TEST(test_numbers), {0}};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"settings", settings_tests}, {0}});
}
