/* yaml-config: what an edit leaves alone, what it writes and what it refuses. */
#include "driver_try.h"
#include "unit.h"

extern const struct unit_test yaml_random_tests[]; /* driver_yaml_random.c */

static void test_read(void)
{
	try_reads("", "");
	try_reads("# only this\n", "");
	try_reads("---\n", "");
	try_reads("\xef\xbb\xbf"
		  "a: 1\r\nb:\r\n  - x\r\n  - {c: d, e: [f]}\r\n",
		"a=1\nb[0]=x\nb[1].c=d\nb[1].e[0]=f");
	try_reads("a: 'it''s'\nb: \"\\x41\\n\"\nc: |\n  x\n   y\n\nd: >-\n  x\n  y\n\n  z\ne: one\n  two\n",
		"a=it's\nb=A\n\nc=x\n y\n\nd=x y\nz\ne=one two");
	try_reads("a: {}\nb: []\nc:\nd: ~\ne: null\n'': x\na.b[c]\\d: 1\n",
		"a={}\nb=[]\nc=null\nd=null\ne=null\n\\e=x\na\\.b\\[c]\\\\d=1");
	try_reads("just text\n", "=just text");
	try_reads("- 1\n- - 2\n  - 3\n", "[0]=1\n[1][0]=2\n[1][1]=3");
	try_reads("? a\n? b\n: c\n? [x, y]\n: d\n", "a=null\nb=c\n\\[x, y]=d");
	try_reads("? ? x\n# c\n", "? x=null"); /* a name without what follows it */
	try_reads("? ? x\n\ny: 1\n", "? x=null\ny=1");
}

static void test_types(void)
{
	static const struct {
		const char *text, *value;
		uint32_t type;
	} list[] = {{"~", "null", FLEET_TYPE_NULL}, {"", "null", FLEET_TYPE_NULL},
		{"NULL", "null", FLEET_TYPE_NULL}, {"yes", "true", FLEET_TYPE_BOOLEAN},
		{"Off", "false", FLEET_TYPE_BOOLEAN}, {"TRUE", "true", FLEET_TYPE_BOOLEAN},
		{"oN", "oN", FLEET_TYPE_STRING}, {"0", "0", FLEET_TYPE_INTEGER},
		{"-17", "-17", FLEET_TYPE_INTEGER}, {"+5", "5", FLEET_TYPE_INTEGER},
		{"0x1F", "31", FLEET_TYPE_INTEGER}, {"0o17", "15", FLEET_TYPE_INTEGER},
		{"99999999999999999999", "99999999999999999999", FLEET_TYPE_INTEGER},
		{"1.0", "1.0", FLEET_TYPE_NUMBER}, {".5", "0.5", FLEET_TYPE_NUMBER},
		{"-5.", "-5.0", FLEET_TYPE_NUMBER}, {"1e3", "1e3", FLEET_TYPE_NUMBER},
		{"+.5E-3", "0.5E-3", FLEET_TYPE_NUMBER}, {"0644", "0644", FLEET_TYPE_STRING},
		{"1_000", "1_000", FLEET_TYPE_STRING}, {"12:30:45", "12:30:45", FLEET_TYPE_STRING},
		{"0b11", "0b11", FLEET_TYPE_STRING}, {".inf", ".inf", FLEET_TYPE_STRING},
		{"2001-12-14", "2001-12-14", FLEET_TYPE_STRING}, {"1.2.3", "1.2.3", FLEET_TYPE_STRING},
		{"127.0.0.1:80", "127.0.0.1:80", FLEET_TYPE_STRING}, {"y", "y", FLEET_TYPE_STRING},
		{"'1'", "1", FLEET_TYPE_STRING}, {"\"yes\"", "yes", FLEET_TYPE_STRING},
		{"!!str 1", "1", FLEET_TYPE_STRING}, {"! 1", "1", FLEET_TYPE_STRING},
		{"!!int 1", "1", FLEET_TYPE_INTEGER}, {"!mine 1", "1", FLEET_TYPE_STRING},
		{"1e", "1e", FLEET_TYPE_STRING}, {".", ".", FLEET_TYPE_STRING}, {"-", "", 0},
		{"+", "+", FLEET_TYPE_STRING}, {"e5", "e5", FLEET_TYPE_STRING}};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(list); i++) {
		struct settings s = SETTINGS_INIT;
		struct fleet_driver_error err;
		char text[64];

		(void)snprintf(text, sizeof(text), "k: %s\n", list[i].text);
		if (strcmp(list[i].text, "-") == 0) {
			CU_ASSERT_EQUAL(try_read(text, strlen(text), NULL, &err), -EINVAL);
			continue;
		}
		CU_ASSERT_EQUAL_FATAL(try_read(text, strlen(text), &s, &err), 0);
		CU_ASSERT_EQUAL(s.items[0].type, list[i].type);
		CU_ASSERT_STRING_EQUAL(s.items[0].value, list[i].value);
		if (s.items[0].type != list[i].type || strcmp(s.items[0].value, list[i].value) != 0)
			printf("# %s: %u %s\n", text, s.items[0].type, s.items[0].value);
		settings_done(&s);
	}
}

