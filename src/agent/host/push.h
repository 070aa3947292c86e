/* A config push in its parts, so that doing one and undoing one share them: the file and its two versions,
 * the apps that use it, and what is done to those once the bytes have changed. Blocks; used in operation
 * children. (DESIGN 7)
 *
 *   push_config.c  reads, edits, proves and writes;
 *   push_apply.c   restarts or reloads the apps, and takes everything back where one of them is not well
 * afterwards; recover.c      takes up a push whose operation died. */
#ifndef HOST_PUSH_H
#define HOST_PUSH_H
#include "agent/host/app_record.h"
#include "agent/host/health.h"
#include "driver/safe_file.h"

struct push {
	struct op *op;
	const struct app_file *file;
	struct safe_file target;
	struct safe_content before, after;
	char *note;              /* owned: what the driver had to say when it read the file, or NULL */
	struct app_before *apps; /* the command's own app first */
	size_t app_count;
};
/* Finds every app that uses the same file. */
void push_init(struct push *p, struct op *op, const struct app_file *file);
void push_done(struct push *p);
struct settings;
/* What the driver reads in one of its versions; a file that is not there has no settings. */
int push_read_settings(struct push *p, const struct safe_content *content, struct settings *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* How every app stands now, before anything is written. */
int push_look(struct push *p, struct fleet_error *err) FLEET_MUST_CHECK;
/* {file, before, after, existed, apps: [{id, instance, good, stopped}]}: what recovery needs to know; owned.
 */
struct json_object *push_record(const struct push *p);

/* The old bytes (or their absence) again, if the file still holds what was written; -ESTALE otherwise. */
int push_put_back(struct push *p, struct fleet_error *err) FLEET_MUST_CHECK;
/* After the write: definitions, restart or reload, health; where that fails, back. Ends in the operation's
 * result. */
void push_apply(struct push *p);
/* Where the file has to stay as it is: starts what was well before and is stopped now, as it is left by who
 * died within a restart. Words for the message, beginning with "; ", or ""; owned. */
char *push_start_left_down(struct push *p);
/* Puts the old bytes back and starts again what was touched. why: what went wrong, for the message; code:
 * errorCode. */
void push_roll_back(struct push *p, const char *code, const char *why);

#endif
