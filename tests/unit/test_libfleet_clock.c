#include <time.h>
#include "fleet/clock.h"
#include "fleet/ids.h"
#include "unit.h"

static void test_format(void)
{
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {
		{0, "1970-01-01T00:00:00.000Z"},
		{-1, "1969-12-31T23:59:59.999Z"},
		{951782400123, "2000-02-29T00:00:00.123Z"},
		{1769903999123, "2026-01-31T23:59:59.123Z"},
		{4107542400000, "2100-03-01T00:00:00.000Z"},
		{INT64_MAX, "9999-12-31T23:59:59.999Z"},
		{INT64_MIN, "0000-01-01T00:00:00.000Z"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++)
		CU_ASSERT_STRING_EQUAL(fleet_timestamp_format(cases[i].ms).text, cases[i].text);
}

static void test_parse(void)
{
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"1970-01-01t00:00:00z", 0},
		{"2026-01-31T23:59:59.123Z", 1769903999123},
		{"2026-01-31T23:59:59.1Z", 1769903999100},
		{"2026-01-31T23:59:59.123999999999Z", 1769903999123},
		{"2026-02-01T01:59:59.123+02:00", 1769903999123},
		{"2026-01-31T18:29:59.123-05:30", 1769903999123},
		{"2000-02-29T00:00:00.123Z", 951782400123},
		{"2016-12-31T23:59:60Z", 1483228800000},
		{"1969-12-31T23:59:59.999Z", -1},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		int64_t ms = -7;

		CU_ASSERT_EQUAL(fleet_timestamp_parse(cases[i].text, &ms), 0);
		CU_ASSERT_EQUAL(ms, cases[i].ms);
	}
}

static void test_parse_refuses(void)
{
	static const char *const bad[] = {"", "2026", "2026-01-31", "2026-01-31 23:59:59Z",
		"2026-01-31T23:59:59", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z",
		"1900-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-01-00T00:00:00Z",
		"2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z",
		"2026-01-01T00:00:00.Z", "2026-01-01T00:00:00,5Z", "2026-01-01T00:00:00+0200",
		"2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+02:60", "2026-01-01T00:00:00Z ",
		" 2026-01-01T00:00:00Z", "2026-01-01T00:00:00ZZ", "+026-01-01T00:00:00Z",
		"2026-1-01T00:00:00Z", "2026-01-01T0:00:00Z", "20260101T000000Z", "2026-01-01T00:00:00 Z",
		"99999-01-01T00:00:00Z"};
	int64_t ms = 42;

	for (size_t i = 0; i < FLEET_ARRAY_LEN(bad); i++)
		CU_ASSERT_EQUAL(fleet_timestamp_parse(bad[i], &ms), -EINVAL);
	CU_ASSERT_EQUAL(fleet_timestamp_parse(NULL, &ms), -EINVAL);
	CU_ASSERT_EQUAL(ms, 42);
}

/* Any time of 10000 years comes back, and is what libc says. */
static void test_round_trip(void)
{
	for (int i = 0; i < 20000; i++) {
		uint64_t random;
		int64_t ms, back;
		time_t seconds;
		struct tm tm;
		char text[32];
		struct fleet_timestamp t;

		fleet_random(&random, sizeof(random));
		ms = (int64_t)(random % UINT64_C(315569520000000)) - INT64_C(62167219200000);
		t = fleet_timestamp_format(ms);
		CU_ASSERT_EQUAL(strlen(t.text), FLEET_TIMESTAMP_LEN);
		CU_ASSERT_EQUAL(fleet_timestamp_parse(t.text, &back), 0);
		CU_ASSERT_EQUAL(back, ms);
		seconds = (ms - (((ms % 1000) + 1000) % 1000)) / 1000;
		gmtime_r(&seconds, &tm);
		if (tm.tm_year + 1900 >= 1000) { /* strftime's %Y has no leading zeros */
			strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
			CU_ASSERT_EQUAL(strncmp(text, t.text, 19), 0);
		}
	}
}

static void test_duration_parse(void)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {{"0", 0}, {"10", 10000}, {"30s", 30000}, {"5m", 300000}, {"5min", 300000},
		{"2h", 7200000}, {"1d", 86400000}, {"250ms", 250}, {"365d", INT64_C(31536000000)}};
	static const char *const bad[] = {"", "s", "-1", "+1", " 1", "1 s", "1.5s", "1w", "1S", "366d",
		"31536001", "99999999999999999999", "9223372036854775807", "1s2", "0x10"};
	int64_t ms = 42;

	for (size_t i = 0; i < FLEET_ARRAY_LEN(bad); i++)
		CU_ASSERT_EQUAL(fleet_duration_parse(bad[i], &ms), -EINVAL);
	CU_ASSERT_EQUAL(fleet_duration_parse(NULL, &ms), -EINVAL);
	CU_ASSERT_EQUAL(ms, 42);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(good); i++) {
		CU_ASSERT_EQUAL(fleet_duration_parse(good[i].text, &ms), 0);
		CU_ASSERT_EQUAL(ms, good[i].ms);
	}
}

static void test_duration_format(void)
{
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {{0, "0 s"}, {-5, "0 s"}, {40, "0 s"}, {400, "0.4 s"}, {1200, "1.2 s"}, {2000, "2 s"},
		{9949, "9.9 s"}, {9950, "10 s"}, {10000, "10 s"}, {59600, "60 s"}, {119999, "120 s"},
		{120000, "2 min"}, {480000, "8 min"}, {7199999, "119 min"}, {7200000, "2 h"},
		{10800000, "3 h"}, {172800000, "2 d"}, {INT64_MAX, "106751991167 d"}};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		char text[32];

		fleet_duration_format(cases[i].ms, text, sizeof(text));
		CU_ASSERT_STRING_EQUAL(text, cases[i].text);
	}
}

static void test_clocks_run(void)
{
	int64_t a = fleet_clock_monotonic_ms(), w = fleet_clock_wall_ms();

	CU_ASSERT_TRUE(a > 0 && w > INT64_C(1700000000000));
	CU_ASSERT_TRUE(fleet_clock_monotonic_ms() >= a);
}

static const struct unit_test tests[] = {UNIT_TEST(test_format), UNIT_TEST(test_parse),
	UNIT_TEST(test_parse_refuses), UNIT_TEST(test_round_trip), UNIT_TEST(test_duration_parse),
	UNIT_TEST(test_duration_format), UNIT_TEST(test_clocks_run), {0}};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"clock", tests}, {0}});
}
