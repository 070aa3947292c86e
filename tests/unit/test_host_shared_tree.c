/* Updates of apps that share a tree: one that fails keeps none of the others down, and who came or lies there
 * meanwhile is heeded. */
#include "host_update_lab.h"
#include "unit.h"

/* web, and behind it twin and third, all running from the same tree. */
static void install_three(struct fixture *f, const char *web_options, const char *twin_options)
{
	_cleanup_free_ char *text = NULL;

	lab_install(f, "");
	text = xasprintf("managed_apps:\n"
			 "  - id: web\n"
			 "    service_driver: host_fake\n"
			 "    service_options: {dir: %s, config: %s/app/run.conf%s}\n"
			 "    binary_path: %s/app\n"
			 "    config_path: %s/app/web.conf\n"
			 "    config_driver: host_fake\n"
			 "    version_file: %s/app/version\n"
			 "    preserve: [data]\n"
			 "    timeout: 4s\n"
			 "    health_check: {settle: 0}\n"
			 "  - id: twin\n"
			 "    service_driver: host_fake\n"
			 "    service_options: {dir: %s, config: %s/none%s}\n"
			 "    binary_path: %s/app\n"
			 "    timeout: 4s\n"
			 "    health_check: {settle: 0}\n"
			 "  - id: third\n"
			 "    service_driver: host_fake\n"
			 "    service_options: {dir: %s, config: %s/none}\n"
			 "    binary_path: %s/app\n"
			 "    timeout: 4s\n"
			 "    health_check: {settle: 0}\n",
		f->dir, f->dir, web_options, f->dir, f->dir, f->dir, f->dir, f->dir, twin_options, f->dir,
		f->dir, f->dir, f->dir);
	fixture_write(f, "apps.d/web.yaml", text);
	fixture_set_state(f, "twin", "running", 3);
	fixture_set_state(f, "third", "running", 5);
}

/* One that does not start at all, whatever is in its place, keeps none of the others down. */
static void test_one_that_does_not_start_keeps_none_down(void)
{
	static const struct {
		const char *web, *twin;
	} cases[] = {{", at: start, act: crash-always", ""}, {"", ", at: start, act: crash-always"}};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL;

		install_three(&f, cases[i].web, cases[i].twin);
		f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
		fixture_start(&f);
		result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
		CU_ASSERT_FALSE(fleet_json_bool(result, "success", true));
		CU_ASSERT_TRUE(fleet_json_bool(result, "rolledBack", false));
		CU_ASSERT_PTR_NOT_NULL(strstr(lab_message(result), "The version before is back, but "));
		lab_assert_whole(&f, false);
		lab_assert_state(&f, i == 0 ? "twin" : "web", "running");
		lab_assert_state(&f, "third", "running");
		if (CU_get_number_of_failures() > 0)
			lab_explain(result);
		fixture_done(&f);
	}
}

/* One that cannot be stopped, on the way there or back: what was stopped before it runs again. */
static void test_one_that_does_not_stop_keeps_none_down(void)
{
	for (int back = 0; back < 2; back++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL;

		install_three(
			&f, "", back ? ", at: stop, act: crash-later" : ", at: stop, act: crash-always");
		f.artifact = artifact = lab_make_release(&f, "2.1.0\n", back ? "crash=yes\n" : "ok\n");
		fixture_start(&f);
		result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
		CU_ASSERT_FALSE(fleet_json_bool(result, "success", true));
		CU_ASSERT_PTR_NOT_NULL(strstr(lab_message(result), "app 'twin' does not stop"));
		if (back) {
			CU_ASSERT_PTR_NOT_NULL(strstr(lab_message(result), "Not rolled back"));
		} else {
			lab_assert_whole(&f, false);
		}
		lab_assert_state(&f, "web", back ? "failed" : "running"); /* it was started all the same */
		lab_assert_state(&f, "twin", "running");
		lab_assert_state(&f, "third", "running");
		if (CU_get_number_of_failures() > 0)
			lab_explain(result);
		fixture_done(&f);
	}
}

/* Another app's config lies in the tree: a push of it waits for the update, which moves it, and the other way
 * round. */
