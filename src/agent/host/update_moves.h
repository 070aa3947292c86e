/* What an update carries over from one version's tree to the next, because the app or an admin wrote it: the
 * directories that `preserve` names, and config files. They are moved, not copied, while the app is stopped,
 * and moved back the same way where the new version does not hold. What the release brings under the same
 * name stays beside it as NAME.release. What was moved and what not can be told from the two trees alone.
 * Blocks; used where update_tree.h is. */
#ifndef HOST_UPDATE_MOVES_H
#define HOST_UPDATE_MOVES_H
#include "agent/host/apps.h"
#include "agent/host/update_tree.h"

struct move {
	char *path;   /* within the tree; owned */
	bool config;  /* a config file; else preserved */
	bool existed; /* in the old tree when it was decided */
};
struct moves {
	struct move *items; /* owned */
	size_t count;
};

/* For every app of apps that has its program at the tree's path. Before moves_decide nothing has `existed`.
 */
void moves_collect(const struct tree *t, const struct apps *apps, struct moves *ret);
void moves_done(struct moves *m);
/* Does one of them bring this path within the tree along? */
bool moves_cover(const struct moves *m, const char *path);
/* May it be? -EINVAL, -ELOOP: something is a link, or lies beyond one, that an update would part from what it
 * leads to. */
int moves_check(const struct tree *t, struct moves *m, struct fleet_error *err) FLEET_MUST_CHECK;
/* Likewise of mounts within the tree (update_mounts.c): -EINVAL. */
int moves_check_mounts(const struct tree *t, const struct moves *m, struct fleet_error *err) FLEET_MUST_CHECK;
/* Looks at what is there in the app's place; when the app is stopped. */
int moves_decide(const struct tree *t, struct moves *m, struct fleet_error *err) FLEET_MUST_CHECK;
/* [{path, config, existed}]; owned. And back. */
struct json_object *moves_to_json(const struct moves *m);
void moves_from_json(struct json_object *list, struct moves *ret);

/* From the app's place into `new`, before the exchange. Synced. */
int moves_carry(const struct tree *t, const struct moves *m, struct fleet_error *err) FLEET_MUST_CHECK;
/* Back from `new` into the app's place: undoes moves_carry, or, after an exchange back, all that happened
 * since. ran: the new version did, and what it made itself below a preserved name comes along. Does nothing
 * twice. 1: it made a link of something, and what that leads to is still in `new`, which is not to be thrown
 * away. */
int moves_return(
	const struct tree *t, const struct moves *m, bool ran, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
