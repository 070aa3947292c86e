/* The artifact's way from the agent's descriptor to a whole release beside the app. What the agent holds may
 * change under our eyes, so it is copied to where only root writes, and hashed on the way; everything after
 * reads the copy. */
#include <fcntl.h>
#include <sys/stat.h>
#include "agent/host/beneath.h"
#include "agent/host/extract.h"
#include "agent/host/signature.h"
#include "agent/host/update.h"
#include "agent/host/version.h"
#include "fleet/clock.h"
#include "fleet/failpoint.h"
#include "fleet/file.h"
#include "fleet/limits.h"
#include "fleet/log.h"

#define BLOCK            (256 * 1024)
#define VERSION_FILE_MAX 4096
#define PROGRESS_MS      500

static char *staging_path(const struct op *op)
{
	return xasprintf("%s/staging/%s", op->env->state_dir, op->command_id);
}

void update_clean(struct update *u)
{
	_cleanup_free_ char *path = staging_path(u->op);
	struct fleet_error err = FLEET_ERROR_INIT;

	if (unlink(path) < 0 && errno != ENOENT)
		log_warn("cannot remove %s: %m", path);
	if (u->tree.work_fd >= 0 && tree_remove(&u->tree, TREE_UNPACK, &err) < 0)
		log_warn("%s", err.message);
}

/* ---- copy and hash ---- */

struct staged {
	int fd;
	int64_t bytes;
	unsigned char blake2b[HASH_BLAKE2B_LEN];
	char sha256[FLEET_SHA256_HEX];
};

static int open_staging(struct op *op, int64_t bytes, int *ret_fd, struct fleet_error *err)
{
	_cleanup_free_ char *path = staging_path(op), *dir = xasprintf("%s/staging", op->env->state_dir);
	_cleanup_close_ int dir_fd = -1;
	int r;

	r = fleet_mkdir_parents(dir, 0700, err);
	if (r < 0)
		return r;
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return fleet_error_errno(err, -errno, "cannot open %s", dir);
	r = extract_check_space(dir_fd, bytes, "the artifact", err);
	if (r < 0)
		return r;
	(void)unlink(path); /* of an attempt that was cut off */
	*ret_fd = FLEET_FAILS("stage.open")
			  ? -1
			  : open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return *ret_fd < 0 ? fleet_error_errno(err, -errno, "cannot write %s", path) : 0;
}

static int copy_hashed(struct op *op, int from, int64_t bytes, struct staged *s, struct fleet_error *err)
{
	_cleanup_(hash_stream_freep) struct hash_stream *hash = hash_stream_new();
	_cleanup_free_ char *block = xmalloc(BLOCK);
	int64_t told_ms = fleet_clock_monotonic_ms();

	while (s->bytes < bytes) {
		size_t want = bytes - s->bytes < BLOCK ? (size_t)(bytes - s->bytes) : BLOCK;
		ssize_t n = pread(from, block, want, s->bytes);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fleet_error_errno(err, -errno, "cannot read the artifact");
		if (n == 0)
			return fleet_error_set(err, -EIO, "the artifact became shorter while it was read");
		hash_stream_add(hash, block, (size_t)n);
		r = FLEET_FAILS("stage.write") ? -errno : fleet_file_write_all(s->fd, block, (size_t)n);
		if (r < 0)
			return fleet_error_errno(err, r, "cannot write the artifact's copy");
		s->bytes += n;
		if (fleet_clock_monotonic_ms() >= told_ms + PROGRESS_MS) {
			told_ms = fleet_clock_monotonic_ms();
			op_progress(op, (int)(s->bytes * 100 / bytes), NULL);
		}
	}
	hash_stream_end(hash, s->sha256, s->blake2b);
	return 0;
}

static int take_artifact(struct op *op, int from, struct staged *s, struct fleet_error *err)
{
	struct stat st;
	int r;

	if (fstat(from, &st) < 0 || !S_ISREG(st.st_mode))
		return fleet_error_set(err, -EINVAL, "the agent handed over what is no file");
	if (st.st_size == 0)
		return fleet_error_set(err, -EBADMSG, "the artifact is empty");
	if (st.st_size > FLEET_ARTIFACT_MAX)
		return fleet_error_set(err, -EFBIG, "the artifact is larger than %lld GB",
			(long long)(FLEET_ARTIFACT_MAX / 1000000000));
	r = open_staging(op, st.st_size, &s->fd, err);
	return r < 0 ? r : copy_hashed(op, from, st.st_size, s, err);
}

/* ---- trust ---- */

