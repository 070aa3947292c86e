#include "cli/format.h"
#include "cli/output.h"
#include "cli/table.h"
#include "fleet/clock.h"
#include "unit.h"

/* What a call wrote to a stream; owned by the caller. */
static char *written(void (*call)(FILE *out))
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	call(out);
	CU_ASSERT_EQUAL(fclose(out), 0);
	return text;
}

static void test_cleans_what_a_terminal_would_obey(void)
{
	static const struct {
		const char *text, *clean;
	} cases[] = {
		{"plain → text", "plain → text"},
		{"\033[2Jgone", "?[2Jgone"},
		{"a\nb\rc\td\a", "a?b?c d?"},
		{"\xc2\x9b"
		 "31m",
			"?31m"}, /* CSI as one C1 character */
		{"\x9b"
		 "31m",
			"?31m"}, /* and as the bare byte */
		{"a\xe2\x80\xae"
		 "b",
			"a?b"}, /* right-to-left override */
		{"a\xe2\x81\xa6"
		 "b",
			"a?b"}, /* isolate */
		{"a\xe2\x80\xa8"
		 "b",
			"a?b"}, /* line separator */
		{"\x7f\xff", "??"},
		{"", ""},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_free_ char *clean = output_clean(cases[i].text);

		CU_ASSERT_STRING_EQUAL(clean, cases[i].clean);
	}
	CU_ASSERT_PTR_NULL(output_clean(NULL));
}

static void write_lines(FILE *out)
{
	output_line(out, "%s is %s", "app", "up\nroot@console: all is well\033]0;x\a");
	output_text(out, "  ", "one\r\ntwo\n\nfour", 100);
	output_text(out, "> ", "abcdef\nghi", 4);
}

static void test_one_call_is_one_line(void)
{
	_cleanup_free_ char *text = written(write_lines);

	CU_ASSERT_STRING_EQUAL(
		text, "app is up?root@console: all is well?]0;x?\n  one\n  two\n  \n  four\n> abcd\n> ...\n");
}

static void test_measures_what_a_terminal_shows(void)
{
	static const struct {
		const char *text;
		size_t width;
	} cases[] = {
		{"", 0},
		{"abc", 3},
		{"é", 1},
		{"e\xcc\x81", 1},
		{"→", 1},
		{"日本", 4},
		{"🚀", 2},
		{"ﬀ", 1},
		{"한글", 4},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++)
		CU_ASSERT_EQUAL(table_text_width(cases[i].text), cases[i].width);
}

static void write_table(FILE *out)
{
	static const struct table_column columns[] = {{"NAME", false}, {"N", true}, {"LAST", false}, {0}};
	_cleanup_(table_done) struct table t = {0};

	table_init(&t, columns);
	table_row(&t);
	table_cell(&t, 0, "Zürich");
	table_cellf(&t, 1, "%d", 1234);
	table_cell(&t, 2, "x");
	table_row(&t);
	table_cell(&t, 0, "東京\n");
	table_cell(&t, 1, "7");
	table_cell(&t, 2, "");
	for (int i = 0; i < 20; i++)
		table_row(&t);
	table_write(&t, "  ", out);
}

static void test_aligns_columns(void)
{
	_cleanup_free_ char *text = written(write_table);

	CU_ASSERT_TRUE(str_starts(text, "  NAME       N  LAST\n"
					"  Zürich  1234  x\n"
					"  東京?      7  -\n"
					"  -          -  -\n"));
}

static void write_empty_table(FILE *out)
{
	static const struct table_column columns[] = {{"A", false}, {"B", true}, {0}};
	_cleanup_(table_done) struct table t = {0};

	table_init(&t, columns);
	table_write(&t, "", out);
}

static void test_an_empty_table_is_its_header(void)
{
	_cleanup_free_ char *text = written(write_empty_table);

	CU_ASSERT_STRING_EQUAL(text, "A  B\n");
}

static void test_formats(void)
{
	struct fleet_timestamp soon = fleet_timestamp_format(fleet_clock_wall_ms() + 60000);
	struct fleet_timestamp before = fleet_timestamp_format(fleet_clock_wall_ms() - 8 * 60000 - 500);
	struct fleet_timestamp now = fleet_timestamp_now();

	CU_ASSERT_STRING_EQUAL(format_status("running").text, "Running");
	CU_ASSERT_STRING_EQUAL(format_status(NULL).text, "Unknown");
	CU_ASSERT_STRING_EQUAL(format_id("0193587a-0000-7000-8000-0000007c31e0").text, "7c31e0");
	CU_ASSERT_STRING_EQUAL(format_id("abc").text, "abc");
	CU_ASSERT_STRING_EQUAL(format_id(NULL).text, "?");
	CU_ASSERT_STRING_EQUAL(format_ago(before.text).text, "8 min ago");
	CU_ASSERT_STRING_EQUAL(format_ago(soon.text).text, "now");
	CU_ASSERT_STRING_EQUAL(format_ago(now.text).text, "now");
	CU_ASSERT_STRING_EQUAL(format_ago("yesterday").text, "");
	CU_ASSERT_STRING_EQUAL(format_since(NULL).text, "");
	CU_ASSERT_EQUAL(strlen(format_clock("2001-01-31T23:59:59.123Z").text), strlen("2001-01-31 23:59"));
	CU_ASSERT_EQUAL(strlen(format_date("2001-01-31T23:59:59.123Z").text), strlen("2001-01-31 23:59:59"));
	CU_ASSERT_STRING_EQUAL(format_date("never").text, "");
	CU_ASSERT_STRING_EQUAL(format_megabytes(134217728).text, "128");
	CU_ASSERT_STRING_EQUAL(format_gigabytes(INT64_C(5368709120)).text, "5.0 GB");
	CU_ASSERT_STRING_EQUAL(format_count(1, "app").text, "1 app");
	CU_ASSERT_STRING_EQUAL(format_count(0, "app").text, "0 apps");
}

int main(void)
{
	static const struct unit_test tests[] = {
		UNIT_TEST(test_cleans_what_a_terminal_would_obey),
		UNIT_TEST(test_one_call_is_one_line),
		UNIT_TEST(test_measures_what_a_terminal_shows),
		UNIT_TEST(test_aligns_columns),
		UNIT_TEST(test_an_empty_table_is_its_header),
		UNIT_TEST(test_formats),
		{0},
	};

	return unit_run((const struct unit_suite[]){{"cli output", tests}, {0}});
}
