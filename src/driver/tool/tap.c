#include "driver/tool/tap.h"

/* One line of TAP: nothing in it may look like a directive or begin another line. */
static void print_clean(const char *text)
{
	_cleanup_free_ char *clean = xstrdup(text);

	fleet_text_sanitize(clean);
	for (char *p = strchr(clean, '#'); p; p = strchr(p, '#'))
		*p = '?';
	fputs(clean, stdout);
}

static void line(struct tap *t, const char *result, const char *fmt, va_list ap)
{
	_cleanup_free_ char *text = xvasprintf(fmt, ap);

	printf("%s %u - ", result, ++t->count);
	print_clean(text);
}

void tap_pass(struct tap *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line(t, "ok", fmt, ap);
	va_end(ap);
	fputc('\n', stdout);
}

void tap_fail(struct tap *t, const char *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line(t, "not ok", fmt, ap);
	va_end(ap);
	fputs("\n# ", stdout);
	print_clean(why);
	fputc('\n', stdout);
	t->failed++;
}

void tap_skip(struct tap *t, const char *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line(t, "ok", fmt, ap);
	va_end(ap);
	fputs(" # SKIP ", stdout);
	print_clean(why);
	fputc('\n', stdout);
}

void tap_note(const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	fputs("# ", stdout);
	print_clean(text);
	fputc('\n', stdout);
}

bool tap_end(const struct tap *t)
{
	printf("1..%u\n", t->count);
	if (t->failed > 0)
		printf("# %u of %u failed\n", t->failed, t->count);
	return t->failed == 0 && t->count > 0;
}

void verdict_hold(struct verdict *v)
{
	v->held++;
}

void verdict_fail(struct verdict *v, const char *fmt, ...)
{
	va_list ap;

	if (v->failed)
		return;
	v->failed = true;
	va_start(ap, fmt);
	(void)vsnprintf(v->why, sizeof(v->why), fmt, ap);
	va_end(ap);
}

void verdict_refuse(struct verdict *v, const char *why)
{
	v->refused++;
	if (!v->failed)
		(void)snprintf(v->why, sizeof(v->why), "%s", why);
}

void verdict_tell(const struct verdict *v, struct tap *t, const char *nothing, const char *fmt, ...)
{
	_cleanup_free_ char *name = NULL;
	va_list ap;

	va_start(ap, fmt);
	name = xvasprintf(fmt, ap);
	va_end(ap);
	if (v->failed) {
		tap_fail(t, v->why, "%s", name);
	} else if (v->held > 0) {
		tap_pass(t, "%s", name);
	} else if (v->refused > 0) {
		_cleanup_free_ char *why = xasprintf("the driver refuses all of it: %s", v->why);

		tap_skip(t, why, "%s", name);
	} else {
		tap_skip(t, nothing, "%s", name);
	}
}
