/* The only place that loads a driver's code: dlopen, the one symbol, and every check of the ABI before
 * anything of it is used. Called in call children only, which end with the call: nothing is ever closed. */
#ifndef DRIVER_LOADER_H
#define DRIVER_LOADER_H
#include "fleet/driver.h"
#include "fleet/error.h"

/* name: what the driver must call itself, NULL where any will do. file: absolute; fd: the same file, open for
 * reading, for when our user cannot walk to it any more (a developer's tree below a private home); borrowed.
 * *ret is the driver's own memory, for the rest of the process. -ENOEXEC not loadable, -EPROTO breaks the
 * ABI's rules; with a sentence that names the driver. */
int driver_loader_open(const char *name, const char *file, int fd, const struct fleet_driver_v1 **ret,
	struct fleet_error *err) FLEET_MUST_CHECK;

/* Before _exit, in builds without the sandbox: what the sanitizer's leak check or the coverage runtime would
 * do at exit(). */
void driver_loader_last_words(void);

#endif
