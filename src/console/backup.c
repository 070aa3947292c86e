#include "console/backup.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "console/data_dir.h"
#include "console/store.h"
#include "console/store_schema.h"
#include "fleet/file.h"

#define COPY_BYTES (256 * 1024)

/* What lies in a data directory beside the database; a folder's files, not what may be below them. */
static const struct part {
	const char *name;
	bool is_folder, required;
} parts[] = {
	{"signing-key.pem", false, true}, {"key-changes.json", false, false}, {"ca", true, false},
	{"artifacts", true,
		false}, /* after the database: what is registered there is here, or is lost already */
};

static int copy_bytes(int from, int to)
{
	_cleanup_free_ char *chunk = xmalloc(COPY_BYTES);
	ssize_t n;

	while ((n = read(from, chunk, COPY_BYTES)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (ssize_t done = 0; done < n;) {
			ssize_t written = write(to, chunk + done, (size_t)(n - done));

			if (written < 0 && errno != EINTR)
				return -errno;
			done += written > 0 ? written : 0;
		}
	}
	return fsync(to) < 0 ? -errno : 0;
}

/* A directory that is copied from or to. By its descriptor, and never through a link: root restores into a
 * directory of the console's user, and from a backup that he made; neither may lead root elsewhere. */
struct place {
	int fd; /* owned */
	const char *path;
	uid_t uid; /* whose that is which is written into it */
	gid_t gid;
};

static void place_done(struct place *p)
{
	if (p->fd >= 0)
		(void)close(p->fd); /* a directory: nothing is lost */
}

static int place_open(int at, const char *name, const char *path, struct place *ret, struct fleet_error *err)
{
	struct stat st;
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (at == AT_FDCWD ? 0 : O_NOFOLLOW));

	if (fd < 0 || fstat(fd, &st) < 0) {
		int r = -errno;

		if (fd >= 0)
			(void)close(fd); /* likewise */
		return fleet_error_errno(err, r, "cannot open the directory %s", path);
	}
	*ret = (struct place){fd, path, st.st_uid, st.st_gid};
	return 0;
}

/* A new one in parent; it becomes its owner's when it is whole (place_give). */
static int place_make(const struct place *parent, const char *name, const char *path, struct place *ret,
	struct fleet_error *err)
{
	struct place made = {.fd = -1};
	int r;

	if (mkdirat(parent->fd, name, 0700) < 0)
		return fleet_error_errno(err, -errno, "cannot make %s", path);
	r = place_open(parent->fd, name, path, &made, err);
	if (r < 0)
		return r;
	if (made.uid != geteuid()) { /* somebody has put another in its place */
		place_done(&made);
		return fleet_error_set(err, -ESTALE, "%s is not the directory that was made there", path);
	}
	made.uid = parent->uid;
	made.gid = parent->gid;
	*ret = made;
	return 0;
}

static int give(int fd, const struct place *place)
{
	return geteuid() == place->uid || fchown(fd, place->uid, place->gid) == 0 ? 0 : -errno;
}

/* 1: copied; 0: there is no such file, or it is none. */
static int copy_file(
	const struct place *from_dir, const struct place *to_dir, const char *name, struct fleet_error *err)
{
	_cleanup_close_ int from = openat(from_dir->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC),
			    to = -1;
	struct stat st;
	int r;

	if (from < 0 && (errno == ENOENT || errno == ELOOP))
		return 0;
	if (from < 0 || fstat(from, &st) < 0)
		return fleet_error_errno(err, -errno, "cannot read %s/%s", from_dir->path, name);
	if (!S_ISREG(st.st_mode))
		return 0;
	to = openat(to_dir->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return fleet_error_errno(err, -errno, "cannot write %s/%s", to_dir->path, name);
	r = copy_bytes(from, to);
	if (r >= 0)
		r = give(to, to_dir);
	return r < 0 ? fleet_error_errno(
			       err, r, "cannot copy %s/%s to %s", from_dir->path, name, to_dir->path)
		     : 1;
}

static int sync_place(const struct place *place, struct fleet_error *err)
{
	return fsync(place->fd) < 0 ? fleet_error_errno(err, -errno, "cannot sync %s", place->path) : 0;
}

static int copy_entries(const struct place *from, const struct place *to, struct fleet_error *err)
{
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *entry;
	int fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 0), r = 0;

	dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		r = fleet_error_errno(err, -errno, "cannot read %s", from->path);
		if (fd >= 0)
			(void)close(fd); /* likewise */
		return r;
	}
	while (r >= 0 && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			r = copy_file(from, to, entry->d_name, err);
	}
	return r;
}

