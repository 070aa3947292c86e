/* Commands from the console that the driver host has not taken yet: offered at once where it is there, again
 * whenever it comes back. Nothing here is a promise (only the host's `accepted` is one), so it lives in
 * memory: what an agent forgets, the console sends again. Bounded in number and bytes. Event loop only;
 * embedded. */
#ifndef AGENT_PENDING_H
#define AGENT_PENDING_H
#include "fleet/error.h"
#include "fleet/ids.h"

#define PENDING_BYTES_MAX (8u * 1024u * 1024u)

struct pending_command;
struct pending {
	/* Sends a command frame and tells its id; negative where the host is not there. */
	int (*offer)(const char *jws, struct fleet_uuid *ret_frame_id, void *arg);
	void *arg;
	struct pending_command *first; /* owned, oldest first */
	size_t count, bytes;
};

/* hub_id: the console's message, for an answer to it. A command that waits here already is not added twice;
 * its answer then goes to the newer message. -ENOBUFS: no room. */
int pending_add(
	struct pending *p, const char *hub_id, const char *jws, struct fleet_error *err) FLEET_MUST_CHECK;
/* The commandId inside a JWS, for matching only, "" where none can be read: whether the signature holds is
 * the host's to say. */
struct fleet_uuid pending_command_id(const char *jws);
/* The host is there (again): everything it was not offered goes to it, in order. */
void pending_offer_all(struct pending *p);
/* The host is gone: what it has not answered will be offered again. */
void pending_host_lost(struct pending *p);
/* The host has spoken about this command (accepted, or its result). */
void pending_taken(struct pending *p, const char *command_id);
/* The host refused the frame: true and the console's message that it came with. */
bool pending_refused(struct pending *p, const char *frame_id, struct fleet_uuid *ret_hub_id);
void pending_done(struct pending *p);

#endif
