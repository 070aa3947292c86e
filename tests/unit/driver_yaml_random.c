/* yaml-config on random documents and on the files of this machine: measured by the host's own idea of edits,
 * by the bytes that differ, by what a second edit does, and by PyYAML's own parser. */
#include <fcntl.h>
#include <ftw.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "driver/keypath.h"
#include "driver_dice.h"
#include "driver_oracle.h"
#include "driver_try.h"
#include "driver_yaml_maker.h"
#include "unit.h"

extern const struct unit_test yaml_random_tests[];

static void add_case(struct oracle *o, const struct fleet_buffer *old, const struct fleet_buffer *new,
	const struct fleet_edit *edit)
{
	static const char *const types[] = {
		"string", "integer", "number", "boolean", "null", "array", "object"};
	struct json_object *line = json_object_new_object(), *parts = json_object_new_array();
	struct fleet_error err = FLEET_ERROR_INIT;
	struct keypath path;
	int document = 0;

	CU_ASSERT_EQUAL(keypath_parse(edit->path.data, edit->path.len, true, &path, &err), 0);
	for (size_t i = 0; i < path.count; i++) {
		const struct keypath_part *part = &path.parts[i];
		char name[64];

		if (part->kind == KEYPATH_NAME) {
			(void)snprintf(name, sizeof(name), "%.*s", (int)(part->end - part->start),
				edit->path.data + part->start);
			if (i > 0 || sscanf(name, "[doc%d]", &document) != 1)
				json_object_array_add(parts, json_object_new_string(name));
		} else {
			json_object_array_add(parts, part->kind == KEYPATH_INDEX
							     ? json_object_new_int((int)part->index)
							     : json_object_new_string("+"));
		}
	}
	json_object_object_add(line, "old", oracle_text(old->data, old->len));
	json_object_object_add(line, "new", oracle_text(new->data, new->len));
	json_object_object_add(line, "document", json_object_new_int(document));
	json_object_object_add(line, "path", parts);
	json_object_object_add(line, "type",
		edit->kind == FLEET_EDIT_SET ? json_object_new_string(types[edit->type]) : NULL);
	json_object_object_add(line, "value", oracle_text(edit->value.data, edit->value.len));
	oracle_add(o, line);
}

struct tally {
	unsigned good, refused, unsure, changed, inserted, removed, returned, repeated, unchanged;
};

static bool is_below(const struct settings *s, const char *path)
{
	for (size_t i = 0; i < s->count; i++) {
		if (keypath_is_below(s->items[i].path, path, strlen(path), NULL))
			return true;
	}
	return false;
}

/* Can `shorter` be had from `longer` by leaving bytes out? Blanks in shorter do not count. */
static bool is_subsequence(const struct fleet_buffer *shorter, const struct fleet_buffer *longer)
{
	size_t i = 0;

	for (size_t j = 0; i < shorter->len && j < longer->len; j++)
		i += shorter->data[i] == longer->data[j];
	return i == shorter->len;
}

/* But for the `{}` or `[]` that stays of what was emptied. */
static bool is_less(const struct fleet_buffer *old, const struct fleet_buffer *new)
{
	_cleanup_buffer_ struct fleet_buffer rest = FLEET_BUFFER_INIT;
	size_t at = 0, from, end;

	if (is_subsequence(new, old))
		return true;
	while (at < old->len && at < new->len && old->data[at] == new->data[at])
		at++;
	from = at > 0 && new->data[at - 1] == ' ' ? at - 1 : at;
	end = at + (at < new->len &&new->data[at] == ' ');
	if (end + 2 > new->len ||
		(strncmp(new->data + end, "{}", 2) != 0 && strncmp(new->data + end, "[]", 2) != 0))
		return false;
	fleet_buffer_add(&rest, new->data, from);
	fleet_buffer_add(&rest, new->data + end + 2, new->len - end - 2);
	return is_subsequence(&rest, old);
}

