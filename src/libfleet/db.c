#include <fcntl.h>
#include "fleet/db.h"
#include "fleet/failpoint.h"

#define BUSY_MS 5000

struct statement {
	struct statement *next;
	const char *sql; /* owned */
	sqlite3_stmt *st;
};

struct fleet_db {
	sqlite3 *handle;
	char *path; /* owned */
	struct statement *statements;
};

static int errno_of(int code)
{
	switch (code & 0xFF) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_CONSTRAINT:
		return code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY ||
				       code == SQLITE_CONSTRAINT_ROWID
			       ? -EEXIST
			       : -EPERM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CANTOPEN:
		return -ENOENT;
	case SQLITE_PERM:
		return -EACCES;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_TOOBIG:
		return -E2BIG;
	default:
		return -EIO;
	}
}

static int fail(struct fleet_db *db, int code, const char *doing, struct fleet_error *err)
{
	int r = errno_of(code);

	if (r == -EUCLEAN)
		return fleet_error_set(err, r,
			"the database %s is damaged (%s): stop the program, keep the file, and put a backup "
			"in its place",
			db->path, sqlite3_errmsg(db->handle));
	if (r == -ENOSPC)
		return fleet_error_set(
			err, r, "cannot %s the database %s: the disk is full; make room", doing, db->path);
	return fleet_error_set(
		err, r, "cannot %s the database %s: %s", doing, db->path, sqlite3_errmsg(db->handle));
}

void fleet_db_close(struct fleet_db *db)
{
	if (!db)
		return;
	while (db->statements) {
		struct statement *s = db->statements;

		db->statements = s->next;
		sqlite3_finalize(s->st);
		free((char *)s->sql);
		free(s);
	}
	sqlite3_close(db->handle);
	free(db->path);
	free(db);
}

