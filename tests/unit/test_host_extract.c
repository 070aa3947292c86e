/* Unpacking releases: what an archive may say, what it may not, what is taken from the tree that runs now;
 * versions and signatures. Archives are written by libarchive here and read by it in the sandboxed process.
 */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include "agent/host/beneath.h"
#include "agent/host/extract.h"
#include "agent/host/extract_path.h"
#include "agent/host/signature.h"
#include "agent/host/update.h"
#include "fleet/clock.h"
#include "fleet/file.h"
#include "fleet/limits.h"
#include "unit.h"

#define DEADLINE_MS 60000

struct lab {
	char dir[64];
	int fd; /* of dir */
};

static void lab_init(struct lab *l)
{
	snprintf(l->dir, sizeof(l->dir), "/tmp/fleet-extract-XXXXXX");
	if (!mkdtemp(l->dir))
		abort();
	l->fd = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT_EQUAL(mkdirat(l->fd, "into", 0700), 0);
	CU_ASSERT_EQUAL(mkdirat(l->fd, "outside", 0755), 0);
}

static void lab_done(struct lab *l)
{
	const char *slash = strrchr(l->dir, '/');
	_cleanup_close_ int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)close(l->fd);
	CU_ASSERT_EQUAL(beneath_remove(tmp, slash + 1), 0);
}

/* ---- archives ---- */

enum how { TAR_GZ, TAR_XZ, TAR_ZST, TAR, ZIP };

struct entry {
	const char *path;
	mode_t type; /* AE_IFREG where 0 */
	const char *link;
	bool hard;
	mode_t perm;
	const char *text;
};

static struct archive *begin_archive(const struct lab *l, enum how how)
{
	_cleanup_free_ char *path = xasprintf("%s/artifact", l->dir);
	struct archive *a = archive_write_new();
	int r = how == TAR_GZ    ? archive_write_add_filter_gzip(a)
		: how == TAR_XZ  ? archive_write_add_filter_xz(a)
		: how == TAR_ZST ? archive_write_add_filter_zstd(a)
				 : ARCHIVE_OK;

	CU_ASSERT_EQUAL_FATAL(r, ARCHIVE_OK);
	CU_ASSERT_EQUAL_FATAL(
		how == ZIP ? archive_write_set_format_zip(a) : archive_write_set_format_pax_restricted(a),
		ARCHIVE_OK);
	(void)archive_write_set_options(a, "hdrcharset=UTF-8");
	CU_ASSERT_EQUAL_FATAL(archive_write_open_filename(a, path), ARCHIVE_OK);
	return a;
}

static void add_entry(struct archive *a, const struct entry *from)
{
	struct archive_entry *e = archive_entry_new();
	size_t len = from->text ? strlen(from->text) : 0;

	archive_entry_set_pathname(e, from->path);
	archive_entry_set_filetype(e, from->type ? from->type : AE_IFREG);
	archive_entry_set_perm(e, from->perm ? from->perm : 0644);
	if (from->type == AE_IFCHR || from->type == AE_IFBLK)
		archive_entry_set_rdev(e, makedev(1, 3));
	if (from->link && from->hard)
		archive_entry_set_hardlink(e, from->link);
	else if (from->link)
		archive_entry_set_symlink(e, from->link);
	archive_entry_set_size(e, (la_int64_t)len);
	CU_ASSERT_TRUE(archive_write_header(a, e) >= ARCHIVE_WARN);
	if (len)
		CU_ASSERT_EQUAL(archive_write_data(a, from->text, len), (la_ssize_t)len);
	archive_entry_free(e);
}

static void end_archive(struct archive *a)
{
	CU_ASSERT_EQUAL(archive_write_close(a), ARCHIVE_OK);
	archive_write_free(a);
}

static void make_archive(const struct lab *l, enum how how, const struct entry *entries, size_t count)
{
	struct archive *a = begin_archive(l, how);

	for (size_t i = 0; i < count && entries[i].path; i++)
		add_entry(a, &entries[i]);
	end_archive(a);
}

