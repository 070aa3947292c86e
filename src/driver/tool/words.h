/* How settings are printed: type names, JSON strings, and texts that cannot reach the terminal as anything
 * but text. Pure. */
#ifndef TOOL_WORDS_H
#define TOOL_WORDS_H
#include "fleet/buffer.h"

const char *words_type(uint32_t type); /* "string" ... of FLEET_TYPE_*; "?" */
/* One line, cut where it is long; newlines as \n, other control characters and broken UTF-8 as ?. Owned. */
char *words_for_terminal(const char *text, size_t len);
/* Characters, which is what most terminals need in columns. */
size_t words_width(const char *text);
/* Adds a JSON string; bytes that are no UTF-8 become U+FFFD. */
void words_add_json(struct fleet_buffer *out, const char *text, size_t len);

#endif