/* What of the bytes may differ: those that the edit names. */
static bool check_bytes(const struct fleet_buffer *old, const struct fleet_buffer *new,
	const struct settings *now, const char *path, const struct fleet_edit *edit, struct tally *tally)
{
	const struct setting *there = settings_find(now, path);
	size_t gone, came;
	bool differ = try_lines_differ(old, new, &gone, &came), below = is_below(now, path);

	if (edit->kind == FLEET_EDIT_UNSET) {
		tally->removed += there || below;
		tally->unchanged += !there && !below;
		return there || below ? gone > 0 && is_less(old, new) : !differ;
	}
	if (there && there->type == edit->type && there->value_len == edit->value.len &&
		memcmp(there->value, edit->value.data, edit->value.len) == 0) {
		tally->unchanged++;
		return !differ;
	}
	if (there && there->type != FLEET_TYPE_STRING && edit->type <= FLEET_TYPE_NULL) {
		tally->changed++; /* the one line */
		return gone == 1 && came == 1;
	}
	if (there || below)
		return true; /* a whole object, array or text makes way */
	tally->inserted++;
	return is_subsequence(old, new);
}

/* A second time it changes nothing. */
static bool check_twice(const struct fleet_buffer *new, const struct fleet_edit *edit, struct tally *tally)
{
	struct fleet_buffer again = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;
	bool good;

	if (memmem(edit->path.data, edit->path.len, "[+]", 3) ||
		(edit->kind == FLEET_EDIT_UNSET && edit->path.data[edit->path.len - 1] == ']'))
		return true;
	good = try_edit(new->data, new->len, edit, 1, &again, &err) == 0 &&
	       again.len == new->len &&memcmp(again.data, new->data, new->len) == 0;
	fleet_buffer_done(&again);
	tally->repeated++;
	return good;
}

/* What was new goes again: the first bytes are back, if its parent was there before. */
static bool check_back(const struct fleet_buffer *old, const struct fleet_buffer *new,
	const struct settings *now, const char *path, const struct fleet_edit *edit, struct tally *tally)
{
	struct fleet_edit unset = {.path = edit->path, .kind = FLEET_EDIT_UNSET, .value = {"", 0}};
	const char *dot = strrchr(path, '.');
	struct fleet_buffer back = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;
	char parent[512];
	bool same;

	(void)snprintf(parent, sizeof(parent), "%.*s", (int)(dot ? dot - path : 0), path);
	if (edit->kind != FLEET_EDIT_SET || path[strlen(path) - 1] == ']' || strchr(path, '+') ||
		settings_find(now, path) || is_below(now, path) ||
		(!is_below(now, parent) && !settings_find(now, parent)))
		return true;
	if (try_edit(new->data, new->len, &unset, 1, &back, &err) < 0) {
		printf("# not back: %s\n", err.message);
		return false;
	}
	same = back.len == old->len && memcmp(back.data, old->data, old->len) == 0;
	if (!same)
		printf("# back to\n%s\n", back.data);
	fleet_buffer_done(&back);
	tally->returned++;
	return same;
}

static bool may_refuse(const char *why)
{
	static const char *const list[] = {"alias", "tag says", "whole document", "no document",
		"no place for a value", "no simple text"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(list); i++) {
		if (strstr(why, list[i]))
			return true;
	}
	return false;
}

static bool try_one(struct yaml_maker *m, struct oracle *oracle, struct tally *tally)
{
	struct settings now = SETTINGS_INIT, want = SETTINGS_INIT;
	struct fleet_buffer new = FLEET_BUFFER_INIT;
	struct fleet_error host_err = FLEET_ERROR_INIT;
	struct fleet_driver_error err;
	struct fleet_edit edit;
	char path[512];
	bool good = true;
	int r, host;

	yaml_make_document(m);
	r = try_read(m->out.data, m->out.len, &now, &err);
	if (r < 0) {
		printf("# cannot read: %u:%u %s\n%s\n", err.line, err.column, err.message, m->out.data);
		return strstr(err.message, "aliases make more") != NULL;
	}
	yaml_make_edit(m, &now, path, sizeof(path), &edit);
	r = edit.path.len == 0 ? -EINVAL : try_edit(m->out.data, m->out.len, &edit, 1, &new, &err);
	host = edit.path.len == 0 ? -EINVAL : settings_apply(&now, &edit, 1, &want, &host_err);
	if (r < 0) {
		bool unsure = strstr(err.message, "read back") != NULL;

		tally->refused++;
		tally->unsure += unsure && edit.path.len > 0;
		good = host < 0 || may_refuse(err.message) || unsure ||
		       memmem(m->out.data, m->out.len, "---", 3) != NULL;
	} else {
		tally->good++;
		if (host < 0) /* to the host the other documents' members are the first one's too */
			good = memmem(m->out.data, m->out.len, "---", 3) != NULL;
		else
			good = try_says_what_was_asked(
				       m->out.data, m->out.len, new.data, new.len, &edit, 1) &&
			       check_bytes(&m->out, &new, &now, path, &edit, tally) &&
			       check_twice(&new, &edit, tally) &&
			       check_back(&m->out, &new, &now, path, &edit, tally);
		add_case(oracle, &m->out, &new, &edit);
	}
	if (!good)
		printf("# %s %s=%.*s: driver %d %s, host %d %s\n# old\n%s\n# new\n%s\n",
			edit.kind ? "unset" : "set", path, (int)edit.value.len, edit.value.data, r,
			r ? err.message : "", host, host_err.message, m->out.data, new.data ? new.data : "-");
	settings_done(&now);
	settings_done(&want);
	fleet_buffer_done(&new);
	return good;
}

