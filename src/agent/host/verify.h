/* May this command be done here? Its signature, whose it is, whether it is still meant, and whether it was
 * done before. What a server's admin allows is not asked here: such a command is accepted, and ends with a
 * result that says why not. Host's event loop; changes nothing. (DESIGN 4) */
#ifndef HOST_VERIFY_H
#define HOST_VERIFY_H
#include "agent/host/keys.h"
#include "agent/host/ledger.h"

enum verify_verdict {
	VERIFY_OK,
	VERIFY_BAD_SIGNATURE,
	VERIFY_UNKNOWN_KEY,
	VERIFY_WRONG_AGENT,
	VERIFY_EXPIRED,
	VERIFY_DUPLICATE,
	VERIFY_MALFORMED,
	VERIFY_TOO_OLD,
	VERIFY_BUSY,
};
/* "bad-signature", ...: the codes of the `refused` frame. */
const char *verify_verdict_code(enum verify_verdict verdict);

/* *ret_payload is the command where its signature held (owned, whatever the verdict then is), else NULL. err
 * says why it is refused. ledger: asked, not changed. */
enum verify_verdict verify_command(const struct keys *keys, const struct ledger *ledger, const char *agent_id,
	int64_t now_ms, const char *jws, struct json_object **ret_payload, struct fleet_error *err);

/* The same of a query: signature, form, whose it is, and whether it is still meant. There is no ledger in it:
 * to answer twice does no harm. */
enum verify_verdict verify_query(const struct keys *keys, const char *agent_id, int64_t now_ms,
	const char *jws, struct json_object **ret_payload, struct fleet_error *err);

#endif
