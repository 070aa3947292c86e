/* Key paths, `servers[0].name`, as driver.h defines their grammar: parsed strictly, so that every value has
 * exactly one spelling and two paths are the same when their texts are. Pure; any process. */
#ifndef DRIVER_KEYPATH_H
#define DRIVER_KEYPATH_H
#include "fleet/error.h"

#define KEYPATH_PARTS_MAX 128

/* A document of a file of several, `[doc1]`, counts as a name: it is a member of the whole. */
enum keypath_kind { KEYPATH_NAME, KEYPATH_INDEX, KEYPATH_APPEND };

struct keypath_part {
	enum keypath_kind kind;
	uint32_t index;    /* of KEYPATH_INDEX */
	size_t start, end; /* where it stands in the text: text[0..end) is the path of this part's value */
};
struct keypath {
	struct keypath_part parts[KEYPATH_PARTS_MAX];
	size_t count; /* 0: the document itself */
};

/* text: len bytes, need not end with NUL. -EINVAL with what is wrong and where; [+] only where allow_append.
 * The message quotes the text, sanitized. */
int keypath_parse(const char *text, size_t len, bool allow_append, struct keypath *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;

/* Is `path` the path of something inside the value at text[0..len)? If so *ret_kind (may be NULL) says
 * whether it is a member (KEYPATH_NAME) or an element (KEYPATH_INDEX). Both well-formed. */
bool keypath_is_below(const char *path, const char *text, size_t len, enum keypath_kind *ret_kind);

#endif
