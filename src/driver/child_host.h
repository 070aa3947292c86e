/* The struct fleet_host that a driver is given in its call child, and the buffered pipe behind its callbacks.
 */
#ifndef DRIVER_CHILD_HOST_H
#define DRIVER_CHILD_HOST_H
#include "driver/call.h"
#include "driver/wire.h"

/* The writing end of the answer. One in a process, static: nothing to allocate once the sandbox is shut. */
struct child_pipe {
	int fd;
	size_t len;
	char buffer[64 * 1024];
};
/* One frame, put together from up to three parts. */
void child_pipe_frame(struct child_pipe *pipe, enum wire_tag tag, struct fleet_bytes head,
	struct fleet_bytes middle, struct fleet_bytes rest);
/* Writes out what waits; 0, or the negative errno after which nothing more is written. */
int child_pipe_flush(struct child_pipe *pipe);

/* Why an answer is cut off: the file is too much, which is not the driver's fault. */
#define CHILD_PATH_TOO_LONG     "the file has a key path longer than 1024 bytes"
#define CHILD_TOO_MANY_SETTINGS "the file has more than 20000 settings"
#define CHILD_ANSWER_TOO_LONG   "its answer is longer than 4 MiB"

struct fleet_sink {
	struct child_pipe *pipe;
	enum wire_tag kind; /* WIRE_DATA, WIRE_SETTING or WIRE_LINE */
	bool discard;       /* nothing is sent (pipe may be NULL), only taken into the digest */
	uint64_t digest;
	uint64_t total;
	uint32_t count;
	int error; /* the first refusal: the answer is not whole, whatever the driver returns */
	char why[128];
};

struct child_host {
	struct fleet_host host; /* first: the callbacks are given this */
	struct child_pipe *pipe;
	int64_t soft_deadline_ms;
	unsigned logs;
};
void child_host_init(struct child_host *h, const struct driver_call *call, struct child_pipe *pipe,
	int64_t soft_deadline_ms);

#endif
