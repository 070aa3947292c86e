/* Replacing an app's file: what it was in all but its bytes, and whole or not at all wherever the work is cut
 * off. */
#include <ftw.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include "agent/host/before.h"
#include "agent/host/version.h"
#include "driver/safe_file.h"
#include "fleet/file.h"
#include "fleet/log.h"
#include "unit.h"

struct place {
	char dir[48], path[80];
	struct safe_file file;
	struct safe_content content;
};

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs(text, f);
	fclose(f);
}

static void place_init(struct place *p, const char *text)
{
	*p = (struct place){.dir = "/tmp/fleet-safe-XXXXXX"};
	fleet_log_init("test", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	if (!mkdtemp(p->dir))
		abort();
	snprintf(p->path, sizeof(p->path), "%s/app.conf", p->dir);
	if (text)
		write_text(p->path, text);
	CU_ASSERT_EQUAL_FATAL(safe_file_open(p->path, &p->file, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(safe_file_read(&p->file, &p->content, NULL), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void place_done(struct place *p)
{
	safe_file_done(&p->file);
	safe_content_done(&p->content);
	CU_ASSERT_EQUAL(nftw(p->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static bool holds(const char *path, const char *expected)
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	return fleet_file_read(path, 1 << 20, &text, &len, NULL) == 0 && strcmp(text, expected) == 0;
}

static int count_files(const char *dir)
{
	_cleanup_closedir_ DIR *d = opendir(dir);
	int n = -2; /* . and .. */

	while (readdir(d))
		n++;
	return n;
}

static void test_keeps_mode_owner_and_attributes(void)
{
	struct place p;
	struct stat before, after;
	char value[16] = "";
	bool root = geteuid() == 0, attributes;

	place_init(&p, "old\n");
	if (root)
		CU_ASSERT_EQUAL(chown(p.path, 1234, 2345), 0);
	CU_ASSERT_EQUAL(chmod(p.path, 02754), 0);
	attributes = setxattr(p.path, "user.note", "kept", 4, 0) == 0;
	CU_ASSERT_EQUAL(stat(p.path, &before), 0);
	CU_ASSERT_EQUAL(safe_file_replace(&p.file, &p.content, "new\n", 4, "tag", NULL), 0);
	CU_ASSERT_EQUAL(stat(p.path, &after), 0);
	CU_ASSERT_NOT_EQUAL(before.st_ino, after.st_ino);
	CU_ASSERT_EQUAL(before.st_mode, after.st_mode);
	CU_ASSERT_EQUAL(before.st_uid, after.st_uid);
	CU_ASSERT_EQUAL(before.st_gid, after.st_gid);
	if (attributes) {
		CU_ASSERT_EQUAL(getxattr(p.path, "user.note", value, sizeof(value)), 4);
		CU_ASSERT_STRING_EQUAL(value, "kept");
	}
	CU_ASSERT_TRUE(holds(p.path, "new\n"));
	CU_ASSERT_EQUAL(count_files(p.dir), 1);
	place_done(&p);
	if (!attributes)
		unit_skip("this file system has no user attributes; mode and owner were checked");
}

/* The ACL as its extended attribute: version 2, then u::rw- u:1234:r-- g::r-- m::r-- o::---. */
static void test_keeps_acl(void)
{
	static const unsigned char acl[] = {2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 0xd2, 4,
		0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255,
		255, 255};
	unsigned char kept[128];
	struct place p;

	place_init(&p, "old\n");
	if (setxattr(p.path, "system.posix_acl_access", acl, sizeof(acl), 0) < 0) {
		unit_skip("this file system has no ACLs");
	} else {
		CU_ASSERT_EQUAL(safe_file_replace(&p.file, &p.content, "new\n", 4, "tag", NULL), 0);
		CU_ASSERT_EQUAL(getxattr(p.path, "system.posix_acl_access", kept, sizeof(kept)),
			(ssize_t)sizeof(acl));
		CU_ASSERT_EQUAL(memcmp(kept, acl, sizeof(acl)), 0);
	}
	place_done(&p);
}

static void test_somebody_elses_change_stays(void)
{
	struct place p;
	struct fleet_error err = FLEET_ERROR_INIT;

	place_init(&p, "old\n");
	write_text(p.path, "theirs\n");
	CU_ASSERT_EQUAL(safe_file_replace(&p.file, &p.content, "new\n", 4, "tag", &err), -ESTALE);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "was changed by somebody else meanwhile"));
	CU_ASSERT_TRUE(holds(p.path, "theirs\n"));
	CU_ASSERT_EQUAL(safe_file_remove(&p.file, &p.content, &err), -ESTALE);
	CU_ASSERT_EQUAL(count_files(p.dir), 1);
	place_done(&p);
}

/* A file that tells the app's version lies where the app's own user may change what he likes, at any time. */
static void test_a_version_is_not_somebody_elses(void)
{
	static const struct {
		const char *path, *version; /* NULL: none is told */
		bool by_others;
	} cases[] = {
		{"app/release/version", "2.1.0", false},
		{"app//./release/../release/version", "2.1.0", false},
		{"app/current/version", "2.1.0", false}, /* root's link, or the developer's own */
		{"app/absolute/version", "2.1.0", false},
		{"app/again/version", "2.1.0", false},
		{"app/last", NULL, false},
		{"app/loop/version", NULL, false},
		{"app/theirs/version", NULL, true},
		{"app/way/version", NULL, true}, /* root's link, by way of theirs */
		{"app/second", NULL, false},
		{"app/nowhere/version", NULL, false},
		{"app/release", NULL, false},
	};
	static const struct {
		const char *target, *path;
		bool theirs;
	} links[] = {{"release", "current", false}, {"@/app/release/", "absolute", false},
		{"./current/../current", "again", false}, {"release/version", "last", false},
		{"loop", "loop", false}, {"release", "theirs", true}, {"theirs", "way", false}};
	struct place p;

	place_init(&p, "old\n");
	{
		_cleanup_free_ char *app = xasprintf("%s/app", p.dir),
				    *release = xasprintf("%s/release", app),
				    *file = xasprintf("%s/version", release),
				    *other = xasprintf("%s/other", app),
				    *second = xasprintf("%s/second", app);

		CU_ASSERT_EQUAL(mkdir(app, 0755) | mkdir(release, 0755), 0);
		write_text(file, "2.1.0\n");
		write_text(other, "x\n");
		CU_ASSERT_EQUAL(link(other, second), 0);
		for (size_t i = 0; i < FLEET_ARRAY_LEN(links); i++) {
			_cleanup_free_ char *name = xasprintf("%s/%s", app, links[i].path);
			_cleanup_free_ char *target = links[i].target[0] == '@'
							      ? xasprintf("%s%s", p.dir, links[i].target + 1)
							      : xstrdup(links[i].target);

			CU_ASSERT_EQUAL(symlink(target, name), 0);
			if (links[i].theirs && geteuid() == 0)
				CU_ASSERT_EQUAL(lchown(name, 12345, 12345), 0);
		}
	}
	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", p.dir, cases[i].path), *version = NULL;
		struct app app = {.version_kind = APP_VERSION_FILE, .version_source = path};

		if (cases[i].by_others && geteuid() != 0)
			continue; /* nobody else's links can be made */
		CU_ASSERT_EQUAL(version_discover(NULL, &app, &version, NULL) >= 0, cases[i].version != NULL);
		CU_ASSERT(str_equal(version, cases[i].version));
		if (!str_equal(version, cases[i].version))
			printf("# %s: %s\n", cases[i].path, version ? version : "none");
	}
	place_done(&p);
}

static void test_links_are_refused(void)
{
	struct place p;
	struct safe_file through = {.dir_fd = -1};
	struct safe_content content = {0};
	char link[96], inside[128];

	place_init(&p, "old\n");
	/* the file itself becomes a link, as an app's user might arrange */
	CU_ASSERT_EQUAL(unlink(p.path), 0);
	CU_ASSERT_EQUAL(symlink("/etc/passwd", p.path), 0);
	CU_ASSERT_EQUAL(safe_file_read(&p.file, &content, NULL), -ELOOP);
	CU_ASSERT_EQUAL(safe_file_replace(&p.file, &p.content, "new\n", 4, "tag", NULL), -ELOOP);
	CU_ASSERT_EQUAL(count_files(p.dir), 1);
	/* a directory on the way is one */
	snprintf(link, sizeof(link), "%s/way", p.dir);
	snprintf(inside, sizeof(inside), "%s/passwd", link);
	CU_ASSERT_EQUAL(symlink("/etc", link), 0);
	CU_ASSERT_EQUAL(safe_file_open(inside, &through, NULL), -ELOOP);
	/* a second name for some other file */
	CU_ASSERT_EQUAL(unlink(p.path), 0);
	write_text(p.path, "old\n");
	snprintf(link, sizeof(link), "%s/other", p.dir);
	{
		char other[96];

		snprintf(other, sizeof(other), "%s/second", p.dir);
		CU_ASSERT_EQUAL(renameat(-1, p.path, -1, other), 0);
		CU_ASSERT_EQUAL(linkat(-1, other, -1, p.path, 0), 0);
	}
	CU_ASSERT_EQUAL(safe_file_read(&p.file, &content, NULL), -EMLINK);
	place_done(&p);
}

static void test_odd_files(void)
{
	struct place p;
	struct safe_content content = {0};
	_cleanup_free_ char *big = xcalloc(1, (1 << 20) + 2);
	char path[96];
	struct safe_file other = {.dir_fd = -1};

	place_init(&p, NULL);
	CU_ASSERT_FALSE(p.content.exists);
	CU_ASSERT_EQUAL(safe_file_replace(&p.file, &p.content, "made\n", 5, "tag", NULL), 0);
	CU_ASSERT_TRUE(holds(p.path, "made\n"));
	CU_ASSERT_EQUAL(safe_file_read(&p.file, &content, NULL), 0);
	CU_ASSERT_EQUAL(safe_file_remove(&p.file, &content, NULL), 0);
	CU_ASSERT_EQUAL(count_files(p.dir), 0);
	safe_content_done(&content);
	snprintf(path, sizeof(path), "%s/fifo", p.dir);
	CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
	CU_ASSERT_EQUAL(safe_file_open(path, &other, NULL), 0);
	CU_ASSERT_EQUAL(safe_file_read(&other, &content, NULL), -EINVAL); /* and does not wait for a writer */
	safe_file_done(&other);
	memset(big, 'x', (1 << 20) + 1);
	write_text(p.path, big);
	CU_ASSERT_EQUAL(safe_file_read(&p.file, &content, NULL), -EFBIG);
	CU_ASSERT_EQUAL(safe_file_open("relative/file", &other, NULL), -EINVAL);
	CU_ASSERT_EQUAL(safe_file_open("/nonexistent-dir/file", &other, NULL), -ENOENT);
	place_done(&p);
}

/* ---- cut off at each step ---- */

static const char *die_at;

static void die(const char *step)
{
	if (strcmp(step, die_at) == 0)
		_exit(0);
}

static void test_cut_off_at_each_step(void)
{
	static const struct {
		const char *step, *text;
		bool leaves_temp;
	} cases[] = {{"temp", "old\n", false}, {"attributes", "old\n", true}, {"sync", "old\n", true},
		{"rename", "old\n", true}, {"directory", "new\n", false}};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct place p;
		pid_t pid;
		int status = 1;

		place_init(&p, "old\n");
		CU_ASSERT_EQUAL(chmod(p.path, 0640), 0);
		die_at = cases[i].step;
		fflush(NULL);
		pid = fork();
		if (pid == 0) {
			safe_file_step_hook = die;
			_exit(safe_file_replace(&p.file, &p.content, "new\n", 4, "tag", NULL) == 0 ? 98 : 99);
		}
		CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
		CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		CU_ASSERT_TRUE(holds(p.path, cases[i].text));
		CU_ASSERT_EQUAL(count_files(p.dir), cases[i].leaves_temp ? 2 : 1);
		safe_file_clean(&p.file, "tag");
		CU_ASSERT_EQUAL(count_files(p.dir), 1);
		place_done(&p);
	}
}

static void test_key_outlives_replacement(void)
{
	struct place p;
	_cleanup_free_ char *before = NULL, *after = NULL, *other = NULL;
	char path[96];

	place_init(&p, "old\n");
	before = safe_file_key(p.path);
	CU_ASSERT_EQUAL(safe_file_replace(&p.file, &p.content, "new\n", 4, "tag", NULL), 0);
	after = safe_file_key(p.path);
	snprintf(path, sizeof(path), "%s/other.conf", p.dir);
	other = safe_file_key(path);
	CU_ASSERT_STRING_EQUAL(before, after);
	CU_ASSERT_STRING_NOT_EQUAL(before, other);
	place_done(&p);
}

/* ---- files as they were ---- */

static void test_before_is_bounded_and_checked(void)
{
	struct place p;
	struct safe_content back = {0};
	char id[37], path[160];

	place_init(&p, "old\n");
	for (int i = 0; i < BEFORE_KEEP + 3; i++) {
		snprintf(id, sizeof(id), "01890000-0000-7000-8000-%012d", i);
		CU_ASSERT_EQUAL_FATAL(before_save(p.dir, id, "web", "main", &p.content, NULL), 0);
	}
	snprintf(path, sizeof(path), "%s/before", p.dir);
	CU_ASSERT_EQUAL(count_files(path), BEFORE_KEEP);
	CU_ASSERT_EQUAL(
		before_load(p.dir, "01890000-0000-7000-8000-000000000000", "web", "main", &back, NULL),
		-ENOENT);
	/* a command that waited for long is older than all of these, and is undone from its own all the same
	 */
	CU_ASSERT_EQUAL(
		before_save(p.dir, "01890000-0000-7000-8000-000000000000", "web", "main", &p.content, NULL),
		0);
	CU_ASSERT_EQUAL(
		before_load(p.dir, "01890000-0000-7000-8000-000000000000", "web", "main", &back, NULL), 0);
	safe_content_done(&back);
	CU_ASSERT_EQUAL(before_load(p.dir, "../../etc/passwd", "web", "main", &back, NULL), -EINVAL);
	CU_ASSERT_EQUAL(before_load(p.dir, id, "web", "other", &back, NULL), -EINVAL);
	CU_ASSERT_EQUAL(before_load(p.dir, id, "wiki", "main", &back, NULL), -EINVAL);
	CU_ASSERT_EQUAL(before_load(p.dir, id, "web", "main", &back, NULL), 0);
	CU_ASSERT_STRING_EQUAL(back.data, "old\n");
	CU_ASSERT_STRING_EQUAL(back.hash, p.content.hash);
	safe_content_done(&back);
	snprintf(path, sizeof(path), "%s/before/%s", p.dir, id);
	{
		FILE *f = fopen(path, "ae");

		fputs("!", f);
		fclose(f);
	}
	CU_ASSERT_EQUAL(before_load(p.dir, id, "web", "main", &back, NULL), -EBADMSG);
	place_done(&p);
}

int main(void)
{
	static const struct unit_test tests[] = {UNIT_TEST(test_keeps_mode_owner_and_attributes),
		UNIT_TEST(test_keeps_acl), UNIT_TEST(test_somebody_elses_change_stays),
		UNIT_TEST(test_links_are_refused), UNIT_TEST(test_a_version_is_not_somebody_elses),
		UNIT_TEST(test_odd_files), UNIT_TEST(test_cut_off_at_each_step),
		UNIT_TEST(test_key_outlives_replacement), UNIT_TEST(test_before_is_bounded_and_checked), {0}};

	return unit_run((const struct unit_suite[]){{"host safe file", tests}, {0}});
}
