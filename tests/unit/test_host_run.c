/* The driver host end to end, over its socket: restart and push with everything that may go wrong on the way,
 * and what is found after its own death. The drivers are fakes that misbehave on demand; everything else is
 * real. */
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include "host_fixture.h"
#include "fleet/clock.h"
#include "fleet/encode.h"
#include "unit.h"

#define CONF "# as it was\nlevel=info\nname=web\npassword=old\n"

static const char *message_of(struct json_object *result)
{
	const char *text = fleet_json_string(result, "message");

	return text ? text : "";
}

static bool succeeded(struct json_object *result)
{
	bool ok = fleet_json_bool(result, "success", false);

	if (!ok)
		printf("# %s\n", json_object_to_json_string(result));
	return ok;
}

static void assert_conf(const struct fixture *f, const char *expected)
{
	_cleanup_free_ char *text = fixture_read(f, "web.conf");

	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	CU_ASSERT_STRING_EQUAL(text, expected);
}

static void begin(struct fixture *f, const char *extra, const char *state)
{
	fixture_init(f);
	fixture_declare(f, extra);
	fixture_write(f, "web.conf", CONF);
	fixture_set_state(f, "web", state, 7);
	fixture_start(f);
}

static void test_restart_succeeds(void)
{
	struct fixture f;
	struct json_object *result;

	begin(&f, "    health_check: {settle: 200ms}\n", "running");
	result = fixture_run(&f, "restart-app", NULL);
	CU_ASSERT_TRUE(succeeded(result));
	CU_ASSERT_EQUAL(strncmp(message_of(result), "Running, healthy, pid 1008 (was 1007), down ", 44), 0);
	CU_ASSERT_TRUE(fleet_json_bool(result, "appHealthy", false));
	CU_ASSERT_EQUAL(fleet_json_int(result, "previousPid", 0), 1007);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "appStatus"), "running");
	CU_ASSERT_EQUAL(json_object_array_length(fleet_json_array(result, "steps")), 2);
	fixture_done(&f);
}

static void test_restart_failures(void)
{
	static const struct {
		const char *conf, *options, *code, *message;
		bool logs;
	} cases[] = {
		{"crash=yes\n", "", "unhealthy", "exited 1", true},
		{"slow=yes\n", "", "unhealthy", "still starting after 4 s", true},
		{"flap=yes\n", "", "unhealthy", "crashed and was started again", true},
		{"", ", at: restart, act: crash", "driver-failed",
			"driver host_fake crashed (SIGSEGV) in restart", true},
		{"", ", at: restart, act: hang", "driver-timeout", "driver host_fake", true},
		{"", ", at: restart, act: exit", "driver-failed", "driver host_fake", true},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *options = xasprintf("%s}", cases[i].options);

		fixture_init(&f);
		fixture_declare(&f, *cases[i].options ? options : "    health_check: {settle: 300ms}\n");
		fixture_write(&f, "web.conf", cases[i].conf);
		fixture_write(&f, "once", "");
		fixture_set_state(&f, "web", "running", 7);
		fixture_start(&f);
		result = fixture_run(&f, "restart-app", NULL);
		CU_ASSERT_FALSE(fleet_json_bool(result, "success", true));
		CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), cases[i].code);
		CU_ASSERT_PTR_NOT_NULL(strstr(message_of(result), cases[i].message));
		if (!strstr(message_of(result), cases[i].message))
			printf("# case %zu: %s\n", i, message_of(result));
		CU_ASSERT_EQUAL(fleet_json_array(result, "logLines") != NULL, cases[i].logs);
		fixture_done(&f);
	}
}

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

/* The one event about the file, or NULL; borrowed. */
static struct json_object *config_event(const struct fixture *f, size_t *ret_count)
{
	struct json_object *found = NULL;

	*ret_count = 0;
	for (size_t i = 0; i < json_object_array_length(f->events); i++) {
		struct json_object *event = json_object_array_get_idx(f->events, i);

		if (!str_equal(fleet_json_string(event, "category"), "config"))
			continue;
		found = event;
		(*ret_count)++;
	}
	return found;
}

