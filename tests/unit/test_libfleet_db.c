#include <fcntl.h>
#include <sys/stat.h>
#include "fleet/db.h"
#include "fleet/file.h"
#include "unit.h"

static char directory[] = "/tmp/fleet-test-db.XXXXXX";
static const char *const migrations[] = {
	"CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT UNIQUE, c BLOB);"
	"CREATE TRIGGER t_no BEFORE DELETE ON t BEGIN SELECT RAISE(ABORT, 'never'); END;",
	"ALTER TABLE t ADD COLUMN d TEXT DEFAULT 'new'", "CREATE TABLE broken (", /* used by one test only */
};

static char *fresh(void)
{
	static int n;

	return xasprintf("%s/%d.db", directory, n++);
}

static struct fleet_db *open_db(const char *path, size_t count)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct fleet_db *db = NULL;

	CU_ASSERT_EQUAL(fleet_db_open(path, migrations, count, &db, &err), 0);
	if (!db) {
		printf("# %s\n", err.message);
		CU_FAIL_FATAL("no database");
	}
	return db;
}

static int insert(struct fleet_db *db, int64_t a, const char *b, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(db, "INSERT INTO t (a, b, c) VALUES (?, ?, ?)");

	fleet_db_bind_int(st, 1, a);
	fleet_db_bind_text(st, 2, b);
	fleet_db_bind_blob(st, 3, "x\0y", 3);
	return fleet_db_run(db, st, err);
}

static int64_t number(struct fleet_db *db, const char *sql)
{
	sqlite3_stmt *st = fleet_db_statement(db, sql);
	int64_t n = -1;

	CU_ASSERT_EQUAL(fleet_db_step(db, st, NULL), 1);
	n = sqlite3_column_int64(st, 0);
	CU_ASSERT_EQUAL(fleet_db_step(db, st, NULL), 0);
	return n;
}

static void test_open_sets_the_habits(void)
{
	_cleanup_free_ char *path = fresh(), *wal = xasprintf("%s-wal", path);
	_cleanup_(fleet_db_closep) struct fleet_db *db = open_db(path, 1);
	sqlite3_stmt *st = fleet_db_statement(db, "PRAGMA journal_mode");
	struct stat s;

	CU_ASSERT_EQUAL(fleet_db_step(db, st, NULL), 1);
	CU_ASSERT_STRING_EQUAL(fleet_db_column_text(st, 0), "wal");
	sqlite3_reset(st);
	CU_ASSERT_EQUAL(number(db, "PRAGMA synchronous"), 2);
	CU_ASSERT_EQUAL(number(db, "PRAGMA foreign_keys"), 1);
	CU_ASSERT_EQUAL(number(db, "PRAGMA user_version"), 1);
	CU_ASSERT_EQUAL(stat(path, &s), 0);
	CU_ASSERT_EQUAL(s.st_mode & 07777, 0600);
	CU_ASSERT_EQUAL(stat(wal, &s), 0);
	CU_ASSERT_EQUAL(s.st_mode & 07777, 0600);
}

static void test_rows_come_back(void)
{
	_cleanup_free_ char *path = fresh();
	struct fleet_db *db = open_db(path, 1);
	sqlite3_stmt *st;

	CU_ASSERT_EQUAL(insert(db, 1, "one", NULL), 0);
	CU_ASSERT_EQUAL(insert(db, INT64_MIN, NULL, NULL), 0);
	CU_ASSERT_EQUAL(fleet_db_changes(db), 1);
	fleet_db_close(db);
	db = open_db(path, 1);
	st = fleet_db_statement(db, "SELECT a, b, c FROM t ORDER BY a");
	CU_ASSERT_EQUAL(fleet_db_step(db, st, NULL), 1);
	CU_ASSERT_EQUAL(sqlite3_column_int64(st, 0), INT64_MIN);
	CU_ASSERT_PTR_NULL(fleet_db_column_text(st, 1));
	CU_ASSERT_EQUAL(fleet_db_step(db, st, NULL), 1);
	CU_ASSERT_STRING_EQUAL(fleet_db_column_text(st, 1), "one");
	CU_ASSERT_EQUAL(sqlite3_column_bytes(st, 2), 3);
	CU_ASSERT_EQUAL(fleet_db_step(db, st, NULL), 0);
	/* the same text is the same statement, clean again */
	CU_ASSERT_PTR_EQUAL(st, fleet_db_statement(db, "SELECT a, b, c FROM t ORDER BY a"));
	fleet_db_close(db);
	fleet_db_close(NULL);
}

