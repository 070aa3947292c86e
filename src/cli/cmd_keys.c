#include "cli/commands.h"
#include "cli/format.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/usage.h"
#include "fleet/clock.h"

/* --- list -------------------------------------------------------------------------------------------- */

static void add_limit(struct fleet_buffer *b, struct json_object *limits, const char *name)
{
	struct json_object *array = fleet_json_array(limits, name);

	for (size_t i = 0; array && i < json_object_array_length(array); i++)
		fleet_buffer_printf(b, "%s%s",
			i > 0        ? ","
			: b->len > 0 ? "; "
				     : "",
			json_object_get_string(json_object_array_get_idx(array, i)));
}

static void key_row(struct table *t, struct json_object *key)
{
	_cleanup_buffer_ struct fleet_buffer limits = FLEET_BUFFER_INIT;
	struct json_object *given = fleet_json_object(key, "limits");
	const char *expires = fleet_json_string(key, "expiresAt"),
		   *used = fleet_json_string(key, "lastUsedAt");

	table_row(t);
	table_cell(t, 0, fleet_json_string(key, "name"));
	table_cell(t, 1, fleet_json_string(key, "role"));
	table_cell(t, 2, fleet_json_string(key, "state"));
	table_cell(t, 3, expires ? format_date(expires).text : "never");
	table_cell(t, 4, used ? format_date(used).text : "never");
	table_cell(t, 5, fleet_json_string(key, "createdBy"));
	if (str_equal(fleet_json_string(key, "keptIn"), "console.yaml"))
		table_cell(t, 5, "console.yaml");
	add_limit(&limits, given, "agents");
	add_limit(&limits, given, "labels");
	add_limit(&limits, given, "actions");
	table_cell(t, 6, limits.len > 0 ? limits.data : NULL);
}

int cmd_keys_list(const struct cli_args *args)
{
	static const struct table_column columns[] = {{"NAME", false}, {"ROLE", false}, {"STATE", false},
		{"EXPIRES", false}, {"LAST USED", false}, {"BY", false}, {"LIMITED TO", false}, {0}};
	_cleanup_session_ struct session s = {0};
	_cleanup_json_ struct json_object *list = NULL;
	_cleanup_(table_done) struct table t = {0};
	int r = session_open(&s);

	if (r == CLI_OK)
		r = session_list(&s, cli_args_has(args, "all") ? "/api/keys?revoked=true" : "/api/keys", NULL,
			0, NULL, &list);
	if (r != CLI_OK)
		return r;
	if (cli_args_has(args, "json")) {
		output_json(list);
		return CLI_OK;
	}
	table_init(&t, columns);
	for (size_t i = 0; i < json_object_array_length(list); i++)
		key_row(&t, json_object_array_get_idx(list, i));
	table_write(&t, "", stdout);
	return CLI_OK;
}

/* --- create, rotate, revoke -------------------------------------------------------------------------- */

static int read_duration(
	const struct cli_args *args, const char *option, int64_t *ret_ms, struct fleet_error *err)
{
	const char *text = cli_args_get(args, option, NULL);

	if (text && (fleet_duration_parse(text, ret_ms) < 0 || *ret_ms <= 0))
		return fleet_error_set(
			err, -EINVAL, "--%s must be a time such as 12h or 90d, not '%s'", option, text);
	return 0;
}

/* The secret alone on stdout, so that it can be put where it belongs without being seen. */
static void tell_secret(const struct cli_args *args, struct json_object *key)
{
	if (cli_args_has(args, "json")) {
		output_json(key);
		return;
	}
	output_line(stderr, "Key '%s' (%s). It is shown this once:", format_field(key, "name"),
		format_field(key, "role"));
	output_line(stdout, "%s", format_field(key, "key"));
}

int cmd_keys_create(const struct cli_args *args)
{
	static const char *const lists[] = {"agents", "labels", "actions"};
	_cleanup_session_ struct session s = {0};
	_cleanup_json_ struct json_object *body = json_object_new_object(), *key = NULL;
	struct json_object *limits = json_object_new_object();
	struct fleet_error err = FLEET_ERROR_INIT;
	int64_t expires_ms = 0;
	int r;

	fleet_json_add_string(body, "name", args->words[0]);
	fleet_json_add_string(body, "role", cli_args_get(args, "role", NULL));
	for (size_t i = 0; i < FLEET_ARRAY_LEN(lists); i++) {
		if (cli_args_has(args, lists[i]))
			fleet_json_add_words(limits, lists[i], cli_args_get(args, lists[i], ""));
	}
	fleet_json_add(body, "limits", limits);
	if (read_duration(args, "expires", &expires_ms, &err) < 0)
		return cli_usage_fail(args, &err);
	if (expires_ms)
		fleet_json_add_time(body, "expiresAt", fleet_clock_wall_ms() + expires_ms);
	r = session_open(&s);
	if (r == CLI_OK)
		r = session_call(&s, "POST", "/api/keys", body, NULL, &key, NULL);
	if (r == CLI_OK)
		tell_secret(args, key);
	return r;
}

static char *key_path(const struct cli_args *args, const char *suffix)
{
	_cleanup_free_ char *name = fleet_url_encode(args->words[0]);

	return xasprintf("/api/keys/%s%s", name, suffix);
}

int cmd_keys_rotate(const struct cli_args *args)
{
	_cleanup_session_ struct session s = {0};
	_cleanup_json_ struct json_object *body = json_object_new_object(), *key = NULL;
	_cleanup_free_ char *path = key_path(args, "/rotate");
	struct session_about about = {.key = args->words[0]};
	struct fleet_error err = FLEET_ERROR_INIT;
	int64_t overlap_ms = 0;
	int r;

	if (read_duration(args, "overlap", &overlap_ms, &err) < 0)
		return cli_usage_fail(args, &err);
	fleet_json_add_int(body, "overlapSeconds", overlap_ms / 1000);
	r = session_open(&s);
	if (r == CLI_OK)
		r = session_call(&s, "POST", path, body, &about, &key, NULL);
	if (r == CLI_OK)
		tell_secret(args, key);
	return r;
}

int cmd_keys_revoke(const struct cli_args *args)
{
	_cleanup_session_ struct session s = {0};
	_cleanup_json_ struct json_object *key = NULL;
	_cleanup_free_ char *path = key_path(args, "");
	struct session_about about = {.key = args->words[0]};
	int r = session_open(&s);

	if (r == CLI_OK)
		r = session_call(&s, "DELETE", path, NULL, &about, &key, NULL);
	if (r == CLI_OK)
		output_line(stdout, "Revoked: %s (%s)", format_field(key, "name"), format_field(key, "role"));
	return r;
}