static int check_trust(struct update *u, const struct staged *s, const struct signature_keys *keys)
{
	const char *want = fleet_json_string(u->op->args, "sha256");
	const char *signature = fleet_json_string(u->op->args, "signature");
	_cleanup_free_ char *comment = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (want && strcasecmp(want, s->sha256) != 0) {
		op_fail(u->op, "hash-mismatch",
			"the artifact's checksum is not the one asked for (it has sha256 %s): it is another "
			"file, or "
			"was changed. Nothing was changed",
			s->sha256);
		return -EBADMSG;
	}
	if (keys->count == 0)
		return 0;
	if (signature_verify(keys, signature ? signature : "", s->blake2b, &comment, &err) < 0) {
		op_fail(u->op, "bad-signature", "%s. Nothing was changed", err.message);
		return -EKEYREJECTED;
	}
	log_info("the artifact is signed: %s", comment);
	return 0;
}

/* ---- unpack ---- */

static void tell_percent(int percent, void *arg)
{
	op_progress(arg, percent, NULL);
}

static int make_unpack(struct update *u, int *ret_fd, struct fleet_error *err)
{
	int r = tree_remove(&u->tree, TREE_UNPACK, err);

	if (r < 0)
		return r;
	if (FLEET_FAILS("unpack.mkdir") || mkdirat(u->tree.work_fd, TREE_UNPACK, 0700) < 0)
		return fleet_error_errno(err, -errno, "cannot make a directory beside %s", u->tree.path);
	*ret_fd = beneath_open(u->tree.work_fd, TREE_UNPACK, O_RDONLY | O_DIRECTORY);
	return *ret_fd < 0
		       ? fleet_error_errno(err, *ret_fd, "cannot open what was made beside %s", u->tree.path)
		       : 0;
}

static int unpack(struct update *u, const struct staged *s, int into_fd, struct extract_tally *ret,
	struct fleet_error *err)
{
	struct extract_order order = {.reader = u->op->env->unpacker,
		.artifact_fd = s->fd,
		.artifact_bytes = s->bytes,
		.into_fd = into_fd,
		.deadline_ms = fleet_clock_monotonic_ms() + FLEET_ARCHIVE_UNPACK_S * INT64_C(1000),
		.progress = tell_percent,
		.arg = u->op};
	int is_archive = extract_is_archive(s->fd);

	if (is_archive < 0)
		return fleet_error_errno(err, is_archive, "cannot read the artifact's copy");
	if (!is_archive)
		return fleet_error_set(err, -EBADMSG,
			"the artifact is none of tar, tar.gz, tar.xz, tar.zst and zip, and %s is a directory",
			u->tree.path);
	return extract_archive(&order, ret, err);
}

/* Many archives hold one directory named after the release, with everything in it. If what runs now has no
 * directory of that name, that one is the release. *ret: the release within `unpack`, owned. */
static int find_root(
	struct update *u, int old_fd, const struct extract_tally *tally, char **ret, struct fleet_error *err)
{
	struct stat st;

	if (!tally->only || (old_fd >= 0 && beneath_stat(old_fd, tally->only, &st) == 0)) {
		*ret = xstrdup(TREE_UNPACK);
		return 0;
	}
	if (tally->slack < 1)
		return fleet_error_set(err, -EINVAL,
			"the archive holds a link out of '%s', the one directory that it has", tally->only);
	(void)u;
	*ret = xasprintf(TREE_UNPACK "/%s", tally->only);
	return 0;
}

static int unpack_directory(struct update *u, const struct staged *s, struct fleet_error *err)
{
	_cleanup_close_ int into_fd = -1, root_fd = -1,
			    old_fd = beneath_open(u->tree.parent_fd, u->tree.name, O_RDONLY | O_DIRECTORY);
	struct extract_tally tally = {0};
	_cleanup_free_ char *root = NULL;
	int r = make_unpack(u, &into_fd, err);

	if (old_fd < 0)
		return fleet_error_errno(err, old_fd, "cannot open %s", u->tree.path);
	if (r >= 0)
		r = unpack(u, s, into_fd, &tally, err);
	if (r < 0)
		return r;
	r = find_root(u, old_fd, &tally, &root, err);
	extract_tally_done(&tally);
	if (r < 0)
		return r;
	r = tree_mark(&u->tree, root, u->op->command_id, u->to_version, err);
	if (r < 0)
		return r;
	root_fd = beneath_open(u->tree.work_fd, root, O_RDONLY | O_DIRECTORY);
	if (root_fd < 0)
		return fleet_error_errno(err, root_fd, "cannot open the unpacked release");
	r = FLEET_FAILS("unpack.dress") ? fleet_error_errno(err, -errno, "cannot dress the unpacked release")
					: extract_dress(root_fd, old_fd, err);
	if (r < 0)
		return r;
	tree_at_step("unpacked");
	if (FLEET_FAILS("unpack.sync") || syncfs(root_fd) < 0)
		return fleet_error_errno(err, -errno, "cannot sync the unpacked release");
	if (FLEET_FAILS("unpack.rename") || renameat(u->tree.work_fd, root, u->tree.work_fd, TREE_NEW) < 0)
		return fleet_error_errno(err, -errno, "cannot move the unpacked release");
	FLEET_FAILPOINT("unpack.renamed");
	r = beneath_sync(u->tree.work_fd);
	return r < 0 ? fleet_error_errno(err, r, "cannot sync the unpacked release") : 0;
}

