/* Myers' greedy algorithm (An O(ND) Difference Algorithm and Its Variations, 1986) over the lines that are
 * left when common ones at both ends are cut off. An edit of a config file changes few lines, so D is small;
 * past EDITS_MAX the middle is shown as replaced whole. */
#include "driver/unified_diff.h"

#define CONTEXT   3
#define EDITS_MAX 2000

struct lines {
	struct fleet_bytes *items; /* owned; each with its LF, the last perhaps without */
	size_t count;
};
/* One text against the other: which lines of each have no partner. */
struct marks {
	bool *removed, *added; /* owned */
};

static struct lines split(struct fleet_bytes text)
{
	struct lines lines = {NULL, 0};
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++)
		n += text.data[i] == '\n' || i + 1 == text.len;
	lines.items = xcalloc(n + 1, sizeof(*lines.items));
	for (size_t at = 0; at < text.len;) {
		const char *start = text.data + at, *end = memchr(start, '\n', text.len - at);
		size_t len = end ? (size_t)(end - start) + 1 : text.len - at;

		lines.items[lines.count++] = (struct fleet_bytes){start, len};
		at += len;
	}
	return lines;
}

static bool same(const struct fleet_bytes *a, const struct fleet_bytes *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* The part that differs, between the common lines at both ends. */
struct middle {
	const struct fleet_bytes *a, *b;
	int a_len, b_len;
};

/* Walks back from the end along the furthest points of each d, marking what has no partner. */
static void walk_back(const struct middle *m, int *const *trace, int d, bool *removed, bool *added)
{
	int x = m->a_len, y = m->b_len;

	for (; d > 0; d--) {
		const int *v = trace[d - 1] + d; /* of d - 1, index 0 is diagonal 0 */
		int k = x - y;
		bool down = k == -d || (k != d && v[k - 1] < v[k + 1]);
		int before = down ? k + 1 : k - 1;
		int from_x = v[before], from_y = from_x - before;

		if (down)
			added[from_y] = true;
		else
			removed[from_x] = true;
		x = from_x;
		y = from_y;
	}
}

/* False where it would take more than EDITS_MAX edits. */
static bool mark_middle(const struct middle *m, bool *removed, bool *added)
{
	int **trace = xcalloc(EDITS_MAX + 1, sizeof(*trace));
	bool found = false;

	for (int d = 0; d <= EDITS_MAX && !found; d++) {
		/* diagonals -d..d, with one more at both ends for the step that follows */
		int *v = (int *)xcalloc(2 * (size_t)d + 3, sizeof(*v)) + d + 1;
		const int *last = d > 0 ? trace[d - 1] + d : NULL;

		trace[d] = v - d - 1;
		for (int k = -d; k <= d && !found; k += 2) {
			int x = !last                                              ? 0
				: k == -d || (k != d && last[k - 1] < last[k + 1]) ? last[k + 1]
										   : last[k - 1] + 1;

			while (x < m->a_len && x - k < m->b_len && same(&m->a[x], &m->b[x - k]))
				x++;
			v[k] = x;
			if (x >= m->a_len && x - k >= m->b_len) {
				walk_back(m, trace, d, removed, added);
				found = true;
			}
		}
	}
	for (int d = 0; d <= EDITS_MAX; d++)
		free(trace[d]);
	free(trace);
	return found;
}

static struct marks compare(const struct lines *a, const struct lines *b)
{
	struct marks marks = {xcalloc(a->count + 1, sizeof(bool)), xcalloc(b->count + 1, sizeof(bool))};
	size_t shorter = a->count < b->count ? a->count : b->count, head = 0, tail = 0;
	struct middle m;

	while (head < shorter && same(&a->items[head], &b->items[head]))
		head++;
	while (tail < shorter - head && same(&a->items[a->count - 1 - tail], &b->items[b->count - 1 - tail]))
		tail++;
	m = (struct middle){a->items + head, b->items + head, (int)(a->count - head - tail),
		(int)(b->count - head - tail)};
	if (!mark_middle(&m, marks.removed + head, marks.added + head)) {
		memset(marks.removed + head, 1, a->count - head - tail);
		memset(marks.added + head, 1, b->count - head - tail);
	}
	return marks;
}

static void add_line(struct fleet_buffer *out, char sign, const struct fleet_bytes *line)
{
	fleet_buffer_add(out, &sign, 1);
	fleet_buffer_add(out, line->data, line->len);
	if (line->data[line->len - 1] != '\n')
		fleet_buffer_add_string(out, "\n\\ No newline at end of file\n");
}

/* "12,3"; a range without lines names the line before it, one of a single line no count. */
static void add_range(struct fleet_buffer *out, char sign, size_t start, size_t count)
{
	fleet_buffer_printf(out, "%c%zu", sign, count > 0 ? start + 1 : start);
	if (count != 1)
		fleet_buffer_printf(out, ",%zu", count);
}

/* From (i, j), which lie side by side, to the end of the hunk: where more than twice the context is
 * unchanged. */
static void find_end(
	const struct lines *a, const struct lines *b, const struct marks *m, size_t *i, size_t *j)
{
	size_t quiet = 0;

	while (*i < a->count || *j < b->count) {
		if (*i < a->count && m->removed[*i]) {
			(*i)++;
			quiet = 0;
		} else if (*j < b->count && m->added[*j]) {
			(*j)++;
			quiet = 0;
		} else {
			(*i)++;
			(*j)++;
			if (++quiet > 2 * CONTEXT)
				break;
		}
	}
	if (quiet > CONTEXT) {
		*i -= quiet - CONTEXT;
		*j -= quiet - CONTEXT;
	}
}

static void add_hunk(struct fleet_buffer *out, const struct lines *a, const struct lines *b,
	const struct marks *m, size_t *at_a, size_t *at_b)
{
	size_t i = *at_a, j = *at_b, end_a = i, end_b = j;

	find_end(a, b, m, &end_a, &end_b);
	fleet_buffer_add_string(out, "@@ ");
	add_range(out, '-', i, end_a - i);
	fleet_buffer_add_string(out, " ");
	add_range(out, '+', j, end_b - j);
	fleet_buffer_add_string(out, " @@\n");
	while (i < end_a || j < end_b) {
		if (i < end_a && m->removed[i]) {
			add_line(out, '-', &a->items[i++]);
		} else if (j < end_b && m->added[j]) {
			add_line(out, '+', &b->items[j++]);
		} else {
			add_line(out, ' ', &a->items[i++]);
			j++;
		}
	}
	*at_a = end_a;
	*at_b = end_b;
}

void unified_diff(struct fleet_buffer *out, const char *old_name, struct fleet_bytes old_text,
	const char *new_name, struct fleet_bytes new_text)
{
	struct lines a = split(old_text), b = split(new_text);
	struct marks marks = compare(&a, &b);
	bool begun = false;

	for (size_t i = 0, j = 0; i < a.count || j < b.count;) {
		if ((i >= a.count || !marks.removed[i]) && (j >= b.count || !marks.added[j])) {
			i++;
			j++;
			continue;
		}
		if (!begun)
			fleet_buffer_printf(out, "--- %s\n+++ %s\n", old_name, new_name);
		begun = true;
		for (int back = 0;
			back < CONTEXT && i > 0 && j > 0 && !marks.removed[i - 1] && !marks.added[j - 1];
			back++) {
			i--;
			j--;
		}
		add_hunk(out, &a, &b, &marks, &i, &j);
	}
	free(marks.removed);
	free(marks.added);
	free(a.items);
	free(b.items);
}