static void test_set_changes_the_value_only(void)
{
	static const struct try_example list[] = {
		{"a: 1\n", "a=2", "a: 2\n"},
		{"a: 1", "a=2", "a: 2"},
		{"\xef\xbb\xbf"
		 "a:   1   # one\r\n\r\n# end\r\nb: x",
			"a=2",
			"\xef\xbb\xbf"
			"a:   2   # one\r\n\r\n# end\r\nb: x"},
		{"a:\n  b:\n    c: old # why\n    d: 0x1F\n", "a.b.c=\"new\"",
			"a:\n  b:\n    c: new # why\n    d: 0x1F\n"},
		/* the quotes of the old text stay, and those that the new one needs come */
		{"a: 'x'\n", "a=\"it's\"", "a: 'it''s'\n"},
		{"a: \"x\"\n", "a=\"q\"", "a: \"q\"\n"},
		{"a: 'x'\n", "a=\"two\nlines\"", "a: \"two\\nlines\"\n"},
		{"a: x\n", "a=\"no\"", "a: \"no\"\n"},
		{"a: x\n", "a=\"1.0\"", "a: \"1.0\"\n"},
		{"a: x\n", "a=\"0x1F\"", "a: \"0x1F\"\n"},
		{"a: x\n", "a=\"2024-02-29\"", "a: \"2024-02-29\"\n"},
		{"a: x\n", "a=\"~\"", "a: \"~\"\n"},
		{"a: x\n", "a=\"\"", "a: \"\"\n"},
		{"a: x\n", "a=\"null\"", "a: \"null\"\n"},
		{"a: x\n", "a=\"12:30\"", "a: \"12:30\"\n"},
		{"a: x\n", "a=\"0644\"", "a: \"0644\"\n"},
		{"a: x\n", "a=\"y\"", "a: \"y\"\n"},
		{"a: x\n", "a=\"- b\"", "a: \"- b\"\n"},
		{"a: x\n", "a=\"b: c\"", "a: \"b: c\"\n"},
		{"a: x\n", "a=\"b #c\"", "a: \"b #c\"\n"},
		{"a: x\n", "a=\"*b\"", "a: \"*b\"\n"},
		{"a: x\n", "a=\" b \"", "a: \" b \"\n"},
		{"a: x\n", "a=\"b\\\"", "a: b\\\n"},
		{"a: x\n", "a=\"http://h:1/#f\"", "a: http://h:1/#f\n"},
		{"a: x\n", "a=\"tab\there\"", "a: \"tab\\there\"\n"},
		{"a: x\n", "a=\"caf\xc3\xa9 \xf0\x9f\x8d\xb0\"", "a: caf\xc3\xa9 \xf0\x9f\x8d\xb0\n"},
		{"a: x\n", "a=\"\xe2\x80\xa8\"", "a: \"\\u2028\"\n"},
		/* of the kind that stood there plainly */
		{"mode: 0644\n", "mode=\"0600\"", "mode: 0600\n"},
		{"when: 2024-01-01\n", "when=\"2025-01-01\"", "when: 2025-01-01\n"},
		/* other types */
		{"a: \"1\"\n", "a=1", "a: 1\n"},
		{"a: yes\n", "a=false", "a: no\n"},
		{"a: Off # c\n", "a=true", "a: On # c\n"},
		{"a: TRUE\n", "a=false", "a: FALSE\n"},
		{"a: ~\n", "a=\"b\"", "a: b\n"},
		{"a: 0x1F\n", "a=32", "a: 32\n"},
		{"a: 1 # c\n", "a=null", "a: null # c\n"},
		{"a: 1.0\n", "a=1.50", "a: 1.50\n"},
		/* where nothing stood */
		{"a:\nb: 1\n", "a=2", "a: 2\nb: 1\n"},
		{"a:   # later\nb: 1\n", "a=2", "a: 2   # later\nb: 1\n"},
		{"a:\n", "a=\"x\"", "a: x\n"},
		{"a:", "a=1", "a: 1"},
		{"- a\n-\n", "[1]=\"b\"", "- a\n- b\n"},
		{"{a: , b: 1}\n", "a=2", "{a: 2 , b: 1}\n"},
		{"{a, b: 1}\n", "a=2", "{a: 2, b: 1}\n"},
		{"? a\n:\n", "a=1", "? a\n: 1\n"},
		{"a: &x\n", "a=1", "a: &x 1\n"},
		{"a: !!str\n", "a=\"x\"", "a: !!str x\n"},
		{"a: &x !!str v\n", "a=\"x\"", "a: &x !!str x\n"},
		/* other layouts */
		{"a: one\n  two\n\n  three # c\nb: 1\n", "a=\"x\"", "a: x # c\nb: 1\n"},
		{"a:\n  deep\nb: 1\n", "a=\"x\"", "a:\n  x\nb: 1\n"},
		{"a: \"one\n  two\"\nb: 1\n", "a=\"x\"", "a: \"x\"\nb: 1\n"},
		{"? a\n: b\n", "a=\"x\"", "? a\n: x\n"},
		{"a: {b: 1, c: [x, 'y']}\n", "a.c[1]=\"z\"", "a: {b: 1, c: [x, 'z']}\n"},
		{"a: [x]\n", "a[0]=\"b,c\"", "a: [\"b,c\"]\n"},
		{"a: b,c\n", "a=\"b,c]\"", "a: b,c]\n"},
		{"{\"a\":1,\"b\":[2]}", "b[0]=\"x\"", "{\"a\":1,\"b\":[x]}"},
		{"- - 1\n  - 2\n-   k: v\n    l: w\n", "[1].k=\"x\"", "- - 1\n  - 2\n-   k: x\n    l: w\n"},
		{"a.b: 1\na:\n  b: 2\n", "a\\.b=3", "a.b: 3\na:\n  b: 2\n"},
		{"1: x\ntrue: y\n", "true=\"z\"", "1: x\ntrue: z\n"},
		{"'': 1\n", "\\e=2", "'': 2\n"},
		{"a: 1\nb: 2\na: 3\n", "a=4", "a: 1\nb: 2\na: 4\n"},
		{0},
	};

	try_examples(list);
}

