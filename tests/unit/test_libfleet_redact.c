/* What is taken out of texts, and what is not. */
#include "fleet/redact.h"
#include "unit.h"

static void test_values_go(void)
{
	static const struct {
		const char *json, *text, *expected;
	} cases[] = {
		{"\"hunter2-long\"", "cannot take 'hunter2-long'", "cannot take '***'"},
		{"\"hunter2-long\"", "xhunter2-longx", "x***x"}, /* sure: long */
		{"\"exit\"", "exit: it exited, and the exit",
			"***: it exited, and the ***"}, /* a word only */
		{"\"on\"", "on and on", "on and on"},   /* a word of any sentence */
		{"12345", "port 12345 of 123456", "port *** of 123456"},
		{"true", "true enough", "true enough"},
		{"\"say \\\"hi\\\" now\"", "bad say \\\"hi\\\" now, say \"hi\" now", "bad ***, ***"},
		{"{\"a\": [\"first-one\"], \"b\": {\"c\": \"second-one\"}}", "first-one second-one a b c",
			"*** *** a b c"},
		/* a part of another, which goes first */
		{"[\"abcdefgh\", \"abcdefghijkl\"]", "abcdefghijkl abcdefgh", "*** ***"},
		{"null", "null", "null"},
		{"\"aaaa\"", "aaaa aaaa-aaaa aaaaa", "*** ***-*** aaaaa"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_(fleet_redact_done) struct fleet_redact r = FLEET_REDACT_INIT;
		_cleanup_json_ struct json_object *value = json_tokener_parse(cases[i].json);
		_cleanup_free_ char *seen = NULL;

		fleet_redact_add_json(&r, value);
		seen = fleet_redact(&r, cases[i].text);
		CU_ASSERT_STRING_EQUAL(seen, cases[i].expected);
		CU_ASSERT_EQUAL(
			fleet_redact_finds(&r, cases[i].text), !str_equal(cases[i].text, cases[i].expected));
		CU_ASSERT_FALSE(fleet_redact_finds(&r, seen));
	}
}

static void test_nothing_to_hide(void)
{
	_cleanup_(fleet_redact_done) struct fleet_redact r = FLEET_REDACT_INIT;
	_cleanup_free_ char *same = fleet_redact(&r, "text"), *empty = fleet_redact(&r, NULL);

	CU_ASSERT_STRING_EQUAL(same, "text");
	CU_ASSERT_STRING_EQUAL(empty, "");
	fleet_redact_add(&r, "cut short here", 9);
	CU_ASSERT_TRUE(fleet_redact_finds(&r, "cut short"));
}

static const struct unit_test tests[] = {UNIT_TEST(test_values_go), UNIT_TEST(test_nothing_to_hide), {0}};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"redact", tests}, {0}});
}
