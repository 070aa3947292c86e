#include "cli/settings.h"
#include "fleet/limits.h"
#include "unit.h"

static const struct cli_option options[] = {
	{"set", "KEY=VALUE", "", 0},
	{"set-string", "KEY=VALUE", "", 0},
	{"set-json", "KEY=JSON", "", 0},
	{"set-file", "KEY=PATH", "", 0},
	{"unset", "KEY", "", 0},
	{"wait", NULL, "", 0},
	{0},
};

#define GIVEN_MAX 4
struct given {
	const char *option, *value;
};

static int parse(const struct given *given, FILE *in, struct settings *ret, struct fleet_error *err)
{
	struct cli_given list[GIVEN_MAX];
	struct cli_args args = {.given = list};

	for (; given[args.given_len].option && args.given_len < GIVEN_MAX; args.given_len++)
		for (const struct cli_option *o = options; o->name; o++)
			if (str_equal(o->name, given[args.given_len].option))
				list[args.given_len] = (struct cli_given){o, given[args.given_len].value};
	return settings_parse(&args, in, ret, err);
}

static void check_json(struct json_object *value, const char *text)
{
	CU_ASSERT_STRING_EQUAL(fleet_json_text(value, NULL), text);
}

static void test_refuses(void)
{
	static const struct {
		struct given given[GIVEN_MAX + 1];
		const char *message;
	} cases[] = {
		{{{"set", "LogLevel"}, {0}}, "--set takes KEY=VALUE, not 'LogLevel'"},
		{{{"set", "=x"}, {0}}, "--set names no key"},
		{{{"unset", ""}, {0}}, "--unset names no key"},
		{{{"set", "a=1"}, {"set", "a=2"}, {0}}, "'a' is named twice"},
		{{{"set", "a=1"}, {"unset", "a"}, {0}}, "'a' is named twice"},
		{{{"set", "a=\xff"}, {0}}, "--set a: the value is not UTF-8 text"},
		{{{"set", "\xff=a"}, {0}}, "--set: the key is not UTF-8"},
		{{{"set-file", "a=-"}, {"set-file", "b=-"}, {0}},
			"--set-file b=-: standard input was read already"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_settings_ struct settings s = {0};
		_cleanup_fclose_ FILE *in = tmpfile();
		struct fleet_error err = FLEET_ERROR_INIT;

		CU_ASSERT_EQUAL(parse(cases[i].given, in, &s, &err), -EINVAL);
		CU_ASSERT_STRING_EQUAL(err.message, cases[i].message);
		CU_ASSERT_PTR_NULL(s.values);
	}
}

static void test_refuses_broken_json(void)
{
	static const char *const values[] = {"a=", "a={", "a=1 2", "a='x'", "a=[1,]"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(values); i++) {
		_cleanup_settings_ struct settings s = {0};
		struct fleet_error err = FLEET_ERROR_INIT;

		CU_ASSERT_TRUE(
			parse((const struct given[]){{"set-json", values[i]}, {0}}, stdin, &s, &err) < 0);
		CU_ASSERT_TRUE(str_starts(err.message, "--set-json a: "));
	}
}

static void test_refuses_what_is_too_long(void)
{
	_cleanup_free_ char *value = xmalloc(FLEET_VALUE_MAX + 8);
	_cleanup_settings_ struct settings s = {0};
	struct fleet_error err = FLEET_ERROR_INIT;

	memset(value, 'x', FLEET_VALUE_MAX + 7);
	value[FLEET_VALUE_MAX + 7] = 0;
	memcpy(value, "a=", 2);
	CU_ASSERT_EQUAL(parse((const struct given[]){{"set", value}, {0}}, stdin, &s, &err), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.message, "--set a: a value has at most 65536 bytes");
	value[FLEET_VALUE_MAX + 2] = 0;
	CU_ASSERT_EQUAL(parse((const struct given[]){{"set", value}, {0}}, stdin, &s, &err), 0);
}

static void test_refuses_more_than_fit_into_a_push(void)
{
	static char texts[FLEET_SETTINGS_PER_PUSH_MAX + 1][32];
	static struct cli_given list[FLEET_SETTINGS_PER_PUSH_MAX + 1];
	struct cli_args args = {.given = list, .given_len = FLEET_ARRAY_LEN(list)};
	_cleanup_settings_ struct settings s = {0};
	struct fleet_error err = FLEET_ERROR_INIT;

	for (size_t i = 0; i < args.given_len; i++) {
		(void)snprintf(texts[i], sizeof(texts[i]), "k%zu=v", i);
		list[i] = (struct cli_given){&options[0], texts[i]};
	}
	CU_ASSERT_EQUAL(settings_parse(&args, stdin, &s, &err), -EINVAL);
	args.given_len--;
	CU_ASSERT_EQUAL(settings_parse(&args, stdin, &s, &err), 0);
}

static void test_sorts_by_kind(void)
{
	_cleanup_settings_ struct settings s = {0};
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL_FATAL(parse((const struct given[]){{"set", "Log\\.Level=a=b"},
					    {"set-string", "port=80"}, {"unset", "old"}, {"wait", NULL}, {0}},
				      stdin, &s, &err),
		0);
	check_json(s.values, "{\"Log\\\\.Level\":\"a=b\"}");
	check_json(s.strings, "{\"port\":\"80\"}");
	check_json(s.unset, "[\"old\"]");
	check_json(s.keys, "[\"Log\\\\.Level\",\"port\",\"old\"]");
}

static void test_json_keeps_its_type(void)
{
	_cleanup_settings_ struct settings s = {0};
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL_FATAL(
		parse((const struct given[]){{"set-json", "a=[1,{\"b\":true}]"}, {"set-json", "n=null"},
			      {"set-json", "s=\"5\""}, {"set-json", "i=5"}, {0}},
			stdin, &s, &err),
		0);
	check_json(s.values, "{\"a\":[1,{\"b\":true}],\"n\":null,\"i\":5}");
	check_json(s.strings, "{\"s\":\"5\"}");
}

static void test_reads_files_and_stdin_without_the_last_newline(void)
{
	char path[] = "/tmp/fleet-settings-XXXXXX";
	_cleanup_close_ int fd = mkstemp(path);
	_cleanup_free_ char *from_file = xasprintf("file=%s", path);
	_cleanup_fclose_ FILE *in = tmpfile();
	_cleanup_settings_ struct settings s = {0};
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL_FATAL(write(fd, "one\ntwo\n\n", 9), 9);
	CU_ASSERT_TRUE_FATAL(in && fputs("secret\r\n", in) >= 0);
	rewind(in);
	CU_ASSERT_EQUAL_FATAL(
		parse((const struct given[]){{"set-file", from_file}, {"set-file", "stdin=-"}, {0}}, in, &s,
			&err),
		0);
	check_json(s.values, "{\"file\":\"one\\ntwo\\n\",\"stdin\":\"secret\"}");
	CU_ASSERT_EQUAL(unlink(path), 0);
	settings_done(&s);
	CU_ASSERT_EQUAL(parse((const struct given[]){{"set-file", from_file}, {0}}, in, &s, &err), -ENOENT);
}

int main(void)
{
	static const struct unit_test tests[] = {
		UNIT_TEST(test_refuses),
		UNIT_TEST(test_refuses_broken_json),
		UNIT_TEST(test_refuses_what_is_too_long),
		UNIT_TEST(test_refuses_more_than_fit_into_a_push),
		UNIT_TEST(test_sorts_by_kind),
		UNIT_TEST(test_json_keeps_its_type),
		UNIT_TEST(test_reads_files_and_stdin_without_the_last_newline),
		{0},
	};

	return unit_run((const struct unit_suite[]){{"cli settings", tests}, {0}});
}
