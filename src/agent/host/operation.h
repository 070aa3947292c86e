/* A command that runs: its child, and what that waits for. Shared by commands.c, which starts and ends it,
 * and asks.c, which asks the agent for what the child needs of the network. On the host's event loop. */
#ifndef HOST_OPERATION_H
#define HOST_OPERATION_H
#include "agent/host/child.h"
#include "agent/host/host.h"

struct operation {
	struct operation *next;
	struct host *host;
	char id[FLEET_UUID_LEN + 1];
	struct child *child;
	bool is_local;                     /* root's on this server */
	struct json_object *payload;       /* owned */
	struct json_object *fetch;         /* the frame that is not answered yet; owned, NULL none */
	char probe_id[FLEET_UUID_LEN + 1]; /* likewise, of a probe; "" none */
};

/* What the child says: "fetch", "fetchCancel" and "probe". */
void asks_fetch(struct operation *o, struct json_object *message);
void asks_cancel(struct operation *o);
void asks_probe(struct operation *o, struct json_object *message);
/* The operation ends. */
void asks_forget(struct operation *o);

/* unkept.c. result: borrowed, the whole frame. */
void unkept_add(struct host *h, struct json_object *result);
bool unkept_has(const struct host *h, const char *command_id);
void unkept_free(struct host *h);

#endif
