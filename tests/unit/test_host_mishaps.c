/* Updates among what servers are like: programs that change their own files, apps that were stopped, trees
 * that somebody else has a hand in, and several things that go wrong at once. Whatever the result says must
 * be so, and nothing that the app wrote is lost. */
#include "host_update_lab.h"
#include "unit.h"

static char *state_of(const struct fixture *f, const char *app)
{
	_cleanup_free_ char *name = xasprintf("%s.state", app);
	char *text = fixture_read(f, name);

	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	text[strcspn(text, " ")] = '\0';
	return text;
}

static void assert_state(const struct fixture *f, const char *app, const char *expected)
{
	_cleanup_free_ char *state = state_of(f, app);

	if (!str_equal(state, expected))
		printf("# %s is %s, not %s\n", app, state, expected);
	CU_ASSERT_STRING_EQUAL(state, expected);
}

/* An operation on "web" that dies at this step, alone or with the host; its result once it was taken up. */
static struct json_object *run_and_die(
	struct fixture *f, const char *action, struct json_object *takes_args, const char *step, bool host)
{
	_cleanup_json_ struct json_object *payload = fixture_command(action, "web", takes_args);
	struct json_object *result;

	f->die_at = step;
	f->die_host = host;
	fixture_write(f, "once", "");
	fixture_start(f);
	fixture_send_command(f, payload);
	if (host) {
		while (fixture_wait(f, "nothing")) /* what it still says, until it is dead */
			;
		fixture_wait_for_death(f);
		fixture_start(f);
	}
	result = fixture_result(f, fleet_json_string(payload, "commandId"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(result);
	CU_ASSERT_FALSE(lab_exists(f, "once")); /* it did die there */
	return result;
}

/* ---- an app that was stopped ---- */

/* It never ran, so it tells nothing of how far the update came: what is its own comes back all the same. */
static void test_death_while_the_app_was_stopped(void)
{
	static const char *const steps[] = {
		"stop", "swap", "aside", "move", "exchange", "exchanged", "start"};

	for (size_t i = 0; i < 2 * FLEET_ARRAY_LEN(steps); i++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL;

		lab_install(&f, "");
		fixture_set_state(&f, "web", "stopped", 7);
		f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
		result = run_and_die(&f, "update-app", lab_arguments("2.1.0"), steps[i / 2], i % 2);
		lab_assert_whole(&f, fleet_json_bool(result, "success", false));
		if (CU_get_number_of_failures() > 0)
			lab_explain(result);
		CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "appStatus"), "stopped");
		assert_state(&f, "web", "stopped");
		fixture_done(&f);
	}
}

static const struct unit_test stopped_tests[] = {
	UNIT_TEST(test_death_while_the_app_was_stopped),
	{0},
};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"stopped", stopped_tests}, {0}});
}
