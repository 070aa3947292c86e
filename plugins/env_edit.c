/* Finding what an edit means, changing and removing it, and saying why where it cannot be. */
#include "env_edit.h"
#include "path.h"

#define DUPLICATES_MAX 100

/* How the readers see the item, where no spelling of a value helps. */
static const char *quarrel(const struct env_item *item)
{
	const struct env_entry *sh = item->sh, *systemd = item->systemd;

	if ((sh && sh->hidden) || (systemd && systemd->hidden))
		return "a byte order mark stands before this line, so that neither sh nor systemd knows the "
		       "key: "
		       "remove the mark";
	if (!sh)
		return "sh sees no assignment here, only systemd does: take away the blanks around the = or "
		       "the "
		       "open quote before it";
	if (!systemd)
		return "systemd sees no assignment here, only sh does: give it a line of its own";
	if (systemd->value_end > sh->value_end)
		return "something stands behind the value, which sh takes for a comment or code and systemd "
		       "for "
		       "a part of the value: move it to a line of its own";
	return "sh and systemd would not both read here what was asked for, and all else as before";
}

/* Carries the change out, if that is safe: then *doc is the new file. */
static int try_change(struct env_doc *doc, const struct env_change *change, const struct env_wish *wish,
	struct fleet_driver_error *err)
{
	struct fleet_driver_error unused = {.size = sizeof(unused)};
	const char *s = doc->text.data ? doc->text.data : "";
	struct text text = {0};
	struct env_doc new;
	int r;

	text_add(&text, s, change->start);
	text_add(&text, change->text.data, change->text.len);
	text_add(&text, s + change->end, doc->text.len - change->end);
	text.failed = text.failed || change->text.failed;
	r = env_doc_parse(&text, &new, &unused);
	if (r == 0 && !env_is_safe(doc, &new, change, wish))
		r = -EINVAL;
	if (r == 0) {
		struct env_doc old = *doc;

		*doc = new;
		new = old;
	}
	env_doc_done(&new);
	return r == -ENOMEM ? fleet_driver_fail(err, r, 0, 0, "out of memory") : r;
}

static int refuse_twice(const struct env_wish *wish, struct fleet_driver_error *err)
{
	return fleet_driver_fail(err, -EINVAL, 0, 0,
		"%.*s is set in more than one way (by code, or with export and without), so that sh and "
		"systemd "
		"would not end up with the same: edit the file by hand",
		wish->name_len > 80 ? 80 : (int)wish->name_len, wish->name);
}

static int replace(struct env_doc *doc, size_t i, const struct env_wish *wish, struct fleet_driver_error *err)
{
	const struct env_item *item = &doc->items[i];
	const struct env_entry *e = env_item_is_sh(item) ? item->sh : item->systemd;
	struct env_change change = {item->start, e->value_start, e->value_end, {0}};
	const char *why = quarrel(item);
	size_t place = item->start;
	int r;

	if (change.end > change.start && change.end < doc->text.len && doc->text.data[change.end] == '\n' &&
		doc->text.data[change.end - 1] == '\r')
		change.end--; /* behind a backslash, where it still belongs to the line end */
	env_spell(*wish->value, env_quote_of(doc->text.data, e->value_start, e->value_end), &change.text);
	r = try_change(doc, &change, wish, err);
	if (r == -EINVAL)
		(void)env_doc_fail(doc, place, err, r, why);
	text_done(&change.text);
	return r;
}

static int insert(struct env_doc *doc, const struct env_wish *wish, struct fleet_driver_error *err)
{
	const char *why =
		"there is no place for a new key where sh and systemd would both read it: a comment ends "
		"in a backslash, or they disagree about what stands before";
	struct env_change change;
	int r = -EINVAL;

	for (unsigned n = 0; r == -EINVAL && env_insert_propose(doc, wish, n, &change); n++) {
		/* the carriage return would become part of a line end, and go with the key */
		if (change.start > 0 && change.start == doc->text.len &&
			doc->text.data[change.start - 1] == '\r')
			why = "the last line ends in a carriage return without a line feed: end it properly";
		else
			r = try_change(doc, &change, wish, err);
		text_done(&change.text);
	}
	return r == -EINVAL ? fleet_driver_fail(err, r, 0, 0, "%s", why) : r;
}

