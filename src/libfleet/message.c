#include "fleet/clock.h"
#include "fleet/ids.h"
#include "fleet/limits.h"
#include "message_tables.h"

static fields envelope_fields[] = {
	TEXT("type", REQ, .min = 1, .max = 64), UUID("id", REQ), TIME("ts", REQ), {0}};

const char *fleet_message_type_to_string(enum fleet_message_type type)
{
	return message_types[type].name;
}

const struct fleet_json_field *fleet_message_fields(enum fleet_message_type type)
{
	return message_types[type].fields;
}

struct json_object *fleet_message_new(enum fleet_message_type type)
{
	struct json_object *message = json_object_new_object();

	if (!message)
		abort(); /* out of memory for a few bytes */
	fleet_json_add_string(message, "type", message_types[type].name);
	fleet_json_add_string(message, "id", fleet_uuid_new().text);
	fleet_json_add_string(message, "ts", fleet_timestamp_now().text);
	return message;
}

static enum fleet_message_type find_type(const char *name, enum fleet_direction direction)
{
	for (size_t i = 0; i < FLEET_MESSAGE_TYPE_COUNT; i++) {
		if ((message_types[i].directions & 1u << direction) && str_equal(message_types[i].name, name))
			return (enum fleet_message_type)i;
	}
	return FLEET_MESSAGE_INVALID;
}

int fleet_message_parse(const char *text, size_t len, enum fleet_direction direction,
	enum fleet_message_type *ret_type, struct json_object **ret, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *message = NULL;
	enum fleet_message_type type;
	int r = fleet_json_parse(text, len, FLEET_MESSAGE_MAX, &message, err);

	if (r < 0) {
		if (err)
			err->code = -EBADMSG;
		return -EBADMSG;
	}
	r = fleet_json_check(message, envelope_fields, "$", err);
	if (r < 0) {
		if (err)
			err->code = -EBADMSG;
		return -EBADMSG;
	}
	type = find_type(fleet_json_string(message, "type"), direction);
	if (type == FLEET_MESSAGE_INVALID)
		r = fleet_error_set(err, -EOPNOTSUPP, "$.type: '%s' is not known here",
			fleet_json_string(message, "type"));
	else
		r = fleet_json_check(message, message_types[type].fields, "$", err);
	*ret_type = type;
	*ret = TAKE_PTR(message);
	return r;
}
