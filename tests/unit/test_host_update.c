/* Updates end to end, over the driver host's socket: a release takes the place of another, what the app wrote
 * stays, and where anything goes wrong on the way the old one runs on. The service is a fake; trees,
 * archives, ledger and processes are real. */
#include <fcntl.h>
#include <sys/stat.h>
#include "agent/host/hash_stream.h"
#include "host_update_lab.h"
#include "fleet/clock.h"
#include "fleet/file.h"
#include "fleet/limits.h"
#include "unit.h"

static size_t count_events(const struct fixture *f)
{
	size_t n = 0;

	for (size_t i = 0; i < json_object_array_length(f->events); i++)
		n += str_equal(
			fleet_json_string(json_object_array_get_idx(f->events, i), "category"), "update");
	return n;
}

static void test_update_succeeds(void)
{
	struct fixture f;
	struct json_object *result;
	_cleanup_free_ char *artifact = NULL;

	lab_install(&f, "");
	f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
	fixture_start(&f);
	result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
	if (!fleet_json_bool(result, "success", false))
		lab_explain(result);
	CU_ASSERT_TRUE(fleet_json_bool(result, "success", false));
	CU_ASSERT_TRUE(str_starts(lab_message(result), "Running, healthy, pid 1008, down "));
	CU_ASSERT_PTR_NOT_NULL(strstr(lab_message(result), "; no checksum"));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "fromVersion"), "2.0.0");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "toVersion"), "2.1.0");
	CU_ASSERT_TRUE(fleet_json_bool(result, "appHealthy", false));
	CU_ASSERT_TRUE(fleet_json_int(result, "downMs", -1) >= 0);
	CU_ASSERT_EQUAL(fleet_json_int(result, "pid", 0), 1008);
	lab_assert_whole(&f, true);
	lab_assert_file(&f, "app/web.conf.release", "level=release\n");
	lab_assert_file(&f, ".app.fleet/previous/bin/web", "old program");
	CU_ASSERT_FALSE(lab_exists(&f, ".app.fleet/previous/data"));
	CU_ASSERT_EQUAL(lab_mode(&f, "app"), 0750);
	CU_ASSERT_EQUAL(lab_mode(&f, "app/bin/web"), 0750); /* no more than the tree's own to others */
	CU_ASSERT_EQUAL(lab_mode(&f, "app/data"), 0700);
	CU_ASSERT_EQUAL(lab_mode(&f, ".app.fleet"), 0700);
	{
		_cleanup_free_ char *calls = fixture_read(&f, "web.calls");

		CU_ASSERT_STRING_EQUAL(calls, "stop\nstart\n");
	}
	/* start, download, stop, swap, start; and no secret in any of it */
	CU_ASSERT_EQUAL(count_events(&f), 5);
	CU_ASSERT_PTR_NULL(strstr(json_object_to_json_string(f.events), "token"));
	fixture_done(&f);
}

static void test_rollback_returns(void)
{
	struct fixture f;
	struct json_object *result;
	_cleanup_free_ char *artifact = NULL;

	lab_install(&f, "");
	f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
	fixture_start(&f);
	result = fixture_run(&f, "rollback-app", NULL);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), "not-supported");
	CU_ASSERT_FALSE(lab_exists(&f, ".app.fleet"));
	result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
	CU_ASSERT_TRUE_FATAL(fleet_json_bool(result, "success", false));
	fixture_write(&f, "app/data/later", "written by the new one");
	result = fixture_run(&f, "rollback-app", NULL);
	if (!fleet_json_bool(result, "success", false))
		lab_explain(result);
	CU_ASSERT_TRUE(fleet_json_bool(result, "success", false));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "fromVersion"), "2.1.0");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "toVersion"), "2.0.0");
	lab_assert_file(&f, "app/bin/web", "old program");
	lab_assert_file(&f, "app/web.conf", "level=mine\n");
	lab_assert_file(&f, "app/data/later", "written by the new one");
	lab_assert_file(&f, ".app.fleet/previous/bin/web", "new program");
	/* and forth again */
	result = fixture_run(&f, "rollback-app", NULL);
	CU_ASSERT_TRUE(fleet_json_bool(result, "success", false));
	lab_assert_file(&f, "app/bin/web", "new program");
	lab_assert_file(&f, "app/data/later", "written by the new one");
	fixture_done(&f);
}

