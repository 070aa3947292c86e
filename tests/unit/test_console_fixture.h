/* What the console's unit tests share: a directory of their own, an event loop, and waiting for a condition
 * with a deadline. */
#ifndef TEST_CONSOLE_FIXTURE_H
#define TEST_CONSOLE_FIXTURE_H
#include <dirent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "fleet/base.h"
#include "fleet/clock.h"
#include "fleet/error.h"
#include "unit.h"

#define WAIT_MS 10000

struct fixture {
	char dir[64];
	struct event_base *base;
};

static inline void fixture_remove_dir(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		_cleanup_free_ char *below = xasprintf("%s/%s", path, entry->d_name);

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (unlink(below) < 0)
			fixture_remove_dir(below);
	}
	if (dir)
		(void)closedir(dir);
	(void)rmdir(path);
}

static inline void fixture_init(struct fixture *f)
{
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/fleet-unit-console-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(f->dir));
	f->base = event_base_new();
	CU_ASSERT_PTR_NOT_NULL_FATAL(f->base);
}

static inline void fixture_done(struct fixture *f)
{
	event_base_free(f->base);
	fixture_remove_dir(f->dir);
}

static inline void fixture_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

/* Turns the loop until the condition holds; false when the deadline has passed. */
static inline bool fixture_wait(struct fixture *f, bool (*condition)(void *arg), void *arg)
{
	int64_t deadline = fleet_clock_monotonic_ms() + WAIT_MS;
	struct event *timer = event_new(f->base, -1, EV_PERSIST, fixture_wake, NULL);
	bool holds;

	(void)event_add(timer, &(struct timeval){0, 2000});
	while (!(holds = condition(arg)) && fleet_clock_monotonic_ms() < deadline)
		(void)event_base_loop(f->base, EVLOOP_ONCE);
	event_free(timer);
	return holds;
}

static inline bool fixture_is_set(void *arg)
{
	return *(bool *)arg;
}

static inline void fixture_write_file(const char *dir, const char *name, const char *text, mode_t mode)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	int fd;

	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	(void)fchmod(fd, mode);
	(void)close(fd);
}

#endif
