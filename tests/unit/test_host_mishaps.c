/* Updates among what servers are like: programs that change their own files, apps that were stopped,
 * declarations that go. Wherever an operation dies, its result must be so, and nothing that the app wrote is
 * lost. */
#include <sys/stat.h>
#include "host_update_lab.h"
#include "unit.h"

/* It never ran, so it tells nothing of how far the update came: what is its own comes back all the same. */
static void test_death_while_the_app_was_stopped(void)
{
	static const char *const steps[] = {
		"stop", "swap", "aside", "move", "exchange", "exchanged", "start", "keep"};

	for (size_t i = 0; i < 2 * FLEET_ARRAY_LEN(steps); i++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL;

		lab_install(&f, "");
		fixture_set_state(&f, "web", "stopped", 7);
		f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
		result = lab_run_and_die(&f, "update-app", lab_arguments("2.1.0"), steps[i / 2], i % 2);
		lab_assert_whole(&f, fleet_json_bool(result, "success", false));
		if (CU_get_number_of_failures() > 0)
			lab_explain(result);
		CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "appStatus"), "stopped");
		CU_ASSERT_EQUAL(strstr(lab_message(result), "not verified") != NULL,
			fleet_json_bool(result, "success", false));
		lab_assert_state(&f, "web", "stopped");
		fixture_done(&f);
	}
}

