/* What a new agent is given to join with, as a person copies it:
 *
 *     fleet-join.SECRET.AUTHORITY.KEY
 *
 * SECRET is shown to the console, and to it only when it has proven who it is: AUTHORITY is the SHA-256 of
 * the public key of whoever vouches for the console's certificate ("-" where the console speaks no TLS
 * itself), KEY the id of the key that signs its commands, which the driver host pins. All base64url. Pure. */
#ifndef FLEET_JOIN_TOKEN_H
#define FLEET_JOIN_TOKEN_H
#include "fleet/encode.h"
#include "fleet/jws.h"

#define FLEET_JOIN_SECRET_BYTES 24
#define FLEET_JOIN_SECRET_LEN   32 /* as text */

struct fleet_join_token {
	char secret[FLEET_JOIN_SECRET_LEN + 1];
	bool has_authority;
	unsigned char authority[FLEET_SHA256_LEN];
	char kid[FLEET_KID_LEN + 1];
};

/* -EINVAL with what is wrong with it; never says the text itself. */
int fleet_join_token_parse(
	const char *text, struct fleet_join_token *ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* With a fresh secret. */
void fleet_join_token_new(
	const unsigned char authority[FLEET_SHA256_LEN], const char *kid, struct fleet_join_token *ret);
/* Owned. */
char *fleet_join_token_text(const struct fleet_join_token *token);

#endif
