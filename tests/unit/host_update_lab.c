#include "host_update_lab.h"
#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>
#include "unit.h"

void lab_write_release(const char *path, const struct lab_item *items)
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
char *lab_make_release(const struct fixture *f, const char *version, const char *run_conf)
{
	char *path = xasprintf("%s/artifact.tar.gz", f->dir);
	const struct lab_item items[] = {
		{"web-2.1.0/", NULL, 0755},
		{"web-2.1.0/bin/", NULL, 0755},
		{"web-2.1.0/bin/web", "new program", 0755},
		{"web-2.1.0/run.conf", run_conf, 0644},
		{"web-2.1.0/version", version, 0644},
		{"web-2.1.0/web.conf", "level=release\n", 0644},
		{"web-2.1.0/data/", NULL, 0755},
		{"web-2.1.0/only-new", "x", 0644},
		{0},
	};

	lab_write_release(path, items);
	return path;
}

void lab_declare(const struct fixture *f, const char *extra)
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
void lab_install(struct fixture *f, const char *extra)
{
	fixture_init(f);
	lab_fill(f, extra);
}

void lab_fill(struct fixture *f, const char *extra)
{
	lab_declare(f, extra);
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

struct json_object *lab_arguments(const char *version)
{
	struct json_object *args = json_object_new_object();

	fleet_json_add_string(args, "version", version);
	fleet_json_add_string(args, "artifactUrl", "https://artifacts.example/web.tar.gz?token=secret");
	return args;
}

const char *lab_message(struct json_object *result)
{
	const char *text = fleet_json_string(result, "message");

	return text ? text : "";
}

void lab_assert_file(const struct fixture *f, const char *name, const char *expected)
{
	_cleanup_free_ char *text = fixture_read(f, name);

	if (!str_equal(text, expected)) {
		printf("# %s is '%s', not '%s'\n", name, text ? text : "(absent)",
			expected ? expected : "(absent)");
		CU_FAIL("a file is not as it must be");
	}
}

mode_t lab_mode(const struct fixture *f, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", f->dir, name);
	struct stat st;

	return lstat(path, &st) < 0 ? 0 : st.st_mode & 07777;
}

bool lab_exists(const struct fixture *f, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", f->dir, name);

	return access(path, F_OK) == 0;
}

/* Old or new, whole, with what the app wrote; and nothing of an operation is left. */
void lab_assert_whole(const struct fixture *f, bool updated)
{
	_cleanup_free_ char *staging = xasprintf("%s/state/staging", f->dir);
	_cleanup_closedir_ DIR *dir = opendir(staging);
	const struct dirent *entry;

	lab_assert_file(f, "app/bin/web", updated ? "new program" : "old program");
	lab_assert_file(f, "app/version", updated ? "2.1.0\n" : "2.0.0\n");
	lab_assert_file(f, "app/web.conf", "level=mine\n");
	lab_assert_file(f, "app/data/db", "what the app wrote");
	CU_ASSERT_EQUAL(lab_exists(f, "app/only-new"), updated);
	CU_ASSERT_FALSE(lab_exists(f, ".app.fleet/unpack"));
	CU_ASSERT_FALSE(lab_exists(f, ".app.fleet/new"));
	CU_ASSERT_FALSE(lab_exists(f, ".app.fleet/old"));
	CU_ASSERT_FALSE(lab_exists(f, ".app.fleet/left"));
	CU_ASSERT_FALSE(lab_exists(f, ".app.fleet/moving"));
	CU_ASSERT_EQUAL(lab_exists(f, ".app.fleet/previous"), updated);
	while (dir && (entry = readdir(dir)))
		CU_ASSERT_EQUAL(entry->d_name[0], '.');
}

void lab_assert_running(const struct fixture *f)
{
	_cleanup_free_ char *state = fixture_read(f, "web.state");

	CU_ASSERT_PTR_NOT_NULL_FATAL(state);
	CU_ASSERT_TRUE(str_starts(state, "running "));
}

void lab_explain(struct json_object *result)
{
	printf("# %s\n", json_object_to_json_string(result));
}

static char *state_of(const struct fixture *f, const char *app)
{
	_cleanup_free_ char *name = xasprintf("%s.state", app);
	char *text = fixture_read(f, name);

	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	text[strcspn(text, " ")] = '\0';
	return text;
}

void lab_assert_state(const struct fixture *f, const char *app, const char *expected)
{
	_cleanup_free_ char *state = state_of(f, app);

	if (!str_equal(state, expected))
		printf("# %s is %s, not %s\n", app, state, expected);
	CU_ASSERT_STRING_EQUAL(state, expected);
}

struct json_object *lab_run_and_die(
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
