/* What is an app's own in its tree, through updates: links, mounts, names that are something else, what
 * cannot be looked at. It comes along or back, or the update says why it cannot. */
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "agent/host/update_moves.h"
#include "host_update_lab.h"
#include "unit.h"

static void set_descriptors(rlim_t count)
{
	struct rlimit limit;

	CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = count ? count : limit.rlim_max;
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* No descriptor is left to look with: that is told, and not taken for there being nothing to carry. */
static void test_want_of_descriptors_is_no_absence(void)
{
	struct fixture f;
	struct tree tree = TREE_INIT;
	char data[] = "data";
	struct move item = {.path = data, .existed = true};
	struct moves moves = {.items = &item, .count = 1};
	struct fleet_error err = FLEET_ERROR_INIT;
	_cleanup_free_ char *path = NULL;

	lab_install(&f, "");
	path = xasprintf("%s/app", f.dir);
	CU_ASSERT_EQUAL_FATAL(tree_open(path, -1, &tree, &err), 0);
	CU_ASSERT_EQUAL(mkdirat(tree.work_fd, TREE_NEW, 0700), 0);
	set_descriptors((rlim_t)tree.work_fd + 1);
	CU_ASSERT_EQUAL(moves_check(&tree, &moves, &err), -EMFILE);
	CU_ASSERT_EQUAL(moves_decide(&tree, &moves, &err), -EMFILE);
	CU_ASSERT_EQUAL(moves_carry(&tree, &moves, &err), -EMFILE);
	CU_ASSERT_TRUE(item.existed);
	set_descriptors(0);
	CU_ASSERT_EQUAL(moves_carry(&tree, &moves, &err), 0);
	CU_ASSERT_FALSE(lab_exists(&f, "app/data"));
	set_descriptors((rlim_t)tree.work_fd + 1);
	CU_ASSERT_EQUAL(moves_return(&tree, &moves, false, &err), -EMFILE);
	set_descriptors(0);
	CU_ASSERT_EQUAL(moves_return(&tree, &moves, false, &err), 0);
	lab_assert_file(&f, "app/data/db", "what the app wrote");
	tree_done(&tree);
	fixture_done(&f);
}

static void set_preserve(const struct fixture *f, const char *list)
{
	static const char usual[] = "[data/, logs]";
	_cleanup_free_ char *text = fixture_read(f, "apps.d/web.yaml"), *changed = NULL;
	const char *at = text ? strstr(text, usual) : NULL;

	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	changed = xasprintf("%.*s%s%s", (int)(at - text), text, list, at + strlen(usual));
	fixture_write(f, "apps.d/web.yaml", changed);
}

/* A preserved name that is a link to what would stay behind, or lies beyond a link, is refused before
 * anything is done; one to what is preserved as well, or lies elsewhere, moves as the link that it is. */
static void test_preserved_links(void)
{
	static const struct {
		const char *preserve, *link, *target, *message;
	} cases[] = {
		{"[data, cache/]", "cache", "bin", "is a link to bin in it"},
		{"[data, cache]", "cache", "./bin/", "is a link to ./bin/ in it"},
		{"[data, cache/deep]", "cache", "data", "lies beyond a link"},
		{"[data, cache]", "cache", "data", NULL}, {"[data, cache]", "cache", "data/deep", NULL},
		{"[data, cache]", "cache", "../shared", NULL},
		{"[data, cache]", "cache", "/var/cache/web", NULL},
		{"[data, cache]", "cache", "", NULL}, /* the tree's own path and /bin: see below */
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL, *text = NULL, *changed = NULL, *path = NULL,
				    *own = NULL;
		bool whole = !*cases[i].target;

		lab_install(&f, "");
		set_preserve(&f, cases[i].preserve);
		path = xasprintf("%s/app/%s", f.dir, cases[i].link);
		own = xasprintf("%s/app/bin", f.dir);
		CU_ASSERT_EQUAL(symlink(whole ? own : cases[i].target, path), 0);
		f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
		fixture_start(&f);
		result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
		if (cases[i].message || whole) {
			CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), "not-supported");
			CU_ASSERT_PTR_NOT_NULL(strstr(
				lab_message(result), whole ? "is a link to bin in it" : cases[i].message));
			CU_ASSERT_EQUAL(f.fetches, 0);
			lab_assert_whole(&f, false);
		} else {
			CU_ASSERT_TRUE(fleet_json_bool(result, "success", false));
			lab_assert_whole(&f, true);
		}
		if (CU_get_number_of_failures() > 0)
			printf("# case %zu: %s\n", i, json_object_to_json_string(result));
		fixture_done(&f);
	}
}

