/* Updates among what servers are like: programs that change their own files, apps that were stopped, trees
 * that somebody else has a hand in, and several things that go wrong at once. Whatever the result says must
 * be so, and nothing that the app wrote is lost. */
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "agent/host/update_moves.h"
#include "host_update_lab.h"
#include "unit.h"

static char *state_of(const struct fixture *f, const char *app)
{
	_cleanup_free_ char *name = xasprintf("%s.state", app);
	char *text = fixture_read(f, name);

	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	text[strcspn(text, " ")] = '\0';
	return text;
}

static void assert_state(const struct fixture *f, const char *app, const char *expected)
{
	_cleanup_free_ char *state = state_of(f, app);

	if (!str_equal(state, expected))
		printf("# %s is %s, not %s\n", app, state, expected);
	CU_ASSERT_STRING_EQUAL(state, expected);
}

/* An operation on "web" that dies at this step, alone or with the host; its result once it was taken up. */
static struct json_object *run_and_die(
	struct fixture *f, const char *action, struct json_object *takes_args, const char *step, bool host)
{
	_cleanup_json_ struct json_object *payload = fixture_command(action, "web", takes_args);
	struct json_object *result;

	f->die_at = step;
	f->die_host = host;
	fixture_write(f, "once", "");
	fixture_start(f);
	fixture_send_command(f, payload);
	if (host) {
		while (fixture_wait(f, "nothing")) /* what it still says, until it is dead */
			;
		fixture_wait_for_death(f);
		fixture_start(f);
	}
	result = fixture_result(f, fleet_json_string(payload, "commandId"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(result);
	CU_ASSERT_FALSE(lab_exists(f, "once")); /* it did die there */
	return result;
}

/* ---- an app that was stopped ---- */

/* It never ran, so it tells nothing of how far the update came: what is its own comes back all the same. */
static void test_death_while_the_app_was_stopped(void)
{
	static const char *const steps[] = {
		"stop", "swap", "aside", "move", "exchange", "exchanged", "start", "keep"};

	for (size_t i = 0; i < 2 * FLEET_ARRAY_LEN(steps); i++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL;

		lab_install(&f, "");
		fixture_set_state(&f, "web", "stopped", 7);
		f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
		result = run_and_die(&f, "update-app", lab_arguments("2.1.0"), steps[i / 2], i % 2);
		lab_assert_whole(&f, fleet_json_bool(result, "success", false));
		if (CU_get_number_of_failures() > 0)
			lab_explain(result);
		CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "appStatus"), "stopped");
		CU_ASSERT_EQUAL(strstr(lab_message(result), "not verified") != NULL,
			fleet_json_bool(result, "success", false));
		assert_state(&f, "web", "stopped");
		fixture_done(&f);
	}
}

/* ---- a release that changes its own files ---- */

/* From the start of the new version on, which is where it changes them; `after`: past the way there. */
static const struct {
	const char *step;
	unsigned after;
} late_deaths[] = {{NULL, 0}, {"start", 0}, {"health", 0}, {"rollback", 0}, {"exchange", 1}, {"exchanged", 1},
	{"remove", 1}};

/* The old version is back where the result says so, whatever the new one did to itself and wherever the
 * operation died. */
static void test_release_that_tidies_its_directory(void)
{
	for (size_t i = 0; i < 2 * FLEET_ARRAY_LEN(late_deaths); i++) {
		const char *step = late_deaths[i / 2].step;
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL;

		lab_install(&f, "");
		f.die_after = late_deaths[i / 2].after;
		f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "crash=yes\ntidy=yes\n");
		if (step) {
			result = run_and_die(&f, "update-app", lab_arguments("2.1.0"), step, i % 2);
		} else {
			fixture_start(&f);
			result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
		}
		CU_ASSERT_FALSE(fleet_json_bool(result, "success", true));
		lab_assert_whole(&f, false);
		lab_assert_running(&f);
		if (CU_get_number_of_failures() > 0)
			lab_explain(result);
		fixture_done(&f);
	}
}

