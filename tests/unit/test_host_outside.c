/* What is told of services that change without a command. */
#include "agent/host/outside.h"
#include "unit.h"

#define MINUTE 60000

static struct json_object *app(
	const char *status, const char *instance, int pid, int restarts, const char *message)
{
	struct json_object *o = json_object_new_object();

	fleet_json_add_string(o, "id", "app-a");
	fleet_json_add_string(o, "status", status);
	fleet_json_add_string(o, "instance", instance);
	fleet_json_add_int(o, "pid", pid);
	fleet_json_add_int(o, "restarts", restarts);
	fleet_json_add_string(o, "message", message);
	return o;
}

static char *look(struct outside *o, struct json_object *takes_app, const char *why, int64_t at)
{
	_cleanup_json_ struct json_object *a = takes_app;

	outside_begin(o, at - 10);
	return outside_look(o, a, why, at);
}

static bool says(char *takes_seen, const char *expected)
{
	_cleanup_free_ char *seen = takes_seen;

	if (!str_equal(seen, expected))
		printf("# %s\n# instead of %s\n", seen ? seen : "(nothing)",
			expected ? expected : "(nothing)");
	return str_equal(seen, expected);
}

static void test_changes(void)
{
	static const struct {
		const char *status, *instance;
		int pid, restarts;
		const char *message;
		const char *then, *then_instance;
		int then_pid, then_restarts;
		const char *then_message, *why, *expected;
	} cases[] = {
		{"running", "1", 10, 0, NULL, "running", "1", 10, 0, NULL, NULL, NULL},
		{"running", "1", 10, 0, NULL, "running", "2", 20, 0, NULL, NULL,
			"app-a restarted outside Fleet (pid 20, was 10)"},
		{"running", "1", 10, 0, NULL, "running", "2", 20, 3, NULL, "Main process exited",
			"app-a restarted 3 times outside Fleet (pid 20, was 10): Main process exited"},
		{"running", "", 10, 2, NULL, "running", "", 20, 3, NULL, NULL,
			"app-a restarted outside Fleet (pid 20, was 10)"},
		{"running", "1", 10, 0, NULL, "failed", "1", 0, 0, "killed by SIGSEGV", NULL,
			"app-a failed outside Fleet: killed by SIGSEGV"},
		{"running", "1", 10, 0, NULL, "failed", "1", 0, 0,
			"start limit hit: killed by SIGKILL, too often", "killed by SIGKILL",
			"app-a failed outside Fleet: start limit hit: killed by SIGKILL, too often"},
		{"running", "1", 10, 0, NULL, "failed", "1", 0, 0, NULL, "killed by SIGKILL",
			"app-a failed outside Fleet: killed by SIGKILL"},
		{"failed", "1", 0, 0, "m", "failed", "1", 0, 0, "other words", NULL, NULL},
		{"failed", "1", 0, 0, "m", "failed", "2", 0, 0, "again", NULL,
			"app-a failed outside Fleet: again"},
		{"failed", "1", 0, 0, "m", "running", "2", 20, 0, NULL, NULL,
			"app-a was started outside Fleet"},
		{"failed", "1", 0, 0, "m", "running", "2", 20, 0, NULL, "killed by SIGSEGV",
			"app-a was started outside Fleet"},
		{"stopped", "", 0, 0, NULL, "running", "2", 20, 0, NULL, NULL,
			"app-a was started outside Fleet"},
		{"running", "1", 10, 0, NULL, "stopped", "", 0, 0, NULL, NULL,
			"app-a was stopped outside Fleet"},
		{"failed", "1", 0, 0, "m", "stopped", "", 0, 0, NULL, NULL, NULL},
		/* on its way somewhere, or not known: no verdict yet */
		{"running", "1", 10, 0, NULL, "stopping", "1", 10, 0, NULL, NULL, NULL},
		{"running", "1", 10, 0, NULL, "starting", "2", 20, 1, NULL, NULL, NULL},
		{"running", "1", 10, 0, NULL, "unknown", NULL, 0, 0, "no answer", NULL, NULL},
		/* a timer's work */
		{"done", "1", 0, 0, NULL, "done", "2", 0, 0, NULL, NULL, NULL},
		{"done", "1", 0, 0, NULL, "running", "2", 20, 0, NULL, NULL, NULL},
		{"running", "1", 10, 0, NULL, "done", "1", 0, 0, NULL, NULL, NULL},
		{"done", "1", 0, 0, NULL, "failed", "2", 0, 0, "exited 1", NULL,
			"app-a failed outside Fleet: exited 1"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct outside *o = outside_new();
		_cleanup_json_ struct json_object *second = app(cases[i].then, cases[i].then_instance,
			cases[i].then_pid, cases[i].then_restarts, cases[i].then_message);
		const char *expected = cases[i].expected;
		int64_t since = 0;

		CU_ASSERT_TRUE(says(look(o,
					    app(cases[i].status, cases[i].instance, cases[i].pid,
						    cases[i].restarts, cases[i].message),
					    NULL, 1000),
			NULL));
		CU_ASSERT_EQUAL(outside_is_news(o, second, &since), expected != NULL);
		CU_ASSERT_EQUAL(since, expected ? 990 : 0); /* the beginning of the look: it tells of then */
		CU_ASSERT_TRUE(says(look(o, json_object_get(second), cases[i].why, 2000), expected));
		CU_ASSERT_FALSE(expected && outside_is_news(o, second, &since));
		outside_free(o);
	}
}

/* It ended, its supervisor waits, it runs again: the reason was to be seen in the middle only. */
static void test_reason_seen_on_the_way(void)
{
	struct outside *o = outside_new();

	CU_ASSERT_TRUE(says(look(o, app("running", "1", 10, 0, NULL), NULL, 1000), NULL));
	CU_ASSERT_TRUE(says(
		look(o, app("starting", "1", 0, 0, "exited 3; systemd starts it again"), NULL, 2000), NULL));
	CU_ASSERT_TRUE(says(look(o, app("running", "2", 20, 1, NULL), NULL, 3000),
		"app-a restarted outside Fleet (pid 20, was 10): exited 3; systemd starts it again"));
	outside_free(o);
}

static void test_commands_are_not_outside(void)
{
	struct outside *o = outside_new();
	_cleanup_json_ struct json_object *late = app("running", "3", 30, 0, NULL);

	CU_ASSERT_TRUE(says(look(o, app("running", "1", 10, 0, NULL), NULL, 1000), NULL));
	outside_forgive(o, "app-a"); /* it begins */
	outside_begin(o, 1500);
	outside_forgive(o, "app-a"); /* it runs while a look begins */
	CU_ASSERT_TRUE(says(outside_look(o, late, NULL, 2000), NULL));
	outside_begin(o, 2500);
	outside_forgive(o, "app-a"); /* it ends while a look, which saw the old process, is under way */
	CU_ASSERT_TRUE(says(outside_look(o, late, NULL, 3000), NULL));
	CU_ASSERT_TRUE(says(look(o, app("running", "4", 40, 0, NULL), NULL, 4000), NULL));
	/* and from here on it is somebody else */
	CU_ASSERT_TRUE(says(look(o, app("running", "5", 50, 0, NULL), NULL, 5000),
		"app-a restarted outside Fleet (pid 50, was 40)"));
	outside_free(o);
}

/* A command stopped it; it is not at rest yet when the next look comes. */
static void test_forgiven_until_at_rest(void)
{
	struct outside *o = outside_new();

	CU_ASSERT_TRUE(says(look(o, app("running", "1", 10, 0, NULL), NULL, 1000), NULL));
	outside_forgive(o, "app-a");
	CU_ASSERT_TRUE(says(look(o, app("stopping", "1", 10, 0, NULL), NULL, 2000), NULL));
	CU_ASSERT_TRUE(says(look(o, app("stopped", "", 0, 0, NULL), NULL, 3000), NULL));
	CU_ASSERT_TRUE(says(
		look(o, app("running", "2", 20, 0, NULL), NULL, 4000), "app-a was started outside Fleet"));
	outside_free(o);
}

static void test_a_crash_loop_is_one_sentence_a_minute(void)
{
	struct outside *o = outside_new();

	CU_ASSERT_TRUE(says(look(o, app("running", "1", 1, 0, NULL), NULL, 1000), NULL));
	CU_ASSERT_TRUE(says(look(o, app("running", "2", 2, 1, NULL), NULL, 2000),
		"app-a restarted outside Fleet (pid 2, was 1)"));
	CU_ASSERT_TRUE(says(look(o, app("running", "3", 3, 2, NULL), NULL, 12000), NULL));
	CU_ASSERT_TRUE(says(look(o, app("running", "4", 4, 3, NULL), "Main process exited", 22000), NULL));
	CU_ASSERT_TRUE(says(look(o, app("running", "4", 4, 3, NULL), NULL, 2000 + MINUTE),
		"app-a restarted outside Fleet (pid 4, was 3): Main process exited (the last of 2 such "
		"changes)"));
	CU_ASSERT_TRUE(says(look(o, app("running", "4", 4, 3, NULL), NULL, 2000 + 3 * MINUTE), NULL));
	outside_free(o);
}

int main(void)
{
	static const struct unit_test tests[] = {UNIT_TEST(test_changes),
		UNIT_TEST(test_reason_seen_on_the_way), UNIT_TEST(test_commands_are_not_outside),
		UNIT_TEST(test_forgiven_until_at_rest), UNIT_TEST(test_a_crash_loop_is_one_sentence_a_minute),
		{0}};

	return unit_run((const struct unit_suite[]){{"outside Fleet", tests}, {0}});
}
