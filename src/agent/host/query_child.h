/* The part of a query that runs in a child: asks the app's driver and composes the answer, at most
 * FLEET_QUERY_ANSWER_MAX bytes of it. Changes nothing. Secrets do not leave the child. Blocks. */
#ifndef HOST_QUERY_CHILD_H
#define HOST_QUERY_CHILD_H
#include "agent/host/op.h"

struct query_order {
	const struct op_env *env;
	struct json_object *payload; /* borrowed; checked */
	int64_t deadline_ms;         /* monotonic */
};
/* Sends the members of the `answer` frame, without its refId. */
int query_child_run(int fd, void *order) FLEET_MUST_CHECK;

/* Into an answer: it failed. Replaces what was there. Never a value of a setting. */
void query_fail(struct json_object *answer, const char *error_code, const char *fmt, ...) FLEET_PRINTF(3, 4);

#endif
