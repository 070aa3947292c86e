/* The life of an API key: made, rotated, revoked; and what nobody is to wish for. */
#include "test_console_keyring.h"

static void test_keys_are_made_rotated_and_revoked(void)
{
	struct world *w = world_with_agents();
	_cleanup_free_ char *admin = make_key(w, "admin", ROLE_ADMIN, NULL, 0), *first = NULL, *second = NULL,
			    *third = NULL, *id = NULL;

	CU_ASSERT_EQUAL(ask_as(w, admin, "POST", "/api/keys",
				"{\"name\":\"ci\",\"role\":\"operator\",\"limits\":{\"agents\":[\"web-*\"]},"
				"\"expiresAt\":\"2100-01-01T00:00:00Z\"}"),
		201);
	first = xstrdup(world_text(w, "key"));
	id = xstrdup(world_text(w, "keyId"));
	CU_ASSERT_FATAL(first && id && api_key_is_made_here(first));
	CU_ASSERT_EQUAL(ask_as(w, first, "GET", "/api/session", NULL), 200);
	CU_ASSERT_STRING_EQUAL(world_text(w, "actor"), "ci@api");
	/* shown once */
	CU_ASSERT_EQUAL(ask_as(w, admin, "GET", "/api/keys/ci", NULL), 200);
	CU_ASSERT_PTR_NULL(world_text(w, "key"));
	CU_ASSERT_STRING_EQUAL(world_text(w, "createdBy"), "admin@api");
	CU_ASSERT_PTR_NOT_NULL(world_text(w, "lastUsedAt"));
	CU_ASSERT_EQUAL(ask_as(w, admin, "GET", "/api/keys", NULL), 200);
	CU_ASSERT_EQUAL(world_count(w), 3); /* and the configured one */
	CU_ASSERT_PTR_NULL(strstr(w->body, first));
	/* one name, one key */
	CU_ASSERT_EQUAL(ask_as(w, admin, "POST", "/api/keys", "{\"name\":\"ci\",\"role\":\"viewer\"}"), 409);
	CU_ASSERT_EQUAL(
		ask_as(w, admin, "POST", "/api/keys", "{\"name\":\"chosen\",\"role\":\"viewer\"}"), 409);
	/* rotated, the one before good for a while, and not any more */
	CU_ASSERT_EQUAL(ask_as(w, admin, "POST", "/api/keys/ci/rotate", "{\"overlapSeconds\":60}"), 200);
	second = xstrdup(world_text(w, "key"));
	CU_ASSERT_EQUAL(ask_as(w, first, "GET", "/api/session", NULL), 200);
	CU_ASSERT_EQUAL(ask_as(w, second, "GET", "/api/session", NULL), 200);
	CU_ASSERT_EQUAL(ask_as(w, admin, "POST", "/api/keys/ci/rotate", "{}"), 200);
	third = xstrdup(world_text(w, "key"));
	CU_ASSERT_EQUAL(ask_as(w, first, "GET", "/api/session", NULL), 401);
	CU_ASSERT_EQUAL(ask_as(w, second, "GET", "/api/session", NULL), 401);
	CU_ASSERT_EQUAL(ask_as(w, third, "GET", "/api/session", NULL), 200);
	/* all of it is there again after a restart: limits, too */
	console_free(w->console);
	world_start(w);
	CU_ASSERT_EQUAL(ask_as(w, third, "GET", "/api/agents/db-1", NULL), 403);
	CU_ASSERT_EQUAL(ask_as(w, third, "GET", "/api/agents/web-1", NULL), 200);
	CU_ASSERT_EQUAL(ask_as(w, second, "GET", "/api/session", NULL), 401);
	CU_ASSERT_EQUAL(ask_as(w, admin, "GET", "/api/keys/ci", NULL), 200);
	CU_ASSERT_PTR_NOT_NULL(world_text(w, "lastUsedAt"));
	/* revoked: by its id, and then for good */
	{
		_cleanup_free_ char *path = xasprintf("/api/keys/%s", id),
				    *rotate = xasprintf("%s/rotate", path);

		CU_ASSERT_EQUAL(ask_as(w, admin, "DELETE", path, NULL), 200);
		CU_ASSERT_STRING_EQUAL(world_text(w, "state"), "revoked");
		CU_ASSERT_EQUAL(ask_as(w, third, "GET", "/api/session", NULL), 401);
		CU_ASSERT_PTR_NOT_NULL(strstr(w->body, "revoked"));
		CU_ASSERT_EQUAL(ask_as(w, admin, "DELETE", path, NULL), 409);
		CU_ASSERT_EQUAL(ask_as(w, admin, "POST", rotate, "{}"), 409);
	}
	CU_ASSERT_EQUAL(ask_as(w, admin, "GET", "/api/keys/ci", NULL), 404);
	CU_ASSERT_EQUAL(ask_as(w, admin, "GET", "/api/keys?revoked=true", NULL), 200);
	CU_ASSERT_EQUAL(world_count(w), 3);
	/* console.yaml's are changed there */
	CU_ASSERT_EQUAL(ask_as(w, admin, "DELETE", "/api/keys/chosen", NULL), 409);
	CU_ASSERT_EQUAL(ask_as(w, admin, "POST", "/api/keys/chosen/rotate", "{}"), 409);
	/* and who did what is in the audit log, without a secret */
	CU_ASSERT_EQUAL(ask_as(w, admin, "GET", "/api/audit?category=access&limit=100", NULL), 200);
	CU_ASSERT_PTR_NOT_NULL(strstr(w->body, "API key 'ci' (operator, limited) made by admin@api"));
	CU_ASSERT_PTR_NOT_NULL(strstr(w->body, "API key 'ci' (operator, limited) rotated by admin@api"));
	CU_ASSERT_PTR_NOT_NULL(strstr(w->body, "API key 'ci' (operator, limited) revoked by admin@api"));
	CU_ASSERT_PTR_NULL(strstr(w->body, third + sizeof(API_KEY_PREFIX)));
	world_free(w);
}