static void install_program(struct fixture *f)
{
	_cleanup_free_ char *text = NULL;

	fixture_init(f);
	text = xasprintf("managed_apps:\n"
			 "  - id: web\n"
			 "    service_driver: host_fake\n"
			 "    service_options: {dir: %s, config: %s/web.bin}\n"
			 "    binary_path: %s/web.bin\n"
			 "    timeout: 4s\n"
			 "    health_check: {settle: 0}\n",
		f->dir, f->dir, f->dir);
	fixture_write(f, "apps.d/web.yaml", text);
	fixture_write(f, "web.bin", "old");
	fixture_set_state(f, "web", "running", 7);
}

/* The same of a program that is one file, and writes to it, replaces it (as those do that update themselves),
 * or removes it. */
static void test_program_that_changes_its_file(void)
{
	static const char *const releases[] = {
		"crash=yes\npatch=yes\n", "crash=yes\nrenew=yes\n", "crash=yes\nvanish=yes\n"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(releases) * FLEET_ARRAY_LEN(late_deaths); i++) {
		const char *release = releases[i % FLEET_ARRAY_LEN(releases)];
		const char *step = late_deaths[i / FLEET_ARRAY_LEN(releases)].step;
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL;

		install_program(&f);
		f.die_after = late_deaths[i / FLEET_ARRAY_LEN(releases)].after;
		if (f.die_after && strstr(release, "vanish"))
			step = "exchange-part"; /* the place is empty: a move is enough, and nothing remains
						 */
		if (f.die_after && (strstr(release, "vanish") || str_equal(step, "remove")))
			f.die_after = 0; /* a file is not unpacked, nor taken away */
		artifact = xasprintf("%s/artifact", f.dir);
		f.artifact = artifact;
		fixture_write(&f, "artifact", release);
		if (step) {
			result = run_and_die(&f, "update-app", lab_arguments("2"), step, i % 2);
		} else {
			fixture_start(&f);
			result = fixture_run(&f, "update-app", lab_arguments("2"));
		}
		CU_ASSERT_FALSE(fleet_json_bool(result, "success", true));
		lab_assert_file(&f, "web.bin", "old");
		lab_assert_running(&f);
		CU_ASSERT_FALSE(lab_exists(&f, ".web.bin.fleet"));
		if (CU_get_number_of_failures() > 0)
			printf("# case %zu: %s\n", i, json_object_to_json_string(result));
		fixture_done(&f);
	}
}

/* ---- what cannot be looked at ---- */

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
		result = run_and_die(&f, "rollback-app", NULL, "prepare", host);
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

/* ---- names that are something else ---- */

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

/* ---- a declaration that is gone ---- */

/* The host dies, and when it comes again the app is declared no more, or elsewhere: its files are put in
 * order all the same, and the result says what is there. */
static void test_files_are_whole_without_a_declaration(void)
{
	static const struct {
		const char *step, *words;
		bool updated;
	} cases[] = {
		{"stop", "the old version", false},
		{"move", "the old version", false},
		{"exchange", "the old version", false},
		{"exchanged", "2.1.0", true},
		{"health", "2.1.0", true},
	};

	for (size_t i = 0; i < 2 * FLEET_ARRAY_LEN(cases); i++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL, *elsewhere = NULL;
		_cleanup_json_ struct json_object *payload =
			fixture_command("update-app", "web", lab_arguments("2.1.0"));

		lab_install(&f, "");
		f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
		f.die_at = cases[i / 2].step;
		f.die_host = true;
		fixture_write(&f, "once", "");
		fixture_start(&f);
		fixture_send_command(&f, payload);
		while (fixture_wait(&f, "nothing"))
			;
		fixture_wait_for_death(&f);
		elsewhere = xasprintf("managed_apps:\n"
				      "  - id: %s\n"
				      "    service_driver: host_fake\n"
				      "    service_options: {dir: %s, config: %s/none}\n"
				      "    binary_path: %s/elsewhere\n",
			i % 2 ? "web" : "another", f.dir, f.dir, f.dir);
		fixture_write(&f, "apps.d/web.yaml", elsewhere);
		fixture_start(&f);
		result = fixture_result(&f, fleet_json_string(payload, "commandId"));
		CU_ASSERT_PTR_NOT_NULL_FATAL(result);
		CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), "interrupted");
		CU_ASSERT_PTR_NOT_NULL(strstr(lab_message(result), "no longer declared"));
		CU_ASSERT_PTR_NOT_NULL(strstr(lab_message(result), cases[i / 2].words));
		lab_assert_file(&f, "app/bin/web", cases[i / 2].updated ? "new program" : "old program");
		lab_assert_file(&f, "app/web.conf", "level=mine\n");
		lab_assert_file(&f, "app/data/db", "what the app wrote");
		CU_ASSERT_EQUAL(lab_exists(&f, ".app.fleet"), cases[i / 2].updated);
		if (CU_get_number_of_failures() > 0)
			lab_explain(result);
		fixture_done(&f);
	}
}