static int read_integer(struct fleet_db *db, const char *sql, int64_t *ret, struct fleet_error *err)
{
	sqlite3_stmt *st = NULL;
	int code = sqlite3_prepare_v2(db->handle, sql, -1, &st, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(st);
	if (code == SQLITE_ROW)
		*ret = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return code == SQLITE_ROW ? 0 : fail(db, code, "read", err);
}

static int check_integrity(struct fleet_db *db, struct fleet_error *err)
{
	_cleanup_free_ char *verdict = NULL;
	sqlite3_stmt *st = NULL;
	int code = sqlite3_prepare_v2(db->handle, "PRAGMA quick_check(1)", -1, &st, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(st);
	if (code == SQLITE_ROW)
		verdict = xstrdup((const char *)sqlite3_column_text(st, 0));
	sqlite3_finalize(st);
	if (code != SQLITE_ROW)
		return fail(db, code, "check", err);
	if (!str_equal(verdict, "ok"))
		return fleet_error_set(err, -EUCLEAN,
			"the database %s is damaged (%s): stop the program, keep the file, and put a backup "
			"in its place",
			db->path, verdict ? verdict : "no verdict");
	return 0;
}

static int migrate(struct fleet_db *db, const char *const *migrations, size_t count, struct fleet_error *err)
{
	int64_t version = 0;
	int r = read_integer(db, "PRAGMA user_version", &version, err);

	if (r < 0)
		return r;
	if (version < 0 || (uint64_t)version > count)
		return fleet_error_set(err, -EPROTO,
			"the database %s has version %lld, this program knows versions up to %zu: use the "
			"newer program",
			db->path, (long long)version, count);
	for (size_t i = (size_t)version; i < count; i++) {
		char stamp[64];

		r = fleet_db_begin(db, err);
		if (r < 0)
			return r;
		snprintf(stamp, sizeof(stamp), "PRAGMA user_version = %zu", i + 1);
		r = fleet_db_exec(db, migrations[i], err);
		if (r >= 0)
			r = fleet_db_exec(db, stamp, err);
		if (r >= 0)
			r = fleet_db_commit(db, err);
		if (r < 0) {
			fleet_db_rollback(db);
			(void)fleet_error_wrap(err, "cannot bring %s to version %zu", db->path, i + 1);
			return r;
		}
	}
	return 0;
}

static int open_handle(const char *path, int flags, struct fleet_db **ret, struct fleet_error *err)
{
	_cleanup_(fleet_db_closep) struct fleet_db *db = xcalloc(1, sizeof(*db));
	int code;

	db->path = xstrdup(path);
	code = sqlite3_open_v2(path, &db->handle, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
	if (code != SQLITE_OK) {
		if (!db->handle)
			return fleet_error_set(
				err, -ENOMEM, "cannot open the database %s: out of memory", path);
		return fail(db, code, "open", err);
	}
	sqlite3_busy_timeout(db->handle, BUSY_MS);
	(void)sqlite3_db_config(
		db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL); /* a belt; older libraries have none */
	*ret = TAKE_PTR(db);
	return 0;
}

int fleet_db_open(const char *path, const char *const *migrations, size_t migration_count,
	struct fleet_db **ret, struct fleet_error *err)
{
	_cleanup_(fleet_db_closep) struct fleet_db *db = NULL;
	/* SQLite would create it readable by all; its side files take the mode over. Only a new one is opened
	 * here: closing any descriptor of a database would drop the locks of another handle of this process.
	 */
	int r, fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && errno != EEXIST)
		return fleet_error_errno(err, -errno, "cannot create the database %s", path);
	if (fd >= 0)
		(void)close(fd); /* empty: nothing to lose */
	r = open_handle(path, SQLITE_OPEN_READWRITE, &db, err);
	if (r < 0)
		return r;
	r = fleet_db_exec(db,
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
		"PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ON",
		err);
	if (r >= 0)
		r = check_integrity(db, err);
	if (r >= 0)
		r = migrate(db, migrations, migration_count, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(db);
	return 0;
}

int fleet_db_open_readonly(const char *path, struct fleet_db **ret, struct fleet_error *err)
{
	return open_handle(path, SQLITE_OPEN_READONLY, ret, err);
}

sqlite3_stmt *fleet_db_statement(struct fleet_db *db, const char *sql)
{
	struct statement *s = db->statements;

	while (s && !str_equal(s->sql, sql))
		s = s->next;
	if (s) {
		sqlite3_reset(s->st); /* its code repeats what the last step said */
		sqlite3_clear_bindings(s->st);
		return s->st;
	}
	s = xcalloc(1, sizeof(*s));
	if (sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &s->st, NULL) != SQLITE_OK) {
		fprintf(stderr, "%s: statement does not compile: %s: %s\n", db->path,
			sqlite3_errmsg(db->handle), sql);
		abort();
	}
	s->sql = xstrdup(sql);
	s->next = db->statements;
	db->statements = s;
	return s->st;
}

static void must_bind(sqlite3_stmt *st, int code)
{
	if (code != SQLITE_OK) {
		fprintf(stderr, "cannot bind a value: %s: %s\n", sqlite3_errstr(code), sqlite3_sql(st));
		abort();
	}
}

void fleet_db_bind_text(sqlite3_stmt *st, int index, const char *text)
{
	must_bind(st, text ? sqlite3_bind_text(st, index, text, -1, SQLITE_TRANSIENT)
			   : sqlite3_bind_null(st, index));
}

void fleet_db_bind_int(sqlite3_stmt *st, int index, int64_t value)
{
	must_bind(st, sqlite3_bind_int64(st, index, value));
}

void fleet_db_bind_blob(sqlite3_stmt *st, int index, const void *data, size_t len)
{
	must_bind(st, sqlite3_bind_blob64(st, index, data, len, SQLITE_TRANSIENT));
}

const char *fleet_db_column_text(sqlite3_stmt *st, int column)
{
	return (const char *)sqlite3_column_text(st, column);
}

int fleet_db_step(struct fleet_db *db, sqlite3_stmt *st, struct fleet_error *err)
{
	int code = sqlite3_step(st), r;

	if (code == SQLITE_ROW)
		return 1;
	r = code == SQLITE_DONE ? 0 : fail(db, code, sqlite3_stmt_readonly(st) ? "read" : "write", err);
	sqlite3_reset(st); /* holds no lock while nobody looks */
	return r;
}

int fleet_db_run(struct fleet_db *db, sqlite3_stmt *st, struct fleet_error *err)
{
	int r;

	do
		r = fleet_db_step(db, st, err);
	while (r > 0);
	return r;
}

int fleet_db_exec(struct fleet_db *db, const char *sql, struct fleet_error *err)
{
	int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : fail(db, code, "use", err);
}

int fleet_db_begin(struct fleet_db *db, struct fleet_error *err)
{
	if (FLEET_FAILS("db.begin"))
		return fleet_error_errno(err, -errno, "cannot write the database %s", db->path);
	return fleet_db_exec(db, "BEGIN IMMEDIATE", err);
}

int fleet_db_commit(struct fleet_db *db, struct fleet_error *err)
{
	int r;

	if (FLEET_FAILS("db.commit"))
		return fleet_error_errno(err, -errno, "cannot write the database %s", db->path);
	r = fleet_db_exec(db, "COMMIT", err);
	FLEET_FAILPOINT("db.committed");
	return r;
}

void fleet_db_rollback(struct fleet_db *db)
{
	if (!sqlite3_get_autocommit(db->handle)) /* some failures have rolled back already */
		(void)sqlite3_exec(
			db->handle, "ROLLBACK", NULL, NULL, NULL); /* it fails only where nothing is open */
}

bool fleet_db_in_transaction(struct fleet_db *db)
{
	return !sqlite3_get_autocommit(db->handle);
}

int64_t fleet_db_changes(struct fleet_db *db)
{
	return sqlite3_changes64(db->handle);
}

int fleet_db_scrub(struct fleet_db *db, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(db, "PRAGMA wal_checkpoint(TRUNCATE)");
	int r, busy = 0;

	sqlite3_busy_timeout(db->handle, 0); /* a reader is in no hurry, and we are not either */
	r = fleet_db_step(db, st, err);
	if (r > 0)
		busy = sqlite3_column_int(st, 0);
	sqlite3_reset(st);
	sqlite3_busy_timeout(db->handle, BUSY_MS);
	return r < 0 ? r : busy ? fleet_error_set(err, -EBUSY, "the database %s is being read", db->path) : 0;
}
