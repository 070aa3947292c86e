/* A new key: its place, and the style of its neighbours. */
#include "ini_edit.h"
#include "ini_value.h"

/* How a line `key = value` is laid out; the spans point into the file, or to constants. */
struct style {
	struct fleet_bytes indent, before, after; /* around the delimiter */
	char delimiter, quote;
	size_t column; /* of the delimiter where it is the same in all lines nearby; 0: it is not */
};

static struct fleet_bytes span(const struct ini_doc *doc, size_t start, size_t end)
{
	return (struct fleet_bytes){doc->text + start, end - start};
}

static struct fleet_bytes constant(const char *s)
{
	return (struct fleet_bytes){s, strlen(s)};
}

static bool has_assignment(const struct ini_item *item)
{
	return item->kind == INI_KEY && item->delimiter != INI_NONE;
}

static struct style style_by_rules(const struct ini_rules *rules)
{
	bool spaced = rules->assign[0] == ' ';

	return (struct style){.indent = constant(""),
		.before = constant(spaced ? " " : ""),
		.after = constant(strchr(rules->assign + spaced, ' ') ? " " : ""),
		.delimiter = rules->assign[spaced]};
}

/* The style of one line. */
static struct style style_of(const struct ini_doc *doc, const struct ini_item *item)
{
	struct style style = {
		.indent = span(doc, item->start, item->name_start),
		.before = span(doc, item->name_end, item->delimiter),
		.after = span(doc, item->delimiter + 1, item->value_start),
		.delimiter = doc->text[item->delimiter],
		.quote = item->quote,
	};

	if (item->value_start == item->value_end) /* blanks before no value say nothing */
		style.after = style.before.len > 0 && style.delimiter == '=' ? constant(" ") : constant("");
	if (style.after.len == 0 && item->several_lines)
		style.after = constant(style.before.len > 0 ? " " : "");
	return style;
}

static size_t column_of(const struct ini_item *item)
{
	return item->delimiter - item->start;
}

/* Are the delimiters of this section's keys in one column, though their names are of different length? */
static size_t common_column(const struct ini_doc *doc, size_t section, size_t near)
{
	size_t column = column_of(&doc->items[near]), others = 0;
	const struct ini_item *item = &doc->items[near];
	bool differ = false;

	for (size_t i = near; i > 0 && near - i < 8; i--) {
		const struct ini_item *o = &doc->items[i - 1];

		if (o->section != section)
			break;
		if (!has_assignment(o))
			continue;
		if (column_of(o) != column)
			return 0;
		others++;
		differ = differ || o->name_end != item->name_end - item->start + o->start;
	}
	return others > 0 && differ ? column : 0;
}

/* The key nearest to item i that has a value: before it in its section, else behind it there, else anywhere.
 */
static size_t neighbour(const struct ini_doc *doc, size_t i, size_t section)
{
	size_t found = INI_NONE;

	for (size_t k = i < doc->count ? i + 1 : doc->count; k > 0; k--) {
		if (!has_assignment(&doc->items[k - 1]))
			continue;
		if (doc->items[k - 1].section == section)
			return k - 1;
		found = found == INI_NONE ? k - 1 : found;
	}
	for (size_t k = i; k < doc->count; k++) {
		if (!has_assignment(&doc->items[k]))
			continue;
		if (doc->items[k].section == section)
			return k;
		found = found == INI_NONE ? k : found;
	}
	return found;
}

static struct style style_near(const struct ini_doc *doc, size_t i, size_t section)
{
	size_t near = neighbour(doc, i, section);
	struct style style;

	if (near == INI_NONE)
		return style_by_rules(doc->rules);
	style = style_of(doc, &doc->items[near]);
	style.column = common_column(doc, doc->items[near].section, near);
	if (style.before.len > 1 && !style.column)
		style.before = constant(" ");
	return style;
}

void ini_add_assignment(const struct ini_doc *doc, size_t i, struct text *out)
{
	struct style style = style_near(doc, i, doc->items[i].section);

	text_add(out, style.before.data, style.before.len > 0);
	text_add(out, &style.delimiter, 1);
	text_add(out, style.after.data, style.after.len);
}

