/* What a plain scalar is, and how texts are written so that every reader takes them for texts.
 *
 * Programs read YAML 1.1 or 1.2, and do not agree on what is a number. What is read here as something other
 * than a string is what nearly all agree on:
 *   null      nothing at all, ~, null, Null, NULL
 *   boolean   true, false, and 1.1's yes, no, on, off, each in lower, Capital and UPPER case
 *   integer   decimal without leading zeros, 0x1F, 0o17
 *   number    with a point, an exponent or both
 * The spellings that they quarrel about are read as strings that keep their spelling: leading zeros (0644),
 * underscores (1_000), base 60 (1:30), 0b101, signed hex, .inf and .nan, dates and times. A new text of the
 * same kind takes such a value's place as plainly as it stood there; elsewhere it is quoted, as is every text
 * that any of the two versions would read as something else. */
#ifndef PLUGINS_YAML_SCALAR_H
#define PLUGINS_YAML_SCALAR_H
#include "fleet/driver.h"
#include "text.h"

/* Why a plain text would not be read as a string by everyone. */
enum yaml_plain {
	YAML_PLAIN_STRING,
	YAML_PLAIN_NULL,
	YAML_PLAIN_BOOLEAN,
	YAML_PLAIN_INTEGER,
	YAML_PLAIN_NUMBER,
	YAML_PLAIN_ZEROS, /* read as strings here, from here on */
	YAML_PLAIN_UNDERSCORES,
	YAML_PLAIN_SIXTY,
	YAML_PLAIN_BASE,
	YAML_PLAIN_INFINITE,
	YAML_PLAIN_TIME,
	YAML_PLAIN_WORD /* y, n, =, << */
};
enum yaml_plain yaml_plain_of(const char *text, size_t len);
/* FLEET_TYPE_* of it. */
uint32_t yaml_plain_type(enum yaml_plain plain);
/* The word for value from the pair that `old` (true, Yes, OFF...) is of, in its case. Constant. */
const char *yaml_boolean_like(const char *old, size_t len, bool value);
/* The JSON text of a plain null, boolean or number. */
void yaml_plain_json(enum yaml_plain plain, const char *text, size_t len, struct text *out);

/* How a text is to be written if that can be: quote is '"', '\'' or 0 for plain. flow: inside of [] or {}.
 * kind: the plain text that is replaced, or YAML_PLAIN_STRING. */
void yaml_add_string(
	const char *text, size_t len, char quote, bool flow, enum yaml_plain kind, struct text *out);
/* Can the text be the content of a block scalar (one line or more, of printable characters)? */
bool yaml_fits_block(const char *text, size_t len);

#endif
