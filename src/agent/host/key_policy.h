/* Which keys of a config file the console may change: the admin's config_keys {allow, deny}, and, where a key
 * is as good as code, the project's own caution: an env file's LD_PRELOAD, a unit's ExecStart. Pure. (DESIGN
 * 7) */
#ifndef HOST_KEY_POLICY_H
#define HOST_KEY_POLICY_H
#include "agent/host/apps.h"

/* 0, or -EACCES with a sentence that names the key and who says no. */
int key_policy_check(const struct app *app, const struct app_file *file, const char *key,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Must the key's value stay unseen? By its name, or because the admin lists it in secret_keys. */
bool key_policy_is_secret(const struct app *app, const char *key);

#endif
