#include "agent/host/extract_reader.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include "agent/unpack/wire.h"

#define OUT_OF_THE_WAY 16

static void FLEET_NORETURN become_reader(const char *program, int artifact_fd, int pipe_fd)
{
	char name[] = "fleet-unpack", *const argv[] = {name, NULL}, *const no_environment[] = {NULL};
	int artifact = fcntl(artifact_fd, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY),
	    out = fcntl(pipe_fd, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
	sigset_t none;

	/* Of descriptors it has those two, and 0 to 2. */
	if (artifact >= 0 && out >= 0 && dup2(artifact, UNPACK_ARTIFACT_FD) >= 0 &&
		dup2(out, UNPACK_PIPE_FD) >= 0 && syscall(SYS_close_range, UNPACK_PIPE_FD + 1, ~0U, 0) == 0 &&
		sigemptyset(&none) == 0 && sigprocmask(SIG_SETMASK, &none, NULL) == 0)
		(void)execve(program, argv, no_environment);
	_exit(127); /* told as an archive that could not be read to its end */
}

int extract_reader_start(
	const char *program, int artifact_fd, pid_t *ret_pid, int *ret_pipe, struct fleet_error *err)
{
	int ends[2];
	pid_t pid;

	if (access(program, X_OK) < 0)
		return fleet_error_errno(err, -errno,
			"cannot start %s, which reads archives (reinstall the package of the agent)",
			program);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return fleet_error_errno(err, -errno, "cannot make a pipe");
	(void)fcntl(ends[1], F_SETPIPE_SZ, 1 << 20); /* smaller is slower, no more */
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		int r = -errno;

		(void)close(ends[0]);
		(void)close(ends[1]);
		return fleet_error_errno(err, r, "cannot fork");
	}
	if (pid == 0)
		become_reader(program, artifact_fd, ends[1]);
	(void)close(ends[1]);
	*ret_pid = pid;
	*ret_pipe = ends[0];
	return 0;
}
