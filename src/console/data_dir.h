/* The data directory as a subcommand finds it: run by root it must not leave files behind that the console's
 * user cannot open, nor be led elsewhere by what that user has put there. */
#ifndef CONSOLE_DATA_DIR_H
#define CONSOLE_DATA_DIR_H
#include "fleet/error.h"

/* Where it is not there: makes it; run by root, for the user fleet-console where there is one. */
int data_dir_make(const char *dir, struct fleet_error *err) FLEET_MUST_CHECK;
/* Run by root, becomes the user whose directory it is (made first, where it is not there). Else nothing. */
int data_dir_become_owner(const char *dir, struct fleet_error *err) FLEET_MUST_CHECK;
/* "root@console": who runs a subcommand, as an actor; to be asked before. Owned. */
char *data_dir_actor(void);

#endif