/* Changes the file by hand, and has the host look until it tells of it. */
static void assert_only_told(struct fixture *f, const char *conf, const char *expected)
{
	struct json_object *event;
	size_t count = 0;

	fixture_write(f, "web.conf", conf);
	for (int i = 0; i < 100 && !config_event(f, &count); i++) {
		_cleanup_json_ struct json_object *status = NULL;

		fixture_send(f, fleet_message_new(FLEET_FRAME_STATUS_REQUEST));
		status = fixture_wait(f, "status");
		CU_ASSERT_PTR_NOT_NULL_FATAL(status);
		(void)poll(NULL, 0, 20); /* for the child that looks */
	}
	event = config_event(f, &count);
	if (count != 1)
		printf("# %s: %s\n", f->die_at ? f->die_at : "", json_object_to_json_string(f->events));
	CU_ASSERT_EQUAL_FATAL(count, 1);
	CU_ASSERT_STRING_EQUAL(message_of(event), expected);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(event, "appId"), "web");
	CU_ASSERT_PTR_NULL(fleet_json_string(event, "commandId"));
}

/* Until it knows the file as it is. */
static void look_once(struct fixture *f)
{
	_cleanup_free_ char *conf = xasprintf("%s/web.conf", f->dir), *record = NULL;
	char hex[FLEET_SHA256_HEX];

	fleet_sha256_hex(conf, strlen(conf), hex);
	record = xasprintf("%s/state/files/%s", f->dir, hex);
	for (int i = 0; i < 200 && access(record, F_OK) < 0; i++) {
		_cleanup_json_ struct json_object *status = NULL;

		fixture_send(f, fleet_message_new(FLEET_FRAME_STATUS_REQUEST));
		status = fixture_wait(f, "status");
		(void)poll(NULL, 0, 20);
	}
	CU_ASSERT_EQUAL(access(record, F_OK), 0);
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

static void test_what_cannot_be_done_ends_with_a_result(void)
{
	static const struct {
		const char *action, *app, *code, *message;
	} cases[] = {
		{"restart-app", "wbe", "app-not-found", "did you mean web?"},
		{"rollback-app", "web", "not-supported", "no binary_path"},
	};
	struct fixture f;

	begin(&f, "", "running");
	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_json_ struct json_object *payload =
			fixture_command(cases[i].action, cases[i].app, NULL);
		struct json_object *result;

		fixture_send_command(&f, payload);
		result = fixture_result(&f, fleet_json_string(payload, "commandId"));
		CU_ASSERT_PTR_NOT_NULL_FATAL(result);
		CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), cases[i].code);
		CU_ASSERT_PTR_NOT_NULL(strstr(message_of(result), cases[i].message));
	}
	fixture_done(&f);
}

static void test_status(void)
{
	struct fixture f;
	_cleanup_json_ struct json_object *answer = NULL;
	struct json_object *app, *file, *request = fleet_message_new(FLEET_FRAME_STATUS_REQUEST);
	_cleanup_free_ char *id = xstrdup(fleet_json_string(request, "id"));

	begin(&f, "", "running");
	fixture_send(&f, request);
	answer = fixture_wait(&f, "status");
	CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(answer, "refId"), id);
	app = json_object_array_get_idx(fleet_json_array(answer, "apps"), 0);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(app, "id"), "web");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(app, "status"), "running");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(app, "health"), "healthy");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(app, "version"), "1.2.3");
	CU_ASSERT_EQUAL(fleet_json_int(app, "pid", 0), 1007);
	file = json_object_array_get_idx(fleet_json_array(app, "files"), 0);
	CU_ASSERT_EQUAL(strlen(fleet_json_string(file, "hash")), 71);
	fixture_done(&f);
}

static void test_hanging_status_is_unknown(void)
{
	struct fixture f;
	_cleanup_json_ struct json_object *answer = NULL;
	struct json_object *app;

	fixture_init(&f);
	fixture_declare(&f, ", at: status, act: hang}");
	fixture_write(&f, "web.conf", CONF);
	fixture_write(&f, "once", "");
	fixture_set_state(&f, "web", "running", 7);
	fixture_start(&f);
	fixture_send(&f, fleet_message_new(FLEET_FRAME_STATUS_REQUEST));
	answer = fixture_wait(&f, "status");
	CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
	app = json_object_array_get_idx(fleet_json_array(answer, "apps"), 0);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(app, "status"), "unknown");
	CU_ASSERT_PTR_NOT_NULL(strstr(message_of(app), "host_fake"));
	fixture_done(&f);
}

/* ---- refusals ---- */

static void expect_refused(struct fixture *f, const char *jws, const char *code)
{
	struct json_object *frame = fleet_message_new(FLEET_FRAME_COMMAND);
	_cleanup_json_ struct json_object *refused = NULL;

	fleet_json_add_string(frame, "jws", jws);
	fixture_send(f, frame);
	refused = fixture_wait(f, "refused");
	CU_ASSERT_PTR_NOT_NULL_FATAL(refused);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(refused, "code"), code);
}

