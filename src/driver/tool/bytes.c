#include "driver/tool/bytes.h"
#include "driver/keypath.h"

struct byte_span bytes_span(struct fleet_bytes a, const struct fleet_buffer *b)
{
	size_t shorter = a.len < b->len ? a.len : b->len, head = 0, tail = 0;

	while (head < shorter && a.data[head] == b->data[head])
		head++;
	while (tail < shorter - head && a.data[a.len - 1 - tail] == b->data[b->len - 1 - tail])
		tail++;
	return (struct byte_span){head, a.len - tail, b->len - tail};
}

unsigned bytes_line_at(struct fleet_bytes text, size_t at)
{
	unsigned line = 1;

	for (size_t i = 0; i < at && i < text.len; i++)
		line += text.data[i] == '\n';
	return line;
}

size_t bytes_parent_len(const char *path)
{
	struct keypath parsed;

	if (keypath_parse(path, strlen(path), false, &parsed, NULL) < 0 || parsed.count == 0 ||
		parsed.parts[parsed.count - 1].kind != KEYPATH_NAME)
		return SIZE_MAX;
	return parsed.count == 1 ? 0 : parsed.parts[parsed.count - 2].end;
}

static bool is_word(const struct setting *s)
{
	for (size_t i = 0; i < s->value_len; i++) {
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-",
			    s->value[i]) ||
			!s->value[i])
			return false;
	}
	return s->value_len > 0;
}

/* Does the changed span lie in one spelling of the value, quotes included? *ret_spelled: it is spelled out
 * near it. */
static bool lies_in_value(
	struct fleet_bytes in, const struct setting *old, const struct byte_span *span, bool *ret_spelled)
{
	size_t len = old->value_len;
	size_t from = span->start > len ? span->start - len - 1 : 0;

	*ret_spelled = false;
	for (size_t q = from; q + len <= in.len && q <= span->old_end; q++) {
		size_t start = q, end = q + len;

		if (memcmp(in.data + q, old->value, len) != 0)
			continue;
		*ret_spelled = true;
		if (start > 0 && strchr("'\"", in.data[start - 1]) && in.data[start - 1])
			start--;
		if (end < in.len && strchr("'\"", in.data[end]) && in.data[end])
			end++;
		if (start <= span->start && span->old_end <= end)
			return true;
	}
	return false;
}

void bytes_judge_set(
	struct verdict *v, struct fleet_bytes in, const struct setting *old, const struct fleet_buffer *out)
{
	struct byte_span span = bytes_span(in, out);
	size_t allowed = 0, crossed = 0;
	bool spelled;

	if (is_word(old)) {
		bool inside = lies_in_value(in, old, &span, &spelled);

		if (spelled && !inside) {
			verdict_fail(v,
				"set of '%s' changed more than the value: bytes %zu to %zu, at line %u",
				old->path, span.start, span.old_end, bytes_line_at(in, span.start));
			return;
		}
	}
	/* a value may stand on several lines, folded at its blanks or at backslashes */
	for (size_t i = 0; i < old->value_len; i++)
		allowed += old->value[i] == ' ' || old->value[i] == '\t' || old->value[i] == '\n';
	for (size_t i = span.start; i < span.old_end; i++) {
		if (in.data[i] != '\n')
			continue;
		crossed++;
		allowed += i > 0 && (in.data[i - 1] == '\\' ||
					    (i > 1 && in.data[i - 1] == '\r' && in.data[i - 2] == '\\'));
	}
	/* a block of text has a line of its own before its first, and one end more than the value where it is
	 * chomped */
	if (crossed > (allowed > 0 ? allowed + 2 : 0))
		verdict_fail(v, "set of '%s', from line %u on, changed %zu lines", old->path,
			bytes_line_at(in, span.start), crossed + 1);
	else
		verdict_hold(v);
}

/* Is every byte of what is left from the old text, in its order? */
static bool only_takes(struct fleet_bytes old, const struct fleet_buffer *left)
{
	size_t at = 0;

	for (size_t i = 0; i < left->len; i++) {
		const char *found = at < old.len ? memchr(old.data + at, left->data[i], old.len - at) : NULL;

		if (!found)
			return false;
		at = (size_t)(found - old.data) + 1;
	}
	return true;
}

/* The last name of a key path as it is spelled in files that spell names plainly; "" where it is not plain.
 */
static struct fleet_bytes plain_name(const struct setting *s)
{
	size_t parent = bytes_parent_len(s->path);
	const char *name = parent == SIZE_MAX ? "" : s->path + parent + (parent > 0);

	return strpbrk(name, "\\[") ? check_bytes("", 0) : check_bytes(name, strlen(name));
}

static unsigned line_ends(const char *data, size_t len)
{
	unsigned n = 0;

	for (size_t i = 0; i < len; i++)
		n += data[i] == '\n';
	return n;
}

/* How many line ends went that are not the entry's: those from its key to its value's end, and one more, are.
 * 0 where the two cannot be found in the text. */
static unsigned lines_too_many(struct fleet_bytes in, const struct setting *s, const struct fleet_buffer *out)
{
	struct byte_span span = bytes_span(in, out);
	struct fleet_bytes name = plain_name(s);
	/* where what follows begins like what was taken, the span has slipped into it */
	size_t from = span.start > name.len ? span.start - name.len : 0;
	const char *data = in.data, *end = data + span.old_end, *key, *value;
	unsigned before = line_ends(data, in.len), after = line_ends(out->data, out->len), own;

	if (name.len == 0 || !is_word(s))
		return 0;
	key = memmem(data + from, (size_t)(end - (data + from)), name.data, name.len);
	value = key ? memmem(key + name.len, (size_t)(data + in.len - key) - name.len, s->value, s->value_len)
		    : NULL;
	if (!value)
		return 0;
	own = line_ends(key, (size_t)(value - key) + s->value_len) + 1;
	return before > after + own ? before - after - own : 0;
}

/* The line around `at` of one text. */
static struct fleet_bytes line_around(const char *data, size_t len, size_t at)
{
	size_t start = at, end = at;

	while (start > 0 && data[start - 1] != '\n')
		start--;
	while (end < len && data[end] != '\n')
		end++;
	return check_bytes(data + start, end - start);
}

static bool is_blank(struct fleet_bytes line)
{
	for (uint64_t i = 0; i < line.len; i++) {
		if (!strchr(" \t\r", line.data[i]) || !line.data[i])
			return false;
	}
	return true;
}

/* The entry went and its line end stayed, so that an empty line stands in its place. */
static bool leaves_blank_line(struct fleet_bytes in, const struct fleet_buffer *out)
{
	struct byte_span span = bytes_span(in, out);

	return line_ends(in.data, in.len) == line_ends(out->data, out->len) && span.start < in.len &&
	       is_blank(line_around(out->data, out->len, span.start)) &&
	       !is_blank(line_around(in.data, in.len, span.start));
}

void bytes_judge_unset(
	struct verdict *v, struct fleet_bytes in, const struct setting *old, const struct fleet_buffer *out)
{
	unsigned line = bytes_line_at(in, bytes_span(in, out).start);

	if (!only_takes(in, out))
		verdict_fail(v, "unset of '%s' wrote something; it is only to take away", old->path);
	else if (lines_too_many(in, old, out) > 0)
		verdict_fail(v, "unset of '%s' took %u lines more than its own, at line %u", old->path,
			lines_too_many(in, old, out), line);
	else if (leaves_blank_line(in, out))
		verdict_fail(v, "unset of '%s' left an empty line in its place, at line %u", old->path, line);
	else
		verdict_hold(v);
}
