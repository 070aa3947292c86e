/* What edits make of a list of settings, by the rules of key paths alone: the measure for every driver's
 * work. */
#include "driver/json_leaves.h"
#include "driver/keypath.h"
#include "driver/settings.h"
#include "fleet/limits.h"

/* What a list says about one path. */
struct place {
	bool has_members, has_elements;
	uint32_t elements;     /* 1 + the highest index */
	struct setting *exact; /* the last item at the path itself, or NULL */
};

static uint32_t element_index(const char *path, size_t len)
{
	return (uint32_t)strtoul(
		path + len + 1, NULL, 10); /* the path is well-formed: settings_add saw to it */
}

static struct place look(const struct settings *s, const char *path, size_t len)
{
	struct place place = {0};

	for (size_t i = 0; i < s->count; i++) {
		enum keypath_kind kind;
		const char *item = s->items[i].path;

		if (strncmp(item, path, len) == 0 && item[len] == '\0') {
			place.exact = &s->items[i];
		} else if (keypath_is_below(item, path, len, &kind)) {
			if (kind == KEYPATH_NAME) {
				place.has_members = true;
			} else {
				uint32_t n = element_index(item, len) + 1;

				place.has_elements = true;
				place.elements = n > place.elements ? n : place.elements;
			}
		}
	}
	return place;
}

/* Removes what keep() says no to. */
static void filter(struct settings *s,
	bool (*keep)(const struct setting *item, const struct setting *last, const char *path, size_t len),
	const struct setting *last, const char *path, size_t len)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->count; i++) {
		if (keep(&s->items[i], last, path, len)) {
			s->items[kept++] = s->items[i];
		} else {
			free(s->items[i].path);
			free(s->items[i].value);
		}
	}
	s->count = kept;
}

static bool keep_unless_at_or_below(
	const struct setting *item, const struct setting *last, const char *path, size_t len)
{
	(void)last;
	return !(strncmp(item->path, path, len) == 0 && item->path[len] == '\0') &&
	       !keypath_is_below(item->path, path, len, NULL);
}

static bool keep_unless_last_or_below(
	const struct setting *item, const struct setting *last, const char *path, size_t len)
{
	return item != last && !keypath_is_below(item->path, path, len, NULL);
}

static bool keep_unless_last(
	const struct setting *item, const struct setting *last, const char *path, size_t len)
{
	(void)path;
	(void)len;
	return item != last;
}

static int senseless(struct fleet_error *err, const char *path, size_t len, const char *why)
{
	_cleanup_free_ char *shown = xstrndup(path, len < 200 ? len : 200);

	fleet_text_sanitize(shown);
	return fleet_error_set(err, -EINVAL, "'%s' %s", *shown ? shown : "the document", why);
}

/* May `part` be in the value at at[0..len)? 0 yes, it is or can be made there (ret_index: its place in an
 * array); 1 there is nothing at all, and nothing is to be made; -EINVAL. */
static int enter(struct settings *s, const struct keypath_part *part, const char *at, size_t len, bool create,
	uint32_t *ret_index, struct fleet_error *err)
{
	struct place place = look(s, at, len);
	bool wants_element = part->kind != KEYPATH_NAME,
	     there = wants_element ? place.has_elements : place.has_members;

	if (!there && (wants_element ? place.has_members : place.has_elements))
		return senseless(err, at, len,
			wants_element ? "is an object, not an array" : "is an array, not an object");
	if (!there && place.exact) {
		uint32_t type = place.exact->type;

		if (type != (wants_element ? FLEET_TYPE_ARRAY : FLEET_TYPE_OBJECT) && !place.exact->maybe)
			return senseless(err, at, len,
				type == FLEET_TYPE_ARRAY    ? "is an array, not an object"
				: type == FLEET_TYPE_OBJECT ? "is an object, not an array"
							    : "is a single value and has no members");
		if (create && part->kind != KEYPATH_INDEX)
			filter(s, keep_unless_last, place.exact, at, len);
	}
	if (!there && !create && (!place.exact || place.exact->maybe))
		return 1; /* what the format does not show has no elements that could be missing */
	if (part->kind == KEYPATH_INDEX && part->index >= place.elements)
		return senseless(err, at, len, "has no element of this index; a new last one is [+]");
	*ret_index = part->kind == KEYPATH_APPEND ? place.elements : part->index;
	return 0;
}

static void add_part(struct fleet_buffer *at, const struct fleet_edit *edit, const struct keypath_part *part,
	uint32_t index)
{
	if (part->kind != KEYPATH_NAME) {
		fleet_buffer_printf(at, "[%u]", index);
		return;
	}
	if (at->len > 0)
		fleet_buffer_add(at, ".", 1);
	fleet_buffer_add(at, edit->path.data + part->start, part->end - part->start);
}

static int add_leaf(struct fleet_bytes path, struct fleet_bytes value, uint32_t type, void *arg)
{
	return settings_add(arg, path, value, type);
}

static int put(struct settings *s, const struct fleet_edit *edit, const char *at, size_t len,
	struct fleet_error *err)
{
	struct place place = look(s, at, len);
	struct fleet_bytes path = {at, len};
	int r;