/* ---- apps that share a tree ---- */

/* web, and behind it twin and third, all running from the same tree. */
static void install_three(struct fixture *f, const char *web_options, const char *twin_options)
{
	_cleanup_free_ char *text = NULL;

	lab_install(f, "");
	text = xasprintf("managed_apps:\n"
			 "  - id: web\n"
			 "    service_driver: host_fake\n"
			 "    service_options: {dir: %s, config: %s/app/run.conf%s}\n"
			 "    binary_path: %s/app\n"
			 "    config_path: %s/app/web.conf\n"
			 "    config_driver: host_fake\n"
			 "    version_file: %s/app/version\n"
			 "    preserve: [data]\n"
			 "    timeout: 4s\n"
			 "    health_check: {settle: 0}\n"
			 "  - id: twin\n"
			 "    service_driver: host_fake\n"
			 "    service_options: {dir: %s, config: %s/none%s}\n"
			 "    binary_path: %s/app\n"
			 "    timeout: 4s\n"
			 "    health_check: {settle: 0}\n"
			 "  - id: third\n"
			 "    service_driver: host_fake\n"
			 "    service_options: {dir: %s, config: %s/none}\n"
			 "    binary_path: %s/app\n"
			 "    timeout: 4s\n"
			 "    health_check: {settle: 0}\n",
		f->dir, f->dir, web_options, f->dir, f->dir, f->dir, f->dir, f->dir, twin_options, f->dir,
		f->dir, f->dir, f->dir);
	fixture_write(f, "apps.d/web.yaml", text);
	fixture_set_state(f, "twin", "running", 3);
	fixture_set_state(f, "third", "running", 5);
}

/* One that does not start at all, whatever is in its place, keeps none of the others down. */
static void test_one_that_does_not_start_keeps_none_down(void)
{
	static const struct {
		const char *web, *twin;
	} cases[] = {{", at: start, act: crash-always", ""}, {"", ", at: start, act: crash-always"}};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL;

		install_three(&f, cases[i].web, cases[i].twin);
		f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
		fixture_start(&f);
		result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
		CU_ASSERT_FALSE(fleet_json_bool(result, "success", true));
		CU_ASSERT_TRUE(fleet_json_bool(result, "rolledBack", false));
		CU_ASSERT_PTR_NOT_NULL(strstr(lab_message(result), "The version before is back, but "));
		lab_assert_whole(&f, false);
		assert_state(&f, i == 0 ? "twin" : "web", "running");
		assert_state(&f, "third", "running");
		if (CU_get_number_of_failures() > 0)
			lab_explain(result);
		fixture_done(&f);
	}
}

/* The version before, which could not return, is not thrown away by the next update, also where nothing was
 * to be moved. */
static void test_version_that_could_not_return_is_kept(void)
{
	struct fixture f;
	struct json_object *result;
	_cleanup_free_ char *artifact = NULL, *text = NULL;

	install_program(&f);
	text = xasprintf("managed_apps:\n"
			 "  - id: twin\n"
			 "    service_driver: host_fake\n"
			 "    service_options: {dir: %s, config: %s/none, at: stop, act: crash-later}\n"
			 "    binary_path: %s/web.bin\n"
			 "    timeout: 4s\n",
		f.dir, f.dir, f.dir);
	fixture_write(&f, "apps.d/twin.yaml", text);
	fixture_set_state(&f, "twin", "running", 3);
	artifact = xasprintf("%s/artifact", f.dir);
	f.artifact = artifact;
	fixture_write(&f, "artifact", "crash=yes");
	fixture_start(&f);
	result = fixture_run(&f, "update-app", lab_arguments("2"));
	CU_ASSERT_PTR_NOT_NULL(strstr(lab_message(result), "Not rolled back"));
	fixture_stop(&f);
	fixture_set_state(&f, "twin", "stopped", 3);
	fixture_write(&f, "artifact", "crash=no");
	fixture_start(&f);
	result = fixture_run(&f, "update-app", lab_arguments("3"));
	CU_ASSERT_TRUE(fleet_json_bool(result, "success", false));
	lab_assert_file(&f, "web.bin", "crash=no");
	lab_assert_file(&f, ".web.bin.fleet/left", "old");
	if (CU_get_number_of_failures() > 0)
		lab_explain(result);
	fixture_done(&f);
}

