/* What wrong credentials of agents cost, and whom: at the hub, where they join, and where they get releases.
 * (Those of people: test_console_logins.c.) */
#include "test_console_world.h"

static const char settings[] = "api_keys: [{name: chosen, role: admin, key: password}]\n"
			       "agent_keys:\n"
			       "  - {agent_id: web-1, key: key-of-web-1}\n"
			       "  - {agent_id: web-2, key: key-of-web-2}\n";
static const char made_key[] = "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE";

static void fail(struct logins *logins, const char *address, const char *agent_id, int64_t now_ms)
{
	logins_agent_failed(
		logins, &(struct login_refusal){"agent", agent_id, address, "agent refused", "x"}, now_ms);
}

/* --- waiting ----------------------------------------------------------------------------------------- */

static void test_an_agent_waits_alone(void)
{
	struct logins logins;
	int64_t now_ms = 1000;

	logins_init(&logins, NULL);
	for (int i = 0; i < FLEET_LOGIN_TRIES; i++)
		fail(&logins, "192.0.2.1", "bad", now_ms);
	CU_ASSERT_EQUAL(logins_agent_wait_ms(&logins, "192.0.2.1", "bad", now_ms), 0);
	for (int64_t wait_s = 1; wait_s < 100; wait_s *= 2) {
		fail(&logins, "192.0.2.1", "bad", now_ms);
		CU_ASSERT_EQUAL(logins_agent_wait_ms(&logins, "192.0.2.1", "bad", now_ms),
			1000 * (wait_s < FLEET_LOGIN_AGENT_WAIT_S ? wait_s : FLEET_LOGIN_AGENT_WAIT_S));
	}
	/* its neighbours do not pay, nor people behind the same address, nor itself from elsewhere */
	CU_ASSERT_EQUAL(logins_agent_wait_ms(&logins, "192.0.2.1", "good", now_ms), 0);
	CU_ASSERT_EQUAL(logins_wait_ms(&logins, "192.0.2.1", now_ms), 0);
	CU_ASSERT_EQUAL(logins_agent_wait_ms(&logins, "192.0.2.2", "bad", now_ms), 0);
	/* nor does it pay for people */
	for (int i = 0; i < 10; i++)
		logins_failed(&logins, "192.0.2.1", NULL, "x", now_ms);
	CU_ASSERT_EQUAL(logins_agent_wait_ms(&logins, "192.0.2.1", "good", now_ms), 0);
	/* and when it is the one after all, it has paid */
	logins_agent_came(&logins, "192.0.2.1", "bad");
	CU_ASSERT_EQUAL(logins_agent_wait_ms(&logins, "192.0.2.1", "bad", now_ms), 0);
	fail(&logins, "192.0.2.1", "bad", now_ms);
	CU_ASSERT_EQUAL(logins_agent_wait_ms(&logins, "192.0.2.1", "bad", now_ms), 0);
	now_ms += 2 * FLEET_LOGIN_MEMORY_S * INT64_C(1000);
	logins_tick(&logins, now_ms);
	logins_tick(&logins, now_ms);
	CU_ASSERT_EQUAL(logins.agents.count + logins.by_text.count, 0);
	logins_done(&logins);
}

