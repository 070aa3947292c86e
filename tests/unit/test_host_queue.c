#include "agent/host/queue.h"
#include "unit.h"

static void add(struct queue *q, const char *id, const char *keys, bool first)
{
	char **list = xcalloc(strlen(keys), sizeof(*list));

	for (size_t i = 0; keys[i]; i++)
		list[i] = xasprintf("key %c", keys[i]);
	queue_add(q, id, list, strlen(keys), first);
}

/* All that may run now, in order: "ab". */
static const char *startable(struct queue *q)
{
	static char out[64];
	struct queue_item *item;
	size_t n = 0;

	while ((item = queue_next(q)))
		out[n++] = item->command_id[0];
	out[n] = '\0';
	return out;
}

static void test_one_at_a_time_per_key(void)
{
	struct queue q;

	queue_init(&q, 10);
	add(&q, "a", "1", false);
	add(&q, "b", "1", false);
	add(&q, "c", "2", false);
	add(&q, "d", "", false);
	CU_ASSERT_STRING_EQUAL(startable(&q), "acd");
	CU_ASSERT_TRUE(queue_holds(&q, "a", "key 1"));
	CU_ASSERT_FALSE(queue_holds(&q, "a", "key 2"));
	CU_ASSERT_FALSE(queue_holds(&q, "b", "key 1")); /* it waits */
	CU_ASSERT_EQUAL(queue_position(&q, "b"), 1);
	CU_ASSERT_EQUAL(queue_position(&q, "x"), -1);
	queue_remove(&q, "x");
	queue_remove(&q, "a");
	CU_ASSERT_STRING_EQUAL(startable(&q), "b");
	queue_remove(&q, "b");
	queue_remove(&q, "c");
	queue_remove(&q, "d");
	CU_ASSERT_EQUAL(q.count, 0);
	CU_ASSERT_EQUAL(q.running, 0);
	add(&q, "e", "1", false); /* the list's end is right after all were removed */
	CU_ASSERT_STRING_EQUAL(startable(&q), "e");
	queue_done(&q);
}

/* b waits for a; c shares a key with b only, and does not overtake it. */
static void test_nobody_overtakes(void)
{
	struct queue q;

	queue_init(&q, 10);
	add(&q, "a", "1", false);
	add(&q, "b", "12", false);
	add(&q, "c", "2", false);
	CU_ASSERT_STRING_EQUAL(startable(&q), "a");
	queue_remove(&q, "a");
	CU_ASSERT_STRING_EQUAL(startable(&q), "b");
	queue_remove(&q, "b");
	CU_ASSERT_STRING_EQUAL(startable(&q), "c");
	queue_done(&q);
}

static void test_recovery_goes_first(void)
{
	struct queue q;

	queue_init(&q, 10);
	add(&q, "r", "9", false);
	CU_ASSERT_STRING_EQUAL(startable(&q), "r");
	add(&q, "a", "1", false);
	add(&q, "b", "1", true);
	CU_ASSERT_STRING_EQUAL(startable(&q), "b");
	CU_ASSERT_EQUAL(queue_position(&q, "a"), 1);
	queue_done(&q);
}

static void test_bound(void)
{
	struct queue q;

	queue_init(&q, 2);
	add(&q, "a", "1", false);
	add(&q, "b", "2", false);
	add(&q, "c", "3", false);
	CU_ASSERT_STRING_EQUAL(startable(&q), "ab");
	queue_remove(&q, "b");
	CU_ASSERT_STRING_EQUAL(startable(&q), "c");
	queue_done(&q);
}

int main(void)
{
	static const struct unit_test tests[] = {UNIT_TEST(test_one_at_a_time_per_key),
		UNIT_TEST(test_nobody_overtakes), UNIT_TEST(test_recovery_goes_first), UNIT_TEST(test_bound),
		{0}};

	return unit_run((const struct unit_suite[]){{"host queue", tests}, {0}});
}
