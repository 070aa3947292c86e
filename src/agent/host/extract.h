/* Unpacking a release into an empty directory of ours, before the app that it is for is touched. An archive
 * says which files there are, whether they are to be executed, and what is in them; everything else comes
 * from the tree that runs now: owner, group, how much others may, file capabilities. Nothing lands outside
 * the directory, nothing is a device or setuid, and bytes, entries and their ratio to the artifact are
 * bounded (limits.h). Blocks; used in operation children. (DESIGN 7) */
#ifndef HOST_EXTRACT_H
#define HOST_EXTRACT_H
#include <sys/stat.h>
#include "fleet/error.h"

#define EXTRACT_MARKER ".fleet-release" /* at a tree's root; no archive may bring one along */

/* Who owns what is new, and what others may do with it. */
struct extract_owner {
	uid_t uid;
	gid_t gid;
	mode_t mask; /* permissions that may be given */
	void *caps;  /* value of security.capability; owned, NULL none */
	size_t caps_len;
};
/* old_fd: the tree that runs now, -1 none. path: of an entry in both; "" the root. Its own owner where old_fd
 * has it, else the root's. */
void extract_owner_find(int old_fd, const char *path, struct extract_owner *ret);
void extract_owner_done(struct extract_owner *o);
/* Gives the open file its owner, then its mode (mode & 0777 within the mask), then its capabilities. */
int extract_owner_apply(int fd, const struct extract_owner *o, mode_t mode) FLEET_MUST_CHECK;
/* Does that for the tree of new_fd and all in it; until then it is all ours. */
int extract_dress(int new_fd, int old_fd, struct fleet_error *err) FLEET_MUST_CHECK;

struct extract_order {
	const char *reader; /* path of fleet-unpack */
	int artifact_fd;
	int64_t artifact_bytes;
	int into_fd;         /* empty directory */
	int64_t deadline_ms; /* monotonic */
	void (*progress)(int percent, void *arg);
	void *arg;
};
struct extract_tally {
	int64_t bytes;
	unsigned entries;
	char *only; /* the one directory at the top that holds everything; owned, NULL where that is not so */
	unsigned slack; /* how many directories up the whole may move before a link leads out of it */
};

/* Does the artifact begin as an archive does that is understood here? Negative errno where it cannot be read.
 */
int extract_is_archive(int artifact_fd) FLEET_MUST_CHECK;
/* -EBADMSG damaged or not an archive; -EINVAL it holds what it must not; -E2BIG past a bound; -ENOSPC;
 * -ETIMEDOUT. What was written by then is the caller's to remove. */
int extract_archive(const struct extract_order *order, struct extract_tally *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
void extract_tally_done(struct extract_tally *t);

/* Is there room for more bytes in the file system of fd, with some to spare for everybody else? -ENOSPC with
 * a sentence that says what of. */
int extract_check_space(int fd, int64_t bytes, const char *what, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
