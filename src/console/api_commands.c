/* GET and DELETE /api/commands. (Commands begin in api_operations.c.) */
#include "console/api.h"
#include "fleet/ids.h"
#include "fleet/limits.h"

#define ID_TAIL_MIN        6
#define ABANDON_REASON_MAX 500

static const char *const params[] = {"agentId", "appId", "state", NULL};

struct listing {
	const struct console *console;
	struct fleet_http_request *req;
};

/* What is open is shown as it is now, progress and all. */
static struct json_object *newest(const struct console *console, struct json_object *stored)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < json_object_array_length(stored); i++) {
		struct json_object *item = json_object_array_get_idx(stored, i);
		const char *id = fleet_json_string(item, "commandId");
		const struct command *open = id ? commands_open_get(&console->commands, id) : NULL;

		json_object_array_add(array, open ? command_to_json(open) : json_object_get(item));
	}
	return array;
}

static void on_listed(
	int result, struct json_object *array, const char *next, const struct fleet_error *err, void *arg)
{
	struct listing *listing = arg;

	if (result == -EINVAL)
		(void)api_refuse(listing->req, "cursor", "is none of this console's");
	else if (result < 0)
		api_reply_store_failed(listing->req, result, err);
	else
		api_reply_page(listing->req, newest(listing->console, array), next, params);
	free(listing);
}

void api_commands_list(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;
	_cleanup_json_ struct json_object *only_agents = NULL;
	struct command_filter filter = {0};
	const char *state = fleet_http_query(req, "state");
	struct listing *listing;
	struct api_page page;

	if (!api_read_page(req, FLEET_PAGE_DEFAULT, &page) ||
		!api_read_id(req, "agentId", &filter.agent_id) || !api_read_id(req, "appId", &filter.app_id))
		return;
	filter.by_state = state != NULL;
	if (state && command_state_from_string(state, &filter.state) < 0) {
		(void)api_refuse(req, "state",
			"must be queued, sent, accepted, running, succeeded, failed, expired, cancelled or "
			"unknown");
		return;
	}
	only_agents = auth_agents_seen(&console->auth, req);
	filter.only_agents = only_agents;
	listing = xcalloc(1, sizeof(*listing));
	*listing = (struct listing){console, req};
	store_command_query(
		console->store, &filter, (struct store_page){page.limit, page.cursor}, on_listed, listing);
}

/* --- one --------------------------------------------------------------------------------------------- */

/* Whole ids, or their last six or more digits. */
static const char *read_id(struct fleet_http_request *req)
{
	const char *id = fleet_http_param(req, "commandId");
	size_t len = strlen(id);

	if (len >= ID_TAIL_MIN && len <= FLEET_UUID_LEN && strspn(id, "0123456789abcdefABCDEF-") == len)
		return id;
	(void)api_refuse(
		req, "commandId", "must be a command's id, or its last %d digits or more", ID_TAIL_MIN);
	return NULL;
}

static void reply_not_found(struct fleet_http_request *req, int result, const struct fleet_error *err)
{
	const char *id = fleet_http_param(req, "commandId");
	struct json_object *extra;

	if (result != -ENOENT && result != -ENOTUNIQ) {
		api_reply_store_failed(req, result, err);
		return;
	}
	extra = json_object_new_object();
	fleet_json_add_string(extra, "commandId", id);
	if (result == -ENOENT)
		fleet_http_reply_problem(req, 404, "command-not-found", extra, "Command '%s' not found", id);
	else
		fleet_http_reply_problem(req, 409, "conflict", extra,
			"Several commands end in '%s': give more of its digits", id);
}

struct asking {
	struct console *console;
	struct fleet_http_request *req;
};

/* For those whom its agent is beyond there is no such command. */
static bool may_see(const struct asking *asking, const struct command *command)
{
	return auth_sees(&asking->console->auth, asking->req, command->agent_id);
}

static void on_got(int result, struct command *command, const struct fleet_error *err, void *arg)
{
	struct asking *asking = arg;

	if (result >= 0 && !may_see(asking, command))
		result = -ENOENT;
	if (result < 0)
		reply_not_found(asking->req, result, err);
	else
		fleet_http_reply_json(asking->req, 200, command_to_json(command));
	free(asking);
}

static struct asking *asking_new(struct console *console, struct fleet_http_request *req)
{
	struct asking *asking = xcalloc(1, sizeof(*asking));

	*asking = (struct asking){console, req};
	return asking;
}

void api_commands_get(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;
	const char *id = read_id(req);

	if (id)
		commands_get(&console->commands, id, on_got, asking_new(console, req));
}

static void on_cancelled(int result, struct command *command, const struct fleet_error *err, void *arg)
{
	struct asking *asking = arg;
	struct fleet_http_request *req = asking->req;
	struct json_object *extra;

	if (result != -EBUSY) {
		on_got(result, command, err, arg);
		return;
	}
	extra = json_object_new_object();
	fleet_json_add_string(extra, "commandId", command->id);
	fleet_json_add_string(extra, "state", command_state_to_string(command->state));
	if (fleet_http_query(req, "abandon"))
		fleet_http_reply_problem(req, 409, "conflict", extra,
			"Command %s is %s: only one of unknown outcome can be abandoned", command->id,
			command_state_to_string(command->state));
	else
		fleet_http_reply_problem(req, 409, "conflict", extra,
			"Command %s is %s: only one that is still queued can be cancelled", command->id,
			command_state_to_string(command->state));
	free(asking);
}

static void on_found_to_delete(int result, struct command *command, const struct fleet_error *err, void *arg)
{
	struct asking *asking = arg;

	if (result >= 0 && may_see(asking, command))
		commands_cancel(&asking->console->commands, command->id, auth_actor(asking->req),
			fleet_http_query(asking->req, "abandon"), on_cancelled, asking);
	else
		on_got(result, command, err, asking); /* says that there is none */
}

void api_commands_delete(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;
	const char *id = read_id(req), *abandon = fleet_http_query(req, "abandon");

	if (!id)
		return;
	if (abandon && (!*abandon || strlen(abandon) > ABANDON_REASON_MAX)) {
		(void)api_refuse(
			req, "abandon", "must be the reason, of at most %d bytes", ABANDON_REASON_MAX);
		return;
	}
	commands_get(&console->commands, id, on_found_to_delete, asking_new(console, req));
}
