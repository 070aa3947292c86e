/* `fleet-agent VERB`: what root on a server sees and does there, with the hub down or in doubt. A program of
 * its own, fleet-admin, which fleet-agent becomes when its first argument is a word: so that the agent, which
 * runs all the time and has no privileges, carries none of it. admin.c holds the table of verbs, each of
 * which is a file of its own; nothing here runs on an event loop. */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H
#include "fleet/error.h"
#include "fleet/json.h"

enum admin_exit { ADMIN_OK, ADMIN_FAILED, ADMIN_USAGE };

#define ADMIN_WORDS_MAX 16
/* The command line; borrowed from argv. */
struct admin {
	const char *env_file, *apps_dir, *driver_dir, *state_dir, *data_dir, *host_socket; /* never NULL, but
		driver_dir: the one beside the program */
	const char *duration, *reason; /* of hold; NULL: not given */
	bool json;
	const char *words[ADMIN_WORDS_MAX];
	size_t word_count;
};

/* The whole program; its exit status. */
int admin_run(int argc, char *const argv[]);

int admin_status(const struct admin *a);
int admin_check(const struct admin *a);
int admin_suggest(const struct admin *a);
int admin_allowed(const struct admin *a);
int admin_rollback(const struct admin *a);
int admin_hold(const struct admin *a);
int admin_unhold(const struct admin *a);

/* A line of output, without the control characters that texts from outside may hold. */
void admin_say(FILE *out, const char *fmt, ...) FLEET_PRINTF(2, 3);
/* "fleet-agent: WHY" on stderr; ADMIN_FAILED. */
int admin_fail(const struct fleet_error *err);

/* ---- load_apps.c ---- */
struct apps;
struct driver_registry;
/* The drivers of this server, for what they know of names. Where they cannot be looked at, that is said on
 * stderr and false. */
bool admin_load_drivers(const struct admin *a, struct driver_registry *ret);

#endif
