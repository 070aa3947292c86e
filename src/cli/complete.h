/* What may come next on a command line, for the shells' completion: `fleetctl __complete WORD...`, the last
 * word being the one at the cursor. Commands, options and fixed values come from the tree itself, so that no
 * shell's file can grow stale; ids of servers, apps and commands from the console, where it answers within a
 * second. What goes wrong is nobody's business at a prompt: then nothing is offered. */
#ifndef CLI_COMPLETE_H
#define CLI_COMPLETE_H
#include "cli/args.h"

#define CLI_COMPLETE_WORD "__complete"

/* Prints "WORD<tab>what it is", a line each, or ":files" where a file's name is due. words: what stands after
 * the program's name, up to the cursor; at least one. Returns an enum cli_exit. */
int cli_complete(const struct cli_command *root, size_t count, char *const words[]);

/* ---- complete_ids.c ---- */
typedef void cli_candidate_fn(const char *word, const char *what, void *arg);
/* Of what a word or value is called in the tree: AGENT, APP, ID. agent_id: the one that was named before, or
 * NULL; artifacts: ID is an artifact's. false: no such kind. */
bool cli_complete_ids(
	const char *kind, const char *agent_id, bool artifacts, cli_candidate_fn *candidate, void *arg);

#endif
