#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "driver/call_child.h"
#include "driver/child_host.h"
#include "driver/inspect.h"
#include "driver/loader.h"
#include "driver/registry.h"
#include "driver/sandbox.h"
#include "fleet/clock.h"
#include "fleet/limits.h"

#ifndef FLEET_UNSANDBOXED
#define KEEP_STDERR 0
#else
#define KEEP_STDERR 1 /* the sanitizer's report is wanted more than the quiet */
#endif

enum { ANSWER_FD = 3, FILE_FD = 4 };

static struct child_pipe answer; /* static: the sandbox is shut when it is filled */

struct child {
	const struct driver_request *request;
	const struct driver_fns *fns;
	const struct fleet_driver_v1 *driver;
	struct child_host host;
	struct fleet_sink sink;
	struct fleet_driver_error error;
	struct fleet_status status;
};

static FLEET_NORETURN void leave(int status)
{
	(void)child_pipe_flush(&answer); /* if nobody listens there is nobody to tell */
	driver_loader_last_words();
	_exit(status);
}

static void tell_stage(enum driver_function stage)
{
	char byte = (char)stage;

	child_pipe_frame(&answer, WIRE_STAGE, (struct fleet_bytes){&byte, 1}, (struct fleet_bytes){"", 0},
		(struct fleet_bytes){"", 0});
	(void)child_pipe_flush(&answer); /* a crash must find it there */
}

static void tell_result(int result, uint32_t line, uint32_t column, const char *message, size_t max)
{
	struct wire_result wire = {.result = result, .line = line, .column = column};

	child_pipe_frame(&answer, WIRE_RESULT, (struct fleet_bytes){(const char *)&wire, sizeof(wire)},
		(struct fleet_bytes){"", 0}, (struct fleet_bytes){message, strnlen(message, max)});
	(void)child_pipe_flush(&answer);
}

static FLEET_NORETURN void give_up(const struct driver_request *request, const struct fleet_error *err)
{
	for (size_t i = 0; i < request->count; i++)
		tell_result(err->code, 0, 0, err->message, sizeof(err->message));
	leave(0);
}

/* Signals as a new program has them, no parent no child, no core with somebody's secrets in it. */
static void detach(pid_t parent)
{
	sigset_t none;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* cannot fail with a valid signal */
	if (getppid() != parent)
		_exit(1);
	for (int sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL); /* SIGKILL, SIGSTOP and libc's own two say no, rightly */
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)setpgid(0, 0); /* the parent does the same: one of both is first */
	(void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	(void)prctl(PR_SET_DUMPABLE, 0);
	if (chdir("/") < 0)
		_exit(1);
}

/* Leaves the answer's pipe, the driver's file (while it is loaded) and /dev/null. */
static int close_descriptors(const char *file, int answer_fd, struct fleet_error *err)
{
	int pipe_fd = fcntl(answer_fd, F_DUPFD_CLOEXEC, 10);
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int file_fd = open(file, O_RDONLY | O_CLOEXEC);

	answer.fd = answer_fd;
	if (file_fd < 0)
		return fleet_error_errno(err, -errno, "cannot open driver file %s", file);
	file_fd = fcntl(file_fd, F_DUPFD_CLOEXEC, 10);
	null_fd = null_fd < 0 ? -1 : fcntl(null_fd, F_DUPFD_CLOEXEC, 10);
	if (pipe_fd < 0 || null_fd < 0 || file_fd < 0)
		return fleet_error_errno(err, -errno, "cannot arrange the descriptors of a driver's process");
	if (dup2(null_fd, STDIN_FILENO) < 0 || dup2(null_fd, STDOUT_FILENO) < 0 ||
		(!KEEP_STDERR && dup2(null_fd, STDERR_FILENO) < 0) ||
		dup3(pipe_fd, ANSWER_FD, O_CLOEXEC) < 0 || dup3(file_fd, FILE_FD, O_CLOEXEC) < 0)
		return fleet_error_errno(err, -errno, "cannot arrange the descriptors of a driver's process");
	answer.fd = ANSWER_FD;
	if (syscall(SYS_close_range, FILE_FD + 1, ~0u, 0) < 0)
		return fleet_error_errno(err, -errno, "cannot close the descriptors of a driver's process");
	return 0;
}

