#include "fleet/buffer.h"
#include "fleet/error.h"
#include "fleet/text.h"
#include "unit.h"

static void test_utf8_sequences(void)
{
	static const struct {
		const char *text;
		bool valid;
	} cases[] = {
		{"", true},
		{"plain", true},
		{"gr\xC3\xBC\xC3\x9F", true},
		{"\xE2\x82\xAC", true},
		{"\xF0\x9F\x9A\x80", true},
		{"\xF4\x8F\xBF\xBF", true},  /* U+10FFFF */
		{"\xF4\x90\x80\x80", false}, /* one past it */
		{"\xC0\x80", false},         /* overlong NUL */
		{"\xC1\xBF", false},         /* overlong */
		{"\xE0\x9F\xBF", false},     /* overlong */
		{"\xF0\x8F\xBF\xBF", false}, /* overlong */
		{"\xED\xA0\x80", false},     /* surrogate */
		{"\xED\x9F\xBF", true},      /* before the surrogates */
		{"\xEE\x80\x80", true},      /* after them */
		{"\x80", false},
		{"\xC3", false}, /* cut */
		{"\xE2\x82", false},
		{"\xF0\x9F\x9A", false},
		{"\xF5\x80\x80\x80", false},
		{"\xFF", false},
		{"a\xC3(b", false},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++)
		CU_ASSERT_EQUAL(fleet_text_is_utf8(cases[i].text, strlen(cases[i].text)), cases[i].valid);
	CU_ASSERT_TRUE(fleet_text_is_utf8("\0x", 2));
}

/* Every two-byte and many longer strings: what is called valid must be what the standard's table says. */
static void test_utf8_agrees_with_the_table(void)
{
	for (unsigned a = 0; a < 256; a++) {
		for (unsigned b = 0; b < 256; b++) {
			const char two[] = {(char)a, (char)b, '\0'};
			bool expected =
				(a < 0x80 && b < 0x80) || (a >= 0xC2 && a <= 0xDF && b >= 0x80 && b <= 0xBF);

			CU_ASSERT_EQUAL(fleet_text_is_utf8(two, 2), expected);
		}
	}
}

static void test_nearest(void)
{
	static const char *const words[] = {"agent-001", "agent-002", "config_path", "service_name", "id"};
	static const struct {
		const char *word, *nearest;
	} cases[] = {
		{"agnt-001", "agent-001"},
		{"agent-0001", "agent-001"},
		{"aegnt-002", "agent-002"},
		{"confg_path", "config_path"},
		{"ConfigPath", "config_path"},
		{"servcie_name", "service_name"},
		{"di", "id"},
		{"agent-001", "agent-001"},
		{"something-else", NULL},
		{"x", NULL},
		{"", NULL},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		const char *nearest = fleet_text_nearest(cases[i].word, words, FLEET_ARRAY_LEN(words));

		CU_ASSERT_TRUE(str_equal(nearest, cases[i].nearest));
		if (!str_equal(nearest, cases[i].nearest))
			printf("# %s: %s\n", cases[i].word, nearest ? nearest : "(none)");
	}
	CU_ASSERT_PTR_NULL(fleet_text_nearest("a", words, 0));
}

static void test_nearest_of_very_long_words(void)
{
	char long_word[5000];
	const char *const words[] = {long_word, ""};

	memset(long_word, 'a', sizeof(long_word) - 1);
	long_word[sizeof(long_word) - 1] = '\0';
	CU_ASSERT_PTR_NULL(fleet_text_nearest(long_word, words, 2));
	CU_ASSERT_PTR_NULL(fleet_text_nearest("aaa", words, 2));
}

static void test_sanitize(void)
{
	static const struct {
		const char *before, *after;
	} cases[] = {
		{"", ""},
		{"plain gr\xC3\xBC\xC3\x9F", "plain gr\xC3\xBC\xC3\x9F"},
		{"two\nlines\r\t", "two?lines??"},
		{"\x1b[31mred", "?[31mred"},
		{"\x7f", "?"},
		{"\xC2\x9B"
		 "31m",
			"?31m"}, /* a C1 control, which some terminals obey */
		{"\xC2\xA0", "\xC2\xA0"},
		{"\xFF\xC3", "??"},
		{"\xE2\x82"
		 "a",
			"??a"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_free_ char *text = xstrdup(cases[i].before);

		fleet_text_sanitize(text);
		CU_ASSERT_STRING_EQUAL(text, cases[i].after);
	}
}

static void test_error_set_errno_wrap(void)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL(fleet_error_set(&err, -EINVAL, "bad %s", "luck"), -EINVAL);
	CU_ASSERT_EQUAL(err.code, -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.message, "bad luck");
	CU_ASSERT_EQUAL(fleet_error_errno(&err, -ENOENT, "cannot open %s", "/x"), -ENOENT);
	CU_ASSERT_STRING_EQUAL(err.message, "cannot open /x: No such file or directory");
	CU_ASSERT_EQUAL(fleet_error_wrap(&err, "while starting"), -ENOENT);
	CU_ASSERT_STRING_EQUAL(err.message, "while starting: cannot open /x: No such file or directory");
	/* the message may be an argument of its own successor */
	CU_ASSERT_EQUAL(fleet_error_set(&err, -EIO, "again: %s", err.message), -EIO);
	CU_ASSERT_STRING_EQUAL(
		err.message, "again: while starting: cannot open /x: No such file or directory");
}

