/* The life of commands (DESIGN 5): created and signed, committed before anybody hears 202, sent when the
 * agent is connected and again after each reconnect until accepted, ended exactly once by the server's word,
 * by their time to live (never sent: expired), by an operator (cancelled while queued), or, where the
 * server's word does not come, as unknown, which a late result still replaces. Owns the commands that are
 * open; decides; the store keeps. Event loop only. */
#ifndef CONSOLE_COMMANDS_H
#define CONSOLE_COMMANDS_H
#include "console/events.h"
#include "console/id_table.h"
#include "console/store.h"
#include "fleet/jws.h"

/* How long after its expiry a command that was sent may stay without a word before it is unknown. */
#define COMMANDS_SILENCE_MS 60000
/* After the store failed: when to try again. */
#define COMMANDS_RETRY_MS 10000

struct commands_options {
	struct store *store; /* borrowed, as are the others */
	struct events *events;
	const struct fleet_jws_key *key;
	int64_t ttl_ms;
	/* Is the agent there to be sent commands, and: send one. */
	bool (*ready)(const char *agent_id, void *arg);
	int (*send)(const char *agent_id, struct json_object *message, void *arg);
	void *arg;
};
struct commands {
	struct commands_options options;
	struct id_table open; /* struct open_command, owned */
};

void commands_init(struct commands *commands, const struct commands_options *options);
/* What the store holds as open; before the loop runs. */
int commands_load(struct commands *commands, struct fleet_error *err) FLEET_MUST_CHECK;
void commands_done(struct commands *commands);

struct command_request {
	enum fleet_action action;
	const char *agent_id, *app_id, *actor, *source_address;
	const char *idempotency_key; /* NULL: none */
	struct json_object *args;    /* borrowed; as docs/protocol.md */
};
/* 0: committed. -EEXIST: this key has asked for the same before, command is that one. -ENOTUNIQ: the key has
 * asked for something else before. -EDQUOT: too many open. -EINVAL, -E2BIG: not to be sent as it is. Else the
 * store's. command: borrowed, NULL where there is none. May be called before commands_create returns. */
typedef void commands_created(int result, struct command *command, const struct fleet_error *err, void *arg);
void commands_create(
	struct commands *commands, const struct command_request *request, commands_created *done, void *arg);

/* By full id or its last six or more characters; -ENOENT, -ENOTUNIQ. May call back at once. command:
 * borrowed. */
typedef void commands_found(int result, struct command *command, const struct fleet_error *err, void *arg);
void commands_get(struct commands *commands, const char *id_or_tail, commands_found *done, void *arg);
/* The open one with this full id as it is now, or NULL. Borrowed. */
struct command *commands_open_get(const struct commands *commands, const char *id);
/* An update that has not ended and takes its release from source, NULL: none. agent_id: only this agent's;
 * unknown_too: also one of unknown outcome, which may still be under way. Borrowed. */
const struct command *commands_find_source(
	const struct commands *commands, const char *source, const char *agent_id, bool unknown_too);
/* Cancels one that is queued. With abandon (a reason), closes one of unknown outcome instead. -EBUSY where
 * its state does not allow it (command is shown all the same). */
void commands_cancel(struct commands *commands, const char *id_or_tail, const char *actor,
	const char *abandon, commands_found *done, void *arg);

/* --- what agents say --------------------------------------------------------------------------------- */

/* Registered and ready. running: array of commandIds in the server's hands, or NULL. */
void commands_agent_ready(
	struct commands *commands, const char *agent_id, bool other_spool, struct json_object *running);
/* The others return -ENOENT for a command that is not open, -EPERM for another agent's. */
int commands_accepted(struct commands *commands, const char *agent_id, const char *id);
/* The server refused it before it took it (the codes of docs/protocol.md): what it never will do ends here.
 */
int commands_refused(
	struct commands *commands, const char *agent_id, const char *id, const char *code, const char *text);
int commands_progress(struct commands *commands, const char *agent_id, struct json_object *message);
/* done: 0 when it is recorded, now or before, so that it may be acked; negative where it is to be sent again.
 */
typedef void commands_recorded(int result, const char *id, void *arg);
int commands_result(struct commands *commands, const char *agent_id, struct json_object *message,
	commands_recorded *done, void *arg);

/* Once a second: what expires, what has been silent too long, what is to be tried again. */
void commands_tick(struct commands *commands, int64_t monotonic_ms);

#endif
