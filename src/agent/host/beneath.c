#include "agent/host/beneath.h"
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include "fleet/limits.h"

#define REMOVE_DEPTH_MAX 512 /* a descriptor each */
#define LIFTED_MAX       (1u << 20)
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

/* What is deeper than there are descriptors is lifted to the top, and removed from there. */
struct removal {
	int top_fd;
	dev_t device;
	unsigned lifted;
};

static int lift(struct removal *r, int dir_fd, const char *name)
{
	while (r->lifted < LIFTED_MAX) {
		char to[32];

		(void)snprintf(to, sizeof(to), ".fleet-deep-%u", r->lifted++); /* fits */
		if (renameat(dir_fd, name, r->top_fd, to) == 0 || errno == ENOENT)
			return 0;
		if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR) /* that name is taken */
			return -errno;
	}
	return -ELOOP;
}

static int empty_directory(struct removal *r, int takes_fd, unsigned depth);

static int remove_below(struct removal *r, int dir_fd, const char *name, unsigned depth)
{
	int fd, result;

	if (depth >= REMOVE_DEPTH_MAX)
		return lift(r, dir_fd, name);
	fd = beneath_open(dir_fd, name, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	result = empty_directory(r, fd, depth + 1);
	if (result < 0)
		return result;
	return unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

static int empty_directory(struct removal *r, int takes_fd, unsigned depth)
{
	_cleanup_closedir_ DIR *dir = fdopendir(takes_fd);
	int result = 0;

	if (!dir) {
		result = -errno;
		(void)close(takes_fd); /* nothing was done with it */
		return result;
	}
	for (;;) {
		const struct dirent *entry;
		struct stat st;
		int below;

		errno = 0;
		entry = readdir(dir);
		if (!entry)
			return errno ? -errno : result;
		if (str_equal(entry->d_name, ".") || str_equal(entry->d_name, ".."))
			continue;
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno == ENOENT)
				continue; /* somebody else was quicker */
			return -errno;
		}
		if (!S_ISDIR(st.st_mode)) {
			if (unlinkat(dirfd(dir), entry->d_name, 0) < 0 && errno != ENOENT)
				result = -errno;
			continue;
		}
		if (st.st_dev != r->device)
			return -EXDEV;
		below = remove_below(r, dirfd(dir), entry->d_name, depth);
		if (below < 0)
			return below;
	}
}

int beneath_remove(int dir_fd, const char *name)
{
	struct removal r = {.top_fd = -1};
	unsigned lifted;
	struct stat st;
	int result;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISDIR(st.st_mode))
		return unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
	r.device = st.st_dev;
	do {
		_cleanup_close_ int top = beneath_open(dir_fd, name, O_RDONLY | O_DIRECTORY);
		int fd = top < 0 ? top : beneath_open(top, ".", O_RDONLY | O_DIRECTORY);

		if (fd < 0)
			return fd;
		r.top_fd = top;
		lifted = r.lifted;
		result = empty_directory(&r, fd, 0);
	} while (result >= 0 && r.lifted > lifted);
	if (result < 0)
		return result;
	return unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}
