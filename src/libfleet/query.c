#include "fleet/clock.h"
#include "fleet/limits.h"
#include "fleet/query.h"

static const char *const queries[] = {
	[FLEET_QUERY_READ_LOGS] = "read-logs",
	[FLEET_QUERY_READ_CONFIG] = "read-config",
	[FLEET_QUERY_COUNT] = NULL,
};

static const struct fleet_json_field query_fields[] = {
	{"v", FLEET_JSON_INTEGER, FLEET_JSON_REQUIRED, .min = 0},
	{"agentId", FLEET_JSON_ID, FLEET_JSON_REQUIRED, .min = 0},
	{"appId", FLEET_JSON_ID, FLEET_JSON_REQUIRED, .min = 0},
	{"query", FLEET_JSON_STRING, FLEET_JSON_REQUIRED, .one_of = queries},
	{"actor", FLEET_JSON_STRING, FLEET_JSON_REQUIRED, .min = 1, .max = FLEET_ACTOR_MAX},
	{"issuedAt", FLEET_JSON_TIME, FLEET_JSON_REQUIRED, .min = 0},
	{"expiresAt", FLEET_JSON_TIME, FLEET_JSON_REQUIRED, .min = 0},
	{"args", FLEET_JSON_OBJECT, FLEET_JSON_REQUIRED, .min = 0},
	{0},
};
static const struct fleet_json_field logs_fields[] = {
	{"lines", FLEET_JSON_INTEGER, FLEET_JSON_REQUIRED, .min = 1, .max = FLEET_DRIVER_LOG_LINES_MAX},
	{"since", FLEET_JSON_TIME, 0, .min = 0},
	{0},
};
static const struct fleet_json_field config_fields[] = {
	{"file", FLEET_JSON_STRING, FLEET_JSON_REQUIRED, .min = 1, .max = 128},
	{0},
};
static const struct fleet_json_field *const args_fields[] = {
	[FLEET_QUERY_READ_LOGS] = logs_fields,
	[FLEET_QUERY_READ_CONFIG] = config_fields,
};

const char *fleet_query_to_string(enum fleet_query query)
{
	return queries[query];
}

int fleet_query_from_string(const char *text, enum fleet_query *ret)
{
	for (size_t i = 0; i < FLEET_QUERY_COUNT; i++) {
		if (str_equal(text, queries[i])) {
			*ret = (enum fleet_query)i;
			return 0;
		}
	}
	return -EINVAL;
}

enum fleet_message_type fleet_query_message(enum fleet_query query)
{
	static const enum fleet_message_type carriers[] = {
		[FLEET_QUERY_READ_LOGS] = FLEET_MESSAGE_READ_LOGS,
		[FLEET_QUERY_READ_CONFIG] = FLEET_MESSAGE_READ_CONFIG,
	};

	return carriers[query];
}

int fleet_query_check(struct json_object *payload, struct fleet_error *err)
{
	int64_t issued = 0, expires = 0;
	enum fleet_query query;
	int r = fleet_json_check(payload, query_fields, "$", err);

	if (r < 0)
		return r;
	if (fleet_json_int(payload, "v", 0) != 1)
		return fleet_error_set(err, -EINVAL, "$.v: this program knows version 1 of queries only");
	if (fleet_timestamp_parse(fleet_json_string(payload, "issuedAt"), &issued) < 0 ||
		fleet_timestamp_parse(fleet_json_string(payload, "expiresAt"), &expires) < 0 ||
		expires <= issued)
		return fleet_error_set(err, -EINVAL, "$.expiresAt: must be after issuedAt");
	r = fleet_query_from_string(fleet_json_string(payload, "query"), &query);
	if (r < 0)
		return fleet_error_set(err, r, "$.query: unknown");
	return fleet_json_check_strict(fleet_json_object(payload, "args"), args_fields[query], "$.args", err);
}
