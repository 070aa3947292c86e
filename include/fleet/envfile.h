/* Reads agent.env, in the form of systemd's EnvironmentFile= (systemd.exec(5)): KEY=VALUE lines, # and ;
 * comments, single and double quotes, backslash continuation. No expansion. Pure; any thread. */
#ifndef FLEET_ENVFILE_H
#define FLEET_ENVFILE_H
#include "fleet/error.h"

struct fleet_envfile;

/* *ret owned. -EBADMSG with NAME:LINE: why. The last of several assignments to a key wins. */
int fleet_envfile_parse(const char *text, size_t len, const char *name, struct fleet_envfile **ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
void fleet_envfile_free(struct fleet_envfile *env);
FLEET_DEFINE_CLEANUP(struct fleet_envfile *, fleet_envfile_free)
/* Borrowed; NULL where not set. */
const char *fleet_envfile_get(const struct fleet_envfile *env, const char *key);

#endif
