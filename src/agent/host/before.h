/* Files as they were before each push, in STATE/before/COMMANDID: what an interrupted push is undone from,
 * and what a later push returns to when it names an earlier command (restoreOf), so that a restore needs no
 * secret from the console. Root's, mode 0600, bounded in number and bytes. Blocks; used in operation children
 * only. */
#ifndef HOST_BEFORE_H
#define HOST_BEFORE_H
#include "driver/safe_file.h"

#define BEFORE_KEEP       200
#define BEFORE_KEEP_BYTES (64u * 1024u * 1024u)

/* Durable when it returns. Old ones past the bounds are removed. */
int before_save(const char *state_dir, const char *command_id, const char *app_id, const char *file_name,
	const struct safe_content *content, struct fleet_error *err) FLEET_MUST_CHECK;
/* *ret owned (safe_content_done). -ENOENT where nothing is kept; -EINVAL where it is another app's or file's.
 */
int before_load(const char *state_dir, const char *command_id, const char *app_id, const char *file_name,
	struct safe_content *ret, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
