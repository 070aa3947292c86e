#include "cli/commands.h"
#include "cli/format.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/usage.h"
#include "fleet/clock.h"
#include "fleet/limits.h"

/* How the token gets to the server is the reader's business: it is shown where it can be copied, once. */
static void created_write(const struct session *s, struct json_object *token)
{
	const char *agents = fleet_json_string(token, "agents");

	output_line(stderr,
		"For %s, %s, until %s [%s]. Shown once; in /etc/fleet-agent/agent.env of a new server:",
		agents ? agents : "any agent",
		format_count((size_t)fleet_json_int(token, "usesMax", 1), "use").text,
		format_clock(fleet_json_string(token, "expiresAt")).text,
		format_id(fleet_json_string(token, "tokenId")).text);
	output_line(stdout, "FLEET_CONSOLE_URL=%s", s->config.url);
	output_line(stdout, "FLEET_JOIN_TOKEN=%s", format_field(token, "token"));
}

int cmd_tokens_create(const struct cli_args *args)
{
	_cleanup_session_ struct session s = {0};
	_cleanup_json_ struct json_object *body = json_object_new_object(), *token = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	const char *expires = cli_args_get(args, "expires", NULL);
	int64_t life_ms = FLEET_JOIN_LIFE_DEFAULT_S * INT64_C(1000);
	long uses = 1;
	int r = cli_args_number(args, "uses", FLEET_JOIN_USES_MAX, 1, &uses, &err);

	if (r >= 0 && expires && (fleet_duration_parse(expires, &life_ms) < 0 || life_ms < 1000))
		r = fleet_error_set(&err, -EINVAL, "--expires takes a time as 30m or 2h, not '%s'", expires);
	if (r < 0)
		return cli_usage_fail(args, &err);
	r = session_open(&s);
	if (r != CLI_OK)
		return r;
	fleet_json_add_string(body, "agents", cli_args_get(args, "for", NULL));
	fleet_json_add_int(body, "uses", uses);
	fleet_json_add_int(body, "expiresInSeconds", life_ms / 1000);
	r = session_call(&s, "POST", "/api/join-tokens", body, NULL, &token, NULL);
	if (r != CLI_OK)
		return r;
	if (cli_args_has(args, "json"))
		output_json(token);
	else
		created_write(&s, token);
	return CLI_OK;
}

static void token_row(struct table *t, struct json_object *token)
{
	const char *agents = fleet_json_string(token, "agents");

	table_row(t);
	table_cell(t, 0, format_id(fleet_json_string(token, "tokenId")).text);
	table_cell(t, 1, fleet_json_string(token, "state"));
	table_cell(t, 2, agents ? agents : "any");
	table_cellf(t, 3, "%lld of %lld", (long long)fleet_json_int(token, "uses", 0),
		(long long)fleet_json_int(token, "usesMax", 0));
	table_cell(t, 4, format_clock(fleet_json_string(token, "expiresAt")).text);
	table_cell(t, 5, format_clock(fleet_json_string(token, "createdAt")).text);
	table_cell(t, 6, fleet_json_string(token, "createdBy"));
}

int cmd_tokens_list(const struct cli_args *args)
{
	static const struct table_column columns[] = {{"ID", false}, {"STATE", false}, {"FOR", false},
		{"USED", false}, {"EXPIRES", false}, {"CREATED", false}, {"BY", false}, {0}};
	_cleanup_session_ struct session s = {0};
	_cleanup_json_ struct json_object *tokens = NULL;
	_cleanup_(table_done) struct table t = {0};
	int r = session_open(&s);

	if (r == CLI_OK)
		r = session_list(&s, "/api/join-tokens", NULL, 0, NULL, &tokens);
	if (r != CLI_OK)
		return r;
	if (cli_args_has(args, "json")) {
		output_json(tokens);
		return CLI_OK;
	}
	table_init(&t, columns);
	for (size_t i = 0; i < json_object_array_length(tokens); i++)
		token_row(&t, json_object_array_get_idx(tokens, i));
	table_write(&t, "", stdout);
	if (!t.rows)
		output_line(stderr, "There is no join token. One is made with: fleetctl tokens create");
	return CLI_OK;
}

int cmd_tokens_revoke(const struct cli_args *args)
{
	_cleanup_session_ struct session s = {0};
	_cleanup_json_ struct json_object *token = NULL;
	_cleanup_free_ char *name = fleet_url_encode(args->words[0]);
	_cleanup_free_ char *path = xasprintf("/api/join-tokens/%s", name);
	int r = session_open(&s);

	if (r == CLI_OK)
		r = session_call(&s, "DELETE", path, NULL, NULL, &token, NULL);
	if (r == CLI_OK)
		output_line(stdout, "Nobody joins with %s any more.",
			format_id(fleet_json_string(token, "tokenId")).text);
	return r;
}

/* --- agents that have joined ------------------------------------------------------------------------- */

static int change(const struct cli_args *args, const char *method, const char *suffix,
	struct json_object *body, struct json_object **ret)
{
	_cleanup_session_ struct session s = {0};
	_cleanup_free_ char *path = NULL;
	struct session_about about = {.agent_id = args->words[0]};
	int r = session_open(&s);

	if (r == CLI_OK)
		r = session_agent_path(args->words[0], suffix, &path);
	return r == CLI_OK ? session_call(&s, method, path, body, &about, ret, NULL) : r;
}

int cmd_agents_revoke(const struct cli_args *args)
{
	_cleanup_json_ struct json_object *access = NULL;
	int r = change(args, "POST", "/revoke", NULL, &access);

	if (r != CLI_OK)
		return r;
	output_line(stdout, "%s is cut off, and nothing that it has lets it in again.", args->words[0]);
	output_line(stderr, "  To let it join anew: fleetctl agents allow-rejoin %s --for 1h, and a token",
		args->words[0]);
	return CLI_OK;
}

int cmd_agents_remove(const struct cli_args *args)
{
	_cleanup_json_ struct json_object *access = NULL;
	int r = change(args, "DELETE", "", NULL, &access);

	if (r == CLI_OK)
		output_line(stdout, "%s is removed; the audit log keeps what it did.", args->words[0]);
	return r;
}

int cmd_agents_allow_rejoin(const struct cli_args *args)
{
	_cleanup_json_ struct json_object *body = json_object_new_object(), *access = NULL;
	const char *text = cli_args_get(args, "for", "1h");
	struct fleet_error err = FLEET_ERROR_INIT;
	int64_t ms;
	int r;

	if (fleet_duration_parse(text, &ms) < 0 || ms < 1000) {
		(void)fleet_error_set(&err, -EINVAL, "--for takes a time as 30m or 2h, not '%s'", text);
		return cli_usage_fail(args, &err);
	}
	fleet_json_add_int(body, "forSeconds", ms / 1000);
	r = change(args, "POST", "/allow-rejoin", body, &access);
	if (r == CLI_OK)
		output_line(stdout, "Until %s a server with a join token may take %s's place.",
			format_clock(fleet_json_string(access, "rejoinUntil")).text, args->words[0]);
	return r;
}
