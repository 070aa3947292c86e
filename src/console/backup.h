/* fleet-console backup and restore: the whole of what a console is, in a directory: database, command key and
 * what was said of it, authority, files of artifacts. Made while the console runs. Subcommands; they block.
 */
#ifndef CONSOLE_BACKUP_H
#define CONSOLE_BACKUP_H
#include "fleet/error.h"

/* Into target, which must not be there yet; it is there when all of it is, synced. 0700, since it holds keys.
 */
int backup_make(const char *data_dir, const char *target, struct fleet_error *err) FLEET_MUST_CHECK;
/* From source into data_dir, where no console's data may lie yet. */
int backup_restore(const char *source, const char *data_dir, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
