/* Who vouches for a release: minisign's signatures (Ed25519 over the BLAKE2b-512 of the file, and over its
 * trusted comment), against the public keys that the admin laid into trusted-keys.d. Where that holds a key,
 * no release without a good signature is unpacked. Reads files; used in operation children. (DESIGN 7) */
#ifndef HOST_SIGNATURE_H
#define HOST_SIGNATURE_H
#include "agent/host/hash_stream.h"

struct signature_key {
	unsigned char id[8], bytes[32];
	char *name; /* of its file; owned */
};
struct signature_keys {
	struct signature_key *items; /* owned */
	size_t count;
};

/* Every *.pub of dir; none where dir is NULL or does not exist. A key that cannot be read is an error: what
 * the admin demands must not be left out. as_root: insist on files that only root can write. */
int signature_keys_load(
	const char *dir, bool as_root, struct signature_keys *ret, struct fleet_error *err) FLEET_MUST_CHECK;
void signature_keys_done(struct signature_keys *keys);
/* text: what minisign writes into FILE.minisig. -EBADMSG not such a text, -ENOKEY no key of ours made it,
 * -EKEYREJECTED it does not fit. *ret_comment: its trusted comment, owned; may be NULL. */
int signature_verify(const struct signature_keys *keys, const char *text,
	const unsigned char blake2b[HASH_BLAKE2B_LEN], char **ret_comment,
	struct fleet_error *err) FLEET_MUST_CHECK;

#endif
