/* The place of an app's program, a directory or one file, and the room beside it where its next and its
 * previous version lie: PARENT/.NAME.fleet, root's, 0700, in the same file system, with
 *
 *   unpack     a release being unpacked; never anything else, so it may go at any time
 *   new        what is to take the app's place, whole and synced; after the exchange, what was there before
 *   old        for a moment, where the exchange is not one step (see tree_exchange)
 *   previous   the version before the one that runs, kept for a rollback; previous.json says which that is
 *   moving     an empty directory: what is the app's own may be in `new`, or the version before, from before
 *              the first of it moves over until all of it is known to be in the app's place
 *   left       what may hold some of that and could not be put back (left.2 and so on: one is never written
 *              over). For a person to look at: nothing here removes it
 *
 * The old version is known by its inode number, which renames and reboots leave as it is, and so does
 * whatever either version does to its own files: tree_is_exchanged. Where the number says nothing (a file
 * system that has no lasting ones), the new one is known by its marker (EXTRACT_MARKER), or by its hash where
 * it is a file. Every step of a swap can be told from what lies where, so that recovery needs no more than
 * the ledger's record of the plan. Blocks; used in operation children, and by the files-only recovery at
 * boot. (DESIGN 7) */
#ifndef HOST_UPDATE_TREE_H
#define HOST_UPDATE_TREE_H
#include <sys/stat.h>
#include "fleet/encode.h"
#include "fleet/error.h"
#include "fleet/json.h"

#define TREE_UNPACK   "unpack"
#define TREE_NEW      "new"
#define TREE_OLD      "old"
#define TREE_PREVIOUS "previous"
#define TREE_MOVING   "moving"
#define TREE_LEFT     "left"

struct tree {
	char *path, *name; /* owned */
	int parent_fd, work_fd;
	bool is_file;
};
#define TREE_INIT                                                                                            \
	{                                                                                                    \
		NULL, NULL, -1, -1, false                                                                    \
	}

/* Opens the place and makes the room beside it. as_file: what it was, where it is not there at all (a swap
 * was cut in the middle); -1 where it must be there. -ENOENT, -ELOOP (a link), -EINVAL neither directory nor
 * file. */
int tree_open(const char *path, int as_file, struct tree *ret, struct fleet_error *err) FLEET_MUST_CHECK;
void tree_done(struct tree *t);

/* Of what lies in the app's place, or (in_work) under that name in the room beside it. */
bool tree_exists(const struct tree *t, const char *in_work);
/* Its inode's number; 0 where there is nothing. */
uint64_t tree_number(const struct tree *t, const char *in_work);
/* Did the two change places? old: the number of what was in the app's place before, 0 not known. id: the
 * command's; sha256: of the new file, for a file. */
bool tree_is_exchanged(const struct tree *t, uint64_t old, const char *id, const char *sha256);
/* Writes the marker into the directory, synced. version may be NULL. */
int tree_mark(const struct tree *t, const char *in_work, const char *id, const char *version,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* The SHA-256 of a file in hex. */
int tree_hash_file(const struct tree *t, const char *in_work, char ret[FLEET_SHA256_HEX],
	struct fleet_error *err) FLEET_MUST_CHECK;

/* Changes the app's place and `new` for each other: in one step where the file system can, else in three,
 * each synced (tree_settle finishes or undoes what was cut in between). */
int tree_exchange(const struct tree *t, struct fleet_error *err) FLEET_MUST_CHECK;
/* The other way round: `new` has the old version, which comes back also where the new one has removed itself.
 */
int tree_exchange_back(const struct tree *t, struct fleet_error *err) FLEET_MUST_CHECK;
/* After a crash: brings an exchange of three steps to one of its ends. */
int tree_settle(const struct tree *t, struct fleet_error *err) FLEET_MUST_CHECK;
/* Within the room beside it: from takes to's place, which is removed first. Synced. 0 where from is not
 * there. */
int tree_keep(
	const struct tree *t, const char *from, const char *to, struct fleet_error *err) FLEET_MUST_CHECK;
int tree_remove(const struct tree *t, const char *in_work, struct fleet_error *err) FLEET_MUST_CHECK;
/* Makes `moving`, synced; and takes it away. */
int tree_begin_moving(const struct tree *t, struct fleet_error *err) FLEET_MUST_CHECK;
void tree_end_moving(const struct tree *t);
/* To the first free name of `left`; 0 where it is not there. -ENFILE where all are taken. */
int tree_set_aside(const struct tree *t, const char *in_work, struct fleet_error *err) FLEET_MUST_CHECK;
/* Removes the room itself if nothing is in it any more. */
void tree_tidy(const struct tree *t);

/* Which version the kept one is. *ret: {version, commandId}, owned; NULL where that is not known. */
struct json_object *tree_previous_note(const struct tree *t);
int tree_note_previous(
	const struct tree *t, const char *version, const char *id, struct fleet_error *err) FLEET_MUST_CHECK;
void tree_forget_note(
	const struct tree *t); /* it may be about another version than the one that lies there */

/* For tests: called with a name before each change on the disk that recovery must be able to take up. */
extern void (*tree_step_hook)(const char *step);
void tree_at_step(const char *step);

#endif
