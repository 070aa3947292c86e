/* The commands of fleetctl, one file a noun (cmd_*.c). Each gets its checked command line, tells its own
 * failures on stderr and returns an enum cli_exit. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H
#include "cli/args.h"

extern const struct cli_command cli_tree; /* tree.c: all of them */

int cmd_login(const struct cli_args *args);
int cmd_agents_list(const struct cli_args *args);
int cmd_agents_status(const struct cli_args *args);
int cmd_agents_ping(const struct cli_args *args);
/* cmd_tokens.c: who may be an agent, and who may become one. */
int cmd_agents_revoke(const struct cli_args *args);
int cmd_agents_remove(const struct cli_args *args);
int cmd_agents_allow_rejoin(const struct cli_args *args);
int cmd_tokens_create(const struct cli_args *args);
int cmd_tokens_list(const struct cli_args *args);
int cmd_tokens_revoke(const struct cli_args *args);
int cmd_apps_restart(const struct cli_args *args);
int cmd_apps_config(const struct cli_args *args);
int cmd_apps_update(const struct cli_args *args);
int cmd_apps_rollback(const struct cli_args *args);
int cmd_apps_list(const struct cli_args *args);
int cmd_artifacts_add(const struct cli_args *args);
int cmd_artifacts_list(const struct cli_args *args);
int cmd_artifacts_remove(const struct cli_args *args);
int cmd_apps_logs(const struct cli_args *args);
int cmd_audit(const struct cli_args *args);
int cmd_audit_verify(const struct cli_args *args);
int cmd_audit_export(const struct cli_args *args);
int cmd_audit_accept_gap(const struct cli_args *args);
int cmd_keys_list(const struct cli_args *args);
int cmd_keys_create(const struct cli_args *args);
int cmd_keys_rotate(const struct cli_args *args);
int cmd_keys_revoke(const struct cli_args *args);
/* `apps config` with nothing to change: what is. (cmd_reads.c) */
int apps_config_list(const struct cli_args *args);
/* `apps config --history`. (cmd_history.c) */
int apps_config_history(const struct cli_args *args);
int cmd_commands_list(const struct cli_args *args);
int cmd_commands_show(const struct cli_args *args);
int cmd_commands_cancel(const struct cli_args *args);
int cmd_commands_abandon(const struct cli_args *args);
int cmd_commands_wait(const struct cli_args *args);

#endif
