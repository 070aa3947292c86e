/* A format driver for lines key=value that keeps every promise of fleet/driver.h but the one that its option
 * `break` names, so that the conformance suite can be asked about each alone. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "zoo.h"

static const struct fleet_host *host_now;

static int breaks(const char *promise)
{
	return strcmp(fleet_driver_option(host_now, "break", ""), promise) == 0;
}

struct line {
	const char *start, *end, *next; /* end: before LF or CR LF */
	const char *equals;             /* NULL: a comment or blank */
};

static int next_line(struct fleet_bytes in, uint64_t at, struct line *l)
{
	const char *lf;

	if (at >= in.len)
		return 0;
	lf = memchr(in.data + at, '\n', in.len - at);
	l->start = in.data + at;
	l->end = lf ? lf : in.data + in.len;
	l->next = lf ? lf + 1 : l->end;
	if (lf && l->end > l->start && l->end[-1] == '\r')
		l->end--;
	l->equals = l->start < l->end && *l->start != '#' ? memchr(l->start, '=', (size_t)(l->end - l->start))
							  : NULL;
	return 1;
}

static int is_word(const char *s, const char *end)
{
	for (; s < end; s++) {
		if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9')))
			return 0;
	}
	return 1;
}

/* Printable ASCII, without blanks at its ends. */
static int is_value(const char *s, const char *end)
{
	if (s < end && (*s == ' ' || end[-1] == ' '))
		return 0;
	for (; s < end; s++) {
		if ((*s < 0x20 || *s > 0x7e) && !(*s == '\n' && breaks("smuggles")))
			return 0;
	}
	return 1;
}

static int32_t misbehave(struct fleet_bytes in, struct fleet_driver_error *err)
{
	static int calls;
	volatile char *leak;

	if (breaks("leaks") && (leak = malloc(64)) != NULL)
		*leak = 1;
	if (breaks("keeps") && ++calls > 2)
		return fleet_driver_fail(err, -EINVAL, 0, 0, "two calls are enough");
	if (breaks("writes-input") && in.len > 0)
		((volatile char *)(uintptr_t)in.data)[in.len - 1] = 'x';
	if (breaks("reads-past") && *(const volatile char *)(in.data + in.len) == 'x')
		return -EINVAL;
	if (breaks("overruns"))
		((volatile char *)err)[sizeof(*err)] = 0;
	if (breaks("changes-size"))
		err->size = 4;
	if (breaks("unterminated"))
		memset(err->message, 'm', sizeof(err->message));
	if (breaks("opens-file"))
		return open("/etc/passwd", O_RDONLY) >= 0 ? 0 : -EIO;
	if (breaks("crashes-at-nul") && in.len > 0 && memchr(in.data, 0, in.len))
		abort();
	if (breaks("hangs") && in.len > 100000 && in.data[0] == '[') {
		for (volatile int forever = 1; forever;)
			;
	}
	return breaks("positive") ? 7 : 0;
}

static int32_t judge(struct fleet_bytes in, int is_check, struct fleet_driver_error *err)
{
	uint32_t number = 1;
	struct line l;

	if (is_check && breaks("check-is-lax"))
		return 0;
	for (uint64_t at = 0; next_line(in, at, &l); at = (uint64_t)(l.next - in.data), number++) {
		const char *key_end = l.equals ? l.equals : l.end;

		if (l.start == l.end || *l.start == '#') {
			if (!is_value(l.start, l.start) || memchr(l.start, 0, (size_t)(l.end - l.start)))
				return fleet_driver_fail(err, -EINVAL, number, 1, "a NUL");
			continue;
		}
		if (l.equals && key_end > l.start && is_word(l.start, key_end) &&
			is_value(l.equals + 1, l.end))
			continue;
		if (breaks("accepts-broken") && is_check && in.len < 100)
			return 0;
		if (breaks("no-sentence"))
			return -EINVAL;
		if (breaks("no-place"))
			return fleet_driver_fail(err, -EINVAL, 0, 0, "something is wrong");
		if (breaks("line-too-far"))
			return fleet_driver_fail(err, -EINVAL, number + 2000000, 1, "something is wrong");
		return fleet_driver_fail(err, -EINVAL, number, 1,
			breaks("full-stop") ? "This is no setting." : "a line that is no setting");
	}
	return 0;
}

