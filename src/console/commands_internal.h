/* What commands*.c share: the open command, and the two ways to change one (commands.c). */
#ifndef CONSOLE_COMMANDS_INTERNAL_H
#define CONSOLE_COMMANDS_INTERNAL_H
#include "console/commands.h"

struct open_command {
	struct command *command; /* owned */
	bool busy;               /* the store is being told something that decides its state */
	/* monotonic: what is to last ten minutes lasts ten minutes, whatever becomes of the clock meanwhile
	 */
	int64_t heard_ms;   /* the server's last word about it, or the start of this console */
	int64_t expires_ms; /* when its time is over */
	int64_t retry_ms;   /* not to be tried again before */
	char *put_off;      /* owned: why the server did not take it for now; NULL since it is sent again */
};

struct open_command *commands_find(const struct commands *commands, const char *id);
/* Queued, and the agent is there: commits `sent`, then sends. */
void commands_dispatch(struct commands *commands, struct open_command *open);
/* Ends it in the store, then here. done may be NULL; see commands_recorded. */
void commands_finish(struct commands *commands, struct open_command *open, enum command_state state,
	struct json_object *result, const char *why, commands_recorded *done, void *arg);
void commands_publish(struct commands *commands, const struct command *command);
/* Hands the signed command to the agent's connection. */
void commands_transmit(struct commands *commands, const struct command *command);
bool command_is_with_server(const struct command *command); /* sent, accepted or running */

#endif