/* The server came up with the new version in place, and started the app by itself: so it is told. */
static void test_boot_starts_what_was_stopped(void)
{
	struct fixture f;
	struct json_object *result;
	_cleanup_free_ char *artifact = NULL;
	_cleanup_json_ struct json_object *payload =
		fixture_command("update-app", "web", lab_arguments("2.1.0"));

	lab_install(&f, "");
	fixture_set_state(&f, "web", "stopped", 7);
	f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
	f.die_at = "exchanged";
	f.die_host = true;
	fixture_write(&f, "once", "");
	fixture_start(&f);
	fixture_send_command(&f, payload);
	while (fixture_wait(&f, "nothing"))
		;
	fixture_wait_for_death(&f);
	fixture_recover_files(&f);
	fixture_set_state(&f, "web", "running", 50);
	fixture_start(&f);
	result = fixture_result(&f, fleet_json_string(payload, "commandId"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(result);
	CU_ASSERT_TRUE(fleet_json_bool(result, "success", false));
	CU_ASSERT_FALSE(fleet_json_bool(result, "verified", true));
	CU_ASSERT_TRUE(str_equal(fleet_json_string(result, "appStatus"), "running"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(lab_message(result), "the app was stopped, and is running now: not verified"));
	lab_assert_whole(&f, true);
	lab_assert_state(&f, "web", "running");
	fixture_done(&f);
}

/* From the start of the new version on, which is where it changes them; `after`: past the way there. */
static const struct {
	const char *step;
	unsigned after;
} late_deaths[] = {{NULL, 0}, {"start", 0}, {"health", 0}, {"rollback", 0}, {"exchange", 1}, {"exchanged", 1},

	{"remove", 1}};

/* The old version is back where the result says so, whatever the new one did to itself and wherever the
 * operation died. */
static void test_release_that_tidies_its_directory(void)
{
	for (size_t i = 0; i < 2 * FLEET_ARRAY_LEN(late_deaths); i++) {
		const char *step = late_deaths[i / 2].step;
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL;

		lab_install(&f, "");
		f.die_after = late_deaths[i / 2].after;
		f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "crash=yes\ntidy=yes\n");
		if (step) {
			result = lab_run_and_die(&f, "update-app", lab_arguments("2.1.0"), step, i % 2);
		} else {
			fixture_start(&f);
			result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
		}
		CU_ASSERT_FALSE(fleet_json_bool(result, "success", true));
		lab_assert_whole(&f, false);
		lab_assert_running(&f);
		if (CU_get_number_of_failures() > 0)
			lab_explain(result);
		fixture_done(&f);
	}
}

static void install_program(struct fixture *f)
{
	_cleanup_free_ char *text = NULL;

	fixture_init(f);
	text = xasprintf("managed_apps:\n"
			 "  - id: web\n"
			 "    service_driver: host_fake\n"
			 "    service_options: {dir: %s, config: %s/web.bin}\n"
			 "    binary_path: %s/web.bin\n"
			 "    timeout: 4s\n"
			 "    health_check: {settle: 0}\n",
		f->dir, f->dir, f->dir);
	fixture_write(f, "apps.d/web.yaml", text);
	fixture_write(f, "web.bin", "old");
	fixture_set_state(f, "web", "running", 7);
}

/* The same of a program that is one file, and writes to it, replaces it (as those do that update themselves),
 * or removes it. */
static void test_program_that_changes_its_file(void)
{
	static const char *const releases[] = {
		"crash=yes\npatch=yes\n", "crash=yes\nrenew=yes\n", "crash=yes\nvanish=yes\n"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(releases) * FLEET_ARRAY_LEN(late_deaths); i++) {
		const char *release = releases[i % FLEET_ARRAY_LEN(releases)];
		const char *step = late_deaths[i / FLEET_ARRAY_LEN(releases)].step;
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL;

		install_program(&f);
		f.die_after = late_deaths[i / FLEET_ARRAY_LEN(releases)].after;
		if (f.die_after && strstr(release, "vanish"))
			step = "exchange-part"; /* the place is empty: a move is enough, and nothing remains
						 */
		if (f.die_after && (strstr(release, "vanish") || str_equal(step, "remove")))
			f.die_after = 0; /* a file is not unpacked, nor taken away */
		artifact = xasprintf("%s/artifact", f.dir);
		f.artifact = artifact;
		fixture_write(&f, "artifact", release);
		if (step) {
			result = lab_run_and_die(&f, "update-app", lab_arguments("2"), step, i % 2);
		} else {
			fixture_start(&f);
			result = fixture_run(&f, "update-app", lab_arguments("2"));
		}
		CU_ASSERT_FALSE(fleet_json_bool(result, "success", true));
		lab_assert_file(&f, "web.bin", "old");
		lab_assert_running(&f);
		CU_ASSERT_FALSE(lab_exists(&f, ".web.bin.fleet"));
		if (CU_get_number_of_failures() > 0)
			printf("# case %zu: %s\n", i, json_object_to_json_string(result));
		fixture_done(&f);
	}
}

/* The version before, which could not return, is not thrown away by the next update, also where nothing was
 * to be moved. */
static void test_version_that_could_not_return_is_kept(void)
{
	struct fixture f;
	struct json_object *result;
	_cleanup_free_ char *artifact = NULL, *text = NULL;

	install_program(&f);
	text = xasprintf("managed_apps:\n"
			 "  - id: twin\n"
			 "    service_driver: host_fake\n"
			 "    service_options: {dir: %s, config: %s/none, at: stop, act: crash-later}\n"
			 "    binary_path: %s/web.bin\n"
			 "    timeout: 4s\n",
		f.dir, f.dir, f.dir);
	fixture_write(&f, "apps.d/twin.yaml", text);
	fixture_set_state(&f, "twin", "running", 3);
	artifact = xasprintf("%s/artifact", f.dir);
	f.artifact = artifact;
	fixture_write(&f, "artifact", "crash=yes");
	fixture_start(&f);
	result = fixture_run(&f, "update-app", lab_arguments("2"));
	CU_ASSERT_PTR_NOT_NULL(strstr(lab_message(result), "Not rolled back"));
	fixture_stop(&f);
	fixture_set_state(&f, "twin", "stopped", 3);
	fixture_write(&f, "artifact", "crash=no");
	fixture_start(&f);
	result = fixture_run(&f, "update-app", lab_arguments("3"));
	CU_ASSERT_TRUE(fleet_json_bool(result, "success", false));
	lab_assert_file(&f, "web.bin", "crash=no");
	lab_assert_file(&f, ".web.bin.fleet/left", "old");
	if (CU_get_number_of_failures() > 0)
		lab_explain(result);
	fixture_done(&f);
}

/* The host dies, and when it comes again the app is declared no more, or elsewhere: its files are put in
 * order all the same, and the result says what is there. */
static void test_files_are_whole_without_a_declaration(void)
{
	static const struct {
		const char *step, *words;
		bool updated;
	} cases[] = {
		{"stop", "the old version", false},
		{"move", "the old version", false},
		{"exchange", "the old version", false},
		{"exchanged", "2.1.0", true},
		{"health", "2.1.0", true},
	};

	for (size_t i = 0; i < 2 * FLEET_ARRAY_LEN(cases); i++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL, *elsewhere = NULL;
		_cleanup_json_ struct json_object *payload =
			fixture_command("update-app", "web", lab_arguments("2.1.0"));

		lab_install(&f, "");
		f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
		f.die_at = cases[i / 2].step;
		f.die_host = true;
		fixture_write(&f, "once", "");
		fixture_start(&f);
		fixture_send_command(&f, payload);
		while (fixture_wait(&f, "nothing"))
			;
		fixture_wait_for_death(&f);
		elsewhere = xasprintf("managed_apps:\n"
				      "  - id: %s\n"
				      "    service_driver: host_fake\n"
				      "    service_options: {dir: %s, config: %s/none}\n"
				      "    binary_path: %s/elsewhere\n",
			i % 2 ? "web" : "another", f.dir, f.dir, f.dir);
		fixture_write(&f, "apps.d/web.yaml", elsewhere);
		fixture_start(&f);
		result = fixture_result(&f, fleet_json_string(payload, "commandId"));
		CU_ASSERT_PTR_NOT_NULL_FATAL(result);
		CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), "interrupted");
		CU_ASSERT_PTR_NOT_NULL(strstr(lab_message(result), "no longer declared"));
		CU_ASSERT_PTR_NOT_NULL(strstr(lab_message(result), cases[i / 2].words));
		lab_assert_file(&f, "app/bin/web", cases[i / 2].updated ? "new program" : "old program");
		lab_assert_file(&f, "app/web.conf", "level=mine\n");
		lab_assert_file(&f, "app/data/db", "what the app wrote");
		CU_ASSERT_EQUAL(lab_exists(&f, ".app.fleet"), cases[i / 2].updated);
		if (CU_get_number_of_failures() > 0)
			lab_explain(result);
		fixture_done(&f);
	}
}

static const struct unit_test stopped_tests[] = {
	UNIT_TEST(test_death_while_the_app_was_stopped),
	UNIT_TEST(test_boot_starts_what_was_stopped),
	{0},
};
static const struct unit_test itself_tests[] = {
	UNIT_TEST(test_release_that_tidies_its_directory),
	UNIT_TEST(test_program_that_changes_its_file),
	{0},
};
static const struct unit_test undeclared_tests[] = {
	UNIT_TEST(test_version_that_could_not_return_is_kept),
	UNIT_TEST(test_files_are_whole_without_a_declaration),
	{0},
};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"stopped", stopped_tests},
		{"changes itself", itself_tests}, {"left behind", undeclared_tests}, {0}});
}
