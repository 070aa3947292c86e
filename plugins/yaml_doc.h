/* A YAML file as a tree over its own bytes: what libyaml's events say, with every value, key and dash by its
 * place, so that an edit can change bytes and leave the rest alone. All documents of the file are in one
 * table of nodes. Bounded in depth and number; an alias points to the node that it stands for and is never
 * copied, and one within its own anchor is refused, so that walking through aliases always ends. */
#ifndef PLUGINS_YAML_DOC_H
#define PLUGINS_YAML_DOC_H
#include "fleet/driver.h"
#include "text.h"

#define YAML_DEPTH_MAX     128
#define YAML_NODES_MAX     200000u
#define YAML_DOCUMENTS_MAX 1000u
#define YAML_NONE          UINT32_MAX

enum yaml_kind { YAML_KIND_SCALAR, YAML_KIND_SEQUENCE, YAML_KIND_MAPPING, YAML_KIND_ALIAS };
enum yaml_style {
	YAML_STYLE_BLOCK, /* collections */
	YAML_STYLE_FLOW,
	YAML_STYLE_PLAIN, /* scalars */
	YAML_STYLE_SINGLE,
	YAML_STYLE_DOUBLE,
	YAML_STYLE_LITERAL,
	YAML_STYLE_FOLDED
};

struct yaml_span {
	uint32_t start, len; /* in doc->strings; not there: start is YAML_NONE */
};
struct yaml_node {
	enum yaml_kind kind;
	enum yaml_style style;
	uint32_t type; /* FLEET_TYPE_*, of aliases 0 */
	/* Places in the text. begin: of the entry, so its key, `?` or dash; start: the value with its anchor
	 * and tag; body: the value alone; end: behind it, without the line end of a block. props: behind the
	 * anchor and tag, or start. */
	uint32_t begin, start, props, body, end;
	uint32_t column;        /* of start, in characters: how far a block's entries are indented */
	struct yaml_span value; /* what a scalar stands for */
	struct yaml_span name;  /* anchor's, or alias' */
	struct yaml_span tag;
	uint32_t target;       /* of an alias */
	uint32_t aliased;      /* by how many aliases this node itself is */
	uint32_t leaves;       /* values in it, and in what its aliases stand for; at least 1 */
	uint32_t height;       /* of what is below it, likewise */
	uint32_t key;          /* of a mapping's values */
	bool is_key, explicit; /* the entry is written with `?` */
	uint32_t parent, previous, next, first, last, count;
	uint32_t after; /* nodes [self, after) are this one and everything below it */
};
struct yaml_document {
	uint32_t root;       /* YAML_NONE: none, or only the absence of one */
	uint32_t start, end; /* what is between its markers */
	bool marked;         /* begins with `---` */
};
struct yaml_doc {
	const char *text; /* borrowed */
	uint32_t len, bom;
	struct yaml_node *nodes; /* owned */
	uint32_t count, capacity;
	struct yaml_document *documents; /* owned */
	uint32_t document_count, document_capacity;
	struct text strings; /* owned */
	uint32_t *anchors;   /* owned: the anchored nodes in the order of the file */
	uint32_t anchor_count, anchor_capacity;
	uint32_t document_anchors; /* the first of the current document */
	uint32_t at, at_index;     /* where a place in characters was last turned into one in bytes */
};

/* 0; -EINVAL with line and column; -EFBIG, -ENOMEM. Free with yaml_doc_done in every case. */
int yaml_doc_parse(const char *text, size_t len, struct yaml_doc *ret, struct fleet_driver_error *err);
void yaml_doc_done(struct yaml_doc *doc);
/* Fills err with the place of an offset; returns code. */
int yaml_doc_fail(
	const struct yaml_doc *doc, size_t at, struct fleet_driver_error *err, int code, const char *why);

/* Skips blanks; newlines where lines; comments where comments. Returns where something else begins. */
uint32_t yaml_doc_skip(const struct yaml_doc *doc, uint32_t at, uint32_t limit, bool lines, bool comments);
/* The end of the line of an offset, before its line break. */
uint32_t yaml_line_end(const struct yaml_doc *doc, uint32_t at);
/* The next line after the end of a line. */
uint32_t yaml_line_next(const struct yaml_doc *doc, uint32_t line_end);
uint32_t yaml_line_start(const struct yaml_doc *doc, uint32_t at);
/* Where the line before that of `at` ends, without its line break; or the file's first place. */
uint32_t yaml_line_before(const struct yaml_doc *doc, uint32_t at);
/* Do only blanks stand before it in its line? And behind it? */
bool yaml_is_line_start(const struct yaml_doc *doc, uint32_t at);
bool yaml_is_line_end(const struct yaml_doc *doc, uint32_t at);

/* Behind the colon of a mapping's value, or YAML_NONE where it has none (`? key` alone). */
uint32_t yaml_colon_end(const struct yaml_doc *doc, uint32_t n);
/* Behind everything that stands before the value itself: anchor and tag, else colon, dash or `---`. YAML_NONE
 * where none of these is there. */
uint32_t yaml_lead_end(const struct yaml_doc *doc, uint32_t n);
/* The comma behind an entry of a flow collection, or YAML_NONE. */
uint32_t yaml_comma(const struct yaml_doc *doc, uint32_t n);
/* Is it inside of [] or {}? */
bool yaml_is_in_flow(const struct yaml_doc *doc, uint32_t n);

static inline const char *yaml_string(const struct yaml_doc *doc, struct yaml_span s)
{
	return s.start == YAML_NONE || !doc->strings.data ? "" : doc->strings.data + s.start;
}
static inline bool yaml_there(struct yaml_span s)
{
	return s.start != YAML_NONE;
}
/* The node that stands behind an alias, else the node itself. */
static inline uint32_t yaml_resolve(const struct yaml_doc *doc, uint32_t n)
{
	while (doc->nodes[n].kind == YAML_KIND_ALIAS)
		n = doc->nodes[n].target;
	return n;
}
/* The name that the member n is known by, and whether an edit may go by it: not if its key is a collection
 * or an alias. */
bool yaml_member_name(const struct yaml_doc *doc, uint32_t n, const char **ret, size_t *ret_len);

#endif