static void test_random_documents_and_edits(void)
{
	struct yaml_maker m = {.seed = 20260501};
	struct tally t = {0};
	struct oracle oracle = {.tried = 0};
	unsigned bad = 0;

	if (!oracle_open(&oracle, "yaml"))
		return;
	for (unsigned i = 0; i < 10000 && bad < 5; i++)
		bad += !try_one(&m, &oracle, &t);
	printf("# %u good (%u changed, %u new, %u removed, %u nothing to do; %u back again, %u repeated), %u "
	       "refused, "
	       "%u of them after a look at the outcome\n",
		t.good, t.changed, t.inserted, t.removed, t.unchanged, t.returned, t.repeated, t.refused,
		t.unsure);
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_TRUE(t.changed > 1000 && t.inserted > 300 && t.removed > 1000 && t.returned > 100 &&
		       t.repeated > 4000 && t.refused > 1000 && t.unsure < 10);
	if (!oracle_ask(&oracle, "yaml"))
		return;
	printf("# PyYAML: %u read, %u of them otherwise, %u not at all\n", oracle.tried, oracle.wrong,
		oracle.skipped);
	CU_ASSERT_EQUAL(oracle.wrong, 0);
	CU_ASSERT_TRUE(oracle.tried > 4000);
	fleet_buffer_done(&m.out);
}

