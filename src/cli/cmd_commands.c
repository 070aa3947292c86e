#include "cli/commands.h"
#include "cli/format.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/usage.h"
#include "cli/wait.h"
#include "fleet/buffer.h"

#define LAST_DEFAULT 20
#define LAST_MAX     100000

static void table_of_commands(struct json_object *list)
{
	static const struct table_column columns[] = {{"ID", false}, {"ASKED", false}, {"COMMAND", false},
		{"AGENT", false}, {"APP", false}, {"STATE", false}, {"ACTOR", false}, {"MESSAGE", false},
		{0}};
	_cleanup_(table_done) struct table t = {0};

	table_init(&t, columns);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *command = json_object_array_get_idx(list, i);

		table_row(&t);
		table_cell(&t, 0, format_id(fleet_json_string(command, "commandId")).text);
		table_cell(&t, 1, format_date(fleet_json_string(command, "createdAt")).text);
		table_cell(&t, 2, fleet_json_string(command, "command"));
		table_cell(&t, 3, fleet_json_string(command, "agentId"));
		table_cell(&t, 4, fleet_json_string(command, "appId"));
		table_cell(&t, 5, fleet_json_string(command, "state"));
		table_cell(&t, 6, fleet_json_string(command, "actor"));
		table_cell(&t, 7, fleet_json_string(command, "message"));
	}
	table_write(&t, "", stdout);
}

int cmd_commands_list(const struct cli_args *args)
{
	_cleanup_session_ struct session s = {0};
	_cleanup_json_ struct json_object *list = NULL;
	_cleanup_buffer_ struct fleet_buffer path = FLEET_BUFFER_INIT;
	struct session_about about = {.agent_id = cli_args_get(args, "agent", NULL)};
	struct fleet_error err = FLEET_ERROR_INIT;
	long last;
	int r;

	if (cli_args_number(args, "last", LAST_MAX, LAST_DEFAULT, &last, &err) < 0)
		return cli_usage_fail(args, &err);
	r = session_open(&s);
	if (r != CLI_OK)
		return r;
	fleet_buffer_printf(&path, "/api/commands?limit=%ld", last < 1000 ? last : 1000);
	session_query_add(&path, "agentId", about.agent_id);
	session_query_add(&path, "appId", cli_args_get(args, "app", NULL));
	session_query_add(&path, "state", cli_args_get(args, "state", NULL));
	r = session_list(&s, path.data, &about, (size_t)last, NULL, &list);
	if (r == CLI_OK)
		r = session_explain_empty(&s, list, about.agent_id);
	if (r != CLI_OK)
		return r;
	if (cli_args_has(args, "json"))
		output_json(list);
	else
		table_of_commands(list);
	return CLI_OK;
}

/* One request about one command; id as typed. query: "" or what follows the path. */
static int command_call(
	struct session *s, const char *method, const char *id, const char *query, struct json_object **ret)
{
	struct session_about about = {.command_id = id};
	_cleanup_free_ char *path = NULL;
	_cleanup_free_ char *url = NULL;
	int r = session_open(s);

	if (r == CLI_OK)
		r = session_command_path(id, &path);
	if (r != CLI_OK)
		return r;
	url = xasprintf("%s%s", path, query);
	return session_call(s, method, url, NULL, &about, ret, NULL);
}

int cmd_commands_show(const struct cli_args *args)
{
	_cleanup_session_ struct session s = {0};
	_cleanup_json_ struct json_object *command = NULL;
	int r = command_call(&s, "GET", args->words[0], "", &command);

	if (r != CLI_OK)
		return r;
	if (cli_args_has(args, "json"))
		output_json(command);
	else
		report_details(command);
	return CLI_OK;
}

static int command_close(const struct cli_args *args, const char *query, const char *done)
{
	_cleanup_session_ struct session s = {0};
	_cleanup_json_ struct json_object *command = NULL;
	int r = command_call(&s, "DELETE", args->words[0], query, &command);

	if (r != CLI_OK)
		return r;
	output_line(stdout, "%s: %s of %s on %s [%s]", done, report_action(command),
		format_field(command, "appId"), format_field(command, "agentId"),
		format_id(fleet_json_string(command, "commandId")).text);
	return CLI_OK;
}

int cmd_commands_cancel(const struct cli_args *args)
{
	return command_close(args, "", "Cancelled");
}

int cmd_commands_abandon(const struct cli_args *args)
{
	_cleanup_free_ char *reason = fleet_url_encode(cli_args_get(args, "reason", ""));
	_cleanup_free_ char *query = xasprintf("?abandon=%s", reason);

	return command_close(args, query, "Closed");
}

int cmd_commands_wait(const struct cli_args *args)
{
	_cleanup_session_ struct session s = {0};
	_cleanup_json_ struct json_object *command = NULL;
	_cleanup_json_ struct json_object *ended = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	int64_t timeout_ms;
	int r;

	if (wait_timeout(args, &timeout_ms, &err) < 0)
		return cli_usage_fail(args, &err);
	r = command_call(&s, "GET", args->words[0], "", &command);
	if (r == CLI_OK)
		r = wait_for_command(&s, command, timeout_ms, &ended);
	if (r != CLI_OK)
		return r;
	if (!cli_args_has(args, "json"))
		return report_outcome(ended, false);
	output_json(ended);
	return report_exit_code(ended);
}
