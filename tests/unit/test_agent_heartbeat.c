/* Heartbeats: what they say of apps, and that no host holds them up. */
#include "agent/heartbeat.h"
#include "fleet/message.h"
#include "test_agent_loop.h"
#include "unit.h"

static struct event_base *base;
static struct {
	bool host_present;
	int asked;
	struct fleet_uuid last_asked;
	int sent;
	struct json_object *last; /* owned */
	bool invalid;
} seen;

static int ask(struct fleet_uuid *ret_id, void *arg FLEET_UNUSED)
{
	if (!seen.host_present)
		return -ENOTCONN;
	seen.asked++;
	seen.last_asked = *ret_id = fleet_uuid_new();
	return 0;
}

static void take(struct json_object *takes_message, void *arg FLEET_UNUSED)
{
	_cleanup_json_ struct json_object *copy = NULL;
	enum fleet_message_type type;
	struct fleet_error err = FLEET_ERROR_INIT;
	size_t len;
	const char *text = fleet_json_text(takes_message, &len);

	if (fleet_message_parse(text, len, FLEET_AGENT_TO_CONSOLE, &type, &copy, &err) < 0) {
		printf("# %s\n", err.message);
		seen.invalid = true;
	}
	seen.sent++;
	json_object_put(seen.last);
	seen.last = takes_message;
}

static const struct heartbeat_ops ops = {.ask = ask, .send = take};

static struct heartbeat *fresh(int64_t patience_ms, bool host_present)
{
	json_object_put(seen.last);
	memset(&seen, 0, sizeof(seen));
	seen.host_present = host_present;
	return heartbeat_new(base, patience_ms, &ops, NULL);
}

static struct json_object *apps(const char *id, const char *status)
{
	struct json_object *list = json_object_new_array(), *app = json_object_new_object();

	fleet_json_add_string(app, "id", id);
	fleet_json_add_string(app, "status", status);
	if (status) {
		fleet_json_add_string(app, "version", "2.0.0");
		fleet_json_add_int(app, "pid", 42);
	}
	json_object_array_add(list, app);
	return list;
}

static struct json_object *last_app(void)
{
	struct json_object *list = fleet_json_array(seen.last, "apps");

	CU_ASSERT_PTR_NOT_NULL_FATAL(list);
	CU_ASSERT_EQUAL_FATAL(json_object_array_length(list), 1);
	return json_object_array_get_idx(list, 0);
}

static void end(struct heartbeat *h)
{
	CU_ASSERT_FALSE(seen.invalid);
	heartbeat_free(h);
	json_object_put(seen.last);
	seen.last = NULL;
}

static void test_says_what_the_host_says(void)
{
	_cleanup_json_ struct json_object *status = apps("app-a", "running");
	struct heartbeat *h = fresh(0, true);

	heartbeat_start(h, 60000);
	CU_ASSERT(seen.asked == 1 && seen.sent == 0);
	heartbeat_status(h, fleet_uuid_new().text, status); /* not the answer to ours */
	CU_ASSERT_EQUAL(seen.sent, 0);
	heartbeat_status(h, seen.last_asked.text, status);
	CU_ASSERT_EQUAL_FATAL(seen.sent, 1);
	CU_ASSERT_EQUAL(fleet_json_int(seen.last, "seq", 0), 1);
	CU_ASSERT_PTR_NOT_NULL(fleet_json_object(seen.last, "metrics"));
	CU_ASSERT_PTR_NULL(fleet_json_string(seen.last, "refId"));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(last_app(), "status"), "running");
	CU_ASSERT_EQUAL(fleet_json_int(last_app(), "pid", 0), 42);
	heartbeat_status(h, seen.last_asked.text, status); /* the same answer twice */
	CU_ASSERT_EQUAL(seen.sent, 1);
	end(h);
}

static void test_goes_out_without_a_host(void)
{
	_cleanup_json_ struct json_object *described = apps("app-a", NULL);
	struct heartbeat *h = fresh(0, false);

	heartbeat_set_apps(h, described);
	heartbeat_start(h, 60000);
	CU_ASSERT_EQUAL_FATAL(seen.sent, 1);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(last_app(), "id"), "app-a");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(last_app(), "status"), "unknown");
	CU_ASSERT_PTR_NOT_NULL(strstr(fleet_json_string(last_app(), "message"), "driver host"));
	end(h);
}

