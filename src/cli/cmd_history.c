/* Who changed an app's settings: pushes, and what was changed on the server itself. */
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/usage.h"
#include "fleet/buffer.h"

#define LAST_DEFAULT  20
#define LAST_MAX      10000
#define CHANGES_SHOWN 5

static void changes_add(struct fleet_buffer *b, struct json_object *entry)
{
	struct json_object *diff = fleet_json_array(entry, "diff"),
			   *keys = fleet_json_array(entry, "changedKeys");
	size_t diffs = diff ? json_object_array_length(diff) : 0;
	size_t count = keys ? json_object_array_length(keys) : diffs;

	for (size_t i = 0; i < count && i < CHANGES_SHOWN; i++) {
		fleet_buffer_add_string(b, b->len ? "; " : "");
		if (i < diffs)
			report_change_add(b, json_object_array_get_idx(diff, i));
		else
			fleet_buffer_add_string(
				b, json_object_get_string(json_object_array_get_idx(keys, i)));
	}
	if (count > CHANGES_SHOWN)
		fleet_buffer_printf(b, "; %zu more", count - CHANGES_SHOWN);
}

/* "as before 9f3a1c: LogLevel: Debug → Info", "failed, rolled back: exited 1". */
static char *entry_text(struct json_object *entry)
{
	_cleanup_buffer_ struct fleet_buffer b = FLEET_BUFFER_INIT;
	const char *restored = fleet_json_string(entry, "restoreOf"),
		   *state = fleet_json_string(entry, "state");
	const char *message = fleet_json_string(entry, "message");

	changes_add(&b, entry);
	if (restored)
		fleet_buffer_printf(&b, "%sas before %s", b.len ? ", " : "", format_id(restored).text);
	if (state && !str_equal(state, "succeeded"))
		fleet_buffer_printf(&b, "%s%s%s", b.len ? "; " : "", state,
			fleet_json_bool(entry, "rolledBack", false) ? ", rolled back" : "");
	if (!b.len && message)
		fleet_buffer_add_string(&b, message);
	return fleet_buffer_take(&b, NULL);
}

static void table_of_history(struct json_object *entries)
{
	static const struct table_column columns[] = {
		{"TIME", false}, {"BY", false}, {"ID", false}, {"FILE", false}, {"CHANGES", false}, {0}};
	_cleanup_(table_done) struct table t = {0};

	table_init(&t, columns);
	for (size_t i = 0; i < json_object_array_length(entries); i++) {
		struct json_object *entry = json_object_array_get_idx(entries, i);
		const char *id = fleet_json_string(entry, "commandId"),
			   *actor = fleet_json_string(entry, "actor");
		_cleanup_free_ char *text = entry_text(entry);

		table_row(&t);
		table_cell(&t, 0, format_date(fleet_json_string(entry, "timestamp")).text);
		table_cell(&t, 1, actor ? actor : "outside Fleet");
		if (id)
			table_cell(&t, 2, format_id(id).text);
		table_cell(&t, 3, fleet_json_string(entry, "file"));
		table_cell(&t, 4, text);
	}
	table_write(&t, "", stdout);
}

int apps_config_history(const struct cli_args *args)
{
	_cleanup_session_ struct session s = {0};
	struct session_about about = {.agent_id = args->words[0], .app_id = args->words[1]};
	_cleanup_buffer_ struct fleet_buffer query = FLEET_BUFFER_INIT;
	_cleanup_json_ struct json_object *entries = NULL;
	_cleanup_free_ char *path = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	long last;
	int r;

	if (cli_args_number(args, "last", LAST_MAX, LAST_DEFAULT, &last, &err) < 0)
		return cli_usage_fail(args, &err);
	r = session_open(&s);
	if (r != CLI_OK)
		return r;
	fleet_buffer_printf(&query, "config/history?limit=%ld", last < 1000 ? last : 1000);
	session_query_add(&query, "file", cli_args_get(args, "file", NULL));
	r = session_app_path(&about, query.data, &path);
	if (r == CLI_OK)
		r = session_list(&s, path, &about, (size_t)last, NULL, &entries);
	if (r != CLI_OK)
		return r;
	if (cli_args_has(args, "json"))
		output_json(entries);
	else if (json_object_array_length(entries) > 0)
		table_of_history(entries);
	else
		output_line(stderr, "No change is known.");
	return CLI_OK;
}
