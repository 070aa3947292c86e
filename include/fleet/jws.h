/* Commands' signatures: JWS compact serialisation (RFC 7515) with EdDSA over Ed25519 (RFC 8037) and nothing
 * else: any other `alg`, a missing or foreign `kid`, a `crit`, or a byte changed is refused. Keys travel as
 * JWK (RFC 7517, kty OKP), their kid is the RFC 7638 thumbprint. Pure; one thread per key. */
#ifndef FLEET_JWS_H
#define FLEET_JWS_H
#include "fleet/error.h"
#include "fleet/json.h"

#define FLEET_KID_LEN 43 /* base64url of SHA-256 */

struct fleet_jws_key; /* private or public */

struct fleet_jws_key *fleet_jws_key_new(void); /* a fresh private key; owned */
void fleet_jws_key_free(struct fleet_jws_key *key);
FLEET_DEFINE_CLEANUP(struct fleet_jws_key *, fleet_jws_key_free)

/* PEM, PKCS#8, unencrypted; *ret_pem owned, to be kept in a 0600 file. */
int fleet_jws_key_to_pem(
	const struct fleet_jws_key *key, char **ret_pem, struct fleet_error *err) FLEET_MUST_CHECK;
/* Reads that, or a public key (which then only verifies). -EBADMSG. */
int fleet_jws_key_from_pem(
	const char *pem, size_t len, struct fleet_jws_key **ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* The public half: {"kty":"OKP","crv":"Ed25519","x":...,"kid":...,"use":"sig","alg":"EdDSA"}; owned. */
struct json_object *fleet_jws_key_to_jwk(const struct fleet_jws_key *key);
/* Public keys only; a given kid must be the thumbprint. */
int fleet_jws_key_from_jwk(
	struct json_object *jwk, struct fleet_jws_key **ret, struct fleet_error *err) FLEET_MUST_CHECK;
const char *fleet_jws_key_id(const struct fleet_jws_key *key); /* borrowed */

/* header.payload.signature over the canonical JSON of payload; header
 * {"alg":"EdDSA","kid":...,"typ":"fleet-command+jws"}. */
int fleet_jws_sign(const struct fleet_jws_key *key, struct json_object *payload, char **ret_jws,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Verifies with the key of the set whose kid the header names. *ret_payload owned. -EBADMSG malformed,
 * -ENOKEY signed by a key that is not in the set, -EKEYREJECTED the signature does not fit. */
int fleet_jws_verify(struct fleet_jws_key *const keys[], size_t key_count, const char *jws, size_t len,
	struct json_object **ret_payload, struct fleet_error *err) FLEET_MUST_CHECK;
/* The payload without any check of the signature, for routing only. *ret_payload owned. */
int fleet_jws_peek(const char *jws, size_t len, struct json_object **ret_payload,
	struct fleet_error *err) FLEET_MUST_CHECK;

#endif
