/* Files of many formats, what their lenses say of them, and edits of single lines. */
#ifndef DRIVER_AUGEAS_FORMATS_H
#define DRIVER_AUGEAS_FORMATS_H
#include <stdint.h>
#include <stddef.h>

struct augeas_change {
	const char *edits; /* as try_edit_of takes them, parted by ;; */
	const char *gone,
		*came; /* the one place of the text that changes; NULL: only proven by what it says */
};
struct augeas_format {
	const char *lens, *text, *told;
	struct augeas_change changes[12]; /* ends with {0} */
	const char *malformed;
	uint32_t line, column;
};
/* Ends with {0}. */
extern const struct augeas_format augeas_formats[];

#endif