static int copy_folder(
	const struct place *from_dir, const struct place *to_dir, const char *name, struct fleet_error *err)
{
	_cleanup_free_ char *from_path = xasprintf("%s/%s", from_dir->path, name),
			    *to_path = xasprintf("%s/%s", to_dir->path, name);
	_cleanup_(place_done) struct place from = {.fd = -1}, to = {.fd = -1};
	int r;

	if (faccessat(from_dir->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return 0;
	r = place_open(from_dir->fd, name, from_path, &from, err);
	if (r >= 0)
		r = place_make(to_dir, name, to_path, &to, err);
	if (r >= 0)
		r = copy_entries(&from, &to, err);
	if (r >= 0)
		r = sync_place(&to, err);
	if (r >= 0 && (r = give(to.fd, &to)) < 0)
		r = fleet_error_errno(err, r, "cannot give %s to the console's user", to_path);
	return r;
}

static int copy_parts(const struct place *from, const struct place *to, struct fleet_error *err)
{
	for (size_t i = 0; i < FLEET_ARRAY_LEN(parts); i++) {
		int r = parts[i].is_folder ? copy_folder(from, to, parts[i].name, err)
					   : copy_file(from, to, parts[i].name, err);

		if (r == 0 && parts[i].required)
			r = fleet_error_set(err, -ENOENT, "there is no %s/%s", from->path, parts[i].name);
		if (r < 0)
			return r;
	}
	return sync_place(to, err);
}

int backup_make(const char *data_dir, const char *target, struct fleet_error *err)
{
	_cleanup_free_ char *partial = xasprintf("%s.partial", target);
	_cleanup_free_ char *db = xasprintf("%s/" STORE_FILE, partial);
	_cleanup_(place_done) struct place from = {.fd = -1}, to = {.fd = -1};
	int r;

	if (access(target, F_OK) == 0)
		return fleet_error_set(err, -EEXIST, "%s is there already: name a new directory", target);
	if (mkdir(partial, 0700) < 0)
		return fleet_error_errno(err, -errno, "cannot make %s%s", partial,
			errno == EEXIST ? " (of a backup that was cut off: remove it)" : "");
	r = store_backup(data_dir, db, err);
	if (r >= 0)
		r = place_open(AT_FDCWD, data_dir, data_dir, &from, err);
	if (r >= 0)
		r = place_open(AT_FDCWD, partial, partial, &to, err);
	if (r >= 0)
		r = copy_parts(&from, &to, err);
	if (r >= 0 && rename(partial, target) < 0)
		r = fleet_error_errno(err, -errno, "cannot rename %s", partial);
	return r < 0 ? fleet_error_wrap(err, "no backup was made (what there is lies in %s)", partial) : 0;
}

/* What is in the place of what is to come, be it a link to nowhere. */
static bool is_taken(const struct place *place, const char *name)
{
	return faccessat(place->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int backup_restore(const char *source, const char *data_dir, struct fleet_error *err)
{
	_cleanup_(place_done) struct place from = {.fd = -1}, to = {.fd = -1};
	struct store_head head;
	int r = store_audit_verify(source, &head, err);

	if (r < 0)
		return fleet_error_wrap(err, "the backup in %s is not restored", source);
	r = data_dir_make(data_dir, err);
	if (r >= 0)
		r = place_open(AT_FDCWD, source, source, &from, err);
	if (r >= 0)
		r = place_open(AT_FDCWD, data_dir, data_dir, &to, err);
	if (r >= 0 && (is_taken(&to, STORE_FILE) || is_taken(&to, "signing-key.pem")))
		r = fleet_error_set(err, -EEXIST,
			"%s holds a console's data already: move it away first, nothing is written over it",
			data_dir);
	if (r >= 0)
		r = copy_parts(&from, &to, err);
	if (r >= 0) /* last: with it there is a console */
		r = copy_file(&from, &to, STORE_FILE, err);
	return r < 0 ? r : sync_place(&to, err);
}
