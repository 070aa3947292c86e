/* Which config files are not as they were: compares the hashes that each look at the apps brings with those
 * before, and has a child look closer at what differs (config_outside.h), never while a command works on the
 * app, and after a change was told not within a minute: a file that flaps is told once a minute, as what it
 * became since. The child asks the driver only where the hash is none that the record knows. Host's event
 * loop. */
#ifndef HOST_CONFIG_WATCH_H
#define HOST_CONFIG_WATCH_H
#include "fleet/json.h"

#define CONFIG_QUIET_MS   60000 /* between two events about one file */
#define CONFIG_LOOK_FILES 64    /* of one child */
#define CONFIG_LOOK_MS                                                                                       \
	60000 /* for all of them; then it is killed, and what is left waits for the next look */

struct host;
struct config_watch;
struct config_watch *config_watch_new(struct host *h);
void config_watch_free(struct config_watch *w);
/* apps: array of the protocol's app, of which id and files count. */
void config_watch_see(struct config_watch *w, struct json_object *apps);
/* Writes down what a child says of a change ("outside"); one that is there already is fine. */
int config_watch_keep(struct config_watch *w, struct json_object *message);

#endif
