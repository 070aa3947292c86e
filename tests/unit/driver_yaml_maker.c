#include "driver_yaml_maker.h"
#include "driver_dice.h"

static void make_line(struct yaml_maker *m, unsigned column)
{
	fleet_buffer_add_string(&m->out, m->newline);
	for (unsigned i = 0; i < column; i++)
		fleet_buffer_add_string(&m->out, " ");
}

/* Comments and blank lines between entries. */
static void make_gap(struct yaml_maker *m, unsigned column)
{
	static const char *const comments[] = {"# some: words", "#k3: 5", "# k1: [", "#", "# - x", "# k2 :"};

	while (m->comments && DICE(m, 4) == 0) {
		make_line(m, DICE(m, 3) ? column : 0);
		fleet_buffer_add_string(&m->out, DICE(m, 4) ? PICK(m, comments) : "");
	}
}

static void make_behind(struct yaml_maker *m)
{
	static const char *const behind[] = {" # why", "   #k3: 1", " # ' \" {", "  "};

	if (m->comments && DICE(m, 5) == 0)
		fleet_buffer_add_string(&m->out, PICK(m, behind));
}

/* Returns what close_anchor wants. */
static int make_anchor(struct yaml_maker *m)
{
	if (m->shared && m->anchors < FLEET_ARRAY_LEN(m->closed) && DICE(m, 6) == 0) {
		fleet_buffer_printf(&m->out, "&n%u ", m->anchors);
		return (int)m->anchors++;
	}
	return -1;
}

static void close_anchor(struct yaml_maker *m, int anchor)
{
	if (anchor >= 0)
		m->closed[m->closed_count++] = (unsigned)anchor;
}

static bool make_alias(struct yaml_maker *m)
{
	if (m->closed_count == 0 || DICE(m, 5) != 0)
		return false;
	fleet_buffer_printf(&m->out, "*n%u", m->closed[DICE(m, m->closed_count)]);
	return true;
}

static void make_scalar(struct yaml_maker *m)
{
	static const char *const scalars[] = {"x", "two words", "1", "-12", "0x1F", "1.0", "true", "no", "~",
		"null", "'it''s'", "''", "\"q\\\"q\"", "\"\"", "'1'", "\"a: b # c\"", "0644", "2024-01-01",
		"http://x:80/y#z", "a'b", "\"\\u00e9\\n\"", "caf\xc3\xa9", "99999999999999999999", "'{'"};

	if (make_alias(m))
		return;
	close_anchor(m, make_anchor(m));
	if (DICE(m, 60) == 0)
		fleet_buffer_add_string(&m->out, "!!str ");
	fleet_buffer_add_string(&m->out, PICK(m, scalars));
}

/* What is in more than one line, deeper than `column`. */
static void make_long(struct yaml_maker *m, unsigned column)
{
	static const char *const headers[] = {"|", "|-", "|+", ">", ">-", "| # k3: 1"};
	static const char *const texts[] = {"text", "# k3: 1", "k1: 2", "- x", "a  b", "\xc3\xa9"};
	unsigned kind = DICE(m, 4), n = 1 + DICE(m, 3);

	close_anchor(m, make_anchor(m));
	if (kind < 2)
		fleet_buffer_add_string(&m->out, PICK(m, headers));
	else
		fleet_buffer_add_string(&m->out, kind == 2 ? "plain" : "'one");
	while (n-- > 0) {
		if (DICE(m, 5) == 0)
			make_line(m, 0);
		make_line(m, column + 2);
		fleet_buffer_add_string(&m->out, kind < 2 ? PICK(m, texts) : "word");
		if (kind < 2 && DICE(m, 5) == 0)
			make_line(m, column + 4);
	}
	if (kind == 3)
		fleet_buffer_add_string(&m->out, "'");
	if (kind < 2 && DICE(m, 6) == 0)
		make_line(m, 0);
}