static void test_errors_have_their_numbers(void)
{
	_cleanup_free_ char *path = fresh();
	_cleanup_(fleet_db_closep) struct fleet_db *db = open_db(path, 1);
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL(insert(db, 1, "one", &err), 0);
	CU_ASSERT_EQUAL(insert(db, 2, "one", &err), -EEXIST);
	CU_ASSERT_EQUAL(insert(db, 1, "two", &err), -EEXIST);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, path));
	CU_ASSERT_EQUAL(fleet_db_exec(db, "DELETE FROM t", &err), -EPERM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "never"));
	CU_ASSERT_TRUE(fleet_db_exec(db, "NO SQL AT ALL", &err) < 0);
	/* full: as many pages as there are */
	CU_ASSERT_EQUAL(fleet_db_exec(db, "PRAGMA max_page_count = 1", &err), 0);
	{
		_cleanup_free_ char *big = xcalloc(1, 100001);

		memset(big, 'x', 100000);
		CU_ASSERT_EQUAL(insert(db, 3, big, &err), -ENOSPC);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "full"));
	}
}

static void test_transactions(void)
{
	_cleanup_free_ char *path = fresh();
	_cleanup_(fleet_db_closep) struct fleet_db *db = open_db(path, 1), *other = open_db(path, 1);
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_FALSE(fleet_db_in_transaction(db));
	CU_ASSERT_EQUAL(fleet_db_begin(db, &err), 0);
	CU_ASSERT_TRUE(fleet_db_in_transaction(db));
	CU_ASSERT_EQUAL(insert(db, 1, "one", &err), 0);
	CU_ASSERT_EQUAL(number(other, "SELECT count(*) FROM t"), 0);
	fleet_db_rollback(db);
	fleet_db_rollback(db);
	CU_ASSERT_EQUAL(number(db, "SELECT count(*) FROM t"), 0);
	CU_ASSERT_EQUAL(fleet_db_begin(db, &err), 0);
	CU_ASSERT_EQUAL(insert(db, 1, "one", &err), 0);
	CU_ASSERT_EQUAL(fleet_db_commit(db, &err), 0);
	CU_ASSERT_EQUAL(number(other, "SELECT count(*) FROM t"), 1);
	CU_ASSERT_TRUE(fleet_db_commit(db, &err) < 0);
}

static void test_migrations(void)
{
	_cleanup_free_ char *path = fresh();
	struct fleet_error err = FLEET_ERROR_INIT;
	struct fleet_db *db = open_db(path, 1), *none = NULL;

	CU_ASSERT_EQUAL(insert(db, 1, "one", NULL), 0);
	fleet_db_close(db);
	db = open_db(path, 2);
	CU_ASSERT_EQUAL(number(db, "SELECT count(*) FROM t WHERE d = 'new' AND b = 'one'"), 1);
	fleet_db_close(db);
	/* newer than the program */
	CU_ASSERT_EQUAL(fleet_db_open(path, migrations, 1, &none, &err), -EPROTO);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "version 2"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "up to 1"));
	/* a migration that fails leaves the version before it, whole */
	CU_ASSERT_TRUE(fleet_db_open(path, migrations, 3, &none, &err) < 0);
	CU_ASSERT_PTR_NULL(none);
	db = open_db(path, 2);
	CU_ASSERT_EQUAL(number(db, "PRAGMA user_version"), 2);
	fleet_db_close(db);
}

static void test_damaged_files(void)
{
	_cleanup_free_ char *path = fresh(), *junk = fresh(), *data = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct fleet_db *db = open_db(path, 1), *none = NULL;
	size_t len = 0;

	for (int i = 0; i < 2000; i++) {
		_cleanup_free_ char *text = xasprintf("a text of some length, number %d", i);

		CU_ASSERT_EQUAL(insert(db, i, text, NULL), 0);
	}
	fleet_db_close(db);
	CU_ASSERT_EQUAL_FATAL(fleet_file_read(path, 1 << 24, &data, &len, &err), 0);
	memset(data + 5 * 4096, 0x5A, 3 * 4096);
	CU_ASSERT_EQUAL_FATAL(fleet_file_write_durable(path, data, len, 0600, &err), 0);
	CU_ASSERT_EQUAL(fleet_db_open(path, migrations, 1, &none, &err), -EUCLEAN);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "damaged"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "backup"));
	memset(data, 'j', len);
	CU_ASSERT_EQUAL_FATAL(fleet_file_write_durable(junk, data, len, 0600, &err), 0);
	CU_ASSERT_EQUAL(fleet_db_open(junk, migrations, 1, &none, &err), -EUCLEAN);
	CU_ASSERT_PTR_NULL(none);
	CU_ASSERT_TRUE(fleet_db_open("/nonexistent/x.db", migrations, 1, &none, &err) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "/nonexistent/x.db"));
	CU_ASSERT_TRUE(fleet_db_open(directory, migrations, 1, &none, &err) < 0);
}

