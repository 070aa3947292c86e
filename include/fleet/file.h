/* Reading with a bound and writing durably, for the project's own files. (What touches an app's files is
 * src/driver's safe_file.) Blocks; not for an event loop that serves peers. */
#ifndef FLEET_FILE_H
#define FLEET_FILE_H
#include <sys/types.h>
#include "fleet/error.h"

/* Reads a regular file of at most max bytes. *ret_data is owned by the caller, NUL-terminated.
 * -EFBIG past the bound, -EINVAL not a regular file, else what open/read said. */
int fleet_file_read(const char *path, size_t max, char **ret_data, size_t *ret_len,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* The same from a descriptor (borrowed), from its start. name: for the message. */
int fleet_file_read_fd(int fd, const char *name, size_t max, char **ret_data, size_t *ret_len,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* The whole of it, however often the kernel takes a part. */
int fleet_file_write_all(int fd, const void *data, size_t len) FLEET_MUST_CHECK;
/* Replaces path whole or not at all: temp file in the same directory with mode, fsync, rename, fsync of the
 * directory. */
int fleet_file_write_durable(const char *path, const void *data, size_t len, mode_t mode,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Removes what such writes, cut off by a crash, left in this directory: of the file with this name, or (NULL)
 * of any. Only while nobody writes it. */
void fleet_file_clean_partial(const char *dir, const char *name);
/* mkdir -p; existing directories are left as they are, new ones get mode. */
int fleet_mkdir_parents(const char *path, mode_t mode, struct fleet_error *err) FLEET_MUST_CHECK;
/* The directory that holds this program's file (from /proc/self/exe), owned by the caller. */
int fleet_program_dir(char **ret_dir, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
