/* One format driver, linked into its test: asked to read, check and edit, and measured by the host's
 * own idea of what an edit does. */
#ifndef DRIVER_TRY_H
#define DRIVER_TRY_H
#include "driver_fake.h"

/* The options that calls have from now on; borrowed. */
void try_options(const struct fleet_option *options, uint32_t count);

int try_read(const char *text, size_t len, struct settings *ret, struct fleet_driver_error *err);
int try_check(const char *text, size_t len, struct fleet_driver_error *err);
/* *ret is the caller's, NUL-terminated; untouched on failure. */
int try_edit(const char *text, size_t len, const struct fleet_edit *edits, uint32_t n,
	struct fleet_buffer *ret, struct fleet_driver_error *err);
/* Does the new text say what the edits make of the old one? Tells what not. */
bool try_says_what_was_asked(const char *old, size_t old_len, const char *new, size_t new_len,
	const struct fleet_edit *edits, size_t n);

/* "path=value" sets, "path" alone unsets. The value is the text itself where the format knows text only, else
 * JSON text, in which a string is what stands between its quotes, without escapes. Borrowed. */
struct fleet_edit try_edit_of(const char *spec);

struct try_example {
	const char *before, *edit, *after;
};
/* Each edit gives exactly these bytes, and they say what was asked. Ends with {0}. */
void try_examples(const struct try_example *list);

struct try_refusal {
	const char *before, *edit, *why; /* why: part of the sentence */
};
void try_refusals(const struct try_refusal *list);

struct try_fault {
	const char *text;
	uint32_t line, column;
	const char *why;
};
/* read and check say the same place and reason. Ends with {0}. */
void try_faults(const struct try_fault *list);

/* The settings as "path=value" lines. Owned by the caller. */
char *try_settings_text(const char *text);
/* They are these. */
void try_reads(const char *text, const char *want);
/* Adds a file's bytes to *ret. */
bool try_file_text(const char *path, struct fleet_buffer *ret);

/* Is new what old is but for one run of whole lines, gone, new or changed? Their numbers on either side. */
bool try_lines_differ(
	const struct fleet_buffer *old, const struct fleet_buffer *new, size_t *ret_gone, size_t *ret_came);

#endif
