/* The key that signs commands: Ed25519, made at the console's first start, kept as DATA_DIR/signing-key.pem
 * (0600), part of the console's backup. Blocks: before the loop runs. */
#ifndef CONSOLE_SIGNING_KEY_H
#define CONSOLE_SIGNING_KEY_H
#include "fleet/jws.h"

/* Loads it. -ENOENT where there is none; -EPERM where others may read it. *ret owned. */
int signing_key_load(
	const char *data_dir, struct fleet_jws_key **ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* Loads it, or makes and keeps a new one. *ret owned. */
int signing_key_ensure(
	const char *data_dir, struct fleet_jws_key **ret, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
