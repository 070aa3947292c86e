#include "fleet/buffer.h"
#include "fleet/ids.h"
#include "fleet/limits.h"
#include "fleet/yaml.h"
#include "unit.h"

static struct fleet_yaml *parsed(const char *text)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct fleet_yaml *y = NULL;

	CU_ASSERT_EQUAL(fleet_yaml_parse(text, strlen(text), "f.yaml", &y, &err), 0);
	if (!y) {
		printf("# %s\n", err.message);
		CU_FAIL_FATAL("does not parse");
	}
	return y;
}

static void test_tree_and_places(void)
{
	_cleanup_(fleet_yaml_freep) struct fleet_yaml *y = parsed("# comment\n"
								  "managed_apps:\n"
								  "  - id: my-app\n"
								  "    quoted: \"yes\"\n"
								  "    plain: yes\n"
								  "    list: [1, 'two']\n"
								  "    block: |\n"
								  "      line\n");
	const struct fleet_yaml_node *apps = fleet_yaml_get(fleet_yaml_root(y), "managed_apps"), *app, *n;

	CU_ASSERT_EQUAL_FATAL(apps->kind, FLEET_YAML_SEQUENCE);
	CU_ASSERT_EQUAL(apps->count, 1);
	app = apps->values[0];
	CU_ASSERT_EQUAL(app->kind, FLEET_YAML_MAPPING);
	CU_ASSERT_EQUAL(app->line, 3);
	CU_ASSERT_EQUAL(app->column, 5);
	n = fleet_yaml_get(app, "id");
	CU_ASSERT_STRING_EQUAL(n->text, "my-app");
	CU_ASSERT_EQUAL(n->line, 3);
	CU_ASSERT_EQUAL(n->column, 9);
	CU_ASSERT_TRUE(fleet_yaml_get(app, "quoted")->quoted);
	CU_ASSERT_FALSE(fleet_yaml_get(app, "plain")->quoted);
	n = fleet_yaml_get(app, "list");
	CU_ASSERT_EQUAL(n->count, 2);
	CU_ASSERT_TRUE(n->values[1]->quoted);
	CU_ASSERT_STRING_EQUAL(fleet_yaml_get(app, "block")->text, "line\n");
	CU_ASSERT_PTR_NULL(fleet_yaml_get(app, "missing"));
	CU_ASSERT_PTR_NULL(fleet_yaml_get(NULL, "id"));
	CU_ASSERT_PTR_NULL(fleet_yaml_get(apps, "id"));
	CU_ASSERT_STRING_EQUAL(fleet_yaml_name(y), "f.yaml");
}

static void test_empty_documents(void)
{
	static const char *const empty[] = {"", "\n\n", "# only a comment\n", "---\n", "\xEF\xBB\xBF"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(empty); i++) {
		_cleanup_(fleet_yaml_freep) struct fleet_yaml *y = parsed(empty[i]);

		if (fleet_yaml_root(y)) /* "---" alone is a document of one null */
			CU_ASSERT_STRING_EQUAL(fleet_yaml_root(y)->text, "");
	}
	{
		_cleanup_(fleet_yaml_freep) struct fleet_yaml *y = parsed("\xEF\xBB\xBFkey: value\n");

		CU_ASSERT_STRING_EQUAL(fleet_yaml_get(fleet_yaml_root(y), "key")->text, "value");
	}
}