static void test_set_block_scalars(void)
{
	static const struct try_example list[] = {
		{"a: |\n  one\n  two\nb: 1\n", "a=\"x\ny\n\"", "a: |\n  x\n  y\nb: 1\n"},
		{"a: | # why\n    one\n\n\nb: 1\n", "a=\"x\"", "a: |- # why\n    x\n\n\nb: 1\n"},
		{"a: |-\n  one\nb: 1\n", "a=\"x\n\n# y\n\"", "a: |\n  x\n\n  # y\nb: 1\n"},
		{"a: >\n  one\n  two\n", "a=\"x\n\"", "a: >\n  x\n"},
		{"a: >\n  one\n  two\n", "a=\"x\ny\n\"", "a: |\n  x\n  y\n"},
		{"a: |2\n    one\n", "a=\"x\n\"", "a: |\n    x\n"},
		{"a: |+\n  one\n\n\nb: 1\n", "a=\"x\n\"", "a: |\n  x\nb: 1\n"},
		{"a: |\r\n  one\r\nb: 1\r\n", "a=\"x\ny\n\"", "a: |\r\n  x\r\n  y\r\nb: 1\r\n"},
		/* what does not fit is quoted */
		{"a: | # why\n  one\n  two\nb: 1\n", "a=\" x\"", "a: \" x\" # why\nb: 1\n"},
		{"a: |\n  one\nb: 1\n", "a=\"\"", "a: \"\"\nb: 1\n"},
		{"a: |\n  one\nb: 1\n", "a=7", "a: 7\nb: 1\n"},
		{"a: |\n  one\nb: 1\n", "a=[1]", "a: [1]\nb: 1\n"},
		{"a: |\n  one", "a=\"x\n\"", "a: \"x\\n\""},
		{"a: |\n  one", "a=\"x\"", "a: |-\n  x"},
		{"a: |\n", "a=\"x\n\"", "a: |\n  x\n"},
		{"- |\n one\n- b\n", "[0]=\"x\n\"", "- |\n x\n- b\n"},
		{0},
	};

	try_examples(list);
}

static void test_set_whole_collections(void)
{
	static const struct try_example list[] = {
		{"a: 1 # c\nb: 2\n", "a={\"x\":1,\"z\":[\"no\",2]}",
			"a: # c\n  x: 1\n  z:\n    - \"no\"\n    - 2\nb: 2\n"},
		{"a: 1\nb:\n- x\n", "a=[1,2]", "a:\n- 1\n- 2\nb:\n- x\n"},
		{"a: {x: 1}\n", "a=[1,{}]", "a:\n  - 1\n  - {}\n"},
		{"a: [1]\n", "a=[]", "a: []\n"},
		{"a:\n  x: 1\n  y: 2 # c\nb: 1\n", "a=5", "a: 5 # c\nb: 1\n"},
		{"a: # k\n  # l\n  x: 1\nb: 1\n", "a=5", "a: 5 # k\n  # l\nb: 1\n"},
		{"a:\n  x: 1\nb: 1\n", "a={\"k\":2,\"z\":3}", "a:\n  k: 2\n  z: 3\nb: 1\n"},
		{"a:\n- 1\n- 2\nb: 1\n", "a={\"k\":2}", "a:\n  k: 2\nb: 1\n"},
		{"a:\n- 1\n- 2\nb: 1\n", "a=[3]", "a:\n- 3\nb: 1\n"},
		{"- a: 1\n  b: 2\n- c\n", "[0]=5", "- 5\n- c\n"},
		{"- a: 1\n  b: 2\n- c\n", "[0]={\"d\":{\"e\":1},\"f\":2}", "- d:\n    e: 1\n  f: 2\n- c\n"},
		{"- 1\n", "[0]={\"a\":1,\"b\":2}", "- {a: 1, b: 2}\n"},
		{"{a: 1}\n", "a={\"x\":[1,\"a b\"]}", "{a: {x: [1, a b]}}\n"},
		{"a: &x\n  b: 1\n", "a=2", "a: &x 2\n"},
		{0},
	};

	try_examples(list);
}

