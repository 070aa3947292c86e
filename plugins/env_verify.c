/* Making sure of an edit: each reader goes over the old file and the new one, and what it finds must be the
 * same but for the edit. Whatever a value might smuggle in, and whatever the readers disagree about, ends
 * here. */
#include "env_edit.h"

struct comparison {
	const struct env_doc *old, *new;
	const struct env_change *change;
	const struct env_wish *wish;
	enum env_reader reader;
	bool misread; /* sh does not see the key's assignment as one in the old file */
};

static bool is_wished(const struct env_doc *doc, const struct env_entry *e, const struct env_wish *wish)
{
	return text_equal(doc->text.data + e->start, e->name_len, wish->name, wish->name_len);
}

static bool says_value(const struct env_doc *doc, enum env_reader reader, const struct env_entry *e,
	struct fleet_bytes value)
{
	return text_equal(
		env_entry_text(env_doc_reading(doc, reader), e), e->text_len, value.data, value.len);
}

static size_t moved(const struct comparison *c, size_t at)
{
	return at >= c->change->end ? at - c->change->end + c->change->start + c->change->text.len : at;
}

/* A command is known by its spelling, an assignment by its meaning. */
static bool is_same(const struct comparison *c, const struct env_entry *a, const struct env_entry *b)
{
	struct fleet_bytes text = {env_entry_text(env_doc_reading(c->old, c->reader), a), a->text_len};

	if (moved(c, a->start) != b->start || a->name_len != b->name_len || a->exported != b->exported ||
		a->hidden != b->hidden || a->sure != b->sure || a->literal != b->literal)
		return false;
	if (a->name_len > 0)
		return text_equal(c->old->text.data + a->start, a->name_len, c->new->text.data + b->start,
			       b->name_len) &&
		       says_value(c->new, c->reader, b, text);
	return text_equal(c->old->text.data + a->start, a->value_end - a->start, c->new->text.data + b->start,
		b->value_end - b->start);
}

/* The key's own assignment, with the value asked for. systemd passes `export` over, whatever it holds. */
static bool is_as_wished(const struct comparison *c, const struct env_entry *e)
{
	if (!is_wished(c->new, e, c->wish) || !c->wish->value || !e->sure || !e->literal || e->hidden)
		return false;
	return says_value(c->new, c->reader, e, *c->wish->value) || (c->reader != ENV_SH && e->exported);
}

/* Old entries in the changed place: the key's own, and what sh made of a value that it could not read: a
 * command, or the b of A=http://host/?a=1&b=2. What stands apart from the value was meant. */
static bool may_go(const struct comparison *c, const struct env_entry *e)
{
	const char *s = c->old->text.data;

	if (e->name_len > 0 && !c->wish->value && is_wished(c->old, e, c->wish))
		return true;
	if (c->reader != ENV_SH || !c->misread || e->sure)
		return false;
	for (size_t i = e->start; e->name_len > 0 && i > c->change->start && s[i - 1] != '='; i--) {
		if (line_is_blank_char(s[i - 1]) || strchr("'\"\n", s[i - 1]))
			return false;
	}
	return true;
}

static bool compare(const struct comparison *c)
{
	const struct env_reading *old = env_doc_reading(c->old, c->reader),
				 *new = env_doc_reading(c->new, c->reader);
	const struct env_change *change = c->change;
	size_t i = 0, k = 0, inserted = change->start + change->text.len;
	bool target = false;

	while (i < old->count || k < new->count) {
		const struct env_entry *a = i < old->count ? &old->list[i] : NULL;
		const struct env_entry *b = k < new->count ? &new->list[k] : NULL;

		if (a && a->start >= change->start && a->start < change->end) {
			if (!may_go(c, a))
				return false;
			i++;
		} else if (b && b->start >= change->start && b->start < inserted) {
			if (target || !is_as_wished(c, b))
				return false;
			target = true;
			k++;
		} else if (!a || !b) {
			return false;
		} else if (a->name_len > 0 && a->start == change->key) {
			if (target || moved(c, a->start) != b->start || !is_as_wished(c, b) ||
				a->exported != b->exported)
				return false;
			target = true;
			i++, k++;
		} else {
			if (!is_same(c, a, b))
				return false;
			i++, k++;
		}
	}
	return target == (c->wish->value != NULL);
}

/* What the reader ends up with: of several assignments the last, where none behind it may or may not be. */
static bool ends_up(const struct env_doc *doc, enum env_reader reader, const struct env_wish *wish)
{
	const struct env_reading *r = env_doc_reading(doc, reader);
	bool seen = false;

	for (size_t i = r->count; i > 0; i--) {
		const struct env_entry *e = &r->list[i - 1];

		if (e->name_len == 0 || !is_wished(doc, e, wish) || (reader != ENV_SH && e->exported))
			continue;
		seen = true;
		if (!wish->value)
			continue;
		return e->sure && says_value(doc, reader, e, *wish->value);
	}
	return wish->value ? reader != ENV_SH : !seen;
}

static bool sh_misreads(const struct env_doc *old, const struct env_wish *wish)
{
	size_t i = env_doc_find(old, wish->name, wish->name_len);

	return i != ENV_NONE && !env_item_is_sh(&old->items[i]);
}

bool env_is_safe(const struct env_doc *old, const struct env_doc *new, const struct env_change *change,
	const struct env_wish *wish)
{
	struct comparison c = {old, new, change, wish, ENV_SH, sh_misreads(old, wish)};

	for (c.reader = ENV_SH; c.reader < ENV_READERS; c.reader++) {
		if (c.reader == ENV_SYSTEMD_OLD && !old->dated && !new->dated)
			continue;
		if (!compare(&c))
			return false;
	}
	return true;
}

bool env_is_effective(const struct env_doc *doc, const struct env_wish *wish)
{
	for (enum env_reader reader = ENV_SH; reader < ENV_READERS; reader++) {
		if (!ends_up(doc, reader, wish))
			return false;
	}
	return true;
}
