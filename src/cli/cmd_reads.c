/* What is asked of a server and changes nothing: an app's log, its settings. */
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/usage.h"
#include "fleet/buffer.h"
#include "fleet/clock.h"
#include "fleet/limits.h"
#include "fleet/text.h"

#define VALUE_SHOWN_MAX 120

/* GET /api/agents/A/apps/B/WHAT with a query; *ret owned. */
static int read_app(const struct cli_args *args, const char *what, const struct fleet_buffer *query,
	struct json_object **ret)
{
	_cleanup_session_ struct session s = {0};
	struct session_about about = {.agent_id = args->words[0], .app_id = args->words[1]};
	_cleanup_free_ char *suffix =
		xasprintf("%s%s%s", what, query->len ? "?" : "", query->len ? query->data + 1 : "");
	_cleanup_free_ char *path = NULL;
	int r = session_open(&s);

	if (r != CLI_OK)
		return r;
	r = session_app_path(&about, suffix, &path);
	return r == CLI_OK ? session_call(&s, "GET", path, NULL, &about, ret, NULL) : r;
}

static void tell_left(struct json_object *answer, const char *one)
{
	int64_t left = fleet_json_int(answer, "left", 0);

	if (left > 0)
		output_line(
			stderr, "%s left out: no room in one answer.", format_count((size_t)left, one).text);
}

/* --- logs -------------------------------------------------------------------------------------------- */

/* A time, or how long ago: 10m. */
static int parse_since(const struct cli_args *args, struct fleet_timestamp *ret, struct fleet_error *err)
{
	const char *text = cli_args_get(args, "since", NULL);
	int64_t ms;

	if (fleet_duration_parse(text, &ms) == 0)
		ms = fleet_clock_wall_ms() - ms;
	else if (fleet_timestamp_parse(text, &ms) < 0)
		return fleet_error_set(err, -EINVAL,
			"--since takes how long ago, such as 10m, or a time such as 2026-01-31T23:59:59Z, "
			"not '%s'",
			text);
	*ret = fleet_timestamp_format(ms);
	return 0;
}

static void line_write(struct json_object *line)
{
	struct short_text when = format_date(fleet_json_string(line, "time"));
	int64_t priority = fleet_json_int(line, "priority", 6);

	output_line(stdout, "%s%s%s%s", when.text, when.text[0] ? "  " : "",
		priority <= 3   ? "error: "
		: priority == 4 ? "warning: "
				: "",
		format_field(line, "text"));
}

int cmd_apps_logs(const struct cli_args *args)
{
	_cleanup_buffer_ struct fleet_buffer query = FLEET_BUFFER_INIT;
	_cleanup_json_ struct json_object *answer = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct fleet_timestamp since;
	struct json_object *lines;
	long count;
	int r;

	if (cli_args_number(
		    args, "lines", FLEET_DRIVER_LOG_LINES_MAX, FLEET_LOG_LINES_DEFAULT, &count, &err) < 0 ||
		(cli_args_has(args, "since") && parse_since(args, &since, &err) < 0))
		return cli_usage_fail(args, &err);
	fleet_buffer_printf(&query, "&lines=%ld", count);
	if (cli_args_has(args, "since"))
		session_query_add(&query, "since", since.text);
	r = read_app(args, "logs", &query, &answer);
	if (r != CLI_OK)
		return r;
	if (cli_args_has(args, "json")) {
		output_json(answer);
		return CLI_OK;
	}
	lines = fleet_json_array(answer, "lines");
	tell_left(answer, "older line");
	for (size_t i = 0; lines && i < json_object_array_length(lines); i++)
		line_write(json_object_array_get_idx(lines, i));
	if (!lines || !json_object_array_length(lines))
		output_line(stderr, "No log lines%s.", cli_args_has(args, "since") ? " since then" : "");
	return CLI_OK;
}

/* --- settings ---------------------------------------------------------------------------------------- */

/* Cut between characters. */
static char *shorten(const char *value)
{
	size_t len = strlen(value), kept = 0, size;

	if (len <= VALUE_SHOWN_MAX)
		return xstrdup(value);
	while (kept < VALUE_SHOWN_MAX && (size = fleet_text_utf8_sequence(value + kept, len - kept)) > 0)
		kept += size;
	return xasprintf("%.*s...", (int)kept, value);
}

static void settings_write(struct json_object *settings)
{
	static const struct table_column columns[] = {{"KEY", false}, {"VALUE", false}, {"TYPE", false}, {0}};
	_cleanup_(table_done) struct table t = {0};

	table_init(&t, columns);
	for (size_t i = 0; settings && i < json_object_array_length(settings); i++) {
		struct json_object *setting = json_object_array_get_idx(settings, i);
		const char *value = fleet_json_string(setting, "value");
		_cleanup_free_ char *shown = value ? shorten(value) : NULL;

		table_row(&t);
		table_cell(&t, 0, fleet_json_string(setting, "key"));
		if (fleet_json_bool(setting, "masked", false))
			table_cell(&t, 1, "(hidden)");
		else
			table_cell(&t, 1, shown && *shown ? shown : "\"\"");
		table_cell(&t, 2, fleet_json_string(setting, "type"));
	}
	table_write(&t, "", stdout);
}

int apps_config_list(const struct cli_args *args)
{
	_cleanup_buffer_ struct fleet_buffer query = FLEET_BUFFER_INIT;
	_cleanup_json_ struct json_object *answer = NULL;
	int r;

	session_query_add(&query, "file", cli_args_get(args, "file", NULL));
	r = read_app(args, "config", &query, &answer);
	if (r != CLI_OK)
		return r;
	if (cli_args_has(args, "json")) {
		output_json(answer);
		return CLI_OK;
	}
	settings_write(fleet_json_array(answer, "settings"));
	tell_left(answer, "setting");
	output_line(stdout, "File %s (%s), %s, read %s", format_field(answer, "file"),
		format_field(answer, "driver"), format_field(answer, "hash"),
		format_date(fleet_json_string(answer, "readAt")).text);
	return CLI_OK;
}
