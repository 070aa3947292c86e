#include <ctype.h>
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/table.h"
#include "fleet/limits.h"

static void app_row(struct table *t, struct json_object *app)
{
	bool online = fleet_json_bool(app, "agentOnline", true);

	table_row(t);
	table_cell(t, 0, fleet_json_string(app, "agentId"));
	table_cell(t, 1, fleet_json_string(app, "id"));
	/* what an offline agent said last is no fact about now */
	table_cellf(t, 2, "%s%s", format_status(fleet_json_string(app, "status")).text,
		online ? "" : " (offline)");
	table_cell(t, 3, online ? fleet_json_string(app, "health") : NULL);
	table_cell(t, 4, fleet_json_string(app, "version"));
	table_cell(t, 5, online ? format_since(fleet_json_string(app, "since")).text : NULL);
}

static void why_line(struct json_object *app)
{
	const char *message = fleet_json_string(app, "message");
	const char *health = fleet_json_string(app, "healthMessage");

	if (str_empty(message) && str_equal(fleet_json_string(app, "health"), "unhealthy"))
		message = health;
	if (!str_empty(message))
		output_line(
			stdout, "%s %s: %s", format_field(app, "agentId"), format_field(app, "id"), message);
}

int cmd_apps_list(const struct cli_args *args)
{
	static const struct table_column columns[] = {{"AGENT", false}, {"APP", false}, {"STATUS", false},
		{"HEALTH", false}, {"VERSION", false}, {"SINCE", false}, {0}};
	_cleanup_session_ struct session s = {0};
	_cleanup_json_ struct json_object *apps = NULL;
	_cleanup_buffer_ struct fleet_buffer path = FLEET_BUFFER_INIT;
	_cleanup_free_ char *status = xstrdup(cli_args_get(args, "status", NULL));
	_cleanup_(table_done) struct table t = {0};
	bool problems = cli_args_has(args, "problems");
	int r = session_open(&s);

	for (char *c = status; c && *c; c++) /* as the table shows it, too */
		*c = (char)tolower((unsigned char)*c);
	if (r != CLI_OK)
		return r;
	fleet_buffer_printf(&path, "/api/apps?limit=%d", FLEET_PAGE_MAX);
	session_query_add(&path, "app", cli_args_get(args, "app", NULL));
	session_query_add(&path, "status", status);
	session_query_add(&path, "problems", problems ? "true" : NULL);
	r = session_list(&s, path.data, NULL, 0, NULL, &apps);
	if (r != CLI_OK)
		return r;
	if (cli_args_has(args, "json")) {
		output_json(apps);
		return CLI_OK;
	}
	table_init(&t, columns);
	for (size_t i = 0; i < json_object_array_length(apps); i++)
		app_row(&t, json_object_array_get_idx(apps, i));
	table_write(&t, "", stdout);
	for (size_t i = 0; problems && i < json_object_array_length(apps); i++)
		why_line(json_object_array_get_idx(apps, i));
	if (!t.rows)
		output_line(stderr, problems ? "No app has a problem." : "No such app in the fleet.");
	return CLI_OK;
}
