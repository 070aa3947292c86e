#include <pthread.h>
#include "fleet/backoff.h"
#include "fleet/clock.h"
#include "fleet/ids.h"
#include "unit.h"

static void test_uuids_are_valid_and_sorted(void)
{
	struct fleet_uuid last = fleet_uuid_new();

	for (int i = 0; i < 50000; i++) {
		struct fleet_uuid next = fleet_uuid_new();

		CU_ASSERT_TRUE(fleet_uuid_is_valid(next.text));
		CU_ASSERT_TRUE(strcmp(last.text, next.text) < 0);
		CU_ASSERT_EQUAL(next.text[14], '7');
		CU_ASSERT_PTR_NOT_NULL(strchr("89ab", next.text[19]));
		last = next;
	}
}

static void test_uuid_holds_the_time(void)
{
	int64_t before = fleet_clock_wall_ms(), ms;
	struct fleet_uuid uuid = fleet_uuid_new();
	char digits[13];

	memcpy(digits, uuid.text, 8);
	memcpy(digits + 8, uuid.text + 9, 4);
	digits[12] = '\0';
	ms = strtoll(digits, NULL, 16);
	/* ids made in a rush run a little ahead of the clock */
	CU_ASSERT_TRUE(ms >= before && ms <= fleet_clock_wall_ms() + 1000);
}

#define PER_THREAD 2000
static void *make_many(void *arg)
{
	struct fleet_uuid *out = arg;

	for (int i = 0; i < PER_THREAD; i++)
		out[i] = fleet_uuid_new();
	return NULL;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct fleet_uuid *)a)->text, ((const struct fleet_uuid *)b)->text);
}

static void test_uuids_differ_between_threads(void)
{
	enum { THREADS = 4 };
	_cleanup_free_ struct fleet_uuid *all = xcalloc(THREADS * PER_THREAD, sizeof(*all));
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, make_many, all + i * PER_THREAD), 0);
	for (int i = 0; i < THREADS; i++)
		CU_ASSERT_EQUAL(pthread_join(threads[i], NULL), 0);
	qsort(all, THREADS * PER_THREAD, sizeof(*all), compare);
	for (int i = 1; i < THREADS * PER_THREAD; i++)
		CU_ASSERT_STRING_NOT_EQUAL(all[i - 1].text, all[i].text);
}

static void test_uuid_check(void)
{
	CU_ASSERT_TRUE(fleet_uuid_is_valid("01890a5d-ac96-774b-bcce-b302099a8057"));
	CU_ASSERT_FALSE(fleet_uuid_is_valid("01890A5D-AC96-774B-BCCE-B302099A8057"));
	CU_ASSERT_FALSE(fleet_uuid_is_valid("01890a5d-ac96-774b-bcce-b302099a805"));
	CU_ASSERT_FALSE(fleet_uuid_is_valid("01890a5d-ac96-774b-bcce-b302099a80577"));
	CU_ASSERT_FALSE(fleet_uuid_is_valid("01890a5dxac96-774b-bcce-b302099a8057"));
	CU_ASSERT_FALSE(fleet_uuid_is_valid("01890a5d-ac96-774b-bcce-b302099a805g"));
	CU_ASSERT_FALSE(fleet_uuid_is_valid(""));
	CU_ASSERT_FALSE(fleet_uuid_is_valid(NULL));
}

static void test_id_check(void)
{
	static const char *const good[] = {"a", "agent-001", "My_App.v2", "0", "x-"};
	static const char *const bad[] = {
		"", "-a", ".a", "_a", "a b", "a/b", "..", "a\n", "\xC3\xBC", "a\xC3\xBC", "a%20", "a:b"};
	char longest[FLEET_ID_MAX + 2];

	for (size_t i = 0; i < FLEET_ARRAY_LEN(good); i++)
		CU_ASSERT_TRUE(fleet_id_is_valid(good[i]));
	for (size_t i = 0; i < FLEET_ARRAY_LEN(bad); i++)
		CU_ASSERT_FALSE(fleet_id_is_valid(bad[i]));
	CU_ASSERT_FALSE(fleet_id_is_valid(NULL));
	memset(longest, 'a', sizeof(longest));
	longest[FLEET_ID_MAX + 1] = '\0';
	CU_ASSERT_FALSE(fleet_id_is_valid(longest));
	longest[FLEET_ID_MAX] = '\0';
	CU_ASSERT_TRUE(fleet_id_is_valid(longest));
}

static void test_random_fills_large_pieces(void)
{
	unsigned char bytes[1000] = {0};
	size_t zeros = 0;

	fleet_random(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		zeros += bytes[i] == 0;
	CU_ASSERT_TRUE(zeros < 100);
	fleet_random(bytes, 0);
}

/* The contract's 5.3, with up to a fifth (a second for the first) on top. */
static void test_backoff_follows_the_table(void)
{
	static const int64_t table[] = {0, 2000, 5000, 10000, 30000, 30000, 30000};

	for (int round = 0; round < 200; round++) {
		struct fleet_backoff b = {0};

		for (size_t i = 0; i < FLEET_ARRAY_LEN(table); i++) {
			int64_t wait = fleet_backoff_next_ms(&b), most = table[i] ? table[i] / 5 : 1000;

			CU_ASSERT_EQUAL(fleet_backoff_base_ms((unsigned)i), table[i]);
			CU_ASSERT_TRUE(wait >= table[i] && wait <= table[i] + most);
		}
	}
}

static void test_backoff_spreads(void)
{
	int64_t least = INT64_MAX, most = 0;

	for (int i = 0; i < 1000; i++) {
		struct fleet_backoff b = {0};
		int64_t wait = fleet_backoff_next_ms(&b);

		least = wait < least ? wait : least;
		most = wait > most ? wait : most;
	}
	CU_ASSERT_TRUE(least < 200 && most > 800);
}

static void test_backoff_reset_and_refused(void)
{
	struct fleet_backoff b = {0};

	fleet_backoff_refused(&b);
	CU_ASSERT_TRUE(fleet_backoff_next_ms(&b) >= 30000);
	CU_ASSERT_TRUE(fleet_backoff_next_ms(&b) >= 30000);
	fleet_backoff_reset(&b);
	CU_ASSERT_TRUE(fleet_backoff_next_ms(&b) <= 1000);
	CU_ASSERT_TRUE(fleet_backoff_next_ms(&b) >= 2000);
	CU_ASSERT_EQUAL(fleet_backoff_base_ms(1000000), 30000);
}

static const struct unit_test id_tests[] = {UNIT_TEST(test_uuids_are_valid_and_sorted),
	UNIT_TEST(test_uuid_holds_the_time), UNIT_TEST(test_uuids_differ_between_threads),
	UNIT_TEST(test_uuid_check), UNIT_TEST(test_id_check), UNIT_TEST(test_random_fills_large_pieces), {0}};
static const struct unit_test backoff_tests[] = {UNIT_TEST(test_backoff_follows_the_table),
	UNIT_TEST(test_backoff_spreads), UNIT_TEST(test_backoff_reset_and_refused), {0}};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"ids", id_tests}, {"backoff", backoff_tests}, {0}});
}
