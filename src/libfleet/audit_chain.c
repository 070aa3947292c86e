#include "fleet/audit_chain.h"
#include "fleet/buffer.h"
#include "fleet/encode.h"
#include "fleet/json.h"

/* One reference; the members are shared. */
static struct json_object *without_hash(struct json_object *event)
{
	struct json_object *bare = json_object_new_object();

	json_object_object_foreach (event, name, value) {
		if (!str_equal(name, "hash"))
			(void)json_object_object_add(
				bare, name, json_object_get(value)); /* fails without memory alone */
	}
	return bare;
}

void fleet_audit_chain_hash(
	const char *previous_hash, struct json_object *event, char ret_hash[FLEET_AUDIT_HASH_LEN + 1])
{
	_cleanup_json_ struct json_object *bare = without_hash(event);
	_cleanup_buffer_ struct fleet_buffer bytes = FLEET_BUFFER_INIT;
	_cleanup_free_ char *canonical = fleet_json_canonical(bare, NULL);

	fleet_buffer_printf(&bytes, "%s\n%s", previous_hash, canonical);
	fleet_sha256_hex(bytes.data, bytes.len, ret_hash);
}

int fleet_audit_chain_follow(struct fleet_audit_link *at, struct json_object *event, struct fleet_error *err)
{
	long long seq = fleet_json_int(event, "seq", 0);
	const char *when = fleet_json_string(event, "timestamp");
	struct fleet_audit_link next = {.seq = seq};

	if (seq != at->seq + 1)
		return fleet_error_set(err, -EBADMSG,
			"the audit log does not hold: row %lld is missing, after row %lld comes row %lld",
			(long long)at->seq + 1, (long long)at->seq, seq);
	fleet_audit_chain_hash(at->hash, event, next.hash);
	if (!str_equal(next.hash, fleet_json_string(event, "hash")))
		return fleet_error_set(err, -EBADMSG,
			"the audit log does not hold: row %lld (%s) or the one before it was changed", seq,
			when ? when : "of no time");
	*at = next;
	return 0;
}
