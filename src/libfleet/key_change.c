#include "fleet/clock.h"
#include "fleet/key_change.h"

static const char *const changes[] = {"rotate", "recovery", NULL};
static const struct fleet_json_field fields[] = {
	{"v", FLEET_JSON_INTEGER, FLEET_JSON_REQUIRED, .min = 1, .max = 1},
	{"keyChange", FLEET_JSON_STRING, FLEET_JSON_REQUIRED, .one_of = changes},
	{"key", FLEET_JSON_OBJECT, FLEET_JSON_REQUIRED, .min = 0},
	{"issuedAt", FLEET_JSON_TIME, FLEET_JSON_REQUIRED, .min = 0},
	{0},
};

int fleet_key_change_sign(const struct fleet_jws_key *signer, bool recovery, const struct fleet_jws_key *key,
	int64_t issued_ms, char **ret_jws, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *payload = json_object_new_object();

	fleet_json_add_int(payload, "v", 1);
	fleet_json_add_string(payload, "keyChange", changes[recovery]);
	fleet_json_add(payload, "key", fleet_jws_key_to_jwk(key));
	fleet_json_add_time(payload, "issuedAt", issued_ms);
	return fleet_jws_sign(signer, payload, ret_jws, err);
}

int fleet_key_change_read(struct json_object *payload, struct fleet_key_change *ret, struct fleet_error *err)
{
	struct fleet_key_change change = {.recovery = false};
	int r = fleet_json_check_strict(payload, fields, "$", err);

	if (r < 0)
		return r;
	if (fleet_timestamp_parse(fleet_json_string(payload, "issuedAt"), &change.issued_ms) < 0)
		return fleet_error_set(err, -EINVAL, "$.issuedAt must be a time");
	if (fleet_jws_key_from_jwk(fleet_json_object(payload, "key"), &change.key, err) < 0)
		return fleet_error_set(err, -EINVAL, "$.key is no public key");
	change.recovery = str_equal(fleet_json_string(payload, "keyChange"), changes[1]);
	*ret = change;
	return 0;
}
