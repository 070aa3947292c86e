/* Config files, over the host's socket: pushes with everything that may go wrong on the way, and changes that
 * somebody else makes. */
#include <sys/stat.h>
#include "host_web.h"

static void test_push_writes_and_restarts(void)
{
	struct fixture f;
	struct json_object *result, *change;
	struct stat st;
	char path[128];

	begin(&f, "    health_check: {settle: 200ms}\n", "running");
	snprintf(path, sizeof(path), "%s/web.conf", f.dir);
	CU_ASSERT_EQUAL(chmod(path, 0604), 0);
	result = fixture_run(&f, "push-config", fixture_set("level", "debug"));
	CU_ASSERT_TRUE(succeeded(result));
	CU_ASSERT_STRING_EQUAL(message_of(result), "restarted, healthy");
	assert_conf(&f, "# as it was\nlevel=debug\nname=web\npassword=old\n");
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0604);
	change = json_object_array_get_idx(fleet_json_array(result, "changes"), 0);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(change, "key"), "level");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(change, "before"), "info");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(change, "after"), "debug");
	CU_ASSERT_EQUAL(json_object_array_length(fleet_json_array(result, "changedKeys")), 1);

	/* a secret's values are nowhere in what is told */
	result = fixture_run(&f, "push-config", fixture_set("password", "hunter2"));
	CU_ASSERT_TRUE(succeeded(result));
	CU_ASSERT_PTR_NULL(strstr(json_object_to_json_string(result), "hunter2"));
	change = json_object_array_get_idx(fleet_json_array(result, "changes"), 0);
	CU_ASSERT_TRUE(fleet_json_bool(change, "masked", false));

	/* the same again changes no byte and restarts nothing */
	result = fixture_run(&f, "push-config", fixture_set("level", "debug"));
	CU_ASSERT_TRUE(succeeded(result));
	CU_ASSERT_PTR_NOT_NULL(strstr(message_of(result), "nothing to change"));
	{
		_cleanup_free_ char *calls = fixture_read(&f, "web.calls");

		CU_ASSERT_STRING_EQUAL(calls, "restart\nrestart\n");
	}
	fixture_done(&f);
}

static void test_push_dry_run_and_hash(void)
{
	struct fixture f;
	struct json_object *result, *args;
	_cleanup_free_ char *hash = NULL, *expected = NULL, *kept = NULL;

	begin(&f, "    health_check: {settle: 0}\n", "running");
	args = fixture_set("level", "debug");
	fleet_json_add_bool(args, "dryRun", true);
	result = fixture_run(&f, "push-config", args);
	CU_ASSERT_TRUE(succeeded(result));
	CU_ASSERT_STRING_EQUAL(message_of(result), "dry run: 1 setting would change; nothing was written");
	hash = xstrdup(fleet_json_string(result, "hash"));
	expected =
		xasprintf("--- %s/web.conf\n+++ %s/web.conf (after the push)\n@@ -1,4 +1,4 @@\n # as it was\n"
			  "-level=info\n+level=debug\n name=web\n password=HIDDEN\n",
			f.dir, f.dir);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "unifiedDiff"), expected);
	assert_conf(&f, CONF);
	kept = xasprintf("%s/state/before", f.dir);
	CU_ASSERT_NOT_EQUAL(access(kept, F_OK), 0);
	fixture_write(&f, "web.conf", CONF "more=1\n");
	args = fixture_set("level", "debug");
	fleet_json_add_string(args, "expectHash", hash);
	result = fixture_run(&f, "push-config", args);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), "hash-mismatch");
	CU_ASSERT_PTR_NOT_NULL(strstr(message_of(result), hash));
	assert_conf(&f, CONF "more=1\n");
	fixture_done(&f);
}

