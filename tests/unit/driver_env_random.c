/* env-config on random documents: measured by the host's own idea of edits, by the lines that differ, by real
 * shells, and by a reader made after systemd's. */
#include <fcntl.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "driver_dice.h"
#include "driver_oracle.h"
#include "driver_try.h"
#include "unit.h"

extern const struct unit_test env_random_tests[];

static void add_case(struct oracle *o, const struct fleet_buffer *old, const struct fleet_buffer *new,
	const struct fleet_edit *edit, const struct settings *said)
{
	struct json_object *line = json_object_new_object(), *all = json_object_new_object();

	json_object_object_add(line, "old", oracle_text(old->data ? old->data : "", old->len));
	json_object_object_add(line, "new", oracle_text(new->data, new->len));
	json_object_object_add(line, "key", oracle_text(edit->path.data, edit->path.len));
	json_object_object_add(line, "value",
		edit->kind == FLEET_EDIT_SET ? oracle_text(edit->value.data, edit->value.len) : NULL);
	for (size_t i = 0; i < said->count; i++)
		json_object_object_add(all, said->items[i].path,
			oracle_text(said->items[i].value, said->items[i].value_len));
	json_object_object_add(line, "settings", all);
	oracle_add(o, line);
}

struct maker {
	uint64_t seed;
	struct fleet_buffer out;
	const char *newline;
	bool mixed, export;
};

static void make_newline(struct maker *m)
{
	fleet_buffer_add_string(&m->out, m->mixed && DICE(m, 2) ? "\n" : m->newline);
}

/* Spellings that all read alike, and those about which the readers quarrel. */
static void make_assignment(struct maker *m)
{
	static const char *const plain[] = {"", "1", "/usr/bin", "'a b'", "\"a b\"", "''", "\"\"",
		"'$ZZ `x` \\'", "\"it's\"", "\"a\\\"b\\\\c\\$d\\`e\"", "\"x \\\n  y\"", "'one\ntwo\n'",
		"a\\ b", "\"\\n\"", "'EVIL=1'", "'x\nEVIL=2\ny'", "\"x\n# no\"", "a=b", "a,b:c",
		"\"caf\xc3\xa9\"", "'# x'"};
	static const char *const odd[] = {"a b", "x'y'z", "'a''b'", "'a'\"b\"", "$ZZ", "\"$ZZ/x\"", "~/x",
		"a#b", "#a", "a;b", "a&b=2", "\"${ZZ:-d}\"", "a \\\n b", "a\\", "'a' 'b'", "=", "a\"b c\"d",
		"\\'", "'a' b", "a:~", "*"};
	static const char *const behind[] = {
		"  ", "\t", " # c", " # it's", "; :", "; export K1", " K2=7", " ;"};

	if (DICE(m, 6) == 0)
		fleet_buffer_add_string(&m->out, DICE(m, 2) ? "  " : "\t");
	if (DICE(m, 8) == 0 ? !m->export : m->export)
		fleet_buffer_add_string(&m->out, "export ");
	fleet_buffer_printf(&m->out, "K%u%s", DICE(m, 7), DICE(m, 20) ? "=" : DICE(m, 2) ? " = " : "= ");
	if (DICE(m, 5))
		fleet_buffer_add_string(&m->out, PICK(m, plain));
	else
		fleet_buffer_add_string(&m->out, PICK(m, odd));
	if (DICE(m, 8) == 0)
		fleet_buffer_add_string(&m->out, PICK(m, behind));
	make_newline(m);
}

static void make_line(struct maker *m)
{
	static const char *const other[] = {"", "", "# text", "  # it's (\"text\")", "#EVIL=1", "# C:\\d\\",
		"; note", ":", "[ ! -f /nonexistent/x ] || . /nonexistent/x", "export K1", "umask 022",
		"K-x=1", "nothing here", "[ -n \"$ZZ\" ] && K6=z", "# EVIL=x \\", "K.x='1 2'"};

	if (DICE(m, 3)) {
		make_assignment(m);
		return;
	}
	if (DICE(m, 3) == 0)
		fleet_buffer_printf(&m->out, "%sK%u=%s", DICE(m, 2) ? "#" : "# ", DICE(m, 8),
			DICE(m, 2) ? "x" : "\"y z\"");
	else
		fleet_buffer_add_string(&m->out, PICK(m, other));
	make_newline(m);
}

