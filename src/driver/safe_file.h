/* Replacing somebody else's file: whole or not at all, and as it was in everything but its bytes. The
 * directory is opened once, without following any link (links were followed and pinned when the app was
 * declared), and everything happens relative to it: read, a temp file beside the target with its owner, mode,
 * ACL and extended attributes, fsync, rename, fsync of the directory. Blocks; used in the host's operation
 * children and in the fleet-driver tool. (DESIGN 7) */
#ifndef DRIVER_SAFE_FILE_H
#define DRIVER_SAFE_FILE_H
#include <sys/stat.h>
#include "fleet/encode.h"
#include "fleet/error.h"

struct safe_file {
	int dir_fd;
	char *path; /* owned; for messages */
	char *name; /* owned; last part of path */
};
struct safe_content {
	char *data; /* owned, NUL-terminated */
	size_t len;
	bool exists; /* false: no such file, data "" */
	char hash[sizeof("sha256:") + FLEET_SHA256_HEX];
};
#define SAFE_FILE_HASH_LEN (sizeof("sha256:") - 1 + 2 * FLEET_SHA256_LEN)

/* real_path: absolute, no links (-ELOOP otherwise). */
int safe_file_open(const char *real_path, struct safe_file *ret, struct fleet_error *err) FLEET_MUST_CHECK;
void safe_file_done(struct safe_file *f);

/* Makes the directory that the file is to lie in, as its own parent is: owner, and mode but for what others
 * may write. The parent must be there; a directory that is there already is fine. */
int safe_file_make_directory(const char *real_path, struct fleet_error *err) FLEET_MUST_CHECK;

/* At most FLEET_CONFIG_FILE_MAX bytes of a regular file with one name. A missing file is no error. */
int safe_file_read(
	const struct safe_file *f, struct safe_content *ret, struct fleet_error *err) FLEET_MUST_CHECK;
void safe_content_done(struct safe_content *c);
void safe_content_hash(const void *data, size_t len, char ret_hash[SAFE_FILE_HASH_LEN + 1]);

/* Replaces the file by data, if it still is what expect says (-ESTALE otherwise: somebody else changed it). A
 * file that did not exist gets the owner of its directory and mode 0640. tag makes the temp file's name, so
 * that whoever cleans up after a crash can tell it (safe_file_clean). */
int safe_file_replace(const struct safe_file *f, const struct safe_content *expect, const void *data,
	size_t len, const char *tag, struct fleet_error *err) FLEET_MUST_CHECK;
/* Removes the file if it still is what expect says. */
int safe_file_remove(const struct safe_file *f, const struct safe_content *expect,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Removes a temp file that a crash left behind; none is fine. */
void safe_file_clean(const struct safe_file *f, const char *tag);

/* "file:DEV:INO:NAME" of the directory's device and inode and the last name, which outlives the replacement
 * of the file itself; the path where the directory is not there. Owned. */
char *safe_file_key(const char *real_path);

/* For tests: called before each step of a replacement with its name (temp, attributes, sync, rename,
 * directory). */
extern void (*safe_file_step_hook)(const char *step);

#endif