static void test_dry_run_hides_secrets(void)
{
	static const struct {
		const char *conf, *key, *value, *lines; /* of the diff, without its three first */
	} cases[] = {
		/* a secret that changes looks changed */
		{"password=old-secret\nlevel=info\n", "password", "new-secret",
			"-password=HIDDEN-OLD\n+password=HIDDEN-NEW\n level=info\n"},
		/* a comment that names one, and one that quotes it */
		{"# password = another-one\n# once it was old-secret!\npassword=old-secret\nlevel=info\n",
			"level", "debug",
			" # password = HIDDEN\n (hidden: a secret's value stands in this line)\n "
			"password=HIDDEN\n"
			"-level=info\n+level=debug\n"},
		/* the admin's own */
		{"plain=mine-alone\nlevel=info\n", "level", "debug",
			" plain=HIDDEN\n-level=info\n+level=debug\n"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct fixture f;
		struct json_object *args = fixture_set(cases[i].key, cases[i].value), *result;
		const char *diff;

		fixture_init(&f);
		fixture_declare(&f, "    secret_keys: [plain]\n");
		fixture_write(&f, "web.conf", cases[i].conf);
		fixture_set_state(&f, "web", "running", 7);
		fixture_start(&f);
		fleet_json_add_bool(args, "dryRun", true);
		result = fixture_run(&f, "push-config", args);
		CU_ASSERT_TRUE(succeeded(result));
		diff = fleet_json_string(result, "unifiedDiff");
		CU_ASSERT_PTR_NOT_NULL_FATAL(diff);
		for (int line = 0; line < 3 && *diff; line++)
			diff += strcspn(diff, "\n") + 1;
		CU_ASSERT_STRING_EQUAL(diff, cases[i].lines);
		if (!str_equal(diff, cases[i].lines))
			printf("# case %zu: %s\n", i, diff);
		CU_ASSERT_PTR_NULL(strstr(json_object_to_json_string(result), "secret-"));
		fixture_done(&f);
	}
}

/* An app that quotes its settings as it gives up: its log is in the result, the secret is not. */
static void test_log_lines_hold_no_secret(void)
{
	struct fixture f;
	struct json_object *result;

	fixture_init(&f);
	fixture_declare(&f, "    health_check: {settle: 50ms}\n");
	fixture_write(&f, "web.conf", "password=old-secret\ntell=yes\ncrash=yes\n");
	fixture_set_state(&f, "web", "running", 7);
	fixture_start(&f);
	result = fixture_run(&f, "push-config", fixture_set("password", "new-secret"));
	CU_ASSERT_FALSE(fleet_json_bool(result, "success", true));
	CU_ASSERT_STRING_EQUAL(
		json_object_get_string(json_object_array_get_idx(fleet_json_array(result, "logLines"), 0)),
		"password=***");
	CU_ASSERT_PTR_NULL(strstr(json_object_to_json_string(result), "-secret"));
	fixture_done(&f);
}

static void test_changes_outside_are_told(void)
{
	static const struct {
		const char *extra, *conf, *message; /* conf NULL: removed */
	} cases[] = {
		{"", "# as it was\nlevel=warn\nname=web\npassword=other\nmore=1\n",
			"web's config changed outside Fleet: level, more, password"},
		{"", "# otherwise\nlevel=info\nname=web\npassword=old\n",
			"web's config changed outside Fleet: no setting, only what stands around them"},
		{"", "no format\n",
			"web's config changed outside Fleet: host_fake cannot read it as it is now"},
		{"    allow: [restart]\n", "level=warn\n", "web's config changed outside Fleet"},
	};

	for (size_t i = 0; i < 2 * FLEET_ARRAY_LEN(cases); i++) {
		struct fixture f;
		struct json_object *event;
		size_t count;

		begin(&f, cases[i / 2].extra, "running");
		look_once(&f);
		if (i % 2) { /* the host does not see it happen */
			fixture_stop(&f);
			fixture_write(&f, "web.conf", cases[i / 2].conf);
			fixture_start(&f);
		}
		assert_only_told(&f, cases[i / 2].conf, cases[i / 2].message);
		event = config_event(&f, &count);
		CU_ASSERT_TRUE(fleet_json_bool(fleet_json_object(event, "details"), "outside", false));
		CU_ASSERT_PTR_NULL(strstr(json_object_to_json_string(event), "warn"));
		fixture_store_all(&f);
		fixture_send(&f, fleet_message_new(FLEET_FRAME_STATUS_REQUEST));
		json_object_put(fixture_wait(&f, "status")); /* and so it has taken that in */
		fixture_kill(&f);
		json_object_put(f.events);
		f.events = json_object_new_array();
		fixture_start(&f);
		for (int again = 0; again < 3; again++) {
			fixture_send(&f, fleet_message_new(FLEET_FRAME_STATUS_REQUEST));
			json_object_put(fixture_wait(&f, "status"));
			(void)poll(NULL, 0, 20);
		}
		CU_ASSERT_PTR_NULL(config_event(&f, &count));
		fixture_done(&f);
	}
}

static void test_push_refusals_write_nothing(void)
{
	static const struct {
		const char *extra, *key, *value, *code, *message;
	} cases[] = {
		{"", "level", "LIE", "driver-failed", "did not make exactly the change asked for"},
		{"", "level", "broken", "parse-failed", "would not be valid"},
		{"", "level", "two\nsecret=1", "driver-failed", "did not make exactly"},
		{"    config_keys: {deny: [level]}\n", "level", "x", "not-allowed-by-server",
			"config_keys.deny"},
		{"    config_keys: {allow: [name]}\n", "level", "x", "not-allowed-by-server",
			"config_keys.allow"},
		{"    allow: [restart]\n", "level", "x", "not-allowed-by-server",
			"does not allow push-config"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct fixture f;
		struct json_object *result;

		begin(&f, cases[i].extra, "running");
		result = fixture_run(&f, "push-config", fixture_set(cases[i].key, cases[i].value));
		CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), cases[i].code);
		CU_ASSERT_PTR_NOT_NULL(strstr(message_of(result), cases[i].message));
		if (!strstr(message_of(result), cases[i].message))
			printf("# case %zu: %s\n", i, message_of(result));
		assert_conf(&f, CONF);
		{
			_cleanup_free_ char *calls = fixture_read(&f, "web.calls");

			CU_ASSERT_PTR_NULL(calls);
		}
		fixture_done(&f);
	}
}