static int32_t check(const struct fleet_host *host, struct fleet_bytes in, struct fleet_driver_error *err)
{
	int32_t r;

	host_now = host;
	r = misbehave(in, err);
	return r != 0 ? r : judge(in, 1, err);
}

static int32_t read_all(const struct fleet_host *host, struct fleet_bytes in, struct fleet_sink *settings,
	struct fleet_driver_error *err)
{
	char text[64];
	struct line l;
	int32_t r;

	host_now = host;
	r = judge(in, 0, err);
	for (uint64_t at = 0; r == 0 && next_line(in, at, &l); at = (uint64_t)(l.next - in.data)) {
		struct fleet_bytes value;

		if (!l.equals)
			continue;
		value = (struct fleet_bytes){l.equals + 1, (uint64_t)(l.end - l.equals - 1)};
		if (breaks("random") || breaks("minds-options")) {
			(void)snprintf(text, sizeof(text), "%ld",
				breaks("random") ? (long)getpid() : (long)host->option_count);
			value = (struct fleet_bytes){text, strlen(text)};
		}
		if (breaks("not-utf8"))
			value = (struct fleet_bytes){"\xff", 1};
		r = host->emit_setting(settings,
			(struct fleet_bytes){l.start, (uint64_t)(l.equals - l.start)}, value,
			breaks("not-text") ? FLEET_TYPE_BOOLEAN : FLEET_TYPE_STRING);
	}
	if (r == 0 && breaks("bad-path"))
		r = zoo_emit(settings, host, "a..b", "x");
	return r;
}

/* ---- edits: from one text to the next ---- */

struct text {
	char *data; /* of room for all that is done */
	uint64_t len;
};

static void put(struct text *t, const char *from, const char *end)
{
	if (end > from)
		memcpy(t->data + t->len, from, (size_t)(end - from));
	t->len += (uint64_t)(end - from);
}

static void put_text(struct text *t, const char *text)
{
	put(t, text, text + strlen(text));
}

static void put_value(struct text *t, const struct fleet_edit *e)
{
	const char *start = e->value.data, *end = start + e->value.len;

	if (breaks("wrong-value"))
		put_text(t, "x");
	if (breaks("truncates") && end - start > 100)
		end = start + 100;
	while (breaks("trims") && start < end && *start == ' ')
		start++;
	put(t, start, end);
}

static int is_called(const struct line *l, const struct fleet_edit *e)
{
	return l->equals && (uint64_t)(l->equals - l->start) == e->path.len &&
	       memcmp(l->start, e->path.data, e->path.len) == 0;
}

static void copy_line(struct text *t, const struct line *l)
{
	int comment = !l->equals && l->start < l->end;

	if (breaks("drops-comments") && comment)
		return;
	put(t, l->start, l->end);
	if (breaks("line-ends") && l->next > l->end)
		put_text(t, "\n");
	else if (breaks("last-line-end") && l->next == l->end)
		put_text(t, "\n");
	else
		put(t, l->end, l->next);
}

/* Before this line its comment was copied: takes it back. */
static void uncopy_comment(struct text *t)
{
	uint64_t at = t->len > 0 ? t->len - 1 : 0;

	while (at > 0 && t->data[at - 1] != '\n')
		at--;
	if (t->len > 0 && t->data[at] == '#')
		t->len = at;
}

static void add_key(struct text *t, const struct fleet_edit *e, int crlf)
{
	int open_end = t->len > 0 && t->data[t->len - 1] != '\n';

	if (breaks("adds-and-changes") && t->len > 2)
		t->data[1] = '*';
	if (open_end)
		put_text(t, crlf ? "\r\n" : "\n");
	put(t, e->path.data, e->path.data + e->path.len);
	put_text(t, "=");
	put_value(t, e);
	if (!open_end)
		put_text(t, crlf ? "\r\n" : "\n");
}

