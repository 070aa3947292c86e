/* Updates end to end, over the driver host's socket: a release takes the place of another, what the app wrote
 * stays, and where anything goes wrong on the way the old one runs on. The service is a fake; trees,
 * archives, ledger and processes are real. */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "agent/host/hash_stream.h"
#include "host_fixture.h"
#include "fleet/clock.h"
#include "fleet/file.h"
#include "unit.h"

struct item {
	const char *path, *text; /* text NULL: a directory */
	mode_t mode;
};

static void write_release(const char *path, const struct item *items)
{
	struct archive *a = archive_write_new();

	CU_ASSERT_EQUAL_FATAL(archive_write_add_filter_gzip(a), ARCHIVE_OK);
	CU_ASSERT_EQUAL_FATAL(archive_write_set_format_pax_restricted(a), ARCHIVE_OK);
	CU_ASSERT_EQUAL_FATAL(archive_write_open_filename(a, path), ARCHIVE_OK);
	for (; items->path; items++) {
		struct archive_entry *e = archive_entry_new();

		archive_entry_set_pathname(e, items->path);
		archive_entry_set_filetype(e, items->text ? AE_IFREG : AE_IFDIR);
		archive_entry_set_perm(e, items->mode);
		archive_entry_set_size(e, items->text ? (la_int64_t)strlen(items->text) : 0);
		CU_ASSERT_EQUAL(archive_write_header(a, e), ARCHIVE_OK);
		if (items->text)
			CU_ASSERT_EQUAL(archive_write_data(a, items->text, strlen(items->text)),
				(la_ssize_t)strlen(items->text));
		archive_entry_free(e);
	}
	CU_ASSERT_EQUAL(archive_write_close(a), ARCHIVE_OK);
	archive_write_free(a);
}

/* version 2.1.0 with run.conf, which the fake service reads as it starts */
static char *make_release(const struct fixture *f, const char *version, const char *run_conf)
{
	char *path = xasprintf("%s/artifact.tar.gz", f->dir);
	const struct item items[] = {
		{"web-2.1.0/", NULL, 0755},
		{"web-2.1.0/bin/", NULL, 0755},
		{"web-2.1.0/bin/web", "new program", 04755},
		{"web-2.1.0/run.conf", run_conf, 0644},
		{"web-2.1.0/version", version, 0644},
		{"web-2.1.0/web.conf", "level=release\n", 0644},
		{"web-2.1.0/data/", NULL, 0755},
		{"web-2.1.0/only-new", "x", 0644},
		{0},
	};

	write_release(path, items);
	return path;
}

static void declare(const struct fixture *f, const char *extra)
{
	_cleanup_free_ char *text = xasprintf("managed_apps:\n"
					      "  - id: web\n"
					      "    service_driver: host_fake\n"
					      "    service_options: {dir: %s, config: %s/app/run.conf}\n"
					      "    binary_path: %s/app/\n"
					      "    config_path: %s/app/web.conf\n"
					      "    config_driver: host_fake\n"
					      "    version_file: %s/app/version\n"
					      "    preserve: [data/, logs]\n"
					      "    timeout: 4s\n"
					      "    health_check: {settle: 100ms}\n"
					      "%s",
		f->dir, f->dir, f->dir, f->dir, f->dir, extra);

	fixture_write(f, "apps.d/web.yaml", text);
}

static void make_dir(const struct fixture *f, const char *name, mode_t mode)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", f->dir, name);

	CU_ASSERT_EQUAL(mkdir(path, mode), 0);
	CU_ASSERT_EQUAL(chmod(path, mode), 0);
}

/* App web 2.0.0 runs, with a config and data of its own. */
static void install(struct fixture *f, const char *extra)
{
	fixture_init(f);
	declare(f, extra);
	make_dir(f, "app", 0750);
	make_dir(f, "app/bin", 0755);
	make_dir(f, "app/data", 0700);
	fixture_write(f, "app/bin/web", "old program");
	fixture_write(f, "app/run.conf", "ok\n");
	fixture_write(f, "app/version", "2.0.0\n");
	fixture_write(f, "app/web.conf", "level=mine\n");
	fixture_write(f, "app/data/db", "what the app wrote");
	fixture_set_state(f, "web", "running", 7);
}

static struct json_object *arguments(const char *version)
{
	struct json_object *args = json_object_new_object();

	fleet_json_add_string(args, "version", version);
	fleet_json_add_string(args, "artifactUrl", "https://artifacts.example/web.tar.gz?token=secret");
	return args;
}

static const char *message_of(struct json_object *result)
{
	const char *text = fleet_json_string(result, "message");

	return text ? text : "";
}

static void assert_file(const struct fixture *f, const char *name, const char *expected)
{
	_cleanup_free_ char *text = fixture_read(f, name);

	if (!str_equal(text, expected)) {
		printf("# %s is '%s', not '%s'\n", name, text ? text : "(absent)",
			expected ? expected : "(absent)");
		CU_FAIL("a file is not as it must be");
	}
}