/* What is preserved hides no version file whose name only begins like it. */
static void test_version_file_beside_a_preserved_name(void)
{
	static const struct {
		const char *preserve;
		bool stopped;
	} cases[] = {{"[data, vers]", false}, {"[data, version]", true}};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL;

		lab_install(&f, "");
		set_preserve(&f, cases[i].preserve);
		f.artifact = artifact = lab_make_release(&f, "2.0.9\n", "ok\n");
		fixture_start(&f);
		result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
		CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), "version-mismatch");
		CU_ASSERT_EQUAL(lab_exists(&f, "web.calls"), cases[i].stopped);
		lab_assert_whole(&f, false);
		fixture_done(&f);
	}
}

/* A release makes a link of what is preserved, and is rolled back: what the link leads to is the app's, too.
 */
static void test_preserved_directory_that_becomes_a_link(void)
{
	static const char *const preserve[] = {"[data]", "[data/db]"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(preserve); i++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL;

		lab_install(&f, "");
		set_preserve(&f, preserve[i]);
		f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "crash=yes\nrelink=yes\n");
		fixture_start(&f);
		result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
		CU_ASSERT_FALSE(fleet_json_bool(result, "success", true));
		CU_ASSERT_TRUE(fleet_json_bool(result, "rolledBack", false));
		CU_ASSERT_PTR_NOT_NULL(strstr(lab_message(result), "is kept as left in .app.fleet"));
		lab_assert_file(&f, "app/bin/web", "old program");
		lab_assert_file(&f, ".app.fleet/left/data.v2/db", "what the app wrote");
		lab_assert_running(&f);
		if (CU_get_number_of_failures() > 0)
			lab_explain(result);
		fixture_done(&f);
	}
}

/* What an earlier operation could not bring back is set aside by the next one, also where that dies before.
 */
static void test_what_was_stranded_outlives_a_death(void)
{
	for (int host = 0; host < 2; host++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL, *moving = NULL, *new = NULL;

		lab_install(&f, "");
		f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
		fixture_start(&f);
		result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
		CU_ASSERT_TRUE_FATAL(fleet_json_bool(result, "success", false));
		fixture_stop(&f);
		moving = xasprintf("%s/.app.fleet/moving", f.dir);
		new = xasprintf("%s/.app.fleet/new", f.dir);
		CU_ASSERT_EQUAL(mkdir(moving, 0700), 0);
		CU_ASSERT_EQUAL(mkdir(new, 0700), 0);
		fixture_write(&f, ".app.fleet/new/stranded", "written long ago");
		result = lab_run_and_die(&f, "rollback-app", NULL, "prepare", host);
		CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), "interrupted");
		f.die_at = NULL;
		result = fixture_run(&f, "rollback-app", NULL);
		CU_ASSERT_TRUE(fleet_json_bool(result, "success", false));
		lab_assert_file(&f, "app/bin/web", "old program");
		lab_assert_file(&f, ".app.fleet/left/stranded", "written long ago");
		if (CU_get_number_of_failures() > 0)
			lab_explain(result);
		fixture_done(&f);
	}
}

/* What is mounted in the tree would leave it with the old version; below what moves it moves along. */
static void test_mounts_in_the_tree(void)
{
	static const struct {
		const char *place, *preserve;
		bool success;
	} cases[] = {
		{"app/some cache", "[data]", false},
		{"app/data", "[data]", false},
		{"app/data/deep", "[data]", true},
		{"app-2", "[data]", true},
	};

	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		unit_skip("needs root, and mounts of its own");
		return;
	}
	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL, *place = NULL;

		lab_install(&f, "");
		set_preserve(&f, cases[i].preserve);
		place = xasprintf("%s/%s", f.dir, cases[i].place);
		CU_ASSERT_TRUE(mkdir(place, 0755) == 0 || errno == EEXIST);
		f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
		fixture_start(&f);
		CU_ASSERT_EQUAL(
			mount("tmpfs", place, "tmpfs", 0, NULL), 0); /* after the declaration was read */
		result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
		CU_ASSERT_EQUAL(fleet_json_bool(result, "success", false), cases[i].success);
		CU_ASSERT_EQUAL(f.fetches, cases[i].success);
		CU_ASSERT(cases[i].success || strstr(lab_message(result), "is a mount point"));
		CU_ASSERT_FALSE(!cases[i].success && lab_exists(&f, "web.calls"));
		if (CU_get_number_of_failures() > 0)
			lab_explain(result);
		CU_ASSERT_EQUAL(umount2(place, 0), 0); /* it is where it was */
		fixture_done(&f);
	}
}

