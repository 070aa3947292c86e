#include "agent/admin/systemctl.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include "fleet/buffer.h"
#include "fleet/clock.h"

#define OUTPUT_MAX (256u * 1024u)
#define ANSWER_MS  5000

static const char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", NULL};

static int start(const char *unit, const char *properties, int out, pid_t *ret_pid, struct fleet_error *err)
{
	_cleanup_free_ char *property = xasprintf("--property=%s", properties);
	const char *argv[] = {"systemctl", "show", "--no-pager", property, "--", unit, NULL};
	posix_spawn_file_actions_t actions;
	int r;

	if (posix_spawn_file_actions_init(&actions) != 0)
		abort(); /* out of memory */
	r = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&actions, out, 1);
	if (r == 0)
		r = posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	if (r == 0)
		r = posix_spawn(ret_pid, "/bin/systemctl", &actions, NULL, (char *const *)(uintptr_t)argv,
			(char *const *)(uintptr_t)environment);
	(void)posix_spawn_file_actions_destroy(&actions);
	return r ? fleet_error_errno(err, -r, "cannot run systemctl") : 0;
}

static int read_to_end(int fd, struct fleet_buffer *out, struct fleet_error *err)
{
	int64_t until = fleet_clock_monotonic_ms() + ANSWER_MS;
	char chunk[4096];

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left = until - fleet_clock_monotonic_ms();
		ssize_t n;

		if (left <= 0)
			return fleet_error_set(err, -ETIMEDOUT, "systemctl does not answer");
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fleet_error_errno(err, -errno, "cannot read what systemctl says");
		if (n == 0)
			return 0;
		if (out->len + (size_t)n > OUTPUT_MAX)
			return fleet_error_set(err, -EFBIG, "systemctl says more than %u bytes", OUTPUT_MAX);
		fleet_buffer_add(out, chunk, (size_t)n);
	}
}

int systemctl_show(const char *unit, const char *properties, char **ret, struct fleet_error *err)
{
	_cleanup_buffer_ struct fleet_buffer out = FLEET_BUFFER_INIT;
	_cleanup_close_ int ours = -1, theirs = -1;
	int ends[2], status = 0, r;
	pid_t pid = 0;

	if (access("/run/systemd/system", F_OK) < 0)
		return fleet_error_set(err, -ENOENT, "no systemd runs here");
	if (pipe2(ends, O_CLOEXEC) < 0)
		return fleet_error_errno(err, -errno, "cannot make a pipe");
	ours = ends[0];
	theirs = ends[1];
	r = start(unit, properties, theirs, &pid, err);
	if (r < 0)
		return r;
	(void)close(TAKE_FD(theirs));
	r = read_to_end(ours, &out, err);
	if (r < 0)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return r;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return fleet_error_set(err, -EIO, "systemctl show %s failed: is that a unit's name?", unit);
	*ret = fleet_buffer_take(&out, NULL);
	return 0;
}

char *systemctl_value(const char *shown, const char *name, size_t index)
{
	size_t len = strlen(name);

	for (const char *line = shown; *line;) {
		size_t n = strcspn(line, "\n");

		if (n > len + 1 && strncmp(line, name, len) == 0 && line[len] == '=' && index-- == 0)
			return xstrndup(line + len + 1, n - len - 1);
		line += n;
		line += *line == '\n';
	}
	return NULL;
}
