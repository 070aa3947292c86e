/* A command on its way through the host: kept and queued (commands.c, command_keys.c), begun when it is its
 * turn (command_turn.c), run by a child (operation.c) for which the agent is asked for what it needs of the
 * network (asks.c), and its end told (outcomes.c, unkept.c). What these share; on the host's event loop. */
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

/* ---- command_keys.c ---- */
/* first: before whatever waits for the same things. payload: borrowed. */
void commands_enqueue(struct host *h, struct json_object *payload, bool first);
/* What happens now to the services that it holds is its doing. */
void commands_forgive_one(struct host *h, const char *command_id);

/* ---- command_turn.c ---- */
/* What is kept of it; where its arguments are gone, its outline. 1: all of it, 0: the outline, and err says
 * why. */
int commands_read_back(const struct host *h, const struct ledger_entry *e, struct json_object **ret,
	struct fleet_error *err) FLEET_MUST_CHECK;

/* ---- operation.c ---- */
/* It ends by itself, and then others have their turn. */
int operation_start(struct host *h, const struct ledger_entry *e, struct json_object *payload,
	struct fleet_error *err) FLEET_MUST_CHECK;
void operation_free(struct operation *o);

/* ---- outcomes.c ---- */
/* The end of a command: kept, and told. result: borrowed, the whole frame. */
void outcomes_end(struct host *h, const char *id, struct json_object *result);
/* Likewise of one that did nothing. */
void outcomes_fail(struct host *h, struct json_object *payload, const char *code, const char *message);

/* ---- asks.c ---- */
/* What the child says: "fetch", "fetchCancel" and "probe". */
void asks_fetch(struct operation *o, struct json_object *message);
void asks_cancel(struct operation *o);
void asks_probe(struct operation *o, struct json_object *message);
/* The operation ends. */
void asks_forget(struct operation *o);

/* ---- unkept.c ---- */
/* result: borrowed, the whole frame. */
void unkept_add(struct host *h, struct json_object *result);
bool unkept_has(const struct host *h, const char *command_id);
void unkept_free(struct host *h);

#endif
