/* A file of environment variables as its readers see it: `sh`, which sources it, and systemd, which has it as
 * an EnvironmentFile=. The two have different grammars, and systemd's changed in version 254 (a backslash at
 * a comment's end no longer takes in the next line), so a file where that matters is read three times. An
 * edit is safe where all three find it and nothing else changed (env_verify.c).
 *
 * What every reader is spared, because it marks the whole file and no value: CR LF is a line end to sh too
 * (it would have the CR in each value), a line that begins with `;` is a comment to sh too (it would stop
 * there), and to systemd the word `export` does not belong to the name (it would pass the line over). */
#ifndef PLUGINS_ENV_READING_H
#define PLUGINS_ENV_READING_H
#include "lines.h"

#define ENV_NONE ((size_t)-1)

enum env_reader { ENV_SH, ENV_SYSTEMD, ENV_SYSTEMD_OLD, ENV_READERS };

/* An assignment, or of sh a command that is none: name_len 0. All are places in the file. */
struct env_entry {
	size_t start, name_len;        /* the name, or the command */
	size_t value_start, value_end; /* behind the `=`, as spelled; of a command its end */
	size_t line_start, line_end;   /* the whole lines that the statement takes, with the line end */
	size_t text, text_len;         /* what it means: in the reading's texts */
	bool exported;
	bool sure;    /* always carried out, here, as an assignment and nothing else */
	bool literal; /* nothing in the value is expanded */
	bool hidden;  /* behind a byte order mark, which makes the name another one */
};
struct env_reading {
	struct env_entry *list; /* owned; in the file's order */
	size_t count, capacity;
	struct text texts; /* owned */
};

/* The new entry, zeroed; NULL without memory, which texts.failed then says too. */
struct env_entry *env_reading_add(struct env_reading *r);
void env_reading_done(struct env_reading *r);

/* -EINVAL with the place where sh could not read on, or where there is more of a program than can be known
 * here: blocks, functions, here-documents. */
int env_read_sh(const char *s, size_t len, struct env_reading *out, struct fleet_driver_error *err);
/* Never fails but for memory: systemd passes over what it does not understand. True where a version of the
 * other kind (old: before 254) reads, or may read, the file otherwise. */
bool env_read_systemd(const char *s, size_t len, bool old, struct env_reading *out);

/* Bytes of the variable's name that s begins with; 0: none. */
size_t env_name_length(const char *s, size_t len);

static inline const char *env_entry_text(const struct env_reading *r, const struct env_entry *e)
{
	return e->text_len > 0 ? r->texts.data + e->text : "";
}

#endif
