#include "agent/host/beneath.h"
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include "fleet/limits.h"

#define REMOVE_DEPTH_MAX 512  /* a descriptor each */
#define STEPS_MAX        4096 /* parts of a path, those of links with them */

int beneath_open(int dir_fd, const char *path, int flags)
{
	struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	long fd = syscall(SYS_openat2, dir_fd, *path ? path : ".", &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

int beneath_open_absolute(const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	long fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/* A link on the way: what is to be gone on with; owned. NULL: it is not to be followed. */
static char *follow(int link_fd, const struct stat *st, const char *rest)
{
	char target[FLEET_PATH_LEN_MAX + 1];
	ssize_t n;

	if (st->st_uid != 0 && st->st_uid != geteuid())
		return NULL;
	n = readlinkat(link_fd, "", target, sizeof(target));
	if (n <= 0 || (size_t)n >= sizeof(target) || strlen(rest) > FLEET_PATH_LEN_MAX)
		return NULL;
	return xasprintf("%.*s/%s", (int)n, target, rest);
}

int beneath_open_trusted(const char *path)
{
	_cleanup_close_ int dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *rest = xstrdup(path);

	for (int steps = 0; dir >= 0 && steps < STEPS_MAX; steps++) {
		char *part = rest + strspn(rest, "/"), *after = part + strcspn(part, "/");
		_cleanup_close_ int fd = -1;
		struct stat st;

		if (!after[strspn(after, "/")]) {
			*after = '\0';
			fd = openat(dir, part, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
			return fd < 0 ? -errno : TAKE_FD(fd);
		}
		*after++ = '\0';
		fd = openat(dir, part, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) < 0)
			return -errno;
		if (S_ISLNK(st.st_mode)) {
			char *further = follow(fd, &st, after);

			if (!further)
				return -ELOOP;
			free(rest);
			rest = further;
			if (*rest != '/')
				continue;
			(void)close(TAKE_FD(dir)); /* a directory: nothing is lost */
			dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
			continue;
		}
		(void)close(TAKE_FD(dir)); /* likewise */
		dir = TAKE_FD(fd);
		memmove(rest, after, strlen(after) + 1);
	}
	return dir < 0 ? -errno : -ELOOP;
}

int beneath_open_parent(int dir_fd, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
	int fd = beneath_open(dir_fd, dir, O_RDONLY | O_DIRECTORY);

	if (fd >= 0)
		*ret_name = slash ? slash + 1 : path;
	return fd;
}

int beneath_stat(int dir_fd, const char *path, struct stat *ret)
{
	const char *name = NULL;
	_cleanup_close_ int parent = beneath_open_parent(dir_fd, path, &name);

	if (parent < 0)
		return parent;
	return fstatat(parent, name, ret, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int beneath_sync(int dir_fd)
{
	return fsync(dir_fd) < 0 ? -errno : 0;
}

/* Takes fd. */
static int empty_directory(int fd, dev_t device, unsigned depth)
{
	_cleanup_closedir_ DIR *dir = fdopendir(fd);
	int r = 0;

	if (!dir) {
		r = -errno;
		(void)close(fd); /* nothing was done with it */
		return r;
	}
	for (;;) {
		const struct dirent *entry;
		struct stat st;
		int child;

		errno = 0;
		entry = readdir(dir);
		if (!entry)
			return errno ? -errno : r;
		if (str_equal(entry->d_name, ".") || str_equal(entry->d_name, ".."))
			continue;
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno == ENOENT)
				continue; /* somebody else was quicker */
			return -errno;
		}
		if (!S_ISDIR(st.st_mode)) {
			if (unlinkat(dirfd(dir), entry->d_name, 0) < 0 && errno != ENOENT)
				r = -errno;
			continue;
		}
		if (st.st_dev != device)
			return -EXDEV;
		if (depth >= REMOVE_DEPTH_MAX)
			return -ELOOP;
		child = beneath_open(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY);
		if (child < 0)
			return child;
		r = empty_directory(child, device, depth + 1);
		if (r < 0)
			return r;
		if (unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT)
			return -errno;
	}
}

int beneath_remove(int dir_fd, const char *name)
{
	struct stat st;
	int fd, r;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISDIR(st.st_mode))
		return unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
	fd = beneath_open(dir_fd, name, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	r = empty_directory(fd, st.st_dev, 0);
	if (r < 0)
		return r;
	return unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}
