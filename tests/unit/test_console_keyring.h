/* A console with keys of several kinds, and two agents that were here: web-1 (env=prod) and db-1 (env=test).
 */
#ifndef TEST_CONSOLE_KEYRING_H
#define TEST_CONSOLE_KEYRING_H
#include "console/api.h"
#include "test_console_world.h"

static const char settings[] = "api_keys:\n"
			       "  - {name: chosen, role: admin, key: password}\n"
			       "agent_keys:\n"
			       "  - {agent_id: web-1, key: key-of-web-1}\n"
			       "  - {agent_id: db-1, key: key-of-db-1}\n";

/* --- keys -------------------------------------------------------------------------------------------- */

struct made {
	bool told;
	int result;
	char *secret; /* owned */
};

static inline void on_made(
	int result, const struct api_key *key, const char *secret, const struct fleet_error *err, void *arg)
{
	struct made *made = arg;

	(void)key;
	if (result < 0)
		printf("# %s\n", err->message);
	made->told = true;
	made->result = result;
	made->secret = xstrdup(secret);
}

static const struct keys_by by_root = {"root@console", NULL};

/* Owned. */
static inline char *make_key(
	struct world *w, const char *name, enum role role, const char *limits, int64_t expires_in_ms)
{
	struct api_key *key = api_key_new(name, role);
	_cleanup_json_ struct json_object *json = limits ? json_tokener_parse(limits) : NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct made made = {0};

	CU_ASSERT_EQUAL_FATAL(key_limits_parse(json, "$.limits", &key->limits, &err), 0);
	key->expires_ms = expires_in_ms ? fleet_clock_wall_ms() + expires_in_ms : 0;
	keys_create(&w->console->keys, key, &by_root, on_made, &made);
	CU_ASSERT_FATAL(fixture_wait(&w->f, fixture_is_set, &made.told));
	CU_ASSERT_EQUAL_FATAL(made.result, 0);
	CU_ASSERT_FATAL(api_key_is_made_here(made.secret));
	return made.secret;
}

static inline void revoke_key(struct world *w, const char *name)
{
	struct made made = {0};

	keys_revoke(&w->console->keys, name, &by_root, on_made, &made);
	CU_ASSERT_FATAL(fixture_wait(&w->f, fixture_is_set, &made.told));
	CU_ASSERT_EQUAL(made.result, 0);
}

static inline int ask_as(
	struct world *w, const char *secret, const char *method, const char *path, const char *body)
{
	_cleanup_free_ char *bearer = secret ? xasprintf("Bearer %s", secret) : NULL;

	return world_ask(w, method, path, body,
		bearer ? (const char *[]){"Authorization", bearer, NULL} : (const char *[]){NULL});
}

static inline void visit(struct world *w, const char *id, const char *key, const char *labels)
{
	struct fake_agent a;
	struct json_object *message;

	agent_connect(&a, w, id, key);
	CU_ASSERT_FATAL(a.open);
	message = agent_register_message(&a, "1.0");
	json_object_object_add(message, "labels", json_tokener_parse(labels));
	agent_send(&a, message);
	(void)agent_hear(&a, "registered"); /* that it came is all */
	agent_done(&a);
	while (registry_get(&w->console->registry, id)->online)
		(void)event_base_loop(w->f.base, EVLOOP_ONCE);
}

static inline void visit_both(struct world *w)
{
	if (!registry_get(&w->console->registry, "web-1"))
		visit(w, "web-1", "key-of-web-1", "{\"env\":\"prod\"}");
	if (!registry_get(&w->console->registry, "db-1"))
		visit(w, "db-1", "key-of-db-1", "{\"env\":\"test\"}");
}

static inline struct world *world_with_agents(void)
{
	struct world *w = world_new(settings);

	visit_both(w);
	return w;
}

#endif
