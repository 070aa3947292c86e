/* How a new node is spelled: the bytes for it, which are only a proposal until the lens has read them at
 * their place. */
#ifndef PLUGINS_AUGEAS_SPELL_H
#define PLUGINS_AUGEAS_SPELL_H
#include "augeas_edit.h"
#include "lines.h"
#include "text.h"

enum aug_style {
	AUG_STYLE_NEIGHBOUR, /* as the value beside it, with name and value replaced */
	AUG_STYLE_INDENTED,  /* as the lens writes it, under the neighbour's indentation */
	AUG_STYLE_LENS       /* as the lens writes it */
};

/* A style that is not to be had gives the next one. -EINVAL: the lens cannot write this node; -ENOMEM. */
int aug_spell(const struct aug_draft *d, struct aug_node *node, enum aug_style style, struct text *out);
/* Where in the old text it goes: behind the neighbour before it, else before the next one; or AUG_NOWHERE. */
size_t aug_spell_seam(const struct aug_draft *d, const struct aug_node *node);
/* The whole text as the lens writes it, for small ones: it takes time with the square of the nodes. */
int aug_spell_whole(const struct aug_draft *d, struct text *out);

static inline size_t aug_blanks_before(const char *text, size_t at)
{
	while (at > 0 && line_is_blank_char(text[at - 1]))
		at--;
	return at;
}
static inline bool aug_is_line_start(const char *text, size_t at)
{
	return at == 0 || text[at - 1] == '\n';
}
static inline const char *aug_bytes_of(const struct text *t)
{
	return t->data ? t->data : "";
}

#endif
