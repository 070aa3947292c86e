/* The operation, or the host with it, dies in the middle: what is found of it afterwards, and told once. */
#include "host_web.h"
#include "fleet/clock.h"

/* The operation's child is killed in a driver's call of it: the host takes up what it left. */
static void test_operation_dies(void)
{
	static const struct {
		const char *at, *action;
		bool success;
		const char *message;
	} cases[] = {
		/* between stop and start: it is started again */
		{"restart", "restart-app", true, "Running, healthy"},
		{"status", "restart-app", false, "interrupted before anything was done"},
		{"status", "push-config", false, "before anything was written"},
		{"restart", "push-config", false, "Rolled back: Running, healthy"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *options = xasprintf(", at: %s, act: kill-caller}", cases[i].at);

		fixture_init(&f);
		fixture_declare(&f, options);
		fixture_write(&f, "web.conf", CONF);
		fixture_write(&f, "once", "");
		fixture_set_state(&f, "web", "running", 7);
		fixture_start(&f);
		result = fixture_run(&f, cases[i].action,
			strcmp(cases[i].action, "push-config") == 0 ? fixture_set("level", "debug") : NULL);
		CU_ASSERT_EQUAL(fleet_json_bool(result, "success", !cases[i].success), cases[i].success);
		CU_ASSERT_PTR_NOT_NULL(strstr(message_of(result), cases[i].message));
		if (!strstr(message_of(result), cases[i].message))
			printf("# case %zu: %s\n", i, message_of(result));
		if (!cases[i].success)
			CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), "interrupted");
		CU_ASSERT_TRUE(fleet_json_bool(result, "appHealthy", true));
		assert_conf(&f, CONF);
		fixture_done(&f);
	}
}

/* The app writes to its config as it starts, and the operation dies there: the file is left alone, and the
 * app not left down. */
static void test_operation_dies_and_the_file_is_another(void)
{
	struct fixture f;
	struct json_object *result;
	_cleanup_free_ char *state = NULL;

	fixture_init(&f);
	fixture_declare(&f, ", at: restart, act: kill-caller}");
	fixture_write(&f, "web.conf", "level=info\npatch=yes\n");
	fixture_write(&f, "once", "");
	fixture_set_state(&f, "web", "running", 7);
	fixture_start(&f);
	result = fixture_run(&f, "push-config", fixture_set("level", "debug"));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), "interrupted");
	CU_ASSERT_PTR_NOT_NULL(strstr(
		message_of(result), "it was left as it is; web was left stopped, and was started again"));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "appStatus"), "running");
	state = fixture_read(&f, "web.state");
	CU_ASSERT_TRUE(state && str_starts(state, "running "));
	if (!strstr(message_of(result), "started again"))
		printf("# %s\n", json_object_to_json_string(result));
	fixture_done(&f);
}

static void wait_until_gone(const struct fixture *f, const char *name)
{
	int64_t until = fleet_clock_monotonic_ms() + FIXTURE_WAIT_MS;
	_cleanup_free_ char *path = xasprintf("%s/%s", f->dir, name);

	while (access(path, F_OK) == 0 && fleet_clock_monotonic_ms() < until)
		(void)poll(NULL, 0, 5);
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
}

/* The operation, and then the host with it, killed at every step of a push: one result, which is true of the
 * file and the app, and nothing left beside the file. */
static void test_death_at_each_step_of_a_push(void)
{
	static const struct {
		const char *step;
		bool success;
		const char *message;
	} cases[] = {
		{"read", false, "before anything was written: nothing was changed"},
		{"edit", false, "before anything was written: nothing was changed"},
		{"check", false, "before anything was written: nothing was changed"},
		{"write", false, "before the file was replaced: nothing was changed"},
		{"temp", false, "before the file was replaced: nothing was changed"},
		{"attributes", false, "before the file was replaced: nothing was changed"},
		{"sync", false, "before the file was replaced: nothing was changed"},
		{"rename", false, "before the file was replaced: nothing was changed"},
		{"directory", false, "Rolled back: Running, healthy"},
		{"restart", false, "Rolled back: Running, healthy"},
		{"health", true, "restarted, healthy"},
	};

	for (size_t i = 0; i < 2 * FLEET_ARRAY_LEN(cases); i++) {
		size_t c = i / 2;
		struct fixture f;
		_cleanup_json_ struct json_object *payload =
			fixture_command("push-config", "web", fixture_set("level", "debug"));
		struct json_object *result;
		char temp[160];
		bool good;

		fixture_init(&f);
		f.die_at = cases[c].step;
		f.die_host = i % 2;
		fixture_declare(&f, "    health_check: {settle: 50ms}\n");
		fixture_write(&f, "web.conf", CONF);
		fixture_write(&f, "once", "");
		fixture_set_state(&f, "web", "running", 7);
		fixture_start(&f);
		look_once(&f);
		fixture_send_command(&f, payload);
		if (f.die_host) {
			fixture_wait_for_death(&f);
			fixture_start(&f);
		}
		result = fixture_result(&f, fleet_json_string(payload, "commandId"));
		CU_ASSERT_PTR_NOT_NULL_FATAL(result);
		good = fleet_json_bool(result, "success", !cases[c].success) == cases[c].success &&
		       strstr(message_of(result), cases[c].message) &&
		       fleet_json_bool(result, "appHealthy", false);
		CU_ASSERT_TRUE(good);
		if (!good)
			printf("# %s: %s\n", cases[c].step, json_object_to_json_string(result));
		assert_conf(
			&f, cases[c].success ? "# as it was\nlevel=debug\nname=web\npassword=old\n" : CONF);
		snprintf(temp, sizeof(temp), "%s/.web.conf.fleet-%s", f.dir,
			fleet_json_string(payload, "commandId"));
		CU_ASSERT_NOT_EQUAL(access(temp, F_OK), 0);
		/* nothing of it is taken for somebody else's change */
		assert_only_told(&f,
			cases[c].success ? "# as it was\nlevel=debug\nname=me\npassword=old\n"
					 : "# as it was\nlevel=info\nname=me\npassword=old\n",
			"web's config changed outside Fleet: name");
		fixture_done(&f);
	}
}