static void test_push_into_a_tree_waits_for_its_update(void)
{
	struct fixture f;
	struct json_object *result, *args;
	_cleanup_free_ char *artifact = NULL, *extra = NULL;
	_cleanup_json_ struct json_object *update = fixture_command(
						  "update-app", "web", lab_arguments("2.1.0")),
					  *push = NULL, *fetch = NULL;

	lab_install(&f, "");
	extra = xasprintf("  - id: side\n"
			  "    service_driver: host_fake\n"
			  "    service_options: {dir: %s, config: %s/none}\n"
			  "    config_path: %s/app/side.conf\n"
			  "    config_driver: host_fake\n"
			  "    health_check: {settle: 0}\n"
			  "  - id: other\n"
			  "    service_driver: host_fake\n"
			  "    service_options: {dir: %s, config: %s/none}\n"
			  "    health_check: {settle: 0}\n",
		f.dir, f.dir, f.dir, f.dir, f.dir);
	lab_declare(&f, extra);
	fixture_write(&f, "app/side.conf", "level=info\n");
	fixture_set_state(&f, "side", "running", 1);
	fixture_set_state(&f, "other", "running", 1);
	f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
	f.ignore_fetch = true;
	fixture_start(&f);
	fixture_send_command(&f, update);
	fetch = fixture_wait(&f, "fetch");
	CU_ASSERT_PTR_NOT_NULL_FATAL(fetch);
	args = fixture_set("level", "debug");
	push = fixture_command("push-config", "side", args);
	fixture_send_command(&f, push);
	for (int i = 0; i < 5; i++) { /* time enough for it, were it to begin */
		_cleanup_json_ struct json_object *other = fixture_command("restart-app", "other", NULL);

		fixture_send_command(&f, other);
		result = fixture_result(&f, fleet_json_string(other, "commandId"));
		CU_ASSERT_TRUE(result && fleet_json_bool(result, "success", false));
	}
	CU_ASSERT_PTR_NULL(fleet_json_object(f.results, fleet_json_string(push, "commandId")));
	lab_assert_file(&f, "app/side.conf", "level=info\n");
	fixture_stop(&f);
	f.ignore_fetch = false;
	fixture_start(&f);
	result = fixture_result(&f, fleet_json_string(push, "commandId"));
	CU_ASSERT_TRUE(result && fleet_json_bool(result, "success", false));
	result = fixture_result(&f, fleet_json_string(update, "commandId"));
	CU_ASSERT_TRUE(result && fleet_json_bool(result, "success", false));
	lab_assert_whole(&f, true);
	lab_assert_file(&f, "app/side.conf", "level=debug\n");
	fixture_done(&f);
}

/* An app that shares the tree only since the update was cut off, and is stopped, stays so. */
static void test_app_declared_meanwhile_stays_as_it_is(void)
{
	struct fixture f;
	struct json_object *result;
	_cleanup_free_ char *artifact = NULL, *extra = NULL;
	_cleanup_json_ struct json_object *payload =
		fixture_command("update-app", "web", lab_arguments("2.1.0"));

	lab_install(&f, "");
	f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
	f.die_at = "move";
	f.die_host = true;
	fixture_write(&f, "once", "");
	fixture_start(&f);
	fixture_send_command(&f, payload);
	while (fixture_wait(&f, "nothing"))
		;
	fixture_wait_for_death(&f);
	extra = xasprintf("  - id: later\n"
			  "    service_driver: host_fake\n"
			  "    service_options: {dir: %s, config: %s/none}\n"
			  "    binary_path: %s/app\n",
		f.dir, f.dir, f.dir);
	lab_declare(&f, extra);
	fixture_set_state(&f, "later", "stopped", 3);
	fixture_start(&f);
	result = fixture_result(&f, fleet_json_string(payload, "commandId"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(result);
	CU_ASSERT_TRUE(fleet_json_bool(result, "rolledBack", false));
	lab_assert_whole(&f, false);
	lab_assert_state(&f, "web", "running");
	lab_assert_state(&f, "later", "stopped");
	fixture_done(&f);
}

static const struct unit_test sharing_tests[] = {
	UNIT_TEST(test_one_that_does_not_start_keeps_none_down),
	UNIT_TEST(test_one_that_does_not_stop_keeps_none_down),
	UNIT_TEST(test_push_into_a_tree_waits_for_its_update),
	UNIT_TEST(test_app_declared_meanwhile_stays_as_it_is),
	{0},
};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"shared tree", sharing_tests}, {0}});
}
