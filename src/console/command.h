/* A command: what somebody asked of one app on one server, and how it went (DESIGN 5). Plain data with a
 * reference count, shared by commands (which decides), store (which keeps) and api (which shows). Never
 * changed by the store's thread: it gets copies of what it needs. */
#ifndef CONSOLE_COMMAND_H
#define CONSOLE_COMMAND_H
#include "fleet/ids.h"
#include "fleet/json.h"
#include "fleet/message.h"

enum command_state {
	COMMAND_QUEUED,
	COMMAND_SENT,
	COMMAND_ACCEPTED,
	COMMAND_RUNNING,
	COMMAND_SUCCEEDED,
	COMMAND_FAILED,
	COMMAND_EXPIRED,
	COMMAND_CANCELLED,
	COMMAND_UNKNOWN, /* final for a waiter, but a late result replaces it */
};
const char *command_state_to_string(enum command_state state);
int command_state_from_string(const char *text, enum command_state *ret) FLEET_MUST_CHECK;
bool command_state_is_final(enum command_state state); /* succeeded and what follows */

struct command {
	unsigned refs;
	char id[FLEET_UUID_LEN + 1];
	enum fleet_action action;
	enum command_state state;
	char *agent_id, *app_id, *actor, *source_address; /* owned */
	struct json_object *args;                         /* owned: as docs/protocol.md */
	char *jws; /* owned: the signed command, sent and resent as it is */
	int64_t created_ms, expires_ms, started_ms, finished_ms; /* wall clock; 0 not yet */
	struct json_object *result; /* owned: the commandResult, NULL until it came */
	char *message; /* owned: why it expired, was cancelled or is unknown; else the result's */
	/* in memory only */
	char *progress_step, *progress_message; /* owned */
	int progress_percent;                   /* -1 none */
};

struct command *command_new(void); /* one reference, fresh id, queued */
struct command *command_ref(struct command *c);
void command_unref(struct command *c);
/* What is kept of a command's args after its end: all but the values that it sets, which may be secrets.
 * Owned; NULL for NULL. */
struct json_object *command_args_without_values(struct json_object *args);
/* Cuts what opens doors out of every URL of the text, in place: its query string, its fragment, and the user
 * and password before its host. Nobody who may read a record needs them. */
void command_cut_urls(char *text);
/* As GET /api/commands/:id shows it (INTERFACES: Command); owned. Query strings of URLs and values are cut.
 */
struct json_object *command_to_json(const struct command *c);

#endif