/* Killed while it takes a bad push back: the old file returns all the same, and the app with it. */
static void test_death_in_a_rollback(void)
{
	for (int i = 0; i < 2; i++) {
		struct fixture f;
		_cleanup_json_ struct json_object *payload =
			fixture_command("push-config", "web", fixture_set("crash", "yes"));
		struct json_object *result;

		fixture_init(&f);
		f.die_at = "rollback";
		f.die_host = i == 1;
		fixture_declare(&f, "    health_check: {settle: 50ms}\n");
		fixture_write(&f, "web.conf", CONF);
		fixture_write(&f, "once", "");
		fixture_set_state(&f, "web", "running", 7);
		fixture_start(&f);
		look_once(&f);
		fixture_send_command(&f, payload);
		if (f.die_host) {
			fixture_wait_for_death(&f);
			fixture_start(&f);
		}
		result = fixture_result(&f, fleet_json_string(payload, "commandId"));
		CU_ASSERT_PTR_NOT_NULL_FATAL(result);
		CU_ASSERT_TRUE(fleet_json_bool(result, "rolledBack", false));
		CU_ASSERT_TRUE(fleet_json_bool(result, "appHealthy", false));
		assert_conf(&f, CONF);
		assert_only_told(&f, "level=info\nname=web\npassword=mine\n",
			"web's config changed outside Fleet: password");
		fixture_done(&f);
	}
}

static int result_count(struct fixture *f)
{
	return json_object_object_length(f->results);
}

/* The host itself is killed while an operation hangs in a driver; the next one finds out and tells one
 * result. */
static void test_host_dies(void)
{
	struct fixture f;
	_cleanup_json_ struct json_object *payload = NULL, *queued = NULL, *frame = NULL;
	struct json_object *result;

	fixture_init(&f);
	fixture_declare(&f, ", at: restart, act: hang}");
	fixture_write(&f, "web.conf", CONF);
	fixture_write(&f, "once", "");
	fixture_set_state(&f, "web", "running", 7);
	fixture_start(&f);
	payload = fixture_command("push-config", "web", fixture_set("level", "debug"));
	queued = fixture_command("restart-app", "web", NULL);
	fixture_send_command(&f, payload);
	fixture_send_command(&f, queued);
	do {
		json_object_put(frame);
		frame = fixture_wait(&f, "progress");
		CU_ASSERT_PTR_NOT_NULL_FATAL(frame);
	} while (!str_equal(fleet_json_string(frame, "step"), "restart"));
	wait_until_gone(&f, "once"); /* the driver is where it hangs */
	fixture_kill(&f);
	CU_ASSERT_EQUAL(result_count(&f), 0);
	fixture_start(&f);
	result = fixture_result(&f, fleet_json_string(payload, "commandId"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(result);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), "interrupted");
	CU_ASSERT_TRUE(fleet_json_bool(result, "rolledBack", false));
	assert_conf(&f, CONF);
	/* what waited behind it runs afterwards */
	result = fixture_result(&f, fleet_json_string(queued, "commandId"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(result);
	CU_ASSERT_TRUE(succeeded(result));
	fixture_done(&f);
}

/* Results are told again at each hello until they are stored, and never after. */
static void test_results_are_told_until_stored(void)
{
	struct fixture f;
	_cleanup_free_ char *id = NULL;
	_cleanup_json_ struct json_object *answer = NULL;
	struct json_object *result;

	begin(&f, "    health_check: {settle: 0}\n", "running");
	result = fixture_run(&f, "restart-app", NULL);
	id = xstrdup(fleet_json_string(result, "commandId"));
	fixture_kill(&f);
	json_object_object_del(f.results, id);
	fixture_start(&f);
	CU_ASSERT_PTR_NOT_NULL(fixture_result(&f, id));
	fixture_store_all(&f);
	fixture_stop(&f);
	json_object_object_del(f.results, id);
	fixture_start(&f);
	fixture_send(&f, fleet_message_new(FLEET_FRAME_STATUS_REQUEST));
	answer = fixture_wait(&f, "status"); /* whatever was to be told came before it */
	CU_ASSERT_PTR_NOT_NULL(answer);
	CU_ASSERT_EQUAL(result_count(&f), 0);
	fixture_done(&f);
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_operation_dies),
	UNIT_TEST(test_operation_dies_and_the_file_is_another),
	UNIT_TEST(test_host_dies),
	UNIT_TEST(test_death_at_each_step_of_a_push),
	UNIT_TEST(test_death_in_a_rollback),
	UNIT_TEST(test_results_are_told_until_stored),
	{0},
};

int main(void)
{
	(void)signal(SIGPIPE, SIG_IGN);
	return unit_run((const struct unit_suite[]){{"host death", tests}, {0}});
}