/* The config is a link to where the admin keeps it, or lies in a directory that is one: the app reads the
 * same after an update, and after one that fails. */
static void test_config_behind_a_link(void)
{
	static const struct {
		const char *link, *target, *config;
		bool crash;
	} cases[] = {
		{"app/web.conf", "../etc/web.conf", "app/web.conf", false},
		{"app/web.conf", "../etc/web.conf", "app/web.conf", true},
		{"app/conf", "../etc", "app/conf/web.conf", false},
		{"app/conf", "../etc", "app/conf/web.conf", true},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL, *text = NULL, *changed = NULL, *link = NULL,
				    *etc = NULL, *own = NULL;
		const char *at;

		lab_install(&f, "");
		link = xasprintf("%s/%s", f.dir, cases[i].link);
		etc = xasprintf("%s/etc", f.dir);
		own = xasprintf("%s/app/web.conf", f.dir);
		CU_ASSERT_EQUAL(unlink(own), 0);
		CU_ASSERT_EQUAL(mkdir(etc, 0755), 0);
		fixture_write(&f, "etc/web.conf", "level=mine\n");
		CU_ASSERT_EQUAL(symlink(cases[i].target, link), 0);
		text = fixture_read(&f, "apps.d/web.yaml");
		at = strstr(text, "app/web.conf\n");
		CU_ASSERT_PTR_NOT_NULL_FATAL(at);
		changed = xasprintf(
			"%.*s%s%s", (int)(at - text), text, cases[i].config, at + strlen("app/web.conf"));
		fixture_write(&f, "apps.d/web.yaml", changed);
		f.artifact = artifact =
			lab_make_release(&f, "2.1.0\n", cases[i].crash ? "crash=yes\n" : "ok\n");
		fixture_start(&f);
		result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
		CU_ASSERT_EQUAL(fleet_json_bool(result, "success", false), !cases[i].crash);
		lab_assert_file(&f, "app/bin/web", cases[i].crash ? "old program" : "new program");
		lab_assert_file(&f, cases[i].config, "level=mine\n");
		lab_assert_file(&f, "etc/web.conf", "level=mine\n");
		if (str_equal(cases[i].link, "app/web.conf"))
			lab_assert_file(
				&f, "app/web.conf.release", cases[i].crash ? NULL : "level=release\n");
		if (CU_get_number_of_failures() > 0)
			lab_explain(result);
		fixture_done(&f);
	}
}

/* Where one version has a file the other has a directory, be it a config, something preserved, or our own
 * note: each keeps its own. */
static void test_names_of_another_kind(void)
{
	static const struct lab_item items[] = {
		{"run.conf", "ok\n", 0644},
		{"version", "2.1.0\n", 0644},
		{"web.conf/", NULL, 0755},
		{"web.conf/inner", "release's", 0644},
		{"web.conf.release/", NULL, 0755},
		{"web.conf.release/inner", "in the way", 0644},
		{"data", "a file", 0644},
		{"bin/web", "new program", 0755},
		{"only-new", "x", 0644},
		{0},
	};
	struct fixture f;
	struct json_object *result;
	_cleanup_free_ char *artifact = NULL, *marker = NULL, *inner = NULL;

	lab_install(&f, "");
	f.artifact = artifact = xasprintf("%s/artifact.tar.gz", f.dir);
	lab_write_release(artifact, items);
	fixture_start(&f);
	result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
	CU_ASSERT_TRUE(fleet_json_bool(result, "success", false));
	lab_assert_whole(&f, true);
	lab_assert_file(&f, "app/web.conf.release/inner", "release's");
	lab_assert_file(&f, "app/data.release", "a file");
	/* what the app's user could do to the kept one before it was kept, and a disk to the note of it */
	marker = xasprintf("%s/.app.fleet/previous/.fleet-release", f.dir);
	inner = xasprintf("%s/inner", marker);
	CU_ASSERT_EQUAL(mkdir(marker, 0755), 0);
	CU_ASSERT_EQUAL(mkdir(inner, 0755), 0);
	fixture_write(&f, ".app.fleet/previous.json", "{\"version\": \"2.");
	result = fixture_run(&f, "rollback-app", NULL);
	CU_ASSERT_TRUE(fleet_json_bool(result, "success", false));
	CU_ASSERT_TRUE(str_equal(fleet_json_string(result, "toVersion"), "2.0.0"));
	lab_assert_file(&f, "app/bin/web", "old program");
	lab_assert_file(&f, "app/web.conf", "level=mine\n");
	lab_assert_file(&f, "app/data/db", "what the app wrote");
	if (CU_get_number_of_failures() > 0)
		lab_explain(result);
	fixture_done(&f);
}

