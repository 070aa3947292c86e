#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "driver/call_run.h"
#include "fleet/clock.h"

const char *driver_function_to_string(enum driver_function function)
{
	static const char *const names[DRIVER_FN_COUNT] = {
		[DRIVER_FN_LOAD] = "loading",
		[DRIVER_FN_INIT] = "init",
		[DRIVER_FN_DESCRIBE] = "describe",
		[DRIVER_FN_READ] = "read",
		[DRIVER_FN_EDIT] = "edit",
		[DRIVER_FN_CHECK] = "check",
		[DRIVER_FN_STATUS] = "status",
		[DRIVER_FN_START] = "start",
		[DRIVER_FN_STOP] = "stop",
		[DRIVER_FN_RESTART] = "restart",
		[DRIVER_FN_RELOAD] = "reload",
		[DRIVER_FN_RELOAD_DEFINITIONS] = "reload_definitions",
		[DRIVER_FN_VERSION] = "version",
		[DRIVER_FN_LOGS] = "logs",
		[DRIVER_FN_LAST_END] = "last_end",
		[DRIVER_FN_INSPECT_FORMAT] = "repeated calls",
		[DRIVER_FN_INSPECT_STATUS] = "repeated calls of status",
	};

	return function < DRIVER_FN_COUNT ? names[function] : "?";
}

/* One running call child. */
struct running {
	pid_t pid;
	int pidfd, pipe;
	int64_t deadline_ms;
	bool timed_out;
};

static int spawn(const struct driver_request *request, struct running *ret, struct fleet_error *err)
{
	const char *driver = request->calls[0].driver;
	_cleanup_close_ int answer = -1, own = -1, pidfd = -1;
	pid_t parent = getpid(), pid;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return fleet_error_errno(err, -errno, "cannot call driver %s: pipe", driver);
	own = fds[0];
	answer = fds[1];
	if (fcntl(own, F_SETFL, O_NONBLOCK) < 0)
		return fleet_error_errno(err, -errno, "cannot call driver %s: pipe", driver);
	pid = fork();
	if (pid < 0)
		return fleet_error_errno(err, -errno, "cannot call driver %s: fork", driver);
	if (pid == 0)
		driver_call_child(request, answer, parent);
	(void)setpgid(pid, pid); /* the child does the same: one of both is first */
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		int error = errno;

		(void)kill(pid, SIGKILL); /* ours and not yet reaped */
		(void)waitpid(pid, NULL, 0);
		return fleet_error_errno(err, -error, "cannot call driver %s: pidfd_open", driver);
	}
	ret->pid = pid;
	ret->pidfd = TAKE_FD(pidfd);
	ret->pipe = TAKE_FD(own);
	return 0;
}

/* Takes what the pipe has now. *ret_end: nothing more will come. */
static int drain(struct running *c, struct driver_answer *answer, bool *ret_end, struct fleet_error *err)
{
	char chunk[32 * 1024];

	for (;;) {
		ssize_t n = read(c->pipe, chunk, sizeof(chunk));
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n <= 0) {
			*ret_end = true;
			return 0;
		}
		r = driver_answer_feed(answer, chunk, (size_t)n, err);
		if (r < 0)
			return r;
		if (fleet_clock_monotonic_ms() >= c->deadline_ms)
			return 0;
	}
}

/* Until the child has ended, by itself or by the deadline or by what it said. */
static int follow(struct running *c, struct driver_answer *answer, struct fleet_error *err)
{
	bool pipe_ended = false, child_ended = false;
	int r = 0;

	while (!child_ended && r == 0) {
		int64_t left = c->deadline_ms - fleet_clock_monotonic_ms();
		struct pollfd fds[] = {{.fd = c->pidfd, .events = POLLIN},
			{.fd = pipe_ended ? -1 : c->pipe, .events = POLLIN}};

		if (left <= 0) {
			c->timed_out = true;
			break;
		}
		if (poll(fds, FLEET_ARRAY_LEN(fds), left > 60000 ? 60000 : (int)left) < 0 && errno != EINTR)
			return fleet_error_errno(err, -errno, "cannot wait for a driver: poll");
		child_ended = fds[0].revents != 0;
		/* what it wrote before its end is in the pipe by now */
		if (fds[1].revents || (child_ended && !pipe_ended))
			r = drain(c, answer, &pipe_ended, err);
	}
	return r;
}

/* Ends what is left of it and says how it ended. */
static int reap(struct running *c)
{
	int status = 0;

	(void)kill(c->pid, SIGKILL);  /* without effect on one that has ended */
	(void)kill(-c->pid, SIGKILL); /* its process group: not reaped yet, so the number is still its own */
	while (waitpid(c->pid, &status, 0) < 0) {
		if (errno != EINTR)
			return 0; /* reaped by somebody else: how it ended is lost */
	}
	return status;
}

static const char *signal_name(int sig, char *buffer, size_t size)
{
	const char *name = sigabbrev_np(sig);

	if (name)
		(void)snprintf(buffer, size, "SIG%s", name);
	else
		(void)snprintf(buffer, size, "signal %d", sig);
	return buffer;
}

/* The sentence about a child that did not give its whole answer. */
static int tell_end(const struct driver_answer *answer, const struct running *c, int status,
	int64_t allowed_ms, struct fleet_error *err)
{
	const char *driver = answer->calls[0].driver, *stage = driver_function_to_string(answer->stage);
	char text[32];

	if (c->timed_out) {
		fleet_duration_format(allowed_ms, text, sizeof(text));
		return fleet_error_set(err, -ETIMEDOUT,
			"driver %s did not come to an end within %s in %s and was stopped", driver, text,
			stage);
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		return fleet_error_set(err, -EFAULT,
			"driver %s crashed (SIGSYS) in %s: it tried what a format driver may not do", driver,
			stage);
	if (WIFSIGNALED(status))
		return fleet_error_set(err, -EFAULT, "driver %s crashed (%s) in %s", driver,
			signal_name(WTERMSIG(status), text, sizeof(text)), stage);
	return fleet_error_set(err, -ENODATA, "driver %s exited with status %d in %s without an answer",
		driver, WEXITSTATUS(status), stage);
}

int driver_call_run(
	const struct driver_request *request, struct driver_answer *answer, struct fleet_error *err)
{
	int64_t now = fleet_clock_monotonic_ms();
	struct running child = {.pidfd = -1, .pipe = -1};
	struct fleet_error why = FLEET_ERROR_INIT;
	int r, status;

	answer->function = request->function;
	answer->stage = DRIVER_FN_LOAD;
	answer->calls = request->calls;
	answer->count = request->count;
	answer->lines_max = request->lines;
	for (size_t i = 0; i < request->count; i++) {
		if (request->calls[i].deadline_ms > child.deadline_ms)
			child.deadline_ms = request->calls[i].deadline_ms;
	}
	if (child.deadline_ms <= now)
		r = fleet_error_set(&why, -ETIMEDOUT, "no time left to call driver %s for %s",
			request->calls[0].driver, driver_function_to_string(request->function));
	else
		r = spawn(request, &child, &why);
	if (r == 0) {
		r = follow(&child, answer, &why);
		status = reap(&child);
		(void)close(child.pidfd);
		(void)close(child.pipe);
		if (r == 0 && (!driver_answer_is_complete(answer) || child.timed_out || status != 0))
			r = tell_end(answer, &child, status, child.deadline_ms - now, &why);
	}
	while (answer->done < answer->count)
		answer->result(answer, answer->done++, &why, answer->arg);
	driver_answer_done(answer);
	if (r < 0 && err)
		*err = why;
	return r;
}
