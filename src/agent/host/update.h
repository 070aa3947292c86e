/* An update in its parts, so that doing one, going back to the version before, and taking up what was cut off
 * share them. What is written down when is in docs/ledger.md; what lies where in update_tree.h. Blocks; used
 * in operation children. (DESIGN 7)
 *
 *   update.c          the two operations, up to the moment at which apps are stopped
 *   update_stage.c    the artifact: fetched, copied, hashed, its signature, unpacked
 *   update_swap.c     stop, carry over, exchange, start, health, keep; and the way back
 *   update_apps.c     the apps that share the tree: how they stood, stopping and starting them
 *   update_mounts.c   what is mounted within the tree, and stands in the way
 *   update_recover.c  takes up what was cut off
 *   update_version.c  which of two versions is the newer */
#ifndef HOST_UPDATE_H
#define HOST_UPDATE_H
#include "agent/host/app_record.h"
#include "agent/host/health.h"
#include "agent/host/update_moves.h"
#include "agent/host/update_tree.h"

struct update {
	struct op *op;
	struct tree tree;
	struct moves moves;
	struct app_before *apps; /* the command's own app first */
	size_t app_count;
	bool back;                     /* rollback-app: the new one is the kept one */
	bool ran;                      /* the new version may have run */
	bool left;                     /* `new` has something of the app's own that did not return */
	char *from_version;            /* owned; NULL not known */
	char *to_version;              /* owned; likewise */
	char sha256[FLEET_SHA256_HEX]; /* of `new` where it is a file */
	uint64_t old_number;           /* tree_number of what is to be replaced; 0 not known */
	int64_t down_since_ms;         /* monotonic: when the first app was stopped; 0 none was */
};

void update_init(struct update *u, struct op *op);
void update_done(struct update *u);
/* "2.1.0", or words for a version that nobody knows. Borrowed. */
const char *update_version_name(const char *version);
/* Nobody said what the artifact's bytes must be. */
bool update_no_checksum(const struct update *u);

/* ---- update_apps.c ---- */
/* How every app of the tree stands now. */
int update_look(struct update *u, struct fleet_error *err) FLEET_MUST_CHECK;
/* Stops those that are not stopped, and is sure of it: nothing is moved under a running program. */
int update_stop(struct update *u, struct fleet_error *err) FLEET_MUST_CHECK;
/* Starts those that were not stopped before. *ret_failed: the one whose start failed. */
int update_start(
	struct update *u, const struct app_before **ret_failed, struct fleet_error *err) FLEET_MUST_CHECK;
/* Likewise, but for those that run: one that does not start keeps none of the others down. *ret_failed: the
 * first such. */
int update_start_all(
	struct update *u, const struct app_before **ret_failed, struct fleet_error *err) FLEET_MUST_CHECK;
/* Waits until each that was started is well. since_ms: wall clock of the start; fresh: a start that is not
 * the one from before is due. false: *ret_failed, *ret_verdict say who and why. The own app's status is in
 * the result. */
bool update_all_well(struct update *u, int64_t since_ms, bool fresh, const struct app_before **ret_failed,
	struct health_verdict *ret_verdict);
/* {path, file, sha256, inode, from, to, back, apps: [{id, instance, good, stopped}], moves}; owned. And back.
 */
struct json_object *update_record(const struct update *u);
void update_restore(struct update *u, struct json_object *record);

/* ---- update_stage.c ---- */
/* From the command's arguments to a whole, synced release in `new`. Past a failure there is nothing of it
 * left, and the operation has its result: negative. */
int update_stage(struct update *u) FLEET_MUST_CHECK;
/* Removes what may be left in staging of the command, and what was being unpacked. */
void update_clean(struct update *u);

/* ---- update_swap.c ---- */
/* What is in `new` takes the app's place. Ends in the operation's result, whatever happens. */
void update_swap(struct update *u);
/* After the exchange: start, health, version, keep; where one of them fails, back. */
void update_go_on(struct update *u);
/* The old version returns to its place, whatever of the new one is there, and runs again as it did. why: for
 * the message; code: errorCode. Ends in the result. */
void update_roll_back(struct update *u, const char *code, const char *why);
/* The version before is kept, or removed; nothing else is left beside the tree. NULL, or (owned) words for
 * the result: there is none to go back to. */
char *update_keep(struct update *u);

/* The new version is in the app's place, and the old one in `new`. */
bool update_is_exchanged(const struct update *u);

/* ---- update_recover.c ---- */
struct json_object;
/* Files only: brings what an update left in the middle of its renames to one of its ends, by the ledger's
 * plan of the command id, of which `step` was begun last. to_the_end: nobody takes it up later, and the old
 * version in its place ends it. 1: the new version is in place; 0: the old one. */
int update_put_in_order(const char *id, const char *step, struct json_object *plan, bool to_the_end,
	struct fleet_error *err) FLEET_MUST_CHECK;

/* ---- update_version.c ---- */
/* -1, 0, 1 as a is older, the same or newer: numbers by value, a pre-release before its release. */
int update_version_compare(const char *a, const char *b);

#endif