static void test_unwell_release_rolls_back(void)
{
	static const struct {
		const char *run_conf, *code, *message;
	} cases[] = {
		{"crash=yes\n", "unhealthy", "health check failed: exited 1"},
		{"flap=yes\n", "unhealthy", "health check failed: crashed and was started again"},
		{"slow=yes\n", "unhealthy", "health check failed: still starting after 4 s"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL;

		lab_install(&f, "");
		f.artifact = artifact = lab_make_release(&f, "2.1.0\n", cases[i].run_conf);
		fixture_start(&f);
		result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
		CU_ASSERT_FALSE(fleet_json_bool(result, "success", true));
		CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), cases[i].code);
		CU_ASSERT_TRUE(str_starts(lab_message(result), cases[i].message));
		CU_ASSERT_PTR_NOT_NULL(
			strstr(lab_message(result), ". Rolled back: 2.0.0 is Running, healthy"));
		if (!strstr(lab_message(result), "Rolled back"))
			lab_explain(result);
		CU_ASSERT_TRUE(fleet_json_bool(result, "rolledBack", false));
		CU_ASSERT_TRUE(fleet_json_bool(result, "appHealthy", false));
		CU_ASSERT_PTR_NOT_NULL(fleet_json_array(result, "logLines"));
		lab_assert_whole(&f, false);
		lab_assert_running(&f);
		CU_ASSERT_FALSE(lab_exists(&f, ".app.fleet"));
		fixture_done(&f);
	}
}

static void test_refused_before_anything(void)
{
	static const struct {
		const char *extra, *version, *release_version, *sha256, *code, *message;
		bool fetched;
	} cases[] = {
		{"", "1.9", "1.9\n", NULL, "downgrade", "1.9 is older than 2.0.0", false},
		{"    require_sha256: true\n", "2.1.0", "2.1.0\n", NULL, "hash-mismatch",
			"demands a checksum", false},
		{"", "2.1.0", "2.1.0\n", "00000000000000000000000000000000000000000000000000000000000000aa",
			"hash-mismatch", "checksum is not the one asked for", true},
		{"", "2.1.0", "2.0.9\n", NULL, "version-mismatch", "version file says 2.0.9", true},
		{"    allow: [restart]\n", "2.1.0", "2.1.0\n", NULL, "not-allowed-by-server",
			"does not allow update", false},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct fixture f;
		struct json_object *result, *args = lab_arguments(cases[i].version);
		_cleanup_free_ char *artifact = NULL, *calls = NULL;

		lab_install(&f, cases[i].extra);
		f.artifact = artifact = lab_make_release(&f, cases[i].release_version, "ok\n");
		fleet_json_add_string(args, "sha256", cases[i].sha256);
		fixture_start(&f);
		result = fixture_run(&f, "update-app", args);
		CU_ASSERT_FALSE(fleet_json_bool(result, "success", true));
		CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), cases[i].code);
		CU_ASSERT_PTR_NOT_NULL(strstr(lab_message(result), cases[i].message));
		if (!strstr(lab_message(result), cases[i].message))
			lab_explain(result);
		CU_ASSERT_EQUAL(f.fetches, cases[i].fetched);
		lab_assert_whole(&f, false);
		calls = fixture_read(&f, "web.calls");
		CU_ASSERT_PTR_NULL(calls);
		fixture_done(&f);
	}
}

static void test_download_fails(void)
{
	struct fixture f;
	struct json_object *result;

	lab_install(&f, "");
	fixture_start(&f);
	result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), "download-failed");
	CU_ASSERT_PTR_NOT_NULL(strstr(lab_message(result), "404 Not Found"));
	lab_assert_whole(&f, false);
	fixture_done(&f);
}

/* ---- other shapes ---- */

