/* One thread for what would stop the event loop: writing, syncing and reading the artifacts' files. A job is
 * the caller's, with this at its beginning; it is run on the thread, in the order of the calls, and finished
 * on the loop. */
#ifndef CONSOLE_FILE_WORKER_H
#define CONSOLE_FILE_WORKER_H
#include <event2/event.h>
#include "fleet/error.h"

struct file_job {
	struct file_job *next;
	/* On the thread: 0 or negative errno, with the sentence. Touches nothing that the loop touches. */
	int (*run)(struct file_job *job, struct fleet_error *err);
	/* On the loop, once; frees the job. -ESHUTDOWN where it was not run. */
	void (*done)(struct file_job *job, int result, const struct fleet_error *err);
	int result;
	struct fleet_error error;
};

struct file_worker;
int file_worker_new(
	struct event_base *base, struct file_worker **ret, struct fleet_error *err) FLEET_MUST_CHECK;
void file_worker_submit(struct file_worker *worker, struct file_job *job);
/* Runs what was submitted, ends the thread, and finishes all of it; what is submitted from here on is not
 * run. */
void file_worker_stop(struct file_worker *worker);
/* Stops it where that was not done, finishes what came since. Accepts NULL. */
void file_worker_free(struct file_worker *worker);

#endif