static void make_document(struct maker *m)
{
	static const char *const endings[] = {"\n", "\n", "\n", "\r\n"};

	m->out.len = 0;
	m->newline = PICK(m, endings);
	m->mixed = DICE(m, 8) == 0;
	m->export = DICE(m, 3) == 0;
	if (DICE(m, 12) == 0)
		fleet_buffer_add_string(&m->out, "\xef\xbb\xbf");
	for (unsigned n = DICE(m, 9); n > 0; n--)
		make_line(m);
	if (DICE(m, 5) == 0 && m->out.len > 0 && m->out.data[m->out.len - 1] == '\n') {
		m->out.len--;
		if (m->out.len > 0 && m->out.data[m->out.len - 1] == '\r')
			m->out.len--;
	}
	fleet_buffer_add(&m->out, "", 0);
}

/* Half of the time a known nasty one, else put together from pieces. */
static void make_value(struct maker *m, struct fleet_buffer *ret)
{
	static const char *const values[] = {"", "1", "a b", "/x/y:z", "it's", "say \"hi\"", "$ZZ",
		"$(: >canary)", "`: >canary`", "'; : >canary; '", "\"; : >canary; \"", "x\nEVIL=1",
		"x\r\nEVIL=1\r\n", "x\rEVIL=1", "'\nEVIL=1\n: >canary\n'", "\"\nEVIL=1\n\"", "\\", "\\\n",
		"a\\'b", "it's $ZZ\\\n`x`", "# no", "x # y", "; x", "~", "~/x", " lead", "trail ", "\t",
		"caf\xc3\xa9 \xe2\x82\xac", "\x01\x7f\x1b[0m", "\xc2\x81\xc2\x88", "a=b", "!x", "{a,b}", "*",
		"\\n", "\\$x", "\n", "'", "\"", "'\"'", "$'x'", "x\\"};
	static const char pieces[] = "'\"\\$`\n\r\t #;=&|()<>*~!{}aEVIL=1\x01";

	ret->len = 0;
	if (DICE(m, 2)) {
		fleet_buffer_add_string(ret, PICK(m, values));
		return;
	}
	for (unsigned n = DICE(m, 12); n > 0; n--)
		fleet_buffer_add(ret, &pieces[DICE(m, sizeof(pieces) - 1)], 1);
}

struct tally {
	unsigned good, refused, changed, came, went, unreadable;
};

/* Lines that an edit may touch: those of the one value, new or old, which may have several. */
static bool check_lines(const struct fleet_buffer *old, const struct fleet_buffer *new,
	const struct fleet_edit *edit, const struct settings *now, struct tally *tally)
{
	char path[8] = "";
	size_t gone, came;
	bool there;

	(void)snprintf(path, sizeof(path), "%.*s", (int)edit->path.len, edit->path.data);
	there = settings_find(now, path);
	if (old->len == new->len && memcmp(old->data, new->data, old->len) == 0)
		return edit->kind == FLEET_EDIT_UNSET ? !there : there;
	tally->changed += there && edit->kind == FLEET_EDIT_SET;
	tally->came += !there;
	tally->went += edit->kind == FLEET_EDIT_UNSET;
	/* several lines of a key may go, one after the other */
	return try_lines_differ(old, new, &gone, &came) || edit->kind == FLEET_EDIT_UNSET;
}

