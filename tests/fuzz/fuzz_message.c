/* Messages of the hub and of the driver host's socket: the first byte says from where ('c' to the console,
 * 'a' to the agent, 'h' to the host, 'r' from the host back), the rest is the message. Payloads of commands
 * and queries besides. */
#include "fleet/limits.h"
#include "fleet/message.h"
#include "fleet/query.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char letters[] = "cahr";
	static const enum fleet_direction directions[] = {
		FLEET_AGENT_TO_CONSOLE, FLEET_CONSOLE_TO_AGENT, FLEET_AGENT_TO_HOST, FLEET_HOST_TO_AGENT};
	_cleanup_json_ struct json_object *message = NULL, *again = NULL;
	enum fleet_message_type type = FLEET_MESSAGE_INVALID, type_again;
	struct fleet_error err = FLEET_ERROR_INIT;
	const char *letter, *text;
	size_t len;
	int r;

	if (size == 0)
		return 0;
	letter = memchr(letters, data[0], sizeof(letters) - 1);
	r = fleet_message_parse((const char *)data + 1, size - 1, directions[letter ? letter - letters : 0],
		&type, &message, &err);
	FUZZ_CHECK(r == 0 || r == -EBADMSG || r == -E2BIG || r == -EOPNOTSUPP || r == -EINVAL, "%d: %s", r,
		err.message);
	FUZZ_CHECK(r == 0 || *err.message, "%d without a sentence", r);
	FUZZ_CHECK(!!message == (r == 0 || r == -EOPNOTSUPP || r == -EINVAL), "%d, and the message is %s", r,
		message ? "there" : "not there");
	if (r == 0) {
		FUZZ_CHECK(type > FLEET_MESSAGE_INVALID && type < FLEET_MESSAGE_TYPE_COUNT, "type %d",
			(int)type);
		FUZZ_CHECK(str_equal(fleet_message_type_to_string(type), fleet_json_string(message, "type")),
			"it is no %s", fleet_message_type_to_string(type));
		text = fleet_json_text(message, &len);
		r = fleet_message_parse(
			text, len, directions[letter ? letter - letters : 0], &type_again, &again, &err);
		FUZZ_CHECK(
			r == 0 && type_again == type, "its own text is refused: %s\n%s", err.message, text);
	}
	if (json_object_is_type(message, json_type_object)) {
		r = fleet_command_check(message, &err);
		FUZZ_CHECK(r == 0 || r == -EINVAL, "%d: %s", r, err.message);
		if (r == 0)
			FUZZ_CHECK(fleet_query_check(message, NULL) < 0, "a command that is a query");
		r = fleet_query_check(message, &err);
		FUZZ_CHECK(r == 0 || r == -EINVAL, "%d: %s", r, err.message);
	}
	return 0;
}
