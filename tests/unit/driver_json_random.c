/* json-config on random documents, every style in the same one, and random edits: measured by the host's own
 * idea of edits, by the bytes that differ, and by json-c. */
#include <json-c/json.h>
#include "driver_dice.h"
#include "driver_try.h"
#include "unit.h"

extern const struct unit_test json_random_tests[];

struct maker {
	uint64_t seed;
	struct fleet_buffer out;
	const char *newline, *unit;
	bool lines, comments, trailing, bom, spaced;
	unsigned next_name;
};

static void make_break(struct maker *m, unsigned depth, bool lines)
{
	if (m->comments && DICE(m, 6) == 0)
		fleet_buffer_add_string(&m->out, DICE(m, 2) ? " /* , \" } */"
						 : lines    ? " // { \"x\": 1"
							    : "/**/");
	if (!lines)
		return;
	if (m->comments && DICE(m, 8) == 0) {
		fleet_buffer_add_string(&m->out, m->newline);
		fleet_buffer_add_string(&m->out, "//");
		fleet_buffer_add_string(&m->out, " \"k3\": 5,");
	}
	fleet_buffer_add_string(&m->out, m->newline);
	for (unsigned i = 0; i < depth; i++)
		fleet_buffer_add_string(&m->out, m->unit);
}

static void make_scalar(struct maker *m)
{
	static const char *const scalars[] = {"0", "-1", "12345678901234567890123", "1.0", "2.50e+10", "true",
		"false", "null", "\"\"", "\"x\"", "\"a \\\"quoted\\\" , } ] text\"", "\"\\u00e9\\n\\/\"",
		"\"// no comment /* \"", "{}", "[]", "[ ]"};

	fleet_buffer_add_string(&m->out, scalars[DICE(m, FLEET_ARRAY_LEN(scalars))]);
}

static void make_value(struct maker *m, unsigned depth)
{
	bool object = DICE(m, 2), lines = m->lines && DICE(m, 5) != 0;
	unsigned n = DICE(m, 5);

	if (depth == 0) {
		object = DICE(m, 8) != 0;
		n++;
	}
	if (depth > 4 || (depth > 0 && DICE(m, 2)) || n == 0) {
		make_scalar(m);
		return;
	}
	fleet_buffer_add_string(&m->out, object ? "{" : "[");
	for (unsigned i = 0; i < n; i++) {
		make_break(m, depth + 1, lines);
		if (object) {
			/* distinct names within an object: what happens to twins is for the examples */
			fleet_buffer_printf(&m->out, DICE(m, 9) ? "\"k%u\"" : "\"k.%u\"", i);
			fleet_buffer_add_string(&m->out, m->spaced ? " : " : DICE(m, 20) ? ": " : ":");
		}
		make_value(m, depth + 1);
		if (m->comments && DICE(m, 12) == 0)
			fleet_buffer_add_string(&m->out, " /* behind */ ");
		if (i + 1 < n || m->trailing)
			fleet_buffer_add_string(&m->out, ",");
		if (i + 1 < n && !lines && DICE(m, 3))
			fleet_buffer_add_string(&m->out, " ");
	}
	make_break(m, depth, lines);
	fleet_buffer_add_string(&m->out, object ? "}" : "]");
}

static void make_document(struct maker *m)
{
	static const char *const units[] = {"  ", "\t", "    ", " "};

	fleet_buffer_truncate(&m->out, 0);
	m->newline = DICE(m, 3) ? "\n" : "\r\n";
	m->unit = units[DICE(m, 4)];
	m->lines = DICE(m, 4) != 0;
	m->comments = DICE(m, 3) == 0;
	m->trailing = DICE(m, 4) == 0;
	m->spaced = DICE(m, 6) == 0;
	if (DICE(m, 10) == 0)
		fleet_buffer_add_string(&m->out, "\xef\xbb\xbf");
	make_value(m, 0);
	if (DICE(m, 3))
		fleet_buffer_add_string(&m->out, m->newline);
}

/* A path that is there, or has a parent that is. */
static void make_edit(
	struct maker *m, const struct settings *now, char *path, size_t size, struct fleet_edit *ret)
{
	static const struct {
		const char *text;
		uint32_t type;
	} values[] = {{"text", FLEET_TYPE_STRING}, {"", FLEET_TYPE_STRING},
		{"with \"quotes\"\n", FLEET_TYPE_STRING}, {"77", FLEET_TYPE_INTEGER},
		{"99999999999999999999", FLEET_TYPE_INTEGER}, {"-0.50", FLEET_TYPE_NUMBER},
		{"true", FLEET_TYPE_BOOLEAN}, {"null", FLEET_TYPE_NULL}, {"{}", FLEET_TYPE_OBJECT},
		{"[]", FLEET_TYPE_ARRAY}, {"{\"p\":{\"q\":[1,{\"r\":2}]},\"s\":\"\"}", FLEET_TYPE_OBJECT},
		{"[1,2]", FLEET_TYPE_ARRAY}};
	const char *base = now->count ? now->items[DICE(m, (uint32_t)now->count)].path : "";
	uint32_t value = DICE(m, FLEET_ARRAY_LEN(values));
	char *cut;

