/* Config files that change without a command: told once for each change, with the keys, never a value. Here
 * is what operation children and the child that looks have in common. Blocks. */
#ifndef HOST_CONFIG_OUTSIDE_H
#define HOST_CONFIG_OUTSIDE_H
#include "agent/host/config_record.h"

/* Tells the host: {"k": "outside", eventId, appId, message, details}. 0 when it is in the ledger, so that the
 * record may say so too; negative: not now. */
typedef int config_tell(struct json_object *message, void *arg);

/* Compares what the file holds with the record, tells what is nobody's doing, and makes the record say what
 * is there now. settings: NULL where the driver could not read it. Saves the record if it changed. */
int config_outside_meet(struct config_record *record, const struct op_env *env, const struct app *app,
	const struct app_file *file, const struct safe_content *content, const struct settings *settings,
	config_tell *tell, void *arg, struct fleet_error *err) FLEET_MUST_CHECK;

/* ---- a push ---- */
struct push;
/* Before the write: tells what had changed before the push came, and writes down what it is about to do. */
int config_outside_expect(struct push *p, const struct settings *now, const struct settings *after,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* After it, however it ended: the record says what is there if that is the one or the other. */
void config_outside_settle(struct push *p);

/* ---- the child that looks ---- */
struct config_look {
	const struct app *app; /* borrowed, as the others */
	const struct app_file *file;
};
struct config_look_order {
	const struct op_env *env;
	const struct config_look *looks;
	size_t count;
};
/* For each: {"k": "looked", "index", "hash"} ("" where it does not exist; absent where it cannot be told, or
 * not now: "later"), and "outside" before that where there is something to tell, to which the host answers
 * {"k": "told", "ok"}. */
int config_look_run(int fd, void *order) FLEET_MUST_CHECK;

#endif
