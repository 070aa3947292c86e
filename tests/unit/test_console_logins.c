/* Logins and sessions; what wrong keys cost. */
#include "test_console_keyring.h"

/* --- sessions ---------------------------------------------------------------------------------------- */

/* "NAME=VALUE" of the last Set-Cookie; owned. */
static char *cookie_of(const struct world *w)
{
	return w->cookie ? xstrndup(w->cookie, strcspn(w->cookie, ";")) : NULL;
}

static char *log_in(struct world *w, const char *secret)
{
	_cleanup_free_ char *body = xasprintf("{\"key\":\"%s\"}", secret);

	CU_ASSERT_EQUAL_FATAL(world_ask(w, "POST", "/api/session", body,
				      (const char *[]){"Origin", "http://localhost", NULL}),
		200);
	return cookie_of(w);
}

static void test_a_login_is_a_cookie(void)
{
	struct world *w = world_with_agents();
	_cleanup_free_ char *secret = make_key(w, "alice", ROLE_OPERATOR, NULL, 0), *cookie = NULL,
			    *others = NULL, *body = NULL;
	const char *restart = "/api/agents/web-1/restart-app", *app = "{\"appId\":\"app-a\"}";
	const char *headers[9] = {"Cookie", NULL};

	cookie = log_in(w, secret);
	CU_ASSERT_FATAL(cookie && str_starts(cookie, "fleet-session="));
	CU_ASSERT_PTR_NOT_NULL(strstr(w->cookie, "; HttpOnly"));
	CU_ASSERT_PTR_NOT_NULL(strstr(w->cookie, "; SameSite=Strict"));
	CU_ASSERT_PTR_NOT_NULL(strstr(w->cookie, "; Path=/"));
	CU_ASSERT_PTR_NULL(strstr(w->cookie, "Secure")); /* by http a browser would not keep it */
	CU_ASSERT_STRING_EQUAL(world_text(w, "name"), "alice");
	CU_ASSERT_PTR_NULL(strstr(w->body, secret));
	headers[1] = cookie;
	CU_ASSERT_EQUAL(world_ask(w, "GET", "/api/session", NULL, headers), 200);
	CU_ASSERT_STRING_EQUAL(world_text(w, "actor"), "alice@dashboard");
	/* writes: of this console's own pages */
	CU_ASSERT_EQUAL(world_ask(w, "POST", restart, app, headers), 403);
	headers[2] = "Origin";
	headers[3] = "http://localhost:1";
	CU_ASSERT_EQUAL(world_ask(w, "POST", restart, app, headers), 403);
	headers[3] = "http://localhost";
	CU_ASSERT_EQUAL(world_ask(w, "POST", restart, app, headers), 202);
	CU_ASSERT_STRING_EQUAL(world_text(w, "actor"), "alice@dashboard");
	headers[4] = "Sec-Fetch-Site";
	headers[5] = "same-site"; /* another port of this host */
	CU_ASSERT_EQUAL(world_ask(w, "POST", restart, app, headers), 403);
	headers[5] = "same-origin";
	CU_ASSERT_EQUAL(world_ask(w, "POST", restart, app, headers), 202);
	/* reads, too */
	headers[2] = "Sec-Fetch-Site";
	headers[3] = "cross-site";
	headers[4] = NULL;
	CU_ASSERT_EQUAL(world_ask(w, "GET", "/api/agents", NULL, headers), 403);
	headers[3] = "none";
	CU_ASSERT_EQUAL(world_ask(w, "GET", "/api/agents", NULL, headers), 200);
	headers[2] = NULL;
	/* what it may not as a key, it may not as a session */
	CU_ASSERT_EQUAL(world_ask(w, "GET", "/api/keys", NULL, headers), 403);
	/* logging out ends it, and no other */
	others = log_in(w, secret);
	headers[2] = "Origin";
	headers[3] = "http://localhost";
	CU_ASSERT_EQUAL(world_ask(w, "DELETE", "/api/session", NULL, headers), 200);
	CU_ASSERT_PTR_NOT_NULL(strstr(w->cookie, "Max-Age=0"));
	CU_ASSERT_EQUAL(world_ask(w, "GET", "/api/session", NULL, headers), 401);
	headers[1] = others;
	CU_ASSERT_EQUAL(world_ask(w, "GET", "/api/session", NULL, headers), 200);
	/* and with its key it ends */
	revoke_key(w, "alice");
	CU_ASSERT_EQUAL(world_ask(w, "GET", "/api/session", NULL, headers), 401);
	/* nothing else is a session */
	headers[1] = "fleet-session=; fleet-session=x; fleet-sessionx=y";
	CU_ASSERT_EQUAL(world_ask(w, "GET", "/api/session", NULL, headers), 401);
	/* a login is for this console's own pages, and for programs */
	body = xasprintf("{\"key\":\"%s\"}", "password");
	CU_ASSERT_EQUAL(world_ask(w, "POST", "/api/session", body,
				(const char *[]){"Origin", "http://evil.example", NULL}),
		403);
	CU_ASSERT_EQUAL(world_ask(w, "POST", "/api/session", "{\"key\":\"fleet_nonsense\"}", NULL), 401);
	CU_ASSERT_PTR_NULL(w->cookie);
	/* by https, be it a proxy's, it is bound to this very name */
	CU_ASSERT_EQUAL(
		world_ask(w, "POST", "/api/session", body,
			(const char *[]){"Host", "fleet.example", "Origin", "https://fleet.example", NULL}),
		200);
	CU_ASSERT(w->cookie && str_starts(w->cookie, "__Host-fleet-session="));
	CU_ASSERT_PTR_NOT_NULL(strstr(w->cookie, "; Secure"));
	world_free(w);
}