/* Documents with damage: check, read and edit say the same about them, and never crash. */
static void test_damaged_documents(void)
{
	struct yaml_maker m = {.seed = 11};
	struct fleet_edit edits[] = {try_edit_of("k1=\"a 'b' \\\"c\\\"\""), try_edit_of("k2"),
		try_edit_of("k3=7"), try_edit_of("k0.k1=true"), try_edit_of("[0]"),
		try_edit_of("k1[+]={\"a\":[1]}")};
	unsigned taken = 0, edited = 0;

	for (unsigned i = 0; i < 20000; i++) {
		struct fleet_edit *edit = &edits[DICE(&m, FLEET_ARRAY_LEN(edits))];
		struct fleet_buffer out = FLEET_BUFFER_INIT;
		struct fleet_driver_error err;
		int checked, r;

		yaml_make_document(&m);
		for (unsigned n = DICE(&m, 3); n > 0 && m.out.len > 0; n--)
			m.out.data[DICE(&m, (uint32_t)m.out.len)] =
				DICE(&m, 2) ? (char)DICE(&m, 256) : "\"'[]{}:-#&*!|>\n\r ,?"[DICE(&m, 19)];
		checked = try_check(m.out.data, m.out.len, &err);
		CU_ASSERT_EQUAL(try_read(m.out.data, m.out.len, NULL, &err), checked);
		r = try_edit(m.out.data, m.out.len, edit, 1, &out, &err);
		CU_ASSERT_TRUE(checked == 0 || r < 0);
		if (r == 0 && !memmem(m.out.data, m.out.len, "---", 3))
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

/* The files of this machine, as its packages installed them. */
static struct {
	struct oracle oracle;
	unsigned seen, files, edits, refused;
} real;

static void try_real_edit(const struct fleet_buffer *old, const char *path, const char *value, bool there)
{
	struct fleet_edit edit = {.path = {path, strlen(path)},
		.kind = value ? FLEET_EDIT_SET : FLEET_EDIT_UNSET,
		.value = {value ? value : "", value ? strlen(value) : 0},
		.type = value ? FLEET_TYPE_STRING : 0};
	struct fleet_buffer new = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;
	size_t gone, came;
	int r = try_edit(old->data, old->len, &edit, 1, &new, &err);
	bool good, ended = old->len == 0 || old->data[old->len - 1] == '\n';

	if (r < 0) {
		good = may_refuse(err.message);
		real.refused++;
	} else {
		(void)try_lines_differ(old, &new, &gone, &came);
		good = try_says_what_was_asked(old->data, old->len, new.data, new.len, &edit, 1) &&
		       (!value || there ? gone >= 1 && came <= gone
					: gone <= 1u + !ended && came >= 1 && came <= gone + 1);
		add_case(&real.oracle, old, &new, &edit);
		real.edits++;
	}
	CU_ASSERT_TRUE(good);
	if (!good)
		printf("# %s to '%s': %s\n# new\n%s\n", path, value ? value : "(unset)", r ? err.message : "",
			new.data ? new.data : "-");
	fleet_buffer_done(&new);
}

/* A key of the file changes, stays, goes; a new one comes. */
static void try_real_key(const struct fleet_buffer *old, const struct setting *item)
{
	struct fleet_edit same = {.path = {item->path, strlen(item->path)},
		.value = {item->value, item->value_len},
		.kind = FLEET_EDIT_SET,
		.type = item->type};
	struct fleet_buffer unchanged = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;
	const char *dot = strrchr(item->path, '.');
	char fresh[300];

	CU_ASSERT_EQUAL(try_edit(old->data, old->len, &same, 1, &unchanged, &err), 0);
	CU_ASSERT_TRUE(unchanged.len == old->len && memcmp(unchanged.data, old->data, old->len) == 0);
	fleet_buffer_done(&unchanged);
	if (strchr(item->path, '\\') || strlen(item->path) > 200)
		return;
	try_real_edit(old, item->path, "fleet-value", true);
	try_real_edit(old, item->path, NULL, true);
	if (item->path[strlen(item->path) - 1] == ']' || *item->path == '[')
		return;
	(void)snprintf(fresh, sizeof(fresh), "%.*s%sFleetNew", (int)(dot ? dot - item->path : 0), item->path,
		dot ? "." : "");
	try_real_edit(old, fresh, "fleet value", false);
}

static int on_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	const char *dot = strrchr(path, '.');
	struct fleet_buffer text = FLEET_BUFFER_INIT;
	struct settings s = SETTINGS_INIT;
	struct fleet_driver_error err;

	(void)ftw;
	/* each seventh, so that not all of them are one program's */
	if (type != FTW_F || !dot || (strcmp(dot, ".yaml") != 0 && strcmp(dot, ".yml") != 0) ||
		st->st_size > 6000 || real.files >= 100 || real.seen++ % 7 != 0)
		return 0;
	if (!try_file_text(path, &text))
		return 0;
	if (text.len > 0 && try_read(text.data, text.len, &s, &err) == 0 && s.count > 0) {
		unsigned failed = CU_get_number_of_failures();

		real.files++;
		for (size_t i = 0; i < s.count; i += 1 + s.count / 2)
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
	static const char *const roots[] = {"/etc", "/usr/share", "/usr/lib"};

	if (!oracle_open(&real.oracle, "yaml"))
		return;
	for (size_t i = 0; i < FLEET_ARRAY_LEN(roots); i++)
		(void)nftw(roots[i], on_file, 16, FTW_PHYS);
	if (oracle_ask(&real.oracle, "yaml") && real.files == 0)
		unit_skip("no YAML file in /etc or /usr");
	printf("# %u files, %u edits, %u refused; PyYAML: %u read, %u of them otherwise, %u not at all\n",
		real.files, real.edits, real.refused, real.oracle.tried, real.oracle.wrong,
		real.oracle.skipped);
	CU_ASSERT_EQUAL(real.oracle.wrong, 0);
}

const struct unit_test yaml_random_tests[] = {UNIT_TEST(test_random_documents_and_edits),
	UNIT_TEST(test_damaged_documents), UNIT_TEST(test_files_of_this_machine), {0}};
