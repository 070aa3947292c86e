/* The dashboard's files, read into memory at start: what is served is what was there then, by exact name, so
 * that no path can lead elsewhere and no disk stops the loop. */
#ifndef CONSOLE_STATIC_FILES_H
#define CONSOLE_STATIC_FILES_H
#include "fleet/http_server.h"

#define STATIC_FILES_MAX 256
#define STATIC_BYTES_MAX (16u * 1024u * 1024u)
#define STATIC_DEPTH_MAX 4

struct static_files;

/* Where they lie unless told: ../share/fleet/web from the program, else as installed; owned, NULL: nowhere.
 */
char *static_files_find_dir(void);
/* Names that begin with a dot, and types that no page needs, are left out. *ret owned. Blocks. */
int static_files_load(const char *dir, struct static_files **ret, struct fleet_error *err) FLEET_MUST_CHECK;
void static_files_free(struct static_files *files);
/* files may be NULL: no dashboard here. "/" is index.html. */
void static_files_serve(const struct static_files *files, struct fleet_http_request *req);

#endif
