#include "agent/host/extract.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include "agent/host/beneath.h"
#include "agent/host/extract_path.h"
#include "agent/host/extract_reader.h"
#include "agent/unpack/wire.h"
#include "fleet/clock.h"
#include "fleet/failpoint.h"
#include "fleet/file.h"
#include "fleet/limits.h"

#define SPACE_EVERY  (INT64_C(8) * 1024 * 1024) /* bytes between two looks at the room that is left */
#define PROGRESS_MS  500
#define NAME_LEN_MAX (FLEET_PATH_LEN_MAX * 2)

struct unpacking {
	const struct extract_order *order;
	struct extract_tally tally;
	pid_t reader;
	int pipe;
	int64_t unchecked; /* bytes since the room was looked at */
	int64_t told_ms;
	bool many; /* more than one entry at the top, or one that is no directory */
	char chunk[EXTRACT_CHUNK_MAX];
};

/* ---- from the reader ---- */

static int reader_died(struct unpacking *u, struct fleet_error *err)
{
	int status = 0;
	pid_t pid = TAKE_FD(u->reader);

	(void)waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		return fleet_error_set(err, -EBADMSG,
			"reading the archive crashed (SIG%s): it is damaged, or made to do that",
			sigabbrev_np(WTERMSIG(status)));
	return fleet_error_set(err, -EBADMSG, "the archive could not be read to its end");
}

