/* The console: its parts, wired together on one event loop (the store has a thread of its own). main.c starts
 * it, tests too. */
#ifndef CONSOLE_CONSOLE_H
#define CONSOLE_CONSOLE_H
#include "console/artifacts.h"
#include "console/auth.h"
#include "console/certificate.h"
#include "console/commands.h"
#include "console/config.h"
#include "console/events.h"
#include "console/hub.h"
#include "console/joining.h"
#include "console/members.h"
#include "console/registry.h"
#include "console/snapshots.h"
#include "console/static_files.h"

struct console {
	struct console_config config;
	struct event_base *base;
	struct store *store;
	struct fleet_jws_key *key;
	struct json_object *key_changes;
	struct events *events;
	struct registry registry;
	struct commands commands;
	struct file_worker *files;
	struct artifacts artifacts;
	struct serving *servings; /* downloads of artifacts; api_artifact_file.c's */
	struct ca *ca;            /* NULL: there is none */
	struct members members;
	struct hub *hub;
	struct joining *joining;
	struct snapshots *snapshots;
	struct keys keys;
	struct auth auth;
	struct certificate certificate;
	struct static_files *web; /* NULL: none found */
	struct fleet_http_server *http;
	struct event *tick, *signals[3], *farewell;
	int64_t farewell_ms; /* monotonic: when those who have not said goodbye are cut; 0 running */
};

/* Opens what it needs and listens. Takes *config. *ret owned. Blocks until it is ready. */
int console_new(
	struct console_config *takes_config, struct console **ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* Runs until SIGTERM, SIGINT or console_stop. SIGHUP has it read its certificate again. */
void console_run(struct console *console);
/* Begins to end: no new agents, 1001 to those that are there; console_run returns soon after. */
void console_stop(struct console *console);
/* Commits what is to be committed and frees everything. Accepts NULL. */
void console_free(struct console *console);
uint16_t console_port(const struct console *console);

/* Subcommands: each gets what follows its name and returns the exit status. */
int console_main_run(int argc, char **argv);
int console_main_audit(int argc, char **argv);
int console_main_command_key(int argc, char **argv);
int console_main_key(int argc, char **argv);  /* console_keys.c */
int console_main_init(int argc, char **argv); /* likewise */
/* For verbs whose options are --data-dir and --help: -1 go on, what is left begins at argv[optind]; else the
 * exit status. */
int console_main_data_dir(int argc, char **argv, const char **ret_dir);
int console_main_rotation(int argc, char **argv); /* command-key rotate, make-recovery, recover */
int console_main_backup(int argc, char **argv);   /* console_main_backup.c */
int console_main_restore(int argc, char **argv);  /* likewise */
int console_main_ca(int argc, char **argv);       /* console_main_ca.c */

#endif