/* The release has a file where something is preserved below a directory: it cannot be, and nothing changes.
 */
static void test_file_where_a_directory_is_preserved(void)
{
	static const struct lab_item items[] = {{"run.conf", "ok\n", 0644}, {"version", "2.1.0\n", 0644},
		{"data", "a file", 0644}, {"bin/web", "new program", 0755}, {0}};
	struct fixture f;
	struct json_object *result;
	_cleanup_free_ char *artifact = NULL;

	lab_install(&f, "");
	set_preserve(&f, "[data/db]");
	f.artifact = artifact = xasprintf("%s/artifact.tar.gz", f.dir);
	lab_write_release(artifact, items);
	fixture_start(&f);
	result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
	CU_ASSERT_FALSE(fleet_json_bool(result, "success", true));
	CU_ASSERT_PTR_NOT_NULL(strstr(lab_message(result), "cannot carry over data/db of "));
	CU_ASSERT_PTR_NOT_NULL(strstr(lab_message(result), "Nothing was changed: 2.0.0 is Running"));
	lab_assert_whole(&f, false);
	lab_assert_running(&f);
	fixture_done(&f);
}

#define DEEP 1700

/* The kept version holds directories deeper than there are descriptors: the update after next, which is to
 * remove it, does so. */
static void test_deep_directories_are_removed(void)
{
	struct fixture f;
	struct json_object *result = NULL;
	_cleanup_free_ char *artifact = NULL, *path = NULL;
	_cleanup_close_ int dir = -1;

	lab_install(&f, "");
	path = xasprintf("%s/app", f.dir);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < DEEP; i++) {
		int below;

		CU_ASSERT_EQUAL_FATAL(mkdirat(dir, "deeper", 0755), 0);
		below = openat(dir, "deeper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		CU_ASSERT_TRUE_FATAL(below >= 0);
		(void)close(dir);
		dir = below;
	}
	f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
	fixture_start(&f);
	for (int i = 0; i < 2; i++) {
		result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
		CU_ASSERT_TRUE(fleet_json_bool(result, "success", false));
		CU_ASSERT_PTR_NULL(strstr(lab_message(result), "could not be kept"));
		lab_assert_whole(&f, true);
	}
	lab_assert_file(&f, ".app.fleet/previous/bin/web", "new program");
	CU_ASSERT_FALSE(lab_exists(&f, ".app.fleet/previous/deeper"));
	if (CU_get_number_of_failures() > 0)
		lab_explain(result);
	fixture_done(&f);
}

static const struct unit_test own_tests[] = {
	UNIT_TEST(test_want_of_descriptors_is_no_absence),
	UNIT_TEST(test_preserved_links),
	UNIT_TEST(test_version_file_beside_a_preserved_name),
	UNIT_TEST(test_preserved_directory_that_becomes_a_link),
	UNIT_TEST(test_what_was_stranded_outlives_a_death),
	UNIT_TEST(test_mounts_in_the_tree),
	UNIT_TEST(test_config_behind_a_link),
	{0},
};
static const struct unit_test kind_tests[] = {
	UNIT_TEST(test_names_of_another_kind),
	UNIT_TEST(test_file_where_a_directory_is_preserved),
	UNIT_TEST(test_deep_directories_are_removed),
	{0},
};

int main(void)
{
	return unit_run(
		(const struct unit_suite[]){{"own data", own_tests}, {"other kinds", kind_tests}, {0}});
}