static void test_set_to_what_it_is_changes_nothing(void)
{
	static const char *const list[][2] = {{"a: 0x1F # c\n", "a=31"}, {"a: yes\n", "a=true"},
		{"a: ~\n", "a=null"}, {"a:\n", "a=null"}, {"a: 'b'\n", "a=\"b\""},
		{"a: |+\n  x\n\n", "a=\"x\n\n\""}, {"a: one\n  two\n", "a=\"one two\""},
		{"a: {b: 1, 'c': [2]}\n", "a={\"b\":1,\"c\":[2]}"}, {"a: .5\n", "a=0.5"},
		{"a: &x 1\nb: *x\n", "b=1"}, {"a: &x {k: 1}\nb: *x\n", "b.k=1"}, {"a: &x 1\nb: *x\n", "a=1"},
		{"a: 1\n", "b"}, {"a: 1\n", "b.c.d"}, {"", "a"}, {"a: &x {k: 1}\nb: *x\n", "b.l"},
		{"- 1\n", "[0]=1"}, {"a: 1\n---\nb: 2\n", "[doc1].b=2"}, {"a: 1\n---\n", "[doc1].b"}};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(list); i++) {
		const struct try_example same[] = {{list[i][0], list[i][1], list[i][0]}, {0}};

		try_examples(same);
	}
}