static bool try_one(struct maker *m, struct oracle *oracle, struct tally *tally, bool damage)
{
	struct settings now = SETTINGS_INIT, after = SETTINGS_INIT;
	struct fleet_buffer new = FLEET_BUFFER_INIT, value = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;
	char key[8];
	struct fleet_edit edit = {.path = {key, 2}, .value = {"", 0}, .kind = FLEET_EDIT_UNSET};
	bool good = true;
	int r;

	make_document(m);
	for (unsigned n = damage ? 1 + DICE(m, 3) : 0; n > 0 && m->out.len > 0; n--)
		m->out.data[DICE(m, (uint32_t)m->out.len)] = "\"'=#;\\\n\r $`&~\tK1"[DICE(m, 16)];
	(void)snprintf(key, sizeof(key), "K%u", DICE(m, 8));
	if (DICE(m, 4)) {
		make_value(m, &value);
		edit.kind = FLEET_EDIT_SET;
		edit.type = FLEET_TYPE_STRING;
		edit.value = (struct fleet_bytes){value.data ? value.data : "", value.len};
	}
	r = try_read(m->out.data, m->out.len, &now, &err);
	CU_ASSERT_EQUAL(try_check(m->out.data, m->out.len, &err), r);
	if (r < 0) {
		tally->unreadable++;
		good = r == -EINVAL;
		CU_ASSERT_EQUAL(try_edit(m->out.data, m->out.len, &edit, 1, &new, &err), r);
		goto out;
	}
	r = try_edit(m->out.data, m->out.len, &edit, 1, &new, &err);
	good = r == 0 || r == -EINVAL;
	if (r == 0) {
		tally->good++;
		good = try_says_what_was_asked(m->out.data, m->out.len, new.data, new.len, &edit, 1) &&
		       check_lines(&m->out, &new, &edit, &now, tally) &&
		       try_read(new.data, new.len, &after, &err) == 0;
		if (m->out.len != new.len || memcmp(m->out.data, new.data, new.len) != 0)
			add_case(oracle, &m->out, &new, &edit, &after);
	} else {
		tally->refused++;
	}
	if (!good)
		printf("# %s to '%.*s': %s\n# old\n%s\n# new\n%s\n", key, (int)edit.value.len,
			edit.value.data, r ? err.message : "", m->out.data, new.data ? new.data : "-");
out:
	settings_done(&now);
	settings_done(&after);
	fleet_buffer_done(&new);
	fleet_buffer_done(&value);
	return good;
}

static void try_many(uint64_t seed, unsigned count, bool damage)
{
	struct maker m = {.seed = seed};
	struct tally tally = {0};
	struct oracle oracle = {.tried = 0};
	unsigned bad = 0;

	try_options(NULL, 0);
	if (!oracle_open(&oracle, "env"))
		return;
	for (unsigned i = 0; i < count && bad < 5; i++)
		bad += !try_one(&m, &oracle, &tally, damage);
	printf("# %u good (%u changed, %u new, %u removed), %u refused, %u unreadable\n", tally.good,
		tally.changed, tally.came, tally.went, tally.refused, tally.unreadable);
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_TRUE(tally.changed > count / 20 && tally.came > count / 10 && tally.went > count / 50 &&
		       tally.refused > count / 50);
	fleet_buffer_done(&m.out);
	if (!oracle_ask(&oracle, NULL))
		return;
	printf("# sh and systemd: %u read, %u of them otherwise, %u not at all\n", oracle.tried, oracle.wrong,
		oracle.skipped);
	CU_ASSERT_EQUAL(oracle.wrong, 0);
	CU_ASSERT_TRUE(oracle.tried > count / 6 && oracle.skipped < oracle.tried / 10);
}

static void test_random_documents_and_edits(void)
{
	try_many(20260301, 6000, false);
}

/* Characters with a meaning, anywhere: what a reader makes of it must still be foreseen. */
static void test_damaged_documents(void)
{
	try_many(7, 6000, true);
}

const struct unit_test env_random_tests[] = {
	UNIT_TEST(test_random_documents_and_edits), UNIT_TEST(test_damaged_documents), {0}};