/* The one file of an archive, or the one of the program's name. */
static int find_program(struct update *u, int dir_fd, int *ret_fd, struct fleet_error *err)
{
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *entry;
	int copy = beneath_open(dir_fd, ".", O_RDONLY | O_DIRECTORY), found = -1;
	unsigned files = 0;

	if (copy < 0 || !(dir = fdopendir(copy)))
		return fleet_error_set(err, -EIO, "cannot read the unpacked release");
	while ((entry = readdir(dir))) {
		_cleanup_close_ int fd = -1;
		struct stat st;
		bool named = strcmp(entry->d_name, u->tree.name) == 0;

		if (entry->d_name[0] == '.' || fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			!S_ISREG(st.st_mode))
			continue;
		fd = beneath_open(dir_fd, entry->d_name, O_RDONLY | O_NOFOLLOW);
		if (fd < 0)
			continue;
		files = named ? 1 : files + 1;
		if (found >= 0)
			(void)close(found); /* a better one, or one too many */
		found = TAKE_FD(fd);
		if (named)
			break;
	}
	if (files == 1) {
		*ret_fd = found;
		return 0;
	}
	if (found >= 0)
		(void)close(found); /* read only */
	return fleet_error_set(err, -EINVAL,
		"the archive holds no file named %s at its top, which %s is to be replaced by", u->tree.name,
		u->tree.path);
}

static int copy_plain(int from, int to, struct fleet_error *err)
{
	_cleanup_free_ char *block = xmalloc(BLOCK);
	off_t at = 0;
	ssize_t n;

	while ((n = pread(from, block, BLOCK, at)) != 0) {
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? -errno : fleet_file_write_all(to, block, (size_t)n);
		if (r < 0)
			return fleet_error_errno(err, r, "cannot write the release");
		at += n;
	}
	return 0;
}

