#include "agent/host/run_program.h"
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "fleet/clock.h"

#define NOBODY    65534
#define FILES_MAX 1024

static void FLEET_NORETURN execute(pid_t parent, char *const *argv, bool as_nobody, int out, int err)
{
	static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		    lang[] = "LANG=C";
	char *environment[] = {path, lang, NULL};
	struct rlimit files = {.rlim_cur = FILES_MAX, .rlim_max = FILES_MAX};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)setpgid(0, 0);
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(127);
	if (syscall(SYS_close_range, 3, ~0U, 0) < 0 || chdir("/") < 0)
		_exit(127);
	if (as_nobody) {
		if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
					      setresuid(NOBODY, NOBODY, NOBODY) < 0))
			_exit(127);
		(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* forgotten at a change of user, so not before it */
	if (getppid() != parent)
		_exit(127);
	(void)setrlimit(RLIMIT_NOFILE, &files);
	execve(argv[0], argv, environment);
	_exit(127);
}

/* What is past the bound is read and forgotten, so that the program can go on; of errors what came first is.
 * False: it will say no more. */
static bool take(int fd, bool keep_last, struct program_output *output)
{
	char rest[1024];
	size_t room = RUN_OUTPUT_MAX - output->len;
	ssize_t n;

	if (room == 0 && keep_last) {
		room = RUN_OUTPUT_MAX / 2;
		output->len -= room;
		memmove(output->text, output->text + room, output->len);
	}
	n = read(fd, room > 0 ? output->text + output->len : rest, room > 0 ? room : sizeof(rest));
	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (room > 0)
		output->len += (size_t)n;
	output->text[output->len] = '\0';
	return n > 0;
}

/* Until it ended, or the time is over: its end is seen by pidfd, since what it leaves behind may hold the
 * pipes. */
static bool listen_until_its_end(int pidfd, int out, int err, int64_t timeout_ms, struct program_end *end)
{
	int64_t until = fleet_clock_monotonic_ms() + timeout_ms;
	struct pollfd fds[] = {{.fd = out, .events = POLLIN}, {.fd = err, .events = POLLIN},
		{.fd = pidfd, .events = POLLIN}};
	struct program_output *outputs[] = {&end->out, &end->err};
	bool ended = false;

	for (;;) {
		int64_t left = ended ? 0 : until - fleet_clock_monotonic_ms();
		bool heard = false;
		int n = left < 0 ? 0 : poll(fds, FLEET_ARRAY_LEN(fds), (int)(left < 60000 ? left : 60000));

		if (n < 0 && errno != EINTR)
			return false;
		for (size_t i = 0; n > 0 && i < FLEET_ARRAY_LEN(outputs); i++) {
			if (fds[i].fd < 0 || !fds[i].revents)
				continue;
			heard = true;
			if (!take(fds[i].fd, i == 1, outputs[i]))
				fds[i].fd = -1;
		}
		if (ended && (!heard || left < 0))
			return true;
		if (n > 0 && fds[2].fd >= 0 && fds[2].revents) {
			ended = true; /* and what it said last is still taken */
			fds[2].fd = -1;
			until = fleet_clock_monotonic_ms() + 1000;
		}
		if (fleet_clock_monotonic_ms() >= until)
			return ended;
	}
}

int program_run(char *const *argv, bool as_nobody, int64_t timeout_ms, struct program_end *ret,
	struct fleet_error *err)
{
	_cleanup_close_ int out = -1, errors = -1, out_end = -1, err_end = -1, pidfd = -1;
	struct program_end end = {.status = -1};
	int ends[2], status = 0;
	pid_t parent = getpid(), pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return fleet_error_errno(err, -errno, "cannot make a pipe");
	out = ends[0];
	out_end = ends[1];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return fleet_error_errno(err, -errno, "cannot make a pipe");
	errors = ends[0];
	err_end = ends[1];
	if (access(argv[0], X_OK) < 0 && errno == ENOENT)
		return fleet_error_set(err, -ENOENT, "there is no program %s", argv[0]);
	pid = fork();
	if (pid == 0)
		execute(parent, argv, as_nobody, out_end, err_end);
	if (pid < 0)
		return fleet_error_errno(err, -errno, "cannot fork");
	(void)close(TAKE_FD(out_end));
	(void)close(TAKE_FD(err_end));
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	end.timed_out = pidfd >= 0 && !listen_until_its_end(pidfd, out, errors, timeout_ms, &end);
	(void)kill(-pid, SIGKILL); /* its group, should it have left something running; mostly it is gone */
	(void)kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) < 0 || pidfd < 0)
		return fleet_error_set(err, -ECHILD, "cannot watch %s", argv[0]);
	if (!end.timed_out && WIFEXITED(status))
		end.status = WEXITSTATUS(status);
	else if (!end.timed_out && WIFSIGNALED(status))
		end.signal = WTERMSIG(status);
	*ret = end;
	return 0;
}
