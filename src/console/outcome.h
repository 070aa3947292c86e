/* What the audit log says about a command: who asked (category request), and how it ended, in the contract's
 * words ("app-a restarted on agent-001 by operator@cli"). Values of settings never appear, keys do; query
 * strings of URLs are cut. Pure. */
#ifndef CONSOLE_OUTCOME_H
#define CONSOLE_OUTCOME_H
#include "console/command.h"

/* "restart", "config" or "update": the outcome's category. */
const char *outcome_category(enum fleet_action action);
/* "operator@cli asked to restart app-a on agent-001"; owned. */
char *outcome_request_message(const struct command *command);
/* {keys[]} or {version, artifactUrl}; owned, NULL where there is nothing to add. */
struct json_object *outcome_request_details(const struct command *command);
/* How it ended. result: the commandResult, or NULL; why: of expired, cancelled, unknown, and of failures
 * without a result. Owned. */
char *outcome_message(
	const struct command *command, enum command_state state, struct json_object *result, const char *why);
struct json_object *outcome_details(
	const struct command *command, enum command_state state, struct json_object *result); /* owned */
/* A text from the server, fit for a record that people read: no control characters, no query strings of URLs,
 * no value that the command set. Owned. */
char *outcome_clean_text(const struct command *command, const char *text);

#endif
