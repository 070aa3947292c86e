/* How far something is, on stderr: on a terminal one line that is written over, with a bar where a percentage
 * is known and as wide as there is room; elsewhere a line for each step and each quarter of it, without a
 * control sequence. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H
#include "fleet/base.h"

struct progress {
	bool terminal;
	bool line_open; /* a line stands there that is to be written over */
	char *shown;    /* owned: the line as it is, or what was told last */
	char *step;     /* owned: told last */
	int quarter;
};

void progress_init(struct progress *p);
/* percent: -1 unknown. detail: may be NULL. What was told before is not told again. */
void progress_tell(struct progress *p, const char *step, int percent, const char *detail);
/* The line goes: something else is to be said. */
void progress_clear(struct progress *p);
void progress_done(struct progress *p); /* clears too */

/* The line of a terminal with so many columns; owned. For progress.c and its tests. */
char *progress_line(size_t columns, const char *step, int percent, const char *detail);

#endif
