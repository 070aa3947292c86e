#include "cli/progress.h"
#include <sys/ioctl.h>
#include <unistd.h>
#include "cli/output.h"
#include "cli/table.h"
#include "fleet/buffer.h"

#define COLUMNS_DEFAULT 80
#define BAR_MAX         30
#define BAR_MIN         8

void progress_init(struct progress *p)
{
	*p = (struct progress){.terminal = isatty(STDERR_FILENO) == 1};
}

void progress_clear(struct progress *p)
{
	if (p->line_open)
		fputs("\r\033[K", stderr);
	p->line_open = false;
	free(TAKE_PTR(p->shown)); /* what comes next is shown again */
}

void progress_done(struct progress *p)
{
	progress_clear(p);
	free(p->step);
	p->step = NULL;
}

static size_t columns(void)
{
	struct winsize size = {0};

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col
									       : COLUMNS_DEFAULT;
}

/* As much of a text as fits into so many places. */
static char *cut(const char *text, size_t places)
{
	char *copy = xstrdup(text);

	for (size_t len = strlen(copy); len > 0 && table_text_width(copy) > places;) {
		len--;
		while (len > 0 && (copy[len] & 0xC0) == 0x80) /* whole characters */
			len--;
		copy[len] = '\0';
	}
	return copy;
}

char *progress_line(size_t places, const char *step, int percent, const char *detail)
{
	_cleanup_buffer_ struct fleet_buffer line = FLEET_BUFFER_INIT;
	size_t head = table_text_width(step) + 4, tail = detail ? table_text_width(detail) + 2 : 0;
	size_t room = places > 1 ? places - 1 : 1; /* the last place would begin a new line */
	size_t fixed = head + 2 + 7, bar;

	if (percent < 0) {
		fleet_buffer_printf(&line, "  %s%s%s ...", step, detail ? ": " : "", detail ? detail : "");
		return cut(line.data, room);
	}
	if (fixed + BAR_MIN + tail > room)
		tail = 0;
	bar = room > fixed + tail ? room - fixed - tail : 0;
	bar = bar > BAR_MAX ? BAR_MAX : bar;
	fleet_buffer_printf(&line, "  %s", step);
	if (bar >= BAR_MIN) {
		size_t full = bar * (size_t)percent / 100;

		fleet_buffer_add_string(&line, "  [");
		for (size_t i = 0; i < bar; i++)
			fleet_buffer_add(&line, i < full ? "#" : "-", 1);
		fleet_buffer_add_string(&line, "]");
	}
	fleet_buffer_printf(&line, "  %3d %%", percent);
	if (tail)
		fleet_buffer_printf(&line, "  %s", detail);
	return cut(line.data, room);
}

/* A file of lines wants each step once, and to see that a long one goes on. */
static void tell_plainly(struct progress *p, const char *step, int percent, const char *detail)
{
	int quarter = percent > 0 ? percent / 25 : 0;
	bool same = str_equal(step, p->step);

	if (same && quarter <= p->quarter)
		return;
	if (percent >= 0)
		output_line(stderr, "  %s%s%s (%d %%) ...", step, detail ? ": " : "", detail ? detail : "",
			percent);
	else
		output_line(stderr, "  %s%s%s ...", step, detail ? ": " : "", detail ? detail : "");
	p->quarter = quarter;
	free(p->step);
	p->step = xstrdup(step);
}

void progress_tell(struct progress *p, const char *step, int percent, const char *detail)
{
	_cleanup_free_ char *clean_step = output_clean(step), *clean_detail = output_clean(detail);
	char *line;

	percent = percent > 100 ? 100 : percent;
	if (!p->terminal) {
		tell_plainly(p, clean_step, percent, str_empty(detail) ? NULL : clean_detail);
		return;
	}
	line = progress_line(columns(), clean_step, percent, str_empty(detail) ? NULL : clean_detail);
	if (str_equal(line, p->shown)) {
		free(line);
		return;
	}
	fprintf(stderr, "\r\033[K%s", line);
	(void)fflush(stderr); /* unbuffered anyway */
	p->line_open = true;
	free(p->shown);
	p->shown = line;
}
