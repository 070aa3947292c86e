#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "simulated_state.h"

#define PATH_LEN_MAX  4096
#define LOG_BYTES_MAX 65536

int64_t sim_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int path_of(const struct fleet_host *host, const char *name, char *out)
{
	int n = host->state_dir ? snprintf(out, PATH_LEN_MAX, "%s/%s", host->state_dir, name) : -1;

	return n > 0 && n < PATH_LEN_MAX ? 0 : -ENAMETOOLONG;
}

static int fail(const struct fleet_host *host, struct fleet_driver_error *err, int error, const char *what)
{
	return fleet_driver_fail(err, error, 0, 0, "cannot %s the simulated state in %.120s: %s", what,
		host->state_dir ? host->state_dir : "(no state directory)", strerror(-error));
}

int sim_lock(const struct fleet_host *host, struct fleet_driver_error *err)
{
	char path[PATH_LEN_MAX];
	int fd, r = path_of(host, "lock", path);

	if (r < 0)
		return fail(host, err, r, "lock");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail(host, err, -errno, "lock");
	while (flock(fd, LOCK_EX) < 0) {
		if (errno != EINTR) {
			r = -errno;
			(void)close(fd);
			return fail(host, err, r, "lock");
		}
	}
	return fd;
}

/* The whole of a small file; -ENOENT where there is none. The caller frees. */
static int slurp(const char *path, size_t max, char **ret, size_t *ret_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), r = 0;
	size_t len = 0;
	char *data;

	if (fd < 0)
		return -errno;
	data = malloc(max + 1);
	while (data && len < max) {
		ssize_t n = read(fd, data + len, max - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			r = -errno;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	(void)close(fd);
	if (!data)
		return -ENOMEM;
	if (r < 0) {
		free(data);
		return r;
	}
	data[len] = '\0';
	*ret = data;
	*ret_len = len;
	return 0;
}

/* Replaces the file whole or not at all. */
static int replace(const struct fleet_host *host, const char *name, const char *data, size_t len)
{
	char path[PATH_LEN_MAX], temp[PATH_LEN_MAX];
	int r = path_of(host, name, path), fd;

	if (r == 0)
		r = path_of(host, "new", temp); /* the lock is held: nobody else writes it */
	if (r < 0)
		return r;
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	while (len > 0 && r == 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			r = -errno;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	(void)close(fd);
	if (r == 0 && rename(temp, path) < 0)
		r = -errno;
	return r;
}

/* The next number of a line; false where there is none. */
static bool take_number(const char **at, int64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoll(*at, &end, 10);
	if (end == *at || errno != 0)
		return false;
	*at = end;
	return true;
}

int sim_state_save(const struct fleet_host *host, const struct sim_state *s, struct fleet_driver_error *err)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "1 %d %d %" PRId64 " %" PRId64 " %" PRIu32 "\n", s->wanted,
		s->failed_start, s->at_ms, s->delay_ms, s->starts);
	int r = replace(host, "state", text, (size_t)n);

	return r < 0 ? fail(host, err, r, "write") : 0;
}

int sim_state_load(const struct fleet_host *host, struct sim_state *ret, struct fleet_driver_error *err)
{
	char path[PATH_LEN_MAX], *text = NULL;
	int r = path_of(host, "state", path);
	int64_t version, wanted, failed, starts;
	const char *at;
	struct sim_state s = {0};
	size_t len;

	if (r == 0)
		r = slurp(path, 255, &text, &len);
	if (r == -ENOENT) {
		s = (struct sim_state){.wanted = true, .at_ms = sim_now_ms(), .starts = 1};
		*ret = s;
		return sim_state_save(host, &s, err);
	}
	if (r < 0)
		return fail(host, err, r, "read");
	at = text;
	r = take_number(&at, &version) && take_number(&at, &wanted) && take_number(&at, &failed) &&
	    take_number(&at, &s.at_ms) && take_number(&at, &s.delay_ms) && take_number(&at, &starts);
	free(text);
	if (!r || version != 1)
		return fail(host, err, -EINVAL, "understand");
	s.wanted = wanted != 0;
	s.failed_start = failed != 0;
	s.starts = (uint32_t)starts;
	*ret = s;
	return 0;
}

void sim_log_add(const struct fleet_host *host, int32_t priority, const char *text)
{
	char path[PATH_LEN_MAX], *log = NULL, *grown;
	const char *keep;
	size_t len = 0, line_max = strlen(text) + 64;

	if (path_of(host, "log", path) < 0 || slurp(path, LOG_BYTES_MAX, &log, &len) < 0)
		len = 0; /* a new log */
	keep = log ? log : "";
	if (len + line_max > LOG_BYTES_MAX) {
		keep += len / 2;
		keep = strchr(keep, '\n') ? strchr(keep, '\n') + 1 : keep + strlen(keep);
		len = strlen(keep);
	}
	grown = malloc(len + line_max);
	if (grown) {
		memcpy(grown, keep, len);
		len += (size_t)snprintf(
			grown + len, line_max, "%" PRId64 " %d %s\n", sim_now_ms(), priority, text);
		(void)replace(host, "log", grown, len); /* as said: best effort */
	}
	free(grown);
	free(log);
}

int sim_log_each(const struct fleet_host *host,
	int (*tell)(int64_t unix_ms, int32_t priority, const char *text, void *arg), void *arg)
{
	char path[PATH_LEN_MAX], *log = NULL, *save = NULL;
	size_t len;
	int r = 0;

	if (path_of(host, "log", path) < 0 || slurp(path, LOG_BYTES_MAX, &log, &len) < 0)
		return 0; /* nothing logged yet */
	for (char *line = strtok_r(log, "\n", &save); line && r == 0; line = strtok_r(NULL, "\n", &save)) {
		int64_t unix_ms, priority;
		const char *at = line;

		if (take_number(&at, &unix_ms) && take_number(&at, &priority))
			r = tell(unix_ms, (int32_t)priority, *at == ' ' ? at + 1 : at, arg);
	}
	free(log);
	return r;
}
