#include "cli/commands.h"

/* The one place that says which commands there are, what each takes, and what its help says. */

static const struct cli_option login_options[] = {
	{"url", "URL", "the console, as https://console.example.com", CLI_REQUIRED},
	{"api-key", "KEY",
		"your key; asked for on a terminal where the console wants one; - reads it from stdin", 0},
	{"ca-file", "FILE", "certificate authorities to trust, instead of the system's", 0},
	{0},
};
static const struct cli_option agents_list_options[] = {
	{"online-only", NULL, "only agents that are connected now", 0},
	{"json", NULL, "JSON instead of a table", 0},
	{0},
};
static const struct cli_option rejoin_options[] = {
	{"for", "TIME", "how long it may, as 30m or 2h (default 1h)", 0},
	{0},
};
static const struct cli_option tokens_create_options[] = {
	{"for", "AGENT", "for this agent only, or a pattern as 'web-*' (default: any)", 0},
	{"uses", "N", "how many servers may join with it (default 1)", 0},
	{"expires", "TIME", "how long it holds, as 30m or 2h (default 1h)", 0},
	{"json", NULL, "the console's record as JSON instead of text", 0},
	{0},
};
static const struct cli_option json_table_options[] = {
	{"json", NULL, "JSON instead of a table", 0},
	{0},
};
static const struct cli_option json_options[] = {
	{"json", NULL, "JSON instead of text", 0},
	{0},
};

#define WAIT_OPTIONS                                                                                         \
	{"wait", NULL, "wait for the outcome; the exit code tells it", 0},                                   \
		{"timeout", "TIME", "how long --wait waits, as 30s or 5m (default 5m)", 0},                  \
	{                                                                                                    \
		"json", NULL, "the command's record as JSON instead of text", 0                              \
	}

