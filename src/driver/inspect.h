/* What shows only inside a driver's process: the same calls many times in one child, with the memory in use,
 * the answers, and the bytes around and in what the driver was given watched. Nothing of it is needed to use
 * a driver, everything to judge one: called by the fleet-driver tool's `check`, never by the host. The child
 * is one as for every call (call.h), with the rights and the sandbox of the role. */
#ifndef DRIVER_INSPECT_H
#define DRIVER_INSPECT_H
#include "driver/call.h"

enum {
	DRIVER_SEEN_OVERRUN = 1,         /* wrote past the end of a structure that it was to fill */
	DRIVER_SEEN_SIZE = 2,            /* changed the size in a structure that it was to fill */
	DRIVER_SEEN_UNTERMINATED = 4,    /* a text of fixed size without its NUL */
	DRIVER_SEEN_INPUT_CHANGED = 8,   /* wrote to the bytes that it was lent */
	DRIVER_SEEN_OTHER_ANSWER = 16,   /* same question, another answer, in one process */
	DRIVER_SEEN_VALUE_TOLD = 32,     /* an edit's value stands in a log line or in an error's sentence */
	DRIVER_SEEN_POSITIVE_RESULT = 64 /* returned neither 0 nor a negative errno */
};

struct driver_inspection {
	uint32_t rounds;                /* that were made; fewer than asked for when time ran out */
	uint32_t seen;                  /* DRIVER_SEEN_* */
	int64_t leaked_bytes_per_round; /* of malloc, beyond the first rounds; -1 where it cannot be told */
};

/* Each round is one check, one read and, where count is not 0, one edit. What these answer is not reported
 * here; errors are those of the call itself. */
int driver_format_inspect(const struct driver_call *call, struct fleet_bytes in,
	const struct fleet_edit *edits, uint32_t count, uint32_t rounds, struct driver_inspection *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Each round is one status. */
int driver_service_inspect(const struct driver_call *call, uint32_t rounds, struct driver_inspection *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;

/* The child's end. host: of the call, its log is replaced. */
struct child_host;
struct driver_request;
void inspect_format(const struct fleet_format_ops *ops, const struct child_host *host,
	const struct driver_request *request, struct driver_inspection *ret);
void inspect_status(const struct fleet_service_ops *ops, const struct child_host *host,
	const struct driver_request *request, struct driver_inspection *ret);

#endif
