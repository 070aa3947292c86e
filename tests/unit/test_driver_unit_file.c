/* systemd-unit's format role: unit files and drop-ins, what an edit leaves alone, what it writes, what it
 * refuses; random ones, measured by the host's own idea of edits and by a reader made from systemd.syntax(7).
 */
#include <fcntl.h>
#include <ftw.h>
#include <json-c/json.h>
#include <sys/stat.h>
#include <unistd.h>
#include "driver_dice.h"
#include "driver_oracle.h"
#include "driver_try.h"
#include "unit.h"

static void test_read(void)
{
	try_reads("", "");
	try_reads("[Service]\nMemoryMax=1G\n# x=1\n;y=2\nNice = 5\n", "Service.MemoryMax=1G\nService.Nice=5");
	try_reads("\xef\xbb\xbf[Unit]\r\nDescription=it's \"q\" ; # x\r\n",
		"Unit.Description=it's \"q\" ; # x");
	try_reads("[Service]\nExecStart=/bin/x \\\n# no\n; no\n  --a \\\n\t--b\nNice=1\n",
		"Service.ExecStart=/bin/x --a --b\nService.Nice=1");
	/* a blank line ends it */
	try_reads("[Service]\nType=a \\\n\nNice=1\n", "Service.Type=a\nService.Nice=1");
	try_reads("[Service]\nType=\\\n# c\nb\n", "Service.Type=b");
	try_reads("[Service]\nType=a\\\\\nNice=1\n", "Service.Type=a\\\\\nService.Nice=1");
	try_reads("[Service]\nType=a\\ \nNice=1\n", "Service.Type=a\\\nService.Nice=1");
	try_reads("[X-Foo.bar]\nKey=1\n[Service]\nNice=1\n[X-Foo.bar]\nKey=2\n",
		"X-Foo\\.bar.Key[0]=1\nService.Nice=1\nX-Foo\\.bar.Key[1]=2");
}

static void test_an_empty_assignment_resets(void)
{
	try_reads("[Service]\nExecStart=\n", "Service.ExecStart=");
	try_reads("[Service]\nExecStart=\nExecStart=/b\n", "Service.ExecStart=/b");
	try_reads("[Service]\nExecStart=/a\nExecStart=\nExecStart=/b\nExecStart=/c\n",
		"Service.ExecStart[0]=/b\nService.ExecStart[1]=/c");
	try_reads("[Service]\nExecStart=/a\nExecStart=\nExecStart=\nNice=1\n",
		"Service.ExecStart=\nService.Nice=1");
	try_reads("[Service]\nExecStart=/a\n[Unit]\nA=1\n[Service]\nExecStart=\nExecStart=/b\n",
		"Unit.A=1\nService.ExecStart=/b");
}

