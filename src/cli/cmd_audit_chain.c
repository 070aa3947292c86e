/* `fleetctl audit verify`, `audit export` and `audit accept-gap`: the whole log, from its first entry on,
 * page by page. */
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/usage.h"
#include "fleet/audit_chain.h"
#include "fleet/buffer.h"

/* What is done with each entry; another answer than CLI_OK ends the walk. */
typedef int each_entry(struct json_object *event, void *arg);

static int walk_page(struct json_object *page, long long *seq, each_entry *each, void *arg)
{
	for (size_t i = 0; i < json_object_array_length(page); i++) {
		struct json_object *event = json_object_array_get_idx(page, i);
		long long next = fleet_json_int(event, "seq", 0);
		int r;

		if (next <= *seq) {
			output_line(stderr,
				"The console's list goes back from entry %lld to %lld: it is no audit log",
				*seq, next);
			return CLI_FAILED;
		}
		*seq = next;
		r = each(event, arg);
		if (r != CLI_OK)
			return r;
	}
	return CLI_OK;
}

static int walk(
	struct session *s, const char *path, const struct session_about *about, each_entry *each, void *arg)
{
	_cleanup_free_ char *next = xstrdup(path);
	long long seq = 0;
	int r = CLI_OK;

	while (next && r == CLI_OK) {
		_cleanup_json_ struct json_object *page = NULL;
		_cleanup_free_ char *at = TAKE_PTR(next);

		r = session_call(s, "GET", at, NULL, about, &page, &next);
		if (r == CLI_OK && !json_object_is_type(page, json_type_array)) {
			output_line(stderr,
				"The console answered with something else than a list. Is %s a Fleet "
				"console?",
				s->config.url);
			r = CLI_FAILED;
		}
		if (r == CLI_OK)
			r = walk_page(page, &seq, each, arg);
	}
	return r;
}

static int follow(struct json_object *event, void *arg)
{
	struct fleet_audit_link *at = arg;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (fleet_audit_chain_follow(at, event, &err) == 0)
		return CLI_OK;
	output_line(stderr, "%s", err.message);
	output_line(stderr, "  The entries before are as they were written. Look at the rest with: fleetctl "
			    "audit export");
	return CLI_FAILED;
}

/* A chain does not show that its end is gone; the agents were shown it. */
static int tell_doubts(struct json_object *doubts)
{
	size_t count = json_object_array_length(doubts);

	for (size_t i = 0; i < count; i++) {
		struct json_object *doubt = json_object_array_get_idx(doubts, i);
		long long missing = fleet_json_int(doubt, "missing", 0),
			  seq = fleet_json_int(doubt, "seq", 0);

		if (missing > 0)
			output_line(stderr,
				"the audit log does not hold: its last %lld entries are missing, up to %lld, "
				"which agent %s was shown",
				missing, seq, fleet_json_string(doubt, "agentId"));
		else
			output_line(stderr,
				"the audit log does not hold: entry %lld is not the one that agent %s was "
				"shown",
				seq, fleet_json_string(doubt, "agentId"));
	}
	if (count > 0)
		output_line(stderr, "  After a restore from a backup, say so: fleetctl audit accept-gap "
				    "--reason TEXT. Else somebody "
				    "has taken rows away");
	return count > 0 ? CLI_FAILED : CLI_OK;
}

int cmd_audit_verify(const struct cli_args *args)
{
	_cleanup_session_ struct session s = {0};
	_cleanup_json_ struct json_object *doubts = NULL;
	struct fleet_audit_link at = FLEET_AUDIT_CHAIN_START;
	int r = session_open(&s);

	(void)args;
	/* First: a key that does not see all of the log is refused here, and finds no entries missing. */
	if (r == CLI_OK)
		r = session_list(&s, "/api/audit/doubts", NULL, 0, NULL, &doubts);
	if (r == CLI_OK)
		r = walk(&s, "/api/audit?order=oldest&limit=1000", NULL, follow, &at);
	if (r == CLI_OK)
		r = tell_doubts(doubts);
	if (r != CLI_OK)
		return r;
	if (at.seq == 0)
		output_line(stdout, "The audit log is empty.");
	else
		output_line(stdout, "The audit log holds: %lld entries, head %s", (long long)at.seq, at.hash);
	return CLI_OK;
}

static int write_entry(struct json_object *event, void *arg)
{
	(void)arg;
	output_json_line(event);
	return ferror(stdout) ? CLI_FAILED : CLI_OK; /* told when all is flushed */
}

int cmd_audit_export(const struct cli_args *args)
{
	_cleanup_session_ struct session s = {0};
	_cleanup_buffer_ struct fleet_buffer path = FLEET_BUFFER_INIT;
	struct session_about about = {.agent_id = cli_args_get(args, "agent", NULL)};
	int r = session_open(&s);

	if (r != CLI_OK)
		return r;
	fleet_buffer_add_string(&path, "/api/audit?order=oldest&limit=1000");
	session_query_add(&path, "from", cli_args_get(args, "from", NULL));
	session_query_add(&path, "to", cli_args_get(args, "to", NULL));
	session_query_add(&path, "agentId", about.agent_id);
	return walk(&s, path.data, &about, write_entry, NULL);
}

int cmd_audit_accept_gap(const struct cli_args *args)
{
	_cleanup_session_ struct session s = {0};
	_cleanup_json_ struct json_object *body = json_object_new_object(), *answer = NULL;
	int r = session_open(&s);

	fleet_json_add_string(body, "reason", cli_args_get(args, "reason", ""));
	if (r == CLI_OK)
		r = session_call(&s, "POST", "/api/audit/accept-gap", body, NULL, &answer, NULL);
	if (r == CLI_OK)
		output_line(
			stdout, "Accepted: what the agents miss counts as lost, and the audit log says why.");
	return r;
}