static void test_push_rolls_back(void)
{
	struct fixture f;
	struct json_object *result;

	begin(&f, "    health_check: {settle: 200ms}\n", "running");
	result = fixture_run(&f, "push-config", fixture_set("crash", "yes"));
	CU_ASSERT_FALSE(fleet_json_bool(result, "success", true));
	CU_ASSERT_TRUE(fleet_json_bool(result, "rolledBack", false));
	CU_ASSERT_TRUE(fleet_json_bool(result, "appHealthy", false));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), "unhealthy");
	CU_ASSERT_EQUAL(strncmp(message_of(result), "exited 1", 8), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(message_of(result), ". Rolled back: Running, healthy"));
	CU_ASSERT_STRING_EQUAL(
		json_object_get_string(json_object_array_get_idx(fleet_json_array(result, "logLines"), 0)),
		"bind: address already in use");
	assert_conf(&f, CONF);
	fixture_done(&f);
}

static void test_push_to_failed_app_stays(void)
{
	struct fixture f;
	struct json_object *result;

	begin(&f, "    health_check: {settle: 0}\n", "failed");
	result = fixture_run(&f, "push-config", fixture_set("crash", "yes"));
	CU_ASSERT_FALSE(fleet_json_bool(result, "success", true));
	CU_ASSERT_FALSE(fleet_json_bool(result, "rolledBack", false));
	CU_ASSERT_PTR_NOT_NULL(strstr(message_of(result), "the new file stays"));
	result = fixture_run(&f, "push-config", fixture_set("crash", "no"));
	CU_ASSERT_TRUE(succeeded(result));
	fixture_done(&f);
}

static void test_push_to_stopped_app_is_not_verified(void)
{
	struct fixture f;
	struct json_object *result;

	begin(&f, "", "stopped");
	result = fixture_run(&f, "push-config", fixture_set("level", "debug"));
	CU_ASSERT_TRUE(succeeded(result));
	CU_ASSERT_PTR_NOT_NULL(strstr(message_of(result), "not verified"));
	CU_ASSERT_TRUE(fleet_json_bool(result, "appHealthy", false));
	CU_ASSERT_FALSE(fleet_json_bool(result, "verified", true));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "appStatus"), "stopped");
	{
		_cleanup_free_ char *calls = fixture_read(&f, "web.calls");

		CU_ASSERT_PTR_NULL(calls);
	}
	fixture_done(&f);
}

