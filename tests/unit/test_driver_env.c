/* env-config: what sh and systemd agree about, what an edit leaves alone, what it writes and what it refuses.
 */
#include <stdlib.h>
#include "driver_try.h"
#include "unit.h"

extern const struct unit_test env_random_tests[]; /* driver_env_random.c */

#define BOM "\xef\xbb\xbf"

static void test_read(void)
{
	static const struct {
		const char *text, *want;
	} list[] = {
		{"", ""},
		{"# c\n\n", ""},
		{"A=1\nB=\"x y\"\nC='$HOME \\n'\nD=\n", "A=1\nB=x y\nC=$HOME \\n\nD="},
		{"export A=1\n  export\tB='2'\n\tC=3  \n", "A=1\nB=2\nC=3"},
		{"A=1\r\n\r\n# c\r\nB='2'\r\nC=3", "A=1\nB=2\nC=3"},
		{"A=\"a\\$b\\\"\\\\\\`\\n\"\n", "A=a$b\"\\`\\n"},
		{"A=\"x \\\n  y\"\nB=x\\ y\n", "A=x   y\nB=x y"},
		{"A='one\nB=2\n'\n", "A=one\nB=2\n"},
		{"A=1\nA=2\n", "A=1\nA=2"}, /* the last counts */
		/* sh's word, where it is an assignment and nothing else */
		{"A=bar # c\nB=\"bar\" # c\n", "A=bar\nB=bar"},
		{"A=1; export A\nexport B=2 C=3\nD=4 E=5\n", "A=1\nB=2\nC=3\nD=4\nE=5"},
		{"A=x'y'z\n", "A=xyz"},
		/* what it expands, as it is spelled */
		{"A=$HOME/x\nB=\"$A ${C:-d}\"\nC=`date`\nD=$(echo \"a b\")\nE=~/x\nF=\"$(f 'x)')\"\n",
			"A=$HOME/x\nB=$A ${C:-d}\nC=`date`\nD=$(echo \"a b\")\nE=~/x\nF=$(f 'x)')"},
		/* else systemd's */
		{"A=b c\nB = d\nC= e\n", "A=b c\nB=d\nC=e"},
		{"URL=http://x/?a=1&b=2\nP=a;b\nQ=a|b\nR=x >y\n",
			"URL=http://x/?a=1&b=2\nP=a\nQ=a|b\nR=x >y"},
		{"; c\nA=1\n", "A=1"},
		/* what is no assignment, or perhaps not carried out */
		{"export A\nulimit -n 4096\n[ ! -f /x ] || . /x\nmy-key=1\na.b=2\n[ -f x ] && B=1\nC=2\n",
			"C=2"},
		{"readonly A=1\n. /etc/x\n", ""},
		{"#A=1 \\\nB=2\n", "B=2"},
		{BOM "# c (d)\nA=1\n", "A=1"},
		{BOM "A=1\nB=2\n", "A=1\nB=2"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(list); i++) {
		char *got = try_settings_text(list[i].text);

		CU_ASSERT_STRING_EQUAL(got, list[i].want);
		if (strcmp(got, list[i].want) != 0)
			printf("# %s\n# reads\n%s\n# not\n%s\n", list[i].text, got, list[i].want);
		free(got);
	}
}

static void test_set_changes_the_value_only(void)
{
	static const struct try_example list[] = {
		{"A=1\nB=2\n", "A=3", "A=3\nB=2\n"},
		{"# c\n  A=1 \t\nB=2", "A=33", "# c\n  A=33 \t\nB=2"},
		{"A=1\r\nB=2\r\n", "A=3", "A=3\r\nB=2\r\n"},
		{"A=1\r\nB=2\nC=3", "C=4", "A=1\r\nB=2\nC=4"},
		{"A=a\\\r\nB=1\r\n", "A=x", "A=x\r\nB=1\r\n"},
		{BOM "# c\r\nA=1\r\n", "A=2", BOM "# c\r\nA=2\r\n"},
		{"export A=1\n", "A=2", "export A=2\n"},
		{"export\tA=1 # c\n", "A=2 x", "export\tA='2 x' # c\n"},
		{"export A=1 B=2\n", "A=3", "export A=3 B=2\n"},
		{"A='x'\n", "A=y", "A='y'\n"},
		{"A=\"x\"\n", "A=y z", "A=\"y z\"\n"},
		{"A=\"x\"\n", "A=$y", "A='$y'\n"},
		{"A=\"x\"\n", "A=it's", "A=\"it's\"\n"},
		{"A=x\n", "A=a b", "A='a b'\n"},
		{"A=x\n", "A=it's $5 `x` \"y\" \\", "A=\"it's \\$5 \\`x\\` \\\"y\\\" \\\\\"\n"},
		{"A=x\n", "A=", "A=\n"},
		{"A='x'\n", "A=", "A=''\n"},
		{"A=\n", "A=x", "A=x\n"},
		{"A=", "A=x", "A=x"},
		{"A=x\n", "A=#y", "A='#y'\n"},
		{"A=x\n", "A=~", "A='~'\n"},
		{"A=x\n", "A=one\nB=2\r\n", "A='one\nB=2\r\n'\n"},
		{"A=x\n", "A=it's\nB=2", "A=\"it's\nB=2\"\n"},
		{"A=\"x \\\n y\"\nB=1\n", "A=z", "A=\"z\"\nB=1\n"},
		{"A='x\ny'\nB=1\n", "A=z", "A='z'\nB=1\n"},
		/* of several the last */
		{"A=1\nB=2\nA=3\n", "A=4", "A=1\nB=2\nA=4\n"},
		/* a better spelling where sh would have gone astray */
		{"A=b c\n", "A=d e", "A='d e'\n"},
		{"A= b\n", "A=c", "A=c\n"},
		{"URL=http://x/?a=1&b=2\nC=1\n", "URL=http://x/?a=3&b=4", "URL='http://x/?a=3&b=4'\nC=1\n"},
		{"A=$HOME\n", "A=/x", "A=/x\n"},
		{"A=x'y'z\n", "A=$", "A='$'\n"},
		/* what it is already */
		{"A=bar # c\n", "A=bar", "A=bar # c\n"},
		{"A=$HOME\n", "A=$HOME", "A=$HOME\n"},
		{"A=b c\n", "A=b c", "A=b c\n"},
		{"A=\"b\" \n", "A=b", "A=\"b\" \n"},
		{"ulimit -n 4096\nA=1\n[ ! -f /x ] || . /x\n", "A=2",
			"ulimit -n 4096\nA=2\n[ ! -f /x ] || . /x\n"},
		{0},
	};

	try_examples(list);
}

static void test_a_new_key_goes_beside_its_neighbours(void)
{
	static const struct try_example list[] = {
		{"", "A=1", "A=1\n"},
		{"A=1\n\n# end\n", "B=2", "A=1\nB=2\n\n# end\n"},
		{"A=1", "B=2", "A=1\nB=2"},
		{"A=1\r\nB=2", "C=3", "A=1\r\nB=2\r\nC=3"},
		{"A=1\r\n", "C=3", "A=1\r\nC=3\r\n"},
		{"# c\n", "A=1", "# c\nA=1\n"},
		{"# c", "A=1", "# c\nA=1"},
		{BOM, "A=1", BOM "\nA=1\n"},
		{BOM "# c\n", "A=1", BOM "# c\nA=1\n"},
		{"export A=1\n", "B=2", "export A=1\nexport B=2\n"},
		{"  export  A=\"1\"\n", "B=2", "  export  A=\"1\"\n  export  B=\"2\"\n"},
		{"A='1'\n", "B=2", "A='1'\nB='2'\n"},
		{"A=\"x \\\n  y\"\nC=1\n", "B=a b", "A=\"x \\\n  y\"\nC=1\nB='a b'\n"},
		{"A='x\ny'\n", "B=2", "A='x\ny'\nB='2'\n"},
		/* with export where all have it: systemd reads the others only */
		{"# c\nexport A=1\n#B=2\nC=3\n", "B=x", "# c\nexport A=1\n#B=2\nB=x\nC=3\n"},
		{"export A=1\nC=3\n", "B=x", "export A=1\nC=3\nB=x\n"},
		/* behind the example of itself */
		{"#B=1\nA=1\n", "B=2", "#B=1\nB=2\nA=1\n"},
		{"# B=1\n\nA=1\n", "B=2", "# B=1\nB=2\n\nA=1\n"},
		{"A=1\n  #export B=\"x\"\nC=1\n", "B=2", "A=1\n  #export B=\"x\"\n  export B=\"2\"\nC=1\n"},
		{"export A=1\n#B=\"x\"\n", "B=2", "export A=1\n#B=\"x\"\nexport B=\"2\"\n"},
		{"A=1\n#B=\"x \\\n#  y \\\n#  z\"\n# more\n", "B=2",
			"A=1\n#B=\"x \\\n#  y \\\n#  z\"\nB=\"2\"\n# more\n"},
		{"A=1\n#BB=1\n#XB=2\n", "B=2", "A=1\nB=2\n#BB=1\n#XB=2\n"},
		{"A=1\n#B=1", "B=2", "A=1\n#B=1\nB=2"},
		{"[ -f x ] && B=1\n", "B=2", "[ -f x ] && B=1\nB=2\n"},
		/* no example: a value of several lines */
		{"A='x\n#B=1\ny'\n", "B=2", "A='x\n#B=1\ny'\nB='2'\n"},
		/* a backslash ends the comment; systemd before 254 goes on with it */
		{"A=1\n# C:\\\n\n", "B=2", "A=1\nB=2\n# C:\\\n\n"},
		{"# B=C:\\\n", "B=2", "# B=C:\\\n\nB=2\n"},
		{0},
	};

	try_examples(list);
}

static void test_unset_takes_its_lines(void)
{
	static const struct try_example list[] = {
		{"# c\nA=1\nB=2\n", "A", "# c\nB=2\n"},
		{"A=1 # c\nB=2\n", "A", "B=2\n"},
		{"  export A=1\r\nB=2\r\n", "A", "B=2\r\n"},
		{"A=1\r\nB=2", "B", "A=1"},
		{"A=1", "A", ""},
		{"A=\"x \\\n y\"\nB=2\n", "A", "B=2\n"},
		{"A='x\n\ny'\nB=2\n", "A", "B=2\n"},
		{"A=1\nB=2\nexport A=3\n", "A", "B=2\n"},
		{"A=b c\nB=2\n", "A", "B=2\n"},
		{"URL=http://x/?a=1&b=2\nC=1\n", "URL", "C=1\n"},
		{"A=$(date)\nB=1\n", "A", "B=1\n"},
		{"A=1\n", "B", "A=1\n"},
		{"A=1\n", "B.c", "A=1\n"},
		{"A=1\n", "no-name", "A=1\n"},
		{0},
	};

	try_examples(list);
}

static void test_refusals(void)
{
	static const struct try_refusal list[] = {
		{"A=1\r", "B=2", "carriage return"},
		{"A=bar # c\n", "A=2", "move it to a line of its own"},
		{"A=\"bar\" # c\n", "A=2", "move it to a line of its own"},
		{"A=1; export A\n", "A=2", "move it to a line of its own"},
		{"A=1; export A\n", "A", "move it to a line of its own"},
		{"A=1 B=2\n", "A=3", "move it to a line of its own"},
		{"A=1 B=2\n", "A", "move it to a line of its own"},
		{"A=1 B=2\n", "B=3", "give it a line of its own"},
		{"A = 1\n", "A=2", "blanks around the ="},
		{"A=1\nexport A=2\n", "A=3", "in more than one way"},
		{"A=1\n[ -f x ] && A=2\n", "A=3", "in more than one way"},
		{"A=1\n[ -f x ] && A=2\n", "A", "in more than one way"},
		{"A=1\n[ -f x ] && A=2\n", "A=", "in more than one way"},
		{BOM "A=1\n", "A=2", "byte order mark"},
		{BOM "A=1\n", "A", "byte order mark"},
		{"# c \\\nA=1\n", "A=2", "sh and systemd would not both"},
		{"MSG=it's\nB=2\nX=that's\n", "B=3", "only systemd does"},
		{"A=1\n", "B-C=2", "letters, digits and _"},
		{"A=1\n", "1B=2", "letters, digits and _"},
		{"A=1\n", "\\e=2", "letters, digits and _"},
		{"A=1\n", "A\\.b=2", "letters, digits and _"},
		{"A=1\n", "A.b=2", "nothing deeper"},
		{"A=1\n", "A[0]=2", "nothing deeper"},
		{"A=1\n", "A=\xff", "not UTF-8"},
		{0},
	};
	struct fleet_edit nul = {.path = {"A", 1}, .value = {"x\0y", 3}, .kind = FLEET_EDIT_SET};
	struct fleet_buffer out = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;

	try_refusals(list);
	CU_ASSERT_EQUAL(try_edit("A=1\n", 4, &nul, 1, &out, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "NUL"));
	CU_ASSERT_EQUAL(
		try_edit("A=bar # c\n", 10, &(struct fleet_edit){{"A", 1}, {"2", 1}, 0, 0}, 1, &out, &err),
		-EINVAL);
	CU_ASSERT_TRUE(err.line == 1 && err.column == 1);
}

static void test_what_sh_cannot_read_or_nobody_can_follow(void)
{
	static const struct try_fault list[] = {
		{"A=1\nif [ -f x ]; then\n  B=1\nfi\n", 2, 1, "a program"},
		{"A=1\n  case x in\n", 2, 3, "a program"},
		{"true && { A=1; }\n", 1, 9, "a program"},
		{"A=1\ncat <<E\nA=2\nE\n", 2, 5, "here-document"},
		{"f() {\n A=1\n}\n", 1, 2, "parenthesis"},
		{"A=hello (world)\n", 1, 9, "parenthesis"},
		{"A=1\nMSG=it's\n", 2, 7, "single quote"},
		{"A=1\nMSG=\"x\n", 2, 5, "double quote"},
		{"A=`x\n", 1, 3, "backquote"},
		{"A=${x\n", 1, 6, "braces"},
		{"A=\"${x:-\"y\"}\"\n", 1, 9, "quotes or braces"},
		{"A=$(x\n", 1, 3, "never closed"},
		{"A=$(case x in x) esac)\n", 1, 5, "more in it"},
		{"A=$'x'\n", 1, 3, "shells differ"},
		{"A=1;;\n", 1, 4, ";;"},
		{"export A = 1\n", 1, 10, "without blanks"},
		{"&\n", 1, 1, "expects a command"},
		{"A=1 && ; B=2\n", 1, 8, "expects a command"},
		{"A=1\nB=\xff\n", 2, 3, "not UTF-8"},
		{"\xff\xfe"
		 "A=1",
			1, 1, "UTF-16"},
		{0},
	};
	struct fleet_driver_error err;

	try_faults(list);
	CU_ASSERT_EQUAL(try_check("A=1\nB=\0\n", 8, &err), -EINVAL);
	CU_ASSERT_EQUAL(err.line, 2);
	CU_ASSERT_EQUAL(try_check("# caf\xe9\nA=1\n", 10, &err), 0); /* a comment is nobody's value */
}

static void test_several_edits_build_on_each_other(void)
{
	const char *before = "A=1\n#B=0\n";
	struct fleet_edit edits[] = {try_edit_of("C=x"), try_edit_of("B=$1"), try_edit_of("A"),
		try_edit_of("C=y"), try_edit_of("B"), try_edit_of("D=z")};
	struct fleet_buffer out = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;

	CU_ASSERT_EQUAL_FATAL(try_edit(before, strlen(before), edits, FLEET_ARRAY_LEN(edits), &out, &err), 0);
	CU_ASSERT_STRING_EQUAL(out.data, "C=y\nD=z\n#B=0\n");
	CU_ASSERT_TRUE(try_says_what_was_asked(
		before, strlen(before), out.data, out.len, edits, FLEET_ARRAY_LEN(edits)));
	fleet_buffer_done(&out);
}

static const struct unit_test env_tests[] = {UNIT_TEST(test_read), UNIT_TEST(test_set_changes_the_value_only),
	UNIT_TEST(test_a_new_key_goes_beside_its_neighbours), UNIT_TEST(test_unset_takes_its_lines),
	UNIT_TEST(test_refusals), UNIT_TEST(test_what_sh_cannot_read_or_nobody_can_follow),
	UNIT_TEST(test_several_edits_build_on_each_other), {0}};

int main(void)
{
	return unit_run((const struct unit_suite[]){
		{"env-config", env_tests}, {"env-config at random", env_random_tests}, {0}});
}