/* After init: what it opened is closed, and our pipe must still be our pipe. */
static int close_again(const struct stat *pipe_stat, struct fleet_error *err)
{
	struct stat now;
	int null_fd;

	if (fstat(ANSWER_FD, &now) < 0 || now.st_dev != pipe_stat->st_dev || now.st_ino != pipe_stat->st_ino)
		return fleet_error_set(err, -EPROTO, "the driver's init replaced the pipe of its answer");
	if (syscall(SYS_close_range, ANSWER_FD + 1, ~0u, 0) < 0)
		return fleet_error_errno(err, -errno, "cannot close the descriptors of a driver's process");
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= STDERR_FILENO - KEEP_STDERR; fd++) {
		if (null_fd < 0 || dup2(null_fd, fd) < 0)
			return fleet_error_errno(
				err, -errno, "cannot arrange the descriptors of a driver's process");
	}
	(void)close(null_fd);
	return 0;
}

static int call_describe(struct child *c)
{
	const struct fleet_driver_v1 *d = c->driver;
	uint32_t roles = (d->format ? DRIVER_ROLE_FORMAT : 0) | (d->service ? DRIVER_ROLE_SERVICE : 0);
	struct fleet_buffer texts = FLEET_BUFFER_INIT;

	fleet_buffer_add(&texts, d->name, strlen(d->name) + 1);
	fleet_buffer_add(&texts, d->version, strlen(d->version) + 1);
	fleet_buffer_add(&texts, d->summary, strlen(d->summary) + 1);
	child_pipe_frame(&answer, WIRE_ABOUT, (struct fleet_bytes){(const char *)&roles, sizeof(roles)},
		(struct fleet_bytes){"", 0}, (struct fleet_bytes){texts.data, texts.len});
	fleet_buffer_done(&texts);
	return 0;
}

static int call_read(struct child *c)
{
	uint32_t flags = c->driver->format->flags;

	child_pipe_frame(&answer, WIRE_FLAGS, (struct fleet_bytes){(const char *)&flags, sizeof(flags)},
		(struct fleet_bytes){"", 0}, (struct fleet_bytes){"", 0});
	c->sink.kind = WIRE_SETTING;
	return c->driver->format->read(&c->host.host, c->request->in, &c->sink, &c->error);
}

static int call_edit(struct child *c)
{
	return c->driver->format->edit(&c->host.host, c->request->in, c->request->edits,
		c->request->edit_count, &c->sink, &c->error);
}

static int call_check(struct child *c)
{
	return c->driver->format->check(&c->host.host, c->request->in, &c->error);
}

static int call_status(struct child *c)
{
	struct wire_status wire = {0};
	int r;

	c->status = (struct fleet_status){.size = sizeof(c->status)};
	r = c->driver->service->status(&c->host.host, &c->status, &c->error);
	if (r != 0)
		return r;
	wire.state = c->status.state;
	wire.pid = c->status.pid;
	wire.restarts = c->status.restarts;
	wire.since_unix_ms = c->status.since_unix_ms;
	wire.memory_bytes = c->status.memory_bytes;
	memcpy(wire.message, c->status.message, sizeof(wire.message));
	memcpy(wire.instance, c->status.instance, sizeof(wire.instance));
	child_pipe_frame(&answer, WIRE_STATUS, (struct fleet_bytes){(const char *)&wire, sizeof(wire)},
		(struct fleet_bytes){"", 0}, (struct fleet_bytes){"", 0});
	return 0;
}

static int missing(struct child *c)
{
	return fleet_driver_fail(&c->error, -EOPNOTSUPP, 0, 0, "driver %s has no %s",
		c->request->calls[0].driver, driver_function_to_string(c->request->function));
}

