#include "console/file_worker.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fleet/log.h"

struct jobs {
	struct file_job *first, **end;
};

struct file_worker {
	struct event *wakeup;
	int wakeup_fd;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	struct jobs queue, finished;
	bool stopping;
};

static void jobs_add(struct jobs *jobs, struct file_job *job)
{
	job->next = NULL;
	*jobs->end = job;
	jobs->end = &job->next;
}

static struct file_job *jobs_take(struct jobs *jobs)
{
	struct file_job *job = jobs->first;

	if (!job)
		return NULL;
	jobs->first = job->next;
	if (!jobs->first)
		jobs->end = &jobs->first;
	return job;
}

static void wake_loop(struct file_worker *worker)
{
	uint64_t one = 1;

	/* it fails only where the counter is full, and then the loop is awake already */
	if (write(worker->wakeup_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_error("cannot wake the event loop: %s", strerror(errno));
}

static void *thread_main(void *arg)
{
	struct file_worker *worker = arg;

	pthread_mutex_lock(&worker->lock);
	for (;;) {
		struct file_job *job = jobs_take(&worker->queue);

		if (!job && worker->stopping)
			break;
		if (!job) {
			pthread_cond_wait(&worker->changed, &worker->lock);
			continue;
		}
		pthread_mutex_unlock(&worker->lock);
		job->result = job->run(job, &job->error);
		pthread_mutex_lock(&worker->lock);
		jobs_add(&worker->finished, job);
		wake_loop(worker);
	}
	pthread_mutex_unlock(&worker->lock);
	return NULL;
}

/* On the loop. */
static void finish_all(struct file_worker *worker)
{
	for (;;) {
		struct file_job *job;

		pthread_mutex_lock(&worker->lock);
		job = jobs_take(&worker->finished);
		pthread_mutex_unlock(&worker->lock);
		if (!job)
			return;
		job->done(job, job->result, &job->error);
	}
}

static void on_wakeup(evutil_socket_t fd, short what FLEET_UNUSED, void *arg)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_error("cannot read the file worker's wakeup: %s", strerror(errno));
	finish_all(arg);
}

void file_worker_submit(struct file_worker *worker, struct file_job *job)
{
	job->result = 0;
	job->error = (struct fleet_error)FLEET_ERROR_INIT;
	pthread_mutex_lock(&worker->lock);
	if (worker->stopping) {
		job->result = fleet_error_set(&job->error, -ESHUTDOWN, "the console is stopping");
		jobs_add(&worker->finished, job);
		wake_loop(worker);
	} else {
		jobs_add(&worker->queue, job);
		pthread_cond_signal(&worker->changed);
	}
	pthread_mutex_unlock(&worker->lock);
}

/* Signals are for the loop's thread. */
static int start_thread(struct file_worker *worker)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&worker->thread, NULL, thread_main, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	worker->started = r == 0;
	return -r;
}

int file_worker_new(struct event_base *base, struct file_worker **ret, struct fleet_error *err)
{
	struct file_worker *worker = xcalloc(1, sizeof(*worker));
	int r = 0;

	worker->queue.end = &worker->queue.first;
	worker->finished.end = &worker->finished.first;
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->changed, NULL);
	worker->wakeup_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->wakeup_fd < 0)
		r = -errno;
	if (r >= 0) {
		worker->wakeup = event_new(base, worker->wakeup_fd, EV_READ | EV_PERSIST, on_wakeup, worker);
		if (!worker->wakeup || event_add(worker->wakeup, NULL) < 0)
			r = -ENOMEM;
	}
	if (r >= 0)
		r = start_thread(worker);
	if (r < 0) {
		file_worker_free(worker);
		return fleet_error_errno(err, r, "cannot start the thread that handles artifacts' files");
	}
	*ret = worker;
	return 0;
}

void file_worker_stop(struct file_worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	worker->stopping = true;
	pthread_cond_signal(&worker->changed);
	pthread_mutex_unlock(&worker->lock);
	if (worker->started)
		pthread_join(worker->thread, NULL);
	worker->started = false;
	finish_all(worker);
}

void file_worker_free(struct file_worker *worker)
{
	if (!worker)
		return;
	file_worker_stop(worker);
	if (worker->wakeup)
		event_free(worker->wakeup);
	if (worker->wakeup_fd >= 0)
		(void)close(worker->wakeup_fd); /* a counter in memory */
	pthread_cond_destroy(&worker->changed);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}
