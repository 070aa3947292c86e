/* How a document is laid out, so that what is new looks like what is there: line ends, indentation, the
 * blanks around a colon; and values written in that style. */
#ifndef PLUGINS_JSON_STYLE_H
#define PLUGINS_JSON_STYLE_H
#include "json_doc.h"

struct json_span {
	const char *data;
	size_t len;
};
struct json_style {
	struct json_span newline; /* "\n" or "\r\n" */
	struct json_span unit;    /* one step of indentation */
	struct json_span colon;   /* ":", ": ", " : " */
	struct json_span gap;     /* behind a comma within a line */
};

/* The style around a container (a node), from itself, its neighbours, then the document. Spans point into the
 * document or at constants. container may be JSON_NONE in an empty document. */
struct json_style json_style_of(const struct json_doc *doc, uint32_t container);
/* Where the node's text begins: its name, or its value. */
uint32_t json_node_begin(const struct json_node *node);
/* The blanks that begin the line of an offset. */
struct json_span json_line_indent(const struct json_doc *doc, uint32_t at);
/* Does nothing but blanks stand before the offset in its line? */
bool json_is_line_start(const struct json_doc *doc, uint32_t at);

/* Where a value is written. */
struct json_layout {
	struct json_style style;
	struct json_span indent; /* of the line that the value begins in */
	unsigned extra;          /* steps more than that */
	bool lines;              /* objects get lines of their own */
};
void json_add_line(const struct json_layout *at, unsigned deeper, struct text *out);
/* A copy of a value from another document (an operator's JSON text), laid out anew; scalars as they are
 * spelled. */
void json_add_value(const struct json_layout *at, unsigned deeper, const struct json_doc *from, uint32_t node,
	struct text *out);
/* Do two values say the same? Numbers by their spelling. */
bool json_values_equal(const struct json_doc *a, uint32_t na, const struct json_doc *b, uint32_t nb);

#endif