static void test_refuses_with_the_place(void)
{
	static const struct {
		const char *text, *message;
	} bad[] = {
		{"a: [1\nb: 2\n", "f.yaml:2:"},
		{"a: 1\n\tb: 2\n", "f.yaml:2:1: "},
		{"a: 1\nb: 2\na: 3\n", "f.yaml:3:1: the key 'a' is there twice"},
		{"a: {x: 1, x: 2}\n", "f.yaml:1:11: the key 'x' is there twice"},
		{"a: *nobody\n", "f.yaml:1:4: an alias without its anchor"},
		{"a: &x [*x]\n", "f.yaml:1:8: an alias without its anchor"},
		{"a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document"},
		{"? [1, 2]\n: 3\n", "f.yaml:1:3: a key must be plain text"},
		{"a: !!python/object x\n", "f.yaml:1:4: tags are not supported"},
		{"a: !!set {x}\n", "f.yaml:1:4: tags are not supported"},
		{"a: !mine [x]\n", "f.yaml:1:4: tags are not supported"},
		{"a: \"x\\0y\"\n", "f.yaml:1:4: a value must not contain NUL"},
		{"a: \xFF\n", "f.yaml: byte 3: "},
		{"a: \xC0\x80\n", "f.yaml: byte 3: "},
		{"a: 'unfinished\n", "f.yaml:"},
		{"a: b: c\n", "f.yaml:1:5: "},
		{"%YAML 9.9\n---\na: 1\n", "f.yaml:1:1: "},
		{"\xFF\xFE"
		 "a",
			"f.yaml: byte 0"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(bad); i++) {
		struct fleet_error err = FLEET_ERROR_INIT;
		struct fleet_yaml *y = NULL;

		CU_ASSERT_EQUAL(
			fleet_yaml_parse(bad[i].text, strlen(bad[i].text), "f.yaml", &y, &err), -EBADMSG);
		CU_ASSERT_PTR_NULL(y);
		CU_ASSERT_TRUE(str_starts(err.message, bad[i].message));
		if (!str_starts(err.message, bad[i].message))
			printf("# %s: %s\n", bad[i].text, err.message);
	}
}

static int try_parse(const char *text, size_t len, struct fleet_error *err)
{
	_cleanup_(fleet_yaml_freep) struct fleet_yaml *y = NULL;

	return fleet_yaml_parse(text, len, "f.yaml", &y, err);
}

static void test_bounds(void)
{
	_cleanup_buffer_ struct fleet_buffer b = FLEET_BUFFER_INIT;
	_cleanup_free_ char *big = xcalloc(1, FLEET_YAML_FILE_MAX + 1);
	struct fleet_error err = FLEET_ERROR_INIT;

	memset(big, '[', FLEET_YAML_FILE_MAX);
	CU_ASSERT_EQUAL(try_parse(big, FLEET_YAML_FILE_MAX, &err), -EBADMSG);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "deep"));
	memset(big, 'a', FLEET_YAML_FILE_MAX + 1);
	CU_ASSERT_EQUAL(try_parse(big, FLEET_YAML_FILE_MAX + 1, &err), -EBADMSG);
	for (int i = 0; i < FLEET_YAML_DEPTH_MAX; i++)
		fleet_buffer_add_string(&b, "[");
	for (int i = 0; i < FLEET_YAML_DEPTH_MAX; i++)
		fleet_buffer_add_string(&b, "]");
	CU_ASSERT_EQUAL(try_parse(b.data, b.len, &err), 0);
	fleet_buffer_truncate(&b, 0);
	for (int i = 0; i <= FLEET_YAML_NODES_MAX; i++)
		fleet_buffer_add_string(&b, "- x\n");
	CU_ASSERT_EQUAL(try_parse(b.data, b.len, &err), -EBADMSG);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "too many nodes"));
	fleet_buffer_truncate(&b, 0);
	fleet_buffer_add_string(&b, "- &a x\n");
	for (int i = 0; i <= FLEET_YAML_ALIASES_MAX; i++)
		fleet_buffer_add_string(&b, "- *a\n");
	CU_ASSERT_EQUAL(try_parse(b.data, b.len, &err), -EBADMSG);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "too many aliases"));
}

/* Ten levels of ten aliases each: a small file, ten thousand million nodes to walk. */
static void test_billion_laughs(void)
{
	_cleanup_buffer_ struct fleet_buffer b = FLEET_BUFFER_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;

	fleet_buffer_add_string(&b, "l0: &l0 [x, x, x, x, x, x, x, x, x]\n");
	for (int level = 1; level <= 9; level++) {
		fleet_buffer_printf(&b, "l%d: &l%d [", level, level);
		for (int i = 0; i < 9; i++)
			fleet_buffer_printf(&b, "%s*l%d", i ? ", " : "", level - 1);
		fleet_buffer_add_string(&b, "]\n");
	}
	CU_ASSERT_EQUAL(try_parse(b.data, b.len, &err), -EBADMSG);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "too many nodes"));
	/* the same in depth: a chain of aliases deeper than what may be written out */
	fleet_buffer_truncate(&b, 0);
	fleet_buffer_add_string(&b, "- &l0 [x]\n");
	for (int level = 1; level <= 30; level++)
		fleet_buffer_printf(&b, "- &l%d [*l%d]\n", level, level - 1);
	CU_ASSERT_EQUAL(try_parse(b.data, b.len, &err), -EBADMSG);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "deep"));
}

