/* Runs one request in a call child: fork, follow its pipe and its end, kill it at the deadline, say how it
 * ended. */
#ifndef DRIVER_CALL_RUN_H
#define DRIVER_CALL_RUN_H
#include "driver/answer.h"
#include "driver/call_child.h"

/* answer: its sinks and result() set by the caller, the rest is filled here. Every one of its answers is told
 * to result() exactly once: with what the driver said, or with why it came to say nothing. 0 when the child
 * gave its answers (which may be errors) and ended well; else what went wrong, which also stands against
 * answers that were told before. */
int driver_call_run(const struct driver_request *request, struct driver_answer *answer,
	struct fleet_error *err) FLEET_MUST_CHECK;

#endif