static int unpack(const struct lab *l, struct extract_tally *tally, struct fleet_error *err)
{
	_cleanup_close_ int artifact = openat(l->fd, "artifact", O_RDONLY | O_CLOEXEC),
			    into = openat(l->fd, "into", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct extract_order order = {.reader = HOST_UNPACKER, .artifact_fd = artifact, .into_fd = into};
	struct stat st;

	CU_ASSERT_EQUAL(fstat(artifact, &st), 0);
	order.artifact_bytes = st.st_size;
	order.deadline_ms = fleet_clock_monotonic_ms() + DEADLINE_MS;
	return extract_archive(&order, tally, err);
}

static char *read_in(const struct lab *l, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", l->dir, name);
	char *text = NULL;
	size_t len;

	return fleet_file_read(path, 1 << 20, &text, &len, NULL) < 0 ? NULL : text;
}

/* ---- what is taken ---- */

static void test_every_kind_of_archive(void)
{
	static const struct entry entries[] = {
		{.path = "./", .type = AE_IFDIR, .perm = 0755},
		{.path = "./bin/tool", .perm = 0755, .text = "program"},
		{.path = "lib/deep/er/file", .text = "f"},
		{.path = "Gr\xc3\xbc\xc3\x9f"
			 "e.txt",
			.text = "umlauts"},
		{.path = "current", .type = AE_IFLNK, .link = "lib/deep"},
		{.path = "lib/up", .type = AE_IFLNK, .link = "../bin/tool"},
		{.path = "empty/", .type = AE_IFDIR, .perm = 02555},
	};
	static const enum how kinds[] = {TAR_GZ, TAR_XZ, TAR_ZST, TAR, ZIP};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(kinds); i++) {
		struct lab l;
		struct extract_tally tally = {0};
		struct fleet_error err = FLEET_ERROR_INIT;
		_cleanup_free_ char *program = NULL, *umlauts = NULL, *through = NULL;
		struct stat st;
		int r, fd;

		lab_init(&l);
		make_archive(&l, kinds[i], entries, FLEET_ARRAY_LEN(entries));
		fd = openat(l.fd, "artifact", O_RDONLY | O_CLOEXEC);
		CU_ASSERT_EQUAL(extract_is_archive(fd), 1);
		(void)close(fd);
		r = unpack(&l, &tally, &err);
		if (r < 0)
			printf("# kind %zu: %s\n", i, err.message);
		CU_ASSERT_EQUAL(r, 0);
		program = read_in(&l, "into/bin/tool");
		umlauts = read_in(&l, "into/Gr\xc3\xbc\xc3\x9f"
				      "e.txt");
		through = read_in(&l, "into/current/er/file");
		CU_ASSERT_PTR_NOT_NULL(umlauts);
		CU_ASSERT_TRUE(str_equal(program, "program"));
		CU_ASSERT_TRUE(str_equal(through, "f"));
		CU_ASSERT_EQUAL(fstatat(l.fd, "into/bin/tool", &st, 0), 0);
		CU_ASSERT_EQUAL(st.st_mode & 07777, 0755);
		CU_ASSERT_EQUAL(fstatat(l.fd, "into/empty", &st, 0), 0);
		CU_ASSERT_EQUAL(st.st_mode & 07777, 0755);
		CU_ASSERT_PTR_NULL(tally.only);
		extract_tally_done(&tally);
		lab_done(&l);
	}
}

static void test_hard_links_stay_inside(void)
{
	static const struct entry entries[] = {
		{.path = "a/one", .text = "same", .perm = 0755},
		{.path = "b/two", .link = "a/one", .hard = true},
	};
	struct lab l;
	struct extract_tally tally = {0};
	struct stat one, two;

	lab_init(&l);
	make_archive(&l, TAR_GZ, entries, FLEET_ARRAY_LEN(entries));
	CU_ASSERT_EQUAL(unpack(&l, &tally, NULL), 0);
	CU_ASSERT_EQUAL(fstatat(l.fd, "into/a/one", &one, 0), 0);
	CU_ASSERT_EQUAL(fstatat(l.fd, "into/b/two", &two, 0), 0);
	CU_ASSERT_EQUAL(one.st_ino, two.st_ino);
	extract_tally_done(&tally);
	lab_done(&l);
}