static void test_alias_is_the_same_node(void)
{
	_cleanup_(fleet_yaml_freep) struct fleet_yaml *y = parsed("a: &x {k: v}\nb: *x\nc: &x 1\ne: *x\n");
	const struct fleet_yaml_node *root = fleet_yaml_root(y);

	CU_ASSERT_PTR_EQUAL(fleet_yaml_get(root, "a"), fleet_yaml_get(root, "b"));
	CU_ASSERT_STRING_EQUAL(fleet_yaml_get(root, "e")->text, "1");
}

static void test_typed_readings(void)
{
	_cleanup_(fleet_yaml_freep) struct fleet_yaml *y =
		parsed("s: text\nn: 42\nneg: -7\nyes: true\nno: false\nwait: 30s\nplain: 5\nnull1: "
		       "~\nnull2:\nnull3: null\nqnull: \"null\"\n"
		       "m: {a: 1}\nl: [1]\n");
	const struct fleet_yaml_node *root = fleet_yaml_root(y), *node = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	const char *s = "before";
	int64_t n = 99;
	bool b = true;

	CU_ASSERT_EQUAL(fleet_yaml_get_string(y, root, "missing", &s, &err), 0);
	CU_ASSERT_EQUAL(fleet_yaml_get_string(y, root, "null1", &s, &err), 0);
	CU_ASSERT_EQUAL(fleet_yaml_get_string(y, root, "null2", &s, &err), 0);
	CU_ASSERT_EQUAL(fleet_yaml_get_string(y, root, "null3", &s, &err), 0);
	CU_ASSERT_EQUAL(fleet_yaml_get_string(y, NULL, "s", &s, &err), 0);
	CU_ASSERT_STRING_EQUAL(s, "before");
	CU_ASSERT_EQUAL(fleet_yaml_get_string(y, root, "qnull", &s, &err), 0);
	CU_ASSERT_STRING_EQUAL(s, "null");
	CU_ASSERT_EQUAL(fleet_yaml_get_string(y, root, "n", &s, &err), 0);
	CU_ASSERT_STRING_EQUAL(s, "42");
	CU_ASSERT_EQUAL(fleet_yaml_get_bool(y, root, "no", &b, &err), 0);
	CU_ASSERT_FALSE(b);
	CU_ASSERT_EQUAL(fleet_yaml_get_bool(y, root, "yes", &b, &err), 0);
	CU_ASSERT_TRUE(b);
	CU_ASSERT_EQUAL(fleet_yaml_get_int(y, root, "n", 0, 100, &n, &err), 0);
	CU_ASSERT_EQUAL(n, 42);
	CU_ASSERT_EQUAL(fleet_yaml_get_int(y, root, "neg", -10, 100, &n, &err), 0);
	CU_ASSERT_EQUAL(n, -7);
	CU_ASSERT_EQUAL(fleet_yaml_get_duration_ms(y, root, "wait", &n, &err), 0);
	CU_ASSERT_EQUAL(n, 30000);
	CU_ASSERT_EQUAL(fleet_yaml_get_duration_ms(y, root, "plain", &n, &err), 0);
	CU_ASSERT_EQUAL(n, 5000);
	CU_ASSERT_EQUAL(fleet_yaml_get_mapping(y, root, "m", &node, &err), 0);
	CU_ASSERT_EQUAL(node->kind, FLEET_YAML_MAPPING);
	CU_ASSERT_EQUAL(fleet_yaml_get_sequence(y, root, "l", &node, &err), 0);
	CU_ASSERT_EQUAL(node->kind, FLEET_YAML_SEQUENCE);
}