static void test_a_new_key_goes_beside_its_siblings(void)
{
	static const struct try_example list[] = {
		{"", "a=1", "a: 1\n"},
		{"\xef\xbb\xbf", "a=1",
			"\xef\xbb\xbf"
			"a: 1\n"},
		{"# c\n", "a.b=1", "# c\na:\n  b: 1\n"},
		{"# c", "a=1", "# c\na: 1"},
		{"---\n", "a=1", "---\na: 1\n"},
		{"---", "a=1", "---\na: 1"},
		{"", "[+]=\"x\"", "- x\n"},
		{"a: 1\n", "b=2", "a: 1\nb: 2\n"},
		{"a: 1", "b=2", "a: 1\nb: 2"},
		{"a: 1\r\nb: 2\r\n", "c=3", "a: 1\r\nb: 2\r\nc: 3\r\n"},
		{"a: 1\nb: 2\r\n", "c=3", "a: 1\nb: 2\r\nc: 3\r\n"},
		{"a: 1\r\nb: 2\n", "c=3", "a: 1\r\nb: 2\nc: 3\n"},
		{"a: [\r\n  1\n]\n", "a[+]=2", "a: [\r\n  1,\n  2\n]\n"},
		{"a: 1 # c\n\n# end\n", "b=2", "a: 1 # c\nb: 2\n\n# end\n"},
		{"a:\n    b: 1\n    # about b\nc: 2\n", "a.d=3",
			"a:\n    b: 1\n    d: 3\n    # about b\nc: 2\n"},
		{"a:\n    b: 1\n", "c.d.e=1", "a:\n    b: 1\nc:\n    d:\n        e: 1\n"},
		{"a:\n- 1\n", "b[+].c=2", "a:\n- 1\nb:\n- c: 2\n"},
		{"a:\n  -   x\n  -   y\n", "a[+]=\"z\"", "a:\n  -   x\n  -   y\n  -   z\n"},
		{"a:\n- x: 1\n  y: 2\n- x: 3\n", "a[0].z=3", "a:\n- x: 1\n  y: 2\n  z: 3\n- x: 3\n"},
		{"a:\n- x: 1\n", "a[+].x=3", "a:\n- x: 1\n- x: 3\n"},
		{"a:\n  - - 1\n", "a[0][+]=2", "a:\n  - - 1\n    - 2\n"},
		{"a :  'x'\n", "b=\"y\"", "a :  'x'\nb :  'y'\n"},
		{"\"a\": \"x\"\n", "b=\"y\"", "\"a\": \"x\"\n\"b\": \"y\"\n"},
		{"a: 'x'\nb: 2\n", "c=\"y\"", "a: 'x'\nb: 2\nc: 'y'\n"},
		{"a: x\nb: 'no'\n", "c=\"k\"", "a: x\nb: 'no'\nc: k\n"},
		{"a: |\n  x\n\n\nb: |+\n  y\n\n", "c=1", "a: |\n  x\n\n\nb: |+\n  y\n\nc: 1\n"},
		{"a:\nb:\n", "c=1", "a:\nb:\nc: 1\n"},
		{"80: x\n", "443=\"k\"", "80: x\n443: k\n"},
		{"a: x\n", "443=\"k\"", "a: x\n\"443\": k\n"},
		{"a: x\n", "on=\"k\"", "a: x\n\"on\": k\n"},
		{"a: x\n", "b c#d=1", "a: x\nb c#d: 1\n"},
		{"a: &x {k: 1}\nb:\n  <<: *x\n", "b.k=2", "a: &x {k: 1}\nb:\n  <<: *x\n  k: 2\n"},
		/* in flow style */
		{"a: {}\n", "a.b=1", "a: {b: 1}\n"},
		{"a: [ ]\n", "a[+]=1", "a: [ 1 ]\n"},
		{"a: {b: 1}\n", "a.c={\"d\":\"x,y\"}", "a: {b: 1, c: {d: \"x,y\"}}\n"},
		{"a: { b: 1 }\n", "a.c=2", "a: { b: 1, c: 2 }\n"},
		{"{\"a\":1,\"b\":2}", "c=3", "{\"a\":1,\"b\":2,\"c\":3}"},
		{"a: [1,2]\n", "a[+]=3", "a: [1,2,3]\n"},
		{"a: [1, 2,]\n", "a[+]=3", "a: [1, 2, 3,]\n"},
		{"a: [\n  1, # one\n  2 # two\n]\n", "a[+]=3", "a: [\n  1, # one\n  2, # two\n  3\n]\n"},
		{"a: [\n  1,\n  2, # two\n]\n", "a[+]=3", "a: [\n  1,\n  2, # two\n  3,\n]\n"},
		{"{a: 1}\n", "b.c[+]=2", "{a: 1, b: {c: [2]}}\n"},
		/* after its commented-out example */
		{"a: 1\n# b: 5\nc: 3\n", "b=2", "a: 1\n# b: 5\nb: 2\nc: 3\n"},
		{"# b: 5\n\na: 1\n", "b=2", "# b: 5\nb: 2\n\na: 1\n"},
		{"s:\n  a: 1\n  #b: 5\n  #   c: 6\n\n  d: 1\n", "s.b=2",
			"s:\n  a: 1\n  #b: 5\n  #   c: 6\n  b: 2\n\n  d: 1\n"},
		{"s:\n  # b: 5\n  a: 1\n", "s.b=2", "s:\n  # b: 5\n  b: 2\n  a: 1\n"},
		{"s:\n  a: 1\n#  b: 5\nt: 1\n", "s.b=2", "s:\n  a: 1\n#  b: 5\n  b: 2\nt: 1\n"},
		{"s:\n  a: 1\n# b: 5\nt: 1\n", "s.b=2", "s:\n  a: 1\n  b: 2\n# b: 5\nt: 1\n"},
		{"s:\n  a: 1\n# b: 5\nt: 1\n", "b=2", "s:\n  a: 1\n# b: 5\nb: 2\nt: 1\n"},
		{"a: |\n  # b: 5\nc: 1\n", "b=2", "a: |\n  # b: 5\nc: 1\nb: 2\n"},
		{"a: 1\n# 'b c' : 5", "b c=2", "a: 1\n# 'b c' : 5\nb c: 2"},
		{"# b: 1\n", "b=2", "# b: 1\nb: 2\n"},
		{"---\n# b: 1\n---\n# b: 2\n", "[doc1].b=2", "---\n# b: 1\n---\n# b: 2\nb: 2\n"},
		{0},
	};

	try_examples(list);
}

