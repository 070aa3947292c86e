/* YAML into a tree that remembers where each node stood, for the admin's files: every complaint can name
 * file, line, column and why. One document; depth, nodes and aliases bounded; duplicate keys refused.
 * Scalars keep their text; the getters give it a type. Pure; any thread. */
#ifndef FLEET_YAML_H
#define FLEET_YAML_H
#include "fleet/error.h"

enum fleet_yaml_kind { FLEET_YAML_SCALAR, FLEET_YAML_SEQUENCE, FLEET_YAML_MAPPING };

struct fleet_yaml_node {
	enum fleet_yaml_kind kind;
	unsigned line, column;           /* 1-based */
	char *text;                      /* scalar: NUL-terminated, no NUL inside */
	bool quoted;                     /* scalar: was quoted, so it is a string whatever it looks like */
	size_t count;                    /* sequence: items; mapping: pairs */
	struct fleet_yaml_node **keys;   /* mapping: scalars */
	struct fleet_yaml_node **values; /* sequence and mapping; an alias points at the same node again */
};

struct fleet_yaml; /* owns its nodes */

/* name: the file's name for messages. *ret owned. -EBADMSG "NAME:LINE:COLUMN: why". An empty document has
 * a root of NULL. */
int fleet_yaml_parse(const char *text, size_t len, const char *name, struct fleet_yaml **ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
void fleet_yaml_free(struct fleet_yaml *yaml);
FLEET_DEFINE_CLEANUP(struct fleet_yaml *, fleet_yaml_free)
const struct fleet_yaml_node *fleet_yaml_root(const struct fleet_yaml *yaml);
const char *fleet_yaml_name(const struct fleet_yaml *yaml);

/* Value of key in a mapping; NULL where absent. Borrowed. */
const struct fleet_yaml_node *fleet_yaml_get(const struct fleet_yaml_node *mapping, const char *key);

/* Fills err with "NAME:LINE:COLUMN: <text>" and returns -EINVAL. */
int fleet_yaml_error(const struct fleet_yaml *yaml, const struct fleet_yaml_node *node,
	struct fleet_error *err, const char *fmt, ...) FLEET_PRINTF(4, 5);

/* Typed readings: 0 and *ret set; 0 and *ret untouched where key is absent (or null); -EINVAL with the place.
 */
int fleet_yaml_get_string(const struct fleet_yaml *y, const struct fleet_yaml_node *mapping, const char *key,
	const char **ret, struct fleet_error *err) FLEET_MUST_CHECK;
int fleet_yaml_get_bool(const struct fleet_yaml *y, const struct fleet_yaml_node *mapping, const char *key,
	bool *ret, struct fleet_error *err) FLEET_MUST_CHECK; /* true, false */
int fleet_yaml_get_int(const struct fleet_yaml *y, const struct fleet_yaml_node *mapping, const char *key,
	int64_t min, int64_t max, int64_t *ret, struct fleet_error *err) FLEET_MUST_CHECK;
int fleet_yaml_get_duration_ms(const struct fleet_yaml *y, const struct fleet_yaml_node *mapping,
	const char *key, int64_t *ret, struct fleet_error *err) FLEET_MUST_CHECK;
int fleet_yaml_get_mapping(const struct fleet_yaml *y, const struct fleet_yaml_node *mapping, const char *key,
	const struct fleet_yaml_node **ret, struct fleet_error *err) FLEET_MUST_CHECK;
int fleet_yaml_get_sequence(const struct fleet_yaml *y, const struct fleet_yaml_node *mapping,
	const char *key, const struct fleet_yaml_node **ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* Every key of mapping is in names (NULL-terminated), or -EINVAL with "unknown key 'x'; did you mean 'y'?".
 */
int fleet_yaml_check_keys(const struct fleet_yaml *y, const struct fleet_yaml_node *mapping,
	const char *const *names, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
