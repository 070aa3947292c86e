/* The key that signs commands: Ed25519, made at the console's first start, kept as DATA_DIR/signing-key.pem
 * (0600), part of the console's backup; and DATA_DIR/key-changes.json, all that was ever said of its
 * successors (fleet/key_change.h), which agents hear each time that they register. Blocks: before the loop
 * runs. */
#ifndef CONSOLE_SIGNING_KEY_H
#define CONSOLE_SIGNING_KEY_H
#include "fleet/jws.h"

/* Loads it. -ENOENT where there is none; -EPERM where others may read it. *ret owned. */
int signing_key_load(
	const char *data_dir, struct fleet_jws_key **ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* Loads it, or makes and keeps a new one. *ret owned. */
int signing_key_ensure(
	const char *data_dir, struct fleet_jws_key **ret, struct fleet_error *err) FLEET_MUST_CHECK;

/* What was said of keys: an array of JWS, oldest first; empty where nothing was. *ret owned. */
int signing_key_changes(
	const char *data_dir, struct json_object **ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* key_rotation.c; none may be while the console runs. Each says what it did in *ret_message (owned), for the
 * audit log and whoever asked.
 *
 * A new command key, signed by the old one, which is worth nothing from then on. */
int signing_key_rotate(const char *data_dir, char **ret_message, struct fleet_error *err) FLEET_MUST_CHECK;
/* A recovery key: written to path (0600, must not be there yet), to be taken away; servers remember its
 * public half. */
int signing_key_make_recovery(
	const char *data_dir, const char *path, char **ret_message, struct fleet_error *err) FLEET_MUST_CHECK;
/* A new command key, signed by the recovery key in path, after the old one was lost or stolen. */
int signing_key_recover(
	const char *data_dir, const char *path, char **ret_message, struct fleet_error *err) FLEET_MUST_CHECK;
/* Makes and keeps a new one; for those above, and the first start. *ret owned. */
int signing_key_create(
	const char *data_dir, struct fleet_jws_key **ret, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