static void test_goes_out_when_the_host_is_late_and_again_with_the_truth(void)
{
	_cleanup_json_ struct json_object *status = apps("app-a", "running"),
					  *later = apps("app-a", "failed");
	struct heartbeat *h = fresh(50, true);
	int asked;

	heartbeat_start(h, 400);
	heartbeat_status(h, seen.last_asked.text, status);
	CU_ASSERT_EQUAL(seen.sent, 1);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.sent == 2));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(last_app(), "status"), "unknown");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(last_app(), "version"), "2.0.0"); /* what is known stays */
	CU_ASSERT_PTR_NULL(fleet_json_get(last_app(), "pid")); /* what may be wrong does not */
	CU_ASSERT_PTR_NOT_NULL(strstr(fleet_json_string(last_app(), "message"), "in time"));
	asked = seen.asked;
	CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.sent == 3)); /* a slow host is not asked twice */
	CU_ASSERT_EQUAL(seen.asked, asked);
	heartbeat_status(h, seen.last_asked.text, later);
	CU_ASSERT_EQUAL(seen.sent, 4);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(last_app(), "status"), "failed");
	end(h);
}

static void test_answers_requests_with_their_id(void)
{
	_cleanup_json_ struct json_object *status = apps("app-a", "running");
	struct fleet_uuid one = fleet_uuid_new(), two = fleet_uuid_new();
	struct heartbeat *h = fresh(0, true);
	int accepted = 0;

	heartbeat_start(h, 60000);
	heartbeat_status(h, seen.last_asked.text, status);
	CU_ASSERT_EQUAL(heartbeat_request(h, one.text), 0);
	CU_ASSERT_EQUAL(heartbeat_request(h, two.text), 0);
	CU_ASSERT_EQUAL(seen.asked, 2); /* one question for both */
	heartbeat_status(h, seen.last_asked.text, status);
	CU_ASSERT_EQUAL(seen.sent, 3);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(seen.last, "refId"), two.text);
	CU_ASSERT_EQUAL(fleet_json_int(seen.last, "seq", 0), 3);
	while (accepted < 1000 && heartbeat_request(h, one.text) == 0)
		accepted++;
	CU_ASSERT(accepted > 0 && accepted < 1000);
	heartbeat_host_lost(h, "it crashed"); /* nobody waits for a host that is gone */
	CU_ASSERT_EQUAL(seen.sent, 3 + accepted);
	CU_ASSERT_PTR_NOT_NULL(strstr(fleet_json_string(last_app(), "message"), "it crashed"));
	end(h);
}

static void test_stops_and_counts_anew(void)
{
	_cleanup_json_ struct json_object *status = apps("app-a", "running");
	struct heartbeat *h = fresh(0, true);
	int sent;

	heartbeat_start(h, 20);
	heartbeat_status(h, seen.last_asked.text, status);
	heartbeat_stop(h);
	sent = seen.sent;
	loop_for(base, 80);
	CU_ASSERT_EQUAL(seen.sent, sent);
	heartbeat_start(h, 60000);
	heartbeat_status(h, seen.last_asked.text, status);
	CU_ASSERT_EQUAL(fleet_json_int(seen.last, "seq", 0), 1);
	end(h);
}

static void test_described_apps_replace_the_old(void)
{
	_cleanup_json_ struct json_object *status = apps("app-a", "running"),
					  *described = apps("app-b", NULL), *now = NULL;
	struct heartbeat *h = fresh(0, true);

	heartbeat_start(h, 60000);
	heartbeat_status(h, seen.last_asked.text, status);
	heartbeat_set_apps(h, described);
	now = heartbeat_apps(h);
	CU_ASSERT_EQUAL_FATAL(json_object_array_length(now), 1);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(json_object_array_get_idx(now, 0), "id"), "app-b");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(json_object_array_get_idx(now, 0), "status"), "unknown");
	end(h);
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_says_what_the_host_says),
	UNIT_TEST(test_goes_out_without_a_host),
	UNIT_TEST(test_goes_out_when_the_host_is_late_and_again_with_the_truth),
	UNIT_TEST(test_answers_requests_with_their_id),
	UNIT_TEST(test_stops_and_counts_anew),
	UNIT_TEST(test_described_apps_replace_the_old),
	{0},
};

int main(void)
{
	int r;

	base = event_base_new();
	r = unit_run((const struct unit_suite[]){{"agent_heartbeat", tests}, {0}});
	event_base_free(base);
	return r;
}
