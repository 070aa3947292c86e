/* The registry, with a clock that the test turns. */
#include "console/registry.h"
#include "fleet/log.h"
#include "test_console_fixture.h"

struct world {
	struct fixture f;
	struct store *store;
	struct events *events;
	struct registry registry;
	struct registry_time now;
	unsigned missed;
	int64_t silent_ms;
};

static void open_store(struct world *w, int64_t interval_ms)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL_FATAL(store_open(w->f.base, w->f.dir, &w->store, &err), 0);
	w->events = events_new(w->f.base);
	registry_init(&w->registry, w->store, w->events, interval_ms);
	CU_ASSERT_EQUAL_FATAL(registry_load(&w->registry, &err), 0);
}

static void close_store(struct world *w)
{
	registry_flush(&w->registry);
	store_close(w->store);
	registry_done(&w->registry);
	events_free(w->events);
}

static struct world *world_new(int64_t interval_ms)
{
	struct world *w = xcalloc(1, sizeof(*w));

	fixture_init(&w->f);
	w->now = (struct registry_time){1000000, 1800000000000};
	open_store(w, interval_ms);
	return w;
}

static void world_free(struct world *w)
{
	close_store(w);
	fixture_done(&w->f);
	free(w);
}

static void pass(struct world *w, int64_t ms)
{
	w->now.monotonic_ms += ms;
	w->now.wall_ms += ms;
}

static struct registration join(struct world *w, const char *id, const char *version, const char *spool)
{
	_cleanup_json_ struct json_object *m =
		json_tokener_parse("{\"hostname\":\"srv\",\"instanceId\":\"i\",\"apps\":[{\"id\":\"app-a\","
				   "\"status\":\"running\"}]}");
	struct registration r = {0};

	fleet_json_add_string(m, "agentVersion", version);
	fleet_json_add_string(m, "spoolId", spool);
	CU_ASSERT_EQUAL_FATAL(registry_register(&w->registry, id, m, w->now, &r), 0);
	return r;
}

static void beat(struct world *w, struct agent *agent, bool asked)
{
	_cleanup_json_ struct json_object *m =
		json_tokener_parse("{\"seq\":1,\"metrics\":{\"cpuPercent\":1.5}}");

	if (asked)
		fleet_json_add_string(m, "refId", "x");
	registry_heartbeat(&w->registry, agent, m, w->now);
}

static void on_missed(struct agent *agent, int64_t silent_ms, void *arg)
{
	struct world *w = arg;

	w->missed++;
	w->silent_ms = silent_ms;
	registry_offline(&w->registry, agent);
}

static void tick(struct world *w)
{
	registry_tick(&w->registry, w->now, on_missed, w);
}

static void test_three_missed_heartbeats_make_offline(void)
{
	struct world *w = world_new(10000);
	struct agent *agent = join(w, "agent-001", "1.0.0", "s").agent;

	CU_ASSERT(agent->online);
	for (int i = 0; i < 5; i++) {
		pass(w, 10000);
		beat(w, agent, false);
		tick(w);
	}
	pass(w, 29900);
	tick(w);
	CU_ASSERT_EQUAL(w->missed, 0);
	CU_ASSERT(agent->online);
	pass(w, 200);
	tick(w);
	CU_ASSERT_EQUAL(w->missed, 1);
	CU_ASSERT_EQUAL(w->silent_ms, 30100);
	CU_ASSERT(!agent->online);
	CU_ASSERT(!fleet_json_bool(agent->doc, "isOnline", true));
	CU_ASSERT_PTR_NULL(fleet_json_get(agent->doc, "connectedSince"));
	pass(w, 60000);
	tick(w);
	CU_ASSERT_EQUAL(w->missed, 1);
	world_free(w);
}

static void test_an_agents_own_pace_is_learned(void)
{
	struct world *w = world_new(0);
	struct agent *agent = join(w, "agent-001", "1.0.0", "s").agent;

	for (int beats = 0; beats <= REGISTRY_GAPS; beats++) { /* one a minute, and its pings between */
		beat(w, agent, false);
		for (int pings = 0; pings < 4; pings++) {
			pass(w, 15000);
			tick(w);
			registry_alive(&w->registry, agent, w->now);
		}
		beat(w, agent, true); /* asked for: says nothing of its pace */
	}
	CU_ASSERT_EQUAL(w->missed, 0);
	CU_ASSERT_EQUAL(agent->interval_ms, 60000);
	beat(w, agent, false);
	pass(w, 1000);
	beat(w, agent, false); /* one out of turn does not make it a quick one */
	CU_ASSERT_EQUAL(agent->interval_ms, 60000);
	pass(w, 179000);
	registry_alive(&w->registry, agent, w->now); /* now its heartbeats count, and nothing else */
	tick(w);
	CU_ASSERT_EQUAL(w->missed, 0);
	pass(w, 2000);
	tick(w);
	CU_ASSERT_EQUAL(w->missed, 1);
	world_free(w);
}