static void make_flow(struct yaml_maker *m, unsigned column, unsigned depth)
{
	bool object = DICE(m, 2), lines = DICE(m, 3) == 0, spaced = DICE(m, 3) == 0,
	     trailing = DICE(m, 6) == 0;
	unsigned n = DICE(m, 4);
	int anchor = make_anchor(m);

	fleet_buffer_add_string(&m->out, object ? "{" : "[");
	if (n == 0 && spaced)
		fleet_buffer_add_string(&m->out, " ");
	for (unsigned i = 0; i < n; i++) {
		if (lines) {
			make_behind(m);
			make_line(m, column + 2);
		} else if (spaced || i > 0) {
			fleet_buffer_add_string(&m->out, " ");
		}
		if (object && DICE(m, 4))
			fleet_buffer_printf(&m->out, "k%u:", i);
		else if (object)
			fleet_buffer_printf(&m->out, "\"k%u\":", i);
		if (object && DICE(m, 8) == 0)
			fleet_buffer_add_string(&m->out, " ");
		else if (depth < 4 && DICE(m, 4) == 0) {
			fleet_buffer_add_string(&m->out, " ");
			make_flow(m, column + 2, depth + 1);
		} else {
			fleet_buffer_add_string(&m->out, " ");
			make_scalar(m);
		}
		if (m->out.data[m->out.len - 1] != ' ' && DICE(m, 12) == 0)
			fleet_buffer_add_string(&m->out, " ");
		if (i + 1 < n || trailing)
			fleet_buffer_add_string(&m->out, ",");
	}
	if (lines && n > 0) {
		make_behind(m);
		make_line(m, column + (column > 0));
	} else if (spaced && n > 0) {
		fleet_buffer_add_string(&m->out, " ");
	}
	fleet_buffer_add_string(&m->out, object ? "}" : "]");
	close_anchor(m, anchor);
}

static void make_block(
	struct yaml_maker *m, unsigned column, unsigned depth, bool object, bool first_in_line);

/* Behind `key:` or `-`; inside: the least column that is inside of the entry. */
static void make_value(struct yaml_maker *m, unsigned column, unsigned depth, bool object, unsigned least)
{
	bool nested = depth < 4 && DICE(m, 3) == 0, below = object || DICE(m, 4) == 0;
	unsigned kind = DICE(m, 10);

	if (nested) {
		bool inner = DICE(m, 3) != 0;

		if (below) {
			unsigned deeper = !object || inner ? m->unit : m->sequence;
			int anchor = -1;

			if (column + deeper < least)
				deeper = least - column;
			if (DICE(m, 8) == 0) {
				fleet_buffer_add_string(&m->out, " ");
				anchor = make_anchor(m);
			}
			make_behind(m);
			make_block(m, column + deeper, depth + 1, inner, false);
			close_anchor(m, anchor);
		} else {
			for (unsigned i = 0; i < m->gap; i++)
				fleet_buffer_add_string(&m->out, " ");
			make_block(m, column + 1 + m->gap, depth + 1, inner, true);
		}
		return;
	}
	if (kind == 0) {
		make_behind(m);
		return;
	}
	fleet_buffer_add_string(&m->out, DICE(m, 10) ? " " : "   ");
	if (kind == 1)
		make_long(m, column);
	else if (kind < 4)
		make_flow(m, column + 1, depth);
	else
		make_scalar(m);
	if (kind != 1)
		make_behind(m);
}

static void make_block(struct yaml_maker *m, unsigned column, unsigned depth, bool object, bool first_in_line)
{
	unsigned n = 1 + DICE(m, 4);

	for (unsigned i = 0; i < n; i++) {
		if (!first_in_line || i > 0) {
			make_gap(m, column);
			make_line(m, column);
		}
		if (object) {
			static const char *const quotes[] = {"", "", "", "'", "\""};
			const char *quote = PICK(m, quotes);

			/* distinct names: what happens to twins is for the examples */
			fleet_buffer_printf(&m->out, "%sk%u%s%s:", quote, i, quote, DICE(m, 9) ? "" : " ");
			make_value(m, column, depth, true, column + (DICE(m, 2) ? 0 : 1));
		} else {
			fleet_buffer_add_string(&m->out, "-");
			make_value(m, column, depth, false, column + 1);
		}
	}
}