static int set(struct env_doc *doc, const struct env_wish *wish, struct fleet_driver_error *err)
{
	size_t i = env_doc_find(doc, wish->name, wish->name_len);
	int r;

	if (i != ENV_NONE) {
		struct fleet_bytes now = env_doc_value(doc, &doc->items[i]);

		if (text_equal(now.data, now.len, wish->value->data, wish->value->len))
			return 0;
	}
	r = i != ENV_NONE ? replace(doc, i, wish, err) : insert(doc, wish, err);
	return r == 0 && !env_is_effective(doc, wish) ? refuse_twice(wish, err) : r;
}

/* A file whose last line had no end keeps it so. */
static size_t without_line_end(const struct text *text, size_t start, size_t end)
{
	const char *s = text->data;

	if (end < text->len || s[end - 1] == '\n' || start == 0 || s[start - 1] != '\n')
		return start;
	start--;
	return start > 0 && s[start - 1] == '\r' ? start - 1 : start;
}

static int unset(struct env_doc *doc, const struct env_wish *wish, struct fleet_driver_error *err)
{
	size_t i = env_doc_find(doc, wish->name, wish->name_len), removed = 0;
	int r = 0;

	if (i == ENV_NONE)
		return 0;
	for (; i != ENV_NONE && r == 0; i = env_doc_find(doc, wish->name, wish->name_len)) {
		const struct env_item *item = &doc->items[i];
		const struct env_entry *e = env_item_is_sh(item) ? item->sh : item->systemd;
		struct env_change change = {ENV_NONE, e->line_start, e->line_end, {0}};
		const char *why = quarrel(item);
		size_t place = item->start;

		if (++removed > DUPLICATES_MAX)
			return fleet_driver_fail(err, -EINVAL, 0, 0,
				"the key stands there more than %d times", DUPLICATES_MAX);
		change.start = without_line_end(&doc->text, change.start, change.end);
		r = e->hidden ? -EINVAL : try_change(doc, &change, wish, err);
		if (r == -EINVAL)
			(void)env_doc_fail(doc, place, err, r, why);
	}
	return r == 0 && !env_is_effective(doc, wish) ? refuse_twice(wish, err) : r;
}

static int check_wish(const struct env_wish *wish, struct fleet_driver_error *err)
{
	const struct fleet_bytes *value = wish->value;

	if (wish->name_len == 0 || env_name_length(wish->name, wish->name_len) != wish->name_len)
		return fleet_driver_fail(err, -EINVAL, 0, 0,
			"a variable's name is made of letters, digits and _, and does not begin with a "
			"digit");
	if (memchr(value->data, '\0', value->len))
		return fleet_driver_fail(
			err, -EINVAL, 0, 0, "the new value has a NUL byte in it, which no variable can hold");
	if (lines_bad_utf8(value->data, 0, value->len) < value->len)
		return fleet_driver_fail(err, -EINVAL, 0, 0,
			"the new value is not UTF-8, for which systemd would refuse the whole file");
	return 0;
}

int env_edit(struct env_doc *doc, const struct fleet_edit *edit, struct fleet_driver_error *err)
{
	struct env_wish wish = {.value = edit->kind == FLEET_EDIT_SET ? &edit->value : NULL};
	struct path path;
	int r = path_parse(edit->path, &path);

	if (r < 0 || path.count == 0)
		return fleet_driver_fail(err, r < 0 ? r : -EINVAL, 0, 0, "an edit without a proper key path");
	wish.name = path.parts[0].name;
	wish.name_len = path.parts[0].name_len;
	if (path.count > 1 || path.parts[0].kind != PATH_NAME)
		r = wish.value || path.parts[1].kind != PATH_NAME
			    ? fleet_driver_fail(err, -EINVAL, 0, 0,
				      "a variable has a name alone, as in PORT, and nothing deeper")
			    : 0;
	else if (!wish.value)
		r = unset(doc, &wish, err);
	else
		r = check_wish(&wish, err);
	if (r == 0 && wish.value)
		r = set(doc, &wish, err);
	path_done(&path);
	return r;
}
