/* Finding what an edit means, changing and removing it, and making sure of the outcome. */
#include "ini_edit.h"
#include "ini_value.h"

struct target {
	const struct path_part *section; /* NULL: a key before all sections */
	const struct path_part *name;
	const struct path_part *index; /* NULL: without */
	size_t section_number, key;    /* INI_NONE: not there */
};

int ini_refuse_value(const char *why, struct fleet_driver_error *err)
{
	return fleet_driver_fail(err, -EINVAL, 0, 0, "the new value %s", why);
}

/* `key`, `key[n]`, `section.key`, `section.key[n]`. */
static bool take_target(const struct path *path, struct target *ret)
{
	size_t names = 0;

	*ret = (struct target){.section_number = INI_NONE, .key = INI_NONE};
	while (names < path->count && path->parts[names].kind == PATH_NAME)
		names++;
	if (names < 1 || names > 2 || path->count > names + 1)
		return false;
	ret->name = &path->parts[names - 1];
	if (names == 2)
		ret->section = &path->parts[0];
	if (path->count > names)
		ret->index = &path->parts[names];
	return true;
}

/* `key[n][m]`, `key[n].x` */
static bool goes_into_element(const struct path *path)
{
	for (size_t i = 0; i + 1 < path->count; i++) {
		if (path->parts[i].kind != PATH_NAME)
			return true;
	}
	return false;
}

static void find(const struct ini_doc *doc, struct target *t)
{
	t->section_number = t->section ? ini_doc_section(doc, t->section->name, t->section->name_len) : 0;
	t->key = ini_doc_key(doc, t->section_number, t->name->name, t->name->name_len);
}

static bool is_spelled(const struct ini_doc *doc, size_t start, size_t end, const struct path_part *name)
{
	return text_equal(doc->text + start, end - start, name->name, name->name_len);
}

/* Names that are one in this file's rules have one key path, or nobody could say what a path allows. */
static int check_spelling(const struct ini_doc *doc, const struct target *t, struct fleet_driver_error *err)
{
	const struct ini_section *section =
		t->section && t->section_number != INI_NONE ? &doc->sections[t->section_number] : NULL;
	const struct ini_item *item = t->key != INI_NONE ? &doc->items[t->key] : NULL;
	struct text path = {0};
	int r = 0;

	if (section && !is_spelled(doc, section->name_start, section->name_end, t->section))
		path_add_name(
			&path, doc->text + section->name_start, section->name_end - section->name_start);
	else if (item && !is_spelled(doc, item->name_start, item->name_end, t->name))
		ini_doc_path(doc, t->key, false, &path);
	if (path.len > 0)
		r = fleet_driver_fail(err, -EINVAL, 0, 0,
			"this file has that name as '%.*s': use this spelling",
			(int)utf8_cut(path.data, path.len, 150), path.data);
	text_done(&path);
	return r;
}

static bool section_has_keys(const struct ini_doc *doc, size_t section)
{
	return section != INI_NONE && doc->sections[section].last_key != INI_NONE;
}

/* The key path `a` would mean both a key and a section. */
static int check_twofold(const struct ini_doc *doc, const struct target *t, struct fleet_driver_error *err)
{
	const struct path_part *name = t->section ? t->section : t->name;
	bool key = ini_doc_key(doc, 0, name->name, name->name_len) != INI_NONE;
	bool section = section_has_keys(doc, ini_doc_section(doc, name->name, name->name_len));

	if (t->section ? key && !section : section)
		return fleet_driver_fail(err, -EINVAL, 0, 0,
			"a section and a key before all sections would have this same name: edit the file by "
			"hand");
	return 0;
}

static int drop(const struct ini_doc *doc, struct ini_change *change, size_t i)
{
	if (!change->dropped)
		change->dropped = calloc(doc->count, sizeof(*change->dropped));
	if (!change->dropped)
		return -ENOMEM;
	change->dropped[i] = true;
	change->there = true;
	return 0;
}

/* Changes the value of item i, in place. */
static int replace(const struct ini_doc *doc, size_t i, struct fleet_bytes value, struct ini_change *change,
	struct fleet_driver_error *err)
{
	const struct ini_item *item = &doc->items[i];
	struct text now = {0};
	const char *why;
	bool same;

