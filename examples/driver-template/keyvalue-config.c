/* keyvalue-config: a Fleet driver for config files of lines `key value`, as sshd_config and many others have
 * them. Blank lines and lines that begin with # are comments; a key is a word of letters, digits, _ - and .,
 * the value is the rest of the line. There is text only, no sections, no quoting.
 *
 * It is whole and works as it is. To make a driver for another format of it: rename the file and the name at
 * its end, then change what a line is (next_line), what a key and a value may be, and what a new line looks
 * like (insert). */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <fleet/driver.h>

/* ---- the file, as one run of bytes that edits change ---- */

struct text {
	char *data;
	size_t len;
};

/* Puts bytes in the place of data[start..end). false: out of memory. */
static bool replace(struct text *t, size_t start, size_t end, const char *bytes, size_t len)
{
	size_t whole = t->len - (end - start) + len;
	char *data = whole >= t->len ? realloc(t->data, whole + 1) : t->data;

	if (!data)
		return false;
	t->data = data;
	memmove(data + start + len, data + end, t->len - end);
	if (len > 0)
		memcpy(data + start, bytes, len);
	t->len = whole;
	return true;
}

/* ---- lines ---- */

/* With a backslash before each dot it is still a key path, which has 1024 bytes at most. */
#define KEY_MAX 500

struct line {
	size_t start, end, next; /* end: before the line's end, which may be LF, CR LF or nothing */
	size_t key, key_end;     /* the same where the line is blank or a comment */
	size_t value, value_end;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_key_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       c == '-' || c == '.';
}

/* The line at `at`; false at the end of the text. Looks at nothing past len: a file ends anywhere. */
static bool next_line(const char *data, size_t len, size_t at, struct line *l)
{
	const char *lf;
	size_t p;

	if (at >= len)
		return false;
	lf = memchr(data + at, '\n', len - at);
	l->start = at;
	l->end = lf ? (size_t)(lf - data) : len;
	l->next = lf ? l->end + 1 : len;
	if (lf && l->end > at && data[l->end - 1] == '\r')
		l->end--;
	for (p = at; p < l->end && is_blank(data[p]); p++)
		;
	l->key = l->key_end = l->value = l->value_end = p;
	if (p == l->end || data[p] == '#')
		return true;
	while (p < l->end && !is_blank(data[p]))
		p++;
	l->key_end = p;
	while (p < l->end && is_blank(data[p]))
		p++;
	l->value = p;
	for (l->value_end = l->end; l->value_end > p && is_blank(data[l->value_end - 1]); l->value_end--)
		;
	return true;
}

