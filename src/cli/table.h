/* A table for people: a header, left or right aligned columns as wide as their widest cell, two spaces
 * between them. Widths are what a terminal shows, not bytes. Embedded; the owner's thread. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H
#include "fleet/base.h"

#define TABLE_COLUMNS_MAX 10
struct table_column {
	const char *title; /* an array ends with {0} */
	bool right;
};
struct table {
	const struct table_column *columns; /* borrowed */
	size_t columns_len;
	char **cells; /* owned, rows * columns_len */
	size_t rows, capacity;
};

void table_init(struct table *t, const struct table_column *columns);
/* Begins a row; its cells follow by table_cell, in order. Cells that are not given are "-". */
void table_row(struct table *t);
/* Cleaned (output_clean); an empty or NULL text is "-". column counts from 0. */
void table_cell(struct table *t, size_t column, const char *text);
void table_cellf(struct table *t, size_t column, const char *fmt, ...) FLEET_PRINTF(3, 4);
void table_write(const struct table *t, const char *indent, FILE *out);
void table_done(struct table *t);

/* How many places a terminal needs for it: combining marks 0, East Asian wide characters and emoji 2. */
size_t table_text_width(const char *text);

#endif