	ini_doc_value(doc, i, &now);
	same = !now.failed && text_equal(now.data, now.len, value.data, value.len);
	text_done(&now);
	change->changed = i;
	change->start = item->value_start;
	change->end = item->value_end;
	if (same) {
		change->end = change->start;
		return 0;
	}
	if (item->inner_comment)
		return ini_doc_fail(doc, item->value_start, err, -EINVAL,
			"comments stand between the lines of this value: edit it by hand");
	if (item->delimiter == INI_NONE)
		ini_add_assignment(doc, i, &change->text);
	else if (item->value_start == item->value_end && item->delimiter > item->name_end &&
		 item->value_start == item->delimiter + 1)
		text_add(&change->text, " ", 1);
	why = ini_value_add(doc->rules, value.data, value.len, item->quote, &change->text);
	if (why)
		return ini_refuse_value(why, err);
	if (item->value_start == item->value_end && item->delimiter != INI_NONE &&
		item->value_end < doc->len && !strchr("\r\n", doc->text[item->value_end]))
		text_add(&change->text, " ", 1); /* a comment follows at once */
	change->there = true;
	return 0;
}

static int set(const struct ini_doc *doc, const struct target *t, struct fleet_bytes value,
	struct ini_change *change, struct fleet_driver_error *err)
{
	struct ini_new_key fresh = {t->section, t->name, t->section_number, INI_NONE, value};
	const struct ini_item *first = t->key == INI_NONE ? NULL : &doc->items[t->key];
	size_t i = t->key;
	int r;

	r = check_twofold(doc, t, err);
	if (r < 0)
		return r;
	if (t->index && t->index->kind == PATH_INDEX && t->index->index >= (first ? first->count : 0))
		return fleet_driver_fail(err, -EINVAL, 0, 0,
			"this key does not stand there so many times; one more of it is [+]");
	if (!first || (t->index && t->index->kind == PATH_APPEND)) {
		fresh.after = first ? first->last : INI_NONE;
		return ini_insert(doc, &fresh, change, err);
	}
	if (t->index) {
		for (uint32_t n = 0; n < t->index->index; n++)
			i = doc->items[i].next;
		return replace(doc, i, value, change, err);
	}
	for (; doc->items[i].next != INI_NONE; i = doc->items[i].next) {
		if (drop(doc, change, i) < 0)
			return fleet_driver_fail(err, -ENOMEM, 0, 0, "out of memory");
	}
	return replace(doc, i, value, change, err);
}

/* Everything from the header to the last key; then the blank lines behind, where there are such before. */
static int drop_section(const struct ini_doc *doc, size_t section, struct ini_change *change)
{
	int r = 0;

	for (size_t i = doc->sections[section].first; i <= doc->sections[section].last && r == 0; i++) {
		size_t last = i, end;

		if (doc->items[i].kind != INI_SECTION || doc->items[i].section != section)
			continue;
		for (end = i + 1; end < doc->count && doc->items[end].kind != INI_SECTION; end++) {
			if (doc->items[end].kind == INI_KEY)
				last = end;
		}
		for (size_t k = i; k <= last && r == 0; k++) {
			if (doc->items[k].kind != INI_DIRECTIVE)
				r = drop(doc, change, k);
		}
		if (last + 1 == doc->count) { /* at the end: the blank lines before it were for it */
			for (size_t k = i; k > 0 && doc->items[k - 1].kind == INI_BLANK && r == 0; k--)
				r = drop(doc, change, k - 1);
		} else if (i == 0 || doc->items[i - 1].kind == INI_BLANK) {
			for (size_t k = last + 1; k < end && doc->items[k].kind == INI_BLANK && r == 0; k++)
				r = drop(doc, change, k);
		}
	}
	return r;
}

static int unset(const struct ini_doc *doc, const struct target *t, struct ini_change *change,
	struct fleet_driver_error *err)
{
	size_t section = INI_NONE;
	int r = 0;