static int get(struct unpacking *u, void *data, size_t len, struct fleet_error *err)
{
	char *p = data;

	while (len > 0) {
		struct pollfd poll_fd = {.fd = u->pipe, .events = POLLIN};
		int64_t left = u->order->deadline_ms - fleet_clock_monotonic_ms();
		ssize_t n;

		if (left <= 0)
			return fleet_error_set(err, -ETIMEDOUT, "unpacking the archive takes too long");
		if (poll(&poll_fd, 1, left > 1000 ? 1000 : (int)left) == 0)
			continue;
		n = read(u->pipe, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return reader_died(u, err);
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int get_text(struct unpacking *u, uint32_t len, char **ret, struct fleet_error *err)
{
	_cleanup_free_ char *text = NULL;
	int r;

	if (len > NAME_LEN_MAX)
		return fleet_error_set(err, -EINVAL, "the archive holds a name of %u bytes", len);
	text = xmalloc((size_t)len + 1);
	r = get(u, text, len, err);
	if (r < 0)
		return r;
	text[len] = '\0';
	if (strlen(text) != len)
		return fleet_error_set(err, -EINVAL, "the archive holds a name with a NUL in it");
	*ret = TAKE_PTR(text);
	return 0;
}

static int tell_damage(const char *why, struct fleet_error *err)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "%s", why);
	fleet_text_sanitize(text);
	return fleet_error_set(err, -EBADMSG, "the artifact cannot be unpacked: %s", text);
}

/* ---- to the disk ---- */

static int cannot(struct fleet_error *err, int code, const char *path)
{
	if (code == -EEXIST)
		return fleet_error_set(err, -EINVAL, "the archive holds '%.200s' twice", path);
	if (code == -ELOOP || code == -ENOTDIR)
		return fleet_error_set(
			err, -EINVAL, "the archive holds '%.200s' below what is no directory", path);
	return fleet_error_errno(err, code, "cannot write '%.200s'", path);
}

static int make_directory(const struct unpacking *u, const char *path, mode_t mode, struct fleet_error *err);

/* The directory that path lies in; made where the archive did not name it. */
static int open_parent(
	const struct unpacking *u, const char *path, const char **ret_name, struct fleet_error *err)
{
	int fd = beneath_open_parent(u->order->into_fd, path, ret_name);

	if (fd == -ENOENT) {
		const char *slash = strrchr(path, '/');
		_cleanup_free_ char *dir = xstrndup(path, (size_t)(slash - path));
		int r = make_directory(u, dir, 0755, err);

		if (r < 0)
			return r;
		fd = beneath_open_parent(u->order->into_fd, path, ret_name);
	}
	return fd < 0 ? cannot(err, fd, path) : fd;
}

static int make_directory(const struct unpacking *u, const char *path, mode_t mode, struct fleet_error *err)
{
	const char *name = NULL;
	_cleanup_close_ int parent = -1, fd = -1;

	if (!*path)
		return 0; /* the root is there */
	parent = open_parent(u, path, &name, err);
	if (parent < 0)
		return parent;
	if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		return cannot(err, -errno, path);
	fd = beneath_open(parent, name, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return cannot(err, fd, path);
	return fchmod(fd, (mode & 0777) | 0700) < 0 ? cannot(err, -errno, path) : 0;
}

static int count_bytes(struct unpacking *u, uint32_t len, struct fleet_error *err)
{
	u->tally.bytes += len;
	u->unchecked += len;
	if (u->tally.bytes > FLEET_ARCHIVE_UNPACKED_MAX)
		return fleet_error_set(err, -E2BIG, "the archive unpacks to more than %lld GB",
			(long long)(FLEET_ARCHIVE_UNPACKED_MAX / 1000000000));
	if (u->tally.bytes > u->order->artifact_bytes * FLEET_ARCHIVE_RATIO_MAX + FLEET_ARCHIVE_RATIO_SLACK)
		return fleet_error_set(err, -E2BIG,
			"the archive unpacks to more than %d times its size: it looks like a decompression "
			"bomb",
			FLEET_ARCHIVE_RATIO_MAX);
	if (u->unchecked < SPACE_EVERY)
		return 0;
	u->unchecked = 0;
	return extract_check_space(u->order->into_fd, SPACE_EVERY, "the unpacked release", err);
}

static int take_error(struct unpacking *u, struct fleet_error *err)
{
	_cleanup_free_ char *why = NULL;
	struct extract_head head = {0};
	int r = get(u, &head, sizeof(head), err);

	if (r >= 0)
		r = get_text(u, head.path_len, &why, err);
	return r < 0 ? r : tell_damage(why, err);
}

static int write_file(struct unpacking *u, const char *path, mode_t mode, struct fleet_error *err)
{
	const char *name = NULL;
	_cleanup_close_ int parent = open_parent(u, path, &name, err), fd = -1;
	int r;

	if (parent < 0)
		return parent;
	if (mode & (S_ISUID | S_ISGID)) /* without the bit it would be another program than was meant */
		return fleet_error_set(err, -EINVAL,
			"the archive's '%.200s' is setuid or setgid, which no release may bring: pack it "
			"without, and let "
			"the server's admin give the old version's file capabilities, which a release keeps",
			path);
	fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return cannot(err, -errno, path);
	for (;;) {
		uint32_t len = 0;

		r = get(u, &len, sizeof(len), err);
		if (r < 0)
			return r;
		if (len == EXTRACT_CHUNK_ERROR)
			return take_error(u, err);
		if (len > EXTRACT_CHUNK_MAX)
			return fleet_error_set(err, -EBADMSG, "the archive's reader broke its rules");
		if (len == 0)
			break;
		r = get(u, u->chunk, len, err);
		if (r >= 0)
			r = count_bytes(u, len, err);
		if (r < 0)
			return r;
		r = fleet_file_write_all(fd, u->chunk, len);
		if (r < 0)
			return cannot(err, r, path);
	}
	return fchmod(fd, mode & 0777) < 0 ? cannot(err, -errno, path) : 0;
}

static int make_symlink(struct unpacking *u, const char *path, const char *target, struct fleet_error *err)
{
	const char *name = NULL;
	_cleanup_close_ int parent = -1;
	unsigned slack = 0;
	int r = extract_path_check_link(path, target, &slack, err);

	if (r < 0)
		return r;
	if (slack < u->tally.slack)
		u->tally.slack = slack;
	parent = open_parent(u, path, &name, err);
	if (parent < 0)
		return parent;
	return symlinkat(target, parent, name) < 0 ? cannot(err, -errno, path) : 0;
}

/* To a file that this archive brought before, and to nothing else. */
static int make_hardlink(
	struct unpacking *u, const char *path, const char *target_name, struct fleet_error *err)
{
	_cleanup_free_ char *target = NULL;
	const char *from_name = NULL, *name = NULL;
	_cleanup_close_ int from = -1, parent = -1;
	struct stat st;
	int r = extract_path_clean(target_name, &target, err);

	if (r < 0)
		return fleet_error_wrap(err, "a hard link");
	from = *target ? beneath_open_parent(u->order->into_fd, target, &from_name) : -EISDIR;
	if (from < 0 || fstatat(from, from_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return fleet_error_set(err, -EINVAL,
			"the archive holds a hard link '%.200s' to what is no file in it: '%.200s'", path,
			target);
	parent = open_parent(u, path, &name, err);
	if (parent < 0)
		return parent;
	return linkat(from, from_name, parent, name, 0) < 0 ? cannot(err, -errno, path) : 0;
}

/* ---- entries ---- */

/* Is everything in one directory? */
static void note_top(struct unpacking *u, const char *path, bool directory)
{
	size_t len = strcspn(path, "/");

	if (!*path || u->many)
		return;
	if (!u->tally.only && (directory || path[len]))
		u->tally.only = xstrndup(path, len);
	else if (!u->tally.only || strlen(u->tally.only) != len || strncmp(u->tally.only, path, len) != 0 ||
		 (!path[len] && !directory))
		u->many = true;
}

static bool is_marker(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strcmp(slash ? slash + 1 : path, EXTRACT_MARKER) == 0;
}

static int take_entry(struct unpacking *u, const struct extract_head *head, const char *name,
	const char *link, struct fleet_error *err)
{
	_cleanup_free_ char *path = NULL;
	int r = extract_path_clean(name, &path, err);

	if (r < 0)
		return r;
	if (++u->tally.entries > FLEET_ARCHIVE_ENTRIES_MAX)
		return fleet_error_set(
			err, -E2BIG, "the archive holds more than %d entries", FLEET_ARCHIVE_ENTRIES_MAX);
	if (is_marker(path))
		return fleet_error_set(err, -EINVAL,
			"the archive holds a file named " EXTRACT_MARKER ", which is Fleet's own");
	note_top(u, path, head->kind == EXTRACT_DIRECTORY);
	if (!*path && head->kind != EXTRACT_DIRECTORY)
		return fleet_error_set(err, -EINVAL, "the archive holds a file without a name");
	switch (head->kind) {
	case EXTRACT_DIRECTORY:
		return make_directory(u, path, head->mode, err);
	case EXTRACT_FILE:
		return write_file(u, path, head->mode, err);
	case EXTRACT_SYMLINK:
		return make_symlink(u, path, link, err);
	case EXTRACT_HARDLINK:
		return make_hardlink(u, path, link, err);
	default:
		return fleet_error_set(err, -EINVAL,
			"the archive holds '%.200s', which is no file, directory or link (a device, perhaps)",
			path);
	}
}

static void tell_progress(struct unpacking *u, uint64_t packed)
{
	int64_t now = fleet_clock_monotonic_ms();

	if (!u->order->progress || u->order->artifact_bytes <= 0 || now < u->told_ms + PROGRESS_MS)
		return;
	u->told_ms = now;
	u->order->progress((int)(packed * 100 / (uint64_t)u->order->artifact_bytes), u->order->arg);
}

/* 1: the end. */
static int take_one(struct unpacking *u, struct fleet_error *err)
{
	_cleanup_free_ char *name = NULL, *link = NULL;
	struct extract_head head = {0};
	int r = get(u, &head, sizeof(head), err);

	if (r >= 0)
		r = get_text(u, head.path_len, &name, err);
	if (r >= 0)
		r = get_text(u, head.link_len, &link, err);
	if (r < 0)
		return r;
	if (head.kind == EXTRACT_END)
		return 1;
	if (head.kind == EXTRACT_ERROR)
		return tell_damage(name, err);
	tell_progress(u, head.packed);
	if (FLEET_FAILS("unpack.entry"))
		return cannot(err, -errno, name);
	return take_entry(u, &head, name, link, err);
}

int extract_archive(const struct extract_order *order, struct extract_tally *ret, struct fleet_error *err)
{
	struct unpacking *u = xcalloc(1, sizeof(*u)); /* its chunk is large */
	int r = extract_check_space(order->into_fd, order->artifact_bytes, "the unpacked release", err);

	u->order = order;
	u->tally.slack = FLEET_ARCHIVE_DEPTH_MAX;
	u->pipe = u->reader = -1;
	if (r >= 0)
		r = extract_reader_start(order->reader, order->artifact_fd, &u->reader, &u->pipe, err);
	while (r == 0)
		r = take_one(u, err);
	if (r > 0 && u->tally.entries == 0)
		r = fleet_error_set(err, -EBADMSG, "the archive is empty");
	if (u->reader > 0) {
		(void)kill(u->reader, SIGKILL);
		(void)waitpid(u->reader, NULL, 0);
	}
	if (u->pipe >= 0)
		(void)close(u->pipe); /* all that matters was read */
	if (u->many) {
		free(u->tally.only);
		u->tally.only = NULL;
	}
	if (r < 0)
		extract_tally_done(&u->tally);
	else
		*ret = u->tally;
	free(u);
	return r < 0 ? r : 0;
}

void extract_tally_done(struct extract_tally *t)
{
	free(t->only);
	t->only = NULL;
}

int extract_is_archive(int artifact_fd)
{
	static const struct {
		off_t at;
		size_t len;
		const char *magic;
	} known[] = {{0, 2, "\x1f\x8b"},
		{0, 6,
			"\xfd"
			"7zXZ"},
		{0, 4, "\x28\xb5\x2f\xfd"}, {0, 4, "PK\x03\x04"}, {257, 5, "ustar"}};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(known); i++) {
		char bytes[8] = "";
		ssize_t n = pread(artifact_fd, bytes, known[i].len, known[i].at);

		if (n < 0)
			return -errno;
		if ((size_t)n == known[i].len && memcmp(bytes, known[i].magic, known[i].len) == 0)
			return 1;
	}
	return 0;
}
