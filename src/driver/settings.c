#include "driver/json_leaves.h"
#include "driver/keypath.h"
#include "driver/settings.h"
#include "fleet/limits.h"

void settings_done(struct settings *s)
{
	for (size_t i = 0; i < s->count; i++) {
		free(s->items[i].path);
		free(s->items[i].value);
	}
	free(s->items);
	*s = (struct settings)SETTINGS_INIT;
}

static bool value_fits(struct fleet_bytes value, uint32_t type)
{
	if (value.len > FLEET_CONFIG_FILE_MAX)
		return false;
	switch (type) {
	case FLEET_TYPE_STRING:
		return true;
	case FLEET_TYPE_INTEGER:
	case FLEET_TYPE_NUMBER:
		return json_number_type(value.data, value.len) == (int)type;
	case FLEET_TYPE_BOOLEAN:
		return (value.len == 4 && memcmp(value.data, "true", 4) == 0) ||
		       (value.len == 5 && memcmp(value.data, "false", 5) == 0);
	case FLEET_TYPE_NULL:
		return value.len == 4 && memcmp(value.data, "null", 4) == 0;
	case FLEET_TYPE_ARRAY:
		return value.len == 2 && memcmp(value.data, "[]", 2) == 0;
	case FLEET_TYPE_OBJECT:
		return value.len == 2 && memcmp(value.data, "{}", 2) == 0;
	default:
		return false;
	}
}

int settings_add(struct settings *s, struct fleet_bytes path, struct fleet_bytes value, uint32_t type)
{
	struct keypath parsed;
	struct setting *item;

	if (s->count >= FLEET_SETTINGS_PER_FILE_MAX || path.len > FLEET_KEY_PATH_MAX)
		return -E2BIG;
	if (!value_fits(value, type))
		return -EINVAL;
	if (keypath_parse(path.data, path.len, false, &parsed, NULL) < 0)
		return -EINVAL;
	if (s->count == s->capacity) {
		s->capacity = s->capacity ? s->capacity * 2 : 64;
		s->items = xreallocarray(s->items, s->capacity, sizeof(*s->items));
	}
	item = &s->items[s->count++];
	*item = (struct setting){.type = type, .value_len = value.len};
	item->path = xstrndup(path.data, path.len);
	item->value = xmalloc(value.len + 1);
	if (value.len > 0)
		memcpy(item->value, value.data, value.len);
	item->value[value.len] = '\0';
	return 0;
}

const struct setting *settings_find(const struct settings *s, const char *path)
{
	for (size_t i = 0; i < s->count; i++) {
		if (strcmp(s->items[i].path, path) == 0)
			return &s->items[i];
	}
	return NULL;
}

/* By path, and in the order of the list within one path. */
static int by_path(const void *a, const void *b)
{
	const struct setting *x = *(const struct setting *const *)a, *y = *(const struct setting *const *)b;
	int order = strcmp(x->path, y->path);

	if (order != 0)
		return order;
	return x < y ? -1 : x > y;
}

/* A run of a list's items; sorted() ends with a NULL. */
struct range {
	const struct settings *list;
	size_t start, end;
};

static const struct setting **sorted(const struct range *r)
{
	size_t count = r->end - r->start;
	const struct setting **list = xcalloc(count + 1, sizeof(*list));

	for (size_t i = 0; i < count; i++)
		list[i] = &r->list->items[r->start + i];
	qsort(list, count, sizeof(*list), by_path);
	return list;
}

static bool same(const struct setting *a, const struct setting *b)
{
	return a->type == b->type && a->value_len == b->value_len && strcmp(a->path, b->path) == 0 &&
	       memcmp(a->value, b->value, a->value_len) == 0;
}

/* What the lists have in common at their beginning and at their end needs no sorting: nearly all, where a
 * driver keeps the order of a file. */
static void leave_out_common(struct range *a, struct range *b)
{
	while (a->start < a->end && b->start < b->end &&
		same(&a->list->items[a->start], &b->list->items[b->start])) {
		a->start++;
		b->start++;
	}
	while (a->start < a->end && b->start < b->end &&
		same(&a->list->items[a->end - 1], &b->list->items[b->end - 1])) {
		a->end--;
		b->end--;
	}
}

static int differs(struct fleet_error *err, const char *path, const char *what)
{
	_cleanup_free_ char *shown = xstrdup(path);

	fleet_text_sanitize(shown);
	if (!*shown)
		return fleet_error_set(err, -EBADMSG, "the document as a whole %s", what);
	return fleet_error_set(err, -EBADMSG, "'%.200s' %s", shown, what);
}

int settings_compare(const struct settings *expected, const struct settings *actual, struct fleet_error *err)
{
	struct range left = {expected, 0, expected->count}, right = {actual, 0, actual->count};
	_cleanup_free_ const struct setting **want = NULL, **have = NULL;
	size_t i = 0, j = 0;

	leave_out_common(&left, &right);
	want = sorted(&left);
	have = sorted(&right);
	while (want[i] || have[j]) {
		const struct setting *w = want[i], *h = have[j];
		int order = !w ? 1 : !h ? -1 : strcmp(w->path, h->path);

		if (w && order < 0) {
			if (!w->maybe)
				return differs(err, w->path, "would be missing from the new file");
			i++;
			continue;
		}
		if (!w || !h || order > 0)
			return differs(err, h ? h->path : "",
				"would be in the new file without having been asked for");
		if (w->type != h->type)
			return differs(err, w->path, "would be of another type in the new file");
		if (w->value_len != h->value_len || memcmp(w->value, h->value, w->value_len) != 0)
			return differs(err, w->path, "would have another value in the new file");
		i++;
		j++;
	}
	return 0;
}
