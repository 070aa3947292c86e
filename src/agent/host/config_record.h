/* What the driver host last knew of a config file, so that it can tell a change that no command made, also
 * one that happened while it was away: STATE/files/KEY, root's, 0600. Of each setting a salted digest is
 * kept, no value. A push writes down what it is about to make of the file before it does so (next), so that
 * neither a crash nor a rollback ever looks like somebody else's change. Blocks; operation children and the
 * child that looks (config_look.h), which a lock keeps apart. */
#ifndef HOST_CONFIG_RECORD_H
#define HOST_CONFIG_RECORD_H
#include "agent/host/op.h"
#include "driver/safe_file.h"
#include "driver/settings.h"

/* One version of the file. */
struct config_version {
	bool exists, readable;             /* by its driver */
	char hash[SAFE_FILE_HASH_LEN + 2]; /* "" where it does not exist */
	struct settings digests;           /* owned: each setting's path, and a digest for its value */
};
struct config_record {
	char *path, *id; /* owned; id: another one with each save */
	char salt[33];
	bool is_new, has_next;
	struct config_version now, next; /* next: of a push that is under way */
	int lock_fd;
};
#define CONFIG_RECORD_INIT                                                                                   \
	{                                                                                                    \
		.lock_fd = -1                                                                                \
	}

/* Locks it and reads it; is_new where nothing is known. Unlocked by done. */
int config_record_open(const char *state_dir, const char *real_path, struct config_record *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Durable when it returns. */
int config_record_save(
	struct config_record *r, const char *state_dir, struct fleet_error *err) FLEET_MUST_CHECK;
void config_record_done(struct config_record *r);

/* Is this content one that Fleet or an earlier look knows of? */
bool config_record_knows(const struct config_record *r, const struct safe_content *content);
/* settings: NULL where the driver could not read it. */
void config_version_set(const struct config_record *r, struct config_version *v,
	const struct safe_content *content, const struct settings *settings);
void config_version_done(struct config_version *v);
/* The id of the event that tells of the change to this content: the same whenever it is told of. */
struct fleet_uuid config_record_event_id(const struct config_record *r, const struct safe_content *content);

#endif
