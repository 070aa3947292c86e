/* ini-config on random documents and on the files of this machine: measured by the host's own idea of edits,
 * by the lines that differ, and by python3's configparser. */
#include <fcntl.h>
#include <ftw.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "driver_dice.h"
#include "driver_oracle.h"
#include "driver_try.h"
#include "fleet/limits.h"
#include "unit.h"

extern const struct unit_test ini_random_tests[];

/* The names of a path without escapes: "section.key[2]". */
static void add_case(struct oracle *o, const struct fleet_buffer *old, const struct fleet_buffer *new,
	const char *section, const char *key, const char *value, const struct settings *said)
{
	struct json_object *line = json_object_new_object(), *names = json_object_new_array(), *all = NULL;

	json_object_object_add(line, "old", oracle_text(old->data, old->len));
	json_object_object_add(line, "new", oracle_text(new->data, new->len));
	json_object_array_add(names, json_object_new_string(section));
	json_object_array_add(names, json_object_new_string(key));
	json_object_object_add(line, "key", names);
	json_object_object_add(line, "value", value ? json_object_new_string(value) : NULL);
	if (said)
		all = json_object_new_object();
	for (size_t i = 0; said && i < said->count; i++) {
		char path[256];

		(void)snprintf(path, sizeof(path), "%s", said->items[i].path);
		path[strcspn(path, "[")] = '\0'; /* of several, the last counts there */
		json_object_object_add(
			all, path, oracle_text(said->items[i].value, said->items[i].value_len));
	}
	json_object_object_add(line, "settings", all);
	oracle_add(o, line);
}

struct maker {
	uint64_t seed;
	struct fleet_buffer out;
	const char *newline, *indent;
	bool mixed, bare;
};

static void make_newline(struct maker *m)
{
	fleet_buffer_add_string(&m->out, m->mixed && DICE(m, 2) ? "\n" : m->newline);
}

static void make_key(struct maker *m)
{
	static const char *const assigns[] = {"=", " = ", ": ", " : ", "\t=\t", "   = "};
	static const char *const values[] = {"", "1", "a b", "\"q r\"", "'s'", "x=y", "#", "C:\\d\\", "a;b#c",
		"\"", "a \"b\" c", "\xc3\xa9", "[x]", "it's"};
	static const char *const behind[] = {" ; c", " # d = 1", "\t;", "  ", " # it's x"};

	fleet_buffer_printf(&m->out, "%sk%u", m->indent, DICE(m, 7));
	if (m->bare && DICE(m, 8) == 0) {
		make_newline(m);
		return;
	}
	fleet_buffer_add_string(&m->out, PICK(m, assigns));
	fleet_buffer_add_string(&m->out, PICK(m, values));
	if (DICE(m, 5) == 0)
		fleet_buffer_add_string(&m->out, PICK(m, behind));
	make_newline(m);
	if (m->bare) /* configparser cannot have both */
		return;
	for (unsigned n = DICE(m, 12) == 0 ? 1 + DICE(m, 3) : 0; n > 0; n--) {
		static const char *const more[] = {"more", "k1 = 2", "[s0]", "a ; c", "x:y", "\"z\""};

		if (DICE(m, 4) == 0)
			make_newline(m);
		if (DICE(m, 6) == 0) {
			fleet_buffer_add_string(&m->out, "# between");
			make_newline(m);
		}
		fleet_buffer_printf(&m->out, "%s  %s", m->indent, PICK(m, more));
		make_newline(m);
	}
}

static void make_document(struct maker *m)
{
	static const char *const comments[] = {
		"# k3 = 7", "; k4=\"8\"", "#k5", ";", "# some words", "  ; k6 : 9"};
	static const char *const indents[] = {"", "", "", "  ", "\t"};
	unsigned n = DICE(m, 14);
	size_t start;

	fleet_buffer_truncate(&m->out, 0);
	fleet_buffer_add_string(&m->out, DICE(m, 12) ? "" : "\xef\xbb\xbf");
	m->newline = DICE(m, 3) ? "\n" : "\r\n";
	m->mixed = DICE(m, 8) == 0;
	m->indent = PICK(m, indents);
	m->bare = DICE(m, 3) == 0;
	start = m->out.len;
	while (n-- > 0) {
		switch (DICE(m, 8)) {
		case 0:
			fleet_buffer_printf(&m->out, "[s%u]%s", DICE(m, 4), DICE(m, 4) ? "" : " ; note");
			make_newline(m);
			break;
		case 1:
			fleet_buffer_add_string(&m->out, PICK(m, comments));
			make_newline(m);
			break;
		case 2:
			make_newline(m);
			break;
		default:
			make_key(m);
		}
	}
	if (m->out.len > start && DICE(m, 4) == 0) {
		m->out.len--;
		if (m->out.len > start && m->out.data[m->out.len - 1] == '\r')
			m->out.len--;
		fleet_buffer_truncate(&m->out, m->out.len);
	}
}