static void test_one_file_is_a_program(void)
{
	static const struct {
		bool plain, crash;
	} cases[] = {{true, false}, {false, false}, {true, true}};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL, *text = NULL, *path = NULL;
		static const struct lab_item items[] = {
			{"web-2/README", "read me", 0644}, {"web-2/web.bin", "crash=no new", 0755}, {0}};

		fixture_init(&f);
		text = xasprintf("managed_apps:\n"
				 "  - id: web\n"
				 "    service_driver: host_fake\n"
				 "    service_options: {dir: %s, config: %s/web.bin}\n"
				 "    binary_path: %s/web.bin\n"
				 "    timeout: 4s\n"
				 "    health_check: {settle: 0}\n",
			f.dir, f.dir, f.dir);
		fixture_write(&f, "apps.d/web.yaml", text);
		fixture_write(&f, "web.bin", "old");
		path = xasprintf("%s/web.bin", f.dir);
		CU_ASSERT_EQUAL(chmod(path, 0711), 0);
		fixture_set_state(&f, "web", "running", 7);
		f.artifact = artifact = xasprintf("%s/artifact", f.dir);
		if (cases[i].plain)
			fixture_write(&f, "artifact", cases[i].crash ? "crash=yes" : "crash=no new");
		else
			lab_write_release(artifact, items);
		fixture_start(&f);
		result = fixture_run(&f, "update-app", lab_arguments("2"));
		CU_ASSERT_EQUAL(fleet_json_bool(result, "success", false), !cases[i].crash);
		if (fleet_json_bool(result, "success", false) == cases[i].crash)
			lab_explain(result);
		lab_assert_file(&f, "web.bin", cases[i].crash ? "old" : "crash=no new");
		lab_assert_file(&f, ".web.bin.fleet/previous", cases[i].crash ? NULL : "old");
		CU_ASSERT_EQUAL(lab_mode(&f, "web.bin"), 0711);
		if (!cases[i].crash) {
			result = fixture_run(&f, "rollback-app", NULL);
			CU_ASSERT_TRUE(fleet_json_bool(result, "success", false));
			lab_assert_file(&f, "web.bin", "old");
		}
		fixture_done(&f);
	}
}

/* Two apps run from one tree: both stop, both start, and one of them unwell is enough. */
static void test_apps_of_one_tree_go_together(void)
{
	for (int crash = 0; crash < 2; crash++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL, *extra = NULL, *calls = NULL, *state = NULL;

		lab_install(&f, "");
		extra = xasprintf("  - id: twin\n"
				  "    service_driver: host_fake\n"
				  "    service_options: {dir: %s, config: %s/app/only-new%s}\n"
				  "    binary_path: %s/app\n"
				  "    timeout: 4s\n"
				  "    health_check: {settle: 0}\n"
				  "  - id: idle\n"
				  "    service_driver: host_fake\n"
				  "    service_options: {dir: %s, config: %s/none}\n"
				  "    binary_path: %s/app\n",
			f.dir, f.dir, crash ? ", at: start, act: crash" : "", f.dir, f.dir, f.dir, f.dir);
		fixture_write(&f, "once", "");
		lab_declare(&f, extra);
		fixture_set_state(&f, "twin", "running", 3);
		fixture_set_state(&f, "idle", "stopped", 3);
		f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
		fixture_start(&f);
		result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
		CU_ASSERT_EQUAL(fleet_json_bool(result, "success", false), !crash);
		if (fleet_json_bool(result, "success", false) != !crash)
			lab_explain(result);
		if (crash)
			CU_ASSERT_PTR_NOT_NULL(strstr(lab_message(result), "twin"));
		lab_assert_whole(&f, !crash);
		lab_assert_running(&f);
		calls = fixture_read(&f, "twin.calls");
		CU_ASSERT_TRUE(str_starts(calls, "stop\nstart\n"));
		state = fixture_read(&f, "twin.state");
		CU_ASSERT_TRUE(str_starts(state, "running "));
		CU_ASSERT_FALSE(lab_exists(&f, "idle.calls"));
		fixture_done(&f);
	}
}

