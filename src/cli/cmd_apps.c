#include "cli/commands.h"
#include "cli/format.h"
#include "cli/output.h"
#include "cli/release.h"
#include "cli/report.h"
#include "cli/session.h"
#include "cli/settings.h"
#include "cli/usage.h"
#include "cli/wait.h"
#include "fleet/buffer.h"
#include "fleet/ids.h"

/* One of the commands on its way: what is asked, and what is said when the console has accepted it. */
struct request {
	char *path;               /* owned: "/api/agents/ID/restart-app" */
	struct json_object *body; /* owned */
	char *accepted;           /* owned: the contract's sentence */
	bool dry_run;
};
static void request_done(struct request *r)
{
	free(r->path);
	json_object_put(r->body);
	free(r->accepted);
}
#define _cleanup_request_ _cleanup_(request_done)

/* A command that waits for its agent: why, how long, and how to take it back. */
static void tell_queued(struct session *s, struct json_object *command, const char *agent_id)
{
	_cleanup_(fleet_http_response_done) struct fleet_http_response answer = {0};
	_cleanup_json_ struct json_object *agent = NULL;
	_cleanup_free_ char *path = xasprintf("/api/agents/%s", agent_id);
	struct short_text since, until;

	if (fleet_http_call(s->http, "GET", path, NULL, &answer, NULL) < 0 || answer.status != 200 ||
		fleet_json_parse(answer.body, answer.body_len, answer.body_len, &agent, NULL) < 0 ||
		fleet_json_bool(agent, "isOnline", true))
		return;
	since = format_since(fleet_json_string(agent, "lastSeen"));
	until = format_clock(fleet_json_string(command, "expiresAt"));
	output_line(stderr,
		"  Queued: %s %s%s; it runs if the agent is back%s%s. Cancel: fleetctl commands cancel %s",
		agent_id, since.text[0] ? "has been offline for " : "is offline", since.text,
		until.text[0] ? " before " : "", until.text,
		format_id(fleet_json_string(command, "commandId")).text);
}

static int request_send(const struct cli_args *args, struct session *s, const struct request *request)
{
	const char *agent_id = args->words[0], *app_id = args->words[1];
	struct session_about about = {.agent_id = agent_id, .app_id = app_id};
	_cleanup_json_ struct json_object *command = NULL;
	_cleanup_json_ struct json_object *ended = NULL;
	bool wait = cli_args_has(args, "wait") || request->dry_run;
	bool json = cli_args_has(args, "json");
	struct fleet_error err = FLEET_ERROR_INIT;
	int64_t timeout_ms;
	int r;

	if (wait_timeout(args, &timeout_ms, &err) < 0)
		return cli_usage_fail(args, &err);
	r = session_call(s, "POST", request->path, request->body, &about, &command, NULL);
	if (r != CLI_OK)
		return r;
	if (!json)
		output_line(stdout, "%s", request->accepted);
	if (str_equal(fleet_json_string(command, "state"), "queued"))
		tell_queued(s, command, agent_id);
	if (wait) {
		r = wait_for_command(s, command, timeout_ms, &ended);
		if (r != CLI_OK)
			return r;
	}
	if (json)
		output_json(ended ? ended : command);
	if (!ended)
		return CLI_OK;
	return json ? report_exit_code(ended) : report_outcome(ended, request->dry_run);
}

/* Opens the session, checks the ids, begins the body. */
static int begin(const struct cli_args *args, struct session *s, struct request *request, const char *action)
{
	_cleanup_free_ char *suffix = xasprintf("/%s", action);
	int r = session_open(s);

	if (r == CLI_OK)
		r = session_agent_path(args->words[0], suffix, &request->path);
	if (r != CLI_OK)
		return r;
	if (!fleet_id_is_valid(args->words[1])) {
		output_line(stderr,
			"App '%s' not found on %s. An app id has letters, digits, '.', '_' and '-' only",
			args->words[1], args->words[0]);
		return CLI_FAILED;
	}
	request->body = json_object_new_object();
	fleet_json_add_string(request->body, "appId", args->words[1]);
	return CLI_OK;
}

int cmd_apps_restart(const struct cli_args *args)
{
	_cleanup_session_ struct session s = {0};
	_cleanup_request_ struct request request = {0};
	int r = begin(args, &s, &request, "restart-app");

	if (r != CLI_OK)
		return r;
	request.accepted = xasprintf("Restart command sent to %s on %s.", args->words[1], args->words[0]);
	return request_send(args, &s, &request);
}

int cmd_apps_update(const struct cli_args *args)
{
	_cleanup_session_ struct session s = {0};
	_cleanup_request_ struct request request = {0};
	const char *version = cli_args_get(args, "version", NULL);
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = begin(args, &s, &request, "update-app");

	if (r != CLI_OK)
		return r;
	if (release_add_trust(args, request.body, &err) < 0)
		return cli_usage_fail(args, &err);
	fleet_json_add_string(request.body, "version", version);
	fleet_json_add_string(request.body, "artifactUrl", cli_args_get(args, "artifact", NULL));
	if (cli_args_has(args, "allow-downgrade"))
		fleet_json_add_bool(request.body, "allowDowngrade", true);
	request.accepted = xasprintf("Update command sent: %s → v%s on %s.", args->words[1],
		version + (*version == 'v'), args->words[0]);
	return request_send(args, &s, &request);
}