static void test_unset_takes_the_line(void)
{
	static const struct try_example list[] = {
		{"a: 1\nb: 2 # c\nd: 3\n", "b", "a: 1\nd: 3\n"},
		{"a: 1\nb: 2", "b", "a: 1"},
		{"a: 1\r\nb: 2", "b", "a: 1"},
		{"a: 1\n", "a", ""},
		{"\xef\xbb\xbf"
		 "a: 1",
			"a", "\xef\xbb\xbf"},
		{"# x\na: 1\n# y\nb: 2\n", "a", "# x\n# y\nb: 2\n"},
		{"a:\n  b: 1\n  # deep\n  c: 2\nd: 3\n", "a", "d: 3\n"},
		{"a:\n  b: 1\nd: 3\n", "a.b", "a: {}\nd: 3\n"},
		{"a: # k\n  # l\n  b: 1 # m\nd: 3\n", "a.b", "a: {} # k\n  # l\nd: 3\n"},
		{"a:\n  b: 1", "a.b", "a: {}"},
		{"a:\n- 1\n", "a[0]", "a: []\n"},
		{"a: &x\n  b: 1\n", "a.b", "a: &x {}\n"},
		{"- a: 1 # c\n- b\n", "[0].a", "- {} # c\n- b\n"},
		{"- a: 1\n  b: 2\n", "[0].a", "- b: 2\n"},
		{"- a: 1 # x\n  # y\n  b: 2\n", "[0].a", "-\n  # y\n  b: 2\n"},
		{"- a: 1\n  b: 2\n", "[0].b", "- a: 1\n"},
		{"- a\n- b\n- c\n", "[1]", "- a\n- c\n"},
		{"- - a\n  - b\n", "[0][0]", "- - b\n"},
		{"- - a\n- b\n", "[0][0]", "- []\n- b\n"},
		{"a: |\n  x\n\n  y\n\nb: 1\n", "a", "\nb: 1\n"},
		{"a: one\n  two\nb: 1\n", "a", "b: 1\n"},
		{"? a\n: x\n? b\n: y\n", "a", "? b\n: y\n"},
		{"a: 1\nb: 2\na: 3\n", "a", "b: 2\n"},
		{"a: &x 1\nb: *x\nc: 1\n", "b", "a: &x 1\nc: 1\n"},
		/* in flow style */
		{"{a: 1, b: 2, c: 3}\n", "b", "{a: 1, c: 3}\n"},
		{"{a: 1, b: 2}\n", "a", "{b: 2}\n"},
		{"{a: 1, b: 2}\n", "b", "{a: 1}\n"},
		{"{a: 1}\n", "a", "{}\n"},
		{"[ 1 ]\n", "[0]", "[ ]\n"},
		{"[1,2,]\n", "[1]", "[1,]\n"},
		{"[1,]\n", "[0]", "[]\n"},
		{"a: [\n  1, # one\n  2 # two\n]\n", "a[1]", "a: [\n  1 # one\n]\n"},
		{"a: [\n  1, # one\n  2 # two\n]\n", "a[0]", "a: [\n  2 # two\n]\n"},
		{"a: [\n  1\n]\n", "a[0]", "a: []\n"},
		{"{a: {b: 1}, c: d}\n", "a.b", "{a: {}, c: d}\n"},
		/* one document of several */
		{"a: 1\n---\nb: 1\n", "a", "{}\n---\nb: 1\n"},
		{"---\na: 1\n---\nb: 1\n", "a", "---\n---\nb: 1\n"},
		{"a: 1\n---\nb: 1\n", "[doc1].b", "a: 1\n---\n"},
		{0},
	};

	try_examples(list);
}

static void test_documents(void)
{
	static const struct try_example list[] = {
		{"a: 1\n---\na: 2\n", "a=3", "a: 3\n---\na: 2\n"},
		{"a: 1\n---\na: 2\n", "[doc1].a=3", "a: 1\n---\na: 3\n"},
		{"a: 1\n---\na: 2\n", "b=3", "a: 1\nb: 3\n---\na: 2\n"},
		{"a: 1\n--- # two\n", "[doc1].b=3", "a: 1\n--- # two\nb: 3\n"},
		{"---\n---\nx: 1\n", "b=3", "---\nb: 3\n---\nx: 1\n"},
		{"%YAML 1.1\n---\na: 1\n...\n---\na: 2\n...\n", "[doc1].b=3",
			"%YAML 1.1\n---\na: 1\n...\n---\na: 2\nb: 3\n...\n"},
		{"%YAML 1.1\n---\na: 1\n...\n", "a", "%YAML 1.1\n---\n...\n"},
		{"'[doc1]': 1\n", "\\[doc1]=2", "'[doc1]': 2\n"},
		{"'[doc1]': 1\n---\nb: 1\n", "\\[doc1]=2", "'[doc1]': 2\n---\nb: 1\n"},
		{"'[doc1]': {b: 1}\n---\nb: 1\n", "[doc1].b=2", "'[doc1]': {b: 1}\n---\nb: 2\n"},
		{"- 1\n---\nb: 1\n", "[doc1].b=2", "- 1\n---\nb: 2\n"},
		{"- 1\n---\n- 1\n- 2\n", "[doc1][1]=3", "- 1\n---\n- 1\n- 3\n"},
		{0},
	};
	static const struct try_refusal refusals[] = {
		{"a: 1\n---\na: 2\n", "[doc2].a=3", "no document of this number"},
		{"a: 1\n", "[doc1].a=3", "no document of this number"},
		{"a: 1\n---\na: 2\n", "[doc0].a=3", "first document"},
		{"a: 1\n---\na: 2\n", "[doc1]={}", "whole document"},
		{"a: 1\n---\na: 2\n", "[doc1]", "whole document"},
		{0},
	};

	try_reads("a: 1\n---\nb: [2]\n---\n---\nplain\n", "a=1\n[doc1].b[0]=2\n[doc3]=plain");
	try_reads("x: 1\n'[doc1]': 1\n---\nb: 1\n", "x=1\n\\[doc1]=1\n[doc1].b=1");
	try_examples(list);
	try_refusals(refusals);
}

