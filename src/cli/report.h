/* A command's record in a person's words: how it ended, all that is known of it. The record is the
 * console's JSON (INTERFACES: Command; docs/protocol.md: commandResult); whatever of it is missing is left
 * out. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H
#include "fleet/buffer.h"
#include "fleet/json.h"

/* The end of a command that has ended: success on stdout, anything else on stderr. dry_run: a push that wrote
 * nothing. Returns the exit code. */
int report_outcome(struct json_object *command, bool dry_run);
/* The same exit code without a word, for --json. */
int report_exit_code(struct json_object *command);
/* Everything, for `commands show`. */
void report_details(struct json_object *command);
/* "LogLevel: Info → Debug", of an element of a command's diff. */
void report_change_add(struct fleet_buffer *b, struct json_object *change);
/* "Restart", "Config push", "Update", "Rollback". */
const char *report_action(struct json_object *command);
bool report_is_final(struct json_object *command);

#endif
