#include "agent/host/verify.h"
#include "fleet/clock.h"
#include "fleet/limits.h"
#include "fleet/query.h"

const char *verify_verdict_code(enum verify_verdict verdict)
{
	static const char *const codes[] = {
		[VERIFY_OK] = "ok",
		[VERIFY_BAD_SIGNATURE] = "bad-signature",
		[VERIFY_UNKNOWN_KEY] = "unknown-key",
		[VERIFY_WRONG_AGENT] = "wrong-agent",
		[VERIFY_EXPIRED] = "expired",
		[VERIFY_DUPLICATE] = "duplicate",
		[VERIFY_MALFORMED] = "malformed",
		[VERIFY_TOO_OLD] = "too-old",
		[VERIFY_BUSY] = "busy",
	};

	return codes[verdict];
}

static enum verify_verdict check_signature(
	const struct keys *keys, const char *jws, struct json_object **ret_payload, struct fleet_error *err)
{
	int r;

	if (keys->count == 0) {
		(void)fleet_error_set(err, -ENOKEY, "no console key is known here yet");
		return VERIFY_UNKNOWN_KEY;
	}
	r = fleet_jws_verify(keys->items, keys->count, jws, strlen(jws), ret_payload, err);
	switch (r) {
	case 0:
		return VERIFY_OK;
	case -ENOKEY:
		return VERIFY_UNKNOWN_KEY;
	case -EKEYREJECTED:
		return VERIFY_BAD_SIGNATURE;
	default:
		return VERIFY_MALFORMED;
	}
}

enum verify_verdict verify_command(const struct keys *keys, const struct ledger *ledger, const char *agent_id,
	int64_t now_ms, const char *jws, struct json_object **ret_payload, struct fleet_error *err)
{
	int64_t issued_ms = 0, expires_ms = 0;
	enum verify_verdict verdict;
	struct json_object *payload;
	const char *id;

	*ret_payload = NULL;
	verdict = check_signature(keys, jws, ret_payload, err);
	if (verdict != VERIFY_OK)
		return verdict;
	payload = *ret_payload;
	if (fleet_command_check(payload, err) < 0)
		return VERIFY_MALFORMED;
	if (!str_equal(fleet_json_string(payload, "agentId"), agent_id)) {
		(void)fleet_error_set(err, -EACCES, "the command is for agent '%s', this is '%s'",
			fleet_json_string(payload, "agentId"), agent_id);
		return VERIFY_WRONG_AGENT;
	}
	/* both were checked to be times */
	if (fleet_timestamp_parse(fleet_json_string(payload, "issuedAt"), &issued_ms) < 0 ||
		fleet_timestamp_parse(fleet_json_string(payload, "expiresAt"), &expires_ms) < 0) {
		(void)fleet_error_set(err, -EINVAL, "$.issuedAt and $.expiresAt must be times");
		return VERIFY_MALFORMED;
	}
	id = fleet_json_string(payload, "commandId");
	if (ledger_find(
		    ledger, id)) { /* before expiry: a late second copy of what was done is a second copy */
		(void)fleet_error_set(err, -EEXIST, "command %s was given here before; it is done once", id);
		return VERIFY_DUPLICATE;
	}
	if (expires_ms <= now_ms) {
		(void)fleet_error_set(err, -ETIME,
			"the command expired at %s, and this server's clock says %s",
			fleet_timestamp_format(expires_ms).text, fleet_timestamp_format(now_ms).text);
		return VERIFY_EXPIRED;
	}
	if (issued_ms <= ledger_floor_ms(ledger)) {
		(void)fleet_error_set(err, -ESTALE,
			"the command was issued at %s, before the newest that this server has forgotten: it "
			"may have been done, or the console's clock was set back",
			fleet_timestamp_format(issued_ms).text);
		return VERIFY_TOO_OLD;
	}
	if (ledger_open_commands(ledger) >= FLEET_COMMANDS_OPEN_PER_AGENT_MAX) {
		(void)fleet_error_set(err, -EBUSY, "%d commands are waiting here already",
			FLEET_COMMANDS_OPEN_PER_AGENT_MAX);
		return VERIFY_BUSY;
	}
	return VERIFY_OK;
}

enum verify_verdict verify_query(const struct keys *keys, const char *agent_id, int64_t now_ms,
	const char *jws, struct json_object **ret_payload, struct fleet_error *err)
{
	int64_t expires_ms = 0;
	enum verify_verdict verdict;

	*ret_payload = NULL;
	verdict = check_signature(keys, jws, ret_payload, err);
	if (verdict != VERIFY_OK)
		return verdict;
	if (fleet_query_check(*ret_payload, err) < 0 ||
		fleet_timestamp_parse(fleet_json_string(*ret_payload, "expiresAt"), &expires_ms) < 0)
		return VERIFY_MALFORMED;
	if (!str_equal(fleet_json_string(*ret_payload, "agentId"), agent_id)) {
		(void)fleet_error_set(err, -EACCES, "the query is for agent '%s', this is '%s'",
			fleet_json_string(*ret_payload, "agentId"), agent_id);
		return VERIFY_WRONG_AGENT;
	}
	if (expires_ms <= now_ms) {
		(void)fleet_error_set(err, -ETIME, "the query expired at %s, and this server's clock says %s",
			fleet_timestamp_format(expires_ms).text, fleet_timestamp_format(now_ms).text);
		return VERIFY_EXPIRED;
	}
	return VERIFY_OK;
}
