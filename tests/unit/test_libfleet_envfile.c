#include "fleet/envfile.h"
#include "fleet/ids.h"
#include "fleet/limits.h"
#include "unit.h"

/* Values as systemd's EnvironmentFile= reads them. */
static void test_values(void)
{
	static const struct {
		const char *text, *value; /* of KEY */
	} cases[] = {
		{"KEY=value\n", "value"},
		{"KEY=value", "value"},
		{"  KEY = value  \t\n", "value"},
		{"KEY=\n", ""},
		{"KEY=two words\n", "two words"},
		{"KEY=a # no comment\n", "a # no comment"},
		{"KEY='single \"quoted\" \\n $x'\n", "single \"quoted\" \\n $x"},
		{"KEY=\"double 'quoted' \\\"x\\\" \\$ \\n\"\n", "double 'quoted' \"x\" $ \\n"},
		{"KEY=\"two\nlines\"\n", "two\nlines"},
		{"KEY='two\nlines'\n", "two\nlines"},
		{"KEY='a'\"b\"c\n", "abc"},
		{"KEY=a\\\nb\n", "ab"},
		{"KEY=a\\\r\nb\r\n", "ab"},
		{"KEY=a\\ \n", "a "},
		{"KEY=\"a\\\nb\"\n", "ab"},
		{"KEY=it's\n", "it's"},
		{"KEY=$HOME ${X} `id`\n", "$HOME ${X} `id`"},
		{"KEY=value\r\n", "value"},
		{"KEY=a=b\n", "a=b"},
		{"KEY=one\nKEY=two\n", "two"},
		{"# KEY=no\n; KEY=no\n\n  # x\nKEY=yes\n#KEY=no\n", "yes"},
		{"# ends in \\\nKEY=yes\n", "yes"},
		{"KEY=gr\xC3\xBC\xC3\x9F\n", "gr\xC3\xBC\xC3\x9F"},
		{"OTHER=x\n", NULL},
		{"", NULL},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_(fleet_envfile_freep) struct fleet_envfile *env = NULL;
		struct fleet_error err = FLEET_ERROR_INIT;

		CU_ASSERT_EQUAL(
			fleet_envfile_parse(cases[i].text, strlen(cases[i].text), "agent.env", &env, &err),
			0);
		if (!env) {
			printf("# %s: %s\n", cases[i].text, err.message);
			continue;
		}
		CU_ASSERT_TRUE(str_equal(fleet_envfile_get(env, "KEY"), cases[i].value));
		if (!str_equal(fleet_envfile_get(env, "KEY"), cases[i].value))
			printf("# %s: %s\n", cases[i].text, fleet_envfile_get(env, "KEY"));
	}
}

static void test_refuses_with_the_line(void)
{
	static const struct {
		const char *text, *message;
	} bad[] = {
		{"A=1\nnonsense\n", "agent.env:2: expected KEY=VALUE"},
		{"A=1\r\n\r\nnonsense\r\n", "agent.env:3: expected KEY=VALUE"},
		{"export A=1\n", "agent.env:1: 'export'"},
		{"1A=1\n", "agent.env:1: a name"},
		{"A B=1\n", "agent.env:1: a name"},
		{"A-B=1\n", "agent.env:1: a name"},
		{"=1\n", "agent.env:1: a name"},
		{"A=1\nB='x\n\n\n", "agent.env:2: a single quote"},
		{"A=1\nB=\"x\\\"\n", "agent.env:2: a double quote"},
		{"A=\"x\ny\"\nbad\n", "agent.env:3: expected"},
		{"A=x\\\ny\nbad\n", "agent.env:3: expected"},
		{"A=\xFF\n", "agent.env:1: not a text"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(bad); i++) {
		struct fleet_envfile *env = NULL;
		struct fleet_error err = FLEET_ERROR_INIT;

		CU_ASSERT_EQUAL(
			fleet_envfile_parse(bad[i].text, strlen(bad[i].text), "agent.env", &env, &err),
			-EBADMSG);
		CU_ASSERT_PTR_NULL(env);
		CU_ASSERT_TRUE(str_starts(err.message, bad[i].message));
		if (!str_starts(err.message, bad[i].message))
			printf("# %s: %s\n", bad[i].text, err.message);
	}
}

static void test_bounds(void)
{
	_cleanup_free_ char *big = xcalloc(1, FLEET_ENV_FILE_MAX + 2);
	struct fleet_envfile *env = NULL;

	memset(big, '#', FLEET_ENV_FILE_MAX + 1);
	CU_ASSERT_EQUAL(fleet_envfile_parse(big, FLEET_ENV_FILE_MAX + 1, "e", &env, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(fleet_envfile_parse("A=1\0B=2", 7, "e", &env, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(fleet_envfile_parse(big, FLEET_ENV_FILE_MAX, "e", &env, NULL), 0);
	fleet_envfile_free(env);
	fleet_envfile_free(NULL);
}

/* Every truncation and many mutations, in memory of exactly that length. */
static void test_hostile_texts_do_no_harm(void)
{
	static const char sample[] =
		"# c\nA='x y'\"z\\\"\\$\\\nq\" tail\\\n more\\ \nB=\\\r\n;x\nC = 'l\nm'\n";

	for (int round = 0; round < 20000; round++) {
		size_t len = round < (int)sizeof(sample) ? (size_t)round : sizeof(sample) - 1;
		_cleanup_free_ char *text = xmalloc(len + 1);
		_cleanup_(fleet_envfile_freep) struct fleet_envfile *env = NULL;
		unsigned char random[2];

		if (round < (int)sizeof(sample) && len == sizeof(sample) - 1)
			continue;
		memcpy(text, sample, len);
		fleet_random(random, sizeof(random));
		if (round >= (int)sizeof(sample))
			text[random[0] % len] = "'\"\\\n\r=#; A\xC3"[random[1] % 11];
		(void)!fleet_envfile_parse(text, len, "e", &env, NULL); /* any verdict will do */
	}
}

static const struct unit_test tests[] = {UNIT_TEST(test_values), UNIT_TEST(test_refuses_with_the_line),
	UNIT_TEST(test_bounds), UNIT_TEST(test_hostile_texts_do_no_harm), {0}};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"envfile", tests}, {0}});
}
