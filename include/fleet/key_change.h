/* What the console says of its command keys, signed by one of them (or by the recovery key), as payloads of a
 * JWS: "rotate": commands are signed with this key from now on, and with no other; "recovery": this key may
 * rotate, too, and does nothing else. No command and no query passes for one, and none of these for those.
 * Pure. */
#ifndef FLEET_KEY_CHANGE_H
#define FLEET_KEY_CHANGE_H
#include "fleet/jws.h"

#define FLEET_KEY_CHANGES_MAX 64

/* Signs it; *ret_jws owned. Each has to be later than the one before. */
int fleet_key_change_sign(const struct fleet_jws_key *signer, bool recovery, const struct fleet_jws_key *key,
	int64_t issued_ms, char **ret_jws, struct fleet_error *err) FLEET_MUST_CHECK;

struct fleet_key_change {
	bool recovery;             /* else: rotate */
	struct fleet_jws_key *key; /* owned */
	int64_t issued_ms;
};
/* A payload whose signature was verified. -EINVAL. */
int fleet_key_change_read(
	struct json_object *payload, struct fleet_key_change *ret, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