/* Is comment item i the commented-out line of this key? Fills in its style then. name NULL: of any key. */
static bool is_example(const struct ini_doc *doc, size_t i, const struct path_part *name, struct style *ret)
{
	const char *s = doc->text;
	struct line line = line_at(s, doc->len, doc->items[i].start);
	size_t mark = line_skip_blanks(s, line.start, line.end), at = mark;
	struct ini_item item = {.kind = INI_BLANK, .delimiter = INI_NONE};
	struct fleet_driver_error unused = {.size = sizeof(unused)};
	struct ini_rules rules = *doc->rules;
	struct ini_doc one = *doc;

	while (at < line.end && strchr(doc->rules->comments, s[at]))
		at++;
	at = line_skip_blanks(s, at, line.end);
	rules.continuation = INI_CONTINUES_NOT;
	one.rules = &rules;
	if (at == line.end ||
		ini_line_parse(&one, (struct line){at, line.end, line.next}, &item, &unused) < 0 ||
		item.kind != INI_KEY)
		return false;
	if (!name) /* prose has blanks where names have none */
		return has_assignment(&item) &&
		       !memchr(s + item.name_start, ' ', item.name_end - item.name_start);
	if (!ini_names_equal(
		    &rules, s + item.name_start, item.name_end - item.name_start, name->name, name->name_len))
		return false;
	if (item.delimiter == INI_NONE)
		return doc->rules->bare != INI_BARE_NONE;
	*ret = style_of(doc, &item);
	ret->indent = span(doc, line.start, mark);
	return true;
}

/* Where the new line goes, and which item it follows (doc->count: none). */
struct place {
	size_t at, previous;
	bool by_example;
	struct style example;
};

/* Before all sections, where no key is yet: after the file's opening comments, before the blank line and the
 * comments that belong to the first section. */
static size_t first_place(const struct ini_doc *doc)
{
	size_t header = 0, i;

	while (header < doc->count && doc->items[header].kind != INI_SECTION)
		header++;
	if (header == doc->count)
		return doc->len;
	for (i = header; i > 0 && doc->items[i - 1].kind == INI_COMMENT;)
		i--;
	if (i == 0 || doc->items[i - 1].kind != INI_BLANK)
		return doc->items[header].start;
	while (i > 0 && doc->items[i - 1].kind == INI_BLANK)
		i--;
	return doc->items[i].start;
}

static struct place find_place(const struct ini_doc *doc, const struct ini_new_key *key)
{
	const struct ini_section *section = &doc->sections[key->section_number];
	size_t from = section->first == INI_NONE ? 0 : section->first, any = INI_NONE;
	struct place place = {.previous = key->after};

	for (size_t i = from; i < doc->count && key->after == INI_NONE; i++) {
		if (doc->items[i].section != key->section_number) {
			if (key->section_number == 0)
				break;
			continue;
		}
		if (doc->items[i].kind != INI_COMMENT)
			continue;
		if (is_example(doc, i, key->name, &place.example)) {
			place.by_example = place.example.delimiter != '\0';
			place.previous = i;
		} else if (is_example(doc, i, NULL, NULL)) {
			any = i;
		}
	}
	if (place.previous == INI_NONE)
		place.previous = section->last_key;
	if (place.previous == INI_NONE)
		place.previous = any;
	if (place.previous == INI_NONE)
		place.previous = section->last;
	place.at = place.previous == INI_NONE ? first_place(doc) : doc->items[place.previous].end;
	if (place.previous == INI_NONE)
		place.previous = doc->count;
	return place;
}

static int add_line(const struct ini_doc *doc, const struct ini_new_key *key, const struct style *style,
	struct text *out, struct fleet_driver_error *err)
{
	bool bare = style->delimiter == '\0';
	size_t start;
	const char *why;

	text_add(out, style->indent.data, style->indent.len);
	text_add(out, key->name->name, key->name->name_len);
	if (bare)
		return 0;
	start = style->indent.len + key->name->name_len;
	if (style->column > start) {
		while (start++ < style->column)
			text_add(out, " ", 1);
	} else {
		text_add(out, style->before.data, style->column ? style->before.len > 0 : style->before.len);
	}
	text_add(out, &style->delimiter, 1);
	if (key->value.len > 0 || style->quote)
		text_add(out, style->after.data, style->after.len);
	why = ini_value_add(doc->rules, key->value.data, key->value.len, style->quote, out);
	return why ? ini_refuse_value(why, err) : 0;
}