	if (t->key != INI_NONE && t->index && t->index->kind == PATH_INDEX &&
		t->index->index >= doc->items[t->key].count)
		return fleet_driver_fail(err, -EINVAL, 0, 0, "this key does not stand there so many times");
	for (size_t i = t->key; i != INI_NONE && r == 0; i = doc->items[i].next) {
		if (!t->index || (t->index->kind == PATH_INDEX && t->index->index == doc->items[i].nth))
			r = drop(doc, change, i);
	}
	if (!t->section && !t->index)
		section = ini_doc_section(doc, t->name->name, t->name->name_len);
	if (section != INI_NONE && r == 0) {
		const struct ini_section *s = &doc->sections[section];

		if (!is_spelled(doc, s->name_start, s->name_end, t->name))
			return fleet_driver_fail(err, -EINVAL, 0, 0,
				"this file spells the name of that section in another way");
		r = drop_section(doc, section, change);
	}
	return r < 0 ? fleet_driver_fail(err, r, 0, 0, "out of memory") : 0;
}

static void build(const struct ini_doc *doc, const struct ini_change *change, struct text *out)
{
	size_t at = 0;

	for (size_t i = 0; i < doc->count; i++) {
		const struct ini_item *item = &doc->items[i];

		if (!change->dropped || !change->dropped[i])
			continue;
		if (change->start >= at && change->end <= item->start && change->start < item->start) {
			text_add(out, doc->text + at, change->start - at);
			text_add(out, change->text.data, change->text.len);
			at = change->end;
		}
		text_add(out, doc->text + at, item->start - at);
		at = item->end;
	}
	if (change->start >= at) {
		text_add(out, doc->text + at, change->start - at);
		text_add(out, change->text.data, change->text.len);
		at = change->end;
	}
	text_add(out, doc->text + at, doc->len - at);
	/* a file whose last line had no end keeps it so */
	if (at == doc->len && doc->len > 0 && doc->text[doc->len - 1] != '\n' && change->dropped &&
		change->dropped[doc->count - 1] && out->len > 0 && out->data[out->len - 1] == '\n') {
		out->len--;
		if (out->len > 0 && out->data[out->len - 1] == '\r')
			out->len--;
	}
	out->failed = out->failed || change->text.failed;
}

/* Does key i of a say what key k of b says? value: what it should say instead, or NULL. */
static bool says(const struct ini_doc *a, size_t i, const struct ini_doc *b, size_t k,
	const struct fleet_bytes *value, struct text scratch[2])
{
	const struct ini_item *x = &a->items[i], *y = &b->items[k];
	const struct ini_section *s = &a->sections[x->section], *t = &b->sections[y->section];

	scratch[0].len = scratch[1].len = 0;
	ini_doc_value(b, k, &scratch[1]);
	if (value)
		text_add(&scratch[0], value->data, value->len);
	else
		ini_doc_value(a, i, &scratch[0]);
	return text_equal(scratch[0].data, scratch[0].len, scratch[1].data, scratch[1].len) &&
	       text_equal(a->text + x->name_start, x->name_end - x->name_start, b->text + y->name_start,
		       y->name_end - y->name_start) &&
	       (x->section > 0) == (y->section > 0) &&
	       text_equal(a->text + s->name_start, s->name_end - s->name_start, b->text + t->name_start,
		       t->name_end - t->name_start);
}

static bool is_new_key(const struct ini_doc *doc, size_t i, const struct target *t, struct fleet_bytes value,
	struct text *scratch)
{
	const struct ini_item *item = &doc->items[i];
	const struct ini_section *section = &doc->sections[item->section];

	scratch->len = 0;
	ini_doc_value(doc, i, scratch);
	return text_equal(scratch->data, scratch->len, value.data, value.len) &&
	       is_spelled(doc, item->name_start, item->name_end, t->name) &&
	       (t->section ? item->section > 0 &&
				       is_spelled(doc, section->name_start, section->name_end, t->section)
			   : item->section == 0);
}

/* Reads the outcome again: every other key as it was, this one as asked. Whatever a value or a name might
 * smuggle in, it ends here. */