static const struct cli_option restart_options[] = {WAIT_OPTIONS, {0}};
static const struct cli_option config_options[] = {
	{"set", "KEY=VALUE", "set one setting, keeping the type it has", CLI_REPEATABLE},
	{"set-string", "KEY=VALUE", "set it to a string, whatever it looks like", CLI_REPEATABLE},
	{"set-json", "KEY=JSON", "set it to a JSON value", CLI_REPEATABLE},
	{"set-file", "KEY=PATH", "as --set, with the value read from a file, or from stdin (-)",
		CLI_REPEATABLE},
	{"unset", "KEY", "remove a setting", CLI_REPEATABLE},
	{"file", "NAME", "which of the app's config files (default main)", 0},
	{"restore", "ID", "bring back the file as it was before that command", 0},
	{"dry-run", NULL, "show what would change, line by line, and write nothing", 0},
	{"expect", "HASH", "push only if the file still has this hash (as a listing or a dry run shows it)",
		0},
	{"history", NULL, "who changed what, newest first", 0},
	{"last", "N", "with --history: how many (default 20)", 0},
	WAIT_OPTIONS,
	{0},
};
static const struct cli_option logs_options[] = {
	{"lines", "N", "how many, the newest (default 50, at most 200)", 0},
	{"since", "TIME", "only since then: 10m ago, or 2026-01-31T23:59:59Z", 0},
	{"json", NULL, "JSON instead of text", 0},
	{0},
};
static const struct cli_option update_options[] = {
	{"version", "VERSION", "target version", CLI_REQUIRED},
	{"artifact", "URL", "where the agent downloads it; else the registered artifact", 0},
	{"sha256", "HEX", "checksum that the download must have", 0},
	{"signature", "FILE|TEXT", "minisign's signature of it", 0},
	{"allow-downgrade", NULL, "also where the app's version is newer", 0},
	WAIT_OPTIONS,
	{0},
};
static const struct cli_option apps_list_options[] = {
	{"app", "APP", "only this app", 0},
	{"status", "STATUS", "only running, done, stopped, failed, starting, stopping or unknown", 0},
	{"problems", NULL, "only what failed, is unhealthy, or whose agent is offline; and why", 0},
	{"json", NULL, "JSON instead of a table", 0},
	{0},
};
static const struct cli_option artifacts_add_options[] = {
	{"version", "VERSION", "the version that it is", CLI_REQUIRED},
	{"url", "URL", "where agents download it", 0},
	{"file", "FILE", "sent to the console, which serves it to agents", 0},
	{"sha256", "HEX", "its checksum", 0},
	{"signature", "FILE|TEXT", "minisign's signature of it", 0},
	{"json", NULL, "the console's record as JSON instead of text", 0},
	{0},
};
static const struct cli_option artifacts_list_options[] = {
	{"app", "APP", "only this app's", 0},
	{"json", NULL, "JSON instead of a table", 0},
	{0},
};
static const struct cli_option audit_options[] = {
	{"last", "N", "how many entries, newest first (default 20)", 0},
	{"agent", "AGENT", "only this agent", 0},
	{"app", "APP", "only this app", 0},
	{"category", "NAME", "only agent, restart, config, update, access or system", 0},
	{"all", NULL, "requests too: who asked for what, when", 0},
	{"json", NULL, "JSON instead of a table", 0},
	{0},
};
static const struct cli_option audit_export_options[] = {
	{"from", "TIME", "no entry before, as 2026-01-31T00:00:00Z", 0},
	{"to", "TIME", "no entry after", 0},
	{"agent", "AGENT", "only this agent", 0},
	{0},
};
static const struct cli_option commands_list_options[] = {
	{"last", "N", "how many, newest first (default 20)", 0},
	{"agent", "AGENT", "only this agent", 0},
	{"app", "APP", "only this app", 0},
	{"state", "STATE", "only queued, sent, accepted, running, succeeded, failed, expired, ...", 0},
	{"json", NULL, "JSON instead of a table", 0},
	{0},
};
static const struct cli_option keys_list_options[] = {
	{"all", NULL, "revoked ones, too", 0},
	{"json", NULL, "JSON instead of a table", 0},
	{0},
};
static const struct cli_option keys_create_options[] = {
	{"role", "ROLE", "viewer, operator or admin", CLI_REQUIRED},
	{"agents", "PATTERN,...", "only agents whose id fits one of them: web-*,db-?", 0},
	{"labels", "LABEL,...", "only agents that have them all: env=prod,rack", 0},
	{"actions", "ACTION,...", "only these of what the role may (see below)", 0},
	{"expires", "TIME", "for so long it is good, as 12h or 90d (default: until it is revoked)", 0},
	{"json", NULL, "the console's record as JSON, with the key in it", 0},
	{0},
};
static const struct cli_option keys_rotate_options[] = {
	{"overlap", "TIME", "for so long the key before is good, too (default: not at all)", 0},
	{"json", NULL, "the console's record as JSON, with the key in it", 0},
	{0},
};
static const struct cli_option reason_options[] = {
	{"reason", "TEXT", "why; kept in the audit log", CLI_REQUIRED},
	{0},
};
static const struct cli_option commands_wait_options[] = {
	{"timeout", "TIME", "how long to wait, as 30s or 5m (default 5m)", 0},
	{"json", NULL, "the command's record as JSON instead of text", 0},
	{0},
};

static const char exit_codes[] =
	"Exit codes: 0 done, or accepted by the console; 1 nothing was started; 2 wrong usage;\n"
	"with --wait: 3 it failed, the app is as it was; 4 --timeout passed, it goes on;\n"
	"5 it failed and the app is not healthy now.\n";