static void test_push_reload_and_none(void)
{
	struct fixture f;
	struct json_object *result;

	begin(&f, "    after_push: reload\n    health_check: {settle: 0}\n", "running");
	result = fixture_run(&f, "push-config", fixture_set("level", "debug"));
	CU_ASSERT_STRING_EQUAL(message_of(result), "reloaded, healthy");
	fixture_done(&f);
	begin(&f, "    after_push: none\n", "running");
	result = fixture_run(&f, "push-config", fixture_set("level", "debug"));
	CU_ASSERT_TRUE(succeeded(result));
	CU_ASSERT_PTR_NOT_NULL(strstr(message_of(result), "not verified"));
	fixture_done(&f);
}

static void test_push_restores_an_earlier_file(void)
{
	struct fixture f;
	struct json_object *result, *args;
	_cleanup_free_ char *id = NULL;

	begin(&f, "    health_check: {settle: 0}\n", "running");
	result = fixture_run(&f, "push-config", fixture_set("password", "hunter2"));
	id = xstrdup(fleet_json_string(result, "commandId"));
	args = json_object_new_object();
	fleet_json_add_string(args, "file", "main");
	fleet_json_add_string(args, "restoreOf", id);
	result = fixture_run(&f, "push-config", args);
	CU_ASSERT_TRUE(succeeded(result));
	assert_conf(&f, CONF);
	CU_ASSERT_STRING_EQUAL(
		json_object_get_string(json_object_array_get_idx(fleet_json_array(result, "changedKeys"), 0)),
		"password");
	args = json_object_new_object();
	fleet_json_add_string(args, "file", "main");
	fleet_json_add_string(args, "restoreOf", "01890000-0000-7000-8000-000000000000");
	result = fixture_run(&f, "push-config", args);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), "invalid-settings");
	fixture_done(&f);
}

static void test_shared_file_restarts_every_app(void)
{
	struct fixture f;
	struct json_object *result;
	_cleanup_free_ char *yaml = NULL, *calls = NULL;

	fixture_init(&f);
	fixture_declare(&f, "    health_check: {settle: 0}\n");
	yaml = xasprintf("managed_apps:\n  - {id: twin, service_driver: host_fake, service_options: {dir: "
			 "%s}, config_path: "
			 "%s/web.conf, config_driver: host_fake, health_check: {settle: 0}}\n",
		f.dir, f.dir);
	fixture_write(&f, "apps.d/twin.yaml", yaml);
	fixture_write(&f, "web.conf", CONF);
	fixture_set_state(&f, "web", "running", 1);
	fixture_set_state(&f, "twin", "running", 1);
	fixture_start(&f);
	result = fixture_run(&f, "push-config", fixture_set("level", "debug"));
	CU_ASSERT_STRING_EQUAL(message_of(result), "restarted, healthy; twin restarted, healthy");
	calls = fixture_read(&f, "twin.calls");
	CU_ASSERT_STRING_EQUAL(calls, "restart\n");
	fixture_done(&f);
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_push_writes_and_restarts),
	UNIT_TEST(test_push_dry_run_and_hash),
	UNIT_TEST(test_dry_run_hides_secrets),
	UNIT_TEST(test_log_lines_hold_no_secret),
	UNIT_TEST(test_changes_outside_are_told),
	UNIT_TEST(test_push_refusals_write_nothing),
	UNIT_TEST(test_push_rolls_back),
	UNIT_TEST(test_push_to_failed_app_stays),
	UNIT_TEST(test_push_to_stopped_app_is_not_verified),
	UNIT_TEST(test_push_reload_and_none),
	UNIT_TEST(test_push_restores_an_earlier_file),
	UNIT_TEST(test_shared_file_restarts_every_app),
	{0},
};

int main(void)
{
	(void)signal(SIGPIPE, SIG_IGN);
	return unit_run((const struct unit_suite[]){{"host push", tests}, {0}});
}
