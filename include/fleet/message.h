/* fleet.v1: the hub's messages (agent and console), the signed command inside one, and the host socket's
 * frames (agent and driver host), each checked against its table of fields. docs/protocol.md is the text
 * of the same tables. Pure; any thread. */
#ifndef FLEET_MESSAGE_H
#define FLEET_MESSAGE_H
#include "fleet/json.h"

#define FLEET_SUBPROTOCOL "fleet.v1"

enum fleet_message_type {
	FLEET_MESSAGE_INVALID,
	/* agent to console */
	FLEET_MESSAGE_REGISTER,
	FLEET_MESSAGE_HEARTBEAT,
	FLEET_MESSAGE_AUDIT_EVENT,
	FLEET_MESSAGE_COMMAND_ACCEPTED,
	FLEET_MESSAGE_COMMAND_PROGRESS,
	FLEET_MESSAGE_COMMAND_RESULT,
	FLEET_MESSAGE_QUERY_RESULT,
	FLEET_MESSAGE_JOIN, /* on a connection of its own */
	FLEET_MESSAGE_RENEW,
	/* console to agent */
	FLEET_MESSAGE_REGISTERED,
	FLEET_MESSAGE_ACK,
	FLEET_MESSAGE_RESTART_APP,
	FLEET_MESSAGE_PUSH_CONFIG,
	FLEET_MESSAGE_UPDATE_APP,
	FLEET_MESSAGE_ROLLBACK_APP,
	FLEET_MESSAGE_READ_CONFIG,
	FLEET_MESSAGE_READ_LOGS,
	FLEET_MESSAGE_CANCEL,
	FLEET_MESSAGE_REQUEST_HEARTBEAT,
	FLEET_MESSAGE_JOINED,
	FLEET_MESSAGE_RENEWED,
	/* both ways */
	FLEET_MESSAGE_ERROR,
	/* agent to driver host (frames) */
	FLEET_FRAME_HELLO,
	FLEET_FRAME_KEYS,
	FLEET_FRAME_STATUS_REQUEST,
	FLEET_FRAME_COMMAND,
	FLEET_FRAME_QUERY,
	FLEET_FRAME_STORED,
	FLEET_FRAME_FETCHED, /* carries a descriptor where it is ok */
	FLEET_FRAME_PROBED,
	/* root on the server to driver host (frames) */
	FLEET_FRAME_INSPECT,
	FLEET_FRAME_LOCAL_ROLLBACK,
	FLEET_FRAME_LOCAL_HOLD,
	FLEET_FRAME_LOCAL_UNHOLD,
	/* driver host to agent (frames) */
	FLEET_FRAME_DESCRIPTION,
	FLEET_FRAME_STATUS,
	FLEET_FRAME_ACCEPTED,
	FLEET_FRAME_REFUSED,
	FLEET_FRAME_PROGRESS,
	FLEET_FRAME_RESULT,
	FLEET_FRAME_ANSWER,
	FLEET_FRAME_EVENT,
	FLEET_FRAME_FETCH,
	FLEET_FRAME_FETCH_CANCEL,
	FLEET_FRAME_PROBE,
	FLEET_FRAME_INSPECTION,
	FLEET_FRAME_LOCAL_DONE,
	FLEET_MESSAGE_TYPE_COUNT
};
enum fleet_direction {
	FLEET_AGENT_TO_CONSOLE,
	FLEET_CONSOLE_TO_AGENT,
	FLEET_AGENT_TO_HOST,
	FLEET_HOST_TO_AGENT,
};

/* "restartApp", "heartbeat", ...; borrowed, static. */
const char *fleet_message_type_to_string(enum fleet_message_type type);

/* The table of its fields, without the envelope's; static. */
const struct fleet_json_field *fleet_message_fields(enum fleet_message_type type);

/* A message with its envelope (type, fresh id, ts now). Owned by the caller. */
struct json_object *fleet_message_new(enum fleet_message_type type);

/* Parses and checks what came from the given direction. -EBADMSG not JSON or no envelope; -EOPNOTSUPP a
 * type unknown here (answer `error`, stay connected; *ret is set all the same, for its id); -EINVAL a
 * field at fault (likewise). *ret owned. */
int fleet_message_parse(const char *text, size_t len, enum fleet_direction direction,
	enum fleet_message_type *ret_type, struct json_object **ret,
	struct fleet_error *err) FLEET_MUST_CHECK;

/* What a person asked for. */
enum fleet_action {
	FLEET_ACTION_RESTART_APP,
	FLEET_ACTION_PUSH_CONFIG,
	FLEET_ACTION_UPDATE_APP,
	FLEET_ACTION_ROLLBACK_APP,
	FLEET_ACTION_COUNT
};
/* "restart-app", "push-config", "update-app", "rollback-app". */
const char *fleet_action_to_string(enum fleet_action action);
int fleet_action_from_string(const char *text, enum fleet_action *ret) FLEET_MUST_CHECK;
/* The hub message that carries it. */
enum fleet_message_type fleet_action_message(enum fleet_action action);

/* Checks the payload of a command's JWS (docs/protocol.md, "The signed command"). */
int fleet_command_check(struct json_object *payload, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
