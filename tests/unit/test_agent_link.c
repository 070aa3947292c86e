/* The link to the console, against a real hub on loopback: the table of waits, refusals, silence, goodbye.
 * Waits are asked for and recorded, not sat out. */
#include "agent/link.h"
#include "fleet/backoff.h"
#include "fleet/clock.h"
#include "fleet/ids.h"
#include "fleet/log.h"
#include "test_agent_hub.h"
#include "test_agent_loop.h"
#include "unit.h"

static struct event_base *base;
static struct {
	int opened, lost, lost_open, closed, messages;
	char why[512];
	int64_t waits[64];
	size_t wait_count;
} seen;
static struct link *the_link;
static int64_t steady_ms; /* what fresh_link asks for */
static bool registers;    /* calls link_registered as soon as the link opens */

static void on_opened(void *arg FLEET_UNUSED)
{
	seen.opened++;
	if (registers)
		link_registered(the_link);
}

static void on_message(const char *text FLEET_UNUSED, size_t len FLEET_UNUSED, void *arg FLEET_UNUSED)
{
	seen.messages++;
}

static void on_lost(bool was_open, const char *why, int64_t retry_ms FLEET_UNUSED, void *arg FLEET_UNUSED)
{
	seen.lost++;
	seen.lost_open += was_open;
	(void)snprintf(seen.why, sizeof(seen.why), "%s", why);
}

static void on_closed(void *arg FLEET_UNUSED)
{
	seen.closed++;
}

static const struct link_events events = {
	.opened = on_opened, .message = on_message, .lost = on_lost, .closed = on_closed};

/* Notes the wait and makes it a short one. */
static int64_t note_wait(int64_t wait_ms)
{
	if (seen.wait_count < FLEET_ARRAY_LEN(seen.waits))
		seen.waits[seen.wait_count++] = wait_ms;
	return 1;
}

static void fresh_link(const char *url, const char *key, int64_t idle_ping_ms, int64_t dead_ms)
{
	struct link_options options = {.console_url = url,
		.agent_id = "agent-001",
		.api_key = key,
		.agent_version = "1.2.3",
		.idle_ping_ms = idle_ping_ms,
		.dead_ms = dead_ms,
		.connect_timeout_ms = 5000,
		.steady_ms = steady_ms,
		.wait_ms = note_wait};

	memset(&seen, 0, sizeof(seen));
	registers = true;
	CU_ASSERT_EQUAL_FATAL(link_new(base, &options, &events, NULL, &the_link, NULL), 0);
}

static void end_link(void)
{
	link_free(the_link);
	the_link = NULL;
}

/* The contract's 5.3, with at most 20 % on top, and 1 s on the first. */
static bool wait_fits(int64_t wait_ms, unsigned attempt)
{
	static const int64_t table[] = {0, 2000, 5000, 10000, 30000};
	int64_t wanted = table[attempt < 4 ? attempt : 4];

	return wait_ms >= wanted && wait_ms <= wanted + (attempt == 0 ? 1000 : wanted / 5);
}

static bool waits_fit(size_t from, size_t count, unsigned attempt)
{
	for (size_t i = 0; i < count; i++) {
		if (!wait_fits(seen.waits[from + i], attempt + (unsigned)i)) {
			printf("# wait %zu was %lld ms\n", from + i, (long long)seen.waits[from + i]);
			return false;
		}
	}
	return true;
}