static void test_one_directory_holds_it_all(void)
{
	static const struct {
		struct entry entries[4];
		const char *only;
		unsigned slack;
	} cases[] = {
		{{{.path = "app-1/", .type = AE_IFDIR}, {.path = "app-1/x", .text = "x"},
			 {.path = "app-1/b/y"}},
			"app-1", FLEET_ARCHIVE_DEPTH_MAX},
		{{{.path = "app-1/x"}, {.path = "app-2/x"}}, NULL, FLEET_ARCHIVE_DEPTH_MAX},
		{{{.path = "app-1/x"}, {.path = "README"}}, NULL, FLEET_ARCHIVE_DEPTH_MAX},
		{{{.path = "README"}, {.path = "README.d/x"}}, NULL, FLEET_ARCHIVE_DEPTH_MAX},
		{{{.path = "README"}}, NULL, FLEET_ARCHIVE_DEPTH_MAX},
		{{{.path = "app-1/x"}, {.path = "app-1/l", .type = AE_IFLNK, .link = "../other"}}, "app-1",
			0},
		{{{.path = "app-1/d/x"}, {.path = "app-1/d/l", .type = AE_IFLNK, .link = "../x"}}, "app-1",
			1},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct lab l;
		struct extract_tally tally = {0};

		lab_init(&l);
		make_archive(&l, TAR_GZ, cases[i].entries, FLEET_ARRAY_LEN(cases[i].entries));
		CU_ASSERT_EQUAL(unpack(&l, &tally, NULL), 0);
		CU_ASSERT_TRUE(str_equal(tally.only, cases[i].only));
		CU_ASSERT_EQUAL(tally.slack, cases[i].slack);
		extract_tally_done(&tally);
		lab_done(&l);
	}
}

/* ---- what is refused ---- */

static const struct {
	struct entry entries[4];
	const char *why;
} hostile[] = {
	{{{.path = "../evil", .text = "x"}}, "leads out of it"},
	{{{.path = "a/../../evil", .text = "x"}}, "leads out of it"},
	{{{.path = "/etc/evil", .text = "x"}}, "absolute name"},
	{{{.path = "a\nb", .text = "x"}}, "control character"},
	{{{.path = "l", .type = AE_IFLNK, .link = "/etc"}}, "link out of itself"},
	{{{.path = "l", .type = AE_IFLNK, .link = ".."}}, "link out of itself"},
	{{{.path = "a/l", .type = AE_IFLNK, .link = "../../x"}}, "link out of itself"},
	{{{.path = "a/l", .type = AE_IFLNK, .link = "b/../../../x"}}, "link out of itself"},
	/* through a link of its own */
	{{{.path = "a/b/c/up", .type = AE_IFLNK, .link = "../../.."},
		 {.path = "out", .type = AE_IFLNK, .link = "a/b/c/up/../outside"}},
		"link out of itself"},
	{{{.path = "d", .type = AE_IFLNK, .link = "e"}, {.path = "d/f", .text = "x"}},
		"below what is no directory"},
	{{{.path = "f", .text = "x"}, {.path = "f/g", .text = "x"}}, "below what is no directory"},
	{{{.path = "f", .text = "x"}, {.path = "f", .text = "y"}}, "twice"},
	{{{.path = "d/x", .text = "x"}, {.path = "d", .type = AE_IFLNK, .link = "e"}}, "twice"},
	{{{.path = "h", .link = "../outside/secret", .hard = true}}, "leads out of it"},
	{{{.path = "h", .link = "/etc/passwd", .hard = true}}, "absolute name"},
	{{{.path = "h", .link = "nothing", .hard = true}}, "what is no file in it"},
	{{{.path = "d/x", .text = "x"}, {.path = "h", .link = "d", .hard = true}}, "what is no file in it"},
	{{{.path = "l", .type = AE_IFLNK, .link = "x"}, {.path = "h", .link = "l", .hard = true}},
		"what is no file in it"},
	{{{.path = "null", .type = AE_IFCHR}}, "no file, directory or link"},
	{{{.path = "disk", .type = AE_IFBLK}}, "no file, directory or link"},
	{{{.path = "pipe", .type = AE_IFIFO}}, "no file, directory or link"},
	{{{.path = "root", .text = "x", .perm = 04755}}, "setuid"},
	{{{.path = "a/group", .text = "x", .perm = 02755}}, "setgid"},
	{{{.path = EXTRACT_MARKER, .text = "x"}}, "Fleet's own"},
	{{{.path = "app/" EXTRACT_MARKER, .text = "x"}}, "Fleet's own"},
};