/* Whoever invents agentIds has only so many tries with each, and takes no place from others. */
static void test_names_of_one_address_are_bounded(void)
{
	struct logins logins;
	char name[32];

	logins_init(&logins, NULL);
	for (int i = 0; i < 10 * FLEET_LOGIN_AGENTS_APART; i++) {
		(void)snprintf(name, sizeof(name), "agent-%d", i);
		fail(&logins, "192.0.2.1", name, 0);
	}
	CU_ASSERT_EQUAL(logins.agents.count, FLEET_LOGIN_AGENTS_APART);
	CU_ASSERT(logins_agent_wait_ms(&logins, "192.0.2.1", "one-more", 0) > 0);
	CU_ASSERT_EQUAL(logins_agent_wait_ms(&logins, "192.0.2.1", "agent-0", 0), 0);
	CU_ASSERT_EQUAL(logins_agent_wait_ms(&logins, "192.0.2.2", "one-more", 0), 0);
	/* nor do many addresses together */
	for (int i = 0; i < 2 * FLEET_LOGIN_ADDRESSES_MAX; i++) {
		(void)snprintf(name, sizeof(name), "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
		fail(&logins, name, "a", 0);
		fail(&logins, name, "b", 0);
	}
	CU_ASSERT_EQUAL(logins.agents.count, FLEET_LOGIN_AGENTS_MAX);
	CU_ASSERT_EQUAL(logins.by_text.count, FLEET_LOGIN_ADDRESSES_MAX);
	CU_ASSERT(logins_agent_wait_ms(&logins, "172.16.0.1", "a", 0) > 0);
	CU_ASSERT(logins_agent_wait_ms(&logins, "172.16.0.1", "a", 0) <= FLEET_LOGIN_AGENT_WAIT_S * 1000);
	/* all of it is forgotten */
	for (int64_t later_ms = 0; later_ms < 3; later_ms++)
		logins_tick(&logins, 2 * FLEET_LOGIN_MEMORY_S * INT64_C(1000) + later_ms);
	CU_ASSERT_EQUAL(logins.agents.count + logins.by_text.count, 0);
	logins_done(&logins);
}

/* --- the hub ----------------------------------------------------------------------------------------- */

/* 101 as 0, else why not. */
static int knock(struct world *w, const char *id, const char *key)
{
	struct fake_agent a;
	int status;

	agent_connect(&a, w, id, key);
	status = a.open ? 0 : a.end.http_status;
	agent_done(&a);
	while (hub_count(w->console->hub) > 0)
		(void)event_base_loop(w->f.base, EVLOOP_ONCE);
	return status;
}

/* One that has joined, and was given a key. */
static void let_in(struct world *w, const char *id)
{
	struct member *m = member_new(id);
	struct credential credential = {.kind = CREDENTIAL_KEY};

	m->joined_ms = 1;
	fleet_sha256(made_key, strlen(made_key), credential.id);
	member_add_credential(m, &credential);
	members_put(&w->console->members, m);
}

static void guess(struct world *w, const char *id)
{
	int wrong = 0, slowed = 0;

	for (int i = 0; i < 30; i++) {
		_cleanup_free_ char *key = xasprintf("key-of-web-1%d", i);
		int status = knock(w, id, key);

		wrong += status == 401;
		slowed += status == 429;
	}
	CU_ASSERT_EQUAL(wrong, FLEET_LOGIN_TRIES + 1);
	CU_ASSERT_EQUAL(wrong + slowed, 30);
}

static int count_told(struct world *w, const char *category, const char *message)
{
	_cleanup_free_ char *path = xasprintf("/api/audit?limit=1000&category=%s", category);
	int count = 0;

	CU_ASSERT_EQUAL(
		world_ask(w, "GET", path, NULL, (const char *[]){"Authorization", "Bearer password", NULL}),
		200);
	for (size_t i = 0; w->json && i < json_object_array_length(w->json); i++) {
		const char *text = fleet_json_string(json_object_array_get_idx(w->json, i), "message");

		count += text && str_starts(text, message);
	}
	return count;
}

static void test_the_hub_slows_who_guesses_and_nobody_else(void)
{
	struct world *w = world_new(settings);

	CU_ASSERT_EQUAL(knock(w, "web-1", "key-of-web-1"), 0);
	let_in(w, "db-1");
	guess(w, "web-1");
	/* the right one is not found out meanwhile; a neighbour's is heard */
	CU_ASSERT_EQUAL(knock(w, "web-1", "key-of-web-1"), 429);
	CU_ASSERT_EQUAL(knock(w, "web-2", "key-of-web-2"), 0);
	CU_ASSERT_EQUAL(count_told(w, "agent", "agent refused: no valid key"), 1);
	/* what the console made cannot be guessed: it is heard whoever has tried */
	guess(w, "db-1");
	CU_ASSERT_EQUAL(knock(w, "db-1", NULL), 429);
	CU_ASSERT_EQUAL(knock(w, "db-1", made_key), 0);
	/* nor is another's key found out by saying who one is not: each such try counts as well */
	for (int i = 0; i <= FLEET_LOGIN_TRIES; i++)
		CU_ASSERT_EQUAL(knock(w, "nobody", "key-of-web-2"), 403);
	CU_ASSERT_EQUAL(knock(w, "nobody", "key-of-web-2"), 429);
	CU_ASSERT_EQUAL(knock(w, "nobody", made_key), 429);
	/* a person waits for none of it */
	CU_ASSERT_EQUAL(count_told(w, "agent", "agent refused"), 3);
	auth_flush(&w->console->auth);
	CU_ASSERT_EQUAL(count_told(w, "access", "67 more attempts were refused within a minute"), 1);
	world_free(w);
}

/* The file of a release is the other thing that an agent's key opens, so that keys could be tried there. */
static void test_releases_do_not_tell_whose_key_it_is(void)
{
	static const char path[] = "/api/artifacts/0193587a-1111-7000-8000-0000007c31e0/file";
	struct world *w = world_new(settings);
	const char *headers[] = {"Authorization", "Bearer key-of-web-1", NULL};

	let_in(w, "db-1");
	CU_ASSERT_EQUAL(world_ask(w, "GET", path, NULL, headers), 404);
	for (int i = 0; i < 30; i++) {
		_cleanup_free_ char *wrong = xasprintf("Bearer key-of-web-1%d", i);
		int status = world_ask(w, "GET", path, NULL, (const char *[]){"Authorization", wrong, NULL});

		CU_ASSERT_EQUAL(status, i <= FLEET_LOGIN_TRIES ? 401 : 429);
	}
	CU_ASSERT_EQUAL(world_ask(w, "GET", path, NULL, headers), 429);
	headers[1] = "Bearer Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE";
	CU_ASSERT_EQUAL(world_ask(w, "GET", path, NULL, headers), 404);
	world_free(w);
}

/* --- joining ----------------------------------------------------------------------------------------- */

static int join_as(struct world *w, const char *id, const char *token)
{
	_cleanup_free_ char *path = xasprintf("/api/join?agentId=%s", id),
			    *bearer = xasprintf("Bearer %s", token);

	return world_ask(w, "GET", path, NULL, (const char *[]){"Authorization", bearer, NULL});
}

static void test_joining_slows_who_guesses_tokens(void)
{
	struct world *w = world_new(settings);
	struct join_token *token = xcalloc(1, sizeof(*token));

	(void)snprintf(token->id, sizeof(token->id), "0193587a-2222-7000-8000-0000007c31e0");
	fleet_sha256("the-token", strlen("the-token"), token->digest);
	token->uses_max = 1;
	token->expires_ms = INT64_MAX / 2;
	id_table_add(&w->console->members.tokens, token->id, token);
	for (int i = 0; i < 30; i++) {
		_cleanup_free_ char *wrong = xasprintf("the-token%d", i);

		CU_ASSERT_EQUAL(join_as(w, "web-9", wrong), i <= FLEET_LOGIN_TRIES ? 401 : 429);
	}
	CU_ASSERT_PTR_NOT_NULL(w->retry_after);
	/* the good one is heard all the same: it goes on to what a WebSocket needs */
	CU_ASSERT_EQUAL(join_as(w, "web-9", "the-token"), 426);
	CU_ASSERT_EQUAL(join_as(w, "web-8", "wrong"), 401);
	CU_ASSERT_EQUAL(count_told(w, "access", "joining refused"), 2);
	world_free(w);
}

static const struct unit_test waiting_tests[] = {
	UNIT_TEST(test_an_agent_waits_alone),
	UNIT_TEST(test_names_of_one_address_are_bounded),
	{0},
};
static const struct unit_test door_tests[] = {
	UNIT_TEST(test_the_hub_slows_who_guesses_and_nobody_else),
	UNIT_TEST(test_releases_do_not_tell_whose_key_it_is),
	UNIT_TEST(test_joining_slows_who_guesses_tokens),
	{0},
};

int main(void)
{
	fleet_log_init("test", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	return unit_run((const struct unit_suite[]){{"waiting", waiting_tests}, {"doors", door_tests}, {0}});
}