static void test_sessions_end(void)
{
	struct sessions sessions = {0};
	struct api_key *key = api_key_new("a", ROLE_VIEWER), *other = api_key_new("b", ROLE_VIEWER);
	char *cookies[FLEET_SESSIONS_PER_KEY + 1];
	_cleanup_free_ char *last = NULL;
	int64_t expires_ms, now_ms = 1000000;

	last = sessions_open(&sessions, other, now_ms, &expires_ms);
	CU_ASSERT_EQUAL(expires_ms, now_ms + FLEET_SESSION_S * INT64_C(1000));
	for (size_t i = 0; i < FLEET_ARRAY_LEN(cookies); i++)
		cookies[i] = sessions_open(&sessions, key, now_ms, &expires_ms);
	/* one more than there may be of one key: its oldest is gone, and nobody else's */
	CU_ASSERT_PTR_NULL(sessions_find(&sessions, cookies[0], now_ms));
	for (size_t i = 1; i < FLEET_ARRAY_LEN(cookies); i++)
		CU_ASSERT_PTR_NOT_NULL(sessions_find(&sessions, cookies[i], now_ms));
	CU_ASSERT_PTR_NOT_NULL(sessions_find(&sessions, last, now_ms));
	CU_ASSERT_PTR_NULL(sessions_find(&sessions, last, expires_ms));
	sessions_close_key(&sessions, key);
	CU_ASSERT_EQUAL(sessions.count, 1);
	sessions_tick(&sessions, expires_ms);
	CU_ASSERT_EQUAL(sessions.count, 0);
	/* not after the key's own end */
	key->expires_ms = now_ms + 5000;
	free(last);
	last = sessions_open(&sessions, key, now_ms, &expires_ms);
	CU_ASSERT_EQUAL(expires_ms, now_ms + 5000);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(cookies); i++)
		free(cookies[i]);
	sessions_done(&sessions);
	api_key_unref(key);
	api_key_unref(other);
}

/* --- what wrong keys cost ----------------------------------------------------------------------------- */

static void test_wrong_keys_cost_waiting(void)
{
	struct logins logins;
	int64_t now_ms = 1000;

	logins_init(&logins, NULL);
	for (int i = 0; i < FLEET_LOGIN_TRIES; i++) {
		CU_ASSERT_EQUAL(logins_wait_ms(&logins, "192.0.2.1", now_ms), 0);
		logins_failed(&logins, "192.0.2.1", NULL, "x", now_ms);
	}
	CU_ASSERT_EQUAL(logins_wait_ms(&logins, "192.0.2.1", now_ms), 0);
	for (int64_t wait_s = 1; wait_s < 200; wait_s *= 2) {
		logins_failed(&logins, "192.0.2.1", NULL, "x", now_ms);
		CU_ASSERT_EQUAL(logins_wait_ms(&logins, "192.0.2.1", now_ms),
			1000 * (wait_s < FLEET_LOGIN_WAIT_S_MAX ? wait_s : FLEET_LOGIN_WAIT_S_MAX));
		now_ms += logins_wait_ms(&logins, "192.0.2.1", now_ms);
	}
	CU_ASSERT_EQUAL(logins_wait_ms(&logins, "192.0.2.1", now_ms), 0);
	CU_ASSERT_EQUAL(logins_wait_ms(&logins, "192.0.2.2", now_ms), 0); /* others do not pay */
	now_ms += FLEET_LOGIN_MEMORY_S * INT64_C(1000) + 1;
	logins_failed(&logins, "192.0.2.1", NULL, "x", now_ms);
	CU_ASSERT_EQUAL(logins_wait_ms(&logins, "192.0.2.1", now_ms), 0);
	now_ms += 2 * FLEET_LOGIN_MEMORY_S * INT64_C(1000);
	logins_tick(&logins, now_ms);
	logins_tick(&logins, now_ms);
	CU_ASSERT_EQUAL(logins.by_text.count, 0);
	logins_done(&logins);
}

/* Somebody with a network of his own is one. */
static void test_addresses_of_one_network_are_one(void)
{
	struct logins logins;

	logins_init(&logins, NULL);
	for (int i = 0; i <= FLEET_LOGIN_TRIES; i++) {
		char address[64];

		(void)snprintf(address, sizeof(address), "2001:db8:1:2:%x::%x", i, i + 1);
		logins_failed(&logins, address, NULL, "x", 0);
	}
	CU_ASSERT(logins_wait_ms(&logins, "2001:db8:1:2:ffff::1", 0) > 0);
	CU_ASSERT_EQUAL(logins_wait_ms(&logins, "2001:db8:1:3::1", 0), 0);
	logins_failed(&logins, "::ffff:192.0.2.1", NULL, "x", 0);
	logins_failed(&logins, "192.0.2.1", NULL, "x", 0);
	CU_ASSERT_EQUAL(logins.by_text.count, 2);
	logins_done(&logins);
}