static void test_hostile_archives(void)
{
	for (size_t i = 0; i < FLEET_ARRAY_LEN(hostile); i++) {
		struct lab l;
		struct extract_tally tally = {0};
		struct fleet_error err = FLEET_ERROR_INIT;
		struct stat st;

		lab_init(&l);
		make_archive(&l, TAR_GZ, hostile[i].entries, FLEET_ARRAY_LEN(hostile[i].entries));
		CU_ASSERT_EQUAL(unpack(&l, &tally, &err), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, hostile[i].why));
		if (!strstr(err.message, hostile[i].why))
			printf("# case %zu: %s\n", i, err.message);
		CU_ASSERT_EQUAL(fstatat(l.fd, "evil", &st, AT_SYMLINK_NOFOLLOW), -1);
		CU_ASSERT_EQUAL(fstatat(l.fd, "outside/secret", &st, AT_SYMLINK_NOFOLLOW), -1);
		lab_done(&l);
	}
}

/* Two shapes of a bomb: far more bytes than the artifact has, and more entries than any release. */
static void test_bombs(void)
{
	struct lab l;
	struct extract_tally tally = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	struct archive *a;
	struct archive_entry *e = archive_entry_new();
	char *zeros = xcalloc(1, 1 << 20);

	lab_init(&l);
	a = begin_archive(&l, TAR_XZ);
	archive_entry_set_pathname(e, "zeros");
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_size(e, INT64_C(300) << 20);
	CU_ASSERT_EQUAL(archive_write_header(a, e), ARCHIVE_OK);
	for (int i = 0; i < 300; i++)
		CU_ASSERT_EQUAL(archive_write_data(a, zeros, 1 << 20), 1 << 20);
	archive_entry_free(e);
	end_archive(a);
	CU_ASSERT_EQUAL(unpack(&l, &tally, &err), -E2BIG);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "decompression bomb"));
	lab_done(&l);

	lab_init(&l);
	a = begin_archive(&l, TAR_ZST);
	for (int i = 0; i <= FLEET_ARCHIVE_ENTRIES_MAX; i++) {
		char name[] = "d/"; /* the same one again: what counts is that the archive says it */
		const struct entry one = {.path = name, .type = AE_IFDIR, .perm = 0755};

		add_entry(a, &one);
	}
	end_archive(a);
	CU_ASSERT_EQUAL(unpack(&l, &tally, &err), -E2BIG);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "entries"));
	lab_done(&l);
	free(zeros);
}

