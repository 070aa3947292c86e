/* Work inside a directory that others may write to as well: every path is resolved below a descriptor,
 * without following any link (openat2), so that nothing outside is ever reached through it. Blocks; used in
 * operation children. */
#ifndef HOST_BENEATH_H
#define HOST_BENEATH_H
#include <sys/stat.h>
#include "fleet/error.h"

/* openat of path ("" or ".": the directory itself) below dir_fd. Negative errno; -ELOOP where a link is on
 * the way. Descriptors are close-on-exec. */
int beneath_open(int dir_fd, const char *path, int flags) FLEET_MUST_CHECK;
/* The directory that holds path; *ret_name points at path's last part. */
int beneath_open_parent(int dir_fd, const char *path, const char **ret_name) FLEET_MUST_CHECK;
/* lstat below dir_fd. */
int beneath_stat(int dir_fd, const char *path, struct stat *ret) FLEET_MUST_CHECK;
/* A file by its absolute path, to be read. Links on the way are followed where they are root's, or our own
 * user's; its last part is none. -ELOOP for those of others, whenever they were put there. */
int beneath_open_trusted(const char *path) FLEET_MUST_CHECK;
/* An absolute path's directory, without any link in it. */
int beneath_open_absolute(const char *path) FLEET_MUST_CHECK;
/* Removes name and all below it; 0 where there is none. Follows nothing and crosses no mount. */
int beneath_remove(int dir_fd, const char *name) FLEET_MUST_CHECK;
/* Makes what was renamed or created in the directory durable. */
int beneath_sync(int dir_fd) FLEET_MUST_CHECK;

#endif