static void test_aliases(void)
{
	static const struct try_refusal refusals[] = {
		{"a: &x 1\nb: *x\n", "b=2", "alias *x of a value that stands elsewhere"},
		{"a: &x 1\nb: *x\n", "a=2", "alias *x stands for this value"},
		{"a: &x\n  k: 1\nb: *x\n", "b.k=2", "alias *x of a value"},
		{"a: &x\n  k: 1\nb: *x\n", "b.l=2", "alias *x of a value"},
		{"a: &x\n  k: 1\nb: *x\n", "b.k", "alias *x of a value"},
		{"a: &x\n  k: 1\nb: *x\n", "a.k=2", "alias *x stands for"},
		{"a: &x\n  k: 1\nb: *x\n", "a.k", "alias *x stands for"},
		{"a: &x\n  k: 1\nb: *x\n", "a.l=1", "alias *x stands for"},
		{"a: &x\n  k: 1\nb:\n  <<: *x\n", "b.<<.k=2", "alias *x of a value"},
		{"a:\n  d: &x 1\nb: *x\n", "a", "alias *x stands for"},
		{"a:\n  d: &x 1\nb: *x\n", "a=1", "alias *x stands for"},
		{"&x a: 1\nb: *x\n", "a", "alias *x stands for"},
		{"*x : 1\n", "*x=2", "without an anchor"},
		{"&x a: 1\n*x : 1\n", "*x=2", "no simple text"},
		{0},
	};
	static const struct try_example list[] = {
		{"a: &x 1\nb: *x\nc: 3\n", "c=4", "a: &x 1\nb: *x\nc: 4\n"},
		{"a: &x 1\nb: [*x , 2]\n", "b[+]=3", "a: &x 1\nb: [*x , 2, 3]\n"},
		{"a: {p: &x 1, q: *x}\nb: 1\n", "a", "b: 1\n"},
		{"a: &x 1\nb: &x 2\nc: *x\n", "a=3", "a: &x 3\nb: &x 2\nc: *x\n"},
		{"d: &x\n  k: 1\ne:\n  <<: *x\n  m: 1\n", "e.m=2", "d: &x\n  k: 1\ne:\n  <<: *x\n  m: 2\n"},
		{0},
	};
	struct fleet_driver_error err;
	char bomb[1200];
	size_t at = 0;

	try_reads("a: &x {k: [1]}\nb: *x\nc:\n  <<: *x\n", "a.k[0]=1\nb.k[0]=1\nc.<<.k[0]=1");
	try_refusals(refusals);
	try_examples(list);
	/* a few lines that stand for a thousand million values */
	at += (size_t)snprintf(bomb, sizeof(bomb), "a: &a [x,x,x,x,x,x,x,x,x,x]\n");
	for (char c = 'b'; c <= 'j'; c++)
		at += (size_t)snprintf(bomb + at, sizeof(bomb) - at,
			"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c - 1, c - 1, c - 1,
			c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1);
	CU_ASSERT_EQUAL(try_check(bomb, at, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "aliases make more"));
}

static void test_edits_that_make_no_sense(void)
{
	static const struct try_refusal list[] = {{"a: 1\n", "a.b=1", "single value"},
		{"a: [1]\n", "a.b=1", "sequence"}, {"a: {b: 1}\n", "a[0]=1", "not a sequence"},
		{"a: [1]\n", "a[1]=1", "no element"}, {"a: 1\n", "b[0]=1", "no sequence yet"},
		{"a: [1]\n", "a[+]", "cannot be unset"},
		{"a: {x: 1}\na: {x: 2}\n", "a.x=1", "more than once"},
		{"a: {x: 1}\na: {x: 2}\n", "a", "more than once"}, {"a: [b: 1]\n", "a[0].c=1", "single pair"},
		{"a: 1\rb: 2\n", "b=3", "carriage return without a line feed"},
		{"a: [b: 1]\n", "a[0].b", "single pair"}, {"? [x]\n: 1\n", "\\[x]=2", "no simple text"},
		{"a: !mine 1\n", "a=2", "tag"}, {"a: !!int 1\n", "a=\"x\"", "tag"},
		{"a: x\n", "b\xff=1", "UTF-8"}, {"a: x\n", "a=\"\xff\"", "UTF-8"},
		{"a: |\n  x", "b=1", "read back"}, {0}};

	try_refusals(list);
}