static void test_damaged_archives(void)
{
	static const struct entry entries[] = {
		{.path = "a", .text = "some text that is compressed"}, {.path = "b", .text = "x"}};
	struct lab l;
	struct stat st;
	off_t size;

	lab_init(&l);
	make_archive(&l, TAR_GZ, entries, FLEET_ARRAY_LEN(entries));
	CU_ASSERT_EQUAL(fstatat(l.fd, "artifact", &st, 0), 0);
	size = st.st_size;
	lab_done(&l);
	/* cut at every eighth, and one byte turned over at each */
	for (int i = 0; i < 16; i++) {
		struct extract_tally tally = {0};
		struct fleet_error err = FLEET_ERROR_INIT;
		off_t at = size * (i % 8) / 8;
		int fd, r;

		lab_init(&l);
		make_archive(&l, TAR_GZ, entries, FLEET_ARRAY_LEN(entries));
		fd = openat(l.fd, "artifact", O_RDWR | O_CLOEXEC);
		if (i < 8) {
			CU_ASSERT_EQUAL(ftruncate(fd, at), 0);
		} else {
			char c = 0;

			CU_ASSERT_EQUAL(pread(fd, &c, 1, at), 1);
			c = (char)~c;
			CU_ASSERT_EQUAL(pwrite(fd, &c, 1, at), 1);
		}
		(void)close(fd);
		r = unpack(&l, &tally, &err);
		/* gzip's own header has bytes that mean nothing to anybody */
		CU_ASSERT_TRUE(r == -EBADMSG || (r == 0 && i >= 8 && at < 10));
		if (r != -EBADMSG && r != 0)
			printf("# cut or turned at %lld of %lld: %d %s\n", (long long)at, (long long)size, r,
				err.message);
		extract_tally_done(&tally);
		lab_done(&l);
	}
}

static void test_links_by_the_table(void)
{
	static const struct {
		const char *path, *target;
		int slack; /* -1: refused */
	} cases[] = {
		{"l", "a", 0},
		{"l", "./a/b", 0},
		{"l", "a/../b", -1},
		{"l", "..", -1},
		{"l", "", -1},
		{"l", "/", -1},
		{"a/l", "..", 0},
		{"a/l", "../b", 0},
		{"a/l", "../..", -1},
		{"a/b/l", "../x/y", 1},
		{"a/b/l", "./../x", 1},
		{"a/b/l", "x/..", -1},
		{"a/b/l", "..//..//x", 0},
		{"a/b/l", ".../x", 2},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		unsigned slack = 99;
		int r = extract_path_check_link(cases[i].path, cases[i].target, &slack, NULL);

		CU_ASSERT_EQUAL(r, cases[i].slack < 0 ? -EINVAL : 0);
		if (cases[i].slack >= 0)
			CU_ASSERT_EQUAL(slack, (unsigned)cases[i].slack);
	}
}

/* ---- dress ---- */