/* Of a rotation and a revocation at once the revocation stands, whichever came first. */
static void test_a_revoked_key_does_not_come_back(void)
{
	struct world *w = world_with_agents();
	_cleanup_free_ char *secret = make_key(w, "ci", ROLE_VIEWER, NULL, 0);
	struct made revoked = {0}, rotated = {0};

	keys_revoke(&w->console->keys, "ci", &by_root, on_made, &revoked);
	keys_rotate(&w->console->keys, "ci", 60000, &by_root, on_made, &rotated);
	CU_ASSERT(fixture_wait(&w->f, fixture_is_set, &rotated.told));
	CU_ASSERT(revoked.told && revoked.result == 0);
	CU_ASSERT_EQUAL(rotated.result, -EALREADY);
	CU_ASSERT_PTR_NULL(keys_get(&w->console->keys, "ci"));
	CU_ASSERT_EQUAL(ask_as(w, secret, "GET", "/api/session", NULL), 401);
	console_free(w->console);
	world_start(w);
	CU_ASSERT_EQUAL(ask_as(w, secret, "GET", "/api/session", NULL), 401);
	world_free(w);
}

static void test_bad_wishes_for_keys(void)
{
	static const struct {
		const char *body, *field;
	} cases[] = {
		{"{}", "name"},
		{"{\"name\":\"a\"}", "role"},
		{"{\"name\":\"a b\",\"role\":\"admin\"}", "name"},
		{"{\"name\":\"a\",\"role\":\"king\"}", "role"},
		{"{\"name\":\"0193587a-1111-7000-8000-0000007c31e0\",\"role\":\"admin\"}", "name"},
		{"{\"name\":\"a\",\"role\":\"admin\",\"expiresAt\":\"2001-01-01T00:00:00Z\"}", "expiresAt"},
		{"{\"name\":\"a\",\"role\":\"admin\",\"expiresAt\":\"soon\"}", "expiresAt"},
		{"{\"name\":\"a\",\"role\":\"admin\",\"limits\":{\"agents\":[]}}", "limits"},
		{"{\"name\":\"a\",\"role\":\"admin\",\"limits\":[]}", "limits"},
		{"{\"name\":\"a\",\"role\":\"admin\",\"key\":\"mine\"}", "key"},
	};
	struct world *w = world_new(settings);
	_cleanup_free_ char *admin = make_key(w, "admin", ROLE_ADMIN, NULL, 0);

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		CU_ASSERT_EQUAL(ask_as(w, admin, "POST", "/api/keys", cases[i].body), 400);
		CU_ASSERT(str_equal(world_text(w, "field"), cases[i].field));
		if (!str_equal(world_text(w, "field"), cases[i].field))
			printf("# %s: %s\n", cases[i].body, w->body);
	}
	CU_ASSERT_EQUAL(ask_as(w, admin, "GET", "/api/keys", NULL), 200);
	CU_ASSERT_EQUAL(world_count(w), 2);
	CU_ASSERT_EQUAL(ask_as(w, admin, "DELETE", "/api/keys/nobody", NULL), 404);
	CU_ASSERT_EQUAL(
		ask_as(w, admin, "POST", "/api/keys/admin/rotate", "{\"overlapSeconds\":9999999}"), 400);
	world_free(w);
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_keys_are_made_rotated_and_revoked),
	UNIT_TEST(test_a_revoked_key_does_not_come_back),
	UNIT_TEST(test_bad_wishes_for_keys),
	{0},
};

int main(void)
{
	fleet_log_init("test", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	return unit_run((const struct unit_suite[]){{"keys", tests}, {0}});
}
