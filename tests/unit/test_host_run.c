/* The driver host end to end, over its socket: restarts, what it tells of its apps, whom it refuses and
 * listens to. The drivers are fakes that misbehave on demand; everything else is real. */
#include <sys/stat.h>
#include "host_web.h"
#include "fleet/clock.h"

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

/* The driver broke down between stop and start: the app is not left down, and what is told is so. */
static void test_restart_leaves_no_app_down(void)
{
	static const struct {
		const char *options, *before, *conf, *message, *state;
	} cases[] = {
		{", at: restart, act: crash", "running", "", "; it was left stopped, and was started again",
			"running"},
		{", at: restart, act: exit", "running", "", "; it was left stopped, and was started again",
			"running"},
		{", at: restart, act: crash", "running", "crash=yes\n",
			"; it was left stopped, and does not come up: exited 1", "failed"},
		{", at: restart, act: crash", "stopped", "", "crashed (SIGSEGV) in restart", "stopped"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *options = xasprintf("%s}", cases[i].options);

		fixture_init(&f);
		fixture_declare(&f, options);
		fixture_write(&f, "web.conf", cases[i].conf);
		fixture_write(&f, "once", "");
		fixture_set_state(&f, "web", cases[i].before, 7);
		fixture_start(&f);
		result = fixture_run(&f, "restart-app", NULL);
		CU_ASSERT_FALSE(fleet_json_bool(result, "success", true));
		CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), "driver-failed");
		CU_ASSERT_PTR_NOT_NULL(strstr(message_of(result), cases[i].message));
		if (!strstr(message_of(result), cases[i].message))
			printf("# case %zu: %s\n", i, message_of(result));
		CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "appStatus"), cases[i].state);
		fixture_done(&f);
	}
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

static const struct unit_test tests[] = {
	UNIT_TEST(test_restart_succeeds),
	UNIT_TEST(test_restart_failures),
	UNIT_TEST(test_restart_leaves_no_app_down),
	UNIT_TEST(test_what_cannot_be_done_ends_with_a_result),
	UNIT_TEST(test_status),
	UNIT_TEST(test_hanging_status_is_unknown),
	UNIT_TEST(test_refusals_are_told_and_do_nothing),
	UNIT_TEST(test_bad_frames_are_answered),
	UNIT_TEST(test_reload),
	UNIT_TEST(test_renamed_agent),
	UNIT_TEST(test_peers),
	{0},
};

int main(void)
{
	(void)signal(SIGPIPE, SIG_IGN);
	return unit_run((const struct unit_suite[]){{"host run", tests}, {0}});
}
