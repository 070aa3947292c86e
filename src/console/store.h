/* What the console must not forget, spoken in the domain's nouns: commands, audit events, artifacts, agents
 * and heartbeats. Every call queues a request for the store's own thread and returns; the callback runs later
 * on the event loop, once, in the order of the requests, and after what it tells of is committed and synced.
 * Requests that wait together are committed together. Inputs are copied before a call returns. (DESIGN 8) */
#ifndef CONSOLE_STORE_H
#define CONSOLE_STORE_H
#include <event2/event.h>
#include "console/artifact.h"
#include "console/command.h"
#include "console/key.h"
#include "console/member.h"

struct store;

/* Opens or creates DIR/console.db, migrates it, checks its integrity, starts the thread. Blocks: before the
 * loop runs. */
int store_open(struct event_base *base, const char *dir, struct store **ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Commits what is queued, ends the thread; callbacks of what was queued still run before it returns; what
 * they ask for is answered with -ESHUTDOWN. */
void store_close(struct store *store);

typedef void store_done(int result, const struct fleet_error *err, void *arg); /* 0 or negative errno */

/* --- audit ------------------------------------------------------------------------------------------- */

#define STORE_HASH_LEN 64
struct store_head {
	int64_t seq; /* 0: nothing yet */
	char hash[STORE_HASH_LEN + 1];
};
struct audit_event {          /* borrowed texts; NULL is absent */
	const char *event_id; /* NULL: a fresh one */
	int64_t timestamp_ms; /* 0: now */
	const char *category; /* request, agent, restart, config, update, access, system */
	const char *agent_id, *app_id, *command_id, *actor, *source_address, *message;
	struct json_object *details; /* borrowed; may be NULL */
	const char *spool_id; /* of an agent's own event: with spool_seq the key that makes it count once */
	int64_t spool_seq;
	bool in_order; /* agent_id said it: not kept behind anything of his that could not be (-ECANCELED) */
};
/* head: of the chain as it is now committed; borrowed. Read on the loop, never waits. */
const struct store_head *store_audit_head(const struct store *store);
/* Told on the loop after each commit that appended rows: the event as GET /api/audit shows it (borrowed). For
 * SSE. */
void store_on_audit(struct store *store, void (*appended)(struct json_object *event, void *arg), void *arg);

/* Appends. An event that is there already (event_id, or spool_id and spool_seq) is 0 and appends nothing.
 * done may be NULL. */
void store_audit_append(struct store *store, const struct audit_event *event, store_done *done, void *arg);
/* The agent begins anew, and will say all again that is not acked: what he says after the answer to a
 * store_spool_seq that is asked behind this is kept again. */
void store_agent_returns(struct store *store, const char *agent_id);
/* Highest spool_seq held without a gap below it, for a spool, and which event that is (borrowed; NULL where
 * it was kept under another number before); told with the head at that time. */
void store_spool_seq(struct store *store, const char *agent_id, const char *spool_id,
	void (*done)(int result, int64_t seq, const char *event_id, void *arg), void *arg);
/* Does the chain hold (seq, hash)? 1 yes, 0 no, negative errno. */
void store_audit_contains(struct store *store, int64_t seq, const char *hash, store_done *done, void *arg);

/* Agents as witnesses (store_witnesses.c): agent_id says the head that it was last shown. result: 1 the log
 * has it, or a gap that was accepted does; 0 it has not, which is kept until it is accepted, and `missing`
 * entries are gone from its end (0: they were changed); negative errno. */
typedef void store_witnessed(int result, int64_t missing, const struct fleet_error *err, void *arg);
void store_witness(struct store *store, const char *agent_id, int64_t seq, const char *hash,
	store_witnessed *done, void *arg);
/* All who were shown what is not there: {agentId, seq, hash, saidAt, missing}. */
typedef void store_list(
	int result, struct json_object *array, const char *next, const struct fleet_error *err, void *arg);
void store_witness_doubts(struct store *store, store_list *done, void *arg);
/* Takes what they miss as lost, and the event with it; -ENOENT where there is nothing to accept. */
void store_witness_accept(struct store *store, const struct audit_event *event, store_done *done, void *arg);

struct store_page {
	int limit;
	const char *cursor;
}; /* cursor: what next gave before, or NULL */
/* Of a list: array: borrowed (json_object_get to keep); next: NULL at the end. -EINVAL for a cursor that is
 * none of ours. */

struct audit_filter {
	const char *agent_id, *app_id, *category, *actor, *command_id;
	int64_t from_ms, to_ms;
	bool hide_requests;
	bool oldest_first;               /* else newest first */
	struct json_object *only_agents; /* an array of agentIds: events of these and no others; NULL: all */
};
void store_audit_query(struct store *store, const struct audit_filter *filter, struct store_page page,
	store_list *done, void *arg);

/* --- commands ---------------------------------------------------------------------------------------- */

/* Commits command and its `request` audit event together, before 202 is answered. With an idempotency key
 * (NULL: none; scoped by actor) that is known: -EEXIST, and existing_id (valid for the callback) names the
 * first command. */
void store_command_create(struct store *store, const struct command *command, const char *idempotency_key,
	const struct audit_event *request,
	void (*done)(int result, const char *existing_id, const struct fleet_error *err, void *arg),
	void *arg);
/* -EEXIST, and existing_id (valid for the callback), where that key of that actor has become a command;
 * -ENOENT. */
void store_command_by_key(struct store *store, const char *actor, const char *idempotency_key,
	void (*done)(int result, const char *existing_id, const struct fleet_error *err, void *arg),
	void *arg);
/* Forward only: a state that is not after the stored one changes nothing (0 all the same). at_ms: for
 * started_at. */
void store_command_advance(struct store *store, const char *command_id, enum command_state state,
	int64_t at_ms, store_done *done, void *arg);
/* The end: final state, result (may be NULL), message, and the outcome's audit event, in one transaction.
 * -EALREADY when the command has ended before (unknown may still be replaced by succeeded, failed or
 * expired): nothing is written then. -ENOENT no such command. */
void store_command_finish(struct store *store, const char *command_id, enum command_state state,
	struct json_object *result, const char *message, int64_t started_ms, int64_t finished_ms,
	const struct audit_event *outcome, store_done *done, void *arg);
/* By full id, or by its last six or more characters (-ENOTUNIQ when several fit, -ENOENT none). command:
 * borrowed. */
void store_command_get(struct store *store, const char *id_or_tail,
	void (*done)(int result, struct command *command, const struct fleet_error *err, void *arg),
	void *arg);
struct command_filter {
	const char *agent_id, *app_id;
	bool by_state;
	enum command_state state;
	struct json_object *only_agents; /* likewise */
};
/* Newest first, as command_to_json shows them. */
void store_command_query(struct store *store, const struct command_filter *filter, struct store_page page,
	store_list *done, void *arg);
/* At start, synchronous: every command that has not ended and every `unknown` one, oldest first. */
int store_commands_open(struct store *store, void (*each)(struct command *command, void *arg), void *arg,
	struct fleet_error *err) FLEET_MUST_CHECK;

/* --- artifacts --------------------------------------------------------------------------------------- */

/* One per app and version (-EEXIST), committed with the audit event of who did it. */
void store_artifact_add(struct store *store, const struct artifact *artifact, const struct audit_event *event,
	store_done *done, void *arg);
/* By its id; -ENOENT. */
void store_artifact_remove(struct store *store, const struct artifact *artifact,
	const struct audit_event *event, store_done *done, void *arg);
/* At start, synchronous; in the order in which they were added. */
int store_artifacts_load(struct store *store, void (*each)(struct artifact *takes_artifact, void *arg),
	void *arg, struct fleet_error *err) FLEET_MUST_CHECK;

/* --- API keys ---------------------------------------------------------------------------------------- */

/* A new key, or the new state of one that is there (by its id), committed with the audit event of who did it.
 * -EEXIST where another one that is not revoked has its name. When it was used is store_key_used's. */
void store_key_put(struct store *store, const struct api_key *key, const struct audit_event *event,
	store_done *done, void *arg);
void store_key_used(struct store *store, const char *id, int64_t at_ms); /* written behind */
/* At start, synchronous; in the order in which they were made. One that cannot be read fails all. */
int store_keys_load(struct store *store, void (*each)(struct api_key *takes_key, void *arg), void *arg,
	struct fleet_error *err) FLEET_MUST_CHECK;

/* --- who may be an agent, and who may become one ------------------------------------------------------ */

/* As it is now, with all its credentials, and the token by which it came (either may be NULL), committed with
 * the audit event. */
void store_member_save(struct store *store, const struct member *member, const struct join_token *token,
	const struct audit_event *event, store_done *done, void *arg);
/* With all that is kept of the agent but commands and the audit log. */
void store_member_remove(struct store *store, const struct member *member, const struct audit_event *event,
	store_done *done, void *arg);
/* At start, synchronous. */
int store_members_load(struct store *store, void (*member)(struct member *takes_member, void *arg),
	void (*token)(struct join_token *takes_token, void *arg), void *arg,
	struct fleet_error *err) FLEET_MUST_CHECK;

/* --- config files ------------------------------------------------------------------------------------ */

struct config_file {
	const char *agent_id, *app_id, *file;
}; /* borrowed; file NULL in a query: all of the app */
/* What changed the app's config, newest first: pushes (no dry runs), and events of changes outside Fleet; as
 * GET
 * .../config/history shows them. */
void store_config_history(struct store *store, const struct config_file *file, struct store_page page,
	store_list *done, void *arg);
/* Has the newest snapshot of the file another hash (1), or is there none (1), or not (0)? newest_ms: when it
 * was; 0 none. */
void store_snapshot_due(struct store *store, const struct config_file *file, const char *hash,
	void (*done)(int result, int64_t newest_ms, void *arg), void *arg);
/* Keeps one, unless the newest has this hash; the oldest past FLEET_SNAPSHOTS_PER_FILE go. settings: NULL, or
 * the array of the readConfig answer; past FLEET_SNAPSHOT_MAX the hash alone is kept. Written behind. */
void store_snapshot_add(struct store *store, const struct config_file *file, const char *hash, int64_t at_ms,
	struct json_object *settings);
/* Newest first: {file, hash, readAt, settings}. */
void store_snapshot_query(struct store *store, const struct config_file *file, struct store_page page,
	store_list *done, void *arg);

/* --- agents and heartbeats --------------------------------------------------------------------------- */

/* The registry's word about an agent, as GET /api/agents/:id shows it; written behind, newest wins. */
void store_agent_save(struct store *store, const char *agent_id, struct json_object *agent);
/* At start, synchronous. */
int store_agents_load(struct store *store,
	void (*each)(const char *agent_id, struct json_object *agent, void *arg), void *arg,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Every heartbeat's metrics are kept (retention: later). */
void store_heartbeat_add(
	struct store *store, const char *agent_id, int64_t at_ms, struct json_object *metrics);

/* Copies the database of DIR as it is now into a new file, 0600, synced; also while a console runs. */
int store_backup(const char *dir, const char *target, struct fleet_error *err) FLEET_MUST_CHECK;

/* --- verification (fleet-console audit verify): opens read-only, no thread --------------------------------
 */
/* Recomputes the chain. 0 and *ret_head; -EBADMSG with the first row at fault in err. */
int store_audit_verify(
	const char *dir, struct store_head *ret_head, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
