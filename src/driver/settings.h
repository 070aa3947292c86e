/* What a config file says, as the host sees it: a flat list of key paths with typed values, in file order;
 * and the host's own idea of what an edit does to such a list, so that no driver's word about its edit has
 * to be trusted (DESIGN 6). Pure; used in operation children and in the fleet-driver tool.
 *
 * Leaves only: an object or array appears by its members, but an empty one is a leaf of its own ("{}",
 * "[]"). In a format of text (text_only) an array is a name that stands there several times, so one element
 * by itself has no index: `key`, and with a second one `key[0]`, `key[1]`. Two lists are equal when they hold
 * the same (path, type, value) pairs in the same order within each path; order between different paths does
 * not count. */
#ifndef DRIVER_SETTINGS_H
#define DRIVER_SETTINGS_H
#include <json-c/json.h>
#include "fleet/driver.h"
#include "fleet/error.h"

struct setting {
	char *path;  /* owned, escaped as DESIGN 6 */
	char *value; /* owned: text of a string, JSON text of anything else; may hold NUL in a string */
	size_t value_len;
	uint32_t type; /* FLEET_TYPE_* */
	bool maybe; /* settings_apply: a parent emptied by an unset, which a format shows (JSON) or not (INI)
		     */
};
struct settings {
	struct setting *items; /* owned */
	size_t count, capacity;
	bool text_only; /* the format has strings only (FLEET_FORMAT_TEXT_ONLY): nothing else is decided for
			   it */
};
#define SETTINGS_INIT                                                                                        \
	{                                                                                                    \
		NULL, 0, 0, false                                                                            \
	}

void settings_done(struct settings *s);
/* Copies. -E2BIG past FLEET_SETTINGS_PER_FILE_MAX or FLEET_KEY_PATH_MAX; -EINVAL a path that is none
 * (keypath.h), an unknown type, or a value that is none of its type (checked by its form alone). */
int settings_add(struct settings *s, struct fleet_bytes path, struct fleet_bytes value,
	uint32_t type) FLEET_MUST_CHECK;
/* The first item at exactly this path, or NULL. */
const struct setting *settings_find(const struct settings *s, const char *path);

/* What an operator asked for, before its type is known. */
enum settings_mode {
	SETTINGS_AUTO,   /* --set: keeps the existing value's type where the text fits it, else true, false,
			    null and   numbers are literals and the rest strings; never replaces an object or
			    array */
	SETTINGS_STRING, /* --set-string */
	SETTINGS_JSON,   /* --set-json */
};
/* Decides type and value text of a `set` for a file that says `now`. *ret_value is owned by the caller.
 * Checks the key path's syntax and the bounds of limits.h; control characters in a path are refused. A number
 * equal to the one that is there keeps its spelling. Errors never quote the value. -EINVAL with a sentence.
 */
int settings_decide(const struct settings *now, const char *path, const char *text, enum settings_mode mode,
	uint32_t *ret_type, char **ret_value, struct fleet_error *err) FLEET_MUST_CHECK;

/* Applies edits to `before`, in order, by the rules of key paths alone, giving what the file must say
 * afterwards (driver.h, `edit`). -EINVAL where an edit makes no sense (a member of a scalar, an index past
 * the end). */
int settings_apply(const struct settings *before, const struct fleet_edit *edits, size_t count,
	struct settings *ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* 0 when equal, where to a format of text the only element of a list is the same with an index as without;
 * -EBADMSG with the first difference named by its key (never its value). */
int settings_compare(const struct settings *expected, const struct settings *actual,
	struct fleet_error *err) FLEET_MUST_CHECK;

/* Does the glob (`*` within a segment, `**` across) match the key path? For config_keys. */
bool settings_path_matches(const char *glob, const char *path);
/* A key whose name says that its value is a secret (password, secret, token, credential, private key...). */
bool settings_path_is_secret(const char *path);

#endif
