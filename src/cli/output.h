/* Everything that fleetctl prints. One call is one line: whatever a server's text holds, it can neither begin
 * a line of its own nor reach the terminal as an escape sequence. Results go to stdout, failures and hints to
 * stderr. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H
#include "fleet/json.h"

/* text without control characters (C1 ones and those that turn the writing direction included) and broken
 * UTF-8: each is a `?`. Owned; NULL gives NULL. */
char *output_clean(const char *text);
/* Formats, cleans, and adds the newline. */
void output_line(FILE *out, const char *fmt, ...) FLEET_PRINTF(2, 3);
/* A text of several lines, each cleaned and indented; cut after max_bytes. */
void output_text(FILE *out, const char *indent, const char *text, size_t max_bytes);
/* JSON on stdout: one element (member) of the outermost array (object) a line. Nothing is lost: what a
 * terminal would obey is escaped. */
void output_json(struct json_object *value);
/* The same, all in one line. */
void output_json_line(struct json_object *value);
/* Did all of stdout arrive? Says so on stderr if not. */
bool output_flush(void);

#endif