/* An app that shares the tree only since the update was cut off, and is stopped, stays so. */
static void test_app_declared_meanwhile_stays_as_it_is(void)
{
	struct fixture f;
	struct json_object *result;
	_cleanup_free_ char *artifact = NULL, *extra = NULL;
	_cleanup_json_ struct json_object *payload =
		fixture_command("update-app", "web", lab_arguments("2.1.0"));

	lab_install(&f, "");
	f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
	f.die_at = "move";
	f.die_host = true;
	fixture_write(&f, "once", "");
	fixture_start(&f);
	fixture_send_command(&f, payload);
	while (fixture_wait(&f, "nothing"))
		;
	fixture_wait_for_death(&f);
	extra = xasprintf("  - id: later\n"
			  "    service_driver: host_fake\n"
			  "    service_options: {dir: %s, config: %s/none}\n"
			  "    binary_path: %s/app\n",
		f.dir, f.dir, f.dir);
	lab_declare(&f, extra);
	fixture_set_state(&f, "later", "stopped", 3);
	fixture_start(&f);
	result = fixture_result(&f, fleet_json_string(payload, "commandId"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(result);
	CU_ASSERT_TRUE(fleet_json_bool(result, "rolledBack", false));
	lab_assert_whole(&f, false);
	assert_state(&f, "web", "running");
	assert_state(&f, "later", "stopped");
	fixture_done(&f);
}

/* One that cannot be stopped, on the way there or back: what was stopped before it runs again. */
static void test_one_that_does_not_stop_keeps_none_down(void)
{
	for (int back = 0; back < 2; back++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL;

		install_three(
			&f, "", back ? ", at: stop, act: crash-later" : ", at: stop, act: crash-always");
		f.artifact = artifact = lab_make_release(&f, "2.1.0\n", back ? "crash=yes\n" : "ok\n");
		fixture_start(&f);
		result = fixture_run(&f, "update-app", lab_arguments("2.1.0"));
		CU_ASSERT_FALSE(fleet_json_bool(result, "success", true));
		CU_ASSERT_PTR_NOT_NULL(strstr(lab_message(result), "app 'twin' does not stop"));
		if (back) {
			CU_ASSERT_PTR_NOT_NULL(strstr(lab_message(result), "Not rolled back"));
		} else {
			lab_assert_whole(&f, false);
		}
		assert_state(&f, "web", back ? "failed" : "running"); /* it was started all the same */
		assert_state(&f, "twin", "running");
		assert_state(&f, "third", "running");
		if (CU_get_number_of_failures() > 0)
			lab_explain(result);
		fixture_done(&f);
	}
}

/* Another app's config lies in the tree: a push of it waits for the update, which moves it, and the other way
 * round. */
static void test_push_into_a_tree_waits_for_its_update(void)
{
	struct fixture f;
	struct json_object *result, *args;
	_cleanup_free_ char *artifact = NULL, *extra = NULL;
	_cleanup_json_ struct json_object *update = fixture_command(
						  "update-app", "web", lab_arguments("2.1.0")),
					  *push = NULL, *fetch = NULL;

	lab_install(&f, "");
	extra = xasprintf("  - id: side\n"
			  "    service_driver: host_fake\n"
			  "    service_options: {dir: %s, config: %s/none}\n"
			  "    config_path: %s/app/side.conf\n"
			  "    config_driver: host_fake\n"
			  "    health_check: {settle: 0}\n"
			  "  - id: other\n"
			  "    service_driver: host_fake\n"
			  "    service_options: {dir: %s, config: %s/none}\n"
			  "    health_check: {settle: 0}\n",
		f.dir, f.dir, f.dir, f.dir, f.dir);
	lab_declare(&f, extra);
	fixture_write(&f, "app/side.conf", "level=info\n");
	fixture_set_state(&f, "side", "running", 1);
	fixture_set_state(&f, "other", "running", 1);
	f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
	f.ignore_fetch = true;
	fixture_start(&f);
	fixture_send_command(&f, update);
	fetch = fixture_wait(&f, "fetch");
	CU_ASSERT_PTR_NOT_NULL_FATAL(fetch);
	args = fixture_set("level", "debug");
	push = fixture_command("push-config", "side", args);
	fixture_send_command(&f, push);
	for (int i = 0; i < 5; i++) { /* time enough for it, were it to begin */
		_cleanup_json_ struct json_object *other = fixture_command("restart-app", "other", NULL);

		fixture_send_command(&f, other);
		result = fixture_result(&f, fleet_json_string(other, "commandId"));
		CU_ASSERT_TRUE(result && fleet_json_bool(result, "success", false));
	}
	CU_ASSERT_PTR_NULL(fleet_json_object(f.results, fleet_json_string(push, "commandId")));
	lab_assert_file(&f, "app/side.conf", "level=info\n");
	fixture_stop(&f);
	f.ignore_fetch = false;
	fixture_start(&f);
	result = fixture_result(&f, fleet_json_string(push, "commandId"));
	CU_ASSERT_TRUE(result && fleet_json_bool(result, "success", false));
	result = fixture_result(&f, fleet_json_string(update, "commandId"));
	CU_ASSERT_TRUE(result && fleet_json_bool(result, "success", false));
	lab_assert_whole(&f, true);
	lab_assert_file(&f, "app/side.conf", "level=debug\n");
	fixture_done(&f);
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

/* The server came up with the new version in place, and started the app by itself: so it is told. */
static void test_boot_starts_what_was_stopped(void)
{
	struct fixture f;
	struct json_object *result;
	_cleanup_free_ char *artifact = NULL;
	_cleanup_json_ struct json_object *payload =
		fixture_command("update-app", "web", lab_arguments("2.1.0"));

	lab_install(&f, "");
	fixture_set_state(&f, "web", "stopped", 7);
	f.artifact = artifact = lab_make_release(&f, "2.1.0\n", "ok\n");
	f.die_at = "exchanged";
	f.die_host = true;
	fixture_write(&f, "once", "");
	fixture_start(&f);
	fixture_send_command(&f, payload);
	while (fixture_wait(&f, "nothing"))
		;
	fixture_wait_for_death(&f);
	fixture_recover_files(&f);
	fixture_set_state(&f, "web", "running", 50);
	fixture_start(&f);
	result = fixture_result(&f, fleet_json_string(payload, "commandId"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(result);
	CU_ASSERT_TRUE(fleet_json_bool(result, "success", false));
	CU_ASSERT_FALSE(fleet_json_bool(result, "verified", true));
	CU_ASSERT_TRUE(str_equal(fleet_json_string(result, "appStatus"), "running"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(lab_message(result), "the app was stopped, and is running now: not verified"));
	lab_assert_whole(&f, true);
	assert_state(&f, "web", "running");
	fixture_done(&f);
}

static const struct unit_test stopped_tests[] = {
	UNIT_TEST(test_death_while_the_app_was_stopped),
	UNIT_TEST(test_boot_starts_what_was_stopped),
	{0},
};
static const struct unit_test itself_tests[] = {
	UNIT_TEST(test_release_that_tidies_its_directory),
	UNIT_TEST(test_program_that_changes_its_file),
	{0},
};
static const struct unit_test look_tests[] = {
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
static const struct unit_test undeclared_tests[] = {
	UNIT_TEST(test_files_are_whole_without_a_declaration),
	{0},
};
static const struct unit_test sharing_tests[] = {
	UNIT_TEST(test_one_that_does_not_start_keeps_none_down),
	UNIT_TEST(test_one_that_does_not_stop_keeps_none_down),
	UNIT_TEST(test_push_into_a_tree_waits_for_its_update),
	UNIT_TEST(test_version_that_could_not_return_is_kept),
	UNIT_TEST(test_app_declared_meanwhile_stays_as_it_is),
	{0},
};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"stopped", stopped_tests},
		{"changes itself", itself_tests}, {"cannot look", look_tests}, {"other kinds", kind_tests},
		{"undeclared", undeclared_tests}, {"sharing", sharing_tests}, {0}});
}
