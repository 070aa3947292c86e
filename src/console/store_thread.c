/* The queue, the thread that commits, and the way back to the loop. */
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <time.h>
#include "console/store_internal.h"
#include "console/store_schema.h"
#include "fleet/failpoint.h"
#include "fleet/file.h"
#include "fleet/log.h"

#define BATCH_MAX    512 /* requests a transaction: answers should not wait for a whole backlog */
#define LAZY_WAIT_MS 500 /* how long heartbeats and the like wait for company */
#define LAZY_MAX                                                                                             \
	20000 /* past that many waiting the disk has stalled: heartbeats can be missed, memory cannot */

void *store_request_new(const struct store_kind *kind)
{
	struct store_request *request = xcalloc(1, kind->size);

	request->kind = kind;
	return request;
}

void store_request_free(struct store_request *request)
{
	if (request->kind->done)
		request->kind->done(request);
	json_object_put(request->appended);
	free(request->agent_id);
	free(request);
}

/* With the lock held. */
static void answer(struct store *store, struct store_request *request)
{
	if (request->synchronous) {
		request->finished = true;
		pthread_cond_broadcast(&store->changed);
		return;
	}
	request->next = NULL;
	*store->answers_end = request;
	store->answers_end = &request->next;
}

static void wake_loop(struct store *store)
{
	uint64_t one = 1;

	/* it fails only where the counter is full, and then the loop is awake already */
	if (write(store->wakeup_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_error("cannot wake the event loop: %s", strerror(errno));
}

/* False where the queue is too long for one that may be missed; the caller has it back then. */
static bool enqueue(struct store *store, struct store_request *request)
{
	bool taken = true;

	pthread_mutex_lock(&store->lock);
	if (store->stopping) {
		request->result = fleet_error_set(&request->error, -ESHUTDOWN, "the store is closing");
		answer(store, request);
		wake_loop(store);
	} else if (request->kind->lazy && store->queued >= LAZY_MAX) {
		taken = false;
	} else {
		*store->queue_end = request;
		store->queue_end = &request->next;
		store->queued++;
		if (!request->kind->lazy)
			store->urgent++;
		pthread_cond_broadcast(&store->changed);
	}
	pthread_mutex_unlock(&store->lock);
	return taken;
}

void store_submit(struct store *store, void *takes_request)
{
	if (enqueue(store, takes_request))
		return;
	log_warn("the store cannot keep up: a heartbeat is not kept");
	store_request_free(takes_request);
}

void store_run_and_wait(struct store *store, void *request)
{
	struct store_request *r = request;

	r->synchronous = true;
	if (!enqueue(store, r))
		abort(); /* only what nobody waits for is lazy */
	pthread_mutex_lock(&store->lock);
	while (!r->finished)
		pthread_cond_wait(&store->changed, &store->lock);
	pthread_mutex_unlock(&store->lock);
}

/* Takes up to BATCH_MAX requests in order; NULL at the end. */
static struct store_request *next_batch(struct store *store)
{
	struct store_request *batch, **end = &batch;
	struct timespec until;
	bool waited = false;

	pthread_mutex_lock(&store->lock);
	while (!store->stopping && (store->queued == 0 || (store->urgent == 0 && !waited))) {
		if (store->queued == 0) {
			pthread_cond_wait(&store->changed, &store->lock);
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += LAZY_WAIT_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		while (!store->stopping && store->urgent == 0 && !waited)
			waited = pthread_cond_timedwait(&store->changed, &store->lock, &until) == ETIMEDOUT;
	}
	batch = store->queue;
	for (int i = 0; i < BATCH_MAX && *end; i++) {
		store->queued--;
		if (!(*end)->kind->lazy)
			store->urgent--;
		end = &(*end)->next;
	}
	store->queue = *end;
	*end = NULL;
	if (!store->queue)
		store->queue_end = &store->queue;
	pthread_mutex_unlock(&store->lock);
	return batch;
}

/* One that writes, inside the batch's transaction. False where the whole transaction is lost. */
static bool run_one(struct store *store, struct store_request *request)
{
	struct store_head before = store->head;
	struct fleet_error ignored = FLEET_ERROR_INIT;
	int r;

	if (store_order_is_broken(store, request)) {
		request->result = fleet_error_set(&request->error, -ECANCELED,
			"what %s said before it could not be kept", request->agent_id);
		return true;
	}
	r = fleet_db_exec(store->db, "SAVEPOINT request", &request->error);
	if (r >= 0)
		r = FLEET_FAILS("store.request")
			    ? fleet_error_errno(&request->error, -errno, "cannot write the store")
			    : request->kind->run(store, request, &request->error);
	request->result = r;
	if (r >= 0)
		r = fleet_db_exec(store->db, "RELEASE request", &request->error);
	if (r >= 0)
		return true;
	request->result = r;
	if (r != -EALREADY) /* it is kept, from before */
		store_order_break(store, request);
	store->head = before;
	json_object_put(TAKE_PTR(request->appended));
	return fleet_db_in_transaction(store->db) &&
	       fleet_db_exec(store->db, "ROLLBACK TO request; RELEASE request", &ignored) >= 0;
}

static void fail_batch(struct store *store, struct store_request *batch, const struct fleet_error *why)
{
	fleet_db_rollback(store->db);
	log_error("the store could not commit: %s", why->message);
	for (struct store_request *r = batch; r; r = r->next) {
		if (!r->kind->writes)
			continue;
		json_object_put(TAKE_PTR(r->appended));
		store_order_break(store, r);
		r->error = *why;
		r->result = why->code;
	}
}

static void scrub(struct store *store)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = store->scrub_due ? fleet_db_scrub(store->db, &err) : 0;

	if (r >= 0)
		store->scrub_due = false;
	else if (r != -EBUSY) /* else after the next batch */
		log_error(
			"values that were forgotten may still lie in the log of the store: %s", err.message);
}

static void run_batch(struct store *store, struct store_request *batch)
{
	struct store_head before = store->head;
	struct fleet_error err = FLEET_ERROR_INIT;
	bool writes = false, whole = true;
	int r = 0;

	for (struct store_request *q = batch; q; q = q->next)
		writes = writes || q->kind->writes;
	if (writes)
		r = fleet_db_begin(store->db, &err);
	for (struct store_request *q = batch; q && r >= 0 && whole; q = q->next) {
		if (!q->kind->writes)
			continue;
		whole = run_one(store, q);
		if (!whole)
			err = q->error;
	}
	if (writes && r >= 0 && whole)
		r = fleet_db_commit(store->db, &err);
	if (r < 0 || !whole) {
		store->head = before;
		fail_batch(store, batch, &err);
	} else
		scrub(store);
	/* Questions come last: they see what is committed, and a disk that takes nothing still gives. */
	for (struct store_request *q = batch; q; q = q->next) {
		if (!q->kind->writes)
			q->result = q->kind->run(store, q, &q->error);
	}
}

static void *thread_main(void *arg)
{
	struct store *store = arg;
	struct store_request *batch;

	while ((batch = next_batch(store))) {
		run_batch(store, batch);
		FLEET_FAILPOINT("store.batch");
		pthread_mutex_lock(&store->lock);
		while (batch) {
			struct store_request *request = batch;

			batch = request->next;
			request->head = store->head;
			answer(store, request);
		}
		pthread_mutex_unlock(&store->lock);
		wake_loop(store);
	}
	return NULL;
}

/* On the loop: tells what was committed. */
static void tell_answers(struct store *store)
{
	for (;;) {
		struct store_request *list, *request;
		struct fleet_error lost_why = FLEET_ERROR_INIT;
		size_t lost = 0;

		pthread_mutex_lock(&store->lock);
		list = store->answers;
		store->answers = NULL;
		store->answers_end = &store->answers;
		pthread_mutex_unlock(&store->lock);
		if (!list)
			return;
		while ((request = list)) {
			list = request->next;
			if (request->head.seq > store->shown_head.seq)
				store->shown_head = request->head;
			if (request->appended && store->appended)
				store->appended(request->appended, store->appended_arg);
			if (request->kind->finish)
				request->kind->finish(store, request);
			else if (request->result < 0 && lost++ == 0)
				lost_why = request->error;
			store_request_free(request);
		}
		if (lost > 0) /* in one line: the log may lie on the same full disk */
			log_error("the store lost %zu things written behind (heartbeats, agents' states): %s",
				lost, lost_why.message);
	}
}

static void on_wakeup(evutil_socket_t fd, short what, void *arg)
{
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_error("cannot read the store's wakeup: %s", strerror(errno));
	tell_answers(arg);
}

const struct store_head *store_audit_head(const struct store *store)
{
	return &store->shown_head;
}

void store_on_audit(struct store *store, void (*appended)(struct json_object *event, void *arg), void *arg)
{
	store->appended = appended;
	store->appended_arg = arg;
}

static int open_directory(const char *dir, int *ret_fd, struct fleet_error *err)
{
	_cleanup_close_ int fd = -1;
	int r = fleet_mkdir_parents(dir, 0700, err);

	if (r < 0)
		return r;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fleet_error_errno(err, -errno, "cannot open the data directory %s", dir);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return fleet_error_set(err, errno == EWOULDBLOCK ? -EBUSY : -errno,
			"the data directory %s is in use by another fleet-console: stop it, or choose "
			"another with --data-dir",
			dir);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Signals are for the loop's thread. */
static int start_thread(struct store *store)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&store->thread, NULL, thread_main, store);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

static void store_free(struct store *store)
{
	if (!store)
		return;
	if (store->wakeup)
		event_free(store->wakeup);
	if (store->wakeup_fd >= 0)
		(void)close(store->wakeup_fd); /* a counter in memory */
	fleet_db_close(store->db);
	store_order_done(store);
	if (store->lock_fd >= 0)
		(void)close(store->lock_fd); /* lets the directory go */
	pthread_cond_destroy(&store->changed);
	pthread_mutex_destroy(&store->lock);
	free(store);
}
FLEET_DEFINE_CLEANUP(struct store *, store_free)

static struct store *store_new(struct event_base *base)
{
	struct store *store = xcalloc(1, sizeof(*store));
	pthread_condattr_t attributes;

	store->base = base;
	store->wakeup_fd = store->lock_fd = -1;
	store->queue_end = &store->queue;
	store->answers_end = &store->answers;
	pthread_mutex_init(&store->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&store->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	return store;
}

int store_open(struct event_base *base, const char *dir, struct store **ret, struct fleet_error *err)
{
	_cleanup_(store_freep) struct store *store = store_new(base);
	_cleanup_free_ char *path = xasprintf("%s/" STORE_FILE, dir);
	int r = open_directory(dir, &store->lock_fd, err);

	if (r >= 0)
		r = fleet_db_open(path, store_migrations, store_migration_count, &store->db, err);
	if (r >= 0)
		r = store_audit_load_head(store->db, &store->head, err);
	if (r < 0)
		return r;
	store->scrub_due = true; /* a console that died may not have come to it */
	scrub(store);
	store->shown_head = store->head;
	store->opened_seq = store->head.seq;
	store->wakeup_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (store->wakeup_fd < 0)
		return fleet_error_errno(err, -errno, "cannot create the store's wakeup");
	store->wakeup = event_new(base, store->wakeup_fd, EV_READ | EV_PERSIST, on_wakeup, store);
	if (!store->wakeup || event_add(store->wakeup, NULL) < 0)
		return fleet_error_set(err, -ENOMEM, "cannot watch the store's wakeup");
	r = start_thread(store);
	if (r < 0)
		return fleet_error_errno(err, r, "cannot start the store's thread");
	*ret = TAKE_PTR(store);
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	pthread_mutex_lock(&store->lock);
	store->stopping = true;
	pthread_cond_broadcast(&store->changed);
	pthread_mutex_unlock(&store->lock);
	pthread_join(store->thread, NULL);
	tell_answers(store); /* callbacks that ask for more are answered with -ESHUTDOWN, here too */
	store_free(store);
}
