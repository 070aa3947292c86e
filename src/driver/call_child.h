/* The child's end of a call: everything between fork and _exit. Loads the driver, with the rights that its
 * role has, calls it once for each app, and streams what it says to the pipe as wire.h frames. Runs driver
 * code: nothing here may be trusted by the parent. */
#ifndef DRIVER_CALL_CHILD_H
#define DRIVER_CALL_CHILD_H
#include "driver/call.h"
#include "driver/wire.h"

/* What the child is to do; copied by fork with everything that it points to. */
struct driver_request {
	enum driver_function function;
	const struct driver_call *calls; /* all of one driver */
	size_t count;                    /* more than 1 for status only */
	struct fleet_bytes in;           /* of the format functions */
	const struct fleet_edit *edits;
	uint32_t edit_count;
	uint32_t lines; /* of logs */
	int64_t since_unix_ms;
	uint32_t rounds; /* of an inspection */
};

/* answer_fd: the pipe's write end. parent: the pid that forked us. */
FLEET_NORETURN void driver_call_child(const struct driver_request *request, int answer_fd, pid_t parent);

#endif