static void test_waits_by_the_table_while_nobody_listens(void)
{
	struct hub hub = {0};

	steady_ms = 1;
	CU_ASSERT_TRUE_FATAL(hub_listen(&hub, base, 0));
	hub_vanish(&hub); /* a port where nobody listens */
	fresh_link(hub.url, NULL, 0, 0);
	link_start(the_link);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.lost >= 7));
	CU_ASSERT_EQUAL(seen.lost_open, 0);
	CU_ASSERT_TRUE(waits_fit(0, 8, 0));
	CU_ASSERT_FALSE(link_is_open(the_link));
	CU_ASSERT_EQUAL(link_send(the_link, fleet_message_new(FLEET_MESSAGE_HEARTBEAT)), -ENOTCONN);
	/* The console is back: the same link finds it, and the table begins anew. */
	CU_ASSERT_TRUE_FATAL(hub_listen(&hub, base, hub.port));
	CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.opened == 1));
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hub.opened == 1));
	seen.wait_count = 0;
	loop_for(base, 10);
	hub_vanish(&hub);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.lost_open == 1 && seen.wait_count >= 3));
	CU_ASSERT_TRUE(waits_fit(0, 3, 0));
	end_link();
	hub_done(&hub);
}

static void check_not_hammered(bool takes_registrations)
{
	struct hub hub = {0};

	CU_ASSERT_TRUE_FATAL(hub_listen(&hub, base, 0));
	steady_ms = takes_registrations ? 60000 : 1;
	fresh_link(hub.url, NULL, 0, 0);
	registers = takes_registrations;
	link_start(the_link);
	for (int i = 1; i <= 4; i++) {
		CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.opened == i && hub.ws));
		fleet_ws_close(hub.ws, 1011, "not today");
		CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.lost_open == i));
	}
	CU_ASSERT_TRUE(waits_fit(0, 5, 0));
	CU_ASSERT_PTR_NOT_NULL(strstr(seen.why, "not today"));
	end_link();
	hub_done(&hub);
}

static void test_a_console_that_throws_us_out_is_not_hammered(void)
{
	check_not_hammered(false);
	check_not_hammered(true);
}

static void test_refusals_are_explained(void)
{
	static const struct {
		int status;
		const char *key, *says;
		bool long_wait;
	} cases[] = {
		{401, NULL, "FLEET_API_KEY is not set", true},
		{401, "wrong", "check FLEET_API_KEY", true},
		{403, "another", "check FLEET_API_KEY", true},
		{409, "key", "another agent is connected under this id", false},
		{404, "key", "no fleet console", false},
		{426, "key", "no fleet console", false},
		{503, "key", "answered 503", false},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct hub hub = {.refuse_status = cases[i].status};

		CU_ASSERT_TRUE_FATAL(hub_listen(&hub, base, 0));
		fresh_link(hub.url, cases[i].key, 0, 0);
		link_start(the_link);
		CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.lost >= 3));
		if (!strstr(seen.why, cases[i].says))
			printf("# %d: %s\n", cases[i].status, seen.why);
		CU_ASSERT_PTR_NOT_NULL(strstr(seen.why, cases[i].says));
		CU_ASSERT_PTR_NOT_NULL(strstr(seen.why, "refused by the test"));
		if (cases[i].long_wait) { /* from the first refusal on */
			CU_ASSERT(wait_fits(seen.waits[1], 4) && wait_fits(seen.waits[2], 4));
		} else {
			CU_ASSERT_TRUE(waits_fit(0, 3, 0));
		}
		end_link();
		hub_done(&hub);
	}
}

static void test_says_who_it_is(void)
{
	struct hub hub = {0};

	CU_ASSERT_TRUE_FATAL(hub_listen(&hub, base, 0));
	fresh_link(hub.url, "secret", 0, 0);
	link_start(the_link);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.opened == 1 && hub.opened == 1));
	CU_ASSERT_STRING_EQUAL(hub.agent_id, "agent-001");
	CU_ASSERT_STRING_EQUAL(hub.authorization, "Bearer secret");
	hub_send(&hub, fleet_message_new(FLEET_MESSAGE_REQUEST_HEARTBEAT));
	CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.messages == 1));
	end_link();
	hub_done(&hub);
}

