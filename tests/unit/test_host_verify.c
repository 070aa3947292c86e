/* Each reason to refuse a command, and the keys that decide it. */
#include <sys/stat.h>
#include "agent/host/verify.h"
#include "fleet/clock.h"
#include "fleet/file.h"
#include "fleet/ids.h"
#include "fleet/log.h"
#include "unit.h"

#define NOW INT64_C(1795000000000)

struct bench {
	char dir[48];
	struct ledger *ledger;
	struct fleet_jws_key *key, *other;
	struct keys keys;
	struct json_object *payload;
};

static void bench_init(struct bench *b)
{
	_cleanup_free_ char *path = NULL, *kid = NULL;
	struct json_object *list = json_object_new_array();
	enum keys_offer offer;

	*b = (struct bench){.dir = "/tmp/fleet-verify-XXXXXX"};
	fleet_log_init("test", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	if (!mkdtemp(b->dir))
		abort();
	path = xasprintf("%s/ledger", b->dir);
	CU_ASSERT_EQUAL_FATAL(ledger_open(path, &b->ledger, NULL), 0);
	b->key = fleet_jws_key_new();
	b->other = fleet_jws_key_new();
	CU_ASSERT_EQUAL_FATAL(keys_load(NULL, NULL, &b->keys, NULL), 0);
	json_object_array_add(list, fleet_jws_key_to_jwk(b->key));
	CU_ASSERT_EQUAL_FATAL(keys_offer(&b->keys, list, NULL, &offer, &kid, NULL), 0);
	json_object_put(list);
	b->payload = json_object_new_object();
	fleet_json_add_int(b->payload, "v", 1);
	fleet_json_add_string(b->payload, "agentId", "here");
	fleet_json_add_string(b->payload, "appId", "web");
	fleet_json_add_string(b->payload, "commandId", fleet_uuid_new().text);
	fleet_json_add_string(b->payload, "action", "restart-app");
	fleet_json_add_string(b->payload, "actor", "tester@api");
	fleet_json_add_time(b->payload, "issuedAt", NOW - 1000);
	fleet_json_add_time(b->payload, "expiresAt", NOW + 1000);
	fleet_json_add(b->payload, "args", json_object_new_object());
}

static void bench_done(struct bench *b)
{
	_cleanup_free_ char *path = xasprintf("%s/ledger", b->dir);

	ledger_close(b->ledger);
	keys_done(&b->keys);
	fleet_jws_key_free(b->key);
	fleet_jws_key_free(b->other);
	json_object_put(b->payload);
	(void)unlink(path);
	CU_ASSERT_EQUAL(rmdir(b->dir), 0);
}

static enum verify_verdict verify(struct bench *b, const struct fleet_jws_key *key, int64_t now)
{
	_cleanup_json_ struct json_object *payload = NULL;
	_cleanup_free_ char *jws = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	enum verify_verdict verdict;

	CU_ASSERT_EQUAL_FATAL(fleet_jws_sign(key, b->payload, &jws, NULL), 0);
	verdict = verify_command(&b->keys, b->ledger, "here", now, jws, &payload, &err);
	CU_ASSERT((verdict == VERIFY_OK) == (err.code == 0));
	return verdict;
}

static void test_each_refusal(void)
{
	struct bench b;

	bench_init(&b);
	CU_ASSERT_EQUAL(verify(&b, b.key, NOW), VERIFY_OK);
	CU_ASSERT_EQUAL(verify(&b, b.other, NOW), VERIFY_UNKNOWN_KEY);
	CU_ASSERT_EQUAL(verify(&b, b.key, NOW + 1000), VERIFY_EXPIRED);
	CU_ASSERT_EQUAL(ledger_accept(b.ledger, b.payload, NULL), 0);
	CU_ASSERT_EQUAL(verify(&b, b.key, NOW), VERIFY_DUPLICATE);
	CU_ASSERT_EQUAL(verify(&b, b.key, NOW + 1000), VERIFY_DUPLICATE);
	json_object_object_del(b.payload, "agentId");
	fleet_json_add_string(b.payload, "agentId", "there");
	CU_ASSERT_EQUAL(verify(&b, b.key, NOW), VERIFY_WRONG_AGENT);
	json_object_object_del(b.payload, "v");
	fleet_json_add_int(b.payload, "v", 2);
	CU_ASSERT_EQUAL(verify(&b, b.key, NOW), VERIFY_MALFORMED);
	bench_done(&b);
}

/* One letter of each part of the command changed: never obeyed, whatever it is called. */
static void test_altered_anywhere(void)
{
	struct bench b;
	_cleanup_free_ char *jws = NULL;
	size_t obeyed = 0;

	bench_init(&b);
	CU_ASSERT_EQUAL_FATAL(fleet_jws_sign(b.key, b.payload, &jws, NULL), 0);
	for (size_t i = 0; jws[i]; i++) {
		_cleanup_json_ struct json_object *payload = NULL;
		struct fleet_error err = FLEET_ERROR_INIT;
		char saved = jws[i];

		jws[i] = saved == 'A' ? 'B' : 'A';
		obeyed += verify_command(&b.keys, b.ledger, "here", NOW, jws, &payload, &err) == VERIFY_OK;
		jws[i] = saved;
	}
	CU_ASSERT_EQUAL(obeyed, 0);
	bench_done(&b);
}

static enum verify_verdict ask(struct bench *b, const struct fleet_jws_key *key, int64_t now)
{
	_cleanup_json_ struct json_object *payload = NULL;
	_cleanup_free_ char *jws = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	enum verify_verdict verdict;

	CU_ASSERT_EQUAL_FATAL(fleet_jws_sign(key, b->payload, &jws, NULL), 0);
	verdict = verify_query(&b->keys, "here", now, jws, &payload, &err);
	CU_ASSERT((verdict == VERIFY_OK) == (err.code == 0));
	return verdict;
}

static void test_queries_are_judged(void)
{
	struct json_object *args = json_object_new_object();
	struct bench b;

	bench_init(&b);
	CU_ASSERT_EQUAL(ask(&b, b.key, NOW), VERIFY_MALFORMED); /* a command */
	json_object_object_del(b.payload, "action");
	json_object_object_del(b.payload, "commandId");
	fleet_json_add_string(b.payload, "query", "read-config");
	fleet_json_add_string(args, "file", "main");
	fleet_json_add(b.payload, "args", args);
	CU_ASSERT_EQUAL(ask(&b, b.key, NOW), VERIFY_OK);
	CU_ASSERT_EQUAL(ask(&b, b.key, NOW), VERIFY_OK);           /* again does no harm */
	CU_ASSERT_EQUAL(verify(&b, b.key, NOW), VERIFY_MALFORMED); /* it is no command */
	CU_ASSERT_EQUAL(ask(&b, b.other, NOW), VERIFY_UNKNOWN_KEY);
	CU_ASSERT_EQUAL(ask(&b, b.key, NOW + 1000), VERIFY_EXPIRED);
	fleet_json_add_string(args, "path", "/etc/shadow");
	CU_ASSERT_EQUAL(ask(&b, b.key, NOW), VERIFY_MALFORMED);
	json_object_object_del(args, "path");
	json_object_object_del(b.payload, "agentId");
	fleet_json_add_string(b.payload, "agentId", "there");
	CU_ASSERT_EQUAL(ask(&b, b.key, NOW), VERIFY_WRONG_AGENT);
	bench_done(&b);
}

static void test_older_than_forgotten(void)
{
	struct bench b;

	bench_init(&b);
	ledger_set_keep(b.ledger, 0);
	for (int i = 0; i < 2; i++) {
		_cleanup_json_ struct json_object *c = json_object_new_object(),
						  *result = json_object_new_object();

		fleet_json_add_string(c, "commandId", fleet_uuid_new().text);
		fleet_json_add_time(c, "issuedAt", NOW - 500 + i);
		CU_ASSERT_EQUAL(ledger_accept(b.ledger, c, NULL), 0);
		CU_ASSERT_EQUAL(ledger_end(b.ledger, fleet_json_string(c, "commandId"), result, NULL), 0);
		CU_ASSERT_EQUAL(ledger_stored(b.ledger, fleet_json_string(c, "commandId"), NULL), 0);
	}
	CU_ASSERT_EQUAL(ledger_compact(b.ledger, NULL), 0);
	CU_ASSERT_EQUAL(ledger_count(b.ledger), 0);
	CU_ASSERT_EQUAL(verify(&b, b.key, NOW), VERIFY_TOO_OLD);
	bench_done(&b);
}

static struct json_object *jwks(const struct fleet_jws_key *a, const struct fleet_jws_key *b)
{
	struct json_object *list = json_object_new_array();

	json_object_array_add(list, fleet_jws_key_to_jwk(a));
	if (b)
		json_object_array_add(list, fleet_jws_key_to_jwk(b));
	return list;
}

static void test_first_key_is_pinned(void)
{
	struct bench b;
	_cleanup_json_ struct json_object *first = NULL, *second = NULL, *both = NULL,
					  *empty = json_object_new_array();
	_cleanup_free_ char *path = NULL, *kid = NULL, *foreign = NULL;
	enum keys_offer offer = KEYS_KNOWN;
	struct keys k;
	struct stat st;

	bench_init(&b);
	first = jwks(b.key, NULL);
	second = jwks(b.other, NULL);
	both = jwks(b.other, b.key);
	path = xasprintf("%s/console-keys.json", b.dir);
	CU_ASSERT_EQUAL(keys_load(NULL, b.dir, &k, NULL), 0);
	CU_ASSERT_EQUAL(k.source, KEYS_NONE);
	CU_ASSERT_EQUAL(keys_offer(&k, empty, NULL, &offer, &kid, NULL), -EINVAL);
	CU_ASSERT_EQUAL(keys_offer(&k, first, NULL, &offer, &kid, NULL), 0);
	CU_ASSERT_EQUAL(offer, KEYS_NOW_PINNED);
	CU_ASSERT_STRING_EQUAL(kid, fleet_jws_key_id(b.key));
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
	keys_done(&k);
	CU_ASSERT_EQUAL(keys_load(NULL, b.dir, &k, NULL), 0);
	CU_ASSERT_EQUAL(k.source, KEYS_PINNED);
	CU_ASSERT_EQUAL(keys_offer(&k, second, NULL, &offer, &foreign, NULL), 0);
	CU_ASSERT_EQUAL(offer, KEYS_FOREIGN);
	CU_ASSERT_STRING_EQUAL(foreign, fleet_jws_key_id(b.other));
	CU_ASSERT_EQUAL(k.count, 1); /* an agent's word adds no key */
	CU_ASSERT_EQUAL(keys_offer(&k, both, NULL, &offer, &foreign, NULL), 0);
	CU_ASSERT_EQUAL(offer, KEYS_KNOWN);
	CU_ASSERT_EQUAL(k.count, 1);
	keys_done(&k);
	/* what cannot be read is an error, not "no keys yet": else a damaged pin would let the next console
	 * in */
	CU_ASSERT_EQUAL(fleet_file_write_durable(path, "{\"keys\":", 8, 0600, NULL), 0);
	CU_ASSERT(keys_load(NULL, b.dir, &k, NULL) < 0);
	(void)unlink(path);
	bench_done(&b);
}

static void test_the_wanted_key_alone_is_pinned(void)
{
	struct bench b;
	_cleanup_json_ struct json_object *first = NULL, *both = NULL, *ids = NULL;
	_cleanup_free_ char *kid = NULL, *foreign = NULL;
	enum keys_offer offer = KEYS_KNOWN;
	struct keys k;

	bench_init(&b);
	first = jwks(b.key, NULL);
	both = jwks(b.key, b.other);
	CU_ASSERT_EQUAL(keys_load(NULL, b.dir, &k, NULL), 0);
	CU_ASSERT_EQUAL(keys_offer(&k, first, fleet_jws_key_id(b.other), &offer, &foreign, NULL), 0);
	CU_ASSERT_EQUAL(offer, KEYS_FOREIGN);
	CU_ASSERT_STRING_EQUAL(foreign, fleet_jws_key_id(b.key));
	CU_ASSERT_EQUAL(k.count, 0);
	free(TAKE_PTR(foreign));
	CU_ASSERT_EQUAL(
		keys_offer(&k, first, "", &offer, &foreign, NULL), 0); /* a token that cannot be read */
	CU_ASSERT_EQUAL(offer, KEYS_FOREIGN);
	CU_ASSERT_EQUAL(keys_offer(&k, both, fleet_jws_key_id(b.other), &offer, &kid, NULL), 0);
	CU_ASSERT_EQUAL(offer, KEYS_NOW_PINNED);
	CU_ASSERT_STRING_EQUAL(kid, fleet_jws_key_id(b.other));
	keys_done(&k);
	CU_ASSERT_EQUAL(keys_load(NULL, b.dir, &k, NULL), 0);
	ids = keys_ids(&k);
	CU_ASSERT_EQUAL(json_object_array_length(ids), 1);
	keys_done(&k);
	{
		_cleanup_free_ char *path = xasprintf("%s/console-keys.json", b.dir);

		(void)unlink(path);
	}
	bench_done(&b);
}

static void test_admins_key_comes_first(void)
{
	struct bench b;
	_cleanup_json_ struct json_object *jwk = NULL, *others = NULL;
	_cleanup_free_ char *pub = NULL, *foreign = NULL;
	enum keys_offer offer = KEYS_KNOWN;
	struct keys k;
	const char *text;
	size_t len;

	bench_init(&b);
	pub = xasprintf("%s/console.pub", b.dir);
	jwk = fleet_jws_key_to_jwk(b.key);
	others = jwks(b.other, NULL);
	text = fleet_json_text(jwk, &len);
	CU_ASSERT_EQUAL(fleet_file_write_durable(pub, text, len, 0644, NULL), 0);
	CU_ASSERT_EQUAL(keys_load(pub, b.dir, &k, NULL), 0);
	CU_ASSERT_EQUAL(k.source, KEYS_ADMIN);
	CU_ASSERT_EQUAL(keys_offer(&k, others, NULL, &offer, &foreign, NULL), 0);
	CU_ASSERT_EQUAL(offer, KEYS_FOREIGN);
	keys_done(&k);
	(void)unlink(pub);
	bench_done(&b);
}

int main(void)
{
	static const struct unit_test tests[] = {UNIT_TEST(test_each_refusal),
		UNIT_TEST(test_altered_anywhere), UNIT_TEST(test_queries_are_judged),
		UNIT_TEST(test_older_than_forgotten), UNIT_TEST(test_first_key_is_pinned),
		UNIT_TEST(test_the_wanted_key_alone_is_pinned), UNIT_TEST(test_admins_key_comes_first), {0}};

	return unit_run((const struct unit_suite[]){{"host verify", tests}, {0}});
}