static void apply(struct fleet_bytes in, const struct fleet_edit *e, struct text *t)
{
	const char *chosen = NULL, *dropped = NULL;
	int crlf = in.len > 1 && memmem(in.data, in.len, "\r\n", 2) != NULL, same = 0;
	struct line l;

	for (uint64_t at = 0; next_line(in, at, &l); at = (uint64_t)(l.next - in.data)) {
		if (is_called(&l, e) && !(chosen && (breaks("set-first") || breaks("unset-first"))))
			chosen = l.start;
		if (l.equals && !is_called(&l, e) && !dropped)
			dropped = l.start;
	}
	for (uint64_t at = 0; next_line(in, at, &l); at = (uint64_t)(l.next - in.data)) {
		int mine = is_called(&l, e);

		if (e->kind == FLEET_EDIT_UNSET && mine && (l.start == chosen || !breaks("unset-first"))) {
			if (breaks("unset-takes-comment"))
				uncopy_comment(t);
			if (breaks("unset-leaves-line"))
				put(t, l.end, l.next);
			/* the last line had no end: the one before it has none now */
			if (l.next == l.end && t->len > 0)
				t->len -= t->len > 1 && t->data[t->len - 2] == '\r' ? 2 : 1;
		} else if (e->kind == FLEET_EDIT_SET && l.start == chosen) {
			same = e->value.len == (uint64_t)(l.end - l.equals - 1) &&
			       memcmp(l.equals + 1, e->value.data, e->value.len) == 0;
			put(t, l.start, l.equals + 1);
			put_value(t, e);
			put(t, l.end, l.next);
		} else if (breaks("other-value") && l.start == dropped) {
			put(t, l.start, l.equals + 1);
			put_text(t, "evil");
			put(t, l.end, l.next);
		} else if (!breaks("drops-key") || l.start != dropped) {
			copy_line(t, &l);
		}
	}
	if (e->kind == FLEET_EDIT_SET && !chosen)
		add_key(t, e, crlf);
	if ((breaks("touches-same") && same) || (breaks("adds-up") && e->kind == FLEET_EDIT_SET))
		put_text(t, "\n#\n");
}

static int32_t judge_edit(struct fleet_bytes in, const struct fleet_edit *e, struct fleet_driver_error *err)
{
	const char *value = e->value.data;
	struct line l;
	int found = 0;

	for (uint64_t at = 0; next_line(in, at, &l); at = (uint64_t)(l.next - in.data))
		found |= is_called(&l, e);
	if (breaks("logs-value") && e->value.len > 0)
		fleet_log(host_now, FLEET_LOG_LEVEL_INFO, "%.*s", (int)(e->value.len % 400), value);
	if (breaks("error-tells-value") && e->value.len > 8)
		return fleet_driver_fail(
			err, -EINVAL, 0, 0, "I do not like %.*s", (int)(e->value.len % 100), value);
	if (breaks("unset-missing-fails") && e->kind == FLEET_EDIT_UNSET && !found)
		return fleet_driver_fail(err, -EINVAL, 0, 0, "there is no such key");
	if (e->path.len == 0 || (!breaks("any-key") && !breaks("nonsense") &&
					!is_word(e->path.data, e->path.data + e->path.len)))
		return fleet_driver_fail(err, -EINVAL, 0, 0, "a key is one word");
	if (e->kind == FLEET_EDIT_SET && !breaks("trims") && !is_value(value, value + e->value.len))
		return fleet_driver_fail(err, -EINVAL, 0, 0, "a value is plain text");
	return 0;
}

static int32_t edit(const struct fleet_host *host, struct fleet_bytes in, const struct fleet_edit *edits,
	uint32_t n, struct fleet_sink *out, struct fleet_driver_error *err)
{
	struct text now = {NULL, 0};
	struct fleet_bytes from = in;
	int32_t r;

	host_now = host;
	r = judge(in, 0, err);
	if (r == 0 && breaks("empty-file") && in.len == 0)
		r = fleet_driver_fail(err, -ENOMEM, 0, 0, "out of memory");
	if (breaks("first-edit-only"))
		n = 1;
	for (uint32_t i = 0; i < n && r == 0; i++) {
		struct text next = {malloc(2 * from.len + edits[i].path.len + edits[i].value.len + 64), 0};

		if (!next.data)
			r = -ENOMEM;
		if (r == 0)
			r = judge_edit(from, &edits[i], err);
		if (r == 0)
			apply(from, &edits[i], &next);
		free(now.data);
		now = next;
		from = (struct fleet_bytes){now.data, now.len};
	}
	if (r == 0)
		r = host->emit(out, now.data, now.len);
	free(now.data);
	return r;
}

static const struct fleet_format_ops ops = {
	.size = sizeof(ops), .flags = FLEET_FORMAT_TEXT_ONLY, .read = read_all, .edit = edit, .check = check};
FLEET_DRIVER_DEFINE("bad-promise", .version = "1", .summary = "Breaks a promise by option", .format = &ops);