static int check_name(const struct ini_rules *rules, const struct path_part *part, bool section,
	struct fleet_driver_error *err)
{
	const char *name = part->name, *why = NULL;
	size_t len = part->name_len;

	if (len == 0)
		why = "is empty";
	else if (line_is_blank_char(name[0]) || line_is_blank_char(name[len - 1]))
		why = "begins or ends with a blank";
	for (size_t i = 0; i < len && !why; i++) {
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
			why = "has a control character in it";
		else if (section ? name[i] == ']' : strchr(rules->delimiters, name[i]) != NULL)
			why = section ? "has a ] in it"
				      : "has the character in it that separates key and value";
	}
	if (!why && !section && (strchr(rules->comments, name[0]) || name[0] == '[' || name[0] == '!'))
		why = "begins as a comment or a section does";
	if (why)
		return fleet_driver_fail(
			err, -EINVAL, 0, 0, "the name of the new %s %s", section ? "section" : "key", why);
	return 0;
}

/* Behind the last line, with one blank line between. */
static int add_section(const struct ini_doc *doc, const struct ini_new_key *key, struct ini_change *change,
	struct fleet_driver_error *err)
{
	size_t last = doc->count > 0 ? doc->count - 1 : 0;
	struct style style = style_near(doc, last, INI_NONE);
	const char *newline = lines_ending(doc->text, doc->len, doc->len);
	bool ended = doc->count == 0 || doc->text[doc->len - 1] == '\n';
	int r;

	r = check_name(doc->rules, key->section, true, err);
	if (r < 0)
		return r;
	change->start = change->end = doc->len;
	if (!ended)
		text_add_string(&change->text, lines_ending(doc->text, doc->len, 0));
	if (doc->count > 0 && doc->items[last].kind != INI_BLANK)
		text_add_string(&change->text, newline);
	text_add(&change->text, "[", 1);
	text_add(&change->text, key->section->name, key->section->name_len);
	text_add(&change->text, "]", 1);
	text_add_string(&change->text, newline);
	style.column = 0;
	if (style.before.len > 1)
		style.before = constant(" ");
	if (doc->rules->empty_is_bare && key->value.len == 0)
		style.delimiter = '\0';
	r = add_line(doc, key, &style, &change->text, err);
	if (ended)
		text_add_string(&change->text, newline);
	return r;
}

static size_t keys_before(const struct ini_doc *doc, size_t at)
{
	size_t n = 0;

	for (size_t i = 0; i < doc->count && doc->items[i].start < at; i++)
		n += doc->items[i].kind == INI_KEY;
	return n;
}

int ini_insert(const struct ini_doc *doc, const struct ini_new_key *key, struct ini_change *change,
	struct fleet_driver_error *err)
{
	struct style style;
	struct place place;
	const char *newline;
	size_t near;
	int r;

	r = check_name(doc->rules, key->name, false, err);
	if (r < 0)
		return r;
	change->there = true;
	if (key->section_number == INI_NONE) {
		change->ordinal = keys_before(doc, doc->len);
		return add_section(doc, key, change, err);
	}
	place = find_place(doc, key);
	style = style_near(doc, place.previous, key->section_number);
	near = neighbour(doc, place.previous, key->section_number);
	if (place.by_example) {
		if (near != INI_NONE && doc->items[near].section == key->section_number)
			place.example.indent = style.indent;
		style = place.example;
	} else if (key->value.len == 0 && key->after == INI_NONE &&
		   (doc->rules->empty_is_bare ||
			   (place.previous < doc->count && doc->items[place.previous].kind == INI_COMMENT &&
				   doc->rules->bare != INI_BARE_NONE &&
				   is_example(doc, place.previous, key->name, &place.example)))) {
		style.delimiter = '\0'; /* `#skip-networking` has no value */
	}
	newline = lines_ending(doc->text, doc->len, place.at);
	change->start = change->end = place.at;
	change->ordinal = keys_before(doc, place.at);
	if (place.at > lines_bom(doc->text, doc->len) && doc->text[place.at - 1] != '\n')
		text_add_string(&change->text, newline);
	r = add_line(doc, key, &style, &change->text, err);
	if (place.at <= lines_bom(doc->text, doc->len) || doc->text[place.at - 1] == '\n')
		text_add_string(&change->text, newline);
	return r;
}
