/* The API keys: those of console.yaml and those that admins make. All of them are in memory, so that no
 * request waits for a disk; the store keeps the latter, and when they were used (written behind). Event loop
 * only; `fleet-console key` has a loop of its own. */
#ifndef CONSOLE_KEYS_H
#define CONSOLE_KEYS_H
#include "console/config.h"
#include "console/store.h"

struct keys {
	struct store *store;    /* borrowed */
	struct api_key **items; /* owned, each a reference; revoked ones too */
	size_t count;
	int64_t saved_ms; /* monotonic */
	/* Told when a key is no good any more, or its secret is another one: what was opened with it ends.
	 * May be NULL. */
	void (*gone)(const struct api_key *key, void *arg);
	void *arg;
};

void keys_init(struct keys *keys, struct store *store, const struct console_config *config);
/* Synchronous: before the loop runs. A name of console.yaml that a stored key has too is an error. */
int keys_load(struct keys *keys, struct fleet_error *err) FLEET_MUST_CHECK;
void keys_done(struct keys *keys);

enum key_state { KEY_UNKNOWN, KEY_VALID, KEY_EXPIRED, KEY_REVOKED };
/* Whose secret is it? *ret borrowed; NULL where nobody's. Takes the same time whoever's it is. */
enum key_state keys_find(const struct keys *keys, const char *secret, struct api_key **ret);
enum key_state keys_state(const struct api_key *key);
/* The living key of this name, or any with this id. Borrowed; NULL. */
struct api_key *keys_get(const struct keys *keys, const char *name_or_id);
/* Notes a use; never waits. */
void keys_used(struct api_key *key);
/* Hands what is unsaved to the store: all, or (once a second) when it is time. */
void keys_flush(struct keys *keys);
void keys_tick(struct keys *keys);
/* Is this very object the key as it is now? */
bool keys_hold(const struct keys *keys, const struct api_key *key);
bool keys_have_admin(const struct keys *keys);

/* --- changes ----------------------------------------------------------------------------------------- */

struct keys_by { /* who changes something; borrowed */
	const char *actor, *source_address;
};
/* secret: of a key made or rotated, borrowed, NULL otherwise. key: borrowed; NULL where result is negative.
 * May be called before the call returns. */
typedef void keys_told(
	int result, const struct api_key *key, const char *secret, const struct fleet_error *err, void *arg);
/* The key as it is to be, without a secret; takes it. -EEXIST its name is taken, -EDQUOT there are
 * FLEET_API_KEYS_MAX; else the store's. */
void keys_create(
	struct keys *keys, struct api_key *takes_key, const struct keys_by *by, keys_told *told, void *arg);
/* A new secret, the one before good for overlap_ms more. -ENOENT; -EPERM console.yaml's; -EBUSY it is being
 * changed just now. */
void keys_rotate(struct keys *keys, const char *name_or_id, int64_t overlap_ms, const struct keys_by *by,
	keys_told *told, void *arg);
/* Likewise; -EALREADY it is revoked. */
void keys_revoke(
	struct keys *keys, const char *name_or_id, const struct keys_by *by, keys_told *told, void *arg);

#endif