static bool is_as_asked(const struct ini_doc *old, const struct ini_doc *new, const struct target *t,
	const struct ini_change *change, struct fleet_bytes value)
{
	struct text scratch[2] = {{0}, {0}};
	size_t k = 0, ordinal = 0;
	bool good = true;

	for (size_t i = 0; i <= old->count && good; i++) {
		bool end = i == old->count;

		if (!end && old->items[i].kind != INI_KEY)
			continue;
		while (k < new->count &&new->items[k].kind != INI_KEY)
			k++;
		if (ordinal++ == change->ordinal) {
			good = k < new->count &&is_new_key(new, k, t, value, &scratch[0]);
			k++;
			while (k < new->count &&new->items[k].kind != INI_KEY)
				k++;
		}
		if (end || !good || (change->dropped && change->dropped[i]))
			continue;
		good = k < new->count &&says(old, i, new, k, change->changed == i ? &value : NULL, scratch);
		k++;
	}
	for (; k < new->count &&good; k++)
		good = new->items[k].kind != INI_KEY;
	text_done(&scratch[0]);
	text_done(&scratch[1]);
	return good;
}

/* Where names that differ in case are one name, a key that stands there several times has the path of its
 * first spelling: with that one gone, all others would have another path. */
static bool keeps_its_path(const struct ini_doc *new, const struct target *t)
{
	struct target now = *t;

	find(new, &now);
	return now.key == INI_NONE ||
	       is_spelled(new, new->items[now.key].name_start, new->items[now.key].name_end, t->name);
}

static int finish(const struct ini_doc *doc, const struct target *t, const struct ini_change *change,
	const struct fleet_edit *edit, struct text *file, struct fleet_driver_error *err)
{
	struct fleet_driver_error unused = {.size = sizeof(unused)};
	struct text after = {0};
	struct ini_doc new;
	bool good, kept;

	build(doc, change, &after);
	if (after.failed) {
		text_done(&after);
		return fleet_driver_fail(err, -ENOMEM, 0, 0, "out of memory");
	}
	good = ini_doc_parse(doc->rules, after.data ? after.data : "", after.len, &new, &unused) == 0 &&
	       is_as_asked(doc, &new, t, change, edit->value);
	kept = !good || keeps_its_path(&new, t);
	ini_doc_done(&new);
	if (!good || !kept) {
		text_done(&after);
		if (!kept)
			return fleet_driver_fail(err, -EINVAL, 0, 0,
				"this key stands there in several spellings, of which the first would go: "
				"edit the file by hand");
		return fleet_driver_fail(err, -EINVAL, 0, 0,
			"the new file would not read back as asked by this format's rules: edit it by hand");
	}
	text_done(file);
	*file = after;
	return 0;
}

int ini_edit(const struct ini_rules *rules, struct text *file, const struct fleet_edit *edit,
	struct fleet_driver_error *err)
{
	struct ini_change change = {.changed = INI_NONE, .ordinal = INI_NONE};
	struct target target;
	struct ini_doc doc;
	struct path path;
	int r;

	r = path_parse(edit->path, &path);
	if (r < 0 || path.count == 0) {
		path_done(&path);
		return fleet_driver_fail(err, r < 0 ? r : -EINVAL, 0, 0, "an edit without a proper key path");
	}
	r = ini_doc_parse(rules, file->data ? file->data : "", file->len, &doc, err);
	if (r == 0 && !take_target(&path, &target)) {
		if (edit->kind == FLEET_EDIT_SET)
			r = fleet_driver_fail(err, -EINVAL, 0, 0,
				"an INI file has keys and sections with keys, nothing deeper: a dot in a "
				"name is "
				"written \\. and a [ is written \\[");
		else if (goes_into_element(&path))
			r = fleet_driver_fail(
				err, -EINVAL, 0, 0, "an element of a list has no members in an INI file");
	} else if (r == 0) {
		find(&doc, &target);
		r = check_spelling(&doc, &target, err);
		if (r == 0)
			r = edit->kind == FLEET_EDIT_SET ? set(&doc, &target, edit->value, &change, err)
							 : unset(&doc, &target, &change, err);
		if (r == 0 && change.there)
			r = finish(&doc, &target, &change, edit, file, err);
	}
	free(change.dropped);
	text_done(&change.text);
	ini_doc_done(&doc);
	path_done(&path);
	return r;
}
