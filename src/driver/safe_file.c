#include "driver/safe_file.h"
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include "fleet/failpoint.h"
#include "fleet/file.h"
#include "fleet/limits.h"

#define ACL_NAME        "system.posix_acl_access"
#define XATTR_LIST_MAX  65536
#define XATTR_VALUE_MAX 65536

void (*safe_file_step_hook)(const char *step);

static void at_step(const char *step)
{
	if (safe_file_step_hook)
		safe_file_step_hook(step);
}

static int open_directory(const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	long fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

int safe_file_open(const char *real_path, struct safe_file *ret, struct fleet_error *err)
{
	const char *slash = strrchr(real_path, '/');
	_cleanup_free_ char *dir = NULL;
	int fd;

	if (real_path[0] != '/' || !slash[1])
		return fleet_error_set(err, -EINVAL, "%s is no absolute path of a file", real_path);
	dir = slash == real_path ? xstrdup("/") : xstrndup(real_path, (size_t)(slash - real_path));
	fd = open_directory(dir);
	if (fd == -ELOOP)
		return fleet_error_set(err, fd,
			"a part of %s is now a link, which it was not when the app was declared; reload the "
			"driver host if "
			"that is meant",
			dir);
	if (fd < 0)
		return fleet_error_errno(err, fd, "cannot open the directory %s", dir);
	*ret = (struct safe_file){.dir_fd = fd, .path = xstrdup(real_path), .name = xstrdup(slash + 1)};
	return 0;
}

static int make_beneath(int parent_fd, const char *name)
{
	struct stat st;
	_cleanup_close_ int fd = -1;

	if (fstat(parent_fd, &st) < 0)
		return -errno;
	if (mkdirat(parent_fd, name, 0700) < 0)
		return errno == EEXIST ? 0 : -errno;
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || (st.st_uid != geteuid() && fchown(fd, st.st_uid, st.st_gid) < 0) ||
		fchmod(fd, st.st_mode & 0755) < 0 || fsync(fd) < 0 || fsync(parent_fd) < 0)
		return -errno;
	return 0;
}

int safe_file_make_directory(const char *real_path, struct fleet_error *err)
{
	_cleanup_free_ char *dir = xstrdup(real_path), *parent = NULL;
	_cleanup_close_ int fd = -1;
	char *slash = strrchr(dir, '/');
	int r;

	*slash = '\0';
	slash = strrchr(dir, '/');
	if (!slash)
		return 0; /* the root is there */
	parent = slash == dir ? xstrdup("/") : xstrndup(dir, (size_t)(slash - dir));
	fd = open_directory(parent);
	r = fd < 0 ? fd : make_beneath(fd, slash + 1);
	return r < 0 ? fleet_error_errno(err, r, "cannot make the directory %s", dir) : 0;
}

void safe_file_done(struct safe_file *f)
{
	if (f->path) {
		(void)close(f->dir_fd); /* a directory: nothing to save */
		free(f->path);
		free(f->name);
	}
	*f = (struct safe_file){.dir_fd = -1};
}

void safe_content_done(struct safe_content *c)
{
	free(c->data);
	*c = (struct safe_content){0};
}

void safe_content_hash(const void *data, size_t len, char ret_hash[SAFE_FILE_HASH_LEN + 1])
{
	(void)snprintf(ret_hash, SAFE_FILE_HASH_LEN + 1, "sha256:");
	fleet_sha256_hex(data, len, ret_hash + 7);
}

