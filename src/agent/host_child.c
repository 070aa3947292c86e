#include "agent/host_child.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define STOP_SECONDS 5

struct host_child {
	pid_t pid; /* 0: ended and reaped */
	int pidfd;
	struct event *ended, *too_long;
	host_child_exited_fn *exited;
	void *arg;
};

static int open_pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec by itself */
}

/* After fork: async-signal-safe calls only. */
static void FLEET_NORETURN run_child(const char *const *argv, int fd, pid_t parent)
{
	static const char failed[] = "fleet-agent: cannot execute its helper\n";
	struct sigaction default_action = {.sa_handler = SIG_DFL};
	sigset_t none;

	sigemptyset(&none);
	sigaction(SIGPIPE, &default_action, NULL);
	sigaction(SIGHUP, &default_action, NULL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0); /* a terminal's Ctrl-C is for the agent, which then ends its host in good order */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	if (fd == HOST_CHILD_SOCKET_FD) {
		if (fcntl(fd, F_SETFD, 0) < 0)
			_exit(126);
	} else if (dup2(fd, HOST_CHILD_SOCKET_FD) < 0) {
		_exit(126);
	}
	execv(argv[0], (char *const *)(uintptr_t)argv);
	if (write(STDERR_FILENO, failed, sizeof(failed) - 1) < 0)
		_exit(126);
	_exit(127);
}

static bool reap(struct host_child *child, bool wait, char *how, size_t len)
{
	siginfo_t info = {.si_pid = 0};

	if (child->pid == 0)
		return true;
	if (waitid(P_PID, (id_t)child->pid, &info, WEXITED | (wait ? 0 : WNOHANG)) < 0)
		(void)snprintf(how, len, "it was reaped by somebody else");
	else if (info.si_pid == 0)
		return false;
	else if (info.si_code == CLD_EXITED)
		(void)snprintf(how, len, "it exited with status %d", info.si_status);
	else
		(void)snprintf(how, len, "it was killed by signal %d (%s)", info.si_status,
			strsignal(info.si_status));
	child->pid = 0;
	return true;
}

static void on_ended(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct host_child *child = arg;
	char how[128] = "";

	if (!reap(child, false, how, sizeof(how)))
		return;
	(void)event_del(child->ended); /* cannot fail for an event that was added */
	(void)event_del(child->too_long);
	child->exited(how, child->arg);
}

static void on_too_long(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	host_child_signal(arg, SIGKILL);
}

int host_child_start(struct event_base *base, const char *const *argv, host_child_exited_fn *exited,
	void *arg, struct host_child **ret, int *ret_fd, struct fleet_error *err)
{
	_cleanup_close_ int ours = -1, theirs = -1;
	struct host_child *child;
	pid_t parent = getpid(), pid;
	int pair[2], pidfd;

	if (access(argv[0], X_OK) < 0)
		return fleet_error_errno(err, -errno, "cannot start %s", argv[0]);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return fleet_error_errno(err, -errno, "cannot make a socket for %s", argv[0]);
	ours = pair[0];
	theirs = pair[1];
	pid = fork();
	if (pid < 0)
		return fleet_error_errno(err, -errno, "cannot start %s", argv[0]);
	if (pid == 0)
		run_child(argv, theirs, parent);
	pidfd = open_pidfd(pid);
	if (pidfd < 0) {
		int code = -errno;

		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return fleet_error_errno(err, code, "cannot watch %s", argv[0]);
	}
	child = xcalloc(1, sizeof(*child));
	*child = (struct host_child){.pid = pid, .pidfd = pidfd, .exited = exited, .arg = arg};
	child->ended = event_new(base, pidfd, EV_READ | EV_PERSIST, on_ended, child);
	child->too_long = evtimer_new(base, on_too_long, child);
	if (!child->ended || !child->too_long || event_add(child->ended, NULL) < 0) {
		host_child_free(child);
		return fleet_error_set(err, -ENOMEM, "cannot watch %s", argv[0]);
	}
	*ret_fd = TAKE_FD(ours);
	*ret = child;
	return 0;
}

void host_child_signal(struct host_child *child, int signal_number)
{
	if (child && child->pid > 0)
		(void)kill(child->pid, signal_number); /* not reaped yet, so the pid is still its own */
}

void host_child_stop(struct host_child *child)
{
	const struct timeval limit = {.tv_sec = STOP_SECONDS};

	host_child_signal(child, SIGTERM);
	if (event_add(child->too_long, &limit) < 0)
		host_child_signal(child, SIGKILL);
}

void host_child_free(struct host_child *child)
{
	struct pollfd wait;
	char how[128];

	if (!child)
		return;
	wait = (struct pollfd){.fd = child->pidfd, .events = POLLIN};
	host_child_signal(child, SIGTERM);
	if (child->pid > 0 && poll(&wait, 1, STOP_SECONDS * 1000) <= 0)
		host_child_signal(child, SIGKILL);
	(void)reap(child, true, how, sizeof(how)); /* how it ended interests nobody any more */
	if (child->ended)
		event_free(child->ended);
	if (child->too_long)
		event_free(child->too_long);
	(void)close(child->pidfd);
	free(child);
}
