/* How a value is written so that it reads back the same. */
#ifndef PLUGINS_INI_VALUE_H
#define PLUGINS_INI_VALUE_H
#include "ini_rules.h"
#include "text.h"

/* Adds the value to out, in `quote` (or none, '\0') if it can stand there so, else in another way that the
 * rules know. NULL; or why it cannot be written, to go behind "the new value ". */
const char *ini_value_add(
	const struct ini_rules *rules, const char *value, size_t len, char quote, struct text *out);

#endif
