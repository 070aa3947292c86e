/* Which names and links an archive may bring along: below the tree it is unpacked into, and nowhere else.
 * Pure. Used by extract.c. */
#ifndef HOST_EXTRACT_PATH_H
#define HOST_EXTRACT_PATH_H
#include "fleet/error.h"

/* The entry's name as a path below the tree: "./a//b/" becomes "a/b", and "./" becomes "". *ret owned.
 * -EINVAL with a sentence for an absolute name, "..", what is too long or too deep, a control character. */
int extract_path_clean(const char *name, char **ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* How many directories path lies in. */
unsigned extract_path_depth(const char *path);
/* A symbolic link at path (clean) with this target: -EINVAL where it is absolute or could lead out of the
 * tree. Only leading ".." are taken, since what a ".." after a name means depends on what that name is.
 * *ret_slack: how many directories higher it could lie and still stay inside. */
int extract_path_check_link(
	const char *path, const char *target, unsigned *ret_slack, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