/* -ENOENT without a message; *ret_fd -1 then. */
static int open_target(const struct safe_file *f, int *ret_fd, struct stat *ret_st, struct fleet_error *err)
{
	_cleanup_close_ int fd =
		openat(f->dir_fd, f->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0 && errno == ELOOP)
		return fleet_error_set(err, -ELOOP,
			"%s is now a link, which it was not when the app was declared; nothing was touched",
			f->path);
	if (fd < 0)
		return fleet_error_errno(err, -errno, "cannot open %s", f->path);
	if (fstat(fd, ret_st) < 0)
		return fleet_error_errno(err, -errno, "cannot look at %s", f->path);
	if (!S_ISREG(ret_st->st_mode))
		return fleet_error_set(err, -EINVAL, "%s is not a regular file", f->path);
	if (ret_st->st_nlink > 1)
		return fleet_error_set(err, -EMLINK,
			"%s has %u names (hard links), which a replacement would part; nothing was touched",
			f->path, (unsigned)ret_st->st_nlink);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int safe_file_read(const struct safe_file *f, struct safe_content *ret, struct fleet_error *err)
{
	_cleanup_close_ int fd = -1;
	struct safe_content content = {.exists = true};
	struct stat st;
	int r;

	r = open_target(f, &fd, &st, err);
	if (r == -ENOENT) {
		content.exists = false;
		content.data = xstrdup("");
	} else if (r >= 0) {
		r = fleet_file_read_fd(fd, f->path, FLEET_CONFIG_FILE_MAX, &content.data, &content.len, err);
	}
	if (r < 0 && r != -ENOENT)
		return r;
	safe_content_hash(content.data, content.len, content.hash);
	*ret = content;
	return 0;
}

static int check_unchanged(
	const struct safe_file *f, const struct safe_content *expect, struct fleet_error *err)
{
	_cleanup_(safe_content_done) struct safe_content now = {0};
	int r = safe_file_read(f, &now, err);

	if (r < 0)
		return r;
	if (now.exists == expect->exists && now.len == expect->len &&
		memcmp(now.data, expect->data, now.len) == 0)
		return 0;
	return fleet_error_set(
		err, -ESTALE, "%s was changed by somebody else meanwhile; it was left as it is", f->path);
}

/* ACLs are extended attributes too (system.posix_acl_access). What is bound to the old bytes stays behind. */
static int copy_xattrs(const struct safe_file *f, int from, int to, struct fleet_error *err)
{
	_cleanup_free_ char *names = NULL, *value = NULL, *present = NULL;
	ssize_t len = flistxattr(from, NULL, 0);

	/* a directory's default ACL gave the new file one that the old one may not have */
	if (fgetxattr(from, ACL_NAME, NULL, 0) < 0)
		(void)fremovexattr(
			to, ACL_NAME); /* mostly it has none either; the mode is set exactly afterwards */
	if (len == 0 || (len < 0 && errno == ENOTSUP))
		return 0;
	if (len < 0 || len > XATTR_LIST_MAX)
		return fleet_error_errno(
			err, len < 0 ? -errno : -E2BIG, "cannot list the attributes of %s", f->path);
	names = xcalloc(1, (size_t)len + 1);
	len = flistxattr(from, names, (size_t)len);
	if (len < 0)
		return fleet_error_errno(err, -errno, "cannot list the attributes of %s", f->path);
	value = xmalloc(XATTR_VALUE_MAX);
	present = xmalloc(XATTR_VALUE_MAX);
	for (const char *name = names; name < names + len; name += strlen(name) + 1) {
		ssize_t n, had;

		if (str_equal(name, "security.ima") || str_equal(name, "security.evm"))
			continue;
		n = fgetxattr(from, name, value, XATTR_VALUE_MAX);
		if (n < 0)
			return fleet_error_errno(
				err, -errno, "cannot read the attribute %s of %s", name, f->path);
		had = fgetxattr(to, name, present, XATTR_VALUE_MAX);
		if (had == n && memcmp(value, present, (size_t)n) == 0)
			continue;
		if (fsetxattr(to, name, value, (size_t)n, 0) < 0)
			return fleet_error_errno(
				err, -errno, "cannot keep the attribute %s of %s", name, f->path);
	}
	return 0;
}

/* Makes the temp file what the target is, bytes aside. */
static int copy_attributes(const struct safe_file *f, int to, struct fleet_error *err)
{
	_cleanup_close_ int from = -1;
	struct stat st, now;
	mode_t mode;
	int r;

	r = open_target(f, &from, &st, err);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == -ENOENT && fstat(f->dir_fd, &st) < 0)
		return fleet_error_errno(err, -errno, "cannot look at the directory of %s", f->path);
	mode = r == -ENOENT ? 0640 : st.st_mode & 07777;
	if (fstat(to, &now) < 0)
		return fleet_error_errno(err, -errno, "cannot look at the new file beside %s", f->path);
	if ((now.st_uid != st.st_uid || now.st_gid != st.st_gid) && fchown(to, st.st_uid, st.st_gid) < 0)
		return fleet_error_errno(err, -errno, "cannot keep the owner of %s (uid %u, gid %u)", f->path,
			(unsigned)st.st_uid, (unsigned)st.st_gid);
	if (from >= 0) {
		r = copy_xattrs(f, from, to, err);
		if (r < 0)
			return r;
	}
	if (fchmod(to, mode) < 0) /* last: chown drops set-id bits, an ACL changes the group's */
		return fleet_error_errno(
			err, -errno, "cannot keep the mode of %s (%o)", f->path, (unsigned)mode);
	return 0;
}