static void test_typed_readings_refuse(void)
{
	_cleanup_(fleet_yaml_freep) struct fleet_yaml *y =
		parsed("m: {a: 1}\nbad: yes\nquoted: \"true\"\nn: 1.5\nhex: 0x10\nspace: '5'\n"
		       "huge: 99999999999999999999\nlist: [1]\nwait: soon\n");
	const struct fleet_yaml_node *root = fleet_yaml_root(y), *node = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	const char *s = NULL;
	int64_t n = 99;
	bool b = false;

	CU_ASSERT_EQUAL(fleet_yaml_get_string(y, root, "m", &s, &err), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.message, "f.yaml:1:4: m must be a text");
	CU_ASSERT_EQUAL(fleet_yaml_get_bool(y, root, "bad", &b, &err), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.message, "f.yaml:2:6: bad must be true or false");
	CU_ASSERT_EQUAL(fleet_yaml_get_bool(y, root, "quoted", &b, &err), -EINVAL);
	CU_ASSERT_EQUAL(fleet_yaml_get_int(y, root, "n", 0, 9, &n, &err), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.message, "f.yaml:4:4: n must be a whole number from 0 to 9");
	CU_ASSERT_EQUAL(fleet_yaml_get_int(y, root, "hex", 0, 99, &n, &err), -EINVAL);
	CU_ASSERT_EQUAL(fleet_yaml_get_int(y, root, "space", 0, 99, &n, &err), -EINVAL);
	CU_ASSERT_EQUAL(fleet_yaml_get_int(y, root, "huge", INT64_MIN, INT64_MAX, &n, &err), -EINVAL);
	CU_ASSERT_EQUAL(fleet_yaml_get_int(y, root, "list", 0, 99, &n, &err), -EINVAL);
	CU_ASSERT_EQUAL(fleet_yaml_get_duration_ms(y, root, "wait", &n, &err), -EINVAL);
	CU_ASSERT_EQUAL(fleet_yaml_get_mapping(y, root, "list", &node, &err), -EINVAL);
	CU_ASSERT_EQUAL(fleet_yaml_get_sequence(y, root, "m", &node, &err), -EINVAL);
	CU_ASSERT_EQUAL(n, 99);
	CU_ASSERT_PTR_NULL(node);
}

static void test_check_keys(void)
{
	static const char *const names[] = {"id", "service_name", "config_path", NULL};
	_cleanup_(fleet_yaml_freep) struct fleet_yaml *y =
		parsed("good: {id: x, config_path: /y}\ntypo: {id: x, confg_path: /y}\nodd: {id: x, "
		       "\"a\\nb\": 1}\nlist: []\n");
	const struct fleet_yaml_node *root = fleet_yaml_root(y);
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL(fleet_yaml_check_keys(y, fleet_yaml_get(root, "good"), names, &err), 0);
	CU_ASSERT_EQUAL(fleet_yaml_check_keys(y, NULL, names, &err), 0);
	CU_ASSERT_EQUAL(fleet_yaml_check_keys(y, fleet_yaml_get(root, "typo"), names, &err), -EINVAL);
	CU_ASSERT_STRING_EQUAL(
		err.message, "f.yaml:2:15: unknown key 'confg_path'; did you mean 'config_path'?");
	CU_ASSERT_EQUAL(fleet_yaml_check_keys(y, fleet_yaml_get(root, "odd"), names, &err), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.message, "f.yaml:3:14: unknown key 'a?b'");
	CU_ASSERT_EQUAL(fleet_yaml_check_keys(y, fleet_yaml_get(root, "list"), names, &err), -EINVAL);
	CU_ASSERT_EQUAL(fleet_yaml_error(y, NULL, &err, "about %s", "all"), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.message, "f.yaml: about all");
}

static void test_mutations_do_no_harm(void)
{
	static const char sample[] = "%YAML 1.1\n---\n# c\na: &x {b: [1, 'two', \"th\\x41\"], ? k : v}\nc: "
				     "*x\ng: |+2\n   text\ne: >-\n  fold\n"
				     "f: !!str 5\n<<: *x\n...\n";

	for (int round = 0; round < 20000; round++) {
		char text[sizeof(sample)];
		unsigned char random[8];
		size_t len;

		memcpy(text, sample, sizeof(sample));
		fleet_random(random, sizeof(random));
		len = round % 4 == 0 ? random[7] % sizeof(sample) : sizeof(sample) - 1;
		for (int i = 0; i < 1 + random[0] % 3; i++)
			text[random[1 + 2 * i] % (sizeof(sample) - 1)] =
				(char)(random[2 + 2 * i] % 4
						? "[]{}&*!|>'\"%@`:,?-#\n\t "[random[2 + 2 * i] % 22]
						: random[2 + 2 * i]);
		(void)!try_parse(text, len, NULL); /* any verdict will do */
	}
}

static const struct unit_test tests[] = {UNIT_TEST(test_tree_and_places), UNIT_TEST(test_empty_documents),
	UNIT_TEST(test_refuses_with_the_place), UNIT_TEST(test_bounds), UNIT_TEST(test_billion_laughs),
	UNIT_TEST(test_alias_is_the_same_node), UNIT_TEST(test_typed_readings),
	UNIT_TEST(test_typed_readings_refuse), UNIT_TEST(test_check_keys),
	UNIT_TEST(test_mutations_do_no_harm), {0}};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"yaml", tests}, {0}});
}