static void test_error_without_a_place(void)
{
	CU_ASSERT_EQUAL(fleet_error_set(NULL, -EINVAL, "x"), -EINVAL);
	CU_ASSERT_EQUAL(fleet_error_errno(NULL, -ENOENT, "x"), -ENOENT);
	CU_ASSERT_EQUAL(fleet_error_wrap(NULL, "x"), -EIO);
}

static void test_error_is_cut_between_characters(void)
{
	char text[3000];

	for (size_t shift = 0; shift < 4; shift++) {
		struct fleet_error err = FLEET_ERROR_INIT;
		size_t len;

		memset(text, 'x', shift);
		for (size_t i = shift; i + 2 < sizeof(text); i += 2)
			memcpy(text + i, "\xC3\xBC", 3);
		CU_ASSERT_EQUAL(fleet_error_set(&err, -EINVAL, "%s", text), -EINVAL);
		len = strlen(err.message);
		CU_ASSERT_TRUE(len < sizeof(err.message) && len > sizeof(err.message) - 8);
		CU_ASSERT_TRUE(fleet_text_is_utf8(err.message, len));
		CU_ASSERT_STRING_EQUAL(err.message + len - 3, "...");
		CU_ASSERT_PTR_NULL(strchr(err.message, '?'));
		CU_ASSERT_EQUAL(fleet_error_wrap(&err, "more"), -EINVAL);
		CU_ASSERT_TRUE(fleet_text_is_utf8(err.message, strlen(err.message)));
		CU_ASSERT_TRUE(str_starts(err.message, "more: "));
	}
}

static void test_error_has_no_control_characters(void)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL(fleet_error_set(&err, -EINVAL, "a\nb\x1b[2J%s", "\xFF"), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.message, "a?b?[2J?");
}

static void test_buffer_grows(void)
{
	_cleanup_buffer_ struct fleet_buffer b = FLEET_BUFFER_INIT;
	_cleanup_free_ char *taken = NULL;
	size_t len = 1;

	for (int i = 0; i < 10000; i++) {
		char byte = (char)('a' + i % 26);

		fleet_buffer_add(&b, &byte, 1);
		CU_ASSERT_EQUAL(b.data[b.len], '\0');
	}
	CU_ASSERT_EQUAL(b.len, 10000);
	CU_ASSERT_EQUAL(b.data[9999], 'a' + 9999 % 26);
	fleet_buffer_truncate(&b, 20000);
	CU_ASSERT_EQUAL(b.len, 10000);
	fleet_buffer_truncate(&b, 3);
	fleet_buffer_printf(&b, "-%d-%s", 42, "x");
	fleet_buffer_add(&b, NULL, 0);
	CU_ASSERT_STRING_EQUAL(b.data, "abc-42-x");
	taken = fleet_buffer_take(&b, &len);
	CU_ASSERT_EQUAL(len, 8);
	CU_ASSERT_PTR_NULL(b.data);
	CU_ASSERT_EQUAL(b.len, 0);
}

static void test_buffer_empty(void)
{
	_cleanup_buffer_ struct fleet_buffer b = FLEET_BUFFER_INIT;
	_cleanup_free_ char *taken = fleet_buffer_take(&b, NULL);

	CU_ASSERT_STRING_EQUAL(taken, "");
	fleet_buffer_truncate(&b, 0);
	CU_ASSERT_PTR_NULL(b.data);
	fleet_buffer_add_string(&b, "");
	CU_ASSERT_STRING_EQUAL(b.data, "");
	fleet_buffer_add(&b, "a\0b", 3);
	CU_ASSERT_EQUAL(b.len, 3);
}

static const struct unit_test text_tests[] = {UNIT_TEST(test_utf8_sequences),
	UNIT_TEST(test_utf8_agrees_with_the_table), UNIT_TEST(test_nearest),
	UNIT_TEST(test_nearest_of_very_long_words), UNIT_TEST(test_sanitize), {0}};
static const struct unit_test error_tests[] = {UNIT_TEST(test_error_set_errno_wrap),
	UNIT_TEST(test_error_without_a_place), UNIT_TEST(test_error_is_cut_between_characters),
	UNIT_TEST(test_error_has_no_control_characters), {0}};
static const struct unit_test buffer_tests[] = {
	UNIT_TEST(test_buffer_grows), UNIT_TEST(test_buffer_empty), {0}};

int main(void)
{
	return unit_run((const struct unit_suite[]){
		{"text", text_tests}, {"error", error_tests}, {"buffer", buffer_tests}, {0}});
}