static void put(const struct lab *l, const char *path, mode_t mode)
{
	int fd = openat(l->fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(fchmod(fd, mode), 0);
	(void)close(fd);
}

static void test_owners_and_modes_of_the_old_tree(void)
{
	static const struct {
		const char *path;
		mode_t mode; /* of it in the archive, and of it afterwards */
		mode_t then;
		bool owned;
	} cases[] = {
		{"into/new", 0666, 0640, false},
		{"into/program", 0755, 0750, true},
		{"into/secret", 0644, 0600, true},
		{"into/sub/other", 0755, 0750, false},
	};
	static const unsigned char caps[] = {1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
	struct lab l;
	_cleanup_close_ int into = -1, old = -1;
	struct stat st;
	bool with_caps = false;

	lab_init(&l);
	CU_ASSERT_EQUAL(mkdirat(l.fd, "old", 0750), 0);
	CU_ASSERT_EQUAL(fchmodat(l.fd, "old", 0750, 0), 0);
	CU_ASSERT_EQUAL(mkdirat(l.fd, "into/sub", 0755), 0);
	put(&l, "old/program", 0755);
	put(&l, "old/secret", 0600);
	if (geteuid() == 0) {
		CU_ASSERT_EQUAL(fchownat(l.fd, "old/program", 4711, 4712, 0), 0);
		CU_ASSERT_EQUAL(fchownat(l.fd, "old/secret", 4711, 4712, 0), 0);
		CU_ASSERT_EQUAL(fchownat(l.fd, "old", 4713, 4714, 0), 0);
		_cleanup_free_ char *path = xasprintf("%s/old/program", l.dir);

		with_caps = setxattr(path, "security.capability", caps, sizeof(caps), 0) == 0;
	}
	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++)
		put(&l, cases[i].path, cases[i].mode);
	into = openat(l.fd, "into", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	old = openat(l.fd, "old", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT_EQUAL(extract_dress(into, old, NULL), 0);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		CU_ASSERT_EQUAL(fstatat(l.fd, cases[i].path, &st, 0), 0);
		CU_ASSERT_EQUAL(st.st_mode & 07777, cases[i].then);
		if (geteuid() == 0)
			CU_ASSERT_EQUAL(st.st_uid, cases[i].owned ? 4711u : 4713u);
	}
	CU_ASSERT_EQUAL(fstat(into, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0750);
	if (with_caps) {
		_cleanup_free_ char *path = xasprintf("%s/into/program", l.dir);
		unsigned char value[64];

		CU_ASSERT_EQUAL(
			getxattr(path, "security.capability", value, sizeof(value)), (ssize_t)sizeof(caps));
		CU_ASSERT_EQUAL(memcmp(value, caps, sizeof(caps)), 0);
	}
	lab_done(&l);
}

/* ---- versions ---- */

static void test_versions_in_order(void)
{
	/* each older than the next */
	static const char *const order[] = {"0.9", "1.0-alpha", "1.0-rc1", "1.0-rc2", "1.0-rc10", "1.0",
		"1.0.1", "1.2", "1.10", "2.0b1", "2.0~beta", "2.0", "v2.1", "2.1.0.1", "10.0", "2026.11.24"};
	static const struct {
		const char *a, *b;
	} same[] = {{"1.0", "v1.0"}, {"1.02", "1.2"}, {"1.0", "1.0."}, {"2-1", "2-1"}, {"x", "x"}};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(order); i++) {
		for (size_t k = 0; k < FLEET_ARRAY_LEN(order); k++) {
			int expected = i < k ? -1 : i > k;

			CU_ASSERT_EQUAL(update_version_compare(order[i], order[k]), expected);
			if (update_version_compare(order[i], order[k]) != expected)
				printf("# %s, %s\n", order[i], order[k]);
		}
	}
	for (size_t i = 0; i < FLEET_ARRAY_LEN(same); i++)
		CU_ASSERT_EQUAL(update_version_compare(same[i].a, same[i].b), 0);
}

/* ---- signatures ---- */

/* Runs minisign in the lab's directory; false where there is none. */
static bool minisign(const struct lab *l, const char *const *arguments)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		if (chdir(l->dir) < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
			_exit(127);
		execvp("minisign", (char *const *)(uintptr_t)arguments);
		_exit(127);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void hash_file(const struct lab *l, const char *name, unsigned char blake2b[HASH_BLAKE2B_LEN])
{
	_cleanup_(hash_stream_freep) struct hash_stream *hash = hash_stream_new();
	_cleanup_free_ char *text = read_in(l, name);
	char sha256[FLEET_SHA256_HEX];

	hash_stream_add(hash, text, strlen(text));
	hash_stream_end(hash, sha256, blake2b);
}

static void write_in(const struct lab *l, const char *name, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", l->dir, name);

	CU_ASSERT_EQUAL(fleet_file_write_durable(path, text, strlen(text), 0644, NULL), 0);
}

static char *replaced(const char *text, const char *what, const char *with)
{
	const char *at = strstr(text, what);

	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	return xasprintf("%.*s%s%s", (int)(at - text), text, with, at + strlen(what));
}

static void test_signatures_of_minisign(void)
{
	static const char *const make_key[] = {
		"minisign", "-G", "-W", "-f", "-p", "keys/ours.pub", "-s", "ours.key", NULL};
	static const char *const make_other[] = {
		"minisign", "-G", "-W", "-f", "-p", "other.pub", "-s", "other.key", NULL};
	static const char *const sign[] = {
		"minisign", "-S", "-H", "-s", "ours.key", "-m", "artifact", "-t", "web 2.1.0", NULL};
	static const char *const sign_other[] = {
		"minisign", "-S", "-H", "-s", "other.key", "-m", "artifact", "-x", "other.sig", NULL};
	struct lab l;
	struct signature_keys keys = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	unsigned char hash[HASH_BLAKE2B_LEN], wrong[HASH_BLAKE2B_LEN];
	_cleanup_free_ char *dir = NULL, *good = NULL, *other = NULL, *comment = NULL, *forged = NULL,
			    *unhashed = NULL;

	lab_init(&l);
	dir = xasprintf("%s/keys", l.dir);
	CU_ASSERT_EQUAL(signature_keys_load(dir, false, &keys, &err), 0); /* no directory: no demand */
	CU_ASSERT_EQUAL(keys.count, 0);
	CU_ASSERT_EQUAL(mkdirat(l.fd, "keys", 0755), 0);
	write_in(&l, "artifact", "the release's bytes");
	if (!minisign(&l, make_key)) {
		lab_done(&l);
		unit_skip("minisign is not installed");
		return;
	}
	CU_ASSERT_TRUE_FATAL(minisign(&l, make_other) && minisign(&l, sign) && minisign(&l, sign_other));
	CU_ASSERT_EQUAL_FATAL(signature_keys_load(dir, false, &keys, &err), 0);
	CU_ASSERT_EQUAL(keys.count, 1);
	good = read_in(&l, "artifact.minisig");
	other = read_in(&l, "other.sig");
	hash_file(&l, "artifact", hash);
	CU_ASSERT_EQUAL(signature_verify(&keys, good, hash, &comment, &err), 0);
	CU_ASSERT_STRING_EQUAL(comment, "web 2.1.0");

	memcpy(wrong, hash, sizeof(wrong));
	wrong[5] ^= 1;
	CU_ASSERT_EQUAL(signature_verify(&keys, good, wrong, NULL, &err), -EKEYREJECTED);
	CU_ASSERT_EQUAL(signature_verify(&keys, other, hash, NULL, &err), -ENOKEY);
	forged = replaced(good, "web 2.1.0", "web 2.2.0");
	CU_ASSERT_EQUAL(signature_verify(&keys, forged, hash, NULL, &err), -EKEYREJECTED);
	unhashed = replaced(good, "\nRU", "\nRW"); /* "Ed" for "ED" */
	CU_ASSERT_EQUAL(signature_verify(&keys, unhashed, hash, NULL, &err), -EBADMSG);
	for (size_t cut = 0; cut < strlen(good) - 1; cut += 7) {
		_cleanup_free_ char *part = xstrndup(good, cut);

		CU_ASSERT_TRUE(signature_verify(&keys, part, hash, NULL, &err) < 0);
	}
	signature_keys_done(&keys);
	write_in(&l, "keys/broken.pub", "not a key\n");
	CU_ASSERT_EQUAL(signature_keys_load(dir, false, &keys, &err), -EBADMSG);
	lab_done(&l);
}

int main(void)
{
	static const struct unit_test extract[] = {UNIT_TEST(test_every_kind_of_archive),
		UNIT_TEST(test_hard_links_stay_inside), UNIT_TEST(test_one_directory_holds_it_all),
		UNIT_TEST(test_hostile_archives), UNIT_TEST(test_bombs), UNIT_TEST(test_damaged_archives),
		UNIT_TEST(test_links_by_the_table), UNIT_TEST(test_owners_and_modes_of_the_old_tree), {0}};
	static const struct unit_test trust[] = {
		UNIT_TEST(test_versions_in_order), UNIT_TEST(test_signatures_of_minisign), {0}};

	(void)setlocale(LC_CTYPE, "C.UTF-8"); /* for the names that libarchive writes */
	return unit_run((const struct unit_suite[]){{"extract", extract}, {"trust", trust}, {0}});
}