typedef int32_t (*plain_function)(const struct fleet_host *, struct fleet_driver_error *);

static int call_plain(struct child *c, enum driver_function stage, plain_function function)
{
	if (!function)
		return missing(c);
	tell_stage(stage);
	return function(&c->host.host, &c->error);
}

static int call_verb(struct child *c)
{
	const struct fleet_service_ops *ops = c->driver->service;
	int r;

	switch (c->request->function) {
	case DRIVER_FN_START:
		return call_plain(c, DRIVER_FN_START, ops->start);
	case DRIVER_FN_STOP:
		return call_plain(c, DRIVER_FN_STOP, ops->stop);
	case DRIVER_FN_RELOAD:
		return call_plain(c, DRIVER_FN_RELOAD, ops->reload);
	case DRIVER_FN_RELOAD_DEFINITIONS:
		return call_plain(c, DRIVER_FN_RELOAD_DEFINITIONS, ops->reload_definitions);
	default:
		break;
	}
	if (ops->restart || !ops->stop || !ops->start)
		return call_plain(c, DRIVER_FN_RESTART, ops->restart);
	r = call_plain(c, DRIVER_FN_STOP, ops->stop);
	return r == 0 ? call_plain(c, DRIVER_FN_START, ops->start) : r;
}

static int call_version(struct child *c)
{
	if (!c->driver->service->version)
		return missing(c);
	return c->driver->service->version(&c->host.host, &c->sink, &c->error);
}

static int call_logs(struct child *c)
{
	if (!c->driver->service->logs)
		return missing(c);
	c->sink.kind = WIRE_LINE;
	return c->driver->service->logs(
		&c->host.host, c->request->lines, c->request->since_unix_ms, &c->sink, &c->error);
}

static int call_last_end(struct child *c)
{
	const struct fleet_service_ops *ops = c->driver->service;

	if (!FLEET_CAN(ops, last_end)) /* newer than ABI 1.0 */
		return missing(c);
	return ops->last_end(&c->host.host, c->request->since_unix_ms, &c->sink, &c->error);
}

static int call_inspect(struct child *c)
{
	struct driver_inspection seen;

	if (c->request->function == DRIVER_FN_INSPECT_FORMAT)
		inspect_format(c->driver->format, &c->host, c->request, &seen);
	else
		inspect_status(c->driver->service, &c->host, c->request, &seen);
	child_pipe_frame(&answer, WIRE_DATA, (struct fleet_bytes){(const char *)&seen, sizeof(seen)},
		(struct fleet_bytes){"", 0}, (struct fleet_bytes){"", 0});
	return 0;
}

static const struct driver_fns {
	unsigned role; /* 0: neither */
	int (*call)(struct child *c);
} functions[DRIVER_FN_COUNT] = {
	[DRIVER_FN_DESCRIBE] = {0, call_describe},
	[DRIVER_FN_READ] = {DRIVER_ROLE_FORMAT, call_read},
	[DRIVER_FN_EDIT] = {DRIVER_ROLE_FORMAT, call_edit},
	[DRIVER_FN_CHECK] = {DRIVER_ROLE_FORMAT, call_check},
	[DRIVER_FN_STATUS] = {DRIVER_ROLE_SERVICE, call_status},
	[DRIVER_FN_START] = {DRIVER_ROLE_SERVICE, call_verb},
	[DRIVER_FN_STOP] = {DRIVER_ROLE_SERVICE, call_verb},
	[DRIVER_FN_RESTART] = {DRIVER_ROLE_SERVICE, call_verb},
	[DRIVER_FN_RELOAD] = {DRIVER_ROLE_SERVICE, call_verb},
	[DRIVER_FN_RELOAD_DEFINITIONS] = {DRIVER_ROLE_SERVICE, call_verb},
	[DRIVER_FN_VERSION] = {DRIVER_ROLE_SERVICE, call_version},
	[DRIVER_FN_LOGS] = {DRIVER_ROLE_SERVICE, call_logs},
	[DRIVER_FN_LAST_END] = {DRIVER_ROLE_SERVICE, call_last_end},
	[DRIVER_FN_INSPECT_FORMAT] = {DRIVER_ROLE_FORMAT, call_inspect},
	[DRIVER_FN_INSPECT_STATUS] = {DRIVER_ROLE_SERVICE, call_inspect},
};

