#include "agent/spool_private.h"
#include <fcntl.h>
#include <sys/file.h>

static const char *const migrations[] = {
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE event (seq INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, text TEXT NOT NULL);"
	"CREATE TABLE seen (n INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE);"
	"CREATE TABLE result (n INTEGER PRIMARY KEY AUTOINCREMENT, command_id TEXT NOT NULL UNIQUE, text "
	"TEXT NOT NULL);"
	"CREATE TABLE running (command_id TEXT PRIMARY KEY) WITHOUT ROWID;"
	"INSERT INTO meta VALUES ('nextSeq', '1');",
	/* the newest event that was there before it */
	"ALTER TABLE result ADD COLUMN after_seq INTEGER NOT NULL DEFAULT 0;",
};

int spool_set_meta(struct spool *s, const char *key, const char *value, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(s->db, "INSERT INTO meta VALUES (?1, ?2) "
						     "ON CONFLICT (key) DO UPDATE SET value = ?2");

	fleet_db_bind_text(st, 1, key);
	fleet_db_bind_text(st, 2, value);
	return fleet_db_run(s->db, st, err);
}

int spool_set_meta_int(struct spool *s, const char *key, int64_t value, struct fleet_error *err)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%lld", (long long)value);
	return spool_set_meta(s, key, text, err);
}

/* *ret owned; NULL where not set. */
static int get_meta(struct spool *s, const char *key, char **ret, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(s->db, "SELECT value FROM meta WHERE key = ?1");
	int r;

	fleet_db_bind_text(st, 1, key);
	r = fleet_db_step(s->db, st, err);
	if (r < 0)
		return r;
	*ret = r > 0 ? xstrdup(fleet_db_column_text(st, 0)) : NULL;
	(void)sqlite3_reset(st); /* its error, if any, was step's */
	return 0;
}

static int get_int(struct spool *s, const char *sql, int64_t *ret, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(s->db, sql);
	int r = fleet_db_step(s->db, st, err);

	if (r > 0)
		*ret = sqlite3_column_int64(st, 0);
	(void)sqlite3_reset(st); /* its error, if any, was step's */
	return r < 0 ? r : 0;
}

static int load_head(struct spool *s, struct fleet_error *err)
{
	_cleanup_free_ char *seq = NULL, *hash = NULL;
	int r;

	if ((r = get_meta(s, "headSeq", &seq, err)) < 0 || (r = get_meta(s, "headHash", &hash, err)) < 0)
		return r;
	if (seq && hash && strlen(hash) < sizeof(s->head.hash)) {
		s->head.seq = strtoll(seq, NULL, 10);
		(void)snprintf(s->head.hash, sizeof(s->head.hash), "%s", hash);
	}
	return 0;
}

static int load(struct spool *s, struct fleet_error *err)
{
	_cleanup_free_ char *id = NULL;
	int r;

	if ((r = get_meta(s, "spoolId", &id, err)) < 0)
		return r;
	if (!id) {
		id = xstrdup(fleet_uuid_new().text);
		if ((r = spool_set_meta(s, "spoolId", id, err)) < 0)
			return r;
	}
	if (!fleet_uuid_is_valid(id))
		return fleet_error_set(err, -EUCLEAN, "its spoolId is no UUID");
	memcpy(s->id, id, sizeof(s->id));
	if ((r = get_int(s, "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'nextSeq'", &s->next_seq,
		     err)) < 0 ||
		(r = get_int(s, "SELECT count(*) FROM event", &s->events, err)) < 0 ||
		(r = get_int(s, "SELECT count(*) FROM result", &s->results, err)) < 0)
		return r;
	if (s->next_seq < 1)
		return fleet_error_set(err, -EUCLEAN, "it has no next sequence number");
	s->acked_seq = s->next_seq - 1 - s->events;
	return load_head(s, err);
}

static int open_file(const char *path, int64_t max_rows, struct spool **ret, struct fleet_error *err)
{
	_cleanup_(spool_closep) struct spool *s = xcalloc(1, sizeof(*s));
	int r;

	s->lock = -1;
	r = fleet_db_open(path, migrations, FLEET_ARRAY_LEN(migrations), &s->db, err);
	s->max_rows = max_rows > 0 ? max_rows : FLEET_SPOOL_ROWS_MAX;
	if (r < 0 || (r = load(s, err)) < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

/* The damaged file stays for whoever wants to look; the newest one only. */
static int put_aside(const char *path, struct fleet_error *err)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(suffixes); i++) {
		_cleanup_free_ char *from = xasprintf("%s%s", path, suffixes[i]);
		_cleanup_free_ char *to = xasprintf("%s.damaged%s", path, suffixes[i]);

		if (rename(from, to) < 0 && errno != ENOENT)
			return fleet_error_errno(err, -errno, "cannot put the damaged spool %s aside", from);
	}
	return 0;
}

static int take_lock(const char *dir, int *ret_fd, struct fleet_error *err)
{
	_cleanup_free_ char *path = xasprintf("%s/lock", dir);
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return fleet_error_errno(err, -errno, "cannot open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		return fleet_error_set(err, -EBUSY,
			"another agent works in %s: stop it, or choose another --agent-id or --data-dir",
			dir);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int spool_open(
	const char *dir, int64_t max_rows, struct spool **ret, char **ret_lost, struct fleet_error *err)
{
	_cleanup_free_ char *path = xasprintf("%s/spool.db", dir);
	_cleanup_(spool_closep) struct spool *s = NULL;
	struct fleet_error why = FLEET_ERROR_INIT;
	_cleanup_close_ int lock = -1;
	_cleanup_free_ char *lost = NULL;
	int r = take_lock(dir, &lock, err);

	if (r < 0)
		return r;
	r = open_file(path, max_rows, &s, &why);
	if (r == -EUCLEAN) {
		lost = xasprintf(
			"the spool was damaged (%.300s); a new one was begun, the old one is %.300s.damaged",
			why.message, path);
		r = put_aside(path, &why);
		if (r >= 0)
			r = open_file(path, max_rows, &s, &why);
	}
	if (r < 0)
		return fleet_error_set(err, r, "%s", why.message);
	s->lock = TAKE_FD(lock);
	*ret_lost = TAKE_PTR(lost);
	*ret = TAKE_PTR(s);
	return 0;
}

void spool_close(struct spool *s)
{
	if (!s)
		return;
	fleet_db_close(s->db);
	if (s->lock >= 0)
		(void)close(s->lock); /* nothing was written to it */
	free(s->note);
	free(s);
}

const char *spool_note(struct spool *s, const char *key)
{
	_cleanup_free_ char *name = xasprintf("note.%s", key);
	char *value = NULL;

	if (get_meta(s, name, &value, NULL) < 0)
		return NULL;
	free(s->note);
	s->note = value;
	return value;
}

int spool_set_note(struct spool *s, const char *key, const char *value, struct fleet_error *err)
{
	_cleanup_free_ char *name = xasprintf("note.%s", key);

	return spool_set_meta(s, name, value, err);
}
