#include "agent/host/changes.h"
#include "agent/host/key_policy.h"
#include "fleet/text.h"

struct ordered {
	const struct setting *item;
	size_t position; /* within its list: repeated keys keep their order */
};

static int by_path(const void *a, const void *b)
{
	const struct ordered *x = a, *y = b;
	int order = strcmp(x->item->path, y->item->path);

	return order ? order : (x->position > y->position) - (x->position < y->position);
}

static struct ordered *sorted(const struct settings *s)
{
	struct ordered *list = xcalloc(s->count, sizeof(*list));

	for (size_t i = 0; i < s->count; i++)
		list[i] = (struct ordered){.item = &s->items[i], .position = i};
	if (s->count > 0)
		qsort(list, s->count, sizeof(*list), by_path);
	return list;
}

/* At most CHANGE_TEXT_MAX bytes, cut between characters. */
static char *cut(const struct setting *item)
{
	char *text =
		xstrndup(item->value, item->value_len < CHANGE_TEXT_MAX ? item->value_len : CHANGE_TEXT_MAX);
	size_t len = strlen(text);

	while (len > 0 && item->value_len > len && !fleet_text_is_utf8(text, len))
		text[--len] = '\0';
	fleet_text_sanitize(text);
	return text;
}

static void add_change(struct json_object *result, const struct app *app, const char *key,
	const struct setting *before, const struct setting *after)
{
	struct json_object *change = json_object_new_object();
	bool secret = key_policy_is_secret(app, key);

	fleet_json_add_string(change, "key", key);
	if (!secret) {
		_cleanup_free_ char *old = before ? cut(before) : NULL, *new = after ? cut(after) : NULL;

		fleet_json_add_string(change, "before", old);
		fleet_json_add_string(change, "after", new);
	}
	fleet_json_add_bool(change, "masked", secret);
	json_object_array_add(fleet_json_array(result, "changes"), change);
	fleet_json_append_string(fleet_json_array(result, "changedKeys"), key);
}

/* Walks both side by side; one of a and b is NULL where the key is new or gone. */
static int compare(const struct settings *before, const struct settings *after,
	int (*differs)(const struct setting *a, const struct setting *b, void *arg, struct fleet_error *err),
	void *arg, struct fleet_error *err)
{
	_cleanup_free_ struct ordered *old = sorted(before), *new = sorted(after);
	size_t i = 0, k = 0;

	while (i < before->count || k < after->count) {
		const struct setting *a = i < before->count ? old[i].item : NULL;
		const struct setting *b = k < after->count ? new[k].item : NULL;
		int r;

		if (a && b && strcmp(a->path, b->path) < 0)
			b = NULL; /* gone */
		else if (a && b && strcmp(a->path, b->path) > 0)
			a = NULL; /* new */
		i += a != NULL;
		k += b != NULL;
		if (a && b && a->type == b->type && a->value_len == b->value_len &&
			memcmp(a->value, b->value, a->value_len) == 0)
			continue;
		r = differs(a, b, arg, err);
		if (r < 0)
			return r;
	}
	return 0;
}

struct teller {
	int (*tell)(const char *key, void *arg, struct fleet_error *err);
	void *arg;
	struct json_object *result; /* NULL: only told */
	const struct app *app;
	size_t count;
};

static int tell_one(const struct setting *a, const struct setting *b, void *arg, struct fleet_error *err)
{
	struct teller *t = arg;
	const char *key = a ? a->path : b ? b->path : "";
	int r = t->tell(key, t->arg, err);

	if (r >= 0 && t->count++ < CHANGES_MAX && t->result)
		add_change(t->result, t->app, key, a, b);
	return r;
}

int changes_each(const struct settings *before, const struct settings *after,
	int (*each)(const char *key, void *arg, struct fleet_error *err), void *arg, struct fleet_error *err)
{
	struct teller t = {.tell = each, .arg = arg};

	return compare(before, after, tell_one, &t, err);
}

int changes_add(struct json_object *result, const struct app *app, const struct settings *before,
	const struct settings *after, int (*tell)(const char *key, void *arg, struct fleet_error *err),
	void *arg, size_t *ret_count, struct fleet_error *err)
{
	struct teller t = {.tell = tell, .arg = arg, .result = result, .app = app};
	int r;

	fleet_json_add(result, "changedKeys", json_object_new_array());
	fleet_json_add(result, "changes", json_object_new_array());
	r = compare(before, after, tell_one, &t, err);
	if (r >= 0)
		*ret_count = t.count;
	return r;
}
