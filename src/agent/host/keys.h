/* Whose commands count: the public keys of the console that this server obeys. From the admin's console.pub
 * where there is one (a JWK or a JWK set), else from what was pinned earlier (STATE/console-keys.json), else
 * the one that the join token names is pinned when the agent shows it, else the first that it shows. With
 * --dev they live in memory only and follow the console. Host's event loop. (DESIGN 4) */
#ifndef HOST_KEYS_H
#define HOST_KEYS_H
#include "fleet/jws.h"

#define KEYS_MAX 16

enum keys_source { KEYS_NONE, KEYS_ADMIN, KEYS_PINNED, KEYS_MEMORY };
struct keys {
	struct fleet_jws_key *items[KEYS_MAX];
	size_t count;
	enum keys_source source;
	char *pin_path; /* owned; NULL: pins live in memory only */
};

/* console_pub: the admin's file; need not exist. state_dir NULL: nothing is pinned across runs. */
int keys_load(const char *console_pub, const char *state_dir, struct keys *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
void keys_done(struct keys *k);

enum keys_offer { KEYS_KNOWN, KEYS_NOW_PINNED, KEYS_FOREIGN };
/* What the console says its keys are, by way of an agent that is not trusted: pinned only where nothing is
 * pinned yet, and then, where wanted_kid is not NULL, that one alone. KEYS_FOREIGN: keys are pinned, or one
 * is wanted, and none of these is among them; *ret_kid then names the first (owned). */
int keys_offer(struct keys *k, struct json_object *jwks, const char *wanted_kid, enum keys_offer *ret,
	char **ret_kid, struct fleet_error *err) FLEET_MUST_CHECK;
/* [kid, ...]; owned. */
struct json_object *keys_ids(const struct keys *k);

#endif
