/* Following a command to its end: by the console's event stream, by asking again where that does not work,
 * and through a restart of the console. SIGINT and SIGTERM while waiting end fleetctl, not the command, and
 * say so. */
#ifndef CLI_WAIT_H
#define CLI_WAIT_H
#include "cli/args.h"
#include "cli/session.h"

/* --timeout, or five minutes. -EINVAL with a sentence. */
int wait_timeout(const struct cli_args *args, int64_t *ret_ms, struct fleet_error *err) FLEET_MUST_CHECK;
/* command: the record as it is known; borrowed. CLI_OK and the record of its end (*ret owned); CLI_TIMED_OUT
 * or CLI_FAILED, told on stderr. */
int wait_for_command(struct session *s, struct json_object *command, int64_t timeout_ms,
	struct json_object **ret) FLEET_MUST_CHECK;

#endif
