/* ~/.config/fleetctl/config.json (below XDG_CONFIG_HOME where that is set): where the console is, and the key
 * to it. Written by login with mode 600; read by everything else. The only file fleetctl keeps. */
#ifndef CLI_CONFIG_H
#define CLI_CONFIG_H
#include "fleet/error.h"

struct config {
	char *url;     /* owned; no slash at the end */
	char *api_key; /* owned; NULL: the console wants none */
	char *ca_file; /* owned; NULL: the system's authorities */
};
void config_done(struct config *config);
#define _cleanup_config_ _cleanup_(config_done)

/* Owned. -ENOENT when there is no home directory either. */
int config_path(char **ret_path, struct fleet_error *err) FLEET_MUST_CHECK;
/* -ENOENT: never logged in. -EPERM: the file belongs to somebody else. -EBADMSG: not what login writes.
 * *ret_loose: others may read or write the file (its mode says so). */
int config_load(
	const char *path, struct config *ret, bool *ret_loose, struct fleet_error *err) FLEET_MUST_CHECK;
/* Replaces the file; makes its directory (700). A link of the user's own is followed, nobody else's. */
int config_save(const char *path, const struct config *config, struct fleet_error *err) FLEET_MUST_CHECK;
/* "HTTPS://Host/" becomes what the file holds; -EINVAL with why for all that is no base URL of a console. */
int config_url_normalize(const char *url, char **ret_url, struct fleet_error *err) FLEET_MUST_CHECK;
/* Does url name this machine by a loopback name or address? */
bool config_url_is_loopback(const char *url);
/* Unless NO_COLOR is set to anything, or the terminal is a dumb one. */
bool config_colour_is_wanted(void);

#endif
