#include <fcntl.h>
#include <sys/stat.h>
#include "fleet/file.h"
#include "unit.h"

static char directory[] = "/tmp/fleet-test-file.XXXXXX";

static char *in_directory(const char *name)
{
	return xasprintf("%s/%s", directory, name);
}

static void test_write_then_read(void)
{
	_cleanup_free_ char *path = in_directory("a"), *data = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct stat st;
	size_t len = 0;

	CU_ASSERT_EQUAL(fleet_file_write_durable(path, "one\0two", 7, 0640, &err), 0);
	CU_ASSERT_EQUAL(fleet_file_read(path, 7, &data, &len, &err), 0);
	CU_ASSERT_EQUAL(len, 7);
	CU_ASSERT_EQUAL(memcmp(data, "one\0two", 8), 0); /* with the NUL after it */
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0640);
	CU_ASSERT_EQUAL(fleet_file_write_durable(path, "", 0, 0600, &err), 0);
	free(TAKE_PTR(data));
	CU_ASSERT_EQUAL(fleet_file_read(path, 7, &data, &len, &err), 0);
	CU_ASSERT_EQUAL(len, 0);
	CU_ASSERT_STRING_EQUAL(data, "");
}

static void test_bound(void)
{
	_cleanup_free_ char *path = in_directory("b"), *big = xcalloc(1, 100000), *data = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	size_t len = 99;

	CU_ASSERT_EQUAL(fleet_file_write_durable(path, big, 100000, 0600, &err), 0);
	CU_ASSERT_EQUAL(fleet_file_read(path, 99999, &data, &len, &err), -EFBIG);
	CU_ASSERT_PTR_NULL(data);
	CU_ASSERT_EQUAL(len, 99);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, path));
	CU_ASSERT_EQUAL(fleet_file_read(path, 100000, &data, &len, &err), 0);
	CU_ASSERT_EQUAL(len, 100000);
}

static void test_no_regular_files(void)
{
	_cleanup_free_ char *fifo = in_directory("fifo"), *missing = in_directory("missing"), *data = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL(mkfifo(fifo, 0600), 0);
	CU_ASSERT_EQUAL(fleet_file_read(fifo, 10, &data, NULL, &err), -EINVAL); /* and does not hang */
	CU_ASSERT_EQUAL(fleet_file_read(directory, 10, &data, NULL, &err), -EINVAL);
	CU_ASSERT_EQUAL(fleet_file_read("/dev/zero", 10, &data, NULL, &err), -EINVAL);
	CU_ASSERT_EQUAL(fleet_file_read(missing, 10, &data, NULL, &err), -ENOENT);
	CU_ASSERT_PTR_NULL(data);
}

static void test_files_that_say_size_zero(void)
{
	_cleanup_free_ char *data = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	size_t len = 0;

	CU_ASSERT_EQUAL(fleet_file_read("/proc/self/status", 65536, &data, &len, &err), 0);
	CU_ASSERT_TRUE(len > 100);
	CU_ASSERT_TRUE(str_starts(data, "Name:"));
	free(TAKE_PTR(data));
	CU_ASSERT_EQUAL(fleet_file_read("/proc/self/status", 100, &data, &len, &err), -EFBIG);
}

static void test_failed_write_leaves_the_old_file(void)
{
	_cleanup_free_ char *path = in_directory("sub"), *inside = in_directory("sub/file"), *data = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
	CU_ASSERT_EQUAL(fleet_file_write_durable(inside, "x", 1, 0600, &err), 0);
	/* a directory cannot be replaced by a file: nothing is left beside it */
	CU_ASSERT_TRUE(fleet_file_write_durable(path, "x", 1, 0600, &err) < 0);
	CU_ASSERT_EQUAL(fleet_file_read(inside, 10, &data, NULL, &err), 0);
	CU_ASSERT_STRING_EQUAL(data, "x");
	{
		_cleanup_closedir_ DIR *d = opendir(directory);
		struct dirent *e;

		while ((e = readdir(d)))
			CU_ASSERT_FALSE(str_starts(e->d_name, "sub."));
	}
	CU_ASSERT_TRUE(fleet_file_write_durable("/nonexistent/dir/file", "x", 1, 0600, &err) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "/nonexistent/dir/file"));
}

