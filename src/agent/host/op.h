/* An operation, as its own child process sees it: what was asked, of which app, the steps that it takes, and
 * the result that it composes. Each step is told to the host and is in the ledger before it begins
 * (op_begin). The child holds no driver: it forks one more child for each call of one (driver/call.h).
 * Everything here blocks. (DESIGN 2, 5) */
#ifndef HOST_OP_H
#define HOST_OP_H
#include "agent/host/apps.h"
#include "fleet/json.h"
#include "fleet/message.h"
#include "fleet/redact.h"

/* What every operation needs of the host; borrowed, read-only. */
struct op_env {
	const struct apps *apps;
	const struct driver_registry *drivers;
	const char *state_dir;
	const char *trusted_keys_dir; /* NULL: none */
	const char *unpacker;         /* path of fleet-unpack */
	bool as_root;                 /* what the admin declares must be root's */
};
struct op {
	const struct op_env *env;
	int fd; /* to the host */
	const struct app *app;
	enum fleet_action action;
	const char *command_id;      /* borrowed from payload */
	struct json_object *args;    /* likewise */
	struct json_object *result;  /* the `result` frame as it grows; owned by op_run */
	struct json_object *step;    /* the step in hand, within result; NULL none */
	int64_t started_ms;          /* wall clock */
	struct fleet_redact secrets; /* what nothing that it says may hold */
	/* recovery: what the ledger says was begun; NULL where that step never was */
	struct json_object *last_step, *write_step;
};
/* For tests: called as each step begins, after it is in the ledger. */
extern void (*op_step_hook)(const char *step);

/* What the ledger must know of a step before it begins. data may be NULL; borrowed. Also ends the step before
 * it as ok. Fails where the host could not write it down: the step must not begin then. */
int op_begin(
	struct op *op, const char *step, struct json_object *data, struct fleet_error *err) FLEET_MUST_CHECK;
/* The same, and says so in the audit log: event is a sentence for it. */
int op_begin_event(struct op *op, const char *step, struct json_object *data, const char *event,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Ends the step in hand. message: for people, may be NULL; never a value of a setting. */
void op_end_step(struct op *op, bool ok, const char *message);
void op_progress(struct op *op, int percent, const char *message);

/* The outcome. errorCode as docs/protocol.md; also ends the step in hand, as failed. Returns 0: the operation
 * has its result, and the caller is done. */
int op_fail(struct op *op, const char *error_code, const char *fmt, ...) FLEET_PRINTF(3, 4);
int op_succeed(struct op *op, const char *fmt, ...) FLEET_PRINTF(2, 3);
/* The errorCode for what driver/call.h returned; otherwise where the driver itself said no. */
const char *op_driver_code(int code, const char *otherwise);

/* Tells the host what is no part of the operation (config_outside.h). 0 when the host has written it down. */
int op_tell(struct op *op, struct json_object *message) FLEET_MUST_CHECK;

/* ---- op_secrets.c ---- */
struct settings;
/* Nothing that the operation says from here on holds a secret of these settings. */
void op_learn_secrets(struct op *op, const struct settings *settings);
/* Likewise of what the command sets. */
void op_learn_asked_secrets(struct op *op);
/* text without secrets; owned. */
char *op_redact(struct op *op, const char *text);
/* Takes them out of the result, whoever wrote it. */
void op_hide_secrets(struct op *op);

/* A `result` frame with who and what, and nothing of how it went; owned. payload: the command's. */
struct json_object *op_result_new(struct json_object *payload, int64_t started_ms);
void op_result_fail(struct json_object *result, const char *error_code, const char *message);

/* What only the agent can do, having a network: the artifact at url, as an open descriptor of the whole file;
 * waits for it for as long as it takes, at most timeout_s. *ret_fd owned. -ETIMEDOUT, or -EREMOTEIO with the
 * agent's sentence. */
int op_fetch(struct op *op, const char *url, int64_t max_bytes, int timeout_s, int *ret_fd,
	struct fleet_error *err) FLEET_MUST_CHECK;

/* Asks url or tcp (one of them NULL) for the app's health, from the agent. *ret_ok, *ret_detail (owned; what
 * was seen, may be NULL): its answer. -EREMOTEIO, -ETIMEDOUT: nobody could ask, which says nothing about the
 * app. */
int op_probe(struct op *op, const char *url, const char *tcp, int timeout_s, bool *ret_ok, char **ret_detail,
	struct fleet_error *err) FLEET_MUST_CHECK;

/* The child's main: does the command over fd and returns when the host has its result. 0, or -errno where the
 * host went away. last_step, write_step: for a recovery, else NULL and recovering false. */
struct op_order {
	struct json_object *payload;
	bool recovering;
	bool is_local; /* root on this server asked, who may more than the console */
	struct json_object *last_step, *write_step;
};
int op_run(const struct op_env *env, int fd, const struct op_order *order) FLEET_MUST_CHECK;

/* Frames between the child and the host: {"k": "begin"|"progress"|"fetch"|"fetchCancel"|"probe"|"result",
 * ...}; the host answers a begin with {"k": "begun", "ok": bool, "message"}, a fetch with {"k": "fetched",
 * ...} and the file's descriptor. Blocking, for the child's side. */
int op_send(int fd, struct json_object *message) FLEET_MUST_CHECK;
int op_receive(int fd, struct json_object **ret) FLEET_MUST_CHECK;

/* The operations. Each ends in op_fail or op_succeed. */
void op_restart(struct op *op);
void op_push_config(struct op *op);
void op_update_app(struct op *op);
void op_rollback_app(struct op *op);
void op_recover(struct op *op);
/* Whose app is not declared any more: op->app is NULL. */
void op_recover_undeclared(struct op *op);
void op_recover_update(struct op *op);

#endif