/* The length of the UTF-8 character at s, 0 where there is none. Texts that cross the ABI are UTF-8. */
static size_t utf8(const unsigned char *s, size_t len)
{
	size_t n = 0;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	if (n == 0 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	/* spelled too long, half of a pair, or past the last character */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
		(s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

/* Where the first byte lies that may not be in a value (or comment), or len. */
static size_t bad_byte(const char *data, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		n = utf8((const unsigned char *)data + i, len - i);
		if (n == 0 || ((unsigned char)data[i] < 0x20 && data[i] != '\t') || data[i] == 0x7f)
			return i;
	}
	return len;
}

/* ---- what the host calls ---- */

static int32_t check(const struct fleet_host *host, struct fleet_bytes in, struct fleet_driver_error *err)
{
	uint32_t number = 1;
	struct line l;

	(void)host;
	for (size_t at = 0; next_line(in.data, in.len, at, &l); at = l.next, number++) {
		size_t bad = l.start + bad_byte(in.data + l.start, l.end - l.start);

		if (bad < l.end)
			return fleet_driver_fail(err, -EINVAL, number, (uint32_t)(bad - l.start + 1),
				"a control character, or bytes that are not UTF-8");
		if (l.key_end - l.key > KEY_MAX)
			return fleet_driver_fail(err, -EINVAL, number, (uint32_t)(l.key - l.start + 1),
				"a key has at most %d letters", KEY_MAX);
		for (size_t p = l.key; p < l.key_end; p++) {
			if (!is_key_char(in.data[p]))
				return fleet_driver_fail(err, -EINVAL, number, (uint32_t)(p - l.start + 1),
					"a key has letters, digits, '_', '-' and '.' only");
		}
	}
	return 0;
}

static int32_t read_all(const struct fleet_host *host, struct fleet_bytes in, struct fleet_sink *settings,
	struct fleet_driver_error *err)
{
	int32_t r = check(host, in, err);
	struct line l;

	for (size_t at = 0; r == 0 && next_line(in.data, in.len, at, &l); at = l.next) {
		char path[2 * KEY_MAX];
		size_t n = 0;

		if (l.key == l.key_end)
			continue;
		/* a key path's dot parts names: one in a name has a backslash before it */
		for (size_t p = l.key; p < l.key_end; p++) {
			if (in.data[p] == '.')
				path[n++] = '\\';
			path[n++] = in.data[p];
		}
		r = host->emit_setting(settings, (struct fleet_bytes){path, n},
			(struct fleet_bytes){in.data + l.value, l.value_end - l.value}, FLEET_TYPE_STRING);
	}
	return r; /* a sink's error goes back as it came */
}

/* The one name that the key path is, taken out of it. *ret_len is set where it is one. */
static int key_from_path(
	struct fleet_bytes path, char key[KEY_MAX], size_t *ret_len, struct fleet_driver_error *err)
{
	size_t n = 0;

	for (uint64_t i = 0; i < path.len; i++) {
		if (path.data[i] == '\\' && i + 1 < path.len && path.data[i + 1] == '.')
			i++;
		else if (path.data[i] == '.' || path.data[i] == '[')
			return fleet_driver_fail(err, -EINVAL, 0, 0,
				"this format has neither sections nor lists; a dot in a key has a backslash "
				"before it");
		if (!is_key_char(path.data[i]))
			return fleet_driver_fail(
				err, -EINVAL, 0, 0, "a key has letters, digits, '_', '-' and '.' only");
		if (n == KEY_MAX)
			return fleet_driver_fail(err, -EINVAL, 0, 0, "a key has at most %d letters", KEY_MAX);
		key[n++] = path.data[i];
	}
	if (n == 0)
		return fleet_driver_fail(err, -EINVAL, 0, 0, "a key has at least one letter");
	*ret_len = n;
	return 0;
}

/* Would the value read back as it is? */
static int check_value(struct fleet_bytes value, struct fleet_driver_error *err)
{
	if (bad_byte(value.data, value.len) < value.len)
		return fleet_driver_fail(
			err, -EINVAL, 0, 0, "a value is one line of UTF-8 text in this format");
	if (value.len > 0 && (is_blank(value.data[0]) || is_blank(value.data[value.len - 1])))
		return fleet_driver_fail(
			err, -EINVAL, 0, 0, "a value cannot begin or end with a blank in this format");
	return 0;
}

/* A new line: behind the commented-out example of itself (`#key ...`), else behind the last setting, else at
 * the end; blanks and line end are the neighbour's. */
static bool insert(struct text *t, const char *key, size_t key_len, struct fleet_bytes value)
{
	struct line l, neighbour = {0}, example = {0};
	bool has_neighbour = false, has_example = false, ok;
	const char *blank = " ", *end = "\n";
	size_t blank_len = 1, end_len = 1, place = t->len;
	struct text line = {NULL, 0};

	for (size_t at = 0; next_line(t->data, t->len, at, &l); at = l.next) {
		if (l.key < l.key_end) {
			neighbour = l;
			has_neighbour = true;
		} else if (l.end - l.key > key_len && memcmp(t->data + l.key + 1, key, key_len) == 0 &&
			   (l.key + 1 + key_len == l.end || is_blank(t->data[l.key + 1 + key_len]))) {
			example = l;
			has_example = true;
		}
	}
	if (has_neighbour && neighbour.value > neighbour.key_end) {
		blank = t->data + neighbour.key_end;
		blank_len = neighbour.value - neighbour.key_end;
	}
	if (next_line(t->data, t->len, 0, &l) && l.next - l.end == 2) {
		end = "\r\n";
		end_len = 2;
	}
	if (has_example || has_neighbour)
		place = has_example ? example.next : neighbour.next;

	ok = replace(&line, 0, 0, key, key_len) && replace(&line, line.len, line.len, blank, blank_len) &&
	     replace(&line, line.len, line.len, value.data, value.len);
	/* the last line of a file may have no end, and then the new last line has none */
	if (ok && place > 0 && t->data[place - 1] != '\n')
		ok = replace(&line, 0, 0, end, end_len);
	else if (ok)
		ok = replace(&line, line.len, line.len, end, end_len);
	ok = ok && replace(t, place, place, line.data, line.len);
	free(line.data);
	return ok;
}

static bool is_called(const struct text *t, const struct line *l, const char *key, size_t len)
{
	return l->key_end - l->key == len && memcmp(t->data + l->key, key, len) == 0;
}

static int out_of_memory(struct fleet_driver_error *err)
{
	return fleet_driver_fail(err, -ENOMEM, 0, 0, "out of memory");
}

/* Of several lines of this name the last one counts, and changes. */
static int set(
	struct text *t, const char *key, size_t len, struct fleet_bytes value, struct fleet_driver_error *err)
{
	struct line l, last = {0};
	bool found = false, ok;

	for (size_t at = 0; next_line(t->data, t->len, at, &l); at = l.next) {
		if (is_called(t, &l, key, len)) {
			last = l;
			found = true;
		}
	}
	if (!found)
		ok = insert(t, key, len, value);
	else if (last.value == last.key_end && value.len > 0) /* `key` alone */
		ok = replace(t, last.key_end, last.key_end, value.data, value.len) &&
		     replace(t, last.key_end, last.key_end, " ", 1);
	else
		ok = replace(t, last.value, last.value_end, value.data, value.len);
	return ok ? 0 : out_of_memory(err);
}

/* Takes all lines of this name; that there is none is no error. */
static int unset(struct text *t, const char *key, size_t len, struct fleet_driver_error *err)
{
	struct line l;

	for (size_t at = 0; next_line(t->data, t->len, at, &l); at = l.next) {
		if (!is_called(t, &l, key, len))
			continue;
		/* the last line of a file may have no end: the one before it has none then */
		if (l.next == t->len && l.next == l.end && l.start > 0)
			l.start -= l.start > 1 && t->data[l.start - 2] == '\r' ? 2 : 1;
		if (!replace(t, l.start, l.next, NULL, 0))
			return out_of_memory(err);
		l.next = l.start;
	}
	return 0;
}

static int apply(struct text *t, const struct fleet_edit *edit, struct fleet_driver_error *err)
{
	char key[KEY_MAX];
	size_t len = 0;
	int r = key_from_path(edit->path, key, &len, err);

	if (r == 0 && edit->kind == FLEET_EDIT_UNSET)
		return unset(t, key, len, err);
	if (r == 0)
		r = check_value(edit->value, err);
	return r < 0 ? r : set(t, key, len, edit->value, err);
}

static int32_t edit_all(const struct fleet_host *host, struct fleet_bytes in, const struct fleet_edit *edits,
	uint32_t n, struct fleet_sink *out, struct fleet_driver_error *err)
{
	struct text t = {NULL, 0};
	int32_t r = check(host, in, err);

	if (r == 0 && !replace(&t, 0, 0, in.data, in.len))
		r = out_of_memory(err);
	for (uint32_t i = 0; i < n && r == 0; i++)
		r = apply(&t, &edits[i], err);
	if (r == 0)
		r = host->emit(out, t.data, t.len);
	free(t.data);
	return r;
}

static const struct fleet_format_ops ops = {
	.size = sizeof(ops),
	.flags = FLEET_FORMAT_TEXT_ONLY,
	.read = read_all,
	.edit = edit_all,
	.check = check,
};

/* The name is the file's: keyvalue-config.so. */
FLEET_DRIVER_DEFINE("keyvalue-config", .version = "1.0", .summary = "Lines of key and value", .format = &ops);
