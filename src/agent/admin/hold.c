/* `hold` and `unhold`: the driver host refuses the console's commands for an app for a while. */
#include "agent/admin/admin.h"
#include "agent/admin/host_ask.h"
#include "fleet/clock.h"
#include "fleet/ids.h"
#include "fleet/limits.h"

#define ANSWER_MS 10000

static int ask(const struct admin *a, struct json_object *frame)
{
	_cleanup_json_ struct json_object *answer = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	_cleanup_close_ int fd = -1;

	if (host_ask_connect(a->host_socket, &fd, &err) < 0 ||
		host_ask_one(fd, frame, FLEET_FRAME_LOCAL_DONE, ANSWER_MS, &answer, &err) < 0)
		return admin_fail(&err);
	admin_say(stdout, "%s.", fleet_json_string(answer, "message"));
	return ADMIN_OK;
}

static bool is_app_id(const char *word)
{
	if (fleet_id_is_valid(word))
		return true;
	admin_say(stderr, "fleet-agent: '%s' is no app's id", word);
	return false;
}

int admin_hold(const struct admin *a)
{
	_cleanup_json_ struct json_object *frame = fleet_message_new(FLEET_FRAME_LOCAL_HOLD);
	int64_t ms = 0;

	if (!a->duration || !a->reason) {
		admin_say(stderr,
			"fleet-agent: say how long and why: fleet-agent hold %s --for 2h --reason TEXT",
			a->words[0]);
		return ADMIN_USAGE;
	}
	if (fleet_duration_parse(a->duration, &ms) < 0 || ms < 1000 ||
		ms > FLEET_HOLD_S_MAX * INT64_C(1000)) {
		admin_say(stderr, "fleet-agent: --for takes a time of 1s to 30d, as 30m or 2h, not '%s'",
			a->duration);
		return ADMIN_USAGE;
	}
	if (strlen(a->reason) > FLEET_HOLD_REASON_MAX) {
		admin_say(stderr, "fleet-agent: the reason is longer than %d bytes", FLEET_HOLD_REASON_MAX);
		return ADMIN_USAGE;
	}
	if (!is_app_id(a->words[0]))
		return ADMIN_USAGE;
	fleet_json_add_string(frame, "appId", a->words[0]);
	fleet_json_add_int(frame, "seconds", ms / 1000);
	fleet_json_add_string(frame, "reason", a->reason);
	return ask(a, frame);
}

int admin_unhold(const struct admin *a)
{
	_cleanup_json_ struct json_object *frame = fleet_message_new(FLEET_FRAME_LOCAL_UNHOLD);

	if (!is_app_id(a->words[0]))
		return ADMIN_USAGE;
	fleet_json_add_string(frame, "appId", a->words[0]);
	return ask(a, frame);
}