/* The driver is to end a little before it is killed, so that it can cancel what it began. */
static int64_t soft_deadline(int64_t deadline_ms)
{
	int64_t left = deadline_ms - fleet_clock_monotonic_ms(), margin = left / 5;

	margin = margin < 100 ? 100 : margin > 2000 ? 2000 : margin;
	return deadline_ms - margin;
}

/* Loads the driver and brings it to where it may see its input. */
static int prepare(struct child *c, struct fleet_error *err)
{
	const struct driver_call *first = &c->request->calls[0];
	bool service = c->fns->role == DRIVER_ROLE_SERVICE;
	struct stat pipe_stat;
	int r;

	if (fstat(ANSWER_FD, &pipe_stat) < 0)
		return fleet_error_errno(err, -errno, "cannot look at the pipe of a driver's answer");
	if (!service) {
		(void)clearenv(); /* only frees */
		r = driver_sandbox_drop_privileges(err);
		if (r < 0)
			return r;
	}
	tell_stage(DRIVER_FN_LOAD);
	r = driver_loader_open(first->driver, first->file, FILE_FD, &c->driver, err);
	if (r < 0)
		return r;
	(void)close(FILE_FD); /* read only */
	if ((c->fns->role == DRIVER_ROLE_FORMAT && !c->driver->format) || (service && !c->driver->service))
		return fleet_error_set(err, -EOPNOTSUPP, "driver %s has no %s role", first->driver,
			service ? "service" : "format");
	if (c->fns->role != DRIVER_ROLE_FORMAT)
		return 0;
	if (c->driver->format->init) {
		struct fleet_driver_error said = {.size = sizeof(said)};

		tell_stage(DRIVER_FN_INIT);
		child_host_init(&c->host, first, &answer, soft_deadline(first->deadline_ms));
		r = c->driver->format->init(&c->host.host, &said);
		if (r != 0)
			return fleet_error_set(err, r < 0 ? r : -EPROTO, "driver %s could not begin: %.*s",
				first->driver, (int)sizeof(said.message) - 1, said.message);
	}
	r = close_again(&pipe_stat, err);
	return r < 0 ? r : driver_sandbox_close(ANSWER_FD, err);
}

static void call_one(struct child *c, const struct driver_call *call)
{
	int r;

	child_host_init(&c->host, call, &answer, soft_deadline(call->deadline_ms));
	c->sink = (struct fleet_sink){.pipe = &answer, .kind = WIRE_DATA};
	c->error = (struct fleet_driver_error){.size = sizeof(c->error)};
	r = c->fns->call(c);
	if (c->sink.error < 0) /* not whole, whatever the driver thinks of it */
		tell_result(-EPROTO, 0, 0, c->sink.why, sizeof(c->sink.why));
	else if (r != 0)
		tell_result(r, c->error.line, c->error.column, c->error.message, sizeof(c->error.message));
	else
		tell_result(0, 0, 0, "", 0);
}

void driver_call_child(const struct driver_request *request, int answer_fd, pid_t parent)
{
	static struct child c; /* static, as answer */
	struct fleet_error err = FLEET_ERROR_INIT;
	int r;

	detach(parent);
	c.request = request;
	c.fns = &functions[request->function];
	r = close_descriptors(request->calls[0].file, answer_fd, &err);
	if (r == 0)
		r = prepare(&c, &err);
	if (r < 0)
		give_up(request, &err);
	tell_stage(request->function);
	for (size_t i = 0; i < request->count; i++)
		call_one(&c, &request->calls[i]);
	leave(0);
}
