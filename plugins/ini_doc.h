/* An INI file taken apart into its lines, each where it stands: nothing is copied. A key with continuation
 * lines is one item. */
#ifndef PLUGINS_INI_DOC_H
#define PLUGINS_INI_DOC_H
#include "ini_rules.h"
#include "lines.h"
#include "path.h"

#define INI_NONE SIZE_MAX

enum ini_kind { INI_BLANK, INI_COMMENT, INI_SECTION, INI_KEY, INI_DIRECTIVE };

struct ini_item {
	enum ini_kind kind;
	size_t start, end;             /* its whole lines, with their ends */
	size_t section;                /* index into doc->sections */
	size_t name_start, name_end;   /* of a section or key */
	size_t delimiter;              /* INI_NONE: a bare key */
	size_t value_start, value_end; /* as it stands there, quotes included; with all continuation lines */
	char quote;                    /* around the whole value, or '\0' */
	bool several_lines, inner_comment;
	/* keys of one name in one section */
	size_t first, next; /* the first of them; the next, or INI_NONE */
	size_t last, count; /* kept in the first */
	size_t nth;
};

/* Sections of one name are one; 0 is what comes before all sections. */
struct ini_section {
	size_t name_start, name_end; /* as spelled first */
	size_t first, last;          /* headers; INI_NONE for number 0 */
	size_t last_key;             /* or INI_NONE */
};

struct ini_doc {
	const struct ini_rules *rules; /* borrowed, as text is */
	const char *text;
	size_t len;
	struct ini_item *items; /* owned */
	size_t count, capacity;
	struct ini_section *sections; /* owned */
	size_t section_count;
	size_t *names, names_capacity;                 /* owned: hash table of the first key of each name */
	size_t *section_names, section_names_capacity; /* the same for sections */
};

/* -EINVAL with line and column. ret is to be done with in any case. */
int ini_doc_parse(const struct ini_rules *rules, const char *text, size_t len, struct ini_doc *ret,
	struct fleet_driver_error *err);
void ini_doc_done(struct ini_doc *doc);
int ini_doc_fail(
	const struct ini_doc *doc, size_t at, struct fleet_driver_error *err, int code, const char *why);

/* By the rules' idea of equal names; INI_NONE where there is none. The name NULL is section 0. */
size_t ini_doc_section(const struct ini_doc *doc, const char *name, size_t len);
/* The first key of this name. */
size_t ini_doc_key(const struct ini_doc *doc, size_t section, const char *name, size_t len);

/* Adds the key path of item i: without index where the key stands there once. */
void ini_doc_path(const struct ini_doc *doc, size_t i, bool with_index, struct text *out);
/* The value that item i has, as the program reads it. */
void ini_doc_value(const struct ini_doc *doc, size_t i, struct text *out);

/* Puts sections and keys of one name together; -ENOMEM. */
int ini_index(struct ini_doc *doc);

/* ini_line.c. One line that is neither blank nor comment, with its continuation lines: fills item, sets
 * item->end. -EINVAL. */
int ini_line_parse(
	const struct ini_doc *doc, struct line line, struct ini_item *item, struct fleet_driver_error *err);
/* Where the value of [at, end) ends for the comment behind it; blanks not yet trimmed. INI_NONE: a quote
 * without end. */
size_t ini_line_value_end(const struct ini_rules *rules, const char *s, size_t at, size_t end);
/* The quote that stands around the whole of [at, end), or '\0'. */
char ini_line_quote(const struct ini_rules *rules, const char *s, size_t at, size_t end);
bool ini_is_comment(const struct ini_rules *rules, const char *s, size_t at, size_t end);

#endif