	(void)snprintf(path, size, "%s", base);
	for (uint32_t up = DICE(m, 3); up > 0; up--) {
		cut = strpbrk(path, ".[") ? strrchr(path, DICE(m, 2) ? '.' : '[') : NULL;
		if (cut && cut > path && cut[-1] != '\\')
			*cut = '\0';
	}
	if (DICE(m, 3) == 0) {
		static const char *const more[] = {
			".fresh", ".k3", ".fresh.deeper", "[+]", "[+].fresh", "[0]", ".fresh[+]", "[1]"};

		(void)snprintf(
			path + strlen(path), size - strlen(path), "%s", more[DICE(m, FLEET_ARRAY_LEN(more))]);
		if (path[0] == '.')
			memmove(path, path + 1, strlen(path));
	}
	*ret = (struct fleet_edit){
		.path = {path, strlen(path)}, .kind = DICE(m, 4) == 0 ? FLEET_EDIT_UNSET : FLEET_EDIT_SET};
	ret->value = ret->kind == FLEET_EDIT_SET
			     ? (struct fleet_bytes){values[value].text, strlen(values[value].text)}
			     : (struct fleet_bytes){"", 0};
	ret->type = ret->kind == FLEET_EDIT_SET ? values[value].type : 0;
}

/* Can `shorter` be had from `longer` by leaving bytes out? Blanks in shorter do not count: `[ ]` loses its
 * own. */
static bool is_subsequence(const char *shorter, size_t n, const char *longer, size_t len)
{
	size_t i = 0;

	for (size_t j = 0; i < n && j < len; j++)
		i += shorter[i] == longer[j] || strchr(" \t\r\n", shorter[i]);
	return i == n;
}

/* Bytes that differ between two texts in the middle, of either. */
static void middle(const struct fleet_buffer *a, const struct fleet_buffer *b, size_t *ret_a, size_t *ret_b)
{
	size_t prefix = 0, suffix = 0, least = a->len < b->len ? a->len : b->len;

	while (prefix < least && a->data[prefix] == b->data[prefix])
		prefix++;
	while (suffix < least - prefix && a->data[a->len - 1 - suffix] == b->data[b->len - 1 - suffix])
		suffix++;
	*ret_a = a->len - prefix - suffix;
	*ret_b = b->len - prefix - suffix;
}

struct tally {
	unsigned good, refused, changed, inserted, returned;
};

static bool check_bytes(const struct settings *now, const struct fleet_edit *edit, const char *path,
	const struct fleet_buffer *old, const struct fleet_buffer *new, struct tally *tally)
{
	const struct setting *exact = settings_find(now, path);
	size_t from, to;

	if (edit->kind == FLEET_EDIT_UNSET)
		return is_subsequence(new->data, new->len, old->data, old->len);
	middle(old, new, &from, &to);
	if (exact && exact->type != FLEET_TYPE_OBJECT && exact->type != FLEET_TYPE_ARRAY &&
		exact->type != FLEET_TYPE_STRING) {
		tally->changed++;
		return from <= exact->value_len; /* the token, and nothing more */
	}
	for (size_t i = 0; i < now->count; i++) {
		if (strncmp(now->items[i].path, path, strlen(path)) == 0)
			return true; /* a whole object, array or string makes way */
	}
	tally->inserted++;
	return is_subsequence(old->data, old->len, new->data, new->len);
}

/* A key that was new goes again: the first bytes are back, if its parent had something in it before. */
static bool check_back(struct maker *m, const struct settings *now, const struct fleet_edit *edit,
	const char *path, const struct fleet_buffer *new, struct tally *tally)
{
	const char *dot = strrchr(path, '.');
	struct fleet_edit unset = {.path = edit->path, .kind = FLEET_EDIT_UNSET, .value = {"", 0}};
	struct fleet_buffer back = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;
	bool parent = false, there = false, same;

	if (edit->kind != FLEET_EDIT_SET || strchr(path, '+') || !dot || dot[-1] == '\\' || m->comments)
		return true;
	for (size_t i = 0; i < now->count; i++) {
		const char *p = now->items[i].path;

		parent = parent || (strncmp(p, path, (size_t)(dot - path) + 1) == 0);
		there = there || strncmp(p, path, strlen(path)) == 0;
	}
	if (!parent || there)
		return true;
	if (try_edit(new->data, new->len, &unset, 1, &back, &err) < 0)
		return false;
	same = back.len == m->out.len && memcmp(back.data, m->out.data, back.len) == 0;
	if (!same)
		printf("# back to %s\n", back.data);
	fleet_buffer_done(&back);
	tally->returned++;
	return same;
}

