/* What root on this server asks of the driver host, past agent and console: how things stand, a rollback, and
 * that the console's commands leave an app alone for a while. No signature stands behind these frames, only
 * who asks (SO_PEERCRED): peers.c lets nobody but root have them. What changes something is in the ledger
 * first, as a command or a hold, and told to the console's audit log with who did it. Host's event loop. */
#ifndef HOST_LOCAL_VERBS_H
#define HOST_LOCAL_VERBS_H
#include "agent/host/host.h"

#define LOCAL_ACTOR "root@server"

/* One frame each; exactly one `inspection`, `localDone`, `refused` or (of a rollback) `accepted` answers. A
 * rollback's `progress` and `result` go to who asked, as long as that connection lives. */
void local_inspect(struct host *h, uint64_t peer_id, struct json_object *frame);
void local_rollback(struct host *h, uint64_t peer_id, struct json_object *frame);
void local_hold(struct host *h, uint64_t peer_id, struct json_object *frame);
void local_unhold(struct host *h, uint64_t peer_id, struct json_object *frame);

/* Of a command of root's: who waits for it (0 nobody), and that it has ended. */
uint64_t local_asker(const struct host *h, const char *command_id);
void local_ended(struct host *h, const char *command_id, struct json_object *result);
/* The event that tells of its end; owned. */
struct json_object *local_end_event(struct json_object *result);
/* Why a command is not done now; owned. */
char *local_hold_sentence(const struct ledger_hold *hold);
/* Adds to an app's status that it is held, where it is. */
void local_add_hold(const struct host *h, struct json_object *app);

void local_forget_peer(struct host *h, uint64_t peer_id);
void local_free(struct host *h);

#endif