static int write_all(const struct safe_file *f, int fd, const char *data, size_t len, struct fleet_error *err)
{
	int r = fleet_file_write_all(fd, data, len);

	return r < 0 ? fleet_error_errno(err, r, "cannot write the new bytes beside %s", f->path) : 0;
}

static char *temp_name(const struct safe_file *f, const char *tag)
{
	/* a name of at most 255 bytes, whatever the target's is */
	return xasprintf(".%.100s.fleet-%.64s", f->name, tag);
}

void safe_file_clean(const struct safe_file *f, const char *tag)
{
	_cleanup_free_ char *temp = temp_name(f, tag);

	(void)unlinkat(f->dir_fd, temp, 0); /* mostly there is none */
}

static int sync_directory(const struct safe_file *f, struct fleet_error *err)
{
	if (FLEET_FAILS("push.directory") || fsync(f->dir_fd) < 0)
		return fleet_error_errno(err, -errno, "cannot sync the directory of %s", f->path);
	return 0;
}

int safe_file_replace(const struct safe_file *f, const struct safe_content *expect, const void *data,
	size_t len, const char *tag, struct fleet_error *err)
{
	_cleanup_free_ char *temp = temp_name(f, tag);
	_cleanup_close_ int fd = -1;
	int r;

	safe_file_clean(f, tag);
	at_step("temp");
	fd = FLEET_FAILS("push.temp")
		     ? -1
		     : openat(f->dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return fleet_error_errno(err, -errno, "cannot make a new file beside %s", f->path);
	r = FLEET_FAILS("push.write")
		    ? fleet_error_errno(err, -errno, "cannot write the new bytes beside %s", f->path)
		    : write_all(f, fd, data, len, err);
	at_step("attributes");
	if (r >= 0)
		r = copy_attributes(f, fd, err);
	at_step("sync");
	if (r >= 0 && (FLEET_FAILS("push.sync") || fsync(fd) < 0))
		r = fleet_error_errno(err, -errno, "cannot sync the new file beside %s", f->path);
	if (r >= 0)
		r = check_unchanged(f, expect, err);
	at_step("rename");
	if (r >= 0 && (FLEET_FAILS("push.rename") || renameat(f->dir_fd, temp, f->dir_fd, f->name) < 0))
		r = fleet_error_errno(err, -errno, "cannot replace %s", f->path);
	if (r < 0) {
		safe_file_clean(f, tag);
		return r;
	}
	at_step("directory");
	FLEET_FAILPOINT("push.renamed");
	return sync_directory(f, err);
}

int safe_file_remove(const struct safe_file *f, const struct safe_content *expect, struct fleet_error *err)
{
	int r = check_unchanged(f, expect, err);

	if (r < 0)
		return r;
	if (FLEET_FAILS("push.remove") || unlinkat(f->dir_fd, f->name, 0) < 0)
		return fleet_error_errno(err, -errno, "cannot remove %s", f->path);
	return sync_directory(f, err);
}

char *safe_file_key(const char *real_path)
{
	const char *slash = strrchr(real_path, '/');
	_cleanup_free_ char *dir = NULL;
	struct stat st;

	if (!slash)
		return xasprintf("file:%s", real_path);
	dir = slash == real_path ? xstrdup("/") : xstrndup(real_path, (size_t)(slash - real_path));
	if (stat(dir, &st) < 0)
		return xasprintf("file:%s", real_path);
	return xasprintf("file:%u:%u:%llu:%s", major(st.st_dev), minor(st.st_dev),
		(unsigned long long)st.st_ino, slash + 1);
}
