/* Reading a file three times over and deciding what its keys are. */
#include "env_doc.h"

int env_doc_fail(
	const struct env_doc *doc, size_t at, struct fleet_driver_error *err, int code, const char *why)
{
	return lines_fail(doc->text.data, doc->text.len, at, err, code, why);
}

/* Both readers see the same places, so two lists become one by where the names stand. */
static int make_items(struct env_doc *doc)
{
	const struct env_reading *sh = &doc->readings[ENV_SH], *systemd = &doc->readings[ENV_SYSTEMD];
	size_t i = 0, k = 0;

	doc->items = calloc(sh->count + systemd->count + 1, sizeof(*doc->items));
	if (!doc->items)
		return -ENOMEM;
	while (i < sh->count || k < systemd->count) {
		const struct env_entry *a = i < sh->count ? &sh->list[i] : NULL;
		const struct env_entry *b = k < systemd->count ? &systemd->list[k] : NULL;
		bool both = a && b && a->start == b->start && a->name_len > 0;
		struct env_item item = {.sh = both || !b || (a && a->start <= b->start) ? a : NULL};

		if (both || !item.sh)
			item.systemd = b;
		i += item.sh != NULL;
		k += item.systemd != NULL;
		if (!env_item_is_sh(&item) && (!item.systemd || item.systemd->exported))
			continue; /* a command, or what perhaps is set */
		item.start = (item.sh ? item.sh : item.systemd)->start;
		item.name_len = (item.sh ? item.sh : item.systemd)->name_len;
		doc->items[doc->count++] = item;
	}
	return 0;
}

static int check_values(const struct env_doc *doc, struct fleet_driver_error *err)
{
	if (lines_bad_utf8(doc->text.data, 0, doc->text.len) == doc->text.len)
		return 0;
	for (size_t i = 0; i < doc->count; i++) {
		const struct env_item *item = &doc->items[i];
		const struct env_entry *const seen[] = {item->sh, item->systemd};

		for (size_t k = 0; k < 2; k++) {
			size_t bad = seen[k] ? lines_bad_utf8(doc->text.data, seen[k]->value_start,
						       seen[k]->value_end)
					     : 0;

			if (seen[k] && bad < seen[k]->value_end)
				return env_doc_fail(doc, bad, err, -EINVAL,
					"this value is not UTF-8, for which systemd refuses the whole file");
		}
	}
	return 0;
}

int env_doc_parse(struct text *text, struct env_doc *ret, struct fleet_driver_error *err)
{
	const char *s = text->data ? text->data : "", *nul = memchr(s, '\0', text->len);
	size_t len = text->len;
	bool failed = text->failed;
	int r = 0;

	*ret = (struct env_doc){.text = *text};
	*text = (struct text){0};
	if (len >= 2 && (memcmp(s, "\xff\xfe", 2) == 0 || memcmp(s, "\xfe\xff", 2) == 0))
		return fleet_driver_fail(err, -EINVAL, 1, 1, "this file is in UTF-16: make it UTF-8");
	if (nul)
		return env_doc_fail(ret, (size_t)(nul - s), err, -EINVAL,
			"a NUL byte, for which systemd refuses the whole file");
	r = env_read_sh(s, len, &ret->readings[ENV_SH], err);
	ret->dated = env_read_systemd(s, len, false, &ret->readings[ENV_SYSTEMD]);
	if (ret->dated)
		(void)env_read_systemd(s, len, true, &ret->readings[ENV_SYSTEMD_OLD]);
	for (size_t i = 0; i < ENV_READERS; i++)
		failed = failed || ret->readings[i].texts.failed;
	if (failed || r == -ENOMEM || (r == 0 && make_items(ret) < 0))
		return fleet_driver_fail(err, -ENOMEM, 0, 0, "out of memory");
	return r < 0 ? r : check_values(ret, err);
}

void env_doc_done(struct env_doc *doc)
{
	for (size_t i = 0; i < ENV_READERS; i++)
		env_reading_done(&doc->readings[i]);
	free(doc->items);
	text_done(&doc->text);
	*doc = (struct env_doc){0};
}

struct fleet_bytes env_doc_value(const struct env_doc *doc, const struct env_item *item)
{
	bool sh = env_item_is_sh(item);
	const struct env_reading *r = &doc->readings[sh ? ENV_SH : ENV_SYSTEMD];
	const struct env_entry *e = sh ? item->sh : item->systemd;

	return (struct fleet_bytes){env_entry_text(r, e), e->text_len};
}

size_t env_doc_find(const struct env_doc *doc, const char *name, size_t len)
{
	for (size_t i = doc->count; i > 0; i--) {
		const struct env_item *item = &doc->items[i - 1];

		if (text_equal(doc->text.data + item->start, item->name_len, name, len))
			return i - 1;
	}
	return ENV_NONE;
}