static void test_stopped_app_stays_stopped(void)
{
	struct fixture f;
	struct json_object *result;
	_cleanup_free_ char *artifact = NULL;

	lab_install(&f, "");
	fixture_set_state(&f, "web", "stopped", 7);
	f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
	fixture_start(&f);
	result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
	CU_ASSERT_TRUE(fleet_json_bool(result, "success", false));
	CU_ASSERT_FALSE(fleet_json_bool(result, "verified", true));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "appStatus"), "stopped");
	lab_assert_whole(&f, true);
	CU_ASSERT_FALSE(lab_exists(&f, "web.calls"));
	fixture_done(&f);
}

static void test_nothing_kept_where_the_admin_says_so(void)
{
	struct fixture f;
	struct json_object *result;
	_cleanup_free_ char *artifact = NULL;

	lab_install(&f, "    keep_previous: false\n");
	f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
	fixture_start(&f);
	result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
	CU_ASSERT_TRUE(fleet_json_bool(result, "success", false));
	CU_ASSERT_FALSE(lab_exists(&f, ".app.fleet"));
	fixture_done(&f);
}

/* A link in the app's place is not replaced by what an archive holds. */
static void test_place_that_is_no_place(void)
{
	struct fixture f;
	struct json_object *result;
	_cleanup_free_ char *from = NULL, *to = NULL;

	lab_install(&f, "");
	from = xasprintf("%s/app", f.dir);
	to = xasprintf("%s/app-2.0", f.dir);
	CU_ASSERT_EQUAL(rename(from, to), 0);
	fixture_start(&f);
	result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), "not-supported");
	CU_ASSERT_EQUAL(symlink("app-2.0", from), 0);
	result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), "not-supported");
	CU_ASSERT_PTR_NOT_NULL(strstr(lab_message(result), "is a link"));
	CU_ASSERT_EQUAL(f.fetches, 0);
	fixture_done(&f);
}

/* ---- what the agent is asked ---- */

static void test_declared_health_decides(void)
{
	static const struct {
		const char *check, *probe, *message;
		bool success;
	} cases[] = {
		{"url: http://127.0.0.1:1/health?x=1", "ok", "Running, healthy, pid 1008", true},
		{"url: http://127.0.0.1:1/health?x=1", "503", "health check failed: GET /health: 503 for ",
			false},
		{"url: http://127.0.0.1:1/health", "503 for GET /health",
			"health check failed: 503 for GET /health for ", false},
		{"tcp: 127.0.0.1:1", "connection refused",
			"health check failed: 127.0.0.1:1: connection refused for ", false},
		/* nobody could ask: no verdict on the app */
		{"url: http://127.0.0.1:1/", "error", "its url health check could not be made: error", true},
		{"url: http://127.0.0.1:1/", NULL,
			"its url health check could not be made: the agent did not answer", true},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL, *text = NULL;

		lab_install(&f, "");
		text = xasprintf("managed_apps:\n"
				 "  - id: web\n"
				 "    service_driver: host_fake\n"
				 "    service_options: {dir: %s, config: %s/app/run.conf}\n"
				 "    binary_path: %s/app\n"
				 "    config_path: %s/app/web.conf\n"
				 "    config_driver: host_fake\n"
				 "    version_file: %s/app/version\n"
				 "    preserve: [data/]\n"
				 "    health_check: {%s, timeout: 700ms, settle: 0}\n",
			f.dir, f.dir, f.dir, f.dir, f.dir, cases[i].check);
		fixture_write(&f, "apps.d/web.yaml", text);
		f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
		f.probe = cases[i].probe;
		fixture_start(&f);
		result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
		CU_ASSERT_EQUAL(fleet_json_bool(result, "success", false), cases[i].success);
		CU_ASSERT_PTR_NOT_NULL(strstr(lab_message(result), cases[i].message));
		if (!strstr(lab_message(result), cases[i].message))
			lab_explain(result);
		CU_ASSERT_TRUE(f.probes > 0);
		lab_assert_whole(&f, cases[i].success);
		lab_assert_running(&f);
		fixture_done(&f);
	}
}