static void test_many_addresses_are_bounded(void)
{
	struct logins logins;

	logins_init(&logins, NULL);
	for (int i = 0; i < 3 * FLEET_LOGIN_ADDRESSES_MAX; i++) {
		char address[32];

		(void)snprintf(address, sizeof(address), "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
		logins_failed(&logins, address, NULL, "x", 0);
	}
	CU_ASSERT_EQUAL(logins.by_text.count, FLEET_LOGIN_ADDRESSES_MAX);
	/* more of them do not make anybody forgotten: they are slowed as one */
	CU_ASSERT(logins_wait_ms(&logins, "172.16.0.1", 0) > 0);
	CU_ASSERT_EQUAL(logins_wait_ms(&logins, "10.0.0.1", 0), 0);
	logins_done(&logins);
}

static void test_questions_without_a_key_have_a_rate(void)
{
	struct logins logins;
	int asked = 0;

	logins_init(&logins, NULL);
	while (logins_may_ask(&logins, "192.0.2.1", 0))
		asked++;
	CU_ASSERT_EQUAL(asked, FLEET_ASKS_BURST);
	CU_ASSERT(logins_may_ask(&logins, "192.0.2.2", 0));
	for (asked = 0; logins_may_ask(&logins, "192.0.2.1", 1000);)
		asked++;
	CU_ASSERT_EQUAL(asked, FLEET_ASKS_PER_S);
	logins_done(&logins);
}

static size_t refusals_audited(struct world *w, const char *admin)
{
	CU_ASSERT_EQUAL(ask_as(w, admin, "GET", "/api/audit?category=access&limit=1000", NULL), 200);
	return world_count(w);
}

static void test_guessing_is_slowed_and_does_not_fill_the_audit_log(void)
{
	struct world *w = world_new(settings);
	_cleanup_free_ char *admin = make_key(w, "admin", ROLE_ADMIN, NULL, 0);
	_cleanup_free_ char *viewer = make_key(w, "viewer", ROLE_VIEWER, NULL, 0);
	size_t before = refusals_audited(w, admin), unauthenticated = 0, limited = 0;

	CU_ASSERT_EQUAL(ask_as(w, "password", "GET", "/api/session", NULL), 200);
	for (int i = 0; i < 100; i++) {
		_cleanup_free_ char *guess = xasprintf("password%d", i);
		int status = ask_as(w, guess, "GET", "/api/session", NULL);

		unauthenticated += status == 401;
		limited += status == 429 && w->retry_after;
	}
	CU_ASSERT_EQUAL(unauthenticated, FLEET_LOGIN_TRIES + 1);
	CU_ASSERT_EQUAL(limited, 100 - FLEET_LOGIN_TRIES - 1);
	/* the right one is not found out meanwhile, but those that cannot be guessed go on */
	CU_ASSERT_EQUAL(ask_as(w, "password", "GET", "/api/session", NULL), 429);
	CU_ASSERT_EQUAL(ask_as(w, admin, "GET", "/api/session", NULL), 200);
	CU_ASSERT_EQUAL(refusals_audited(w, admin), before + 1);
	/* of those who are known each is told, up to a bound */
	for (int i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(ask_as(w, viewer, "GET", "/api/keys", NULL), 403);
	CU_ASSERT_EQUAL(refusals_audited(w, admin), before + 1 + FLEET_REFUSALS_PER_MINUTE);
	CU_ASSERT_PTR_NOT_NULL(strstr(w->body, "viewer@api was refused: GET /api/keys"));
	/* and the rest is in the minute's sum */
	auth_flush(&w->console->auth);
	CU_ASSERT_EQUAL(refusals_audited(w, admin), before + 2 + FLEET_REFUSALS_PER_MINUTE);
	CU_ASSERT_PTR_NOT_NULL(strstr(w->body, "\"address\":\"127.0.0.1\""));
	/* 99 unknown ones and that of somebody who had to wait, 80 refusals */
	CU_ASSERT_PTR_NOT_NULL(strstr(w->body, "\"refusalsLeftOut\":180"));
	world_free(w);
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_a_login_is_a_cookie),
	UNIT_TEST(test_sessions_end),
	UNIT_TEST(test_wrong_keys_cost_waiting),
	UNIT_TEST(test_addresses_of_one_network_are_one),
	UNIT_TEST(test_many_addresses_are_bounded),
	UNIT_TEST(test_questions_without_a_key_have_a_rate),
	UNIT_TEST(test_guessing_is_slowed_and_does_not_fill_the_audit_log),
	{0},
};

int main(void)
{
	fleet_log_init("test", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	return unit_run((const struct unit_suite[]){{"logins", tests}, {0}});
}