struct tally {
	unsigned good, refused, changed, inserted, removed, returned;
};

/* What of the lines may differ: those that the edit names. */
static bool check_lines(const struct fleet_buffer *old, const struct fleet_buffer *new,
	const struct settings *now, const char *path, const struct fleet_edit *edit, struct tally *tally)
{
	const struct setting *there = settings_find(now, path);
	size_t gone, came;
	bool differ = try_lines_differ(old, new, &gone, &came);
	bool ended = old->len == 0 || old->data[old->len - 1] == '\n';
	char several[80];

	(void)snprintf(several, sizeof(several), "%s[1]", path);
	if (edit->kind == FLEET_EDIT_SET && there && strlen(there->value) == edit->value.len &&
		memcmp(there->value, edit->value.data, edit->value.len) == 0)
		return !differ;
	if (settings_find(now, several))
		return true; /* all of them go, wherever they stand */
	if (edit->kind == FLEET_EDIT_UNSET) {
		tally->removed += there != NULL;
		return there ? came <= !ended && gone > 0 : true;
	}
	if (there) {
		tally->changed++;
		return came == 1 && gone >= 1 && (gone == 1 || strchr(there->value, '\n') || !ended);
	}
	tally->inserted++;
	return gone <= !ended && came >= 1 && came <= (strchr(path, '.') ? 3u : 1u) + !ended;
}

/* What was new goes again: the first bytes are back. */
static bool check_back(const struct fleet_buffer *old, const struct fleet_buffer *new,
	const struct settings *now, const char *path, struct tally *tally)
{
	struct fleet_edit unset = try_edit_of(path);
	struct fleet_buffer back = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;
	char prefix[64], several[80], *dot;
	bool parent = false, same;

	(void)snprintf(prefix, sizeof(prefix), "%s", path);
	(void)snprintf(several, sizeof(several), "%s[1]", path);
	dot = strchr(prefix, '.');
	if (dot)
		dot[1] = '\0';
	for (size_t i = 0; i < now->count && dot; i++)
		parent = parent || str_starts(now->items[i].path, prefix);
	if (settings_find(now, path) || settings_find(now, several) || (dot && !parent))
		return true;
	if (try_edit(new->data, new->len, &unset, 1, &back, &err) < 0)
		return true; /* as a line that would take in the next ones */
	same = back.len == old->len && memcmp(back.data, old->data, old->len) == 0;
	if (!same)
		printf("# back to\n%s\n", back.data);
	fleet_buffer_done(&back);
	tally->returned++;
	return same;
}

static bool try_one(struct maker *m, struct oracle *oracle, struct tally *tally)
{
	static const char *const values[] = {"", "v", "two words", "a=b:c", "\"q\"", "'", "x ;y", "#z",
		" lead", "back\\", "a\nb = 1", "caf\xc3\xa9", "[s1]", "k1 = 5"};
	struct settings now = SETTINGS_INIT, after = SETTINGS_INIT;
	struct fleet_buffer new = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;
	char section[16] = "", key[16], path[64];
	const char *value = DICE(m, 4) ? PICK(m, values) : NULL, *p = path;
	struct fleet_edit edit;
	bool good;
	int r;

	make_document(m);
	r = try_read(m->out.data, m->out.len, &now, &err);
	if (r < 0) {
		printf("# cannot read: %u:%u %s\n%s\n", err.line, err.column, err.message, m->out.data);
		return false;
	}
	if (DICE(m, 4))
		(void)snprintf(section, sizeof(section), "s%u", DICE(m, 5));
	(void)snprintf(key, sizeof(key), "k%u", DICE(m, 8));
	(void)snprintf(path, sizeof(path), "%s%s%s", section, *section ? "." : "", key);
	edit = try_edit_of(p);
	if (value) {
		edit.kind = FLEET_EDIT_SET;
		edit.type = FLEET_TYPE_STRING;
		edit.value = (struct fleet_bytes){value, strlen(value)};
	}
	r = try_edit(m->out.data, m->out.len, &edit, 1, &new, &err);
	good = r == 0 || r == -EINVAL;
	if (r == 0) {
		tally->good++;
		good = try_says_what_was_asked(m->out.data, m->out.len, new.data, new.len, &edit, 1) &&
		       check_lines(&m->out, &new, &now, path, &edit, tally) &&
		       (!value || check_back(&m->out, &new, &now, path, tally)) &&
		       try_read(new.data, new.len, &after, &err) == 0;
		if (!value || !strstr(value, " ;")) /* quotes protect nothing there */
			add_case(oracle, &m->out, &new, section, key, value, &after);
	} else {
		tally->refused++;
	}
	if (!good)
		printf("# %s to '%s': %s\n# old\n%s\n# new\n%s\n", path, value ? value : "(unset)",
			r ? err.message : "", m->out.data, new.data ? new.data : "-");
	settings_done(&now);
	settings_done(&after);
	fleet_buffer_done(&new);
	return good;
}

