/* The console changes its keys: what a trusted one says of its successor. */
#include "agent/host/keys.h"
#include "fleet/clock.h"
#include "fleet/key_change.h"

#define AHEAD_MAX_MS INT64_C(3600000) /* clocks differ */

/* Who may have signed: the command keys, and the recovery key beside them. */
static int verify(const struct keys *k, const char *jws, struct json_object **ret_payload)
{
	struct fleet_jws_key *signers[KEYS_MAX + 1];
	size_t count = 0;

	for (; count < k->count; count++)
		signers[count] = k->items[count];
	if (k->recovery)
		signers[count++] = k->recovery;
	return fleet_jws_verify(signers, count, jws, strlen(jws), ret_payload, NULL);
}

/* 1: it counts. Whoever had the recovery key first keeps it: a stolen command key must not replace it. */
static int follow_one(struct keys *k, const char *jws)
{
	_cleanup_json_ struct json_object *payload = NULL;
	struct fleet_key_change change;

	if (verify(k, jws, &payload) < 0 || fleet_key_change_read(payload, &change, NULL) < 0)
		return 0; /* of an earlier key, most likely: the list has all that ever was */
	if (change.recovery && !k->recovery) {
		k->recovery = change.key;
		return 1;
	}
	/* What is not later was done here long ago, and must not bring an old key back. What is of the far
	 * future would shut out every change to come. */
	if (change.recovery || change.issued_ms <= k->changed_ms ||
		change.issued_ms > fleet_clock_wall_ms() + AHEAD_MAX_MS) {
		fleet_jws_key_free(change.key);
		return 0;
	}
	while (k->count > 0)
		fleet_jws_key_free(k->items[--k->count]);
	k->items[k->count++] = change.key;
	k->changed_ms = change.issued_ms;
	return 1;
}

int keys_follow(struct keys *k, struct json_object *changes, bool *ret_rotated, struct fleet_error *err)
{
	const int64_t before_ms = k->changed_ms;
	bool changed = false;

	*ret_rotated = false;
	for (size_t i = 0; changes && k->count > 0 && i < json_object_array_length(changes); i++) {
		const char *jws = json_object_get_string(json_object_array_get_idx(changes, i));

		if (jws && follow_one(k, jws) > 0)
			changed = true;
	}
	*ret_rotated = k->changed_ms != before_ms;
	return changed ? keys_save(k, err) : 0;
}