/* ---- waiting for the agent ---- */

/* A download outlives the agent's connection, and the host: each new one is asked again. Other apps do not
 * wait. */
static void test_download_outlives_connections(void)
{
	struct fixture f;
	struct json_object *result;
	_cleanup_free_ char *artifact = NULL, *extra = NULL;
	_cleanup_json_ struct json_object *payload = fixture_command(
						  "update-app", "web", lab_arguments("2.1.0")),
					  *other = NULL, *fetch = NULL, *again = NULL;

	lab_install(&f, "");
	extra = xasprintf("  - id: other\n"
			  "    service_driver: host_fake\n"
			  "    service_options: {dir: %s, config: %s/none}\n"
			  "    timeout: 4s\n"
			  "    health_check: {settle: 0}\n",
		f.dir, f.dir);
	lab_declare(&f, extra);
	fixture_set_state(&f, "other", "running", 1);
	f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
	f.ignore_fetch = true;
	fixture_start(&f);
	fixture_send_command(&f, payload);
	fetch = fixture_wait(&f, "fetch");
	CU_ASSERT_PTR_NOT_NULL_FATAL(fetch);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(fleet_json_string(fetch, "url"), "token=secret")); /* the agent needs it all */
	CU_ASSERT_EQUAL(fleet_json_int(fetch, "maxBytes", 0), FLEET_ARTIFACT_MAX);
	other = fixture_command("restart-app", "other", NULL);
	fixture_send_command(&f, other);
	result = fixture_result(&f, fleet_json_string(other, "commandId"));
	CU_ASSERT_TRUE(result && fleet_json_bool(result, "success", false));
	/* the host ends at once, though the download goes on, and the next one asks for it again */
	fixture_stop(&f);
	f.ignore_fetch = false;
	fixture_start(&f);
	result = fixture_result(&f, fleet_json_string(payload, "commandId"));
	CU_ASSERT_TRUE(result && fleet_json_bool(result, "success", false));
	CU_ASSERT_EQUAL(f.fetches, 2);
	lab_assert_whole(&f, true);
	fixture_done(&f);
}

/* ---- cut off ---- */

enum cut_kind { CUT_UPDATE, CUT_UNWELL, CUT_ROLLBACK };

/* The steps that were told to the audit log, as letters: their order is the operation's. */
static void check_events(const struct fixture *f, const char *command_id)
{
	static const char *const order[] = {"prepare", "download", "stop", "swap", "start", "rollback"};
	size_t last = 0;

	for (size_t i = 0; i < json_object_array_length(f->events); i++) {
		struct json_object *event = json_object_array_get_idx(f->events, i);
		const char *step = fleet_json_string(fleet_json_object(event, "details"), "step");
		size_t at = 0;

		if (!str_equal(fleet_json_string(event, "commandId"), command_id))
			continue;
		while (at < FLEET_ARRAY_LEN(order) && !str_equal(order[at], step))
			at++;
		CU_ASSERT_TRUE(at < FLEET_ARRAY_LEN(order));
		/* a download that is taken up begins anew, and so does a start */
		CU_ASSERT_TRUE(at >= last || at <= 1);
		last = at;
	}
}