static void test_random_documents_and_edits(void)
{
	struct maker m = {.seed = 20260301};
	struct tally tally = {0};
	struct oracle oracle = {.tried = 0};
	unsigned bad = 0;

	try_options(NULL, 0);
	if (!oracle_open(&oracle, "ini"))
		return;
	for (unsigned i = 0; i < 10000 && bad < 5; i++)
		bad += !try_one(&m, &oracle, &tally);
	printf("# %u good (%u changed, %u new, %u removed, %u back again), %u refused\n", tally.good,
		tally.changed, tally.inserted, tally.removed, tally.returned, tally.refused);
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_TRUE(tally.changed > 300 && tally.inserted > 1000 && tally.returned > 300 &&
		       tally.removed > 100 && tally.refused > 500);
	if (!oracle_ask(&oracle, NULL))
		return;
	printf("# configparser: %u read, %u of them otherwise, %u not at all\n", oracle.tried, oracle.wrong,
		oracle.skipped);
	CU_ASSERT_EQUAL(oracle.wrong, 0);
	CU_ASSERT_TRUE(oracle.tried > 4000);
	fleet_buffer_done(&m.out);
}

/* In every flavour, of documents with damage: check, read and edit say the same about them, and never crash.
 */
static void test_damaged_documents(void)
{
	static const struct fleet_option flavours[] = {{"flavour", "generic"}, {"flavour", "systemd"},
		{"flavour", "php"}, {"flavour", "mysql"}, {"flavour", "windows"}};
	struct maker m = {.seed = 11};
	struct fleet_edit edits[] = {try_edit_of("s1.k1=a 'b' \"c\""), try_edit_of("s1.k2"),
		try_edit_of("k3=x"), try_edit_of("s2"), try_edit_of("s3.k5[+]=\\")};
	unsigned taken = 0, edited = 0;

	for (unsigned i = 0; i < 20000; i++) {
		struct fleet_edit *edit = &edits[DICE(&m, FLEET_ARRAY_LEN(edits))];
		struct fleet_buffer out = FLEET_BUFFER_INIT;
		struct fleet_driver_error err;
		int checked, r;

		try_options(&flavours[i % FLEET_ARRAY_LEN(flavours)], 1);
		make_document(&m);
		for (unsigned n = DICE(&m, 3); n > 0 && m.out.len > 0; n--)
			m.out.data[DICE(&m, (uint32_t)m.out.len)] =
				DICE(&m, 2) ? (char)DICE(&m, 256) : "\"'[]=:;#\\\n\r "[DICE(&m, 12)];
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
	try_options(NULL, 0);
	printf("# %u taken, %u edited\n", taken, edited);
	CU_ASSERT_TRUE(taken > 4000 && edited > 2000);
	fleet_buffer_done(&m.out);
}

/* The files of this machine, as its packages installed them. */
static struct {
	struct oracle oracle;
	unsigned files, edits;
} real;

/* name: of a key path, where it needs no escapes. */
static bool is_plain(const char *name)
{
	return *name && !strpbrk(name, ".[\\");
}

static void try_real_edit(const struct fleet_buffer *old, const char *path, const char *section,
	const char *key, bool there, const char *value)
{
	struct fleet_edit edit = {.path = {path, strlen(path)},
		.kind = value ? FLEET_EDIT_SET : FLEET_EDIT_UNSET,
		.value = {value ? value : "", value ? strlen(value) : 0},
		.type = FLEET_TYPE_STRING};
	struct fleet_buffer new = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;
	size_t gone, came;
	int r = try_edit(old->data, old->len, &edit, 1, &new, &err);
	bool ended = old->len == 0 || old->data[old->len - 1] == '\n', good;

	if (r == -EINVAL && strstr(err.message, "comments stand between"))
		return;
	CU_ASSERT_EQUAL(r, 0);
	if (r < 0) {
		printf("# %s: %s\n", path, err.message);
		return;
	}
	(void)try_lines_differ(old, &new, &gone, &came);
	good = !value  ? gone >= 1 && came <= !ended
	       : there ? came == 1 && gone >= 1
		       : gone <= !ended && came == 1u + !ended;
	CU_ASSERT_TRUE(good);
	CU_ASSERT_TRUE(try_says_what_was_asked(old->data, old->len, new.data, new.len, &edit, 1));
	if (!good)
		printf("# %s to '%s': %zu lines gone, %zu came\n", path, value ? value : "(unset)", gone,
			came);
	add_case(&real.oracle, old, &new, section, key, value, NULL);
	real.edits++;
	fleet_buffer_done(&new);
}

/* A key of the file changes, stays, goes; a new one comes. */
static void try_real_key(const struct fleet_buffer *old, const struct setting *item)
{
	struct fleet_edit same = {.path = {item->path, strlen(item->path)},
		.value = {item->value, item->value_len},
		.kind = FLEET_EDIT_SET,
		.type = FLEET_TYPE_STRING};
	struct fleet_buffer unchanged = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;
	char section[256] = "", key[256], fresh[300];
	const char *dot = strchr(item->path, '.');

	CU_ASSERT_EQUAL(try_edit(old->data, old->len, &same, 1, &unchanged, &err), 0);
	CU_ASSERT_TRUE(unchanged.len == old->len && memcmp(unchanged.data, old->data, old->len) == 0);
	fleet_buffer_done(&unchanged);
	if (dot)
		(void)snprintf(section, sizeof(section), "%.*s", (int)(dot - item->path), item->path);
	(void)snprintf(key, sizeof(key), "%s", dot ? dot + 1 : item->path);
	if ((dot && !is_plain(section)) || !is_plain(key) || strlen(section) > 200)
		return;
	(void)snprintf(fresh, sizeof(fresh), "%s%sFleetNew", section, dot ? "." : "");
	try_real_edit(old, item->path, section, key, true, "fleet-value");
	try_real_edit(old, item->path, section, key, true, NULL);
	try_real_edit(old, fresh, section, "FleetNew", false, "fleet value");
}

static int on_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	static const char *const ends[] = {".conf", ".ini", ".cnf", ".desktop", ".service", ".cfg"};
	const char *dot = strrchr(path, '.');
	struct fleet_buffer text = FLEET_BUFFER_INIT;
	struct settings s = SETTINGS_INIT;
	struct fleet_driver_error err;
	bool wanted = false;

	(void)ftw;
	for (size_t i = 0; dot && i < FLEET_ARRAY_LEN(ends); i++)
		wanted = wanted || strcmp(dot, ends[i]) == 0;
	if (type != FTW_F || !wanted || st->st_size > 100000 || real.files >= 400)
		return 0;
	if (!try_file_text(path, &text))
		return 0;
	if (text.len > 0 && memchr(text.data, '[', text.len) &&
		try_read(text.data, text.len, &s, &err) == 0 && s.count > 0) {
		unsigned failed = CU_get_number_of_failures();

		real.files++;
		for (size_t i = 0; i < s.count; i += 1 + s.count / 3)
			try_real_key(&text, &s.items[i]);
		if (CU_get_number_of_failures() > failed)
			printf("# %s\n", path);
	}
	settings_done(&s);
	fleet_buffer_done(&text);
	return 0;
}

static void test_files_of_this_machine(void)
{
	static const char *const roots[] = {"/etc", "/usr/lib/systemd", "/usr/share/applications",
		"/usr/lib/python3", "/usr/share/polkit-1", "/usr/lib/tmpfiles.d", "/usr/share/doc"};

	try_options(NULL, 0);
	if (!oracle_open(&real.oracle, "ini"))
		return;
	for (size_t i = 0; i < FLEET_ARRAY_LEN(roots); i++)
		(void)nftw(roots[i], on_file, 16, FTW_PHYS);
	if (oracle_ask(&real.oracle, NULL) && real.files == 0)
		unit_skip("no INI file in /etc or /usr");
	printf("# %u files, %u edits; configparser: %u read, %u of them otherwise, %u not at all\n",
		real.files, real.edits, real.oracle.tried, real.oracle.wrong, real.oracle.skipped);
	CU_ASSERT_EQUAL(real.oracle.wrong, 0);
}

const struct unit_test ini_random_tests[] = {UNIT_TEST(test_random_documents_and_edits),
	UNIT_TEST(test_damaged_documents), UNIT_TEST(test_files_of_this_machine), {0}};
