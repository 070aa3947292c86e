/* Small questions about words that people type. Pure; any thread. */
#ifndef FLEET_TEXT_H
#define FLEET_TEXT_H
#include "fleet/base.h"

/* The candidate nearest to word by edit distance (transpositions count one), or NULL where none is near
 * enough to suggest. Borrowed from candidates. */
const char *fleet_text_nearest(const char *word, const char *const *candidates, size_t count);
bool fleet_text_is_utf8(const char *text, size_t len);
/* Bytes of the well-formed sequence that text begins with, at most len; 0 where there is none. */
size_t fleet_text_utf8_sequence(const char *text, size_t len);

#endif
