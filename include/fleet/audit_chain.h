/* The chain of hashes over the console's audit log (docs/protocol.md, "The audit chain"): the console makes
 * it, and whoever has the events can follow it. Pure. */
#ifndef FLEET_AUDIT_CHAIN_H
#define FLEET_AUDIT_CHAIN_H
#include <json-c/json.h>
#include "fleet/error.h"

#define FLEET_AUDIT_HASH_LEN 64
struct fleet_audit_link {
	int64_t seq; /* 0: before the first event */
	char hash[FLEET_AUDIT_HASH_LEN + 1];
};
#define FLEET_AUDIT_CHAIN_START                                                                              \
	{                                                                                                    \
		0, "0000000000000000000000000000000000000000000000000000000000000000"                        \
	}

/* The hash of the event that comes behind the one of `previous_hash`. event: as GET /api/audit shows it; its
 * own member `hash` does not count. */
void fleet_audit_chain_hash(
	const char *previous_hash, struct json_object *event, char ret_hash[FLEET_AUDIT_HASH_LEN + 1]);
/* Goes on to the event that is said to come next. -EBADMSG with its place, and *at unchanged, where it does
 * not. */
int fleet_audit_chain_follow(
	struct fleet_audit_link *at, struct json_object *event, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
