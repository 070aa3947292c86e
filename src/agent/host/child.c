#include "agent/host/child.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "fleet/frame.h"
#include "fleet/limits.h"
#include "fleet/log.h"

#define CHILD_FD 3
#define KEEP_FD  4
#define LAST_WORDS_MS                                                                                        \
	1000 /* after its end: for what is still on its way, should a descriptor have leaked                 \
	      */

struct child {
	pid_t pid;
	int pidfd;
	struct fleet_frame_link *link; /* NULL once closed */
	struct event *exited, *last_words;
	const struct child_events *events;
	void *arg;
	bool gone, heard;
	char how[64];
};

/* ---- in the child ---- */

static void reset_signals(void)
{
	static const int handled[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGUSR1, SIGUSR2};
	sigset_t none;

	for (size_t i = 0; i < FLEET_ARRAY_LEN(handled); i++)
		(void)signal(handled[i], SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* cannot fail with a valid set */
}

static int keep_only(int fd, int keep_fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, KEEP_FD + 1);
	int high_keep = keep_fd >= 0 ? fcntl(keep_fd, F_DUPFD_CLOEXEC, KEEP_FD + 1) : -1;

	if (high < 0 || (keep_fd >= 0 && high_keep < 0) || dup3(high, CHILD_FD, O_CLOEXEC) < 0)
		return -errno;
	if (high_keep >= 0 ? dup3(high_keep, KEEP_FD, O_CLOEXEC) < 0 : (close(KEEP_FD) < 0 && errno != EBADF))
		return -errno;
	return syscall(SYS_close_range, KEEP_FD + 1, ~0U, 0) < 0 ? -errno : 0;
}

static void FLEET_NORETURN run(
	pid_t parent, const char *name, int fd, int keep_fd, int (*main)(int fd, void *arg), void *arg)
{
	/* The host's end is this child's: what it was about is taken up from the ledger by the next host. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	(void)prctl(PR_SET_NAME, name);
	(void)setpgid(0, 0); /* a terminal's Ctrl-C is for the host, which lets operations finish */
	reset_signals();
	if (keep_only(fd, keep_fd) < 0)
		_exit(1);
	_exit(main(CHILD_FD, arg) == 0 ? 0 : 1);
}

/* ---- in the host ---- */

static void finish_if_done(struct child *c)
{
	if (!c->gone || !c->heard)
		return;
	if (c->link) {
		fleet_frame_link_free(c->link);
		c->link = NULL;
	}
	event_del(c->last_words);
	c->events->ended(c, c->how, c->arg);
}

static void on_frame(
	struct fleet_frame_link *link FLEET_UNUSED, const char *data, size_t len, int fd, void *arg)
{
	_cleanup_close_ int unwanted = fd;
	_cleanup_json_ struct json_object *message = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct child *c = arg;

	if (fleet_json_parse(data, len, FLEET_MESSAGE_MAX, &message, &err) < 0)
		log_error("a child said what is no message: %s", err.message);
	else
		c->events->message(c, message, c->arg);
}

static void on_closed(struct fleet_frame_link *link, const char *why FLEET_UNUSED, void *arg)
{
	struct child *c = arg;

	fleet_frame_link_free(link);
	c->link = NULL;
	c->heard = true;
	finish_if_done(c);
}

static void on_last_words(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct child *c = arg;

	c->heard = true;
	finish_if_done(c);
}

static void take_exit(struct child *c)
{
	int status = 0;

	if (waitpid(c->pid, &status, 0) < 0)
		snprintf(c->how, sizeof(c->how), "ended");
	else if (WIFSIGNALED(status))
		snprintf(c->how, sizeof(c->how), "was killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
	else
		snprintf(c->how, sizeof(c->how), "exited with status %d", WEXITSTATUS(status));
	c->gone = true;
}

static void on_exited(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct child *c = arg;
	struct timeval wait = {.tv_sec = LAST_WORDS_MS / 1000, .tv_usec = (LAST_WORDS_MS % 1000) * 1000};

	event_del(c->exited);
	take_exit(c);
	event_add(c->last_words, &wait);
	finish_if_done(c);
}

static const struct fleet_frame_events link_events = {.frame = on_frame, .closed = on_closed};

int child_start(struct event_base *base, const char *name, int keep_fd, int (*main)(int fd, void *arg),
	void *main_arg, const struct child_events *events, void *arg, struct child **ret,
	struct fleet_error *err)
{
	pid_t parent = getpid();
	struct child *c;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return fleet_error_errno(err, -errno, "cannot make a socket for a child");
	c = xcalloc(1, sizeof(*c));
	fflush(NULL); /* nothing buffered is written twice */
	c->pid = fork();
	if (c->pid < 0) {
		int r = -errno;

		(void)close(ends[0]);
		(void)close(ends[1]);
		free(c);
		return fleet_error_errno(err, r, "cannot fork");
	}
	if (c->pid == 0) {
		free(c); /* the host's */
		run(parent, name, ends[1], keep_fd, main, main_arg);
	}
	(void)close(ends[1]);
	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	if (c->pidfd < 0) {
		int r = -errno;

		(void)kill(c->pid, SIGKILL);
		(void)waitpid(c->pid, NULL, 0);
		(void)close(ends[0]);
		free(c);
		return fleet_error_errno(err, r, "cannot watch a child");
	}
	c->events = events;
	c->arg = arg;
	c->link = fleet_frame_link_new(base, ends[0], &link_events, c);
	c->exited = event_new(base, c->pidfd, EV_READ, on_exited, c);
	c->last_words = evtimer_new(base, on_last_words, c);
	if (!c->link || !c->exited || !c->last_words)
		abort(); /* out of memory */
	event_add(c->exited, NULL);
	*ret = c;
	return 0;
}

int child_send(struct child *c, struct json_object *message)
{
	return child_send_fd(c, message, -1);
}

int child_send_fd(struct child *c, struct json_object *message, int fd)
{
	size_t len;
	const char *text = fleet_json_text(message, &len);

	return c->link ? fleet_frame_send(c->link, text, len, fd) : -EPIPE;
}

void child_kill(struct child *c)
{
	if (!c->gone)
		(void)kill(c->pid, SIGKILL); /* our own child, not yet waited for */
}

void child_free(struct child *c)
{
	if (!c)
		return;
	if (!c->gone) {
		child_kill(c);
		take_exit(c);
	}
	fleet_frame_link_free(c->link);
	event_free(c->exited);
	event_free(c->last_words);
	(void)close(c->pidfd);
	free(c);
}
