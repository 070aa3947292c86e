/* One call into a driver, in a process of its own: fork, close every inherited descriptor, load the .so,
 * (format role: drop privileges, init, sandbox), call, answer over a pipe, exit. A driver that crashes,
 * hangs, leaks or exits costs that one call, and the error names it: "driver json-config crashed (SIGSEGV)
 * in edit". Blocks until the answer or the deadline; called in operation and status children and in the
 * fleet-driver tool, never on an event loop. The child's end is seen by pidfd. (DESIGN 2, 6) */
#ifndef DRIVER_CALL_H
#define DRIVER_CALL_H
#include "driver/settings.h"
#include "fleet/buffer.h"

/* What to call and for whom. All borrowed. */
struct driver_call {
	const char *driver; /* name, "json-config" */
	const char *file;   /* absolute path of the .so, checked by driver_registry */
	const char *app_id;
	const char *state_dir; /* of (app, driver), exists; NULL for format calls */
	const struct fleet_option *options;
	uint32_t option_count;
	int64_t deadline_ms; /* monotonic; the child is killed then (the driver is told to end a little
				earlier) */
	void (*progress)(uint32_t percent, const char *text, void *arg); /* may be NULL */
	void (*note)(
		const char *text, void *arg); /* may be NULL: the driver's log lines but for debug ones */
	void *arg;
};
/* Driver log lines go to this program's log, prefixed with the driver's and the app's name. */

struct driver_status {
	uint32_t state; /* FLEET_STATE_* */
	int32_t pid;
	uint32_t restarts;
	int64_t since_unix_ms; /* 0 unknown */
	uint64_t memory_bytes; /* 0 unknown */
	char message[240];
	char instance[64];
};

/* Stands in the message of a driver's error that came without a sentence. */
#define DRIVER_SAID_NOTHING "without saying why"

/* The caller must not reap children that it does not know (no waitpid(-1)), nor ignore SIGCHLD. Processes
 * that a driver leaves behind in its process group are killed at the end of the call.
 *
 * Errors of every call: what the driver said (its code and sentence, "LINE:COLUMN: ..." where it has a
 * place); -EFAULT crashed, -ETIMEDOUT killed at the deadline, -ENODATA exited without an answer, -EPROTO an
 * answer that breaks the ABI's rules or a bound, -EOPNOTSUPP the driver has no such role or function. */
int driver_format_read(const struct driver_call *call, struct fleet_bytes in, struct settings *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
int driver_format_edit(const struct driver_call *call, struct fleet_bytes in, const struct fleet_edit *edits,
	uint32_t count, struct fleet_buffer *ret, struct fleet_error *err) FLEET_MUST_CHECK;
int driver_format_check(
	const struct driver_call *call, struct fleet_bytes in, struct fleet_error *err) FLEET_MUST_CHECK;

enum driver_verb { DRIVER_START, DRIVER_STOP, DRIVER_RESTART, DRIVER_RELOAD, DRIVER_RELOAD_DEFINITIONS };
/* DRIVER_RESTART of a driver without restart is stop, then start. */
int driver_service_do(
	const struct driver_call *call, enum driver_verb verb, struct fleet_error *err) FLEET_MUST_CHECK;
int driver_service_status(
	const struct driver_call *call, struct driver_status *ret, struct fleet_error *err) FLEET_MUST_CHECK;
int driver_service_version(
	const struct driver_call *call, struct fleet_buffer *ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* How the service came to its last bad end since then, in the service manager's words; sanitized. */
int driver_service_last_end(const struct driver_call *call, int64_t since_unix_ms, struct fleet_buffer *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* The texts of the lines, oldest first, each with a newline; control characters replaced. */
int driver_service_logs(const struct driver_call *call, uint32_t lines, int64_t since_unix_ms,
	struct fleet_buffer *ret, struct fleet_error *err) FLEET_MUST_CHECK;

struct driver_log_line {
	int64_t unix_ms;  /* 0 unknown */
	int32_t priority; /* syslog's 0 to 7; -1 unknown */
	char *text;       /* owned; no newline, sanitized */
};
struct driver_log_lines {
	struct driver_log_line *items; /* owned */
	size_t count, capacity;
};
/* The same with time and priority. */
int driver_service_log_lines(const struct driver_call *call, uint32_t lines, int64_t since_unix_ms,
	struct driver_log_lines *ret, struct fleet_error *err) FLEET_MUST_CHECK;
void driver_log_lines_done(struct driver_log_lines *lines);

/* status of many apps of one driver in one child, told one by one as they come; apps that the driver did not
 * reach before the deadline, or before it crashed, are told with an error. calls: all with the same driver
 * and file. */
void driver_service_status_all(const struct driver_call *calls, size_t count,
	void (*tell)(
		size_t index, const struct driver_status *status, const struct fleet_error *err, void *arg),
	void *arg);

#endif