static void test_edits(void)
{
	static const struct try_example list[] = {
		/* a drop-in from nothing */
		{"", "Service.MemoryMax=1G", "[Service]\nMemoryMax=1G\n"},
		{"", "Service.ExecStart=/b", "[Service]\nExecStart=\nExecStart=/b\n"},
		{"", "Service.ExecStart=", "[Service]\nExecStart=\n"},
		{"", "Service.Environment=A=b", "[Service]\nEnvironment=A=b\n"},
		{"", "Service.ExecStartPre[+]=/b", "[Service]\nExecStartPre=/b\n"},
		/* values */
		{"[Service]\nMemoryMax=1G # not a comment\n", "Service.MemoryMax=2G",
			"[Service]\nMemoryMax=2G\n"},
		{"[Service]\r\nMemoryMax = 1G\r\nNice=1", "Service.MemoryMax=2G",
			"[Service]\r\nMemoryMax = 2G\r\nNice=1"},
		{"[Service]\nExecStart=/bin/x \\\n  --a \\\n  --b\nNice=1\n", "Service.ExecStart=/y",
			"[Service]\nExecStart=/y\nNice=1\n"},
		{"[Service]\nExecStart=/x --a \\\n  --b\n", "Service.ExecStart=/x --a --b",
			"[Service]\nExecStart=/x --a \\\n  --b\n"},
		{"[Service]\nMemoryMax=1G\n", "Service.MemoryMax=", "[Service]\nMemoryMax=\n"},
		{"[Service]\nMemoryMax=\n", "Service.MemoryMax=1G", "[Service]\nMemoryMax=1G\n"},
		/* new keys */
		{"[Unit]\nA=1\n\n[Service]\nNice=1\n\n[Install]\nB=1\n", "Service.MemoryMax=1G",
			"[Unit]\nA=1\n\n[Service]\nNice=1\nMemoryMax=1G\n\n[Install]\nB=1\n"},
		{"[Service]\n#MemoryMax=512M\nNice=1\n", "Service.MemoryMax=1G",
			"[Service]\n#MemoryMax=512M\nMemoryMax=1G\nNice=1\n"},
		{"[Unit]\nA=1\n", "Service.Nice=1", "[Unit]\nA=1\n\n[Service]\nNice=1\n"},
		/* several of a key, and resets */
		{"[Service]\nExecStart=\nExecStart=/a\n", "Service.ExecStart=/b",
			"[Service]\nExecStart=\nExecStart=/b\n"},
		{"[Service]\nExecStart=\n", "Service.ExecStart=/b", "[Service]\nExecStart=\nExecStart=/b\n"},
		{"[Service]\nExecStart=/a\n", "Service.ExecStart=/b", "[Service]\nExecStart=/b\n"},
		{"[Service]\nEnvironment=\nNice=1\n", "Service.Environment=A=b",
			"[Service]\nEnvironment=\nEnvironment=A=b\nNice=1\n"},
		{"[Service]\nExecStart=/a\nExecStart=\nExecStart=/b\nExecStart=/c\n", "Service.ExecStart=/d",
			"[Service]\nExecStart=/a\nExecStart=\nExecStart=/d\n"},
		{"[Service]\nExecStart=/a\nExecStart=\nExecStart=/b\nExecStart=/c\n",
			"Service.ExecStart[0]=/d",
			"[Service]\nExecStart=/a\nExecStart=\nExecStart=/d\nExecStart=/c\n"},
		{"[Service]\nExecStart=/a\nExecStart=\nExecStart=/b\nExecStart=/c\n", "Service.ExecStart[1]",
			"[Service]\nExecStart=/a\nExecStart=\nExecStart=/b\n"},
		{"[Service]\nExecStart=\nExecStart=/b\nNice=1\n", "Service.ExecStart[0]",
			"[Service]\nNice=1\n"},
		{"[Service]\nExecStart=\nExecStart=/b\nNice=1\n", "Service.ExecStart[+]=/c",
			"[Service]\nExecStart=\nExecStart=/b\nExecStart=/c\nNice=1\n"},
		{"[Service]\nEnvironment=A=1\nNice=1\nEnvironment=B=2\n", "Service.Environment[+]=C=3",
			"[Service]\nEnvironment=A=1\nNice=1\nEnvironment=B=2\nEnvironment=C=3\n"},
		{"[Service]\nEnvironment=A=1\nEnvironment=B=2\n",
			"Service.Environment=", "[Service]\nEnvironment=\n"},
		{"[Service]\nNice=1\nNice=\n", "Service.Nice=2", "[Service]\nNice=1\nNice=\nNice=2\n"},
		/* unset */
		{"[Service]\nExecStart=/a\nExecStart=\nExecStart=/b\nNice=1\n", "Service.ExecStart",
			"[Service]\nNice=1\n"},
		{"[Service]\nNice=1 \\\n  2\nMemoryMax=1G\n", "Service.Nice", "[Service]\nMemoryMax=1G\n"},
		{"[Unit]\nA=1\n\n[Service]\nNice=1\n", "Service", "[Unit]\nA=1\n"},
		{"[Service]\nNice=1\n", "Service.CPUQuota", "[Service]\nNice=1\n"},
		{"[Service]\nNice=1\n", "Unit.After[3]", "[Service]\nNice=1\n"},
		{"[Service]\nExecStart=\n", "Service.ExecStart", "[Service]\n"},
		{0},
	};

	try_examples(list);
}

