/* The driver host's own process: an event loop with the agent's connections, the ledger, the queue, and
 * children that do the work. It runs no driver's code and has no network.
 *
 *   host.c      start, signals, reload, end
 *   peers.c     the socket: who may connect, frames in and out
 *   commands.c  commands: accepted or refused, taken up again
 *   command_keys.c  what each holds while it runs
 *   command_turn.c  whose turn it is
 *   operation.c a command that runs
 *   outcomes.c  ends and events, told until they are stored
 *   unkept.c    results for which the disk had no room
 *   asks.c      what a command needs of the network, asked of the agent
 *   config_watch.c  config files that change without a command
 *   queries.c   queries: what somebody wants to see of an app, answered once or not at all
 *   local_verbs.c  what root on this server asks for itself */
#ifndef HOST_HOST_H
#define HOST_HOST_H
#include <event2/event.h>
#include "agent/host/config.h"
#include "agent/host/health_watch.h"
#include "agent/host/keys.h"
#include "agent/host/ledger.h"
#include "agent/host/op.h"
#include "agent/host/queue.h"
#include "agent/host/status.h"

#define HOST_PEERS_MAX      16
#define HOST_OPERATIONS_MAX 16   /* at a time */
#define HOST_QUERIES_MAX    16   /* at a time */
#define HOST_QUERY_MS       8000 /* the console waits a little longer */
/* Recoveries of one command that end without a result, before it is told that nothing could be found out: in
 * one life of this host, and in all. A host that dies takes its recoveries with it, and they are not to
 * blame.
 */
#define HOST_RECOVERIES_MAX     3
#define HOST_RECOVERIES_ALL_MAX 30

struct peer;
struct operation;
struct query;
struct unkept;
struct local_wait;
struct config_watch;
struct host {
	const struct host_config *config;
	struct event_base *base;
	struct driver_registry drivers;
	struct apps apps;
	struct op_env env; /* points at the two above and at config */
	struct keys keys;
	struct ledger *ledger;
	struct queue queue;
	struct operation *operations; /* running; list */
	struct query *queries;        /* being answered; list */
	struct unkept *unkept;        /* results that are not in the ledger; list */
	struct local_wait *local;     /* who on this server waits for an end; list */
	uint64_t operations_begun;    /* since the start */
	struct config_watch *watch;
	struct status *status;
	struct health_watch *health;
	int lock_fd; /* held while this host or a child of it lives */

	struct peer *peers; /* list */
	size_t peer_count;
	uint64_t next_peer_id;
	uint64_t outcome_peer; /* id of the one that said hello last; 0 none */
	struct event *listening;
	size_t events_dropped;
	char *foreign_kid; /* owned: of the keys last told to be foreign */
	bool busy_told;    /* in the audit log, since the last command was taken */
	bool stopping;
};

/* The whole life of the program; returns its exit status. */
int host_run(const struct host_config *config);
/* recover_files.c: 0, or 1 where something stays to be looked at; said in the log. */
int recover_files(const struct ledger *ledger);
/* Ends once nothing runs any more. */
void host_stop(struct host *h, const char *why);
void host_end_if_idle(struct host *h);

/* ---- peers.c ---- */
int peers_listen(struct host *h, struct fleet_error *err) FLEET_MUST_CHECK;
void peers_free(struct host *h);
/* To one connection; a peer that is gone or does not listen loses it. */
void peers_send(struct host *h, uint64_t peer_id, struct json_object *frame);
int peers_try_send(struct host *h, uint64_t peer_id, struct json_object *frame) FLEET_MUST_CHECK;
/* The `description` frame; owned. */
struct json_object *peers_description(const struct host *h);
/* Describes apps, drivers and problems to everybody who said hello (after a reload). */
void peers_describe(struct host *h);

/* ---- commands.c ---- */
/* Takes up what the ledger holds unfinished. */
void commands_start(struct host *h);
void commands_free(struct host *h);
bool commands_idle(const struct host *h);
/* A `command` frame. */
void commands_take(struct host *h, uint64_t peer_id, struct json_object *frame);
/* One that root on this server asked for: in the ledger, and queued; commands_pump starts it. 0, or negative
 * and err. */
int commands_take_local(
	struct host *h, struct json_object *payload, struct fleet_error *err) FLEET_MUST_CHECK;
/* [commandId] accepted from the console and not ended; owned. */
struct json_object *commands_running(const struct host *h);

/* ---- command_keys.c ---- */
/* Tells status which apps a command works on right now. */
void commands_forgive(struct host *h);
/* Does a command work on this app right now? */
bool commands_work_on(const struct host *h, const struct app *app);

/* ---- command_turn.c ---- */
/* Starts what may run now. */
void commands_pump(struct host *h);

/* ---- asks.c ---- */
/* A `fetched` frame, and the descriptor that came with it (-1 none). */
void commands_fetched(struct host *h, struct json_object *frame, int takes_fd);
/* A `probed` frame. */
void commands_probed(struct host *h, struct json_object *frame);
/* Another agent listens: what is not answered is asked of it. */
void commands_ask_again(struct host *h);
/* The host ends: what only waits for the agent is left to the next one. */
void commands_give_up_waiting(struct host *h);

/* ---- outcomes.c ---- */
/* Sends what is not stored and not told yet to whoever hears outcomes. */
void outcomes_tell(struct host *h);
/* A `stored` frame. */
void outcomes_stored(struct host *h, struct json_object *frame);
/* The end of a command into the ledger, with what that is told by. */
int outcomes_keep_end(
	struct host *h, const char *id, struct json_object *result, struct fleet_error *err) FLEET_MUST_CHECK;
/* An audit event of the host's own. app_id, command_id: may be NULL. */
void outcomes_event(struct host *h, const char *category, const char *app_id, const char *command_id,
	const char *fmt, ...) FLEET_PRINTF(5, 6);
/* The frame of such an event; owned. */
struct json_object *outcomes_event_frame(
	const char *category, const char *app_id, const char *command_id, const char *text);
/* The frame of an event, whole. Negative where it could not be kept. */
int outcomes_keep_event(struct host *h, struct json_object *frame);

/* ---- queries.c ---- */
/* A `query` frame: exactly one `answer` follows, unless the peer or the host ends before. */
void queries_take(struct host *h, uint64_t peer_id, struct json_object *frame);
void queries_free(struct host *h);

#endif