static void test_mkdir_parents(void)
{
	_cleanup_free_ char *deep = in_directory("x/y//z/"), *file = in_directory("plain"),
			    *below = in_directory("plain/q");
	struct fleet_error err = FLEET_ERROR_INIT;
	struct stat st;

	CU_ASSERT_EQUAL(fleet_mkdir_parents(deep, 0700, &err), 0);
	CU_ASSERT_EQUAL(fleet_mkdir_parents(deep, 0755, &err), 0);
	CU_ASSERT_EQUAL(stat(deep, &st), 0);
	CU_ASSERT_TRUE(S_ISDIR(st.st_mode));
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0700);
	CU_ASSERT_EQUAL(fleet_file_write_durable(file, "", 0, 0600, &err), 0);
	CU_ASSERT_EQUAL(fleet_mkdir_parents(file, 0700, &err), -ENOTDIR);
	CU_ASSERT_TRUE(fleet_mkdir_parents(below, 0700, &err) < 0);
}

static void test_what_a_crash_left_goes(void)
{
	static const char *const names[] = {
		"one.partial-abcdef", "other.partial-x1y2z3", "one", "ones.partial-abcdef"};
	static const bool left[][4] = {{false, true, true, true}, {false, false, true, false}};
	const char *const of[] = {"one", NULL};
	struct fleet_error err = FLEET_ERROR_INIT;

	for (size_t i = 0; i < FLEET_ARRAY_LEN(names); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", directory, names[i]);

		CU_ASSERT_EQUAL(fleet_file_write_durable(path, "x", 1, 0600, &err), 0);
	}
	for (size_t round = 0; round < FLEET_ARRAY_LEN(of); round++) {
		fleet_file_clean_partial(directory, of[round]);
		for (size_t i = 0; i < FLEET_ARRAY_LEN(names); i++) {
			_cleanup_free_ char *path = xasprintf("%s/%s", directory, names[i]);

			CU_ASSERT_EQUAL(access(path, F_OK) == 0, left[round][i]);
		}
	}
	fleet_file_clean_partial("/nonexistent", NULL);
	{
		_cleanup_free_ char *whole = in_directory("one");

		CU_ASSERT_EQUAL(unlink(whole), 0);
	}
}

static void test_program_dir(void)
{
	_cleanup_free_ char *dir = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL(fleet_program_dir(&dir, &err), 0);
	CU_ASSERT_EQUAL(dir[0], '/');
	CU_ASSERT_EQUAL(access(dir, X_OK), 0);
}

static const struct unit_test tests[] = {UNIT_TEST(test_write_then_read), UNIT_TEST(test_bound),
	UNIT_TEST(test_no_regular_files), UNIT_TEST(test_files_that_say_size_zero),
	UNIT_TEST(test_failed_write_leaves_the_old_file), UNIT_TEST(test_mkdir_parents),
	UNIT_TEST(test_what_a_crash_left_goes), UNIT_TEST(test_program_dir), {0}};

int main(void)
{
	static const char *const leftovers[] = {
		"a", "b", "fifo", "sub/file", "sub", "x/y/z", "x/y", "x", "plain", ""};
	int r;

	if (!mkdtemp(directory))
		return 99;
	r = unit_run((const struct unit_suite[]){{"file", tests}, {0}});
	for (size_t i = 0; i < FLEET_ARRAY_LEN(leftovers); i++) {
		_cleanup_free_ char *path = in_directory(leftovers[i]);

		if (remove(path) < 0)
			printf("# left behind: %s\n", path);
	}
	return r;
}
