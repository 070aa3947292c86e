#include "cli/table.h"
#include <assert.h>
#include "cli/output.h"

struct width_range {
	uint32_t first, last;
	unsigned width;
};
/* Sorted. A coarse but stable choice: wcwidth depends on the locale and knows nothing in "C". */
static const struct width_range ranges[] = {
	{0x0300, 0x036F, 0},
	{0x0483, 0x0489, 0},
	{0x0591, 0x05BD, 0},
	{0x0610, 0x061A, 0},
	{0x064B, 0x065F, 0},
	{0x06D6, 0x06DC, 0},
	{0x093C, 0x093C, 0},
	{0x094D, 0x094D, 0},
	{0x0E31, 0x0E31, 0},
	{0x0E34, 0x0E3A, 0},
	{0x0E47, 0x0E4E, 0},
	{0x1100, 0x115F, 2},
	{0x1AB0, 0x1AFF, 0},
	{0x1DC0, 0x1DFF, 0},
	{0x200B, 0x200D, 0},
	{0x20D0, 0x20F0, 0},
	{0x231A, 0x231B, 2},
	{0x2329, 0x232A, 2},
	{0x23E9, 0x23EC, 2},
	{0x2614, 0x2615, 2},
	{0x26AA, 0x26AB, 2},
	{0x2705, 0x2705, 2},
	{0x274C, 0x274C, 2},
	{0x2E80, 0x303E, 2},
	{0x3041, 0x33FF, 2},
	{0x3400, 0x4DBF, 2},
	{0x4E00, 0x9FFF, 2},
	{0xA000, 0xA4CF, 2},
	{0xAC00, 0xD7A3, 2},
	{0xF900, 0xFAFF, 2},
	{0xFE00, 0xFE0F, 0},
	{0xFE20, 0xFE2F, 0},
	{0xFE30, 0xFE6F, 2},
	{0xFF01, 0xFF60, 2},
	{0xFFE0, 0xFFE6, 2},
	{0x1F300, 0x1F64F, 2},
	{0x1F680, 0x1F6FF, 2},
	{0x1F900, 0x1F9FF, 2},
	{0x20000, 0x3FFFD, 2},
	{0xE0100, 0xE01EF, 0},
};

static unsigned character_width(uint32_t c)
{
	for (size_t i = 0; i < FLEET_ARRAY_LEN(ranges) && c >= ranges[i].first; i++)
		if (c <= ranges[i].last)
			return ranges[i].width;
	return 1;
}

size_t table_text_width(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t width = 0;

	while (*s) {
		unsigned follow = *s >= 0xF0 ? 3 : *s >= 0xE0 ? 2 : *s >= 0xC0 ? 1 : 0;
		uint32_t c = follow ? *s & (0x3Fu >> follow) : *s;

		for (s++; follow && (*s & 0xC0) == 0x80; s++, follow--)
			c = c << 6 | (*s & 0x3Fu);
		width += character_width(c);
	}
	return width;
}

void table_init(struct table *t, const struct table_column *columns)
{
	*t = (struct table){.columns = columns};
	while (columns[t->columns_len].title)
		t->columns_len++;
	assert(t->columns_len <= TABLE_COLUMNS_MAX);
}

void table_row(struct table *t)
{
	if (t->rows == t->capacity) {
		t->capacity = t->capacity ? t->capacity * 2 : 16;
		t->cells = xreallocarray(t->cells, t->capacity * t->columns_len, sizeof(*t->cells));
	}
	for (size_t i = 0; i < t->columns_len; i++)
		t->cells[t->rows * t->columns_len + i] = xstrdup("-");
	t->rows++;
}

void table_cell(struct table *t, size_t column, const char *text)
{
	char **cell = &t->cells[(t->rows - 1) * t->columns_len + column];

	if (str_empty(text))
		return;
	free(*cell);
	*cell = output_clean(text);
}

void table_cellf(struct table *t, size_t column, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	table_cell(t, column, text);
}

static void row_write(
	const struct table *t, char *const *cells, const size_t *widths, const char *indent, FILE *out)
{
	fputs(indent, out);
	for (size_t i = 0; i < t->columns_len; i++) {
		const char *text = cells ? cells[i] : t->columns[i].title;
		int fill = (int)(widths[i] - table_text_width(text));
		bool last = i + 1 == t->columns_len;

		if (t->columns[i].right)
			fprintf(out, "%*s%s", fill, "", text);
		else
			fprintf(out, "%s%*s", text, last ? 0 : fill, "");
		if (!last)
			fputs("  ", out);
	}
	fputc('\n', out);
}

void table_write(const struct table *t, const char *indent, FILE *out)
{
	size_t widths[TABLE_COLUMNS_MAX];

	for (size_t i = 0; i < t->columns_len; i++) {
		widths[i] = table_text_width(t->columns[i].title);
		for (size_t row = 0; row < t->rows; row++) {
			size_t width = table_text_width(t->cells[row * t->columns_len + i]);

			if (width > widths[i])
				widths[i] = width;
		}
	}
	row_write(t, NULL, widths, indent, out);
	for (size_t row = 0; row < t->rows; row++)
		row_write(t, t->cells + row * t->columns_len, widths, indent, out);
}

void table_done(struct table *t)
{
	for (size_t i = 0; i < t->rows * t->columns_len; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct table){0};
}