static int unpack_file(struct update *u, const struct staged *s, struct fleet_error *err)
{
	_cleanup_close_ int into_fd = -1, program = -1, out = -1, inner = -1,
			    old_fd = beneath_open(
				    u->tree.parent_fd, u->tree.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	struct extract_owner owner;
	struct stat st;
	int r = extract_is_archive(s->fd);

	if (old_fd < 0 || fstat(old_fd, &st) < 0)
		return fleet_error_errno(err, old_fd < 0 ? old_fd : -errno, "cannot open %s", u->tree.path);
	if (r > 0) {
		struct extract_tally tally = {0};

		r = make_unpack(u, &into_fd, err);
		if (r >= 0)
			r = unpack(u, s, into_fd, &tally, err);
		if (r >= 0 && tally.only)
			inner = beneath_open(into_fd, tally.only, O_RDONLY | O_DIRECTORY);
		extract_tally_done(&tally);
		if (r >= 0)
			r = find_program(u, inner >= 0 ? inner : into_fd, &program, err);
	} else if (r == 0) {
		r = extract_check_space(u->tree.work_fd, s->bytes, "the release", err);
	}
	if (r < 0)
		return r;
	out = openat(u->tree.work_fd, TREE_NEW, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return fleet_error_errno(err, -errno, "cannot write the release beside %s", u->tree.path);
	r = FLEET_FAILS("unpack.copy") ? fleet_error_errno(err, -errno, "cannot write the release")
				       : copy_plain(program >= 0 ? program : s->fd, out, err);
	if (r < 0)
		return r;
	extract_owner_find(old_fd, "", &owner);
	owner.mask = 0777; /* as the one before it, whatever that was */
	r = extract_owner_apply(out, &owner, st.st_mode);
	extract_owner_done(&owner);
	if (r >= 0)
		r = FLEET_FAILS("unpack.copied") || fsync(out) < 0 ? -errno : beneath_sync(u->tree.work_fd);
	if (r < 0)
		return fleet_error_errno(err, r, "cannot finish the release beside %s", u->tree.path);
	return tree_hash_file(&u->tree, TREE_NEW, u->sha256, err);
}

/* A release that already says another version than the one asked for is not even tried. */
static int check_version_file(struct update *u, struct fleet_error *err)
{
	const struct app *app = u->op->app;
	size_t len = strlen(u->tree.path), text_len = 0;
	_cleanup_free_ char *path = NULL, *text = NULL, *version = NULL;
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (u->tree.is_file || app->version_kind != APP_VERSION_FILE ||
		strncmp(app->version_source, u->tree.path, len) != 0 || app->version_source[len] != '/')
		return 0;
	if (moves_cover(&u->moves, app->version_source + len + 1))
		return 0; /* it is not the release's */
	path = xasprintf(TREE_NEW "/%s", app->version_source + len + 1);
	fd = beneath_open(u->tree.work_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
		fleet_file_read_fd(fd, path, VERSION_FILE_MAX, &text, &text_len, NULL) < 0)
		return fleet_error_set(err, -ENODATA, "asked for %s, but the release has no version file %s",
			u->to_version, app->version_source + len + 1);
	version = version_of_text(text, text_len);
	if (str_equal(version, u->to_version))
		return 0;
	return fleet_error_set(err, -ENODATA, "asked for %s, but the release's version file says %s",
		u->to_version, update_version_name(version));
}

/* ---- all of it ---- */

static const char *code_of(int code)
{
	switch (code) {
	case -ENOSPC:
	case -EDQUOT:
		return "no-space";
	case -ENODATA:
		return "version-mismatch";
	case -EBADMSG:
	case -EINVAL:
	case -E2BIG:
	case -EFBIG:
	case -ETIMEDOUT:
		return "bad-artifact";
	default:
		return "write-failed";
	}
}

static int fetch(struct update *u, int *ret_fd)
{
	const char *url = fleet_json_string(u->op->args, "artifactUrl");
	_cleanup_free_ char *shown = xstrndup(url, strcspn(url, "?#")), *event = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	char *at = strstr(shown, "://"), *user = at ? strchr(at + 3, '@') : NULL;

	if (user && user < at + 3 + strcspn(at + 3, "/")) /* a password has no place in a log */
		memmove(at + 3, user + 1, strlen(user + 1) + 1);
	event = xasprintf(
		"%s: downloading %s from %s", u->op->app->id, update_version_name(u->to_version), shown);
	if (op_begin_event(u->op, "download", NULL, event, &err) < 0)
		return op_fail(u->op, "internal", "%s", err.message), -EPIPE;
	if (op_fetch(u->op, url, FLEET_ARTIFACT_MAX, FLEET_ARTIFACT_FETCH_S, ret_fd, &err) < 0) {
		op_fail(u->op, "download-failed", "the download failed: %s. Nothing was changed",
			err.message);
		return -EREMOTEIO;
	}
	return 0;
}

static int unpack_step(struct update *u, const struct staged *s, struct fleet_error *err)
{
	struct fleet_error left = FLEET_ERROR_INIT;
	int r;

	if (op_begin(u->op, "unpack", NULL, err) < 0)
		return op_fail(u->op, "internal", "%s", err->message), -EPIPE;
	r = u->tree.is_file ? unpack_file(u, s, err) : unpack_directory(u, s, err);
	if (r >= 0)
		r = check_version_file(u, err);
	if (r < 0) {
		op_fail(u->op, code_of(r), "%s. Nothing was changed", err->message);
		if (tree_remove(&u->tree, TREE_NEW, &left) < 0)
			log_warn("%s", left.message);
	}
	return r;
}

int update_stage(struct update *u)
{
	struct signature_keys keys = {0};
	struct staged s = {.fd = -1};
	_cleanup_close_ int from = -1;
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = fetch(u, &from);

	if (r < 0)
		return r;
	if (op_begin(u->op, "verify", NULL, &err) < 0)
		return op_fail(u->op, "internal", "%s", err.message), -EPIPE;
	r = take_artifact(u->op, from, &s, &err);
	if (r < 0)
		op_fail(u->op, code_of(r), "%s. Nothing was changed", err.message);
	if (r >= 0) {
		r = signature_keys_load(u->op->env->trusted_keys_dir, u->op->env->as_root, &keys, &err);
		if (r < 0)
			op_fail(u->op, "bad-signature", "%s. Nothing was changed", err.message);
	}
	if (r >= 0)
		r = check_trust(u, &s, &keys);
	signature_keys_done(&keys);
	if (r >= 0)
		r = unpack_step(u, &s, &err);
	if (s.fd >= 0)
		(void)close(s.fd); /* a copy that is removed now */
	FLEET_FAILPOINT("stage.over");
	update_clean(u);
	return r;
}
