/* New keys and values, written as the neighbours are: line ends, indentation, quotes, the blanks around
 * colons and dashes. What is written is the rest of a key path that has to be made, with a JSON value at its
 * end. */
#ifndef PLUGINS_YAML_WRITE_H
#define PLUGINS_YAML_WRITE_H
#include "json_doc.h"
#include "path.h"
#include "yaml_doc.h"
#include "yaml_scalar.h"

struct yaml_writer {
	const struct path *path;
	const struct json_doc *value;
	const char *newline;
	uint32_t unit;     /* a mapping's entries against those of the mapping around it */
	uint32_t sequence; /* a sequence's dashes against the mapping around it */
	uint32_t dash_gap; /* blanks behind a dash */
	char quote, key_quote;
	enum yaml_plain key_kind; /* of plain keys there: numbers beside numbers */
	const char *colon;        /* what is between key and value */
	size_t colon_len;
};
/* A value to be written: what the path's parts from `part` on make, or a JSON value. */
struct yaml_source {
	size_t part; /* at path->count: node counts */
	uint32_t node;
};

/* container: the collection that gets something new, or YAML_NONE. */
struct yaml_writer yaml_writer_for(const struct yaml_doc *doc, uint32_t container, const struct path *path,
	const struct json_doc *value);
/* Texts are quoted as a scalar of this style is. */
void yaml_writer_quote_as(struct yaml_writer *w, enum yaml_style style);
/* FLEET_TYPE_* of a source. */
uint32_t yaml_source_type(const struct yaml_writer *w, struct yaml_source src);
/* Is it a collection with something in it? */
bool yaml_source_is_full(const struct yaml_writer *w, struct yaml_source src);

void yaml_add_line(const struct yaml_writer *w, uint32_t column, struct text *out);
/* A scalar or an empty collection. kind: of the plain scalar that it replaces. */
void yaml_add_token(const struct yaml_writer *w, struct yaml_source src, bool flow, enum yaml_plain kind,
	struct text *out);
void yaml_add_flow(const struct yaml_writer *w, struct yaml_source src, struct text *out);
/* The entries of a full collection, the first where out ends, the others in lines of their own. */
void yaml_add_block(const struct yaml_writer *w, struct yaml_source src, uint32_t column, struct text *out);
/* The one entry that the path's part stands for, in a block or flow collection. */
void yaml_add_block_entry(const struct yaml_writer *w, size_t part, uint32_t column, struct text *out);
void yaml_add_flow_entry(const struct yaml_writer *w, size_t part, struct text *out);
/* A block scalar: its header, and (separately) its lines. False where the text is none for it. */
bool yaml_block_text(
	const struct yaml_writer *w, struct text *header, struct text *lines, bool folded, uint32_t column);

#endif