static void test_refusals_are_told_and_do_nothing(void)
{
	struct fixture f;
	_cleanup_json_ struct json_object *good = fixture_command("restart-app", "web", NULL);
	_cleanup_json_ struct json_object *foreign = fixture_command("restart-app", "web", NULL);
	_cleanup_json_ struct json_object *late = fixture_command("restart-app", "web", NULL);
	_cleanup_(fleet_jws_key_freep) struct fleet_jws_key *other = fleet_jws_key_new();
	_cleanup_free_ char *jws = NULL, *altered = NULL, *others = NULL, *wrong = NULL, *expired = NULL,
			    *calls = NULL;
	size_t events;

	begin(&f, "    health_check: {settle: 0}\n", "running");
	CU_ASSERT_EQUAL(fleet_jws_sign(f.key, good, &jws, NULL), 0);
	altered = xstrdup(jws);
	altered[strlen(altered) - 3] = altered[strlen(altered) - 3] == 'A' ? 'B' : 'A';
	CU_ASSERT_EQUAL(fleet_jws_sign(other, good, &others, NULL), 0);
	json_object_object_del(foreign, "agentId");
	fleet_json_add_string(foreign, "agentId", "agent-else");
	CU_ASSERT_EQUAL(fleet_jws_sign(f.key, foreign, &wrong, NULL), 0);
	json_object_object_del(late, "issuedAt");
	json_object_object_del(late, "expiresAt");
	fleet_json_add_time(late, "issuedAt", fleet_clock_wall_ms() - 700000);
	fleet_json_add_time(late, "expiresAt", fleet_clock_wall_ms() - 100000);
	CU_ASSERT_EQUAL(fleet_jws_sign(f.key, late, &expired, NULL), 0);
	expect_refused(&f, altered, "bad-signature");
	expect_refused(&f, others, "unknown-key");
	expect_refused(&f, wrong, "wrong-agent");
	expect_refused(&f, expired, "expired");
	expect_refused(&f, "not.a.jws", "malformed");
	calls = fixture_read(&f, "web.calls");
	CU_ASSERT_PTR_NULL(calls);
	/* once it is done; the second copy is refused, and its result told again */
	fixture_send_command(&f, good);
	CU_ASSERT_TRUE(succeeded(fixture_result(&f, fleet_json_string(good, "commandId"))));
	json_object_object_del(f.results, fleet_json_string(good, "commandId"));
	expect_refused(&f, jws, "duplicate");
	CU_ASSERT_PTR_NOT_NULL(fixture_result(&f, fleet_json_string(good, "commandId")));
	calls = fixture_read(&f, "web.calls");
	CU_ASSERT_STRING_EQUAL(calls, "restart\n");
	/* an event each: the pinned key and six refusals */
	while ((events = json_object_array_length(f.events)) < 7) {
		_cleanup_json_ struct json_object *event = fixture_wait(&f, "event");

		CU_ASSERT_PTR_NOT_NULL_FATAL(event);
	}
	CU_ASSERT_EQUAL(events, 7);
	fixture_done(&f);
}

static void test_bad_frames_are_answered(void)
{
	struct fixture f;
	_cleanup_json_ struct json_object *odd = NULL, *first = NULL, *second = NULL;
	struct json_object *bad;

	begin(&f, "", "running");
	bad = fleet_message_new(FLEET_FRAME_HELLO);
	json_object_object_del(bad, "type");
	fleet_json_add_string(bad, "type", "dance");
	fixture_send(&f, bad);
	first = fixture_wait(&f, "error");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(first, "code"), "unknown-type");
	bad = fleet_message_new(FLEET_FRAME_COMMAND);
	fixture_send(&f, bad);
	second = fixture_wait(&f, "error");
	CU_ASSERT_PTR_NOT_NULL(strstr(fleet_json_string(second, "message"), "$.jws"));
	fixture_done(&f);
}

/* Apps are read again at SIGHUP: what is new is described, what is broken is told, and the rest stays as it
 * is. */