static void test_refusals(void)
{
	static const struct try_refusal list[] = {
		{"[Service]\nNice=1\n", "MemoryMax=1G", "sections with keys"},
		{"[Service]\nNice=1\n", "Service.a.b=1", "nothing deeper"},
		{"[Service]\nNice=1\n", "Service.Nice[1]=1", "so many times"},
		{"[Service]\nNice=1\n", "Service.Nice[1]", "so many times"},
		{"[Service]\nNice=1\n", "Service.Nice[+]", "cannot be unset"},
		{"[Service]\nNice=1\n", "Service.Nice[+]=", "would reset"},
		{"[Service]\nNice=\n", "Service.Nice[+]=1", "without [+]"},
		{"[Service]\nA=1\nA=2\n", "Service.A[0]=", "would reset"},
		{"[Service]\nNice=1\n", "Service.Nice=1\nUser=root", "line break"},
		{"[Service]\nNice=1\n", "Service.Nice=1\\", "backslash"},
		{"[Service]\nNice=1\n", "Service.Nice= 1", "blank"},
		{"[Service]\nNice=1\n", "Service.Nice\nUser=root", "control character"},
		{"[Service]\nNice=1\n", "Service\nUnit.A=root", "control character"},
		{"[Service]\nNice=1\n", "Service].A=root", "has a ] in it"},
		{"[Service]\nNice=1\n", "Service.#A=root", "as a comment"},
		{"[Service]\nA=1 \\\n# c\n 2\n", "Service.A=3", "comments stand between"},
		{0},
	};
	static const struct try_fault faults[] = {{"[Service] # c\nNice=1\n", 1, 10, "behind the ]"},
		{"Nice=1\n[Service]\n", 1, 1, "outside of any section"},
		{"[Service]\nNice\n", 2, 1, "expected key = value"},
		{"[Service\nNice=1\n", 1, 1, "without ]"}, {"[Service]\nNice=1 \\\n", 2, 8, "continued line"},
		{"[Service]\nNice=1\\", 2, 7, "continued line"},
		{"[Service]\nNice=1\\\n# c", 2, 7, "continued line"},
		{"[Service]\n=1\n", 2, 1, "name is missing"}, {"[Service]\nA=\xff\n", 2, 3, "UTF-8"}, {0}};

	try_refusals(list);
	try_faults(faults);
	try_reads("[Service]\nNice=1\\\\", "Service.Nice=1\\\\");
}

/* "Section.Key[index]" without escapes. index -1: none, -2: [+] */
static void add_case(struct oracle *o, const struct fleet_buffer *old, const struct fleet_buffer *new,
	const char *section, const char *key, int index, const char *value)
{
	struct json_object *line = json_object_new_object();

	json_object_object_add(line, "old", oracle_text(old->data, old->len));
	json_object_object_add(line, "new", oracle_text(new->data, new->len));
	json_object_object_add(line, "section", json_object_new_string(section));
	json_object_object_add(line, "key", json_object_new_string(key));
	json_object_object_add(line, "index", json_object_new_int(index));
	json_object_object_add(line, "value", value ? json_object_new_string(value) : NULL);
	oracle_add(o, line);
}

struct maker {
	uint64_t seed;
	struct fleet_buffer out;
	const char *newline;
};

static const char *const sections[] = {"Unit", "Service", "Install"};
static const char *const keys[] = {"ExecStart", "ExecStart", "Environment", "Nice", "MemoryMax"};

static void make_assignment(struct maker *m)
{
	static const char *const assigns[] = {"=", "=", "=", " = ", "= "};
	static const char *const values[] = {
		"", "", "1", "a b", "\"q r\"", "x=y", "a # b", "a ; b", "c\\\\", "%i\\x20", "\xc3\xa9"};
	static const char *const more[] = {"more", "[Unit]", "Nice=7", "# c", ";", "x # y", "  z"};

	fleet_buffer_printf(&m->out, "%s%s%s", PICK(m, keys), PICK(m, assigns), PICK(m, values));
	for (unsigned n = DICE(m, 6) == 0 ? 1 + DICE(m, 3) : 0; n > 0; n--)
		fleet_buffer_printf(&m->out, " \\%s%s%s", m->newline, DICE(m, 2) ? "  " : "", PICK(m, more));
	fleet_buffer_add_string(&m->out, m->newline);
}

