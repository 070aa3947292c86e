/* The driver host with the drivers that a developer's agent has: json-config and simulated. */
#include <signal.h>
#include <sys/stat.h>
#include "host_fixture.h"
#include "unit.h"

#define PLAIN "{\n\t\"LogLevel\":  \"Info\",\n\t\"Workers\": 4,\n\t\"Cache\": { \"Enabled\": true }\n}"

static void begin(struct fixture *f, const char *options, const char *conf)
{
	_cleanup_free_ char *text = NULL;

	fixture_init(f);
	f->driver_dir = PLUGIN_DIR;
	text = xasprintf("managed_apps:\n"
			 "  - id: web\n"
			 "    service_driver: simulated\n"
			 "    service_options: {start_delay: 50ms, version: 2.0.0%s}\n"
			 "    config_path: %s/web.json\n"
			 "    health_check: {settle: 100ms}\n",
		options, f->dir);
	fixture_write(f, "apps.d/web.yaml", text);
	fixture_write(f, "web.json", conf);
	fixture_start(f);
}

static const char *message_of(struct json_object *result)
{
	const char *text = fleet_json_string(result, "message");

	return text ? text : "";
}

static struct json_object *auto_edit(const char *key, const char *value)
{
	struct json_object *args = fixture_set(key, value);
	struct json_object *edit = json_object_array_get_idx(fleet_json_array(args, "edits"), 0);

	json_object_object_del(edit, "mode");
	fleet_json_add_string(edit, "mode", "auto");
	return args;
}

static void test_restart_and_status(void)
{
	struct fixture f;
	struct json_object *result, *app;
	_cleanup_json_ struct json_object *status = NULL;

	begin(&f, "", PLAIN);
	result = fixture_run(&f, "restart-app", NULL);
	CU_ASSERT_TRUE(fleet_json_bool(result, "success", false));
	CU_ASSERT_EQUAL(strncmp(message_of(result), "Running, healthy, pid ", 22), 0);
	fixture_send(&f, fleet_message_new(FLEET_FRAME_STATUS_REQUEST));
	status = fixture_wait(&f, "status");
	CU_ASSERT_PTR_NOT_NULL_FATAL(status);
	app = json_object_array_get_idx(fleet_json_array(status, "apps"), 0);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(app, "status"), "running");
	CU_ASSERT_TRUE(str_equal(fleet_json_string(app, "version"), "2.0.0"));
	fixture_done(&f);
}

static void test_push_changes_one_line(void)
{
	struct fixture f;
	struct json_object *result;
	_cleanup_free_ char *now = NULL, *later = NULL;

	begin(&f, "", PLAIN);
	result = fixture_run(&f, "push-config", auto_edit("LogLevel", "Debug"));
	CU_ASSERT_TRUE(fleet_json_bool(result, "success", false));
	CU_ASSERT_STRING_EQUAL(message_of(result), "restarted, healthy");
	now = fixture_read(&f, "web.json");
	CU_ASSERT_STRING_EQUAL(now,
		"{\n\t\"LogLevel\":  \"Debug\",\n\t\"Workers\": 4,\n\t\"Cache\": { \"Enabled\": true }\n}");
	/* the existing value's type is kept */
	result = fixture_run(&f, "push-config", auto_edit("Workers", "8"));
	CU_ASSERT_TRUE(fleet_json_bool(result, "success", false));
	later = fixture_read(&f, "web.json");
	CU_ASSERT_PTR_NOT_NULL(strstr(later, "\"Workers\": 8,"));
	result = fixture_run(&f, "push-config", auto_edit("Workers.Many", "8"));
	CU_ASSERT_FALSE(fleet_json_bool(result, "success", true));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), "invalid-settings");
	fixture_done(&f);
}

static void test_malformed_file_is_told_with_its_place(void)
{
	struct fixture f;
	struct json_object *result;
	_cleanup_free_ char *now = NULL;

	begin(&f, "", "{\n  \"a\": 1,\n  \"b\": nope\n}\n");
	result = fixture_run(&f, "push-config", auto_edit("a", "2"));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), "parse-failed");
	CU_ASSERT_PTR_NOT_NULL(strstr(message_of(result), "3:"));
	now = fixture_read(&f, "web.json");
	CU_ASSERT_STRING_EQUAL(now, "{\n  \"a\": 1,\n  \"b\": nope\n}\n");
	fixture_done(&f);
}

/* A start that fails: the reason and the log are told, and the old file is back. The app stays down as long
 * as its start fails, which the message says as well. */
static void test_failed_start_rolls_back(void)
{
	struct fixture f;
	struct json_object *result;
	_cleanup_free_ char *now = NULL;
	char flag[64], option[96];

	snprintf(flag, sizeof(flag), "/tmp/fleet-host-fail-%d", (int)getpid());
	snprintf(option, sizeof(option), ", fail_start: %s", flag);
	begin(&f, option, PLAIN);
	fixture_write(&f, strrchr(flag, '/') + 1, "");
	{
		_cleanup_free_ char *inside = xasprintf("%s%s", f.dir, strrchr(flag, '/'));

		CU_ASSERT_EQUAL(rename(inside, flag), 0);
	}
	result = fixture_run(&f, "push-config", auto_edit("LogLevel", "Debug"));
	CU_ASSERT_FALSE(fleet_json_bool(result, "success", true));
	CU_ASSERT_TRUE(fleet_json_bool(result, "rolledBack", false));
	CU_ASSERT_FALSE(fleet_json_bool(result, "appHealthy", true));
	CU_ASSERT_PTR_NOT_NULL(strstr(message_of(result), "exited with status 1"));
	CU_ASSERT_PTR_NOT_NULL(strstr(message_of(result), "is not well with it either"));
	CU_ASSERT_PTR_NOT_NULL(fleet_json_array(result, "logLines"));
	now = fixture_read(&f, "web.json");
	CU_ASSERT_STRING_EQUAL(now, PLAIN);
	CU_ASSERT_EQUAL(unlink(flag), 0);
	fixture_done(&f);
}

int main(void)
{
	static const struct unit_test tests[] = {UNIT_TEST(test_restart_and_status),
		UNIT_TEST(test_push_changes_one_line), UNIT_TEST(test_malformed_file_is_told_with_its_place),
		UNIT_TEST(test_failed_start_rolls_back), {0}};

	(void)signal(SIGPIPE, SIG_IGN);
	return unit_run((const struct unit_suite[]){{"host drivers", tests}, {0}});
}
