#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include "agent/host/beneath.h"
#include "agent/host/extract.h"
#include "fleet/clock.h"

#define CAPS_NAME       "security.capability"
#define CAPS_MAX        64
#define RESERVE_MAX     (INT64_C(64) * 1024 * 1024)
#define RESERVE_DIVISOR 20 /* of a small file system */

/* Whoever may enter the directory may read and execute what is in it; write is given where it was. */
static mode_t mask_of_directory(mode_t mode)
{
	mode_t mask = 0700;

	if (mode & 0010)
		mask |= 0050 | (mode & 0020);
	if (mode & 0001)
		mask |= 0005 | (mode & 0002);
	return mask;
}

/* Who could not read a file gets nothing of its successor. */
static mode_t mask_of_file(mode_t mode)
{
	return 0700 | (mode & 0040 ? 0070 : 0) | (mode & 0004 ? 0007 : 0);
}

static void read_caps(int path_fd, struct extract_owner *o)
{
	_cleanup_free_ char *proc = xasprintf("/proc/self/fd/%d", path_fd);
	char value[CAPS_MAX];
	ssize_t n = getxattr(proc, CAPS_NAME, value, sizeof(value));

	if (n <= 0)
		return;
	o->caps = xmalloc((size_t)n);
	memcpy(o->caps, value, (size_t)n);
	o->caps_len = (size_t)n;
}

void extract_owner_find(int old_fd, const char *path, struct extract_owner *ret)
{
	struct stat root, st;
	_cleanup_close_ int fd = -1;

	*ret = (struct extract_owner){.uid = geteuid(), .gid = getegid(), .mask = 0755};
	if (old_fd < 0 || fstat(old_fd, &root) < 0)
		return;
	ret->uid = root.st_uid;
	ret->gid = root.st_gid;
	ret->mask = S_ISDIR(root.st_mode) ? mask_of_directory(root.st_mode) : mask_of_file(root.st_mode);
	if (!S_ISDIR(root.st_mode)) {
		read_caps(old_fd, ret);
		return;
	}
	fd = *path ? beneath_open(old_fd, path, O_PATH | O_NOFOLLOW) : -1;
	if (fd < 0 || fstat(fd, &st) < 0 || S_ISLNK(st.st_mode))
		return;
	ret->uid = st.st_uid;
	ret->gid = st.st_gid;
	ret->mask &= S_ISDIR(st.st_mode) ? mask_of_directory(st.st_mode) : mask_of_file(st.st_mode);
	if (S_ISREG(st.st_mode))
		read_caps(fd, ret);
}

void extract_owner_done(struct extract_owner *o)
{
	free(o->caps);
	o->caps = NULL;
}

int extract_owner_apply(int fd, const struct extract_owner *o, mode_t mode)
{
	/* without root's rights everything is ours, as it was before */
	if ((o->uid != geteuid() || o->gid != getegid()) && fchown(fd, o->uid, o->gid) < 0 && geteuid() == 0)
		return -errno;
	if (fchmod(fd, mode & 0777 & o->mask) < 0)
		return -errno;
	if (o->caps && fsetxattr(fd, CAPS_NAME, o->caps, o->caps_len, 0) < 0 && geteuid() == 0)
		return -errno;
	return 0;
}

static int dress_one(int fd, int old_fd, const char *path, struct fleet_error *err)
{
	struct extract_owner owner;
	struct stat st;
	int r;

	extract_owner_find(old_fd, path, &owner);
	r = fstat(fd, &st) < 0 ? -errno : 0;
	if (r >= 0)
		r = extract_owner_apply(fd, &owner, st.st_mode);
	extract_owner_done(&owner);
	return r < 0 ? fleet_error_errno(err, r, "cannot give '%.200s' its owner and mode", path) : 0;
}

static int dress_link(int parent, const char *name, int old_fd, struct fleet_error *err)
{
	struct extract_owner owner;
	int r = 0;

	if (geteuid() != 0)
		return 0;
	extract_owner_find(old_fd, "", &owner);
	if (fchownat(parent, name, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) < 0)
		r = fleet_error_errno(err, -errno, "cannot give the link '%.200s' its owner", name);
	extract_owner_done(&owner);
	return r;
}

/* Takes fd. Children first: whoever owns a directory cannot reach into it while it is ours. */
static int dress_directory(int fd, int old_fd, const char *path, struct fleet_error *err)
{
	_cleanup_closedir_ DIR *dir = fdopendir(fd);
	const struct dirent *entry;
	int r = 0;

	if (!dir) {
		r = -errno;
		(void)close(fd); /* nothing was done with it */
		return fleet_error_errno(err, r, "cannot read '%.200s'", path);
	}
	while (r >= 0 && (entry = readdir(dir))) {
		_cleanup_free_ char *below = NULL;
		_cleanup_close_ int child = -1;
		struct stat st;

		if (str_equal(entry->d_name, ".") || str_equal(entry->d_name, ".."))
			continue;
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return fleet_error_errno(err, -errno, "cannot look at '%.200s'", entry->d_name);
		below = xasprintf("%s%s%s", path, *path ? "/" : "", entry->d_name);
		if (S_ISLNK(st.st_mode)) {
			r = dress_link(dirfd(dir), entry->d_name, old_fd, err);
			continue;
		}
		child = beneath_open(dirfd(dir), entry->d_name,
			O_RDONLY | O_NOFOLLOW | (S_ISDIR(st.st_mode) ? O_DIRECTORY : 0));
		if (child < 0)
			return fleet_error_errno(err, child, "cannot open '%.200s'", below);
		r = S_ISDIR(st.st_mode) ? dress_directory(TAKE_FD(child), old_fd, below, err)
					: dress_one(child, old_fd, below, err);
	}
	return r < 0 || !*path ? r : dress_one(dirfd(dir), old_fd, path, err);
}

int extract_dress(int new_fd, int old_fd, struct fleet_error *err)
{
	int copy = beneath_open(new_fd, ".", O_RDONLY | O_DIRECTORY), r;
	struct extract_owner owner;
	struct stat old;

	if (copy < 0)
		return fleet_error_errno(err, copy, "cannot open the unpacked release");
	r = dress_directory(copy, old_fd, "", err);
	if (r < 0 || old_fd < 0)
		return r;
	/* the root last, and exactly as the one before it */
	extract_owner_find(old_fd, "", &owner);
	owner.mask = 0777;
	r = fstat(old_fd, &old) < 0 ? -errno : extract_owner_apply(new_fd, &owner, old.st_mode);
	extract_owner_done(&owner);
	return r < 0 ? fleet_error_errno(err, r, "cannot give the unpacked release its owner and mode") : 0;
}

int extract_check_space(int fd, int64_t bytes, const char *what, struct fleet_error *err)
{
	struct statvfs fs;
	int64_t free_bytes, reserve;

	if (fstatvfs(fd, &fs) < 0)
		return fleet_error_errno(err, -errno, "cannot tell how much room there is for %s", what);
	free_bytes = (int64_t)(fs.f_bavail * fs.f_frsize);
	reserve = (int64_t)(fs.f_blocks * fs.f_frsize) / RESERVE_DIVISOR;
	if (reserve > RESERVE_MAX)
		reserve = RESERVE_MAX;
	if (free_bytes >= bytes + reserve)
		return 0;
	return fleet_error_set(err, -ENOSPC,
		"no room for %s: it needs %lld MB and %lld MB to spare, %lld MB are free", what,
		(long long)(bytes / 1000000), (long long)(reserve / 1000000),
		(long long)(free_bytes / 1000000));
}