static mode_t mode_of(const struct fixture *f, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", f->dir, name);
	struct stat st;

	return lstat(path, &st) < 0 ? 0 : st.st_mode & 07777;
}

static bool exists(const struct fixture *f, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", f->dir, name);

	return access(path, F_OK) == 0;
}

/* Old or new, whole, with what the app wrote; and nothing of an operation is left. */
static void assert_whole(const struct fixture *f, bool updated)
{
	_cleanup_free_ char *staging = xasprintf("%s/state/staging", f->dir);
	_cleanup_closedir_ DIR *dir = opendir(staging);
	const struct dirent *entry;

	assert_file(f, "app/bin/web", updated ? "new program" : "old program");
	assert_file(f, "app/version", updated ? "2.1.0\n" : "2.0.0\n");
	assert_file(f, "app/web.conf", "level=mine\n");
	assert_file(f, "app/data/db", "what the app wrote");
	CU_ASSERT_EQUAL(exists(f, "app/only-new"), updated);
	CU_ASSERT_FALSE(exists(f, ".app.fleet/unpack"));
	CU_ASSERT_FALSE(exists(f, ".app.fleet/new"));
	CU_ASSERT_FALSE(exists(f, ".app.fleet/old"));
	CU_ASSERT_FALSE(exists(f, ".app.fleet/left"));
	CU_ASSERT_EQUAL(exists(f, ".app.fleet/previous"), updated);
	while (dir && (entry = readdir(dir)))
		CU_ASSERT_EQUAL(entry->d_name[0], '.');
}

static void assert_running(const struct fixture *f)
{
	_cleanup_free_ char *state = fixture_read(f, "web.state");

	CU_ASSERT_PTR_NOT_NULL_FATAL(state);
	CU_ASSERT_TRUE(str_starts(state, "running "));
}

static size_t count_events(const struct fixture *f)
{
	size_t n = 0;

	for (size_t i = 0; i < json_object_array_length(f->events); i++)
		n += str_equal(
			fleet_json_string(json_object_array_get_idx(f->events, i), "category"), "update");
	return n;
}

static void explain(struct json_object *result)
{
	printf("# %s\n", json_object_to_json_string(result));
}

static void test_update_succeeds(void)
{
	struct fixture f;
	struct json_object *result;
	_cleanup_free_ char *artifact = NULL;

	install(&f, "");
	f.artifact = artifact = make_release(&f, "2.1.0\n", "ok\n");
	fixture_start(&f);
	result = fixture_run(&f, "update-app", arguments("2.1.0"));
	if (!fleet_json_bool(result, "success", false))
		explain(result);
	CU_ASSERT_TRUE(fleet_json_bool(result, "success", false));
	CU_ASSERT_TRUE(str_starts(message_of(result), "Running, healthy, pid 1008, down "));
	CU_ASSERT_PTR_NOT_NULL(strstr(message_of(result), "; no checksum"));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "fromVersion"), "2.0.0");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "toVersion"), "2.1.0");
	CU_ASSERT_TRUE(fleet_json_bool(result, "appHealthy", false));
	CU_ASSERT_TRUE(fleet_json_int(result, "downMs", -1) >= 0);
	CU_ASSERT_EQUAL(fleet_json_int(result, "pid", 0), 1008);
	assert_whole(&f, true);
	assert_file(&f, "app/web.conf.release", "level=release\n");
	assert_file(&f, ".app.fleet/previous/bin/web", "old program");
	CU_ASSERT_FALSE(exists(&f, ".app.fleet/previous/data"));
	CU_ASSERT_EQUAL(mode_of(&f, "app"), 0750);
	CU_ASSERT_EQUAL(
		mode_of(&f, "app/bin/web"), 0750); /* not setuid, and no more than the tree's own to others */
	CU_ASSERT_EQUAL(mode_of(&f, "app/data"), 0700);
	CU_ASSERT_EQUAL(mode_of(&f, ".app.fleet"), 0700);
	{
		_cleanup_free_ char *calls = fixture_read(&f, "web.calls");

		CU_ASSERT_STRING_EQUAL(calls, "stop\nstart\n");
	}
	/* start, download, stop, swap, start; and no secret in any of it */
	CU_ASSERT_EQUAL(count_events(&f), 5);
	CU_ASSERT_PTR_NULL(strstr(json_object_to_json_string(f.events), "token"));
	fixture_done(&f);
}

