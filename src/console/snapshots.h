/* Sees from heartbeats which config files have changed, and has their settings read on the server and kept
 * (secrets do not leave the server): one snapshot for each change, a file that flaps once a minute, a few
 * readings at a time. Where the server does not allow it, or cannot read the file, the hash alone is kept.
 * Event loop only. */
#ifndef CONSOLE_SNAPSHOTS_H
#define CONSOLE_SNAPSHOTS_H
#include "console/hub.h"

#define SNAPSHOTS_QUIET_MS    60000 /* between two of one file */
#define SNAPSHOTS_READING_MAX 8     /* at a time */
#define SNAPSHOTS_WAITING_MAX 20000 /* past that many, changes are seen at the next registration */

struct snapshots;
struct snapshots *snapshots_new(struct store *store); /* owned */
/* hub: borrowed; whom to ask. Until then nothing is read. */
void snapshots_start(struct snapshots *snapshots, struct hub *hub);
/* Readings that are under way must have ended: free the hub first. Accepts NULL. */
void snapshots_free(struct snapshots *snapshots);
/* before, now: the agent's apps as last heard, and as they are; borrowed, may be NULL. */
void snapshots_see(struct snapshots *snapshots, const char *agent_id, struct json_object *before,
	struct json_object *now);
/* Once a second. */
void snapshots_tick(struct snapshots *snapshots, int64_t wall_ms);

#endif