static void make_document(struct maker *m)
{
	static const char *const between[] = {"", "# MemoryMax=1", "; Nice = 2", "#", "#ExecStart=/x"};
	unsigned n = 1 + DICE(m, 4);

	fleet_buffer_truncate(&m->out, 0);
	m->newline = DICE(m, 4) ? "\n" : "\r\n";
	while (n-- > 0) {
		fleet_buffer_printf(&m->out, "[%s]%s", PICK(m, sections), m->newline);
		for (unsigned k = DICE(m, 6); k > 0; k--) {
			if (DICE(m, 4) == 0)
				fleet_buffer_printf(&m->out, "%s%s", PICK(m, between), m->newline);
			else
				make_assignment(m);
		}
		if (DICE(m, 2))
			fleet_buffer_add_string(&m->out, m->newline);
	}
	if (DICE(m, 4) == 0)
		fleet_buffer_truncate(&m->out, m->out.len - strlen(m->newline));
}

struct tally {
	unsigned good, refused, unread, returned, repeated;
};

static bool same_bytes(const struct fleet_buffer *a, const struct fleet_buffer *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* Again it changes nothing; and what was new goes again. */
static bool check_after(const struct fleet_buffer *old, const struct fleet_buffer *new,
	const struct settings *now, const char *path, const struct fleet_edit *edit, bool parent,
	struct tally *t)
{
	struct fleet_edit unset = {.path = edit->path, .kind = FLEET_EDIT_UNSET, .value = {"", 0}};
	struct fleet_buffer again = FLEET_BUFFER_INIT, back = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;
	char several[80];
	bool good;

	good = try_edit(new->data, new->len, edit, 1, &again, &err) == 0 && same_bytes(&again, new);
	fleet_buffer_done(&again);
	t->repeated++;
	(void)snprintf(several, sizeof(several), "%s[1]", path);
	if (!good || edit->kind != FLEET_EDIT_SET || !parent || settings_find(now, path) ||
		settings_find(now, several))
		return good;
	good = try_edit(new->data, new->len, &unset, 1, &back, &err) == 0 && same_bytes(&back, old);
	if (!good)
		printf("# back to\n%s\n", back.data ? back.data : err.message);
	fleet_buffer_done(&back);
	t->returned++;
	return good;
}

static bool has_section(const struct settings *now, const char *section)
{
	for (size_t i = 0; i < now->count; i++) {
		if (strncmp(now->items[i].path, section, strlen(section)) == 0)
			return true;
	}
	return false;
}

static bool try_one(struct maker *m, struct oracle *oracle, struct tally *t)
{
	static const char *const values[] = {"", "v", "two words", "a=b", "\"q\"", "[x]", "\\x20", "# z",
		" lead", "back\\", "a\nNice=1", "caf\xc3\xa9"};
	const char *section = PICK(m, sections), *key = PICK(m, keys),
		   *value = DICE(m, 4) ? PICK(m, values) : NULL;
	int index = DICE(m, 3) ? -1 : (int)DICE(m, 4) - 2, r;
	struct settings now = SETTINGS_INIT;
	struct fleet_buffer new = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;
	struct fleet_edit edit = {.kind = FLEET_EDIT_UNSET, .value = {"", 0}};
	char path[64];
	bool good;

	make_document(m);
	if (try_read(m->out.data, m->out.len, &now, &err) < 0) {
		t->unread++;
		return strstr(err.message, "continued line") != NULL;
	}
	(void)snprintf(path, sizeof(path), "%s.%s", section, key);
	if (index == -2 && value)
		(void)snprintf(path, sizeof(path), "%s.%s[+]", section, key);
	else if (index >= 0)
		(void)snprintf(path, sizeof(path), "%s.%s[%d]", section, key, index);
	else
		index = -1;
	edit.path = (struct fleet_bytes){path, strlen(path)};
	if (value) {
		edit.kind = FLEET_EDIT_SET;
		edit.type = FLEET_TYPE_STRING;
		edit.value = (struct fleet_bytes){value, strlen(value)};
	}
	r = try_edit(m->out.data, m->out.len, &edit, 1, &new, &err);
	good = r == 0 || r == -EINVAL;
	if (r == 0) {
		t->good++;
		good = try_says_what_was_asked(m->out.data, m->out.len, new.data, new.len, &edit, 1) &&
		       (index != -1 ||
			       check_after(&m->out, &new, &now, path, &edit, has_section(&now, section), t));
		add_case(oracle, &m->out, &new, section, key, index, value);
	} else {
		t->refused++;
	}
	if (!good)
		printf("# %s to '%s': %s\n# old\n%s\n# new\n%s\n", path, value ? value : "(unset)",
			r ? err.message : "", m->out.data, new.data ? new.data : "-");
	settings_done(&now);
	fleet_buffer_done(&new);
	return good;
}

static void test_random_units_and_edits(void)
{
	struct maker m = {.seed = 20260601};
	struct oracle oracle = {.tried = 0};
	struct tally t = {0};
	unsigned bad = 0;

	if (!oracle_open(&oracle, "unit"))
		return;
	for (unsigned i = 0; i < 10000 && bad < 5; i++)
		bad += !try_one(&m, &oracle, &t);
	printf("# %u good (%u back again, %u repeated), %u refused, %u not read\n", t.good, t.returned,
		t.repeated, t.refused, t.unread);
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_TRUE(t.good > 4000 && t.returned > 300 && t.refused > 500);
	if (!oracle_ask(&oracle, NULL))
		return;
	printf("# by systemd.syntax(7): %u read, %u of them otherwise\n", oracle.tried, oracle.wrong);
	CU_ASSERT_EQUAL(oracle.wrong, 0);
	CU_ASSERT_TRUE(oracle.tried > 4000);
	fleet_buffer_done(&m.out);
}

/* Documents with damage: check, read and edit say the same about them, and never crash. */
static void test_damaged_units(void)
{
	struct maker m = {.seed = 5};
	struct fleet_edit edits[] = {try_edit_of("Service.ExecStart=/x"), try_edit_of("Service.ExecStart"),
		try_edit_of("Unit.Environment[+]=A=1"), try_edit_of("Install"),
		try_edit_of("Service.ExecStart[1]")};
	unsigned taken = 0, edited = 0;

	for (unsigned i = 0; i < 20000; i++) {
		struct fleet_edit *edit = &edits[DICE(&m, FLEET_ARRAY_LEN(edits))];
		struct fleet_buffer out = FLEET_BUFFER_INIT;
		struct fleet_driver_error err;
		int checked, r;

		make_document(&m);
		for (unsigned n = DICE(&m, 3); n > 0 && m.out.len > 0; n--)
			m.out.data[DICE(&m, (uint32_t)m.out.len)] =
				DICE(&m, 2) ? (char)DICE(&m, 256) : "[]=;#\\\n\r "[DICE(&m, 9)];
		checked = try_check(m.out.data, m.out.len, &err);
		CU_ASSERT_EQUAL(try_read(m.out.data, m.out.len, NULL, &err), checked);
		r = try_edit(m.out.data, m.out.len, edit, 1, &out, &err);
		CU_ASSERT_TRUE(checked == 0 || r < 0);
		if (r == 0)
			CU_ASSERT_TRUE(
				try_says_what_was_asked(m.out.data, m.out.len, out.data, out.len, edit, 1));
		taken += checked == 0;
		edited += r == 0;
		fleet_buffer_done(&out);
	}
	printf("# %u taken, %u edited\n", taken, edited);
	CU_ASSERT_TRUE(taken > 4000 && edited > 2000);
	fleet_buffer_done(&m.out);
}

/* The units of this machine, as its packages installed them. */
static struct {
	struct oracle oracle;
	unsigned files, edits, refused;
} real;

/* path: "Section.Key", or with "[n]". */
static void try_real_edit(const struct fleet_buffer *old, const char *path, const char *value)
{
	struct fleet_edit edit = {.path = {path, strlen(path)},
		.kind = value ? FLEET_EDIT_SET : FLEET_EDIT_UNSET,
		.value = {value ? value : "", value ? strlen(value) : 0},
		.type = value ? FLEET_TYPE_STRING : 0};
	struct fleet_buffer new = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;
	char section[64], key[64];
	int index = -1, r = try_edit(old->data, old->len, &edit, 1, &new, &err);
	bool good;

	if (r == 0 && sscanf(path, "%63[^.].%63[^[][%d]", section, key, &index) >= 2) {
		good = try_says_what_was_asked(old->data, old->len, new.data, new.len, &edit, 1);
		add_case(&real.oracle, old, &new, section, key, index, value);
		real.edits++;
	} else {
		good = r < 0 && strstr(err.message, "comments stand between");
		real.refused++;
	}
	CU_ASSERT_TRUE(good);
	if (!good)
		printf("# %s to '%s': %s\n", path, value ? value : "(unset)", r ? err.message : "");
	fleet_buffer_done(&new);
}

static int on_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	static const char *const ends[] = {
		".service", ".socket", ".timer", ".mount", ".path", ".slice", ".target"};
	const char *dot = strrchr(path, '.');
	struct fleet_buffer text = FLEET_BUFFER_INIT;
	struct settings s = SETTINGS_INIT;
	struct fleet_driver_error err;
	bool wanted = false;

	(void)ftw;
	for (size_t i = 0; dot && i < FLEET_ARRAY_LEN(ends); i++)
		wanted = wanted || strcmp(dot, ends[i]) == 0;
	if (type != FTW_F || !wanted || st->st_size > 20000 || real.files >= 200)
		return 0;
	if (!try_file_text(path, &text))
		return 0;
	CU_ASSERT_EQUAL(try_read(text.data, text.len, &s, &err), 0);
	real.files++;
	for (size_t i = 0; i < s.count; i += 1 + s.count / 4) {
		struct fleet_edit same = try_edit_of(s.items[i].path);
		struct fleet_buffer unchanged = FLEET_BUFFER_INIT;

		same.kind = FLEET_EDIT_SET;
		same.type = FLEET_TYPE_STRING;
		same.value = (struct fleet_bytes){s.items[i].value, s.items[i].value_len};
		CU_ASSERT_EQUAL(try_edit(text.data, text.len, &same, 1, &unchanged, &err), 0);
		CU_ASSERT_TRUE(same_bytes(&unchanged, &text));
		fleet_buffer_done(&unchanged);
		try_real_edit(&text, s.items[i].path, "fleet-value");
		try_real_edit(&text, s.items[i].path, NULL);
	}
	try_real_edit(&text, "Service.FleetNew", "1G");
	settings_done(&s);
	fleet_buffer_done(&text);
	return 0;
}

static void test_units_of_this_machine(void)
{
	if (!oracle_open(&real.oracle, "unit"))
		return;
	(void)nftw("/usr/lib/systemd", on_file, 16, FTW_PHYS);
	(void)nftw("/etc/systemd", on_file, 16, FTW_PHYS);
	if (oracle_ask(&real.oracle, NULL) && real.files == 0)
		unit_skip("no unit file in /etc/systemd or /usr/lib/systemd");
	printf("# %u files, %u edits, %u refused; by systemd.syntax(7): %u read, %u of them otherwise\n",
		real.files, real.edits, real.refused, real.oracle.tried, real.oracle.wrong);
	CU_ASSERT_EQUAL(real.oracle.wrong, 0);
}

static const struct unit_test unit_file_tests[] = {UNIT_TEST(test_read),
	UNIT_TEST(test_an_empty_assignment_resets), UNIT_TEST(test_edits), UNIT_TEST(test_refusals),
	UNIT_TEST(test_random_units_and_edits), UNIT_TEST(test_damaged_units),
	UNIT_TEST(test_units_of_this_machine), {0}};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"systemd-unit, files", unit_file_tests}, {0}});
}
