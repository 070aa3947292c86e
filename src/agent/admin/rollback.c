/* `rollback`: the driver host returns to the version before, by the steps that a console's rollback has. Who
 * leaves early (Ctrl-C) stops nothing. */
#include "agent/admin/admin.h"
#include "agent/admin/host_ask.h"
#include "fleet/clock.h"
#include "fleet/ids.h"

#define ANSWER_MS  10000
#define OUTCOME_MS (INT64_C(3600) * 1000) /* stops, starts and health checks of every app of the tree */

static int follow(int fd, const char *id)
{
	int64_t until = fleet_clock_monotonic_ms() + OUTCOME_MS;
	struct fleet_error err = FLEET_ERROR_INIT;

	for (;;) {
		_cleanup_json_ struct json_object *message = NULL;
		enum fleet_message_type type = FLEET_MESSAGE_INVALID;
		const char *text;

		if (host_ask_receive(fd, until, &type, &message, &err) < 0) {
			admin_say(stderr, "fleet-agent: %s; what becomes of the rollback: fleet-agent status",
				err.message);
			return ADMIN_FAILED;
		}
		if (!str_equal(fleet_json_string(message, "commandId"), id))
			continue;
		text = fleet_json_string(message, "message");
		if (type == FLEET_FRAME_PROGRESS)
			admin_say(stdout, "  %s%s%s", fleet_json_string(message, "step"), text ? ": " : "",
				text ? text : "");
		if (type != FLEET_FRAME_RESULT)
			continue;
		if (fleet_json_bool(message, "success", false)) {
			admin_say(stdout, "Done: %s.", text ? text : "");
			return ADMIN_OK;
		}
		admin_say(stderr, "fleet-agent: the rollback failed: %s", text ? text : "");
		return ADMIN_FAILED;
	}
}

int admin_rollback(const struct admin *a)
{
	_cleanup_json_ struct json_object *frame = fleet_message_new(FLEET_FRAME_LOCAL_ROLLBACK),
					  *accepted = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	_cleanup_close_ int fd = -1;
	const char *id;

	if (!fleet_id_is_valid(a->words[0])) {
		admin_say(stderr, "fleet-agent: '%s' is no app's id", a->words[0]);
		return ADMIN_USAGE;
	}
	fleet_json_add_string(frame, "appId", a->words[0]);
	if (host_ask_connect(a->host_socket, &fd, &err) < 0 ||
		host_ask_one(fd, frame, FLEET_FRAME_ACCEPTED, ANSWER_MS, &accepted, &err) < 0)
		return admin_fail(&err);
	id = fleet_json_string(accepted, "commandId");
	admin_say(stdout, "Rollback of %s, command %s:", a->words[0], id);
	return follow(fd, id);
}