static void test_rollback_returns(void)
{
	struct fixture f;
	struct json_object *result;
	_cleanup_free_ char *artifact = NULL;

	install(&f, "");
	f.artifact = artifact = make_release(&f, "2.1.0\n", "ok\n");
	fixture_start(&f);
	result = fixture_run(&f, "rollback-app", NULL);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), "not-supported");
	CU_ASSERT_FALSE(exists(&f, ".app.fleet"));
	result = fixture_run(&f, "update-app", arguments("2.1.0"));
	CU_ASSERT_TRUE_FATAL(fleet_json_bool(result, "success", false));
	fixture_write(&f, "app/data/later", "written by the new one");
	result = fixture_run(&f, "rollback-app", NULL);
	if (!fleet_json_bool(result, "success", false))
		explain(result);
	CU_ASSERT_TRUE(fleet_json_bool(result, "success", false));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "fromVersion"), "2.1.0");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "toVersion"), "2.0.0");
	assert_file(&f, "app/bin/web", "old program");
	assert_file(&f, "app/web.conf", "level=mine\n");
	assert_file(&f, "app/data/later", "written by the new one");
	assert_file(&f, ".app.fleet/previous/bin/web", "new program");
	/* and forth again */
	result = fixture_run(&f, "rollback-app", NULL);
	CU_ASSERT_TRUE(fleet_json_bool(result, "success", false));
	assert_file(&f, "app/bin/web", "new program");
	assert_file(&f, "app/data/later", "written by the new one");
	fixture_done(&f);
}

static void test_unwell_release_rolls_back(void)
{
	static const struct {
		const char *run_conf, *code, *message;
	} cases[] = {
		{"crash=yes\n", "unhealthy", "health check failed: exited 1"},
		{"flap=yes\n", "unhealthy", "health check failed: crashed and was started again"},
		{"slow=yes\n", "unhealthy", "health check failed: still starting after 4 s"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct fixture f;
		struct json_object *result;
		_cleanup_free_ char *artifact = NULL;

		install(&f, "");
		f.artifact = artifact = make_release(&f, "2.1.0\n", cases[i].run_conf);
		fixture_start(&f);
		result = fixture_run(&f, "update-app", arguments("2.1.0"));
		CU_ASSERT_FALSE(fleet_json_bool(result, "success", true));
		CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), cases[i].code);
		CU_ASSERT_TRUE(str_starts(message_of(result), cases[i].message));
		CU_ASSERT_PTR_NOT_NULL(
			strstr(message_of(result), ". Rolled back: 2.0.0 is Running, healthy"));
		if (!strstr(message_of(result), "Rolled back"))
			explain(result);
		CU_ASSERT_TRUE(fleet_json_bool(result, "rolledBack", false));
		CU_ASSERT_TRUE(fleet_json_bool(result, "appHealthy", false));
		CU_ASSERT_PTR_NOT_NULL(fleet_json_array(result, "logLines"));
		assert_whole(&f, false);
		assert_running(&f);
		CU_ASSERT_FALSE(exists(&f, ".app.fleet"));
		fixture_done(&f);
	}
}

static void test_refused_before_anything(void)
{
	static const struct {
		const char *extra, *version, *release_version, *sha256, *code, *message;
		bool fetched;
	} cases[] = {
		{"", "1.9", "1.9\n", NULL, "downgrade", "1.9 is older than 2.0.0", false},
		{"    require_sha256: true\n", "2.1.0", "2.1.0\n", NULL, "hash-mismatch",
			"demands a checksum", false},
		{"", "2.1.0", "2.1.0\n", "00000000000000000000000000000000000000000000000000000000000000aa",
			"hash-mismatch", "checksum is not the one asked for", true},
		{"", "2.1.0", "2.0.9\n", NULL, "version-mismatch", "version file says 2.0.9", true},
		{"    allow: [restart]\n", "2.1.0", "2.1.0\n", NULL, "not-allowed-by-server",
			"does not allow update", false},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		struct fixture f;
		struct json_object *result, *args = arguments(cases[i].version);
		_cleanup_free_ char *artifact = NULL, *calls = NULL;

		install(&f, cases[i].extra);
		f.artifact = artifact = make_release(&f, cases[i].release_version, "ok\n");
		fleet_json_add_string(args, "sha256", cases[i].sha256);
		fixture_start(&f);
		result = fixture_run(&f, "update-app", args);
		CU_ASSERT_FALSE(fleet_json_bool(result, "success", true));
		CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), cases[i].code);
		CU_ASSERT_PTR_NOT_NULL(strstr(message_of(result), cases[i].message));
		if (!strstr(message_of(result), cases[i].message))
			explain(result);
		CU_ASSERT_EQUAL(f.fetches, cases[i].fetched);
		assert_whole(&f, false);
		calls = fixture_read(&f, "web.calls");
		CU_ASSERT_PTR_NULL(calls);
		fixture_done(&f);
	}
}

static void test_download_fails(void)
{
	struct fixture f;
	struct json_object *result;

	install(&f, "");
	fixture_start(&f);
	result = fixture_run(&f, "update-app", arguments("2.1.0"));
	CU_ASSERT_STRING_EQUAL(fleet_json_string(result, "errorCode"), "download-failed");
	CU_ASSERT_PTR_NOT_NULL(strstr(message_of(result), "404 Not Found"));
	assert_whole(&f, false);
	fixture_done(&f);
}

static const struct unit_test update_tests[] = {
	UNIT_TEST(test_update_succeeds),
	UNIT_TEST(test_rollback_returns),
	UNIT_TEST(test_unwell_release_rolls_back),
	UNIT_TEST(test_refused_before_anything),
	UNIT_TEST(test_download_fails),
	{0},
};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"update", update_tests}, {0}});
}