static bool try_one(struct maker *m, struct tally *tally)
{
	struct settings now = SETTINGS_INIT, want = SETTINGS_INIT;
	struct fleet_buffer new = FLEET_BUFFER_INIT;
	struct fleet_error host_err = FLEET_ERROR_INIT;
	struct fleet_driver_error err;
	struct fleet_edit edit;
	char path[512];
	bool good = true;
	int r, host;

	make_document(m);
	r = try_read(m->out.data, m->out.len, &now, &err);
	if (r < 0) {
		printf("# cannot read %s: %u:%u %s\n", m->out.data, err.line, err.column, err.message);
		return false;
	}
	make_edit(m, &now, path, sizeof(path), &edit);
	r = edit.path.len == 0 ? -EINVAL : try_edit(m->out.data, m->out.len, &edit, 1, &new, &err);
	host = settings_apply(&now, &edit, 1, &want, &host_err);
	if ((r < 0) != (host < 0)) { /* what the host takes the driver takes, and the other way round */
		good = false;
	} else if (r < 0) {
		tally->refused++;
	} else {
		tally->good++;
		good = try_says_what_was_asked(m->out.data, m->out.len, new.data, new.len, &edit, 1) &&
		       check_bytes(&now, &edit, path, &m->out, &new, tally) &&
		       check_back(m, &now, &edit, path, &new, tally);
		if (!m->comments && !m->trailing && strncmp(new.data, "\xef\xbb\xbf", 3) != 0) {
			struct json_object *o =
				json_tokener_parse(new.data); /* somebody else's reader agrees */

			good = good && o;
			json_object_put(o);
		}
	}
	if (!good)
		printf("# %s %s=%.*s: driver %d %s, host %d %s\n# old %s\n# new %s\n",
			edit.kind ? "unset" : "set", path, (int)edit.value.len, edit.value.data, r,
			r ? err.message : "", host, host_err.message, m->out.data, new.data ? new.data : "-");
	settings_done(&now);
	settings_done(&want);
	fleet_buffer_done(&new);
	return good;
}

static void test_random_documents_and_edits(void)
{
	struct maker m = {.seed = 20260101};
	struct tally tally = {0};
	unsigned bad = 0;

	for (unsigned i = 0; i < 20000 && bad < 5; i++)
		bad += !try_one(&m, &tally);
	printf("# %u good (%u changed, %u new, %u back again), %u refused\n", tally.good, tally.changed,
		tally.inserted, tally.returned, tally.refused);
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_TRUE(
		tally.changed > 1000 && tally.inserted > 500 && tally.returned > 80 && tally.refused > 500);
	fleet_buffer_done(&m.out);
}

/* Documents with a byte changed, dropped or doubled: read, check and edit say the same about them, and never
 * crash. */
static void test_damaged_documents(void)
{
	struct maker m = {.seed = 7};
	struct fleet_edit edit = try_edit_of("k0=1");
	unsigned taken = 0;

	for (unsigned i = 0; i < 20000; i++) {
		struct fleet_driver_error err;
		struct fleet_buffer out = FLEET_BUFFER_INIT;
		size_t at;
		int checked, edited;

		make_document(&m);
		at = DICE(&m, (uint32_t)m.out.len);
		m.out.data[at] = DICE(&m, 2) ? (char)DICE(&m, 256) : "\"{}[],:/*\\\n"[DICE(&m, 11)];
		checked = try_check(m.out.data, m.out.len, &err);
		CU_ASSERT_EQUAL(try_read(m.out.data, m.out.len, NULL, &err), checked);
		edited = try_edit(m.out.data, m.out.len, &edit, 1, &out, &err);
		CU_ASSERT_TRUE(checked == 0 || edited < 0);
		taken += checked == 0;
		fleet_buffer_done(&out);
	}
	CU_ASSERT_TRUE(taken > 100 && taken < 19000);
	fleet_buffer_done(&m.out);
}

const struct unit_test json_random_tests[] = {
	UNIT_TEST(test_random_documents_and_edits), UNIT_TEST(test_damaged_documents), {0}};
