#include "cli/commands.h"
#include "cli/format.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/usage.h"
#include "fleet/buffer.h"

#define LAST_DEFAULT 20
#define LAST_MAX     100000

/* For a console that does not know requests=false. */
static bool is_no_request(struct json_object *event)
{
	return !str_equal(fleet_json_string(event, "category"), "request");
}

static void table_of_events(struct json_object *events)
{
	static const struct table_column columns[] = {{"TIME", false}, {"AGENT", false}, {"CATEGORY", false},
		{"ACTOR", false}, {"MESSAGE", false}, {0}};
	_cleanup_(table_done) struct table t = {0};

	table_init(&t, columns);
	for (size_t i = 0; i < json_object_array_length(events); i++) {
		struct json_object *event = json_object_array_get_idx(events, i);

		table_row(&t);
		table_cell(&t, 0, format_date(fleet_json_string(event, "timestamp")).text);
		table_cell(&t, 1, fleet_json_string(event, "agentId"));
		table_cell(&t, 2, fleet_json_string(event, "category"));
		table_cell(&t, 3, fleet_json_string(event, "actor"));
		table_cell(&t, 4, fleet_json_string(event, "message"));
	}
	table_write(&t, "", stdout);
}

int cmd_audit(const struct cli_args *args)
{
	_cleanup_session_ struct session s = {0};
	_cleanup_json_ struct json_object *events = NULL;
	_cleanup_buffer_ struct fleet_buffer path = FLEET_BUFFER_INIT;
	struct session_about about = {.agent_id = cli_args_get(args, "agent", NULL)};
	const char *category = cli_args_get(args, "category", NULL);
	bool requests = cli_args_has(args, "all") || str_equal(category, "request");
	struct fleet_error err = FLEET_ERROR_INIT;
	long last;
	int r;

	if (cli_args_number(args, "last", LAST_MAX, LAST_DEFAULT, &last, &err) < 0)
		return cli_usage_fail(args, &err);
	r = session_open(&s);
	if (r != CLI_OK)
		return r;
	fleet_buffer_printf(&path, "/api/audit?limit=%ld%s", last < 1000 ? last : 1000,
		requests ? "" : "&requests=false");
	session_query_add(&path, "agentId", about.agent_id);
	session_query_add(&path, "appId", cli_args_get(args, "app", NULL));
	session_query_add(&path, "category", category);
	r = session_list(&s, path.data, &about, (size_t)last, requests ? NULL : is_no_request, &events);
	if (r == CLI_OK)
		r = session_explain_empty(&s, events, about.agent_id);
	if (r != CLI_OK)
		return r;
	if (cli_args_has(args, "json"))
		output_json(events);
	else
		table_of_events(events);
	return CLI_OK;
}