static void test_reload(void)
{
	struct fixture f;
	_cleanup_json_ struct json_object *first = NULL, *second = NULL;

	begin(&f, "", "running");
	fixture_write(&f, "apps.d/more.yaml", "managed_apps: [{id: more, service_driver: host_fake}]\n");
	fixture_write(&f, "apps.d/zbad.yaml", "managed_apps: [{id: bad, servise_name: x}]\n");
	CU_ASSERT_EQUAL(kill(f.host, SIGHUP), 0);
	first = fixture_wait(&f, "description");
	CU_ASSERT_PTR_NOT_NULL_FATAL(first);
	CU_ASSERT_EQUAL(json_object_array_length(fleet_json_array(first, "apps")), 2);
	CU_ASSERT_EQUAL(json_object_array_length(fleet_json_array(first, "problems")), 1);
	CU_ASSERT_EQUAL(
		fleet_json_int(json_object_array_get_idx(fleet_json_array(first, "problems"), 0), "line", 0),
		1);
	fixture_write(&f, "apps.d/more.yaml", "# gone\n");
	fixture_write(&f, "apps.d/zbad.yaml", "# gone\n");
	CU_ASSERT_EQUAL(kill(f.host, SIGHUP), 0);
	second = fixture_wait(&f, "description");
	CU_ASSERT_EQUAL(json_object_array_length(fleet_json_array(second, "apps")), 1);
	CU_ASSERT_EQUAL(json_object_array_length(fleet_json_array(second, "problems")), 0);
	fixture_done(&f);
}

/* A host that knows its agent by another name than the console's commands have ends, for systemd to start it
 * anew. */
static void test_renamed_agent(void)
{
	struct fixture f;
	_cleanup_json_ struct json_object *first = NULL;

	begin(&f, "", "running");
	fixture_write(&f, "agent.env", "FLEET_AGENT_ID=" FIXTURE_AGENT "\n");
	CU_ASSERT_EQUAL(kill(f.host, SIGHUP), 0);
	first = fixture_wait(&f, "description");
	CU_ASSERT_PTR_NOT_NULL(first);
	fixture_write(&f, "agent.env", "FLEET_AGENT_ID=another\n");
	CU_ASSERT_EQUAL(kill(f.host, SIGHUP), 0);
	fixture_wait_for_death(&f);
	fixture_done(&f);
}

/* The kernel says who connects: root, the host's own user and the agent's, and nobody else. */
static void test_peers(void)
{
	struct fixture f;

	if (geteuid() != 0) {
		unit_skip("needs root to be somebody else");
		return;
	}
	fixture_init(&f);
	CU_ASSERT_EQUAL(chmod(f.dir, 0755), 0);
	fixture_listen(&f, 1234);
	CU_ASSERT_EQUAL(fixture_try_as(&f, 0), 1);
	CU_ASSERT_EQUAL(fixture_try_as(&f, 1234), 1);
	{
		char sock[128];

		snprintf(sock, sizeof(sock), "%s/sock", f.dir);
		CU_ASSERT_EQUAL(chmod(sock, 0666), 0); /* so that the mode is not what keeps it out */
	}
	CU_ASSERT_EQUAL(fixture_try_as(&f, 2345), 0);
	fixture_done(&f);
}

/* ---- death ---- */

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

int main(void)
{
	static const struct unit_test run[] = {UNIT_TEST(test_restart_succeeds),
		UNIT_TEST(test_restart_failures), UNIT_TEST(test_push_writes_and_restarts),
		UNIT_TEST(test_push_dry_run_and_hash), UNIT_TEST(test_dry_run_hides_secrets),
		UNIT_TEST(test_log_lines_hold_no_secret), UNIT_TEST(test_changes_outside_are_told),
		UNIT_TEST(test_push_refusals_write_nothing), UNIT_TEST(test_push_rolls_back),
		UNIT_TEST(test_push_to_failed_app_stays), UNIT_TEST(test_push_to_stopped_app_is_not_verified),
		UNIT_TEST(test_push_reload_and_none), UNIT_TEST(test_push_restores_an_earlier_file),
		UNIT_TEST(test_shared_file_restarts_every_app),
		UNIT_TEST(test_what_cannot_be_done_ends_with_a_result), UNIT_TEST(test_status),
		UNIT_TEST(test_hanging_status_is_unknown), UNIT_TEST(test_refusals_are_told_and_do_nothing),
		UNIT_TEST(test_bad_frames_are_answered), UNIT_TEST(test_reload),
		UNIT_TEST(test_renamed_agent), UNIT_TEST(test_peers), {0}};
	static const struct unit_test death[] = {UNIT_TEST(test_operation_dies), UNIT_TEST(test_host_dies),
		UNIT_TEST(test_death_at_each_step_of_a_push), UNIT_TEST(test_death_in_a_rollback),
		UNIT_TEST(test_results_are_told_until_stored), {0}};

	(void)signal(SIGPIPE, SIG_IGN);
	return unit_run((const struct unit_suite[]){{"host run", run}, {"host death", death}, {0}});
}