static void test_what_is_no_yaml(void)
{
	static const struct try_fault list[] = {{"a: 1\n b: 2\n", 2, 3, "mapping values are not allowed"},
		{"a: [1\n", 2, 1, "did not find expected"}, {"a: \"x\n", 2, 1, "unexpected end of stream"},
		{"a:\n\t- b\n", 2, 1, "cannot start any token"}, {"a: *b\n", 1, 4, "without an anchor"},
		{"a: &b [*b]\n", 1, 8, "within the value"},
		{"\xef\xbb\xbf"
		 "a: @\n",
			1, 4, "cannot start any token"},
		{"a: b\n\x01\n", 2, 1, "control characters"}, {"caf\xc3\xa9: \xff\n", 1, 8, "UTF-8"},
		{"a: 1\n---\nb: [\n", 4, 1, "did not find expected"},
		{"caf\xc3\xa9: {\r\na: ]\r\n", 2, 4, "did not find expected"},
		{"\xff\xfe"
		 "a",
			1, 1, "UTF-16"},
		{"\"\\0\": 1\n", 1, 1, "NUL"}, {"%YAML 2.0\n---\na: 1\n", 1, 1, "incompatible YAML"}, {0}};

	try_faults(list);
}

static void fill(struct fleet_buffer *b, const char *what, unsigned times)
{
	while (times-- > 0)
		fleet_buffer_add_string(b, what);
}

static void test_bounds(void)
{
	struct fleet_buffer b = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;

	fill(&b, "[", 128);
	fill(&b, "]", 128);
	CU_ASSERT_EQUAL(try_check(b.data, b.len, &err), 0);
	fleet_buffer_truncate(&b, 0);
	fill(&b, "[", 1000000);
	CU_ASSERT_EQUAL(try_check(b.data, b.len, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "nested too deeply"));
	fleet_buffer_truncate(&b, 0);
	fill(&b, "- ", 500000);
	CU_ASSERT_EQUAL(try_check(b.data, b.len, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "nested too deeply"));
	fleet_buffer_truncate(&b, 0);
	fill(&b, "---\n", 1001);
	CU_ASSERT_EQUAL(try_check(b.data, b.len, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "more documents"));
	fleet_buffer_truncate(&b, 0);
	fill(&b, "- &a x\n", 1001);
	CU_ASSERT_EQUAL(try_check(b.data, b.len, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "more anchors"));
	fleet_buffer_truncate(&b, 0);
	fill(&b, "- x\n", 200001);
	CU_ASSERT_EQUAL(try_check(b.data, b.len, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "more values"));
	/* deep by aliases: each is a hundred levels more */
	fleet_buffer_truncate(&b, 0);
	for (unsigned i = 0; i < 20; i++) {
		fleet_buffer_printf(&b, "- &a%u ", i);
		fill(&b, "[", 100);
		if (i > 0)
			fleet_buffer_printf(&b, "*a%u ", i - 1);
		fill(&b, "]", 100);
		fill(&b, "\n", 1);
	}
	CU_ASSERT_EQUAL(try_check(b.data, b.len, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "aliases make more"));
	fleet_buffer_done(&b);
}

static void test_several_edits_build_on_each_other(void)
{
	struct fleet_edit edits[] = {try_edit_of("a.b.c=1"), try_edit_of("a.b.d=\"x\""),
		try_edit_of("a.b.c=2"), try_edit_of("l[+]=1"), try_edit_of("l[+]=2"), try_edit_of("z")};
	const char *text = "z: 0\n", *want = "a:\n  b:\n    c: 2\n    d: x\nl:\n  - 1\n  - 2\n";
	struct fleet_buffer out = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;

	CU_ASSERT_EQUAL_FATAL(try_edit(text, strlen(text), edits, 6, &out, &err), 0);
	CU_ASSERT_STRING_EQUAL(out.data, want);
	CU_ASSERT_TRUE(try_says_what_was_asked(text, strlen(text), out.data, out.len, edits, 6));
	fleet_buffer_done(&out);
}

static const struct unit_test yaml_tests[] = {UNIT_TEST(test_read), UNIT_TEST(test_types),
	UNIT_TEST(test_set_changes_the_value_only), UNIT_TEST(test_set_block_scalars),
	UNIT_TEST(test_set_whole_collections), UNIT_TEST(test_set_to_what_it_is_changes_nothing),
	UNIT_TEST(test_a_new_key_goes_beside_its_siblings), UNIT_TEST(test_unset_takes_the_line),
	UNIT_TEST(test_documents), UNIT_TEST(test_aliases), UNIT_TEST(test_several_edits_build_on_each_other),
	UNIT_TEST(test_edits_that_make_no_sense), UNIT_TEST(test_what_is_no_yaml), UNIT_TEST(test_bounds),
	{0}};

int main(void)
{
	return unit_run((const struct unit_suite[]){
		{"yaml-config", yaml_tests}, {"yaml-config at random", yaml_random_tests}, {0}});
}
