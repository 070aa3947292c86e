#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sys/stat.h>
#include "fleet/buffer.h"
#include "fleet/failpoint.h"
#include "fleet/ids.h"
#include "fleet/file.h"

int fleet_file_read_fd(
	int fd, const char *name, size_t max, char **ret_data, size_t *ret_len, struct fleet_error *err)
{
	_cleanup_free_ char *data = NULL;
	size_t len = 0, size;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fleet_error_errno(err, -errno, "cannot read %s", name);
	if (!S_ISREG(st.st_mode))
		return fleet_error_set(err, -EINVAL, "cannot read %s: it is not a regular file", name);
	if (st.st_size > 0 && (uintmax_t)st.st_size > max)
		return fleet_error_set(err, -EFBIG,
			"cannot read %s: it has %ju bytes, at most %zu are allowed", name,
			(uintmax_t)st.st_size, max);
	/* Files grow while they are read, and those of /proc say 0: the end is where read says so. */
	size = (size_t)st.st_size + 512;
	if (size > max + 1)
		size = max + 1;
	data = xmalloc(size + 1);
	for (;;) {
		ssize_t n;

		if (len == size) {
			if (len > max)
				return fleet_error_set(err, -EFBIG,
					"cannot read %s: it has more than the %zu bytes that are allowed",
					name, max);
			size = size > max / 2 ? max + 1 : size * 2;
			data = xrealloc(data, size + 1);
		}
		n = pread(fd, data + len, size - len, (off_t)len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fleet_error_errno(err, -errno, "cannot read %s", name);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	if (len > max)
		return fleet_error_set(err, -EFBIG,
			"cannot read %s: it has more than the %zu bytes that are allowed", name, max);
	data[len] = '\0';
	*ret_data = TAKE_PTR(data);
	if (ret_len)
		*ret_len = len;
	return 0;
}

int fleet_file_read(const char *path, size_t max, char **ret_data, size_t *ret_len, struct fleet_error *err)
{
	/* O_NONBLOCK: a FIFO in its place must not hold us */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return fleet_error_errno(err, -errno, "cannot open %s", path);
	return fleet_file_read_fd(fd, path, max, ret_data, ret_len, err);
}

#define PARTIAL ".partial-" /* in the names of files that are not whole yet */

int fleet_file_write_all(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static int fill(int fd, const void *data, size_t len, mode_t mode)
{
	int r = FLEET_FAILS("file.write") ? -errno : fleet_file_write_all(fd, data, len);

	if (r < 0)
		return r;
	if (fchmod(fd, mode) < 0 || FLEET_FAILS("file.sync") || fsync(fd) < 0)
		return -errno;
	return 0;
}

static int sync_directory_of(const char *path)
{
	_cleanup_free_ char *copy = xstrdup(path);
	_cleanup_close_ int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || FLEET_FAILS("file.directory") || fsync(fd) < 0)
		return -errno;
	return 0;
}

/* mkostemp, which not every system has. The descriptor, or negative; *ret_path owned. */
static int create_beside(const char *path, char **ret_path)
{
	for (int attempt = 0; attempt < 100; attempt++) {
		unsigned char random[3];
		_cleanup_free_ char *temp = NULL;
		int fd;

		fleet_random(random, sizeof(random));
		temp = xasprintf("%s" PARTIAL "%02x%02x%02x", path, random[0], random[1], random[2]);
		fd = open(temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd >= 0)
			*ret_path = TAKE_PTR(temp);
		if (fd >= 0 || errno != EEXIST)
			return fd >= 0 ? fd : -errno;
	}
	return -EEXIST;
}

int fleet_file_write_durable(
	const char *path, const void *data, size_t len, mode_t mode, struct fleet_error *err)
{
	_cleanup_free_ char *temp = NULL;
	_cleanup_close_ int fd = -1;
	int r = create_beside(path, &temp);

	if (r < 0 || !temp) /* there is no descriptor without a name */
		return fleet_error_errno(err, r, "cannot write %s: cannot create a file beside it", path);
	fd = r;
	r = fill(fd, data, len, mode);
	if (r >= 0 && close(TAKE_FD(fd)) < 0)
		r = -errno;
	if (r >= 0 && (FLEET_FAILS("file.rename") || rename(temp, path) < 0))
		r = -errno;
	if (r < 0) {
		(void)unlink(temp); /* the failure that counts is the first one */
		return fleet_error_errno(err, r, "cannot write %s", path);
	}
	r = sync_directory_of(path);
	if (r < 0)
		return fleet_error_errno(err, r, "wrote %s, but cannot make that last", path);
	return 0;
}

void fleet_file_clean_partial(const char *dir_path, const char *name)
{
	_cleanup_closedir_ DIR *dir = opendir(dir_path);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		const char *at = strstr(entry->d_name, PARTIAL);

		if (at && (!name || (size_t)(at - entry->d_name) == strlen(name)) &&
			(!name || str_starts(entry->d_name, name)))
			(void)unlinkat(dirfd(dir), entry->d_name, 0); /* at worst it stays */
	}
}

static int make_one(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int fleet_mkdir_parents(const char *path, mode_t mode, struct fleet_error *err)
{
	_cleanup_free_ char *part = xstrdup(path);
	size_t len = strlen(part);

	for (size_t i = 1; i <= len; i++) {
		int r;

		if (i < len && part[i] != '/')
			continue;
		part[i] = '\0';
		r = make_one(part, mode);
		/* A parent that we may not look into can still be passed through: what counts is the last
		 * one. */
		if (r < 0 && (i == len || (r != -EACCES && r != -EROFS)))
			return fleet_error_errno(err, r, "cannot create the directory %s", part);
		if (i < len)
			part[i] = '/';
	}
	return 0;
}

int fleet_program_dir(char **ret_dir, struct fleet_error *err)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n < 0)
		return fleet_error_errno(
			err, -errno, "cannot find out where this program lies (/proc/self/exe)");
	path[n] = '\0';
	*ret_dir = xstrdup(dirname(path));
	return 0;
}
