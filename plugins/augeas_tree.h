/* What a lens makes of a file: a tree of labels and values, each with its place in the text. This is a copy
 * of libaugeas's own tree, on which edits are tried out; it knows what in it was changed. Walks go by
 * pointers and not by recursion: a file decides how deep a tree is. */
#ifndef PLUGINS_AUGEAS_TREE_H
#define PLUGINS_AUGEAS_TREE_H
#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>

#define AUG_NOWHERE SIZE_MAX

struct aug_node {
	struct aug_node *parent, *first, *last, *next, *prev;
	char *label, *value; /* owned; value NULL: it has none */
	/* in the text that it was read from; AUG_NOWHERE for a fresh one. The value is there as it stands
	 * there. */
	size_t start, end, value_start, value_end;
	bool element; /* one of parent's array: its label is its number */
	bool fresh;   /* made by an edit */
	bool set;     /* has another value by an edit */
	bool dirty;   /* something in it, or it itself, was changed */
	/* aug_tree_index */
	size_t nth, count; /* of its parent's elements, or of those with its label */
};

/* The root, without label; NULL: out of memory. text: what was read, for the spans. */
struct aug_node *aug_tree_from_xml(const xmlNode *xml, const char *text, size_t len);
struct aug_node *aug_node_new(const char *label, size_t len); /* fresh */
void aug_node_free(struct aug_node *node);                    /* with all below */
void aug_node_link(
	struct aug_node *parent, struct aug_node *after, struct aug_node *node); /* NULL: as first */
void aug_node_unlink(struct aug_node *node);
/* Copies; NULL for none. false: out of memory. */
bool aug_node_set(struct aug_node *node, const char *value, size_t len);
void aug_node_mark(struct aug_node *node); /* it and all above are dirty */
/* The next in file order, within root; NULL at the end. */
struct aug_node *aug_node_next(const struct aug_node *root, struct aug_node *node);

/* Comments and empty lines are nodes too, but nobody's settings. */
bool aug_node_is_hidden(const struct aug_node *node);
/* Has it parts of its own that can be seen? */
bool aug_node_is_compound(const struct aug_node *node);
/* Nothing in it is told, since all of it are comments. */
bool aug_node_is_untold(const struct aug_node *node);
/* Numbers parent's children: fills nth and count. false: out of memory. */
bool aug_tree_index(struct aug_node *parent);

/* Would `have`, which was read, be what `want`, which was edited, says: all labels and values, comments too?
 * The numbers of arrays are dealt out anew at each reading. Without the labels of the two themselves. */
bool aug_tree_equal(const struct aug_node *want, const struct aug_node *have);

#endif
