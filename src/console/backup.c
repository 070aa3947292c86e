#include "console/backup.h"

#include <fcntl.h>
#include <sys/stat.h>

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

/* 1: copied; 0: there is no such file, or it is none. */
static int copy_file(const char *from_path, const char *to_path, struct fleet_error *err)
{
	_cleanup_close_ int from = open(from_path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), to = -1;
	struct stat st;
	int r;

	if (from < 0 && (errno == ENOENT || errno == ELOOP))
		return 0;
	if (from < 0 || fstat(from, &st) < 0)
		return fleet_error_errno(err, -errno, "cannot read %s", from_path);
	if (!S_ISREG(st.st_mode))
		return 0;
	to = open(to_path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return fleet_error_errno(err, -errno, "cannot write %s", to_path);
	r = copy_bytes(from, to);
	return r < 0 ? fleet_error_errno(err, r, "cannot copy %s to %s", from_path, to_path) : 1;
}

static int sync_folder(const char *path, struct fleet_error *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? fleet_error_errno(err, -errno, "cannot sync %s", path) : 0;
}

static int copy_folder(const char *from_path, const char *to_path, struct fleet_error *err)
{
	_cleanup_closedir_ DIR *dir = opendir(from_path);
	const struct dirent *entry;
	int r = 0;

	if (!dir)
		return errno == ENOENT ? 0 : fleet_error_errno(err, -errno, "cannot read %s", from_path);
	if (mkdir(to_path, 0700) < 0)
		return fleet_error_errno(err, -errno, "cannot make %s", to_path);
	for (errno = 0; r >= 0 && (entry = readdir(dir)); errno = 0) {
		_cleanup_free_ char *from = xasprintf("%s/%s", from_path, entry->d_name),
				    *to = xasprintf("%s/%s", to_path, entry->d_name);

		if (entry->d_name[0] != '.')
			r = copy_file(from, to, err);
	}
	return r < 0 ? r : sync_folder(to_path, err);
}

static int copy_parts(const char *from_dir, const char *to_dir, struct fleet_error *err)
{
	for (size_t i = 0; i < FLEET_ARRAY_LEN(parts); i++) {
		_cleanup_free_ char *from = xasprintf("%s/%s", from_dir, parts[i].name),
				    *to = xasprintf("%s/%s", to_dir, parts[i].name);
		int r = parts[i].is_folder ? copy_folder(from, to, err) : copy_file(from, to, err);

		if (r == 0 && parts[i].required)
			r = fleet_error_set(err, -ENOENT, "there is no %s", from);
		if (r < 0)
			return r;
	}
	return sync_folder(to_dir, err);
}

int backup_make(const char *data_dir, const char *target, struct fleet_error *err)
{
	_cleanup_free_ char *partial = xasprintf("%s.partial", target);
	_cleanup_free_ char *db = xasprintf("%s/" STORE_FILE, partial);
	int r;

	if (access(target, F_OK) == 0)
		return fleet_error_set(err, -EEXIST, "%s is there already: name a new directory", target);
	if (mkdir(partial, 0700) < 0)
		return fleet_error_errno(err, -errno, "cannot make %s%s", partial,
			errno == EEXIST ? " (of a backup that was cut off: remove it)" : "");
	r = store_backup(data_dir, db, err);
	if (r >= 0)
		r = copy_parts(data_dir, partial, err);
	if (r >= 0 && rename(partial, target) < 0)
		r = fleet_error_errno(err, -errno, "cannot rename %s", partial);
	return r < 0 ? fleet_error_wrap(err, "no backup was made (what there is lies in %s)", partial) : 0;
}

/* Whoever runs the console must be able to use it: as the directory's owner. */
static int give_to_owner(const char *data_dir, struct fleet_error *err)
{
	static const char *const folders[] = {"", "/ca", "/artifacts"};
	struct stat st;

	if (geteuid() != 0 || stat(data_dir, &st) < 0 || st.st_uid == 0)
		return 0;
	for (size_t i = 0; i < FLEET_ARRAY_LEN(folders); i++) {
		_cleanup_free_ char *path = xasprintf("%s%s", data_dir, folders[i]);
		_cleanup_closedir_ DIR *dir = opendir(path);
		const struct dirent *entry;

		while (dir && (entry = readdir(dir))) {
			if (strcmp(entry->d_name, "..") != 0 && fchownat(dirfd(dir), entry->d_name, st.st_uid,
									st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
				return fleet_error_errno(err, -errno,
					"cannot give %s/%s to the console's user", path, entry->d_name);
		}
	}
	return 0;
}

int backup_restore(const char *source, const char *data_dir, struct fleet_error *err)
{
	_cleanup_free_ char *from = xasprintf("%s/" STORE_FILE, source),
			    *to = xasprintf("%s/" STORE_FILE, data_dir);
	_cleanup_free_ char *key = xasprintf("%s/signing-key.pem", data_dir);
	struct store_head head;
	int r = store_audit_verify(source, &head, err);

	if (r < 0)
		return fleet_error_wrap(err, "the backup in %s is not restored", source);
	if (access(to, F_OK) == 0 || access(key, F_OK) == 0)
		return fleet_error_set(err, -EEXIST,
			"%s holds a console's data already: move it away first, nothing is written over it",
			data_dir);
	r = fleet_mkdir_parents(data_dir, 0700, err);
	if (r >= 0)
		r = copy_parts(source, data_dir, err);
	if (r >= 0) /* last: with it there is a console */
		r = copy_file(from, to, err);
	if (r >= 0)
		r = sync_folder(data_dir, err);
	return r < 0 ? r : give_to_owner(data_dir, err);
}
