/* JSON text taken apart into its leaves with every spelling kept: big integers and 1.0 stay what they are,
 * which a JSON library's numbers do not promise. For values that operators give (--set-json); strict RFC
 * 8259, bounded. Pure. */
#ifndef DRIVER_JSON_LEAVES_H
#define DRIVER_JSON_LEAVES_H
#include "fleet/buffer.h"
#include "fleet/driver.h"
#include "fleet/error.h"

/* FLEET_TYPE_INTEGER or FLEET_TYPE_NUMBER when the text is one JSON number and nothing else, else -1. */
int json_number_type(const char *text, size_t len);
/* Are two JSON numbers the same number, whatever their spelling (1.0, 1, 10e-1)? Exact for any size. */
bool json_numbers_equal(const char *a, const char *b);

/* Gives each leaf of the JSON text, with its key path below `at`, to leaf(): empty containers are leaves;
 * value is the text of a string (unescaped, UTF-8) or the JSON text. A negative return of leaf ends it and is
 * returned. -EINVAL not JSON, a name twice in one object, or a string with NUL or half a surrogate pair; with
 * a sentence that never quotes the text. */
int json_leaves(const char *at, const char *text, size_t len,
	int (*leaf)(struct fleet_bytes path, struct fleet_bytes value, uint32_t type, void *arg), void *arg,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* The type of the JSON text's outermost value (FLEET_TYPE_*), or -1 where there is none. Does not check the
 * rest. */
int json_outer_type(const char *text, size_t len);
/* Adds a name to a key path in out, escaped and with its dot. */
void json_path_add_name(struct fleet_buffer *out, const char *name, size_t len);

#endif
