/* What fleetctl's exit code says to a script (docs/fleetctl.md). Functions that end a command return one. */
#ifndef CLI_EXIT_H
#define CLI_EXIT_H

enum cli_exit {
	CLI_OK,             /* done, or accepted by the console */
	CLI_FAILED,         /* not configured, unreachable, not found, refused: nothing was started */
	CLI_USAGE,          /* the command line itself is wrong */
	CLI_COMMAND_FAILED, /* waited: failed, cancelled, expired or unknown; the app is as it was */
	CLI_TIMED_OUT,      /* waited: --timeout passed, the command goes on */
	CLI_APP_UNHEALTHY,  /* waited: failed, and the app is not healthy now */
};

#endif
