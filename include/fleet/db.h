/* SQLite with the house's habits: WAL, full synchronisation of what must last, foreign keys, migrations by
 * user_version, an integrity check at open, statements prepared once. Used by the console's store (on its
 * own thread) and the agent's spool; nobody else speaks SQL. One thread per handle. */
#ifndef FLEET_DB_H
#define FLEET_DB_H
#include <sqlite3.h>
#include "fleet/error.h"

struct fleet_db;

/* Opens or creates (mode 0600) and migrates: migrations[i] takes the schema from version i to i + 1, each in
 * a transaction. A database newer than the program is refused (-EPROTO) with both versions named; a damaged
 * one (-EUCLEAN) with what to do. *ret owned. */
int fleet_db_open(const char *path, const char *const *migrations, size_t migration_count,
	struct fleet_db **ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* An existing one, to look at: no migration, no check, nothing written. *ret owned. */
int fleet_db_open_readonly(const char *path, struct fleet_db **ret, struct fleet_error *err) FLEET_MUST_CHECK;
void fleet_db_close(struct fleet_db *db);
FLEET_DEFINE_CLEANUP(struct fleet_db *, fleet_db_close)

/* Every statement text is prepared once and kept. The statement is reset and its bindings cleared; borrowed.
 * Ends the program on a text that does not compile (programmer error). */
sqlite3_stmt *fleet_db_statement(struct fleet_db *db, const char *sql);
/* Binding shorthand: NULL text binds NULL. Texts are copied. */
void fleet_db_bind_text(sqlite3_stmt *st, int index, const char *text);
void fleet_db_bind_int(sqlite3_stmt *st, int index, int64_t value);
void fleet_db_bind_blob(sqlite3_stmt *st, int index, const void *data, size_t len);
const char *fleet_db_column_text(
	sqlite3_stmt *st, int column); /* NULL for NULL; borrowed until the next step */

/* Steps once: 1 a row, 0 done, negative errno (-ENOSPC for a full disk, -EEXIST a unique constraint, -EIO).
 */
int fleet_db_step(struct fleet_db *db, sqlite3_stmt *st, struct fleet_error *err) FLEET_MUST_CHECK;
/* Steps to the end, for statements without rows. */
int fleet_db_run(struct fleet_db *db, sqlite3_stmt *st, struct fleet_error *err) FLEET_MUST_CHECK;
int fleet_db_exec(struct fleet_db *db, const char *sql, struct fleet_error *err) FLEET_MUST_CHECK;
int fleet_db_begin(struct fleet_db *db, struct fleet_error *err) FLEET_MUST_CHECK; /* IMMEDIATE */
int fleet_db_commit(struct fleet_db *db, struct fleet_error *err) FLEET_MUST_CHECK;
void fleet_db_rollback(struct fleet_db *db);
/* False after a failure that made SQLite roll back by itself. */
bool fleet_db_in_transaction(struct fleet_db *db);
int64_t fleet_db_changes(struct fleet_db *db);
/* What was deleted or written over is gone from the file at once (secure_delete), but not from the log beside
 * it: moves the log into the file and empties it. Outside a transaction. -EBUSY while somebody else reads. */
int fleet_db_scrub(struct fleet_db *db, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