/* Pings keep a healthy but wordless connection; they are what the hub's side hears. */
static void test_pings_when_idle(void)
{
	struct hub hub = {0};
	int64_t heard;

	CU_ASSERT_TRUE_FATAL(hub_listen(&hub, base, 0));
	fresh_link(hub.url, NULL, 60, 2000);
	link_start(the_link);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.opened == 1 && hub.ws));
	heard = fleet_ws_last_heard_ms(hub.ws);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, fleet_ws_last_heard_ms(hub.ws) > heard));
	loop_for(base, 2500); /* longer than an unanswered silence may last */
	CU_ASSERT_EQUAL(seen.lost, 0);
	CU_ASSERT_TRUE(link_is_open(the_link));
	end_link();
	hub_done(&hub);
}

static void test_notices_a_dead_console(void)
{
	struct hub hub = {0};

	CU_ASSERT_TRUE_FATAL(hub_listen(&hub, base, 0));
	fresh_link(hub.url, NULL, 100, 300);
	link_start(the_link);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.opened == 1 && hub.ws));
	/* Its process is stopped: nothing of this loop's hub is read for a while. */
	for (int64_t end = fleet_clock_monotonic_ms() + 400; fleet_clock_monotonic_ms() < end;)
		usleep(1000);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.lost_open == 1));
	CU_ASSERT_PTR_NOT_NULL(strstr(seen.why, "did not answer for"));
	CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.opened == 2)); /* and it is tried again */
	end_link();
	hub_done(&hub);
}

static void test_leaves_with_a_goodbye(void)
{
	struct hub hub = {0};

	CU_ASSERT_TRUE_FATAL(hub_listen(&hub, base, 0));
	fresh_link(hub.url, NULL, 0, 0);
	link_start(the_link);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.opened == 1 && hub.ws));
	link_close(the_link, "the agent is stopping");
	CU_ASSERT_FALSE(link_is_open(the_link));
	CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.closed == 1 && hub.closed == 1));
	CU_ASSERT_EQUAL(hub.close_code, 1001);
	CU_ASSERT_STRING_EQUAL(hub.closed_reason, "the agent is stopping");
	loop_for(base, 50);
	CU_ASSERT_EQUAL(hub.handshakes, 1);
	end_link();
	hub_vanish(&hub);
	fresh_link(hub.url, NULL, 0, 0); /* nothing connected: over at once */
	link_start(the_link);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.lost >= 1));
	link_close(the_link, "bye");
	CU_ASSERT_EQUAL(seen.closed, 1);
	end_link();
	hub_done(&hub);
}

static void test_owner_may_drop(void)
{
	struct hub hub = {0};

	CU_ASSERT_TRUE_FATAL(hub_listen(&hub, base, 0));
	fresh_link(hub.url, NULL, 0, 0);
	link_start(the_link);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.opened == 1 && hub.ws));
	link_drop(the_link, "no answer to our registration");
	CU_ASSERT_EQUAL(seen.lost_open, 1);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.opened == 2));
	end_link();
	hub_done(&hub);
}

/* Names are resolved without blocking; one that does not exist is a failure like any other. */
static void test_resolves_names(void)
{
	struct hub hub = {0};
	char url[64];

	CU_ASSERT_TRUE_FATAL(hub_listen(&hub, base, 0));
	(void)snprintf(url, sizeof(url), "http://localhost:%u", hub.port);
	fresh_link(url, NULL, 0, 0);
	link_start(the_link);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.opened == 1));
	end_link();
	hub_done(&hub);
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_waits_by_the_table_while_nobody_listens),
	UNIT_TEST(test_a_console_that_throws_us_out_is_not_hammered),
	UNIT_TEST(test_refusals_are_explained),
	UNIT_TEST(test_says_who_it_is),
	UNIT_TEST(test_pings_when_idle),
	UNIT_TEST(test_notices_a_dead_console),
	UNIT_TEST(test_leaves_with_a_goodbye),
	UNIT_TEST(test_owner_may_drop),
	UNIT_TEST(test_resolves_names),
	{0},
};

int main(void)
{
	int r;

	fleet_log_init("test", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	base = event_base_new();
	r = unit_run((const struct unit_suite[]){{"agent_link", tests}, {0}});
	event_base_free(base);
	return r;
}
