/* The commands that an app's declaration names (health_check's, version_command): run as the app's own user,
 * never as root. Where the app is a unit of systemd and we are root, in a transient unit, so that the host's
 * own restrictions (no network, few system calls) do not count for it; a unit whose processes are root's is
 * asked as nobody. Without systemd as nobody, and where we are no root as ourselves. Blocks; used in children
 * of the host. (DESIGN 7) */
#ifndef HOST_APP_COMMAND_H
#define HOST_APP_COMMAND_H
#include "agent/host/op.h"
#include "agent/host/run_program.h"

/* It ends, and in end->out is what it said. Fails where it could not be tried, which says nothing about the
 * app. */
int app_command_run(const struct app *app, const struct app_strings *command, int64_t timeout_ms,
	struct program_end *ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* Did it say yes? Else in detail, why: "pg_isready exited with status 2: no response". */
bool app_command_well(const struct app_strings *command, const struct program_end *end, int64_t timeout_ms,
	char *detail, size_t size);
/* What systemd-run says of a unit's end, taken out of its error output. False: it never ran. Pure. */
bool app_command_read_end(struct program_end *end);

#endif