static void die_once(enum cut_kind kind, const char *step, bool host)
{
	struct fixture f;
	struct json_object *result;
	_cleanup_free_ char *artifact = NULL;
	_cleanup_json_ struct json_object *payload = NULL;
	bool success, updated;

	lab_install(&f, "");
	f.artifact = artifact = lab_make_release(&f, "2.1.0\n", kind == CUT_UNWELL ? "crash=yes\n" : "ok\n");
	f.die_at = step;
	f.die_host = host;
	fixture_start(&f);
	if (kind == CUT_ROLLBACK) {
		result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
		CU_ASSERT_TRUE(fleet_json_bool(result, "success", false));
	}
	payload = kind == CUT_ROLLBACK ? fixture_command("rollback-app", "web", NULL)
				       : fixture_command("update-app", "web", lab_arguments("2.1.0"));
	fixture_write(&f, "once", "");
	fixture_send_command(&f, payload);
	if (host) {
		while (fixture_wait(&f, "nothing")) /* what it still says, until it is dead */
			;
		fixture_wait_for_death(&f);
		fixture_start(&f);
	}
	result = fixture_result(&f, fleet_json_string(payload, "commandId"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(result);
	CU_ASSERT_FALSE(lab_exists(&f, "once")); /* it did die there */
	success = fleet_json_bool(result, "success", false);
	updated = kind == CUT_ROLLBACK ? !success : success;
	if (kind == CUT_UNWELL)
		CU_ASSERT_FALSE(success);
	if (lab_exists(&f, "once") || (kind == CUT_UNWELL && success))
		printf("# at %s, %s: %s\n", step, host ? "host" : "operation",
			json_object_to_json_string(result));
	if (kind == CUT_ROLLBACK) { /* the kept one is the other */
		lab_assert_file(&f, "app/bin/web", updated ? "new program" : "old program");
		lab_assert_file(&f, "app/web.conf", "level=mine\n");
		lab_assert_file(&f, "app/data/db", "what the app wrote");
		lab_assert_file(&f, ".app.fleet/previous/bin/web", updated ? "old program" : "new program");
		CU_ASSERT_FALSE(lab_exists(&f, ".app.fleet/new"));
	} else {
		lab_assert_whole(&f, updated);
	}
	lab_assert_running(&f);
	CU_ASSERT_TRUE(fleet_json_bool(result, "appHealthy", false));
	if (CU_get_number_of_failures() > 0 && !fleet_json_bool(result, "appHealthy", false))
		printf("# at %s, %s: %s\n", step, host ? "host" : "operation",
			json_object_to_json_string(result));
	check_events(&f, fleet_json_string(payload, "commandId"));
	fixture_done(&f);
}

static void die_at_each(enum cut_kind kind, const char *const *steps)
{
	for (; *steps; steps++) {
		die_once(kind, *steps, false);
		die_once(kind, *steps, true);
	}
}

static void test_death_at_each_step_of_an_update(void)
{
	static const char *const steps[] = {"prepare", "download", "verify", "unpack", "unpacked", "stop",
		"swap", "aside", "move", "exchange", "exchanged", "start", "health", "keep", NULL};

	die_at_each(CUT_UPDATE, steps);
}

static void test_death_at_each_step_of_a_failure(void)
{
	static const char *const steps[] = {
		"move", "exchange", "exchanged", "start", "health", "rollback", "remove", NULL};

	die_at_each(CUT_UNWELL, steps);
}

static void test_death_at_each_step_of_a_rollback(void)
{
	static const char *const steps[] = {
		"prepare", "stop", "swap", "move", "exchange", "exchanged", "start", "health", "keep", NULL};

	die_at_each(CUT_ROLLBACK, steps);
}

static const struct unit_test cut_tests[] = {
	UNIT_TEST(test_death_at_each_step_of_an_update),
	UNIT_TEST(test_death_at_each_step_of_a_failure),
	UNIT_TEST(test_death_at_each_step_of_a_rollback),
	{0},
};

static const struct unit_test update_tests[] = {
	UNIT_TEST(test_update_succeeds),
	UNIT_TEST(test_rollback_returns),
	UNIT_TEST(test_unwell_release_rolls_back),
	UNIT_TEST(test_refused_before_anything),
	UNIT_TEST(test_download_fails),
	UNIT_TEST(test_one_file_is_a_program),
	UNIT_TEST(test_apps_of_one_tree_go_together),
	UNIT_TEST(test_stopped_app_stays_stopped),
	UNIT_TEST(test_nothing_kept_where_the_admin_says_so),
	UNIT_TEST(test_place_that_is_no_place),
	UNIT_TEST(test_declared_health_decides),
	UNIT_TEST(test_download_outlives_connections),
	{0},
};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"update", update_tests}, {"cut off", cut_tests}, {0}});
}