static bool file_holds(const char *path, const char *suffix, const char *what)
{
	_cleanup_free_ char *name = xasprintf("%s%s", path, suffix), *data = NULL;
	size_t len = 0;

	return fleet_file_read(name, 64u << 20, &data, &len, NULL) >= 0 &&
	       memmem(data, len, what, strlen(what));
}

/* What is written over is gone: from the file at once, from the log after a scrub; unless somebody reads. */
static void test_scrub(void)
{
	_cleanup_free_ char *path = fresh();
	struct fleet_db *db = open_db(path, 1), *reader = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	sqlite3_stmt *st;

	CU_ASSERT_EQUAL(insert(db, 1, "a-value-to-forget", NULL), 0);
	CU_ASSERT_TRUE(file_holds(path, "-wal", "a-value-to-forget"));
	CU_ASSERT_EQUAL(fleet_db_scrub(db, &err), 0);
	CU_ASSERT_TRUE(file_holds(path, "", "a-value-to-forget"));
	CU_ASSERT_EQUAL(fleet_db_exec(db, "UPDATE t SET b = 'x' WHERE a = 1", &err), 0);
	CU_ASSERT_EQUAL(fleet_db_open_readonly(path, &reader, &err), 0);
	st = fleet_db_statement(reader, "SELECT a FROM t");
	CU_ASSERT_EQUAL(fleet_db_step(reader, st, &err), 1);
	CU_ASSERT_EQUAL(fleet_db_exec(db, "UPDATE t SET b = 'y' WHERE a = 1", &err), 0);
	CU_ASSERT_EQUAL(fleet_db_scrub(db, &err), -EBUSY);
	fleet_db_close(reader);
	CU_ASSERT_EQUAL(fleet_db_scrub(db, &err), 0);
	CU_ASSERT_FALSE(file_holds(path, "", "a-value-to-forget"));
	CU_ASSERT_FALSE(file_holds(path, "-wal", "a-value-to-forget"));
	CU_ASSERT_EQUAL(insert(db, 2, "and on it goes", NULL), 0);
	fleet_db_close(db);
}

static void test_readonly(void)
{
	_cleanup_free_ char *path = fresh(), *missing = fresh();
	_cleanup_(fleet_db_closep) struct fleet_db *db = open_db(path, 1), *reader = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL(insert(db, 1, "one", NULL), 0);
	CU_ASSERT_EQUAL(fleet_db_open_readonly(path, &reader, &err), 0);
	CU_ASSERT_EQUAL(number(reader, "SELECT count(*) FROM t"), 1);
	CU_ASSERT_EQUAL(insert(reader, 2, "two", &err), -EROFS);
	CU_ASSERT_EQUAL(insert(db, 2, "two", NULL), 0);
	CU_ASSERT_EQUAL(number(reader, "SELECT count(*) FROM t"), 2);
	fleet_db_close(TAKE_PTR(reader));
	CU_ASSERT_EQUAL(fleet_db_open_readonly(missing, &reader, &err), -ENOENT);
	CU_ASSERT_NOT_EQUAL(access(missing, F_OK), 0);
}

static const struct unit_test tests[] = {UNIT_TEST(test_open_sets_the_habits), UNIT_TEST(test_rows_come_back),
	UNIT_TEST(test_errors_have_their_numbers), UNIT_TEST(test_transactions), UNIT_TEST(test_migrations),
	UNIT_TEST(test_damaged_files), UNIT_TEST(test_readonly), UNIT_TEST(test_scrub), {0}};

int main(void)
{
	DIR *d;
	struct dirent *e;
	int r;

	if (!mkdtemp(directory))
		return 99;
	r = unit_run((const struct unit_suite[]){{"db", tests}, {0}});
	d = opendir(directory);
	while ((e = readdir(d))) {
		_cleanup_free_ char *path = xasprintf("%s/%s", directory, e->d_name);

		if (e->d_name[0] != '.' && unlink(path) < 0)
			printf("# left behind: %s\n", path);
	}
	closedir(d);
	(void)!rmdir(directory); /* a directory left behind is no failure */
	return r;
}
