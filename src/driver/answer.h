/* The parent's end of a call: takes a call child's frames (wire.h) apart, strictly and within bounds, into
 * the answer. Every length, tag and order is checked; the first thing that is wrong ends it. Pure: bytes in,
 * answer out. */
#ifndef DRIVER_ANSWER_H
#define DRIVER_ANSWER_H
#include "driver/call.h"
#include "driver/registry.h"
#include "driver/wire.h"

struct driver_answer {
	enum driver_function function;   /* what was asked */
	const struct driver_call *calls; /* borrowed: for names, and progress */
	size_t count;                    /* answers that are due; more than 1 for status only */
	uint32_t lines_max;              /* of logs */

	/* where each kind goes; owned by the caller; NULL where the function has none of it */
	struct settings *settings;
	struct fleet_buffer *data;
	struct driver_log_lines *lines;
	struct driver_status *status;
	struct driver_info *about;
	/* told at each result; err->code 0 when it succeeded */
	void (*result)(struct driver_answer *a, size_t index, const struct fleet_error *err, void *arg);
	void *arg;
	struct fleet_error said; /* for a result() of a single answer to keep it in */

	/* own state */
	enum driver_function stage; /* what the child was last about to call */
	size_t done;                /* results seen */
	size_t total;               /* bytes seen */
	unsigned logs, steps;
	bool status_seen, about_seen;
	struct fleet_buffer pending;
};

/* 0, or -EPROTO with a sentence, after which nothing more may be fed. */
int driver_answer_feed(
	struct driver_answer *a, const void *data, size_t len, struct fleet_error *err) FLEET_MUST_CHECK;
/* Are all results there, and nothing behind them? */
bool driver_answer_is_complete(const struct driver_answer *a);
/* Frees own state, not what the answer went into. */
void driver_answer_done(struct driver_answer *a);

#endif
