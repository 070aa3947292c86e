/* Which URLs are the console's: the agent's credential goes to those. */
#include "agent/origin.h"
#include "unit.h"

static void test_what_is_the_consoles(void)
{
	static const struct {
		const char *url, *console, *expected;
	} cases[] = {
		{"http://console:5000/api/a", "http://console:5000", "http://console:5000/api/a"},
		{"HTTP://Console:5000/api/a?x=1", "http://console:5000/", "http://console:5000/api/a?x=1"},
		{"/api/a", "http://console:5000", "http://console:5000/api/a"},
		{"http://console/a", "http://console:80", "http://console:80/a"},
		{"https://console/a", "https://console:443/", "https://console:443/a"},
		{"https://[::1]:5000/a", "https://[::1]:5000", "https://[::1]:5000/a"},
		/* others */
		{"https://console:5000/a", "http://console:5000", NULL},
		{"http://console:5001/a", "http://console:5000", NULL},
		{"http://console/a", "http://console:5000", NULL},
		{"http://console:5000.evil.example/a", "http://console:5000", NULL},
		{"http://console.evil.example:5000/a", "http://console:5000", NULL},
		{"http://console:5000@evil.example/a", "http://console:5000", NULL},
		{"http://x@console:5000/a", "http://console:5000", NULL},
		{"http://evil.example/http://console:5000/a", "http://console:5000", NULL},
		{"http://evil.example#@console:5000/a", "http://console:5000", NULL},
		{"http://console:5000\\@evil.example/a", "http://console:5000", NULL},
		{"http://console%3a5000/a", "http://console:5000", NULL},
		{"http://console:5000", "http://console:5000", NULL},
		{"http://console:5000?a", "http://console:5000", NULL},
		{"http://console:05000000000000000000000/a", "http://console:5000", NULL},
		{"http://console:-5000/a", "http://console:5000", NULL},
		{"//console:5000/a", "http://console:5000", NULL},
		{"api/a", "http://console:5000", NULL},
		{"", "http://console:5000", NULL},
		{"file:///api/a", "http://console:5000", NULL},
		{"ftp://console:5000/a", "http://console:5000", NULL},
		{"/api/a", NULL, NULL},
		{"/api/a", "console", NULL},
		{"http://[::1/a", "http://[::1]:5000", NULL},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_free_ char *seen = origin_on_console(cases[i].url, cases[i].console);

		CU_ASSERT_TRUE(str_equal(seen, cases[i].expected));
		if (!str_equal(seen, cases[i].expected))
			printf("# %s on %s: %s\n", cases[i].url, cases[i].console, seen ? seen : "(none)");
	}
}

static void test_what_is_shown(void)
{
	static const char *const cases[][2] = {
		{"http://h:1/a/b.tgz", "http://h:1/a/b.tgz"},
		{"https://user:pass@h/a?token=x#y", "https://h/a"},
		{"https://user:p@ss@h/a", "https://h/a"},
		{"https://h?token=x", "https://h"},
		{"https://h/a@b", "https://h/a@b"},
		{"/api/a?token=x", "/api/a"},
		{"", ""},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_free_ char *seen = origin_shown(cases[i][0]);

		CU_ASSERT_STRING_EQUAL(seen, cases[i][1]);
	}
}

static const struct unit_test origin_tests[] = {
	UNIT_TEST(test_what_is_the_consoles), UNIT_TEST(test_what_is_shown), {0}};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"origin", origin_tests}, {0}});
}
