/* JSON from outside: parsed within bounds, checked against a table of fields, refused with the path at
 * fault ("$.apps[3].id: must be a string of 1 to 64 bytes"). After the check, plain getters. Objects are
 * json-c's own, with its reference counts. One thread per object. */
#ifndef FLEET_JSON_H
#define FLEET_JSON_H
#include <json-c/json.h>
#include "fleet/error.h"

static inline void fleet_cleanup_json(struct json_object **o)
{
	json_object_put(*o);
}
#define _cleanup_json_ _cleanup_(fleet_cleanup_json)

/* Strict UTF-8 JSON text, one value, at most max_len bytes and FLEET_JSON_DEPTH_MAX deep; no NUL, nothing
 * after the value. -E2BIG too long, -EBADMSG not JSON (with line and column). *ret owned (json_object_put);
 * a JSON null gives *ret == NULL. */
int fleet_json_parse(const char *text, size_t len, size_t max_len, struct json_object **ret,
	struct fleet_error *err) FLEET_MUST_CHECK;

enum fleet_json_type {
	FLEET_JSON_ANY,
	FLEET_JSON_STRING,  /* min, max: bytes */
	FLEET_JSON_INTEGER, /* min, max: value, where max > min */
	FLEET_JSON_NUMBER,
	FLEET_JSON_BOOLEAN,
	FLEET_JSON_OBJECT, /* min, max: members. With fields: their check. With map: a free map, see element
			    */
	FLEET_JSON_ARRAY,  /* min, max: elements */
	FLEET_JSON_TIME,   /* RFC 3339 */
	FLEET_JSON_UUID,
	FLEET_JSON_ID, /* fleet_id_is_valid */
};
enum {
	FLEET_JSON_REQUIRED = 1,
	FLEET_JSON_NULLABLE = 2, /* null counts as absent */
};

/* One member of an object. A table ends with {0}. Members not in the table are ignored (forward
 * compatibility), unless fleet_json_check_strict is used. A string never has a NUL inside. */
struct fleet_json_field {
	const char *key;
	enum fleet_json_type type;
	unsigned flags;
	int64_t min, max;                      /* 0, 0: no bound beyond the text's own */
	const struct fleet_json_field *fields; /* of the object, or of each object in the array */
	enum fleet_json_type element;          /* of each array element or map value; ANY: not checked */
	const char *const *one_of;             /* NULL-terminated, for strings */
};

/* at: the path of obj itself, "$" at the top. -EINVAL with the path and what it must be. */
int fleet_json_check(struct json_object *obj, const struct fleet_json_field *fields, const char *at,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Also refuses members that the table does not name (REST bodies: a typo must not be ignored). */
int fleet_json_check_strict(struct json_object *obj, const struct fleet_json_field *fields, const char *at,
	struct fleet_error *err) FLEET_MUST_CHECK;

/* Getters never fail: NULL or the default where the member is absent, null or of another type. Borrowed. */
const char *fleet_json_string(struct json_object *obj, const char *key);
int64_t fleet_json_int(struct json_object *obj, const char *key, int64_t otherwise);
double fleet_json_number(struct json_object *obj, const char *key, double otherwise);
bool fleet_json_bool(struct json_object *obj, const char *key, bool otherwise);
struct json_object *fleet_json_object(struct json_object *obj, const char *key);
struct json_object *fleet_json_array(struct json_object *obj, const char *key);
struct json_object *fleet_json_get(struct json_object *obj, const char *key);

/* Adders; a NULL text or value adds nothing ("absent means unknown"). */
void fleet_json_add_string(struct json_object *obj, const char *key, const char *value);
void fleet_json_add_int(struct json_object *obj, const char *key, int64_t value);
void fleet_json_add_number(
	struct json_object *obj, const char *key, double value); /* at most 3 decimals shown */
void fleet_json_add_bool(struct json_object *obj, const char *key, bool value);
void fleet_json_add_time(struct json_object *obj, const char *key, int64_t unix_ms); /* 0 adds nothing */
void fleet_json_add(struct json_object *obj, const char *key, struct json_object *takes_value);
void fleet_json_add_words(struct json_object *obj, const char *key, const char *text); /* "a,b" as an array */
void fleet_json_append_string(struct json_object *array, const char *value);

/* Does the value hold more than levels objects and arrays, one inside the other? (A plain value holds none.)
 */
bool fleet_json_is_deeper(struct json_object *value, unsigned levels);

/* Compact text (no spaces, slashes not escaped), borrowed from obj until it changes. */
const char *fleet_json_text(struct json_object *obj, size_t *ret_len);
/* Canonical text: members sorted by bytewise key order at every level, compact, UTF-8 as it is, control
 * characters escaped. Owned by the caller. The form is what docs/protocol.md calls canonical JSON. */
char *fleet_json_canonical(struct json_object *obj, size_t *ret_len);

#endif