void yaml_make_document(struct yaml_maker *m)
{
	static const unsigned units[] = {2, 2, 4, 1, 3};
	unsigned documents = DICE(m, 5) ? 1 : 1 + DICE(m, 3);
	size_t start;

	fleet_buffer_truncate(&m->out, 0);
	m->newline = DICE(m, 4) ? "\n" : "\r\n";
	m->unit = PICK(m, units);
	m->sequence = DICE(m, 2) ? m->unit : 0;
	m->gap = DICE(m, 6) ? 1 : 3;
	m->comments = DICE(m, 2);
	m->shared = DICE(m, 3) == 0;
	fleet_buffer_add_string(&m->out, DICE(m, 12) ? "" : "\xef\xbb\xbf");
	start = m->out.len;
	for (unsigned i = 0; i < documents; i++) {
		bool marked = i > 0 || DICE(m, 6) == 0;
		size_t at;

		m->anchors = m->closed_count = 0;
		if (marked)
			fleet_buffer_printf(&m->out, "---%s%s", DICE(m, 4) ? "" : " # one", m->newline);
		if (marked && DICE(m, 6) == 0)
			continue;
		at = m->out.len;
		if (DICE(m, 12) == 0)
			make_flow(m, 0, 0);
		else
			make_block(m, 0, 0, DICE(m, 6) != 0, false);
		/* the line break that each entry begins with is not wanted before the first */
		if (strncmp(m->out.data + at, m->newline, strlen(m->newline)) == 0) {
			size_t n = strlen(m->newline);

			memmove(m->out.data + at, m->out.data + at + n, m->out.len - at - n);
			fleet_buffer_truncate(&m->out, m->out.len - n);
		}
		fleet_buffer_add_string(&m->out, m->newline);
	}
	if (m->out.len > start + 2 && DICE(m, 4) == 0)
		fleet_buffer_truncate(&m->out, m->out.len - strlen(m->newline));
}

void yaml_make_edit(
	struct yaml_maker *m, const struct settings *now, char *path, size_t size, struct fleet_edit *ret)
{
	static const struct {
		const char *text;
		uint32_t type;
	} values[] = {{"text", FLEET_TYPE_STRING}, {"", FLEET_TYPE_STRING}, {"no", FLEET_TYPE_STRING},
		{"two\nlines\n", FLEET_TYPE_STRING}, {"it's: \"q\" #", FLEET_TYPE_STRING},
		{"1.0", FLEET_TYPE_STRING}, {"- x", FLEET_TYPE_STRING}, {"a, b]", FLEET_TYPE_STRING},
		{"77", FLEET_TYPE_INTEGER}, {"99999999999999999999", FLEET_TYPE_INTEGER},
		{"-0.50", FLEET_TYPE_NUMBER}, {"true", FLEET_TYPE_BOOLEAN}, {"null", FLEET_TYPE_NULL},
		{"{}", FLEET_TYPE_OBJECT}, {"[]", FLEET_TYPE_ARRAY},
		{"{\"p\":{\"q\":[1,{\"r\":2,\"s\":\"a\"}]},\"s\":\"\"}", FLEET_TYPE_OBJECT},
		{"[1,[2],{\"x\":\"on\"}]", FLEET_TYPE_ARRAY}};
	const char *base = now->count ? now->items[DICE(m, (uint32_t)now->count)].path : "";
	uint32_t value = DICE(m, DICE(m, 2) ? 9 : FLEET_ARRAY_LEN(values));

	(void)snprintf(path, size, "%s", base);
	for (uint32_t up = DICE(m, 3) ? 0 : DICE(m, 3); up > 0; up--) {
		char *cut = strpbrk(path, ".[") ? strrchr(path, DICE(m, 2) ? '.' : '[') : NULL;

		if (cut && cut > path && cut[-1] != '\\')
			*cut = '\0';
	}
	if (DICE(m, 3) == 0 || now->count == 0) {
		static const char *const more[] = {".fresh", ".k3", ".k3", ".k1", ".fresh.deeper", "[+]",
			"[+].fresh", "[0]", ".fresh[+]", "[1]"};
		char *cut = DICE(m, 2) ? strrchr(path, '.') : NULL;

		if (cut)
			*cut = '\0';
		(void)snprintf(path + strlen(path), size - strlen(path), "%s", PICK(m, more));
		if (path[0] == '.')
			memmove(path, path + 1, strlen(path));
	}
	*ret = (struct fleet_edit){.path = {path, strlen(path)},
		.kind = DICE(m, 4) == 0 ? FLEET_EDIT_UNSET : FLEET_EDIT_SET,
		.value = {"", 0}};
	if (ret->kind == FLEET_EDIT_SET) {
		ret->value = (struct fleet_bytes){values[value].text, strlen(values[value].text)};
		ret->type = values[value].type;
	}
}