static const struct cli_command agents[] = {
	{.name = "list",
		.summary = "Table of all agents",
		.options = agents_list_options,
		.run = cmd_agents_list},
	{.name = "status",
		.summary = "One agent in detail: metrics and apps",
		.words = {"AGENT"},
		.options = json_options,
		.run = cmd_agents_status},
	{.name = "ping",
		.summary = "Ask an agent for a heartbeat now",
		.words = {"AGENT"},
		.options = json_options,
		.run = cmd_agents_ping},
	{.name = "revoke",
		.summary = "Cut an agent off at once; nothing that it has lets it in again",
		.words = {"AGENT"},
		.run = cmd_agents_revoke},
	{.name = "allow-rejoin",
		.summary = "Let a server with a join token take an agent's place",
		.words = {"AGENT"},
		.options = rejoin_options,
		.run = cmd_agents_allow_rejoin,
		.more = "For a server that died or was set up anew under its old name, and for one that was "
			"revoked.\n"},
	{.name = "remove",
		.summary = "Forget an agent that is gone; the audit log keeps what it did",
		.words = {"AGENT"},
		.run = cmd_agents_remove},
	{0},
};
static const struct cli_command tokens[] = {
	{.name = "create",
		.summary = "Make a token with which new servers join",
		.options = tokens_create_options,
		.run = cmd_tokens_create,
		.more = "It prints what belongs into the new server's agent.env. The token also tells the "
			"server\n"
			"which console to believe, so that the first contact is verified already.\n"},
	{.name = "list",
		.summary = "Which tokens there are, newest first",
		.options = json_table_options,
		.run = cmd_tokens_list},
	{.name = "revoke",
		.summary = "Nobody joins with a token any more; who has, stays",
		.words = {"ID"},
		.run = cmd_tokens_revoke},
	{0},
};
static const struct cli_command apps[] = {
	{.name = "list",
		.summary = "Table of all apps on all servers",
		.options = apps_list_options,
		.run = cmd_apps_list},
	{.name = "restart",
		.summary = "Restart an app",
		.words = {"AGENT", "APP"},
		.options = restart_options,
		.run = cmd_apps_restart,
		.more = exit_codes},
	{.name = "config",
		.summary = "Show or change an app's settings",
		.words = {"AGENT", "APP"},
		.options = config_options,
		.run = cmd_apps_config,
		.more = "Without anything to change it lists the settings; secrets stay on the server.\n\n"
			"Keys: a.b is b inside a; a\\.b is one name with a dot; list[0] an element, list[+] "
			"appends.\n"
			"Example: fleetctl apps config agent-001 app-b --set LogLevel=Debug --wait\n\n"
			"Exit codes: as fleetctl apps restart --help.\n"},
	{.name = "logs",
		.summary = "The last lines of an app's log",
		.words = {"AGENT", "APP"},
		.options = logs_options,
		.run = cmd_apps_logs},
	{.name = "update",
		.summary = "Update an app to another version",
		.words = {"AGENT", "APP"},
		.options = update_options,
		.run = cmd_apps_update,
		.more = "An update that fails is undone. Without --artifact the registered one is taken: "
			"fleetctl\n"
			"artifacts add. Example: fleetctl apps update agent-001 app-a --version 2.1.0 "
			"--wait\n\n"
			"Exit codes: as fleetctl apps restart --help.\n"},
	{.name = "rollback",
		.summary = "Return to the version before the last update",
		.words = {"AGENT", "APP"},
		.options = restart_options,
		.run = cmd_apps_rollback,
		.more = "Exit codes: as fleetctl apps restart --help.\n"},
	{0},
};
static const struct cli_command audit[] = {
	{.name = "verify",
		.summary = "Recompute the chain over every entry of the audit log",
		.run = cmd_audit_verify},
	{.name = "export",
		.summary = "Every entry as a line of JSON, oldest first",
		.options = audit_export_options,
		.run = cmd_audit_export},
	{.name = "accept-gap",
		.summary = "Say why entries are gone that agents were shown, as after a restore",
		.options = reason_options,
		.run = cmd_audit_accept_gap},
	{0},
};
static const struct cli_command artifacts[] = {
	{.name = "add",
		.summary = "Register a release of an app, or send one to the console",
		.words = {"APP"},
		.options = artifacts_add_options,
		.run = cmd_artifacts_add,
		.more = "Either --url or --file. The console hashes a file itself, and gives it to agents "
			"that\n"
			"are to install it.\n"},
	{.name = "list",
		.summary = "What releases the console knows of, newest first",
		.options = artifacts_list_options,
		.run = cmd_artifacts_list},
	{.name = "remove",
		.summary = "Forget a release, and remove its file from the console",
		.words = {"ID"},
		.run = cmd_artifacts_remove},
	{0},
};
static const struct cli_command commands[] = {
	{.name = "list",
		.summary = "What was asked of apps, newest first",
		.options = commands_list_options,
		.run = cmd_commands_list},
	{.name = "show",
		.summary = "All that is known of one command",
		.words = {"ID"},
		.options = json_options,
		.run = cmd_commands_show},
	{.name = "cancel",
		.summary = "Cancel a command that has not started",
		.words = {"ID"},
		.run = cmd_commands_cancel},
	{.name = "abandon",
		.summary = "Close a command whose outcome nobody knows",
		.words = {"ID"},
		.options = reason_options,
		.run = cmd_commands_abandon},
	{.name = "wait",
		.summary = "Wait for the outcome of a command; the exit code tells it",
		.words = {"ID"},
		.options = commands_wait_options,
		.run = cmd_commands_wait,
		.more = "Exit codes: as fleetctl apps restart --help.\n"},
	{0},
};
static const struct cli_command keys[] = {
	{.name = "list",
		.summary = "Which keys there are, what they may, and when they were used",
		.options = keys_list_options,
		.run = cmd_keys_list},
	{.name = "create",
		.summary = "Make a key, and show it: once",
		.words = {"NAME"},
		.options = keys_create_options,
		.run = cmd_keys_create,
		.more = "The key alone goes to stdout. Actions: restart, push-config, update, read-config, "
			"read-logs,\nping, cancel, artifacts.\n"
			"Example: fleetctl keys create ci --role operator --agents 'web-*' --actions update "
			"--expires 90d\n"},
	{.name = "rotate",
		.summary = "Give a key a new secret, and show it: once",
		.words = {"NAME"},
		.options = keys_rotate_options,
		.run = cmd_keys_rotate},
	{.name = "revoke",
		.summary = "End a key now, with its sessions",
		.words = {"NAME"},
		.run = cmd_keys_revoke},
	{0},
};
static const struct cli_command top[] = {
	{.name = "login",
		.summary = "Save the console's URL and your key",
		.options = login_options,
		.run = cmd_login},
	{.name = "agents", .summary = "See the servers", .children = agents},
	{.name = "tokens",
		.summary = "Let new servers join",
		.children = tokens,
		.more = "ID is a token's last six digits, as the list shows them, or more of it.\n"},
	{.name = "apps", .summary = "Manage the apps on a server", .children = apps},
	{.name = "artifacts",
		.summary = "Releases that updates can name by their version",
		.children = artifacts,
		.more = "ID is an artifact's last six digits, as the list shows them, or more of it.\n"},
	{.name = "audit",
		.summary = "Who changed what, when",
		.options = audit_options,
		.run = cmd_audit,
		.children = audit},
	{.name = "commands",
		.summary = "Follow and cancel what was asked",
		.children = commands,
		.more = "ID is a command's last six digits, as other commands print them, or more of it.\n"},
	{.name = "keys",
		.summary = "API keys of people and their programs (for admins)",
		.children = keys,
		.more = "NAME stands in the audit log for whoever holds the key. The first key is made at "
			"the "
			"console:\nfleet-console init\n"},
	{0},
};

const struct cli_command cli_tree = {
	.name = "fleetctl",
	.summary = "Manage apps on many servers through a Fleet console",
	.children = top,
	.more = "Begin with: fleetctl login --url URL\nMore on each: fleetctl COMMAND --help\n",
};
