#include "fleet/failpoint.h"

#ifdef FLEET_FAILPOINTS
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ACTION_MAX 64
#define POINTS_MAX 512

extern const struct fleet_failpoint __start_fleet_failpoints[], __stop_fleet_failpoints[];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned reached[POINTS_MAX]; /* by place in the section; how often this process was there */

static void __attribute__((constructor)) list_if_asked(void)
{
	const char *armed = getenv("FLEET_FAILPOINTS");

	if (!armed || strcmp(armed, "list") != 0)
		return;
	for (const struct fleet_failpoint *p = __start_fleet_failpoints; p < __stop_fleet_failpoints; p++)
		printf("%s %s\n", p->name, p->can_fail ? "fails" : "point");
	fflush(stdout);
	_exit(0);
}

/* How often this process was there. */
static unsigned count_own(const struct fleet_failpoint *point)
{
	size_t index = (size_t)(point - __start_fleet_failpoints);
	unsigned n = 0;

	if (index >= POINTS_MAX)
		abort(); /* POINTS_MAX is too small */
	pthread_mutex_lock(&lock);
	n = ++reached[index];
	pthread_mutex_unlock(&lock);
	return n;
}

/* How often all processes together were there since it is armed: a byte each, appended. */
static unsigned count_all(const char *armed_path)
{
	char path[4096];
	int fd = snprintf(path, sizeof(path), "%s.count", armed_path) < (int)sizeof(path)
			 ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)
			 : -1;
	off_t at = fd >= 0 && write(fd, ".", 1) == 1 ? lseek(fd, 0, SEEK_CUR) : 0;

	if (fd >= 0)
		(void)close(fd); /* a test's count */
	return (unsigned)at;
}

static bool from_environment(const char *name, char *ret)
{
	const char *at = getenv("FLEET_FAILPOINTS");
	size_t len = strlen(name);

	while (at && *at) {
		size_t n = strcspn(at, ";");

		if (n > len + 1 && n - len - 1 < ACTION_MAX && strncmp(at, name, len) == 0 &&
			at[len] == '=') {
			memcpy(ret, at + len + 1, n - len - 1);
			ret[n - len - 1] = '\0';
			return true;
		}
		at += n + (at[n] == ';');
	}
	return false;
}

static bool from_directory(const char *path, char *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, ACTION_MAX - 1);

	if (fd >= 0)
		(void)close(fd); /* read only */
	if (n <= 0)
		return false;
	ret[n] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return true;
}

/* Is it this time? Cuts the count off. */
static bool is_due(char *action, unsigned n)
{
	char *at = strchr(action, '@');

	if (!at)
		return n == 1;
	*at++ = '\0';
	return strcmp(at, "*") == 0 || strtoul(at, NULL, 10) == n;
}

static bool do_error(const char *what)
{
	for (int e = 1; e < 256; e++) {
		const char *name = strerrorname_np(e);

		if (name && strcmp(name, what) == 0) {
			errno = e;
			return true;
		}
	}
	fprintf(stderr, "failpoint: there is no errno %s\n", what);
	abort();
}

/* Only a process of the same program: a place that is reached in the host itself has whoever started it for
 * its parent. */
static void kill_parent(void)
{
	char own[PATH_MAX], its[PATH_MAX], path[32];
	pid_t parent = getppid();
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own)), m;

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)parent);
	m = readlink(path, its, sizeof(its));
	if (n > 0 && n == m && memcmp(own, its, (size_t)n) == 0)
		(void)kill(parent, SIGKILL);
}

static bool act(const struct fleet_failpoint *point, const char *action)
{
	fprintf(stderr, "failpoint: %s: %s\n", point->name, action);
	if (strcmp(action, "crash-with-parent") == 0)
		kill_parent();
	if (strncmp(action, "crash", 5) == 0) {
		(void)kill(getpid(), SIGKILL);
	} else if (strcmp(action, "stop") == 0) {
		(void)kill(getpid(), SIGSTOP);
	} else if (strncmp(action, "delay:", 6) == 0) {
		long ms = strtol(action + 6, NULL, 10);
		struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

		(void)nanosleep(&span, NULL);
	} else if (strncmp(action, "error:", 6) == 0 && point->can_fail) {
		return do_error(action + 6);
	} else {
		fprintf(stderr, "failpoint: %s cannot '%s'\n", point->name, action);
		abort();
	}
	return false;
}

bool fleet_failpoint_reach(const struct fleet_failpoint *point)
{
	const char *dir = getenv("FLEET_FAILPOINTS_DIR");
	char action[ACTION_MAX] = "", path[4096], hit[4096];
	int before = errno;
	bool fails = false;

	if (from_environment(point->name, action)) {
		if (is_due(action, count_own(point)))
			fails = act(point, action);
	} else if (dir && (size_t)snprintf(path, sizeof(path), "%s/%s", dir, point->name) < sizeof(path) &&
		   (size_t)snprintf(hit, sizeof(hit), "%s.hit", path) < sizeof(hit) &&
		   from_directory(path, action)) {
		bool always = strchr(action, '@') && strchr(action, '*');

		/* whoever renames it is the one */
		if (is_due(action, count_all(path)) && (always || rename(path, hit) == 0))
			fails = act(point, action);
	}
	if (!fails)
		errno = before;
	return fails;
}
#endif