static void test_a_quick_agent_is_not_held_to_its_pace(void)
{
	struct world *w = world_new(0);
	struct agent *agent = join(w, "agent-001", "1.0.0", "s").agent;

	for (int beats = 0; beats <= REGISTRY_GAPS; beats++) {
		pass(w, 1000);
		beat(w, agent, false);
	}
	CU_ASSERT_EQUAL(agent->interval_ms, REGISTRY_INTERVAL_MIN_MS);
	world_free(w);
}

static void test_an_agent_that_hangs_from_the_start_is_offline(void)
{
	struct world *w = world_new(0);
	struct agent *agent = join(w, "agent-001", "1.0.0", "s").agent;

	beat(w, agent, false);
	pass(w, 29000);
	tick(w);
	CU_ASSERT_EQUAL(w->missed, 0);
	pass(w, 2000);
	tick(w);
	CU_ASSERT_EQUAL(w->missed, 1);
	world_free(w);
}

static void test_tells_what_a_registration_changed(void)
{
	struct world *w = world_new(10000);
	struct registration r = join(w, "agent-001", "1.0.0", "s1");

	CU_ASSERT(r.is_new);
	CU_ASSERT(!r.other_version && !r.other_machine && !r.other_spool);
	CU_ASSERT_EQUAL(r.offline_ms, 0);
	registry_offline(&w->registry, r.agent);
	pass(w, 480000);
	r = join(w, "agent-001", "1.0.0", "s1");
	CU_ASSERT(!r.is_new && !r.other_version && !r.other_machine && !r.other_spool);
	CU_ASSERT_EQUAL(r.offline_ms, 480000);
	r = join(w, "agent-001", "1.1.0", "s1");
	CU_ASSERT(r.other_version && !r.other_spool);
	r = join(w, "agent-001", "1.1.0", "s2");
	CU_ASSERT(!r.other_version && r.other_spool);
	world_free(w);
}

static void test_comes_back_from_the_store_offline(void)
{
	struct world *w = world_new(10000);
	struct agent *agent = join(w, "agent-001", "1.0.0", "s1").agent;
	struct registration r;

	beat(w, agent, false);
	(void)join(w, "agent-002", "1.0.0", "s2");
	close_store(w);
	open_store(w, 10000);
	CU_ASSERT_EQUAL(w->registry.agents.count, 2);
	agent = registry_get(&w->registry, "agent-001");
	CU_ASSERT_PTR_NOT_NULL_FATAL(agent);
	CU_ASSERT(!agent->online);
	CU_ASSERT(!fleet_json_bool(agent->doc, "isOnline", true));
	CU_ASSERT_PTR_NULL(fleet_json_get(agent->doc, "connectedSince"));
	CU_ASSERT_PTR_NOT_NULL(agent_app(agent, "app-a"));
	CU_ASSERT_PTR_NOT_NULL(fleet_json_object(agent->doc, "metrics"));
	pass(w, 60000);
	r = join(w, "agent-001", "1.0.0", "s3");
	CU_ASSERT(!r.is_new);
	CU_ASSERT(r.other_spool); /* known across the restart */
	CU_ASSERT_EQUAL(r.offline_ms, 60000);
	world_free(w);
}

static void test_suggests_the_nearest(void)
{
	struct world *w = world_new(10000);
	struct agent *agent;

	CU_ASSERT_PTR_NULL(registry_suggest(&w->registry, "agent-001"));
	agent = join(w, "agent-001", "1.0.0", "s1").agent;
	CU_ASSERT_STRING_EQUAL(registry_suggest(&w->registry, "agnt-001"), "agent-001");
	CU_ASSERT_PTR_NULL(registry_suggest(&w->registry, "something-else"));
	CU_ASSERT_STRING_EQUAL(agent_suggest_app(agent, "app-b"), "app-a");
	CU_ASSERT_PTR_NULL(agent_app(agent, "app-b"));
	world_free(w);
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_three_missed_heartbeats_make_offline),
	UNIT_TEST(test_an_agents_own_pace_is_learned),
	UNIT_TEST(test_a_quick_agent_is_not_held_to_its_pace),
	UNIT_TEST(test_an_agent_that_hangs_from_the_start_is_offline),
	UNIT_TEST(test_tells_what_a_registration_changed),
	UNIT_TEST(test_comes_back_from_the_store_offline),
	UNIT_TEST(test_suggests_the_nearest),
	{0},
};

int main(void)
{
	fleet_log_init("test", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	return unit_run((const struct unit_suite[]){{"registry", tests}, {0}});
}
