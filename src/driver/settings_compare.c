/* Whether a file says what it was to say. */
#include "driver/settings.h"
#include "fleet/buffer.h"
#include "fleet/text.h"

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

static int compare(const struct settings *expected, const struct settings *actual, struct fleet_error *err)
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

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* All paths of a list, sorted. */
struct names {
	const char **list; /* owned; the texts are not */
	size_t count;
};

static bool any_below(const struct names *names, const char *path)
{
	size_t low = 0, high = names->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(names->list[middle], path) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < names->count && str_starts(names->list[low], path);
}

/* Takes `[0]` out of a path wherever the list has no `[1]`; a list of lists keeps both indexes. */
static char *without_sole_elements(const struct names *names, const char *path)
{
	_cleanup_buffer_ struct fleet_buffer out = FLEET_BUFFER_INIT;

	fleet_buffer_add_string(&out, "");
	for (const char *at = path; *at;) {
		_cleanup_free_ char *second = NULL;
		size_t len = *at == '\\' && at[1] ? 2 : 1;

		if (str_starts(at, "[0]") && at[3] != '[') {
			second = xasprintf("%.*s[1]", (int)(at - path), path);
			len = 3;
		}
		if (!second || any_below(names, second))
			fleet_buffer_add(&out, at, len);
		at += len;
	}
	return xstrdup(out.data);
}

static struct settings narrowed(const struct settings *s)
{
	struct settings ret = {.items = xcalloc(s->count, sizeof(*ret.items)), .capacity = s->count};
	struct names names = {xcalloc(s->count, sizeof(*names.list)), s->count};

	for (size_t i = 0; i < s->count; i++)
		names.list[i] = s->items[i].path;
	qsort(names.list, names.count, sizeof(*names.list), by_text);
	for (; ret.count < s->count; ret.count++) {
		const struct setting *item = &s->items[ret.count];

		ret.items[ret.count] = *item;
		ret.items[ret.count].path = without_sole_elements(&names, item->path);
		ret.items[ret.count].value = xmalloc(item->value_len + 1);
		memcpy(ret.items[ret.count].value, item->value, item->value_len + 1);
	}
	free(names.list);
	return ret;
}

int settings_compare(const struct settings *expected, const struct settings *actual, struct fleet_error *err)
{
	struct settings want, have;
	int r = compare(expected, actual, err);

	if (r == 0 || !expected->text_only || !actual->text_only)
		return r;
	want = narrowed(expected);
	have = narrowed(actual);
	if (compare(&want, &have, NULL) == 0)
		r = 0;
	settings_done(&want);
	settings_done(&have);
	return r;
}
