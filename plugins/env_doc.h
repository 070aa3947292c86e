/* A file of environment variables: what its readers find in it, and what its keys are said to be. */
#ifndef PLUGINS_ENV_DOC_H
#define PLUGINS_ENV_DOC_H
#include "env_reading.h"

/* An assignment that counts: what sh carries out in any case, else what systemd takes. */
struct env_item {
	const struct env_entry *sh, *systemd; /* in the readings; one may be NULL */
	size_t start, name_len;
};
struct env_doc {
	struct text text;                         /* owned: the file */
	struct env_reading readings[ENV_READERS]; /* of an old systemd only where `dated` */
	bool dated;
	struct env_item *items; /* owned; in the file's order */
	size_t count;
};

/* Takes `text`, also on failure. -EINVAL with the place where it is none. */
int env_doc_parse(struct text *text, struct env_doc *ret, struct fleet_driver_error *err);
void env_doc_done(struct env_doc *doc);

static inline const struct env_reading *env_doc_reading(const struct env_doc *doc, enum env_reader reader)
{
	return &doc->readings[reader == ENV_SYSTEMD_OLD && !doc->dated ? ENV_SYSTEMD : reader];
}
/* Does sh's reading count for this item? */
static inline bool env_item_is_sh(const struct env_item *item)
{
	return item->sh && item->sh->sure;
}
/* What the item is said to be; borrowed. */
struct fleet_bytes env_doc_value(const struct env_doc *doc, const struct env_item *item);
/* The last item of this name, or ENV_NONE. */
size_t env_doc_find(const struct env_doc *doc, const char *name, size_t len);
/* Fills *err with the sentence and its place; returns code. */
int env_doc_fail(
	const struct env_doc *doc, size_t at, struct fleet_driver_error *err, int code, const char *why);

#endif