int cmd_apps_rollback(const struct cli_args *args)
{
	_cleanup_session_ struct session s = {0};
	_cleanup_request_ struct request request = {0};
	int r = begin(args, &s, &request, "rollback-app");

	if (r != CLI_OK)
		return r;
	request.accepted = xasprintf("Rollback command sent to %s on %s.", args->words[1], args->words[0]);
	return request_send(args, &s, &request);
}

/* --restore names a command by its last digits: the console wants the whole id, people want to read the keys.
 */
static int restore_resolve(struct session *s, const char *id, const char *file, struct json_object *body,
	struct json_object **ret_keys)
{
	struct session_about about = {.command_id = id};
	_cleanup_json_ struct json_object *command = NULL;
	_cleanup_free_ char *path = NULL;
	int r = session_command_path(id, &path);

	if (r != CLI_OK)
		return r;
	r = session_call(s, "GET", path, NULL, &about, &command, NULL);
	if (r != CLI_OK)
		return r;
	fleet_json_add_string(body, "restoreOf", fleet_json_string(command, "commandId"));
	fleet_json_add_string(body, "file", file ? file : fleet_json_string(command, "file"));
	*ret_keys = json_object_get(fleet_json_array(command, "changedKeys"));
	return CLI_OK;
}

static void body_add_settings(struct json_object *body, const struct settings *settings)
{
	if (json_object_object_length(settings->values))
		fleet_json_add(body, "settings", json_object_get(settings->values));
	if (json_object_object_length(settings->strings))
		fleet_json_add(body, "stringSettings", json_object_get(settings->strings));
	if (json_object_array_length(settings->unset))
		fleet_json_add(body, "unset", json_object_get(settings->unset));
}

static char *accepted_push(const struct cli_args *args, struct json_object *keys, const char *restore)
{
	_cleanup_buffer_ struct fleet_buffer text = FLEET_BUFFER_INIT;

	fleet_buffer_printf(&text, "%s %s on %s: ",
		cli_args_has(args, "dry-run") ? "Dry run of a config push to" : "Config pushed to",
		args->words[1], args->words[0]);
	for (size_t i = 0; keys && i < json_object_array_length(keys); i++)
		fleet_buffer_printf(&text, "%s%s", i ? ", " : "",
			json_object_get_string(json_object_array_get_idx(keys, i)));
	if (restore)
		fleet_buffer_printf(
			&text, "%sas before %s", keys && json_object_array_length(keys) ? ", " : "", restore);
	return fleet_buffer_take(&text, NULL);
}

/* "sha256:" and 64 digits, or the digits alone. *ret owned; NULL where none was given. */
static int expected_hash(const struct cli_args *args, char **ret, struct fleet_error *err)
{
	const char *text = cli_args_get(args, "expect", NULL), *digits = text;

	if (!text)
		return 0;
	if (str_starts(text, "sha256:"))
		digits += strlen("sha256:");
	if (strlen(digits) != 64 || strspn(digits, "0123456789abcdef") != 64)
		return fleet_error_set(err, -EINVAL,
			"--expect takes a file's hash as a dry run or a listing shows it (sha256: and 64 "
			"digits), not "
			"'%s'",
			text);
	*ret = xasprintf("sha256:%s", digits);
	return 0;
}

/* What is given goes together, and asks for something. */
static int config_check(const struct cli_args *args, size_t count, struct fleet_error *err)
{
	const char *restore = cli_args_get(args, "restore", NULL);

	if (!count && !restore)
		return fleet_error_set(err, -EINVAL,
			"Nothing to change: --set KEY=VALUE, --unset KEY or --restore ID is missing");
	if (count && restore)
		return fleet_error_set(err, -EINVAL,
			"--restore brings back a whole file: it goes without --set and --unset");
	return 0;
}

int cmd_apps_config(const struct cli_args *args)
{
	_cleanup_session_ struct session s = {0};
	_cleanup_request_ struct request request = {.dry_run = cli_args_has(args, "dry-run")};
	_cleanup_settings_ struct settings settings = {0};
	_cleanup_json_ struct json_object *restored = NULL;
	const char *restore = cli_args_get(args, "restore", NULL);
	const char *file = cli_args_get(args, "file", NULL);
	_cleanup_free_ char *expect = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	size_t count;
	int r;

	if (cli_args_has(args, "last") && !cli_args_has(args, "history"))
		(void)fleet_error_set(&err, -EINVAL, "--last goes with --history");
	if (err.code < 0 || settings_parse(args, stdin, &settings, &err) < 0 ||
		expected_hash(args, &expect, &err) < 0)
		return cli_usage_fail(args, &err);
	count = json_object_array_length(settings.keys);
	if (!count && !restore && !expect && !request.dry_run && !cli_args_has(args, "wait"))
		return cli_args_has(args, "history") ? apps_config_history(args) : apps_config_list(args);
	if (cli_args_has(args, "history"))
		(void)fleet_error_set(&err, -EINVAL, "--history goes with --file, --last and --json only");
	else
		(void)config_check(args, count, &err);
	if (err.code < 0)
		return cli_usage_fail(args, &err);
	r = begin(args, &s, &request, "push-config");
	if (r == CLI_OK && restore)
		r = restore_resolve(&s, restore, file, request.body, &restored);
	if (r != CLI_OK)
		return r;
	body_add_settings(request.body, &settings);
	if (!restore)
		fleet_json_add_string(request.body, "file", file);
	if (request.dry_run)
		fleet_json_add_bool(request.body, "dryRun", true);
	fleet_json_add_string(request.body, "expectHash", expect);
	request.accepted = accepted_push(args, restore ? restored : settings.keys, restore);
	return request_send(args, &s, &request);
}