	if (edit->type != FLEET_TYPE_ARRAY && edit->type != FLEET_TYPE_OBJECT) {
		struct settings one = SETTINGS_INIT;
		struct setting *exact;

		r = settings_add(&one, path, edit->value, edit->type);
		if (r < 0)
			return senseless(err, at, len, "cannot have this value: it does not fit its type");
		if (place.has_members || place.has_elements)
			filter(s, place.exact ? keep_unless_last_or_below : keep_unless_at_or_below, NULL, at,
				len);
		exact = look(s, at, len).exact;
		if (exact) {
			free(exact->path);
			free(exact->value);
			*exact = one.items[0];
			one.count = 0;
			settings_done(&one);
			return 0;
		}
		settings_done(&one);
		r = settings_add(s, path, edit->value, edit->type);
	} else {
		filter(s, keep_unless_last_or_below, place.exact, at, len);
		r = json_leaves(at, edit->value.data, edit->value.len, add_leaf, s, err);
		if (r == -EINVAL)
			return r;
	}
	if (r < 0)
		return fleet_error_set(err, r,
			"the file would have more than %d settings, or a key path longer than %d bytes",
			FLEET_SETTINGS_PER_FILE_MAX, FLEET_KEY_PATH_MAX);
	return 0;
}

/* After element n of the array at at[0..len) is gone, the later ones move up. */
static void close_gap(struct settings *s, const char *at, size_t len, uint32_t n)
{
	for (size_t i = 0; i < s->count; i++) {
		enum keypath_kind kind;
		char *moved, *path = s->items[i].path;
		uint32_t index;

		if (!keypath_is_below(path, at, len, &kind) || kind != KEYPATH_INDEX)
			continue;
		index = element_index(path, len);
		if (index <= n)
			continue;
		moved = xasprintf("%.*s[%u]%s", (int)len, at, index - 1, strchr(path + len, ']') + 1);
		free(path);
		s->items[i].path = moved;
	}
}

static int drop(
	struct settings *s, const struct keypath_part *last, const char *at, size_t parent, size_t len)
{
	struct place left;
	int r;

	filter(s, keep_unless_at_or_below, NULL, at, len);
	if (last->kind == KEYPATH_INDEX)
		close_gap(s, at, parent, last->index);
	left = look(s, at, parent);
	if (left.exact || left.has_members || left.has_elements)
		return 0;
	if (last->kind == KEYPATH_INDEX)
		r = settings_add(
			s, (struct fleet_bytes){at, parent}, (struct fleet_bytes){"[]", 2}, FLEET_TYPE_ARRAY);
	else
		r = settings_add(s, (struct fleet_bytes){at, parent}, (struct fleet_bytes){"{}", 2},
			FLEET_TYPE_OBJECT);
	if (r == 0)
		s->items[s->count - 1].maybe = true;
	return r;
}

static void respell(struct setting *item, char *path)
{
	free(item->path);
	item->path = path;
}

/* In a format of text, an array is a name that stands there several times, and one that stands there once is
 * a single value: a list of one, for as long as an edit looks at it so. */
static void widen(struct settings *s, const char *at, size_t len)
{
	struct place place = look(s, at, len);

	if (s->text_only && place.exact && place.exact->type == FLEET_TYPE_STRING && !place.has_elements)
		respell(place.exact, xasprintf("%.*s[0]", (int)len, at));
}

static void narrow(struct settings *s, const char *at, size_t len)
{
	_cleanup_free_ char *first = xasprintf("%.*s[0]", (int)len, at);
	struct place place = look(s, at, len), inside = look(s, first, strlen(first));

	if (s->text_only && place.elements == 1 && inside.exact && !place.exact)
		respell(inside.exact, xstrndup(at, len));
}

static int apply_one(struct settings *s, const struct fleet_edit *edit, struct fleet_error *err)
{
	_cleanup_buffer_ struct fleet_buffer at = FLEET_BUFFER_INIT;
	bool set = edit->kind == FLEET_EDIT_SET;
	struct keypath path;
	size_t parent = 0, list = 0; /* list: how much of `at` names the list that was looked at last */
	bool listed = false;
	struct place place;
	int r;

	r = keypath_parse(edit->path.data, edit->path.len, set, &path, err);
	if (r < 0)
		return r;
	if (path.count == 0)
		return fleet_error_set(err, -EINVAL, "a key path is missing");
	fleet_buffer_add_string(&at, "");
	for (size_t i = 0; i < path.count; i++) {
		uint32_t index = 0;

		if (path.parts[i].kind != KEYPATH_NAME) {
			widen(s, at.data, at.len);
			list = at.len;
			listed = true;
		}
		r = enter(s, &path.parts[i], at.data, at.len, set, &index, err);
		if (r < 0)
			return r;
		if (r > 0) { /* unset of what is not there */
			if (listed)
				narrow(s, at.data, list);
			return 0;
		}
		parent = at.len;
		add_part(&at, edit, &path.parts[i], index);
	}
	place = look(s, at.data, at.len);
	if (set)
		r = put(s, edit, at.data, at.len, err);
	else if (place.exact || place.has_members || place.has_elements)
		r = drop(s, &path.parts[path.count - 1], at.data, parent, at.len);
	if (r == 0 && path.parts[path.count - 1].kind != KEYPATH_NAME)
		narrow(s, at.data, parent);
	return r;
}

/* Of what was checked when it was added. */
static struct settings copy(const struct settings *from)
{
	struct settings s = {.count = from->count, .capacity = from->count, .text_only = from->text_only};

	s.items = xcalloc(s.count, sizeof(*s.items));
	for (size_t i = 0; i < s.count; i++) {
		const struct setting *item = &from->items[i];

		s.items[i] = *item;
		s.items[i].path = xstrdup(item->path);
		s.items[i].value = xmalloc(item->value_len + 1);
		memcpy(s.items[i].value, item->value, item->value_len + 1);
	}
	return s;
}

int settings_apply(const struct settings *before, const struct fleet_edit *edits, size_t count,
	struct settings *ret, struct fleet_error *err)
{
	struct settings s = copy(before);
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++)
		r = apply_one(&s, &edits[i], err);
	if (r < 0) {
		settings_done(&s);
		return r;
	}
	*ret = s;
	return 0;
}
