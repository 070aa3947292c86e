/* Words as sh takes them, from a text of which the place is known. */
#ifndef PLUGINS_ENV_WORD_H
#define PLUGINS_ENV_WORD_H
#include "lines.h"

struct env_shell {
	const char *s;
	size_t len, at;
	struct fleet_driver_error *err;
};

/* What p->at is at. */
bool env_shell_at_line_end(const struct env_shell *p); /* or the end of the file */
void env_shell_skip_blanks(struct env_shell *p);       /* and line ends behind a backslash */

/* Takes one word, or in an assignment what is behind the `=`, and adds to out what it means: quotes gone,
 * expansions as they are spelled. *ret_literal: nothing in it is expanded. -EINVAL with the place where sh
 * finds no end, or where shells differ. */
int env_word_take(struct env_shell *p, bool assigned, struct text *out, bool *ret_literal);

/* Fills *p->err; returns -EINVAL. */
int env_shell_fail(const struct env_shell *p, size_t at, const char *why);

#endif
