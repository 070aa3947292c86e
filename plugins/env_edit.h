/* Edits of a file of environment variables. */
#ifndef PLUGINS_ENV_EDIT_H
#define PLUGINS_ENV_EDIT_H
#include "env_doc.h"

/* What comes in place of [start, end). */
struct env_change {
	size_t key; /* where the name stands whose value changes; ENV_NONE: lines come or go */
	size_t start, end;
	struct text text; /* owned */
};
/* What an edit is about. value: NULL for an unset. */
struct env_wish {
	const char *name;
	size_t name_len;
	const struct fleet_bytes *value;
};

/* Applies one edit. *doc is replaced; on failure it is the caller's as before. */
int env_edit(struct env_doc *doc, const struct fleet_edit *edit, struct fleet_driver_error *err);

/* The n-th place where a new key may go, best first; false: there are no more. */
bool env_insert_propose(
	const struct env_doc *doc, const struct env_wish *wish, unsigned n, struct env_change *ret);

/* Adds a spelling that every reader takes for this value, in the style of `quote` (' " or 0 without). */
void env_spell(struct fleet_bytes value, char quote, struct text *out);
/* The style of a value as it is spelled. */
char env_quote_of(const char *s, size_t start, size_t end);

/* Does every reader find the change in the new file, and all else as it was? */
bool env_is_safe(const struct env_doc *old, const struct env_doc *new, const struct env_change *change,
	const struct env_wish *wish);
/* Of several assignments of the key, do all readers end up with the wished one? */
bool env_is_effective(const struct env_doc *doc, const struct env_wish *wish);

#endif
